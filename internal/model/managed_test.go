package model_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

type managedRow struct {
	ID      int64
	Owner   int64   `cape:"auth.id"`
	Role    string  `cape:"auth.role"`
	Tenant  string  `cape:"claims.tenant"`
	Team    string  `cape:"claims.team,optional"`
	Parent  *string `cape:"claims.parent,optional"`
	Comment string
}

func TestFillManaged(t *testing.T) {
	t.Parallel()
	m := parse[managedRow](t)
	id := predicate.Caller{ID: "7", Roles: []string{"editor", "admin"}, Claims: map[string]any{"tenant": []any{"a", "b"}}}
	text := predicate.TextValue
	for _, test := range []struct {
		field  string
		caller predicate.Caller
		given  bool
		value  predicate.Value
		want   predicate.Value
		reason string
	}{
		{"owner", id, false, predicate.Value{}, predicate.IntValue(7), ""},
		{"owner", id, true, predicate.IntValue(7), predicate.IntValue(7), ""},
		{"owner", id, true, predicate.IntValue(8), predicate.Value{}, "cannot be given another value"},
		{"owner", id, true, predicate.Value{}, predicate.Value{}, "cannot be given another value"},
		{"owner", predicate.Caller{ID: "007"}, false, predicate.Value{}, predicate.Value{}, "which lacks it"},
		{"owner", predicate.Caller{}, true, predicate.IntValue(7), predicate.Value{}, "which lacks it"},
		{"role", id, false, predicate.Value{}, text("editor"), ""},
		{"role", id, true, text("admin"), predicate.Value{}, "cannot be given another value"},
		{"role", predicate.Caller{ID: "7"}, false, predicate.Value{}, predicate.Value{}, "which lacks it"},
		{"tenant", id, false, predicate.Value{}, predicate.Value{}, "has several"},
		{"tenant", id, true, text("b"), text("b"), ""},
		{"tenant", id, true, text("c"), predicate.Value{}, "cannot be given another value"},
		{"tenant", predicate.Caller{Claims: map[string]any{"tenant": []any{}}}, true, text("a"), predicate.Value{}, "which lacks it"},
		{"team", id, false, predicate.Value{}, text(""), ""},
		{"team", id, true, text(""), text(""), ""},
		{"team", id, true, text("x"), predicate.Value{}, "cannot be given another value"},
		{"team", predicate.Caller{Claims: map[string]any{"team": "red"}}, true, text(""), predicate.Value{}, "cannot be given another value"},
		{"parent", id, false, predicate.Value{}, predicate.Value{}, ""},
		{"parent", id, true, text(""), predicate.Value{}, "cannot be given another value"},
	} {
		got, err := field(t, m, test.field).FillManaged(test.caller, test.given, test.value)
		switch {
		case test.reason != "":
			if err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("%s of %+v, given %v %v: %v, %v, want an error with %q", test.field, test.caller, test.given, test.value, got, err, test.reason)
			}
		case err != nil || got != test.want:
			t.Errorf("%s of %+v, given %v %v: %v, %v, want %v", test.field, test.caller, test.given, test.value, got, err, test.want)
		}
	}
}

func TestKeepManaged(t *testing.T) {
	t.Parallel()
	m := parse[managedRow](t)
	var refused []string
	for _, f := range m.Fields {
		if f.KeepManaged(predicate.IntValue(1), predicate.IntValue(1)) != nil {
			t.Errorf("%s may not stay as it is", f.Name)
		}
		if f.KeepManaged(predicate.IntValue(1), predicate.Value{}) != nil {
			refused = append(refused, f.Name)
		}
	}
	if want := []string{"owner", "role", "tenant", "team", "parent"}; !slices.Equal(refused, want) {
		t.Errorf("refused %v, want %v", refused, want)
	}
	if _, list := field(t, m, "comment").ManagedValues(predicate.Caller{ID: "7"}); list || field(t, m, "comment").Managed.Source != model.FromBody {
		t.Error("comment is managed")
	}
}
