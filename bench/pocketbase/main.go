// Command pocketbase is the todo server made with PocketBase, for the load driver: an owner rule, no log, no dashboard. It is a
// module of its own, so that nothing else depends on PocketBase.
package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase/apis"
	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/tools/types"

	"github.com/capebase/capebase/bench/internal/child"
	"github.com/capebase/capebase/bench/internal/todo"

	_ "github.com/pocketbase/pocketbase/migrations" // PocketBase's own tables
)

func main() { child.Main(open) }

func open(_ context.Context, c child.Config) (http.Handler, func() error, error) {
	path, ok := strings.CutPrefix(c.Database, "sqlite:")
	if !ok {
		return nil, nil, errors.New("PocketBase keeps its data in SQLite: want sqlite:PATH")
	}
	directory := path + ".d"
	if err := os.Mkdir(directory, 0o700); err != nil {
		return nil, nil, err
	}
	app := core.NewBaseApp(core.BaseAppConfig{DataDir: directory, DBConnect: func(file string) (*dbx.DB, error) {
		if filepath.Base(file) == "data.db" {
			file = path // where the load driver counts the rows
		}
		return core.DefaultDBConnect(file)
	}})
	if err := app.Bootstrap(); err != nil {
		return nil, nil, err
	}
	handler, err := prepare(app, c)
	if err != nil {
		return nil, nil, errors.Join(err, app.ResetBootstrapState())
	}
	return handler, app.ResetBootstrapState, nil
}

func prepare(app core.App, c child.Config) (http.Handler, error) {
	if err := app.RunAllMigrations(); err != nil {
		return nil, err
	}
	app.Settings().Logs.MaxDays = 0
	app.Settings().RateLimits.Enabled = false
	if err := app.Save(app.Settings()); err != nil {
		return nil, err
	}
	if err := addUsers(app, c.Users); err != nil {
		return nil, err
	}
	if err := app.Save(todos(c.Public)); err != nil {
		return nil, err
	}
	router, err := apis.NewRouter(app)
	if err != nil {
		return nil, err
	}
	return router.BuildMux()
}

// addUsers writes the users as they lie in the table: a password for each would take longer than all measurements.
func addUsers(app core.App, n int) error {
	users, err := app.FindCollectionByNameOrId(todo.PocketBaseUsers)
	if err != nil {
		return err
	}
	users.AuthToken.Secret = todo.PocketBaseSecret
	if err := app.Save(users); err != nil {
		return err
	}
	now := types.NowDateTime().String()
	return app.RunInTransaction(func(tx core.App) error {
		for i := range n {
			id, key := todo.PocketBaseUser(i)
			_, err := tx.DB().Insert(users.Name, dbx.Params{
				"id": id, "tokenKey": key, "email": id + "@example.com", "password": "x", "verified": true, "created": now, "updated": now,
			}).Execute()
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// todos is the collection: the fields, the index and the rule that the other servers have.
func todos(public bool) *core.Collection {
	c := core.NewBaseCollection("todos")
	c.Fields.Add(
		&core.TextField{Name: "user_id", Required: true},
		&core.TextField{Name: "task", Required: true, Min: 1, Max: 200},
		&core.BoolField{Name: "is_complete"},
		&core.AutodateField{Name: "inserted_at", OnCreate: true},
	)
	c.AddIndex("todos_user_id", false, "user_id", "")
	owner := types.Pointer("user_id = @request.auth.id")
	c.ListRule, c.ViewRule, c.CreateRule, c.UpdateRule, c.DeleteRule = owner, owner, owner, owner, owner
	if public {
		c.ListRule, c.ViewRule = types.Pointer(""), types.Pointer("")
	}
	return c
}
