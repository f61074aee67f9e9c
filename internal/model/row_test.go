package model_test

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/ncruces/go-sqlite3/gormlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

func texts() *rapid.Generator[string] {
	return rapid.String().Filter(predicate.ValidText)
}

func times() *rapid.Generator[time.Time] {
	return rapid.Map(rapid.Int64Range(-62135596800e6, 253402300800e6-1), func(micros int64) time.Time { return time.UnixMicro(micros).UTC() })
}

func floats() *rapid.Generator[float64] {
	return rapid.Map(rapid.Float64(), func(f float64) float64 { return f + 0 }).Filter(func(f float64) bool { return f != 0 || !math.Signbit(f) })
}

// decimals have at most so many digits before and after the point, and are canonical.
func decimals(whole, fraction int) *rapid.Generator[string] {
	return rapid.Map(rapid.StringMatching(fmt.Sprintf(`-?[0-9]{1,%d}(\.[0-9]{1,%d})?`, whole, fraction)),
		func(s string) string { return decimal(s).Content() })
}

func uuids() *rapid.Generator[uuid.UUID] {
	return rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) uuid.UUID { return uuid.UUID(b) })
}

// documents are what JSON of any shape becomes in Go.
func documents(depth int) *rapid.Generator[any] {
	scalars := rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.Bool(), toAny), rapid.Map(texts(), toAny), rapid.Map(floats(), toAny))
	if depth == 0 {
		return scalars
	}
	return rapid.OneOf(scalars,
		rapid.Map(rapid.SliceOfN(documents(depth-1), 0, 3), toAny),
		rapid.Map(rapid.MapOfN(texts(), documents(depth-1), 0, 3), toAny))
}

func toAny[T any](v T) any { return v }

func optional[T any](g *rapid.Generator[T]) *rapid.Generator[sql.Null[T]] {
	return rapid.Custom(func(t *rapid.T) sql.Null[T] {
		if rapid.Bool().Draw(t, "null") {
			return sql.Null[T]{}
		}
		return sql.Null[T]{V: g.Draw(t, "value"), Valid: true}
	})
}

func pointer[T any](g *rapid.Generator[T]) *rapid.Generator[*T] { return rapid.Ptr(g, true) }

