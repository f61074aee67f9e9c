// Package engines opens the targets of dbtest with the engines' public constructors. It is apart from dbtest, which the
// tests of the engines themselves import.
package engines

import (
	"strings"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/mysql"
	"github.com/capebase/capebase/postgres"
	"github.com/capebase/capebase/sqlite"
)

// Of returns the engine of a dbtest.Target's URL.
func Of(url string) engine.Engine {
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return sqlite.File(path)
	}
	if strings.HasPrefix(url, "postgres:") {
		return postgres.URL(url)
	}
	return mysql.URL(url)
}
