package sqldriver_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/capebase/capebase/internal/sqldriver"
)

var errMine = errors.New("mine")

func TestUpdateCommitsOrRollsBack(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx := t.Context()
		if err := b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error { return b.insert(ctx, c, 1) }); err != nil {
			t.Fatal(err)
		}
		b.want(1)
		err := b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
			return errors.Join(b.insert(ctx, c, 2), errMine)
		})
		wantError(t, err, errMine)
		b.want(1)
		func() {
			defer func() {
				if recovered := recover(); recovered != "boom" {
					t.Errorf("recovered %v, want boom", recovered)
				}
			}()
			err := b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
				if err := b.insert(ctx, c, 3); err != nil {
					t.Error(err)
				}
				panic("boom")
			})
			t.Error("Update returned from a panic:", err)
		}()
		b.want(1)
		if err := b.add(ctx, 4); err != nil { // the connection is free again
			t.Error(err)
		}
	})
}

func TestContextCarriesTheTransaction(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		ctx := t.Context()
		if sqldriver.InTransaction(ctx) {
			t.Error("a bare context is in a transaction")
		}
		err := b.Update(ctx, func(inner context.Context, c *sqldriver.Conn) error {
			if !sqldriver.InTransaction(inner) || !c.InTransaction() {
				t.Error("Update's function is not in a transaction")
			}
			if err := b.add(inner, 1); err != nil {
				return err
			}
			if inside, outside := b.count(inner), b.count(ctx); inside != 1 || outside != 0 {
				t.Errorf("inside %d, outside %d rows; want 1 and 0", inside, outside)
			}
			return b.View(inner, func(_ context.Context, joined *sqldriver.Conn) error {
				if joined != c {
					t.Error("View did not join the transaction")
				}
				found, err := ids(inner, joined)
				if !slices.Equal(found, []int64{1}) {
					t.Error("View sees", found)
				}
				return err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		b.want(1)
	})
}

func TestTwoDatabasesInOneContext(t *testing.T) {
	t.Parallel()
	a, b := onSQLite(t, sqldriver.Options{}), onSQLite(t, sqldriver.Options{})
	err := a.Update(t.Context(), func(ctx context.Context, _ *sqldriver.Conn) error {
		return b.Update(ctx, func(ctx context.Context, _ *sqldriver.Conn) error {
			// Both transactions are found in the one context; either would wait for itself otherwise.
			return errors.Join(a.add(ctx, 1), b.add(ctx, 1), b.add(ctx, 2))
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	a.want(1)
	b.want(2)
}

func TestNestedUpdateIsASavepoint(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			if err := b.insert(ctx, c, 1); err != nil {
				return err
			}
			failed := b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
				if err := b.insert(ctx, c, 2); err != nil {
					return err
				}
				if err := b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error { return b.insert(ctx, c, 3) }); err != nil {
					return err
				}
				return b.insert(ctx, c, 1) // a duplicate: PostgreSQL would refuse all that follows
			})
			if failed == nil {
				t.Error("a duplicate was inserted")
			}
			return b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error { return b.insert(ctx, c, 4) })
		})
		if err != nil {
			t.Fatal(err)
		}
		err = b.View(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			found, err := ids(ctx, c)
			if !slices.Equal(found, []int64{1, 4}) {
				t.Errorf("committed %v, want 1 and 4", found)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestNestedPanicUndoesOnlyItself(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			func() {
				defer func() { _ = recover() }()
				_ = b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
					if err := b.insert(ctx, c, 1); err != nil {
						t.Error(err)
					}
					panic("boom")
				})
			}()
			return b.insert(ctx, c, 2)
		})
		if err != nil {
			t.Fatal(err)
		}
		b.want(1)
	})
}

