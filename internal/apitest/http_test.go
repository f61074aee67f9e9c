package apitest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

func TestRefusalsByStatus(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishTodo)
		a.as("alice").post("/todo", `{"task":"milk"}`).want(http.StatusCreated)
		if got := a.as("").post("/todo", `{"task":"x"}`).want(http.StatusUnauthorized).Header.Get("WWW-Authenticate"); got != "Bearer" {
			t.Fatalf("WWW-Authenticate %q", got)
		}
		a.as("").patch("/todo/1", `{"task":"x"}`).problem(http.StatusUnauthorized, "unauthenticated")
		a.as("bob").patch("/todo/1", `{"task":"x"}`).problem(http.StatusForbidden, "permission")
		a.as("bob").delete("/todo/1").problem(http.StatusForbidden, "permission")
		a.as("bob").post("/todo", `{"task":"x","user_id":"alice"}`).problem(http.StatusForbidden, "permission", "body.user_id")
		a.as("alice").post("/todo", `{"task":"x","colour":"red"}`).problem(http.StatusUnprocessableEntity, "invalid", "body.colour")
		a.as("alice").post("/todo", `{"task":""}`).problem(http.StatusUnprocessableEntity, "invalid", "body.task")
		a.as("alice").post("/todo", `{}`).problem(http.StatusUnprocessableEntity, "invalid")
		a.as("reader").post("/todo", `{"task":"x"}`).problem(http.StatusForbidden, "permission")
		a.as("reader").patch("/todo/1", `{"task":"x"}`).problem(http.StatusForbidden, "permission")
		a.as("reader").delete("/todo/1").problem(http.StatusForbidden, "permission")
		a.as("nobody-knows-this-token").get("/todo").problem(http.StatusUnauthorized, "unauthenticated")
		wantIDs(t, a.as("").get("/todo"), "1")
	})
}

func TestPatchSetsFalseEmptyAndNull(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishTodo)
		alice := a.as("alice")
		alice.post("/todo", `{"task":"milk","note":"soon","is_complete":true}`).want(http.StatusCreated)
		row := alice.patch("/todo/1", `{"is_complete":false}`).want(http.StatusOK).row()
		if row["is_complete"] != false || row["note"] != "soon" {
			t.Fatalf("false: %v", row)
		}
		if row = alice.patch("/todo/1", `{"note":""}`).want(http.StatusOK).row(); row["note"] != "" {
			t.Fatalf("empty: %v", row)
		}
		if row = alice.patch("/todo/1", `{"note":null}`).want(http.StatusOK).row(); row["note"] != nil {
			t.Fatalf("null: %v", row)
		}
		alice.patch("/todo/1", `{"task":null}`).problem(http.StatusUnprocessableEntity, "invalid", "body.task")
		alice.patch("/todo/1", `{}`).want(http.StatusOK)
		alice.patch("/todo/1", `{"id":2}`).want(http.StatusUnprocessableEntity)
	})
}

func TestConditionalRequests(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishTodo)
		alice := a.as("alice")
		tag := alice.post("/todo", `{"task":"milk"}`).want(http.StatusCreated).Header.Get("ETag")
		if got := alice.get("/todo/1").Header.Get("ETag"); got != tag || tag == "" {
			t.Fatalf("ETag %q of get, %q of create", got, tag)
		}
		alice.with("If-None-Match", tag).get("/todo/1").want(http.StatusNotModified)
		alice.with("If-None-Match", `W/`+tag+`, "other"`).get("/todo/1").want(http.StatusNotModified)
		alice.with("If-None-Match", `"other"`).get("/todo/1").want(http.StatusOK)
		list := alice.get("/todo").want(http.StatusOK).Header.Get("ETag")
		alice.with("If-None-Match", list).get("/todo").want(http.StatusNotModified)
		alice.with("If-Match", `"other"`).patch("/todo/1", `{"task":"x"}`).problem(http.StatusPreconditionFailed, "precondition_failed", "header.If-Match")
		alice.with("If-Match", `W/`+tag).patch("/todo/1", `{"task":"x"}`).problem(http.StatusPreconditionFailed, "precondition_failed")
		next := alice.with("If-Match", tag).patch("/todo/1", `{"task":"bread"}`).want(http.StatusOK).Header.Get("ETag")
		alice.with("If-Match", tag).delete("/todo/1").problem(http.StatusPreconditionFailed, "precondition_failed")
		alice.with("If-Match", `"other", `+next).delete("/todo/1").want(http.StatusNoContent)
	})
}

