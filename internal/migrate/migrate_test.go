package migrate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

func TestRunTwice(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		all := b.models(Item{}, Owner{}, Everything{})
		var want []engine.Column
		for _, m := range all {
			want = append(want, m.Table.Columns...)
		}
		b.run(All, all)
		if strings.Contains(b.log.String(), "level=WARN") {
			t.Errorf("warnings about tables that were just made:\n%s", b.log)
		}
		var got []engine.Column
		for _, m := range all {
			got = append(got, m.Table.Columns...)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("column %+v is noted as %+v", want[i], got[i])
			}
		}
		if plan := b.make(None, all); len(plan.Steps)+len(plan.Warnings) > 0 {
			t.Errorf("a second run would do %s, warnings %q", steps(plan), plan.Warnings)
		}
		b.run(All, all)
		b.run(Own, all)
		b.run(None, all)
	})
}

func TestModes(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		all := b.models(Item{}, Owner{})
		for _, mode := range [...]Mode{None, Own} {
			err := Run(t.Context(), b.db, b.gorm, all, mode, b.logger())
			missing := new(MissingError)
			if !errors.As(err, &missing) || missing.Mode != mode {
				t.Fatalf("mode %d: %v, want a MissingError", mode, err)
			}
			for _, text := range []string{"CREATE TABLE", "items", "owners"} {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("mode %d: the error does not say %q: %v", mode, text, err)
				}
			}
			if strings.Contains(err.Error(), "cape") != (mode == None) {
				t.Errorf("mode %d: the error should list own tables when they are forbidden, and only then: %v", mode, err)
			}
		}
		if plan := b.make(All, all); !strings.Contains(steps(plan), "items") {
			t.Errorf("a mode that was refused left something: %s", steps(plan))
		}
		// What the error lists is what a person can run.
		for _, step := range b.make(All, all).Steps {
			if !step.Own {
				b.exec(step.SQL)
			}
		}
		b.run(Own, all)
		b.run(None, all)
	})
}

// rowsBefore is a table of a first version of a program, rowsAfter that of the next.
type rowsBefore struct {
	ID   int64
	Name string
}

func (rowsBefore) TableName() string { return "growing" }

type rowsAfter struct {
	ID        int64
	Name      string `gorm:"size:50;index"`
	Flag      bool
	Number    int64
	Ratio     float64
	Price     string `gorm:"type:decimal(10,2)"`
	Text      string
	Short     string `gorm:"size:10;index:,unique,composite:pair"`
	Partner   int64  `gorm:"index:,unique,composite:pair"`
	Maybe     *string
	Filled    string   `gorm:"default:full"`
	Counted   int64    `gorm:"default:5"`
	List      []string `gorm:"serializer:json;not null"`
	Blob      []byte   `gorm:"not null"`
	UUID      string   `gorm:"type:uuid"`
	Email     *string  `gorm:"size:30;unique"`
	CreatedBy string   `gorm:"size:30" cape:"auth.id"`
	Times
}

func (rowsAfter) TableName() string { return "growing" }

func TestAddColumns(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		b.run(All, b.models(rowsBefore{}))
		b.exec("INSERT INTO growing (name) VALUES ('before')")

		after := b.models(rowsAfter{})
		plan := b.make(All, after)
		for _, step := range plan.Steps {
			if !strings.HasPrefix(step.SQL, "ALTER TABLE") && !strings.HasPrefix(step.SQL, "CREATE INDEX") && !strings.HasPrefix(step.SQL, "CREATE UNIQUE INDEX") {
				t.Errorf("a step that adds nothing: %s", step.SQL)
			}
		}
		b.run(All, after)
		if plan := b.make(None, after); len(plan.Steps)+len(plan.Warnings) > 0 {
			t.Errorf("a second run would do %s, warnings %q", steps(plan), plan.Warnings)
		}
		if n := b.count("SELECT count(*) FROM growing WHERE name = 'before' AND number = 0 AND ratio = 0 AND text = '' AND maybe IS NULL " +
			"AND filled = 'full' AND counted = 5 AND created_by = '' AND deleted_at IS NULL AND created_at IS NOT NULL AND NOT flag"); n != 1 {
			t.Errorf("%d rows have the zeros and defaults, want 1", n)
		}
		b.readBack(after[0].Table, map[string]predicate.Value{
			"list": document("[]"), "price": predicate.RawDecimal("0"), "blob": predicate.BytesValue(nil),
			"uuid": uuidValue(uuid.Nil.String()), "created_at": predicate.TimeValue(time.Time{}),
		})
		// The program that knows nothing of the new columns goes on, as long as the unique ones let it.
		b.exec("INSERT INTO growing (name, partner) VALUES ('later', 2)")
	})
}