func TestInterleavedNestedUpdatesAreRefused(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		err := b.Update(t.Context(), func(ctx context.Context, _ *sqldriver.Conn) error {
			firstIn, secondIn, firstOut := make(chan struct{}), make(chan struct{}), make(chan struct{})
			var wait sync.WaitGroup
			wait.Go(func() {
				defer close(firstOut)
				_ = b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
					close(firstIn)
					<-secondIn
					return b.insert(ctx, c, 1)
				})
			})
			wait.Go(func() {
				<-firstIn
				_ = b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
					close(secondIn)
					<-firstOut
					return b.insert(ctx, c, 2)
				})
			})
			wait.Wait()
			return nil // although both were told
		})
		if err == nil {
			t.Error("a transaction was committed of which nobody knows what it holds")
		}
		b.want(0)
	})
}

func TestFailSpoilsTheTransaction(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			if err := b.insert(ctx, c, 1); err != nil {
				return err
			}
			_ = b.Update(ctx, func(_ context.Context, c *sqldriver.Conn) error {
				c.Fail(errMine)
				c.Fail(errors.New("a later failure"))
				return nil
			})
			wantError(t, b.insert(ctx, c, 2), errMine)
			wantError(t, b.add(ctx, 3), errMine)
			_, err := c.Query(ctx, "SELECT id FROM item", nil)
			wantError(t, err, errMine)
			wantError(t, b.Update(ctx, func(context.Context, *sqldriver.Conn) error { return nil }), errMine)
			return nil
		})
		wantError(t, err, errMine)
		b.want(0)
	})
}

func TestUseAfterTheEnd(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		var leaked context.Context
		var conn *sqldriver.Conn
		var rows interface{ Close() error }
		err := b.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			leaked, conn = ctx, c
			if err := b.insert(ctx, c, 1); err != nil {
				return err
			}
			var err error
			rows, err = c.Query(ctx, "SELECT id FROM item", nil)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		b.want(1)
		wantError(t, b.insert(leaked, conn, 2), sql.ErrTxDone)
		wantError(t, b.add(leaked, 2), sql.ErrTxDone)
		wantError(t, b.Update(leaked, func(context.Context, *sqldriver.Conn) error { return nil }), sql.ErrTxDone)
		_, err = ids(leaked, conn)
		wantError(t, err, sql.ErrTxDone)
		if err := rows.Close(); err != nil {
			t.Error("closing rows after the end:", err)
		}
		b.want(1)
	})
}

func TestViewLeavesWritesAlone(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		err := b.View(t.Context(), func(ctx context.Context, _ *sqldriver.Conn) error {
			if sqldriver.InTransaction(ctx) {
				t.Error("View's function is in a transaction")
			}
			if err := b.add(ctx, 1); err != nil {
				return err
			}
			return b.Update(ctx, func(ctx context.Context, c *sqldriver.Conn) error { return b.insert(ctx, c, 2) })
		})
		if err != nil {
			t.Fatal(err)
		}
		b.want(2)
	})
}

func TestViewIsOneSnapshot(t *testing.T) {
	t.Parallel()
	onEach(t, sqldriver.Options{Snapshots: true}, func(t *testing.T, b bed) {
		err := b.View(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			before, err := ids(ctx, c)
			if err != nil {
				return err
			}
			if err := b.add(ctx, 1); err != nil {
				return err
			}
			after, err := ids(ctx, c)
			if len(before) != 0 || len(after) != 0 || b.count(ctx) != 0 {
				t.Errorf("saw %v, then %v, then %d rows through SQL; want none", before, after, b.count(ctx))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		b.want(1)
	})
}

func TestCommitWithABrokenPromise(t *testing.T) {
	t.Parallel()
	// A transaction that the server has given up must not look committed.
	onEach(t, sqldriver.Options{}, func(t *testing.T, b bed) {
		tx := mustBegin(t, t.Context(), b.SQL())
		insert := b.sql("INSERT INTO item(id, name) VALUES (?, ?)")
		if _, err := tx.ExecContext(t.Context(), insert, 1, "one"); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), insert, 1, "two"); err == nil {
			t.Fatal("a duplicate was inserted")
		}
		err := tx.Commit()
		if aborted := b.Dialect().Name() == "postgres"; aborted != (err != nil) {
			t.Errorf("commit after an ignored error: %v", err)
		}
		if err != nil {
			b.want(0)
		} else {
			b.want(1)
		}
	})
}
