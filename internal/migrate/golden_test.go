package migrate

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/mysql"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares the DDL of an empty database with the file that a review has seen.
func golden(b *bed) {
	b.Helper()
	got := steps(b.make(All, b.models(Item{}, Owner{}, Everything{})))
	path := filepath.Join("testdata", b.engine+".sql")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		b.Errorf("DDL is not that of %s (go test -update writes it anew):\n%s", path, diff)
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) { golden(open(t, withSearchPath(target, "public"))) })
}

func TestGoldenMySQL(t *testing.T) {
	t.Parallel()
	golden(openEngine(t, dbtest.MySQL, mysql.Connector(emptyMySQL{"8.0.36"}), gorm.Config{}))
}
