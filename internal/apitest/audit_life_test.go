package apitest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm/schema"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/audit"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/sqldriver"
)

// prune removes the journal's entries that are older than an age, as a backend does after the retention.
func prune(t testing.TB, target dbtest.Target, age time.Duration) {
	t.Helper()
	b, err := engines.Of(target.URL).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqldriver.Open(b, sqldriver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // only read and pruned
	m, err := model.Parse(reflect.TypeFor[Paper](), schema.NamingStrategy{}, &sync.Map{})
	if err != nil {
		t.Fatal(err)
	}
	events, err := audit.Model(db.Dialect())
	if err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(db, []*model.Model{m, events}, journal.Options{Retention: age, Fixed: true})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := j.Prune(t.Context()); err != nil || n == 0 {
		t.Fatalf("pruned %d, %v", n, err)
	}
}

// The trail says how far back it reaches, and a cursor of what was pruned is an error. Events go with the rest: nothing of
// them stays in their table.
func TestAuditReachesBack(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, papers)
		admin := a.as("admin")
		privileged := auth.Privileged(t.Context(), "a test")
		for range 3 {
			a.as("alice").post("/paper", `{"title":"old"}`).want(http.StatusCreated)
			if err := a.Record(privileged, capebase.AuditEvent{Kind: "old"}); err != nil {
				t.Fatal(err)
			}
		}
		old := admin.trail("").Entries
		if len(old) != 6 {
			t.Fatalf("%d entries", len(old))
		}
		var rows int
		schema, name := "", "cape_event"
		if target.Engine == dbtest.Postgres {
			schema, name = "cape.", "event"
		}
		if err := a.SQL().QueryRowContext(privileged, "SELECT count(*) FROM "+schema+name).Scan(&rows); err != nil || rows != 0 {
			t.Errorf("%d rows in the table of events, %v", rows, err)
		}
		prune(t, target, time.Nanosecond)
		a.as("alice").post("/paper", `{"title":"new"}`).want(http.StatusCreated)
		page := admin.trail("")
		if len(page.Entries) != 1 || page.Floor == nil || !page.Floor.Equal(page.Entries[0].Time) {
			t.Fatalf("%+v", page)
		}
		for _, order := range []string{"asc", "desc"} {
			e := admin.get("/audit?order="+order+"&after="+old[3].ID).problem(http.StatusBadRequest, "invalid_query", "query.after")
			if !strings.Contains(e.Detail, "reaches back to") {
				t.Errorf("%s", e.Detail)
			}
		}
		for _, err := range a.Audit(privileged, capebase.AuditQuery{After: old[3].ID}) {
			if e := new(capebase.Error); !errors.As(err, &e) || e.Code != "invalid_query" {
				t.Errorf("%v", err)
			}
		}
	})
}

// What was recorded in a transaction is written before Close returns, but not before its transaction has let go.
func TestRecordAtClose(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, papers)
		ctx := auth.With(t.Context(), auth.Identity{ID: "alice"})
		for i := range 100 {
			err := a.Transaction(ctx, func(ctx context.Context) error {
				if err := a.DB(ctx).Exec("DELETE FROM papers").Error; err != nil { // it holds the writer of SQLite
					return err
				}
				events := 1
				if i == 99 {
					events = 1200 // more than are written at once
				}
				for n := i; n < i+events; n++ {
					if err := a.Record(ctx, capebase.AuditEvent{Kind: "counted", Detail: map[string]string{"n": fmt.Sprint(n)}}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			a.refuse(t)
		}
		a.server.Close()
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if err := a.Record(ctx, capebase.AuditEvent{Kind: "late"}); err == nil {
			t.Error("an event was recorded after Close")
		}
		again := start(t, target, papers)
		counted, refused := map[string]int{}, int64(0)
		for e, err := range again.Audit(auth.Privileged(t.Context(), "a test"), capebase.AuditQuery{}) {
			switch {
			case err != nil:
				t.Fatal(err)
			case e.Event == "counted":
				counted[e.Detail["n"]]++
			case e.Event == "refused":
				refused += max(1, e.Count)
			}
		}
		if len(counted) != 1299 || refused != 100 {
			t.Errorf("%d events and %d refusals, want 1299 and 100", len(counted), refused)
		}
		for n, times := range counted {
			if times != 1 {
				t.Errorf("the event %s is there %d times", n, times)
			}
		}
	})
}

// refuse has bob refused.
func (a *app) refuse(t testing.TB) {
	t.Helper()
	a.as("").post("/paper", `{"title":"x"}`).want(http.StatusUnauthorized)
}

// Bounds of time are found without reading everything, wherever they are.
func TestAuditSeeksTimes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		if target.Engine != dbtest.SQLite {
			return // the journal is made older by hand
		}
		a := start(t, target, papers)
		const rows = 6000
		privileged := auth.Privileged(t.Context(), "a test")
		begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for _, statement := range []string{
			fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "+
				"INSERT INTO papers (owner, title, hidden, secret, ordinal) SELECT 'alice', 't', '', '', i FROM n", rows),
			// An entry a minute, up to half an hour out of order.
			fmt.Sprintf("UPDATE cape_journal SET at = %d + 60000 * (seq + (seq * 7919) %% 30)", begin.UnixMilli()),
		} {
			if _, err := raw(t, target).ExecContext(privileged, statement); err != nil {
				t.Fatal(err)
			}
		}
		var all []capebase.AuditEntry
		for e, err := range a.Audit(privileged, capebase.AuditQuery{Ascending: true}) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
		if len(all) != rows {
			t.Fatalf("%d entries", len(all))
		}
		random := rand.New(rand.NewPCG(1, 2))
		for range 40 {
			q := capebase.AuditQuery{Ascending: random.IntN(2) == 0}
			if random.IntN(4) > 0 {
				q.Since = begin.Add(time.Duration(random.IntN(rows)) * time.Minute)
			}
			if random.IntN(4) > 0 {
				q.Until = begin.Add(time.Duration(random.IntN(rows)) * time.Minute)
			}
			want, got := 0, 0
			for _, e := range all {
				if (q.Since.IsZero() || !e.Time.Before(q.Since)) && (q.Until.IsZero() || e.Time.Before(q.Until)) {
					want++
				}
			}
			for _, err := range a.Audit(privileged, q) {
				if err != nil {
					t.Fatal(err)
				}
				got++
			}
			if got != want {
				t.Errorf("%v to %v: %d entries, want %d", q.Since, q.Until, got, want)
			}
		}
		// A page that finds nothing ends all the same, and goes on.
		values := url.Values{"actor": {"nobody"}, "order": {"asc"}}
		for more := true; more; {
			page := a.as("admin").trail("?" + values.Encode())
			if len(page.Entries) != 0 || page.Next != "" && page.Next == values.Get("after") {
				t.Fatalf("%d entries, next %q", len(page.Entries), page.Next)
			}
			more = page.Next != ""
			values.Set("after", page.Next)
		}
	})
}

