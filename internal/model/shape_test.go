package model_test

import (
	"database/sql"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Drafted is part of structs that stand in.
type Drafted struct {
	Title string `json:"title" maxLength:"5"`
}

type taskInput struct {
	Drafted
	Owner  *string         `json:"owner"`
	Kind   Mood            `json:"kind" enum:"home" default:"home"`
	Level  sql.NullString  `json:"level"`
	Hidden string          `json:"hidden,omitempty"`
	Price  string          `json:"price"`
	Due    *time.Time      `json:"due"`
	Tags   json.RawMessage `json:"tags" required:"false"`
	Blob   string          `json:"blob" required:"false"`
	Done   *bool
	Local  string `json:"-"`
	unseen string
}

func TestShapeOfAnotherStruct(t *testing.T) {
	m := parse[Task](t)
	r := registry()
	_ = taskInput{}.unseen
	shape, err := m.Shape(reflect.TypeFor[taskInput](), r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"owner", "title", "kind", "level", "price", "due", "tags", "blob", "done", "hidden"}, names(shape.Fields)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"title", "price"}, shape.Schema.Required); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"kind": "home"}, shape.Defaults); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{
		"title": `{"maxLength":5,"type":"string"}`,
		"kind":  `{"default":"home","enum":["home"],"type":"string"}`,
		"level": `{"type":["string","null"]}`,
		"due":   `{"format":"date-time","type":"string"}`,
		"blob":  `{"contentEncoding":"base64","type":"string"}`,
	} {
		if got := property(t, shape.Schema, name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	for body, want := range map[string]string{
		`{"title":"x","price":"1"}`:                                         "",
		`{"title":"toolong","price":"1","due":"2026-01-31T12:00:00Z"}`:      "expected length <= 5",
		`{"title":"x","price":"1","due":"2026-01-31T12:00:00Z","code":"a"}`: "unexpected property",
	} {
		if got := validate(r, shape.Schema, decode(t, []byte(body))); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", body, got, want)
		}
	}
}

func TestUpdateShape(t *testing.T) {
	type rename struct {
		Title string `json:"title" minLength:"3"`
		Kind  string `json:"kind" default:"work"`
	}
	type recode struct {
		Code string `json:"code"`
	}
	m := parse[Task](t)
	shape, err := m.UpdateShape(reflect.TypeFor[rename](), registry())
	if err != nil {
		t.Fatal(err)
	}
	if len(shape.Schema.Required) != 0 || len(shape.Defaults) != 0 || property(t, shape.Schema, "kind") != `{"type":"string"}` {
		t.Errorf("required %v, defaults %v, kind %s", shape.Schema.Required, shape.Defaults, property(t, shape.Schema, "kind"))
	}
	_, err = m.UpdateShape(reflect.TypeFor[recode](), registry())
	if err == nil || !strings.Contains(err.Error(), "model_test.recode.Code: model_test.Task.Code cannot be changed after it is created") {
		t.Error(err)
	}
	if _, err = m.Shape(reflect.TypeFor[recode](), registry()); err != nil {
		t.Error(err)
	}
}

func TestShapeMistakes(t *testing.T) {
	type unknown struct {
		Titel string `json:"titel"`
	}
	type secret struct {
		Secret string `json:"secret"`
	}
	type readonly struct {
		Read string `json:"read"`
	}
	type key struct {
		ID int64 `json:"id"`
	}
	type kind struct {
		Title int `json:"title"`
	}
	type float struct {
		Priority float64 `json:"priority"`
	}
	type document struct {
		Home string `json:"home"`
	}
	type bounds struct {
		Price string `json:"price" minimum:"2"`
	}
	type twice struct {
		Other string `json:"title"`
		Title string
	}
	type badDefault struct {
		Priority int8 `json:"priority" default:"300"`
	}
	type empty struct{}
	for _, c := range []struct {
		t    reflect.Type
		want string
	}{
		{reflect.TypeFor[unknown](), `model_test.unknown.Titel: model_test.Task has no field with the JSON name "titel"; it has owner, title, kind`},
		{reflect.TypeFor[secret](), `has no field with the JSON name "secret"`},
		{reflect.TypeFor[readonly](), "model_test.readonly.Read: model_test.Task.Read is readonly"},
		{reflect.TypeFor[key](), "model_test.key.ID: model_test.Task.ID is readonly"},
		{reflect.TypeFor[kind](), "model_test.kind.Title: a int is not compatible with model_test.Task.Title, a string"},
		{reflect.TypeFor[float](), "a float64 is not compatible with model_test.Task.Priority, a int8"},
		{reflect.TypeFor[document](), "a string is not compatible with model_test.Task.Home, a model_test.Address"},
		{reflect.TypeFor[bounds](), "the bounds of a decimal belong on model_test.Task.Price"},
		{reflect.TypeFor[twice](), `model_test.twice.Title: two fields have the JSON name "title"`},
		{reflect.TypeFor[badDefault](), `model_test.badDefault.Priority: default:"300": expected integer`},
		{reflect.TypeFor[empty](), "model_test.empty has no fields"},
		{reflect.TypeFor[int](), "int is no struct"},
	} {
		_, err := parse[Task](t).Shape(c.t, registry())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
