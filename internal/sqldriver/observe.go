package sqldriver

import (
	"context"
	"time"
)

// observation is one statement being watched; nil when nobody watches.
type observation struct {
	query string
	start time.Time
	write bool
	err   error
}

func (db *DB) observe(query string) *observation {
	if db.options.Observe == nil {
		return nil
	}
	return &observation{query: query, start: time.Now(), write: db.lexicon.inspect(query).class != reading}
}

// fail notes an error between rows.
func (o *observation) fail(err error) {
	if o != nil {
		o.err = err
	}
}

func (o *observation) done(ctx context.Context, db *DB, rows int64, err error) {
	if o == nil {
		return
	}
	if err == nil {
		err = o.err
	}
	db.options.Observe(ctx, Statement{Query: o.query, Duration: time.Since(o.start), Rows: rows, Err: err, Write: o.write})
}