// raw opens the database beside CapeBase, as any other program does.
func raw(t testing.TB, target dbtest.Target) *sql.DB {
	t.Helper()
	b, err := engines.Of(target.URL).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(b.Writer)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// The table of events is CapeBase's own: it is made by Start, missing without it, and nothing for sessions.
func TestEventsAreCapeBasesOwn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		open := func(mode capebase.Migrate) *capebase.Cape {
			c, err := capebase.Open(engines.Of(target.URL), capebase.Config{Migrate: mode, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
			if err != nil {
				t.Fatal(err)
			}
			papers(c)
			return c
		}
		name := "cape_event"
		if target.Engine == dbtest.Postgres {
			name = "cape.event"
		}
		first := open(capebase.MigrateAll)
		plan, err := first.Plan(t.Context())
		if err != nil || !strings.Contains(strings.Join(plan, "\n"), "CREATE TABLE "+name) {
			t.Errorf("%v, %v", plan, err)
		}
		if err := first.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		alice := auth.With(t.Context(), auth.Identity{ID: "alice"})
		for _, statement := range []string{"SELECT * FROM " + name, "INSERT INTO " + name + " VALUES ('a', 'b')", "DELETE FROM " + name} {
			if _, err := first.SQL().ExecContext(alice, statement); err == nil {
				t.Errorf("%s: it was run", statement)
			}
		}
		// A forged event is one, but says that it is raw, and not who it claims to be.
		forged := `INSERT INTO ` + name + ` VALUES ('x', '{"v":1,"kind":"sign-in","actor":{"id":"root"},"at":"2001-01-01T00:00:00Z"}')`
		if _, err := raw(t, target).ExecContext(t.Context(), forged); err != nil {
			t.Fatal(err)
		}
		for e, err := range first.Audit(auth.Privileged(t.Context(), "a test"), capebase.AuditQuery{Event: "sign-in"}) {
			if err != nil || !e.Raw || e.Actor.ID != "" || e.Time.Year() == 2001 {
				t.Errorf("%+v, %v", e, err)
			}
		}
		last := open(capebase.MigrateAll) // one that runs might install again what is gone
		if err := errors.Join(first.Close(), last.Uninstall(t.Context()), last.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := raw(t, target).ExecContext(t.Context(), "SELECT * FROM "+name); err == nil {
			t.Error("the table is there after Uninstall")
		}
		second := open(capebase.MigrateNone)
		if err := second.Start(t.Context()); err == nil {
			t.Error("Start with MigrateNone succeeded without the tables")
		}
		third := open(capebase.MigrateOwn)
		if err := third.Start(t.Context()); err != nil {
			t.Error(err)
		}
		if err := errors.Join(second.Close(), third.Close()); err != nil {
			t.Error(err)
		}
		if _, err := raw(t, target).ExecContext(t.Context(), "DROP TABLE "+name); err != nil {
			t.Fatal(err)
		}
		fourth := open(capebase.MigrateNone)
		if err := fourth.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "CREATE TABLE "+name) {
			t.Errorf("%v", err)
		}
		if err := fourth.Close(); err != nil {
			t.Error(err)
		}
	})
}
