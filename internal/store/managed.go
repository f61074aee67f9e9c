package store

import (
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/problem"
)

// fill sets a managed field from the identity, and refuses any other value that the body gives.
func (s session) fill(f *model.Field, in *Input) error {
	v, err := f.FillManaged(s.caller, in.Given[f.Column], in.Values[f.Column])
	if err != nil {
		return problem.At(problem.Permission, in.at(f), err.Error())
	}
	in.Set(f.Column, v)
	return nil
}
