package apitest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
	"github.com/capebase/capebase/policy"
)

// Binder has a key of two parts, and lies below a path.
type Binder struct {
	Shelf string    `json:"shelf" gorm:"primaryKey;size:60"`
	ID    uuid.UUID `json:"id" gorm:"primaryKey"`
	Label string    `json:"label"`
}

// TestHistoryOfCompositeKeys asks for rows whose keys need escapes, and follows links below a base path.
func TestHistoryOfCompositeKeys(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := startWith(t, target, capebase.Config{BasePath: "/api/v1"}, func(c *capebase.Cape) {
			capebase.Publish[Binder](c, capebase.History(), capebase.Path("/a/binders")).Allow(policy.All, policy.Anyone())
		})
		client := a.as("")
		for _, shelf := range []string{"plain", "a,b/c", `"quoted"\`, "é 😀", "history", "%2C"} {
			body := `{"shelf":` + quoteJSON(shelf) + `,"id":"01890a5d-ac96-774b-bcce-b302099a8057","label":"one"}`
			location := client.post("/api/v1/a/binders", body).want(http.StatusCreated).Header.Get("Location")
			client.patch(location, `{"label":"two"}`).want(http.StatusOK)
			client.patch(location, `{"label":"three"}`).want(http.StatusOK)
			page := client.get(location + "/history?limit=2").want(http.StatusOK)
			if labels := page.payloads("label"); !slices.Equal(labels, []string{"three", "two"}) {
				t.Fatalf("%s: %q", location, labels)
			}
			next, _, _ := strings.Cut(strings.TrimPrefix(page.Header.Get("Link"), "<"), ">")
			if !strings.HasPrefix(next, location+"/history?limit=2&before=") {
				t.Fatalf("Link %q of %s", page.Header.Get("Link"), location)
			}
			rest := client.get(next).want(http.StatusOK)
			if labels := rest.payloads("label"); !slices.Equal(labels, []string{"one"}) || rest.Header.Get("Link") != "" {
				t.Fatalf("%s: %q, Link %q", next, labels, rest.Header.Get("Link"))
			}
			names := rest.names()
			if label := client.post(location+"/revert", `{"version":"`+names[0]+`"}`).want(http.StatusOK).row()["label"]; label != "one" {
				t.Errorf("%s was reverted to %v", location, label)
			}
		}
	})
}

func quoteJSON(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// payloads decodes a history and returns one field of each version's row.
func (a answer) payloads(field string) []string {
	a.t.Helper()
	var all []struct{ Payload map[string]any }
	a.want(http.StatusOK).decode(&all)
	values := make([]string, len(all))
	for i, v := range all {
		values[i], _ = v.Payload[field].(string)
	}
	return values
}

// TestHistoryOfSoftlyDeletedRows: the mark is a DELETE, to take it back an INSERT, and hooks run when a row is reverted.
func TestHistoryOfSoftlyDeletedRows(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, func(c *capebase.Cape) {
			notes := capebase.Publish[Note](c, capebase.History())
			notes.Allow(policy.Read, policy.Anyone())
			notes.Allow(policy.Write, policy.Owner(&notes.Fields.UserID))
		})
		alice := a.as("alice")
		alice.post("/note", `{"text":"One"}`).want(http.StatusCreated)
		alice.patch("/note/1", `{"text":"Two"}`).want(http.StatusOK)
		names := alice.get("/note/1/history").names()
		row := alice.post("/note/1/revert", `{"version":"`+names[1]+`"}`).want(http.StatusOK).row()
		if row["text"] != "One" || row["slug"] != "one-alice" {
			t.Errorf("reverted to %v", row)
		}
		alice.delete("/note/1").want(http.StatusNoContent)
		deleted := alice.get("/note/1/history")
		if events := deleted.kinds(); !slices.Equal(events, []string{"DELETE", "UPDATE", "UPDATE", "INSERT"}) {
			t.Fatalf("%q", events)
		}
		if slices.ContainsFunc(deleted.payloads("deleted_at"), func(s string) bool { return s != "" }) {
			t.Errorf("a version that was not deleted: %s", deleted.Body)
		}
		alice.post("/note/1/revert", `{"version":"`+names[1]+`"}`).problem(http.StatusNotFound, "not_found")
		if _, err := sessionOf(a, target, "privileged").exec("UPDATE notes SET deleted_at = NULL WHERE id = 1"); err != nil {
			t.Fatal(err)
		}
		if events := alice.get("/note/1/history?limit=2").kinds(); !slices.Equal(events, []string{"INSERT", "DELETE"}) {
			t.Errorf("%q", events)
		}
	})
}

// names decodes a history and returns the names of its versions.
func (a answer) names() []string {
	a.t.Helper()
	var all []struct{ Version string }
	a.want(http.StatusOK).decode(&all)
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Version
	}
	return names
}

// kinds decodes a history and returns what its versions are.
func (a answer) kinds() []string {
	a.t.Helper()
	var all []struct{ Event string }
	a.want(http.StatusOK).decode(&all)
	kinds := make([]string, len(all))
	for i := range all {
		kinds[i] = all[i].Event
	}
	return kinds
}

type shortLeaf struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

func (shortLeaf) TableName() string { return "leaflets" }

type longLeaf struct {
	ID    int64   `json:"id"`
	Name  string  `json:"name"`
	Title *string `json:"title"`
	Stars int64   `json:"stars" gorm:"default:3"`
}

func (longLeaf) TableName() string { return "leaflets" }

// TestHistoryOfColumnsThatWereAdded: versions from before lack them, and to revert leaves them alone.
func TestHistoryOfColumnsThatWereAdded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, func(c *capebase.Cape) {
			capebase.Publish[shortLeaf](c, capebase.History(), capebase.Path("leaf")).Allow(policy.All, policy.Anyone())
		})
		a.as("").post("/leaf", `{"name":"one"}`).want(http.StatusCreated)
		a = start(t, target, func(c *capebase.Cape) {
			capebase.Publish[longLeaf](c, capebase.History(), capebase.Path("leaf")).Allow(policy.All, policy.Anyone())
		})
		client := a.as("")
		client.patch("/leaf/1", `{"name":"two","title":"t","stars":5}`).want(http.StatusOK)
		history := client.get("/leaf/1/history").want(http.StatusOK)
		if !strings.Contains(history.Body, `{"id":1,"name":"one","title":null,"stars":null}`) {
			t.Errorf("the old version is not as it was: %s", history.Body)
		}
		names := history.names()
		row := client.post("/leaf/1/revert", `{"version":"`+names[1]+`"}`).want(http.StatusOK)
		if got := strings.TrimSpace(row.Body); got != `{"id":1,"name":"one","title":"t","stars":5}` {
			t.Errorf("reverted to %s", got)
		}
	})
}

// TestHistoryWithOnly serves the routes that make sense, and says in the document which.
func TestHistoryWithOnly(t *testing.T) {
	a := start(t, dbtest.New(t, dbtest.SQLite), func(c *capebase.Cape) {
		capebase.Publish[Todo](c, capebase.History(), capebase.Only(capebase.Create)).Allow(policy.All, policy.Anyone())
		capebase.Publish[Binder](c).Allow(policy.All, policy.Anyone())
	})
	client := a.as("alice")
	client.post("/todo", `{"task":"x"}`).want(http.StatusCreated)
	if events := client.get("/todo/1/history").kinds(); !slices.Equal(events, []string{"INSERT"}) {
		t.Errorf("%q", events)
	}
	client.post("/todo/1/revert", `{"version":"1.1"}`).problem(http.StatusNotFound, "not_found")
	client.get("/todo/1?as_of=2026-01-01T00:00:00Z").problem(http.StatusNotFound, "not_found")
	document := client.get("/openapi.json").want(http.StatusOK).Body
	for path, there := range map[string]bool{
		`"/todo/{id}/history"`: true, `"/todo/{id}/revert"`: false, `"/binder/{id}/history"`: false, `"as_of"`: false, `"TodoVersion"`: true,
	} {
		if strings.Contains(document, path) != there {
			t.Errorf("the document has %s: %v", path, !there)
		}
	}
}

type timedRow struct {
	At   time.Time `gorm:"primaryKey"`
	Name string
}

// TestHistoryMistakes: what cannot be served fails Start.
func TestHistoryMistakes(t *testing.T) {
	for want, declare := range map[string]func(c *capebase.Cape){
		"Private()": func(c *capebase.Cape) {
			capebase.Publish[Todo](c, capebase.History(), capebase.Private())
		},
		"a key of kind": func(c *capebase.Cape) {
			capebase.Publish[timedRow](c, capebase.History())
		},
		`path "/todo/x/history" is that of the history of the key "x"`: func(c *capebase.Cape) {
			capebase.Publish[Todo](c, capebase.History())
			capebase.Publish[Binder](c, capebase.Path("/todo/x/history"))
		},
	} {
		c, err := capebase.Open(engines.Of(dbtest.New(t, dbtest.SQLite).URL), capebase.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		declare(c)
		if err := c.Start(context.Background()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start: %v, want %s", err, want)
		}
		w := httptest.NewRecorder()
		c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/todo/1/history", nil))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("before Start: %d", w.Code)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestHistoryAfterAnUninstall: a version of another journal is not one of this.
func TestHistoryAfterAnUninstall(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		declare := func(c *capebase.Cape) {
			capebase.Publish[Todo](c, capebase.History()).Allow(policy.All, policy.Anyone())
		}
		a := start(t, target, declare)
		a.as("alice").post("/todo", `{"task":"x"}`).want(http.StatusCreated)
		old := a.as("").get("/todo/1/history").names()
		before := a.as("").get("/todo/1/history").Header.Get("History-Since")
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		c, err := capebase.Open(engines.Of(target.URL), capebase.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Uninstall(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		a = start(t, target, declare)
		if events := a.as("").get("/todo/1/history").kinds(); len(events) != 0 {
			t.Fatalf("a journal that is new has %q", events)
		}
		a.as("").patch("/todo/1", `{"task":"y"}`).want(http.StatusOK)
		a.as("").post("/todo/1/revert", `{"version":"`+old[0]+`"}`).problem(http.StatusNotFound, "not_found")
		a.as("").get("/todo/1?as_of="+before).problem(http.StatusBadRequest, "invalid_query", "query.as_of")
	})
}

type retitle struct {
	Title string `json:"title"`
	Draft bool   `json:"draft"`
}

// TestRevertWithUpdateAs sets what UpdateAs lets clients set and see.
func TestRevertWithUpdateAs(t *testing.T) {
	target := dbtest.New(t, dbtest.SQLite)
	a := start(t, target, func(c *capebase.Cape) {
		capebase.Publish[Essay](c, capebase.History(), capebase.UpdateAs[retitle]()).Allow(policy.All, policy.SignedIn())
	})
	alice := a.as("alice")
	alice.post("/essay", `{"title":"one","kind":"k","text":"x"}`).want(http.StatusCreated)
	if _, err := sessionOf(a, target, "privileged").exec("UPDATE essays SET title = 'two', text = 'y', draft = 1"); err != nil {
		t.Fatal(err)
	}
	names := alice.get("/essay/1/history").names()
	row := alice.post("/essay/1/revert", `{"version":"`+names[1]+`"}`).want(http.StatusOK).row()
	if row["title"] != "one" || row["text"] != "y" {
		t.Errorf("reverted to %v", row)
	}
	sessionOf(a, target, "privileged").wants("SELECT draft FROM essays", "true")
}

// TestHistoryEndsAtWhatCannotBeRead: of what was before an entry that this program does not understand, nothing is said.
func TestHistoryEndsAtWhatCannotBeRead(t *testing.T) {
	target := dbtest.New(t, dbtest.SQLite)
	a := start(t, target, publishEssays)
	alice, pool := a.as("alice"), openPlain(t, target)
	t.Cleanup(func() { _ = pool.Close() })
	alice.post("/essay", `{"title":"one","kind":"k"}`).want(http.StatusCreated)
	first := databaseClock(t.Context(), t, target.Engine, pool, time.Time{})
	databaseClock(t.Context(), t, target.Engine, pool, first)
	const entry = `INSERT INTO cape_journal (at, v, tbl, op, key, old, new) VALUES (CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER), 99, 'essays', 'U', '[1]', '{}', '{}')`
	if _, err := pool.ExecContext(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	unread := databaseClock(t.Context(), t, target.Engine, pool, time.Time{})
	databaseClock(t.Context(), t, target.Engine, pool, unread)
	alice.patch("/essay/1", `{"title":"two"}`).want(http.StatusOK)
	answer := alice.get("/essay/1/history")
	names := wantEvents(t, answer, "UPDATE two of alice")
	if since, err := time.Parse(time.RFC3339Nano, answer.Header.Get("History-Since")); err != nil || !since.After(first) {
		t.Errorf("History-Since is %q, and %v is not known", answer.Header.Get("History-Since"), first)
	}
	at := first.Format(time.RFC3339Nano)
	alice.get("/essay/1?as_of="+at).problem(http.StatusBadRequest, "invalid_query", "query.as_of")
	alice.post("/essay/1/revert", `{"as_of":"`+at+`"}`).problem(http.StatusUnprocessableEntity, "invalid", "body.as_of")
	if title := alice.get("/essay/1?as_of=" + unread.Format(time.RFC3339Nano)).want(http.StatusOK).row()["title"]; title != "one" {
		t.Errorf("title %v", title)
	}
	alice.post("/essay/1/revert", `{"version":"`+names[0]+`"}`).want(http.StatusOK)
	id, _, _ := strings.Cut(names[0], ".")
	alice.post("/essay/1/revert", `{"version":"2.`+strings.Split(names[0], ".")[1]+`"}`).problem(http.StatusNotFound, "not_found")
	if id != "3" {
		t.Errorf("the update is the entry %s", id)
	}
}

// TestHistoryOfManyUnseenVersions: what shows nothing is not read without end, and what is behind it is found.
func TestHistoryOfManyUnseenVersions(t *testing.T) {
	target := dbtest.New(t, dbtest.SQLite)
	a := start(t, target, publishEssays)
	alice, pool := a.as("alice"), openPlain(t, target)
	t.Cleanup(func() { _ = pool.Close() })
	alice.post("/essay", `{"title":"one","kind":"k"}`).want(http.StatusCreated)
	const unseen = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 21000)
		INSERT INTO cape_journal (at, v, tbl, op, key, old, new) SELECT j.at, j.v, j.tbl, 'U', j.key, j.new, j.new FROM n, cape_journal j WHERE j.tbl = 'essays' AND j.op = 'I'`
	if _, err := pool.ExecContext(t.Context(), unseen); err != nil {
		t.Fatal(err)
	}
	alice.patch("/essay/1", `{"title":"two"}`).want(http.StatusOK)
	pages := ""
	for path := "/essay/1/history"; path != ""; {
		page := alice.get(path)
		pages += strings.Join(page.kinds(), " ") + "|"
		path, _, _ = strings.Cut(strings.TrimPrefix(page.Header.Get("Link"), "<"), ">")
	}
	if pages != "UPDATE|INSERT|" {
		t.Errorf("pages %s", pages)
	}
	_, place, _ := strings.Cut(alice.get("/essay/1/history").Header.Get("Link"), "before=")
	place, _, _ = strings.Cut(place, ">")
	alice.post("/essay/1/revert", `{"version":"`+place+`"}`).problem(http.StatusNotFound, "not_found")

	// Whether a row that is gone has versions which others saw is not told.
	alice.delete("/essay/1").want(http.StatusNoContent)
	if _, err := pool.ExecContext(t.Context(), `UPDATE cape_journal SET old = replace(old, '"draft":0', '"draft":1'), new = replace(new, '"draft":0', '"draft":1') WHERE tbl = 'essays'`); err != nil {
		t.Fatal(err)
	}
	alice.get("/essay/1/history").want(http.StatusOK)
	bob := a.as("bob")
	bob.get("/essay/1/history?limit=1").problem(http.StatusNotFound, "not_found")
	for _, query := range []string{"?before=zzzzz.0", "?before=" + place} {
		was, never := bob.get("/essay/1/history"+query).want(http.StatusOK), bob.get("/essay/9/history"+query).want(http.StatusOK)
		if was.Body != never.Body || was.Header.Get("Link") != "" || was.Header.Get("History-Since") != never.Header.Get("History-Since") {
			t.Errorf("%s: %s %v, and of no row %s %v", query, was.Body, was.Header, never.Body, never.Header)
		}
	}
}

