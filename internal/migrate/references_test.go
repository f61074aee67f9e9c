package migrate

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/dbtest"
)

// parentRow and childRow are two tables of which the second gets its foreign key in a later version.
type parentRow struct {
	ID   int64
	Name string
}

type childBefore struct {
	ID          int64
	ParentRowID int64
}

func (childBefore) TableName() string { return "children" }

type childAfter struct {
	ID          int64
	ParentRowID int64
	ParentRow   *parentRow `json:"-" gorm:"constraint:OnDelete:CASCADE"`
	OtherID     *int64
	Other       *parentRow `json:"-" gorm:"constraint:OnDelete:CASCADE"`
}

func (childAfter) TableName() string { return "children" }

// TestForeignKeyKeepsRows adds foreign keys that cascade to a table with rows: those that a rebuild would have deleted.
func TestForeignKeyKeepsRows(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		b.run(All, b.models(parentRow{}, childBefore{}))
		b.exec("INSERT INTO parent_rows (name) VALUES ('a'), ('b')", "INSERT INTO children (parent_row_id) VALUES (1), (1), (2)")

		// The parent grows too, which is what a rebuild would follow from.
		all := b.models(grownParent{}, childAfter{})
		b.run(All, all)
		b.run(None, all)
		if n := b.count("SELECT count(*) FROM children"); n != 3 {
			t.Fatalf("%d of 3 children are left", n)
		}
		b.exec("UPDATE children SET other_id = 2 WHERE parent_row_id = 1", "DELETE FROM children WHERE parent_row_id = 2", "DELETE FROM parent_rows WHERE id = 2")
		want := 0
		if n := b.count("SELECT count(*) FROM children"); n != want {
			t.Errorf("%d children are left, want %d: the new column's key cascades", n, want)
		}
		warned := strings.Contains(b.log.String(), "SQLite cannot add one to a table that exists")
		if warned != (b.engine == dbtest.SQLite) {
			t.Errorf("log:\n%s", b.log)
		}
	})
}

type grownParent struct {
	ID    int64
	Name  string `gorm:"index"`
	Extra string
}

func (grownParent) TableName() string { return "parent_rows" }

// hen and egg refer to each other, and hen to itself.
type hen struct {
	ID       int64
	EggID    *int64
	Egg      *egg `json:"-"`
	MotherID *int64
	Mother   *hen `json:"-"`
}

type egg struct {
	ID    int64
	HenID *int64
	Hen   *hen `json:"-" gorm:"constraint:OnDelete:RESTRICT"`
}

func TestCircle(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		for _, order := range [][]any{{hen{}, egg{}}, {egg{}, hen{}}} {
			b := open(t, dbtest.New(t, target.Engine))
			all := b.models(order...)
			b.run(All, all)
			if plan := b.make(None, all); len(plan.Warnings) > 0 {
				t.Errorf("warnings: %q", plan.Warnings)
			}
			b.exec("INSERT INTO hens (egg_id) VALUES (NULL)", "INSERT INTO eggs (hen_id) VALUES (1)")
			for _, statement := range []string{
				"INSERT INTO hens (egg_id) VALUES (7)", "INSERT INTO hens (mother_id) VALUES (7)", "INSERT INTO eggs (hen_id) VALUES (7)", "DELETE FROM hens",
			} {
				if _, err := b.db.SQL().ExecContext(t.Context(), statement); err == nil {
					t.Errorf("no foreign key stands against %s", statement)
				}
			}
		}
	})
}

// TestMissingTarget has an association with a model that is not published.
func TestMissingTarget(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		all := b.models(Item{})
		b.run(All, all)
		if !strings.Contains(b.log.String(), "no foreign key") || !strings.Contains(b.log.String(), "owners") {
			t.Errorf("log:\n%s", b.log)
		}
		b.run(None, all)
		b.exec("INSERT INTO items (owner_id, title) VALUES ('nobody', 't')", "DELETE FROM items")

		// Where the database can, the key comes with its target.
		b.run(All, b.models(Owner{}, Item{}))
		_, err := b.db.SQL().ExecContext(t.Context(), "INSERT INTO items (owner_id, title) VALUES ('nobody', 't')")
		if (err == nil) != (b.engine == dbtest.SQLite) {
			t.Errorf("an item of nobody: %v", err)
		}
	})
}

// TestNoConstraints obeys GORM's settings.
func TestNoConstraints(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		for _, config := range []gorm.Config{{DisableForeignKeyConstraintWhenMigrating: true}, {IgnoreRelationshipsWhenMigrating: true}} {
			b := openEngine(t, target.Engine, engineOf(target.URL), config)
			if plan := b.make(All, b.models(Owner{}, Item{})); strings.Contains(steps(plan), "FOREIGN KEY") {
				t.Errorf("a foreign key against %+v: %s", config, steps(plan))
			}
		}
	})
}

// account is a table that GORM has made; newcomer refers to it, with types that are not those of new tables.
type account struct {
	ID    uint
	Name  string    `gorm:"size:50;unique"`
	Token uuid.UUID `gorm:"unique;size:36"`
}

type newcomer struct {
	ID           int64
	AccountID    uint
	Account      *account `json:"-"`
	AccountName  string
	ByName       *account `json:"-" gorm:"foreignKey:AccountName;references:Name"`
	AccountToken uuid.UUID
	ByToken      *account `json:"-" gorm:"foreignKey:AccountToken;references:Token"`
}

func TestReferToForeignTypes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		if err := b.gorm.WithContext(t.Context()).AutoMigrate(&account{}); err != nil {
			t.Fatal(err)
		}
		for _, rows := range [][]any{{newcomer{}}, {account{}, newcomer{}}} {
			all := b.models(rows...)
			b.run(All, all)
			b.run(None, all)
		}
		if _, err := b.db.SQL().ExecContext(t.Context(), "INSERT INTO newcomers (account_id, account_name, account_token) VALUES (1, 'a', 't')"); err == nil {
			t.Error("no foreign key")
		}
	})
}

type orphan struct {
	ID       int64
	ParentID *int64
	Parent   *parentRow `json:"-"`
}

type free struct {
	ID       int64
	ParentID *int64
	Parent   *parentRow `json:"-" gorm:"constraint:-"`
}

func (free) TableName() string { return "orphans" }

// TestOrphans cannot add a key that rows stand against, and says what to do.
func TestOrphans(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		if target.Engine == dbtest.SQLite {
			return // it adds no key to a table that exists
		}
		b := open(t, target)
		b.run(All, b.models(parentRow{}, free{}))
		b.exec("INSERT INTO orphans (parent_id) VALUES (7)")
		all := b.models(parentRow{}, orphan{})
		err := Run(t.Context(), b.db, b.gorm, all, All, b.logger())
		if err == nil || !strings.Contains(err.Error(), "FOREIGN KEY") || !strings.Contains(err.Error(), "constraint:-") {
			t.Errorf("%v: want the statement and a way out", err)
		}
		b.exec("UPDATE orphans SET parent_id = NULL")
		b.run(All, all)
	})
}
