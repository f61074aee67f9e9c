// Package guard limits SQL that the developer's own code runs to what the context's caller may do. Reads of a published
// table see the rows that its read rule allows; writes are limited to those too, and checked on the journal entries that
// they made. It is a safety net for one's own code, and no sandbox for the SQL of strangers.
package guard

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/sqldriver"
	"github.com/capebase/capebase/internal/store"
)

// Table is a published table and its rules.
type Table struct {
	Model *model.Model
	Rules store.Rules
}

// Guard limits statements. Its methods may be called by several goroutines.
type Guard struct {
	// Refused, where it is set, hears of the errors that GORM gets from its plugin; those of statements leave by the
	// connections. It is set before the guard is used.
	Refused func(ctx context.Context, err error)

	db      *sqldriver.DB
	dialect engine.Dialect
	journal *journal.Journal
	tables  []Table // at the indexes that the journal's entries have
	logger  *slog.Logger
	known   atomic.Pointer[known]
}

// New prepares a guard of tables, which are in the journal's order. It knows nothing of the database before Refresh.
func New(db *sqldriver.DB, j *journal.Journal, tables []Table, logger *slog.Logger) *Guard {
	return &Guard{db: db, dialect: db.Dialect(), journal: j, tables: tables, logger: logger}
}
