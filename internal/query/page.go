package query

import (
	"strconv"
	"strings"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// page reads order, limit or offset.
func (p *parser) page(q *Query, param parameter) {
	location := param.location()
	switch param.name {
	case "order":
		q.Order = p.order(location, param.value)
	case "limit":
		limit, ok := number(param.value, int64(p.limits.MaxPage))
		if !ok {
			p.mistake(location, "expected an integer from 0 to %d", p.limits.MaxPage)
		}
		q.Limit, q.LimitGiven = int(limit), true
	case "offset":
		offset, ok := number(param.value, MaxOffset+1)
		if !ok || offset > MaxOffset {
			p.mistake(location, "expected an integer from 0 to %d", MaxOffset)
		}
		q.Offset = offset
	}
}

// number reads digits; what is above most counts as most.
func number(text string, most int64) (n int64, ok bool) {
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > most {
		return most, true
	}
	return n, true
}

// order reads column.desc.nullslast,….
func (p *parser) order(location, text string) []Term {
	s := scanner{text: text}
	var terms []Term
	for {
		s.space()
		start := s.pos
		name, _, err := s.name()
		if err == nil && len(terms) == p.limits.Orders {
			p.mistake(location, "expected at most %d terms", p.limits.Orders)
			return nil
		}
		var term Term
		if err == nil {
			term, err = s.direction()
		}
		if err != nil {
			p.mistake(location, "%s", err)
			return nil
		}
		term.Column = p.orderColumn(location, name, s.character(start), terms)
		terms = append(terms, term)
		if s.end() || p.stopped {
			return terms
		}
		s.pos++ // the comma
	}
}

// direction reads what follows a column's name, up to a comma or the end.
func (s *scanner) direction() (Term, error) {
	var term Term
	start := s.pos
	suffix := strings.TrimRight(s.until(","), " ")
	rest := suffix
	if after, ok := strings.CutPrefix(rest, ".desc"); ok {
		rest, term.Descending = after, true
	} else {
		rest = strings.TrimPrefix(rest, ".asc")
	}
	if after, ok := strings.CutPrefix(rest, ".nullsfirst"); ok {
		rest, term.NullsFirst = after, true
	} else {
		rest = strings.TrimPrefix(rest, ".nullslast")
	}
	if rest != "" {
		s.pos = start + len(suffix) - len(rest)
		return term, s.expected(".asc or .desc, then .nullsfirst or .nullslast")
	}
	return term, nil
}

// orderColumn finds the column of a term; -1 after a mistake.
func (p *parser) orderColumn(location, name string, character int, earlier []Term) int {
	f, ok := p.field(name)
	if !ok || !sortable(f) {
		p.mistake(location, "character %d: expected a field to order by: %s", character, p.fields(sortable))
		return -1
	}
	for _, term := range earlier {
		if term.Column == f.Column {
			p.mistake(location, "character %d: expected each field once", character)
		}
	}
	return f.Column
}

// sortable tells whether the databases agree on an order of the field's values.
func sortable(f *model.Field) bool {
	return f.Kind != predicate.JSON
}
