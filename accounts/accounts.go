package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/policy"
)

// Accounts is the built-in Authenticator.
type Accounts[U any] struct {
	Users    *capebase.Resource[U]
	Sessions *capebase.Resource[Session]
	Keys     *capebase.Resource[Key]

	cape   *capebase.Cape
	config Config
	hasher *hasher
	mails  chan Mail
	user   func(*U) *User
	now    func() time.Time
}

// The environment variables of the first admin, who is made at Start unless the address has an account.
const (
	adminEmail    = "CAPEBASE_ADMIN_EMAIL"
	adminPassword = "CAPEBASE_ADMIN_PASSWORD" //nolint:gosec // a variable's name
)

// New publishes U under Config.Path + "/users", sessions and API keys beside it, and the routes of accounts. U is User, or a
// struct that embeds it; P is inferred. Who signs in is known once the result is given to Cape.UseAuth. Mistakes in the
// configuration are reported by Start.
func New[U any, P interface {
	*U
	account() *User
}](c *capebase.Cape, cfg Config) *Accounts[U] {
	cfg = cfg.withDefaults()
	a := &Accounts[U]{
		cape: c, config: cfg, mails: make(chan Mail, maxMails), now: time.Now,
		user: func(u *U) *User { return P(u).account() },
	}
	err := cfg.validate()
	if err != nil {
		a.config.Path = standardPath // Start fails; until then the routes need some path
	}
	if err == nil && a.user(new(U)) == nil {
		err = fmt.Errorf("accounts: %T embeds *accounts.User: embed accounts.User", *new(U))
	}
	if err == nil {
		a.hasher, err = newHasher(cfg.Hash)
	}
	c.OnStart(func(ctx context.Context) error {
		if err != nil {
			return err
		}
		if cfg.Mailer == Mailer(logMailer{cfg.Logger}) {
			cfg.Logger.WarnContext(ctx, "accounts.Config has no Mailer: mails are written to the log, with the tokens in them")
		}
		return a.firstAdmin(ctx)
	})
	a.publish()
	a.routes()
	c.Run(a.sendMails)
	c.Run(a.sweep)
	return a
}

// publish declares the tables and who may see what of them.
func (a *Accounts[U]) publish() {
	admin := policy.Role(a.config.AdminRole)
	a.Users = capebase.Publish[U](a.cape, capebase.Path(a.config.Path+"/users"),
		capebase.Only(capebase.List|capebase.Get|capebase.Update|capebase.Delete|capebase.Subscribe))
	if u := a.user(a.Users.Fields); u != nil {
		a.Users.Allow(policy.Read|policy.Update, policy.Owner(&u.ID))
	}
	a.Users.Allow(policy.Read|policy.Update|policy.Delete, admin)

	routes := capebase.Only(capebase.List | capebase.Get | capebase.Delete | capebase.Subscribe)
	a.Sessions = capebase.Publish[Session](a.cape, capebase.Path(a.config.Path+"/sessions"), routes)
	a.Sessions.Allow(policy.Read|policy.Delete, policy.Owner(&a.Sessions.Fields.UserID))
	a.Keys = capebase.Publish[Key](a.cape, capebase.Path(a.config.Path+"/keys"), routes)
	a.Keys.Allow(policy.Read|policy.Delete, policy.Owner(&a.Keys.Fields.UserID))
	capebase.Publish[ticket](a.cape, capebase.Private())
	capebase.Publish[counter](a.cape, capebase.Private())

	a.Sessions.OnChange(func(_ context.Context, c capebase.Change[Session]) {
		if c.Event != capebase.Updated || c.Row.ExpiresAt.Before(c.Before.ExpiresAt) || c.Row.UserID != c.Before.UserID {
			a.recheck(c.Event, c.Row.ID, "")
		}
	})
	a.Keys.OnChange(func(_ context.Context, c capebase.Change[Key]) { a.recheck(c.Event, c.Row.ID, "") })
	a.Users.OnChange(func(_ context.Context, c capebase.Change[U]) {
		if c.Event != capebase.Updated || !sameIdentity(a.user(c.Before), a.user(&c.Row)) {
			a.recheck(c.Event, "", a.user(&c.Row).ID)
		}
	})
}

// sameIdentity tells whether a change of a user is nothing to rules.
func sameIdentity(before, after *User) bool {
	return slices.Equal(before.Roles, after.Roles) && before.Email == after.Email && before.EmailVerified == after.EmailVerified
}

// recheck asks again who is behind the open streams of a session, key or user, in whichever process the change was made.
func (a *Accounts[U]) recheck(event capebase.Event, session, user string) {
	switch {
	case event == capebase.Reset:
		a.cape.Recheck(func(auth.Identity) bool { return true })
	case session != "" && event != capebase.Inserted:
		a.cape.Recheck(func(id auth.Identity) bool { return id.Session == session })
	case user != "" && event != capebase.Inserted:
		a.cape.Recheck(func(id auth.Identity) bool { return id.ID == user })
	}
}

