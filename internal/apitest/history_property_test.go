package apitest

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm/clause"
	"pgregory.net/rapid"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// AmberRow is a row with a history, under a random rule.
type AmberRow struct{ Content }

// TestHistoryIsThatOfTheRules changes rows at random, by requests, sessions and plain SQL, and copies the table now and then.
// What each caller then is told of each row's past is what a second program says: as of each copy's time the copy, and as
// history what a stream would have said; else nothing.
func TestHistoryIsThatOfTheRules(t *testing.T) {
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := flag.Set("rapid.checks", "8"); err != nil {
			t.Fatal(err)
		}
	}
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		rapid.Check(t, func(rt *rapid.T) {
			d := startDiary(rt, dbtest.New(t, target.Engine))
			defer d.close()
			for range rapid.IntRange(10, 30).Draw(rt, "steps") {
				d.step()
				d.copy()
			}
			d.check()
		})
	})
}

// diary is a backend, and what happened to its rows.
type diary struct {
	*stage
	rule   rule
	events []change
	copies []copied
}

// change is of one row; nil is no row.
type change struct{ before, after *Content }

// copied is the table as it was from one time to another.
type copied struct {
	from, to time.Time
	rows     map[int64]Content
}

const diaryRows = 3

func startDiary(rt *rapid.T, target dbtest.Target) *diary {
	d := &diary{rule: rules(3).Draw(rt, "rule")}
	rt.Log(d.rule.text)
	d.stage = openStage(rt, target, func(c *capebase.Cape) {
		amber := capebase.Publish[AmberRow](c, capebase.History())
		amber.Allow(policy.Read, d.rule.build(&amber.Fields.Content))
		amber.Allow(policy.Write, policy.Anyone())
	})
	return d
}

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func (d *diary) rows(q querier) map[int64]Content {
	rows, err := q.QueryContext(d.ctx, "SELECT id, owner, org, grade, open, hint FROM amber_rows")
	if err != nil {
		d.t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // Err tells
	found := map[int64]Content{}
	for rows.Next() {
		var c Content
		if err := rows.Scan(&c.ID, &c.Owner, &c.Org, &c.Grade, &c.Open, &c.Hint); err != nil {
			d.t.Fatal(err)
		}
		found[c.ID] = c
	}
	if err := rows.Err(); err != nil {
		d.t.Fatal(err)
	}
	return found
}

// compare returns what a statement did to the rows; replaced are those that it deleted first.
func compare(before, after map[int64]Content, replaced ...int64) []change {
	var changes []change
	for id := int64(1); id <= diaryRows; id++ {
		old, was := before[id]
		row, is := after[id]
		switch {
		case was && is && slices.Contains(replaced, id):
			changes = append(changes, change{before: &old}, change{after: &row})
		case was && is && !cmp.Equal(old, row):
			changes = append(changes, change{&old, &row})
		case was && !is:
			changes = append(changes, change{before: &old})
		case is && !was:
			changes = append(changes, change{after: &row})
		}
	}
	return changes
}

func (d *diary) content() Content {
	return Content{
		ID: rapid.Int64Range(1, diaryRows).Draw(d.t, "id"), Owner: rapid.SampledFrom(someOwner()).Draw(d.t, "owner"),
		Org: rapid.SampledFrom(someOrg()).Draw(d.t, "org"), Grade: rapid.SampledFrom(someGrade()).Draw(d.t, "grade"),
		Open: rapid.Bool().Draw(d.t, "open"), Hint: rapid.SampledFrom(someHint()).Draw(d.t, "hint"),
	}
}

// step makes some changes.
func (d *diary) step() {
	switch rapid.IntRange(0, 3).Draw(d.t, "by") {
	case 0:
		d.request()
	case 1:
		d.session()
	default:
		d.transaction()
	}
}

// request is a write by a caller, be it refused.
func (d *diary) request() {
	before := d.rows(d.pool)
	c := d.content()
	token := rapid.SampledFrom([]string{"", "alice", "bob", "admin"}).Draw(d.t, "token")
	body := map[string]any{"owner": c.Owner, "org": c.Org, "grade": c.Grade, "open": c.Open}
	method, path := http.MethodPatch, fmt.Sprintf("/amberrow/%d", c.ID)
	switch rapid.IntRange(0, 2).Draw(d.t, "method") {
	case 0:
		method, path, body["id"] = http.MethodPost, "/amberrow", c.ID
	case 1:
		method, body = http.MethodDelete, nil
	}
	var doc []byte
	if body != nil {
		doc, _ = json.Marshal(body) // it cannot fail
	}
	if status, _, answer := d.do(token, method, path, string(doc)); status >= http.StatusInternalServerError {
		d.t.Fatalf("%s %s: %s", method, path, answer)
	}
	d.events = append(d.events, compare(before, d.rows(d.pool))...)
}

// session is a write by the program's own code.
func (d *diary) session() {
	before := d.rows(d.pool)
	c := d.content()
	db := d.cape.DB(auth.Privileged(d.ctx, "a test"))
	var err error
	switch rapid.IntRange(0, 3).Draw(d.t, "kind") {
	case 0:
		err = db.Clauses(clause.OnConflict{UpdateAll: true}).Create(&AmberRow{c}).Error
	case 1:
		err = db.Delete(&AmberRow{}, c.ID).Error
	case 2: // a hidden column alone
		err = db.Model(&AmberRow{}).Where("id = ?", c.ID).Update("hint", c.Hint).Error
	default:
		err = db.Exec("UPDATE amber_rows SET owner = ? WHERE id <= ?", c.Owner, c.ID).Error
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.events = append(d.events, compare(before, d.rows(d.pool))...)
}

// transaction is one of a program that knows nothing of CapeBase. It may come to nothing.
func (d *diary) transaction() {
	tx, err := d.pool.BeginTx(d.ctx, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	var events []change
	for range rapid.IntRange(1, 4).Draw(d.t, "statements") {
		before := d.rows(tx)
		replaced := d.statement(tx, before)
		events = append(events, compare(before, d.rows(tx), replaced...)...)
	}
	if rapid.IntRange(0, 4).Draw(d.t, "rollback") == 0 {
		err, events = tx.Rollback(), nil
	} else {
		err = tx.Commit()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.events = append(d.events, events...)
}

// statement runs one, and returns the rows that it replaces.
func (d *diary) statement(tx *sql.Tx, rows map[int64]Content) (replaced []int64) {
	c := d.content()
	const insert = "INSERT INTO amber_rows (id, owner, org, grade, open, hint) VALUES (?, ?, ?, ?, ?, ?)"
	upsert := insert + " ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, hint = excluded.hint"
	if d.engine == dbtest.MariaDB || d.engine == dbtest.MySQL {
		upsert = insert + " ON DUPLICATE KEY UPDATE owner = VALUES(owner), hint = VALUES(hint)"
	}
	values := []any{c.ID, c.Owner, c.Org, c.Grade, c.Open, c.Hint}
	free := int64(0)
	for id := int64(1); id <= diaryRows; id++ {
		if _, taken := rows[id]; !taken {
			free = id
		}
	}
	switch kind := rapid.IntRange(0, 6).Draw(d.t, "kind"); {
	case kind == 0:
		d.exec(tx, "DELETE FROM amber_rows WHERE id = ?", c.ID)
	case kind == 1 && d.engine != dbtest.Postgres:
		d.exec(tx, strings.Replace(insert, "INSERT", "REPLACE", 1), values...)
		replaced = []int64{c.ID}
	case kind == 2:
		d.exec(tx, "UPDATE amber_rows SET owner = ?, hint = ? WHERE id >= ?", c.Owner, c.Hint, c.ID)
	case kind == 3:
		d.exec(tx, "UPDATE amber_rows SET hint = ? WHERE id = ?", c.Hint, c.ID)
	case kind == 4 && free != 0: // another key
		d.exec(tx, "UPDATE amber_rows SET id = ?, grade = ? WHERE id = ?", free, c.Grade, c.ID)
	default:
		d.exec(tx, upsert, values...)
	}
	return replaced
}

func (d *diary) exec(tx *sql.Tx, query string, args ...any) {
	if d.engine == dbtest.Postgres {
		for n := 1; strings.Contains(query, "?"); n++ {
			query = strings.Replace(query, "?", fmt.Sprintf("$%d", n), 1)
		}
	}
	if _, err := tx.ExecContext(d.ctx, query, args...); err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
}

// clock waits until the database's clock is past a time, and returns it.
func (d *diary) clock(past time.Time) time.Time {
	return databaseClock(d.ctx, d.t, d.engine, d.pool, past)
}

// copy notes the table, with the times between which it was so. Where times are milliseconds, the first may be that of the
// last change, and the next change is in a later one.
func (d *diary) copy() {
	c := copied{from: d.clock(time.Time{}), rows: d.rows(d.pool)}
	c.to = d.clock(c.from).Add(-time.Microsecond)
	d.copies = append(d.copies, c)
}

// check asks everybody about everything.
func (d *diary) check() {
	now := d.rows(d.pool)
	for token, who := range map[string]auth.Identity{"": {}, "alice": callers()["alice"], "bob": callers()["bob"], "admin": callers()["admin"], "orgs": callers()["orgs"]} {
		sees := func(c *Content) bool { return c != nil && d.rule.holds(who, c) == yes }
		for id := int64(1); id <= diaryRows; id++ {
			var current *Content
			if row, there := now[id]; there {
				current = &row
			}
			hidden := current != nil && !sees(current)
			d.checkHistory(token, id, current, hidden, sees)
			for _, c := range d.copies {
				var want *Content
				if row, there := c.rows[id]; there && !hidden && sees(&row) {
					want = &row
				}
				at := rapid.SampledFrom([]time.Time{c.from, c.to}).Draw(d.t, "at")
				d.checkAsOf(token, id, at, want)
			}
		}
	}
}

func (d *diary) checkAsOf(token string, id int64, at time.Time, want *Content) {
	zone := rapid.SampledFrom([]*time.Location{time.UTC, time.FixedZone("", 3600), time.FixedZone("", -7*3600)}).Draw(d.t, "zone")
	path := fmt.Sprintf("/amberrow/%d?as_of=%s", id, url.QueryEscape(at.In(zone).Format(time.RFC3339Nano)))
	status, _, body := d.do(token, http.MethodGet, path, "")
	if want == nil {
		if status != http.StatusNotFound {
			d.t.Errorf("%s as %q: %d %s, want 404", path, token, status, body)
		}
		return
	}
	var got Content
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != http.StatusOK || strings.Contains(body, "hint") {
		d.t.Fatalf("%s as %q: %d %s", path, token, status, body)
	}
	if diff := cmp.Diff(visiblePart(*want), got); diff != "" {
		d.t.Errorf("%s as %q (-want +got):\n%s", path, token, diff)
	}
}

func (d *diary) checkHistory(token string, id int64, current *Content, hidden bool, sees func(*Content) bool) {
	var want []told
	for _, e := range d.events {
		was, is := sees(e.before), sees(e.after)
		switch {
		case e.before != nil && e.before.ID != id, e.after != nil && e.after.ID != id:
		case is && !was:
			want = append(want, told{Event: "INSERT", Payload: visiblePart(*e.after)})
		case was && !is:
			want = append(want, told{Event: "DELETE", Payload: visiblePart(*e.before)})
		case was && !cmp.Equal(visiblePart(*e.before), visiblePart(*e.after)):
			want = append(want, told{Event: "UPDATE", Payload: visiblePart(*e.after)})
		}
	}
	slices.Reverse(want)
	path := fmt.Sprintf("/amberrow/%d/history?limit=%d", id, rapid.SampledFrom([]int{1, 3, 1000}).Draw(d.t, "limit"))
	if hidden || current == nil && len(want) == 0 {
		if status, _, body := d.do(token, http.MethodGet, path, ""); status != http.StatusNotFound {
			d.t.Errorf("%s as %q: %d %s, want 404", path, token, status, body)
		}
		return
	}
	var got []told
	for path != "" {
		status, header, body := d.do(token, http.MethodGet, path, "")
		var page []told
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != http.StatusOK || strings.Contains(body, "hint") {
			d.t.Fatalf("%s as %q: %d %s", path, token, status, body)
		}
		got = append(got, page...)
		path, _, _ = strings.Cut(strings.TrimPrefix(header.Get("Link"), "<"), ">")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("history of %d as %q (-want +got):\n%s", id, token, diff)
	}
	if current != nil && len(got) > 0 {
		if diff := cmp.Diff(visiblePart(*current), got[0].Payload); diff != "" {
			d.t.Errorf("history of %d as %q does not end in the row (-row +newest):\n%s", id, token, diff)
		}
	}
}
