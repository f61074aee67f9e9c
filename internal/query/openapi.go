package query

import (
	"fmt"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// Parameters documents what [Parse] accepts.
func Parameters(m *model.Model, limits Limits) []*huma.Param {
	limits = limits.withDefaults()
	params := FilterParameters(m)
	if order := orderParameter(m, limits); order != nil {
		params = append(params, order)
	}
	return append(params,
		pageParameter("limit", limits.MaxPage, limits.Page, fmt.Sprintf(
			"The number of rows, %d unless given; a larger one than %d counts as %[2]d.", limits.Page, limits.MaxPage)),
		pageParameter("offset", MaxOffset, 0, "The number of rows to leave out at the beginning."))
}

// FilterParameters documents what [ParseFilter] accepts.
func FilterParameters(m *model.Model) []*huma.Param {
	var params []*huma.Param
	for _, f := range m.Fields {
		if visible(f) && !slices.Contains(reserved(), f.Name) {
			params = append(params, fieldParameter(f))
		}
	}
	key := m.Fields[m.Table.Key[0]]
	example := fmt.Sprintf("(%s.%s)", key.Name, exampleOf(key.Kind))
	for _, group := range []struct{ name, holds string }{
		{"and", "all of them hold"}, {"or", "one of them holds"}, {"not.and", "not all of them hold"}, {"not.or", "none of them holds"},
	} {
		params = append(params, parameterOf(group.name, &huma.Schema{Type: huma.TypeString}, example, fmt.Sprintf(
			"Conditions in parentheses, separated by commas, of which %s. A condition is `field.operator.value`, `and(…)` or "+
				"`or(…)`, after `not.` where it is negated. Values with commas or parentheses stand in double quotes, "+
				`with \ before " and \.`, group.holds)))
	}
	return params
}

func fieldParameter(f *model.Field) *huma.Param {
	schema := &huma.Schema{AnyOf: []*huma.Schema{
		{Type: huma.TypeString},
		{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}},
	}}
	operators := strings.Join(allowed(f), "`, `")
	param := parameterOf(f.Name, schema, exampleOf(f.Kind), fmt.Sprintf(
		"Rows whose %s (%s) satisfies `operator.value` or `not.operator.value`, with one of the operators `%s`. A value "+
			"alone means `eq`. Given more than once, all hold.", f.Name, f.Kind, operators))
	explode := true
	param.Style, param.Explode = "form", &explode
	return param
}

// orderParameter is nil where no field has an order. The names of fields are letters, digits, _ and -.
func orderParameter(m *model.Model, limits Limits) *huma.Param {
	var names []string
	for _, f := range m.Fields {
		if visible(f) && sortable(f) {
			names = append(names, f.Name, `"`+f.Name+`"`)
		}
	}
	if len(names) == 0 {
		return nil
	}
	term := fmt.Sprintf(` *(%s) *(\.asc|\.desc)?(\.nullsfirst|\.nullslast)? *`, strings.Join(names, "|"))
	schema := &huma.Schema{Type: huma.TypeString, Pattern: fmt.Sprintf("^%s(,%s){0,%d}$", term, term, limits.Orders-1)}
	return parameterOf("order", schema, names[0]+".desc.nullslast",
		"The fields to order by, separated by commas, each with `.asc` or `.desc` and `.nullsfirst` or `.nullslast`. Without "+
			"them a field is ascending, and null comes last in both directions.")
}

func pageParameter(name string, maximum, value int, description string) *huma.Param {
	low, high := 0.0, float64(maximum)
	return parameterOf(name, &huma.Schema{Type: huma.TypeInteger, Minimum: &low, Maximum: &high, Default: value}, nil, description)
}

func parameterOf(name string, schema *huma.Schema, example any, description string) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: schema, Example: example}
}

func exampleOf(kind predicate.Kind) string {
	switch kind {
	case predicate.Bool:
		return "is.true"
	case predicate.Int:
		return "gte.10"
	case predicate.Float:
		return "lt.9.5"
	case predicate.Decimal:
		return "eq.9.50"
	case predicate.Text:
		return "like.*milk*"
	case predicate.UUID:
		return "eq.0198c0de-0000-7000-8000-000000000001"
	case predicate.Bytes:
		return "eq.bWlsaw=="
	case predicate.Time:
		return "gte.2026-01-31T12:00:00Z"
	default:
		return "is.not_null"
	}
}
