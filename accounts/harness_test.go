package accounts_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/accounts"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
	"github.com/capebase/capebase/policy"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// patience bounds what takes a moment on an idle machine.
const patience = 20 * time.Second

// Passwords that are good enough.
const (
	first  = "the first good one"
	second = "a second good one"
)

// Note is seen by its owner and by editors.
type Note struct {
	ID     int64  `json:"id"`
	UserID string `json:"user_id" cape:"auth.id"`
	Text   string `json:"text"`
}

// clock is the time as all processes of a test have it.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Now().UTC().Truncate(time.Microsecond)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// mailbox keeps what was sent.
type mailbox chan accounts.Message

func (m mailbox) Send(_ context.Context, msg accounts.Message) error {
	m <- msg
	return nil
}

// next is the next mail, which must be to an address.
func (m mailbox) next(t testing.TB, to string) accounts.Message {
	t.Helper()
	select {
	case msg := <-m:
		if msg.To != to {
			t.Fatalf("a mail went to %s instead of %s: %s", msg.To, to, msg.Text)
		}
		return msg
	case <-time.After(patience):
		t.Fatalf("no mail to %s", to)
		return accounts.Message{}
	}
}

var tokenLine = regexp.MustCompile(`(?m)^[A-Za-z0-9_-]{49}$`)

// token is the token in the next mail.
func (m mailbox) token(t testing.TB, to string) string {
	t.Helper()
	msg := m.next(t, to)
	token := tokenLine.FindString(msg.Text)
	if token == "" {
		t.Fatalf("no token in %q", msg.Text)
	}
	return token
}

// none fails when a mail waits. Mails are sent in order, so that one which went to somebody else is waited for first.
func (m mailbox) none(t testing.TB) {
	t.Helper()
	select {
	case msg := <-m:
		t.Errorf("a mail to %s: %s", msg.To, msg.Text)
	default:
	}
}

// logs keeps what is logged.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Member is a user with fields of the program's own.
type Member struct {
	accounts.User
	Name  string `json:"name" maxLength:"50"`
	Score int    `json:"score" cape:"readonly"`
}

// bed is a program with accounts on a database.
type bed struct {
	*accounts.Accounts[Member]
	t      testing.TB
	cape   *capebase.Cape
	server *httptest.Server
	mails  mailbox
	clock  *clock
	log    *logs
}

// options change a bed.
type options struct {
	accounts accounts.Config
	cape     capebase.Config
	clock    *clock
	mails    mailbox
	failing  bool // errors are logged, and are no mistake
}

// cheap is a hash that tests can wait for.
func cheap() accounts.Hash { return accounts.Hash{Memory: 64, Iterations: 1} }

func start(t testing.TB, target dbtest.Target, o options) *bed {
	t.Helper()
	b := open(t, target, o)
	if err := b.cape.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	return b
}

// open declares a program without starting it.
func open(t testing.TB, target dbtest.Target, o options) *bed {
	t.Helper()
	b := &bed{t: t, mails: o.mails, clock: o.clock, log: &logs{}}
	if b.clock == nil {
		b.clock = newClock()
	}
	if b.mails == nil {
		b.mails = make(mailbox, 1000)
	}
	logger := slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.cape.Logger, o.accounts.Logger = logger, logger
	var err error
	if b.cape, err = capebase.Open(engines.Of(target.URL), o.cape); err != nil {
		t.Fatal(err)
	}
	if o.accounts.Hash == (accounts.Hash{}) {
		o.accounts.Hash = cheap()
	}
	if o.accounts.Mailer == nil {
		o.accounts.Mailer = b.mails
	}
	o.accounts.Insecure = o.accounts.Cookie == ""
	b.Accounts = accounts.New[Member](b.cape, o.accounts)
	b.SetClock(b.clock.now)
	b.cape.UseAuth(b.Accounts, auth.Tokens{"root": {ID: "root", Roles: []string{"admin"}}})
	notes := capebase.Publish[Note](b.cape)
	notes.Allow(policy.All, policy.Owner(&notes.Fields.UserID))
	notes.Allow(policy.Read, policy.Role("editor"))
	b.server = httptest.NewUnstartedServer(b.cape)
	if o.accounts.Cookie != "" {
		b.server.StartTLS()
	} else {
		b.server.Start()
	}
	t.Cleanup(func() {
		b.cape.EndStreams()
		b.server.Close()
		if err := b.cape.Close(); err != nil {
			t.Error(err)
		}
		if text := b.log.String(); !o.failing && strings.Contains(text, "level=ERROR") {
			t.Errorf("an error was logged:\n%s", text)
		}
	})
	return b
}

