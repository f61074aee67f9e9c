package guard

import (
	"context"
	"database/sql/driver"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
	"github.com/capebase/capebase/policy"
)

// Limit is a sqldriver.Guard: it limits a statement to what the context's caller may do. A privileged context is not
// limited.
func (g *Guard) Limit(ctx context.Context, query string, args []driver.NamedValue, _ bool) (sqldriver.Guarded, error) {
	if _, privileged := caller.Privilege(ctx); privileged || caller.Internal(ctx) {
		return sqldriver.Guarded{Query: query, Args: args}, nil
	}
	known := g.known.Load()
	st, err := known.statement(query)
	if err != nil {
		return sqldriver.Guarded{}, err
	}
	id := auth.From(ctx)
	if id.ReadOnly && (!st.reads || st.opaque) {
		return sqldriver.Guarded{}, errReadOnly()
	}
	limited := sqldriver.Guarded{Query: query, Args: args}
	switch {
	case !st.reads || st.opaque || st.locks:
		limited.Kind = sqldriver.Changes
	default:
		limited.Kind = sqldriver.Reads
	}
	if st.passes {
		limited.Kind = sqldriver.Unsaid
		return limited, nil
	}
	f := folded{guard: g, names: known.names, caller: predicate.Caller{ID: id.ID, Roles: id.Roles, Claims: id.Claims}, action: actionOf(ctx)}
	if limited.Query, limited.Args, err = f.rewrite(st, args); err != nil {
		return sqldriver.Guarded{}, err
	}
	switch {
	case st.opaque:
		limited.Check = g.check(ctx, nil, st.upserts)
	case len(st.targets) > 0:
		limited.Check = g.check(ctx, st.targets, st.upserts && !keeping(ctx))
	}
	return limited, nil
}

// folded answers what one caller may do. Each rule is folded when it is first asked for.
type folded struct {
	guard  *Guard
	names  *names
	caller predicate.Caller
	reads  []*predicate.Expr // by table
	action policy.Action     // that a write is limited to, beside reading
}

func (f *folded) read(table int) *predicate.Expr {
	if f.reads == nil {
		f.reads = make([]*predicate.Expr, len(f.guard.tables))
	}
	if f.reads[table] == nil {
		f.reads[table] = f.fold(f.guard.tables[table].Rules.Read)
	}
	return f.reads[table]
}

// write is what an UPDATE or DELETE may touch: what cannot be read does not exist.
func (f *folded) write(l *limit) *predicate.Expr {
	rules := &f.guard.tables[l.table].Rules
	read := f.read(l.table)
	switch f.action & (policy.Update | policy.Delete) {
	case policy.Update:
		return predicate.Fold(predicate.All(read, f.fold(rules.Update)), f.caller)
	case policy.Delete:
		return predicate.Fold(predicate.All(read, f.fold(rules.Delete)), f.caller)
	}
	return read
}

func (f *folded) fold(e *predicate.Expr) *predicate.Expr {
	if e == nil {
		return &predicate.Expr{Op: predicate.False}
	}
	return predicate.Fold(e, f.caller)
}
