package apitest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// Essay is a model with a history.
type Essay struct {
	ID       int64   `json:"id"`
	OwnerID  string  `json:"owner_id" cape:"auth.id"`
	Title    string  `json:"title" minLength:"1" maxLength:"20" gorm:"uniqueIndex;size:60"`
	Text     *string `json:"text"`
	Kind     string  `json:"kind" cape:"immutable"`
	Draft    bool    `json:"draft" cape:"hidden"`
	Password string  `json:"-" cape:"secret"`
	Views    int64   `json:"views" cape:"readonly"`
}

func publishEssays(c *capebase.Cape) {
	essays := capebase.Publish[Essay](c, capebase.History())
	essays.Allow(policy.Read, policy.Field(&essays.Fields.Draft).Eq(false))
	essays.Allow(policy.Write, policy.Owner(&essays.Fields.OwnerID))
	essays.Allow(policy.Read, policy.Owner(&essays.Fields.OwnerID))
	capebase.Publish[Todo](c).Allow(policy.All, policy.Anyone())
}

// told is how a version is compared.
func (a answer) versions() (events []string, names []string) {
	a.t.Helper()
	var all []struct {
		Version, Event string
		Payload        Essay
		Timestamp      time.Time
	}
	a.want(http.StatusOK).decode(&all)
	for _, v := range all {
		if v.Timestamp.IsZero() || v.Version == "" {
			a.t.Errorf("%s: %+v", a.what, v)
		}
		events, names = append(events, v.Event+" "+v.Payload.Title+" of "+v.Payload.OwnerID), append(names, v.Version)
	}
	return events, names
}

func wantEvents(t *testing.T, a answer, want ...string) (names []string) {
	t.Helper()
	events, names := a.versions()
	if strings.Join(events, ", ") != strings.Join(want, ", ") {
		t.Fatalf("%s: %q, want %q", a.what, events, want)
	}
	return names
}

func TestHistory(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishEssays)
		alice, bob, program := a.as("alice"), a.as("bob"), sessionOf(a, target, "privileged")
		exec := func(query string) {
			t.Helper()
			if _, err := program.exec(query); err != nil {
				t.Fatal(err)
			}
		}
		alice.post("/essay", `{"title":"one","kind":"k","text":"x"}`).want(http.StatusCreated)
		alice.patch("/essay/1", `{"title":"two"}`).want(http.StatusOK)
		exec("UPDATE essays SET password = 'x' WHERE id = 1")
		exec("UPDATE essays SET draft = " + map[bool]string{true: "true", false: "1"}[target.Engine == dbtest.Postgres] + " WHERE id = 1")
		wantEvents(t, alice.get("/essay/1/history"), "UPDATE two of alice", "INSERT one of alice")
		bob.get("/essay/1/history").problem(http.StatusNotFound, "not_found")
		alice.patch("/essay/1", `{"title":"three"}`).want(http.StatusOK)
		exec("UPDATE essays SET draft = " + map[bool]string{true: "false", false: "0"}[target.Engine == dbtest.Postgres] + ", owner_id = 'bob' WHERE id = 1")
		wantEvents(t, alice.get("/essay/1/history"), "UPDATE three of bob", "UPDATE three of alice", "UPDATE two of alice", "INSERT one of alice")
		wantEvents(t, bob.get("/essay/1/history"), "INSERT three of bob", "DELETE two of alice", "UPDATE two of alice", "INSERT one of alice")
		bob.delete("/essay/1").want(http.StatusNoContent)
		whole := bob.get("/essay/1/history")
		names := wantEvents(t, whole, "DELETE three of bob", "INSERT three of bob", "DELETE two of alice", "UPDATE two of alice", "INSERT one of alice")
		if strings.Contains(whole.Body, "draft") || strings.Contains(whole.Body, "password") {
			t.Errorf("a hidden field: %s", whole.Body)
		}
		since, err := time.Parse(time.RFC3339Nano, whole.Header.Get("History-Since"))
		if err != nil || since.After(time.Now()) {
			t.Errorf("History-Since %q", whole.Header.Get("History-Since"))
		}

		// Pages.
		var paged []string
		path := "/essay/1/history?limit=2"
		for path != "" {
			page := bob.get(path)
			_, some := page.versions()
			paged = append(paged, some...)
			path, _, _ = strings.Cut(strings.TrimPrefix(page.Header.Get("Link"), "<"), ">")
		}
		if strings.Join(paged, " ") != strings.Join(names, " ") {
			t.Errorf("in pages: %q, want %q", paged, names)
		}
		wantEvents(t, bob.get("/essay/1/history?limit=99999&before="+names[2]), "UPDATE two of alice", "INSERT one of alice")
		wantEvents(t, bob.get("/essay/1/history?before="+names[4]))

		// Entity tags, HEAD.
		bob.with("If-None-Match", whole.Header.Get("ETag")).get("/essay/1/history").want(http.StatusNotModified)
		if head := bob.do(http.MethodHead, "/essay/1/history", "").want(http.StatusOK); head.Body != "" || head.Header.Get("ETag") != whole.Header.Get("ETag") {
			t.Errorf("HEAD: %v", head.Header)
		}

		// A row with the key of one that is gone goes on with its past.
		if _, err := program.exec("INSERT INTO essays (id, owner_id, title, kind, draft, password, views) VALUES (1, 'carl', 'four', 'k', ?, '', 0)", false); err != nil {
			t.Fatal(err)
		}
		wantEvents(t, alice.get("/essay/1/history?limit=2"), "INSERT four of carl", "DELETE three of bob")
	})
}

