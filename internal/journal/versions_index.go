package journal

import (
	"context"
	"fmt"

	"github.com/capebase/capebase/internal/sqldriver"
)

// The journal needs an index by row for the tables of Options.History alone. Only a program that starts makes one, or drops
// that of a table which it publishes without: the tailer, which repairs triggers whenever they are gone, leaves indexes
// alone. So builds that differ run side by side, and the last to start has its way.

// indexes plans what is missing, and what the program's tables do not need any more.
func (j *Journal) indexes(ctx context.Context) (missing, surplus []string, err error) {
	err = j.db.View(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		missing, surplus, err = j.source.indexes(ctx, c)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("journal: plan indexes: %w", err)
	}
	return missing, surplus, nil
}

// installIndexes makes and drops indexes.
func (j *Journal) installIndexes(ctx context.Context) error {
	missing, surplus, err := j.indexes(ctx)
	if err != nil || len(missing)+len(surplus) == 0 {
		return err
	}
	err = j.source.online(ctx, func(ctx context.Context, c *sqldriver.Conn) error {
		missing, surplus, err := j.source.indexes(ctx, c) // again: another process may have done it
		if err != nil {
			return err
		}
		for _, statement := range append(missing, surplus...) {
			j.log.InfoContext(ctx, "journal: index", "statement", statement)
			if _, err := c.Exec(ctx, statement, nil); err != nil {
				return fmt.Errorf("%w; the statement was:\n%s", err, statement)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("journal: install indexes: %w", err)
	}
	return nil
}
