package clients

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/sqlite"
)

// Note is seen by its owner alone.
type Note struct {
	ID      int64  `json:"id"`
	OwnerID string `json:"owner_id" cape:"auth.id"`
	Text    string `json:"text"`
}

// backend is a program whose pages have other origins: one that it knows, and one that it does not.
type backend struct {
	cape            *capebase.Cape
	url             string
	friend, foreign string
	streams         chan connection // each request for a stream
}

// connection is a stream as the server sees it.
type connection struct {
	header http.Header
	at     time.Time
	drop   context.CancelFunc
}

const session = "alices-session"

func startBackend(t *testing.T) *backend {
	t.Helper()
	empty := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>page</title>")) // a page that is not there fails the test
	})
	friend, foreign := httptest.NewServer(empty), httptest.NewServer(empty)
	cape, err := capebase.Open(sqlite.Temp(), capebase.Config{Origins: []string{friend.URL}})
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{cape: cape, friend: friend.URL, foreign: foreign.URL, streams: make(chan connection, 16)}
	cape.UseAuth(auth.Tokens{aliceToken: {ID: alice}}, auth.Func(func(r *http.Request) (auth.Identity, error) {
		if cookie, err := r.Cookie("session"); err == nil && cookie.Value == session {
			return auth.Identity{ID: alice}, nil
		}
		return auth.Identity{}, nil
	}))
	notes := capebase.Publish[Note](cape)
	notes.Allow(policy.All, policy.Owner(&notes.Fields.OwnerID))
	cape.Handle("POST /session", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: session, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}))
	if err := cape.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/subscribe") && r.Method == http.MethodGet {
			ctx, drop := context.WithCancel(r.Context())
			defer drop()
			r = r.WithContext(ctx)
			b.streams <- connection{r.Header.Clone(), time.Now(), drop}
		}
		cape.ServeHTTP(w, r)
	}))
	b.url = server.URL
	t.Cleanup(func() {
		cape.EndStreams()
		for _, s := range []*httptest.Server{server, friend, foreign} {
			s.Close()
		}
		if err := cape.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// write makes a note of alice's.
func (b *backend) write(t *testing.T, text string) {
	t.Helper()
	if _, err := request(t.Context(), http.MethodPost, b.url+"/note", map[string]any{"text": text}, nil); err != nil {
		t.Fatal(err)
	}
}

// connected returns the next stream that is asked for.
func (b *backend) connected(t *testing.T) connection {
	t.Helper()
	select {
	case c := <-b.streams:
		return c
	case <-time.After(patience):
		t.Fatal("no client connects")
		return connection{}
	}
}

// signedIn opens a page that has alice's cookie. Cookies do not know of ports: pages of all origins here have it then.
func (b *backend) signedIn(t *testing.T, browser *chromium, origin string, lines chan string) *page {
	t.Helper()
	p := browser.open(t, b.friend, func(line string) { lines <- line })
	p.run(t, fmt.Sprintf(`await fetch("%s/session", {method: "POST", credentials: "include"})`, b.url), nil)
	p.navigate(t, origin)
	return p
}

// next returns the next line of a page's.
func next(t *testing.T, lines chan string) string {
	t.Helper()
	select {
	case line := <-lines:
		return line
	case <-time.After(patience):
		t.Fatal("the page has nothing to say")
		return ""
	}
}

func expect(t *testing.T, lines chan string, want ...string) {
	t.Helper()
	for _, line := range want {
		if diff := cmp.Diff(line, next(t, lines)); diff != "" {
			t.Fatalf("the page's report (-want +got):\n%s", diff)
		}
	}
}

// TestOrigins follows streams from pages of other origins in Chromium.
func TestOrigins(t *testing.T) {
	t.Parallel()
	browser := startChromium(t)
	for name, test := range map[string]func(*testing.T, *chromium, *backend, chan string){
		"EventSource":         eventSourceOfAFriend,
		"fetch":               fetchOfAFriend,
		"WebSocket":           webSocketOfAFriend,
		"foreign EventSource": eventSourceOfAStranger,
		"foreign WebSocket":   webSocketOfAStranger,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, browser, startBackend(t), make(chan string, 64))
		})
	}
}

// sourceScript reports what an EventSource sees.
const sourceScript = `
	const source = globalThis.source = new EventSource("%s/note/subscribe", {withCredentials: true});
	source.addEventListener("ready", (e) => report("ready " + e.lastEventId));
	source.onmessage = (e) => report(JSON.parse(e.data).payload.text + " " + e.lastEventId);
	source.onerror = () => report(source.readyState === EventSource.CLOSED ? "closed" : "connecting");`

