package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Input is what a body gives: values for some of the columns.
type Input struct {
	Values   Row
	Given    []bool
	Location string // of the object in the body: "body" or "body[3]"
}

// NewInput returns an empty input for a model's columns.
func NewInput(m *model.Model, location string) Input {
	return Input{Values: make(Row, len(m.Fields)), Given: make([]bool, len(m.Fields)), Location: location}
}

// Set gives a column a value.
func (in *Input) Set(column int, v predicate.Value) {
	in.Values[column] = v
	in.Given[column] = true
}

// at is where the body has the field; a hidden one has no name there.
func (in *Input) at(f *model.Field) string {
	if f.Hidden {
		return in.Location
	}
	return in.Location + "." + f.Name
}

// Result is a written row, and whether the caller may read it.
type Result struct {
	Row      Row
	Readable bool
}

// Create inserts all inputs or none.
func (s *Store) Create(ctx context.Context, inputs []Input) ([]Result, error) {
	session := s.session(ctx)
	if session.readOnly {
		return nil, errReadOnly()
	}
	for i := range inputs {
		if err := session.prepare(&inputs[i]); err != nil {
			return nil, err
		}
	}
	rule, visible := session.rule("create", s.Rules.Create), session.visible()
	refused := problem.New(problem.Permission, "the rules do not allow to create this "+s.Model.Name)
	if !possible(rule, predicate.Yes, nil, func(*predicate.Expr) bool { return true }) {
		return nil, refused // before hooks run and constraints tell of other rows
	}
	if result, done, err := session.createWhole(ctx, inputs, rule, visible); done || err != nil {
		return []Result{result}, s.problem(err)
	}
	var results []Result
	err := s.write(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		results = make([]Result, 0, len(inputs))
		for _, in := range inputs {
			row, err := s.insert(ctx, c, in)
			switch {
			case err != nil && s.constrained(err) && !allowable(rule, row, in.Given):
				return refused
			case err != nil:
				return s.locate(err, in.Location)
			case !rule.Match(row):
				return refused
			}
			results = append(results, Result{row, visible.Match(row)})
		}
		return nil
	})
	return results, s.problem(err)
}

func errReadOnly() error {
	return problem.New(problem.Permission, "this credential may only read")
}

// prepare fills what the caller does not choose: managed fields, keys, and the zero of what the body leaves out.
func (s session) prepare(in *Input) error {
	now := predicate.TimeValue(time.Now())
	for _, f := range s.Model.Fields {
		if f.Managed.Source != model.FromBody && !s.privileged {
			if err := s.fill(f, in); err != nil {
				return err
			}
		}
		if in.Given[f.Column] {
			continue
		}
		switch {
		case f.Auto == model.NewUUID:
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			v, err := f.FromText(id.String())
			if err != nil {
				return err
			}
			in.Set(f.Column, v)
		case f.Auto == model.CreateTime || f.Auto == model.UpdateTime:
			in.Set(f.Column, f.Stamp(now.Time()))
		case f.Auto == model.Increment, f.Default:
		default:
			in.Set(f.Column, f.Zero())
		}
	}
	return s.refuseReserved(in)
}

// refuseReserved keeps keys apart from the literal routes beside them.
func (s *Store) refuseReserved(in *Input) error {
	if len(s.Model.Table.Key) != 1 {
		return nil
	}
	f := s.Model.Fields[s.Model.Table.Key[0]]
	if v := in.Values[f.Column]; v.Kind() == predicate.Text && (slices.Contains(s.reserved, v.Content()) || v.Content() == "") {
		return problem.At(problem.Invalid, in.at(f), "expected a key that is not empty and not the name of a route")
	}
	return nil
}

// insert writes one row and returns it as it is stored; beside an error, as it was to be.
func (s *Store) insert(ctx context.Context, c *sqldriver.Conn, in Input) (Row, error) {
	if s.Model.Hooks&(model.BeforeSave|model.BeforeCreate|model.AfterCreate|model.AfterSave) != 0 {
		return s.insertThroughGORM(ctx, c, in)
	}
	b := engine.NewBuilder(s.dialect)
	s.writeInsert(b, in)
	if s.dialect.Returning() {
		b.Write(" RETURNING ")
		b.Columns(&s.Model.Table)
		row, err := s.one(ctx, c, b)
		if err != nil {
			return in.Values, err
		}
		if !s.reread {
			return row, nil
		}
		return s.read(ctx, c, s.keyOf(row))
	}
	result, err := c.Exec(ctx, b.String(), b.Args)
	if err != nil {
		return in.Values, err
	}
	key := s.keyOf(in.Values)
	for i, column := range s.Model.Table.Key {
		if !in.Given[column] {
			id, err := result.LastInsertId()
			if err != nil {
				return nil, fmt.Errorf("the new key: %w", err)
			}
			key[i] = predicate.IntValue(id)
		}
	}
	return s.read(ctx, c, key)
}

// writeInsert writes the statement, up to where a RETURNING would stand.
func (s *Store) writeInsert(b *engine.Builder, in Input) {
	b.Write("INSERT INTO ")
	b.Table(&s.Model.Table)
	columns := s.Model.Table.Columns
	separator := " ("
	for i := range columns {
		if in.Given[i] {
			b.Write(separator)
			b.Quote(columns[i].Name)
			separator = ", "
		}
	}
	if separator == " (" { // nothing is given
		b.Write(s.dialect.DefaultValues())
		return
	}
	b.Write(") VALUES (")
	separator = ""
	for i := range columns {
		if in.Given[i] {
			b.Write(separator)
			b.Arg(in.Values[i])
			separator = ", "
		}
	}
	b.Write(")")
}

func (s *Store) keyOf(row Row) []predicate.Value {
	key := make([]predicate.Value, len(s.Model.Table.Key))
	for i, column := range s.Model.Table.Key {
		key[i] = row[column]
	}
	return key
}

// read returns a row by key, whoever asks: it is for rows that this transaction has written or locked.
func (s *Store) read(ctx context.Context, c *sqldriver.Conn, key []predicate.Value) (Row, error) {
	return s.one(ctx, c, s.selectWhere(s.keyIs(key)))
}

// locate names the object of a bulk body in the errors of its fields. What may be tried again stays the database's error.
func (s *Store) locate(err error, location string) error {
	if s.constrained(err) {
		err = s.problem(err)
	}
	e, ok := err.(*problem.Error) //nolint:errorlint // one that a hook has wrapped is the hook's
	if !ok || location == "body" {
		return err
	}
	located := *e // a hook's error may be shared
	located.Errors = slices.Clone(e.Errors)
	for i := range located.Errors {
		if rest, ok := strings.CutPrefix(located.Errors[i].Location, "body"); ok {
			located.Errors[i].Location = location + rest
		}
	}
	return &located
}
