package model

import (
	"errors"
	"slices"

	"github.com/capebase/capebase/internal/predicate"
)

// ManagedValues returns what the caller's identity has for a managed field; list tells that it is for the caller to
// choose among them.
func (f *Field) ManagedValues(c predicate.Caller) (values []predicate.Value, list bool) {
	switch f.Managed.Source {
	case FromID:
		if v, ok := predicate.ParseExact(f.Kind, c.ID); ok {
			return []predicate.Value{v}, false
		}
	case FromRole:
		if len(c.Roles) > 0 {
			if v, ok := predicate.ParseExact(f.Kind, c.Roles[0]); ok {
				return []predicate.Value{v}, false
			}
		}
	case FromClaim:
		claim := c.Claims[f.Managed.Claim]
		return predicate.ClaimValues(f.Kind, claim), predicate.IsList(claim)
	}
	return nil, false
}

// The reasons for which a managed field is refused.
var (
	errManagedOther   = errors.New("it is filled from the caller's identity and cannot be given another value")
	errManagedMissing = errors.New("it is filled from the caller's identity, which lacks it")
	errManagedSeveral = errors.New("the caller has several: give one of them")
)

// FillManaged decides what a managed field of a new row holds: the identity's value, whether or not the same one was
// given. The error says, in words for the client, why the row is refused.
func (f *Field) FillManaged(c predicate.Caller, given bool, v predicate.Value) (predicate.Value, error) {
	values, list := f.ManagedValues(c)
	switch {
	case len(values) == 0 && !f.Managed.Optional:
		return v, errManagedMissing
	case len(values) == 0:
		if zero := f.Zero(); !given || v == zero {
			return zero, nil
		}
		return v, errManagedOther
	case given:
		if !slices.Contains(values, v) {
			return v, errManagedOther
		}
		return v, nil
	case list:
		return v, errManagedSeveral
	default:
		return values[0], nil
	}
}

// KeepManaged refuses a change of a managed field; other fields may change.
func (f *Field) KeepManaged(before, after predicate.Value) error {
	if f.Managed.Source == FromBody || before == after {
		return nil
	}
	return errManagedOther
}
