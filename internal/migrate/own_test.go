package migrate

import (
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
)

func TestUninstall(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		all := b.models(Owner{}, Item{})
		if err := Uninstall(t.Context(), b.db); err != nil {
			t.Errorf("with nothing there: %v", err)
		}
		b.run(All, all)
		b.exec("INSERT INTO owners (id, name) VALUES ('o', 'n')")
		if err := Uninstall(t.Context(), b.db); err != nil {
			t.Fatal(err)
		}
		plan := b.make(All, all)
		for _, step := range plan.Steps {
			if !step.Own {
				t.Errorf("a model's table is gone: %s", step.SQL)
			}
		}
		if len(plan.Steps) == 0 {
			t.Error("nothing was dropped")
		}
		if n := b.count("SELECT count(*) FROM owners"); n != 1 {
			t.Errorf("%d rows are left of 1", n)
		}
		b.run(Own, all)
	})
}

func TestUninstallLeavesOthers(t *testing.T) {
	t.Parallel()
	b := open(t, dbtest.New(t, dbtest.Postgres))
	b.run(All, nil)
	b.exec("CREATE TABLE cape.theirs (id int)")
	if err := Uninstall(t.Context(), b.db); err != nil {
		t.Fatal(err)
	}
	b.count("SELECT count(*) FROM cape.theirs")
}

func TestFormat(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		b.run(All, nil)
		format := func() int {
			return b.count("SELECT value FROM " + b.meta() + " WHERE " + b.db.Dialect().Quote("key") + " = 'format'")
		}

		b.exec("UPDATE " + b.meta() + " SET value = '9'")
		b.run(All, nil)
		if format() != 9 || !strings.Contains(b.log.String(), "format 9, made by a later version") {
			t.Errorf("format %d after an older program; log:\n%s", format(), b.log)
		}
		b.exec("UPDATE " + b.meta() + " SET value = '0'")
		b.run(All, nil)
		if format() != 1 {
			t.Errorf("format %d, want 1", format())
		}
		b.exec("DELETE FROM " + b.meta())
		b.run(Own, nil)
		if format() != 1 {
			t.Errorf("format %d, want 1", format())
		}
		b.exec("UPDATE " + b.meta() + " SET value = 'x'")
		b.fails(nil, b.meta(), `"x"`)
		b.exec("DROP TABLE "+b.meta(), "CREATE TABLE "+b.meta()+" (id int)")
		b.fails(nil, b.meta(), "no column key")
	})
}
