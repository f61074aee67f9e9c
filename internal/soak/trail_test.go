package soak

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
	"github.com/capebase/capebase/policy"
)

// sessions runs scripts in sessions of CapeBase.
type sessions struct{ pool *plain }

func (s *sessions) execute(ctx context.Context, script *script) outcome {
	return s.pool.execute(auth.Privileged(auth.With(ctx, auth.Identity{ID: "worker"}), "the test"), script)
}

// TestAuditReplays writes in all ways at once: by the routes, in sessions, by other connections and by other processes. The
// audit trail, replayed from its beginning, is what the tables have then, and tells who did what.
func TestAuditReplays(t *testing.T) {
	const scripts = 40
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		cape, err := capebase.Open(engines.Of(target.URL), capebase.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		cape.UseAuth(credentials())
		publish(cape)
		cape.AllowAudit(policy.Role("admin"))
		if err := cape.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(cape)
		t.Cleanup(func() {
			server.Close()
			if err := cape.Close(); err != nil {
				t.Error(err)
			}
		})
		b := &backend{address: strings.TrimPrefix(server.URL, "http://"), client: server.Client()}
		start, shared, totals := seed(t), &sharedKeys{}, newTotals()
		t.Logf("CAPE_SOAK_SEED=%d", start)
		ledger := &ledger{outcomes: map[string]outcome{}, totals: totals}
		isolation := sql.LevelDefault
		if target.Engine != dbtest.SQLite {
			isolation = sql.LevelReadCommitted
		}
		var wait sync.WaitGroup
		for n, name := range []string{"http", "session", "raw", "program"} {
			a := &author{random: rand.New(rand.NewPCG(start, uint64(n))), engine: target.Engine, shared: shared, hold: 1}
			w := &writer{name: name, author: a, ledger: ledger}
			switch name {
			case "http":
				w.executor = &client{backend: b, author: a}
			case "session":
				w.executor = &sessions{&plain{pool: cape.SQL()}}
			case "raw":
				w.executor = &plain{pool: openPool(t, target), isolated: isolation}
			case "program":
				w.executor = &program{target: target, running: map[*exec.Cmd]bool{}}
			}
			wait.Go(func() {
				for i := range scripts {
					s := a.script(fmt.Sprintf("%s-%d", name, i))
					ledger.note(s.tag, w.executor.execute(context.WithoutCancel(t.Context()), s))
				}
			})
		}
		wait.Wait()
		replay(t, cape, b)
	})
}

// replay compares the trail with the tables.
func replay(t *testing.T, cape *capebase.Cape, b *backend) {
	t.Helper()
	rows, by := map[string]string{}, map[string]int{}
	for e, err := range cape.Audit(auth.Privileged(t.Context(), "the test"), capebase.AuditQuery{Ascending: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Resource == "" || e.Event == "GAP" {
			t.Fatalf("%+v", e)
		}
		if e.Event == "refused" {
			continue
		}
		id := e.Resource + " " + e.Key
		if rows[id] != string(e.Before) {
			t.Fatalf("%s: it was %q, and %+v says %s", id, rows[id], e, e.Before)
		}
		rows[id] = string(e.After)
		if e.After == nil {
			delete(rows, id)
		}
		checkActor(t, &e, by)
	}
	for _, name := range []string{"http", "session", "raw", "program"} {
		if by[name] == 0 {
			t.Errorf("nothing of %s is in the trail", name)
		}
	}
	found := 0
	for table := range tables {
		for offset := 0; ; {
			answer, err := b.do(t.Context(), http.MethodGet, fmt.Sprintf("/%s?limit=1000&offset=%d", resourceName(table), offset), "admin", nil)
			if err != nil || answer.status != http.StatusOK {
				t.Fatalf("%v, %v", answer, err)
			}
			var page []json.RawMessage
			if err := json.Unmarshal(answer.body, &page); err != nil {
				t.Fatal(err)
			}
			for _, row := range page {
				key, _, err := parsePayload(table, row)
				if err != nil {
					t.Fatal(err)
				}
				if got := rows[resourceName(table)+" "+key]; got != string(row) {
					t.Fatalf("%s %s: %q by the trail, %s in the table", resourceName(table), key, got, row)
				}
				found++
			}
			if offset += len(page); len(page) == 0 {
				break
			}
		}
	}
	alive := 0
	for _, row := range rows {
		if !strings.Contains(row, `"deleted_at":"`) {
			alive++
		}
	}
	if alive != found || found == 0 {
		t.Errorf("%d rows by the trail, %d in the tables", alive, found)
	}
	t.Logf("%d rows, changes that left their tag: %v", found, by)
}

// checkActor compares who an entry says it was with the tag that the change left, if it did.
func checkActor(t *testing.T, e *capebase.AuditEntry, by map[string]int) {
	t.Helper()
	var before, after struct{ Tx string }
	for doc, into := range map[*json.RawMessage]any{&e.Before: &before, &e.After: &after} {
		if *doc == nil {
			continue
		}
		if err := json.Unmarshal(*doc, into); err != nil {
			t.Fatal(err)
		}
	}
	name, _, _ := strings.Cut(after.Tx, "-")
	if after.Tx == before.Tx || name == "" {
		return
	}
	by[name]++
	right := map[string]bool{
		"http":    !e.Raw && e.Actor.ID != "" && e.Actor.Request != "" && e.Actor.Address != "" && !e.Actor.Privileged,
		"session": !e.Raw && e.Actor.ID == "worker" && e.Actor.Reason == "the test", "raw": e.Raw && e.Actor.ID == "", "program": e.Raw && e.Actor.ID == "",
	}
	if !right[name] {
		t.Errorf("%s: %+v", name, e)
	}
}
