package apitest

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
	"github.com/capebase/capebase/policy"
)

// Paper has a field of each kind of secrecy.
type Paper struct {
	ID      int64  `json:"id"`
	Owner   string `json:"owner" cape:"auth.id"`
	Title   string `json:"title"`
	Hidden  string `json:"hidden" cape:"hidden"`
	Secret  string `json:"secret" cape:"secret"`
	Ordinal int64  `json:"ordinal" required:"false"`
}

// papers publishes papers that all who are signed in read, and that owners write; admins read the audit trail.
func papers(c *capebase.Cape) {
	r := capebase.Publish[Paper](c)
	r.Allow(policy.Read, policy.SignedIn())
	r.Allow(policy.Write, policy.Owner(&r.Fields.Owner))
	c.AllowAudit(policy.Role("admin"))
}

// trail is an answer of GET /audit.
type trail struct {
	Entries []capebase.AuditEntry `json:"entries"`
	Next    string                `json:"next"`
	Floor   *time.Time            `json:"reaches_back_to"`
}

func (c client) trail(query string) trail {
	c.app.t.Helper()
	var page trail
	c.get("/audit" + query).want(http.StatusOK).decode(&page)
	return page
}

// recorded waits until the trail has entries of a query.
func (c client) recorded(query string, n int) []capebase.AuditEntry {
	c.app.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		page := c.trail(query)
		if len(page.Entries) >= n {
			return page.Entries
		}
		if time.Now().After(deadline) {
			c.app.t.Fatalf("%s: %d entries, want %d", query, len(page.Entries), n)
		}
		<-time.After(50 * time.Millisecond)
	}
}

func events(entries []capebase.AuditEntry) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.Event)
	}
	return strings.Join(all, " ")
}

func TestAudit(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, papers)
		alice, admin := a.as("alice"), a.as("admin")
		alice.with("User-Agent", "a program").with("X-Request-Id", "first").post("/paper", `{"title":"one","ordinal":1}`).want(http.StatusCreated)
		alice.patch("/paper/1", `{"title":"two"}`).want(http.StatusOK)
		if err := a.DB(auth.Privileged(t.Context(), "a repair")).Exec("UPDATE papers SET hidden = 'invisible', secret = 'unspeakable' WHERE id = 1").Error; err != nil {
			t.Fatal(err)
		}
		if err := a.DB(auth.Privileged(t.Context(), "a repair")).Exec("UPDATE papers SET secret = 'unspeakable still' WHERE id = 1").Error; err != nil {
			t.Fatal(err)
		}
		alice.delete("/paper/1").want(http.StatusNoContent)

		page := admin.trail("?resource=paper")
		if got, want := events(page.Entries), "DELETE UPDATE UPDATE UPDATE INSERT"; got != want || page.Next != "" || page.Floor == nil {
			t.Fatalf("%s, next %q, back to %v; want %s", got, page.Next, page.Floor, want)
		}
		up := admin.trail("?order=asc&resource=paper").Entries
		slices.Reverse(up)
		for i := range up {
			if up[i].ID != page.Entries[i].ID {
				t.Errorf("%d: %s ascending, %s descending", i, up[i].ID, page.Entries[i].ID)
			}
		}
		insert, update, hidden, secret := page.Entries[4], page.Entries[3], page.Entries[2], page.Entries[1]
		if insert.Key != "1" || insert.Resource != "paper" || insert.Table != "" || insert.Before != nil ||
			string(insert.After) != `{"id":1,"owner":"alice","title":"one","ordinal":1}` {
			t.Errorf("%+v", insert)
		}
		if by := insert.Actor; by.ID != "alice" || by.UserAgent != "a program" || by.Request != "first" || by.Address == "" || insert.Raw {
			t.Errorf("%+v", insert)
		}
		if !slices.Equal(update.Changed, []string{"title"}) || hidden.Changed != nil || string(hidden.Before) != string(hidden.After) {
			t.Errorf("%+v, %+v", update, hidden)
		}
		if !slices.Equal(secret.Changed, []string{"secret"}) || !secret.Actor.Privileged || secret.Actor.Reason != "a repair" || secret.Raw {
			t.Errorf("%+v", secret)
		}
		if (target.Engine == dbtest.SQLite) != (insert.User == "") {
			t.Errorf("database user %q", insert.User)
		}
		for _, kind := range []string{"json", "csv", "ndjson"} {
			if body := admin.get("/audit?format=" + kind).want(http.StatusOK).Body; strings.Contains(body, "invisible") || strings.Contains(body, "unspeakable") || strings.Contains(body, `"hidden"`) {
				t.Errorf("%s: %s", kind, body)
			}
		}
	})
}

