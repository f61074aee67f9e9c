package apitest

import (
	"context"
	"errors"

	"github.com/danielgtaylor/huma/v2"

	"github.com/capebase/capebase"
	"github.com/capebase/capebase/auth"
)

type typedInput struct {
	N int `path:"n"`
}

type typedOutput struct {
	Body struct {
		Who string `json:"who"`
		N   int    `json:"n"`
	}
}

// typedRoute adds a route of huma's, which fails in two ways when it is asked to.
func typedRoute(c *capebase.Cape) {
	huma.Get(c.API(), "/typed/{n}", func(ctx context.Context, in *typedInput) (*typedOutput, error) {
		switch in.N {
		case 404:
			return nil, capebase.ErrNotFound
		case 500:
			return nil, errors.New("a secret of the database")
		}
		out := &typedOutput{}
		out.Body.Who, out.Body.N = auth.From(ctx).ID, in.N
		return out, nil
	})
}
