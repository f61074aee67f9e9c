package soak

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/dbtest"
)

// How much goes on at once.
const (
	writers     = 16
	subscribers = 50
)

// run is a database with its backends, and everybody who uses them.
type run struct {
	t       *testing.T
	target  dbtest.Target
	nodes   []*backend
	totals  *totals
	audit   *audit
	ledger  *ledger
	reader  *reader
	pool    *sql.DB
	program *program
	shared  *sharedKeys
	feeds   []*feed
	seed    uint64

	calm    atomic.Bool
	started chan struct{}

	endWriters, endSubscribers context.CancelFunc
	writing, subscribing       sync.WaitGroup
	moving                     sync.WaitGroup
	version                    int // of the identity that changes; once moving is over
}

// newRun starts so many backends, their subscribers, and then the writers. A strict run has no kills: whatever breaks is a
// fault.
func newRun(t *testing.T, target dbtest.Target, nodes int, strict bool) *run {
	t.Helper()
	r := &run{t: t, target: target, totals: newTotals(), seed: seed(t), started: make(chan struct{})}
	t.Logf("seed %d", r.seed)
	r.ledger = &ledger{outcomes: map[string]outcome{}, totals: r.totals}
	r.audit = &audit{totals: r.totals, strict: strict}
	for n := range nodes {
		r.nodes = append(r.nodes, startNode(t, target, func(launch int, line string) { r.audit.note(process{n, launch}, line) }))
	}
	r.reader = openReader(t, target)
	r.pool = openPool(t, target)
	var ctx context.Context
	ctx, r.endSubscribers = context.WithCancel(context.Background())
	t.Cleanup(func() {
		r.endSubscribers()
		r.subscribing.Wait()
	})
	client := streamClient(0)
	t.Cleanup(client.CloseIdleConnections)
	for n := range subscribers {
		s := r.subscriber(n, client, strict)
		r.subscribing.Go(func() { s.run(ctx) })
	}
	r.await("every subscriber listens", time.Minute, func() error {
		for _, f := range r.feeds {
			if f.at() < 0 {
				return fmt.Errorf("%s does not", f.name)
			}
		}
		return nil
	})
	ctx, r.endWriters = context.WithCancel(context.Background())
	t.Cleanup(func() {
		r.endWriters()
		r.writing.Wait()
	})
	close(r.started)
	r.startWriters(ctx)
	r.moving.Go(func() { r.move(ctx) })
	t.Cleanup(r.moving.Wait)
	return r
}

// move changes the identity that changes, now and then.
func (r *run) move(ctx context.Context) {
	const mean = 3 * time.Second
	random := r.rand(3000)
	for version := 1; ; version = 1 - version {
		wait(ctx, time.Duration(random.Int64N(int64(2*mean))))
		if ctx.Err() != nil {
			return
		}
		r.version = version
		for _, node := range r.nodes {
			node.version.Store(int64(version)) // for a node that is started anew
		}
		for _, node := range r.nodes {
			for {
				answer, err := node.do(context.WithoutCancel(ctx), http.MethodPost, fmt.Sprintf("/identity?version=%d", version), "", nil)
				if err == nil && answer.status == http.StatusOK {
					break
				}
				wait(context.Background(), 20*time.Millisecond) // it was killed
			}
		}
	}
}

func (r *run) rand(stream int) *rand.Rand {
	return rand.New(rand.NewPCG(r.seed, uint64(stream)))
}

// subscriber makes up the nth.
func (r *run) subscriber(n int, client *http.Client, strict bool) *subscriber {
	random := r.rand(n)
	who := identities()
	s := &subscriber{
		nodes: r.nodes, client: client, who: &who[n%len(who)], random: random, totals: r.totals, calm: &r.calm,
		started: r.started, strict: strict, socket: n%4 == 3, slow: n%7 == 5,
	}
	number := 1
	if s.socket && random.IntN(2) == 0 {
		number += 1 + random.IntN(2) // of subscriptions on a socket
	}
	for i := range number {
		f := &feed{who: s.who, totals: r.totals, rows: map[rowID]shown{}, position: -1, snapshot: random.IntN(3) > 0, filter: everything()}
		f.tables = random.Perm(tables)[:1]
		switch {
		case !s.socket && random.IntN(3) == 0:
			f.tables = random.Perm(tables)[:2+random.IntN(2)]
		case random.IntN(3) > 0:
			choices := filters(f.tables[0])
			f.filter = choices[random.IntN(len(choices))]
		}
		f.name = fmt.Sprintf("subscriber %d.%d (%q, tables %v, %s)", n, i, s.who.token, f.tables, f.filter.query)
		s.feeds = append(s.feeds, f)
		r.feeds = append(r.feeds, f)
	}
	return s
}

