package smtp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	server "github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/capebase/capebase/accounts"
	"github.com/capebase/capebase/accounts/smtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	user     = "todo"
	password = "correct horse battery"
	from     = "Todo <no-reply@example.com>"
)

var hello = accounts.Message{To: "alice@example.com", Subject: "Grüße, Ålice", Text: "Öffne https://app.example.com/?a=1&b=2\n"}

// letter is a mail as the server got it.
type letter struct {
	user, from string
	to         []string
	encrypted  bool
	data       []byte
}

// postOffice is an SMTP server that keeps what it gets.
type postOffice struct {
	address string
	roots   *x509.CertPool

	mu      sync.Mutex
	letters []letter
	refusal error // of the next commands
}

// open starts a server; with secrets it wants the caller to sign in.
func open(t *testing.T, encryption smtp.TLS, secrets bool) *postOffice {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // for its certificate of 127.0.0.1
	certified.Close()
	office := &postOffice{roots: x509.NewCertPool()}
	office.roots.AddCert(certified.Certificate())
	s := server.NewServer(server.BackendFunc(func(c *server.Conn) (server.Session, error) {
		return &session{office: office, conn: c, open: !secrets}, nil
	}))
	s.ErrorLog = log.New(io.Discard, "", 0)
	if encryption != smtp.None {
		s.TLSConfig = &tls.Config{Certificates: certified.TLS.Certificates}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	office.address = listener.Addr().String()
	if encryption == smtp.Implicit {
		listener = tls.NewListener(listener, s.TLSConfig)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	return office
}

func (o *postOffice) mailer(t *testing.T, change func(*smtp.Config)) *smtp.Mailer {
	t.Helper()
	host, port := split(t, o.address)
	c := smtp.Config{
		Host: host, Port: port, User: user, Password: password, From: from, TLSConfig: &tls.Config{RootCAs: o.roots},
	}
	change(&c)
	m, err := smtp.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func split(t *testing.T, address string) (host string, port int) {
	t.Helper()
	tcp, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return tcp.IP.String(), tcp.Port
}

func (o *postOffice) got() []letter {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.letters
}

// session is one connection to the postOffice.
type session struct {
	office *postOffice
	conn   *server.Conn
	open   bool
	letter letter
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, name, secret string) error {
		if name != user || secret != password {
			return server.ErrAuthFailed
		}
		s.open, s.letter.user = true, name
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *server.MailOptions) error {
	if !s.open {
		return server.ErrAuthRequired
	}
	s.letter.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *server.RcptOptions) error {
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.letter.to = append(s.letter.to, to)
	return s.office.refusal
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	_, s.letter.encrypted = s.conn.TLSConnectionState()
	s.letter.data = data
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.office.letters = append(s.office.letters, s.letter)
	return nil
}

func (s *session) Reset()        { s.letter = letter{user: s.letter.user} }
func (s *session) Logout() error { return nil }

func TestSendsEncryptedAndSignedIn(t *testing.T) {
	t.Parallel()
	for name, encryption := range map[string]smtp.TLS{"STARTTLS": smtp.StartTLS, "implicit TLS": smtp.Implicit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			office := open(t, encryption, true)
			var mailer accounts.Mailer = office.mailer(t, func(c *smtp.Config) { c.TLS = encryption })
			if err := mailer.Send(t.Context(), hello); err != nil {
				t.Fatal(err)
			}
			got := office.got()
			if len(got) != 1 || !got[0].encrypted || got[0].user != user || got[0].from != "no-reply@example.com" ||
				!cmp.Equal(got[0].to, []string{"alice@example.com"}) {
				t.Fatalf("%+v", got)
			}
			parsed, err := mail.ReadMessage(bytes.NewReader(got[0].data))
			if err != nil {
				t.Fatal(err)
			}
			for header, want := range map[string]string{
				"Subject": hello.Subject, "From": `"Todo" <no-reply@example.com>`, "To": "<alice@example.com>", "Auto-Submitted": "auto-generated",
			} {
				if value, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get(header)); err != nil || value != want {
					t.Errorf("%s: %q, %v: want %q", header, value, err, want)
				}
			}
			if when, err := parsed.Header.Date(); err != nil || time.Since(when) > time.Minute {
				t.Errorf("date %v, %v", when, err)
			}
			if id := parsed.Header.Get("Message-Id"); !strings.HasPrefix(id, "<") {
				t.Errorf("message id %q", id)
			}
			if text := body(t, parsed.Header.Get("Content-Transfer-Encoding"), parsed.Body); text != hello.Text {
				t.Errorf("%q", text)
			}
		})
	}
}

