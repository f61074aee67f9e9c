package model_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"context"
	"reflect"

	"github.com/capebase/capebase/internal/model"
)

// Task has what schemas are made of.
type Task struct {
	ID        int64     `json:"id"`
	Owner     string    `json:"owner" cape:"auth.id"`
	Title     string    `json:"title" minLength:"1" maxLength:"20" doc:"What to do."`
	Kind      string    `json:"kind" enum:"home,work" default:"home"`
	Level     *Mood     `json:"level" enum:"glad,sad"`
	Priority  int8      `json:"priority" enum:"1,2,3" default:"2"`
	Weight    float64   `json:"weight,omitempty" minimum:"0" enum:"1,1.5"`
	Code      string    `json:"code" gorm:"size:8" cape:"immutable" pattern:"^[a-z]+$"`
	Price     string    `json:"price" gorm:"type:numeric(6,2)" default:"9.50" minimum:"1"`
	Due       time.Time `json:"due" default:"2026-01-31T12:00:00Z" format:"date"`
	Tags      []string  `json:"tags" gorm:"serializer:json;not null" enum:"a,b" maxItems:"2" default:"a"`
	Scores    []int     `json:"scores" gorm:"serializer:json" enum:"1,2" uniqueItems:"true"`
	Home      Address   `json:"home" gorm:"serializer:json" required:"false"`
	Work      *Address  `json:"work" gorm:"serializer:json" dependentRequired:"home"`
	Blob      []byte    `json:"blob"`
	Done      bool      `json:"done"`
	Hidden    string    `json:"hidden" cape:"hidden"`
	Secret    string    `json:"-" cape:"secret"`
	Read      string    `json:"read" cape:"readonly"`
	CreatedAt time.Time `json:"created_at"`
}

func shapes[T any](t *testing.T) (huma.Registry, *huma.Schema, *model.Shape, *model.Shape) {
	t.Helper()
	r := registry()
	read, create, update, err := parse[T](t).Shapes(r)
	if err != nil {
		t.Fatal(err)
	}
	return r, read, create, update
}

func names(fields []*model.Field) []string {
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
	}
	return names
}

