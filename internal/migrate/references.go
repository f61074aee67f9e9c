package migrate

import (
	"cmp"
	"slices"
	"strings"

	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/model"
)

// relations adds the foreign keys that GORM's relations of m mean, to whichever table holds their columns.
func (w *wish) relations(m *model.Model) {
	if w.gorm.DisableForeignKeyConstraintWhenMigrating || w.gorm.IgnoreRelationshipsWhenMigrating {
		return
	}
	for _, relation := range sorted(m.Schema.Relationships.Relations) {
		// A polymorphic relation has many targets, and no database has a constraint for that.
		if relation.Field.IgnoreMigration || relation.Polymorphic != nil {
			continue
		}
		constraint := relation.ParseConstraint()
		if constraint == nil || constraint.Schema == nil || constraint.ReferenceSchema == nil {
			continue
		}
		namespace, name := splitTable(constraint.Schema.Table)
		t, ok := w.byName[w.id(namespace, name)]
		if !ok {
			continue // the table of an association that is not published
		}
		w.reference(t, m, constraint)
	}
	for _, relation := range sorted(m.Schema.Relationships.Relations) {
		if relation.Type == schema.BelongsTo {
			w.actions(m, relation)
		}
	}
}

// actions takes over what the side that holds the key says of deleting and updating. GORM forgets it when the other side
// has a field for the same relation.
func (w *wish) actions(m *model.Model, relation *schema.Relationship) {
	var columns []string
	for _, r := range relation.References {
		columns = append(columns, r.ForeignKey.DBName)
	}
	t, ok := w.byName[w.id(m.Table.Schema, m.Table.Name)]
	if !ok {
		return // refused before
	}
	settings := schema.ParseTagSetting(relation.Field.TagSettings["CONSTRAINT"], ",")
	for _, r := range t.references {
		if slices.Equal(r.columns, columns) {
			r.onDelete = cmp.Or(r.onDelete, action(settings["ONDELETE"]))
			r.onUpdate = cmp.Or(r.onUpdate, action(settings["ONUPDATE"]))
		}
	}
}

func (w *wish) reference(t *table, m *model.Model, constraint *schema.Constraint) {
	r := &reference{
		name:     constraint.Name,
		owner:    m.Type.String() + "." + constraint.Field.Name,
		onUpdate: action(constraint.OnUpdate),
		onDelete: action(constraint.OnDelete),
	}
	r.schema, r.target = splitTable(constraint.ReferenceSchema.Table)
	for i, key := range constraint.ForeignKeys {
		r.columns = append(r.columns, key.DBName)
		r.targetColumns = append(r.targetColumns, constraint.References[i].DBName)
	}
	same := func(other *reference) bool {
		return other.name == r.name || other.target == r.target && slices.Equal(other.columns, r.columns)
	}
	if len(r.columns) > 0 && !slices.ContainsFunc(t.references, same) {
		t.references = append(t.references, r)
	}
}

// action is a referential action in one form; NO ACTION is the databases' default, and written "".
func action(tag string) string {
	action := strings.ToUpper(strings.Join(strings.Fields(tag), " "))
	if action == "NO ACTION" {
		return ""
	}
	return action
}

// splitTable splits a GORM table name into schema and name.
func splitTable(table string) (namespace, name string) {
	if before, after, ok := strings.Cut(table, "."); ok {
		return before, after
	}
	return "", table
}
