package accounts

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/capebase/capebase/auth"
)

// done is the answer of a route that has nothing to tell.
type done struct{}

// noStore keeps an answer out of caches.
const noStore = "no-store"

// credentials is the body of what signs in.
type credentials struct {
	Email    string `json:"email" minLength:"3" maxLength:"254" format:"email" example:"ada@example.com"`
	Password string `json:"password" minLength:"1" maxLength:"4096" example:"correct horse battery staple"`
}

// routes declares the routes beside the generated ones.
func (a *Accounts[U]) routes() {
	post := func(path, id, summary string, status int, errors ...int) huma.Operation {
		return huma.Operation{
			OperationID: "auth-" + id, Method: http.MethodPost, Path: a.config.Path + path, Summary: summary, Tags: []string{"accounts"},
			DefaultStatus: status, Errors: append(errors, http.StatusUnprocessableEntity, http.StatusServiceUnavailable),
		}
	}
	api := a.cape.API()
	const (
		accepted, empty = http.StatusAccepted, http.StatusNoContent
		denied, forbid  = http.StatusUnauthorized, http.StatusForbidden
		often, conflict = http.StatusTooManyRequests, http.StatusConflict
	)
	huma.Register(api, post("/register", "register", "Make an account; as long as it is not confirmed, this sends another mail", accepted, often), a.register)
	huma.Register(api, post("/login", "login", "Sign in", http.StatusOK, denied, forbid, often), a.login)
	huma.Register(api, post("/logout", "logout", "Sign out", empty, denied), a.logout)
	huma.Register(api, post("/verify", "verify", "Confirm an e-mail address with the token of a mail", empty, often), a.verify)
	huma.Register(api, post("/verify/resend", "resend", "Ask for the mail that confirms the own address once more", accepted, denied, forbid), a.resend)
	huma.Register(api, post("/forgot", "forgot", "Ask for a mail that resets the password", accepted, often), a.forgot)
	huma.Register(api, post("/reset", "reset", "Choose a new password with the token of a mail; all sessions end", empty, often), a.reset)
	huma.Register(api, post("/password", "password", "Change the password; all other sessions end", empty, denied, forbid, often), a.password)
	huma.Register(api, post("/email", "email", "Ask for a mail that changes the e-mail address", accepted, denied, forbid, often), a.email)
	huma.Register(api, post("/email/confirm", "email-confirm", "Change the e-mail address with the token of a mail", empty, conflict, often), a.confirmEmail)
	huma.Register(api, post("/sessions/revoke-others", "revoke-others", "End all other sessions", empty, denied, forbid), a.revokeOthers)
	huma.Register(api, post("/keys", "create-key", "Make an API key; it is shown this once", http.StatusCreated, denied, forbid), a.createKey)
	huma.Register(api, huma.Operation{
		OperationID: "auth-me", Method: http.MethodGet, Path: a.config.Path + "/me", Summary: "Who is signed in", Tags: []string{"accounts"},
		Errors: []int{denied},
	}, a.me)
	huma.Register(api, huma.Operation{
		OperationID: "auth-delete-me", Method: http.MethodDelete, Path: a.config.Path + "/me", Summary: "Delete the account", Tags: []string{"accounts"},
		DefaultStatus: empty, Errors: []int{denied, forbid, often},
	}, a.deleteMe)
	huma.Register(api, huma.Operation{
		OperationID: "auth-roles", Method: http.MethodPut, Path: a.config.Path + "/users/{id}/roles", Summary: "Set a user's roles, as an admin",
		Tags: []string{"accounts"}, DefaultStatus: empty, Errors: []int{denied, forbid, http.StatusNotFound},
	}, a.setRoles)
}

// signedIn returns the caller, who must have signed in with a password, not with a key: a key that leaks must not become
// an account that is lost.
func signedIn(ctx context.Context) (auth.Identity, error) {
	id := auth.From(ctx)
	switch {
	case id.ID == "":
		return id, problem(http.StatusUnauthorized, "unauthenticated", "sign in first")
	case id.Claims[credential] != sessionCredential:
		return id, problem(http.StatusForbidden, "permission", "this needs a session, not an API key")
	}
	return id, nil
}

// me tells who is signed in.
func (a *Accounts[U]) me(ctx context.Context, _ *struct{}) (*meOutput, error) {
	id := auth.From(ctx)
	if id.ID == "" {
		return nil, problem(http.StatusUnauthorized, "unauthenticated", "nobody is signed in")
	}
	u, found, err := find[U](a.privileged(ctx, "who is signed in"), "id = ?", id.ID)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, problem(http.StatusUnauthorized, "unauthenticated", "the identity is none of these accounts")
	}
	user := a.user(&u)
	out := &meOutput{CacheControl: noStore}
	out.Body.ID, out.Body.Email, out.Body.EmailVerified, out.Body.Session, out.Body.ReadOnly = user.ID, user.Email, user.EmailVerified, id.Session, id.ReadOnly
	out.Body.Credential, _ = id.Claims[credential].(string)
	out.Body.Roles = append([]string{}, id.Roles...)
	return out, nil
}

type meOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		ID            string   `json:"id" doc:"Of the user."`
		Email         string   `json:"email"`
		EmailVerified bool     `json:"email_verified"`
		Roles         []string `json:"roles" doc:"That this credential has."`
		Session       string   `json:"session" doc:"ID of the session or key."`
		Credential    string   `json:"credential" enum:"session,key"`
		ReadOnly      bool     `json:"read_only"`
	}
}
