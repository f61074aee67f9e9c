package accounts

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
)

// caller returns the row of the signed-in caller, whose password this must be.
func (a *Accounts[U]) caller(ctx context.Context, password string) (*User, error) {
	id, err := signedIn(ctx)
	if err != nil {
		return nil, err
	}
	row, found, err := find[U](a.privileged(ctx, "own account"), "id = ?", id.ID)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, problem(http.StatusUnauthorized, "unauthenticated", "the account was deleted")
	}
	return a.prove(ctx, a.user(&row).Email, password, problem(http.StatusForbidden, "permission", "wrong password"))
}

type passwordInput struct {
	Body struct {
		Current  string `json:"current" minLength:"1" maxLength:"4096"`
		Password string `json:"password" minLength:"1" maxLength:"4096" doc:"The new one."`
	}
}

// password changes the password and ends the caller's other sessions.
func (a *Accounts[U]) password(ctx context.Context, in *passwordInput) (*done, error) {
	u, err := a.caller(ctx, in.Body.Current)
	if err != nil {
		return nil, err
	}
	if err := a.acceptable(in.Body.Password, u.Email); err != nil {
		return nil, err
	}
	out, err := a.setPassword(ctx, u, in.Body.Password, auth.From(ctx).Session, nil)
	if err == nil {
		a.record(ctx, passwordEvent, u.ID, map[string]string{"method": "password"})
	}
	return out, err
}

// endSessions ends a user's sessions but one.
func (a *Accounts[U]) endSessions(db *gorm.DB, user, keep string) error {
	return db.Where("user_id = ? AND id <> ?", user, keep).Delete(&Session{}).Error
}

// setPassword stores a new password, ends all sessions but one, and takes back what was sent to reset the old one. also
// runs in the same transaction.
func (a *Accounts[U]) setPassword(ctx context.Context, u *User, password, keep string, also func(db *gorm.DB) error) (*done, error) {
	hash, err := a.hasher.hash(ctx, password)
	if err != nil {
		return nil, err
	}
	err = a.transaction(ctx, "change a password", func(db *gorm.DB) error {
		if also != nil {
			if err := also(db); err != nil {
				return err
			}
		}
		return errors.Join(
			db.Model(new(U)).Where("id = ?", u.ID).UpdateColumn("password_hash", hash).Error,
			a.endSessions(db, u.ID, keep),
			db.Where("user_id = ? AND purpose IN ?", u.ID, []string{resetPassword, verifyEmail}).Delete(&ticket{}).Error,
		)
	})
	if err != nil {
		return nil, err
	}
	// Once more, for what signed in with the old password before the commit: see stillProven.
	if err := a.endSessions(a.privileged(ctx, "change a password"), u.ID, keep); err != nil {
		return nil, err
	}
	a.mail(ctx, Mail{Occasion: Changed, To: u.Email})
	return &done{}, nil
}

type emailInput struct {
	Body struct {
		Email    string `json:"email" minLength:"3" maxLength:"254" format:"email" doc:"The new one."`
		Password string `json:"password" minLength:"1" maxLength:"4096"`
	}
}

// email sends a mail to a new address, whose token makes it the account's. It answers the same when the address has an
// account already.
func (a *Accounts[U]) email(ctx context.Context, in *emailInput) (*done, error) {
	email, err := normalEmail(in.Body.Email)
	if err != nil {
		return nil, err
	}
	u, err := a.caller(ctx, in.Body.Password)
	if err != nil {
		return nil, err
	}
	return a.sendTicket(ctx, u.ID, changeEmail, Mail{Occasion: NewEmail, To: email, Lifetime: a.config.ResetLifetime})
}

// sendTicket makes a ticket and mails its token, unless the address has had too many mails.
func (a *Accounts[U]) sendTicket(ctx context.Context, user, purpose string, m Mail) (*done, error) {
	may, err := a.mayMail(ctx, m.To)
	if err != nil {
		return nil, err
	}
	m.Token = newToken("")
	if err := a.privileged(ctx, "send a token").Create(a.ticket(user, purpose, m.Token, m.To, m.Lifetime)).Error; err != nil {
		return nil, err
	}
	if may && user != "" {
		a.mail(ctx, m)
	}
	return &done{}, nil
}

// deleteMe deletes the caller's account.
func (a *Accounts[U]) deleteMe(ctx context.Context, in *struct {
	Body struct {
		Password string `json:"password" minLength:"1" maxLength:"4096"`
	}
}) (*cookieOutput, error) {
	u, err := a.caller(ctx, in.Body.Password)
	if err != nil {
		return nil, err
	}
	err = a.transaction(ctx, "delete an account", func(db *gorm.DB) error {
		return errors.Join(
			db.Where("user_id = ?", u.ID).Delete(&Session{}).Error,
			db.Where("user_id = ?", u.ID).Delete(&Key{}).Error,
			db.Where("user_id = ?", u.ID).Delete(&ticket{}).Error,
			db.Where("id = ?", u.ID).Delete(new(U)).Error,
		)
	})
	if err != nil {
		return nil, err
	}
	return &cookieOutput{SetCookie: []http.Cookie{a.cookie("", time.Time{})}}, nil
}

