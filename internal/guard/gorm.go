package guard

import (
	"context"
	"errors"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/store"
	"github.com/capebase/capebase/policy"
)

// plugin tells GORM's statements on published tables from other SQL, by what GORM knows of them: it fills managed fields,
// leaves rows alone that the caller may not change, and says when that was the one row that was meant.
type plugin struct {
	guard func() *Guard // nil before Start
}

// Plugin makes the GORM plugin of the guard that a function returns, which may be nil as long as there is none.
func Plugin(guard func() *Guard) gorm.Plugin { return plugin{guard} }

// Name implements gorm.Plugin.
func (plugin) Name() string { return "cape:guard" }

// Initialize implements gorm.Plugin.
func (p plugin) Initialize(db *gorm.DB) error {
	c := db.Callback()
	return errors.Join(
		c.Create().Before("gorm:begin_transaction").Register("cape:fill", p.fill),
		c.Create().Replace("gorm:create", p.create(c.Create().Get("gorm:create"))),
		c.Update().Replace("gorm:update", p.limit(policy.Update, c.Update().Get("gorm:update"))),
		c.Delete().Replace("gorm:delete", p.limit(policy.Delete, c.Delete().Get("gorm:delete"))),
	)
}

// fail ends a statement that GORM has not run, or not as it was meant: no connection reports that.
func (p plugin) fail(db *gorm.DB, err error) {
	if g := p.guard(); g != nil && g.Refused != nil {
		g.Refused(db.Statement.Context, err)
	}
	_ = db.AddError(err)
}

// table returns the published table of a statement that the guard limits; nil for any other statement.
func (p plugin) table(db *gorm.DB) *Table {
	g, ctx := p.guard(), db.Statement.Context
	if g == nil || caller.Internal(ctx) || store.Own(db) {
		return nil
	}
	if _, privileged := caller.Privilege(ctx); privileged {
		return nil
	}
	schema, name, qualified := strings.Cut(tableOf(db.Statement), ".")
	if !qualified {
		schema, name = "", schema
	}
	for i := range g.tables {
		t := &g.tables[i].Model.Table
		if strings.EqualFold(t.Name, name) && (schema == "" || t.Schema == "" || strings.EqualFold(t.Schema, schema)) {
			return &g.tables[i]
		}
	}
	return nil
}

// tableOf is the statement's table with its schema, which GORM cuts off.
func tableOf(stmt *gorm.Statement) string {
	if stmt.Schema != nil && strings.HasSuffix(stmt.Schema.Table, "."+stmt.Table) {
		return stmt.Schema.Table
	}
	return stmt.Table
}

// limit runs an UPDATE or DELETE on the rows on which the caller may do the action. A soft DELETE is an UPDATE for the
// database and a DELETE for the rules.
func (p plugin) limit(action policy.Action, run func(*gorm.DB)) func(*gorm.DB) {
	return func(db *gorm.DB) {
		table := p.table(db)
		if table == nil {
			run(db)
			return
		}
		within(db, WithAction(db.Statement.Context, action), run)
		if done(db) && db.RowsAffected == 0 && named(db.Statement, table) && exists(db) {
			verb := map[policy.Action]string{policy.Update: "change", policy.Delete: "delete"}[action]
			p.fail(db, breach(table.Model, verb, ""))
		}
	}
}

// create runs an INSERT. Where a row was to replace another, but found one that the caller may not read, it is refused: it
// must not look as if it had been stored.
func (p plugin) create(run func(*gorm.DB)) func(*gorm.DB) {
	return func(db *gorm.DB) {
		table := p.table(db)
		if table == nil {
			run(db)
			return
		}
		// Read before it runs: MySQL's dialector turns DoNothing into an update.
		conflict, _ := db.Statement.Clauses["ON CONFLICT"].Expression.(clause.OnConflict)
		updates := conflict.UpdateAll || len(conflict.DoUpdates) > 0
		within(db, p.upsert(db, table, conflict), run)
		if done(db) && updates && len(conflict.Where.Exprs) == 0 && db.RowsAffected < int64(len(inserted(db.Statement))) {
			p.fail(db, breach(table.Model, "change", ""))
		}
	}
}

// within runs a callback with another context, which its hooks and associations do not see.
func within(db *gorm.DB, ctx context.Context, run func(*gorm.DB)) {
	own := db.Statement.Context
	defer func() { db.Statement.Context = own }()
	db.Statement.Context = ctx
	run(db)
}

// done tells whether a statement was run, with success.
func done(db *gorm.DB) bool {
	return db.Error == nil && !db.DryRun && db.Statement.SQL.Len() > 0
}

// named tells whether the conditions give the whole primary key, and so mean one row.
func named(stmt *gorm.Statement, table *Table) bool {
	given := map[string]bool{}
	where, _ := stmt.Clauses["WHERE"].Expression.(clause.Where)
	given = keysIn(given, stmt, where.Exprs)
	for _, column := range table.Model.Table.Key {
		if !given[table.Model.Table.Columns[column].Name] {
			return false
		}
	}
	return true
}

// keysIn collects the columns that have to equal one value.
func keysIn(given map[string]bool, stmt *gorm.Statement, conditions []clause.Expression) map[string]bool {
	for _, condition := range conditions {
		switch condition := condition.(type) {
		case clause.AndConditions:
			given = keysIn(given, stmt, condition.Exprs)
		case clause.Eq:
			given[columnOf(stmt, condition.Column)] = true
		case clause.IN:
			if len(condition.Values) == 1 {
				given[columnOf(stmt, condition.Column)] = true
			}
		}
	}
	return given
}

// columnOf names the column of a condition.
func columnOf(stmt *gorm.Statement, column any) string {
	name := ""
	switch column := column.(type) {
	case string:
		name = column
	case clause.Column:
		name = column.Name
	}
	if name == clause.PrimaryKey && stmt.Schema != nil && stmt.Schema.PrioritizedPrimaryField != nil {
		name = stmt.Schema.PrioritizedPrimaryField.DBName
	}
	return name
}

// exists tells whether the caller may read a row that a statement's conditions mean.
func exists(db *gorm.DB) bool {
	where, _ := db.Statement.Clauses["WHERE"].Expression.(clause.Where)
	probe := db.Session(&gorm.Session{NewDB: true}).Unscoped().Table(tableOf(db.Statement))
	if db.Statement.Schema != nil {
		probe = probe.Model(db.Statement.Model)
	}
	var found []int
	err := probe.Clauses(where).Limit(1).Select("1").Scan(&found).Error
	_ = db.AddError(err)
	return len(found) > 0
}
