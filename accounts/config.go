package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"runtime"
	"strings"
	"time"
)

// Config configures New; the zero value is ready for use.
type Config struct {
	Path      string        // of the routes; default "/auth"
	URL       string        // of the page that links in mails lead to, such as "https://app.example.com"; default none: mails hold the token alone
	Mailer    Mailer        // default: writes mails to the log
	Compose   Compose       // makes the mails; default plain English
	Logger    *slog.Logger  // default slog.Default()
	AdminRole string        // may read all users and set roles; default "admin"
	Cookie    string        // name of the session cookie; default "__Host-session", or "session" where Insecure
	Insecure  bool          // sends the cookie without TLS too: for development on hosts other than localhost
	Idle      time.Duration // after which an unused session ends; default 14 days
	Lifetime  time.Duration // after which any session ends; default 90 days

	// Unverified lets users sign in before they have confirmed their address. Then whoever registers can tell, by signing
	// in, whether the address had an account; default false.
	Unverified bool

	VerifyLifetime time.Duration // of the token in a mail that confirms an address; default 48 hours
	ResetLifetime  time.Duration // of the token in a mail that resets a password; default 1 hour

	MinPassword int // code points; default 12, at least 8
	MaxPassword int // code points; default 128
	Hash        Hash

	AccountFailures int           // failed sign-ins of one account within Window; default 10
	AddressFailures int           // failed requests of one address within Window; default 50
	Window          time.Duration // default 15 minutes
}

// Hash is the cost of argon2id; the defaults are OWASP's. A password whose hash had another cost is hashed anew when its
// user signs in.
type Hash struct {
	Memory      uint32 // KiB; default 19,456
	Iterations  uint32 // default 2
	Parallelism uint8  // default 1
	// Concurrent bounds how many are computed at once, each of which takes Memory; default half of GOMAXPROCS, so that
	// other requests have the rest. More sign-ins wait, at most Wait, and are then answered with 503.
	Concurrent int
	Wait       time.Duration // default 10 seconds
}

const standardPath = "/auth"

func (c Config) withDefaults() Config {
	text := func(s *string, standard string) {
		if *s == "" {
			*s = standard
		}
	}
	text(&c.Path, standardPath)
	text(&c.AdminRole, "admin")
	if c.Insecure {
		text(&c.Cookie, "session")
	}
	text(&c.Cookie, "__Host-session")
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&c.Idle, 14 * 24 * time.Hour}, {&c.Lifetime, 90 * 24 * time.Hour}, {&c.VerifyLifetime, 48 * time.Hour},
		{&c.ResetLifetime, time.Hour}, {&c.Window, 15 * time.Minute}, {&c.Hash.Wait, 10 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	for _, n := range []struct {
		value    *int
		standard int
	}{
		{&c.MinPassword, 12}, {&c.MaxPassword, 128}, {&c.AccountFailures, 10}, {&c.AddressFailures, 50},
		{&c.Hash.Concurrent, max(1, runtime.GOMAXPROCS(0)/2)},
	} {
		if *n.value == 0 {
			*n.value = n.standard
		}
	}
	if c.Hash.Memory == 0 {
		c.Hash.Memory = 19_456
	}
	if c.Hash.Iterations == 0 {
		c.Hash.Iterations = 2
	}
	if c.Hash.Parallelism == 0 {
		c.Hash.Parallelism = 1
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Mailer == nil {
		c.Mailer = logMailer{c.Logger}
	}
	if c.Compose == nil {
		c.Compose = compose
	}
	return c
}

// validate names each mistake and its fix.
func (c Config) validate() error {
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("accounts.Config."+format, args...))
		}
	}
	wrong(!strings.HasPrefix(c.Path, "/") || path.Clean(c.Path) != c.Path || c.Path == "/" || strings.ContainsAny(c.Path, "{} ?#%"), "Path %q: begin it with / and end it without", c.Path)
	if c.URL != "" {
		u, err := url.Parse(c.URL)
		wrong(err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http", "URL %q: write scheme and host, such as https://app.example.com", c.URL)
	}
	wrong(c.MinPassword < 8, "MinPassword %d: want at least 8", c.MinPassword)
	wrong(c.MaxPassword < 64 || c.MaxPassword > 1024, "MaxPassword %d: want 64 to 1,024", c.MaxPassword)
	wrong(c.MinPassword > c.MaxPassword, "MinPassword %d is above MaxPassword %d", c.MinPassword, c.MaxPassword)
	wrong(min(c.Idle, c.Lifetime, c.VerifyLifetime, c.ResetLifetime, c.Window, c.Hash.Wait) < 0, "Idle, Lifetime, VerifyLifetime, ResetLifetime, Window and Hash.Wait: want positive durations")
	wrong(c.AccountFailures < 0 || c.AddressFailures < 0, "AccountFailures and AddressFailures: want positive numbers")
	wrong(c.Hash.Concurrent < 0, "Hash.Concurrent %d: want a positive number", c.Hash.Concurrent)
	wrong(strings.HasPrefix(c.Cookie, "__Host-") && c.Insecure, "Cookie %q: browsers take this name with TLS only", c.Cookie)
	return errors.Join(errs...)
}

// Message is one mail.
type Message struct{ To, Subject, Text, HTML string }

// Mailer sends mail.
type Mailer interface {
	Send(context.Context, Message) error
}

// logMailer writes mails to the log, for development.
type logMailer struct{ log *slog.Logger }

// Send implements Mailer.
func (m logMailer) Send(ctx context.Context, msg Message) error {
	m.log.InfoContext(ctx, "a mail that nobody sends: give accounts.Config a Mailer", "to", msg.To, "subject", msg.Subject, "text", msg.Text)
	return nil
}
