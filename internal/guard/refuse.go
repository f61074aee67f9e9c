package guard

import (
	"errors"
	"fmt"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/problem"
)

// RefusedError is the error of a statement that cannot be limited to what the caller may do. It says why, and how to
// write it instead.
type RefusedError struct {
	Reason  string // what is wrong with it
	Instead string // what to do
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("capebase: this statement cannot be limited to the caller's rows: %s; %s", e.Reason, e.Instead)
}

func refuse(reason, instead string) error { return &RefusedError{Reason: reason, Instead: instead} }

// privilegedInstead is the advice where there is no other.
const privilegedInstead = "run it with auth.Privileged(ctx, reason)"

// errReadOnly refuses every write of a read-only identity.
func errReadOnly() error {
	return problem.New(problem.Permission, "the caller's identity may only read").Refused("", "write")
}

// breach is the error of a change that the rules do not allow.
func breach(m *model.Model, verb, why string) *problem.Error {
	action := verb
	if verb == "change" {
		action = "update"
	}
	return problem.New(problem.Permission, "the rules do not allow to "+verb+" this "+m.Name+why).Refused(fullName(m), action)
}

// fullName is the name of a model's table, with its schema where the model says one.
func fullName(m *model.Model) string {
	if m.Table.Schema != "" {
		return m.Table.Schema + "." + m.Table.Name
	}
	return m.Table.Name
}

// refused tells whether an error is a RefusedError.
func refused(err error) bool {
	var e *RefusedError
	return errors.As(err, &e)
}
