package migrate

import (
	"context"
	"fmt"
	"strconv"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// format is the version of CapeBase's own tables. A program leaves those of a later one as they are.
const format = 1

const (
	// ownSchema is where CapeBase's tables lie on PostgreSQL.
	ownSchema = "cape"
	// ownPrefix begins their names elsewhere.
	ownPrefix = "cape_"
)

// metaTable holds facts about the installation: a row each.
func metaTable(d engine.Dialect) *table {
	t := &table{name: ownPrefix + "meta", key: []string{"key"}, owner: "CapeBase"}
	if d.Name() == "postgres" {
		t.schema, t.name = ownSchema, "meta"
	}
	t.title = qualified(t.schema, t.name)
	for _, name := range [...]string{"key", "value"} {
		t.columns = append(t.columns, &column{
			name: name, owner: t.owner, shape: engine.Shape{Kind: predicate.Text, Size: 191, Keyed: name == "key"},
			notNull: true, strict: true, note: &engine.Column{},
		})
	}
	return t
}

// installed compares the format of the tables that are there with ours.
func (p *planner) installed(ctx context.Context, s *session, meta *table, there bool) (steps []string, warnings []string, err error) {
	name := p.ddl.table(meta.schema, meta.name)
	key, value := s.dialect.Quote("key"), s.dialect.Quote("value")
	insert := fmt.Sprintf("INSERT INTO %s (%s, %s) VALUES ('format', '%d')", name, key, value, format)
	if !there {
		return []string{insert}, nil, nil
	}
	rows, err := s.rows(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s = 'format'", value, name, key))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", label(meta, ""), err)
	}
	if len(rows) == 0 {
		return []string{insert}, nil, nil
	}
	found, err := strconv.Atoi(rows[0].text(0))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%s says format %q, which is no number: was it changed by hand?", label(meta, ""), rows[0].text(0))
	case found > format:
		return nil, []string{fmt.Sprintf("the tables of CapeBase have format %d, made by a later version than this one (format %d); they are left as they are",
			found, format)}, nil
	case found < format:
		return []string{fmt.Sprintf("UPDATE %s SET %s = '%d' WHERE %s = 'format'", name, value, format, key)}, nil, nil
	}
	return nil, nil, nil
}
