package journal

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Names of the tables that are alike on all engines. A change of their columns is a new format, as with all others.
const (
	consumerTable   = "consumer"
	deadLetterTable = "dead_letter"
	eventTable      = "event"
)

// EventTable names the table of package audit's events: id, at most 40 characters, and document. It is made by Install; to
// be journaled, its model must be among those given to Open.
func EventTable(d engine.Dialect) (schema, name string) {
	if d.Name() == "postgres" {
		return "cape", eventTable
	}
	return "", "cape_" + eventTable
}

// sharedTable is one of the journal's tables that no trigger and no source touches.
type sharedTable struct {
	name    string
	columns []sharedColumn // none of them NULL
	key     []string
}

type sharedColumn struct {
	name  string
	shape engine.Shape
}

// nameSize is the most characters of a consumer's name: as many as an index takes everywhere.
const nameSize = 191

func sharedTables() []sharedTable {
	number := engine.Shape{Kind: predicate.Int}
	text := engine.Shape{Kind: predicate.Text}
	name := engine.Shape{Kind: predicate.Text, Size: nameSize, Keyed: true}
	return []sharedTable{
		{consumerTable, []sharedColumn{
			{"name", name},
			{"position", number}, {"nonce", number}, // of the last entry that is done
			{"tries", number},      // that failed, of the entry after it
			{"owner", text},        // for whoever looks: host, process, and a random part
			{"leased", number},     // until when, in microseconds since 1970 by the database's clock; 0: it is free
			{"fence", number},      // of the present owner: each has a higher one than the last
			{"registered", number}, // in microseconds, as the one above
		}, []string{"name"}},
		{deadLetterTable, []sharedColumn{
			{"consumer", name}, {"position", number}, {"nonce", number},
			{"tries", number}, {"error", text}, {"at", number}, {"entry", text},
		}, []string{"consumer", "position", "nonce"}},
		{eventTable, []sharedColumn{
			{"id", engine.Shape{Kind: predicate.Text, Size: 40, Keyed: true}}, {"document", text},
		}, []string{"id"}},
	}
}

// createShared writes the statement that makes a table.
func createShared(d engine.Dialect, name string, t *sharedTable) string {
	var b strings.Builder
	b.WriteString("CREATE TABLE " + name + " (")
	for _, column := range t.columns {
		b.WriteString(d.Quote(column.name) + " " + d.ColumnType(column.shape) + " NOT NULL, ")
	}
	quoted := make([]string, len(t.key))
	for i, column := range t.key {
		quoted[i] = d.Quote(column)
	}
	b.WriteString("PRIMARY KEY (" + strings.Join(quoted, ", ") + "))")
	return b.String()
}

// plan is the source's, with the tables that all sources share.
func (j *Journal) plan(ctx context.Context, c *sqldriver.Conn) (*plan, error) {
	p, err := j.source.plan(ctx, c)
	if err != nil {
		return nil, err
	}
	var query string
	switch name := j.db.Dialect().Name(); name {
	case "sqlite":
		query = "SELECT name FROM sqlite_schema WHERE type = 'table'"
	case "postgres":
		query = "SELECT 'cape_' || tablename FROM pg_catalog.pg_tables WHERE schemaname = 'cape'"
	case "mysql":
		query = "SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_name LIKE 'cape%'"
	default:
		return nil, fmt.Errorf("no journal for the engine %s", name)
	}
	var present []string
	err = each(ctx, c, query, nil, func(row []driver.Value) error {
		present = append(present, textOf(row[0]))
		return nil
	})
	if err != nil {
		return nil, err
	}
	var missing []string // before the triggers of one of them
	for _, t := range sharedTables() {
		if !slices.Contains(present, "cape_"+t.name) {
			missing = append(missing, createShared(j.db.Dialect(), j.source.name(t.name), &t))
		}
	}
	p.statements = append(missing, p.statements...)
	return p, nil
}

// uninstall is the source's, with the tables that all sources share.
func (j *Journal) uninstall(ctx context.Context, c *sqldriver.Conn) ([]string, error) {
	var statements []string
	for _, t := range sharedTables() {
		statements = append(statements, "DROP TABLE IF EXISTS "+j.source.name(t.name))
	}
	own, err := j.source.uninstall(ctx, c) // the triggers of one of these among them
	return append(own, statements...), err
}
