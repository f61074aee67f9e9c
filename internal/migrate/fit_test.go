package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"database/sql/driver"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// oneKind are models of a column of each kind.
type (
	boolRow struct {
		ID int64
		V  bool
	}
	intRow struct {
		ID int64
		V  int64
	}
	floatRow struct {
		ID int64
		V  float64
	}
	decimalRow struct {
		ID int64
		V  string `gorm:"type:decimal(20,5)"`
	}
	textRow struct {
		ID int64
		V  string
	}
	uuidRow struct {
		ID int64
		V  string `gorm:"type:uuid"`
	}
	bytesRow struct {
		ID int64
		V  []byte
	}
	timeRow struct {
		ID int64
		V  time.Time
	}
	jsonRow struct {
		ID int64
		V  []string `gorm:"serializer:json"`
	}
)

// sample is a value that a column of the kind has to keep.
func sample(kind predicate.Kind) predicate.Value {
	switch kind {
	case predicate.Bool:
		return predicate.BoolValue(true)
	case predicate.Int:
		return predicate.IntValue(42)
	case predicate.Float:
		return predicate.FloatValue(1.5)
	case predicate.Decimal:
		return predicate.RawDecimal("12.5")
	case predicate.Text:
		return predicate.TextValue("Äb🙂")
	case predicate.UUID:
		return uuidValue("018f4f6e-0000-7000-8000-00000000abcd")
	case predicate.Bytes:
		return predicate.BytesValue([]byte{0, 1, 0xff})
	case predicate.Time:
		return predicate.TimeValue(time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC))
	default:
		return document(`["a"]`)
	}
}

// fitCases are types that people have, for a kind: those that must be taken, those that lose something, and those that
// must be refused.
type fitCases struct {
	row                   any
	taken, lossy, refused string // separated by "|"
}

func fitsOf(engine string) []fitCases {
	switch engine {
	case dbtest.SQLite:
		return []fitCases{
			{boolRow{}, "boolean|integer|numeric|bool|tinyint(1)|", "", "text|varchar(20)|real|"},
			{intRow{}, "integer|bigint|int unsigned|numeric|", "", "text|real|varchar(9)|double"},
			{floatRow{}, "real|double|float|numeric|", "", "text|integer"},
			{decimalRow{}, "text|varchar(30)", "decimal(20,5)|numeric", "integer|real"},
			{textRow{}, "text|varchar(20)|clob|nvarchar(5)|", "", "string|integer|real|numeric|uuid"},
			{uuidRow{}, "text|char(36)|uuid", "", "integer|real|blob"},
			{bytesRow{}, "blob|", "", "text|integer|varchar(3)"},
			{timeRow{}, "datetime|timestamp|date|text|timestamptz", "", "integer|bigint|real|blob"},
			{jsonRow{}, "text|json|blob|varchar(90)", "", "integer|real"},
		}
	case dbtest.Postgres:
		return []fitCases{
			{boolRow{}, "boolean", "", "varchar(20)|integer|text|bit(1)"},
			{intRow{}, "bigint|integer|smallint|bigserial", "", "text|numeric|double precision|oid|boolean|bigint[]"},
			{floatRow{}, "double precision|numeric|numeric(10,3)", "real", "text|integer|money"},
			{decimalRow{}, "numeric|numeric(20,5)", "", "text|double precision|money|integer"},
			{textRow{}, "text|varchar(20)|varchar", "", "char(20)|\"char\"|name|integer|uuid|text[]|mood|inet|tsvector"},
			{uuidRow{}, "uuid|text|varchar(36)|char(36)", "", "integer|bytea"},
			{bytesRow{}, "bytea", "", "text|bit varying(8)"},
			{timeRow{}, "timestamptz|timestamp|timestamp(6) with time zone", "date|timestamptz(3)|timestamp(0)", "text|bigint|time|interval"},
			{jsonRow{}, "jsonb|json|text", "", "bytea|integer"},
		}
	default:
		return []fitCases{
			{boolRow{}, "tinyint(1)|boolean|tinyint|bit(1)", "", "varchar(20)|int|char(1)"},
			{intRow{}, "bigint|int|smallint|mediumint|tinyint|bigint unsigned|int(11)", "", "varchar(9)|decimal(10,0)|double|bit(8)"},
			{floatRow{}, "double|double unsigned", "float", "varchar(9)|decimal(10,2)|int"},
			{decimalRow{}, "decimal(20,5)|decimal(30,10)", "", "varchar(9)|double|int"},
			{textRow{}, "varchar(20)|text|longtext|mediumtext|tinytext|enum('Äb🙂','b')", "char(20)", "varbinary(20)|int|blob|set('a','b')|date"},
			{uuidRow{}, "char(36)|varchar(40)|text|uuid", "", "binary(16)|int|varbinary(36)"},
			{bytesRow{}, "varbinary(100)|blob|longblob|tinyblob", "", "text|varchar(10)|binary(8)|bit(8)"},
			{timeRow{}, "datetime(6)|timestamp(6) null", "datetime|datetime(3)|date|timestamp", "varchar(40)|bigint|time|year"},
			{jsonRow{}, "json|longtext|text|longblob", "", "int|datetime|enum('a')"},
		}
	}
}

