package jwt

import (
	"crypto"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/capebase/capebase/auth"
)

// FuzzAuthenticate: nobody gets an identity by a header that holds another text than the token that was signed.
func FuzzAuthenticate(f *testing.F) {
	// The times are fixed, so that all processes of the fuzzer sign the same text.
	claims := claimsOf(map[string]any{"iat": 1_700_000_000, "nbf": 1_700_000_000, "exp": 4_100_000_000, "roles": []string{"admin"}})
	mac := signSecret(f, jwt.SigningMethodHS256, testSecret, claims)
	signed := edPair().sign(f, claims, nil)
	var providers []*Provider
	for _, config := range []Config{
		{Issuer: testIssuer, Audience: []string{testAudience}, Secrets: [][]byte{testSecret}, Roles: []string{"roles"}},
		{AnyIssuer: true, AnyAudience: true, Secrets: [][]byte{testSecret}},
		{Issuer: testIssuer, Audience: []string{testAudience}, Keys: []crypto.PublicKey{edPair().private.Public()}},
	} {
		p, err := New(config)
		if err != nil {
			f.Fatal(err)
		}
		providers = append(providers, p)
	}
	f.Add("Bearer " + mac)
	f.Add("bearer " + signed)
	f.Add("Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlLmNvbS8ifQ.")
	f.Add("Bearer e30.bnVsbA.")
	f.Add("Bearer eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjFlOTk5fQ.AAAA")
	f.Fuzz(func(t *testing.T, header string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Authorization"] = []string{header}
		token, _ := auth.Bearer(r)
		for n, p := range providers {
			id, err := p.Authenticate(r)
			switch {
			case err != nil && !errors.Is(err, auth.ErrUnauthenticated):
				t.Errorf("provider %d: %v: without a key set nothing is unavailable", n, err)
			case err != nil && !cmp.Equal(id, auth.Identity{}):
				t.Errorf("provider %d: an identity beside the error %v", n, err)
			case id.ID != "" && token != mac && token != signed:
				t.Errorf("provider %d: %q is %s", n, token, id.ID)
			}
		}
	})
}