// body decodes a part, whose lines end as they do here.
func body(t *testing.T, encoding string, r io.Reader) string {
	t.Helper()
	if encoding != "quoted-printable" {
		t.Fatalf("encoding %q", encoding)
	}
	text, err := io.ReadAll(quotedprintable.NewReader(r))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

func TestSendsTextAndHTML(t *testing.T) {
	t.Parallel()
	office := open(t, smtp.None, false)
	mailer := office.mailer(t, func(c *smtp.Config) { c.TLS, c.User, c.Password = smtp.None, "", "" })
	msg := hello
	msg.HTML = "<p>Öffne <a href='https://app.example.com/?a=1&amp;b=2'>dies</a></p>"
	for _, m := range []accounts.Message{msg, {To: msg.To, Subject: "only HTML", HTML: msg.HTML}} {
		if err := mailer.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	got := office.got()
	if len(got) != 2 || got[0].encrypted {
		t.Fatalf("%d letters", len(got))
	}
	parsed, err := mail.ReadMessage(bytes.NewReader(got[0].data))
	if err != nil {
		t.Fatal(err)
	}
	kind, parameters, err := mime.ParseMediaType(parsed.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%q, %v", kind, err)
	}
	parts := multipart.NewReader(parsed.Body, parameters["boundary"])
	for _, want := range []struct{ kind, text string }{{"text/plain", msg.Text}, {"text/html", msg.HTML}} {
		part, err := parts.NextRawPart()
		if err != nil {
			t.Fatal(err)
		}
		text := body(t, part.Header.Get("Content-Transfer-Encoding"), part)
		if !strings.HasPrefix(part.Header.Get("Content-Type"), want.kind) || strings.TrimRight(text, "\n") != strings.TrimRight(want.text, "\n") {
			t.Errorf("%v: %q", part.Header, text)
		}
	}
	if parsed, err = mail.ReadMessage(bytes.NewReader(got[1].data)); err != nil || !strings.HasPrefix(parsed.Header.Get("Content-Type"), "text/html") {
		t.Errorf("%v, %v", parsed.Header, err)
	}
}

func TestRefusesInjection(t *testing.T) {
	t.Parallel()
	office := open(t, smtp.StartTLS, true)
	mailer := office.mailer(t, func(*smtp.Config) {})
	for _, msg := range []accounts.Message{
		{To: "alice@example.com\r\nBcc: eve@example.com", Subject: "s", Text: "t"},
		{To: "alice@example.com\nRCPT TO:<eve@example.com>", Subject: "s", Text: "t"},
		{To: "alice@example.com, eve@example.com", Subject: "s", Text: "t"},
		{To: "Alice <alice@example.com>", Subject: "s", Text: "t"},
		{To: "alice@example.com>\x00", Subject: "s", Text: "t"},
		{To: "group: alice@example.com;", Subject: "s", Text: "t"},
		{To: "", Subject: "s", Text: "t"},
		{To: "alice", Subject: "s", Text: "t"},
		{To: "alice@example.com", Subject: "s\r\nBcc: eve@example.com", Text: "t"},
		{To: "alice@example.com", Subject: "s\rBcc: eve@example.com", Text: "t"},
		{To: "alice@example.com", Subject: "s\n\nanother body", Text: "t"},
		{To: "alice@example.com", Subject: "empty"},
	} {
		if err := mailer.Send(t.Context(), msg); err == nil {
			t.Errorf("%q was sent", msg)
		}
	}
	if got := office.got(); len(got) != 0 {
		t.Errorf("%d letters arrived", len(got))
	}
	// What looks like the end of the mail, and commands after it, are text.
	text := "first\r\n.\r\nMAIL FROM:<eve@example.com>\r\n.\n\rlast\n"
	if err := mailer.Send(t.Context(), accounts.Message{To: hello.To, Subject: "s", Text: text}); err != nil {
		t.Fatal(err)
	}
	if got := office.got(); len(got) != 1 || !bytes.Contains(got[0].data, []byte("last")) {
		t.Errorf("%d letters: want one, whole", len(got))
	}
}

func TestNothingLeavesWithoutTrust(t *testing.T) {
	t.Parallel()
	secure, plain := open(t, smtp.StartTLS, true), open(t, smtp.None, false)
	for name, mailer := range map[string]*smtp.Mailer{
		"wrong password":      secure.mailer(t, func(c *smtp.Config) { c.Password = "wrong horse" }),
		"unknown certificate": secure.mailer(t, func(c *smtp.Config) { c.TLSConfig = nil }),
		"another name":        secure.mailer(t, func(c *smtp.Config) { c.TLSConfig.ServerName = "mail.example.org" }),
		"no STARTTLS":         plain.mailer(t, func(*smtp.Config) {}),
		"no TLS at all":       plain.mailer(t, func(c *smtp.Config) { c.TLS, c.Timeout = smtp.Implicit, 5*time.Second }),
		"not signed in":       secure.mailer(t, func(c *smtp.Config) { c.User, c.Password = "", "" }),
	} {
		err := mailer.Send(t.Context(), hello)
		if err == nil || strings.Contains(err.Error(), "horse") || strings.Contains(err.Error(), "app.example.com") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(secure.got()) + len(plain.got()); n != 0 {
		t.Errorf("%d letters arrived", n)
	}
	secure.mu.Lock()
	secure.refusal = &server.SMTPError{Code: 550, EnhancedCode: server.EnhancedCode{5, 1, 1}, Message: "nobody of that name"}
	secure.mu.Unlock()
	if err := secure.mailer(t, func(*smtp.Config) {}).Send(t.Context(), hello); err == nil || !strings.Contains(err.Error(), "nobody of that name") {
		t.Errorf("%v: want the server's reason", err)
	}
}

func TestSendsAtOnce(t *testing.T) {
	t.Parallel()
	office := open(t, smtp.StartTLS, true)
	mailer := office.mailer(t, func(*smtp.Config) {})
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if err := mailer.Send(t.Context(), hello); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := len(office.got()); n != 10 {
		t.Errorf("%d letters: want 10", n)
	}
}

// A server that stops talking after each of its lines, and one that sends them drop by drop.
func TestSilentServersEndByTimeout(t *testing.T) {
	t.Parallel()
	lines := []string{"220 here\r\n", "250 hello\r\n", "250 sender\r\n", "250 recipient\r\n", "354 go on\r\n", "250 taken\r\n"}
	for said := range len(lines) {
		t.Run("after "+strings.TrimSpace(strings.Join(lines[:said], "")), func(t *testing.T) {
			t.Parallel()
			address := talk(t, func(conn net.Conn, next func()) {
				for _, line := range lines[:said] {
					io.WriteString(conn, line) //nolint:errcheck // the client goes when its time has come
					next()
				}
			})
			mailer := plainMailer(t, address, 300*time.Millisecond)
			begin := time.Now()
			err := mailer.Send(t.Context(), hello)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 5*time.Second {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
		})
	}
	t.Run("drop by drop", func(t *testing.T) {
		t.Parallel()
		address := talk(t, func(conn net.Conn, _ func()) {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				if _, err := io.WriteString(conn, "220-wait\r\n"); err != nil {
					return
				}
			}
		})
		if err := plainMailer(t, address, 300*time.Millisecond).Send(t.Context(), hello); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
	t.Run("the caller gives up", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		address := talk(t, func(net.Conn, func()) { cancel() })
		if err := plainMailer(t, address, time.Minute).Send(ctx, hello); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
	t.Run("dead", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		if err := plainMailer(t, listener.Addr().String(), time.Minute).Send(t.Context(), hello); err == nil {
			t.Error("a mail went to nobody")
		}
	})
}

// A server that hangs up once it has taken the mail has taken it: sending it again would make two of it.
func TestTakenIsTaken(t *testing.T) {
	t.Parallel()
	address := talk(t, func(conn net.Conn, next func()) {
		for _, line := range []string{"220 here\r\n", "250 hello\r\n", "250 sender\r\n", "250 recipient\r\n", "354 go on\r\n"} {
			io.WriteString(conn, line) //nolint:errcheck // the test would see it
			next()
		}
		io.WriteString(conn, "250 taken\r\n") //nolint:errcheck // likewise
		conn.Close()                          //nolint:errcheck // likewise
	})
	if err := plainMailer(t, address, 5*time.Second).Send(t.Context(), hello); err != nil {
		t.Error(err)
	}
}

func plainMailer(t *testing.T, address string, timeout time.Duration) *smtp.Mailer {
	t.Helper()
	host, port := split(t, address)
	m, err := smtp.New(smtp.Config{Host: host, Port: port, TLS: smtp.None, From: from, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// talk serves one connection by a script; next waits until the client has said something. The connection stays open
// until the client closes it.
func talk(t *testing.T, script func(conn net.Conn, next func())) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close() //nolint:errcheck // the script may have closed it
		script(conn, func() {
			conn.Read(make([]byte, 1<<16)) //nolint:errcheck // an error ends the script's writes as well
		})
		io.Copy(io.Discard, conn) //nolint:errcheck // until the client goes
	}()
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return listener.Addr().String()
}

func TestConfigNamesEachMistake(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*smtp.Config){
		"Host":           func(c *smtp.Config) { c.Host = "smtp.example.com:587" },
		`Host ""`:        func(c *smtp.Config) { c.Host = "" },
		"Port 70000":     func(c *smtp.Config) { c.Port = 70_000 },
		"TLS 7":          func(c *smtp.Config) { c.TLS = 7; c.Port = 25 },
		`From ""`:        func(c *smtp.Config) { c.From = "" },
		"From":           func(c *smtp.Config) { c.From = "a@b.c\r\nBcc: d@e.f" },
		"set both":       func(c *smtp.Config) { c.Password = "" },
		"needs TLS":      func(c *smtp.Config) { c.TLS = smtp.None },
		"Timeout -1ns: ": func(c *smtp.Config) { c.Timeout = -1 },
	} {
		c := smtp.Config{Host: "smtp.example.com", User: user, Password: password, From: from}
		if _, err := smtp.New(c); err != nil {
			t.Fatal(err)
		}
		change(&c)
		_, err := smtp.New(c)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), password) {
			t.Errorf("%v: want %q", err, want)
		}
	}
}
