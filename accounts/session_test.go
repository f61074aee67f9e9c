package accounts_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase/accounts"
	"github.com/capebase/capebase/internal/dbtest"
)

// session is a row of GET /auth/sessions.
type session struct {
	ID        string
	UserID    string `json:"user_id"`
	Address   string
	UserAgent string    `json:"user_agent"`
	SeenAt    time.Time `json:"seen_at"`
	ExpiresAt time.Time `json:"expires_at"`
	EndsAt    time.Time `json:"ends_at"`
}

func TestSessions(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		stranger := b.user("bob@example.com")
		b.register("ada@example.com", first)
		c := b.browser()
		c.header.Set("User-Agent", "Lynx \xff"+strings.Repeat("x", 300))
		c.post("/auth/login", m{"email": "ada@example.com", "password": first}).want(http.StatusOK)
		others := []*client{b.login("ada@example.com", first), b.login("ada@example.com", first)}
		answer := c.get("/auth/sessions").want(http.StatusOK)
		rows := decode[[]session](answer)
		if len(rows) != 3 || strings.Contains(answer.body, "hash") {
			t.Fatalf("sessions: %s", answer.body)
		}
		mine := rows[0]
		if mine.ID != c.me().Session || mine.Address != "127.0.0.1" || mine.UserAgent != "Lynx "+strings.Repeat("x", 250) {
			t.Errorf("the first session is %+v", mine)
		}
		stranger.get("/auth/sessions/"+mine.ID).problem(http.StatusNotFound, "not_found")
		stranger.do(http.MethodDelete, "/auth/sessions/"+mine.ID, nil).problem(http.StatusNotFound, "not_found")
		b.browser().get("/auth/sessions/"+mine.ID).problem(http.StatusNotFound, "not_found")
		c.post("/auth/sessions", m{"user_id": c.me().ID}).problem(http.StatusMethodNotAllowed, "method_not_allowed")
		c.do(http.MethodPatch, "/auth/sessions/"+mine.ID, m{"ends_at": "2099-01-01T00:00:00Z"}).problem(http.StatusMethodNotAllowed, "method_not_allowed")
		c.do(http.MethodDelete, "/auth/sessions/"+rows[1].ID, nil).want(http.StatusNoContent)
		others[0].get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		others[1].me()
		b.browser().post("/auth/sessions/revoke-others", nil).problem(http.StatusUnauthorized, "unauthenticated")
		c.post("/auth/sessions/revoke-others", nil).want(http.StatusNoContent)
		others[1].get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		c.me()
		stranger.me()
	})
}

func TestSessionsExpire(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{accounts: accounts.Config{Idle: 100 * time.Hour, Lifetime: 240 * time.Hour}})
		idle := b.user("ada@example.com")
		used := b.login("ada@example.com", first)
		about := func() session {
			return decode[session](used.get("/auth/sessions/" + used.me().Session).want(http.StatusOK))
		}
		before := about()
		b.clock.pass(30 * time.Minute) // less than 1 % of the time
		if got := about(); got != before {
			t.Errorf("a session was written after half an hour: %+v", got)
		}
		b.clock.pass(98 * time.Hour)
		used.me()
		if got := about(); !got.ExpiresAt.Equal(b.clock.now().Add(100*time.Hour)) || !got.SeenAt.Equal(b.clock.now()) {
			t.Errorf("a used session is %+v at %v", got, b.clock.now())
		}
		idle.me()
		idle = b.login("ada@example.com", first)
		b.clock.pass(99 * time.Hour)
		used.me()
		if got := about(); !got.ExpiresAt.Equal(got.EndsAt) {
			t.Errorf("a session lasts longer than its lifetime: %+v", got)
		}
		b.clock.pass(time.Hour)
		idle.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		b.clock.pass(41*time.Hour + 30*time.Minute - time.Second)
		used.me()
		b.clock.pass(time.Second)
		used.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
	})
}

func TestSweep(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		db := raw(t, target)
		c := b.user("ada@example.com")
		bob := b.user("bob@example.com")
		soon := b.clock.now().Add(time.Hour)
		c.post("/auth/keys", m{"name": "short", "expires_at": soon}).want(http.StatusCreated)
		c.post("/auth/keys", m{"name": "for ever"}).want(http.StatusCreated)
		bob.post("/auth/keys", m{"name": "bob's"}).want(http.StatusCreated)
		c.post("/auth/forgot", m{"email": "ada@example.com"}).want(http.StatusAccepted)
		c.post("/auth/login", m{"email": "ada@example.com", "password": second}).want(http.StatusUnauthorized)
		if err := b.SweepOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect := func(what string, want map[string]int) {
			t.Helper()
			for table, n := range want {
				if got := count(t, db, table); got != n {
					t.Errorf("%s: %d rows in %s, want %d", what, got, table, n)
				}
			}
		}
		expect("at first", map[string]int{"auth_sessions": 2, "auth_keys": 3, "auth_tickets": 1})
		execute(t, db, "DELETE FROM members WHERE email = 'bob@example.com'")
		bob.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		b.clock.pass(2 * time.Hour)
		if err := b.SweepOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect("later", map[string]int{"auth_sessions": 1, "auth_keys": 1, "auth_tickets": 0, "auth_counters": 0})
		b.clock.pass(100 * 24 * time.Hour)
		if err := b.SweepOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect("at last", map[string]int{"auth_sessions": 0, "auth_keys": 1, "members": 1})
	})
}

