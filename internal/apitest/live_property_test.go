package apitest

import (
	"bufio"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// The tables with random rules are types of their own.
type (
	RedRow   struct{ Content }
	GreenRow struct{ Content }
	BlueRow  struct{ Content }

	// Marker ends a stream: everybody sees it.
	Marker struct {
		ID int64 `json:"id" gorm:"primaryKey;autoIncrement:false"`
	}
)

const colours = 3

func colourName(table int) string { return [colours]string{"redrow", "greenrow", "bluerow"}[table] }
func colourSQL(table int) string {
	return [colours]string{"red_rows", "green_rows", "blue_rows"}[table]
}

// livePatience bounds how long what must come may take.
const livePatience = 30 * time.Second

// TestEventsAreThoseOfTheRules makes random changes of random rows under random rules, and compares what each caller is
// sent with what a second program says: what enters the view is an INSERT, what leaves it a DELETE, what nobody sees nothing.
func TestEventsAreThoseOfTheRules(t *testing.T) {
	// Each check starts a backend; a number that was asked for is kept.
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := flag.Set("rapid.checks", "8"); err != nil {
			t.Fatal(err)
		}
	}
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		rapid.Check(t, func(rt *rapid.T) {
			l := startLive(t, rt, dbtest.New(t, target.Engine))
			defer l.close()
			l.subscribe()
			for range rapid.IntRange(1, 12).Draw(rt, "transactions") {
				l.transaction()
			}
			l.mark()
			for _, v := range l.viewers {
				v.check()
			}
		})
	})
}

// live is a backend with random rules, and what its tables should hold.
type live struct {
	*stage
	rules   [colours]rule
	rows    [colours]map[int64]Content
	viewers []*viewer
}

func startLive(t testing.TB, rt *rapid.T, target dbtest.Target) *live {
	l := &live{}
	for table := range l.rows {
		l.rows[table] = map[int64]Content{}
		l.rules[table] = rules(3).Draw(rt, "rule")
		rt.Logf("%s: %s", colourName(table), l.rules[table].text)
	}
	l.stage = openStage(rt, target, func(c *capebase.Cape) {
		red, green, blue := capebase.Publish[RedRow](c), capebase.Publish[GreenRow](c), capebase.Publish[BlueRow](c)
		red.Allow(policy.Read, l.rules[0].build(&red.Fields.Content))
		green.Allow(policy.Read, l.rules[1].build(&green.Fields.Content))
		blue.Allow(policy.Read, l.rules[2].build(&blue.Fields.Content))
		capebase.Publish[Marker](c).Allow(policy.Read, policy.Anyone())
	})
	return l
}

// subscribe opens the streams: each caller's of all tables, and some of one table with a filter.
func (l *live) subscribe() {
	all := []int{0, 1, 2}
	for _, token := range []string{"", "alice", "bob", "admin", "org1", "orgs", "noorgs", "editor"} {
		l.open(token, all, nil)
	}
	for range 3 {
		f := rapid.SampledFrom(someFilter()).Draw(l.t, "filter")
		token := rapid.SampledFrom([]string{"", "alice", "admin", "orgs"}).Draw(l.t, "token")
		l.open(token, []int{rapid.IntRange(0, colours-1).Draw(l.t, "table")}, &f)
	}
}

