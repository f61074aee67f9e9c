package clients

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// TestRestarts restarts examples/todo under load, by SIGKILL and by SIGTERM: each client has each change once, in order.
func TestRestarts(t *testing.T) {
	t.Parallel()
	path := build(t)
	files := writeClients(t)
	browser := startChromium(t)
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		program := startProgram(t, path, target)
		proxy := startProxy(t, program.address, files)
		inPages, inNode := jobs(program.address, proxy)
		followers := newFollowers(slices.Concat(inPages, inNode))
		pages := map[string]*page{}
		for _, j := range inPages {
			url := pageFor(j, proxy)
			if pages[url] == nil {
				pages[url] = browser.open(t, url, followers.take)
			}
			pages[url].run(t, fmt.Sprintf("start(%s, report)", encode(t, j)), nil)
		}
		startNode(t, files, inNode, followers.take)
		followers.wait(t, "all to be connected", func(f *follower) bool { return f.connected == 1 })

		load := startLoad(t, target, "http://"+proxy.documented+"/todo")
		seen := func(mark string) {
			t.Helper()
			if err := load.sql.mark(mark); err != nil {
				t.Fatal(err)
			}
			followers.wait(t, "mark "+mark, func(f *follower) bool { return f.marks[mark] })
		}
		const warm = 100
		followers.wait(t, "some load", func(f *follower) bool { return len(f.changes) >= warm })
		program.kill()
		if target.Engine == dbtest.SQLite { // once is enough for what no database has a part in
			proxy.awaitRefusals(t) // so that no client is spared the 502
		}
		program.start()
		seen("killed")
		program.stop()
		program.start()
		seen("stopped")
		load.end(t)
		followers.wait(t, "the last row", func(f *follower) bool { return f.marks[lastMark] })
		followers.verify(t, load, table(t, program.address))
	})
}

// jobs are the clients of a program.
func jobs(program string, p *proxy) (inPages, inNode []job) {
	const events = "/todo/subscribe"
	subscriptions := map[string]map[string]string{"all": {"table": "todo"}, "open": {"table": "todo", "filter": openFilter}}
	inPages = []job{
		{Name: "Chromium's EventSource", Kind: "EventSource", URL: "http://" + p.documented + events},
		{Name: "Chromium's EventSource, plain proxy", Kind: "followEvents", URL: "http://" + p.plain + events},
		{
			Name: "Chromium's WebSocket", Kind: "followSocket", URL: "ws://" + p.documented + "/subscribe",
			Subscriptions: subscriptions, Token: aliceToken,
		},
	}
	inNode = []job{
		{Name: "eventsource, no proxy", Kind: "EventSource", URL: "http://" + program + events},
		{Name: "eventsource, plain proxy, open", Kind: "followEvents", URL: "http://" + p.plain + events + "?" + openFilter},
		{Name: "ws", Kind: "followSocket", URL: "ws://" + p.documented + "/subscribe", Subscriptions: subscriptions},
	}
	return inPages, inNode
}

// openFilter lets a row leave the view.
const openFilter = "is_complete=is.false"

// pageFor is a page of the origin that the job asks.
func pageFor(j job, p *proxy) string {
	address := p.documented
	if j.Kind == "followEvents" {
		address = p.plain
	}
	return "http://" + address + "/clients/page.html"
}

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// startNode runs the npm clients.
func startNode(t *testing.T, files string, jobs []job, take func(line string)) {
	t.Helper()
	command := exec.Command(find(t, "node"), filepath.Join("..", "..", "tools", "node", "follow.mjs"),
		filepath.Join(files, "clients.mjs"), encode(t, jobs))
	command.Stderr = logFile(t, "node.log")
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, theirs := pipe(t)
	command.Stdout = theirs
	process := launch(t, command)
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			take(lines.Text())
		}
	}()
	t.Cleanup(func() {
		if err := errors.Join(input.Close(), process.wait()); err != nil {
			t.Error(err)
		}
		<-read
	})
}

// load is the writers at work.
type load struct {
	http  *httpWriter
	sql   *sqlWriter
	stop  context.CancelFunc
	group sync.WaitGroup
	errs  [2]error // of the writers, once they have ended
}

func startLoad(t *testing.T, target dbtest.Target, url string) *load {
	t.Helper()
	l := &load{http: &httpWriter{url: url}, sql: startSQLWriter(t, target)}
	ctx, stop := context.WithCancel(t.Context())
	l.stop = stop
	const pace = 20 * time.Millisecond
	l.group.Go(func() { l.errs[0] = l.http.run(ctx, pace) })
	l.group.Go(func() { l.errs[1] = l.sql.run(ctx, 2*pace) })
	t.Cleanup(func() {
		stop()
		l.group.Wait()
	})
	return l
}

// lastMark is written after all else.
const lastMark = "end"

// end returns when all that the writers wrote is committed.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.group.Wait()
	if err := errors.Join(l.errs[0], l.errs[1], l.sql.mark(lastMark), l.sql.end()); err != nil {
		t.Fatal(err)
	}
	if l.http.refused == 0 || len(l.http.written) == 0 || l.sql.inserts == 0 {
		t.Fatalf("there was no load, or nothing failed: %d refused, %d and %d written", l.http.refused, len(l.http.written), l.sql.inserts)
	}
}

// table reads all rows.
func table(t *testing.T, program string) map[int64]todo {
	t.Helper()
	rows := map[int64]todo{}
	for last := int64(-1); ; {
		const limit = 1000
		var page []todo
		url := fmt.Sprintf("http://%s/todo?id=gt.%d&order=id&limit=%d", program, last, limit)
		if _, err := request(t.Context(), http.MethodGet, url, nil, &page); err != nil {
			t.Fatal(err)
		}
		for _, row := range page {
			rows[row.ID], last = row, row.ID
		}
		if len(page) < limit {
			return rows
		}
	}
}
