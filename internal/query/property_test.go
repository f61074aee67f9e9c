package query

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// TestRoundTrip writes random queries in random spellings and reads them back.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	m := parseModel(t, sample{})
	limits := Limits{Length: 1 << 20, Terms: 1000}
	texts := rapid.OneOf(
		rapid.StringMatching(`[a-z.,()"\\ é😀%+&=;#\n]{0,8}`), rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return r != 0 }), 0, 8, -1),
		rapid.SampledFrom([]string{"", "null", "not.eq.x", "eq.x", "match.x", "in.(a)", " ", `"`, `"a"`, `\`, "and(a.eq.1)"}),
	)
	rapid.Check(t, func(t *rapid.T) {
		w := writer{t, m, texts}
		var params []string
		var filters []*predicate.Expr
		for range rapid.IntRange(0, 4).Draw(t, "parameters") {
			param, e := w.parameter()
			params = append(params, param)
			filters = append(filters, e)
		}
		want := Query{Limit: 100, Filter: conjunction(filters)}
		if w.chance("order") {
			var param string
			param, want.Order = w.order()
			params = append(params, param)
		}
		if want.LimitGiven = w.chance("limit"); want.LimitGiven {
			want.Limit = rapid.IntRange(0, 1000).Draw(t, "limit")
			params = append(params, "limit="+strconv.Itoa(want.Limit))
		}
		raw := strings.Join(params, "&")
		got, err := Parse(raw, m, limits)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if diff := cmp.Diff(want, *got, sameTree()); diff != "" {
			t.Fatalf("%s:\n got %s\nwant %s\n%s", raw, describe(m, got.Filter), describe(m, want.Filter), diff)
		}
		if again, err := Parse(got.WithOffset(0), m, limits); err != nil || !cmp.Equal(got, again, sameTree()) {
			t.Fatalf("%s: WithOffset %s: %v", raw, got.WithOffset(0), err)
		}
	})
}

// writer draws conditions and writes them.
type writer struct {
	*rapid.T
	model *model.Model
	texts *rapid.Generator[string]
}

func (w writer) chance(label string) bool { return rapid.Bool().Draw(w.T, label) }

func (w writer) parameter() (string, *predicate.Expr) {
	negated := w.chance("negated")
	if w.chance("group") {
		operator := rapid.SampledFrom([]string{"and", "or"}).Draw(w.T, "group operator")
		text, e := w.members(operator, 3)
		if negated {
			operator = "not." + operator
		}
		return operator + "=" + url.QueryEscape(text), negate(e, negated)
	}
	f := w.field(func(f *model.Field) bool { return !slices.Contains(reserved(), f.Name) })
	operator, operand, e := w.leaf(f, false)
	text := operator + "." + operand
	if operator == "eq" && !negated {
		if c, _, foreign := cutOperator(operand); c.operator == "" && !foreign && w.chance("bare") {
			text = operand
		}
	}
	if negated {
		text = "not." + text
	}
	return url.QueryEscape(f.Name) + "=" + url.QueryEscape(text), negate(e, negated)
}

// members writes a parenthesis of two members or more: one alone would be read as the member itself.
func (w writer) members(operator string, depth int) (string, *predicate.Expr) {
	e := &predicate.Expr{Op: predicate.And}
	if operator == "or" {
		e.Op = predicate.Or
	}
	var texts []string
	for range rapid.IntRange(2, 4).Draw(w.T, "members") {
		text, arg := w.member(depth)
		texts = append(texts, w.spaces()+text)
		e.Args = append(e.Args, arg)
	}
	return "(" + strings.Join(texts, ",") + ")" + w.spaces(), e
}

func (w writer) spaces() string { return rapid.SampledFrom([]string{"", " "}).Draw(w.T, "spaces") }

func (w writer) member(depth int) (string, *predicate.Expr) {
	prefix := w.chance("negated before")
	text, e := "", (*predicate.Expr)(nil)
	if depth > 0 && rapid.IntRange(0, 2).Draw(w.T, "nested") == 0 {
		operator := rapid.SampledFrom([]string{"and", "or"}).Draw(w.T, "nested operator")
		text, e = w.members(operator, depth-1)
		text = operator + text
	} else {
		f := w.field(func(*model.Field) bool { return true })
		operator, operand, leaf := w.leaf(f, true)
		if e = leaf; w.chance("negated within") {
			e, operator = negate(e, true), "not."+operator
		}
		name := f.Name
		if w.chance("quoted name") || prefix && slices.Contains(operators(), name) {
			name = `"` + name + `"`
		}
		text = name + "." + operator + "." + operand
	}
	if prefix {
		text = "not." + text
	}
	return text, negate(e, prefix)
}

func (w writer) field(usable func(*model.Field) bool) *model.Field {
	var fields []*model.Field
	for _, f := range w.model.Fields {
		if visible(f) && usable(f) {
			fields = append(fields, f)
		}
	}
	return rapid.SampledFrom(fields).Draw(w.T, "field")
}

// leaf draws an operator and what it is given; within a group values are quoted where they must be.
func (w writer) leaf(f *model.Field, grouped bool) (operator, operand string, e *predicate.Expr) {
	operator = rapid.SampledFrom(allowed(f)).Draw(w.T, "operator")
	e = &predicate.Expr{Column: f.Column, Kind: f.Kind}
	switch operator {
	case "is":
		operand, e = w.is(e)
		return operator, operand, e
	case "in":
		e.Op = predicate.In
		var texts []string
		for range rapid.IntRange(0, 3).Draw(w.T, "values") {
			v := w.value(f.Kind)
			e.Values = append(e.Values, v)
			texts = append(texts, w.spell(v.String(), true))
		}
		if len(texts) == 1 && texts[0] == "" {
			texts[0] = `""`
		}
		return operator, "(" + strings.Join(texts, ",") + ")", e
	case "like":
		e.Op = predicate.Like
	case "ilike":
		e.Op = predicate.ILike
	default:
		e.Op = comparison(operator)
	}
	v := w.value(f.Kind)
	e.Values = []predicate.Value{v}
	return operator, w.spell(v.String(), grouped), e
}

func (w writer) is(e *predicate.Expr) (operand string, result *predicate.Expr) {
	operands := []string{"null", "NULL", "not_null"}
	if e.Kind == predicate.Bool {
		operands = append(operands, "true", "false", "unknown")
	}
	operand = rapid.SampledFrom(operands).Draw(w.T, "is")
	switch operand {
	case "true":
		e.Op = predicate.IsTrue
	case "false":
		e.Op = predicate.IsFalse
	default:
		e.Op = predicate.IsNull
	}
	return operand, negate(e, operand == "not_null")
}

func (w writer) spell(text string, grouped bool) string {
	if !grouped || !strings.ContainsAny(text, `,)`) && !strings.HasPrefix(strings.TrimLeft(text, " "), `"`) && w.chance("unquoted") {
		return text
	}
	return w.spaces() + `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"` + w.spaces()
}

