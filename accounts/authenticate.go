package accounts

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/capebase/capebase/auth"
)

// seenEvery is how exact the times are at which sessions and keys were seen: not every request writes.
const seenEvery = time.Hour

// The claim that tells what an identity signed in with, and its values.
const (
	credential        = "credential"
	sessionCredential = "session"
	keyCredential     = "key"
)

// Authenticate implements auth.Authenticator: it knows session cookies, and bearer tokens of sessions and API keys. Other
// bearer tokens are none of its own.
func (a *Accounts[U]) Authenticate(r *http.Request) (auth.Identity, error) {
	id, err := a.authenticate(r)
	if errors.Is(err, auth.ErrUnauthenticated) && a.public(r) {
		return auth.Identity{}, nil // whoever signs in or out may bring the cookie of a session that has ended
	}
	return id, err
}

func (a *Accounts[U]) authenticate(r *http.Request) (auth.Identity, error) {
	if token, ok := auth.Bearer(r); ok {
		switch {
		case strings.HasPrefix(token, sessionPrefix):
			return a.bySession(r.Context(), token)
		case strings.HasPrefix(token, keyPrefix):
			return a.byKey(r.Context(), token)
		}
		return auth.Identity{}, nil
	}
	cookie, err := r.Cookie(a.config.Cookie)
	if err != nil || !strings.HasPrefix(cookie.Value, sessionPrefix) {
		return auth.Identity{}, nil // a cookie of this name may be another program's
	}
	return a.bySession(r.Context(), cookie.Value)
}

// public tells whether a request is for a route that is meant for callers without credentials, or for what a browser
// loads to show a page: a page that were refused could not offer to sign in, nor take the cookie away. What the page then
// asks for by scripts is refused, so that it knows.
func (a *Accounts[U]) public(r *http.Request) bool {
	if _, bearer := auth.Bearer(r); bearer {
		return false
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		mode := r.Header.Get("Sec-Fetch-Mode")
		return mode == "navigate" || mode == "no-cors" || mode == "" && strings.HasPrefix(r.Header.Get("Accept"), "text/html")
	}
	if r.Method != http.MethodPost {
		return false
	}
	// What stands before it is the configuration's BasePath.
	return slices.ContainsFunc([]string{"/register", "/login", "/logout", "/verify", "/forgot", "/reset", "/email/confirm"}, func(path string) bool {
		return strings.HasSuffix(r.URL.Path, a.config.Path+path)
	})
}

func (a *Accounts[U]) bySession(ctx context.Context, token string) (auth.Identity, error) {
	if !parseToken(sessionPrefix, token) {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	db, now := a.privileged(ctx, "authenticate"), a.now().UTC()
	s, found, err := find[Session](db, "token_hash = ?", hashToken(token))
	if err != nil {
		return auth.Identity{}, err
	}
	if !found || !now.Before(s.ExpiresAt) || !now.Before(s.EndsAt) {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	u, found, err := find[U](db, "id = ?", s.UserID)
	if err != nil {
		return auth.Identity{}, err
	}
	if !found {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	if now.Sub(s.SeenAt) >= min(seenEvery, a.config.Idle/100) {
		seen := s.SeenAt
		s.ExpiresAt = earlier(now.Add(a.config.Idle), s.EndsAt)
		// One of many requests at a time is enough to say so.
		err := db.Model(&Session{}).Where("id = ? AND seen_at = ?", s.ID, seen).Updates(map[string]any{"seen_at": now, "expires_at": s.ExpiresAt}).Error
		if err != nil {
			a.config.Logger.WarnContext(ctx, "a session could not be prolonged", "error", err)
		}
	}
	id := a.identity(a.user(&u), sessionCredential)
	id.Session, id.Expires = s.ID, s.ExpiresAt
	return id, nil
}

func (a *Accounts[U]) byKey(ctx context.Context, token string) (auth.Identity, error) {
	if !parseToken(keyPrefix, token) {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	db, now := a.privileged(ctx, "authenticate"), a.now().UTC()
	k, found, err := find[Key](db, "key_hash = ?", hashToken(token))
	if err != nil {
		return auth.Identity{}, err
	}
	if !found || k.ExpiresAt != nil && !now.Before(*k.ExpiresAt) {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	u, found, err := find[U](db, "id = ?", k.UserID)
	if err != nil {
		return auth.Identity{}, err
	}
	if !found {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	if k.SeenAt == nil || now.Sub(*k.SeenAt) >= seenEvery {
		if err := db.Model(&Key{}).Where("id = ?", k.ID).Update("seen_at", now).Error; err != nil {
			a.config.Logger.WarnContext(ctx, "the use of a key could not be noted", "error", err)
		}
	}
	id := a.identity(a.user(&u), keyCredential)
	id.Session, id.ReadOnly = k.ID, k.ReadOnly
	id.Roles = slices.DeleteFunc(id.Roles, func(role string) bool { return !slices.Contains(k.Roles, role) })
	if k.ExpiresAt != nil {
		id.Expires = *k.ExpiresAt
	}
	return id, nil
}

func (a *Accounts[U]) identity(u *User, by string) auth.Identity {
	return auth.Identity{
		ID: u.ID, Roles: slices.Clone(u.Roles),
		Claims: map[string]any{"email": u.Email, "email_verified": u.EmailVerified, credential: by},
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
