package model

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/capebase/capebase/internal/predicate"
)

// capeTag is what a field's cape tag says.
type capeTag struct {
	managed                             Managed
	readOnly, immutable, hidden, secret bool
}

const capeOptions = "auth.id, auth.role, claims.<name> (each with optional), readonly, immutable, hidden and secret"

func parseCape(tag reflect.StructTag) (capeTag, error) {
	var c capeTag
	text, ok := tag.Lookup("cape")
	if !ok {
		return c, nil
	}
	for option := range strings.SplitSeq(text, ",") {
		managed := Managed{Optional: c.managed.Optional}
		switch option {
		case "readonly":
			c.readOnly = true
			continue
		case "immutable":
			c.immutable = true
			continue
		case "hidden":
			c.hidden = true
			continue
		case "secret":
			c.hidden, c.secret = true, true
			continue
		case "optional":
			c.managed.Optional = true
			continue
		case "auth.id":
			managed.Source = FromID
		case "auth.role":
			managed.Source = FromRole
		default:
			claim, ok := strings.CutPrefix(option, "claims.")
			if !ok || claim == "" {
				return c, fmt.Errorf("cape:%q: no option %q; there are %s", text, option, capeOptions)
			}
			managed.Source, managed.Claim = FromClaim, claim
		}
		if c.managed.Source != FromBody {
			return c, fmt.Errorf("cape:%q names two sources; keep one of auth.id, auth.role and claims.<name>", text)
		}
		c.managed = managed
	}
	if c.managed.Optional && c.managed.Source == FromBody {
		return c, fmt.Errorf("cape:%q: optional goes with auth.id, auth.role or claims.<name>", text)
	}
	return c, nil
}

// jsonTag is what a field's json tag says.
type jsonTag struct {
	name   string // "" when the tag gives none
	hidden bool   // json:"-"
	omit   bool   // omitempty or omitzero
}

func parseJSON(tag reflect.StructTag) (jsonTag, error) {
	text := tag.Get("json")
	if text == "-" {
		return jsonTag{hidden: true}, nil
	}
	name, options, _ := strings.Cut(text, ",")
	t := jsonTag{name: name}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty", "omitzero":
			t.omit = true
		case "string":
			return t, fmt.Errorf("json:%q: the option string is not supported; numbers are JSON numbers", text)
		}
	}
	if name != "" {
		return t, checkName(name)
	}
	return t, nil
}

// checkName keeps names to what a URL filter can hold without quoting.
func checkName(name string) error {
	for _, c := range name {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return fmt.Errorf("the JSON name %q may only have letters, digits, _ and -; give another one in a json tag", name)
		}
	}
	return nil
}

// boolTag reads one of huma's tags.
func boolTag(tag reflect.StructTag, key string) (value, given bool, err error) {
	text, ok := tag.Lookup(key)
	switch {
	case !ok || text == "":
		return false, false, nil
	case text == "true":
		return true, true, nil
	case text == "false":
		return false, true, nil
	}
	return false, true, fmt.Errorf("%s:%q must be true or false", key, text)
}

// withoutTag leaves one key out of a struct tag; a tag that is not as Go wants it stays as it is.
func withoutTag(tag reflect.StructTag, key string) reflect.StructTag {
	var kept []string
	rest := strings.TrimSpace(string(tag))
	for rest != "" {
		name, _, ok := strings.Cut(rest, ":")
		if !ok {
			return tag
		}
		quoted, err := strconv.QuotedPrefix(rest[len(name)+1:])
		if err != nil {
			return tag
		}
		end := len(name) + 1 + len(quoted)
		if name != key {
			kept = append(kept, rest[:end])
		}
		rest = strings.TrimSpace(rest[end:])
	}
	return reflect.StructTag(strings.Join(kept, " "))
}

// columnType is a gorm type tag: the kind that it clearly stands for, and what is in its parentheses.
type columnType struct {
	kind      predicate.Kind // Null: the tag is absent, or says nothing of the kind
	name      string
	arguments []int
}

func parseColumnType(text string) columnType {
	lower := strings.ToLower(strings.TrimSpace(text))
	name, rest, _ := strings.Cut(lower, "(")
	inside, _, _ := strings.Cut(rest, ")")
	name = strings.TrimSuffix(strings.TrimSpace(name), " unsigned")
	t := columnType{name: name, kind: kindOfType(name)}
	for argument := range strings.SplitSeq(inside, ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(argument)); err == nil {
			t.arguments = append(t.arguments, n)
		}
	}
	return t
}

// kindOfType knows the type names of the three databases and of GORM.
func kindOfType(name string) predicate.Kind {
	switch name {
	case "bool", "boolean":
		return predicate.Bool
	case "int", "uint", "integer", "bigint", "smallint", "tinyint", "mediumint", "serial", "bigserial", "smallserial",
		"int2", "int4", "int8":
		return predicate.Int
	case "float", "double", "real", "double precision", "float4", "float8":
		return predicate.Float
	case "decimal", "numeric", "dec":
		return predicate.Decimal
	case "text", "string", "varchar", "character varying", "char", "character", "tinytext", "mediumtext", "longtext",
		"nvarchar", "nchar", "clob", "citext":
		return predicate.Text
	case "uuid":
		return predicate.UUID
	case "bytes", "blob", "bytea", "binary", "varbinary", "tinyblob", "mediumblob", "longblob":
		return predicate.Bytes
	case "time", "date", "datetime", "timestamp", "timestamptz", "timestamp with time zone",
		"timestamp without time zone":
		return predicate.Time
	case "json", "jsonb":
		return predicate.JSON
	}
	return predicate.Null
}

// bounds are the limits of a decimal, which JSON Schema cannot check on the string that it is in JSON.
type bounds struct {
	minimum, maximum, above, below predicate.Value // NULL: none
}

func parseBounds(tag reflect.StructTag) (bounds, error) {
	var b bounds
	var errs []error
	read := func(key string) predicate.Value {
		text := tag.Get(key)
		if text == "" {
			return predicate.Value{}
		}
		v, ok := predicate.DecimalValue(text)
		if !ok {
			errs = append(errs, fmt.Errorf("%s:%q is no decimal number", key, text))
		}
		return v
	}
	b.minimum, b.maximum = read("minimum"), read("maximum")
	b.above, b.below = read("exclusiveMinimum"), read("exclusiveMaximum")
	if tag.Get("multipleOf") != "" {
		errs = append(errs, errors.New("multipleOf is not checked on decimals; give the column a scale, or remove the tag"))
	}
	return b, errors.Join(errs...)
}

// String says the bounds in a document.
func (b *bounds) String() string {
	var parts []string
	for _, bound := range []struct {
		sign  string
		value predicate.Value
	}{{">=", b.minimum}, {"<=", b.maximum}, {">", b.above}, {"<", b.below}} {
		if !bound.value.IsNull() {
			parts = append(parts, bound.sign+" "+bound.value.String())
		}
	}
	return strings.Join(parts, " and ")
}

func (b *bounds) check(v predicate.Value) error {
	compare := func(bound predicate.Value) int {
		order, ok := predicate.Compare(v, bound)
		if !ok {
			return 0
		}
		return order
	}
	switch {
	case !b.minimum.IsNull() && compare(b.minimum) < 0:
		return expected("number >= " + b.minimum.String())
	case !b.maximum.IsNull() && compare(b.maximum) > 0:
		return expected("number <= " + b.maximum.String())
	case !b.above.IsNull() && compare(b.above) <= 0:
		return expected("number > " + b.above.String())
	case !b.below.IsNull() && compare(b.below) >= 0:
		return expected("number < " + b.below.String())
	}
	return nil
}
