package mysql

import (
	"errors"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// mariadb is the dialect of MariaDB from 10.6.2: it can prepare several statements as one, without leave to send any texts
// that way.
type mariadb struct{ dialect }

// WriteWhole implements engine.WholeWriter. COMMIT is chosen where the SELECT has found the row.
func (d mariadb) WriteWhole(b *engine.Builder, w *engine.Whole) {
	b.Write("BEGIN NOT ATOMIC SET ")
	for _, variable := range w.Variables {
		b.Write(variable.Name, " = ")
		b.Raw(variable.Value)
		b.Write(", ")
	}
	b.Write("autocommit = 0; ")
	w.WriteChange(b, func(column engine.Column, v predicate.Value) {
		b.Write("NOT (")
		b.Quote(column.Name)
		b.Write(" <=> ")
		b.Arg(v)
		b.Write(")")
	})
	b.Write("; IF ROW_COUNT() = 1 THEN SELECT ")
	b.Columns(w.Table)
	b.Write(" FROM ")
	b.Table(w.Table)
	b.Write(" WHERE ")
	for i, column := range w.Table.Key {
		if w.Key == nil {
			b.Quote(w.Table.Columns[column].Name)
			b.Write(" = LAST_INSERT_ID()")
		} else {
			d.Compare(b, w.Table.Columns[column], predicate.Eq, w.Key[i])
		}
		b.Write(" AND ")
	}
	engine.Where(b, w.Table, w.Rule)
	b.Write("; IF FOUND_ROWS() <> 1 THEN ROLLBACK; END IF; END IF; ", cleared(w.Variables), "; END")
}

// cleared ends what is left of the transaction, and forgets its variables.
func cleared(variables []engine.Variable) string {
	var b strings.Builder
	b.WriteString("SET autocommit = 1")
	for _, variable := range variables {
		b.WriteString(", " + variable.Name + " = NULL")
	}
	return b.String()
}

// Undone implements engine.WholeWriter. What was interrupted may have been committed before.
func (d mariadb) Undone(err error) bool {
	failure := new(mysql.MySQLError)
	if !errors.As(err, &failure) {
		return false
	}
	class := classify(failure).Class
	return class != engine.Down && class != engine.Cut
}

// Cleared implements engine.WholeWriter.
func (mariadb) Cleared(variables []engine.Variable) []string {
	return []string{"ROLLBACK", cleared(variables)}
}
