package accounts

import (
	"context"
	"errors"
	"net/http"

	"gorm.io/gorm"

	"github.com/capebase/capebase"
)

type tokenInput struct {
	Body struct {
		Token string `json:"token" minLength:"1" maxLength:"200" doc:"From the mail."`
	}
}

// errToken says nothing of why.
func errToken() error { return invalid("body.token", "expected the token of a mail, in time and once") }

// use takes a ticket, once, and calls fn with it and its user in the same transaction.
func (a *Accounts[U]) use(ctx context.Context, token, purpose string, fn func(db *gorm.DB, t *ticket, u *U) error) error {
	if err := a.attempt(ctx, ""); err != nil {
		return err
	}
	err := a.transaction(ctx, "use the token of a mail", func(db *gorm.DB) error {
		t, u, err := a.take(db, token, purpose)
		if err != nil {
			return err
		}
		return fn(db, t, u)
	})
	if err != nil {
		return err
	}
	return a.succeeded(ctx, "")
}

// take deletes a ticket that is good.
func (a *Accounts[U]) take(db *gorm.DB, token, purpose string) (*ticket, *U, error) {
	t, found, err := find[ticket](db, "token_hash = ? AND purpose = ? AND expires_at > ?", hashToken(token), purpose, a.now().UTC())
	if err != nil {
		return nil, nil, err
	}
	if !found {
		return nil, nil, errToken()
	}
	taken := db.Where("id = ?", t.ID).Delete(&ticket{})
	if taken.Error != nil {
		return nil, nil, taken.Error
	}
	u, found, err := find[U](db, "id = ?", t.UserID)
	if err != nil {
		return nil, nil, err
	}
	if taken.RowsAffected == 0 || !found {
		return nil, nil, errToken()
	}
	return &t, &u, nil
}

// verify confirms the address of an account. The password becomes the one that was given together with the address when
// this mail was sent: somebody else may have registered the address first, with another one, and may even be signed in.
func (a *Accounts[U]) verify(ctx context.Context, in *tokenInput) (*done, error) {
	err := a.use(ctx, in.Body.Token, verifyEmail, func(db *gorm.DB, t *ticket, row *U) error {
		u := a.user(row)
		if u.Email != t.Email || u.EmailVerified {
			return errToken()
		}
		values := map[string]any{"email_verified": true}
		var taken error
		if t.PasswordHash != "" && t.PasswordHash != u.PasswordHash {
			values["password_hash"] = t.PasswordHash
			taken = errors.Join(a.endSessions(db, u.ID, ""), db.Where("user_id = ?", u.ID).Delete(&Key{}).Error)
		}
		return errors.Join(
			taken,
			db.Model(new(U)).Where("id = ?", u.ID).UpdateColumns(values).Error,
			db.Where("user_id = ?", u.ID).Delete(&ticket{}).Error,
		)
	})
	if err != nil {
		return nil, err
	}
	return &done{}, nil
}

// resend sends the mail that confirms the caller's address once more. Who is not signed in registers again.
func (a *Accounts[U]) resend(ctx context.Context, _ *struct{}) (*done, error) {
	id, err := signedIn(ctx)
	if err != nil {
		return nil, err
	}
	row, found, err := find[U](a.privileged(ctx, "own account"), "id = ?", id.ID)
	if err != nil {
		return nil, err
	}
	u := a.user(&row)
	if !found || u.EmailVerified {
		return &done{}, nil
	}
	return a.sendTicket(ctx, u.ID, verifyEmail, Mail{Occasion: Verify, To: u.Email, Lifetime: a.config.VerifyLifetime})
}

// forgot mails a token that resets the password. It answers the same, after the same work, whether there is an account.
func (a *Accounts[U]) forgot(ctx context.Context, in *struct {
	Body struct {
		Email string `json:"email" minLength:"3" maxLength:"254" format:"email"`
	}
}) (*done, error) {
	email, err := normalEmail(in.Body.Email)
	if err != nil {
		return nil, err
	}
	if err := a.strangers(ctx); err != nil {
		return nil, err
	}
	row, _, err := find[U](a.privileged(ctx, "reset a password"), "email = ?", email)
	if err != nil {
		return nil, err
	}
	return a.sendTicket(ctx, a.user(&row).ID, resetPassword, Mail{Occasion: Forgot, To: email, Lifetime: a.config.ResetLifetime})
}

type resetInput struct {
	Body struct {
		Token    string `json:"token" minLength:"1" maxLength:"200" doc:"From the mail."`
		Password string `json:"password" minLength:"1" maxLength:"4096" doc:"The new one."`
	}
}

// reset chooses a new password with the token of a mail. Whoever has the mail owns the address, so it is confirmed too.
func (a *Accounts[U]) reset(ctx context.Context, in *resetInput) (*done, error) {
	if err := a.attempt(ctx, ""); err != nil {
		return nil, err
	}
	db := a.privileged(ctx, "reset a password")
	t, found, err := find[ticket](db, "token_hash = ? AND purpose = ? AND expires_at > ?", hashToken(in.Body.Token), resetPassword, a.now().UTC())
	if err != nil {
		return nil, err
	}
	row, known, err := find[U](db, "id = ?", t.UserID)
	if err != nil {
		return nil, err
	}
	u := a.user(&row)
	if !found || !known || u.Email != t.Email {
		return nil, errToken()
	}
	if err := a.acceptable(in.Body.Password, u.Email); err != nil {
		return nil, err
	}
	_, err = a.setPassword(ctx, u, in.Body.Password, "", func(db *gorm.DB) error {
		if _, row, err := a.take(db, in.Body.Token, resetPassword); err != nil {
			return err
		} else if a.user(row).Email != u.Email {
			return errToken()
		}
		return db.Model(new(U)).Where("id = ?", u.ID).UpdateColumn("email_verified", true).Error
	})
	if err != nil {
		return nil, err
	}
	a.record(ctx, passwordEvent, u.ID, map[string]string{"method": "mail"})
	return &done{}, a.succeeded(ctx, u.Email)
}

// confirmEmail makes a new address that of the account, with the token that was mailed there.
func (a *Accounts[U]) confirmEmail(ctx context.Context, in *tokenInput) (*done, error) {
	taken := problem(http.StatusConflict, "conflict", "the address has an account of its own")
	var old, user string
	err := a.use(ctx, in.Body.Token, changeEmail, func(db *gorm.DB, t *ticket, u *U) error {
		old, user = a.user(u).Email, t.UserID
		if _, found, err := find[U](db, "email = ? AND id <> ?", t.Email, t.UserID); err != nil || found {
			return errors.Join(err, taken)
		}
		return errors.Join(
			db.Model(new(U)).Where("id = ?", t.UserID).UpdateColumns(map[string]any{"email": t.Email, "email_verified": true}).Error,
			db.Where("user_id = ?", t.UserID).Delete(&ticket{}).Error, // what went to the old address
		)
	})
	if errors.Is(err, capebase.ErrConflict) {
		return nil, taken
	}
	if err != nil {
		return nil, err
	}
	a.record(ctx, emailEvent, user, nil)
	a.mail(ctx, Mail{Occasion: Changed, To: old})
	return &done{}, nil
}
