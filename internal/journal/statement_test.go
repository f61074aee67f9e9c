package journal

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/sqldriver"
)

// shelf and book are joined by a foreign key that follows deletions.
type shelf struct {
	ID    int64  `gorm:"autoIncrement:false"`
	Label string `gorm:"uniqueIndex;size:40"`
}

func (shelf) TableName() string { return "shelves" }

type book struct {
	ID      int64 `gorm:"autoIncrement:false"`
	ShelfID *int64
	Token   *string `cape:"secret"`
}

func (book) TableName() string { return "books" }

func shelfBed(t *testing.T, target dbtest.Target) *bed {
	t.Helper()
	b := open(t, target, Options{}, parse[shelf](t), parse[book](t), parse[Seat](t), parse[Everything](t))
	key, text := "bigint PRIMARY KEY", "varchar(40)"
	if b.db.Dialect().Name() == "sqlite" {
		key, text = "integer PRIMARY KEY", "text"
	}
	b.exec("CREATE TABLE shelves (id " + key + ", label " + text + " UNIQUE)")
	b.exec("CREATE TABLE books (id " + key + ", shelf_id bigint, token text, FOREIGN KEY (shelf_id) REFERENCES shelves (id) ON DELETE CASCADE)")
	return b.start()
}

// written runs a statement and returns what it wrote.
func (b *bed) written(ctx context.Context, c *sqldriver.Conn, statement string) ([]Entry, error) {
	written, err := b.Statement(ctx, c)
	if err != nil {
		return nil, err
	}
	if _, err := c.Exec(ctx, statement, nil); err != nil && !strings.Contains(statement, "OR FAIL") {
		return nil, err
	}
	return written(ctx, 100)
}

// upsert is an INSERT that updates the label of a shelf that is there.
func (b *bed) upsert(values string) string {
	if b.db.Dialect().Name() == "mysql" {
		return "INSERT INTO shelves (id, label) VALUES " + values + " ON DUPLICATE KEY UPDATE label = VALUES(label)"
	}
	return "INSERT INTO shelves (id, label) VALUES " + values + " ON CONFLICT (id) DO UPDATE SET label = excluded.label"
}

func TestStatement(t *testing.T) {
	t.Parallel()
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := shelfBed(t, target)
		name := b.db.Dialect().Name()
		q := b.db.Dialect().Quote
		b.exec("INSERT INTO shelves (id, label) VALUES (100, 'before')")
		var wrote []string
		err := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			for _, step := range []struct{ on, statement, want string }{
				{"", "INSERT INTO shelves (id, label) VALUES (1, 'a'), (2, 'b'), (3, 'c')", "INSERT [1], INSERT [2], INSERT [3]"},
				{"", "UPDATE shelves SET label = label", ""},
				{"", "UPDATE shelves SET label = 'z' WHERE id = 99", ""},
				{"", "UPDATE shelves SET label = CASE id WHEN 1 THEN 'aa' ELSE 'after' END WHERE id IN (1, 100)", "UPDATE [1], UPDATE [100]"},
				{"", "SELECT 1", ""},
				{"", "INSERT INTO books (id, shelf_id, token) VALUES (1, 1, 's'), (2, 2, 's')", "INSERT [1], INSERT [2]"},
				{"", "UPDATE books SET token = 't' WHERE id = 2", "SECRET [2]"},
				{"", "UPDATE shelves SET id = 4 WHERE id = 3", "DELETE [3], INSERT [4]"},
				{"", b.upsert("(4, 'c'), (5, 'e')"), "INSERT [5]"},
				{"", b.upsert("(4, 'd'), (6, 'f')"), "UPDATE [4], INSERT [6]"},
				{"sqlite mysql", "REPLACE INTO shelves (id, label) VALUES (5, 'ee'), (7, 'f')", "DELETE [5], INSERT [5], DELETE [6], INSERT [7]"},
				{"", "DELETE FROM shelves WHERE id = 1", "DELETE [1], DELETE [1]"}, // with a book
				{"", "INSERT INTO seats (" + q("row") + ", " + q("number") + ") VALUES ('x', 1)", `INSERT ["x",1]`},
				{"", "DELETE FROM books", "DELETE [2]"},
				{"sqlite", "INSERT OR FAIL INTO shelves (id, label) VALUES (8, 'h'), (2, 'b')", "INSERT [8]"},
				{"sqlite", "INSERT INTO shelves (id, label) VALUES (9, 'i')", "INSERT [9]"},
			} {
				if step.on != "" && !strings.Contains(step.on, name) {
					continue
				}
				entries, err := b.written(ctx, c, step.statement)
				if err != nil {
					return fmt.Errorf("%s: %w", step.statement, err)
				}
				if got, want := sorted(name, summary(entries)), sorted(name, step.want); got != want {
					t.Errorf("%s: wrote %q, want %q", step.statement, got, want)
				}
				for _, e := range entries {
					if e.Mark != (Mark{}) || e.Tx == "" != (name == "sqlite") {
						t.Errorf("%s: an entry has the mark %v and the transaction %q", step.statement, e.Mark, e.Tx)
					}
					wrote = append(wrote, e.Op.String()+" "+e.Key)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if all := summary(b.all()[1:]); all != strings.Join(wrote, ", ") {
			t.Errorf("the journal has\n%s, and the statements wrote\n%s", all, strings.Join(wrote, ", "))
		}
	})
}

