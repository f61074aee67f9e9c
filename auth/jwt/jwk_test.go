package jwt

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

func TestKeySetsOfAllKinds(t *testing.T) {
	t.Parallel()
	with := func(p pair, changes map[string]any) map[string]any {
		j := jwkOf(p)
		maps.Copy(j, changes)
		return j
	}
	short := makeRSA(1024)
	long := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\xff", 2000)))
	other := jwkOf(pair{"x", ecPair().method, ec384Pair().private})
	for name, c := range map[string]struct {
		key           map[string]any
		used, skipped int
	}{
		"RSA":                     {jwkOf(rsaPair()), 1, 0},
		"EC":                      {jwkOf(ec521Pair()), 1, 0},
		"Ed25519":                 {jwkOf(edPair()), 1, 0},
		"without use, alg or kid": {with(ecPair(), map[string]any{"use": "", "alg": "", "kid": ""}), 1, 0},
		"padded":                  {with(ecPair(), map[string]any{"x": jwkOf(ecPair())["x"].(string) + "="}), 1, 0},
		"to verify":               {with(ecPair(), map[string]any{"key_ops": []string{"verify"}}), 1, 0},
		"to encrypt":              {with(rsaPair(), map[string]any{"use": "enc"}), 0, 0},
		"to wrap keys":            {with(rsaPair(), map[string]any{"key_ops": []string{"wrapKey"}}), 0, 0},
		"symmetric":               {map[string]any{"kty": "oct", "k": "c2VjcmV0"}, 0, 0},
		"of no known type":        {map[string]any{"kty": "AKP"}, 0, 0},
		"RSA of 1,024 bits":       {jwkOf(pair{"rsa", rsaPair().method, short}), 0, 1},
		"RSA of 16,000 bits":      {with(rsaPair(), map[string]any{"n": long}), 0, 1},
		"RSA without modulus":     {with(rsaPair(), map[string]any{"n": ""}), 0, 1},
		"even exponent":           {with(rsaPair(), map[string]any{"e": "Ag"}), 0, 1},
		"exponent one":            {with(rsaPair(), map[string]any{"e": "AQ"}), 0, 1},
		"exponent of 40 bits":     {with(rsaPair(), map[string]any{"e": "AQAAAAE"}), 0, 1},
		"not base64":              {with(rsaPair(), map[string]any{"n": "!"}), 0, 1},
		"off the curve":           {with(ecPair(), map[string]any{"y": jwkOf(ecPair())["x"]}), 0, 1},
		"of another curve":        {with(ecPair(), map[string]any{"x": other["x"], "y": other["y"]}), 0, 1},
		"secp256k1":               {with(ecPair(), map[string]any{"crv": "secp256k1"}), 0, 1},
		"Ed448":                   {with(edPair(), map[string]any{"crv": "Ed448"}), 0, 1},
		"Ed25519 too short":       {with(edPair(), map[string]any{"x": "AAAA"}), 0, 1},
		"fields of other types":   {with(edPair(), map[string]any{"kid": 1}), 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, skipped, err := parseKeySet(keySetOf(c.key, jwkOf(edPair())))
			if err != nil || len(keys) != c.used+1 || skipped != c.skipped {
				t.Errorf("%d keys, %d skipped, %v: want %d and %d beside the good one", len(keys), skipped, err, c.used, c.skipped)
			}
		})
	}
}

// FuzzKeySet: whatever an issuer sends, the keys that are kept can be used.
func FuzzKeySet(f *testing.F) {
	f.Add(keySetOf(jwkOf(rsaPair()), jwkOf(ecPair()), jwkOf(edPair())))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""},{"kty":"RSA","n":"AA","e":"AQAB"},null,1]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, _, err := parseKeySet(document)
		if err == nil && !json.Valid(document) {
			t.Error("what is no JSON was taken")
		}
		for _, k := range keys {
			if err := usable(k.public); err != nil {
				t.Error(err)
			}
		}
	})
}
