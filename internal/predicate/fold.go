package predicate

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
)

// Caller is what rules may ask of an identity.
type Caller struct {
	ID     string
	Roles  []string
	Claims map[string]any
}

// The leaves that Fold leaves where a question about the caller stood.
func constant(op Op) *Expr { return &Expr{Op: op} }

func decided(b bool) *Expr {
	if b {
		return constant(True)
	}
	return constant(False)
}

// Fold answers all that e asks of the caller, and removes the branches that are then decided.
func Fold(e *Expr, c Caller) *Expr {
	switch e.Op {
	case SignedIn:
		return decided(c.ID != "")
	case HasRole:
		return decided(slices.ContainsFunc(e.Names, func(role string) bool { return slices.Contains(c.Roles, role) }))
	case Owner:
		if v, ok := ParseExact(e.Kind, c.ID); ok {
			return &Expr{Op: Eq, Column: e.Column, Kind: e.Kind, Values: []Value{v}}
		}
		return constant(Unknown)
	case Claim:
		return foldClaim(e, c.Claims[e.Names[0]])
	case In:
		if len(e.Values) == 0 {
			return constant(Unknown)
		}
	case And:
		return foldJoin(e, c, False, True)
	case Or:
		return foldJoin(e, c, True, False)
	case Not:
		return foldNot(Fold(e.Args[0], c))
	}
	return e
}

func foldClaim(e *Expr, claim any) *Expr {
	values := ClaimValues(e.Kind, claim)
	switch len(values) {
	case 0:
		return constant(Unknown)
	case 1:
		return &Expr{Op: Eq, Column: e.Column, Kind: e.Kind, Values: values}
	}
	return &Expr{Op: In, Column: e.Column, Kind: e.Kind, Values: values}
}

// foldJoin folds And or Or: strong decides the whole, weak says nothing.
func foldJoin(e *Expr, c Caller, strong, weak Op) *Expr {
	args := make([]*Expr, 0, len(e.Args))
	for _, arg := range e.Args {
		folded := Fold(arg, c)
		switch folded.Op {
		case strong:
			return folded
		case weak:
			continue
		case e.Op:
			args = append(args, folded.Args...)
		default:
			args = append(args, folded)
		}
	}
	switch len(args) {
	case 0:
		return constant(weak)
	case 1:
		return args[0]
	}
	return &Expr{Op: e.Op, Args: args}
}

func foldNot(arg *Expr) *Expr {
	switch arg.Op {
	case True:
		return constant(False)
	case False:
		return constant(True)
	case Unknown:
		return arg
	case Not:
		return arg.Args[0]
	}
	return &Expr{Op: Not, Args: []*Expr{arg}}
}

// ClaimValues returns the values of a claim, one or a list, that a column of this kind can hold. What does not parse
// exactly matches nothing and is left out.
func ClaimValues(kind Kind, claim any) []Value {
	if v, ok := claimValue(kind, claim); ok {
		return []Value{v}
	}
	if !IsList(claim) {
		return nil
	}
	list := reflect.ValueOf(claim)
	values := make([]Value, 0, list.Len())
	for i := range list.Len() {
		if v, ok := claimValue(kind, list.Index(i).Interface()); ok {
			values = append(values, v)
		}
	}
	return values
}

// IsList tells whether a claim is a list of values rather than one.
func IsList(claim any) bool {
	if claim == nil {
		return false
	}
	t := reflect.TypeOf(claim)
	return (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && t.Elem().Kind() != reflect.Uint8
}

// claimValue converts by way of the text, so that the claim "42" and the claim 42 are the same for any column.
func claimValue(kind Kind, claim any) (Value, bool) {
	switch v := claim.(type) {
	case nil:
		return Value{}, false
	case string:
		return ParseExact(kind, v)
	case bool:
		return ParseExact(kind, strconv.FormatBool(v))
	case json.Number:
		return claimNumber(kind, v.String())
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return claimNumber(kind, strconv.FormatInt(int64(v), 10))
		}
		return claimNumber(kind, strconv.FormatFloat(v, 'g', -1, 64))
	}
	switch r := reflect.ValueOf(claim); r.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return claimNumber(kind, strconv.FormatInt(r.Int(), 10))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return claimNumber(kind, strconv.FormatUint(r.Uint(), 10))
	case reflect.String:
		return ParseExact(kind, r.String())
	}
	return Value{}, false
}

func claimNumber(kind Kind, text string) (Value, bool) {
	switch kind {
	case Int, Float, Decimal:
		return Parse(kind, text)
	case Text:
		return ParseExact(kind, text)
	}
	return Value{}, false
}
