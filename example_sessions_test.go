package capebase_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"

	"github.com/danielgtaylor/huma/v2"
	"gorm.io/gorm/logger"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/sqlite"
)

// openTodos is a started backend in which everybody may read and change the own todos alone.
func openTodos() *capebase.Cape {
	config := capebase.Config{Logger: slog.New(slog.DiscardHandler)}
	config.Gorm.Logger = logger.Discard
	cape, err := capebase.Open(sqlite.Temp(), config)
	if err != nil {
		log.Fatal(err)
	}
	todos := capebase.Publish[Todo](cape)
	todos.Allow(policy.All, policy.Owner(&todos.Fields.UserID))
	cape.OnStart(func(ctx context.Context) error {
		return cape.DB(auth.Privileged(ctx, "demonstration")).Create([]Todo{
			{UserID: "alice", Task: "sing"}, {UserID: "alice", Task: "dance", IsComplete: true}, {UserID: "bob", Task: "rest"},
		}).Error
	})
	if err := cape.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return cape
}

// as is what a route's context is for a caller.
func as(who string) context.Context {
	return auth.With(context.Background(), auth.Identity{ID: who})
}

func ExampleCape_DB() {
	cape := openTodos()
	defer cape.Close() //nolint:errcheck // an example's end

	var todos []Todo
	if err := cape.DB(as("alice")).Order("id").Find(&todos).Error; err != nil {
		log.Fatal(err)
	}
	for _, todo := range todos {
		fmt.Println(todo.Task)
	}

	// The managed field is filled from the caller; rows of others are left alone.
	if err := cape.DB(as("bob")).Create(&Todo{Task: "read"}).Error; err != nil {
		log.Fatal(err)
	}
	done := cape.DB(as("bob")).Model(&Todo{}).Where("is_complete = ?", false).Update("is_complete", true)
	fmt.Println(done.RowsAffected, "of bob's", done.Error)
	// Output:
	// sing
	// dance
	// 2 of bob's <nil>
}

// A typed route beside the generated ones sees the caller's rows alone, without saying so.
func ExampleCape_DB_route() {
	cape := openRoute()
	defer cape.Close() //nolint:errcheck // an example's end

	call(cape, "alice", "GET", "/todo/filter?completed=true", "")
	call(cape, "bob", "GET", "/todo/filter?completed=true", "")
	// Output:
	// 200 [{"id":2,"user_id":"alice","task":"dance","is_complete":true}]
	// 200 []
}

func openRoute() *capebase.Cape {
	cape := open()
	todos := capebase.Publish[Todo](cape)
	todos.Allow(policy.All, policy.Owner(&todos.Fields.UserID))
	cape.OnStart(func(ctx context.Context) error {
		return cape.DB(auth.Privileged(ctx, "demonstration")).Create([]Todo{
			{UserID: "bob", Task: "rest"}, {UserID: "alice", Task: "dance", IsComplete: true},
		}).Error
	})

	type input struct {
		Completed bool `query:"completed"`
	}
	type output struct{ Body []Todo }
	huma.Get(cape.API(), "/todo/filter", func(ctx context.Context, in *input) (*output, error) {
		out := &output{Body: []Todo{}}
		err := cape.DB(ctx).Where("is_complete = ?", in.Completed).Find(&out.Body).Error
		return out, err
	})
	if err := cape.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return cape
}

func ExampleCape_SQL() {
	cape := openTodos()
	defer cape.Close() //nolint:errcheck // an example's end
	db := cape.SQL()   // a *sql.DB: for sqlc, sqlx, bun and hand-written SQL

	var count int
	for _, who := range []string{"alice", "bob", ""} {
		if err := db.QueryRowContext(as(who), "SELECT count(*) FROM todos").Scan(&count); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%q counts %d\n", who, count)
	}

	// What alice cannot read is not there; what she may not write is undone.
	result, err := db.ExecContext(as("alice"), "UPDATE todos SET task = upper(task)")
	if err != nil {
		log.Fatal(err)
	}
	changed, _ := result.RowsAffected()
	fmt.Println("changed", changed)
	_, err = db.ExecContext(as("alice"), "UPDATE todos SET user_id = 'bob' WHERE id = 1")
	fmt.Println("permitted:", !errors.Is(err, capebase.ErrPermission))
	// Output:
	// "alice" counts 2
	// "bob" counts 1
	// "" counts 0
	// changed 2
	// permitted: false
}

func ExampleCape_SQL_refused() {
	cape := openTodos()
	defer cape.Close() //nolint:errcheck // an example's end

	_, err := cape.SQL().ExecContext(as("alice"), "DROP TABLE todos")
	fmt.Println(err != nil)
	// Output: true
}

func ExampleCape_Transaction() {
	cape := openTodos()
	defer cape.Close() //nolint:errcheck // an example's end
	db := cape.SQL()

	err := cape.Transaction(as("alice"), func(ctx context.Context) error { // this ctx, not the outer one
		if err := cape.DB(ctx).Create(&Todo{Task: "write"}).Error; err != nil {
			return err
		}
		if _, err := db.ExecContext(ctx, "DELETE FROM todos WHERE is_complete"); err != nil {
			return err
		}
		// A transaction within is a savepoint.
		_ = cape.Transaction(ctx, func(ctx context.Context) error {
			_, err := db.ExecContext(ctx, "DELETE FROM todos")
			return errors.Join(err, errors.New("on second thought"))
		})
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	var tasks []string
	if err := cape.DB(as("alice")).Model(&Todo{}).Order("id").Pluck("task", &tasks).Error; err != nil {
		log.Fatal(err)
	}
	fmt.Println(tasks)
	// Output: [sing write]
}

func ExampleCape_Transaction_violation() {
	cape := openTodos()
	defer cape.Close() //nolint:errcheck // an example's end

	err := cape.Transaction(as("alice"), func(ctx context.Context) error {
		if err := cape.DB(ctx).Create(&Todo{Task: "hum"}).Error; err != nil {
			return err
		}
		_, _ = cape.SQL().ExecContext(ctx, "UPDATE todos SET user_id = 'bob'") // against the rules
		return nil                                                             // nobody looked at the error
	})
	fmt.Println("permitted:", !errors.Is(err, capebase.ErrPermission))
	var count int64
	if err := cape.DB(as("alice")).Model(&Todo{}).Count(&count).Error; err != nil {
		log.Fatal(err)
	}
	fmt.Println("alice still has", count)
	// Output:
	// permitted: false
	// alice still has 2
}

// Privileged lifts the limits for what the program does on its own account; the reason is kept with each change.
func Example_privileged() {
	cape := openTodos()
	defer cape.Close() //nolint:errcheck // an example's end

	ctx := auth.Privileged(as("alice"), "monthly clean-up")
	cleaned := cape.DB(ctx).Where("is_complete = ?", true).Delete(&Todo{})
	fmt.Println(cleaned.RowsAffected, cleaned.Error)
	if err := cape.DB(ctx).Create(&Todo{UserID: "bob", Task: "from alice"}).Error; err != nil {
		log.Fatal(err)
	}
	var count int64
	if err := cape.DB(as("bob")).Model(&Todo{}).Count(&count).Error; err != nil {
		log.Fatal(err)
	}
	fmt.Println("bob has", count)
	// Output:
	// 1 <nil>
	// bob has 2
}