// property is a schema's JSON.
func property(t *testing.T, s *huma.Schema, name string) string {
	t.Helper()
	doc, err := json.Marshal(s.Properties[name])
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

func TestShapes(t *testing.T) {
	_, read, create, update := shapes[Task](t)
	settable := []string{"owner", "title", "kind", "level", "priority", "weight", "code", "price", "due", "tags", "scores", "home", "work", "blob", "done"}
	if diff := cmp.Diff(settable, names(create.Fields)); diff != "" {
		t.Errorf("create: %s", diff)
	}
	if diff := cmp.Diff(slices.DeleteFunc(slices.Clone(settable), func(s string) bool { return s == "code" }), names(update.Fields)); diff != "" {
		t.Errorf("update: %s", diff)
	}
	if diff := cmp.Diff([]string{"title", "code"}, create.Schema.Required); diff != "" {
		t.Errorf("required: %s", diff)
	}
	if len(update.Schema.Required) != 0 || len(update.Defaults) != 0 {
		t.Errorf("update requires %v and has the defaults %v", update.Schema.Required, update.Defaults)
	}
	want := map[string]any{"kind": "home", "priority": int64(2), "price": "9.50", "due": "2026-01-31T12:00:00Z", "tags": []any{"a"}}
	if diff := cmp.Diff(want, create.Defaults); diff != "" {
		t.Errorf("defaults: %s", diff)
	}
	if diff := cmp.Diff([]string{"id", "owner", "title", "kind", "level", "priority", "weight", "code", "price", "due", "tags", "scores", "home", "work", "blob",
		"done", "read", "created_at"}, read.Required); diff != "" {
		t.Errorf("read: %s", diff)
	}
	for _, s := range []*huma.Schema{read, create.Schema, update.Schema} {
		if s.AdditionalProperties != false || s.Type != huma.TypeObject {
			t.Errorf("additional properties %v of %s", s.AdditionalProperties, s.Type)
		}
	}
	if diff := cmp.Diff([]string{"Title", "id", "nothing"}, create.Unknown(map[string]any{"title": "", "Title": "", "id": 1, "nothing": 1})); diff != "" {
		t.Errorf("unknown: %s", diff)
	}
}

func TestProperties(t *testing.T) {
	_, read, create, update := shapes[Task](t)
	for _, c := range []struct {
		schema     *huma.Schema
		name, want string
	}{
		{create.Schema, "title", `{"description":"What to do.","maxLength":20,"minLength":1,"type":"string"}`},
		{create.Schema, "kind", `{"default":"home","enum":["home","work"],"type":"string"}`},
		{read, "kind", `{"enum":["home","work"],"type":"string"}`},
		{update.Schema, "kind", `{"enum":["home","work"],"type":"string"}`},
		{create.Schema, "level", `{"enum":["glad","sad",null],"type":["string","null"]}`},
		{create.Schema, "priority", `{"default":2,"enum":[1,2,3],"format":"int32","maximum":127,"minimum":-128,"type":"integer"}`},
		{create.Schema, "weight", `{"enum":[1,1.5],"format":"double","minimum":0,"type":"number"}`},
		{create.Schema, "code", `{"maxLength":8,"pattern":"^[a-z]+$","type":"string"}`},
		{create.Schema, "price", `{"default":"9.50","description":"A decimal number \u003e= 1.","pattern":"^-?[0-9]+(\\.[0-9]+)?$","type":"string"}`},
		{create.Schema, "due", `{"default":"2026-01-31T12:00:00Z","format":"date","type":"string"}`},
		{read, "due", `{"format":"date-time","type":"string"}`},
		{create.Schema, "tags", `{"default":["a"],"items":{"enum":["a","b"],"type":"string"},"maxItems":2,"type":"array"}`},
		{create.Schema, "scores", `{"items":{"enum":[1,2],"format":"int64","type":"integer"},"type":["array","null"],"uniqueItems":true}`},
		{create.Schema, "home", `{"$ref":"#/components/schemas/Address"}`},
		{create.Schema, "work", `{"additionalProperties":false,"properties":{"city":{"type":"string"},"street":{"type":"string"}},"required":["city","street"],"type":["object","null"]}`},
		{create.Schema, "blob", `{"contentEncoding":"base64","type":["string","null"]}`},
		{read, "id", `{"format":"int64","readOnly":true,"type":"integer"}`},
		{read, "created_at", `{"format":"date-time","readOnly":true,"type":"string"}`},
		{create.Schema, "id", `null`}, {create.Schema, "hidden", `null`}, {read, "hidden", `null`}, {read, "secret", `null`},
	} {
		if got := property(t, c.schema, c.name); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if diff := cmp.Diff(map[string][]string{"work": {"home"}}, create.Schema.DependentRequired); diff != "" {
		t.Error(diff)
	}
}

// validate runs huma's validation and returns its messages.
func validate(r huma.Registry, s *huma.Schema, v any) string {
	path := huma.NewPathBuffer(nil, 0)
	path.Push("body")
	var result huma.ValidateResult
	huma.Validate(r, s, path, huma.ModeWriteToServer, v, &result)
	messages := make([]string, len(result.Errors))
	for i, err := range result.Errors {
		messages[i] = err.Error()
	}
	return strings.Join(messages, "\n")
}

func TestSchemasValidate(t *testing.T) {
	r, _, create, update := shapes[Task](t)
	for _, c := range []struct {
		shape *model.Shape
		body  string
		want  string // part of the messages; "" when it is valid
	}{
		{create, `{"title":"x","code":"ab"}`, ""},
		{create, `{"title":"x","code":"ab","level":null,"blob":"","scores":[1,2],"work":null,"weight":1,"priority":3}`, ""},
		{create, `{"title":"x","code":"ab","weight":1.5,"work":{"city":"","street":""},"home":{"city":"a","street":"b"}}`, ""},
		{create, `{"code":"ab"}`, "expected required property title to be present"},
		{create, `{"title":"","code":"ab"}`, "expected length >= 1"},
		{create, `{"title":"x","code":"AB"}`, "expected string to match pattern"},
		{create, `{"title":"x","code":"abcdefghi"}`, "expected length <= 8"},
		{create, `{"title":"x","code":"ab","level":"mad"}`, `expected value to be one of "glad, sad"`},
		{create, `{"title":"x","code":"ab","priority":4}`, `expected value to be one of "1, 2, 3"`},
		{create, `{"title":"x","code":"ab","weight":2}`, `expected value to be one of "1, 1.5"`},
		{create, `{"title":"x","code":"ab","scores":[1,1]}`, "expected array items to be unique"},
		{create, `{"title":"x","code":"ab","scores":[3]}`, `expected value to be one of "1, 2"`},
		{create, `{"title":"x","code":"ab","tags":["a","b","a"]}`, "expected array length <= 2"},
		{create, `{"title":"x","code":"ab","price":9}`, "expected string"},
		{create, `{"title":"x","code":"ab","price":"1e3"}`, "expected string to match pattern"},
		{create, `{"title":"x","code":"ab","work":{"city":"a"}}`, "expected required property street to be present"},
		{create, `{"title":"x","code":"ab","work":{"city":"a","street":"b"}}`, "expected property home to be present when work is present"},
		{create, `{"title":"x","code":"ab","home":{"city":"a","street":"b","zip":"c"}}`, "unexpected property"},
		{create, `{"title":"x","code":"ab","read":"x"}`, "unexpected property"},
		{create, `{"title":"x","code":"ab","hidden":"x"}`, "unexpected property"},
		{create, `{"title":"x","code":"ab","id":1}`, "unexpected property"},
		{update, `{}`, ""},
		{update, `{"done":false,"level":null}`, ""},
		{update, `{"code":"ab"}`, "unexpected property"},
		{update, `[]`, "expected object"},
	} {
		got := validate(r, c.shape.Schema, decode(t, []byte(c.body)))
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.body, got, c.want)
		}
	}
}

