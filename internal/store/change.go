package store

import (
	"context"
	"slices"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Condition is asked about the row under its lock, before it changes: the client's If-Match. Nil allows any.
type Condition func(Row) error

func (c Condition) check(row Row) error {
	if c == nil {
		return nil
	}
	return c(row)
}

// Update changes the given columns of a row that the caller may read and update.
func (s *Store) Update(ctx context.Context, key []predicate.Value, in Input, condition Condition) (Result, error) {
	session := s.session(ctx)
	if session.readOnly {
		return Result{}, errReadOnly()
	}
	if condition == nil {
		if result, done, err := session.updateWhole(ctx, key, in); done || err != nil {
			return result, s.problem(err)
		}
	}
	var result Result
	err := s.write(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		rule, visible := session.rule("update", s.Rules.Update), session.visible()
		before, err := s.lock(ctx, c, key, visible)
		if err != nil {
			return err
		}
		if !rule.Match(before) {
			return problem.New(problem.Permission, "the rules do not allow to change this "+s.Model.Name)
		}
		if err := condition.check(before); err != nil {
			return err
		}
		changed, err := session.changes(before, in)
		if err != nil {
			return err
		}
		after, err := s.change(ctx, c, key, before, changed)
		switch {
		case err != nil && !(s.constrained(err) && !rule.Match(after)):
			return err
		case !rule.Match(after):
			return problem.New(problem.Permission, "the rules do not allow this "+s.Model.Name+" as it would be after the change")
		}
		result = Result{after, visible.Match(after)}
		return nil
	})
	return result, s.problem(err)
}

// Delete removes a row that the caller may read and delete, or marks it where the model has gorm.DeletedAt.
func (s *Store) Delete(ctx context.Context, key []predicate.Value, condition Condition) error {
	session := s.session(ctx)
	if session.readOnly {
		return errReadOnly()
	}
	err := s.write(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		before, err := s.lock(ctx, c, key, session.visible())
		if err != nil {
			return err
		}
		if !session.rule("delete", s.Rules.Delete).Match(before) {
			return problem.New(problem.Permission, "the rules do not allow to delete this "+s.Model.Name)
		}
		if err := condition.check(before); err != nil {
			return err
		}
		return s.remove(ctx, c, key, before)
	})
	return s.problem(err)
}

// lock reads a row for this transaction alone. What the caller may not read is not there.
func (s *Store) lock(ctx context.Context, c *sqldriver.Conn, key []predicate.Value, visible *predicate.Expr) (Row, error) {
	b := s.selectWhere(s.keyIs(key))
	b.Write(s.dialect.Lock())
	row, err := s.one(ctx, c, b)
	if err == nil && !visible.Match(row) {
		err = s.notFound()
	}
	return row, err
}

// changes reduces the input to what differs from the row, and refuses what may not differ.
func (s session) changes(before Row, in Input) (Input, error) {
	changed := NewInput(s.Model, in.Location)
	some := false
	for _, f := range s.Model.Fields {
		if !in.Given[f.Column] || in.Values[f.Column] == before[f.Column] {
			continue
		}
		refused := f.KeepManaged(before[f.Column], in.Values[f.Column])
		switch {
		case refused != nil && !s.privileged:
			return in, problem.At(problem.Permission, in.at(f), refused.Error())
		case f.Immutable || f.ReadOnly:
			return in, problem.At(problem.Invalid, in.at(f), "it cannot be changed")
		}
		changed.Set(f.Column, in.Values[f.Column])
		some = true
	}
	if !some {
		return changed, nil
	}
	now := time.Now()
	for _, f := range s.Model.Fields {
		if f.Auto == model.UpdateTime {
			changed.Set(f.Column, f.Stamp(now))
		}
	}
	return changed, nil
}

// change writes the given columns and returns the row as it is stored then; beside an error, as it was to be.
func (s *Store) change(ctx context.Context, c *sqldriver.Conn, key []predicate.Value, before Row, in Input) (Row, error) {
	if s.Model.Hooks&(model.BeforeSave|model.BeforeUpdate|model.AfterUpdate|model.AfterSave) != 0 {
		return s.updateThroughGORM(ctx, c, key, before, in)
	}
	if !slices.Contains(in.Given, true) {
		return before, nil
	}
	planned := slices.Clone(before)
	for i, given := range in.Given {
		if given {
			planned[i] = in.Values[i]
		}
	}
	b := engine.NewBuilder(s.dialect)
	s.writeUpdate(b, in)
	b.Write(" WHERE ")
	engine.Where(b, &s.Model.Table, s.keyIs(key))
	if s.dialect.Returning() && !s.reread {
		b.Write(" RETURNING ")
		b.Columns(&s.Model.Table)
		after, err := s.one(ctx, c, b)
		if err != nil {
			return planned, err
		}
		return after, nil
	}
	if _, err := c.Exec(ctx, b.String(), b.Args); err != nil {
		return planned, err
	}
	return s.read(ctx, c, key)
}

// writeUpdate writes the statement up to its WHERE.
func (s *Store) writeUpdate(b *engine.Builder, in Input) {
	b.Write("UPDATE ")
	b.Table(&s.Model.Table)
	separator := " SET "
	for i, given := range in.Given {
		if given {
			b.Write(separator)
			b.Quote(s.Model.Table.Columns[i].Name)
			b.Write(" = ")
			b.Arg(in.Values[i])
			separator = ", "
		}
	}
}

func (s *Store) remove(ctx context.Context, c *sqldriver.Conn, key []predicate.Value, before Row) error {
	if s.Model.Hooks&(model.BeforeDelete|model.AfterDelete) != 0 {
		return s.deleteThroughGORM(ctx, before)
	}
	b := engine.NewBuilder(s.dialect)
	if s.Model.Deleted >= 0 {
		b.Write("UPDATE ")
		b.Table(&s.Model.Table)
		b.Write(" SET ")
		b.Quote(s.Model.Table.Columns[s.Model.Deleted].Name)
		b.Write(" = ")
		b.Arg(predicate.TimeValue(time.Now()))
	} else {
		b.Write("DELETE FROM ")
		b.Table(&s.Model.Table)
	}
	b.Write(" WHERE ")
	engine.Where(b, &s.Model.Table, s.keyIs(key))
	_, err := c.Exec(ctx, b.String(), b.Args)
	return err
}
