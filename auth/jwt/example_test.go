package jwt_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	tokens "github.com/golang-jwt/jwt/v5"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/auth/jwt"
)

// Tokens that another program of one's own signs with a shared secret.
func ExampleNew() {
	secret := []byte("at least thirty-two bytes, from a vault")
	provider, err := jwt.New(jwt.Config{
		Issuer:   "https://login.example.com",
		Audience: []string{"todo"},
		Secrets:  [][]byte{secret},
		Roles:    []string{"app.roles"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	token, err := tokens.NewWithClaims(tokens.SigningMethodHS256, tokens.MapClaims{
		"iss": "https://login.example.com", "aud": "todo", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix(),
		"app": map[string]any{"roles": []string{"editor"}},
	}).SignedString(secret)
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodGet, "/todo", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	id, err := provider.Authenticate(r)
	fmt.Println(id.ID, id.Roles, err)

	r.Header.Set("Authorization", "Bearer "+token+"x")
	_, err = provider.Authenticate(r)
	fmt.Println(errors.Is(err, auth.ErrUnauthenticated))
	// Output:
	// alice [editor] <nil>
	// true
}

// Clerk's session tokens have no audience; azp names the page that asked for them. An auth.Func around a Provider may
// look at any claim.
func ExampleProvider() {
	clerk, err := jwt.New(jwt.Config{
		Issuer:      "https://clerk.example.com",
		AnyAudience: true,
		KeySet:      "https://clerk.example.com/.well-known/jwks.json",
		Algorithms:  []string{"RS256"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ours := []string{"https://app.example.com"}
	fromOurPage := auth.Func(func(r *http.Request) (auth.Identity, error) {
		id, err := clerk.Authenticate(r)
		if err != nil || id.ID == "" {
			return id, err
		}
		if page, _ := id.Claims["azp"].(string); !slices.Contains(ours, page) {
			return auth.Identity{}, fmt.Errorf("%w: the token is for another page", auth.ErrUnauthenticated)
		}
		return id, nil
	})
	id, err := fromOurPage.Authenticate(httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Printf("%q %v\n", id.ID, err)
	// Output: "" <nil>
}
