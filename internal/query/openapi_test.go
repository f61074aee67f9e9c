package query

import (
	"regexp"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParametersAreThoseOfParse(t *testing.T) {
	t.Parallel()
	m := parseModel(t, sample{})
	var names []string
	for _, param := range Parameters(m, Limits{}) {
		names = append(names, param.Name)
		if param.In != "query" || param.Required || param.Description == "" {
			t.Errorf("%+v", param)
		}
		if example, ok := param.Example.(string); ok {
			q, err := Parse(escapeParameter(param.Name, example), m, Limits{})
			if err != nil || q.Filter == nil && len(q.Order) == 0 {
				t.Errorf("%s=%s: %v", param.Name, example, err)
			}
		} else if param.Schema.Type != huma.TypeInteger {
			t.Errorf("%s has no example", param.Name)
		}
	}
	want := []string{
		"id", "task", "done", "price", "cost", "ref", "data", "at", "due", "meta", "eq",
		"and", "or", "not.and", "not.or", "order", "limit", "offset",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func escapeParameter(name, value string) string {
	var b strings.Builder
	writeParameter(&b, parameter{name, value})
	return b.String()
}

func TestParametersOfAField(t *testing.T) {
	t.Parallel()
	m := parseModel(t, sample{})
	task := find(t, Parameters(m, Limits{}), "task")
	if task.Style != "form" || task.Explode == nil || !*task.Explode {
		t.Errorf("%+v", task)
	}
	if s := task.Schema; len(s.AnyOf) != 2 || s.AnyOf[0].Type != "string" || s.AnyOf[1].Type != "array" || s.AnyOf[1].Items.Type != "string" {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(task.Description, "`like`") || strings.Contains(find(t, Parameters(m, Limits{}), "id").Description, "`like`") {
		t.Error("operators are not the kind's")
	}
	limit := find(t, Parameters(m, Limits{Page: 7, MaxPage: 70}), "limit").Schema
	if *limit.Minimum != 0 || *limit.Maximum != 70 || limit.Default != 7 {
		t.Errorf("%+v", limit)
	}
}

func find(t *testing.T, params []*huma.Param, name string) *huma.Param {
	t.Helper()
	for _, param := range params {
		if param.Name == name {
			return param
		}
	}
	t.Fatalf("no parameter %s", name)
	return nil
}

// TestOrderPattern holds the documented pattern against the parser.
func TestOrderPattern(t *testing.T) {
	t.Parallel()
	m := parseModel(t, sample{})
	for _, limits := range []Limits{{}, {Orders: 3}} {
		pattern := regexp.MustCompile(find(t, Parameters(m, limits), "order").Schema.Pattern)
		rapid.Check(t, func(t *rapid.T) {
			piece := rapid.SampledFrom([]string{
				"id", "task", "cost", "meta", "hidden", "nope", "order", `"id"`, ",", ",", ".desc", ".asc", ".nullsfirst", ".nullslast", " ",
			})
			text := strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "order"), "")
			_, err := Parse(escapeParameter("order", text), m, limits)
			accepted := err == nil
			if accepted && !pattern.MatchString(text) {
				t.Fatalf("%q is accepted, but not documented by %s", text, pattern)
			}
			if !accepted && pattern.MatchString(text) && !strings.Contains(err.Error(), "each field once") && !strings.Contains(text, `" `) {
				t.Fatalf("%q is documented: %v", text, err)
			}
		})
	}
}

func TestParametersWithoutOrder(t *testing.T) {
	t.Parallel()
	type decimals struct {
		Amount string `json:"amount" gorm:"primaryKey;type:decimal(10,2)"`
	}
	m := parseModel(t, decimals{})
	for _, c := range []struct {
		limits Limits
		want   []string
	}{
		{Limits{}, []string{"amount", "and", "or", "not.and", "not.or", "order", "limit", "offset"}},
	} {
		var names []string
		for _, param := range Parameters(m, c.limits) {
			names = append(names, param.Name)
		}
		if diff := cmp.Diff(c.want, names); diff != "" {
			t.Error(diff)
		}
	}
}
