// Command growthserver is a todo server made with CapeBase that can be large in one direction or another, for the driver
// that draws growth curves: many rules, many resources, or a table and a journal that were filled before.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
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
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/sqlite"
)

// Todo is a row. Of Code and Note, one has an index.
type Todo struct {
	ID         int64     `json:"id"`
	UserID     string    `json:"user_id" gorm:"index" cape:"auth.id"`
	Task       string    `json:"task" minLength:"1" maxLength:"200"`
	IsComplete bool      `json:"is_complete"`
	Code       string    `json:"code,omitempty" gorm:"index"`
	Note       string    `json:"note,omitempty"`
	InsertedAt time.Time `json:"inserted_at" gorm:"autoCreateTime"`
}

// options are how large the server is.
type options struct {
	rules     int // of Todo, all in force for each caller
	roles     int // rules of Todo for roles that no user has
	resources int // beside Todo
}

func main() {
	o := options{}
	flag.IntVar(&o.rules, "rules", 1, "rules that a row can be seen by; the first is the owner's")
	flag.IntVar(&o.roles, "roles", 0, "rules for roles that no user has")
	flag.IntVar(&o.resources, "resources", 0, fmt.Sprintf("resources beside todo, at most %d", maxResources))
	child.Main(o.open)
}

func (o *options) open(ctx context.Context, c child.Config) (http.Handler, func() error, error) {
	path, ok := strings.CutPrefix(c.Database, "sqlite:")
	if !ok {
		return nil, nil, errors.New("want sqlite:PATH")
	}
	if o.resources > maxResources {
		return nil, nil, fmt.Errorf("want at most %d resources", maxResources)
	}
	// Statements are slow where tables are large: that is what is measured.
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	cape, err := capebase.Open(sqlite.File(path), capebase.Config{Logger: logger})
	if err != nil {
		return nil, nil, err
	}
	cape.UseAuth(auditor(), bearer.Users(users.ByToken(c.Users)))
	cape.AllowAudit(policy.Role(users.Auditor))
	o.publish(cape)
	if err := cape.Start(ctx); err != nil {
		return nil, nil, errors.Join(err, cape.Close())
	}
	return cape, cape.Close, nil
}

func (o *options) publish(cape *capebase.Cape) {
	todos := capebase.Publish[Todo](cape)
	fields := todos.Fields
	todos.Allow(policy.All, policy.Owner(&fields.UserID))
	todos.Allow(policy.Read, policy.Role(users.Auditor))
	for i := 1; i < o.rules; i++ {
		todos.Allow(policy.All, policy.Field(&fields.Code).Eq(fmt.Sprintf("desk-%d", i)), policy.Field(&fields.IsComplete).Eq(true))
	}
	for i := range o.roles {
		todos.Allow(policy.All, policy.Role(fmt.Sprintf("desk-%d", i)), policy.Field(&fields.Code).Eq(fmt.Sprintf("desk-%d", i)))
	}
	publishParts(cape, o.resources)
}

// auditor knows the one caller who reads all rows.
func auditor() auth.Func {
	return func(r *http.Request) (auth.Identity, error) {
		if token, _ := auth.Bearer(r); token == users.Auditor {
			return auth.Identity{ID: users.Auditor, Roles: []string{users.Auditor}}, nil
		}
		return auth.Identity{}, nil
	}
}