// everything draws a struct in the one form that its row has in Go.
func everything() *rapid.Generator[Everything] {
	return rapid.Custom(func(t *rapid.T) Everything {
		nullText, nullTime, nullShort := optional(texts()).Draw(t, "NText"), optional(times()).Draw(t, "NTime"), optional(rapid.Int16()).Draw(t, "NInt")
		deleted, nullUUID := optional(times()).Draw(t, "DeletedAt"), optional(uuids()).Draw(t, "Null")
		x := Everything{
			ID: uuids().Draw(t, "ID"), Bool: rapid.Bool().Draw(t, "Bool"), Int: rapid.Int().Draw(t, "Int"),
			Int8: rapid.Int8().Draw(t, "Int8"), Int16: rapid.Int16().Draw(t, "Int16"), Int32: rapid.Int32().Draw(t, "Int32"),
			Int64: rapid.Int64().Draw(t, "Int64"), Uint: rapid.UintRange(0, math.MaxInt64).Draw(t, "Uint"),
			Uint8: rapid.Uint8().Draw(t, "Uint8"), Uint32: rapid.Uint32().Draw(t, "Uint32"),
			Uint64:  rapid.Uint64Range(0, math.MaxInt64).Draw(t, "Uint64"),
			Float32: rapid.Float32().Filter(func(f float32) bool { return f != 0 }).Draw(t, "Float32"),
			Float64: floats().Draw(t, "Float64"), Text: texts().Draw(t, "Text"), Mood: Mood(texts().Draw(t, "Mood")),
			Short:   rapid.StringN(0, 5, -1).Filter(predicate.ValidText).Draw(t, "Short"),
			Varchar: rapid.StringN(0, 7, -1).Filter(predicate.ValidText).Draw(t, "Varchar"),
			Time:    times().Draw(t, "Time"), Bytes: rapid.SliceOf(rapid.Byte()).Draw(t, "Bytes"),
			Limited: rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(t, "Limited"), GUID: uuids().Draw(t, "GUID"),
			UUIDText: uuids().Draw(t, "UUIDText").String(), Price: decimals(8, 2).Draw(t, "Price"),
			Rate: float64(rapid.IntRange(-999999, 999999).Draw(t, "Rate")) / 1000, Count: rapid.Int64().Draw(t, "Count"),
			Amount: Decimal{decimal(fmt.Sprint(rapid.IntRange(-5, 1000).Draw(t, "Amount"))).Content()},
			Plain:  Decimal{decimals(40, 40).Draw(t, "Plain")},
			Tags:   rapid.SliceOf(texts()).Draw(t, "Tags"), Labels: rapid.MapOf(texts(), rapid.Int()).Draw(t, "Labels"),
			Any:  documents(2).Draw(t, "Any"),
			Home: Address{City: texts().Draw(t, "City"), Street: texts().Draw(t, "Street")},
			Work: pointer(rapid.Just(Address{City: "Bern"})).Draw(t, "Work"), Level: Level(rapid.IntRange(0, 2).Draw(t, "Level")),
			Ticket: Ticket(uuids().Draw(t, "Ticket")), Point: Point{X: rapid.Int().Draw(t, "X"), Y: rapid.Int().Draw(t, "Y")},
			PointAt: pointer(rapid.Just(Point{X: 1})).Draw(t, "PointAt"), PText: pointer(texts()).Draw(t, "PText"),
			PInt: pointer(rapid.Int32()).Draw(t, "PInt"), PTime: pointer(times()).Draw(t, "PTime"), PUUID: pointer(uuids()).Draw(t, "PUUID"),
			PBool: rapid.Ptr(rapid.Bool(), false).Draw(t, "PBool"),
			NText: sql.NullString{String: nullText.V, Valid: nullText.Valid}, NTime: sql.NullTime{Time: nullTime.V, Valid: nullTime.Valid},
			NInt: sql.NullInt16{Int16: nullShort.V, Valid: nullShort.Valid}, NAny: optional(floats()).Draw(t, "NAny"),
			NLevel: optional(rapid.Just(Level(2))).Draw(t, "NLevel"), NUUID: optional(uuids()).Draw(t, "NUUID"),
			Null: uuid.NullUUID{UUID: nullUUID.V, Valid: nullUUID.Valid},
			Unix: rapid.Int64Range(-62135596800, 253402300799).Draw(t, "Unix"), Gob: rapid.SliceOfN(texts(), 1, 3).Draw(t, "Gob"),
			Created: times().Draw(t, "Created"), Milli: rapid.Int64().Draw(t, "Milli"),
			DeletedAt: gorm.DeletedAt{Time: deleted.V, Valid: deleted.Valid},
		}
		doc, err := json.Marshal(documents(2).Draw(t, "Raw"))
		if err != nil {
			t.Fatal(err)
		}
		x.Raw, x.Doc = json.RawMessage(document(string(doc)).Content()), document(string(doc)).Content()
		if bag, ok := documents(2).Draw(t, "Bag").(map[string]any); ok {
			x.Bag = bag
		}
		return x
	})
}

