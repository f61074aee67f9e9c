package jwt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/capebase/capebase/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testIssuer   = "https://issuer.example.com/"
	testAudience = "https://api.example.com"
)

// pair is a key pair of an issuer.
type pair struct {
	id      string
	method  jwt.SigningMethod
	private crypto.Signer
}

// The keys are made once: RSA's take long.
var (
	rsaPair     = sync.OnceValue(func() pair { return pair{"rsa", jwt.SigningMethodRS256, makeRSA(2048)} })
	pssPair     = sync.OnceValue(func() pair { return pair{"pss", jwt.SigningMethodPS256, rsaPair().private} })
	ecPair      = sync.OnceValue(func() pair { return pair{"ec", jwt.SigningMethodES256, makeEC(elliptic.P256())} })
	ec384Pair   = sync.OnceValue(func() pair { return pair{"ec384", jwt.SigningMethodES384, makeEC(elliptic.P384())} })
	ec521Pair   = sync.OnceValue(func() pair { return pair{"ec521", jwt.SigningMethodES512, makeEC(elliptic.P521())} })
	edPair      = sync.OnceValue(func() pair { return makeEd("ed") })
	testSecret  = []byte("a secret of thirty-two bytes, yes")
	otherSecret = []byte("some other secret of thirty-two b")
)

func makeRSA(bits int) crypto.Signer {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

func makeEC(curve elliptic.Curve) crypto.Signer {
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func makeEd(id string) pair {
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return pair{id, jwt.SigningMethodEdDSA, k}
}

// sign makes a token; header adds to its header, and removes what is nil.
func (p pair) sign(t testing.TB, claims map[string]any, header map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(p.method, jwt.MapClaims(claims))
	token.Header["kid"] = p.id
	for name, value := range header {
		token.Header[name] = value
		if value == nil {
			delete(token.Header, name)
		}
	}
	text, err := token.SignedString(p.private)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// signSecret makes a token with HMAC.
func signSecret(t testing.TB, method jwt.SigningMethod, secret []byte, claims map[string]any) string {
	t.Helper()
	text, err := jwt.NewWithClaims(method, jwt.MapClaims(claims)).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// claimsOf are those of a token that passes, with changes; nil removes a claim.
func claimsOf(changes map[string]any) map[string]any {
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": testIssuer, "aud": testAudience, "sub": "alice", "jti": "token 1", "iat": now, "nbf": now, "exp": now + 3600,
	}
	for name, value := range changes {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// jwkOf writes a public key as JSON Web Key.
func jwkOf(p pair) map[string]any {
	text := base64.RawURLEncoding.EncodeToString
	j := map[string]any{"kid": p.id, "use": "sig", "alg": p.method.Alg()}
	switch k := p.private.Public().(type) {
	case *rsa.PublicKey:
		j["kty"], j["n"], j["e"] = "RSA", text(k.N.Bytes()), text(big.NewInt(int64(k.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		j["kty"], j["crv"], j["x"], j["y"] = "EC", k.Params().Name, text(point[1:1+half]), text(point[1+half:])
	case ed25519.PublicKey:
		j["kty"], j["crv"], j["x"] = "OKP", "Ed25519", text(k)
	}
	return j
}

func keySetOf(keys ...map[string]any) []byte {
	document, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return document
}

// issuer answers requests for its key set in memory; it is the transport of a client.
type issuer struct {
	mu       sync.Mutex
	document []byte
	status   int
	failure  error
	hold     chan struct{} // an answer waits for it
	fetches  int
}

func newIssuer(pairs ...pair) *issuer {
	i := &issuer{status: http.StatusOK}
	i.publish(pairs...)
	return i
}

func (i *issuer) publish(pairs ...pair) {
	var keys []map[string]any
	for _, p := range pairs {
		keys = append(keys, jwkOf(p))
	}
	i.change(func() { i.document = keySetOf(keys...) })
}

func (i *issuer) change(do func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	do()
}

func (i *issuer) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fetches
}

var errDown = errors.New("the issuer is down")

func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.fetches++
	document, status, failure, hold := i.document, i.status, i.failure, i.hold
	i.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if failure != nil {
		return nil, failure
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Request: r,
		Body: io.NopCloser(bytes.NewReader(document)),
	}, nil
}

// config is one whose keys come from the issuer.
func (i *issuer) config() Config {
	return Config{
		Issuer: testIssuer, Audience: []string{testAudience}, KeySet: "https://issuer.example.com/keys",
		Client: &http.Client{Transport: i}, Logger: slog.New(slog.DiscardHandler),
	}
}

func provider(t testing.TB, c Config) *Provider {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ask(p auth.Authenticator, token string) (auth.Identity, error) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return p.Authenticate(r)
}

// The outcomes of Authenticate.
const (
	accepted    = "accepted"
	foreign     = "none of mine"
	refused     = "refused"
	unavailable = "unavailable"
)

func outcome(id auth.Identity, err error) string {
	switch {
	case errors.Is(err, auth.ErrUnauthenticated):
		return refused
	case err != nil:
		return unavailable
	case id.ID == "":
		return foreign
	}
	return accepted
}

// expect asks and compares the outcome.
func expect(t *testing.T, p auth.Authenticator, token, want string) auth.Identity {
	t.Helper()
	id, err := ask(p, token)
	if got := outcome(id, err); got != want {
		t.Errorf("%s (%v): want %s", got, err, want)
	}
	return id
}
