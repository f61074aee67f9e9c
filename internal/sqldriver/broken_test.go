package sqldriver

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func nothing(context.Context, *Conn) error { return nil }

func execute(ctx context.Context, c *Conn) error {
	_, err := c.Exec(ctx, "UPDATE t SET a = 1", nil)
	return err
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	db, s := newFake(t, Options{})
	s.unreachable = true
	_, executed := db.SQL().ExecContext(t.Context(), "DELETE FROM t")
	for name, err := range map[string]error{
		"Update": db.Update(t.Context(), nothing), "View": db.View(t.Context(), nothing), "Ping": db.Ping(t.Context()), "Exec": executed,
	} {
		if !errors.Is(err, ErrDown) || !errors.Is(err, errUnreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A connection that died in the pool is replaced where nothing can have happened on it.
func TestDeadConnectionsAreReplaced(t *testing.T) {
	t.Parallel()
	for _, dead := range []error{driver.ErrBadConn, errGone} {
		for what, c := range map[string]struct {
			run func(db *DB) error
			ok  bool
		}{
			"reset": {func(db *DB) error { return db.Update(t.Context(), execute) }, dead == driver.ErrBadConn}, //nolint:errorlint // these very values
			"begin": {func(db *DB) error { return db.Update(t.Context(), execute) }, true},
			"exec": {func(db *DB) error {
				_, err := db.SQL().ExecContext(t.Context(), "DELETE FROM t")
				return err
			}, dead == driver.ErrBadConn}, //nolint:errorlint // these very values
			"query": {func(db *DB) error {
				rows, err := db.SQL().QueryContext(t.Context(), "SELECT a FROM t")
				if err != nil {
					return err
				}
				return errors.Join(rows.Err(), rows.Close())
			}, true},
		} {
			db, s := newFake(t, Options{})
			if err := c.run(db); err != nil { // so that a connection lies in the pool
				t.Fatal(err)
			}
			s.set(func(conn int, call string) error {
				if conn == 1 && call == what {
					return dead
				}
				return nil
			})
			err := c.run(db)
			if c.ok != (err == nil) {
				t.Errorf("%s with %v: %v", what, dead, err)
			}
			if err != nil && !errors.Is(err, ErrDown) {
				t.Errorf("%s with %v: %v is not ErrDown", what, dead, err)
			}
			if err := c.run(db); err != nil { // the dead one is not given out again
				t.Errorf("%s with %v, once more: %v", what, dead, err)
			}
			if dialled, _ := s.count(); dialled != 2 {
				t.Errorf("%s with %v: %d connections were dialled, want 2", what, dead, dialled)
			}
		}
	}
}

func TestDeadInATransaction(t *testing.T) {
	t.Parallel()
	db, s := newFake(t, Options{})
	err := db.Update(t.Context(), func(ctx context.Context, c *Conn) error {
		s.set(func(conn int, what string) error {
			if conn == 1 && what == "exec" {
				return errGone
			}
			return nil
		})
		first := execute(ctx, c)
		s.set(func(int, string) error { return nil })
		if second := execute(ctx, c); !errors.Is(first, ErrDown) || !errors.Is(second, ErrDown) {
			t.Errorf("a broken transaction went on: %v, %v", first, second)
		}
		return nil
	})
	if !errors.Is(err, ErrDown) {
		t.Errorf("a broken transaction was committed: %v", err)
	}
	if err := db.Update(t.Context(), execute); err != nil {
		t.Error(err)
	}
	if dialled, _ := s.count(); dialled != 2 {
		t.Errorf("%d connections were dialled, want 2", dialled)
	}
}

func TestInvalidConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	db, s := newFake(t, Options{})
	s.invalid = true
	for range 3 {
		if err := db.Update(t.Context(), execute); err != nil {
			t.Fatal(err)
		}
	}
	if dialled, _ := s.count(); dialled != 3 {
		t.Errorf("%d connections were dialled, want one for each transaction", dialled)
	}
}

// After a commit that failed, a connection is kept only when the server said why.
// A connection on which a call's context ended is not used again, though the call may have succeeded.
func TestDoubtfulConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	db, s := newFake(t, Options{})
	for _, what := range []string{"exec", "query"} {
		ctx, cancel := context.WithCancel(t.Context())
		s.set(func(_ int, call string) error {
			if call == what {
				cancel()
			}
			return nil
		})
		before := s.dialled
		if what == "exec" {
			_, _ = db.SQL().ExecContext(ctx, "DELETE FROM t") // it may fail or not
		} else if rows, err := db.SQL().QueryContext(ctx, "SELECT a FROM t"); err == nil {
			_ = errors.Join(rows.Err(), rows.Close())
		}
		cancel()
		s.set(func(int, string) error { return nil })
		if err := db.Update(t.Context(), execute); err != nil {
			t.Fatal(err)
		}
		if s.dialled <= max(before, 1) {
			t.Errorf("%s: the connection was used again", what)
		}
	}
}

func TestFailedCommits(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{errUnique, errGone, errors.New("fake: something")} {
		db, s := newFake(t, Options{})
		s.set(func(_ int, what string) error {
			if what == "commit" {
				return failure
			}
			return nil
		})
		if err := db.Update(t.Context(), execute); !errors.Is(err, failure) {
			t.Errorf("the commit gave %v, want %v", err, failure)
		}
		if log := s.take(); slices.Contains(log, "rollback") {
			t.Errorf("%v: there was nothing to roll back: %q", failure, log)
		}
		s.set(func(int, string) error { return nil })
		if err := db.Update(t.Context(), execute); err != nil {
			t.Error(err)
		}
		dialled, _ := s.count()
		if keep := errors.Is(failure, errUnique); keep != (dialled == 1) {
			t.Errorf("%v: %d connections were dialled", failure, dialled)
		}
	}
}

// Drivers keep the context of BeginTx; a cancelled call must not cost the connection.
func TestCancelledTransactionsRollBack(t *testing.T) {
	t.Parallel()
	db, s := newFake(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	err := db.Update(ctx, func(ctx context.Context, c *Conn) error {
		err := execute(ctx, c)
		cancel()
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if log := s.take(); !slices.Equal(log, []string{"begin", "exec", "rollback"}) {
		t.Errorf("calls: %q", log)
	}
	s.set(func(_ int, what string) error {
		if what == "rollback" {
			return errors.New("fake: cannot roll back")
		}
		return nil
	})
	fail := errors.New("fail")
	if err := db.Update(t.Context(), func(context.Context, *Conn) error { return fail }); !errors.Is(err, fail) {
		t.Error(err)
	}
	if err := db.Update(t.Context(), execute); err != nil {
		t.Error(err)
	}
	if dialled, _ := s.count(); dialled != 2 {
		t.Errorf("%d connections were dialled; the one that could not roll back is to be closed", dialled)
	}
}

func TestStalePlans(t *testing.T) {
	t.Parallel()
	db, s := newFake(t, Options{})
	once := func(what string) func(int, string) error {
		failed := false
		return func(_ int, call string) error {
			if call == what && !failed {
				failed = true
				return errStale
			}
			return nil
		}
	}
	s.set(once("query"))
	err := db.View(t.Context(), func(ctx context.Context, c *Conn) error {
		rows, err := c.Query(ctx, "SELECT a FROM t", nil)
		if err != nil {
			return err
		}
		return rows.Close()
	})
	if err != nil {
		t.Error("a query was not run again:", err)
	}
	s.set(once("exec"))
	if _, err := db.SQL().ExecContext(t.Context(), "DELETE FROM t"); err != nil {
		t.Error("a statement was not run again:", err)
	}
	// In a transaction the server has given up all of it.
	s.set(once("exec"))
	if err := db.Update(t.Context(), execute); !errors.Is(err, errStale) {
		t.Errorf("got %v", err)
	}
	s.set(once("exec"))
	if err := db.UpdateRetry(t.Context(), execute); err != nil {
		t.Error("the transaction was not run again:", err)
	}
}

func TestIdleAndOldConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db, s := newFake(t, Options{})
		// Two connections are needed at once, and then one at a time.
		err := db.Update(t.Context(), func(context.Context, *Conn) error { return db.Update(t.Context(), execute) })
		if err != nil {
			t.Fatal(err)
		}
		if dialled, open := s.count(); dialled != 2 || open != 2 {
			t.Errorf("%d dialled, %d open; want two", dialled, open)
		}
		for range maxIdle/trimEvery + 2 {
			<-time.After(trimEvery)
			if err := db.Update(t.Context(), execute); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if _, open := s.count(); open != 1 {
			t.Errorf("%d connections are open after %v, want one", open, maxIdle)
		}
		<-time.After(maxAge)
		for range 2 {
			if err := db.Update(t.Context(), execute); err != nil {
				t.Fatal(err)
			}
		}
		if dialled, _ := s.count(); dialled < 3 {
			t.Errorf("%d connections were dialled: an old one is still in use", dialled)
		}
	})
}

func TestCloseDoesNotWaitForever(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &server{fail: func(int, string) error { return nil }}
		db, _ := newFake(t, Options{})
		leaky, err := Open(backendOfFake(s), Options{})
		if err != nil {
			t.Fatal(err)
		}
		tx, err := leaky.SQL().BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		err = leaky.Close()
		if err == nil || !strings.Contains(err.Error(), "1 database connections were still in use") || time.Since(start) != closeWait {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		if again := leaky.Close(); again == nil || again.Error() != err.Error() {
			t.Errorf("the second Close says %v", again)
		}
		if err := leaky.Update(t.Context(), nothing); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := tx.Rollback(); err != nil {
			t.Error(err)
		}
		if err := errors.Join(db.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
}

func TestOpenChecksItsOptions(t *testing.T) {
	t.Parallel()
	s := &server{}
	for name, open := range map[string]func() (*DB, error){
		"WriteWait":  func() (*DB, error) { return Open(backendOfFake(s), Options{WriteWait: -1}) },
		"connectors": func() (*DB, error) { b := backendOfFake(s); b.Writer = nil; return Open(b, Options{}) },
		"Writers":    func() (*DB, error) { b := backendOfFake(s); b.Writers = 0; return Open(b, Options{}) },
	} {
		if db, err := open(); err == nil {
			t.Errorf("bad %s were accepted: %v", name, db.Close())
		}
	}
}
