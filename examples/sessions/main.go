// Command sessions runs code that knows nothing of CapeBase as two users: queries that sqlc generated, a repository on
// sqlx and one on GORM. Each shows what its caller may see; none has a WHERE for it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"

	"github.com/jmoiron/sqlx"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/examples/sessions/library"
	"github.com/capebase/capebase/policy"
	"github.com/capebase/capebase/sqlite"
)

// Shelf is somebody's; everybody may look at it.
type Shelf struct {
	ID    int64  `json:"id"`
	Owner string `json:"owner" cape:"auth.id"`
	Name  string `json:"name"`
	Books []Book `json:"-"`
}

// Book is its owner's alone.
type Book struct {
	ID       int64  `json:"id"`
	ShelfID  int64  `json:"shelf_id"`
	Owner    string `json:"owner" cape:"auth.id"`
	Title    string `json:"title"`
	Finished bool   `json:"finished" gorm:"default:false"`
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	cape, err := capebase.Open(sqlite.Temp(), capebase.Config{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cape.Close()) }()
	shelves := capebase.Publish[Shelf](cape)
	shelves.Allow(policy.Read, policy.Anyone())
	shelves.Allow(policy.Write, policy.Owner(&shelves.Fields.Owner))
	books := capebase.Publish[Book](cape)
	books.Allow(policy.All, policy.Owner(&books.Fields.Owner))
	if err := cape.Start(ctx); err != nil {
		return err
	}

	// All three are made once, without a user; the context of each call says who asks.
	queries, err := library.Prepare(ctx, cape.SQL())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, queries.Close()) }()
	d := demonstration{out: out, cape: cape, queries: queries, sqlx: sqlxBooks{sqlx.NewDb(cape.SQL(), "sqlite3")}}
	if err := d.fill(ctx); err != nil {
		return err
	}
	for _, who := range []string{"alice", "bob", ""} {
		fmt.Fprintf(out, "%q:\n", who) //nolint:errcheck // a demonstration
		if err := d.show(auth.With(ctx, auth.Identity{ID: who})); err != nil {
			return err
		}
	}
	return d.change(auth.With(ctx, auth.Identity{ID: "alice"}))
}

type demonstration struct {
	out     io.Writer
	cape    *capebase.Cape
	queries *library.Queries
	sqlx    sqlxBooks
}

func (d *demonstration) print(what string, values ...any) {
	fmt.Fprintf(d.out, "  %-14s %v\n", what, values) //nolint:errcheck // a demonstration
}

// fill writes the first rows, each as its owner.
func (d *demonstration) fill(ctx context.Context) error {
	for owner, shelf := range map[string]Shelf{
		"alice": {ID: 1, Name: "kitchen", Books: []Book{{ID: 1, Title: "Bread"}, {ID: 2, Title: "Cheese"}}},
		"bob":   {ID: 2, Name: "garden", Books: []Book{{ID: 3, Title: "Apples"}}},
	} {
		if err := d.cape.DB(auth.With(ctx, auth.Identity{ID: owner})).Create(&shelf).Error; err != nil {
			return err
		}
	}
	return nil
}

// show calls each library as the caller of the context.
func (d *demonstration) show(ctx context.Context) error {
	listed, err := d.queries.ListBooks(ctx)
	if err != nil {
		return err
	}
	count, err := d.queries.CountBooks(ctx)
	if err != nil {
		return err
	}
	empty, err := d.queries.EmptyShelves(ctx)
	if err != nil {
		return err
	}
	titles, err := d.sqlx.titles(ctx)
	if err != nil {
		return err
	}
	shelves, err := gormShelves{d.cape.DB(ctx)}.withBooks()
	if err != nil {
		return err
	}
	d.print("sqlc", listed, count)
	d.print("empty to them", empty)
	d.print("sqlx", titles)
	for _, shelf := range shelves {
		d.print("gorm", shelf.Name, len(shelf.Books))
	}
	return nil
}

// change writes with sqlc's generated code, in a transaction of database/sql.
func (d *demonstration) change(ctx context.Context) error {
	tx, err := d.cape.SQL().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after the commit there is nothing left to roll back
	queries := d.queries.WithTx(tx)
	added, err := queries.AddBook(ctx, library.AddBookParams{ShelfID: 1, Owner: "alice", Title: "Eggs"})
	if err != nil {
		return err
	}
	finished, err := queries.FinishBooks(ctx)
	if err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "alice added %q and finished %d\n", added.Title, finished) //nolint:errcheck // a demonstration

	err = d.queries.GiveBook(ctx, library.GiveBookParams{Owner: "bob", ID: 1})
	fmt.Fprintln(d.out, "alice gave a book to bob:", !errors.Is(err, capebase.ErrPermission)) //nolint:errcheck // a demonstration
	return nil
}
