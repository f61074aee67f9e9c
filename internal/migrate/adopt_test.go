package migrate

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/capebase/capebase/internal/dbtest"
)

// adopted is a model whose table GORM has made.
type adopted struct {
	ID       uint
	Flag     bool `gorm:"default:true"`
	Small    int8 `gorm:"index:idx_pair"`
	Unsigned uint16
	Single   float32 `gorm:"index:idx_pair"`
	Double   float64
	Price    string    `gorm:"type:decimal(12,2)"`
	Text     string    `gorm:"uniqueIndex;size:60"`
	Email    string    `gorm:"unique;size:60"`
	Token    uuid.UUID // text, to GORM
	Data     []byte
	At       time.Time
	Tags     []string `gorm:"serializer:json"`
	Maybe    sql.NullString
	Strict   string   `gorm:"not null;size:10;check:strict <> 'x'"`
	ParentID *uint    `gorm:"index"`
	Parent   *adopted `json:"-" gorm:"constraint:OnDelete:SET NULL"`
	Times
}

func TestAutoMigrated(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		if err := b.gorm.WithContext(t.Context()).AutoMigrate(&Owner{}, &Item{}, &adopted{}); err != nil {
			t.Fatal(err)
		}
		all := b.models(Item{}, Owner{}, adopted{})
		plan := b.make(All, all)
		for _, step := range plan.Steps {
			if !step.Own {
				t.Errorf("wants %s", step.SQL)
			}
		}
		if !strings.Contains(strings.Join(plan.Warnings, "\n"), "adopteds.email") {
			t.Errorf("no warning names a column that can be NULL: %q", plan.Warnings)
		}
		text, strict := noted(all[2], "text"), noted(all[2], "strict")
		if text.Foreign != (b.engine != dbtest.SQLite) || !text.Nullable || strict.Nullable {
			t.Errorf("notes: %+v, %+v", text, strict)
		}
		b.run(Own, all)
		b.run(None, all)
	})
}

// TestForeignCollations looks at texts that were made with collations of their own.
func TestForeignCollations(t *testing.T) {
	t.Parallel()
	cases := map[string]map[string]bool{
		dbtest.SQLite: {"text": false, "text COLLATE BINARY": false, "text COLLATE NOCASE": true, "varchar(9) NOT NULL COLLATE rtrim": true},
		dbtest.Postgres: {
			`text COLLATE "C"`: false, `text COLLATE "POSIX"`: false, "text": true, `text COLLATE "und-x-icu"`: true, `varchar(9) COLLATE "C"`: false,
		},
		dbtest.MariaDB: {
			"varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin": false, "varchar(9)": true,
			"varchar(9) CHARACTER SET latin1": true, "text CHARACTER SET utf8mb4 COLLATE utf8mb4_bin": true, "enum('a')": true,
			"varchar(9) CHARACTER SET latin1 COLLATE latin1_nopad_bin": true,
		},
		dbtest.MySQL: {"varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin": false, "varchar(9) CHARACTER SET latin1": true},
	}
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		for declared, foreign := range cases[b.engine] {
			if _, ok := b.makeOne(textRow{}, declared); !ok {
				t.Fatalf("the database does not know %s", declared)
			}
			all := b.models(textRow{})
			plan := b.make(All, all)
			if got := noted(all[0], "v").Foreign; got != foreign {
				t.Errorf("%s: foreign is %v, want %v", declared, got, foreign)
			}
			warned := strings.Count(strings.Join(plan.Warnings, "\n"), "collation is")
			if warned != map[bool]int{true: 1}[foreign] {
				t.Errorf("%s: %d warnings of the collation: %q", declared, warned, plan.Warnings)
			}
		}
	})
}