// sorted sorts a summary for PostgreSQL, whose triggers write what a statement did in an order of their own.
func sorted(name, text string) string {
	if name != "postgres" {
		return text
	}
	parts := strings.Split(text, ", ")
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func TestStatementAndSavepoints(t *testing.T) {
	t.Parallel()
	undo := errors.New("undo")
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := shelfBed(t, target)
		insert := func(id int) string { return fmt.Sprintf("INSERT INTO shelves (id, label) VALUES (%d, '%d')", id, id) }
		err := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			var errs []error
			want := func(statement, want string) {
				entries, err := b.written(ctx, c, statement)
				if got := summary(entries); got != want {
					t.Errorf("%s: wrote %q, want %q", statement, got, want)
				}
				errs = append(errs, err)
			}
			for i, rollback := range []bool{true, false, true} {
				want(insert(10*i+1), fmt.Sprintf("INSERT [%d]", 10*i+1))
				err := b.db.Update(ctx, func(context.Context, *sqldriver.Conn) error {
					want(insert(10*i+2), fmt.Sprintf("INSERT [%d]", 10*i+2))
					if rollback {
						return undo
					}
					return nil
				})
				if (err != nil) != rollback {
					errs = append(errs, err)
				}
				want(insert(10*i+3), fmt.Sprintf("INSERT [%d]", 10*i+3))
			}
			// What a nested transaction took back is not what the whole wrote; what it kept is.
			written, err := b.Statement(ctx, c)
			errs = append(errs, err)
			for i, result := range []error{undo, nil} {
				err := b.db.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
					_, err := c.Exec(ctx, insert(50+i), nil)
					return errors.Join(err, result)
				})
				if !errors.Is(err, result) {
					errs = append(errs, err)
				}
			}
			entries, err := written(ctx, 100)
			if got := summary(entries); got != "INSERT [51]" {
				t.Errorf("around nested transactions: wrote %q", got)
			}
			return errors.Join(append(errs, err)...)
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestStatementRefuses(t *testing.T) {
	t.Parallel()
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := shelfBed(t, target)
		err := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			written, err := b.Statement(ctx, c)
			if err != nil {
				return err
			}
			_, err = c.Exec(ctx, "INSERT INTO shelves (id, label) VALUES (1, 'a'), (2, 'b'), (3, 'c')", nil)
			if err != nil {
				return err
			}
			if entries, err := written(ctx, 3); err != nil || len(entries) != 3 {
				t.Errorf("up to 3: %d, %v", len(entries), err)
			}
			var many *TooManyError
			if entries, err := written(ctx, 2); !errors.As(err, &many) || many.Limit != 2 || entries != nil {
				t.Errorf("up to 2: %v, %v", entries, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = b.db.View(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			_, err := b.Statement(ctx, c)
			return err
		})
		if !errors.Is(err, errNoTransaction) {
			t.Errorf("outside a transaction: %v", err)
		}
	})
}

func TestStatementDecodesAllTypes(t *testing.T) {
	t.Parallel()
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := shelfBed(t, target)
		const statement = "INSERT INTO everythings (id, flag, number, double, price, text, uuid, data, at, doc) VALUES " +
			"(1, true, 9007199254740993, 0.1, 12.5, 'é\"', '0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b', NULL, '2020-01-02 03:04:05', '{\"a\":[1]}')"
		text := strings.ReplaceAll(statement, "double", b.db.Dialect().Quote("double"))
		if b.db.Dialect().Name() == "sqlite" {
			text = strings.ReplaceAll(text, "12.5", "'12.5'")
		}
		err := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			inserted, err := b.written(ctx, c, text)
			if err != nil {
				return err
			}
			deleted, err := b.written(ctx, c, "DELETE FROM everythings")
			if err != nil {
				return err
			}
			if len(inserted) != 1 || len(deleted) != 1 || inserted[0].Op != Insert || deleted[0].Op != Delete || inserted[0].Table != 3 {
				t.Fatalf("wrote %+v and %+v", inserted, deleted)
			}
			row := inserted[0].After
			if !slices.Equal(row, deleted[0].Before) || row[2].Int() != 9007199254740993 || row[5].Content() != `é"` || row[4].Content() != "12.5" {
				t.Errorf("inserted %v, deleted %v", row, deleted[0].Before)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// Transactions that run at the same time see their own entries alone, at every isolation level.
func TestStatementsOfConcurrentTransactions(t *testing.T) {
	t.Parallel()
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := watchedBed(t, target)
		levels := []sql.IsolationLevel{sql.LevelDefault}
		if b.db.Dialect().Name() != "sqlite" {
			levels = append(levels, sql.LevelReadCommitted, sql.LevelRepeatableRead)
		}
		const workers, rounds = 6, 12
		var mu sync.Mutex
		var wrote []string
		var group sync.WaitGroup
		for worker := range workers {
			group.Go(func() {
				for round := range rounds {
					lines, err := b.concurrent(t.Context(), levels[round%len(levels)], 1000*worker+10*round)
					if err != nil {
						t.Errorf("worker %d: %v", worker, err)
						return
					}
					mu.Lock()
					wrote = append(wrote, lines...)
					mu.Unlock()
				}
			})
		}
		group.Wait()
		all := strings.Split(summary(b.all()), ", ")
		slices.Sort(all)
		slices.Sort(wrote)
		if !slices.Equal(all, wrote) {
			t.Errorf("%d entries, and the statements wrote %d", len(all), len(wrote))
		}
	})
}

