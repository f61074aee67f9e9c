package model_test

import (
	"database/sql"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/policy"
)

func TestResolverFindsEveryColumn(t *testing.T) {
	m := parse[Everything](t)
	fields := new(Everything)
	resolver := m.Resolver(reflect.ValueOf(fields))
	for _, f := range m.Fields {
		address := reflect.ValueOf(fields).Elem().FieldByName(f.GoName).Addr().Interface()
		column, kind, err := resolver.Column(address)
		if err != nil || column != f.Column || kind != f.Kind {
			t.Errorf("%s: got %d %s (%v)", f.GoName, column, kind, err)
		}
	}
}

func TestResolverColumns(t *testing.T) {
	m := parse[Named](t)
	fields := new(Named)
	resolver := m.Resolver(reflect.ValueOf(fields))
	for _, c := range []struct {
		address any
		want    string
	}{
		{&fields.ID, "id"}, {&fields.Owner, "owner"}, {&fields.Note, "note"}, {&fields.Home.City, "home_city"},
		{&fields.Work.City, "work_city"}, {&fields.CompanyID, "company_id"},
	} {
		column, _, err := resolver.Column(c.address)
		if err != nil || m.Table.Columns[column].Name != c.want {
			t.Errorf("%s: got column %d (%v)", c.want, column, err)
		}
	}
	var stranger string
	for _, c := range []struct {
		address any
		want    string
	}{
		{nil, "a nil pointer names no field of model_test.Named; take the address of a field"},
		{(*string)(nil), "a nil pointer names no field"},
		{"text", "a nil pointer names no field"},
		{&stranger, "a *string that points to no field of model_test.Named; take the address of a field of the resource's Fields, such as &resource.Fields.ID"},
		{fields, "take the address of"},
		{&fields.Home, "model_test.Named.Home: it is an embedded struct; take the address of one of its fields"},
		{&fields.Owned, "model_test.Named.Owned: it is an embedded struct"},
		{&fields.Owned.Note, "model_test.Named.Owned.Note: it has no column"},
		{&fields.Company, "model_test.Named.Company: it has no column; take the address of a field that has one, such as that of a foreign key"},
		{&fields.Company.Name, "model_test.Named.Company.Name: it has no column"},
		{&fields.Cached, "model_test.Named.Cached: it has no column"},
	} {
		if _, _, err := resolver.Column(c.address); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	other := new(Everything)
	_, _, err := parse[Everything](t).Resolver(reflect.ValueOf(other)).Column(&other.NText.String)
	if err == nil || !strings.Contains(err.Error(), "Everything.NText.String: it has no column") {
		t.Errorf("the inside of a sql.NullString: %v", err)
	}
	_, _, err = parse[Everything](t).Resolver(reflect.ValueOf(other)).Column(&other.GUID[3])
	if err == nil || !strings.Contains(err.Error(), "Everything.GUID: a uint8 inside of it is no column; take the address of the whole field") {
		t.Errorf("the inside of a UUID: %v", err)
	}
}

func TestResolverSecret(t *testing.T) {
	type account struct {
		ID     int64
		Secret string `cape:"secret"`
		Hidden string `cape:"hidden"`
	}
	fields := new(account)
	resolver := parse[account](t).Resolver(reflect.ValueOf(fields))
	if _, _, err := resolver.Column(&fields.Secret); err == nil || !strings.Contains(err.Error(), "model_test.account.Secret: a secret column cannot be part of a rule") {
		t.Error(err)
	}
	if _, _, err := resolver.Column(&fields.Hidden); err != nil {
		t.Error(err)
	}
}

func TestResolverValues(t *testing.T) {
	m := parse[Everything](t)
	fields := new(Everything)
	resolver := m.Resolver(reflect.ValueOf(fields))
	text, now := "x", time.Date(2026, 1, 31, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	for _, c := range []struct {
		condition policy.Condition
		want      predicate.Value
	}{
		{policy.Field(&fields.Bool).Eq(true), predicate.BoolValue(true)},
		{policy.Field(&fields.Uint8).Eq(7), predicate.IntValue(7)},
		{policy.Field(&fields.Float32).Eq(0.1), predicate.FloatValue(float64(float32(0.1)))},
		{policy.Field(&fields.Mood).Eq("glad"), predicate.TextValue("glad")},
		{policy.Field(&fields.Time).Lt(now), at("2026-01-31T11:00:00.123456Z")},
		{policy.Field(&fields.Bytes).Eq([]byte("x")), predicate.BytesValue([]byte("x"))},
		{policy.Field(&fields.GUID).Eq(uuid.MustParse(someUUID)), guid(someUUID)},
		{policy.Field(&fields.Price).Eq("1.50"), decimal("1.5")},
		{policy.Field(&fields.Rate).Eq(1.5), decimal("1.5")},
		{policy.Field(&fields.Amount).Eq(Decimal{"2.0"}), decimal("2")},
		{policy.Field(&fields.Level).Eq(1), predicate.TextValue("middle")},
		{policy.Field(&fields.Point).Eq(Point{1, 2}), predicate.TextValue("1/2")},
		{policy.Field(&fields.PText).Eq(&text), predicate.TextValue("x")},
		{policy.Field(&fields.PText).Eq(nil), predicate.Value{}},
		{policy.Field(&fields.NText).Eq(sql.NullString{String: "x", Valid: true}), predicate.TextValue("x")},
		{policy.Field(&fields.NText).Eq(sql.NullString{}), predicate.Value{}},
		{policy.Field(&fields.NLevel).Eq(sql.Null[Level]{V: 2, Valid: true}), predicate.TextValue("high")},
		{policy.Field(&fields.Null).Eq(uuid.NullUUID{}), predicate.Value{}},
		{policy.Field(&fields.Unix).Eq(60), at("1970-01-01T00:01:00Z")},
	} {
		e, err := predicate.Resolve(c.condition, resolver)
		if err != nil || len(e.Values) != 1 || e.Values[0] != c.want {
			t.Errorf("got %+v (%v), want %q", e, err, c.want)
		}
	}
	for _, c := range []struct {
		condition policy.Condition
		want      string
	}{
		{policy.Field(&fields.Text).Eq("\x00"), "model_test.Everything.Text: text that is not UTF-8, or has a NUL character"},
		{policy.Field(&fields.Float64).Eq(math.NaN()), "model_test.Everything.Float64: a number that is not finite"},
		{policy.Field(&fields.Level).Eq(9), "model_test.Everything.Level: no such level"},
		{policy.Field(&fields.Uint64).In(1, 1<<63), "model_test.Everything.Uint64: an integer above"},
		{policy.Field(&fields.Doc).Eq("{}"), "eq on a JSON column"},
	} {
		if _, err := predicate.Resolve(c.condition, resolver); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	if _, err := resolver.Value(0, "text"); err == nil || !strings.Contains(err.Error(), "model_test.Everything.ID: a string, expected a uuid.UUID") {
		t.Error(err)
	}
	if _, err := resolver.Value(0, nil); err == nil {
		t.Error("nil is a UUID")
	}
}