// transaction makes a few changes, and keeps them or not.
func (l *live) transaction() {
	tx, err := l.pool.BeginTx(l.ctx, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	var done []func()
	after := l.rows
	for table := range after {
		after[table] = map[int64]Content{}
		for id, c := range l.rows[table] {
			after[table][id] = c
		}
	}
	for range rapid.IntRange(1, 4).Draw(l.t, "changes") {
		done = append(done, l.change(tx, after))
	}
	if rapid.IntRange(0, 4).Draw(l.t, "rollback") == 0 {
		if err := tx.Rollback(); err != nil {
			l.t.Fatal(err)
		}
		return
	}
	if err := tx.Commit(); err != nil {
		l.t.Fatal(err)
	}
	l.rows = after
	for _, tell := range done {
		tell()
	}
}

// change makes a change of one row, and returns what tells the viewers of it.
func (l *live) change(tx *sql.Tx, rows [colours]map[int64]Content) (tell func()) {
	table := rapid.IntRange(0, colours-1).Draw(l.t, "table")
	id := rapid.Int64Range(1, 4).Draw(l.t, "id")
	old, there := rows[table][id]
	c := Content{
		ID: id, Owner: rapid.SampledFrom(someOwner()).Draw(l.t, "owner"), Org: rapid.SampledFrom(someOrg()).Draw(l.t, "org"),
		Grade: rapid.SampledFrom(someGrade()).Draw(l.t, "grade"), Open: rapid.Bool().Draw(l.t, "open"),
		Hint: rapid.SampledFrom(someHint()).Draw(l.t, "hint"),
	}
	var before, after *Content
	switch kind := rapid.IntRange(0, 5).Draw(l.t, "kind"); {
	case !there:
		l.exec(tx, "INSERT INTO %s (id, owner, org, grade, open, hint) VALUES (?, ?, ?, ?, ?, ?)", table, c.ID, c.Owner, c.Org, c.Grade, c.Open, c.Hint)
		after = &c
	case kind == 0:
		l.exec(tx, "DELETE FROM %s WHERE id = ?", table, id)
		before = &old
	case kind == 1: // what no client sees
		hint := c.Hint
		c = old
		c.Hint = hint
		fallthrough
	default:
		l.exec(tx, "UPDATE %s SET owner = ?, org = ?, grade = ?, open = ?, hint = ? WHERE id = ?", table, c.Owner, c.Org, c.Grade, c.Open, c.Hint, id)
		before, after = &old, &c
	}
	if after == nil {
		delete(rows[table], id)
	} else {
		rows[table][id] = *after
	}
	return func() {
		for _, v := range l.viewers {
			v.expect(table, before, after)
		}
	}
}

func (l *live) exec(tx *sql.Tx, query string, table int, args ...any) {
	query = fmt.Sprintf(query, colourSQL(table))
	if l.engine == dbtest.Postgres {
		for n := 1; strings.Contains(query, "?"); n++ {
			query = strings.Replace(query, "?", fmt.Sprintf("$%d", n), 1)
		}
	}
	if _, err := tx.ExecContext(l.ctx, query, args...); err != nil {
		l.t.Fatalf("%s: %v", query, err)
	}
}

// mark ends all streams that show everything.
func (l *live) mark() {
	if _, err := l.pool.ExecContext(l.ctx, "INSERT INTO markers (id) VALUES (1)"); err != nil {
		l.t.Fatal(err)
	}
}

// viewer is a stream of one caller, with what it must be sent.
type viewer struct {
	*live
	name     string
	who      auth.Identity
	tables   []int
	filter   *filtered // nil: all, and the marker
	lines    *bufio.Scanner
	expected []told
}

// told is an event without its time.
type told struct {
	Table   string
	Event   string
	Payload Content
}

func (l *live) open(token string, tables []int, f *filtered) {
	path := "/subscribe?tables=redrow,greenrow,bluerow,marker"
	if f != nil {
		name, value, _ := strings.Cut(f.query, "=")
		path = "/" + colourName(tables[0]) + "/subscribe?" + name + "=" + url.QueryEscape(value)
	}
	r, err := http.NewRequestWithContext(l.ctx, http.MethodGet, l.server.URL+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := l.server.Client().Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		l.t.Fatalf("%s: %s", path, answer.Status)
	}
	v := &viewer{live: l, name: token + " " + path, who: callers()[token], tables: tables, filter: f, lines: bufio.NewScanner(answer.Body)}
	if name, _ := v.next(); name != "ready" {
		l.t.Fatalf("%s: the first event is %q", v.name, name)
	}
	l.viewers = append(l.viewers, v)
}

// next reads an event.
func (v *viewer) next() (name, data string) {
	for v.lines.Scan() {
		line := v.lines.Text()
		if line == "" {
			return name, data
		}
		if value, ok := strings.CutPrefix(line, "event: "); ok {
			name = value
		}
		if value, ok := strings.CutPrefix(line, "data: "); ok {
			data = value
		}
	}
	v.t.Fatalf("%s: the stream ended: %v", v.name, v.lines.Err())
	return "", ""
}

func (v *viewer) sees(table int, c *Content) bool {
	return c != nil && v.rules[table].holds(v.who, c) == yes && (v.filter == nil || v.filter.holds(c))
}

// expect notes what the stream must say of a change.
func (v *viewer) expect(table int, before, after *Content) {
	if v.filter != nil && v.tables[0] != table {
		return
	}
	was, is := v.sees(table, before), v.sees(table, after)
	e := told{Table: colourName(table)}
	switch {
	case is && !was:
		e.Event, e.Payload = "INSERT", *after
	case was && !is:
		e.Event, e.Payload = "DELETE", *before
	case was && !cmp.Equal(visiblePart(*before), visiblePart(*after)):
		e.Event, e.Payload = "UPDATE", *after
	default:
		return
	}
	e.Payload = visiblePart(e.Payload)
	v.expected = append(v.expected, e)
}

func visiblePart(c Content) Content {
	c.Hint = nil
	return c
}

// check reads what was sent. Where there is no marker the events must come, and no others before them.
func (v *viewer) check() {
	var got []told
	for v.filter == nil || len(got) < len(v.expected) {
		name, data := v.next()
		if name != "" {
			v.t.Fatalf("%s: event %q: %s", v.name, name, data)
		}
		if strings.Contains(data, "hint") {
			v.t.Errorf("%s: a hidden column: %s", v.name, data)
		}
		var e told
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			v.t.Fatal(err)
		}
		if e.Table == "marker" {
			break
		}
		got = append(got, e)
	}
	if diff := cmp.Diff(v.expected, got); diff != "" {
		v.t.Errorf("%s: events (-want +got):\n%s", v.name, diff)
	}
}
