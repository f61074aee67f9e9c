package accounts

import (
	"context"
	"errors"
	"net/http"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/capebase/capebase/auth"
)

// register makes an account. It answers the same whether the address has one or not; a mail tells its owner.
func (a *Accounts[U]) register(ctx context.Context, in *struct{ Body credentials }) (*done, error) {
	email, err := normalEmail(in.Body.Email)
	if err != nil {
		return nil, err
	}
	if err := a.acceptable(in.Body.Password, email); err != nil {
		return nil, err
	}
	if err := a.strangers(ctx); err != nil {
		return nil, err
	}
	hash, err := a.hasher.hash(ctx, in.Body.Password)
	if err != nil {
		return nil, err
	}
	may, err := a.mayMail(ctx, email)
	if err != nil {
		return nil, err
	}
	m := Mail{Occasion: Verify, To: email, Token: newToken(""), Lifetime: a.config.VerifyLifetime}
	err = a.transaction(ctx, "register", func(db *gorm.DB) error {
		// The statements are the same whether the address has an account or not.
		u, err := a.insert(db, User{ID: newID(), Email: email, Roles: []string{}, PasswordHash: hash, CreatedAt: a.now()})
		if err != nil {
			return err
		}
		t := a.ticket(u.ID, verifyEmail, m.Token, email, a.config.VerifyLifetime)
		t.PasswordHash = hash
		if u.EmailVerified {
			t.UserID, t.PasswordHash, m = "", "", Mail{Occasion: Registered, To: email}
		}
		return db.Create(t).Error
	})
	if err != nil {
		return nil, err
	}
	if may {
		a.mail(ctx, m)
	}
	return &done{}, nil
}

// insert makes a user, unless the address has one, and returns the user that the address has then.
func (a *Accounts[U]) insert(db *gorm.DB, u User) (*User, error) {
	var row U
	*a.user(&row) = u
	if err := db.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
		return nil, err
	}
	present, found, err := find[U](db, "email = ?", u.Email)
	if err == nil && !found {
		err = errors.New("accounts: a user that was made is not there")
	}
	return a.user(&present), err
}

func (a *Accounts[U]) ticket(user, purpose, token, email string, lifetime time.Duration) *ticket {
	now := a.now().UTC()
	return &ticket{ID: newID(), UserID: user, Purpose: purpose, TokenHash: hashToken(token), Email: email, CreatedAt: now, ExpiresAt: now.Add(lifetime)}
}

type loginInput struct {
	Body struct {
		Email     string `json:"email" minLength:"3" maxLength:"254" format:"email" example:"ada@example.com"`
		Password  string `json:"password" minLength:"1" maxLength:"4096" example:"correct horse battery staple"`
		Transport string `json:"transport,omitempty" enum:"cookie,bearer" default:"cookie" doc:"A cookie for browsers, or a token in the answer."`
	}
}

type loginOutput struct {
	SetCookie    []http.Cookie `header:"Set-Cookie"`
	CacheControl string        `header:"Cache-Control"`
	Body         struct {
		UserID    string    `json:"user_id"`
		Session   string    `json:"session" doc:"ID of the session."`
		Token     string    `json:"token,omitempty" doc:"For the header Authorization: Bearer; with the transport bearer only."`
		ExpiresAt time.Time `json:"expires_at" doc:"Unless it is used before."`
	}
}

// errCredentials says nothing of what is wrong.
func errCredentials() error {
	return problem(http.StatusUnauthorized, "unauthenticated", "wrong e-mail address or password, or an address that is not confirmed yet")
}

// login signs in. An unknown address costs what a wrong password costs, in time and in statements; so does one that is
// not confirmed, since whoever registers with somebody's address could tell otherwise whether it had an account.
func (a *Accounts[U]) login(ctx context.Context, in *loginInput) (*loginOutput, error) {
	email, err := normalEmail(in.Body.Email)
	if err != nil {
		return nil, err
	}
	u, err := a.prove(ctx, email, in.Body.Password, errCredentials())
	if err != nil {
		a.failed(ctx, u, err)
		return nil, err
	}
	token, s, err := a.newSession(ctx, u)
	if err != nil {
		return nil, err
	}
	if err := a.stillProven(ctx, u, s, in.Body.Password); err != nil {
		a.failed(ctx, u, err)
		return nil, err
	}
	a.record(as(ctx, u.ID, s.ID), signedInEvent, u.ID, map[string]string{"session": s.ID, "method": "password", "transport": in.Body.Transport})
	out := &loginOutput{CacheControl: noStore}
	out.Body.UserID, out.Body.Session, out.Body.ExpiresAt = u.ID, s.ID, s.ExpiresAt
	if in.Body.Transport == "bearer" {
		out.Body.Token = token
	} else {
		out.SetCookie = []http.Cookie{a.cookie(token, s.EndsAt)}
	}
	return out, nil
}

