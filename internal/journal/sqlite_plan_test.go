package journal

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Member has a key and two other unique constraints, one of them with a collation of its own.
type Member struct {
	ID    int64
	Email string `gorm:"uniqueIndex"`
	Team  string `gorm:"uniqueIndex:seat"`
	Seat  string `gorm:"uniqueIndex:seat"`
	Name  string
}

// The triggers find the rows that stand in the way of a new one by the indexes of the constraints.
func TestSQLiteTriggersUseIndexes(t *testing.T) {
	t.Parallel()
	b := open(t, dbtest.New(t, dbtest.SQLite), Options{}, parse[Member](t)).start()
	b.exec("CREATE UNIQUE INDEX name_anyhow ON members (name COLLATE NOCASE)")
	if err := b.Install(t.Context()); err != nil {
		t.Fatal(err)
	}
	var d *sqliteDescription
	err := b.db.Read(t.Context(), func(ctx context.Context, c *sqldriver.Conn) (err error) {
		source := b.source.(*sqliteSource)
		all, err := readSQLiteCatalogue(ctx, c)
		if err == nil {
			d, err = source.describe(ctx, c, all, source.tables[0])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	clashes := d.clashes("NEW")
	if len(clashes) != 4 {
		t.Fatalf("%d constraints: %q", len(clashes), clashes)
	}
	conditions := []string{"SELECT " + d.exists(clashes)}
	for _, statement := range d.stash("I", clashes) {
		_, query, _ := strings.Cut(statement, ") SELECT ")
		conditions = append(conditions, "SELECT "+query)
	}
	row := regexp.MustCompile(`NEW\."[a-z]+"`)
	for _, condition := range conditions {
		query := row.ReplaceAllString(condition, "'x'")
		found := 0
		rows, err := b.db.SQL().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(detail, "SCAN t") {
				t.Errorf("%s: %s", query, detail)
			}
			if strings.HasPrefix(detail, "SEARCH t ") {
				found++
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		if found == 0 {
			t.Errorf("%s: the plan does not speak of the table", query)
		}
	}
}