// TestFit makes columns of the types and compares what the planner says of them with what the database does.
func TestFit(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		if b.engine == dbtest.Postgres {
			b.exec("CREATE TYPE mood AS ENUM ('a', 'b')")
		}
		for _, c := range fitsOf(b.engine) {
			for _, declared := range strings.Split(c.taken, "|") {
				b.fitting(c.row, declared, false)
			}
			for _, declared := range split(c.lossy) {
				b.fitting(c.row, declared, true)
			}
			for _, declared := range split(c.refused) {
				b.unfitting(c.row, declared)
			}
		}
	})
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == '|' })
}

// makeOne creates the table of a row with the column of a type, and tells whether the database knows the type.
func (b *bed) makeOne(row any, declared string) (table string, ok bool) {
	b.Helper()
	table = b.models(row)[0].Table.Name
	b.exec("DROP TABLE IF EXISTS " + table)
	key := map[string]string{
		dbtest.SQLite: "INTEGER PRIMARY KEY", dbtest.Postgres: "bigserial PRIMARY KEY",
	}[b.engine]
	if key == "" {
		key = "bigint AUTO_INCREMENT PRIMARY KEY"
	}
	_, err := b.db.SQL().ExecContext(b.Context(), fmt.Sprintf("CREATE TABLE %s (id %s, v %s)", table, key, declared))
	return table, err == nil
}

func (b *bed) fitting(row any, declared string, lossy bool) {
	b.Helper()
	where := fmt.Sprintf("%T in a column of type %q", row, declared)
	if _, ok := b.makeOne(row, declared); !ok {
		b.Fatalf("%s: the database does not know the type", where)
	}
	all := b.models(row)
	plan, err := Make(b.Context(), b.db, b.gorm, all, All)
	if err != nil {
		b.Errorf("%s is refused: %v", where, err)
		return
	}
	for _, step := range plan.Steps {
		if !step.Own {
			b.Errorf("%s: wants %s", where, step.SQL)
		}
	}
	warned := strings.Contains(strings.Join(plan.Warnings, "\n"), "lost") || strings.Contains(strings.Join(plan.Warnings, "\n"), "keeps") ||
		strings.Contains(strings.Join(plan.Warnings, "\n"), "drops")
	if warned != lossy {
		b.Errorf("%s: it loses something: %v, but the warnings are %q", where, lossy, plan.Warnings)
	}
	column := all[0].Table.Columns[1]
	if err := b.keeps(&all[0].Table, column, sample(column.Kind), lossy, declared); err != nil {
		b.Errorf("%s: %v", where, err)
	}
}

// keeps writes a value to the second column, and looks whether it is read and found again. The type is in the statements,
// so that none is kept prepared from an earlier table of that name.
func (b *bed) keeps(t *engine.Table, c engine.Column, v predicate.Value, lossy bool, declared string) error {
	d := b.db.Dialect()
	insert := engine.NewBuilder(d)
	insert.Write("INSERT INTO ")
	insert.Table(t)
	insert.Write(" (", d.Quote(c.Name), ") VALUES (")
	insert.Arg(v)
	insert.Write(") -- ", declared)
	query := engine.NewBuilder(d)
	query.Write("SELECT ", d.Quote(c.Name), " FROM ")
	query.Table(t)
	if !lossy && c.Kind != predicate.JSON {
		query.Write(" WHERE ")
		d.Compare(query, c, predicate.Eq, v)
	}
	query.Write(" -- ", declared)
	return b.db.Update(b.Context(), func(ctx context.Context, conn *sqldriver.Conn) error {
		if _, err := conn.Exec(ctx, insert.String(), insert.Args); err != nil {
			return err
		}
		rows, err := conn.Query(ctx, query.String(), query.Args)
		if err != nil {
			return err
		}
		cells := make([]driver.Value, 1)
		err = rows.Next(cells)
		if errors.Is(err, io.EOF) {
			return errors.Join(errors.New("what was written is not found again"), rows.Close())
		}
		got, failure := d.Scan(c.Kind, cells[0])
		if err := errors.Join(err, failure, rows.Close()); err != nil {
			return err
		}
		if order, ok := predicate.Compare(got, v); !lossy && (!ok || order != 0) {
			return fmt.Errorf("%v was written, and %v is read", v, got)
		}
		return nil
	})
}

func (b *bed) unfitting(row any, declared string) {
	b.Helper()
	table, ok := b.makeOne(row, declared)
	if !ok {
		return // another server of the engine may know the type
	}
	plan, err := Make(b.Context(), b.db, b.gorm, b.models(row), All)
	if err == nil {
		b.Errorf("%T in a column of type %q is taken: %s", row, declared, steps(plan))
		return
	}
	for _, text := range []string{fmt.Sprintf("%T.V", row), table + ".v", "ALTER TABLE"} {
		if !strings.Contains(err.Error(), text) {
			b.Errorf("%T in a column of type %q: the error does not say %q: %v", row, declared, text, err)
		}
	}
}
