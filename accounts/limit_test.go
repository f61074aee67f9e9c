package accounts_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/accounts"
	"github.com/capebase/capebase/internal/dbtest"
)

// TestAccountLimit: failures are counted for all processes, and many at once are as many.
func TestAccountLimit(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		both := []*bed{b, start(t, target, options{clock: b.clock, mails: b.mails})}
		b.register("ada@example.com", first)
		for _, email := range []string{"ada@example.com", "nobody@example.com"} {
			var wait sync.WaitGroup
			statuses := make(chan int, 16)
			for i := range cap(statuses) {
				wait.Go(func() {
					statuses <- both[i%2].browser().post("/auth/login", m{"email": email, "password": "wrong"}).status
				})
			}
			wait.Wait()
			close(statuses)
			found := map[int]int{}
			for status := range statuses {
				found[status]++
			}
			if found[http.StatusUnauthorized] != 10 || found[http.StatusTooManyRequests] != 6 {
				t.Errorf("%s: statuses %v", email, found)
			}
		}
		refused := b.browser().post("/auth/login", m{"email": "ada@example.com", "password": first}).problem(http.StatusTooManyRequests, "rate_limited")
		if seconds, err := strconv.Atoi(refused.header.Get("Retry-After")); err != nil || seconds != 15*60 {
			t.Errorf("Retry-After %q", refused.header.Get("Retry-After"))
		}
		b.clock.pass(15 * time.Minute)
		for range 3 { // successes do not count, and end the count of failures
			for range 9 {
				both[1].browser().post("/auth/login", m{"email": "ada@example.com", "password": "wrong"}).want(http.StatusUnauthorized)
			}
			both[0].login("ada@example.com", first)
		}
	})
}

// TestAddressLimit: one client is refused whatever accounts it names, others are not.
func TestAddressLimit(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{
			accounts: accounts.Config{AddressFailures: 6},
			cape:     capebase.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		})
		b.register("ada@example.com", first)
		from := func(address string) *client {
			c := b.browser()
			c.header.Set("X-Forwarded-For", address)
			return c
		}
		for i := range 6 { // of one network
			from(fmt.Sprintf("2001:db8:1:2::%x", i)).post("/auth/login", m{"email": fmt.Sprintf("x%d@example.com", i), "password": "wrong"}).want(http.StatusUnauthorized)
		}
		c := from("2001:db8:1:2:ffff::1")
		c.post("/auth/login", m{"email": "ada@example.com", "password": first}).problem(http.StatusTooManyRequests, "rate_limited")
		c.post("/auth/reset", m{"token": "x", "password": first}).problem(http.StatusTooManyRequests, "rate_limited")
		c.post("/auth/verify", m{"token": "x"}).problem(http.StatusTooManyRequests, "rate_limited")
		from("2001:db8:1:3::1").post("/auth/login", m{"email": "ada@example.com", "password": first}).want(http.StatusOK)
		// Who signs up is counted apart.
		for i := range 6 {
			from("192.0.2.1").post("/auth/register", m{"email": fmt.Sprintf("x%d@example.com", i), "password": first}).want(http.StatusAccepted)
		}
		from("192.0.2.1").post("/auth/register", m{"email": "x@example.com", "password": first}).problem(http.StatusTooManyRequests, "rate_limited")
		from("192.0.2.1").post("/auth/forgot", m{"email": "ada@example.com"}).problem(http.StatusTooManyRequests, "rate_limited")
		from("192.0.2.1").post("/auth/login", m{"email": "ada@example.com", "password": first}).want(http.StatusOK)
		from("192.0.2.2").post("/auth/forgot", m{"email": "ada@example.com"}).want(http.StatusAccepted)
	})
}

// TestMailLimit: a stranger fills nobody's mailbox.
func TestMailLimit(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := start(t, target, options{})
		b.register("ada@example.com", first) // is a mail, too
		for range 8 {
			b.browser().post("/auth/forgot", m{"email": "ada@example.com"}).want(http.StatusAccepted)
		}
		b.browser().post("/auth/register", m{"email": "ada@example.com", "password": first}).want(http.StatusAccepted)
		b.browser().post("/auth/forgot", m{"email": "nobody@example.com"}).want(http.StatusAccepted)
		b.browser().post("/auth/register", m{"email": "last@example.com", "password": first}).want(http.StatusAccepted)
		for range 4 {
			b.mails.token(t, "ada@example.com")
		}
		b.mails.token(t, "last@example.com")
		b.clock.pass(15 * time.Minute)
		b.browser().post("/auth/forgot", m{"email": "ada@example.com"}).want(http.StatusAccepted)
		b.mails.token(t, "ada@example.com")
	})
}

// TestHashesAreBounded: who waits too long is told to come again.
func TestHashesAreBounded(t *testing.T) {
	t.Parallel()
	b := start(t, dbtest.New(t, dbtest.SQLite), options{failing: true, accounts: accounts.Config{
		AccountFailures: 1000, AddressFailures: 1000, Hash: accounts.Hash{Memory: 64 << 10, Iterations: 3, Concurrent: 1, Wait: time.Millisecond},
	}})
	var wait sync.WaitGroup
	answers := make([]answer, 8)
	for i := range answers {
		wait.Go(func() {
			answers[i] = b.browser().post("/auth/login", m{"email": "ada@example.com", "password": "wrong"})
		})
	}
	wait.Wait()
	found := map[int]int{}
	for _, a := range answers {
		found[a.status]++
		if a.status == http.StatusServiceUnavailable && a.problem(http.StatusServiceUnavailable, "unavailable").header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if found[http.StatusUnauthorized] == 0 || found[http.StatusServiceUnavailable] == 0 || found[http.StatusUnauthorized]+found[http.StatusServiceUnavailable] != 8 {
		t.Errorf("statuses %v", found)
	}
}
