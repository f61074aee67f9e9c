package apitest

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/policy"
)

// The behaviours that the Python library had, each by its name there.

type Todo struct {
	ID         int64     `json:"id"`
	UserID     string    `json:"user_id" gorm:"index" cape:"auth.id"`
	Task       string    `json:"task" minLength:"1" maxLength:"200"`
	Note       *string   `json:"note" maxLength:"200"`
	IsComplete bool      `json:"is_complete"`
	InsertedAt time.Time `json:"inserted_at" gorm:"autoCreateTime"`
}

func publishTodo(c *capebase.Cape) {
	todos := capebase.Publish[Todo](c)
	todos.Allow(policy.Read, policy.Anyone())
	todos.Allow(policy.Write, policy.Owner(&todos.Fields.UserID))
	todos.Allow(policy.All, policy.Role("admin"))
}

// Document has the rules of the Python library's own scenarios: admin may all; anyone may create; read by org in
// context; owner may all.
type Document struct {
	ID      string `json:"id"`
	OwnerID string `json:"owner_id" gorm:"index"`
	OrgID   string `json:"org_id" gorm:"index"`
	Title   string `json:"title"`
}

func publishDocument(c *capebase.Cape) {
	documents := capebase.Publish[Document](c)
	documents.Allow(policy.All, policy.Role("admin"))
	documents.Allow(policy.Create, policy.Anyone())
	documents.Allow(policy.Read, policy.Claim(&documents.Fields.OrgID, "org_id"))
	documents.Allow(policy.All, policy.Owner(&documents.Fields.OwnerID))
}

// seed creates five documents: two of alice's, two of bob's, one of nobody's.
func seed(a *app) {
	a.as("admin").post("/document", `[
		{"id":"a1","owner_id":"alice","org_id":"org1","title":"first"},
		{"id":"a2","owner_id":"alice","org_id":"org3","title":"second"},
		{"id":"b1","owner_id":"bob","org_id":"org1","title":"third"},
		{"id":"b2","owner_id":"bob","org_id":"org2","title":"fourth"},
		{"id":"n1","owner_id":"nobody","org_id":"org3","title":"fifth"}]`).want(http.StatusCreated)
}

func wantIDs(t *testing.T, a answer, want ...string) {
	t.Helper()
	a.want(http.StatusOK)
	if got := a.values("id"); !slices.Equal(got, want) {
		t.Fatalf("%s: rows %v, want %v", a.what, got, want)
	}
}

func TestPublishAModel(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishTodo)
		created := a.as("alice").post("/todo", `{"task":"milk"}`).want(http.StatusCreated)
		location := created.Header.Get("Location")
		wantIDs(t, a.as("").get("/todo"), "1")
		if got := a.as("").get(location).want(http.StatusOK).Body; got != created.Body {
			t.Fatalf("get %s: %s, want %s", location, got, created.Body)
		}
		if got := a.as("alice").patch(location, `{"is_complete":true}`).want(http.StatusOK).row()["is_complete"]; got != true {
			t.Fatalf("is_complete: %v", got)
		}
		a.as("alice").delete(location).want(http.StatusNoContent)
		wantIDs(t, a.as("").get("/todo"))
	})
}

func TestOnlyTheNamedRoutesExist(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, func(c *capebase.Cape) {
			capebase.Publish[Todo](c, capebase.Only(capebase.List|capebase.Create)).Allow(policy.All, policy.Anyone())
		})
		a.as("alice").post("/todo", `{"task":"milk"}`).want(http.StatusCreated)
		a.as("").get("/todo").want(http.StatusOK)
		a.as("").get("/todo/1").problem(http.StatusNotFound, "not_found")
		a.as("alice").patch("/todo/1", `{"task":"x"}`).problem(http.StatusNotFound, "not_found")
		a.as("alice").delete("/todo").problem(http.StatusMethodNotAllowed, "method_not_allowed")
	})
}

type CreateTodo struct {
	Task string  `json:"task" minLength:"2"`
	Note *string `json:"note,omitempty" default:"none"`
}

type UpdateTodo struct {
	IsComplete bool    `json:"is_complete"`
	Note       *string `json:"note"`
}

