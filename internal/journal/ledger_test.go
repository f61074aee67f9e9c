package journal

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Folder and File have unique columns beside the key, and a foreign key that deletes.
type Folder struct {
	ID   int64
	Name string `gorm:"size:40;uniqueIndex"`
	Size int64
}

// File is in a folder, or in none.
type File struct {
	ID       int64
	FolderID *int64  `gorm:"index"`
	Folder   *Folder `gorm:"constraint:OnDelete:CASCADE"`
	Path     string  `gorm:"size:40;uniqueIndex"`
	Size     int64
}

// ledger replays entries, and checks that each fits to the last one of its row.
type ledger struct {
	t        rapid.TB
	position int64
	rows     map[string][]predicate.Value // by table and key
	gaps     int
}

func newLedger(t rapid.TB, after int64) *ledger {
	return &ledger{t: t, position: after, rows: make(map[string][]predicate.Value)}
}

func (l *ledger) add(e *Entry) {
	l.t.Helper()
	if e.Position != l.position+1 {
		l.t.Errorf("position %d after %d", e.Position, l.position)
	}
	l.position = e.Position
	if e.Op == Gap {
		l.gaps++
		return
	}
	key := fmt.Sprint(e.Table, e.Key)
	if before := l.rows[key]; !slices.Equal(before, e.Before) {
		l.t.Errorf("position %d, %s of %s: it says that before was %v, and before was %v", e.Position, e.Op, key, e.Before, before)
	}
	if delete(l.rows, key); e.After != nil {
		l.rows[key] = e.After
	}
}

func (l *ledger) addAll(entries []Entry) {
	l.t.Helper()
	for i := range entries {
		l.add(&entries[i])
	}
}

// compare compares what the entries make with what the tables have.
func (l *ledger) compare(b *bed) {
	l.t.Helper()
	for table, m := range b.models {
		var got, want []string
		for key, row := range l.rows {
			if strings.HasPrefix(key, fmt.Sprint(table, "[")) {
				got = append(got, fmt.Sprint(row))
			}
		}
		for _, row := range b.rows(l.t, table) {
			for i, f := range m.Fields {
				if f.Secret {
					row[i] = predicate.Value{}
				}
			}
			want = append(want, fmt.Sprint(row))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			l.t.Errorf("table %s: the entries make\n%s\nand it has\n%s", m.Table.Name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// rows reads a table as the store would.
func (b *bed) rows(t rapid.TB, table int) (rows [][]predicate.Value) {
	t.Helper()
	err := b.db.Read(b.t.Context(), func(ctx context.Context, c *sqldriver.Conn) (err error) {
		rows, err = b.rowsOn(ctx, c, table)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func (b *bed) rowsOn(ctx context.Context, c *sqldriver.Conn, table int) (rows [][]predicate.Value, err error) {
	m := &b.models[table].Table
	d := b.db.Dialect()
	q := engine.NewBuilder(d)
	q.Write("SELECT ")
	q.Columns(m)
	q.Write(" FROM ")
	q.Table(m)
	err = each(ctx, c, q.String(), nil, func(cells []driver.Value) error {
		row := make([]predicate.Value, len(cells))
		for i, cell := range cells {
			if row[i], err = d.Scan(m.Columns[i].Kind, cell); err != nil {
				return err
			}
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}