// startWriters starts all ways to write at once.
func (r *run) startWriters(ctx context.Context) {
	r.shared = &sharedKeys{}
	r.program = &program{target: r.target, running: map[*exec.Cmd]bool{}}
	hold := 100 * time.Millisecond
	if r.target.Engine == dbtest.SQLite {
		hold = 3 * time.Millisecond // everybody waits for an open transaction
	}
	others := openPool(r.t, r.target)
	db := openORM(r.t, r.target.Engine, others)
	postgres := r.target.Engine == dbtest.Postgres
	for n := range writers {
		a := &author{random: r.rand(1000 + n), engine: r.target.Engine, shared: r.shared, hold: hold}
		w := &writer{author: a, ledger: r.ledger, think: 20 * time.Millisecond}
		isolation := sql.LevelDefault
		if n%2 == 1 && r.target.Engine != dbtest.SQLite {
			isolation = sql.LevelReadCommitted
		}
		switch n % 8 {
		case 0, 1:
			w.name, w.executor = "orm", &orm{db}
		case 2, 3:
			w.name, w.executor = "raw", &plain{pool: r.pool, isolated: isolation}
		case 4, 5:
			w.name, w.executor = "prepared", &plain{pool: r.pool, numbered: postgres, prepared: true, isolated: isolation}
		case 6:
			w.name, w.executor = "program", r.program
			w.think *= 4 // a process is dear
		default:
			w.name, w.executor = "http", &client{backend: r.nodes[n/8%len(r.nodes)], author: a}
		}
		w.name = fmt.Sprint(w.name, n)
		r.writing.Go(func() { w.run(ctx) })
	}
}

// await waits for something that must happen soon.
func (r *run) await(what string, limit time.Duration, happened func() error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		err := happened()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			r.t.Fatalf("%s: not within %v: %v\n%s\n%s", what, limit, err, r.totals, strings.Join(r.totals.described(), "\n"))
		}
		wait(ctx, 20*time.Millisecond)
	}
}

// finish lets everybody come to rest and compares all with all.
func (r *run) finish() {
	t := r.t
	t.Helper()
	r.endWriters()
	r.writing.Wait()
	r.moving.Wait()
	r.calm.Store(true)
	postgres := r.target.Engine == dbtest.Postgres
	r.await("the journal has all that the tables have", 30*time.Second, func() error {
		if err := r.reader.read(t.Context()); err != nil {
			return err
		}
		table, err := current(t.Context(), r.pool, postgres)
		if err != nil {
			return err
		}
		if diff := differences(r.reader.final(newTotals()), table); diff != nil {
			return fmt.Errorf("%d differences, such as %s", len(diff), diff[0])
		}
		return nil
	})
	r.reader.final(r.totals)
	r.ledger.verify(r.reader.writes())
	r.await("the consumer has caught up", time.Minute, func() error { return r.audit.verify(r.reader.entries) })
	for _, f := range r.feeds {
		all, present := f.expectAll(r.reader.entries), 0
		if len(all) > 1 {
			present = r.version
		}
		expected := all[present]
		last := int64(0)
		if len(expected) > 0 {
			last = expected[len(expected)-1].position
		}
		r.await(f.name+" has caught up", time.Minute, func() error {
			if at := f.at(); at < last {
				return fmt.Errorf("it is at %d of %d", at, last)
			}
			return nil
		})
		f.verify(all, present)
		r.query(f)
	}
	r.endSubscribers()
	r.subscribing.Wait()
	t.Logf("%s\n%s", r.target.Engine, r.totals)
	for _, fault := range r.totals.described() {
		t.Error(fault)
	}
	if r.totals.committed.Load() == 0 || r.totals.delivered.Load() == 0 {
		t.Error("nothing happened")
	}
}

// query reads what the feed's caller may see by the list routes, and compares it with what the client holds.
func (r *run) query(f *feed) {
	found := map[rowID]shown{}
	s := &subscriber{}
	for _, table := range f.tables {
		path := "/" + resourceName(table) + s.parameters(&feed{tables: []int{table}, filter: f.filter}, "", false)
		for path != "" {
			answer, err := r.nodes[0].do(r.t.Context(), http.MethodGet, path, f.who.token, nil)
			if err != nil {
				r.t.Fatal(err)
			}
			var rows []json.RawMessage
			if err := json.Unmarshal(answer.body, &rows); err != nil || answer.status != http.StatusOK {
				r.t.Fatalf("GET %s: %d %v\n%s", path, answer.status, err, answer.body)
			}
			for _, text := range rows {
				key, shown, err := parsePayload(table, text)
				if err != nil {
					r.t.Fatal(err)
				}
				found[rowID{table, key}] = shown
			}
			path = nextPage(answer.header)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, r := range found {
		if f.rows[id] != r {
			f.fault(&f.totals.wrong, "%v: a query gives %+v, and the client holds %+v", id, r, f.rows[id])
		}
	}
	for id := range f.rows {
		if _, ok := found[id]; !ok {
			f.fault(&f.totals.wrong, "%v: a query does not give it, and the client holds it", id)
		}
	}
}

// nextPage is the path of a list's next page; "" after the last.
func nextPage(h http.Header) string {
	match := regexp.MustCompile(`<([^>]+)>; rel="next"`).FindStringSubmatch(strings.Join(h.Values("Link"), ", "))
	if match == nil {
		return ""
	}
	return match[1]
}