func TestCreateAndUpdateSchema(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, func(c *capebase.Cape) {
			capebase.Publish[Todo](c, capebase.CreateAs[CreateTodo](), capebase.UpdateAs[UpdateTodo]()).Allow(policy.All, policy.Anyone())
		})
		alice := a.as("alice")
		row := alice.post("/todo", `{"task":"milk"}`).want(http.StatusCreated).row()
		if row["note"] != "none" || row["user_id"] != "alice" {
			t.Fatalf("defaults of the create schema: %v", row)
		}
		alice.post("/todo", `{"task":"milk","is_complete":true}`).problem(http.StatusUnprocessableEntity, "invalid", "body.is_complete")
		alice.post("/todo", `[{"task":"milk"},{"task":"m"}]`).problem(http.StatusUnprocessableEntity, "invalid", "body[1].task")
		alice.patch("/todo/1", `{"task":"bread"}`).problem(http.StatusUnprocessableEntity, "invalid", "body.task")
		row = alice.patch("/todo/1", `{"is_complete":true}`).want(http.StatusOK).row()
		if row["is_complete"] != true || row["note"] != "none" || row["task"] != "milk" {
			t.Fatalf("only what was sent changes: %v", row)
		}
	})
}

func TestUnknownID(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishTodo)
		for _, answer := range []answer{a.as("alice").get("/todo/7"), a.as("alice").patch("/todo/7", `{"task":"x"}`), a.as("alice").delete("/todo/7")} {
			if e := answer.problem(http.StatusNotFound, "not_found"); e.Detail != "Todo not found" {
				t.Fatalf("detail %q", e.Detail)
			}
		}
	})
}

func TestCreateAnswersWithTheRow(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishTodo)
		before := time.Now().Add(-time.Minute)
		answer := a.as("alice").post("/todo", `{"task":"milk"}`).want(http.StatusCreated)
		var row Todo
		answer.decode(&row)
		if row.ID != 1 || row.UserID != "alice" || row.Task != "milk" || row.InsertedAt.Before(before) || answer.Header.Get("Location") != "/todo/1" {
			t.Fatalf("%+v at %s", row, answer.Header.Get("Location"))
		}
		if rows := a.as("alice").post("/todo", `[{"task":"a"},{"task":"b"}]`).want(http.StatusCreated).values("id"); !slices.Equal(rows, []string{"2", "3"}) {
			t.Fatalf("bulk: %v", rows)
		}
	})
}

func TestCustomRoutesBesideTheGeneratedOnes(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, func(c *capebase.Cape) {
			publishTodo(c)
			c.Handle("GET /custom/who", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprintf(w, "plain %s", auth.From(r.Context()).ID)
			}))
			typedRoute(c)
		})
		if got := a.as("bob").get("/custom/who").want(http.StatusOK).Body; got != "plain bob" {
			t.Fatal(got)
		}
		if got := a.as("bob").get("/typed/5").want(http.StatusOK).row(); got["who"] != "bob" || got["n"].(fmt.Stringer).String() != "5" {
			t.Fatal(got)
		}
		a.as("bob").get("/typed/x").problem(http.StatusUnprocessableEntity, "invalid", "path.n")
		a.as("bob").get("/typed/404").problem(http.StatusNotFound, "not_found")
		a.as("bob").get("/typed/500").problem(http.StatusInternalServerError, "internal")
		a.as("").get("/todo").want(http.StatusOK)
	})
}

func TestProviderReturnsNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishTodo)
		a.as("").get("/todo").want(http.StatusOK)
		answer := a.as("").post("/todo", `{"task":"milk"}`)
		answer.problem(http.StatusUnauthorized, "unauthenticated")
		if got := answer.Header.Get("WWW-Authenticate"); got != "Bearer" {
			t.Fatalf("WWW-Authenticate: %q", got)
		}
		wantIDs(t, a.as("").get("/todo"))
	})
}

// Ticket has one field of each managed source.
type Ticket struct {
	ID    int64   `json:"id"`
	Who   string  `json:"who" cape:"auth.id"`
	Role  *string `json:"role" cape:"auth.role,optional"`
	OrgID string  `json:"org_id" cape:"claims.org_id"`
	Text  string  `json:"text"`
}

func publishTicket(c *capebase.Cape) {
	capebase.Publish[Ticket](c).Allow(policy.All, policy.SignedIn())
}

func ticketCallers(c *capebase.Cape) {
	c.UseAuth(auth.Tokens{
		"full":  {ID: "fay", Roles: []string{"editor", "reviewer"}, Claims: map[string]any{"org_id": "org1"}},
		"other": {ID: "oli", Claims: map[string]any{"org_id": "org2"}},
	})
	publishTicket(c)
}

