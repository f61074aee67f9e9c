// Package model turns a Go struct into columns and JSON fields: all reflection of CapeBase, done once at Start on GORM's
// schema parser, and the codec that carries a row between the database, memory, Go and JSON.
package model

import (
	"reflect"

	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// Model is a published struct. It is not changed after Parse, but for the planner's notes in Table.
type Model struct {
	Type    reflect.Type // the struct
	Name    string       // its name, without type parameters
	Table   engine.Table // Columns stand at the same indexes as Fields
	Fields  []*Field
	Deleted int   // the gorm.DeletedAt column; -1 when deleting removes the row
	Hooks   Hooks // which of GORM's hooks it has
	Schema  *schema.Schema
	// Associations are the JSON names of fields that hold other models: in no answer, refused in a body.
	Associations []string

	namer   schema.Namer
	byName  map[string]*Field // by JSON name, those that HTTP clients never see too
	visible []visible
}

// visible is a field that AppendRow writes.
type visible struct {
	key   string // `{"id":` or `,"task":`
	field *Field
}

// Field is a column as Go and JSON see it.
type Field struct {
	Column int    // index into Model.Fields and Model.Table.Columns
	Name   string // in JSON; the column's name where no json tag says otherwise
	GoName string // "Task", or "Address.City" in an embedded struct
	Kind   predicate.Kind
	Type   reflect.Type // as declared, pointers included

	Hidden    bool // never leaves by HTTP
	Secret    bool // hidden, and never in the journal
	ReadOnly  bool // clients may never set it
	Immutable bool // clients may set it on create alone
	Managed   Managed
	Auto      Auto
	Default   bool // the column has a default in the database: left out of an INSERT when no value is given
	Required  bool // POST must have it
	Nullable  bool // null is a value of its own
	Unsigned  bool // negative numbers are refused
	Bits      int  // of an Int or Float: 8, 16, 32 or 64
	Size      int  // most code points of a Text, most bytes of a Bytes; 0: no limit of ours
	Precision int  // most digits of a Decimal; 0: any
	Scale     int  // most digits after its point

	gorm   *schema.Field
	tags   reflect.StructField
	codec  codec
	bounds bounds
}

// Managed says where a field's content comes from when the caller may not choose it.
type Managed struct {
	Source   Source
	Claim    string // of FromClaim
	Optional bool   // NULL or zero when the identity lacks it
}

// Source is a part of the identity.
type Source uint8

// The sources.
const (
	FromBody  Source = iota // not managed
	FromID                  // cape:"auth.id"
	FromRole                // cape:"auth.role": the first role
	FromClaim               // cape:"claims.<name>"
)

// Auto is what fills a field when nobody gives a value.
type Auto uint8

// The ways.
const (
	NoAuto     Auto = iota
	Increment       // the database counts
	NewUUID         // a UUIDv7, for string and UUID keys
	CreateTime      // the time of the INSERT
	UpdateTime      // the time of the last write
)

// Hooks is a set of GORM's hook methods.
type Hooks uint16

// The hooks.
const (
	BeforeSave Hooks = 1 << iota
	BeforeCreate
	AfterCreate
	BeforeUpdate
	AfterUpdate
	AfterSave
	BeforeDelete
	AfterDelete
	AfterFind
)

// Field returns the field with the JSON name, also one that HTTP clients never see.
func (m *Model) Field(name string) (*Field, bool) {
	f, ok := m.byName[name]
	return f, ok
}
