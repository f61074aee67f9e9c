package problem

import "sync/atomic"

// Refusal is what a rule refused, for the audit trail.
type Refusal struct {
	Table  string // schema and name, as the model has them
	Action string // "create", "update", "delete" or "write"
	noted  atomic.Bool
}

// Note tells whether it is called for the first time: a refusal passes several places that would record it.
func (r *Refusal) Note() bool { return r.noted.CompareAndSwap(false, true) }

// Refused returns the error with what it refused.
func (e *Error) Refused(table, action string) *Error {
	c := *e
	c.refusal = &Refusal{Table: table, Action: action}
	return &c
}

// Refusal is what Refused said; nil where it said nothing.
func (e *Error) Refusal() *Refusal { return e.refusal }
