package migrate

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/dbtest"
)

// childVariable makes the test binary a process that migrates the database of the URL and ends.
const childVariable = "CAPE_MIGRATE_CHILD"

const childTimeout = 2 * time.Minute

func runChild() (code int, child bool) {
	url, child := os.LookupEnv(childVariable)
	if !child {
		return 0, false
	}
	if err := migrateIn(url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}

func migrateIn(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), childTimeout)
	defer cancel()
	db, g, err := connect(ctx, engineOf(url), gorm.Config{})
	if err != nil {
		return err
	}
	all, err := models(g, Item{}, Owner{}, Everything{})
	if err != nil {
		return err
	}
	if err := Run(ctx, db, g, all, All, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	return db.Close()
}

// TestTenProcesses starts ten programs at once on an empty database.
func TestTenProcesses(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		const processes = 10
		var all sync.WaitGroup
		for i := range processes {
			all.Go(func() {
				command := exec.CommandContext(t.Context(), os.Args[0])
				command.Env = append(os.Environ(), childVariable+"="+target.URL)
				var output bytes.Buffer
				command.Stdout, command.Stderr = &output, &output
				if err := command.Run(); err != nil {
					t.Errorf("process %d: %v\n%s", i, err, output.String())
				}
			})
		}
		all.Wait()
		b := open(t, target)
		if plan := b.make(None, b.models(Item{}, Owner{}, Everything{})); len(plan.Steps) > 0 {
			t.Errorf("left to do: %s", steps(plan))
		}
		if n := b.count("SELECT count(*) FROM " + b.meta()); n != 1 {
			t.Errorf("%d rows in the table of facts, want 1", n)
		}
	})
}

func (b *bed) meta() string {
	if b.engine == dbtest.Postgres {
		return "cape.meta"
	}
	return "cape_meta"
}
