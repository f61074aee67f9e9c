package migrate

import (
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
)

// TestAutoMigrated takes over tables that GORM has made.
func TestAutoMigrated(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target)
		if err := b.gorm.WithContext(t.Context()).AutoMigrate(&Owner{}, &Item{}, &Everything{}); err != nil {
			t.Fatal(err)
		}
		all := b.models(Item{}, Owner{}, Everything{})
		plan, err := Make(t.Context(), b.db, b.gorm, all, All)
		t.Log(err)
		if plan != nil {
			t.Log(steps(plan))
			for _, w := range plan.Warnings {
				t.Log(w)
			}
		}
	})
}
