package jwt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// The sizes of RSA keys that are used: shorter ones are weak, and longer ones are slow to verify with.
const (
	minBits = 2048
	maxBits = 8192
)

// key is a public key of a key set.
type key struct {
	id        string // "" where it has none
	algorithm string // the only one that it is for; "" where it does not say
	public    crypto.PublicKey
}

// parseKeySet reads a JSON Web Key Set (RFC 7517). Keys for other purposes and of other kinds, symmetric ones among them,
// are left out, and counted in skipped where they should have been usable.
func parseKeySet(document []byte) (keys []key, skipped int, err error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, 0, err
	}
	if set.Keys == nil {
		return nil, 0, errors.New(`the document has no "keys"`)
	}
	for _, raw := range *set.Keys {
		k, forUs, err := parseKey(raw)
		switch {
		case err != nil:
			skipped++
		case forUs:
			keys = append(keys, k)
		}
	}
	return keys, skipped, nil
}

// jwk is a JSON Web Key, as far as public keys go.
type jwk struct {
	Type       string   `json:"kty"`
	ID         string   `json:"kid"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Algorithm  string   `json:"alg"`
	Curve      string   `json:"crv"`
	N          string   `json:"n"`
	E          string   `json:"e"`
	X          string   `json:"x"`
	Y          string   `json:"y"`
}

// parseKey reads one key; forUs is false for a key that is not meant to verify signatures.
func parseKey(raw []byte) (k key, forUs bool, err error) {
	var j jwk
	if err := json.Unmarshal(raw, &j); err != nil {
		return key{}, false, err
	}
	if j.Use != "" && j.Use != "sig" || len(j.Operations) > 0 && !slices.Contains(j.Operations, "verify") {
		return key{}, false, nil
	}
	k = key{id: j.ID, algorithm: j.Algorithm}
	switch j.Type {
	case "RSA":
		k.public, err = j.rsa()
	case "EC":
		k.public, err = j.ecdsa()
	case "OKP":
		k.public, err = j.ed25519()
	default:
		return key{}, false, nil
	}
	if err == nil {
		err = usable(k.public)
	}
	return k, err == nil, err
}

func decode(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
}

func (j jwk) rsa() (crypto.PublicKey, error) {
	modulus, err := decode(j.N)
	if err != nil {
		return nil, err
	}
	exponent, err := decode(j.E)
	if err != nil {
		return nil, err
	}
	e := new(big.Int).SetBytes(exponent)
	if !e.IsInt64() || e.Int64() < 3 || e.Int64() >= 1<<31 || e.Bit(0) == 0 {
		return nil, errors.New("the RSA exponent cannot be used")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(e.Int64())}, nil
}

func (j jwk) ecdsa() (crypto.PublicKey, error) {
	curves := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
	curve, ok := curves[j.Curve]
	if !ok {
		return nil, fmt.Errorf("the curve %q is not supported", j.Curve)
	}
	size := (curve.Params().BitSize + 7) / 8
	point := []byte{4} // uncompressed
	for _, text := range []string{j.X, j.Y} {
		coordinate, err := decode(text)
		if err != nil {
			return nil, err
		}
		if len(coordinate) > size {
			return nil, errors.New("a coordinate is too long")
		}
		point = append(point, bytes.Repeat([]byte{0}, size-len(coordinate))...)
		point = append(point, coordinate...)
	}
	return ecdsa.ParseUncompressedPublicKey(curve, point)
}

func (j jwk) ed25519() (crypto.PublicKey, error) {
	if j.Curve != "Ed25519" {
		return nil, fmt.Errorf("the curve %q is not supported", j.Curve)
	}
	x, err := decode(j.X)
	return ed25519.PublicKey(x), err
}

// usable tells why a key is not used.
func usable(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if k == nil || k.N == nil || k.N.BitLen() < minBits || k.N.BitLen() > maxBits {
			return fmt.Errorf("RSA keys of %d to %d bits are used", minBits, maxBits)
		}
	case *ecdsa.PublicKey:
		if k == nil || !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, k.Curve) {
			return errors.New("the curves P-256, P-384 and P-521 are used")
		}
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return fmt.Errorf("an Ed25519 key has %d bytes", ed25519.PublicKeySize)
		}
	default:
		return fmt.Errorf("%T is none of *rsa.PublicKey, *ecdsa.PublicKey and ed25519.PublicKey", public)
	}
	return nil
}

// fits tells whether an algorithm is one of a usable key's type.
func fits(algorithm string, public crypto.PublicKey) bool {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		return map[string]int{"ES256": 256, "ES384": 384, "ES512": 521}[algorithm] == k.Curve.Params().BitSize
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}
