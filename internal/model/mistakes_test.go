package model_test

import (
	"database/sql"
	"database/sql/driver"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/model"
)

// Halfway can be written and not read.
type Halfway struct{ X int }

func (Halfway) Value() (driver.Value, error) { return int64(1), nil }

// Panicky does not survive its zero.
type Panicky struct{ p *int }

func (p Panicky) Value() (driver.Value, error) { return int64(*p.p), nil }
func (*Panicky) Scan(any) error                { return nil }

type hiddenBase struct{ Name string }

// Tables have names that are none.
type tableDots struct{ ID int64 }

func (tableDots) TableName() string { return "a.b.c" }

// Flag marks deleted rows by a number.
type Flag int64

func (Flag) Value() (driver.Value, error)                   { return int64(0), nil }
func (*Flag) Scan(any) error                                { return nil }
func (Flag) DeleteClauses(*schema.Field) []clause.Interface { return nil }

func TestMistakesNameTypeFieldAndFix(t *testing.T) {
	for _, c := range []struct {
		name string
		got  string
		want []string
	}{
		{"chan", mistake[holds[chan int]](t), []string{".Content: chan int has no column type", `gorm:"-"`}},
		{"func", mistake[holds[func()]](t), []string{".Content: func() has no column type"}},
		{"complex", mistake[holds[complex128]](t), []string{".Content: complex128 has no column type"}},
		{"map", mistake[holds[map[string]int]](t), []string{".Content: map[string]int has no column type", `gorm:"serializer:json"`}},
		{"interface", mistake[holds[any]](t), []string{".Content: interface {} has no column type", `gorm:"serializer:json"`}},
		{"slice", mistake[holds[[]string]](t), []string{".Content: []string has no column type", `gorm:"serializer:json"`}},
		{"times", mistake[holds[[]time.Time]](t), []string{".Content: []time.Time has no column type"}},
		{"array", mistake[holds[[16]byte]](t), []string{".Content: [16]uint8 has no column type", "google/uuid.UUID"}},
		{"pointers", mistake[holds[**int]](t), []string{".Content: **int has one pointer too many"}},
		{"null of chan", mistake[holds[sql.Null[chan int]]](t), []string{"chan int has no column type"}},
		{"null of pointer", mistake[holds[sql.Null[*int]]](t), []string{"two ways to be NULL"}},
		{"no Scan", mistake[holds[Halfway]](t), []string{".Content: model_test.Halfway has Value but no Scan"}},
		{"soft delete", mistake[holds[Flag]](t), []string{".Content: soft deletion by model_test.Flag is not supported"}},
		{"panic", mistake[holds[*Panicky]](t), []string{".Content: Value of a zero model_test.Panicky panics"}},
		{"deleted pointer", mistake[holds[*gorm.DeletedAt]](t), []string{".Content: *gorm.DeletedAt", "without pointer"}},
		{"serializer", mistake[struct {
			ID int64
			X  int `gorm:"serializer:xml"`
		}](t), []string{"is no named struct"}},
	} {
		for _, want := range c.want {
			if !strings.Contains(c.got, want) {
				t.Errorf("%s: %q does not say %q", c.name, c.got, want)
			}
		}
	}
}

type holds[T any] struct {
	ID      int64
	Content T
}