// sink is the key of a context whose statements write their entries into a slice.
type sink struct{}

// watchedBed is a shelfBed whose statements go by the context's sink.
func watchedBed(t *testing.T, target dbtest.Target) *bed {
	t.Helper()
	shelfBed(t, target)
	backend := backendOf(t, target)
	stamp, err := NewStamp(backend.Dialect.Name())
	if err != nil {
		t.Fatal(err)
	}
	var j *Journal
	guard := func(ctx context.Context, query string, args []driver.NamedValue, _ bool) (sqldriver.Guarded, error) {
		g := sqldriver.Guarded{Query: query, Args: args}
		if to, ok := ctx.Value(sink{}).(*[]Entry); ok {
			g.Check = func(ctx context.Context, c *sqldriver.Conn) (func(context.Context, sqldriver.Outcome) error, error) {
				written, err := j.Statement(ctx, c)
				return func(ctx context.Context, _ sqldriver.Outcome) (err error) {
					*to, err = written(ctx, 100)
					return err
				}, err
			}
		}
		return g, nil
	}
	db, err := sqldriver.Open(backend, sqldriver.Options{
		Logger: logger(t), Frame: stamp.Frame, Begin: stamp.Begin, Commit: stamp.Commit, Guard: guard,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	models := []*model.Model{parse[shelf](t), parse[book](t), parse[Seat](t), parse[Everything](t)}
	if j, err = Open(db, models, Options{Logger: logger(t), Stamp: stamp}); err != nil {
		t.Fatal(err)
	}
	if err := j.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &bed{Journal: j, t: t, target: target, models: models}
}

// concurrent is a transaction over keys from base on; it returns what its statements wrote.
func (b *bed) concurrent(ctx context.Context, level sql.IsolationLevel, base int) (lines []string, err error) {
	tx, err := b.db.SQL().BeginTx(ctx, &sql.TxOptions{Isolation: level})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	for i := range 3 {
		for _, statement := range []string{
			fmt.Sprintf("INSERT INTO shelves (id, label) VALUES (%d, 'n%d'), (%d, 'm%d')", base+2*i, base+2*i, base+2*i+1, base+2*i+1),
			fmt.Sprintf("UPDATE shelves SET label = 'x%d' WHERE id = %d", base+2*i, base+2*i),
		} {
			var entries []Entry
			if _, err := tx.ExecContext(context.WithValue(ctx, sink{}, &entries), statement); err != nil {
				return nil, err
			}
			want := fmt.Sprintf("INSERT [%d], INSERT [%d]", base+2*i, base+2*i+1)
			if strings.HasPrefix(statement, "UPDATE") {
				want = fmt.Sprintf("UPDATE [%d]", base+2*i)
			}
			if got := summary(entries); got != want {
				return nil, fmt.Errorf("%s: wrote %q, want %q", statement, got, want)
			}
			lines = append(lines, strings.Split(want, ", ")...)
		}
	}
	if rand.IntN(3) == 0 {
		return nil, tx.Rollback()
	}
	return lines, tx.Commit()
}

// A statement that fails and leaves rows leaves them to whoever ran it.
func TestRowsOfAFailedStatementKeepTheirActor(t *testing.T) {
	t.Parallel()
	b := shelfBed(t, dbtest.New(t, dbtest.SQLite))
	for _, step := range []struct{ who, statement string }{
		{"alice", "INSERT OR FAIL INTO shelves (id, label) VALUES (1, 'a'), (2, 'a')"},
		{"bob", "INSERT INTO shelves (id, label) VALUES (3, 'c')"},
	} {
		err := b.db.Update(auth.With(t.Context(), auth.Identity{ID: step.who}), func(ctx context.Context, c *sqldriver.Conn) error {
			_, err := c.Exec(ctx, step.statement, nil)
			if (err != nil) != strings.Contains(step.statement, "OR FAIL") {
				t.Errorf("%s: %v", step.statement, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	entries := b.all()
	if len(entries) != 2 || entries[0].Actor.ID != "alice" || entries[1].Actor.ID != "bob" || entries[0].Tx == entries[1].Tx {
		t.Errorf("the journal has %+v", entries)
	}
}
