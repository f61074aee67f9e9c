package migrate

import (
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/predicate"
)

// explicitPostgres names types as PostgreSQL's users do.
type explicitPostgres struct {
	ID       int64     `gorm:"type:bigserial"`
	Big      int64     `gorm:"type:bigint"`
	Int      int64     `gorm:"type:integer"`
	Int4     int64     `gorm:"type:int4"`
	Small    int64     `gorm:"type:smallint"`
	Bool     bool      `gorm:"type:boolean"`
	Double   float64   `gorm:"type:double precision"`
	Price    string    `gorm:"type:numeric(10,2)"`
	Text     string    `gorm:"type:text"`
	Varying  string    `gorm:"type:character varying(20);index:,option:WITH (fillfactor = 70)"`
	Collated string    `gorm:"type:varchar(20) COLLATE \"POSIX\""`
	Zone     time.Time `gorm:"type:timestamp with time zone"`
	NoZone   time.Time `gorm:"type:timestamp"`
	Doc      string    `gorm:"type:jsonb"`
	UUID     string    `gorm:"type:uuid"`
	Bytes    []byte    `gorm:"type:bytea"`
}

// explicitMySQL does so for MySQL.
type explicitMySQL struct {
	ID     uint64    `gorm:"type:bigint unsigned"`
	Int    int64     `gorm:"type:int unsigned"`
	Medium int64     `gorm:"type:mediumint"`
	Full   int64     `gorm:"type:integer"`
	Bool   bool      `gorm:"type:bool"`
	Double float64   `gorm:"type:real"`
	Price  string    `gorm:"type:decimal(10,2);default:1.25"`
	Text   string    `gorm:"type:mediumtext;index:,class:FULLTEXT,option:COMMENT 'words'"`
	Short  string    `gorm:"type:varchar(20)"`
	At     time.Time `gorm:"type:datetime(6)"`
	Stamp  time.Time `gorm:"type:timestamp(6);default:CURRENT_TIMESTAMP"`
	Doc    string    `gorm:"type:json"`
	Bytes  []byte    `gorm:"type:blob"`
}

// explicitSQLite does so for SQLite.
type explicitSQLite struct {
	ID    int64     `gorm:"type:bigint"`
	Int   int64     `gorm:"type:int"`
	Text  string    `gorm:"type:nvarchar(20) COLLATE BINARY"`
	At    time.Time `gorm:"type:timestamp;default:CURRENT_TIMESTAMP"`
	Price string    `gorm:"type:decimal(10,2)"`
	Doc   string    `gorm:"type:json"`
	Key   string    `gorm:"type:varchar(40);default:lower(hex(randomblob(4)))"`
}

func TestExplicitTypes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		all := b.models(map[string]any{
			dbtest.Postgres: explicitPostgres{}, dbtest.SQLite: explicitSQLite{}, dbtest.MariaDB: explicitMySQL{}, dbtest.MySQL: explicitMySQL{},
		}[b.engine])
		b.run(All, all)
		if plan := b.make(None, all); len(plan.Warnings) > 0 {
			t.Errorf("warnings: %q", plan.Warnings)
		}
		for _, c := range all[0].Table.Columns {
			if c.Foreign {
				t.Errorf("column %s has a foreign collation", c.Name)
			}
		}
	})
}

// ownType names its type itself, one for each database.
type ownType string

func (ownType) GormDBDataType(db *gorm.DB, _ *schema.Field) string {
	if db.Name() == "postgres" {
		return "varchar(33)"
	}
	return "varchar(44)"
}

type ownTyped struct {
	ID   int64
	Text ownType
}

func TestGormDBDataType(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		all := b.models(ownTyped{})
		want := "varchar(44)"
		if b.engine == dbtest.Postgres {
			want = `varchar(33) COLLATE "C"`
		}
		if got := steps(b.make(All, all)); !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
		b.run(All, all)
		b.run(None, all)
	})
}

// defaulted has defaults in all the forms that GORM takes.
type defaulted struct {
	ID     int64
	Name   string
	Yes    bool      `gorm:"default:true"`
	No     bool      `gorm:"default:false"`
	Int    int64     `gorm:"default:-7"`
	Uint   uint16    `gorm:"default:7"`
	Float  float64   `gorm:"default:2.5"`
	Whole  float64   `gorm:"default:3"`
	Price  string    `gorm:"type:decimal(8,2);default:9.5"`
	Cost   float64   `gorm:"type:decimal(8,2);default:0.25"`
	Count  int64     `gorm:"type:decimal(8,0);default:4"`
	Text   string    `gorm:"default:O'Neill \\ 100%"`
	Quoted string    `gorm:"default:'quoted'"`
	Empty  string    `gorm:"default:''"`
	UUID   string    `gorm:"type:uuid;default:018f4f6e-0000-7000-8000-00000000abcd"`
	Since  time.Time `gorm:"default:2020-01-02 03:04:05"`
	Zoned  time.Time `gorm:"default:2020-01-02T03:04:05+02:00"`
	Tags   []string  `gorm:"serializer:json;not null;default:'[\"a\"]'"`
	Null   *string   `gorm:"default:null"`
	Sum    int64     `gorm:"default:(1 + 2)"`
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	at := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	want := map[string]predicate.Value{
		"yes": predicate.BoolValue(true), "no": predicate.BoolValue(false), "int": predicate.IntValue(-7), "uint": predicate.IntValue(7),
		"float": predicate.FloatValue(2.5), "whole": predicate.FloatValue(3), "price": predicate.RawDecimal("9.5"), "cost": predicate.RawDecimal("0.25"),
		"count": predicate.RawDecimal("4"), "text": predicate.TextValue(`O'Neill \ 100%`), "quoted": predicate.TextValue("quoted"),
		"empty": predicate.TextValue(""), "uuid": uuidValue("018f4f6e-0000-7000-8000-00000000abcd"), "since": predicate.TimeValue(at),
		"zoned": predicate.TimeValue(at.Add(-2 * time.Hour)), "tags": document(`["a"]`), "null": {}, "sum": predicate.IntValue(3),
	}
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		all := b.models(defaulted{})
		b.run(All, all)
		b.run(None, all)
		b.exec("INSERT INTO defaulteds (name) VALUES ('n')")
		b.readBack(all[0].Table, want)
	})
}