func TestManagedFieldsAreFilledOnCreate(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, ticketCallers)
		row := a.as("full").post("/ticket", `{"text":"one"}`).want(http.StatusCreated).row()
		if row["who"] != "fay" || row["role"] != "editor" || row["org_id"] != "org1" {
			t.Fatalf("single: %v", row)
		}
		bulk := a.as("other").post("/ticket", `[{"text":"two"},{"text":"three"}]`).want(http.StatusCreated)
		if got := bulk.values("who"); !slices.Equal(got, []string{"oli", "oli"}) {
			t.Fatalf("bulk: %v", got)
		}
		if got := bulk.values("role"); !slices.Equal(got, []string{"null", "null"}) {
			t.Fatalf("optional: %v", got)
		}
		// A claim of several values fills nothing: the body gives one of them.
		a.as("orgs").post("/ticket", `{"text":"four"}`).problem(http.StatusForbidden, "permission", "body.org_id")
		a.as("orgs").post("/ticket", `{"text":"four","org_id":"org3"}`).problem(http.StatusForbidden, "permission", "body.org_id")
		a.as("orgs").post("/ticket", `{"text":"four","org_id":"org2"}`).want(http.StatusCreated)
	})
}

func TestBodyGivesAnotherManagedValue(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, ticketCallers)
		for _, body := range []string{`{"text":"x","who":"oli"}`, `{"text":"x","role":"admin"}`, `{"text":"x","org_id":"org2"}`, `{"text":"x","role":null}`} {
			a.as("full").post("/ticket", body).problem(http.StatusForbidden, "permission")
			a.as("full").post("/ticket", `[{"text":"ok"},`+body+`]`).problem(http.StatusForbidden, "permission")
		}
		wantIDs(t, a.as("full").get("/ticket"))
	})
}

func TestBodyGivesTheSameManagedValue(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, ticketCallers)
		a.as("full").post("/ticket", `{"text":"x","who":"fay","role":"editor","org_id":"org1"}`).want(http.StatusCreated)
		a.as("full").post("/ticket", `[{"text":"x","who":"fay"},{"text":"x","org_id":"org1"}]`).want(http.StatusCreated)
	})
}

func TestIdentityLacksAManagedValue(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, ticketCallers)
		a.as("alice").post("/ticket", `{"text":"x"}`).problem(http.StatusForbidden, "permission", "body.org_id")
		a.as("alice").post("/ticket", `[{"text":"x"}]`).problem(http.StatusForbidden, "permission", "body[0].org_id")
		a.as("").post("/ticket", `{"text":"x"}`).problem(http.StatusUnauthorized, "unauthenticated")
		wantIDs(t, a.as("full").get("/ticket"))
	})
}

func TestManagedFieldsNeverChange(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, ticketCallers)
		a.as("full").post("/ticket", `{"text":"x"}`).want(http.StatusCreated)
		for _, body := range []string{`{"who":"oli"}`, `{"role":"admin"}`, `{"org_id":"org2"}`, `{"text":"y","who":"oli"}`} {
			a.as("full").patch("/ticket/1", body).problem(http.StatusForbidden, "permission")
			a.as("other").patch("/ticket/1", body).problem(http.StatusForbidden, "permission")
		}
		row := a.as("other").patch("/ticket/1", `{"text":"y","who":"fay"}`).want(http.StatusOK).row()
		if row["text"] != "y" || row["who"] != "fay" || row["role"] != "editor" || row["org_id"] != "org1" {
			t.Fatalf("%v", row)
		}
	})
}

func TestOwnerListsOwnRows(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishDocument)
		seed(a)
		wantIDs(t, a.as("alice").get("/document"), "a1", "a2")
		wantIDs(t, a.as("bob").get("/document"), "b1", "b2")
	})
}

func TestAdminListsAllRows(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishDocument)
		seed(a)
		wantIDs(t, a.as("admin").get("/document"), "a1", "a2", "b1", "b2", "n1")
	})
}

func TestContextNamesOneOrganisation(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishDocument)
		seed(a)
		wantIDs(t, a.as("org1").get("/document"), "a1", "b1")
		a.as("org1").post("/document", `{"id":"o1","owner_id":"olga","org_id":"org9","title":"own"}`).want(http.StatusCreated)
		wantIDs(t, a.as("org1").get("/document"), "a1", "b1", "o1")
	})
}

func TestContextNamesSeveralOrganisations(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, func(c *capebase.Cape) {
			c.UseAuth(auth.Tokens{"array": {ID: "ari", Claims: map[string]any{"org_id": [2]string{"org2", "org1"}}}})
			publishDocument(c)
		})
		seed(a)
		wantIDs(t, a.as("orgs").get("/document"), "a1", "b1", "b2")
		wantIDs(t, a.as("array").get("/document"), "a1", "b1", "b2")
	})
}

