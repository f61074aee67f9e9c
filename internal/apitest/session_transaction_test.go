package apitest

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/dbtest/engines"
)

var errGaveUp = errors.New("gave up")

const insertDocument = "INSERT INTO documents (id, owner_id, org_id, title) VALUES (?, ?, ?, ?)"

func TestTransactionIsJoinedByBoth(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		alice := as("alice")
		write := func(ctx context.Context) {
			s := alice.within(ctx)
			affected(t, "SQL", 1)(s.exec(insertDocument, "a3", "alice", "org1", "sql"))
			if err := s.db().Create(&Document{ID: "a4", OwnerID: "alice", Title: "gorm"}).Error; err != nil {
				t.Fatal(err)
			}
			s.wantDocuments("a1", "a2", "a3", "a4") // its own writes
			alice.wantDocuments("a1", "a2")         // nobody else's
		}
		err := alice.Transaction(alice.ctx, func(ctx context.Context) error {
			write(ctx)
			return errGaveUp
		})
		if err != errGaveUp { //nolint:errorlint // as it is
			t.Fatal(err)
		}
		alice.wantDocuments("a1", "a2")
		func() {
			defer func() {
				if v := recover(); v != "oh" {
					t.Fatalf("recovered %v", v)
				}
			}()
			_ = alice.Transaction(alice.ctx, func(ctx context.Context) error {
				write(ctx)
				panic("oh")
			})
		}()
		alice.wantDocuments("a1", "a2")
		var ended context.Context
		err = alice.Transaction(alice.ctx, func(ctx context.Context) error {
			write(ctx)
			ended = ctx
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		alice.wantDocuments("a1", "a2", "a3", "a4")
		wantErr(t, "after its end", alice.DB(ended).Find(&[]Document{}).Error, sql.ErrTxDone)
		_, err = alice.within(ended).exec("DELETE FROM documents")
		wantErr(t, "after its end", err, sql.ErrTxDone)
	})
}

func TestTransactionNestedIsASavepoint(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		alice := as("alice")
		err := alice.Transaction(alice.ctx, func(ctx context.Context) error {
			s := alice.within(ctx)
			affected(t, "outer", 1)(s.exec(insertDocument, "a3", "alice", "", "outer"))
			err := s.Transaction(ctx, func(ctx context.Context) error {
				affected(t, "inner", 1)(s.within(ctx).exec(insertDocument, "a4", "alice", "", "inner"))
				return errGaveUp
			})
			wantErr(t, "inner", err, errGaveUp)
			err = s.db().Transaction(func(tx *gorm.DB) error { // GORM's own
				if err := tx.Create(&Document{ID: "a5", OwnerID: "alice"}).Error; err != nil {
					return err
				}
				inner := tx.Transaction(func(tx *gorm.DB) error {
					return errors.Join(tx.Create(&Document{ID: "a6", OwnerID: "alice"}).Error, errGaveUp)
				})
				wantErr(t, "GORM's inner", inner, errGaveUp)
				return nil
			})
			if err != nil {
				return err
			}
			tx, err := s.SQL().BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "DELETE FROM documents"); err != nil {
				return err
			}
			return tx.Rollback()
		})
		if err != nil {
			t.Fatal(err)
		}
		alice.wantDocuments("a1", "a2", "a3", "a5")
	})
}

func TestTransactionsOfDatabaseSQL(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		alice, bob := as("alice"), as("bob")
		count, err := alice.SQL().PrepareContext(context.Background(), "SELECT count(*) FROM documents")
		if err != nil {
			t.Fatal(err)
		}
		defer count.Close() //nolint:errcheck // it holds nothing
		counts := func(s *sql.Stmt, who session, want int) {
			t.Helper()
			var n int
			if err := s.QueryRowContext(who.ctx).Scan(&n); err != nil || n != want {
				t.Fatalf("%s counts %d, %v, want %d", who.who, n, err, want)
			}
		}
		counts(count, alice, 2)
		counts(count, as("admin"), 5)
		counts(count, as(""), 0)

		tx, err := alice.SQL().BeginTx(alice.ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback() //nolint:errcheck // when it failed before
		if _, err := tx.ExecContext(alice.ctx, alice.sql(insertDocument), "a3", "alice", "", "tx"); err != nil {
			t.Fatal(err)
		}
		counts(tx.StmtContext(alice.ctx, count), alice, 3)
		counts(tx.StmtContext(bob.ctx, count), bob, 2)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		counts(count, alice, 3)

		conn, err := alice.SQL().Conn(alice.ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()                               //nolint:errcheck // it holds nothing
		for _, s := range []session{alice, bob, alice} { // who asks is in the context, not in the connection
			var n int
			if err := conn.QueryRowContext(s.ctx, "SELECT count(*) FROM documents").Scan(&n); err != nil || n != map[string]int{"alice": 3, "bob": 2}[s.who] {
				t.Fatalf("%s counts %d, %v", s.who, n, err)
			}
		}
	})
}

