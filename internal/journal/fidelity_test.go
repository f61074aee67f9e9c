package journal

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Everything has a column of each kind.
type Everything struct {
	ID      int64
	Flag    *bool
	Number  *int64
	Double  *float64
	Price   *string `gorm:"type:decimal(20,4)"`
	Text    *string
	UUID    *uuid.UUID
	Data    []byte
	At      *time.Time
	Doc     json.RawMessage
	Comment *string
}

// journaled lists the engines that have a journal.
func journaled() []string { return []string{dbtest.SQLite, dbtest.Postgres, dbtest.MariaDB} }

func TestRowsAndTheirImagesAreEqual(t *testing.T) {
	for _, engine := range journaled() {
		t.Run(engine, func(t *testing.T) {
			b := open(t, dbtest.New(t, engine), Options{}, parse[Everything](t)).start()
			id := int64(0)
			rapid.Check(t, func(t *rapid.T) {
				id++
				row := drawRow(t, b.models[0].Table.Columns)
				row[0] = predicate.IntValue(id)
				b.store(row)
				checkImage(t, b, id)
			})
		})
	}
}

// drawRow draws a value, or NULL, for each column.
func drawRow(t *rapid.T, columns []engine.Column) []predicate.Value {
	row := make([]predicate.Value, len(columns))
	for i, column := range columns {
		if rapid.IntRange(0, 9).Draw(t, "null") > 0 {
			row[i] = drawValue(t, column.Kind)
		}
	}
	return row
}

func drawValue(t *rapid.T, kind predicate.Kind) predicate.Value {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"", " ", `"\/`, "\u2028\u2029", "😀", "{}", "[1]", "null", "1", "1.5", "2020-01-02", "2020-01-02T03:04:05.000000Z", "\x01\x7f", "é",
	})).Filter(predicate.ValidText)
	switch kind {
	case predicate.Bool:
		return predicate.BoolValue(rapid.Bool().Draw(t, "bool"))
	case predicate.Int:
		return predicate.IntValue(rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MaxInt64, math.MinInt64, 1 << 53, 0})).Draw(t, "int"))
	case predicate.Float:
		finite := rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) && math.Abs(f) < 1e300 })
		return predicate.FloatValue(rapid.OneOf(finite, rapid.SampledFrom([]float64{0.1 + 0.2, 1e21, 1e-7, 5, -2.5e-300, 1 << 60})).Draw(t, "float"))
	case predicate.Decimal:
		v, _ := predicate.DecimalValue(rapid.StringMatching(`-?[0-9]{1,15}(\.[0-9]{1,4})?`).Draw(t, "decimal"))
		return v
	case predicate.UUID:
		v, _ := predicate.UUIDValue(uuid.Must(uuid.FromBytes(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "uuid"))).String())
		return v
	case predicate.Bytes:
		return predicate.BytesValue(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	case predicate.Time:
		return predicate.TimeValue(time.UnixMicro(rapid.Int64Range(-62000000000e6, 253402300799e6).Draw(t, "time")))
	case predicate.JSON:
		doc, err := json.Marshal(map[string]any{text.Draw(t, "key"): []any{text.Draw(t, "value"), rapid.Int32().Draw(t, "number"), nil, true}})
		if err != nil {
			t.Fatal(err)
		}
		v, _ := predicate.JSONValue(doc)
		return v
	default:
		return predicate.TextValue(text.Draw(t, "text"))
	}
}

// store inserts a row as the store does.
func (b *bed) store(row []predicate.Value) {
	b.t.Helper()
	table := &b.models[0].Table
	q := engine.NewBuilder(b.db.Dialect())
	q.Write("INSERT INTO ")
	q.Table(table)
	q.Write(" (")
	q.Columns(table)
	q.Write(") VALUES (")
	for i, v := range row {
		if i > 0 {
			q.Write(", ")
		}
		q.Arg(v)
	}
	q.Write(")")
	err := b.db.Update(b.t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
		_, err := c.Exec(ctx, q.String(), q.Args)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// checkImage compares the row with the key, as the store would read it, with its last image.
func checkImage(t rapid.TB, b *bed, id int64) {
	table := &b.models[0].Table
	d := b.db.Dialect()
	q := engine.NewBuilder(d)
	q.Write("SELECT ")
	q.Columns(table)
	q.Write(" FROM ")
	q.Table(table)
	q.Write(" WHERE ", d.Quote("id"), " = ")
	q.Arg(predicate.IntValue(id))
	var row []predicate.Value
	err := b.db.Read(b.t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
		return each(ctx, c, q.String(), q.Args, func(cells []driver.Value) error {
			for i, cell := range cells {
				v, err := d.Scan(table.Columns[i].Kind, cell)
				if err != nil {
					return err
				}
				row = append(row, v)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.source.advance(b.t.Context()); err != nil {
		t.Fatal(err)
	}
	head, err := b.Head(b.t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entries, err := b.Read(b.t.Context(), head.Position-1, 1)
	if err != nil || len(entries) != 1 || entries[0].After == nil {
		t.Fatalf("entries %+v, error %v", entries, err)
	}
	for i, v := range row {
		if got := entries[0].After[i]; got != v {
			t.Errorf("column %s: the row has %s %q, its image %s %q", table.Columns[i].Name, v.Kind(), v, got.Kind(), got)
		}
	}
}

// TestContentsThatOnlyOtherProgramsStore are what SQLite's columns take beside what CapeBase writes.
func TestContentsThatOnlyOtherProgramsStore(t *testing.T) {
	b := open(t, dbtest.New(t, dbtest.SQLite), Options{}, parse[Everything](t)).start()
	for i, set := range []string{
		`double = 9e999`, `double = -9e999`, `double = 1.7976931348623157e308`, `double = 5e-324`, `double = 3`, `flag = 1`,
		`at = '2020-01-02 03:04:05'`, `at = '2020-01-02'`, `at = '2020-01-02 03:04:05.123456789+02:00'`, `at = 1600000000`, `at = 2451545.25`, `at = 1600000000123`,
		`text = json('{"a": 1}')`, `text = json_array(1, 'x')`, `text = json('null')`, `text = json_quote('5.0')`, `text = json_object('$blob', '00')`, `text = 'a' || x'00' || 'b'`, `text = x'616263'`, `doc = json('{"b":1,"a":[]}')`, `doc = 5`, `doc = 'true'`,
		`price = 12.5`, `price = '1.50'`, `number = 3.0`, `data = 'text'`, `data = x'00ff'`,
	} {
		id := int64(i + 1)
		b.exec(`INSERT INTO everythings (id) VALUES (?)`, id)
		b.exec(`UPDATE everythings SET `+set+` WHERE id = ?`, id)
		t.Run(set, func(t *testing.T) { checkImage(t, b, id) })
	}
}
