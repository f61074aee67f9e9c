package model

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// Parse reads a struct's declaration. Its error joins all mistakes, each with the type, the field and the fix.
func Parse(t reflect.Type, namer schema.Namer, cache *sync.Map) (*Model, error) {
	if t.Kind() != reflect.Struct || t.Name() == "" {
		return nil, fmt.Errorf("%s is no named struct: publish a struct type with a name", t)
	}
	if err := check(t); err != nil {
		return nil, err
	}
	parsed, err := schema.Parse(reflect.New(t).Interface(), cache, namer)
	if err != nil {
		return nil, fmt.Errorf(`%s: %w (a struct that is no other model may be gorm:"embedded" or gorm:"serializer:json")`, t, err)
	}
	p := &parser{
		Model: &Model{Type: t, Deleted: -1, Schema: parsed, namer: namer, byName: map[string]*Field{}},
		byGo:  map[*schema.Field]*Field{},
	}
	p.Name, _, _ = strings.Cut(t.Name(), "[")
	p.table()
	p.hooks()
	for _, gf := range parsed.Fields {
		p.field(gf)
	}
	p.key()
	for _, f := range p.Fields {
		p.finish(f)
	}
	p.index()
	if err := errors.Join(p.errs...); err != nil {
		return nil, err
	}
	return p.Model, nil
}

type parser struct {
	*Model
	byGo map[*schema.Field]*Field
	errs []error
}

func (p *parser) fail(where, format string, args ...any) {
	if where != "" {
		where = "." + where
	}
	p.errs = append(p.errs, fmt.Errorf("%s%s: %w", p.Type, where, fmt.Errorf(format, args...)))
}

func (p *parser) add(where string, err error) {
	if err != nil {
		p.fail(where, "%w", err)
	}
}

func (p *parser) table() {
	name := p.Schema.Table
	if before, after, dotted := strings.Cut(name, "."); dotted {
		p.Table.Schema, name = before, after
	}
	p.Table.Name = name
	if name == "" || strings.Contains(name, ".") || strings.HasPrefix(p.Schema.Table, ".") {
		p.fail("", `%q is no table's name; TableName returns "table" or "schema.table"`, p.Schema.Table)
	}
}

func (p *parser) hooks() {
	for _, h := range []struct {
		has bool
		bit Hooks
	}{
		{p.Schema.BeforeSave, BeforeSave}, {p.Schema.BeforeCreate, BeforeCreate}, {p.Schema.AfterCreate, AfterCreate},
		{p.Schema.BeforeUpdate, BeforeUpdate}, {p.Schema.AfterUpdate, AfterUpdate}, {p.Schema.AfterSave, AfterSave},
		{p.Schema.BeforeDelete, BeforeDelete}, {p.Schema.AfterDelete, AfterDelete}, {p.Schema.AfterFind, AfterFind},
	} {
		if h.has {
			p.Hooks |= h.bit
		}
	}
}

func (p *parser) field(gf *schema.Field) {
	goName := gf.BindName()
	switch {
	case gf.DataType == "" && gf.GORMDataType == "" && (gf.Readable || gf.Creatable || gf.Updatable):
		p.association(gf)
		return
	case gf.DataType == "" || gf.DBName == "":
		return // gorm:"-"
	case p.Schema.FieldsByDBName[gf.DBName] != gf:
		if winner := p.Schema.FieldsByDBName[gf.DBName]; gf.Name != winner.Name || len(gf.BindNames) <= len(winner.BindNames) {
			p.fail(goName, "column %q is that of %s too; rename one with gorm:\"column:…\"", gf.DBName, winner.BindName())
		}
		return // shadowed, as in Go
	}
	f := &Field{Column: len(p.Fields), GoName: goName, Type: gf.FieldType, gorm: gf, tags: gf.StructField}
	p.name(f)
	p.add(goName, p.classify(f))
	p.access(f)
	p.byGo[gf] = f
	p.Fields = append(p.Fields, f)
	p.Table.Columns = append(p.Table.Columns, engine.Column{Name: gf.DBName, Kind: f.Kind, Nullable: f.Nullable})
}

func (p *parser) association(gf *schema.Field) {
	tag, err := parseJSON(gf.Tag)
	p.add(gf.BindName(), err)
	switch {
	case tag.hidden:
	case tag.name != "":
		p.Associations = append(p.Associations, tag.name)
	default:
		p.Associations = append(p.Associations, p.namer.ColumnName(p.Schema.Table, gf.Name))
	}
}