func TestCookie(t *testing.T) {
	t.Parallel()
	b := start(t, dbtest.New(t, dbtest.SQLite), options{accounts: accounts.Config{Cookie: "__Host-session"}})
	b.register("ada@example.com", first)
	c := b.browser()
	in := c.post("/auth/login", m{"email": "ada@example.com", "password": first}).want(http.StatusOK)
	if len(in.header.Values("Set-Cookie")) != 1 {
		t.Fatalf("cookies: %q", in.header.Values("Set-Cookie"))
	}
	cookie, err := http.ParseSetCookie(in.header.Get("Set-Cookie"))
	if err != nil {
		t.Fatal(err)
	}
	if cookie.Name != "__Host-session" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode ||
		cookie.Path != "/" || cookie.Domain != "" || cookie.MaxAge != 90*24*3600 || len(cookie.Value) != len("cape_session_")+43+6 {
		t.Errorf("the cookie is %v", cookie)
	}
	c.me()
	// A new sign-in has a new token, whatever cookie it brings.
	again := c.post("/auth/login", m{"email": "ada@example.com", "password": first}).want(http.StatusOK)
	if again.header.Get("Set-Cookie") == in.header.Get("Set-Cookie") {
		t.Error("two sessions have one token")
	}
	out := c.post("/auth/logout", nil).want(http.StatusNoContent)
	if cookie, err = http.ParseSetCookie(out.header.Get("Set-Cookie")); err != nil || cookie.MaxAge >= 0 || cookie.Value != "" || !cookie.Secure || cookie.Path != "/" {
		t.Errorf("sign-out sets %v, %v", cookie, err)
	}
	c.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
}

// TestStaleCookie: a browser cannot take its cookie away, since scripts do not see it.
func TestStaleCookie(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		c := b.user("ada@example.com")
		execute(t, raw(t, target), "DELETE FROM auth_sessions")
		for _, path := range []string{"/auth/me", "/note", "/auth/sessions", "/auth/users"} {
			c.get(path).problem(http.StatusUnauthorized, "unauthenticated")
		}
		c.post("/auth/keys", m{"name": "x"}).problem(http.StatusUnauthorized, "unauthenticated")
		c.post("/auth/forgot", m{"email": "ada@example.com"}).want(http.StatusAccepted)
		c.post("/auth/reset", m{"token": b.mails.token(t, "ada@example.com"), "password": second}).want(http.StatusNoContent)
		c.post("/auth/register", m{"email": "ada@example.com", "password": first}).want(http.StatusAccepted)
		c.post("/auth/login", m{"email": "ada@example.com", "password": second}).want(http.StatusOK)
		c.me()
		execute(t, raw(t, target), "DELETE FROM auth_sessions")
		c.get("/note").problem(http.StatusUnauthorized, "unauthenticated")
		for _, header := range []http.Header{{"Sec-Fetch-Mode": {"navigate"}}, {"Sec-Fetch-Mode": {"no-cors"}}, {"Accept": {"text/html,*/*"}}} {
			c.header = header // what a page consists of is there for anyone, as anyone
			if got := c.get("/note").want(http.StatusOK).body; got != "[]\n" && got != "[]" {
				t.Errorf("%v: %s", header, got)
			}
		}
		c.header = http.Header{"Sec-Fetch-Mode": {"cors"}}
		c.get("/note").problem(http.StatusUnauthorized, "unauthenticated")
		c.post("/auth/logout", nil).want(http.StatusNoContent)
		c.get("/note").want(http.StatusOK)
		// A cookie of the same name may be another program's.
		c.header.Set("Cookie", "session=eyJhbGciOi")
		c.get("/note").want(http.StatusOK)
		for _, token := range []string{"cape_session_", "cape_session_" + strings.Repeat("A", 49), "cape_key_" + strings.Repeat("A", 49), "other"} {
			b.program(token).get("/note").problem(http.StatusUnauthorized, "unauthenticated")
		}
	})
}

func TestCrossOriginPosts(t *testing.T) {
	t.Parallel()
	b := start(t, dbtest.New(t, dbtest.SQLite), options{})
	c := b.user("ada@example.com")
	for _, header := range []http.Header{
		{"Sec-Fetch-Site": {"cross-site"}},
		{"Sec-Fetch-Site": {"same-site"}},
		{"Origin": {"https://evil.example"}},
		{"Origin": {"null"}},
	} {
		c.header = header
		for path, body := range map[string]any{
			"/auth/login":                  m{"email": "ada@example.com", "password": first},
			"/auth/logout":                 nil,
			"/auth/register":               m{"email": "eve@example.com", "password": first},
			"/auth/password":               m{"current": first, "password": second},
			"/auth/keys":                   m{"name": "x"},
			"/auth/sessions/revoke-others": nil,
			"/note":                        m{"text": "x"},
		} {
			c.post(path, body).problem(http.StatusForbidden, "permission")
		}
		c.do(http.MethodDelete, "/auth/me", m{"password": first}).problem(http.StatusForbidden, "permission")
	}
	c.header = http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {b.server.URL}}
	c.post("/auth/keys", m{"name": "x"}).want(http.StatusCreated)
}
