// Package query reads the query string of a list, or the filter of a stream, into a predicate tree and a page. The
// grammar is PostgREST's: task=like.*milk*, or=(id.lt.10,not.and(a.is.null,b.in.(1,2))), order=id.desc.nullslast.
package query

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
)

// MaxOffset is the largest offset: the largest integer that every client's numbers hold.
const MaxOffset = 1 << 53

// Limits bounds what a query may ask. Zero fields take the defaults.
type Limits struct {
	Page      int // rows without limit=; default 100
	MaxPage   int // largest limit=, larger ones count as it; default 1,000
	Length    int // bytes of the query string; default 8 KiB
	Depth     int // of and(…) and or(…) in each other; default 10
	Terms     int // conditions; default 100
	Values    int // in one in.(…); default 500
	Pattern   int // code points of a like or ilike; default 1,000
	Wildcards int // any-text wildcards in one pattern; default 20
	Orders    int // terms of order=; default 10
}

func (l Limits) withDefaults() Limits {
	for _, limit := range []struct {
		field *int
		value int
	}{
		{&l.Page, 100}, {&l.MaxPage, 1000}, {&l.Length, 8 << 10}, {&l.Depth, 10}, {&l.Terms, 100}, {&l.Values, 500},
		{&l.Pattern, 1000}, {&l.Wildcards, 20}, {&l.Orders, 10},
	} {
		if *limit.field == 0 {
			*limit.field = limit.value
		}
	}
	l.Page = min(l.Page, l.MaxPage)
	return l
}

// Query is what a list asks.
type Query struct {
	Filter     *predicate.Expr // nil: every row
	Order      []Term          // as given; the caller adds the key
	Limit      int             // at most Limits.MaxPage; may be 0
	LimitGiven bool
	Offset     int64

	parameters []parameter
}

// Term is one column of an order.
type Term struct {
	Column     int // index into the model's fields
	Descending bool
	NullsFirst bool // otherwise NULL is last, in both directions
}

// Parse reads the query string of a list, which is still encoded. Errors are *problem.Error with code invalid_query and
// name each mistake.
func Parse(raw string, m *model.Model, limits Limits) (*Query, error) {
	p := newParser(m, limits)
	q := &Query{Limit: p.limits.Page, parameters: p.split(raw)}
	var filters []*predicate.Expr
	for i, param := range q.parameters {
		if p.stopped {
			break
		}
		switch param.name {
		case "order", "limit", "offset":
			if slices.ContainsFunc(q.parameters[:i], func(earlier parameter) bool { return earlier.name == param.name }) {
				p.mistake(param.location(), "expected once")
				continue
			}
			p.page(q, param)
		default:
			filters = append(filters, p.filter(param))
		}
	}
	q.Filter = conjunction(filters)
	if err := p.err(); err != nil {
		return nil, err
	}
	return q, nil
}

// ParseFilter reads a query string that holds conditions alone, and parameters of the route's own, which it leaves to
// the route. The result is nil where there is no condition. Errors are those of [Parse].
func ParseFilter(raw string, m *model.Model, limits Limits, own ...string) (*predicate.Expr, error) {
	p := newParser(m, limits)
	var filters []*predicate.Expr
	for _, param := range p.split(raw) {
		if p.stopped {
			break
		}
		if !slices.Contains(own, param.name) {
			filters = append(filters, p.filter(param))
		}
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return conjunction(filters), nil
}

func conjunction(filters []*predicate.Expr) *predicate.Expr {
	if len(filters) == 0 {
		return nil
	}
	return predicate.All(filters...)
}

// WithOffset returns the encoded query string of the same list from another row, all other parameters as they were. It
// is safe within the angle brackets of a Link header.
func (q *Query) WithOffset(offset int64) string {
	var b strings.Builder
	for _, param := range q.parameters {
		if param.name != "offset" {
			writeParameter(&b, param)
		}
	}
	writeParameter(&b, parameter{"offset", strconv.FormatInt(offset, 10)})
	return b.String()
}

// maxMistakes bounds the answer to a query that is all wrong.
const maxMistakes = 20

// parser collects the mistakes of one query.
type parser struct {
	model    *model.Model
	limits   Limits
	terms    int
	mistakes []problem.FieldError
	stopped  bool // enough mistakes, or one that ends it
}

func newParser(m *model.Model, limits Limits) *parser {
	return &parser{model: m, limits: limits.withDefaults()}
}

func (p *parser) mistake(location, format string, args ...any) {
	if p.stopped {
		return
	}
	p.mistakes = append(p.mistakes, problem.FieldError{Location: location, Message: fmt.Sprintf(format, args...)})
	p.stopped = len(p.mistakes) >= maxMistakes
}

// fatal is a mistake after which nothing more is read.
func (p *parser) fatal(location, format string, args ...any) {
	p.mistake(location, format, args...)
	p.stopped = true
}

func (p *parser) err() error {
	if len(p.mistakes) == 0 {
		return nil
	}
	return problem.Fields(problem.InvalidQuery, p.mistakes)
}

// field finds a field that clients may see: the others do not exist for them.
func (p *parser) field(name string) (*model.Field, bool) {
	f, ok := p.model.Field(name)
	return f, ok && visible(f)
}

func visible(f *model.Field) bool { return !f.Hidden && !f.Secret }

// fields lists what could have been named.
func (p *parser) fields(usable func(*model.Field) bool) string {
	var names []string
	for _, f := range p.model.Fields {
		if visible(f) && usable(f) {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, ", ")
}

func (p *parser) unknownField() string {
	return "unknown field; the fields are " + p.fields(func(*model.Field) bool { return true })
}

// parameter is one name=value, decoded.
type parameter struct{ name, value string }

// location names the parameter as problems do. The name may be any text of the client's: a long one is cut.
func (param parameter) location() string {
	const longest = 64
	name := param.name
	if name == "" {
		return "query"
	}
	if utf8.RuneCountInString(name) > longest {
		name = string([]rune(name)[:longest]) + "…"
	}
	return "query." + name
}
