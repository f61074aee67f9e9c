package capebase_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/sqlite"
)

// Todo is an ordinary GORM model.
type Todo struct {
	ID         int64     `json:"id"`
	UserID     string    `json:"user_id" gorm:"index" cape:"auth.id"`
	Task       string    `json:"task" minLength:"1" maxLength:"200"`
	IsComplete bool      `json:"is_complete"`
	InsertedAt time.Time `json:"-" gorm:"autoCreateTime"`
}

// open is a backend in a temporary database, without log lines.
func open() *capebase.Cape {
	cape, err := capebase.Open(sqlite.Temp(), capebase.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	return cape
}

// call serves a request as someone and prints the answer.
func call(h http.Handler, who, method, path, body string) {
	request := httptest.NewRequest(method, path, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Request-Id", "example")
	request = request.WithContext(auth.With(request.Context(), auth.Identity{ID: who}))
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, request)
	fmt.Println(strings.TrimSpace(fmt.Sprintln(answer.Code, answer.Body)))
}

func Example() {
	cape := open()
	defer cape.Close() //nolint:errcheck // an example's end

	todos := capebase.Publish[Todo](cape)
	todos.Allow(policy.Read, policy.Anyone())
	todos.Allow(policy.Write, policy.Owner(&todos.Fields.UserID))
	if err := cape.Start(context.Background()); err != nil {
		log.Fatal(err)
	}

	call(cape, "alice", "POST", "/todo", `{"task":"buy milk"}`)
	call(cape, "alice", "PATCH", "/todo/1", `{"is_complete":true}`)
	call(cape, "bob", "GET", "/todo?is_complete=is.true", "")
	call(cape, "bob", "DELETE", "/todo/1", "")
	// Output:
	// 201 {"id":1,"user_id":"alice","task":"buy milk","is_complete":false}
	// 200 {"id":1,"user_id":"alice","task":"buy milk","is_complete":true}
	// 200 [{"id":1,"user_id":"alice","task":"buy milk","is_complete":true}]
	// 403 {"status":403,"title":"Forbidden","detail":"the rules do not allow to delete this Todo","code":"permission","request_id":"example"}
}

// NewTodo is what POST takes.
type NewTodo struct {
	Task string `json:"task" minLength:"3"`
}

func ExamplePublish() {
	cape := open()
	defer cape.Close() //nolint:errcheck // an example's end

	todos := capebase.Publish[Todo](cape,
		capebase.Path("/api/todos"),
		capebase.Only(capebase.List|capebase.Create),
		capebase.CreateAs[NewTodo](),
	)
	todos.Allow(policy.All, policy.SignedIn())
	if err := cape.Start(context.Background()); err != nil {
		log.Fatal(err)
	}

	call(cape, "alice", "POST", "/api/todos", `{"task":"read"}`)
	call(cape, "alice", "GET", "/api/todos?order=id.desc&limit=1", "")
	// Output:
	// 201 {"id":1,"user_id":"alice","task":"read","is_complete":false}
	// 200 [{"id":1,"user_id":"alice","task":"read","is_complete":false}]
}

// Document belongs to an organisation.
type Document struct {
	ID     string `json:"id"`
	OrgID  string `json:"org_id"`
	Owner  string `json:"owner" cape:"auth.id"`
	Locked bool   `json:"locked"`
}

func ExampleResource_Allow() {
	cape := open()
	defer cape.Close() //nolint:errcheck // an example's end

	documents := capebase.Publish[Document](cape)
	documents.Allow(policy.Create, policy.SignedIn())
	documents.Allow(policy.Read, policy.Claim(&documents.Fields.OrgID, "org_id"))
	documents.Allow(policy.Read|policy.Update, policy.Owner(&documents.Fields.Owner), policy.Field(&documents.Fields.Locked).Eq(false))
	if err := cape.Start(context.Background()); err != nil {
		log.Fatal(err)
	}

	call(cape, "alice", "POST", "/document", `{"id":"a","org_id":"org1"}`)
	call(cape, "alice", "GET", "/document", "")
	call(cape, "bob", "GET", "/document", "")
	// Output:
	// 201 {"id":"a","org_id":"org1","owner":"alice","locked":false}
	// 200 [{"id":"a","org_id":"org1","owner":"alice","locked":false}]
	// 200 []
}

func ExampleCape_UseAuth() {
	cape := open()
	defer cape.Close() //nolint:errcheck // an example's end

	cape.UseAuth(
		auth.Tokens{"secret": {ID: "alice"}},
		auth.Func(func(r *http.Request) (auth.Identity, error) {
			cookie, err := r.Cookie("session")
			if err != nil {
				return auth.Identity{}, nil // none of mine
			}
			if cookie.Value != "bobs-session" { // look it up where sessions are kept
				return auth.Identity{}, auth.ErrUnauthenticated
			}
			return auth.Identity{ID: "bob", Roles: []string{"editor"}}, nil
		}),
	)
	who := cape.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, auth.From(r.Context()).ID)
	}))

	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.AddCookie(&http.Cookie{Name: "session", Value: "bobs-session"})
	answer := httptest.NewRecorder()
	who.ServeHTTP(answer, request)
	fmt.Println(answer.Body)
	// Output: bob
}

