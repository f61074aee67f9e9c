package guard

import (
	"context"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/caller"
)

// upsert returns the context in which an INSERT with ON CONFLICT runs.
//
// MySQL updates whichever row stands in the way, and no WHERE can keep it from that. The journal tells of those that
// changed. Of those that did not, GORM knows enough in most cases: the keys of the rows that it writes, and that nothing
// else about them is unique.
func (p plugin) upsert(db *gorm.DB, table *Table, conflict clause.OnConflict) context.Context {
	ctx := db.Statement.Context
	switch updates := conflict.UpdateAll || len(conflict.DoUpdates) > 0; {
	case !updates && !conflict.DoNothing, p.guard().dialect.Name() != "mysql":
		return ctx
	case !updates || readsAll(db, table):
		return withKeeping(ctx)
	}
	return ctx
}

// readsAll tells whether the caller may read all rows that an INSERT may meet; false too where that is not known.
func readsAll(db *gorm.DB, table *Table) bool {
	model := db.Statement.Schema
	if model == nil || model.Table != table.Model.Schema.Table || manyUnique(table.Model.Schema) {
		return false
	}
	rows := inserted(db.Statement)
	keys := make([][]any, 0, len(rows))
	for _, row := range rows {
		if row.Type() != model.ModelType {
			return false
		}
		key := make([]any, len(model.PrimaryFields))
		counted := false
		for i, field := range model.PrimaryFields {
			zero := false
			key[i], zero = field.ValueOf(db.Statement.Context, row)
			counted = counted || zero && field.AutoIncrement
		}
		if !counted { // the database gives the others keys that no row has
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return true
	}
	column, values := schema.ToQueryValues(clause.CurrentTable, model.PrimaryFieldDBNames, keys)
	there := func(ctx context.Context) int {
		var found []int
		// Locked, they stay as they are until the INSERT has run.
		err := db.Session(&gorm.Session{NewDB: true, Context: ctx}).Table(model.Table).Clauses(clause.Locking{Strength: "UPDATE"}).
			Where(clause.IN{Column: column, Values: values}).Select("1").Scan(&found).Error
		_ = db.AddError(err)
		return len(found)
	}
	return there(db.Statement.Context) == there(caller.WithInternal(db.Statement.Context)) && db.Error == nil
}

// manyUnique tells whether rows differ in more than their keys.
func manyUnique(model *schema.Schema) bool {
	for _, index := range model.ParseIndexes() {
		if index.Class == "UNIQUE" {
			return true
		}
	}
	for _, field := range model.Fields {
		if field.Unique || field.UniqueIndex != "" {
			return true
		}
	}
	return false
}
