package clients

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// chromium is a browser without a window. The DevTools protocol is spoken over a pair of pipes: JSON, each message ended
// by NUL. The browser ends with them.
type chromium struct {
	t     *testing.T
	input *os.File
	gone  chan struct{} // closed when the browser's pipe has ended

	mu      sync.Mutex
	last    int
	waiting map[int]chan devtoolsMessage
	pages   map[string]*page // by session
}

// page is a tab with cookies of its own.
type page struct {
	browser *chromium
	session string
	loaded  chan struct{}
	report  func(line string) // what window.report is called with
}

type devtoolsMessage struct {
	ID        int             `json:"id"`
	SessionID string          `json:"sessionId"`
	Method    string          `json:"method"`
	Params    json.RawMessage `json:"params"`
	Result    json.RawMessage `json:"result"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error"`
}

func startChromium(t *testing.T) *chromium {
	t.Helper()
	theirInput, input := pipe(t)
	output, theirOutput := pipe(t)
	command := exec.Command(find(t, "chromium", "google-chrome"), "--headless", "--remote-debugging-pipe",
		"--user-data-dir="+t.TempDir(), "--no-sandbox", // it sees pages of this test only, and may be root's
		"--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions", "--disable-component-update",
		"--disable-background-networking", "--disable-sync", "--no-first-run", "--no-proxy-server",
		// No tab is in front of the others.
		"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
		"about:blank")
	command.ExtraFiles = []*os.File{theirInput, theirOutput}
	command.Stderr = logFile(t, "chromium.log")
	b := &chromium{
		t: t, input: input, gone: make(chan struct{}),
		waiting: map[int]chan devtoolsMessage{}, pages: map[string]*page{},
	}
	process := launch(t, command)
	for _, theirs := range command.ExtraFiles {
		if err := theirs.Close(); err != nil {
			t.Fatal(err)
		}
	}
	go b.receive(output)
	t.Cleanup(func() {
		b.call(context.WithoutCancel(t.Context()), t, "", "Browser.close", nil, nil)
		<-process.ended
		<-b.gone
	})
	return b
}

// pipe makes a pipe that the test's end closes, where it is still open.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = r.Close(), w.Close() // one end was the browser's, and is closed
	})
	return r, w
}

// receive hands on what the browser says.
func (b *chromium) receive(output *os.File) {
	defer close(b.gone)
	for r := bufio.NewReaderSize(output, 64<<10); ; {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m devtoolsMessage
		if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
			b.t.Errorf("Chromium sent %q: %v", text, err)
			return
		}
		b.mu.Lock()
		answer, p := b.waiting[m.ID], b.pages[m.SessionID]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		switch {
		case m.ID != 0:
			if answer != nil {
				answer <- m
			}
		case p != nil:
			p.event(m)
		}
	}
}

func (p *page) event(m devtoolsMessage) {
	switch m.Method {
	case "Page.loadEventFired":
		p.loaded <- struct{}{}
	case "Runtime.exceptionThrown":
		p.browser.t.Errorf("a page threw %s", m.Params)
	case "Runtime.bindingCalled":
		var call struct {
			Payload string `json:"payload"`
		}
		if err := json.Unmarshal(m.Params, &call); err != nil {
			p.browser.t.Errorf("%v: %s", err, m.Params)
			return
		}
		p.report(call.Payload)
	}
}

// call asks for something and waits for the answer.
func (b *chromium) call(ctx context.Context, t *testing.T, session, method string, params map[string]any, result any) {
	t.Helper()
	answer := make(chan devtoolsMessage, 1)
	b.mu.Lock()
	b.last++
	request := map[string]any{"id": b.last, "method": method, "params": params}
	if session != "" {
		request["sessionId"] = session
	}
	b.waiting[b.last] = answer
	text, err := json.Marshal(request)
	if err == nil {
		_, err = b.input.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case m := <-answer:
		if m.Error != nil {
			t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				t.Fatalf("%s: %v: %s", method, err, m.Result)
			}
		}
	case <-b.gone:
		t.Fatalf("%s: Chromium is gone", method)
	case <-ctx.Done():
		t.Fatalf("%s: %v", method, ctx.Err())
	}
}

// open opens a page; what it gives to window.report goes to report.
func (b *chromium) open(t *testing.T, url string, report func(line string)) *page {
	t.Helper()
	var context struct{ BrowserContextID string }
	b.call(t.Context(), t, "", "Target.createBrowserContext", nil, &context)
	var target struct{ TargetID string }
	b.call(t.Context(), t, "", "Target.createTarget",
		map[string]any{"url": "about:blank", "browserContextId": context.BrowserContextID}, &target)
	var attached struct{ SessionID string }
	b.call(t.Context(), t, "", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p := &page{browser: b, session: attached.SessionID, loaded: make(chan struct{}, 1), report: report}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	b.call(t.Context(), t, p.session, "Page.enable", nil, nil)
	b.call(t.Context(), t, p.session, "Runtime.enable", nil, nil)
	b.call(t.Context(), t, p.session, "Runtime.addBinding", map[string]any{"name": "report"}, nil)
	t.Cleanup(func() { p.close(t) })
	p.navigate(t, url)
	return p
}

// navigate shows another page in its place.
func (p *page) navigate(t *testing.T, url string) {
	t.Helper()
	var navigated struct{ ErrorText string }
	p.browser.call(t.Context(), t, p.session, "Page.navigate", map[string]any{"url": url}, &navigated)
	if navigated.ErrorText != "" {
		t.Fatalf("%s: %s", url, navigated.ErrorText)
	}
	select {
	case <-p.loaded:
	case <-time.After(patience):
		t.Fatalf("%s is not loaded", url)
	}
}

// close closes the page with all its connections.
func (p *page) close(t *testing.T) {
	t.Helper()
	b := p.browser
	var target struct {
		TargetInfo struct{ BrowserContextID string }
	}
	ctx := context.WithoutCancel(t.Context())
	b.call(ctx, t, p.session, "Target.getTargetInfo", nil, &target)
	b.call(ctx, t, "", "Target.disposeBrowserContext", map[string]any{"browserContextId": target.TargetInfo.BrowserContextID}, nil)
}

// run runs the body of an async function in the page and returns what it does.
func (p *page) run(t *testing.T, body string, result any) {
	t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	p.browser.call(t.Context(), t, p.session, "Runtime.evaluate", map[string]any{
		"expression": fmt.Sprintf("(async () => {%s})()", body), "awaitPromise": true, "returnByValue": true,
	}, &answer)
	if answer.ExceptionDetails != nil {
		t.Fatalf("%s\nthrew %s", body, answer.ExceptionDetails)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(answer.Result.Value, result); err != nil {
		t.Fatalf("%s\nreturned %s: %v", body, answer.Result.Value, err)
	}
}
