package query

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/capebase/capebase/internal/problem"
)

func TestParseFilters(t *testing.T) {
	t.Parallel()
	m := parseModel(t, sample{})
	for raw, want := range map[string]string{
		"":                                   `everything`,
		"&&":                                 `everything`,
		"id=eq.1":                            `id eq integer:"1"`,
		"id=1":                               `id eq integer:"1"`,
		"id=-1":                              `id eq integer:"-1"`,
		"id=not.gte.5":                       `not(id gte integer:"5")`,
		"id=gt.1&id=lt.9&task=neq.x":         `and(id gt integer:"1", id lt integer:"9", task neq text:"x")`,
		"id=lte.9":                           `id lte integer:"9"`,
		"id=in.(1,2,3)":                      `id in integer:"1" integer:"2" integer:"3"`,
		"id=in.()":                           `id in`,
		"id=not.in.(1)":                      `not(id in integer:"1")`,
		"task=":                              `task eq text:""`,
		"task":                               `task eq text:""`,
		"task=eq.":                           `task eq text:""`,
		"task=milk.and.bread":                `task eq text:"milk.and.bread"`,
		"task=eq.eq.x":                       `task eq text:"eq.x"`,
		"task=eq":                            `task eq text:"eq"`,
		"task=not":                           `task eq text:"not"`,
		"task=not.x":                         `task eq text:"not.x"`,
		"task=not.not.eq.x":                  `task eq text:"not.not.eq.x"`,
		"task=EQ.x":                          `task eq text:"EQ.x"`,
		"task=match":                         `task eq text:"match"`,
		"task=eq.match.x":                    `task eq text:"match.x"`,
		"task=some+(cs).x":                   `task eq text:"some (cs).x"`,
		`task=eq."a"`:                        `task eq text:"\"a\""`,
		`task=eq.a,b)`:                       `task eq text:"a,b)"`,
		`task=a%2Bb+c;d%3De=f`:               `task eq text:"a+b c;d=e=f"`,
		`task=in.(a,"b,c","d\"\\e)",,f"g,+)`: `task in text:"a" text:"b,c" text:"d\"\\e)" text:"" text:"f\"g" text:" "`,
		`task=in.("")`:                       `task in text:""`,
		`task=in.("a",+"b"+)`:                `task in text:"a" text:"b"`,
		"task=like.*milk%25":                 `task like text:"*milk%"`,
		"task=not.ilike._%5C_":               `not(task ilike text:"_\\_")`,
		"task=is.null":                       `task is.null`,
		"task=is.not_null":                   `not(task is.null)`,
		"task=not.is.NULL":                   `not(task is.null)`,
		"done=true":                          `done eq boolean:"true"`,
		"done=is.true":                       `done is.true`,
		"done=is.false":                      `done is.false`,
		"done=is.unknown":                    `done is.null`,
		"price=gt.1.5":                       `price gt number:"1.5"`,
		"price=1.5":                          `price eq number:"1.5"`,
		"cost=lt.1.50":                       `cost lt decimal:"1.5"`,
		"ref=0198C0DE-0000-7000-8000-000000000001": `ref eq uuid:"0198c0de-0000-7000-8000-000000000001"`,
		"data=bWlsaw==":                                           `data eq bytes:"bWlsaw=="`,
		"at=gte.2026-01-31T12:00:00.5Z":                           `at gte time:"2026-01-31T12:00:00.5Z"`,
		"at=2026-01-31T12:00:00.5%2B01:00":                        `at eq time:"2026-01-31T11:00:00.5Z"`,
		"meta=is.null":                                            `meta is.null`,
		"eq=eq.eq":                                                `eq eq text:"eq"`,
		"or=(id.eq.1,and(id.gt.2,not.task.is.null))":              `or(id eq integer:"1", and(id gt integer:"2", not(task is.null)))`,
		"or=(id.eq.1,not.and(id.gte.11,id.lte.17))":               `or(id eq integer:"1", not(and(id gte integer:"11", id lte integer:"17")))`,
		"and=(task.not.eq.1)":                                     `not(task eq text:"1")`,
		"and=(not.task.not.eq.1)":                                 `not(not(task eq text:"1"))`,
		"not.and=(id.eq.1,id.eq.2)":                               `not(and(id eq integer:"1", id eq integer:"2"))`,
		"not.or=(id.eq.1,id.eq.2)&id=3":                           `and(not(or(id eq integer:"1", id eq integer:"2")), id eq integer:"3")`,
		"and=+(+id.eq.1,+or(+id.eq.2,+id.eq.3+)+)+&order=":        ``,
		"and=+(+id.eq.1,+or(+id.eq.2,+id.eq.3)+)+":                `and(id eq integer:"1", or(id eq integer:"2", id eq integer:"3"))`,
		`or=(task.eq."a,(b)\"\\",task.in.("x)",y),task.like.*a*)`: `or(task eq text:"a,(b)\"\\", task in text:"x)" text:"y", task like text:"*a*")`,
		`or=(task.eq.f(x,task.eq.5'10")`:                          `or(task eq text:"f(x", task eq text:"5'10\"")`,
		"or=(task.eq.,task.eq.a.b)":                               `or(task eq text:"", task eq text:"a.b")`,
		"or=(order.eq.1,not.eq.a,and.eq.b,eq.eq.c)":               `or(order eq integer:"1", not eq text:"a", and eq text:"b", eq eq text:"c")`,
		`or=("task".eq.a,"\order".gt.2,order+.lt.2)`:              `or(task eq text:"a", order gt integer:"2", order lt integer:"2")`,
		`or=("order"+.gt.2)`:                                      ``,
		`or=(not.not.eq.a,not."eq".eq.b,not.eq.eq.c)`:             `or(not(not eq text:"a"), not(eq eq text:"b"), not eq text:"eq.c")`,
	} {
		q, err := Parse(raw, m, Limits{})
		if want == "" {
			_ = checkProblem(t, raw, err)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		} else if got := describe(m, q.Filter); got != want {
			t.Errorf("%s:\n got %s\nwant %s", raw, got, want)
		}
		if err == nil && q.Filter != nil {
			filter, err := ParseFilter(raw, m, Limits{})
			if diff := cmp.Diff(q.Filter, filter, sameTree()); err != nil || diff != "" {
				t.Errorf("ParseFilter(%s): %v\n%s", raw, err, diff)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	m := parseModel(t, sample{})
	const all = "eq, neq, gt, gte, lt, lte, like, ilike, in, is"
	for _, c := range []struct{ raw, location, message string }{
		{"nope=1", "query.nope", "unknown field; the fields are " + visibleFields},
		{"=1", "query", "unknown field"},
		{"hidden=1", "query.hidden", "unknown field; the fields are " + visibleFields},
		{"password=eq.x", "query.password", "unknown field; the fields are " + visibleFields},
		{strings.Repeat("é", 100) + "=1", "query." + strings.Repeat("é", 64) + "…", "unknown field"},
		{"select=id", "query.select", "not a parameter of this route"},
		{"after=x", "query.after", "not a parameter of this route"},
		{"since=x", "query.since", "not a parameter of this route"},
		{"not=x", "query.not", "expected not.and=(…) or not.or=(…)"},
		{"id=x", "query.id", "id: "},
		{"id=", "query.id", "id: "},
		{"id=1.5", "query.id", "id: "},
		{"id=9223372036854775808", "query.id", "id: "},
		{"id=like.1", "query.id", "id is of kind integer and has no operator like; use eq, neq, gt, gte, lt, lte, in, is"},
		{"done=gt.true", "query.done", "done is of kind boolean and has no operator gt; use eq, neq, in, is"},
		{"done=yes", "query.done", "done: "},
		{"done=is.maybe", "query.done", "done: expected is.null, is.not_null, is.true, is.false or is.unknown"},
		{"id=is.true", "query.id", "id: expected is.null or is.not_null"},
		{"meta=eq.1", "query.meta", "meta is of kind json and has no operator eq; use is"},
		{"meta=1", "query.meta", "meta is of kind json and has no operator eq; use is"},
		{"at=yesterday", "query.at", "at: "},
		{"at=2026-02-30", "query.at", "at: "},
		{"ref=x", "query.ref", "ref: "},
		{"data=eq.*", "query.data", "data: "},
		{"cost=1,5", "query.cost", "cost: "},
		{"price=NaN", "query.price", "price: "},
		{"price=eq.Infinity", "query.price", "price: "},
		{"task=match.x", "query.task", "task: unknown operator; write eq. before a value that begins like one; the operators are " + all},
		{"task=not.imatch.x", "query.task", "unknown operator"},
		{"task=isdistinct.x", "query.task", "unknown operator"},
		{"task=fts(english).x", "query.task", "unknown operator"},
		{"task=plfts.x", "query.task", "unknown operator"},
		{"task=not.phfts(simple).x", "query.task", "unknown operator"},
		{"task=wfts.x", "query.task", "unknown operator"},
		{"task=cs.{a}", "query.task", "unknown operator"},
		{"task=cd.{a}", "query.task", "unknown operator"},
		{"task=ov.{a}", "query.task", "unknown operator"},
		{"task=sl.x&task=sr.x", "query.task", "unknown operator"},
		{"task=nxr.x", "query.task", "unknown operator"},
		{"task=nxl.x", "query.task", "unknown operator"},
		{"task=adj.x", "query.task", "unknown operator"},
		{"task=eq(any).{a}", "query.task", "unknown operator"},
		{"task=like(all).{a}", "query.task", "unknown operator"},
		{"id=in.1", "query.id", `id: in: character 1: expected "(" before the values`},
		{"id=in.(1", "query.id", `id: in: character 3: expected "," or ")"`},
		{"id=in.(1)2", "query.id", `id: in: character 4: expected the end of the list`},
		{"id=in.(1,x)", "query.id", "id: value 2 of in: "},
		{"id=in.(1,)", "query.id", "id: value 2 of in: "},
		{`task=in.("a`, "query.task", "expected a closing double quote"},
		{`task=in.("a\`, "query.task", "expected a closing double quote"},
		{`task=in.("a"b)`, "query.task", `task: in: character 5: expected "," or ")" after a quoted value`},
		{"task=%zz", "query.task", "expected two hexadecimal digits after each %"},
		{"%4=1", "query", "expected two hexadecimal digits after each %"},
		{"task=%ff", "query.task", "expected UTF-8 without NUL"},
		{"task=\xff", "query.task", "expected UTF-8 without NUL"},
		{"task=a%00", "query.task", "expected UTF-8 without NUL"},
		{"%ff=1", "query", "expected UTF-8 without NUL"},
		{"and=", "query.and", `character 1: expected "("`},
		{"and=id.eq.1", "query.and", `character 1: expected "("`},
		{"and=()", "query.and", `character 2: expected the name of a field`},
		{"or=(id.eq.1,)", "query.or", `character 10: expected the name of a field`},
		{"or=(id.eq.1", "query.or", `character 9: expected "," or ")"`},
		{"or=(id.eq.1))", "query.or", `character 10: expected the end of the group`},
		{"or=(id)", "query.or", `character 4: expected "." and an operator`},
		{"or=(id.1)", "query.or", "character 5: expected an operator and a value: one of " + all},
		{"or=(task.match.x)", "query.or", "character 7: expected one of the operators " + all},
		{"or=(é.eq.1,nope.eq.1)", "query.or", "character 2: unknown field; the fields are " + visibleFields},
		{"or=(hidden.eq.1)", "query.or", "character 2: unknown field; the fields are " + visibleFields},
		{"or=(limit.eq.1)", "query.or", "character 2: unknown field"},
		{"or=(id.eq.x,task.eq.y)", "query.or", "character 2: id: "},
		{"not.or=(task.eq.y,id.eq.x)", "query.not.or", "character 12: id: "},
		{"or=(not.not.and(id.eq.1))", "query.or", "character 10: expected an operator and a value"},
		{`or=(task.eq."a"b)`, "query.or", `after a quoted value`},
		{`or=("task.eq.a)`, "query.or", `a closing double quote`},
		{"or=(id.in.1)", "query.or", `expected "(" before the values`},
		{"or=and(id.eq.1)", "query.or", `expected "("`},
		{"order=nope", "query.order", `character 1: expected a field to order by: id, task, done, price, cost, ref, data, at, due, order, not, and, eq`},
		{"order=id,hidden.desc", "query.order", "character 4: expected a field to order by: id"},
		{"order=meta", "query.order", "expected a field to order by"},
		{"order=", "query.order", "character 1: expected the name of a field"},
		{"order=id,", "query.order", "character 4: expected the name of a field"},
		{"order=id.down", "query.order", "character 3: expected .asc or .desc"},
		{"order=id.nullslast.desc", "query.order", "character 13: expected .asc or .desc"},
		{"order=id.desc.asc", "query.order", "character 8: expected"},
		{"order=id,id.desc", "query.order", "character 4: expected each field once"},
		{"order=id&order=task", "query.order", "expected once"},
		{"limit=1&limit=2", "query.limit", "expected once"},
		{"limit=-1", "query.limit", "expected an integer from 0 to 1000"},
		{"limit=", "query.limit", "expected an integer from 0 to 1000"},
		{"limit=1.0", "query.limit", "expected an integer"},
		{"limit=%2B1", "query.limit", "expected an integer"},
		{"limit=1e3", "query.limit", "expected an integer"},
		{"limit=gt.1", "query.limit", "expected an integer"},
		{"offset=-1", "query.offset", "expected an integer from 0 to 9007199254740992"},
		{"offset=9007199254740993", "query.offset", "expected an integer from 0 to 9007199254740992"},
		{"offset=99999999999999999999999", "query.offset", "expected an integer"},
	} {
		q, err := Parse(c.raw, m, Limits{})
		p := checkProblem(t, c.raw, err)
		if q != nil {
			t.Errorf("%s: a query beside an error", c.raw)
		}
		if p.Errors[0].Location != c.location || !strings.Contains(p.Errors[0].Message, c.message) {
			t.Errorf("%s:\n got %+v\nwant %s: %s", c.raw, p.Errors, c.location, c.message)
		}
	}
}

func TestParseNeverEchoesValues(t *testing.T) {
	t.Parallel()
	m := parseModel(t, sample{})
	for _, f := range m.Fields {
		for _, operator := range append(operators(), "match") {
			for _, raw := range []string{
				f.Name + "=" + operator + ".zzSECRETzz",
				"and=(" + f.Name + "." + operator + ".zzSECRETzz)",
				"and=(zzSECRETzz." + operator + ".1)",
				f.Name + "=in.(zzSECRETzz)",
				"order=zzSECRETzz", "limit=zzSECRETzz",
			} {
				if _, err := Parse(raw, m, Limits{}); err != nil && strings.Contains(err.Error(), "SECRET") {
					t.Errorf("%s: %v", raw, err)
				}
			}
		}
	}
}

func TestParseTellsEveryMistake(t *testing.T) {
	t.Parallel()
	m := parseModel(t, sample{})
	raw := "id=x&nope=1&or=(id.eq.x,nope.eq.1,task.gt.1,done.gt.true)&limit=-1&order=nope,id"
	_, err := Parse(raw, m, Limits{})
	var locations []string
	for _, field := range checkProblem(t, raw, err).Errors {
		locations = append(locations, field.Location)
	}
	want := []string{"query.id", "query.nope", "query.or", "query.or", "query.or", "query.limit", "query.order"}
	if diff := cmp.Diff(want, locations); diff != "" {
		t.Error(diff)
	}
	_, err = Parse(strings.Repeat("nope=1&", 1000), m, Limits{})
	if p := checkProblem(t, "many", err); len(p.Errors) != maxMistakes {
		t.Errorf("%d mistakes, want %d", len(p.Errors), maxMistakes)
	}
}

func TestParsePage(t *testing.T) {
	t.Parallel()
	m := parseModel(t, sample{})
	column := func(name string) int {
		f, ok := m.Field(name)
		if !ok {
			t.Fatal(name)
		}
		return f.Column
	}
	limits := Limits{Page: 20, MaxPage: 50}
	for raw, want := range map[string]Query{
		"":                              {Limit: 20},
		"limit=5&offset=7":              {Limit: 5, LimitGiven: true, Offset: 7},
		"limit=0":                       {Limit: 0, LimitGiven: true},
		"limit=50":                      {Limit: 50, LimitGiven: true},
		"limit=51":                      {Limit: 50, LimitGiven: true},
		"limit=99999999999999999999999": {Limit: 50, LimitGiven: true},
		"offset=9007199254740992":       {Limit: 20, Offset: MaxOffset},
		"order=id":                      {Limit: 20, Order: []Term{{Column: column("id")}}},
		"order=id.asc.nullslast":        {Limit: 20, Order: []Term{{Column: column("id")}}},
		"order=due.desc,+task.nullsfirst+,id+.desc.nullsfirst": {Limit: 20, Order: []Term{
			{Column: column("due"), Descending: true},
			{Column: column("task"), NullsFirst: true},
			{Column: column("id"), Descending: true, NullsFirst: true},
		}},
		`order="id".desc,order,"task"`: {Limit: 20, Order: []Term{
			{Column: column("id"), Descending: true}, {Column: column("order")}, {Column: column("task")},
		}},
	} {
		got, err := Parse(raw, m, limits)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		} else if diff := cmp.Diff(want, *got, sameTree()); diff != "" {
			t.Errorf("%s:\n%s", raw, diff)
		}
	}
	if q, err := Parse("", m, Limits{MaxPage: 30}); err != nil || q.Limit != 30 {
		t.Errorf("the default page is above the largest: %+v, %v", q, err)
	}
}

func TestParseLimits(t *testing.T) {
	t.Parallel()
	m := parseModel(t, sample{})
	nested := func(depth int) string {
		return "and=" + strings.Repeat("(or", depth-1) + "(id.eq.1)" + strings.Repeat(")", depth-1)
	}
	limits := Limits{Length: 1000, Depth: 3, Terms: 4, Values: 3, Pattern: 6, Wildcards: 2, Orders: 2}
	for _, c := range []struct{ good, bad, location, message string }{
		{"task=" + strings.Repeat("x", 995), "task=" + strings.Repeat("x", 996), "query", "expected at most 1000 bytes"},
		{nested(3), nested(4), "query.and", "expected at most 3 groups in each other"},
		{"id=1&or=(id.eq.1,id.eq.2)&id=2", "id=1&or=(id.eq.1,id.eq.2)&id=2&id=3", "query", "expected at most 4 conditions"},
		{"or=(id.eq.1,id.eq.2)", "or=(id.eq.1,id.eq.2,id.eq.3,id.eq.4,id.eq.5,", "query", "expected at most 4 conditions"},
		{"id=in.(1,2,3)", "id=in.(1,2,3,4)", "query.id", "expected at most 3 values"},
		{"task=like.éééééé", "task=like.ééééééé", "query.task", "task: expected a pattern of at most 6 characters"},
		{"task=ilike.*a**b", "task=ilike.*a*b*", "query.task", "task: expected a pattern with at most 2 of the wildcards % and *"},
		{"order=id,task", "order=id,task,done", "query.order", "expected at most 2 terms"},
	} {
		if _, err := Parse(c.good, m, limits); err != nil {
			t.Errorf("%s: %v", c.good, err)
		}
		_, err := Parse(c.bad, m, limits)
		p := checkProblem(t, c.bad, err)
		want := problem.FieldError{Location: c.location, Message: c.message}
		if got := p.Errors[0]; got.Location != want.Location || !strings.Contains(got.Message, want.Message) {
			t.Errorf("%s: %+v, want %+v", c.bad, got, want)
		}
	}
}

func TestParseFilter(t *testing.T) {
	t.Parallel()
	m := parseModel(t, sample{})
	e, err := ParseFilter("since=x&id=gt.1&snapshot=true&done=false", m, Limits{}, "since", "snapshot")
	if want := `and(id gt integer:"1", done eq boolean:"false")`; err != nil || describe(m, e) != want {
		t.Errorf("%s, %v", describe(m, e), err)
	}
	if e, err := ParseFilter("since=x", m, Limits{}, "since"); e != nil || err != nil {
		t.Errorf("%s, %v", describe(m, e), err)
	}
	for raw, message := range map[string]string{
		"since=x":    "not a parameter of this route",
		"auth=x":     "not a parameter of this route",
		"tables=x":   "not a parameter of this route",
		"limit=1":    "not a parameter of this route", // of a hidden field nothing is said
		"offset=1":   "not a parameter of this route",
		"order=id":   "not a parameter of this route; the field of this name is filtered inside and=(…)",
		"snapshot=%": "expected two hexadecimal digits",
	} {
		_, err := ParseFilter(raw, m, Limits{}, "snapshot")
		if p := checkProblem(t, raw, err); !strings.HasPrefix(p.Errors[0].Message, message) ||
			strings.HasSuffix(p.Errors[0].Message, "route") != strings.HasSuffix(message, "route") {
			t.Errorf("%s: %+v", raw, p.Errors)
		}
	}
}

func TestWithOffset(t *testing.T) {
	t.Parallel()
	m := parseModel(t, sample{})
	for raw, want := range map[string]string{
		"":                              "offset=100",
		"offset=3":                      "offset=100",
		"limit=5000&offset=3&order=id":  "limit=5000&order=id&offset=100",
		"task=eq.%3Ca%3E%22%26%3D%2B+é": "task=eq.%3Ca%3E%22%26%3D%2B%20%C3%A9&offset=100",
		`or=(task.eq."x>",id.in.(1,2))`: `or=(task.eq.%22x%3E%22,id.in.(1,2))&offset=100`,
		"task=a&&task=neq.b":            "task=a&task=neq.b&offset=100",
	} {
		q, err := Parse(raw, m, Limits{})
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		got := q.WithOffset(100)
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", raw, got, want)
		}
		next, err := Parse(got, m, Limits{})
		if err != nil {
			t.Errorf("%s: %v", got, err)
			continue
		}
		if diff := cmp.Diff(q, next, sameTree(), cmpopts.IgnoreFields(Query{}, "Offset")); diff != "" || next.Offset != 100 {
			t.Errorf("%s:\n%s", got, diff)
		}
	}
}
