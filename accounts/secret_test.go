package accounts_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/accounts"
	"github.com/capebase/capebase/internal/dbtest"
)

// TestSecretsStaySecret looks for passwords, tokens, keys and their hashes where they must not be: in any table but the
// columns that are made for the hashes, in the journal at all, in the log, and in answers.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		secrets := []string{first, second}
		keep := func(secret string) string {
			secrets = append(secrets, secret)
			return secret
		}
		var answers strings.Builder
		see := func(a answer) answer {
			answers.WriteString(a.body + "\n")
			return a
		}
		c := b.browser()
		see(c.post("/auth/register", m{"email": "ada@example.com", "password": first})).want(http.StatusAccepted)
		token := keep(b.mails.token(t, "ada@example.com"))
		see(c.post("/auth/verify", m{"token": token[1:]}))
		see(c.post("/auth/verify", m{"token": token})).want(http.StatusNoContent)
		see(c.post("/auth/register", m{"email": "ada@example.com", "password": second})).want(http.StatusAccepted)
		b.mails.next(t, "ada@example.com")
		see(c.post("/auth/login", m{"email": "ada@example.com", "password": "a wrong secret"})).want(http.StatusUnauthorized)
		secrets = append(secrets, "a wrong secret")
		see(c.post("/auth/login", m{"email": "ada@example.com", "password": []string{first}})).want(http.StatusUnprocessableEntity)
		in := see(c.post("/auth/login", m{"email": "ada@example.com", "password": first})).want(http.StatusOK)
		cookie, err := http.ParseSetCookie(in.header.Get("Set-Cookie"))
		if err != nil {
			t.Fatal(err)
		}
		keep(cookie.Value)
		made := decode[key](c.post("/auth/keys", m{"name": "ci"}).want(http.StatusCreated))
		keep(made.Key)
		see(b.program(made.Key).get("/auth/keys")).want(http.StatusOK)
		see(b.program(made.Key + "x").get("/auth/keys")).want(http.StatusUnauthorized)
		see(c.get("/auth/users")).want(http.StatusOK)
		see(c.get("/auth/sessions")).want(http.StatusOK)
		see(b.program("root").get("/auth/users")).want(http.StatusOK)
		see(c.get("/auth/sessions?token_hash=eq." + cookie.Value)).want(http.StatusBadRequest)
		see(c.post("/auth/email", m{"email": "new@example.com", "password": first})).want(http.StatusAccepted)
		see(c.post("/auth/email/confirm", m{"token": keep(b.mails.token(t, "new@example.com"))})).want(http.StatusNoContent)
		b.mails.next(t, "ada@example.com")
		see(c.post("/auth/forgot", m{"email": "new@example.com"})).want(http.StatusAccepted)
		forgot := keep(b.mails.token(t, "new@example.com"))
		db := raw(t, target)
		tables := tables(t, db, target.Engine)
		hashes := []string{}
		for query, n := range map[string]int{
			"SELECT password_hash FROM members": 1, "SELECT token_hash FROM auth_sessions": 1, "SELECT key_hash FROM auth_keys": 1,
			"SELECT token_hash FROM auth_tickets": 2,
		} {
			found := dump(t, db, query)
			if len(found) != n || len(found[0]) < 20 {
				t.Errorf("%s: %q", query, found)
			}
			for _, hash := range found {
				hashes = append(hashes, strings.TrimSuffix(hash, "|"))
			}
		}
		see(c.post("/auth/reset", m{"token": forgot, "password": second})).want(http.StatusNoContent)
		b.mails.next(t, "new@example.com")
		see(b.browser().post("/auth/register", m{"email": "eve@example.com", "password": second})).want(http.StatusAccepted)
		keep(b.mails.token(t, "eve@example.com"))
		if len(tables) < 7 {
			t.Fatalf("tables %v", tables)
		}
		for _, table := range tables {
			for _, row := range dump(t, db, "SELECT * FROM "+table) {
				lookFor(t, "table "+table, row, secrets)
				if strings.HasPrefix(table, "cape") { // a schema on PostgreSQL
					lookFor(t, "table "+table, row, hashes)
					lookFor(t, "table "+table, row, []string{"$argon2id$", "token_hash", "key_hash", "password_hash"})
				}
			}
		}
		lookFor(t, "the log", b.log.String(), append(secrets, hashes...))
		lookFor(t, "the answers", answers.String(), append(secrets, hashes...))
	})
}

func lookFor(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		// A JSON text or a byte column may write it otherwise; its first letters are enough.
		if strings.Contains(text, secret) || strings.Contains(text, secret[:min(len(secret), 30)]) {
			t.Errorf("%s has %q: %.2000s", where, secret, text)
		}
	}
}

// TestExpectedConflictsAreNoErrors: people who register twice, and at once, fill no log.
func TestExpectedConflictsAreNoErrors(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{cape: capebase.Config{SlowQuery: -1}})
		b.register("ada@example.com", first)
		done := make(chan answer, 6)
		for i := range cap(done) {
			go func() {
				done <- b.browser().post("/auth/register", m{"email": []string{"ada@example.com", "eve@example.com"}[i%2], "password": second})
			}()
		}
		for range cap(done) {
			(<-done).want(http.StatusAccepted)
		}
		for _, level := range []string{"level=ERROR", "level=WARN"} {
			if text := b.log.String(); strings.Contains(text, level) {
				t.Errorf("logged:\n%s", text)
			}
		}
	})
}

// TestMailsAreSentLater: neither a slow nor a broken mailer is seen by clients, and mails that wait are sent at the end.
func TestMailsAreSentLater(t *testing.T) {
	t.Parallel()
	sent := make(chan string, 10)
	hold := make(chan struct{})
	target := dbtest.New(t, dbtest.SQLite)
	b := open(t, target, options{failing: true, accounts: accounts.Config{Mailer: mailer(func(msg accounts.Message) {
		<-hold
		sent <- msg.To
		if strings.HasPrefix(msg.To, "panic") {
			panic("the mailer's")
		}
	})}})
	if err := b.cape.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"panic", "ada", "bob"} {
		b.browser().post("/auth/register", m{"email": name + "@example.com", "password": first}).want(http.StatusAccepted)
	}
	closed := make(chan error, 1)
	go func() { closed <- b.cape.Close() }()
	close(hold)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	for _, want := range []string{"panic@example.com", "ada@example.com", "bob@example.com"} {
		select {
		case got := <-sent:
			if got != want {
				t.Errorf("a mail to %s, want %s", got, want)
			}
		default:
			t.Errorf("no mail to %s", want)
		}
	}
	if !strings.Contains(b.log.String(), "sending a mail panicked") {
		t.Error("the panic was not logged")
	}
}