// TestUnstableCollation refuses texts whose collation calls different bytes equal for good.
func TestUnstableCollation(t *testing.T) {
	t.Parallel()
	b := open(t, dbtest.New(t, dbtest.Postgres))
	b.exec(`CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
	if _, ok := b.makeOne(textRow{}, "text COLLATE blind"); !ok {
		t.Fatal("the database takes no such collation")
	}
	b.fails(b.models(textRow{}), "migrate.textRow.V", "text_rows.v", "blind", "not deterministic", `"text_rows" ALTER COLUMN "v" TYPE text COLLATE "C"`)
}

// strictRow says more of its column than textRow.
type strictRow struct {
	ID int64
	V  string `gorm:"not null"`
}

func (strictRow) TableName() string { return "text_rows" }

// maybeRow says less.
type maybeRow struct {
	ID int64
	V  *string
}

func (maybeRow) TableName() string { return "text_rows" }

func TestNullability(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		b.makeOne(textRow{}, b.text())
		b.fails(b.models(strictRow{}), "migrate.strictRow.V", "text_rows.v", "NULL", "ALTER TABLE")
		all := b.models(textRow{})
		plan := b.make(All, all)
		if !noted(all[0], "v").Nullable || len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "text_rows.v: can be NULL") {
			t.Errorf("a column that can be NULL: noted %+v, warnings %q", noted(all[0], "v"), plan.Warnings)
		}
		b.makeOne(textRow{}, b.text()+" NOT NULL")
		if plan := b.make(All, b.models(strictRow{})); len(plan.Warnings) > 0 {
			t.Errorf("warnings: %q", plan.Warnings)
		}
		all = b.models(maybeRow{})
		plan = b.make(All, all)
		if noted(all[0], "v").Nullable || len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "text_rows.v: is NOT NULL") {
			t.Errorf("a column that cannot be NULL: noted %+v, warnings %q", noted(all[0], "v"), plan.Warnings)
		}
	})
}

// text is the type of a text with CapeBase's collation.
func (b *bed) text() string {
	switch b.engine {
	case dbtest.SQLite:
		return "text"
	case dbtest.Postgres:
		return `text COLLATE "C"`
	case dbtest.MariaDB:
		return "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
	default:
		return "longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin"
	}
}

func TestNotATable(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		b.exec("CREATE VIEW text_rows AS SELECT 1 AS id, 'a' AS v")
		b.fails(b.models(textRow{}), "migrate.textRow: text_rows is a view")
		switch b.engine {
		case dbtest.Postgres:
			b.exec("CREATE MATERIALIZED VIEW int_rows AS SELECT 1 AS id, 1 AS v")
			b.fails(b.models(intRow{}), "int_rows is a materialized view")
		case dbtest.MariaDB, dbtest.MySQL:
			b.exec("CREATE TABLE int_rows (id bigint AUTO_INCREMENT PRIMARY KEY, v bigint) ENGINE=MyISAM")
			b.fails(b.models(intRow{}), "int_rows", "MyISAM", "no transactions")
		}
	})
}

// pairKey has a key of two columns.
type pairKey struct {
	A    int64  `gorm:"primaryKey;autoIncrement:false"`
	B    string `gorm:"primaryKey;size:20"`
	Text string
}

func (pairKey) TableName() string { return "keyed" }

// textKey has a key that CapeBase fills.
type textKey struct {
	ID   string `gorm:"size:36"`
	Text *string
}

func (textKey) TableName() string { return "keyed" }

// countedKey has a key that the database fills.
type countedKey struct {
	ID   int64
	Text *string
}

func (countedKey) TableName() string { return "keyed" }

func TestKeys(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		short := strings.Replace(b.text(), "longtext", "varchar(36)", 1)
		recreate := func(format string, args ...any) {
			t.Helper()
			b.exec("DROP TABLE IF EXISTS keyed", "CREATE TABLE keyed ("+fmt.Sprintf(format, args...)+")")
		}
		b.run(All, b.models(pairKey{}))
		b.run(None, b.models(pairKey{}))

		recreate("a bigint NOT NULL, b %s NOT NULL, text %s NOT NULL, PRIMARY KEY (b, a)", short, short)
		b.run(None, b.models(pairKey{})) // the order of a key is no part of what it is
		recreate("a bigint NOT NULL, b %s NOT NULL, text %s NOT NULL, UNIQUE (a, b)", short, short)
		b.run(None, b.models(pairKey{}))
		recreate("a bigint NOT NULL, b %s NOT NULL, text %s NOT NULL, PRIMARY KEY (a)", short, short)
		b.fails(b.models(pairKey{}), "migrate.pairKey", "table keyed has the primary key (a)", "(a, b)", "CREATE UNIQUE INDEX")
		recreate("a bigint NOT NULL, b %s NOT NULL, text %s NOT NULL", short, short)
		b.fails(b.models(pairKey{}), "no primary key")

		recreate("id bigint NOT NULL PRIMARY KEY, text %s", short)
		b.fails(b.models(countedKey{}), "migrate.countedKey.ID", "does not count", "keyed.id")
		recreate("text %s", short)
		b.fails(b.models(countedKey{}), "migrate.countedKey.ID", "no column id", "CREATE TABLE")
		recreate("id %s NOT NULL PRIMARY KEY, text %s", short, short)
		b.run(None, b.models(textKey{}))
		switch b.engine {
		case dbtest.MariaDB, dbtest.MySQL:
			recreate("id %s NOT NULL DEFAULT (uuid()) PRIMARY KEY, text %s", short, short)
			b.fails(b.models(textKey{}), "migrate.textKey.ID", "default of key keyed.id", "cannot tell")
		case dbtest.Postgres:
			recreate("id %s NOT NULL DEFAULT gen_random_uuid()::text PRIMARY KEY, text %s", short, short)
			b.run(None, b.models(textKey{}))
			recreate("id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text %s", short)
			b.run(None, b.models(countedKey{}))
		}
	})
}

// TestExtraColumns has columns in the table that the model knows nothing of.
func TestExtraColumns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		b.makeOne(textRow{}, b.text()+" NOT NULL, null_ok int, with_default int NOT NULL DEFAULT 1, needed int NOT NULL, "+
			"made int GENERATED ALWAYS AS (1 + 1) STORED")
		plan := b.make(All, b.models(textRow{}))
		if len(plan.Warnings) != 1 || !strings.HasPrefix(plan.Warnings[0], "text_rows.needed: is NOT NULL without a default") {
			t.Errorf("warnings: %q", plan.Warnings)
		}
	})
}

// TestManyProblems reports all of them at once.
func TestManyProblems(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		b.makeOne(boolRow{}, b.text())
		b.makeOne(bytesRow{}, "integer")
		b.makeOne(textRow{}, b.text())
		all := b.models(boolRow{}, bytesRow{}, strictRow{}, Owner{}, Item{})
		b.fails(all, "migrate.boolRow.V", "migrate.bytesRow.V", "migrate.strictRow.V")
		if err := Run(t.Context(), b.db, b.gorm, all, All, b.logger()); err == nil {
			t.Error("Run went on over problems")
		}
		if steps := steps(b.make(All, b.models(Owner{}, Item{}))); !strings.Contains(steps, "owners") || !strings.Contains(steps, "cape") {
			t.Errorf("Run made something in spite of problems; left: %s", steps)
		}
	})
}

// narrowRow allows more than its column.
type narrowRow struct {
	ID    int64
	Text  string `gorm:"size:50"`
	Price string `gorm:"type:decimal(12,4)"`
}

func TestNarrowColumns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		if b.engine == dbtest.SQLite {
			return // it keeps what it is given
		}
		all := b.models(narrowRow{})
		b.run(All, all)
		b.exec("ALTER TABLE narrow_rows DROP COLUMN text", "ALTER TABLE narrow_rows DROP COLUMN price",
			"ALTER TABLE narrow_rows ADD text "+strings.Replace(strings.Replace(b.text(), "longtext", "varchar(20)", 1), "text ", "varchar(20) ", 1)+" NOT NULL",
			"ALTER TABLE narrow_rows ADD price decimal(10,2) NOT NULL")
		warnings := strings.Join(b.make(All, all).Warnings, "\n")
		for _, want := range []string{"narrow_rows.text: the type", "shorter than the model's 50", "narrow_rows.price: the type", "to 2 places"} {
			if !strings.Contains(warnings, want) {
				t.Errorf("no %q in %s", want, warnings)
			}
		}
	})
}