// privileged returns a GORM session for work of accounts' own.
func (a *Accounts[U]) privileged(ctx context.Context, reason string) *gorm.DB {
	db := a.cape.DB(auth.Privileged(ctx, "accounts: "+reason))
	return db.Session(&gorm.Session{Logger: patient{db.Logger}})
}

// A transaction that met another one's locks is tried again, within a time in which a client still waits.
const (
	tries    = 5
	tryUntil = 2 * time.Second
)

// transaction runs fn in a transaction for work of accounts' own, and again where another one stood in its way.
func (a *Accounts[U]) transaction(ctx context.Context, reason string, fn func(db *gorm.DB) error) error {
	began := time.Now()
	for try := 1; ; try++ {
		err := a.cape.Transaction(auth.Privileged(ctx, "accounts: "+reason), func(ctx context.Context) error {
			return fn(a.privileged(ctx, reason))
		})
		if !errors.Is(err, errBusy) || try == tries || time.Since(began) > tryUntil || ctx.Err() != nil {
			return err
		}
	}
}

// patient is a logger that leaves out what is no mistake: what is tried again, and what nobody waits for any more. What is
// given up is an error of the request.
type patient struct{ logger.Interface }

// Trace implements logger.Interface.
func (p patient) Trace(ctx context.Context, begin time.Time, sql func() (string, int64), err error) {
	if errors.Is(err, errBusy) || ctx.Err() != nil {
		err = nil
	}
	p.Interface.Trace(ctx, begin, sql, err)
}

// find returns the one row that the condition names, and false when there is none.
func find[T any](db *gorm.DB, query string, args ...any) (row T, found bool, err error) {
	err = db.Where(query, args...).Limit(1).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return row, false, nil
	}
	return row, err == nil, err
}

// firstAdmin makes the user that the environment names.
func (a *Accounts[U]) firstAdmin(ctx context.Context) error {
	address, password := os.Getenv(adminEmail), os.Getenv(adminPassword)
	if address == "" {
		return nil
	}
	email, err := normalEmail(address)
	if err != nil {
		return fmt.Errorf("accounts: %s is no e-mail address", adminEmail)
	}
	db := a.privileged(ctx, "first admin")
	switch row, found, err := find[U](db, "email = ?", email); {
	case err != nil:
		return err
	case found:
		if !slices.Contains(a.user(&row).Roles, a.config.AdminRole) {
			a.config.Logger.WarnContext(ctx, "the account that "+adminEmail+" names is there already, and is no admin")
		}
		return nil
	}
	if err := a.acceptable(password, email); err != nil {
		return fmt.Errorf("accounts: %s is not acceptable: %w", adminPassword, err)
	}
	hash, err := a.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	// Another process may be first.
	_, err = a.insert(db, User{ID: newID(), Email: email, EmailVerified: true, Roles: []string{a.config.AdminRole}, PasswordHash: hash, CreatedAt: a.now()})
	return err
}

// newID returns a UUIDv7: ids sort by the time of their making.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

const (
	sweepEvery = time.Hour
	sweepBatch = 500
)

// sweep deletes what has expired, and what users left behind that were deleted, until ctx ends.
func (a *Accounts[U]) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if err := a.sweepOnce(ctx); err != nil && ctx.Err() == nil {
			a.config.Logger.WarnContext(ctx, "what has expired could not be deleted", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (a *Accounts[U]) sweepOnce(ctx context.Context) error {
	now := a.now().UTC()
	users := a.privileged(ctx, "clean up").Model(new(U)).Select("id")
	return errors.Join(
		a.remove(ctx, &Session{}, "expires_at <= ? OR ends_at <= ? OR user_id NOT IN (?)", now, now, users),
		a.remove(ctx, &Key{}, "expires_at <= ? OR user_id NOT IN (?)", now, users),
		a.remove(ctx, &ticket{}, "expires_at <= ?", now),
		a.remove(ctx, &counter{}, "ends_at <= ?", now),
	)
}

// remove deletes rows in small batches, so that other writers get their turn.
func (a *Accounts[U]) remove(ctx context.Context, model any, query string, args ...any) error {
	for ctx.Err() == nil {
		var ids []string
		db := a.privileged(ctx, "clean up")
		if err := db.Model(model).Where(query, args...).Limit(sweepBatch).Pluck("id", &ids).Error; err != nil {
			return err
		}
		if len(ids) > 0 {
			row := reflect.New(reflect.TypeOf(model).Elem()).Interface()
			// A counter may count again meanwhile.
			if err := a.privileged(ctx, "clean up").Where("id IN ?", ids).Where(query, args...).Delete(row).Error; err != nil {
				return err
			}
		}
		if len(ids) < sweepBatch {
			return nil
		}
	}
	return ctx.Err()
}

// errBusy is the error of a transaction that met another one's locks.
var errBusy error = &capebase.Error{Status: http.StatusServiceUnavailable, Code: "unavailable"}

// problem makes an error of a route.
func problem(status int, code, detail string) error {
	return &capebase.Error{Status: status, Title: http.StatusText(status), Detail: detail, Code: code}
}
