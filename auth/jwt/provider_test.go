package jwt

import (
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/capebase/capebase/auth"
)

func TestEachAlgorithmHasItsKey(t *testing.T) {
	t.Parallel()
	pairs := []pair{rsaPair(), pssPair(), ecPair(), ec384Pair(), ec521Pair(), edPair()}
	config := newIssuer(pairs...).config()
	config.Algorithms = asymmetric()
	p := provider(t, config)
	for _, signer := range pairs {
		for _, other := range pairs {
			token := signer.sign(t, claimsOf(nil), map[string]any{"kid": other.id})
			want := refused
			if signer.id == other.id {
				want = accepted
			}
			expect(t, p, token, want)
		}
		expect(t, p, signer.sign(t, claimsOf(nil), map[string]any{"kid": nil}), accepted)
	}
	few := newIssuer(pairs...).config()
	few.Algorithms = []string{"ES256"}
	p = provider(t, few)
	for _, signer := range pairs {
		want := refused
		if signer.id == "ec" {
			want = accepted
		}
		expect(t, p, signer.sign(t, claimsOf(nil), nil), want)
	}
}

func TestNoneIsNoAlgorithm(t *testing.T) {
	t.Parallel()
	token := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims(claimsOf(nil)))
	text, err := token.SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	mac := Config{Issuer: testIssuer, Audience: []string{testAudience}, Secrets: [][]byte{testSecret}}
	for _, config := range []Config{newIssuer(edPair()).config(), mac} {
		p := provider(t, config)
		expect(t, p, text, refused)
		for _, spelling := range []string{"None", "NONE", "nOnE", "", "HS256 ", "foo"} {
			header := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"JWT","alg":"` + spelling + `"}`))
			expect(t, p, header+"."+strings.SplitN(text, ".", 2)[1], refused)
		}
		for _, algorithm := range []string{"none", "None", ""} {
			config.Algorithms = []string{algorithm}
			if _, err := New(config); err == nil {
				t.Errorf("Algorithms %q was taken", algorithm)
			}
		}
	}
}

// A public key is no secret: whoever has it could sign with it.
func TestPublicKeysAreNoSecrets(t *testing.T) {
	t.Parallel()
	signer := rsaPair()
	der, err := x509.MarshalPKIXPublicKey(signer.private.Public())
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(jwkOf(signer))
	if err != nil {
		t.Fatal(err)
	}
	fixed := Config{Issuer: testIssuer, Audience: []string{testAudience}, Keys: []crypto.PublicKey{signer.private.Public()}}
	for _, config := range []Config{newIssuer(signer).config(), fixed} {
		p := provider(t, config)
		for _, secret := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), document} {
			for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS512} {
				expect(t, p, signSecret(t, method, secret, claimsOf(nil)), refused)
			}
		}
		config.Algorithms = []string{"RS256", "HS256"}
		if _, err := New(config); err == nil {
			t.Error("HS256 was taken beside public keys")
		}
	}
	symmetricKey := map[string]any{"kty": "oct", "kid": "rsa", "k": base64.RawURLEncoding.EncodeToString(testSecret)}
	set := newIssuer()
	set.document = keySetOf(symmetricKey, jwkOf(edPair()))
	token := signSecret(t, jwt.SigningMethodHS256, testSecret, claimsOf(nil))
	expect(t, provider(t, set.config()), token, refused)
}

func TestFixedKeysAndSecrets(t *testing.T) {
	t.Parallel()
	p := provider(t, Config{
		Issuer: testIssuer, Audience: []string{testAudience},
		Keys: []crypto.PublicKey{rsaPair().private.Public(), ecPair().private.Public()},
	})
	expect(t, p, rsaPair().sign(t, claimsOf(nil), nil), accepted)
	expect(t, p, ecPair().sign(t, claimsOf(nil), nil), accepted)
	expect(t, p, edPair().sign(t, claimsOf(nil), nil), refused)
	stranger := pair{"ec", jwt.SigningMethodES256, makeEC(elliptic.P256())}
	expect(t, p, stranger.sign(t, claimsOf(nil), nil), refused)

	p = provider(t, Config{Issuer: testIssuer, Audience: []string{testAudience}, Secrets: [][]byte{testSecret, otherSecret}})
	expect(t, p, signSecret(t, jwt.SigningMethodHS256, testSecret, claimsOf(nil)), accepted)
	expect(t, p, signSecret(t, jwt.SigningMethodHS256, otherSecret, claimsOf(nil)), accepted)
	expect(t, p, signSecret(t, jwt.SigningMethodHS256, []byte("yet another secret of 32 bytes..."), claimsOf(nil)), refused)
	expect(t, p, signSecret(t, jwt.SigningMethodHS384, testSecret, claimsOf(nil)), refused)
	expect(t, p, rsaPair().sign(t, claimsOf(nil), nil), refused)
}

func TestClaimsAreChecked(t *testing.T) {
	t.Parallel()
	p := provider(t, newIssuer(edPair()).config())
	now := time.Now().Unix()
	for name, c := range map[string]struct {
		changes map[string]any
		want    string
	}{
		"as it should be":              {nil, accepted},
		"several audiences":            {map[string]any{"aud": []string{"other", testAudience}}, accepted},
		"another audience":             {map[string]any{"aud": "https://other.example.com"}, refused},
		"audience is a prefix":         {map[string]any{"aud": testAudience + "/"}, refused},
		"no audience":                  {map[string]any{"aud": nil}, refused},
		"audiences with other types":   {map[string]any{"aud": []any{testAudience, 1}}, refused},
		"audience is an object":        {map[string]any{"aud": map[string]any{testAudience: true}}, refused},
		"another issuer":               {map[string]any{"iss": "https://other.example.com/"}, foreign},
		"issuer without the slash":     {map[string]any{"iss": strings.TrimSuffix(testIssuer, "/")}, foreign},
		"no issuer":                    {map[string]any{"iss": nil}, foreign},
		"a list of issuers":            {map[string]any{"iss": []string{testIssuer}}, foreign},
		"expired":                      {map[string]any{"exp": now - 31}, refused},
		"expired within the leeway":    {map[string]any{"exp": now - 20}, accepted},
		"without an end":               {map[string]any{"exp": nil}, refused},
		"end is text":                  {map[string]any{"exp": "9999999999"}, refused},
		"end is null":                  {map[string]any{"exp": json.RawMessage("null")}, refused},
		"end beyond all times":         {map[string]any{"exp": json.Number("1e30")}, refused},
		"end beyond all numbers":       {map[string]any{"exp": json.Number("1e999")}, refused},
		"not yet valid":                {map[string]any{"nbf": now + 60}, refused},
		"not yet valid, in the leeway": {map[string]any{"nbf": now + 20}, accepted},
		"never valid":                  {map[string]any{"nbf": json.Number("1e30")}, refused},
		"no beginning":                 {map[string]any{"nbf": nil, "iat": nil}, accepted},
		"issued tomorrow":              {map[string]any{"iat": now + 86400}, refused},
		"issued at a fraction":         {map[string]any{"iat": json.Number("1700000000.25")}, accepted},
		"nobody":                       {map[string]any{"sub": nil}, refused},
		"empty subject":                {map[string]any{"sub": ""}, refused},
		"subject is a number":          {map[string]any{"sub": 42}, accepted},
		"subject is a list":            {map[string]any{"sub": []string{"alice"}}, refused},
		"subject with NUL":             {map[string]any{"sub": "alice\x00"}, refused},
		"half a surrogate pair":        {map[string]any{"sub": json.RawMessage(`"\ud800"`)}, refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, p, edPair().sign(t, claimsOf(c.changes), nil), c.want)
		})
	}
}

func TestTimesDecideByTheClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		config := newIssuer(edPair()).config()
		config.Leeway = -1
		p := provider(t, config)
		token := edPair().sign(t, claimsOf(map[string]any{"nbf": time.Now().Add(time.Minute).Unix()}), nil)
		expect(t, p, token, refused)
		pass(time.Minute)
		id := expect(t, p, token, accepted)
		if want := time.Now().Add(59 * time.Minute); !id.Expires.Equal(want) {
			t.Errorf("expires %v: want %v", id.Expires, want)
		}
		pass(time.Until(id.Expires) - time.Nanosecond)
		expect(t, p, token, accepted)
		pass(time.Nanosecond)
		expect(t, p, token, refused)
	})
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	p := provider(t, newIssuer(edPair()).config())
	for name, c := range map[string]struct {
		header map[string]any
		want   string
	}{
		"no kid":               {map[string]any{"kid": nil}, accepted},
		"unknown kid":          {map[string]any{"kid": "other"}, refused},
		"kid is a number":      {map[string]any{"kid": 1}, refused},
		"kid is a list":        {map[string]any{"kid": []string{"ed"}}, refused},
		"critical extensions":  {map[string]any{"crit": []string{"b64"}, "b64": false}, refused},
		"keys of its own":      {map[string]any{"jwk": jwkOf(edPair()), "jku": "https://evil.example.com", "x5u": "x"}, accepted},
		"another type":         {map[string]any{"typ": "at+jwt"}, accepted},
		"algorithm is a list":  {map[string]any{"alg": []string{"EdDSA"}}, refused},
		"a path as kid":        {map[string]any{"kid": "../../../dev/null"}, refused},
		"no algorithm":         {map[string]any{"alg": nil}, refused},
		"algorithm in capital": {map[string]any{"alg": "EDDSA"}, refused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, p, edPair().sign(t, claimsOf(nil), c.header), c.want)
		})
	}
	// A key that comes with the token is not looked at.
	thief := makeEd("thief")
	expect(t, p, thief.sign(t, claimsOf(nil), map[string]any{"kid": "ed", "jwk": jwkOf(thief)}), refused)
}

func TestWhatIsNoToken(t *testing.T) {
	t.Parallel()
	i := newIssuer(edPair())
	p := provider(t, i.config())
	good := edPair().sign(t, claimsOf(nil), nil)
	parts := strings.Split(good, ".")
	for _, text := range []string{
		"x", ".", "..", "...", "a.b.c", "secret-token", parts[0], parts[0] + "." + parts[1], good + ".", good + ".x.y",
		"!" + good, parts[0] + ".." + parts[2], "." + parts[1] + "." + parts[2], parts[0] + ".e30." + parts[2],
		parts[0] + ".bnVsbA." + parts[2], parts[0] + ".W10." + parts[2], strings.Repeat("a", 1<<20), strings.Repeat(".", 1<<16),
	} {
		expect(t, p, text, foreign)
	}
	if n := i.count(); n != 0 {
		t.Errorf("the keys were fetched %d times for what is no token of the issuer", n)
	}
	for _, text := range []string{
		trailingBits(good), parts[0] + "." + parts[1] + ".", parts[0] + "." + parts[1] + ".AAAA", good + "A", good + "=", good[:len(good)-1],
		strings.Repeat("a", maxToken) + "." + parts[1] + "." + parts[2],
		edPair().sign(t, claimsOf(map[string]any{"data": strings.Repeat("x", maxToken)}), nil),
	} {
		expect(t, p, text, refused)
	}
	r := httptest.NewRequest(http.MethodGet, "/?access_token="+good, nil)
	if id, err := p.Authenticate(r); outcome(id, err) != foreign {
		t.Errorf("a request without the header: %v, %v", id, err)
	}
	r.Header.Set("Authorization", "Basic "+good)
	if id, err := p.Authenticate(r); outcome(id, err) != foreign {
		t.Errorf("another scheme: %v, %v", id, err)
	}
}

// trailingBits is the same token in another text: the last character of a signature of 64 bytes has four bits to spare.
func trailingBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last|1])
}

func TestMapping(t *testing.T) {
	t.Parallel()
	config := newIssuer(edPair()).config()
	config.ID, config.Prefix, config.Session = "user.id", "shop:", "session_id"
	config.Roles = []string{"realm_access.roles", "https://example.com/roles", "role", "resource_access.my.app.roles"}
	p := provider(t, config)
	const big = "9007199254740993" // 2^53 + 1, which no float64 is
	id := expect(t, p, edPair().sign(t, claimsOf(map[string]any{
		"user": map[string]any{"id": json.Number(big)}, "session_id": "s1", "org": json.Number(big),
		"realm_access": map[string]any{"roles": []string{"editor", "admin"}}, "https://example.com/roles": []string{"admin", "owner"},
		"role": "authenticated", "resource_access": map[string]any{"my.app": map[string]any{"roles": []string{"clerk"}}},
	}), nil), accepted)
	if id.ID != "shop:"+big || id.Session != "s1" {
		t.Errorf("ID %q, session %q", id.ID, id.Session)
	}
	if diff := cmp.Diff([]string{"editor", "admin", "owner", "authenticated", "clerk"}, id.Roles); diff != "" {
		t.Error(diff)
	}
	if id.Claims["org"] != json.Number(big) || id.Claims["role"] != "authenticated" {
		t.Errorf("claims %v", id.Claims)
	}
	if id.ReadOnly || id.Expires.Before(time.Now()) {
		t.Errorf("%+v", id)
	}

	for _, roles := range []any{[]any{"admin", 1}, map[string]any{"admin": true}, 1, true, []string{""}, [][]string{{"admin"}}} {
		expect(t, p, edPair().sign(t, claimsOf(map[string]any{"user": map[string]any{"id": "a"}, "role": roles}), nil), refused)
	}
	for _, user := range []any{nil, "", 1.5, true, []string{"a"}, json.Number("12345678901234567890"), "a\nb"} {
		expect(t, p, edPair().sign(t, claimsOf(map[string]any{"user": map[string]any{"id": user}}), nil), refused)
	}
	for _, none := range []any{nil, "", []string{}, json.RawMessage("null")} {
		changes := map[string]any{"user": map[string]any{"id": "a"}, "role": none}
		if id := expect(t, p, edPair().sign(t, claimsOf(changes), nil), accepted); len(id.Roles) > 0 || id.Session != "" {
			t.Errorf("role %v: roles %v, session %q", none, id.Roles, id.Session)
		}
	}
}

func TestSessionIsSidOrJti(t *testing.T) {
	t.Parallel()
	p := provider(t, newIssuer(edPair()).config())
	if id := expect(t, p, edPair().sign(t, claimsOf(nil), nil), accepted); id.Session != "token 1" {
		t.Errorf("session %q: want the jti", id.Session)
	}
	if id := expect(t, p, edPair().sign(t, claimsOf(map[string]any{"sid": "s2"}), nil), accepted); id.Session != "s2" {
		t.Errorf("session %q: want the sid", id.Session)
	}
}

func TestProvidersSideBySide(t *testing.T) {
	t.Parallel()
	first := newIssuer(edPair()).config()
	second := Config{Issuer: "second", AnyAudience: true, Secrets: [][]byte{testSecret}}
	last := Config{AnyIssuer: true, AnyAudience: true, Secrets: [][]byte{otherSecret}}
	both := []auth.Authenticator{provider(t, first), provider(t, second), auth.Tokens{"plain.old.token": {ID: "tess"}}, provider(t, last)}
	all := auth.Func(func(r *http.Request) (auth.Identity, error) {
		for _, a := range both {
			if id, err := a.Authenticate(r); err != nil || id.ID != "" {
				return id, err
			}
		}
		return auth.Identity{}, nil
	})
	of := func(secret []byte, issuer any) string {
		return signSecret(t, jwt.SigningMethodHS256, secret, claimsOf(map[string]any{"iss": issuer, "aud": nil}))
	}
	expect(t, all, edPair().sign(t, claimsOf(nil), nil), accepted)
	expect(t, all, of(testSecret, "second"), accepted)
	expect(t, all, "plain.old.token", accepted)
	expect(t, all, of(otherSecret, "third"), accepted)
	expect(t, all, of(otherSecret, nil), accepted)
	expect(t, all, of(otherSecret, "second"), refused)
	expect(t, all, of(testSecret, "third"), refused)
	expect(t, all, of(testSecret, testIssuer), refused)
	expect(t, all, "something.else.here", foreign)
	expect(t, all, "something else", foreign)
}

func TestTokenFromElsewhere(t *testing.T) {
	t.Parallel()
	config := newIssuer(edPair()).config()
	config.Token = func(r *http.Request) (string, bool) {
		c, err := r.Cookie("__session")
		if err != nil {
			return "", false
		}
		return c.Value, true
	}
	p := provider(t, config)
	token := edPair().sign(t, claimsOf(nil), nil)
	expect(t, p, token, foreign)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.AddCookie(&http.Cookie{Name: "__session", Value: token})
	if id, err := p.Authenticate(r); outcome(id, err) != accepted {
		t.Errorf("%v, %v", id, err)
	}
}

func TestErrorsSayNothingOfTheToken(t *testing.T) {
	t.Parallel()
	p := provider(t, newIssuer(edPair()).config())
	for _, token := range []string{
		edPair().sign(t, claimsOf(map[string]any{"sub": nil, "x": "canary"}), nil),
		edPair().sign(t, claimsOf(map[string]any{"aud": "canary"}), nil),
		edPair().sign(t, claimsOf(nil), map[string]any{"kid": "canary"}),
		edPair().sign(t, claimsOf(map[string]any{"exp": "canary"}), nil),
	} {
		_, err := ask(p, token)
		if err == nil || strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), token[len(token)-10:]) {
			t.Errorf("%v", err)
		}
	}
}

func TestConcurrentCallers(t *testing.T) {
	t.Parallel()
	i := newIssuer(rsaPair(), edPair())
	p := provider(t, i.config())
	good, bad := edPair().sign(t, claimsOf(nil), nil), edPair().sign(t, claimsOf(nil), map[string]any{"kid": "other"})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				expect(t, p, good, accepted)
				expect(t, p, bad, refused)
			}
		})
	}
	group.Wait()
	if n := i.count(); n != 1 {
		t.Errorf("%d fetches: want one", n)
	}
}
