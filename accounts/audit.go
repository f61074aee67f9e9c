package accounts

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
)

// The kinds of what is recorded in the audit trail, beside the changes of the tables: there new and revoked sessions and
// keys, roles and addresses are.
const (
	signedInEvent     = "sign-in"
	failedEvent       = "sign-in-failed"
	signedOutEvent    = "sign-out"
	revokedEvent      = "sessions-revoked"
	passwordEvent     = "password-changed"
	emailEvent        = "email-changed"
	emailVerifedEvent = "email-verified"
)

// record records what happened to a user, whose ID may be unknown. Work that is done does not fail for it.
func (a *Accounts[U]) record(ctx context.Context, kind, user string, detail map[string]string) {
	a.note(ctx, capebase.AuditEvent{Kind: kind, Key: user, Detail: detail})
}

func (a *Accounts[U]) note(ctx context.Context, e capebase.AuditEvent) {
	// As in live events.
	e.Resource = strings.ReplaceAll(strings.Trim(a.config.Path, "/"), "/", ".") + ".users"
	if err := a.cape.Record(ctx, e); err != nil {
		a.config.Logger.WarnContext(ctx, "an event could not be recorded in the audit trail", "kind", e.Kind, "error", err)
	}
}

// failed records a sign-in that failed. What was typed is not recorded, as it may be a password in the wrong field: only
// the account that was meant, if there is one. Nobody waits for the write, so that it takes as long for all.
func (a *Accounts[U]) failed(ctx context.Context, u *User, err error) {
	reason := "credentials"
	var refused *capebase.Error
	switch {
	case ctx.Err() != nil:
		reason = "interrupted" // it was counted as an attempt all the same
	case !errors.As(err, &refused) || refused.Status >= http.StatusInternalServerError:
		return // it did not come to an answer
	case refused.Status == http.StatusTooManyRequests:
		reason = "too many attempts"
	}
	user := ""
	if u != nil {
		user = u.ID
	}
	a.note(context.WithoutCancel(ctx), capebase.AuditEvent{Kind: failedEvent, Key: user, Detail: map[string]string{"reason": reason}, Fold: true})
}

// as returns a context whose caller is a user that no credential has been asked for.
func as(ctx context.Context, user, session string) context.Context {
	return auth.With(ctx, auth.Identity{ID: user, Session: session})
}