func TestConcurrentPatchesWithOneETag(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishTodo)
		for range 10 {
			created := a.as("alice").post("/todo", `{"task":"milk"}`).want(http.StatusCreated)
			tag, location := created.Header.Get("ETag"), created.Header.Get("Location")
			statuses := make([]int, 2)
			var wait sync.WaitGroup
			for i, task := range []string{"one", "two"} {
				wait.Go(func() {
					statuses[i] = a.as("alice").with("If-Match", tag).patch(location, `{"task":"`+task+`"}`).Status
				})
			}
			wait.Wait()
			slices.Sort(statuses)
			if !slices.Equal(statuses, []int{http.StatusOK, http.StatusPreconditionFailed}) {
				t.Fatalf("statuses %v", statuses)
			}
		}
	})
}

func TestPages(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishTodo)
		a.as("alice").post("/todo", "["+strings.TrimSuffix(strings.Repeat(`{"task":"t"},`, 25), ",")+"]").want(http.StatusCreated)
		page := a.as("").get("/todo?limit=10&task=eq.t").want(http.StatusOK)
		if got := page.Header.Get("Content-Range"); got != "0-9/*" {
			t.Fatalf("Content-Range %q", got)
		}
		var ids []string
		pages := 0
		for path := "/todo?limit=10&task=eq.t"; path != ""; pages++ {
			page := a.as("").get(path).want(http.StatusOK)
			ids = append(ids, page.values("id")...)
			path = strings.TrimSuffix(strings.TrimPrefix(page.Header.Get("Link"), "<"), `>; rel="next"`)
		}
		if len(ids) != 25 || pages != 3 || ids[0] != "1" || ids[24] != "25" {
			t.Fatalf("%d pages: %v", pages, ids)
		}
		counted := a.as("").with("Prefer", "count=exact").get("/todo?limit=10&offset=20")
		if got := counted.Header.Get("Content-Range"); got != "20-24/25" || counted.Header.Get("Preference-Applied") != "count=exact" {
			t.Fatalf("Content-Range %q", got)
		}
		if got := a.as("").with("Prefer", "count=exact").get("/todo?offset=99").Header.Get("Content-Range"); got != "*/25" {
			t.Fatalf("Content-Range %q", got)
		}
		if got := len(a.as("").get("/todo?limit=100000").want(http.StatusOK).values("id")); got != 25 {
			t.Fatalf("a limit above the maximum is clamped: %d rows", got)
		}
		wantIDs(t, a.as("").get("/todo?limit=0"))
	})
}

