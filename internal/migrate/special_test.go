package migrate

import (
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/dbtest"
)

type computedAfter struct {
	ID   int64
	Name string
	At   time.Time `gorm:"default:now()"`
}

func (computedAfter) TableName() string { return "growing" }

// TestAddComputedDefault adds a column whose default is the time of the INSERT.
func TestAddComputedDefault(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		b.run(All, b.models(rowsBefore{}))
		b.exec("INSERT INTO growing (name) VALUES ('before')")
		all := b.models(computedAfter{})
		if b.engine == dbtest.SQLite {
			b.fails(all, "migrate.computedAfter.At", "growing.at", "autoCreateTime")
			b.exec("DELETE FROM growing")
		}
		b.run(All, all)
		b.run(None, all)
		b.exec("INSERT INTO growing (name) VALUES ('after')")
		if plan := b.make(None, all); len(plan.Warnings) > 0 {
			t.Errorf("warnings: %q", plan.Warnings)
		}
		if n := b.count("SELECT count(*) FROM growing WHERE at > '2020-01-01' AND at < '2999-01-01' AND name = 'after'"); n != 1 {
			t.Error("the default is not the time of the INSERT")
		}
	})
}

// TestNow looks at the default in a session of another zone.
func TestNow(t *testing.T) {
	t.Parallel()
	b := open(t, dbtest.New(t, dbtest.MariaDB))
	b.run(All, b.models(computedAfter{}))
	err := b.gorm.WithContext(t.Context()).Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("SET time_zone = '+05:00'").Error; err != nil {
			return err
		}
		if err := tx.Exec("INSERT INTO growing (name) VALUES ('elsewhere')").Error; err != nil {
			return err
		}
		return tx.Exec("SET time_zone = '+00:00'").Error
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := b.count("SELECT count(*) FROM growing WHERE abs(timestampdiff(MINUTE, at, utc_timestamp())) < 10"); n != 1 {
		t.Error("the default is the time of the session's zone, not UTC")
	}
}

// generated has a column that the database computes.
type generated struct {
	ID    int64
	Name  string `gorm:"size:20"`
	Upper string `gorm:"->;type:varchar(20) GENERATED ALWAYS AS (upper(name)) STORED"`
}

func TestGeneratedColumn(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		all := b.models(generated{})
		b.run(All, all)
		b.run(None, all)
		if err := b.gorm.WithContext(t.Context()).Create(&generated{Name: "ada"}).Error; err != nil {
			t.Fatal(err)
		}
		if n := b.count("SELECT count(*) FROM generateds WHERE upper = 'ADA'"); n != 1 {
			t.Error("the column is not computed")
		}
	})
}

// reserved has a name of CapeBase's own.
type reserved struct {
	ID      int64
	OwnerID string
	Owner   *Owner `json:"-"`
}

func (reserved) TableName() string { return "cape_meta" }

// elsewhere has a column that another program adds.
type elsewhere struct {
	ID    int64
	Extra string `gorm:"-:migration"`
}

// counted is a column beside the key that was to be counted.
type counted struct {
	ID     int64
	Number int64 `gorm:"autoIncrement"`
}

// generatedKey leaves its key to the database.
type generatedKey struct {
	ID string `gorm:"size:36;default:(uuid())"`
}

// citext asks for a type in which rules could not be held.
type citext struct {
	ID   int64
	Text string `gorm:"type:citext"`
}

// twin has the table of another model.
type twin struct{ ID int64 }

func (twin) TableName() string { return "owners" }

func TestRefusedModels(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		b.fails(b.models(reserved{}), "migrate.reserved", "cape_meta", "TableName")
		b.fails(b.models(elsewhere{}), "migrate.elsewhere.Extra", "elsewheres")
		b.exec("CREATE TABLE elsewheres (id int PRIMARY KEY)")
		b.fails(b.models(elsewhere{}), "migrate.elsewhere.Extra", "elsewheres", "ALTER TABLE")
		b.fails(b.models(counted{}), "migrate.counted.Number", "autoIncrement")
		b.fails(b.models(Owner{}, twin{}), "migrate.twin", "migrate.Owner", "owners")
		if b.engine != dbtest.SQLite { // to which every type with TEXT in its name is one
			b.fails(b.models(citext{}), "migrate.citext.Text", "type citext")
		}
		if b.engine == dbtest.MariaDB || b.engine == dbtest.MySQL {
			b.fails(b.models(generatedKey{}), "migrate.generatedKey.ID", "drop the default")
		}
	})
}

// TestOtherDatabase has the tables in another database of the server.
func TestOtherDatabase(t *testing.T) {
	t.Parallel()
	here, there := dbtest.New(t, dbtest.MariaDB), dbtest.New(t, dbtest.MariaDB)
	name := there.URL[strings.LastIndex(there.URL, "/")+1:]
	config := gorm.Config{NamingStrategy: schema.NamingStrategy{TablePrefix: name + "."}}
	b := openEngine(t, here.Engine, engineOf(here.URL), config)
	all := b.models(Owner{}, Item{})
	b.run(All, all)
	b.run(None, all)
	if n := open(t, there).count("SELECT count(*) FROM items"); n != 0 {
		t.Errorf("%d items", n)
	}
}