func TestAsOf(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishEssays)
		alice := a.as("alice")
		pool := openPlain(t, target)
		t.Cleanup(func() { _ = pool.Close() })
		past := time.Time{}
		now := func() string {
			t.Helper()
			past = databaseClock(t.Context(), t, target.Engine, pool, past)
			at := past
			past = databaseClock(t.Context(), t, target.Engine, pool, past) // what comes next is later
			return at.Format(time.RFC3339Nano)
		}
		before := now()
		created := alice.post("/essay", `{"title":"one","kind":"k"}`).want(http.StatusCreated)
		first := now()
		alice.patch("/essay/1", `{"title":"two"}`).want(http.StatusOK)
		second := now()
		alice.delete("/essay/1").want(http.StatusNoContent)
		gone := now()
		asOf := func(c client, at string) answer {
			t.Helper()
			return c.get("/essay/1?as_of=" + url.QueryEscape(at))
		}
		asOf(alice, before).problem(http.StatusNotFound, "not_found")
		old := asOf(alice, first).want(http.StatusOK)
		if old.Body != created.Body || old.Header.Get("ETag") != created.Header.Get("ETag") {
			t.Errorf("as it was created: %s, and as it was: %s", created.Body, old.Body)
		}
		alice.with("If-None-Match", old.Header.Get("ETag")).get("/essay/1?as_of=" + first).want(http.StatusNotModified)
		if title := asOf(alice, second).want(http.StatusOK).row()["title"]; title != "two" {
			t.Errorf("title %v", title)
		}
		asOf(alice, gone).problem(http.StatusNotFound, "not_found")
		alice.get("/essay/1?unknown=%zz").problem(http.StatusNotFound, "not_found") // other parameters are ignored, as ever

		for _, at := range []string{
			"", "yesterday", "2026-01-31", "2026-01-31T12:00:00", "2026-13-31T12:00:00Z", "1767225600", "2026-01-31T12:00:00 01:00", "\x00", "\xff",
			"0000-01-01T00:00:00Z", "2001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", time.Now().Add(time.Hour).Format(time.RFC3339),
		} {
			asOf(alice, at).problem(http.StatusBadRequest, "invalid_query", "query.as_of")
			a.as("alice").get("/essay/77?as_of="+url.QueryEscape(at)).problem(http.StatusBadRequest, "invalid_query", "query.as_of")
		}
		alice.get("/essay/1?as_of="+first+"&as_of="+second).problem(http.StatusBadRequest, "invalid_query", "query.as_of")
		alice.get("/essay/1?as_of="+first+"&x=%zz").problem(http.StatusBadRequest, "invalid_query")
		alice.get("/essay/x?as_of="+first).problem(http.StatusBadRequest, "invalid_id", "path.id")
		problem := a.as("").get("/todo/1?as_of="+first).problem(http.StatusBadRequest, "invalid_query", "query.as_of")
		if !strings.Contains(problem.Detail, "no history of Todo") {
			t.Errorf("on a resource without: %s", problem.Detail)
		}
		a.as("").get("/todo/1/history").problem(http.StatusNotFound, "not_found")
	})
}