// name derives the JSON name. In a struct that is embedded under a name of its own, the prefix that tells its columns
// apart also tells its JSON names apart.
func (p *parser) name(f *Field) {
	tag, err := parseJSON(f.gorm.Tag)
	p.add(f.GoName, err)
	f.Hidden = tag.hidden
	prefix := ""
	t := p.Type
	path := f.gorm.StructField.Index
	for _, i := range path[:len(path)-1] {
		container := t.Field(i)
		t = container.Type
		if container.Tag.Get("json") == "-" {
			f.Hidden = true
		}
		if !container.Anonymous {
			prefix += schema.ParseTagSetting(container.Tag.Get("gorm"), ";")["EMBEDDEDPREFIX"]
		}
	}
	f.Name = f.gorm.DBName
	if tag.name != "" {
		f.Name = prefix + tag.name
	}
	if f.Hidden {
		return
	}
	p.add(f.GoName, checkName(f.Name))
	for name, other := range p.byName {
		if strings.EqualFold(name, f.Name) {
			p.fail(f.GoName, "the JSON name %q is that of %s too; rename one in its json tag", f.Name, other.GoName)
		}
	}
	p.byName[f.Name] = f
}

// access says who may read and set the field.
func (p *parser) access(f *Field) {
	tag, err := parseCape(f.gorm.Tag)
	p.add(f.GoName, err)
	readOnly, _, err := boolTag(f.gorm.Tag, "readOnly")
	p.add(f.GoName, err)
	if writeOnly, _, err := boolTag(f.gorm.Tag, "writeOnly"); writeOnly || err != nil {
		p.fail(f.GoName, `writeOnly has no meaning here; use cape:"hidden", and name the field in a struct for CreateAs`)
	}
	gf := f.gorm
	if gf.Updatable && !gf.Creatable {
		p.fail(f.GoName, `gorm:"<-:update" is not supported; use <-:create, <-:false or no restriction`)
	}
	f.Managed = tag.managed
	f.Secret = tag.secret
	f.Hidden = f.Hidden || tag.hidden || !gf.Readable
	f.ReadOnly = tag.readOnly || readOnly || !gf.Creatable
	f.Immutable = tag.immutable || !gf.Updatable
	switch {
	case f.softDeletes():
		f.ReadOnly = true
		if p.Deleted >= 0 {
			p.fail(f.GoName, "%s is a gorm.DeletedAt too; keep one", p.Fields[p.Deleted].GoName)
		}
		if gf.TagSettings["ZEROVALUE"] != "" {
			p.fail(f.GoName, "zeroValue is not supported; a row that is not deleted has NULL here")
		}
		p.Deleted = f.Column
	case gf.AutoUpdateTime > 0:
		f.Auto, f.ReadOnly = UpdateTime, true
	case gf.AutoCreateTime > 0:
		f.Auto, f.ReadOnly = CreateTime, true
	}
	f.Default = gf.HasDefaultValue && !gf.AutoIncrement && f.Auto == NoAuto && !strings.EqualFold(gf.DefaultValue, "null")
	p.add(f.GoName, f.checkManaged())
}

func (f *Field) checkManaged() error {
	source := map[Source]string{FromID: "auth.id", FromRole: "auth.role", FromClaim: "claims." + f.Managed.Claim}[f.Managed.Source]
	fits := false
	switch f.Managed.Source {
	case FromBody:
		return nil
	case FromID:
		fits = f.Kind == predicate.Text || f.Kind == predicate.UUID || f.Kind == predicate.Int || f.Kind == predicate.Decimal
	case FromRole:
		fits = f.Kind == predicate.Text
	case FromClaim:
		fits = f.Kind != predicate.JSON && f.Kind != predicate.Bytes
	}
	switch {
	case !fits:
		return fmt.Errorf("a column of kind %s cannot hold %s; use a string", f.Kind, source)
	case f.Secret:
		return fmt.Errorf("it is filled from %s, and what sessions store there is checked in the journal, which has no secrets; use cape:\"hidden\"", source)
	case f.Auto != NoAuto || f.softDeletes():
		return fmt.Errorf("it is filled by itself and from %s; keep one", source)
	}
	return nil
}

// index makes what rows are written and looked up with, and finds columns that only their case tells apart.
func (p *parser) index() {
	for i, f := range p.Fields {
		for _, other := range p.Fields[:i] {
			if strings.EqualFold(f.gorm.DBName, other.gorm.DBName) {
				p.fail(f.GoName, "column %q is that of %s too; rename one with gorm:\"column:…\"", f.gorm.DBName, other.GoName)
			}
		}
		if f.Hidden {
			continue
		}
		key := predicate.AppendString([]byte{','}, f.Name)
		if len(p.visible) == 0 {
			key[0] = '{'
		}
		p.visible = append(p.visible, visible{key: string(append(key, ':')), field: f})
	}
}
