package accounts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/capebase/capebase/auth"
)

// The kinds of what is counted.
const (
	countAccount = "account"
	countAddress = "address"
	countMail    = "mail"
	countSignUp  = "sign-up" // of an address: requests that make mails
)

// mailsEach bounds the mails that strangers can have sent to an address within Config.Window.
const mailsEach = 5

// counterID names a counter. It is a hash, since what is counted may be an address that a stranger typed.
func counterID(kind, of string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + of))
	return hex.EncodeToString(sum[:])
}

// count adds one to a counter, for all processes at once, and returns what it is then. Windows do not slide: the first
// count opens one, and it ends after Config.Window.
func (a *Accounts[U]) count(ctx context.Context, kind, of string) (present counter, err error) {
	now := a.now().UTC()
	id, ends := counterID(kind, of), now.Add(a.config.Window)
	// MySQL sets the columns one after the other: the last one is what the others ask about.
	const once = "UPDATE auth_counters SET failures = CASE WHEN ends_at <= ? THEN 1 ELSE failures + 1 END, " +
		"ends_at = CASE WHEN ends_at <= ? THEN ? ELSE ends_at END WHERE id = ?"
	for found := false; ; {
		err = a.transaction(ctx, "count attempts", func(db *gorm.DB) (err error) {
			found = false // also when this is another try
			counted := db.Exec(once, now, now, ends, id)
			if counted.Error != nil || counted.RowsAffected == 0 {
				return counted.Error // another process may have made the row since: that would not be counted
			}
			present, found, err = find[counter](db, "id = ?", id)
			return err
		})
		if err != nil || found {
			return present, err
		}
		// In a transaction of its own: what looked for a missing row holds a lock on MySQL. Many may make it at once.
		err = a.transaction(ctx, "count attempts", func(db *gorm.DB) error {
			return db.Clauses(clause.OnConflict{DoNothing: true}).Create(&counter{ID: id, EndsAt: now}).Error
		})
		if err != nil {
			return present, err
		}
	}
}

// attempt counts an attempt before it is made, so that many at once are as many. It refuses what is above the limits;
// succeeded takes it back.
func (a *Accounts[U]) attempt(ctx context.Context, account string) error {
	if err := a.within(ctx, countAddress, client(ctx), a.config.AddressFailures); err != nil {
		return err // a client that is refused locks no more accounts
	}
	return a.within(ctx, countAccount, account, a.config.AccountFailures)
}

// strangers bounds what callers without an account can have done: hashes, mails.
func (a *Accounts[U]) strangers(ctx context.Context) error {
	return a.within(ctx, countSignUp, client(ctx), a.config.AddressFailures)
}

// within counts, and refuses what is above the limit.
func (a *Accounts[U]) within(ctx context.Context, kind, of string, limit int) error {
	if of == "" {
		return nil
	}
	present, err := a.count(ctx, kind, of)
	if err != nil || present.Failures <= int64(limit) {
		return err
	}
	seconds := max(1, int(math.Ceil(present.EndsAt.Sub(a.now()).Seconds())))
	return huma.ErrorWithHeaders(problem(http.StatusTooManyRequests, "rate_limited", "too many attempts: try again later"),
		http.Header{"Retry-After": {strconv.Itoa(seconds)}})
}

// client is what addresses are counted by: of IPv6 the network, since a single client has 2^64 addresses of it. It is ""
// where there is none, as on a Unix socket.
func client(ctx context.Context) string {
	address := auth.RequestOf(ctx).Address.Unmap()
	switch {
	case !address.IsValid():
		return ""
	case address.Is4():
		return address.String()
	}
	network, err := address.WithZone("").Prefix(64)
	if err != nil {
		return ""
	}
	return network.String()
}

// succeeded forgets the failures of an account, and one attempt of the address.
func (a *Accounts[U]) succeeded(ctx context.Context, account string) error {
	return a.transaction(ctx, "count attempts", func(db *gorm.DB) error {
		if account != "" {
			err := db.Model(&counter{}).Where("id = ?", counterID(countAccount, account)).Update("failures", 0).Error
			if err != nil {
				return err
			}
		}
		return db.Model(&counter{}).Where("id = ? AND failures > 0", counterID(countAddress, client(ctx))).
			Update("failures", gorm.Expr("failures - 1")).Error
	})
}

// mayMail tells whether another mail may go to an address. Nobody is told when not.
func (a *Accounts[U]) mayMail(ctx context.Context, email string) (bool, error) {
	present, err := a.count(ctx, countMail, email)
	return present.Failures <= mailsEach, err
}
