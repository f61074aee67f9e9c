package jwt

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/capebase/capebase/auth"
)

// Config configures New. Issuer, Audience and one of KeySet, Keys and Secrets are required.
type Config struct {
	Issuer    string // the iss of every token, exactly: Auth0's ends with a slash
	AnyIssuer bool   // instead of Issuer: iss is not looked at, and every JWT is taken for one of this provider's

	Audience    []string // one of them has to be among the token's aud
	AnyAudience bool     // instead of Audience: aud is not looked at

	// KeySet is where the issuer publishes its keys (JWKS): an https URL, or an http URL on this host. It is fetched
	// when the first token comes. While it cannot be fetched the known keys stay in use.
	KeySet   string
	Insecure bool               // takes a KeySet over http from other hosts too, whoever may answer for them
	Keys     []crypto.PublicKey // instead of KeySet: *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey; each that fits is tried
	Secrets  [][]byte           // instead of KeySet: HMAC secrets, each at least 32 bytes; each is tried, so that they can be replaced

	// Algorithms are those that a token may be signed with, out of RS256, RS384, RS512, PS256, PS384, PS512, ES256,
	// ES384, ES512 and EdDSA, or with Secrets HS256, HS384 and HS512; default RS256, ES256 and EdDSA, or HS256. A key
	// verifies only what is of its own type.
	Algorithms []string

	// ID, Roles and Session name claims by path: "sub", "realm_access.roles"; a name that has dots itself, such as
	// "https://example.com/roles", goes first.
	ID      string   // a string or an integer; default "sub"
	Prefix  string   // put before the ID, so that users of different issuers never share one; default none
	Roles   []string // each a string, which is one role, or a list of them; what the token lacks is left out; default none
	Session string   // shown in the audit trail; default "sid", or where that is missing "jti"

	Token func(*http.Request) (string, bool) // where the token is; default auth.Bearer

	Leeway  time.Duration // how far clocks may differ; default 30 seconds; negative: none
	Refresh time.Duration // of the KeySet, and so how long a key that was withdrawn may still work; default 1 hour
	Refetch time.Duration // shortest time between two fetches, whatever unknown keys tokens name; default 30 seconds
	Timeout time.Duration // of a fetch; default 10 seconds
	Client  *http.Client  // fetches; default one that never follows a redirect from https to http
	Logger  *slog.Logger  // default slog.Default()
}

// retry is the shortest time between two fetches after one that failed.
const retry = 5 * time.Second

// symmetric are the algorithms of secrets, and asymmetric those of key pairs.
func symmetric() []string { return []string{"HS256", "HS384", "HS512"} }

func asymmetric() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

func (c Config) withDefaults() Config {
	if len(c.Algorithms) == 0 {
		c.Algorithms = []string{"RS256", "ES256", "EdDSA"}
		if len(c.Secrets) > 0 {
			c.Algorithms = []string{"HS256"}
		}
	}
	if c.ID == "" {
		c.ID = "sub"
	}
	if c.Token == nil {
		c.Token = auth.Bearer
	}
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{{&c.Leeway, 30 * time.Second}, {&c.Refresh, time.Hour}, {&c.Refetch, 30 * time.Second}, {&c.Timeout, 10 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	c.Leeway = max(c.Leeway, 0)
	if c.Client == nil {
		c.Client = &http.Client{CheckRedirect: stayEncrypted}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// stayEncrypted is the CheckRedirect of the default client.
func stayEncrypted(r *http.Request, via []*http.Request) error {
	if len(via) >= 5 {
		return errors.New("too many redirects")
	}
	if via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
		return errors.New("a redirect from https to http")
	}
	return nil
}

// validate names each mistake and its fix.
func (c Config) validate() error {
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("jwt.Config."+format, args...))
		}
	}
	wrong(c.Issuer == "" && !c.AnyIssuer, "Issuer: name the iss of the tokens, or set AnyIssuer")
	wrong(c.Issuer != "" && c.AnyIssuer, "AnyIssuer: leave Issuer empty then")
	wrong(len(c.Audience) == 0 && !c.AnyAudience, "Audience: name what aud has to hold, or set AnyAudience")
	wrong(len(c.Audience) > 0 && c.AnyAudience, "AnyAudience: leave Audience empty then")
	wrong(slices.Contains(c.Audience, ""), `Audience: "" is no audience`)

	sources := 0
	for _, given := range []bool{c.KeySet != "", len(c.Keys) > 0, len(c.Secrets) > 0} {
		if given {
			sources++
		}
	}
	wrong(sources != 1, "KeySet, Keys, Secrets: set one of them")
	if c.KeySet != "" {
		if err := c.validateKeySet(); err != nil {
			errs = append(errs, err)
		}
	}
	for i, key := range c.Keys {
		if err := usable(key); err != nil {
			errs = append(errs, fmt.Errorf("jwt.Config.Keys: key %d: %w", i+1, err))
		}
	}
	for i, secret := range c.Secrets {
		wrong(len(secret) < 32, "Secrets: secret %d has %d bytes: want at least 32", i+1, len(secret))
	}
	allowed := asymmetric()
	if len(c.Secrets) > 0 {
		allowed = symmetric()
	}
	for _, algorithm := range c.Algorithms {
		wrong(!slices.Contains(allowed, algorithm), "Algorithms: %q: want some of %s", algorithm, strings.Join(allowed, ", "))
	}
	wrong(slices.Contains(c.Roles, ""), `Roles: "" is no claim`)
	wrong(min(c.Refresh, c.Refetch, c.Timeout) < 0, "Refresh, Refetch and Timeout: want positive durations")
	return errors.Join(errs...)
}

func (c Config) validateKeySet() error {
	// The text of the URL stays out of errors: it may hold a password.
	u, err := url.Parse(c.KeySet)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("jwt.Config.KeySet: want a URL such as https://example.com/.well-known/jwks.json")
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	here := host == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme == "http" && !here && !c.Insecure {
		return errors.New("jwt.Config.KeySet: over http anybody between could give keys: use https, or set Insecure")
	}
	return nil
}