func TestContextNamesNoOrganisation(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishDocument)
		seed(a)
		wantIDs(t, a.as("noorgs").get("/document"))
		a.as("noorgs").post("/document", `{"id":"o1","owner_id":"nora","org_id":"","title":"own"}`).want(http.StatusCreated)
		wantIDs(t, a.as("noorgs").get("/document"), "o1")
	})
}

func TestStrangerListsNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishDocument)
		seed(a)
		wantIDs(t, a.as("editor").get("/document"))
		wantIDs(t, a.as("").get("/document"))
	})
}

func TestNothingCarriesOverBetweenRequests(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishDocument)
		seed(a)
		for range 3 {
			wantIDs(t, a.as("alice").get("/document"), "a1", "a2")
			wantIDs(t, a.as("admin").get("/document"), "a1", "a2", "b1", "b2", "n1")
			wantIDs(t, a.as("").get("/document"))
			wantIDs(t, a.as("org1").get("/document"), "a1", "b1")
		}
	})
}

func TestUpdateOfSomeoneElsesRow(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishDocument)
		seed(a)
		a.as("alice").patch("/document/b1", `{"title":"mine"}`).problem(http.StatusNotFound, "not_found")
		a.as("org1").patch("/document/b1", `{"title":"mine"}`).problem(http.StatusForbidden, "permission")
		a.as("").patch("/document/b1", `{"title":"mine"}`).problem(http.StatusNotFound, "not_found")
		if got := a.as("bob").get("/document/b1").row()["title"]; got != "third" {
			t.Fatalf("title %v", got)
		}
	})
}

func TestDeleteOfForeignRowsDeletesNone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishDocument)
		seed(a)
		a.as("alice").delete("/document/b1").problem(http.StatusNotFound, "not_found")
		a.as("org1").delete("/document/b1").problem(http.StatusForbidden, "permission")
		a.as("alice").delete("/document").problem(http.StatusMethodNotAllowed, "method_not_allowed")
		wantIDs(t, a.as("admin").get("/document"), "a1", "a2", "b1", "b2", "n1")
	})
}

func TestUpdateThatHandsTheRowToAnother(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishDocument)
		seed(a)
		a.as("alice").patch("/document/a1", `{"owner_id":"bob"}`).problem(http.StatusForbidden, "permission")
		if got := a.as("alice").get("/document/a1").row()["owner_id"]; got != "alice" {
			t.Fatalf("owner %v", got)
		}
		a.as("admin").patch("/document/a1", `{"owner_id":"bob"}`).want(http.StatusOK)
		a.as("alice").get("/document/a1").problem(http.StatusNotFound, "not_found")
	})
}

func TestFiltersCombineWithTheRule(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, publishDocument)
		seed(a)
		wantIDs(t, a.as("alice").get("/document?title=eq.third"))
		wantIDs(t, a.as("alice").get("/document?or=(title.eq.first,title.eq.third,owner_id.eq.bob)"), "a1")
		wantIDs(t, a.as("orgs").get("/document?or=(title.eq.first,owner_id.eq.bob)&order=id.desc"), "b2", "b1", "a1")
		wantIDs(t, a.as("alice").get("/document?order=title.desc"), "a2", "a1")
		wantIDs(t, a.as("alice").get("/document?not.and=(id.eq.a1,title.eq.first)"), "a2")
	})
}

func TestAnyoneIsEveryCaller(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, func(c *capebase.Cape) {
			capebase.Publish[Document](c).Allow(policy.All, policy.Anyone())
		})
		for i, caller := range []string{"", "alice", "admin", "noorgs"} {
			id := fmt.Sprint("d", i)
			a.as(caller).post("/document", `{"id":"`+id+`","owner_id":"x","org_id":"y","title":"z"}`).want(http.StatusCreated)
			a.as(caller).patch("/document/"+id, `{"title":"w"}`).want(http.StatusOK)
			a.as(caller).delete("/document/" + id).want(http.StatusNoContent)
		}
	})
}

func TestAModelWithoutAnyRuleIsClosed(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		a := start(t, target, func(c *capebase.Cape) { capebase.Publish[Document](c) })
		wantIDs(t, a.as("admin").get("/document"))
		a.as("admin").post("/document", `{"owner_id":"x","org_id":"y","title":"z"}`).problem(http.StatusForbidden, "permission")
		a.as("admin").post("/document", `[{"owner_id":"x","org_id":"y","title":"z"}]`).problem(http.StatusForbidden, "permission")
		a.as("").post("/document", `{"owner_id":"x","org_id":"y","title":"z"}`).problem(http.StatusUnauthorized, "unauthenticated")
		a.as("admin").get("/document/x").problem(http.StatusNotFound, "not_found")
	})
}
