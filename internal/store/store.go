// Package store reads and writes the rows of a published table for the generated routes. Each call is limited to what
// the context's identity may do, and each write is one transaction: lock, read, check, write, check again, commit.
package store

import (
	"context"
	"database/sql/driver"
	"log/slog"
	"time"

	"gorm.io/gorm"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/observe"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Rules are a resource's permissions. A nil rule allows nothing.
type Rules struct {
	Read, Create, Update, Delete *predicate.Expr
}

// Store is one published table.
type Store struct {
	Model *model.Model
	Rules Rules
	// Tracer makes a span of each rule that is folded; nil: none.
	Tracer observe.Tracer

	db        *sqldriver.DB
	dialect   engine.Dialect
	native    engine.RowReader // nil where the dialect is none
	selectAll string           // of the table, up to WHERE
	gorm      *gorm.DB         // for models with hooks
	// reread is set where a trigger may change a row after the statement that returned it.
	reread bool
	// whole is set where a write can be a single statement that is its own transaction.
	whole bool
	// reserved are the keys that a literal route would hide.
	reserved []string
}

// Row is a row of the table: values at their columns' indexes.
type Row = []predicate.Value

// New prepares a table. The table exists; ctx bounds the look at its triggers, which is left out unless triggers, which
// HasTriggers says, is set.
func New(ctx context.Context, db *sqldriver.DB, g *gorm.DB, m *model.Model, rules Rules, reserved []string, triggers bool) (*Store, error) {
	s := &Store{Model: m, Rules: rules, db: db, dialect: db.Dialect(), gorm: g, reserved: reserved}
	s.native, _ = s.dialect.(engine.RowReader)
	s.selectAll = selectAll(s.dialect, &m.Table)
	err := registerCallbacks(g)
	s.reread = !s.dialect.Returning()
	if err == nil && !s.reread && triggers {
		s.reread, err = hasTriggers(ctx, db, &m.Table)
	}
	_, s.whole = s.dialect.(engine.WholeWriter)
	s.whole = s.whole && m.Hooks == 0 && !(s.dialect.Returning() && s.reread)
	return s, err
}

// HasTriggers looks for triggers of any table that are not CapeBase's own. With one statement it spares most databases one
// for each table, which on SQLite reads all of the schema.
func HasTriggers(ctx context.Context, db *sqldriver.DB) (bool, error) {
	return hasTriggers(ctx, db, nil)
}

// hasTriggers looks for triggers of a table that are not CapeBase's own: a row can leave them other than the statement wrote
// it.
func hasTriggers(ctx context.Context, db *sqldriver.DB, t *engine.Table) (bool, error) {
	query, args := db.Dialect().ForeignTriggers(t)
	found := false
	err := db.View(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		return each(ctx, c, query, args, func(rows driver.Rows) error {
			err := rows.Next(make([]driver.Value, len(rows.Columns())))
			found = found || err == nil
			return err
		})
	})
	return found, err
}

// write runs fn in a transaction, be it again. Hooks may take their time, and run statements by their own: they get one for
// themselves.
func (s *Store) write(ctx context.Context, fn func(ctx context.Context, c *sqldriver.Conn) error) error {
	if s.Model.Hooks == 0 {
		return s.db.UpdateGroup(ctx, fn)
	}
	return s.db.UpdateRetry(ctx, fn)
}

// session is one call's caller with the rules folded for it.
type session struct {
	*Store
	caller     predicate.Caller
	privileged bool
	readOnly   bool
	traced     func(action string, folded *predicate.Expr, began time.Time) // nil where nobody traces
}

func (s *Store) session(ctx context.Context) session {
	id := auth.From(ctx)
	_, privileged := caller.Privilege(ctx)
	return session{
		Store:      s,
		caller:     predicate.Caller{ID: id.ID, Roles: id.Roles, Claims: id.Claims},
		privileged: privileged,
		readOnly:   id.ReadOnly && !privileged,
		traced:     s.traceRules(ctx),
	}
}

// traceRules returns what makes the span of a rule that was folded for the caller.
func (s *Store) traceRules(ctx context.Context) func(action string, folded *predicate.Expr, began time.Time) {
	if s.Tracer == nil {
		return nil
	}
	return func(action string, folded *predicate.Expr, began time.Time) {
		rows := "some"
		switch folded.Op {
		case predicate.True:
			rows = "all"
		case predicate.False, predicate.Unknown:
			rows = "none"
		default:
		}
		s.Tracer.Past(ctx, "rule", began, time.Now(), nil,
			slog.String("capebase.model", s.Model.Name), slog.String("capebase.action", action), slog.String("capebase.rows", rows))
	}
}

// rule folds the rule of an action for the caller.
func (s session) rule(action string, rule *predicate.Expr) *predicate.Expr {
	if s.traced == nil {
		return s.fold(rule)
	}
	began := time.Now()
	folded := s.fold(rule)
	s.traced(action, folded, began)
	return folded
}

// fold is rule: no rule, no access.
func (s session) fold(rule *predicate.Expr) *predicate.Expr {
	switch {
	case s.privileged:
		return &predicate.Expr{Op: predicate.True}
	case rule == nil:
		return &predicate.Expr{Op: predicate.False}
	}
	return predicate.Fold(rule, s.caller)
}

// visible is the read rule for rows that have not been deleted softly.
func (s session) visible() *predicate.Expr {
	if s.Model.Deleted < 0 {
		return s.rule("read", s.Rules.Read)
	}
	return predicate.Fold(predicate.All(s.rule("read", s.Rules.Read), s.alive()), s.caller)
}

// alive excludes rows that gorm.DeletedAt marks; nil where the model has no such field.
func (s *Store) alive() *predicate.Expr {
	if s.Model.Deleted < 0 {
		return nil
	}
	column := s.Model.Table.Columns[s.Model.Deleted]
	return &predicate.Expr{Op: predicate.IsNull, Column: s.Model.Deleted, Kind: column.Kind}
}