func TestTransactionIsSpoiltByAViolation(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		olga := as("org1") // who reads a1 and b1, and may change neither
		spoil := map[string]func(s session) error{
			"INSERT of a wrong row": func(s session) error { return s.db().Exec("UPDATE documents SET title = 'x'").Error },
			"UPDATE":                func(s session) error { _, err := s.exec("UPDATE documents SET title = 'x'"); return err },
			"DELETE":                func(s session) error { _, err := s.exec("DELETE FROM documents"); return err },
			"nested": func(s session) error {
				return s.Transaction(s.ctx, func(ctx context.Context) error {
					_, err := s.within(ctx).exec("DELETE FROM documents")
					return err
				})
			},
		}
		for what, violate := range spoil {
			err := olga.Transaction(olga.ctx, func(ctx context.Context) error {
				s := olga.within(ctx)
				affected(t, what, 1)(s.exec(insertDocument, "o1", "olga", "", "own"))
				wantErr(t, what, violate(s), capebase.ErrPermission)
				_, err := s.exec(insertDocument, "o2", "olga", "", "later")
				wantErr(t, what+", later", err, capebase.ErrPermission)
				wantErr(t, what+", later", s.db().Find(&[]Document{}).Error, capebase.ErrPermission)
				return nil // as if nothing had been
			})
			wantErr(t, what+", commit", err, capebase.ErrPermission)

			tx := olga.db().Begin()
			if err := tx.Create(&Document{ID: "o1", OwnerID: "olga"}).Error; err != nil {
				t.Fatal(err)
			}
			wantErr(t, "in GORM's", tx.Exec("UPDATE documents SET title = 'x'").Error, capebase.ErrPermission)
			tx = tx.Session(&gorm.Session{NewDB: true})
			wantErr(t, "GORM's commit", tx.Commit().Error, capebase.ErrPermission)
		}
		as("privileged").wants("SELECT title FROM documents ORDER BY id", "first", "second", "third", "fourth", "fifth")
	})
}

// TestTransactionAndTheOuterContext makes the mistake to use another context than fn's within a transaction.
func TestTransactionAndTheOuterContext(t *testing.T) {
	as := sessionsWith(t, dbtest.New(t, dbtest.SQLite), capebase.Config{Limits: capebase.Limits{WriteWait: time.Second}}, publishDocument)
	s := as("alice")
	for what, write := range map[string]func() error{
		"SQL":  func() error { _, err := s.exec(insertDocument, "a1", "alice", "", "x"); return err },
		"GORM": func() error { return s.db().Create(&Document{ID: "a1", OwnerID: "alice"}).Error },
	} {
		err := s.Transaction(s.ctx, func(context.Context) error { return write() })
		var problem *capebase.Error
		if !errors.As(err, &problem) || problem.Code != "unavailable" {
			t.Fatalf("%s: %v", what, err)
		}
		for _, part := range []string{"the outer context", filepath.Base("session_transaction_test.go"), "TestTransactionAndTheOuterContext"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not say %q", what, err, part)
			}
		}
		if strings.Contains(problem.Detail, "session_transaction_test") {
			t.Errorf("clients are told %q", problem.Detail)
		}
	}
	err := s.Transaction(s.ctx, func(context.Context) error {
		s.wantDocuments() // reads have connections of their own
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSessionEndsWithItsContext(t *testing.T) {
	onDocuments(t, func(t *testing.T, as func(who string) session) {
		ctx, cancel := context.WithCancel(as("alice").ctx)
		s := as("alice").within(ctx)
		err := s.Transaction(ctx, func(ctx context.Context) error {
			affected(t, "before", 1)(s.within(ctx).exec(insertDocument, "a3", "alice", "", "x"))
			cancel()
			_, err := s.within(ctx).exec(insertDocument, "a4", "alice", "", "x")
			wantErr(t, "in the transaction", err, context.Canceled)
			return nil
		})
		wantErr(t, "commit", err, context.Canceled)
		wantErr(t, "GORM", s.db().Find(&[]Document{}).Error, context.Canceled)
		_, err = s.exec("DELETE FROM documents")
		wantErr(t, "SQL", err, context.Canceled)
		wantErr(t, "Transaction", s.Transaction(ctx, func(context.Context) error { return nil }), context.Canceled)
		as("alice").wantDocuments("a1", "a2")
	})
}

func TestSessionBeforeStart(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		c, err := capebase.Open(engines.Of(target.URL), capebase.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
		publishDocument(c)
		s := session{Cape: c, t: t, who: "alice", ctx: auth.With(t.Context(), auth.Identity{ID: "alice"}), numbered: target.Engine == dbtest.Postgres}
		privileged := s.within(auth.Privileged(s.ctx, "too early"))
		for _, s := range []session{s, privileged} {
			_, err = s.exec(insertDocument, "a1", "alice", "", "x")
			wantErr(t, "SQL", err, capebase.ErrNotStarted)
			_, err = s.SQL().PrepareContext(s.ctx, "SELECT 1")
			wantErr(t, "prepare", err, capebase.ErrNotStarted)
			wantErr(t, "GORM", s.db().Find(&[]Document{}).Error, capebase.ErrNotStarted)
			wantErr(t, "GORM's transaction", s.db().Begin().Error, capebase.ErrNotStarted)
			wantErr(t, "Transaction", s.Transaction(s.ctx, func(context.Context) error { return nil }), capebase.ErrNotStarted)
		}
		c.OnStart(func(ctx context.Context) error {
			if err := c.DB(ctx).Create(&Document{ID: "x"}).Error; err != nil { // anyone may create
				return err
			}
			return c.DB(auth.Privileged(ctx, "first rows")).Create(&Document{ID: "a1", OwnerID: "alice"}).Error
		})
		early := errors.New("not yet")
		first := true
		c.OnStart(func(context.Context) error {
			if first {
				first = false
				return early
			}
			return nil
		})
		wantErr(t, "Start", c.Start(t.Context()), early)
		wantErr(t, "after a Start that failed", s.db().Find(&[]Document{}).Error, capebase.ErrNotStarted)
		if _, err := privileged.Cape.SQL().ExecContext(privileged.ctx, "DELETE FROM documents"); err == nil {
			t.Fatal("SQL after a Start that failed")
		}
		wantErr(t, "Start again", c.Start(t.Context()), capebase.ErrConflict) // its first rows are there
	})
}
