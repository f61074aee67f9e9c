package sqldriver

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"testing"
)

// framed opens a fake whose transactions have a frame.
func framed(t *testing.T) (*DB, *server) {
	t.Helper()
	return newFake(t, Options{Frame: func(context.Context) (Frame, error) {
		return Frame{Begin: "begin it", Commit: "commit it", Rollback: []string{"undo it", "clean up"}}, nil
	}})
}

func TestAFrameBeginsAndEndsTransactions(t *testing.T) {
	db, s := framed(t)
	fault := errors.New("fault")
	for _, c := range []struct {
		name string
		run  func() error
		err  error
		want []string // calls of the connection
	}{
		{"commit", func() error {
			return db.Update(t.Context(), func(ctx context.Context, c *Conn) error {
				if !c.Framed() {
					t.Error("it has no frame")
				}
				return nil
			})
		}, nil, []string{"exec", "exec"}},
		{"rollback", func() error {
			return db.Update(t.Context(), func(context.Context, *Conn) error { return fault })
		}, fault, []string{"exec", "exec", "exec"}},
		{"through SQL", func() error {
			tx, err := db.SQL().BeginTx(t.Context(), nil)
			if err != nil {
				return err
			}
			return tx.Commit()
		}, nil, []string{"exec", "exec"}},
		{"an isolation level", func() error {
			tx, err := db.SQL().BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable})
			if err != nil {
				return err
			}
			return tx.Commit()
		}, nil, []string{"begin", "commit"}},
		{"a snapshot", func() error {
			return db.Snapshot(t.Context(), func(_ context.Context, c *Conn) error {
				if c.Framed() {
					t.Error("it has a frame")
				}
				return nil
			})
		}, nil, []string{"begin", "rollback"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.take()
			if err := c.run(); !errors.Is(err, c.err) {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if got := slices.DeleteFunc(s.take(), func(call string) bool { return call == "reset" }); !slices.Equal(got, c.want) {
				t.Errorf("the calls were %q, want %q", got, c.want)
			}
		})
	}
}

// TestAFrameThatFails gives up connections that may be left in a transaction, and no others.
func TestAFrameThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		fails     int // the call of exec that fails
		kept      bool
		committed bool
	}{
		"begin":    {1, true, true},
		"commit":   {2, true, true}, // it can be rolled back
		"rollback": {2, false, false},
		"clean up": {3, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			db, s := framed(t)
			calls := 0
			s.set(func(_ int, what string) error {
				if what == "exec" {
					if calls++; calls == c.fails {
						return errUnique
					}
				}
				return nil
			})
			fault := errors.New("fault")
			err := db.Update(t.Context(), func(context.Context, *Conn) error {
				if c.committed {
					return nil
				}
				return fault
			})
			if c.committed != errors.Is(err, errUnique) {
				t.Errorf("got %v", err)
			}
			if err := db.Read(t.Context(), func(context.Context, *Conn) error { return nil }); err != nil {
				t.Fatal(err)
			}
			if dialled, _ := s.count(); (dialled == 1) != c.kept {
				t.Errorf("%d connections were dialled", dialled)
			}
		})
	}
}
