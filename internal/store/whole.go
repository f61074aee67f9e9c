package store

import (
	"context"
	"database/sql/driver"
	"slices"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// createWhole inserts a row by a statement that is a transaction by itself, where there is one. Where done is false, nothing
// was written: to try it step by step tells why.
func (s session) createWhole(ctx context.Context, inputs []Input, rule, visible *predicate.Expr) (result Result, done bool, err error) {
	if !s.whole || len(inputs) != 1 || !allowable(rule, inputs[0].Values, inputs[0].Given) {
		return result, false, nil
	}
	in := inputs[0]
	w := engine.Whole{Rule: rule, Write: func(b *engine.Builder) { s.writeInsert(b, in) }}
	key := s.Model.Table.Key
	switch given := givenOf(key, in); {
	case given == len(key):
		w.Key = s.keyOf(in.Values)
	case len(key) > 1:
		return result, false, nil
	}
	if result, done, err = s.writeWhole(ctx, &w, visible, s.constrained); err != nil {
		err = s.locate(err, in.Location)
	}
	return result, done, err
}

func givenOf(columns []int, in Input) (given int) {
	for _, column := range columns {
		if in.Given[column] {
			given++
		}
	}
	return given
}

// updateWhole changes a row by a statement that is a transaction by itself, where there is one. It finds only a row that
// the caller may read and change, and that the change makes another.
func (s session) updateWhole(ctx context.Context, key []predicate.Value, in Input) (result Result, done bool, err error) {
	if !s.whole || !s.plain(in) {
		return result, false, nil
	}
	rule, visible := s.rule("update", s.Rules.Update), s.visible()
	where := predicate.All(s.keyIs(key), visible, rule)
	w := engine.Whole{Key: key, Rule: rule, Write: func(b *engine.Builder) {
		s.writeUpdate(b, s.stamped(in))
		b.Write(" WHERE ")
		engine.Where(b, &s.Model.Table, where)
	}}
	for i, given := range in.Given {
		if given {
			w.Changed = append(w.Changed, engine.Assignment{Column: i, Value: in.Values[i]})
		}
	}
	// A constraint does not speak before a rule that the changed row may not meet.
	free := true
	rule.Columns(func(column int) { free = free && !in.Given[column] })
	return s.writeWhole(ctx, &w, visible, func(err error) bool { return free && s.collides(err) })
}

// collides tells whether it was a row that a constraint refused, and not a value that was none of its column's.
func (s *Store) collides(err error) bool {
	switch s.dialect.Classify(err).Class {
	case engine.UniqueViolation, engine.Check, engine.ForeignKey:
		return true
	default:
		return false
	}
}

// plain tells whether a change asks for nothing that depends on what the row was before, but for whether it is a change.
func (s *Store) plain(in Input) bool {
	some := false
	for _, f := range s.Model.Fields {
		if !in.Given[f.Column] {
			continue
		}
		some = true
		if f.Managed.Source != model.FromBody || f.Immutable || f.ReadOnly || f.Auto != model.NoAuto {
			return false
		}
		switch s.Model.Table.Columns[f.Column].Kind {
		case predicate.Decimal, predicate.JSON: // their columns may call different what is the same
			return false
		default:
		}
	}
	return some
}

// stamped is a change together with the time of it.
func (s *Store) stamped(in Input) Input {
	now := time.Now()
	own := false
	for _, f := range s.Model.Fields {
		if f.Auto == model.UpdateTime {
			if !own {
				in.Values, in.Given, own = slices.Clone(in.Values), slices.Clone(in.Given), true
			}
			in.Set(f.Column, f.Stamp(now))
		}
	}
	return in
}

// writeWhole runs the statement. final tells of an error whether it is an answer.
func (s session) writeWhole(
	ctx context.Context, w *engine.Whole, visible *predicate.Expr, final func(error) bool,
) (result Result, done bool, err error) {
	w.Table = &s.Model.Table
	row := make(Row, len(s.Model.Fields))
	var raw []driver.Value
	done, undone, err := s.db.UpdateWhole(ctx, w, func(rows driver.Rows) error { return s.next(rows, row, &raw) })
	switch {
	case done:
		result = Result{row, visible.Match(row)}
	case undone != nil && final(undone):
		err = undone
	}
	return result, done, err
}
