package migrate

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// system is what differs between the databases when tables are inspected, described and made.
type system interface {
	// title is the database's name for messages.
	title() string
	// fold writes an identifier so that equal ones are the same string.
	fold(identifier string) string
	// cut writes an identifier as the database keeps it: too long ones lose their end.
	cut(identifier string) string
	// collation is the name of ours for text.
	collation() string
	// addsConstraints tells whether a table that exists can be given foreign keys and checks.
	addsConstraints() bool

	// parseType reads a type as a tag or CREATE TABLE has it.
	parseType(declared string) actualColumn
	// fit tells whether values of the kind can live in the column.
	fit(kind predicate.Kind, c *actualColumn) verdict
	// follow returns the type that a foreign key's column needs to refer to target, where that is not the dialect's.
	follow(kind predicate.Kind, target *actualColumn) (declared string, ok bool)
	// declare writes the type that a tag demands, with our collation where it is text and names none.
	declare(kind predicate.Kind, declared string) string
	// counter writes type and rest of a column that the database counts; inKey tells that it is the key by itself.
	counter(declared string) (definition string, inKey bool)
	// options end a CREATE TABLE.
	options() string
	// literal writes a value as SQL.
	literal(v predicate.Value) string
	// now is the time of an INSERT in our form.
	now() string
	// wrap writes a DEFAULT's expression for a column of the type.
	wrap(declared, expression string) string
	// indexProblem tells what the database cannot do of an index.
	indexProblem(i *index) string
	// indexHead writes the name of an index, the access method and ON table in the database's order.
	indexHead(name, table, method string) string
	// indexTail writes what follows the columns of an index.
	indexTail(i *index) string
	// indexPart writes a column of an index; actual is nil for a column that is being made.
	indexPart(i *index, quoted string, p part, actual *actualColumn) string
	// retype is SQL that would give an existing column the wanted type and NOT NULL. It is for people to read.
	retype(w *writer, t *table, c *column) string

	// relation looks one table or view up; nil when there is none.
	relation(ctx context.Context, s *session, schema, name string) (*relation, error)
	// contents looks at rows of a table that exists for values in a form that comparisons do not expect.
	contents(ctx context.Context, s *session, w *writer, t *table) (warnings []string, err error)
	// schemaExists tells whether the schema is there; systems without schemas fail.
	schemaExists(ctx context.Context, s *session, schema string) (bool, error)
	// home is the schema for new tables that name none; "" leaves it to the database.
	home(ctx context.Context, s *session) (string, error)
	// dropSchema drops a schema that nobody else has put anything into.
	dropSchema(ctx context.Context, s *session, schema string) error
	// locked runs fn on a connection that no other CapeBase process has at the same time. Where DDL can be rolled back,
	// fn is in a transaction.
	locked(ctx context.Context, db *sqldriver.DB, fn func(context.Context, *session) error) error
	// atomic tells whether DDL can be rolled back.
	atomic() bool
}

// newSystem returns the rules of a dialect.
func newSystem(d engine.Dialect) (system, error) {
	switch d.Name() {
	case "sqlite":
		return sqliteSystem{}, nil
	case "postgres":
		return postgresSystem{}, nil
	case "mysql":
		return mysqlSystem{textClause(d)}, nil
	default:
		return nil, fmt.Errorf("migrate: no rules for engine %q", d.Name())
	}
}

// verdict says whether a kind fits a column. problem completes "model.Todo.Done: column todos.done is varchar(20), …".
type verdict struct {
	problem string
	remark  string // it fits, but
}

// lockWait bounds the wait for other processes that migrate.
const lockWait = time.Minute

// relation is a table or view as the database has it.
type relation struct {
	schema, name string // as the database writes them
	kind         string // "" for a table that can be published, else what it is: "a view"
	readable     bool
	filled       bool // it has rows, where that decides what can be added
	columns      []actualColumn
	key          []string
	indexes      []actualIndex
	references   []actualReference
	checks       []string
}

// actualColumn is a column as the database has it.
type actualColumn struct {
	name       string
	declared   string // the whole type: "varchar(20)"
	base       string // its name alone, lower case: "varchar"
	nullable   bool
	fallback   bool // there is a DEFAULT
	computed   bool // which the database evaluates for each row
	generated  bool // always computed, never written
	increments bool
	collation  string // as DDL names it; "" for none
	charset    string // MySQL's, of text
	foreign    bool   // text whose collation is not ours
	unstable   bool   // a collation that calls unequal bytes equal, and is not to be overruled
	digits     int    // of a time's second
}

// actualIndex is an index or unique constraint as the database has it.
type actualIndex struct {
	name            string
	unique, partial bool
	parts           []actualPart
}

// actualPart is a column of an index.
type actualPart struct {
	column string // "" for an expression
	length int    // of a prefix
}

// actualReference is a foreign key as the database has it.
type actualReference struct {
	name               string
	columns            []string
	schema, target     string
	targetColumns      []string
	onUpdate, onDelete string
}

func (r *relation) column(s system, name string) *actualColumn {
	for i := range r.columns {
		if s.fold(r.columns[i].name) == s.fold(name) {
			return &r.columns[i]
		}
	}
	return nil
}

// baseOf returns a type's name without length, sign or collation, in lower case.
func baseOf(declared string) string {
	base, _, _ := strings.Cut(strings.ToLower(declared), "(")
	for _, word := range [...]string{" collate ", " character set ", " charset ", " not null", " default ", " generated "} {
		base, _, _ = strings.Cut(base+" ", word)
	}
	return strings.TrimSpace(base)
}

// textClause returns what follows the type in a text column that the dialect makes: its character set and collation.
func textClause(d engine.Dialect) string {
	_, clause, _ := strings.Cut(d.ColumnType(engine.Shape{Kind: predicate.Text, Size: 1}), ")")
	return strings.TrimSpace(clause)
}

// sorted walks a map in the order of its keys.
func sorted[K cmp.Ordered, V any](m map[K]V) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			if !yield(key, m[key]) {
				return
			}
		}
	}
}
