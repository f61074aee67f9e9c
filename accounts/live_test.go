package accounts_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/capebase/capebase/internal/dbtest"
)

// aSecond is within which a stream must follow its session.
const aSecond = time.Second

// stream is an open stream: what it says, and how it ends.
type stream struct {
	what  string
	lines chan string // closed at its end
}

// await reads until a line has the text, or, without one, until the end.
func (s stream) await(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, open := <-s.lines:
			switch {
			case open && text != "" && strings.Contains(line, text):
				return
			case !open && text == "":
				return
			case !open:
				t.Fatalf("%s ended before %q", s.what, text)
			}
		case <-timeout:
			t.Fatalf("%s: waited for %q", s.what, text)
		}
	}
}

// events opens server-sent events.
func (c *client) events(path string) stream {
	c.t.Helper()
	response := c.send(http.MethodGet, path, nil)
	if response.StatusCode != http.StatusOK {
		c.t.Fatalf("GET %s: %s", path, response.Status)
	}
	s := stream{"events of " + c.server.URL, make(chan string, 1000)}
	go func() {
		defer close(s.lines)
		defer response.Body.Close() //nolint:errcheck // read to its end
		for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
			s.lines <- scanner.Text()
		}
	}()
	return s
}

// socket opens a WebSocket.
func (c *client) socket(t *testing.T, path string) stream {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), c.server.URL+path, &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + c.bearer}}, Subprotocols: []string{"capebase.v1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := stream{"socket of " + c.server.URL, make(chan string, 1000)}
	go func() {
		defer close(s.lines)
		for {
			_, text, err := conn.Read(context.WithoutCancel(t.Context()))
			if err != nil {
				if status := websocket.CloseStatus(err); status != 4401 && status != websocket.StatusGoingAway && !errors.Is(err, io.EOF) {
					t.Errorf("%s ended with %v", s.what, err)
				}
				return
			}
			s.lines <- string(text)
		}
	}()
	return s
}

// bearer signs in and returns a token.
func (b *bed) bearer(email, password string) string {
	b.t.Helper()
	return decode[struct{ Token string }](b.browser().post("/auth/login", m{"email": email, "password": password, "transport": "bearer"}).want(http.StatusOK)).Token
}

// follow opens four streams with a token, two in each process, and waits until they listen.
func follow(t *testing.T, beds []*bed, token string) []stream {
	t.Helper()
	var all []stream
	for _, b := range beds {
		c := b.program(token)
		all = append(all, c.events("/note/subscribe"), c.socket(t, "/note/subscribe"))
	}
	for _, s := range all {
		s.await(t, "ready")
	}
	return all
}

// TestStreamsFollowTheirSession: whatever ends a session, a key or a user, in whichever process or program, ends its
// streams in all processes within a second. A machine that is busy gets another try.
func TestStreamsFollowTheirSession(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		one := start(t, target, options{})
		two := start(t, target, options{clock: one.clock, mails: one.mails})
		db := raw(t, target)
		owner := one.user("ada@example.com")
		id := owner.me().ID
		stays := follow(t, []*bed{one, two}, two.bearer("ada@example.com", first))
		session := func() (token, id string) {
			token = one.bearer("ada@example.com", first)
			return token, one.program(token).me().Session
		}
		for what, end := range map[string]func() (token string, act func()){
			"a route": func() (string, func()) {
				token, id := session()
				return token, func() { owner.do(http.MethodDelete, "/auth/sessions/"+id, nil).want(http.StatusNoContent) }
			},
			"SQL": func() (string, func()) {
				token, id := session()
				return token, func() { execute(t, db, "DELETE FROM auth_sessions WHERE id = '"+id+"'") }
			},
			"sign-out": func() (string, func()) {
				token, _ := session()
				return token, func() { two.program(token).post("/auth/logout", nil).want(http.StatusNoContent) }
			},
			"expiry by SQL": func() (string, func()) {
				token, id := session()
				return token, func() { execute(t, db, "UPDATE auth_sessions SET expires_at = created_at WHERE id = '"+id+"'") }
			},
			"a key's deletion": func() (string, func()) {
				k := owner.key(m{"name": "x"})
				return k.Key, func() { owner.do(http.MethodDelete, "/auth/keys/"+k.ID, nil).want(http.StatusNoContent) }
			},
		} {
			within(t, what, func() time.Duration {
				token, act := end()
				streams := follow(t, []*bed{one, two}, token)
				return ends(t, streams, act)
			})
		}
		for _, s := range stays {
			select {
			case line, open := <-s.lines:
				if !open || strings.Contains(line, "problem") || strings.Contains(line, "reset") {
					t.Errorf("%s: %q, %v", s.what, line, open)
				}
			default:
			}
		}
		password := first
		within(t, "a new password", func() time.Duration {
			token, next := one.bearer("ada@example.com", password), password+"!"
			streams := follow(t, []*bed{one, two}, token)
			elapsed := ends(t, streams, func() {
				owner.post("/auth/password", m{"current": password, "password": next}).want(http.StatusNoContent)
			})
			password = next
			return elapsed
		})
		for _, s := range stays {
			s.await(t, "")
		}
		streams := follow(t, []*bed{one, two}, one.bearer("ada@example.com", password))
		elapsed := ends(t, streams, func() { execute(t, db, "DELETE FROM members WHERE id = '"+id+"'") })
		t.Logf("%-20s %v", "a user's deletion", elapsed)
	})
}

// ends says how long streams take to end.
func ends(t *testing.T, streams []stream, act func()) time.Duration {
	t.Helper()
	act()
	began := time.Now()
	for _, s := range streams {
		s.await(t, "")
	}
	return time.Since(began)
}

func within(t *testing.T, what string, measure func() time.Duration) {
	t.Helper()
	var elapsed time.Duration
	for range 3 {
		if elapsed = measure(); elapsed <= aSecond {
			t.Logf("%-20s %v", what, elapsed)
			return
		}
	}
	t.Errorf("%s takes %v to end the streams", what, elapsed)
}

// TestStreamsFollowRoles: who gets or loses a role sees other rows, on the same stream.
func TestStreamsFollowRoles(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		one := start(t, target, options{})
		two := start(t, target, options{clock: one.clock, mails: one.mails})
		author, reader := one.user("ada@example.com"), one.user("bob@example.com")
		streams := follow(t, []*bed{one, two}, one.bearer("bob@example.com", first))
		change := func(roles ...string) time.Duration {
			one.roles(reader, roles...)
			began := time.Now()
			for _, s := range streams {
				s.await(t, "identity")
			}
			return time.Since(began)
		}
		within(t, "roles", func() time.Duration {
			gained := change("editor")
			author.post("/note", m{"text": "for editors"}).want(http.StatusCreated)
			for _, s := range streams {
				s.await(t, "for editors")
			}
			lost := change()
			author.post("/note", m{"text": "for editors"}).want(http.StatusCreated)
			reader.post("/note", m{"text": "own"}).want(http.StatusCreated)
			for _, s := range streams {
				for line := range s.lines {
					if strings.Contains(line, "own") {
						break
					}
					if strings.Contains(line, "for editors") {
						t.Errorf("%s shows what an editor sees: %s", s.what, line)
					}
				}
			}
			return max(gained, lost)
		})
	})
}
