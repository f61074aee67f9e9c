package accounts

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"

	"github.com/capebase/capebase"
)

// common is passwords that are tried first, one a line, of the most common ones those of at least 8 characters.
//
// They are from the list of @zxcvbn-ts/language-common 3.0.4 (MIT licence), which counts them in published leaks.
//
//go:embed common.txt
var common string

// hasher computes and compares password hashes, a bounded number at a time.
type hasher struct {
	params *argon2id.Params
	slots  chan struct{}
	wait   time.Duration
	dummy  string // a hash of nobody's password
	common map[string]struct{}
}

const (
	saltLength = 16
	hashLength = 32
)

func newHasher(h Hash) (*hasher, error) {
	params := &argon2id.Params{Memory: h.Memory, Iterations: h.Iterations, Parallelism: h.Parallelism, SaltLength: saltLength, KeyLength: hashLength}
	dummy, err := argon2id.CreateHash(newToken(""), params)
	if err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	words := map[string]struct{}{}
	for line := range strings.Lines(common) {
		words[strings.TrimSpace(line)] = struct{}{}
	}
	return &hasher{params: params, slots: make(chan struct{}, h.Concurrent), wait: h.Wait, dummy: dummy, common: words}, nil
}

// turn waits for the right to hash; each hash takes memory.
func (h *hasher) turn(ctx context.Context) (done func(), err error) {
	timer := time.NewTimer(h.wait)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return nil, &capebase.Error{Status: 503, Title: "Service Unavailable", Detail: "too many are signing in: try again soon", Code: "unavailable"}
	}
}

// hash returns the hash of a new password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return argon2id.CreateHash(password, h.params)
}

// matches compares a password with a hash; with "" it takes the same time and does not match. stale tells that the hash
// has another cost than new ones.
func (h *hasher) matches(ctx context.Context, password, hash string) (ok, stale bool, err error) {
	done, err := h.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer done()
	if hash == "" {
		_, _, _ = argon2id.CheckHash(password, h.dummy) // for the time that it takes
		return false, false, nil
	}
	ok, params, err := argon2id.CheckHash(password, hash)
	if err != nil {
		return false, false, fmt.Errorf("accounts: a stored hash is not argon2id's: %w", err)
	}
	return ok, params.Memory != h.params.Memory || params.Iterations != h.params.Iterations || params.Parallelism != h.params.Parallelism, nil
}

// guessable tells whether a password in lower case is one of the most common ones, as it is, with digits and punctuation
// around it, or repeated; or repeats few characters, or counts.
func (h *hasher) guessable(password string) bool {
	known := func(s string) bool {
		_, found := h.common[s]
		return found
	}
	word := strings.TrimFunc(password, func(r rune) bool { return !unicode.IsLetter(r) })
	if known(password) || known(word) || strings.Contains("01234567890123456789 abcdefghijklmnopqrstuvwxyz qwertyuiopasdfghjklzxcvbnm", password) {
		return true
	}
	for unit := 1; unit <= len(password)/2; unit++ {
		if len(password)%unit == 0 && strings.Repeat(password[:unit], len(password)/unit) == password && (unit <= 4 || known(password[:unit])) {
			return true
		}
	}
	return false
}

// acceptable tells what is wrong with a new password.
func (a *Accounts[U]) acceptable(password, email string) error {
	name, _, _ := strings.Cut(email, "@")
	lower := strings.ToLower(password)
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password) || strings.ContainsRune(password, 0):
		return invalid("body.password", "expected text")
	case n < a.config.MinPassword:
		return invalid("body.password", fmt.Sprintf("expected at least %d characters", a.config.MinPassword))
	case n > a.config.MaxPassword:
		return invalid("body.password", fmt.Sprintf("expected at most %d characters", a.config.MaxPassword))
	case a.hasher.guessable(lower):
		return invalid("body.password", "expected a password that is not among those that are tried first")
	case lower == email || lower == name:
		return invalid("body.password", "expected a password that is not the e-mail address")
	}
	return nil
}

// invalid is the problem of one member of a body.
func invalid(location, message string) error {
	return &capebase.Error{
		Status: 422, Title: "Unprocessable Entity", Detail: location + ": " + message, Code: "invalid",
		Errors: []capebase.FieldError{{Location: location, Message: message}},
	}
}
