package jwt

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/capebase/capebase/auth"
)

// maxToken bounds the bytes of a token: what is longer is not even decoded. Keycloak's with many roles have some thousand.
const maxToken = 32 << 10

// Provider is an auth.Authenticator for the tokens of one issuer. It is safe for concurrent use and needs no closing:
// its only goroutine fetches keys, and ends within Config.Timeout.
type Provider struct {
	config Config
	parser *jwt.Parser
	keys   *keySet // nil with fixed keys or secrets
}

// New makes a Provider. Mistakes in the Config are returned, all at once; nothing is fetched yet.
func New(config Config) (*Provider, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(config.Algorithms), jwt.WithStrictDecoding(), jwt.WithJSONNumber(),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(config.Leeway),
	}
	if !config.AnyIssuer {
		options = append(options, jwt.WithIssuer(config.Issuer))
	}
	if !config.AnyAudience {
		options = append(options, jwt.WithAudience(config.Audience...))
	}
	p := &Provider{config: config, parser: jwt.NewParser(options...)}
	if config.KeySet != "" {
		p.keys = newKeySet(config)
	}
	return p, nil
}

// Authenticate implements auth.Authenticator. What is no JWT, or one of another issuer, is none of its own. Any other
// token that does not pass is auth.ErrUnauthenticated; an error that is not means that the keys could not be had.
func (p *Provider) Authenticate(r *http.Request) (auth.Identity, error) {
	raw, ok := p.config.Token(r)
	if !ok || strings.Count(raw, ".") != 2 {
		return auth.Identity{}, nil
	}
	if len(raw) > maxToken {
		return auth.Identity{}, refuse("the token is too long")
	}
	claims := jwt.MapClaims{}
	_, err := p.parser.ParseWithClaims(raw, claims, func(token *jwt.Token) (any, error) {
		if !p.mine(claims) {
			return nil, errForeign
		}
		return p.keysOf(r, token)
	})
	switch {
	case err == nil:
		return p.identity(claims)
	case errors.Is(err, errUnavailable):
		return auth.Identity{}, err
	case errors.Is(err, jwt.ErrTokenMalformed) && p.config.AnyIssuer, !p.mine(claims):
		return auth.Identity{}, nil // the signature does not matter: nobody is let in by this
	}
	return auth.Identity{}, fmt.Errorf("%w: %w", auth.ErrUnauthenticated, err)
}

var errForeign = errors.New("jwt: a token of another issuer")

func refuse(reason string) error { return fmt.Errorf("%w: jwt: %s", auth.ErrUnauthenticated, reason) }

// mine tells whether the claims, verified or not, name the issuer.
func (p *Provider) mine(claims jwt.MapClaims) bool {
	issuer, err := claims.GetIssuer()
	return p.config.AnyIssuer || err == nil && issuer == p.config.Issuer
}

// keysOf returns the keys that may have signed the token, at least one. Its algorithm is one of the allowed, and a key of
// another type than the algorithm's is not among them.
func (p *Provider) keysOf(r *http.Request, token *jwt.Token) (jwt.VerificationKeySet, error) {
	var found jwt.VerificationKeySet
	if _, given := token.Header["crit"]; given {
		return found, errors.New("jwt: the token demands extensions") // RFC 7515, 4.1.11: refuse what is not understood
	}
	id, isText := token.Header["kid"].(string)
	if _, given := token.Header["kid"]; given && !isText {
		return found, errors.New("jwt: kid is not a string")
	}
	algorithm := token.Method.Alg()
	for _, secret := range p.config.Secrets {
		found.Keys = append(found.Keys, secret)
	}
	for _, public := range p.config.Keys {
		if fits(algorithm, public) {
			found.Keys = append(found.Keys, public)
		}
	}
	if p.keys != nil {
		keys, err := p.keys.find(r.Context(), id)
		if err != nil {
			return found, err
		}
		for _, k := range keys {
			if fits(algorithm, k.public) && (k.algorithm == "" || k.algorithm == algorithm) {
				found.Keys = append(found.Keys, k.public)
			}
		}
	}
	if len(found.Keys) == 0 {
		return found, errors.New("jwt: no key for the token's algorithm")
	}
	return found, nil
}

// identity maps verified claims.
func (p *Provider) identity(claims jwt.MapClaims) (auth.Identity, error) {
	expires, err := timesOf(claims)
	if err != nil {
		return auth.Identity{}, err
	}
	id, err := idOf(claims, p.config.ID)
	if err != nil {
		return auth.Identity{}, err
	}
	identity := auth.Identity{
		ID: p.config.Prefix + id, Claims: claims, Session: p.session(claims),
		Expires: expires.Add(p.config.Leeway), // as long as the token passes
	}
	for _, path := range p.config.Roles {
		roles, err := rolesOf(claims, path)
		if err != nil {
			return auth.Identity{}, err
		}
		for _, role := range roles {
			if !slices.Contains(identity.Roles, role) {
				identity.Roles = append(identity.Roles, role)
			}
		}
	}
	return identity, nil
}

// session names the credential.
func (p *Provider) session(claims jwt.MapClaims) string {
	paths := []string{"sid", "jti"}
	if p.config.Session != "" {
		paths = []string{p.config.Session}
	}
	for _, path := range paths {
		if id, err := idOf(claims, path); err == nil {
			return id
		}
	}
	return ""
}