func TestRevert(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishEssays)
		alice, bob, program := a.as("alice"), a.as("bob"), sessionOf(a, target, "privileged")
		alice.post("/essay", `[{"title":"one","kind":"k","text":"x"},{"title":"other","kind":"o"}]`).want(http.StatusCreated)
		if _, err := program.exec("UPDATE essays SET views = 5, kind = 'changed', text = 'y', title = 'two' WHERE id = 1"); err != nil {
			t.Fatal(err)
		}
		alice.patch("/essay/1", `{"title":"three","text":null}`).want(http.StatusOK)
		names := wantEvents(t, alice.get("/essay/1/history"), "UPDATE three of alice", "UPDATE two of alice", "INSERT one of alice")
		version := func(name string) string { return `{"version":"` + name + `"}` }

		// What the caller may not set stays as it is.
		tag := alice.get("/essay/1").Header.Get("ETag")
		row := alice.with("If-Match", tag).post("/essay/1/revert", version(names[2])).want(http.StatusOK)
		if got, want := strings.TrimSpace(row.Body), `{"id":1,"owner_id":"alice","title":"one","text":"x","kind":"changed","views":5}`; got != want {
			t.Fatalf("reverted to %s, want %s", got, want)
		}
		if current := alice.get("/essay/1"); current.Body != row.Body || current.Header.Get("ETag") != row.Header.Get("ETag") {
			t.Errorf("the answer was %s, and the row is %s", row.Body, current.Body)
		}
		wantEvents(t, alice.get("/essay/1/history?limit=1"), "UPDATE one of alice")
		alice.with("If-Match", tag).post("/essay/1/revert", version(names[1])).problem(http.StatusPreconditionFailed, "precondition_failed", "header.If-Match")
		var all []struct{ Timestamp string }
		alice.get("/essay/1/history").decode(&all)
		if title := alice.post("/essay/1/revert", `{"as_of":"`+all[1].Timestamp+`"}`).want(http.StatusOK).row()["title"]; target.Engine != dbtest.SQLite && title != "three" {
			t.Errorf("as of the update it was %v", title) // on SQLite another change can be of the same millisecond
		}

		// An update by someone else's rules, or that the table refuses.
		bob.post("/essay/1/revert", version(names[2])).problem(http.StatusForbidden, "permission")
		a.as("").post("/essay/1/revert", version(names[2])).problem(http.StatusUnauthorized, "unauthenticated")
		a.as("reader").post("/essay/1/revert", version(names[2])).problem(http.StatusForbidden, "permission")
		alice.post("/essay/1/revert", version(names[0])).want(http.StatusOK)
		alice.patch("/essay/2", `{"title":"two"}`).want(http.StatusOK)
		alice.post("/essay/1/revert", version(names[1])).problem(http.StatusConflict, "conflict", "body.title")
		if _, err := program.exec("UPDATE essays SET title = 'longer than the model allows' WHERE id = 2"); err != nil {
			t.Fatal(err)
		}
		alice.patch("/essay/2", `{"title":"short"}`).want(http.StatusOK)
		_, others := alice.get("/essay/2/history").versions()
		alice.post("/essay/2/revert", version(others[1])).problem(http.StatusUnprocessableEntity, "invalid", "version.title")

		// Versions that are not of this row, or not the caller's.
		alice.post("/essay/1/revert", version(others[0])).problem(http.StatusNotFound, "not_found")
		alice.post("/essay/1/revert", version("zzzzz."+strings.Split(names[0], ".")[1])).problem(http.StatusNotFound, "not_found")
		alice.post("/essay/1/revert", version(strings.Split(names[0], ".")[0]+".1")).problem(http.StatusNotFound, "not_found")
		for _, body := range []string{
			`{}`, `[]`, `null`, `7`, `{"version":7}`, `{"version":null}`, `{"version":""}`, `{"version":"x"}`, `{"version":"-1.1"}`, `{"version":"1.x.y"}`,
			`{"version":"` + names[0] + `","as_of":"2026-01-01T00:00:00Z"}`, `{"version":"` + strings.ToUpper(names[0]) + `!"}`, `{"verse":"1.1"}`,
			`{"as_of":"yesterday"}`, `{"as_of":1}`, `{"as_of":"2001-01-01T00:00:00Z"}`, `{"as_of":"9999-01-01T00:00:00Z"}`,
		} {
			alice.post("/essay/1/revert", body).problem(http.StatusUnprocessableEntity, "invalid")
		}
		alice.post("/essay/1/revert", `{"version":"`+names[0]+`","version":"`+names[0]+`"}`).problem(http.StatusBadRequest, "malformed")
		alice.post("/essay/1/revert", `{"version":`).problem(http.StatusBadRequest, "malformed")
		alice.with("Content-Type", "text/plain").post("/essay/1/revert", version(names[0])).problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
		alice.post("/essay/x/revert", version(names[0])).problem(http.StatusBadRequest, "invalid_id", "path.id")
		alice.get("/essay/1/revert").problem(http.StatusMethodNotAllowed, "method_not_allowed")

		// Rows that are gone.
		if _, err := program.exec("UPDATE essays SET owner_id = 'bob', draft = ? WHERE id = 1", true); err != nil {
			t.Fatal(err)
		}
		alice.post("/essay/1/revert", version(names[0])).problem(http.StatusNotFound, "not_found")
		bobs := wantEvents(t, bob.get("/essay/1/history?limit=1"), "UPDATE three of bob")
		bob.delete("/essay/1").want(http.StatusNoContent)
		bob.post("/essay/1/revert", version(bobs[0])).problem(http.StatusNotFound, "not_found")
		bob.post("/essay/99/revert", version(bobs[0])).problem(http.StatusNotFound, "not_found")
		if _, err := program.exec("INSERT INTO essays (id, owner_id, title, kind, draft, password, views) VALUES (1, 'bob', 'back', 'k', ?, '', 0)", false); err != nil {
			t.Fatal(err)
		}
		deleted, names := bob.get("/essay/1/history?limit=2").versions()
		if len(deleted) != 2 || deleted[1] != "DELETE three of bob" {
			t.Fatalf("history: %q", deleted)
		}
		bob.post("/essay/1/revert", version(names[1])).problem(http.StatusUnprocessableEntity, "invalid", "body.version")
		if title := bob.post("/essay/1/revert", version(bobs[0])).want(http.StatusOK).row()["title"]; title != "three" {
			t.Errorf("title %v", title)
		}
	})
}