// prove returns the user of an address whose password it is, or the error wrong, with the user whose password it is not; it
// counts failures, and brings the hash up to date.
func (a *Accounts[U]) prove(ctx context.Context, email, password string, wrong error) (*User, error) {
	if err := a.attempt(ctx, email); err != nil {
		return nil, err
	}
	db := a.privileged(ctx, "check a password")
	row, found, err := find[U](db, "email = ?", email)
	if err != nil {
		return nil, err
	}
	u := a.user(&row)
	ok, stale, err := a.hasher.matches(ctx, password, u.PasswordHash)
	if err != nil {
		return nil, err
	}
	if !ok || !found || !u.EmailVerified && !a.config.Unverified {
		return u, wrong
	}
	if stale {
		if err := a.rehash(ctx, u, password); err != nil {
			a.config.Logger.WarnContext(ctx, "a password keeps the hash of its old cost", "error", err)
		}
	}
	return u, a.succeeded(ctx, email)
}

// rehash brings a user's hash to the present cost.
func (a *Accounts[U]) rehash(ctx context.Context, u *User, password string) error {
	hash, err := a.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	// A hash that has changed meanwhile is of a newer password.
	result := a.privileged(ctx, "hash a password at the present cost").Model(new(U)).
		Where("id = ? AND password_hash = ?", u.ID, u.PasswordHash).UpdateColumn("password_hash", hash)
	if result.Error == nil && result.RowsAffected > 0 {
		u.PasswordHash = hash
	}
	return result.Error
}

// stillProven takes a new session away when the password was changed while it was being proven. Whoever changes it ends
// the sessions once more after the commit, so that one of the two sees the other.
func (a *Accounts[U]) stillProven(ctx context.Context, u *User, s *Session, password string) error {
	db := a.privileged(ctx, "sign in")
	row, found, err := find[U](db, "id = ?", u.ID)
	present := a.user(&row).PasswordHash
	if err == nil && found && present == u.PasswordHash {
		return nil
	}
	if err == nil && found {
		// Another sign-in may have hashed the same password anew.
		if same, _, err := a.hasher.matches(ctx, password, present); err == nil && same {
			return nil
		}
	}
	return errors.Join(db.Where("id = ?", s.ID).Delete(&Session{}).Error, err, errCredentials())
}

// newSession makes a session for the client that the context's request comes from.
func (a *Accounts[U]) newSession(ctx context.Context, u *User) (token string, s *Session, err error) {
	now, request := a.now().UTC().Truncate(time.Microsecond), auth.RequestOf(ctx)
	token = newToken(sessionPrefix)
	s = &Session{
		ID: newID(), UserID: u.ID, TokenHash: hashToken(token), UserAgent: cut(request.UserAgent, maxUserAgent), CreatedAt: now, SeenAt: now,
		EndsAt: now.Add(a.config.Lifetime),
	}
	s.ExpiresAt = earlier(now.Add(a.config.Idle), s.EndsAt)
	if request.Address.IsValid() {
		s.Address = request.Address.String()
	}
	return token, s, a.privileged(ctx, "sign in").Create(s).Error
}

const maxUserAgent = 255

// cut returns the beginning of a text that a client sent, as far as it can be stored.
func cut(s string, runes int) string {
	var kept []rune
	for _, r := range s {
		if r != 0 && r != '\uFFFD' && len(kept) < runes {
			kept = append(kept, r)
		}
	}
	return string(kept)
}

// cookie is the session's cookie; without a token it takes the cookie away.
func (a *Accounts[U]) cookie(token string, ends time.Time) http.Cookie {
	c := http.Cookie{Name: a.config.Cookie, Value: token, Path: "/", HttpOnly: true, Secure: !a.config.Insecure, SameSite: http.SameSiteLaxMode} //nolint:gosec // not Secure where Insecure says so
	if token == "" {
		c.MaxAge = -1
	} else {
		c.MaxAge = int(ends.Sub(a.now()).Seconds())
	}
	return c
}

type cookieOutput struct {
	SetCookie []http.Cookie `header:"Set-Cookie"`
}

// logout ends the caller's session. For others there is nothing to do.
func (a *Accounts[U]) logout(ctx context.Context, _ *struct{}) (*cookieOutput, error) {
	id := auth.From(ctx)
	if id.Claims[credential] == sessionCredential {
		if err := a.privileged(ctx, "sign out").Where("id = ?", id.Session).Delete(&Session{}).Error; err != nil {
			return nil, err
		}
		a.record(ctx, signedOutEvent, id.ID, map[string]string{"session": id.Session})
	}
	return &cookieOutput{SetCookie: []http.Cookie{a.cookie("", time.Time{})}}, nil
}
