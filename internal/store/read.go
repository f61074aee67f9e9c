package store

import (
	"context"
	"database/sql/driver"
	"strconv"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/query"
	"github.com/capebase/capebase/internal/sqldriver"
)

// List is what a list found.
type List struct {
	Rows  int   // how many were visited
	More  bool  // whether others follow
	Total int64 // of all pages; -1 when it was not asked for
}

// List visits a page of the rows that the caller may read; a row is the callback's until it returns. With count set the
// rows of all pages are counted in the same transaction.
func (s *Store) List(ctx context.Context, q *query.Query, count bool, visit func(Row)) (List, error) {
	where := s.visible(ctx, q.Filter)
	list := List{Total: -1}
	read := s.db.Read
	if count {
		read = s.db.View // both statements see the same rows
	}
	err := read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		list = List{Total: -1}
		if count {
			total, err := s.count(ctx, c, where)
			if err != nil {
				return err
			}
			list.Total = total
		}
		b := s.selectWhere(where)
		s.order(b, q.Order)
		b.Write(" LIMIT ", strconv.Itoa(q.Limit+1))
		if q.Offset > 0 {
			b.Write(" OFFSET ", strconv.FormatInt(q.Offset, 10))
		}
		return s.each(ctx, c, b, func(row Row) error {
			if list.Rows == q.Limit {
				list.More = true
				return nil
			}
			list.Rows++
			visit(row)
			return nil
		})
	})
	return list, s.problem(err)
}

// Get returns a row, or a problem with code not_found when there is none that the caller may read.
func (s *Store) Get(ctx context.Context, key []predicate.Value) (Row, error) {
	var row Row
	err := s.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) (err error) {
		b := s.selectWhere(predicate.All(s.keyIs(key), s.visible(ctx, nil)))
		row, err = s.one(ctx, c, b)
		return err
	})
	return row, s.problem(err)
}

func (s *Store) visible(ctx context.Context, filter *predicate.Expr) *predicate.Expr {
	session := s.session(ctx)
	if filter == nil {
		return session.visible()
	}
	return predicate.Fold(predicate.All(session.visible(), filter), session.caller)
}

// Visible is what the context's caller may read, as a tree that speaks of the row alone.
func (s *Store) Visible(ctx context.Context) *predicate.Expr { return s.visible(ctx, nil) }

// Visit reads the rows for which where holds, in key order, in the context's transaction; a row is the callback's until
// it returns. where has to be folded.
func (s *Store) Visit(ctx context.Context, where *predicate.Expr, visit func(Row) error) error {
	err := s.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		b := s.selectWhere(where)
		s.order(b, nil)
		return s.each(ctx, c, b, visit)
	})
	return s.problem(err)
}

// keyIs is the condition that the primary key is key.
func (s *Store) keyIs(key []predicate.Value) *predicate.Expr {
	args := make([]*predicate.Expr, len(key))
	for i, column := range s.Model.Table.Key {
		args[i] = &predicate.Expr{Op: predicate.Eq, Column: column, Kind: s.Model.Table.Columns[column].Kind, Values: key[i : i+1]}
	}
	return predicate.All(args...)
}

func (s *Store) selectWhere(where *predicate.Expr) *engine.Builder {
	const conditions, arguments = 128, 4 // bytes, and how many, of most
	b := engine.NewBuilder(s.dialect)
	b.Grow(len(s.selectAll)+conditions, arguments)
	b.Write(s.selectAll, " WHERE ")
	engine.Where(b, &s.Model.Table, where)
	return b
}

// order writes the terms and then the key, so that pages never overlap.
func (s *Store) order(b *engine.Builder, terms []query.Term) {
	b.Write(" ORDER BY ")
	columns := s.Model.Table.Columns
	ordered := make(map[int]bool, len(terms)+len(s.Model.Table.Key))
	write := func(column int, descending, nullsFirst bool) {
		if ordered[column] {
			return
		}
		if len(ordered) > 0 {
			b.Write(", ")
		}
		ordered[column] = true
		s.dialect.Order(b, columns[column], descending, nullsFirst)
	}
	for _, term := range terms {
		write(term.Column, term.Descending, term.NullsFirst)
	}
	for _, column := range s.Model.Table.Key {
		write(column, false, false)
	}
}

func (s *Store) count(ctx context.Context, c *sqldriver.Conn, where *predicate.Expr) (total int64, err error) {
	b := engine.NewBuilder(s.dialect)
	b.Write("SELECT count(*) FROM ")
	b.Table(&s.Model.Table)
	b.Write(" WHERE ")
	engine.Where(b, &s.Model.Table, where)
	err = each(ctx, c, b.String(), b.Args, func(rows driver.Rows) error {
		raw := make([]driver.Value, 1)
		if err := rows.Next(raw); err != nil {
			return err
		}
		n, err := s.dialect.Scan(predicate.Int, raw[0])
		total = n.Int()
		return err
	})
	return total, err
}

// one returns the one row of a statement, which is the caller's to keep.
func (s *Store) one(ctx context.Context, c *sqldriver.Conn, b *engine.Builder) (Row, error) {
	var found Row
	err := s.each(ctx, c, b, func(row Row) error {
		found = row // there is no other that it could be reused for
		return nil
	})
	if err == nil && found == nil {
		err = s.notFound()
	}
	return found, err
}

func (s *Store) notFound() error {
	return problem.New(problem.NotFound, s.Model.Name+" not found")
}
