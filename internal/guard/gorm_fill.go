package guard

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// fill sets the managed fields of new rows from the caller's identity. Hooks see them; what hooks change in them is
// refused when the row has been stored.
func (p plugin) fill(db *gorm.DB) {
	table := p.table(db)
	if db.Error != nil || table == nil {
		return
	}
	id := auth.From(db.Statement.Context)
	who := predicate.Caller{ID: id.ID, Roles: id.Roles, Claims: id.Claims}
	rows := inserted(db.Statement)
	for _, f := range table.Model.Fields {
		if f.Managed.Source == model.FromBody {
			continue
		}
		m := managed{Field: f, model: table.Model, stmt: db.Statement}
		for _, row := range rows {
			if err := m.fill(db.Statement.Context, who, row); err != nil {
				_ = db.AddError(err)
				return
			}
		}
		m.include()
	}
}

// inserted returns the rows that an INSERT was given: structs, and maps.
func inserted(stmt *gorm.Statement) []reflect.Value {
	v := stmt.ReflectValue
	if !v.IsValid() {
		return nil
	}
	if v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
		return []reflect.Value{v}
	}
	var rows []reflect.Value
	for i := range v.Len() {
		row := v.Index(i)
		for row.Kind() == reflect.Pointer || row.Kind() == reflect.Interface {
			row = row.Elem()
		}
		if row.IsValid() { // GORM refuses the others
			rows = append(rows, row)
		}
	}
	return rows
}

// managed is a managed field in one statement.
type managed struct {
	*model.Field
	model *model.Model
	stmt  *gorm.Statement
}

func (m managed) column() string { return m.model.Table.Columns[m.Field.Column].Name }

// fill sets the field of one row, or refuses what it holds.
func (m managed) fill(ctx context.Context, who predicate.Caller, row reflect.Value) error {
	var err error
	switch row.Kind() {
	case reflect.Struct:
		err = m.fillStruct(ctx, who, row)
	case reflect.Map:
		if object, ok := row.Interface().(map[string]any); ok {
			err = m.fillMap(ctx, who, object)
		}
	}
	return err
}

func (m managed) fillStruct(ctx context.Context, who predicate.Caller, row reflect.Value) error {
	if m.stmt.Schema == nil || row.Type() != m.stmt.Schema.ModelType {
		return nil // a value that GORM refuses
	}
	field := m.stmt.Schema.LookUpField(m.column())
	if field == nil {
		return nil // a struct of the developer's without it: what is stored decides
	}
	given, zero := field.ValueOf(ctx, row)
	v, err := m.decide(ctx, who, given, !zero)
	if err != nil {
		return err
	}
	content, null, err := m.content(ctx, v)
	switch {
	case err != nil || !zero || null:
		return err
	case !row.CanAddr():
		return fmt.Errorf("%w: give a pointer, so that %s.%s can be filled", gorm.ErrInvalidValue, m.model.Name, m.GoName)
	}
	return field.Set(ctx, row, content)
}

func (m managed) fillMap(ctx context.Context, who predicate.Caller, row map[string]any) error {
	var given any
	for key, v := range row {
		if !m.named(key) {
			continue
		}
		if _, computed := v.(clause.Expression); computed {
			return nil // what is stored decides
		}
		given = v
	}
	v, err := m.decide(ctx, who, given, given != nil)
	if err != nil || given != nil {
		return err
	}
	content, null, err := m.content(ctx, v)
	if err != nil {
		return err
	}
	for key := range row {
		if m.named(key) {
			delete(row, key)
		}
	}
	if !null {
		row[m.column()] = content
	}
	return nil
}

// decide returns what the row is to hold.
func (m managed) decide(ctx context.Context, who predicate.Caller, content any, given bool) (predicate.Value, error) {
	var v predicate.Value
	if given {
		scratch := reflect.New(m.model.Type).Elem()
		err := m.field().Set(ctx, scratch, content)
		if err == nil {
			v, err = m.Load(ctx, scratch)
		}
		if err != nil {
			return v, fmt.Errorf("%s.%s: %w", m.model.Name, m.GoName, err)
		}
	}
	v, err := m.FillManaged(who, given, v)
	if err != nil {
		return v, refuseField(m.model, m.Field, err)
	}
	return v, nil
}

// content is a value as Go has it.
func (m managed) content(ctx context.Context, v predicate.Value) (content any, null bool, err error) {
	if v.IsNull() {
		return nil, true, nil
	}
	scratch := reflect.New(m.model.Type).Elem()
	if err := m.Store(ctx, scratch, v); err != nil {
		return nil, false, fmt.Errorf("%s.%s: %w", m.model.Name, m.GoName, err)
	}
	content, _ = m.field().ValueOf(ctx, scratch)
	return content, false, nil
}

func (m managed) field() *schema.Field { return m.model.Schema.LookUpField(m.column()) }

// named tells whether a name that GORM was given means the field.
func (m managed) named(name string) bool {
	if strings.EqualFold(name, m.column()) {
		return true
	}
	return m.stmt.Schema != nil && m.stmt.Schema.LookUpField(name) != nil && m.stmt.Schema.LookUpField(name).DBName == m.column()
}

// include keeps the field among the columns where Select or Omit chose others.
func (m managed) include() {
	if len(m.stmt.Selects) > 0 && !slices.ContainsFunc(m.stmt.Selects, func(name string) bool { return name == "*" || m.named(name) }) {
		m.stmt.Selects = append(slices.Clip(m.stmt.Selects), m.column())
	}
	if slices.ContainsFunc(m.stmt.Omits, m.named) {
		m.stmt.Omits = slices.DeleteFunc(slices.Clone(m.stmt.Omits), m.named)
	}
}
