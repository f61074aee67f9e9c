// Command capeserver is the todo server made with CapeBase, for the load driver.
package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/bench/internal/bearer"
	"github.com/capebase/capebase/bench/internal/child"
	"github.com/capebase/capebase/bench/internal/users"
	"github.com/capebase/capebase/mysql"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/postgres"
	"github.com/capebase/capebase/sqlite"
)

// Todo is a row.
type Todo struct {
	ID         int64     `json:"id"`
	UserID     string    `json:"user_id" gorm:"index" cape:"auth.id"`
	Task       string    `json:"task" minLength:"1" maxLength:"200"`
	IsComplete bool      `json:"is_complete"`
	InsertedAt time.Time `json:"inserted_at" gorm:"autoCreateTime"`
}

func main() { child.Main(open) }

func open(ctx context.Context, c child.Config) (http.Handler, func() error, error) {
	database, err := databaseOf(c.Database, c.Durable)
	if err != nil {
		return nil, nil, err
	}
	// Warnings only: neither server logs a line a request, unless that is to be measured.
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	closeLog := func() error { return nil }
	if c.Log != "" {
		file, err := createLog(c.Log)
		if err != nil {
			return nil, nil, err
		}
		closeLog = file.Close
		logger = slog.New(slog.NewTextHandler(file, nil))
	}
	cape, err := capebase.Open(database, capebase.Config{Logger: logger})
	if err != nil {
		return nil, nil, errors.Join(err, closeLog())
	}
	closeAll := func() error { return errors.Join(cape.Close(), closeLog()) }
	if c.Log != "" {
		cape.Metrics()
	}
	authenticate := bearer.Users(users.ByToken(c.Users))
	if c.Followed > 0 {
		authenticate = following(authenticate, c.Followed)
	}
	cape.UseAuth(authenticate)
	todos := capebase.Publish[Todo](cape)
	todos.Allow(policy.All, policy.Owner(&todos.Fields.UserID))
	if c.Public {
		todos.Allow(policy.Read, policy.Anyone())
	}
	if c.Followed > 0 {
		todos.Allow(policy.Read, policy.Claim(&todos.Fields.UserID, follows))
	}
	if err := cape.Start(ctx); err != nil {
		return nil, nil, errors.Join(err, closeAll())
	}
	return cape, closeAll, nil
}

func databaseOf(address string, durable bool) (capebase.Database, error) {
	scheme, path, _ := strings.Cut(address, ":")
	switch scheme {
	case "sqlite":
		if durable {
			return sqlite.File(path).Durable(), nil
		}
		return sqlite.File(path), nil
	case "postgres":
		return postgres.URL(address), nil
	case "mysql":
		return mysql.URL(address), nil
	default:
		return nil, errors.New("want sqlite:PATH, postgres://… or mysql://…")
	}
}

// follows is the claim that lists the users whose rows its caller may read.
const follows = "follows"

// following gives each caller the claim, with the first users in it.
func following(authenticate auth.Func, followed int) auth.Func {
	var list []any
	for _, user := range users.Make(followed) {
		list = append(list, user.ID)
	}
	claims := map[string]any{follows: list}
	return func(r *http.Request) (auth.Identity, error) {
		identity, err := authenticate(r)
		if identity.ID != "" {
			identity.Claims = claims
		}
		return identity, err
	}
}