func ExampleCape_API() {
	cape := open()
	defer cape.Close() //nolint:errcheck // an example's end

	type input struct {
		Name string `path:"name" maxLength:"20"`
	}
	type output struct{ Body map[string]string }
	huma.Get(cape.API(), "/hello/{name}", func(ctx context.Context, in *input) (*output, error) {
		if in.Name == "nobody" {
			return nil, capebase.ErrNotFound
		}
		return &output{Body: map[string]string{"hello": in.Name, "from": auth.From(ctx).ID}}, nil
	})
	if err := cape.Start(context.Background()); err != nil {
		log.Fatal(err)
	}

	call(cape, "alice", "GET", "/hello/world", "")
	// Output: 200 {"from":"alice","hello":"world"}
}

func ExampleCape_Plan() {
	cape := open()
	defer cape.Close() //nolint:errcheck // an example's end

	capebase.Publish[Todo](cape)
	statements, err := cape.Plan(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, statement := range statements {
		first, _, _ := strings.Cut(statement, "\n")
		if strings.Contains(first, `"todos"`) && !strings.HasPrefix(first, "CREATE TRIGGER") {
			fmt.Println(first)
		}
	}
	// Output:
	// CREATE TABLE "todos" (
	// CREATE INDEX "idx_todos_user_id" ON "todos" ("user_id")
}

func ExampleResource_OnChange() {
	cape := open()
	defer cape.Close() //nolint:errcheck // an example's end

	todos := capebase.Publish[Todo](cape)
	todos.Allow(policy.All, policy.SignedIn())
	seen := make(chan string)
	todos.OnChange(func(_ context.Context, c capebase.Change[Todo]) {
		seen <- fmt.Sprintf("%s %q by %s", c.Event, c.Row.Task, c.Actor)
	})
	if err := cape.Start(context.Background()); err != nil {
		log.Fatal(err)
	}

	call(cape, "alice", "POST", "/todo", `{"task":"sing"}`)
	fmt.Println(<-seen)
	call(cape, "bob", "DELETE", "/todo/1", "")
	fmt.Println(<-seen)
	// Output:
	// 201 {"id":1,"user_id":"alice","task":"sing","is_complete":false}
	// INSERT "sing" by alice
	// 204
	// DELETE "sing" by bob
}

func ExampleResource_Consume() {
	cape := open()
	defer cape.Close() //nolint:errcheck // an example's end

	todos := capebase.Publish[Todo](cape)
	todos.Allow(policy.All, policy.SignedIn())
	sent := make(chan string)
	mails := 0
	todos.Consume("mails", func(_ context.Context, c capebase.Change[Todo]) error {
		if mails++; mails == 1 {
			return errors.New("the mail server is away") // the change comes again
		}
		sent <- fmt.Sprintf("mail %d: %s", mails, c.Row.Task)
		return nil
	})
	if err := cape.Start(context.Background()); err != nil {
		log.Fatal(err)
	}

	call(cape, "alice", "POST", "/todo", `{"task":"write"}`)
	fmt.Println(<-sent)
	// Output:
	// 201 {"id":1,"user_id":"alice","task":"write","is_complete":false}
	// mail 2: write
}

func ExampleCape_ServeHTTP_live() {
	cape := open()
	defer cape.Close() //nolint:errcheck // an example's end

	todos := capebase.Publish[Todo](cape)
	todos.Allow(policy.All, policy.Anyone())
	if err := cape.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(cape)
	defer server.Close()

	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+"/todo/subscribe", nil)
	if err != nil {
		log.Fatal(err)
	}
	stream, err := server.Client().Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Body.Close() //nolint:errcheck // an example's end
	lines := bufio.NewScanner(stream.Body)
	lines.Scan()
	fmt.Println(lines.Text())

	call(cape, "alice", "POST", "/todo", `{"task":"dance"}`)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && data != "{}" {
			payload, _, _ := strings.Cut(data, `,"timestamp"`)
			fmt.Println(payload)
			break
		}
	}
	// Output:
	// event: ready
	// 201 {"id":1,"user_id":"alice","task":"dance","is_complete":false}
	// {"table":"todo","event":"INSERT","payload":{"id":1,"user_id":"alice","task":"dance","is_complete":false}
}
