// Command todo is a whole CapeBase program: one struct, three rules, accounts, a REST API with live streams.
//
//	ADDR          where to listen; default 127.0.0.1:8080
//	DATABASE_URL  default sqlite:todos.db; postgres://… and mysql://… work as well
//	PUBLIC_URL    where browsers find it, for links in mails; with https the cookie is for TLS only; default http://ADDR
//	METRICS_ADDR  where Prometheus finds /metrics, such as 127.0.0.1:9464; default none
//	TODO_TOKENS   bearer tokens for demos and tests, token=id[:role], separated by commas; default none
//
// At / is a page to try it on. Mails are written to the log.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/accounts"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/mysql"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/postgres"
	"github.com/capebase/capebase/sqlite"
)

// Todo is an ordinary GORM model.
type Todo struct {
	ID         int64     `json:"id"`
	UserID     string    `json:"user_id" gorm:"index" cape:"auth.id"` // filled from the caller, never from the body
	Task       string    `json:"task" minLength:"1" maxLength:"200"`
	IsComplete bool      `json:"is_complete"`
	InsertedAt time.Time `json:"inserted_at" gorm:"autoCreateTime"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	db, err := database(cmp.Or(os.Getenv("DATABASE_URL"), "sqlite:todos.db"))
	if err != nil {
		return err
	}
	tokens, err := parseTokens(os.Getenv("TODO_TOKENS"))
	if err != nil {
		return err
	}
	cape, err := capebase.Open(db, capebase.Config{})
	if err != nil {
		return err
	}
	address := cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8080")
	public := cmp.Or(os.Getenv("PUBLIC_URL"), "http://"+address)
	cape.UseAuth(tokens, accounts.New[accounts.User](cape, accounts.Config{
		URL:        public,
		Insecure:   !strings.HasPrefix(public, "https:"),
		Unverified: true, // a demo: nobody has to look for a mail in the log
	}))

	todos := capebase.Publish[Todo](cape, capebase.History()) // routes, OpenAPI, live streams, old versions
	todos.Allow(policy.Read, policy.Anyone())
	todos.Allow(policy.Write, policy.Owner(&todos.Fields.UserID))
	todos.Allow(policy.All, policy.Role("admin"))

	cape.AllowAudit(policy.Role("admin")) // GET /audit: who did what

	todos.OnChange(func(ctx context.Context, c capebase.Change[Todo]) {
		slog.InfoContext(ctx, "todo", "event", c.Event, "id", c.Row.ID, "task", c.Row.Task, "actor", c.Actor)
	})

	huma.Get(cape.API(), "/todo/filter", filter(cape))

	page(cape)

	if private := os.Getenv("METRICS_ADDR"); private != "" {
		if err := metrics(cape, private); err != nil {
			return err
		}
	}

	return cape.ListenAndServe(ctx, address)
}

type filterInput struct {
	Completed bool `query:"completed" doc:"Todos that are done, or those that are not."`
}

type filterOutput struct{ Body []Todo }

// filter is a typed route beside the generated ones: cape.DB(ctx) sees what the caller may read.
func filter(cape *capebase.Cape) func(context.Context, *filterInput) (*filterOutput, error) {
	return func(ctx context.Context, in *filterInput) (*filterOutput, error) {
		out := &filterOutput{Body: []Todo{}}
		err := cape.DB(ctx).Where("is_complete = ?", in.Completed).Order("id").Find(&out.Body).Error
		return out, err
	}
}

// database chooses the engine by the URL's scheme. The URL stays out of errors: it may hold a password.
func database(url string) (capebase.Database, error) {
	scheme, path, _ := strings.Cut(url, ":")
	switch scheme {
	case "sqlite":
		return sqlite.File(path), nil
	case "postgres", "postgresql":
		return postgres.URL(url), nil
	case "mysql", "mariadb":
		return mysql.URL(url), nil
	}
	return nil, fmt.Errorf("DATABASE_URL: scheme %q: expected sqlite:FILE, postgres://… or mysql://…", scheme)
}

// parseTokens reads token=id[:role], separated by commas.
func parseTokens(list string) (auth.Tokens, error) {
	tokens := auth.Tokens{}
	for i, entry := range strings.Split(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		token, who, ok := strings.Cut(entry, "=")
		id, role, hasRole := strings.Cut(who, ":")
		if !ok || token == "" || id == "" || hasRole && role == "" {
			return nil, fmt.Errorf("TODO_TOKENS: entry %d: expected token=id or token=id:role", i+1)
		}
		identity := auth.Identity{ID: id, Session: "token of " + id}
		if hasRole {
			identity.Roles = []string{role}
		}
		tokens[token] = identity
	}
	return tokens, nil
}
