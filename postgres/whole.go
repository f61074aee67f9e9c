package postgres

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// WriteWhole implements engine.WholeWriter. The statement runs in a transaction of its own, which a row that the rule does
// not allow ends by a division by zero. The row is taken as the statement wrote it: where a trigger AFTER it may change it
// again, the statement is not to be used. The journal's triggers run after all of the statement, and find the variables.
func (d dialect) WriteWhole(b *engine.Builder, w *engine.Whole) {
	b.Write("WITH cape_written AS (")
	w.WriteChange(b, func(column engine.Column, v predicate.Value) {
		b.Quote(column.Name)
		b.Write(" IS DISTINCT FROM ")
		b.Arg(v)
		b.Write(cast(column))
	})
	b.Write(" RETURNING ")
	b.Columns(w.Table)
	b.Write(") SELECT ")
	b.Columns(w.Table)
	b.Write(" FROM cape_written WHERE ")
	if w.Rule.Op != predicate.True {
		b.Write("1 / CASE WHEN ")
		engine.Where(b, w.Table, w.Rule)
		b.Write(" THEN 1 ELSE 0 END = 1 AND ")
	}
	for i, variable := range w.Variables {
		if i > 0 {
			b.Write(" AND ")
		}
		b.Write("set_config(", literal(variable.Name), ", ")
		b.Raw(variable.Value)
		b.Write(", true) IS NOT NULL")
	}
}

func literal(name string) string { return "'" + name + "'" }

// Undone implements engine.WholeWriter: an error ends the transaction, unless it ends the session too.
func (d dialect) Undone(err error) bool {
	failure := new(pgconn.PgError)
	if !errors.As(err, &failure) || failure.SeverityUnlocalized != "ERROR" {
		return false
	}
	class := classOf(failure.Code)
	return class != engine.Down && class != engine.Cut
}

// Cleared implements engine.WholeWriter: nothing outlasts the transaction.
func (dialect) Cleared([]engine.Variable) []string { return nil }
