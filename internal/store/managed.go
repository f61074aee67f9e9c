package store

import (
	"slices"

	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
)

// fill sets a managed field from the identity, and refuses any other value that the body gives.
func (s session) fill(f *model.Field, in *Input) error {
	values, list := s.managed(f)
	switch {
	case len(values) == 0 && f.Managed.Optional:
		if in.Given[f.Column] && in.Values[f.Column] != f.Zero() {
			return refuseManaged(in.at(f))
		}
		in.Set(f.Column, f.Zero())
	case len(values) == 0:
		e := problem.At(problem.Permission, in.at(f), "it is filled from the caller's identity, which lacks it")
		return e
	case in.Given[f.Column]:
		if !slices.Contains(values, in.Values[f.Column]) {
			return refuseManaged(in.at(f))
		}
	case list:
		return problem.At(problem.Permission, in.at(f), "the caller has several: give one of them")
	default:
		in.Set(f.Column, values[0])
	}
	return nil
}

func refuseManaged(location string) error {
	return problem.At(problem.Permission, location, "it is filled from the caller's identity and cannot be given another value")
}

// managed returns the values that the identity has for a field; list tells that the caller must choose.
func (s session) managed(f *model.Field) (values []predicate.Value, list bool) {
	switch f.Managed.Source {
	case model.FromID:
		if v, ok := predicate.ParseExact(f.Kind, s.caller.ID); ok {
			return []predicate.Value{v}, false
		}
	case model.FromRole:
		if len(s.caller.Roles) > 0 {
			if v, ok := predicate.ParseExact(f.Kind, s.caller.Roles[0]); ok {
				return []predicate.Value{v}, false
			}
		}
	case model.FromClaim:
		claim := s.caller.Claims[f.Managed.Claim]
		return predicate.ClaimValues(f.Kind, claim), predicate.IsList(claim)
	}
	return nil, false
}
