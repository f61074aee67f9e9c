package guard

import (
	"context"

	"github.com/capebase/capebase/policy"
)

type actionKey struct{}

// WithAction returns a context whose UPDATE and DELETE leave alone the rows on which the caller may not do the action:
// GORM's writes say what they mean to do.
func WithAction(ctx context.Context, a policy.Action) context.Context {
	return context.WithValue(ctx, actionKey{}, a)
}

// actionOf returns the context's action, or none.
func actionOf(ctx context.Context) policy.Action {
	a, _ := ctx.Value(actionKey{}).(policy.Action)
	return a
}

type keepingKey struct{}

// withKeeping returns a context whose INSERT may leave a row that is there already as it is: one that the caller may read,
// or that MySQL is told to keep, as ON CONFLICT DO NOTHING is elsewhere.
func withKeeping(ctx context.Context) context.Context {
	return context.WithValue(ctx, keepingKey{}, true)
}

func keeping(ctx context.Context) bool { return ctx.Value(keepingKey{}) != nil }