func TestAuditFilters(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, papers)
		admin := a.as("admin")
		for i, who := range []string{"alice", "bob", "alice"} {
			a.as(who).with("X-Request-Id", "r"+string(rune('0'+i))).post("/paper", `[{"title":"a"},{"title":"b"}]`).want(http.StatusCreated)
		}
		all := admin.trail("?order=asc&resource=paper").Entries
		if len(all) != 6 {
			t.Fatalf("%d entries", len(all))
		}
		if all[0].Transaction == "" || all[0].Transaction != all[1].Transaction || all[1].Transaction == all[2].Transaction {
			t.Errorf("transactions %q, %q, %q", all[0].Transaction, all[1].Transaction, all[2].Transaction)
		}
		middle := all[2].Time.Format(time.RFC3339Nano)
		for query, want := range map[string]int{
			"?key=3": 1, "?actor=alice": 4, "?actor=nobody": 0, "?event=INSERT": 6, "?event=UPDATE": 0, "?request=r1": 2,
			"?transaction=" + all[2].Transaction: 2, "?resource=paper&actor=bob&key=4": 1,
			"?resource=paper&limit=4": 4, "?resource=paper&limit=6": 6, "?order=asc&after=" + all[3].ID: 2, "?order=desc&after=" + all[3].ID: 3,
			"?since=" + middle: countFrom(all, all[2].Time), "?until=" + middle: 6 - countFrom(all, all[2].Time),
			"?since=2000-01-01T00:00:00Z&until=2001-01-01T00:00:00Z": 0,
		} {
			if got := len(admin.trail(query).Entries); got != want {
				t.Errorf("%s: %d entries, want %d", query, got, want)
			}
		}
		// Pages, in both directions, are all that one page has.
		for _, order := range []string{"asc", "desc"} {
			var ids []string
			query := "?resource=paper&limit=1&order=" + order
			for next := ""; ; {
				page := admin.trail(query + next)
				for _, e := range page.Entries {
					ids = append(ids, e.ID)
				}
				if page.Next == "" {
					break
				}
				next = "&after=" + page.Next
			}
			if order == "desc" {
				slices.Reverse(ids)
			}
			for i := range all {
				if len(ids) != len(all) || ids[i] != all[i].ID {
					t.Fatalf("%s: %v", order, ids)
				}
			}
		}
	})
}

func countFrom(entries []capebase.AuditEntry, from time.Time) int {
	n := 0
	for _, e := range entries {
		if !e.Time.Before(from) {
			n++
		}
	}
	return n
}