func (w writer) value(kind predicate.Kind) predicate.Value {
	text := ""
	switch kind {
	case predicate.Bool:
		return predicate.BoolValue(w.chance("value"))
	case predicate.Int:
		return predicate.IntValue(rapid.Int64().Draw(w.T, "value"))
	case predicate.Float:
		return predicate.FloatValue(rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).Draw(w.T, "value"))
	case predicate.Bytes:
		return predicate.BytesValue(rapid.SliceOf(rapid.Byte()).Draw(w.T, "value"))
	case predicate.Time:
		micros := rapid.Int64Range(-62135596800e6, 253402300800e6-1).Draw(w.T, "value")
		return predicate.TimeValue(time.UnixMicro(micros))
	case predicate.Decimal:
		text = fmt.Sprintf("%d.%02d", rapid.IntRange(-1e7, 1e7).Draw(w.T, "value"), rapid.IntRange(0, 99).Draw(w.T, "cents"))
	case predicate.UUID:
		var id uuid.UUID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(w.T, "value"))
		text = id.String()
	default:
		text = w.texts.Draw(w.T, "value")
	}
	v, ok := predicate.Parse(kind, text)
	if !ok {
		w.Fatalf("%s is not a value of kind %s", text, kind)
	}
	return v
}

func (w writer) order() (string, []Term) {
	var terms []Term
	var texts []string
	for range rapid.IntRange(1, 4).Draw(w.T, "terms") {
		f := w.field(sortable)
		if slices.ContainsFunc(terms, func(term Term) bool { return term.Column == f.Column }) {
			continue
		}
		term := Term{Column: f.Column, Descending: w.chance("descending"), NullsFirst: w.chance("nulls first")}
		text := w.spaces() + rapid.SampledFrom([]string{f.Name, `"` + f.Name + `"`}).Draw(w.T, "name")
		if term.Descending {
			text += ".desc"
		} else if w.chance("explicit") {
			text += ".asc"
		}
		if term.NullsFirst {
			text += ".nullsfirst"
		} else if w.chance("explicit") {
			text += ".nullslast"
		}
		terms = append(terms, term)
		texts = append(texts, text+w.spaces())
	}
	return "order=" + url.QueryEscape(strings.Join(texts, ",")), terms
}

// FuzzParse holds that whatever is refused is refused as a 400, and what is accepted is the same when it is written
// again for the next page.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"id=eq.1&task=not.like.*a*&order=id.desc.nullslast,task&limit=5&offset=2", "or=(id.eq.1,not.and(task.is.null,id.in.(1,2)))",
		`task=in.(a,"b,c","d\"\\e)")`, "task=%ff", "task=%", "and=((((((((((((", `or=("task".eq.1,not.eq.eq.x)`, "id=not.in.()",
		"task=match.x", "done=is.unknown", "not.or=(id.eq.x,nope.eq.1)", "cost=1.50&ref=0198c0de-0000-7000-8000-000000000001",
		"at=2026-01-31T12:00:00.5Z&data=bWlsaw==&price=1e3&meta=is.not_null", "hidden=x", "limit=99999999999999999999", "&=&;=&?#",
	} {
		f.Add(seed)
	}
	m := parseModel(f, sample{})
	f.Fuzz(func(t *testing.T, raw string) {
		if e, err := ParseFilter(raw, m, Limits{}, "since"); err != nil {
			_ = checkProblem(t, raw, err)
			if e != nil {
				t.Fatalf("%q: a filter beside an error", raw)
			}
		}
		q, err := Parse(raw, m, Limits{})
		if err != nil {
			_ = checkProblem(t, raw, err)
			return
		}
		if q.Limit < 0 || q.Limit > 1000 || q.Offset < 0 || q.Offset > MaxOffset {
			t.Fatalf("%q: %+v", raw, q)
		}
		if q.Filter != nil {
			q.Filter.Columns(func(column int) {
				if !visible(m.Fields[column]) {
					t.Fatalf("%q reads %s", raw, m.Fields[column].Name)
				}
			})
		}
		written := q.WithOffset(q.Offset)
		if strings.ContainsAny(written, "<> \"\r\n") {
			t.Fatalf("%q: %s would break a header", raw, written)
		}
		again, err := Parse(written, m, Limits{Length: 1 << 20})
		if err != nil {
			t.Fatalf("%q: %s: %v", raw, written, err)
		}
		if diff := cmp.Diff(q, again, sameTree()); diff != "" {
			t.Fatalf("%q: %s:\n%s", raw, written, diff)
		}
	})
}