// m is a JSON object.
type m map[string]any

// client is a browser, or a program with a bearer token.
type client struct {
	*bed
	http   *http.Client
	bearer string
	header http.Header
}

// browser is a new client that keeps cookies.
func (b *bed) browser() *client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	transport := b.server.Client().Transport
	return &client{bed: b, http: &http.Client{Jar: jar, Transport: transport}, header: http.Header{}}
}

// program is a new client with a bearer token.
func (b *bed) program(token string) *client {
	c := b.browser()
	c.bearer = token
	return c
}

// answer is what came back.
type answer struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   string
}

func (c *client) get(path string) answer            { return c.do(http.MethodGet, path, nil) }
func (c *client) post(path string, body any) answer { return c.do(http.MethodPost, path, body) }

// do sends a request; a body that is a string is sent as it is.
func (c *client) do(method, path string, body any) answer {
	c.t.Helper()
	response := c.send(method, path, body)
	defer response.Body.Close() //nolint:errcheck // it has been read
	data, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{c.t, method + " " + path, response.StatusCode, response.Header, string(data)}
}

func (c *client) send(method, path string, body any) *http.Response {
	c.t.Helper()
	var reader io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(body)
	default:
		doc, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		reader = bytes.NewReader(doc)
	}
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.server.URL+path, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	for name, values := range c.header {
		r.Header[name] = values
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		r.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	response, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	return response
}

// want checks the status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: %d %s, want %d", a.what, a.status, a.body, status)
	}
	return a
}

// problem checks that the answer is a problem with a code.
func (a answer) problem(status int, code string) answer {
	a.t.Helper()
	a.want(status)
	var p struct {
		Status    int
		Code      string
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Status != status || p.Code != code || p.RequestID == "" ||
		a.header.Get("Content-Type") != "application/problem+json" {
		a.t.Fatalf("%s: %s %s, want a problem with the code %s", a.what, a.header.Get("Content-Type"), a.body, code)
	}
	return a
}

// decode reads the answer's JSON.
func decode[T any](a answer) (v T) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		a.t.Fatalf("%s: %v: %s", a.what, err, a.body)
	}
	return v
}

// register makes a confirmed account.
func (b *bed) register(email, password string) {
	b.t.Helper()
	c := b.browser()
	c.post("/auth/register", m{"email": email, "password": password}).want(http.StatusAccepted)
	c.post("/auth/verify", m{"token": b.mails.token(b.t, email)}).want(http.StatusNoContent)
}

// login signs a new browser in.
func (b *bed) login(email, password string) *client {
	b.t.Helper()
	c := b.browser()
	c.post("/auth/login", m{"email": email, "password": password}).want(http.StatusOK)
	return c
}

// user makes a confirmed account and signs in.
func (b *bed) user(email string) *client {
	b.t.Helper()
	b.register(email, first)
	return b.login(email, first)
}

// me is what GET /auth/me says.
type me struct {
	ID            string
	Email         string
	EmailVerified bool `json:"email_verified"`
	Roles         []string
	Session       string
	Credential    string
	ReadOnly      bool `json:"read_only"`
}

func (c *client) me() me {
	c.t.Helper()
	return decode[me](c.get("/auth/me").want(http.StatusOK))
}

// raw opens the database beside CapeBase, as any other program does.
func raw(t testing.TB, target dbtest.Target) *sql.DB {
	t.Helper()
	db, err := engines.Plain(target.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// mailer is a function that sends.
type mailer func(accounts.Message)

func (f mailer) Send(_ context.Context, msg accounts.Message) error {
	f(msg)
	return nil
}
