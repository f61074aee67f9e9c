package apitest

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
)

// session is what a caller's own code has of a started backend.
type session struct {
	*capebase.Cape
	t   testing.TB
	who string
	ctx context.Context
	// numbered is set where placeholders are $1 instead of ?.
	numbered bool
}

// sessions opens a backend as start does, and returns the sessions of its callers.
func sessions(t *testing.T, target dbtest.Target, declare func(c *capebase.Cape)) func(who string) session {
	t.Helper()
	return sessionsWith(t, target, capebase.Config{}, declare)
}

func sessionsWith(t *testing.T, target dbtest.Target, config capebase.Config, declare func(c *capebase.Cape)) func(who string) session {
	t.Helper()
	config.Logger = slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelError}))
	config.Gorm.Logger = logger.Discard // refusals are what these tests are about
	a := startWith(t, target, config, declare)
	return func(who string) session { return sessionOf(a, target, who) }
}

// sessionOf is a session of one of callers, of "" for anonymous, or of "privileged".
func sessionOf(a *app, target dbtest.Target, who string) session {
	ctx := a.t.Context()
	switch id, known := callers()[who]; {
	case who == "privileged":
		ctx = auth.Privileged(ctx, "a test")
	case known:
		ctx = auth.With(ctx, id)
	case who != "":
		a.t.Fatalf("no caller %q", who)
	}
	return session{Cape: a.Cape, t: a.t, who: who, ctx: ctx, numbered: target.Engine == dbtest.Postgres}
}

// within is the session in another context.
func (s session) within(ctx context.Context) session {
	s.ctx = ctx
	return s
}

// db is the caller's GORM session.
func (s session) db() *gorm.DB { return s.DB(s.ctx) }

// sql writes a statement with the engine's placeholders for ?.
func (s session) sql(query string) string {
	if !s.numbered {
		return query
	}
	var b strings.Builder
	n := 0
	for _, r := range query {
		if r == '?' {
			n++
			b.WriteString("$" + strconv.Itoa(n))
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// exec runs a statement as SQL and returns how many rows it affected.
func (s session) exec(query string, args ...any) (int64, error) {
	result, err := s.SQL().ExecContext(s.ctx, s.sql(query), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// texts runs a query as SQL and returns its first column.
func (s session) texts(query string, args ...any) []string {
	s.t.Helper()
	rows, err := s.SQL().QueryContext(s.ctx, s.sql(query), args...)
	if err != nil {
		s.t.Fatalf("%s as %s: %v", query, s.who, err)
	}
	defer rows.Close() //nolint:errcheck // Err tells
	found := []string{}
	for rows.Next() {
		var text sql.NullString
		if err := rows.Scan(&text); err != nil {
			s.t.Fatal(err)
		}
		found = append(found, text.String)
	}
	if err := rows.Err(); err != nil {
		s.t.Fatalf("%s as %s: %v", query, s.who, err)
	}
	return found
}

// wants fails unless a query's first column is as expected.
func (s session) wants(query string, want ...string) {
	s.t.Helper()
	if got := s.texts(query); !slices.Equal(got, want) {
		s.t.Fatalf("%s as %s: %q, want %q", query, s.who, got, want)
	}
}

// wantTitles fails unless the documents that the caller sees, by GORM and by SQL, have these keys.
func (s session) wantDocuments(want ...string) {
	s.t.Helper()
	s.wants("SELECT id FROM documents ORDER BY id", want...)
	var found []Document
	if err := s.db().Order("id").Find(&found).Error; err != nil {
		s.t.Fatalf("as %s: %v", s.who, err)
	}
	ids := make([]string, len(found))
	for i := range found {
		ids[i] = found[i].ID
	}
	if !slices.Equal(ids, want) && len(ids)+len(want) > 0 {
		s.t.Fatalf("Find as %s: %q, want %q", s.who, ids, want)
	}
}

// seedDocuments creates the documents of seed.
func seedDocuments(s session) {
	s.t.Helper()
	err := s.db().Create([]Document{
		{ID: "a1", OwnerID: "alice", OrgID: "org1", Title: "first"},
		{ID: "a2", OwnerID: "alice", OrgID: "org3", Title: "second"},
		{ID: "b1", OwnerID: "bob", OrgID: "org1", Title: "third"},
		{ID: "b2", OwnerID: "bob", OrgID: "org2", Title: "fourth"},
		{ID: "n1", OwnerID: "nobody", OrgID: "org3", Title: "fifth"},
	}).Error
	if err != nil {
		s.t.Fatal(err)
	}
}

// wantErr fails unless the error is as expected.
func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v, want %v", what, err, want)
	}
}

// affected fails unless a statement affected as many rows.
func affected(t testing.TB, what string, want int64) func(int64, error) {
	t.Helper()
	return func(n int64, err error) {
		t.Helper()
		if err != nil || n != want {
			t.Fatalf("%s: %d rows, %v, want %d", what, n, err, want)
		}
	}
}

// changed is a GORM statement's outcome for affected.
func changed(db *gorm.DB) (int64, error) { return db.RowsAffected, db.Error }