func TestMistakesInTags(t *testing.T) {
	type serializer struct {
		ID int64
		X  int `gorm:"serializer:xml"`
	}
	type pointer struct {
		ID int64
		*Owned
	}
	type private struct {
		ID int64
		hiddenBase
	}
	type embeddedTag struct {
		ID    int64
		Owned `cape:"hidden"`
	}
	type embeddedInt struct {
		ID int64
		X  int `gorm:"embedded"`
	}
	type option struct {
		ID int64
		X  string `cape:"auth.email"`
	}
	type emptyClaim struct {
		ID int64
		X  string `cape:"claims."`
	}
	type sources struct {
		ID int64
		X  string `cape:"auth.id,auth.role"`
	}
	type optional struct {
		ID int64
		X  string `cape:"optional"`
	}
	type managedTime struct {
		ID int64
		X  time.Time `cape:"auth.id"`
	}
	type managedRole struct {
		ID int64
		X  int `cape:"auth.role"`
	}
	type managedSecret struct {
		ID int64
		X  string `cape:"auth.id,secret"`
	}
	type managedAuto struct {
		ID int64
		X  int64 `cape:"claims.x" gorm:"autoUpdateTime"`
	}
	type names struct {
		ID int64
		A  string `json:"name"`
		B  string `json:"Name"`
	}
	type columns struct {
		ID int64
		A  string `gorm:"column:x"`
		B  string `gorm:"column:x"`
	}
	type columnCase struct {
		ID int64
		A  string `gorm:"column:x" json:"a"`
		B  string `gorm:"column:X" json:"b"`
	}
	type badName struct {
		ID int64
		A  string `json:"a.b"`
	}
	type stringOption struct {
		ID int64
		A  int `json:"a,string"`
	}
	type noKey struct{ A string }
	type keyNull struct {
		ID *int64
	}
	type keyHidden struct {
		ID int64 `json:"-"`
	}
	type keyFloat struct {
		ID float64
	}
	type keyCounts struct {
		ID    int64  `gorm:"primaryKey"`
		Other string `gorm:"primaryKey"`
	}
	type twice struct {
		ID int64
		A  gorm.DeletedAt
		B  gorm.DeletedAt
	}
	type zeroValue struct {
		ID int64
		A  gorm.DeletedAt `gorm:"zeroValue:'1970-01-01 00:00:00'"`
	}
	type updateOnly struct {
		ID int64
		A  string `gorm:"<-:update"`
	}
	type writeOnly struct {
		ID int64
		A  string `writeOnly:"true"`
	}
	type boolean struct {
		ID int64
		A  string `required:"yes"`
	}
	type text struct {
		ID int64
		A  string `gorm:"type:timestamp"`
	}
	type number struct {
		ID int64
		A  int `gorm:"type:varchar(3)"`
	}
	type noUUID struct {
		ID int64
		A  int `gorm:"type:uuid"`
	}
	type noDecimal struct {
		ID int64
		A  bool `gorm:"type:numeric"`
	}
	type noJSON struct {
		ID int64
		A  int `gorm:"type:jsonb"`
	}
	type scale struct {
		ID int64
		A  string `gorm:"type:numeric(2,3)"`
	}
	type bound struct {
		ID int64
		A  string `gorm:"type:numeric" minimum:"low"`
	}
	type multiple struct {
		ID int64
		A  string `gorm:"type:numeric" multipleOf:"2"`
	}
	type defaults struct {
		ID int64
		A  int `gorm:"default:many"`
	}
	type lost struct {
		ID int64
		A  Address
	}
	for _, c := range []struct {
		got, want string
	}{
		{mistake[serializer](t), `model_test.serializer.X: no serializer is named "xml"; there are json, gob, unixtime`},
		{mistake[pointer](t), "model_test.pointer.Owned: a pointer to an embedded struct is not supported"},
		{mistake[private](t), "model_test.private.hiddenBase: GORM does not see"},
		{mistake[embeddedTag](t), "model_test.embeddedTag.Owned: a cape tag has no meaning on an embedded struct"},
		{mistake[embeddedInt](t), `model_test.embeddedInt.X: gorm:"embedded" is for structs`},
		{mistake[option](t), `model_test.option.X: cape:"auth.email": no option "auth.email"; there are auth.id, auth.role, claims.<name>`},
		{mistake[emptyClaim](t), `no option "claims."`},
		{mistake[sources](t), "names two sources"},
		{mistake[optional](t), "optional goes with"},
		{mistake[managedTime](t), "model_test.managedTime.X: a column of kind time cannot hold auth.id"},
		{mistake[managedRole](t), "a column of kind integer cannot hold auth.role"},
		{mistake[managedSecret](t), `model_test.managedSecret.X: it is filled from auth.id, and what sessions store there is checked in the journal, which has no secrets; use cape:"hidden"`},
		{mistake[managedAuto](t), "it is filled by itself and from claims.x"},
		{mistake[names](t), `model_test.names.B: the JSON name "Name" is that of A too`},
		{mistake[columns](t), `model_test.columns.B: column "x" is that of A too`},
		{mistake[columnCase](t), `model_test.columnCase.B: column "X" is that of A too`},
		{mistake[badName](t), `model_test.badName.A: the JSON name "a.b" may only have letters`},
		{mistake[stringOption](t), "the option string is not supported"},
		{mistake[noKey](t), "model_test.noKey: no primary key; add ID int64"},
		{mistake[keyNull](t), "model_test.keyNull.ID: a key is never NULL"},
		{mistake[keyHidden](t), "model_test.keyHidden.ID: a key is in every URL and cannot be hidden"},
		{mistake[keyFloat](t), "a column of kind number cannot be a key"},
		{mistake[keyCounts](t), `model_test.keyCounts.ID: a part of a composite key cannot count by itself; tag it gorm:"primaryKey;autoIncrement:false"`},
		{mistake[twice](t), "model_test.twice.B: A is a gorm.DeletedAt too"},
		{mistake[zeroValue](t), "zeroValue is not supported"},
		{mistake[updateOnly](t), "is not supported; use <-:create"},
		{mistake[writeOnly](t), `model_test.writeOnly.A: writeOnly has no meaning here; use cape:"hidden"`},
		{mistake[boolean](t), `model_test.boolean.A: required:"yes" must be true or false`},
		{mistake[text](t), "model_test.text.A: a string does not fit a timestamp column"},
		{mistake[number](t), "a int does not fit a varchar column"},
		{mistake[noUUID](t), "a int is no UUID"},
		{mistake[noDecimal](t), "a bool is no decimal"},
		{mistake[noJSON](t), `GORM cannot bind a int to a jsonb column; add gorm:"serializer:json"`},
		{mistake[scale](t), "a decimal of 2 digits cannot have 3 after the point"},
		{mistake[bound](t), `minimum:"low" is no decimal number`},
		{mistake[multiple](t), "multipleOf is not checked on decimals"},
		{mistake[defaults](t), `model_test.defaults.A: gorm:"default:many" is no int`},
		{mistake[tableDots](t), `"a.b.c" is no table's name`},
		{mistake[lost](t), `field A: define a valid foreign key`},
		{mistake[lost](t), `may be gorm:"embedded" or gorm:"serializer:json"`},
	} {
		if !strings.Contains(c.got, c.want) {
			t.Errorf("%q does not say %q", c.got, c.want)
		}
	}
}

func TestMistakesAreJoined(t *testing.T) {
	type many struct {
		A chan int
		B func()
	}
	got := mistake[many](t)
	if !strings.Contains(got, "many.A:") || !strings.Contains(got, "many.B:") {
		t.Error(got)
	}
	type several struct {
		Note string `json:"note,string" cape:"nothing"`
		UUID uuid.UUID
	}
	got = mistake[several](t)
	for _, want := range []string{"option string", `no option "nothing"`, "no primary key"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	if _, err := model.Parse(reflect.TypeFor[int](), schema.NamingStrategy{}, &sync.Map{}); err == nil {
		t.Error("Parse accepts an int")
	}
}