func TestHistoryQueriesThatAreRefused(t *testing.T) {
	a := start(t, dbtest.New(t, dbtest.SQLite), publishEssays)
	alice := a.as("alice")
	alice.post("/essay", `{"title":"one","kind":"k"}`).want(http.StatusCreated)
	for query, location := range map[string]string{
		"limit=0": "query.limit", "limit=-1": "query.limit", "limit=x": "query.limit", "limit=": "query.limit", "limit=1&limit=2": "query.limit",
		"before=": "query.before", "before=1": "query.before", "before=1.": "query.before", "before=0.1": "query.before", "before=01.1": "query.before",
		"before=1y2p0ij32e8e7.1": "query.before", "before=%00": "query.before", "before=%ff": "query.before", "before=1.1&before=1.1": "query.before",
		"title=one": "query.title", "%ff=1": "query.\uFFFD", "as_of=2026-01-01T00:00:00Z": "query.as_of", "limit=%zz": "query", "a;b": "query",
	} {
		alice.get("/essay/1/history?"+query).problem(http.StatusBadRequest, "invalid_query", location)
	}
	alice.get("/essay/1/history?limit=99999999999999999999999").want(http.StatusOK)
	alice.get("/essay/x/history").problem(http.StatusBadRequest, "invalid_id", "path.id")
	alice.get("/essay/%ff/history").problem(http.StatusBadRequest, "malformed")
	alice.get("/essay/2/history").problem(http.StatusNotFound, "not_found")
	alice.get("/essay/1/history/").problem(http.StatusNotFound, "not_found")
	alice.post("/essay/1/history", "{}").problem(http.StatusMethodNotAllowed, "method_not_allowed")
	rapid.Check(t, func(rt *rapid.T) {
		bytes := func(name string) string {
			return url.QueryEscape(string(rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(rt, name)))
		}
		path := rapid.SampledFrom([]string{"/essay/1/history?before=", "/essay/1/history?limit=", "/essay/1?as_of=", "/essay/1/history?x="}).Draw(rt, "path") + bytes("value")
		if got := alice.get(path); got.Status >= http.StatusInternalServerError {
			rt.Fatalf("%s: %d", path, got.Status)
		}
		body := string(rapid.SliceOfN(rapid.Byte(), 1, 30).Draw(rt, "body"))
		if got := alice.post("/essay/1/revert", body); got.Status < http.StatusBadRequest || got.Status >= http.StatusInternalServerError {
			rt.Fatalf("%q: %d", body, got.Status)
		}
	})
}