// revokeOthers ends the caller's sessions but the one that asks.
func (a *Accounts[U]) revokeOthers(ctx context.Context, _ *struct{}) (*done, error) {
	id, err := signedIn(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.endSessions(a.privileged(ctx, "end other sessions"), id.ID, id.Session); err != nil {
		return nil, err
	}
	a.record(ctx, revokedEvent, id.ID, map[string]string{"kept": id.Session})
	return &done{}, nil
}

type keyInput struct {
	Body struct {
		Name      string     `json:"name" minLength:"1" maxLength:"100"`
		Roles     []string   `json:"roles,omitempty" maxItems:"32" doc:"Of the owner's roles those that the key has; none unless given."`
		ReadOnly  bool       `json:"read_only,omitempty" doc:"Every write is refused."`
		ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Never, unless given."`
	}
}

type keyOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         struct {
		ID  string `json:"id"`
		Key string `json:"key" doc:"For the header Authorization: Bearer. It is shown this once."`
	}
}

// maxKeys bounds the keys of a user, and maxKeyYears their lives.
const (
	maxKeys     = 100
	maxKeyYears = 100
)

// createKey makes an API key.
func (a *Accounts[U]) createKey(ctx context.Context, in *keyInput) (*keyOutput, error) {
	id, err := signedIn(ctx)
	if err != nil {
		return nil, err
	}
	for _, role := range in.Body.Roles {
		if !slices.Contains(id.Roles, role) {
			return nil, invalid("body.roles", "expected roles that you have")
		}
	}
	if at := in.Body.ExpiresAt; at != nil && (!at.After(a.now()) || at.After(a.now().AddDate(maxKeyYears, 0, 0))) {
		return nil, invalid("body.expires_at", "expected a time within the next 100 years")
	}
	if strings.ContainsFunc(in.Body.Name, func(r rune) bool { return r == 0 || r == utf8.RuneError }) {
		return nil, invalid("body.name", "expected text")
	}
	var present int64
	db := a.privileged(ctx, "make a key")
	if err := db.Model(&Key{}).Where("user_id = ?", id.ID).Count(&present).Error; err != nil {
		return nil, err
	}
	if present >= maxKeys {
		return nil, problem(http.StatusConflict, "conflict", "there are 100 keys already: delete one first")
	}
	secret := newToken(keyPrefix)
	k := Key{
		ID: newID(), UserID: id.ID, Name: in.Body.Name, Hint: secret[:len(keyPrefix)+4], KeyHash: hashToken(secret),
		Roles: append([]string{}, in.Body.Roles...), ReadOnly: in.Body.ReadOnly, CreatedAt: a.now().UTC(), ExpiresAt: in.Body.ExpiresAt,
	}
	if err := db.Create(&k).Error; err != nil {
		return nil, err
	}
	out := &keyOutput{CacheControl: noStore}
	out.Body.ID, out.Body.Key = k.ID, secret
	return out, nil
}

type rolesInput struct {
	ID   string `path:"id" maxLength:"36"`
	Body struct {
		Roles []string `json:"roles" maxItems:"32" nullable:"false"`
	}
}

// setRoles replaces a user's roles. Admins cannot take their own role away, lest nobody is left who has it.
func (a *Accounts[U]) setRoles(ctx context.Context, in *rolesInput) (*done, error) {
	id := auth.From(ctx)
	switch {
	case id.ID == "":
		return nil, problem(http.StatusUnauthorized, "unauthenticated", "sign in first")
	case !slices.Contains(id.Roles, a.config.AdminRole) || id.ReadOnly:
		return nil, capebase.ErrPermission
	case id.Claims[credential] == keyCredential:
		return nil, problem(http.StatusForbidden, "permission", "this needs a session, not an API key") // a leaked key makes no admins
	case !utf8.ValidString(in.ID) || strings.ContainsRune(in.ID, 0):
		return nil, capebase.ErrNotFound
	case id.ID == in.ID && !slices.Contains(in.Body.Roles, a.config.AdminRole):
		return nil, problem(http.StatusForbidden, "permission", "the role "+a.config.AdminRole+" must be taken from you by another admin")
	}
	roles := []string{}
	for _, role := range in.Body.Roles {
		if role == "" || role == "*" || len(role) > 64 || strings.ContainsFunc(role, func(r rune) bool { return r < '!' || r == 0x7f || r == '\uFFFD' }) {
			return nil, invalid("body.roles", "expected names of 1 to 64 characters without spaces")
		}
		if !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
	}
	// GORM writes a serialized field from a struct only.
	var u U
	a.user(&u).Roles = roles
	result := a.privileged(ctx, "set roles").Model(new(U)).Where("id = ?", in.ID).Select("roles").Updates(&u)
	if result.Error == nil && result.RowsAffected == 0 {
		return nil, capebase.ErrNotFound
	}
	return &done{}, result.Error
}