func eventSourceOfAFriend(t *testing.T, browser *chromium, b *backend, lines chan string) {
	page := b.signedIn(t, browser, b.friend, lines)
	page.run(t, fmt.Sprintf(sourceScript, b.url), nil)
	first := b.connected(t)
	if id := first.header.Get("Last-Event-ID"); id != "" {
		t.Errorf("a new EventSource sends Last-Event-ID: %s", id)
	}
	if line := next(t, lines); !strings.HasPrefix(line, "ready ") {
		t.Fatalf("%s, want ready", line)
	}
	b.write(t, "milk")
	_, last, _ := strings.Cut(next(t, lines), " ")
	dropped := time.Now()
	first.drop()
	expect(t, lines, "connecting")
	b.write(t, "bread") // while nobody listens
	second := b.connected(t)
	if got := second.header.Get("Last-Event-ID"); got == "" || got != last {
		t.Errorf("Last-Event-ID: %q, want %q", got, last)
	}
	if got := second.header.Get("Cookie"); got != "session="+session {
		t.Errorf("Cookie: %q", got)
	}
	if got := second.header.Get("Origin"); got != b.friend {
		t.Errorf("Origin: %q", got)
	}
	if waited := second.at.Sub(dropped); waited < time.Second {
		t.Errorf("connected again after %v: clients of a server that is down would storm it", waited)
	}
	expect(t, lines, "ready "+last)
	if line := next(t, lines); !strings.HasPrefix(line, "bread ") {
		t.Errorf("%s, want bread", line)
	}
	page.run(t, "source.close()", nil)
}

// fetchOfAFriend reads a stream with a bearer token and resumes, which browsers ask for permission beforehand.
func fetchOfAFriend(t *testing.T, browser *chromium, b *backend, lines chan string) {
	page := browser.open(t, b.friend, func(line string) { lines <- line })
	const script = `
	const follow = async (last) => {
		const stop = new AbortController(), headers = {Authorization: "Bearer %s", ...last && {"Last-Event-ID": last}};
		const answer = await fetch("%s/note/subscribe", {headers, signal: stop.signal});
		const events = answer.body.pipeThrough(new TextDecoderStream()).getReader();
		let text = "";
		for (;;) {
			const {value, done} = await events.read();
			text += value;
			const change = text.match(/id: (.*)\ndata: (.*"payload".*)\n\n/);
			if (change) { stop.abort(); report(JSON.parse(change[2]).payload.text); return change[1]; }
			if (done) throw new Error(text);
			if (!last && text.includes("ready")) report("ready");
		}
	};
	const last = await follow();
	await new Promise((resume) => { globalThis.resume = resume; });
	await follow(last);`
	page.run(t, fmt.Sprintf("globalThis.done = (async () => {%s})(); done.catch((e) => report(String(e)));", fmt.Sprintf(script, aliceToken, b.url)), nil)
	expect(t, lines, "ready")
	b.write(t, "milk")
	expect(t, lines, "milk")
	b.write(t, "bread")
	page.run(t, "resume()", nil)
	expect(t, lines, "bread")
}

// socketScript reports what a WebSocket sees.
const socketScript = `
	const socket = globalThis.socket = new WebSocket("%s", "capebase.v1");
	socket.onopen = () => { report("open " + socket.protocol); %s };
	socket.onmessage = ({data}) => { const m = JSON.parse(data); report(m.type + " " + (m.payload?.text ?? m.problem?.code ?? "")); };
	socket.onclose = ({code}) => report("closed " + code);`

func (b *backend) socket(path, onopen string) string {
	return fmt.Sprintf(socketScript, strings.Replace(b.url, "http", "ws", 1)+path, onopen)
}

func webSocketOfAFriend(t *testing.T, browser *chromium, b *backend, lines chan string) {
	page := browser.open(t, b.friend, func(line string) { lines <- line })
	const say = `socket.send(JSON.stringify({auth: {token: "%s"}}));`
	page.run(t, b.socket("/note/subscribe?auth=message", fmt.Sprintf(say, "another")), nil)
	expect(t, lines, "open capebase.v1", "problem unauthenticated", "closed 4401")
	page.run(t, b.socket("/note/subscribe?auth=message", fmt.Sprintf(say, aliceToken)), nil)
	expect(t, lines, "open capebase.v1", "ready ")
	b.write(t, "milk")
	expect(t, lines, "change milk")
	b.cape.EndStreams()
	expect(t, lines, "closed 1001")
}

func eventSourceOfAStranger(t *testing.T, browser *chromium, b *backend, lines chan string) {
	page := b.signedIn(t, browser, b.foreign, lines)
	page.run(t, fmt.Sprintf(sourceScript, b.url), nil)
	if c := b.connected(t); c.header.Get("Cookie") == "" {
		t.Error("the browser kept the cookie to itself: this test shows nothing")
	}
	expect(t, lines, "closed")
}

func webSocketOfAStranger(t *testing.T, browser *chromium, b *backend, lines chan string) {
	page := b.signedIn(t, browser, b.foreign, lines)
	page.run(t, b.socket("/note/subscribe", ""), nil)
	if c := b.connected(t); c.header.Get("Cookie") == "" {
		t.Error("the browser kept the cookie to itself: this test shows nothing")
	}
	expect(t, lines, "closed 1006")
	page = b.signedIn(t, browser, b.friend, lines)
	page.run(t, b.socket("/note/subscribe", ""), nil)
	expect(t, lines, "open capebase.v1", "ready ")
}
