package accounts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/capebase/capebase/auth"
)

// The kinds of what is counted.
const (
	countAccount = "account"
	countAddress = "address"
	countMail    = "mail"
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
func (a *Accounts[U]) count(ctx context.Context, kind, of string) (int64, error) {
	now := a.now().UTC()
	c := counter{ID: counterID(kind, of), Failures: 1, EndsAt: now.Add(a.config.Window)}
	var present counter
	err := a.transaction(ctx, "count attempts", func(db *gorm.DB) error {
		err := db.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "id"}},
			DoUpdates: clause.Set{
				{Column: clause.Column{Name: "failures"}, Value: gorm.Expr("CASE WHEN auth_counters.ends_at <= ? THEN 1 ELSE auth_counters.failures + 1 END", now)},
				{Column: clause.Column{Name: "ends_at"}, Value: gorm.Expr("CASE WHEN auth_counters.ends_at <= ? THEN ? ELSE auth_counters.ends_at END", now, c.EndsAt)},
			},
		}).Create(&c).Error
		if err != nil {
			return err
		}
		return db.Where("id = ?", c.ID).Take(&present).Error
	})
	return present.Failures, err
}

// attempt counts an attempt before it is made, so that many at once are as many. It refuses what is above the limits;
// succeeded takes it back.
func (a *Accounts[U]) attempt(ctx context.Context, account string) error {
	for _, c := range []struct {
		kind, of string
		limit    int
	}{
		{countAddress, auth.RequestOf(ctx).Address.String(), a.config.AddressFailures},
		{countAccount, account, a.config.AccountFailures},
	} {
		if c.of == "" {
			continue
		}
		n, err := a.count(ctx, c.kind, c.of)
		if err != nil {
			return err
		}
		if n > int64(c.limit) {
			return problem(http.StatusTooManyRequests, "rate_limited", "too many attempts: try again later")
		}
	}
	return nil
}

// succeeded forgets the failures of an account, and one attempt of the address.
func (a *Accounts[U]) succeeded(ctx context.Context, account string) error {
	return a.transaction(ctx, "count attempts", func(db *gorm.DB) error {
		if account != "" {
			if err := db.Where("id = ?", counterID(countAccount, account)).Delete(&counter{}).Error; err != nil {
				return err
			}
		}
		return db.Model(&counter{}).Where("id = ? AND failures > 0", counterID(countAddress, auth.RequestOf(ctx).Address.String())).
			Update("failures", gorm.Expr("failures - 1")).Error
	})
}

// mayMail tells whether another mail may go to an address. Nobody is told when not.
func (a *Accounts[U]) mayMail(ctx context.Context, email string) (bool, error) {
	n, err := a.count(ctx, countMail, email)
	return n <= mailsEach, err
}
