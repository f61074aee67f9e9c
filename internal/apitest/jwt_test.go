package apitest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tokens "github.com/golang-jwt/jwt/v5"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth/jwt"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// Receipt belongs to whom a token says.
type Receipt struct {
	ID     int64  `json:"id"`
	Author string `json:"author" cape:"auth.id"`
	Org    int64  `json:"org" gorm:"index" cape:"claims.org_id"`
	Text   string `json:"text"`
}

// issuer signs tokens, and publishes the key that it signs with.
type issuer struct {
	t      *testing.T
	url    string
	status atomic.Int64 // of its answers
	id     string
	key    ed25519.PrivateKey
	set    atomic.Pointer[[]byte]
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t}
	i.status.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(i.status.Load()))
		_, _ = w.Write(*i.set.Load())
	}))
	t.Cleanup(server.Close)
	i.url = server.URL
	i.rotate("first")
	return i
}

// rotate replaces the key.
func (i *issuer) rotate(id string) {
	i.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	set := []byte(toJSON(i.t, map[string]any{"keys": []any{
		map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": id, "x": base64.RawURLEncoding.EncodeToString(public)},
	}}))
	i.id, i.key = id, private
	i.set.Store(&set)
}

func (i *issuer) sign(who string, lifetime time.Duration) string {
	i.t.Helper()
	token := tokens.NewWithClaims(tokens.SigningMethodEdDSA, tokens.MapClaims{
		"iss": i.url, "aud": "receipts", "sub": who, "exp": time.Now().Add(lifetime).Unix(),
		"org_id": json.Number("9007199254740993"), "realm_access": map[string]any{"roles": []string{"clerk"}},
	})
	token.Header["kid"] = i.id
	text, err := token.SignedString(i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}

// TestTokensOfAnotherIssuer: its claims fill managed fields and decide rules, its keys change on the way, it is away for a
// time, and a stream ends with its token.
func TestTokensOfAnotherIssuer(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		issuer := newIssuer(t)
		provider, err := jwt.New(jwt.Config{
			Issuer: issuer.url, Audience: []string{"receipts"}, KeySet: issuer.url, Roles: []string{"realm_access.roles"},
			Leeway: -1, Refetch: time.Nanosecond, Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		a := start(t, target, func(c *capebase.Cape) {
			c.UseAuth(provider)
			receipts := capebase.Publish[Receipt](c)
			receipts.Allow(policy.All, policy.Claim(&receipts.Fields.Org, "org_id"), policy.Role("clerk"))
		})

		issuer.status.Store(http.StatusInternalServerError)
		away := a.as(issuer.sign("alice", time.Hour)).get("/receipt")
		away.problem(http.StatusServiceUnavailable, "unavailable")
		if away.Header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		a.as("alice").get("/receipt").want(http.StatusOK) // a static token is not concerned
		issuer.status.Store(http.StatusOK)

		alice := a.as(issuer.sign("alice", time.Hour))
		row := alice.post("/receipt", `{"text":"one"}`).want(http.StatusCreated).row()
		if row["author"] != "alice" || row["org"] != json.Number("9007199254740993") {
			t.Errorf("%v: want the claims of the token", row)
		}
		if got := alice.get("/receipt").want(http.StatusOK).values("text"); len(got) != 1 {
			t.Errorf("alice sees %v", got)
		}
		if got := a.as("org1").get("/receipt").want(http.StatusOK).values("text"); len(got) != 0 {
			t.Errorf("another organisation sees %v", got)
		}

		issuer.rotate("second")
		bob := a.as(issuer.sign("bob", time.Hour))
		if got := bob.get("/receipt").want(http.StatusOK).values("text"); len(got) != 1 {
			t.Errorf("bob sees %v", got)
		}
		alice.get("/receipt").problem(http.StatusUnauthorized, "unauthenticated") // her key is gone
		issuer.status.Store(http.StatusBadGateway)
		bob.get("/receipt").want(http.StatusOK) // known keys outlast an outage
		for _, bad := range []string{issuer.sign("bob", -time.Second), bob.token + "x", bob.token[:len(bob.token)-20]} {
			a.as(bad).get("/receipt").problem(http.StatusUnauthorized, "unauthenticated")
		}

		// A stream lives as long as its token.
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.server.URL+"/receipt/subscribe?snapshot=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+issuer.sign("bob", 3*time.Second))
		response, err := a.server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() //nolint:errcheck // it has been read
		events, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(events); !strings.Contains(text, `"text":"one"`) || !strings.Contains(text, "event: problem") {
			t.Errorf("want the receipt, and a problem at the end:\n%s", text)
		}
	})
}
