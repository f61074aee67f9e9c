package engine

import "github.com/capebase/capebase/internal/predicate"

// Whole is the write of one row that is a transaction by itself, in one statement and so one round trip: the row is
// written, taken as it is stored then, held against a rule, and committed.
type Whole struct {
	Table *Table
	// Write writes the INSERT or UPDATE, up to where a RETURNING would stand; Changed follows as another condition.
	Write func(b *Builder)
	// Changed are values of which a column must not have one yet, or the UPDATE is none. Empty: of an INSERT.
	Changed []Assignment
	// Key is the row's; nil: the one that an AUTO_INCREMENT has given.
	Key []predicate.Value
	// Rule has to hold for the row as it is stored, or nothing is written. It has to be folded.
	Rule *predicate.Expr
	// Variables are those that the journal's triggers read.
	Variables []Variable

	from, to int // where the change stands in the statement
}

// Change is the part of the statement that is the INSERT or UPDATE: what the statement is for whoever watches.
func (w *Whole) Change(b *Builder) string { return b.String()[w.from:w.to] }

// Assignment is the value that a column gets.
type Assignment struct {
	Column int
	Value  predicate.Value
}

// WriteChange writes the INSERT or UPDATE. differs writes the condition that a column has another value, or none.
func (w *Whole) WriteChange(b *Builder, differs func(column Column, v predicate.Value)) {
	w.from = b.text.Len()
	defer func() { w.to = b.text.Len() }()
	w.Write(b)
	for i, to := range w.Changed {
		if i == 0 {
			b.Write(" AND (")
		} else {
			b.Write(" OR ")
		}
		differs(w.Table.Columns[to.Column], to.Value)
	}
	if len(w.Changed) > 0 {
		b.Write(")")
	}
}

// Variable is one of a transaction's, or one of a session's that the transaction's end clears.
type Variable struct{ Name, Value string }

// WholeWriter is a Dialect that has such statements.
type WholeWriter interface {
	// WriteWhole writes the statement. It returns the written row's columns, or no row where nothing was written.
	WriteWhole(b *Builder, w *Whole)
	// Undone tells whether an error of the statement says for certain that nothing was written.
	Undone(err error) bool
	// Cleared are the statements that make a connection as it was before after such an error.
	Cleared(variables []Variable) []string
}
