package audit

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/journal"
)

// TestFoldCountsEach: whatever is folded is counted, once, and takes a bounded number of entries.
func TestFoldCountsEach(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_800_000_000, 0)
		r := NewRecorder(nil, NewTrail(nil, nil), slog.New(slog.DiscardHandler))
		r.now = func() time.Time { return now }
		folded, written, entries, flushes := int64(0), int64(0), 0, 0
		flush := func(last bool) {
			r.due(last)
			for _, d := range r.waiting {
				if d.Count < 1 {
					t.Fatalf("%+v", d)
				}
				written += d.Count
			}
			entries += len(r.waiting)
			r.waiting = nil
		}
		callers := rapid.IntRange(1, 3000).Draw(t, "callers")
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			for i := range rapid.IntRange(0, 4000).Draw(t, "events") {
				r.fold(&document{Kind: "refused", Actor: journal.Actor{ID: fmt.Sprint(i % callers)}})
				folded++
			}
			if n := len(r.folds); n > maxFolds+1 {
				t.Fatalf("%d are told apart", n)
			}
			flush(false)
			flushes++
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
		}
		flush(true)
		if written != folded {
			t.Fatalf("%d of %d events were written", written, folded)
		}
		if most := (flushes + 1) * (maxFolds + 1); entries > most {
			t.Fatalf("%d entries, and at most %d may be", entries, most)
		}
	})
}

// TestFoldWithinAWindow: a flood is two entries a minute.
func TestFoldWithinAWindow(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	r := NewRecorder(nil, NewTrail(nil, nil), slog.New(slog.DiscardHandler))
	r.now = func() time.Time { return now }
	for second := range 10 * 60 {
		for range 100 {
			r.fold(&document{Kind: "refused", Actor: journal.Actor{Address: fmt.Sprintf("2001:db8::%x", second%256+1), Request: fmt.Sprint(second)}})
		}
		r.due(false)
		now = now.Add(time.Second)
	}
	if n := len(r.waiting); n < 10 || n > 12 {
		t.Errorf("%d entries of a flood of ten minutes from one network", n)
	}
	now = now.Add(2 * window)
	r.due(false)
	now = now.Add(2 * window)
	r.due(false)
	if len(r.folds) != 0 {
		t.Errorf("%d folds are left", len(r.folds))
	}
}

// TestFoldByCaller: callers are told apart by what they cannot change as they like.
func TestFoldByCaller(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		a, b journal.Actor
		same bool
	}{
		"another session":                 {journal.Actor{ID: "alice", Session: "1"}, journal.Actor{ID: "alice", Session: "2"}, true},
		"another address of an identity":  {journal.Actor{ID: "alice", Address: "192.0.2.1"}, journal.Actor{ID: "alice", Address: "192.0.2.2"}, true},
		"another agent, another request":  {journal.Actor{UserAgent: "a", Request: "1"}, journal.Actor{UserAgent: "b", Request: "2"}, true},
		"another identity":                {journal.Actor{ID: "alice"}, journal.Actor{ID: "bob"}, false},
		"another address":                 {journal.Actor{Address: "192.0.2.1"}, journal.Actor{Address: "192.0.2.2"}, false},
		"an identity that is an address":  {journal.Actor{ID: "192.0.2.1"}, journal.Actor{Address: "192.0.2.1"}, false},
		"an identity that says it is one": {journal.Actor{ID: "address 192.0.2.1"}, journal.Actor{Address: "192.0.2.1"}, false},
		"another network":                 {journal.Actor{Address: "2001:db8:1::1"}, journal.Actor{Address: "2001:db8:2::1"}, false},
	} {
		a, b := document{Kind: "refused", Actor: test.a}, document{Kind: "refused", Actor: test.b}
		if same := a.identity() == b.identity(); same != test.same {
			t.Errorf("%s: %q and %q", name, a.identity(), b.identity())
		}
	}
}

// TestHarmless: no cell begins as a formula does, and the cell is still in it.
func TestHarmless(t *testing.T) {
	t.Parallel()
	for _, cell := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u200b=1", "\ufeff=1", "＝1", "|x", "%0a=1"} {
		if got := harmless(cell); got != "'"+cell {
			t.Errorf("%q: %q", cell, got)
		}
	}
	for _, cell := range []string{"", "a=b", `{"a":1}`, "2026-01-31T12:00:00Z", "12-abc", "::1", "Mozilla/5.0 (x; +http://example.com)"} {
		if got := harmless(cell); got != cell {
			t.Errorf("%q: %q", cell, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.String().Draw(t, "cell")
		got := harmless(cell)
		if !strings.HasSuffix(got, cell) {
			t.Fatalf("%q: %q", cell, got)
		}
		seen := strings.TrimLeftFunc(got, unicode.IsSpace)
		if seen != "" && strings.ContainsRune("=+-@", rune(seen[0])) {
			t.Fatalf("%q: %q", cell, got)
		}
	})
}

// TestPatient: a client that does not read is given up.
func TestPatient(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p := &patient{w: w, control: http.NewResponseController(w), timeout: 50 * time.Millisecond}
		for part := make([]byte, 64<<10); ; {
			if _, err := p.Write(part); err != nil {
				ended <- err
				return
			}
		}
	}))
	defer server.Close()
	response, err := server.Client().Get(server.URL) //nolint:noctx // the server ends it
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it is not read
	select {
	case err := <-ended:
		if !strings.Contains(err.Error(), errGone.Error()) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it is still written to")
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := journal.Mark{Position: rapid.Int64Range(1, 1<<62).Draw(t, "position"), Nonce: rapid.Uint64().Draw(t, "nonce")}
		if got, ok := parseID(formatID(at)); !ok || got != at {
			t.Fatalf("%+v: %+v, %v", at, got, ok)
		}
		text := rapid.String().Draw(t, "text")
		if got, ok := parseID(text); ok && formatID(got) != text {
			t.Fatalf("%q is %+v", text, got)
		}
	})
}