func TestRouterAnswersWithProblems(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := startWith(t, target, capebase.Config{BasePath: "/api/v1"}, publishTodo)
		alice := a.as("alice")
		if got := alice.post("/api/v1/todo", `{"task":"milk"}`).want(http.StatusCreated).Header.Get("Location"); got != "/api/v1/todo/1" {
			t.Fatalf("Location %q", got)
		}
		alice.get("/todo").problem(http.StatusNotFound, "not_found")
		alice.get("/api/v1/todo/").problem(http.StatusNotFound, "not_found")
		alice.get("/api/v1/todo/1/2").problem(http.StatusNotFound, "not_found")
		e := alice.do(http.MethodPut, "/api/v1/todo/1", `{}`)
		e.problem(http.StatusMethodNotAllowed, "method_not_allowed")
		if got := e.Header.Get("Allow"); !strings.Contains(got, "PATCH") || !strings.Contains(got, "DELETE") {
			t.Fatalf("Allow %q", got)
		}
		options := alice.do(http.MethodOptions, "/api/v1/todo", "").want(http.StatusNoContent)
		if got := options.Header.Get("Allow"); !strings.Contains(got, "POST") || !strings.Contains(got, "GET") {
			t.Fatalf("Allow %q", got)
		}
		alice.do(http.MethodOptions, "/api/v1/nothing", "").problem(http.StatusNotFound, "not_found")
		head := alice.do(http.MethodHead, "/api/v1/todo/1", "").want(http.StatusOK)
		if head.Body != "" || head.Header.Get("ETag") == "" {
			t.Fatalf("HEAD: %q, ETag %q", head.Body, head.Header.Get("ETag"))
		}
		alice.get("/api/v1/healthz").want(http.StatusOK)
		alice.get("/api/v1/readyz").want(http.StatusOK)
		alice.get("/api/v1/openapi.json").want(http.StatusOK)
		alice.get("/api/v1/openapi.yaml").want(http.StatusOK)
		if page := alice.get("/api/v1/docs").want(http.StatusOK).Body; regexp.MustCompile(`(src|href)="(https?:)?//`).MatchString(page) {
			t.Fatalf("/docs loads from elsewhere:\n%s", page)
		}
	})
}

func TestOrigins(t *testing.T) {
	target := dbtest.New(t, dbtest.SQLite)
	a := startWith(t, target, capebase.Config{Origins: []string{"https://app.example.com"}}, publishTodo)
	known := a.as("alice").with("Origin", "https://app.example.com")
	preflight := known.with("Access-Control-Request-Method", "PATCH").do(http.MethodOptions, "/todo/1", "").want(http.StatusNoContent)
	if preflight.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" || !strings.Contains(preflight.Header.Get("Access-Control-Allow-Methods"), "PATCH") {
		t.Fatalf("preflight: %v", preflight.Header)
	}
	crossSite := known.with("Sec-Fetch-Site", "cross-site")
	answer := crossSite.post("/todo", `{"task":"x"}`).want(http.StatusCreated)
	if answer.Header.Get("Access-Control-Allow-Origin") == "" || !strings.Contains(answer.Header.Get("Access-Control-Expose-Headers"), "ETag") {
		t.Fatalf("answer: %v", answer.Header)
	}
	foreign := a.as("alice").with("Origin", "https://evil.example").with("Sec-Fetch-Site", "cross-site")
	foreign.post("/todo", `{"task":"x"}`).problem(http.StatusForbidden, "permission")
	if got := foreign.get("/todo").want(http.StatusOK).Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Fatalf("a foreign origin may read: %q", got)
	}
}

// Member has every kind of key rule: composite, readonly, immutable, hidden and secret fields.
type Member struct {
	Team    string `json:"team" gorm:"primaryKey"`
	User    int64  `json:"user" gorm:"primaryKey;autoIncrement:false"`
	Title   string `json:"title"`
	Joined  string `json:"joined" cape:"immutable"`
	Level   int    `json:"level" cape:"readonly"`
	Rating  int    `json:"rating,omitempty" cape:"hidden"`
	Secret  string `json:"secret,omitempty" cape:"secret"`
	Private string `json:"-"`
}

