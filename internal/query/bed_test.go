package query

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
)

// sample has a field of each kind, fields whose names the grammar uses itself, and fields that clients do not see.
type sample struct {
	ID       int64           `json:"id"`
	Task     string          `json:"task"`
	Done     bool            `json:"done"`
	Price    float64         `json:"price"`
	Cost     string          `json:"cost" gorm:"type:decimal(10,2)"`
	Ref      uuid.UUID       `json:"ref"`
	Data     []byte          `json:"data"`
	At       time.Time       `json:"at"`
	Due      *time.Time      `json:"due"`
	Meta     json.RawMessage `json:"meta" gorm:"type:json"`
	Order    int64           `json:"order"`
	Not      string          `json:"not"`
	And      string          `json:"and"`
	Eq       string          `json:"eq"`
	Hidden   string          `json:"hidden" cape:"hidden"`
	Limit    int64           `json:"limit" cape:"hidden"`
	Password string          `json:"password" cape:"secret"`
}

func parseModel(t testing.TB, v any) *model.Model {
	t.Helper()
	m, err := model.Parse(reflect.TypeOf(v), schema.NamingStrategy{}, &sync.Map{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const visibleFields = `id, task, done, price, cost, ref, data, at, due, meta, order, not, and, eq`

// describe writes a tree for people.
func describe(m *model.Model, e *predicate.Expr) string {
	if e == nil {
		return "everything"
	}
	switch e.Op {
	case predicate.And, predicate.Or, predicate.Not:
		var args []string
		for _, arg := range e.Args {
			args = append(args, describe(m, arg))
		}
		return fmt.Sprintf("%s(%s)", e.Op, strings.Join(args, ", "))
	}
	text := m.Fields[e.Column].Name + " " + e.Op.String()
	for _, v := range e.Values {
		text += fmt.Sprintf(" %s:%q", v.Kind(), v.String())
	}
	return text
}

// sameTree compares trees by sameExpr: go-cmp's own way takes time exponential in their depth.
func sameTree() cmp.Options {
	return cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Query{}), cmp.Comparer(sameExpr)}
}

func sameExpr(a, b *predicate.Expr) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Op == b.Op && a.Column == b.Column && a.Kind == b.Kind && slices.Equal(a.Values, b.Values) &&
		slices.Equal(a.Names, b.Names) && slices.EqualFunc(a.Args, b.Args, sameExpr)
}

// checkProblem requires a 400 that names places in the query, within bounds.
func checkProblem(t testing.TB, raw string, err error) *problem.Error {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Status != http.StatusBadRequest || p.Code != problem.InvalidQuery {
		t.Fatalf("%q: %v is not an invalid_query", raw, err)
	}
	if len(p.Errors) == 0 || len(p.Errors) > maxMistakes {
		t.Fatalf("%q: %d mistakes", raw, len(p.Errors))
	}
	for _, field := range p.Errors {
		named := field.Location == "query" || strings.HasPrefix(field.Location, "query.")
		if !named || field.Message == "" || !utf8.ValidString(field.Location) || utf8.RuneCountInString(field.Location) > 80 {
			t.Fatalf("%q: %+v", raw, field)
		}
	}
	return p
}
