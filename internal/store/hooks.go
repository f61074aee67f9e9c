package store

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Models with hooks are written through GORM in the same transaction: its session finds the transaction in the context.
// The hooks see the caller there too, and what they do themselves is limited like any session: the store has applied the
// rules to its own statement alone, and so that alone runs as CapeBase's.

func (s *Store) gormSession(ctx context.Context) *gorm.DB {
	session := s.gorm.Session(&gorm.Session{
		Context: ctx, NewDB: true, SkipDefaultTransaction: true,
		Logger: s.gorm.Logger.LogMode(logger.Silent), // a client's conflict is an answer; what is not one is logged there
	})
	session.TranslateError = false // this session's copy: problems are made of the database's own errors
	session = session.Set(ownSetting, nil)
	session.Statement.Settings.Store(ownSetting, session.Statement)
	return session
}

// ownSetting marks the store's statements. Its value is the statement: GORM copies settings to those that a hook makes of
// it with WithContext.
const ownSetting = "cape:own"

// Own tells whether a GORM statement is the store's: it has the rules applied.
func Own(db *gorm.DB) bool {
	statement, marked := db.Get(ownSetting)
	return marked && statement == db.Statement
}

// internally runs the callback that talks to the database with CapeBase's own context where the statement is the store's.
// The callbacks around it, of hooks and associations, keep the caller's.
func internally(run func(*gorm.DB)) func(*gorm.DB) {
	return func(db *gorm.DB) {
		if !Own(db) {
			run(db)
			return
		}
		ctx := db.Statement.Context
		defer func() { db.Statement.Context = ctx }()
		db.Statement.Context = caller.WithInternal(ctx)
		run(db)
	}
}

// insertThroughGORM returns, beside an error, the row as hooks left it.
func (s *Store) insertThroughGORM(ctx context.Context, c *sqldriver.Conn, in Input) (Row, error) {
	target := reflect.New(s.Model.Type)
	if err := s.Model.ToStruct(ctx, in.Values, target.Elem()); err != nil {
		return in.Values, err
	}
	session := s.gormSession(ctx).Omit(clause.Associations)
	if explicit := s.explicit(in); explicit != nil {
		session = session.Set(explicitSetting, explicit)
	}
	err := session.Create(target.Interface()).Error
	row, convert := s.Model.FromStruct(ctx, target.Elem())
	if convert != nil {
		row = in.Values
	}
	if err == nil {
		err = convert
	}
	if err != nil {
		return row, err
	}
	return s.read(ctx, c, s.keyOf(row))
}

// explicit lists the columns that have a default in the database and were given a value. GORM takes the zero of Go for
// no value, and would store the default instead of the false that a client sent.
func (s *Store) explicit(in Input) []string {
	var columns []string
	for _, f := range s.Model.Fields {
		if f.Default && in.Given[f.Column] {
			columns = append(columns, s.Model.Table.Columns[f.Column].Name)
		}
	}
	return columns
}

// explicitSetting carries explicit's columns to keepExplicit.
const explicitSetting = "cape:explicit"

// keepExplicit lets GORM see the given columns as ones without a default, in this statement alone. It comes after the
// hooks, so that what they leave in the struct is what is stored.
func keepExplicit(db *gorm.DB) {
	setting, ok := db.Get(explicitSetting)
	columns, isList := setting.([]string)
	if !ok || !isList || db.Statement.Schema == nil {
		return
	}
	from := db.Statement.Schema
	to := &schema.Schema{
		Name: from.Name, ModelType: from.ModelType, Table: from.Table, PrioritizedPrimaryField: from.PrioritizedPrimaryField,
		DBNames: from.DBNames, PrimaryFields: from.PrimaryFields, PrimaryFieldDBNames: from.PrimaryFieldDBNames, Fields: from.Fields,
		FieldsByName: from.FieldsByName, FieldsByBindName: from.FieldsByBindName, FieldsByDBName: maps.Clone(from.FieldsByDBName),
		CreateClauses: from.CreateClauses, QueryClauses: from.QueryClauses,
		BeforeCreate: from.BeforeCreate, AfterCreate: from.AfterCreate, BeforeSave: from.BeforeSave, AfterSave: from.AfterSave,
	}
	for _, field := range from.FieldsWithDefaultDBValue {
		if !slices.Contains(columns, field.DBName) {
			to.FieldsWithDefaultDBValue = append(to.FieldsWithDefaultDBValue, field)
		}
	}
	for _, column := range columns {
		field := *from.FieldsByDBName[column]
		field.HasDefaultValue, field.DefaultValueInterface = false, nil
		to.FieldsByDBName[column] = &field
	}
	db.Statement.Schema = to
}

// registerCallbacks prepares a gorm.DB once.
func registerCallbacks(g *gorm.DB) error {
	const name = "cape:explicit"
	c := g.Callback()
	if c.Create().Get(name) != nil {
		return nil
	}
	return errors.Join(
		c.Create().After("gorm:before_create").Before("gorm:create").Register(name, keepExplicit),
		c.Create().Replace("gorm:create", internally(c.Create().Get("gorm:create"))),
		c.Update().Replace("gorm:update", internally(c.Update().Get("gorm:update"))),
		c.Delete().Replace("gorm:delete", internally(c.Delete().Get("gorm:delete"))),
	)
}

// keyIn is the condition that the key is that of the struct. GORM's own leaves out the parts that are zero, and would
// change the rows of others with them.
func (s *Store) keyIn(ctx context.Context, target reflect.Value) clause.Where {
	var where clause.Where
	for _, column := range s.Model.Table.Key {
		name := s.Model.Table.Columns[column].Name
		value, _ := s.Model.Schema.FieldsByDBName[name].ValueOf(ctx, target.Elem())
		where.Exprs = append(where.Exprs, clause.Eq{Column: clause.Column{Table: clause.CurrentTable, Name: name}, Value: value})
	}
	return where
}

// updateThroughGORM loads the row into a struct, so that hooks see all of it, and saves the columns that were given and
// those that a BeforeUpdate or BeforeSave hook changed. Beside an error it returns the row as hooks left it.
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
		return row, err
	}
	err := s.gormSession(ctx).Model(target.Interface()).Clauses(s.keyIn(ctx, target)).
		Omit(clause.Associations).Select("*").Updates(target.Interface()).Error
	if err != nil {
		if hooked, convert := s.Model.FromStruct(ctx, target.Elem()); convert == nil {
			row = hooked
		}
		return row, err
	}
	return s.read(ctx, c, key)
}

func (s *Store) deleteThroughGORM(ctx context.Context, before Row) error {
	target := reflect.New(s.Model.Type)
	if err := s.Model.ToStruct(ctx, before, target.Elem()); err != nil {
		return err
	}
	return s.gormSession(ctx).Clauses(s.keyIn(ctx, target)).Delete(target.Interface()).Error
}