func TestKeysAndFieldRules(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, func(c *capebase.Cape) {
			capebase.Publish[Member](c).Allow(policy.All, policy.SignedIn())
		})
		alice := a.as("alice")
		created := alice.post("/member", `{"team":"a,b/c é","user":7,"title":"x","joined":"now"}`).want(http.StatusCreated)
		location := created.Header.Get("Location")
		row := alice.get(location).want(http.StatusOK).row()
		if row["team"] != "a,b/c é" || len(row) != 5 {
			t.Fatalf("%s: %v", location, row)
		}
		alice.post("/member", `{"team":"a,b/c é","user":7,"title":"x","joined":"now"}`).problem(http.StatusConflict, "conflict")
		alice.patch(location, `{"joined":"later"}`).problem(http.StatusUnprocessableEntity, "invalid", "body.joined")
		alice.patch(location, `{"level":3}`).problem(http.StatusUnprocessableEntity, "invalid", "body.level")
		for _, field := range []string{"rating", "secret", "private", "Private"} {
			alice.patch(location, `{"`+field+`":"1"}`).problem(http.StatusUnprocessableEntity, "invalid", "body."+field)
			e := alice.get("/member?"+field+"=eq.1").problem(http.StatusBadRequest, "invalid_query", "query."+field)
			if strings.Contains(e.Errors[0].Message, "rating") || strings.Contains(e.Errors[0].Message, "secret") {
				t.Fatalf("an error names hidden fields: %v", e.Errors)
			}
			alice.get("/member?order="+field).problem(http.StatusBadRequest, "invalid_query", "query.order")
		}
		alice.get("/member/a,07").problem(http.StatusBadRequest, "invalid_id", "path.id")
		alice.get("/member/a").problem(http.StatusBadRequest, "invalid_id", "path.id")
		alice.delete(location).want(http.StatusNoContent)
	})
}

func TestDocumentsAreClosedToUnknownFieldsButListWhatExists(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishTodo)
		for query, location := range map[string]string{
			"colour=eq.red":           "query.colour",
			"id=eq.x":                 "query.id",
			"task=match.x":            "query.task",
			"is_complete=like.x":      "query.is_complete",
			"or=(task.eq.x":           "query.or",
			"order=task.up":           "query.order",
			"limit=x":                 "query.limit",
			"offset=-1":               "query.offset",
			"inserted_at=gt.tomorrow": "query.inserted_at",
			"and=(nothing.eq.1)":      "query.and",
		} {
			if e := a.as("").get("/todo?"+query).problem(http.StatusBadRequest, "invalid_query", location); strings.Contains(e.Errors[0].Message, "tomorrow") {
				t.Fatalf("the value is echoed: %v", e.Errors)
			}
		}
	})
}

func TestHostileBodies(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := startWith(t, target, capebase.Config{Limits: capebase.Limits{Body: 2000}}, publishTodo)
		alice := a.as("alice")
		for body, code := range map[string]string{
			`{`:                               "malformed",
			`{"task":"a","task":"b"}`:         "malformed",
			"{\"task\":\"\xff\"}":             "malformed",
			`{"task":"\ud800"}`:               "malformed",
			`{"task":"x"} {}`:                 "malformed",
			strings.Repeat("[", 500):          "malformed",
			`{"task":"a\u0000b"}`:             "invalid",
			`{"task":7}`:                      "invalid",
			`{"task":"x","is_complete":1}`:    "invalid",
			`[{"task":"x"},7]`:                "invalid",
			`[]`:                              "invalid",
			`"x"`:                             "invalid",
			`null`:                            "invalid",
			`{"task":"x","inserted_at":"no"}`: "invalid",
		} {
			status := map[string]int{"malformed": http.StatusBadRequest, "invalid": http.StatusUnprocessableEntity}[code]
			alice.post("/todo", body).problem(status, code)
		}
		alice.post("/todo", `{"task":"`+strings.Repeat("x", 3000)+`"}`).problem(http.StatusRequestEntityTooLarge, "too_large")
		alice.with("Content-Type", "text/plain").post("/todo", `{"task":"x"}`).problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
		alice.with("Content-Type", "").post("/todo", `{"task":"x"}`).problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
		for _, id := range []string{"x", "007", "9223372036854775808", "1.0", "%00", "%ff", "1,2", "%2Fx"} {
			if got := alice.get("/todo/" + id); got.Status != http.StatusBadRequest {
				t.Errorf("id %s: status %d", id, got.Status)
			}
		}
		alice.get("/todo/%2F").problem(http.StatusNotFound, "not_found") // a trailing slash
		wantIDs(t, a.as("").get("/todo"))
	})
}
