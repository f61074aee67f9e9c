// Package jwt knows callers by the tokens of other issuers, such as Auth0, Clerk, Keycloak, Supabase and Firebase, or of
// the program's own.
//
//	tokens, err := jwt.New(jwt.Config{
//		Issuer:   "https://example.eu.auth0.com/",
//		Audience: []string{"https://api.example.com"},
//		KeySet:   "https://example.eu.auth0.com/.well-known/jwks.json",
//		Roles:    []string{"https://example.com/roles"},
//	})
//	…
//	cape.UseAuth(tokens)
//
// A token passes when its algorithm is listed, a key of the issuer verifies its signature, issuer and audience are the
// expected ones, and the time is between nbf and exp. A [Provider] leaves alone what is no token of its issuer, so that
// several can stand side by side. docs/auth.md has the settings for each issuer.
package jwt