// TestNothingTellsOfEntriesThatCannotBeRead: of a row that is not there, they are no sign that it was.
func TestNothingTellsOfEntriesThatCannotBeRead(t *testing.T) {
	target := dbtest.New(t, dbtest.SQLite)
	a := start(t, target, publishEssays)
	bob, pool := a.as("bob"), openPlain(t, target)
	t.Cleanup(func() { _ = pool.Close() })
	at := databaseClock(t.Context(), t, target.Engine, pool, time.Time{})
	databaseClock(t.Context(), t, target.Engine, pool, at)
	const entry = `INSERT INTO cape_journal (at, v, tbl, op, key, old) VALUES (CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER), 99, 'essays', 'D', '[1]', '{}')`
	if _, err := pool.ExecContext(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	bob.get("/essay/1/history").problem(http.StatusNotFound, "not_found")
	bob.get("/essay/1?as_of="+at.Format(time.RFC3339Nano)).problem(http.StatusNotFound, "not_found")
	was, never := bob.get("/essay/1/history?before=zzzzz.0").want(http.StatusOK), bob.get("/essay/2/history?before=zzzzz.0").want(http.StatusOK)
	if was.Header.Get("History-Since") != never.Header.Get("History-Since") {
		t.Errorf("History-Since is %s, and of no row %s", was.Header.Get("History-Since"), never.Header.Get("History-Since"))
	}
}
