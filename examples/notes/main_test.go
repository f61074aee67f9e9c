package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/exampletest"
)

// start runs the program and returns its address once it serves.
func start(t *testing.T, proxies ...netip.Prefix) (url string) {
	t.Helper()
	return exampletest.Start(t, func(ctx context.Context, logger *slog.Logger) error {
		return run(ctx, settings{
			address: "127.0.0.1:0", database: "sqlite:" + filepath.Join(t.TempDir(), "notes.db"), proxies: proxies, logger: logger,
		})
	})
}

// call asks as a user of the proxy, "" for none, and returns status and body.
func call(t *testing.T, method, url, user, body string) (status int, answer string) {
	t.Helper()
	r := request(t, t.Context(), method, url, user, body)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func request(t *testing.T, ctx context.Context, method, url, user, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		r.Header.Set(userHeader, user)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// want calls and compares the status.
func want(t *testing.T, status int, method, url, user, body string) string {
	t.Helper()
	got, answer := call(t, method, url, user, body)
	if got != status {
		t.Fatalf("%s %s as %q: %d %s: want %d", method, url, user, got, answer, status)
	}
	return answer
}

// follow opens a stream of notes; next returns what comes: the name of an event, or the text of a note.
func follow(t *testing.T, url, user string) (next func() string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(stop)
	response, err := http.DefaultClient.Do(request(t, ctx, http.MethodGet, url+"/note/subscribe?snapshot=true", user, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() }) //nolint:errcheck // it was only read
	lines := bufio.NewScanner(response.Body)
	event := ""
	return func() string {
		t.Helper()
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				event = value
			case "data":
				if event != "" {
					came := event
					event = ""
					if came == "cursor" {
						continue
					}
					return came
				}
				var change struct{ Payload Note }
				if err := json.Unmarshal([]byte(value), &change); err != nil {
					t.Fatal(err)
				}
				return change.Payload.Text
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}
}

func expect(t *testing.T, next func() string, all ...string) {
	t.Helper()
	for _, one := range all {
		if got := next(); got != one {
			t.Fatalf("%q came: want %q", got, one)
		}
	}
}

func TestTenantsAreApart(t *testing.T) {
	url := start(t, netip.MustParsePrefix("127.0.0.0/8"))
	want(t, 200, "POST", url+"/tenants", "alice", `{"name":"acme"}`)
	want(t, 200, "POST", url+"/tenants", "carol", `{"name":"beta"}`)
	want(t, 409, "POST", url+"/tenants", "mallory", `{"name":"acme"}`)
	want(t, 401, "POST", url+"/tenants", "", `{"name":"gamma"}`)
	want(t, 201, "POST", url+"/note", "alice", `{"tenant":"acme","text":"one"}`)
	want(t, 201, "POST", url+"/note", "carol", `{"tenant":"beta","text":"secret of beta"}`)
	want(t, 403, "POST", url+"/note", "carol", `{"tenant":"acme","text":"from outside"}`)
	want(t, 403, "POST", url+"/membership", "mallory", `{"tenant":"acme","user_id":"mallory","admin":true}`)
	if notes := want(t, 200, "GET", url+"/note", "alice", ""); !strings.Contains(notes, `"one"`) || strings.Contains(notes, "beta") {
		t.Errorf("alice sees %s", notes)
	}
	for _, user := range []string{"mallory", ""} {
		if notes := want(t, 200, "GET", url+"/note", user, ""); strings.TrimSpace(notes) != "[]" {
			t.Errorf("%q sees %s", user, notes)
		}
	}
	want(t, 404, "GET", url+"/tenant", "alice", "")
}

// A change of the membership table acts on a stream that is open.
func TestMembershipActsOnOpenStreams(t *testing.T) {
	url := start(t, netip.MustParsePrefix("127.0.0.0/8"))
	want(t, 200, "POST", url+"/tenants", "alice", `{"name":"acme"}`)
	want(t, 201, "POST", url+"/note", "alice", `{"tenant":"acme","text":"one"}`)

	bob := follow(t, url, "bob")
	expect(t, bob, "ready", "snapshot-end")
	var membership Membership
	if err := json.Unmarshal([]byte(want(t, 201, "POST", url+"/membership", "alice", `{"tenant":"acme","user_id":"bob"}`)), &membership); err != nil {
		t.Fatal(err)
	}
	expect(t, bob, "reset", "one", "snapshot-end")
	want(t, 201, "POST", url+"/note", "alice", `{"tenant":"acme","text":"two"}`)
	expect(t, bob, "two")
	want(t, 403, "POST", url+"/membership", "bob", `{"tenant":"acme","user_id":"mallory"}`)

	id, err := json.Marshal(membership.ID)
	if err != nil {
		t.Fatal(err)
	}
	want(t, 204, "DELETE", url+"/membership/"+string(id), "alice", "")
	expect(t, bob, "reset", "snapshot-end")
	want(t, 201, "POST", url+"/note", "alice", `{"tenant":"acme","text":"three"}`)
	if notes := want(t, 200, "GET", url+"/note", "bob", ""); strings.TrimSpace(notes) != "[]" {
		t.Errorf("bob sees %s", notes)
	}
}

// The header is believed from the proxy's address alone, whatever else the request says.
func TestOnlyTheProxyIsBelieved(t *testing.T) {
	url := start(t, netip.MustParsePrefix("10.0.0.0/8"))
	want(t, 401, "GET", url+"/note", "alice", "")
	r := request(t, t.Context(), http.MethodGet, url+"/note", "alice", "")
	r.Header.Set("X-Forwarded-For", "10.0.0.1")
	r.Header.Set("Forwarded", "for=10.0.0.1")
	r.Header.Set("X-Real-IP", "10.0.0.1")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusUnauthorized {
		t.Errorf("%d, %v: want 401", response.StatusCode, err)
	}
	want(t, 200, "GET", url+"/note", "", "")

	trusting := fromProxy([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")})
	for _, c := range []struct {
		peer   string
		users  []string
		wantID string
	}{
		{"10.1.2.3:4", []string{"alice"}, "alice"},
		{"[::ffff:10.1.2.3]:4", []string{"alice"}, "alice"},
		{"[fd00::1]:4", []string{"alice"}, "alice"},
		{"11.0.0.1:4", []string{"alice"}, ""},
		{"10.1.2.3:4", []string{"alice", "admin"}, ""},
		{"10.1.2.3:4", []string{""}, ""},
		{"@", []string{"alice"}, ""}, // a Unix socket has no address
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{userHeader: c.users}}
		if id, err := trusting(r); id.ID != c.wantID || (err == nil) != (c.wantID != "") {
			t.Errorf("%s %q: %q, %v", c.peer, c.users, id.ID, err)
		}
	}
}

func TestMistakesInSettings(t *testing.T) {
	if _, err := parsePrefixes("10.0.0.0/8, 127.0.0.1"); err == nil {
		t.Error("an address was taken for a network")
	}
	if prefixes, err := parsePrefixes(" 10.0.0.0/8,::1/128, "); err != nil || len(prefixes) != 2 {
		t.Errorf("%v, %v", prefixes, err)
	}
	if err := run(t.Context(), settings{database: "oracle:x"}); err == nil {
		t.Error("an unknown database was taken")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // the test is over
	err = run(t.Context(), settings{
		address: listener.Addr().String(), database: "sqlite:" + filepath.Join(t.TempDir(), "x.db"), logger: slog.New(slog.DiscardHandler),
	})
	if failure := new(net.OpError); !errors.As(err, &failure) {
		t.Errorf("%v: want that the address is in use", err)
	}
}
