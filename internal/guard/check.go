package guard

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
	"github.com/capebase/capebase/internal/sqldriver"
)

// maxChecked bounds the changes of one statement that are held in memory to be checked.
const maxChecked = 100_000

// check returns the sqldriver.Guarded.Check of a statement: it looks at what the statement wrote into the journal, and
// refuses what the context's caller may not do. targets are the tables that the statement writes itself; nil is all.
// Changes of others (by cascades, or by triggers of the developer's) are no concern of the caller's. upserts is set for a
// statement with MySQL's ON DUPLICATE KEY UPDATE.
func (g *Guard) check(ctx context.Context, targets []int, upserts bool) func(ctx context.Context, c *sqldriver.Conn) (after func(ctx context.Context, o sqldriver.Outcome) error, err error) {
	id := auth.From(ctx)
	who := predicate.Caller{ID: id.ID, Roles: id.Roles, Claims: id.Claims}
	return func(ctx context.Context, c *sqldriver.Conn) (func(context.Context, sqldriver.Outcome) error, error) {
		written, err := g.journal.Statement(ctx, c)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, o sqldriver.Outcome) error {
			entries, err := written(ctx, maxChecked)
			if many := (*journal.TooManyError)(nil); errors.As(err, &many) {
				return refuse(fmt.Sprintf("it changes more than %d rows", many.Limit), "change fewer at once, or "+privilegedInstead)
			}
			if err != nil {
				return err
			}
			ch := checker{guard: g, caller: who}
			return ch.all(entries, targets, upserts, o)
		}, nil
	}
}

// checker checks the changes of one statement.
type checker struct {
	guard  *Guard
	caller predicate.Caller
	tables []permissions // in the order in which they were met
}

// permissions are the rules of a table, folded when they are first asked for.
type permissions struct {
	table                        int
	read, create, update, remove *predicate.Expr
}

func (ch *checker) all(entries []journal.Entry, targets []int, upserts bool, o sqldriver.Outcome) error {
	tally := tally{}
	for i := range entries {
		e := &entries[i]
		switch {
		case e.Op == journal.Gap && (e.Table == journal.AllTables || targets == nil || slices.Contains(targets, e.Table)):
			return fmt.Errorf("capebase: a change of %q cannot be checked, for its entry in the journal cannot be read", e.Name)
		case e.Table == journal.AllTables, e.Table >= len(ch.guard.tables), targets != nil && !slices.Contains(targets, e.Table):
			continue
		}
		tally.add(e)
		if err := ch.entry(e); err != nil {
			return err
		}
	}
	if !upserts || o.Failed || !tally.hides(o) {
		return nil
	}
	for _, target := range targets {
		if ch.read(ch.of(target)).Op != predicate.True {
			return ch.refuse(target, "change", ": a row that was there before kept its values, and whether the caller may read it is not known")
		}
	}
	return nil
}

// entry checks one change.
func (ch *checker) entry(e *journal.Entry) error {
	p := ch.of(e.Table)
	switch e.Op {
	case journal.Insert:
		if !ch.create(p).Match(e.After) {
			return ch.refuse(e.Table, "create", "")
		}
		return ch.filled(e)
	case journal.Delete:
		if !ch.read(p).Match(e.Before) || !ch.remove(p).Match(e.Before) {
			return ch.refuse(e.Table, "delete", "")
		}
		return nil
	default: // an update, be it of secret columns alone
		return ch.updated(p, e)
	}
}

// updated checks an update. One that marks a row as deleted, and does nothing else, is a deletion for the rules.
func (ch *checker) updated(p *permissions, e *journal.Entry) error {
	if ch.deletes(e) {
		if !ch.read(p).Match(e.Before) || !ch.remove(p).Match(e.Before) {
			return ch.refuse(e.Table, "delete", "")
		}
		return nil
	}
	if !ch.read(p).Match(e.Before) || !ch.update(p).Match(e.Before) || !ch.update(p).Match(e.After) {
		return ch.refuse(e.Table, "change", "")
	}
	m := ch.model(e.Table)
	for _, f := range m.Fields {
		if err := f.KeepManaged(e.Before[f.Column], e.After[f.Column]); err != nil {
			return refuseField(m, f, err)
		}
	}
	return nil
}

// deletes tells whether an update marks a row as deleted. The time of the last change may move with it.
func (ch *checker) deletes(e *journal.Entry) bool {
	m := ch.model(e.Table)
	if m.Deleted < 0 || !e.Before[m.Deleted].IsNull() || e.After[m.Deleted].IsNull() {
		return false
	}
	for i, f := range m.Fields {
		if i != m.Deleted && f.Auto != model.UpdateTime && e.Before[i] != e.After[i] {
			return false
		}
	}
	return true
}

// filled checks the managed fields of a new row.
func (ch *checker) filled(e *journal.Entry) error {
	m := ch.model(e.Table)
	for _, f := range m.Fields {
		if f.Managed.Source == model.FromBody {
			continue
		}
		if _, err := f.FillManaged(ch.caller, true, e.After[f.Column]); err != nil {
			return refuseField(m, f, err)
		}
	}
	return nil
}

func (ch *checker) model(table int) *model.Model { return ch.guard.tables[table].Model }

func (ch *checker) of(table int) *permissions {
	for i := range ch.tables {
		if ch.tables[i].table == table {
			return &ch.tables[i]
		}
	}
	ch.tables = append(ch.tables, permissions{table: table})
	return &ch.tables[len(ch.tables)-1]
}

func (ch *checker) read(p *permissions) *predicate.Expr {
	return ch.fold(&p.read, ch.guard.tables[p.table].Rules.Read)
}

func (ch *checker) create(p *permissions) *predicate.Expr {
	return ch.fold(&p.create, ch.guard.tables[p.table].Rules.Create)
}

func (ch *checker) update(p *permissions) *predicate.Expr {
	return ch.fold(&p.update, ch.guard.tables[p.table].Rules.Update)
}

func (ch *checker) remove(p *permissions) *predicate.Expr {
	return ch.fold(&p.remove, ch.guard.tables[p.table].Rules.Delete)
}

// fold returns a rule as it is for the caller, and knows it from then on. No rule, no access.
func (ch *checker) fold(known **predicate.Expr, rule *predicate.Expr) *predicate.Expr {
	if *known == nil {
		*known = &predicate.Expr{Op: predicate.False}
		if rule != nil {
			*known = predicate.Fold(rule, ch.caller)
		}
	}
	return *known
}

func (ch *checker) refuse(table int, verb, why string) error {
	return breach(ch.model(table), verb, why)
}

func refuseField(m *model.Model, f *model.Field, reason error) error {
	return problem.Newf(problem.Permission, "%s.%s: %s", m.Name, f.GoName, reason).Refused(fullName(m), "write")
}

// tally counts the changes of a statement's targets.
type tally struct{ inserts, updates, deletes int64 }

func (t *tally) add(e *journal.Entry) {
	switch e.Op {
	case journal.Insert:
		t.inserts++
	case journal.Delete:
		t.deletes++
	default:
		t.updates++
	}
}

// hides tells whether an upsert of MySQL's met rows that it left as they were, which no entry shows. It counts 1 for
// such a row, 1 for a new one and 2 for one that it changed; a changed key is a deletion and an insertion. What returned
// rows instead of a count returned each that it met. Where neither is known, there may have been any.
func (t *tally) hides(o sqldriver.Outcome) bool {
	if o.Affected >= 0 {
		return o.Affected > t.inserts+t.deletes+2*t.updates
	}
	return o.Rows == 0 || int64(o.Rows) > t.inserts+t.updates
}
