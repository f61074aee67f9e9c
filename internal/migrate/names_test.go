package migrate

import (
	"strings"
	"testing"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/dbtest"
)

func TestNamingStrategy(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		for _, strategy := range []schema.NamingStrategy{
			{TablePrefix: "app_"}, {TablePrefix: "t-", SingularTable: true}, {NoLowerCase: true}, {TablePrefix: "short_", IdentifierMaxLength: 20},
		} {
			b := openEngine(t, target.Engine, engineOf(dbtest.New(t, target.Engine).URL), gorm.Config{NamingStrategy: strategy})
			all := b.models(Item{}, Owner{})
			if strategy.TablePrefix != "" && !strings.Contains(steps(b.make(All, all)), strategy.TablePrefix) {
				t.Errorf("no prefix %s in %s", strategy.TablePrefix, steps(b.make(All, all)))
			}
			b.run(All, all)
			b.run(None, all)
			owner := &Owner{ID: "o", Name: "n"}
			if err := b.gorm.WithContext(t.Context()).Create(owner).Error; err != nil {
				t.Errorf("%+v: GORM does not find the table: %v", strategy, err)
			}
		}
	})
}

// awkward has names that SQL has uses for.
type awkward struct {
	Select int64    `gorm:"column:select;primaryKey"`
	Order  string   `gorm:"column:order;size:10;index:index"`
	Mixed  string   `gorm:"column:MixedCase;size:10;uniqueIndex"`
	Quote  string   `json:"quote" gorm:"column:a\"b'c;size:10;default:it's"`
	Spaces string   `json:"spaces" gorm:"column:two words;size:10;unique"`
	Umlaut *int64   `json:"umlaut" gorm:"column:größe"`
	Self   *awkward `json:"-" gorm:"foreignKey:Umlaut;references:Select"`
}

func (awkward) TableName() string { return "Group" }

func TestAwkwardNames(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		all := b.models(awkward{})
		b.run(All, all)
		b.run(None, all)
		if plan := b.make(All, all); len(plan.Warnings) > 0 {
			t.Errorf("warnings: %q", plan.Warnings)
		}
		if err := b.gorm.WithContext(t.Context()).Create(&awkward{Order: "1", Mixed: "2", Quote: "3", Spaces: "4"}).Error; err != nil {
			t.Error(err)
		}
	})
}

type longName struct {
	ID  int64
	Far string `gorm:"column:abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"`
}

type longIndex struct {
	ID  int64
	Far string `gorm:"column:abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz;size:9;uniqueIndex;check:1=1"`
}

func TestLongNames(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := openEngine(t, target.Engine, engineOf(target.URL), gorm.Config{NamingStrategy: schema.NamingStrategy{IdentifierMaxLength: 64}})
		if b.engine == dbtest.SQLite {
			b.run(All, b.models(longName{}))
		} else {
			b.fails(b.models(longName{}), "migrate.longName.Far", "too long")
		}
		// GORM's names for indexes have up to 64 characters, and PostgreSQL keeps 63.
		all := b.models(longIndex{})
		b.run(All, all)
		b.run(None, all)
	})
}

// inSchema lies in a schema of PostgreSQL.
type inSchema struct {
	ID   int64
	Text string `gorm:"index"`
}

func (inSchema) TableName() string { return "app.todos" }

type outside struct {
	ID      int64
	InnerID int64
	Inner   *inSchema `json:"-"`
}

func (outside) TableName() string { return "Other.things" }

func TestSchemas(t *testing.T) {
	t.Parallel()
	b := open(t, dbtest.New(t, dbtest.Postgres))
	all := b.models(inSchema{}, outside{})
	plan := b.make(All, all)
	for _, want := range []string{`CREATE SCHEMA "app"`, `CREATE SCHEMA "Other"`, `CREATE TABLE "app"."todos"`, `REFERENCES "app"."todos"`} {
		if !strings.Contains(steps(plan), want) {
			t.Errorf("no %s in %s", want, steps(plan))
		}
	}
	b.run(All, all)
	b.run(None, all)
	if err := b.gorm.WithContext(t.Context()).Create(&inSchema{Text: "a"}).Error; err != nil {
		t.Error(err)
	}
	// A table of that name elsewhere is another one.
	b.exec("CREATE TABLE todos (id int)")
	b.run(None, all)
	b.exec("SELECT * FROM app.todos")
}

// TestSearchPath finds tables as statements without a schema do.
func TestSearchPath(t *testing.T) {
	t.Parallel()
	target := dbtest.New(t, dbtest.Postgres)
	open(t, target).exec("CREATE SCHEMA first", "CREATE SCHEMA second", "CREATE TABLE second.text_rows (id bigserial PRIMARY KEY, v text COLLATE \"C\" NOT NULL)")
	b := open(t, withSearchPath(target, "first,second"))
	b.run(All, b.models(textRow{}, bareRow{}))
	if n := b.count("SELECT count(*) FROM pg_tables WHERE schemaname = 'first'"); n != 1 {
		t.Errorf("%d tables in the first schema, want 1: the other is found in the second", n)
	}
}

func TestNoSchemas(t *testing.T) {
	t.Parallel()
	b := open(t, dbtest.New(t, dbtest.SQLite))
	b.fails(b.models(inSchema{}), "migrate.inSchema", `no schema "app"`, "TableName")
	m := open(t, dbtest.New(t, dbtest.MariaDB))
	m.fails(m.models(inSchema{}), "migrate.inSchema", `database "app"`)
}

// TestUserCalledCape has "$user" in its search path, and a schema of that name as soon as CapeBase's own is there.
func TestUserCalledCape(t *testing.T) {
	t.Parallel()
	target := dbtest.New(t, dbtest.Postgres)
	b := open(t, withSearchPath(target, "cape,public"))
	b.run(All, b.models(Owner{}))
	b.run(All, b.models(Owner{}, Item{}, textRow{}))
	b.run(None, b.models(Owner{}, Item{}, textRow{}))
	if n := b.count("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); n != 3 {
		t.Errorf("%d of 3 tables in the schema public", n)
	}
	b.exec("CREATE TABLE cape.int_rows (id bigserial PRIMARY KEY, v bigint)") // by hand, and found there
	b.run(All, b.models(intRow{}))
	b.fails(b.models(shadowed{}), "migrate.shadowed", "cape.meta", "search_path=public")
	open(t, withSearchPath(target, "cape")).fails(b.models(intRow{}), "search_path=public")
}

type shadowed struct{ ID int64 }

func (shadowed) TableName() string { return "meta" }
