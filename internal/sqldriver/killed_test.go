package sqldriver_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

// killAll ends the connections of all others to the database.
func (b bed) killAll(t *testing.T) {
	t.Helper()
	if b.Dialect().Name() == "postgres" {
		b.exec(t.Context(), "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
		return
	}
	rows, err := b.SQL().QueryContext(t.Context(), "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()")
	if err != nil {
		t.Fatal(err)
	}
	var threads []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Error(err)
		}
		threads = append(threads, id)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	for _, id := range threads {
		b.exec(t.Context(), "KILL "+strconv.FormatInt(id, 10))
	}
}

func TestKilledConnections(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{dbtest.Postgres, dbtest.MariaDB} {
		t.Run(engine, func(t *testing.T) {
			b := bedOn(t, engine, sqldriver.Options{})
			killer := newSibling(t, b)
			fill := func() { // several connections in the pool
				t.Helper()
				var wait, inside sync.WaitGroup
				inside.Add(3)
				for range 3 {
					wait.Go(func() {
						err := b.Update(t.Context(), func(context.Context, *sqldriver.Conn) error {
							inside.Done()
							inside.Wait()
							return nil
						})
						if err != nil {
							t.Error(err)
						}
					})
				}
				wait.Wait()
			}
			for round := range int64(3) {
				fill()
				killer.killAll(t)
				err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error { return b.insert(ctx, c, round) })
				if err != nil {
					t.Error("a transaction did not find a living connection:", err)
				}
				fill()
				killer.killAll(t)
				b.want(int(round) + 1)
			}
			err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
				if err := b.insert(ctx, c, 10); err != nil {
					return err
				}
				killer.killAll(t)
				wantError(t, b.insert(ctx, c, 11), sqldriver.ErrDown)
				return nil
			})
			wantError(t, err, sqldriver.ErrDown)
			b.want(3)
		})
	}
}
