package store

import (
	"context"
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Models with hooks are written through GORM in the same transaction: its session finds the transaction in the context.
// The hooks see the caller there too.

func (s *Store) gormSession(ctx context.Context) *gorm.DB {
	return s.gorm.Session(&gorm.Session{Context: ctx, NewDB: true, SkipDefaultTransaction: true})
}

func (s *Store) insertThroughGORM(ctx context.Context, c *sqldriver.Conn, in Input) (Row, error) {
	target := reflect.New(s.Model.Type)
	if err := s.Model.ToStruct(ctx, in.Values, target.Elem()); err != nil {
		return nil, err
	}
	if err := s.gormSession(ctx).Omit(clause.Associations).Create(target.Interface()).Error; err != nil {
		return nil, err
	}
	row, err := s.Model.FromStruct(ctx, target.Elem())
	if err != nil {
		return nil, err
	}
	return s.read(ctx, c, s.keyOf(row))
}

// updateThroughGORM loads the row into a struct, so that hooks see all of it, and saves the columns that were given and
// those that a BeforeUpdate or BeforeSave hook changed.
func (s *Store) updateThroughGORM(ctx context.Context, c *sqldriver.Conn, key []predicate.Value, before Row, in Input) (Row, error) {
	if !slices.Contains(in.Given, true) {
		return before, nil
	}
	target := reflect.New(s.Model.Type)
	row := append(Row(nil), before...)
	for i, given := range in.Given {
		if given {
			row[i] = in.Values[i]
		}
	}
	if err := s.Model.ToStruct(ctx, row, target.Elem()); err != nil {
		return nil, err
	}
	err := s.gormSession(ctx).Model(target.Interface()).Omit(clause.Associations).Select("*").Updates(target.Interface()).Error
	if err != nil {
		return nil, err
	}
	return s.read(ctx, c, key)
}

func (s *Store) deleteThroughGORM(ctx context.Context, before Row) error {
	target := reflect.New(s.Model.Type)
	if err := s.Model.ToStruct(ctx, before, target.Elem()); err != nil {
		return err
	}
	return s.gormSession(ctx).Delete(target.Interface()).Error
}