func TestStructRoundTrip(t *testing.T) {
	m := parse[Everything](t)
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		x := everything().Draw(t, "struct")
		row, err := m.FromStruct(ctx, reflect.ValueOf(x))
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range row {
			if !v.IsNull() && v.Kind() != m.Fields[i].Kind || v.IsNull() && !m.Fields[i].Nullable {
				t.Fatalf("%s is %s %s", m.Fields[i].Name, v.Kind(), v)
			}
		}
		var y Everything
		if err := m.ToStruct(ctx, row, reflect.ValueOf(&y)); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(x, y, gocmp.AllowUnexported(Decimal{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestJSONRoundTrip(t *testing.T) {
	m := parse[Everything](t)
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		row, err := m.FromStruct(ctx, reflect.ValueOf(everything().Draw(t, "struct")))
		if err != nil {
			t.Fatal(err)
		}
		object := m.AppendRow(nil, row)
		members, ok := decode(t, object).(map[string]any)
		if !ok || len(members) != len(m.Fields) {
			t.Fatalf("%d members in %s", len(members), object)
		}
		for i, f := range m.Fields {
			got, err := f.FromJSON(members[f.Name])
			if row[i] == document("null") {
				continue // only Go can tell it from NULL
			}
			if err != nil || got != row[i] {
				t.Fatalf("%s: %s becomes %s %q (%v), want %q", f.Name, f.AppendJSON(nil, row[i]), got.Kind(), got, err, row[i])
			}
		}
	})
}

// TestGORMAgrees writes structs through GORM and reads the columns as they are, and the other way round: a row that GORM
// has written is the row that FromStruct makes, and GORM reads the struct that ToStruct makes.
func TestGORMAgrees(t *testing.T) {
	m := parse[Everything](t)
	ctx := context.Background()
	db, err := gorm.Open(gormlite.Open("file:"+filepath.ToSlash(filepath.Join(t.TempDir(), "gorm.db"))), &gorm.Config{
		Logger:  logger.Discard,
		NowFunc: func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) },
	})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := db.DB()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	columns := make([]string, len(m.Fields))
	for i, column := range m.Table.Columns {
		types := map[predicate.Kind]string{predicate.Bool: "BOOLEAN", predicate.Int: "INTEGER", predicate.Float: "REAL", predicate.Time: "DATETIME", predicate.Bytes: "BLOB"}
		columns[i] = fmt.Sprintf("`%s` %s", column.Name, cmp.Or(types[column.Kind], "TEXT"))
	}
	if err := db.Exec("CREATE TABLE everythings (" + strings.Join(columns, ", ") + ")").Error; err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		x := everything().Draw(t, "struct")
		x.DeletedAt = gorm.DeletedAt{}
		x.Milli = 1
		if err := db.Exec("DELETE FROM everythings").Error; err != nil {
			t.Fatal(err)
		}
		if err := db.Create(&x).Error; err != nil {
			t.Fatal(err)
		}
		want, err := m.FromStruct(ctx, reflect.ValueOf(x))
		if err != nil {
			t.Fatal(err)
		}
		raw := make([]any, len(m.Fields))
		for i := range raw {
			raw[i] = new(any)
		}
		if err := pool.QueryRow("SELECT * FROM everythings").Scan(raw...); err != nil {
			t.Fatal(err)
		}
		for i, f := range m.Fields {
			got, err := engine.Scan(f.Kind, *raw[i].(*any))
			if err != nil || got != want[i] {
				t.Errorf("%s: GORM wrote %v, read as %q (%v), and FromStruct says %q", f.Name, *raw[i].(*any), got, err, want[i])
			}
		}
		var read, written Everything
		if err := db.First(&read).Error; err != nil {
			t.Fatal(err)
		}
		if err := m.ToStruct(ctx, want, reflect.ValueOf(&written)); err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(read, written, gocmp.AllowUnexported(Decimal{}), gocmp.Comparer(func(a, b json.RawMessage) bool { return string(a) == string(b) })); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFromStructRefuses(t *testing.T) {
	m := parse[Everything](t)
	ctx := context.Background()
	for name, change := range map[string]func(*Everything){
		"Uint64":   func(x *Everything) { x.Uint64 = 1 << 63 },
		"Float64":  func(x *Everything) { x.Float64 = math.NaN() },
		"Float32":  func(x *Everything) { x.Float32 = float32(math.Inf(1)) },
		"Text":     func(x *Everything) { x.Text = "\x00" },
		"Mood":     func(x *Everything) { x.Mood = "\xff" },
		"Time":     func(x *Everything) { x.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"PTime":    func(x *Everything) { x.PTime = &time.Time{}; *x.PTime = x.PTime.AddDate(-1, 0, 0) },
		"UUIDText": func(x *Everything) { x.UUIDText = "x" },
		"Price":    func(x *Everything) { x.Price = "much" },
		"Rate":     func(x *Everything) { x.Rate = math.Inf(1) },
		"Raw":      func(x *Everything) { x.Raw = json.RawMessage(`{`) },
		"Doc":      func(x *Everything) { x.Doc = `"\u0000"` },
		"Tags":     func(x *Everything) { x.Tags = []string{`\`, "\\\x00"} },
		"Any":      func(x *Everything) { x.Any = func() {} },
		"Level":    func(x *Everything) { x.Level = 3 },
		"NText":    func(x *Everything) { x.NText = sql.NullString{String: "\x00", Valid: true} },
	} {
		var x Everything
		change(&x)
		_, err := m.FromStruct(ctx, reflect.ValueOf(&x))
		var wrong *model.ValueError
		if !errors.As(err, &wrong) || wrong.Field.GoName != name || !strings.HasPrefix(err.Error(), "model_test.Everything."+name+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	x := Everything{Tags: []string{`\u0000`, `\\`}, Doc: `"\\u0000"`}
	if _, err := m.FromStruct(ctx, reflect.ValueOf(&x)); err != nil {
		t.Errorf("backslashes before u0000 are no NUL: %v", err)
	}
}

func TestFromStructOfZeros(t *testing.T) {
	m := parse[Everything](t)
	row, err := m.FromStruct(context.Background(), reflect.ValueOf(Everything{}))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range m.Fields {
		want := f.Zero()
		switch f.Name {
		case "uuid_text", "p_bool": // the Go zero is yet to be given a value
			want = predicate.Value{}
		case "gob":
			continue // an empty document of its own
		}
		if row[i] != want {
			t.Errorf("%s: got %q, want %q", f.Name, row[i], want)
		}
	}
	if got := field(t, m, "labels").Zero(); got != document("{}") {
		t.Errorf("labels: %s", got)
	}
	if got := field(t, m, "home").Zero(); got != document(`{"city":"","street":""}`) {
		t.Errorf("home: %s", got)
	}
	if got := field(t, m, "doc").Zero(); got != document("null") {
		t.Errorf("doc: %s", got)
	}
}

func TestToStructRefuses(t *testing.T) {
	m := parse[Everything](t)
	ctx := context.Background()
	for name, v := range map[string]predicate.Value{
		"int8": predicate.IntValue(128), "uint": predicate.IntValue(-1), "uint8": predicate.IntValue(256), "float32": predicate.FloatValue(1e300),
		"count": decimal("1.5"), "home": document("1"), "level": predicate.TextValue("huge"), "ticket": predicate.BytesValue([]byte("x")),
		"text": predicate.IntValue(1), "n_int": predicate.IntValue(1 << 20),
	} {
		row, err := m.FromStruct(ctx, reflect.ValueOf(Everything{}))
		if err != nil {
			t.Fatal(err)
		}
		f := field(t, m, name)
		row[f.Column] = v
		err = m.ToStruct(ctx, row, reflect.ValueOf(&Everything{}))
		var wrong *model.ValueError
		if !errors.As(err, &wrong) || wrong.Field != f {
			t.Errorf("%s: %v", name, err)
		}
	}
	var x Todo
	x.Task = "before"
	if err := parse[Todo](t).ToStruct(ctx, make([]predicate.Value, 5), reflect.ValueOf(&x).Elem()); err != nil || x != (Todo{}) {
		t.Errorf("NULLs become %+v (%v), want zeros", x, err)
	}
}