// TestRowsSatisfyTheirSchema lets huma check what AppendRow writes.
func TestRowsSatisfyTheirSchema(t *testing.T) {
	m := parse[Everything](t)
	r := registry()
	read, _, _, err := m.Shapes(r)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		x := everything().Draw(t, "struct")
		x.Mood = "glad"
		row, err := m.FromStruct(context.Background(), reflect.ValueOf(x))
		if err != nil {
			t.Fatal(err)
		}
		object := m.AppendRow(nil, row)
		if got := validate(r, read, decode(t, object)); got != "" {
			t.Fatalf("%s: %s", object, got)
		}
	})
}

func TestSchemaMistakes(t *testing.T) {
	type length struct {
		ID int64
		A  string `minLength:"one"`
	}
	type pattern struct {
		ID int64
		A  string `pattern:"("`
	}
	type value struct {
		ID int64
		A  int8 `default:"many"`
	}
	type wide struct {
		ID int64
		A  int8 `default:"300"`
	}
	type low struct {
		ID int64
		A  string `gorm:"type:numeric(3,1)" default:"1.25"`
	}
	type depends struct {
		ID int64
		A  string `dependentRequired:"b"`
	}
	type objects struct {
		ID int64
		A  []Address `gorm:"serializer:json" uniqueItems:"true"`
	}
	for _, c := range []struct {
		m    *model.Model
		want string
	}{
		{parse[objects](t), "model_test.objects.A: uniqueItems needs items that are strings"},
		{parse[length](t), "model_test.length.A: invalid int tag 'minLength'"},
		{parse[pattern](t), "model_test.pattern.A: regexp"},
		{parse[value](t), "model_test.value.A: "},
		{parse[wide](t), `model_test.wide.A: default:"300": expected integer from -128 to 127`},
		{parse[low](t), `model_test.low.A: default:"1.25": expected decimal number with at most 2 digits before the point and 1 after it`},
		{parse[depends](t), `model_test.depends.A: dependentRequired:"b": there is no field "b"`},
	} {
		_, _, _, err := c.m.Shapes(registry())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Count(err.Error(), c.want) != 1 {
			t.Errorf("got %v, want %q once", err, c.want)
		}
	}
}
