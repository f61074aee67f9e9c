package model

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/predicate"
)

// check finds the fields that GORM could make no column of, before GORM sees them: it stops at the first, and logs it.
func check(t reflect.Type) error {
	c := checker{model: t}
	c.fields(t, "")
	return errors.Join(c.errs...)
}

type checker struct {
	model reflect.Type
	errs  []error
}

func (c *checker) fail(path, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s.%s: %s", c.model, path, fmt.Sprintf(format, args...)))
}

func (c *checker) fields(t reflect.Type, prefix string) {
	for i := range t.NumField() {
		sf := t.Field(i)
		settings := schema.ParseTagSetting(sf.Tag.Get("gorm"), ";")
		if left, ok := settings["-"]; ok && !strings.EqualFold(strings.TrimSpace(left), "migration") {
			continue
		}
		if !sf.IsExported() {
			if sf.Anonymous && sf.Type.Kind() == reflect.Struct && hasExported(sf.Type) {
				c.fail(prefix+sf.Name, "GORM does not see the fields of an embedded struct whose name is not exported; export it")
			}
			continue
		}
		c.field(sf, settings, prefix+sf.Name)
	}
}

func hasExported(t reflect.Type) bool {
	for i := range t.NumField() {
		if t.Field(i).IsExported() {
			return true
		}
	}
	return false
}

func (c *checker) field(sf reflect.StructField, settings map[string]string, path string) {
	t := sf.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	serializer := settings["SERIALIZER"]
	if serializer == "" {
		serializer = settings["JSON"]
	}
	_, embedded := settings["EMBEDDED"]
	switch {
	case t.Kind() == reflect.Pointer:
		c.fail(path, "%s has one pointer too many; one makes a column that may be NULL", sf.Type)
	case serializer != "":
		if _, ok := schema.GetSerializer(serializer); !ok {
			c.fail(path, "no serializer is named %q; there are json, gob, unixtime and those given to schema.RegisterSerializer", serializer)
		}
	case isNull(t):
		c.null(t, sf.Type, path)
	case isValuer(t) || implements[schema.SerializerInterface](t):
		c.valuer(t, path)
	case embedded && t.Kind() != reflect.Struct:
		c.fail(path, `gorm:"embedded" is for structs, and this is a %s`, sf.Type)
	case embedded, sf.Anonymous && t.Kind() == reflect.Struct && !isTime(t):
		if sf.Type.Kind() == reflect.Pointer {
			c.fail(path, "a pointer to an embedded struct is not supported; embed %s itself", t)
			return
		}
		if sf.Tag.Get("cape") != "" {
			c.fail(path, "a cape tag has no meaning on an embedded struct; tag its fields")
		}
		c.fields(t, path+".")
	default:
		c.plain(t, sf.Type, path)
		c.defaultValue(t.Kind(), settings["DEFAULT"], path)
	}
}

// defaultValue finds what GORM would refuse without naming the field.
func (c *checker) defaultValue(k reflect.Kind, text, path string) {
	text = strings.TrimSpace(text)
	if text == "" || strings.EqualFold(text, "null") || strings.Contains(text, "(") && strings.Contains(text, ")") {
		return
	}
	var err error
	switch kindOfGo(k) {
	case predicate.Bool:
		_, err = strconv.ParseBool(text)
	case predicate.Int:
		if k >= reflect.Uint && k <= reflect.Uint64 {
			_, err = strconv.ParseUint(text, 0, 64)
		} else {
			_, err = strconv.ParseInt(text, 0, 64)
		}
	case predicate.Float:
		_, err = strconv.ParseFloat(text, 64)
	}
	if err != nil {
		c.fail(path, `gorm:"default:%s" is no %s; SQL expressions need parentheses`, text, k)
	}
}

// null looks at what sql.Null and its like are around.
func (c *checker) null(t, declared reflect.Type, path string) {
	inner := t.Field(0).Type
	switch {
	case declared == reflect.TypeFor[*gorm.DeletedAt]():
		c.fail(path, "%s deletes rows in GORM alone; declare it without pointer", declared)
	case inner.Kind() == reflect.Pointer || isNull(inner):
		c.fail(path, "%s has two ways to be NULL; keep one", declared)
	case isValuer(inner):
		c.valuer(inner, path)
	default:
		c.plain(inner, inner, path)
	}
}

func (c *checker) valuer(t reflect.Type, path string) {
	defer func() {
		if r := recover(); r != nil {
			c.fail(path, "Value of a zero %s panics (%v); let it return nil or an error", t, r)
		}
	}()
	switch {
	case implements[schema.SerializerInterface](t):
	case !implements[sql.Scanner](t):
		c.fail(path, "%s has Value but no Scan; implement sql.Scanner too", t)
	case implements[schema.DeleteClausesInterface](t):
		c.fail(path, "soft deletion by %s is not supported; use gorm.DeletedAt", t)
	default:
		_, _ = driverValue(reflect.New(t).Elem()) // that it has one is checked where it is used
	}
}

const serializerFix = `use gorm:"serializer:json", or a type with Value and Scan`

func (c *checker) plain(t, declared reflect.Type, path string) {
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer, reflect.Complex64, reflect.Complex128, reflect.Uintptr:
		c.fail(path, `%s has no column type; remove the field or tag it gorm:"-"`, declared)
	case reflect.Map, reflect.Interface:
		c.fail(path, "%s has no column type; %s", declared, serializerFix)
	case reflect.Slice:
		element := t.Elem()
		if element.Kind() == reflect.Pointer {
			element = element.Elem()
		}
		if element.Kind() != reflect.Uint8 && (element.Kind() != reflect.Struct || isTime(element)) {
			c.fail(path, "%s has no column type; %s", declared, serializerFix)
		}
	case reflect.Array:
		c.fail(path, "%s has no column type; use []byte, a UUID type with Value and Scan such as google/uuid.UUID, or %s",
			declared, serializerFix)
	}
}

func isTime(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.ConvertibleTo(reflect.TypeFor[time.Time]())
}

func isValuer(t reflect.Type) bool { return implements[driver.Valuer](t) }

// implements tells whether t or a pointer to it has I's methods.
func implements[I any](t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[I]())
}
