package migrate

import (
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
)

type bareRow struct {
	ID    int64
	A     string `gorm:"size:20"`
	B     int64
	Email string `gorm:"size:40"`
}

func (bareRow) TableName() string { return "indexed" }

type indexedRow struct {
	ID    int64
	A     string `gorm:"size:20;index;index:idx_ab,priority:2"`
	B     int64  `gorm:"index:idx_ab,priority:1,sort:desc;check:small_b,b < 1000"`
	Email string `gorm:"size:40;uniqueIndex:idx_email"`
}

func (indexedRow) TableName() string { return "indexed" }

func TestAddIndexes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		b.run(All, b.models(bareRow{}))
		b.exec("INSERT INTO indexed (a, b, email) VALUES ('a', 1, 'same'), ('a', 1, 'same')")
		all := b.models(indexedRow{})
		plan := b.make(All, all)
		if n := strings.Count(steps(plan), "CREATE INDEX") + strings.Count(steps(plan), "CREATE UNIQUE INDEX"); n != 3 {
			t.Fatalf("%d indexes in %s", n, steps(plan))
		}

		// Two rows have one email.
		err := Run(t.Context(), b.db, b.gorm, all, All, b.logger())
		if err == nil || !strings.Contains(err.Error(), "CREATE UNIQUE INDEX") {
			t.Fatalf("duplicates: %v, want an error with the statement", err)
		}
		left := steps(b.make(All, all))
		if atomic := b.engine == dbtest.SQLite || b.engine == dbtest.Postgres; atomic {
			if !strings.Contains(err.Error(), "nothing was changed") || left != steps(plan) {
				t.Errorf("something was changed: %v; left:\n%s", err, left)
			}
		} else if !strings.Contains(err.Error(), "before it have run and stay:\nCREATE INDEX `idx_indexed_a`") || left == steps(plan) {
			t.Errorf("the error does not say what has run: %v; left:\n%s", err, left)
		}

		b.exec("UPDATE indexed SET email = 'other' WHERE id = 2")
		b.run(All, all)
		b.run(None, all)
		if plan := b.make(All, all); b.engine == dbtest.SQLite {
			if len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "small_b") {
				t.Errorf("warnings: %q, want one of the check that cannot be added", plan.Warnings)
			}
			return
		}
		if _, err := b.db.SQL().ExecContext(t.Context(), "INSERT INTO indexed (a, b, email) VALUES ('a', 1000, 'third')"); err == nil {
			t.Error("the check was not added")
		}
	})
}

// TestIndexesOfOtherNames takes what does the same, and refuses what has the name and does something else.
func TestIndexesOfOtherNames(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		all := b.models(indexedRow{})
		b.run(All, b.models(bareRow{}))
		b.exec("CREATE INDEX by_hand ON indexed (a)", "CREATE INDEX by_hand_2 ON indexed (b, a)", "CREATE UNIQUE INDEX by_hand_3 ON indexed (email)")
		if left := steps(b.make(All, all)); strings.Contains(left, "INDEX") {
			t.Errorf("wants %s", left)
		}

		drop := "DROP INDEX by_hand_3"
		if b.engine != dbtest.SQLite && b.engine != dbtest.Postgres {
			drop += " ON indexed"
		}
		b.exec(drop, "CREATE INDEX idx_email ON indexed (email)")
		b.fails(all, "migrate.indexedRow.Email", "idx_email", "CREATE UNIQUE INDEX")
		b.exec(strings.Replace(drop, "by_hand_3", "idx_email", 1), "CREATE UNIQUE INDEX idx_email ON indexed (email, b)")
		b.fails(all, "idx_email")
	})
}

type partialRow struct {
	ID   int64
	Text string `gorm:"size:20;index:idx_live,unique,where:done = false"`
	Done bool
}

type lowerRow struct {
	ID   int64
	Text string `gorm:"size:20;index:idx_lower,expression:lower(text)"`
}

type fullTextRow struct {
	ID   int64
	Text string `gorm:"size:20;index:idx_words,class:FULLTEXT"`
}

type hashRow struct {
	ID   int64
	Text string `gorm:"size:20;index:idx_hash,type:hash"`
}

type collatedRow struct {
	ID   int64
	Text string `gorm:"size:20;index:idx_collated,collate:\"C\""`
}

func TestSpecialIndexes(t *testing.T) {
	t.Parallel()
	works := map[string][5]bool{
		dbtest.SQLite: {true, true, false, false, false}, dbtest.Postgres: {true, true, false, true, true},
		dbtest.MariaDB: {false, false, true, true, false}, dbtest.MySQL: {false, true, true, true, false},
	}
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		for i, row := range []any{partialRow{}, lowerRow{}, fullTextRow{}, hashRow{}, collatedRow{}} {
			if _, sqlite := row.(collatedRow); sqlite && b.engine == dbtest.SQLite {
				continue // its collations have other names
			}
			all := b.models(row)
			if !works[b.engine][i] {
				b.fails(all, ".Text: ", "index idx_")
				continue
			}
			b.run(All, all)
			b.run(None, all)
		}
	})
}

type longRow struct {
	ID int64  `gorm:"autoIncrement:false"`
	A  string `gorm:"index"`
	B  []byte `gorm:"not null;index"`
}

func (longRow) TableName() string { return "indexed" }

// TestIndexOnLongText adds an index to columns that MySQL would not index as a whole.
func TestIndexOnLongText(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		bytes := map[string]string{dbtest.Postgres: "bytea"}[b.engine]
		if bytes == "" {
			bytes = "blob"
		}
		b.exec("CREATE TABLE indexed (id bigint PRIMARY KEY, a " + b.text() + " NOT NULL, b " + bytes + " NOT NULL)")
		all := b.models(longRow{})
		b.run(All, all)
		b.run(None, all)
	})
}
