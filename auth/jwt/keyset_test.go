package jwt

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pass lets time go by on the bubble's clock, which is not the machine's: nobody waits. Its event is a timer's, the same as
// those of the code under test.
func pass(d time.Duration) { <-time.NewTimer(d).C }

// quiet lets fetches that nobody waits for end.
func quiet() { synctest.Wait() }

func TestKeysAreRotated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, second := makeEd("first"), makeEd("second")
		i := newIssuer(first)
		p := provider(t, i.config())
		claims := claimsOf(map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()})
		old, recent := first.sign(t, claims, nil), second.sign(t, claims, nil)
		expect(t, p, old, accepted)
		expect(t, p, recent, refused) // fetched a moment ago

		i.publish(first, second)
		pass(30 * time.Second)
		expect(t, p, recent, accepted)
		expect(t, p, old, accepted)
		if n := i.count(); n != 2 {
			t.Fatalf("%d fetches: want 2", n)
		}

		// The old key goes: it works until the set is refreshed, and that costs no request any time.
		i.publish(second)
		pass(time.Hour - time.Second)
		expect(t, p, old, accepted)
		pass(time.Second)
		expect(t, p, old, accepted) // begins the refresh
		quiet()
		expect(t, p, old, refused)
		expect(t, p, recent, accepted)
		if n := i.count(); n != 3 {
			t.Errorf("%d fetches: want 3", n)
		}
	})
}

// A key with a known id may be another one after a rotation: the id decides, not the token.
func TestKeyIsReplacedUnderItsID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		before, after := makeEd("key"), makeEd("key")
		i := newIssuer(before)
		p := provider(t, i.config())
		expect(t, p, before.sign(t, claimsOf(nil), nil), accepted)
		i.publish(after)
		pass(time.Hour)
		token := after.sign(t, claimsOf(nil), nil)
		expect(t, p, token, refused) // begins the refresh
		quiet()
		expect(t, p, token, accepted)
		expect(t, p, before.sign(t, claimsOf(nil), nil), refused)
	})
}

func TestUnknownKeysFetchAtMostOnceAnInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(edPair())
		p := provider(t, i.config())
		claims := claimsOf(nil)
		for n := range 600 { // for ten minutes
			expect(t, p, edPair().sign(t, claims, map[string]any{"kid": strings.Repeat("x", n+1)}), refused)
			pass(time.Second)
		}
		if n := i.count(); n != 20 {
			t.Errorf("%d fetches in 600 s: want one each 30 s", n)
		}
	})
}

func TestOutageKeepsTheKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(edPair())
		config := i.config()
		var log bytes.Buffer
		config.Logger = slog.New(slog.NewTextHandler(&log, nil))
		p := provider(t, config)
		token := edPair().sign(t, claimsOf(map[string]any{"exp": time.Now().Add(100 * time.Hour).Unix()}), nil)
		expect(t, p, token, accepted)
		for _, outage := range []func(){
			func() { i.failure = errDown },
			func() { i.failure, i.status = nil, http.StatusInternalServerError },
			func() { i.status, i.document = http.StatusOK, []byte("<html>") },
			func() { i.document = []byte(`{"error":"sorry"}`) },
			func() { i.document = []byte(`{"keys":null}`) },
			func() { i.document = append(keySetOf(), bytes.Repeat([]byte(" "), maxKeySet)...) },
		} {
			i.change(outage)
			before := i.count()
			pass(2 * time.Hour)
			expect(t, p, token, accepted)
			quiet()
			expect(t, p, token, accepted)
			// It may have been signed with a new key: nobody can tell now.
			expect(t, p, edPair().sign(t, claimsOf(nil), map[string]any{"kid": "new"}), unavailable)
			if i.count() != before+1 {
				t.Errorf("%d fetches: want one", i.count()-before)
			}
		}
		if !strings.Contains(log.String(), "could not be fetched") {
			t.Errorf("the log says nothing: %q", log.String())
		}
		i.publish(edPair())
		pass(retry)
		expect(t, p, edPair().sign(t, claimsOf(nil), map[string]any{"kid": "new"}), refused)
	})
}

func TestNothingIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(edPair())
		i.failure = errDown
		p := provider(t, i.config())
		token := edPair().sign(t, claimsOf(nil), nil)
		for range 3 {
			expect(t, p, token, unavailable)
		}
		if n := i.count(); n != 1 {
			t.Errorf("%d fetches: want 1", n)
		}
		expect(t, p, "something", foreign) // others are not concerned
		pass(retry)
		expect(t, p, token, unavailable)
		i.change(func() { i.failure = nil })
		pass(retry)
		expect(t, p, token, accepted)
	})
}

func TestIssuerWithdrawsAllKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(edPair())
		p := provider(t, i.config())
		token := edPair().sign(t, claimsOf(map[string]any{"exp": time.Now().Add(100 * time.Hour).Unix()}), nil)
		expect(t, p, token, accepted)
		i.change(func() { i.document = []byte(`{"keys":[]}`) })
		pass(time.Hour)
		expect(t, p, token, accepted)
		quiet()
		expect(t, p, token, refused)
	})
}

func TestOneFetchServesAllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(edPair())
		i.hold = make(chan struct{})
		p := provider(t, i.config())
		token := edPair().sign(t, claimsOf(nil), nil)

		// A request that gives up does not end the fetch of the others.
		gone, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			r := httptest.NewRequestWithContext(gone, http.MethodGet, "/", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			if id, err := p.Authenticate(r); outcome(id, err) != unavailable {
				t.Errorf("%v, %v", id, err)
			}
		})
		quiet()
		for range 20 {
			group.Go(func() { expect(t, p, token, accepted) })
		}
		quiet()
		leave()
		quiet()
		close(i.hold)
		group.Wait()
		if n := i.count(); n != 1 {
			t.Errorf("%d fetches: want 1", n)
		}
	})
}

func TestSlowIssuerEndsByTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(edPair())
		p := provider(t, i.config())
		token := edPair().sign(t, claimsOf(map[string]any{"exp": time.Now().Add(100 * time.Hour).Unix()}), nil)
		i.hold = make(chan struct{}) // never answers
		begin := time.Now()
		expect(t, p, token, unavailable)
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("it took %v: want the timeout", took)
		}
		i.change(func() { i.hold = nil })
		pass(retry)
		expect(t, p, token, accepted)

		// With known keys a slow refresh delays nobody.
		i.change(func() { i.hold = make(chan struct{}) })
		pass(2 * time.Hour)
		begin = time.Now()
		expect(t, p, token, accepted)
		expect(t, p, token, accepted)
		if took := time.Since(begin); took != 0 {
			t.Errorf("a refresh delayed requests by %v", took)
		}
		pass(10 * time.Second)
		quiet()
	})
}

func TestOverARealServer(t *testing.T) {
	t.Parallel()
	document := keySetOf(jwkOf(ecPair()))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/keys", http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Write(document) //nolint:errcheck // the test would see it
	}))
	defer server.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for _, path := range []string{"/keys", "/away"} {
		p := provider(t, Config{Issuer: testIssuer, Audience: []string{testAudience}, KeySet: server.URL + path})
		expect(t, p, ecPair().sign(t, claimsOf(nil), nil), accepted)
	}
	// A redirect that gives up encryption is not followed.
	secure := httptest.NewTLSServer(http.RedirectHandler(server.URL+"/keys", http.StatusFound))
	defer secure.Close()
	client := secure.Client()
	client.CheckRedirect = stayEncrypted
	defer client.CloseIdleConnections()
	p := provider(t, Config{
		Issuer: testIssuer, Audience: []string{testAudience}, KeySet: secure.URL, Client: client, Logger: slog.New(slog.DiscardHandler),
	})
	expect(t, p, ecPair().sign(t, claimsOf(nil), nil), unavailable)
}
