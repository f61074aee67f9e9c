// Package smtp sends the mails of package accounts through an SMTP server.
//
//	mailer, err := smtp.New(smtp.Config{
//		Host: "smtp.example.com", User: "todo", Password: os.Getenv("SMTP_PASSWORD"), From: "Todo <no-reply@example.com>",
//	})
//	…
//	users := accounts.New[accounts.User](cape, accounts.Config{Mailer: mailer})
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/capebase/capebase/accounts"
)

// TLS is how connections to the server are encrypted.
type TLS int

// The choices.
const (
	StartTLS TLS = iota // begun by STARTTLS, without which no mail is sent
	Implicit            // from the first byte
	None                // not at all: for a server on this host or in a private network; allows no User
)

// Config configures New. Host and From are required.
type Config struct {
	Host      string
	Port      int           // default 587, 465 with Implicit, 25 with None
	TLS       TLS           // default StartTLS
	TLSConfig *tls.Config   // default: the certificate has to be Host's, by the system's roots
	User      string        // default: sends without signing in
	Password  string        // of User
	From      string        // such as "Todo <no-reply@example.com>"
	Timeout   time.Duration // for a whole mail, from dialling to the server's answer; default 30 seconds
}

func (c Config) withDefaults() Config {
	if c.Port == 0 {
		c.Port = map[TLS]int{StartTLS: 587, Implicit: 465, None: 25}[c.TLS]
	}
	if c.TLSConfig == nil {
		c.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if c.TLSConfig.ServerName == "" {
		c.TLSConfig = c.TLSConfig.Clone()
		c.TLSConfig.ServerName = c.Host
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	return c
}

// validate names each mistake and its fix.
func (c Config) validate() error {
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf("smtp.Config."+format, args...))
		}
	}
	wrong(c.Host == "" || strings.ContainsAny(c.Host, " /:@\r\n") && net.ParseIP(c.Host) == nil, "Host %q: want a name or an address without a port", c.Host)
	wrong(c.Port < 1 || c.Port > 65535, "Port %d: want 1 to 65,535", c.Port)
	wrong(c.TLS < StartTLS || c.TLS > None, "TLS %d: want StartTLS, Implicit or None", c.TLS)
	_, err := mail.ParseAddress(c.From)
	wrong(err != nil || strings.ContainsAny(c.From, "\r\n"), `From %q: want an address such as "Todo <no-reply@example.com>"`, c.From)
	wrong((c.User == "") != (c.Password == ""), "User, Password: set both or neither")
	wrong(c.User != "" && c.TLS == None, "User: a password needs TLS")
	wrong(c.Timeout < 0, "Timeout %v: want a positive duration", c.Timeout)
	return errors.Join(errs...)
}

// Mailer is an accounts.Mailer. Each mail has a connection of its own. It is safe for concurrent use.
type Mailer struct{ config Config }

// New makes a Mailer. Mistakes in the Config are returned, all at once; the server is not asked yet.
func New(config Config) (*Mailer, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, err
	}
	return &Mailer{config}, nil
}

// Send implements accounts.Mailer. It returns once the server has taken the mail, or when ctx or Config.Timeout ends.
func (m *Mailer) Send(ctx context.Context, msg accounts.Message) error {
	letter, err := m.compose(msg)
	if err != nil {
		return fmt.Errorf("smtp: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, m.config.Timeout)
	defer cancel()
	client, err := m.client(ctx)
	if err != nil {
		return fmt.Errorf("smtp: %w", err)
	}
	if err := client.DialAndSendWithContext(ctx, letter); err != nil {
		if letter.IsDelivered() {
			return nil // the server has taken it; what failed is the good-bye
		}
		return errors.Join(fmt.Errorf("smtp: %w", err), ctx.Err())
	}
	return nil
}

// compose makes the mail. What would begin another header or name another recipient is refused.
func (m *Mailer) compose(msg accounts.Message) (*gomail.Msg, error) {
	to, err := mail.ParseAddress(msg.To)
	if err != nil || to.Address != msg.To || strings.ContainsAny(msg.To, "\r\n\x00") {
		return nil, errors.New("the recipient is not one plain address")
	}
	if strings.ContainsAny(msg.Subject, "\r\n\x00") {
		return nil, errors.New("the subject has several lines")
	}
	if msg.Text == "" && msg.HTML == "" {
		return nil, errors.New("the mail is empty")
	}
	letter := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := letter.From(m.config.From); err != nil {
		return nil, err
	}
	letter.ToMailAddress(to)
	letter.Subject(msg.Subject)
	letter.SetDate()
	letter.SetMessageID()
	// Nobody's holiday notice answers a machine (RFC 3834).
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	switch {
	case msg.HTML == "":
		letter.SetBodyString(gomail.TypeTextPlain, msg.Text)
	case msg.Text == "":
		letter.SetBodyString(gomail.TypeTextHTML, msg.HTML)
	default:
		letter.SetBodyString(gomail.TypeTextPlain, msg.Text)
		letter.AddAlternativeString(gomail.TypeTextHTML, msg.HTML)
	}
	return letter, nil
}

// client serves one mail: go-mail's own deadlines begin anew with each step and do not know the context, so the
// connection is closed when ctx ends.
func (m *Mailer) client(ctx context.Context) (*gomail.Client, error) {
	c := m.config
	options := []gomail.Option{
		gomail.WithPort(c.Port), gomail.WithTLSConfig(c.TLSConfig), gomail.WithoutNoop(),
		gomail.WithTimeout(2 * c.Timeout), // the context's comes first
		gomail.WithDialContextFunc(func(dialing context.Context, network, address string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(dialing, network, address)
			if err != nil {
				return nil, err
			}
			context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck,gosec // whoever reads or writes gets the error
			if c.TLS == Implicit {
				return tls.Client(conn, c.TLSConfig), nil
			}
			return conn, nil
		}),
	}
	switch c.TLS {
	case StartTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case Implicit:
		options = append(options, gomail.WithSSL())
	case None:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if c.User != "" {
		options = append(options, gomail.WithUsername(c.User), gomail.WithPassword(c.Password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
	}
	return gomail.NewClient(c.Host, options...)
}
