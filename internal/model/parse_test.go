package model_test

import (
	"database/sql"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

func TestParseTodo(t *testing.T) {
	m := parse[Todo](t)
	if m.Name != "Todo" || m.Table.Name != "todos" || m.Table.Schema != "" || m.Deleted != -1 || m.Hooks != 0 {
		t.Errorf("got %s, table %s.%s, deleted %d, hooks %b", m.Name, m.Table.Schema, m.Table.Name, m.Deleted, m.Hooks)
	}
	if diff := cmp.Diff([]int{0}, m.Table.Key); diff != "" {
		t.Errorf("key: %s", diff)
	}
	id := field(t, m, "id")
	if id.Auto != model.Increment || !id.ReadOnly || !id.Immutable || id.Required {
		t.Errorf("id: %+v", id)
	}
	user := field(t, m, "user_id")
	if user.Managed != (model.Managed{Source: model.FromID}) || user.Required || user.ReadOnly {
		t.Errorf("user_id: %+v", user)
	}
	task := field(t, m, "task")
	if !task.Required || task.Kind != predicate.Text || task.Column != 2 || task.Nullable {
		t.Errorf("task: %+v", task)
	}
	done := field(t, m, "is_complete")
	if done.Required || done.Kind != predicate.Bool {
		t.Errorf("is_complete: %+v", done)
	}
	at := field(t, m, "inserted_at")
	if at.Auto != model.CreateTime || !at.ReadOnly || at.Kind != predicate.Time {
		t.Errorf("inserted_at: %+v", at)
	}
	if _, ok := m.Field("Task"); ok {
		t.Error("JSON names must differ by case")
	}
}

func TestParseKinds(t *testing.T) {
	type kind struct {
		Kind     predicate.Kind
		Nullable bool
	}
	want := map[string]kind{
		"id": {predicate.UUID, false}, "bool": {predicate.Bool, false}, "int": {predicate.Int, false}, "int8": {predicate.Int, false},
		"int16": {predicate.Int, false}, "int32": {predicate.Int, false}, "int64": {predicate.Int, false},
		"uint": {predicate.Int, false}, "uint8": {predicate.Int, false}, "uint32": {predicate.Int, false}, "uint64": {predicate.Int, false},
		"float32": {predicate.Float, false}, "float64": {predicate.Float, false},
		"text": {predicate.Text, false}, "mood": {predicate.Text, false}, "short": {predicate.Text, false}, "varchar": {predicate.Text, false},
		"time": {predicate.Time, false}, "bytes": {predicate.Bytes, true}, "limited": {predicate.Bytes, false},
		"guid": {predicate.UUID, false}, "uuid_text": {predicate.UUID, false},
		"price": {predicate.Decimal, false}, "rate": {predicate.Decimal, false}, "count": {predicate.Decimal, false},
		"amount": {predicate.Decimal, false}, "plain": {predicate.Decimal, false},
		"raw": {predicate.JSON, true}, "doc": {predicate.JSON, false}, "tags": {predicate.JSON, true}, "labels": {predicate.JSON, false},
		"any": {predicate.JSON, true}, "home": {predicate.JSON, false}, "work": {predicate.JSON, true}, "bag": {predicate.JSON, true},
		"level": {predicate.Text, false}, "ticket": {predicate.Bytes, false}, "point": {predicate.Text, false}, "point_at": {predicate.Text, true},
		"p_text": {predicate.Text, true}, "p_int": {predicate.Int, true}, "p_time": {predicate.Time, true}, "p_uuid": {predicate.UUID, true},
		"p_bool": {predicate.Bool, false}, "n_text": {predicate.Text, true}, "n_time": {predicate.Time, true}, "n_int": {predicate.Int, true},
		"n_any": {predicate.Float, true}, "n_level": {predicate.Text, true}, "n_uuid": {predicate.UUID, true}, "null": {predicate.UUID, true},
		"unix": {predicate.Time, false}, "gob": {predicate.Bytes, true}, "created": {predicate.Time, false}, "milli": {predicate.Int, false},
		"deleted_at": {predicate.Time, true},
	}
	m := parse[Everything](t)
	got := map[string]kind{}
	for i, f := range m.Fields {
		got[f.Name] = kind{f.Kind, f.Nullable}
		column := m.Table.Columns[i]
		if f.Column != i || column.Name != f.Name || column.Kind != f.Kind || column.Nullable != f.Nullable {
			t.Errorf("column %d is %+v, the field %+v", i, column, f)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseLimits(t *testing.T) {
	type sized struct {
		ID     int64
		Small  int  `gorm:"size:16"`
		Wide   int8 `gorm:"size:32"`
		Half   uint16
		Char   string  `gorm:"type:char(3)"`
		Both   string  `gorm:"type:varchar(9);size:4"`
		Blob   []byte  `gorm:"type:varbinary(12)"`
		Tagged float64 `gorm:"type:numeric;precision:8;scale:3"`
		Float  float64 `gorm:"precision:8"`
	}
	m := parse[sized](t)
	for name, want := range map[string][4]int{ // bits, size, precision, scale
		"small": {16}, "wide": {8}, "half": {16}, "char": {0, 3}, "both": {0, 4}, "blob": {0, 12}, "tagged": {0, 0, 8, 3}, "float": {64},
	} {
		f := field(t, m, name)
		if got := [4]int{f.Bits, f.Size, f.Precision, f.Scale}; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	if !field(t, m, "half").Unsigned || field(t, m, "small").Unsigned {
		t.Error("half is unsigned, small is not")
	}
}

func TestParseGormModel(t *testing.T) {
	type note struct {
		gorm.Model
		Text string
	}
	m := parse[note](t)
	var names []string
	for _, f := range m.Fields {
		names = append(names, f.Name)
	}
	if diff := cmp.Diff([]string{"id", "created_at", "updated_at", "deleted_at", "text"}, names); diff != "" {
		t.Error(diff)
	}
	if m.Deleted != 3 || !m.Fields[3].ReadOnly || m.Fields[2].Auto != model.UpdateTime || m.Fields[1].Auto != model.CreateTime {
		t.Errorf("deleted %d, %+v", m.Deleted, m.Fields[3])
	}
	if id := m.Fields[0]; id.Auto != model.Increment || !id.Unsigned || id.GoName != "Model.ID" {
		t.Errorf("id: %+v", id)
	}
}

// Owned is embedded by others.
type Owned struct {
	Owner string `json:"owner" cape:"auth.id"`
	Note  string `json:"note" maxLength:"3"`
}

// Named has a table in a schema.
type Named struct {
	ID int64
	Owned
	Note      string  `json:"note" maxLength:"9"`
	Home      Address `gorm:"embedded;embeddedPrefix:home_"`
	Work      Address `gorm:"embedded;embeddedPrefix:work_" json:"-"`
	Company   Company `json:"employer"`
	CompanyID int64
	Friends   []Named `gorm:"many2many:friends"`
	Cached    string  `gorm:"-"`
}

func (Named) TableName() string { return "app.people" }

func TestParseEmbedded(t *testing.T) {
	m := parse[Named](t)
	if m.Table.Schema != "app" || m.Table.Name != "people" {
		t.Errorf("table %q.%q", m.Table.Schema, m.Table.Name)
	}
	type naming struct{ Name, Column, GoName string }
	var got []naming
	for i, f := range m.Fields {
		if !f.Hidden {
			got = append(got, naming{f.Name, m.Table.Columns[i].Name, f.GoName})
		}
	}
	want := []naming{
		{"id", "id", "ID"}, {"owner", "owner", "Owned.Owner"}, {"note", "note", "Note"},
		{"home_city", "home_city", "Home.City"}, {"home_street", "home_road", "Home.Street"}, {"company_id", "company_id", "CompanyID"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"employer", "friends"}, m.Associations); diff != "" {
		t.Error(diff)
	}
	if len(m.Fields) != 8 {
		t.Errorf("%d columns, want the two of Work too", len(m.Fields))
	}
	if _, ok := m.Field("work_city"); ok {
		t.Error("a field that JSON never has is found by a JSON name")
	}
}

func TestParseKeys(t *testing.T) {
	type text struct{ ID string }
	type short struct {
		ID string `gorm:"size:26"`
	}
	type unique struct{ ID uuid.UUID }
	type given struct {
		ID int64 `gorm:"autoIncrement:false"`
	}
	type profile struct {
		UserID string `gorm:"primaryKey" cape:"auth.id"`
	}
	type pair struct {
		A string `gorm:"primaryKey"`
		B int32  `gorm:"primaryKey"`
	}
	type stamped struct {
		At time.Time `gorm:"primaryKey;autoCreateTime"`
	}
	type generated struct {
		ID string `gorm:"default:gen_random_uuid()"`
	}
	for _, c := range []struct {
		model    *model.Model
		auto     []model.Auto
		required bool
	}{
		{parse[text](t), []model.Auto{model.NewUUID}, false},
		{parse[short](t), []model.Auto{model.NoAuto}, true},
		{parse[unique](t), []model.Auto{model.NewUUID}, false},
		{parse[given](t), []model.Auto{model.NoAuto}, true},
		{parse[profile](t), []model.Auto{model.NoAuto}, false},
		{parse[pair](t), []model.Auto{model.NoAuto, model.NoAuto}, true},
		{parse[stamped](t), []model.Auto{model.CreateTime}, false},
		{parse[generated](t), []model.Auto{model.NewUUID}, false},
	} {
		if len(c.model.Table.Key) != len(c.auto) {
			t.Errorf("%s: key %v", c.model.Type, c.model.Table.Key)
			continue
		}
		for i, column := range c.model.Table.Key {
			f := c.model.Fields[column]
			if f.Auto != c.auto[i] || f.Required != c.required || !f.Immutable || f.Nullable || f.Default {
				t.Errorf("%s: %+v", c.model.Type, f)
			}
		}
	}
}

func TestParseAccess(t *testing.T) {
	type access struct {
		ID        int64
		Open      string
		Claim     string  `cape:"claims.org_id,optional"`
		Role      string  `cape:"auth.role"`
		Read      string  `cape:"readonly"`
		Once      string  `cape:"immutable"`
		Hidden    string  `cape:"hidden"`
		Secret    string  `cape:"secret"`
		Both      string  `cape:"readonly,hidden"`
		Dash      string  `json:"-"`
		GormRead  string  `gorm:"->"`
		GormOnce  string  `gorm:"<-:create"`
		GormNever string  `gorm:"<-:false"`
		GormWrite string  `gorm:"->:false;<-:create"`
		Huma      string  `readOnly:"true"`
		Omit      string  `json:"omit,omitempty"`
		Zero      int     `json:"zero,omitzero"`
		NotNeeded string  `required:"false"`
		Needed    *string `required:"true"`
		NeedBool  bool    `required:"true"`
		Huma2     string  `json:"huma2" default:"x"`
		Gorm2     string  `gorm:"default:x"`
		NullNull  *int    `gorm:"default:null"`
		Must      *int    `gorm:"not null"`
	}
	m := parse[access](t)
	flags := func(f *model.Field) string {
		var s []string
		for name, set := range map[string]bool{"hidden": f.Hidden, "secret": f.Secret, "readonly": f.ReadOnly, "immutable": f.Immutable,
			"required": f.Required, "default": f.Default, "managed": f.Managed.Source != model.FromBody, "optional": f.Managed.Optional} {
			if set {
				s = append(s, name)
			}
		}
		slices.Sort(s)
		return strings.Join(s, " ")
	}
	want := map[string]string{
		"ID": "immutable readonly", "Open": "required", "Claim": "managed optional", "Role": "managed", "Read": "readonly", "Once": "immutable required",
		"Hidden": "hidden", "Secret": "hidden secret", "Both": "hidden readonly", "Dash": "hidden", "GormRead": "immutable readonly",
		"GormOnce": "immutable required", "GormNever": "immutable readonly", "GormWrite": "hidden immutable", "Huma": "readonly",
		"Omit": "", "Zero": "", "NotNeeded": "", "Needed": "required", "NeedBool": "required", "Huma2": "", "Gorm2": "default",
		"NullNull": "", "Must": "required",
	}
	for _, f := range m.Fields {
		if got := flags(f); got != want[f.GoName] {
			t.Errorf("%s: got %q, want %q", f.GoName, got, want[f.GoName])
		}
	}
	if got := field(t, m, "claim").Managed; got != (model.Managed{Source: model.FromClaim, Claim: "org_id", Optional: true}) {
		t.Errorf("claim: %+v", got)
	}
}

type hooked struct{ ID int64 }

func (*hooked) BeforeSave(*gorm.DB) error  { return nil }
func (*hooked) AfterDelete(*gorm.DB) error { return nil }
func (hooked) AfterFind(*gorm.DB) error    { return nil }

// Box is generic.
type Box[T any] struct {
	ID      int64
	Content T
}

func TestParseHooksAndNames(t *testing.T) {
	if got := parse[hooked](t).Hooks; got != model.BeforeSave|model.AfterDelete|model.AfterFind {
		t.Errorf("hooks %b", got)
	}
	if got := parse[Box[string]](t).Name; got != "Box" {
		t.Errorf("name %q", got)
	}
	m, err := model.Parse(reflect.TypeFor[Todo](), schema.NamingStrategy{TablePrefix: "app_", SingularTable: true, NoLowerCase: true}, &sync.Map{})
	if err != nil {
		t.Fatal(err)
	}
	if m.Table.Name != "app_Todo" || m.Table.Columns[1].Name != "UserID" || m.Fields[1].Name != "user_id" {
		t.Errorf("table %q, column %q, field %q", m.Table.Name, m.Table.Columns[1].Name, m.Fields[1].Name)
	}
}

func TestParseStamps(t *testing.T) {
	type stamps struct {
		ID        int64
		CreatedAt int64
		Milli     int64        `gorm:"autoUpdateTime:milli"`
		Nano      uint64       `gorm:"autoCreateTime:nano"`
		At        *time.Time   `gorm:"autoUpdateTime"`
		Null      sql.NullTime `gorm:"autoCreateTime"`
		Unix      int64        `gorm:"serializer:unixtime;type:time;autoCreateTime"`
	}
	m := parse[stamps](t)
	now := time.Date(2026, 1, 31, 12, 0, 0, 123456789, time.UTC)
	for name, want := range map[string]predicate.Value{
		"created_at": predicate.IntValue(now.Unix()), "milli": predicate.IntValue(now.UnixMilli()), "nano": predicate.IntValue(now.UnixNano()),
		"at": predicate.TimeValue(now), "null": predicate.TimeValue(now), "unix": predicate.TimeValue(now.Truncate(time.Second)),
	} {
		f := field(t, m, name)
		if got := f.Stamp(now); got != want || !f.ReadOnly || f.Auto == model.NoAuto || got.Kind() != f.Kind {
			t.Errorf("%s: got %s, want %s (%+v)", name, got, want, f)
		}
	}
}