func TestAuditIsClosed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		if target.Engine != dbtest.SQLite {
			return // who may read it is decided before a database is asked
		}
		open := start(t, target, papers)
		open.as("").get("/audit").problem(http.StatusUnauthorized, "unauthenticated")
		open.as("alice").get("/audit").problem(http.StatusForbidden, "permission")
		for query, locations := range map[string][]string{
			"?nonsense=1": {"query.nonsense"}, "?limit=0": {"query.limit"}, "?limit=a&since=now": {"query.limit", "query.since"}, "?order=up": {"query.order"},
			"?resource=none": {"query.resource"}, "?event=insert!": {"query.event"}, "?after=x": {"query.after"}, "?after=999999-1": {"query.after"},
			"?key=": {"query.key"}, "?key=1&key=2": {"query.key"}, "?until=2026-01-01": {"query.until"}, "?format=xml": {"query.format"},
			"?format=csv&resource=none": {"query.resource"},
		} {
			open.as("admin").get("/audit"+query).problem(http.StatusBadRequest, "invalid_query", locations...)
		}
		open.as("admin").with("Accept", "text/html").get("/audit").problem(http.StatusNotAcceptable, "not_acceptable")
		if err := first(open.Audit(auth.With(t.Context(), auth.Identity{ID: "alice"}), capebase.AuditQuery{})); !errors.Is(err, capebase.ErrPermission) {
			t.Errorf("%v, want ErrPermission", err)
		}
		for _, ctx := range []context.Context{
			auth.With(t.Context(), auth.Identity{Roles: []string{"admin"}}), auth.Privileged(t.Context(), "a look"),
		} {
			if err := first(open.Audit(ctx, capebase.AuditQuery{})); err != nil {
				t.Error(err)
			}
		}
		if body := open.as("").get("/openapi.json").want(http.StatusOK).Body; !strings.Contains(body, `"/audit"`) || !strings.Contains(body, "reaches_back_to") {
			t.Error("the document has no /audit")
		}

		closed := start(t, dbtest.New(t, target.Engine), func(c *capebase.Cape) { capebase.Publish[Paper](c) })
		closed.as("admin").get("/audit").problem(http.StatusNotFound, "not_found")
		if err := first(closed.Audit(auth.With(t.Context(), auth.Identity{Roles: []string{"admin"}}), capebase.AuditQuery{})); !errors.Is(err, capebase.ErrPermission) {
			t.Errorf("%v, want ErrPermission", err)
		}
	})
}

// first returns the error of the first that a sequence yields.
func first(entries func(func(capebase.AuditEntry, error) bool)) (err error) {
	entries(func(_ capebase.AuditEntry, e error) bool {
		err = e
		return false
	})
	return err
}

func TestAuditRuleWithoutColumns(t *testing.T) {
	cape, err := capebase.Open(engines.Of(dbtest.New(t, dbtest.SQLite).URL), capebase.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer cape.Close() //nolint:errcheck // it has not started
	r := capebase.Publish[Paper](cape)
	cape.AllowAudit(policy.Role("admin"), policy.Owner(&r.Fields.Owner))
	err = cape.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "AllowAudit") || !strings.Contains(err.Error(), "audit_test.go:") {
		t.Errorf("Start: %v", err)
	}
}

// A refusal is recorded although its transaction was rolled back; equal ones are folded.
func TestAuditOfRefusals(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, papers)
		admin := a.as("admin")
		a.as("alice").post("/paper", `{"title":"hers"}`).want(http.StatusCreated)
		for range 20 {
			a.as("bob").delete("/paper/1").want(http.StatusForbidden)
		}
		a.as("reader").patch("/paper/1", `{"title":"x"}`).want(http.StatusForbidden)
		a.as("").post("/paper", `{"title":"x"}`).want(http.StatusUnauthorized)
		session := auth.With(t.Context(), auth.Identity{ID: "bob"})
		err := a.Transaction(session, func(ctx context.Context) error {
			return a.DB(ctx).Exec("INSERT INTO papers (owner, title, hidden, secret, ordinal) VALUES ('alice', 'x', '', '', 0)").Error
		})
		if !errors.Is(err, capebase.ErrPermission) {
			t.Fatalf("%v, want ErrPermission", err)
		}
		entries := admin.recorded("?event=refused&order=asc", 4)
		found := map[string]capebase.AuditEntry{}
		total := int64(0)
		for _, e := range entries {
			found[e.Actor.ID+" "+e.Detail["route"]+" "+e.Detail["action"]] = e
			if e.Resource != "paper" || e.Raw || e.Before != nil || e.After != nil {
				t.Errorf("%+v", e)
			}
			total += max(e.Count, 1)
		}
		for _, want := range []string{"bob DELETE /paper/{id} ", "alice PATCH /paper/{id} ", " POST /paper ", "bob  create"} {
			if _, ok := found[want]; !ok {
				t.Errorf("%q is not among %v", want, found)
			}
		}
		if e := found[" POST /paper "]; e.Actor.Address == "" || e.Actor.Request == "" {
			t.Errorf("%+v", e)
		}
		if total > 23 {
			t.Errorf("%d refusals, and 23 were", total)
		}
		if n := len(admin.trail("?actor=bob&event=refused").Entries); n > 4 {
			t.Errorf("20 equal refusals are %d entries", n)
		}
		if rows := a.as("alice").get("/paper").values("title"); len(rows) != 1 {
			t.Errorf("papers %v", rows)
		}
	})
}

