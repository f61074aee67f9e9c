package store

import (
	"context"
	"errors"

	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Find returns a row as it is, whatever the caller may read: nil where there is none, or where it is deleted softly. It
// joins the context's transaction.
func (s *Store) Find(ctx context.Context, key []predicate.Value) (Row, error) {
	var row Row
	err := s.db.Read(ctx, func(ctx context.Context, c *sqldriver.Conn) (err error) {
		row, err = s.one(ctx, c, s.selectWhere(predicate.All(s.keyIs(key), s.alive())))
		return err
	})
	var known *problem.Error
	if errors.As(err, &known) && known.Code == problem.NotFound {
		return nil, nil
	}
	return row, s.problem(err)
}

// Problem is what the caller may know of an error of the database that was met outside of the store.
func (s *Store) Problem(err error) error { return s.problem(err) }
