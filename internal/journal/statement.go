package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/capebase/capebase/internal/sqldriver"
)

// TooManyError says that one statement wrote more entries than the caller would take.
type TooManyError struct{ Limit int }

// Error says what helps.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("the statement changed more than %d rows: change fewer at once", e.Limit)
}

// Statement is called in a transaction that may write, before a statement of it. The function that it returns is called
// in the same transaction after the statement, and gives the entries that were written in between, those of nested
// transactions that were rolled back excepted: in order, decoded as all others, and without a Mark, for they are not
// committed. More than limit are a *TooManyError. Entries of other transactions, and earlier ones of this, are never
// among them. The transaction's begin must have been stamped.
func (j *Journal) Statement(ctx context.Context, c *sqldriver.Conn) (written func(ctx context.Context, limit int) ([]Entry, error), err error) {
	if !c.InTransaction() {
		return nil, errNoTransaction
	}
	read, err := j.source.statement(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("journal: note where a statement begins: %w", err)
	}
	return func(ctx context.Context, limit int) ([]Entry, error) {
		records, err := read(ctx, limit+1)
		switch {
		case err != nil:
			return nil, fmt.Errorf("journal: read what a statement wrote: %w", err)
		case len(records) > limit:
			return nil, &TooManyError{limit}
		}
		entries := make([]Entry, len(records))
		for i := range records {
			records[i].mark = Mark{}
			j.decode(ctx, &records[i], &entries[i])
		}
		return entries, nil
	}, nil
}

var errNoTransaction = errors.New("journal: a statement's entries can be told apart only in a transaction that may write")
