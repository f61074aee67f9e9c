package sqldriver_test

import (
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/sqldriver"
)

// A text without a statement is an error of its own on SQLite, whose driver has nothing to run then.
func TestNoStatement(t *testing.T) {
	t.Parallel()
	db := openTemp(t, sqldriver.Options{}).SQL()
	for _, query := range []string{"", " ", ";", "-- nothing", "/* nothing */ ;", "/* unclosed"} {
		rows, err := db.QueryContext(t.Context(), query)
		if err == nil || !strings.Contains(err.Error(), "holds no statement") {
			t.Errorf("%q: %v", query, err)
		}
		if err == nil {
			t.Error(rows.Close(), rows.Err())
		}
		if _, err := db.ExecContext(t.Context(), query, 1); err == nil || !strings.Contains(err.Error(), "holds no statement") {
			t.Errorf("%q: %v", query, err)
		}
	}
}