// What is recorded in a transaction stays when that is rolled back, and what it changed is not in the trail.
func TestRecord(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, papers)
		admin := a.as("admin")
		ctx := auth.With(t.Context(), auth.Identity{ID: "alice", Session: "s1"})
		event := capebase.AuditEvent{Kind: "report-exported", Resource: "paper", Key: "7", Detail: map[string]string{"rows": "3"}}
		if err := a.Record(ctx, event); err != nil {
			t.Fatal(err)
		}
		e := admin.trail("?event=report-exported").Entries
		if len(e) != 1 || e[0].Key != "7" || e[0].Actor.ID != "alice" || e[0].Actor.Session != "s1" || e[0].Detail["rows"] != "3" || e[0].Raw || e[0].Count != 0 {
			t.Fatalf("%+v", e)
		}
		failed := errors.New("it was not to be")
		err := a.Transaction(ctx, func(ctx context.Context) error {
			if err := a.DB(ctx).Exec("INSERT INTO papers (owner, title, hidden, secret, ordinal) VALUES ('alice', 'x', '', '', 0)").Error; err != nil {
				return err
			}
			event.Key = "8"
			if err := a.Record(ctx, event); err != nil {
				return err
			}
			return failed
		})
		if !errors.Is(err, failed) {
			t.Fatal(err)
		}
		admin.recorded("?event=report-exported&key=8", 1)
		if got := admin.trail("?event=INSERT").Entries; len(got) != 0 {
			t.Errorf("%+v", got)
		}
		for _, e := range admin.trail("").Entries {
			if e.Table != "" || e.Event != "report-exported" && e.Event != "refused" {
				t.Errorf("%+v", e)
			}
		}
		for _, bad := range []capebase.AuditEvent{
			{}, {Kind: "INSERT"}, {Kind: "a", Resource: "none"}, {Kind: "a", Key: "\x00"}, {Kind: "a", Detail: map[string]string{"x": strings.Repeat("y", 9000)}},
		} {
			if err := a.Record(ctx, bad); err == nil {
				t.Errorf("%+v was recorded", bad)
			}
		}
	})
}

func TestAuditExports(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, papers)
		admin := a.as("admin")
		a.as("alice").with("User-Agent", "=cmd|' /C calc'!A0").post("/paper", `{"title":"a, \"b\"\nc"}`).want(http.StatusCreated)
		lines := strings.Split(strings.TrimSpace(admin.with("Accept", "application/x-ndjson").get("/audit?resource=paper").want(http.StatusOK).Body), "\n")
		if len(lines) != 1 {
			t.Fatalf("%q", lines)
		}
		var e capebase.AuditEntry
		if err := json.Unmarshal([]byte(lines[0]), &e); err != nil || e.Event != "INSERT" {
			t.Errorf("%+v, %v", e, err)
		}
		answer := admin.with("Accept", "text/csv").get("/audit?resource=paper").want(http.StatusOK)
		table := readCSV(t, answer.Body)
		if len(table) != 1 || table[0]["user_agent"] != "'=cmd|' /C calc'!A0" || table[0]["event"] != "INSERT" || table[0]["after"] != string(e.After) || table[0]["actor"] != "alice" {
			t.Errorf("%v", table)
		}
		if kind := answer.Header.Get("Content-Disposition"); !strings.Contains(kind, "audit.csv") {
			t.Errorf("Content-Disposition: %s", kind)
		}
		// Nothing is found, and still it is a table.
		if table := readCSV(t, admin.get("/audit?format=csv&event=nothing").want(http.StatusOK).Body); len(table) != 0 {
			t.Errorf("%v", table)
		}
	})
}

// readCSV reads the rows of an export, by the names in its first line.
func readCSV(t testing.TB, text string) []map[string]string {
	t.Helper()
	lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(lines) == 0 {
		t.Fatalf("%v: %q", err, text)
	}
	rows := make([]map[string]string, 0, len(lines)-1)
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, cell := range line {
			row[lines[0][i]] = cell
		}
		rows = append(rows, row)
	}
	return rows
}
