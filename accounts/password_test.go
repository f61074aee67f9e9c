package accounts_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
)

func TestForgottenPassword(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		c := b.user("ada@example.com")
		b.browser().post("/auth/forgot", m{"email": "ADA@example.com"}).want(http.StatusAccepted)
		one := b.mails.token(t, "ada@example.com")
		b.browser().post("/auth/forgot", m{"email": "ada@example.com"}).want(http.StatusAccepted)
		two := b.mails.token(t, "ada@example.com")
		b.browser().post("/auth/reset", m{"token": two, "password": "short"}).problem(http.StatusUnprocessableEntity, "invalid")
		b.browser().post("/auth/reset", m{"token": two, "password": "ada@example.com"}).problem(http.StatusUnprocessableEntity, "invalid")
		c.me()
		b.browser().post("/auth/reset", m{"token": two, "password": second}).want(http.StatusNoContent)
		b.mails.next(t, "ada@example.com") // tells of the change
		c.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		for _, token := range []string{one, two, "", "x", strings.Repeat("A", 49)} {
			b.browser().post("/auth/reset", m{"token": token, "password": first}).problem(http.StatusUnprocessableEntity, "invalid")
		}
		b.browser().post("/auth/login", m{"email": "ada@example.com", "password": first}).problem(http.StatusUnauthorized, "unauthenticated")
		b.login("ada@example.com", second)
		b.mails.none(t)
	})
}

// TestTokenIsUsedOnce: of many at a time one is right.
func TestTokenIsUsedOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		other := start(t, target, options{clock: b.clock, mails: b.mails})
		b.register("ada@example.com", first)
		b.browser().post("/auth/forgot", m{"email": "ada@example.com"}).want(http.StatusAccepted)
		token := b.mails.token(t, "ada@example.com")
		var wait sync.WaitGroup
		statuses := make(chan int, 8)
		for i := range cap(statuses) {
			wait.Go(func() {
				statuses <- []*bed{b, other}[i%2].browser().post("/auth/reset", m{"token": token, "password": second}).status
			})
		}
		wait.Wait()
		close(statuses)
		found := map[int]int{}
		for status := range statuses {
			found[status]++
		}
		if found[http.StatusNoContent] != 1 || found[http.StatusUnprocessableEntity] != 7 {
			t.Errorf("statuses %v", found)
		}
	})
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		c := b.user("ada@example.com")
		other := b.login("ada@example.com", first)
		b.browser().post("/auth/forgot", m{"email": "ada@example.com"}).want(http.StatusAccepted)
		forgot := b.mails.token(t, "ada@example.com")
		b.browser().post("/auth/password", m{"current": first, "password": second}).problem(http.StatusUnauthorized, "unauthenticated")
		c.post("/auth/password", m{"current": "wrong", "password": second}).problem(http.StatusForbidden, "permission")
		c.post("/auth/password", m{"current": first, "password": "password1234"}).problem(http.StatusUnprocessableEntity, "invalid")
		c.post("/auth/password", m{"current": first}).problem(http.StatusUnprocessableEntity, "invalid")
		other.me()
		c.post("/auth/password", m{"current": first, "password": second}).want(http.StatusNoContent)
		b.mails.next(t, "ada@example.com")
		c.me()
		other.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		b.browser().post("/auth/reset", m{"token": forgot, "password": first}).problem(http.StatusUnprocessableEntity, "invalid")
		b.login("ada@example.com", second)
	})
}

// TestNoSessionSurvivesItsPassword: sign-ins race with the change of the password that they prove.
func TestNoSessionSurvivesItsPassword(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		c := b.user("ada@example.com")
		var wait sync.WaitGroup
		clients := make([]*client, 6)
		for i := range clients {
			clients[i] = b.browser()
			wait.Go(func() { clients[i].post("/auth/login", m{"email": "ada@example.com", "password": first}) })
		}
		wait.Go(func() {
			c.post("/auth/password", m{"current": first, "password": second}).want(http.StatusNoContent)
		})
		wait.Wait()
		for _, old := range clients {
			old.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		}
		c.me()
	})
}

func TestChangeEmail(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		b.register("bob@example.com", first)
		c := b.user("ada@example.com")
		b.browser().post("/auth/email", m{"email": "new@example.com", "password": first}).problem(http.StatusUnauthorized, "unauthenticated")
		c.post("/auth/email", m{"email": "new@example.com", "password": "wrong"}).problem(http.StatusForbidden, "permission")
		c.post("/auth/email", m{"email": "not one", "password": first}).problem(http.StatusUnprocessableEntity, "invalid")
		// An address of somebody else's: its owner is asked, and has to say no.
		free := c.post("/auth/email", m{"email": "new@example.com", "password": first}).want(http.StatusAccepted)
		taken := c.post("/auth/email", m{"email": "bob@example.com", "password": first}).want(http.StatusAccepted)
		if same(free) != same(taken) {
			t.Errorf("%q and %q", free.body, taken.body)
		}
		right, wrong := b.mails.token(t, "new@example.com"), b.mails.token(t, "bob@example.com")
		c.post("/auth/email/confirm", m{"token": wrong}).problem(http.StatusConflict, "conflict")
		b.browser().post("/auth/forgot", m{"email": "ada@example.com"}).want(http.StatusAccepted)
		forgot := b.mails.token(t, "ada@example.com")
		b.browser().post("/auth/email/confirm", m{"token": right}).want(http.StatusNoContent)
		b.mails.next(t, "ada@example.com") // the old address is told
		b.browser().post("/auth/email/confirm", m{"token": right}).problem(http.StatusUnprocessableEntity, "invalid")
		// Whoever has the old mailbox has the account no more.
		b.browser().post("/auth/reset", m{"token": forgot, "password": second}).problem(http.StatusUnprocessableEntity, "invalid")
		if got := c.me().Email; got != "new@example.com" {
			t.Errorf("the address is %s", got)
		}
		b.login("new@example.com", first)
		b.browser().post("/auth/login", m{"email": "ada@example.com", "password": first}).problem(http.StatusUnauthorized, "unauthenticated")
	})
}

func TestDeleteAccount(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		c := b.user("ada@example.com")
		key := decode[struct{ Key string }](c.post("/auth/keys", m{"name": "ci"}).want(http.StatusCreated)).Key
		b.browser().do(http.MethodDelete, "/auth/me", m{"password": first}).problem(http.StatusUnauthorized, "unauthenticated")
		c.do(http.MethodDelete, "/auth/me", m{"password": "wrong"}).problem(http.StatusForbidden, "permission")
		c.do(http.MethodDelete, "/auth/me", nil).problem(http.StatusBadRequest, "malformed")
		c.do(http.MethodDelete, "/auth/me", m{"password": first}).want(http.StatusNoContent)
		c.get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		b.program(key).get("/auth/me").problem(http.StatusUnauthorized, "unauthenticated")
		db := raw(t, target)
		for _, table := range []string{"members", "auth_sessions", "auth_keys", "auth_tickets"} {
			if n := count(t, db, table); n != 0 {
				t.Errorf("%d rows are left in %s", n, table)
			}
		}
		b.register("ada@example.com", second)
	})
}
