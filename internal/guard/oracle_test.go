package guard

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/problem"
)

// generated is where the keys begin that the database makes in a bed that was seeded for writes.
const generated = 1000

// seedForWrites is seed for a bed whose generated keys meet no row of any other.
func (b *bed) seedForWrites(keep func(table int, row []predicate.Value) bool) {
	b.t.Helper()
	b.seed(keep)
	for i := range b.tables {
		table := b.dialect.Quote(b.tables[i].Model.Table.Name)
		switch b.dialect.Name() {
		case "postgres":
			b.exec(fmt.Sprintf("SELECT setval(pg_get_serial_sequence('%s', 'id'), %d)", table, generated))
		case "mysql":
			b.exec(fmt.Sprintf("ALTER TABLE %s AUTO_INCREMENT = %d", table, generated+1))
		default:
			b.exec("INSERT OR REPLACE INTO sqlite_sequence (rowid, name, seq) SELECT rowid, name, ? FROM sqlite_sequence WHERE name = ?",
				generated, b.tables[i].Model.Table.Name)
			b.exec("INSERT INTO sqlite_sequence (name, seq) SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?1)",
				b.tables[i].Model.Table.Name, generated)
		}
	}
}

// contents are the rows of a bed: of the published tables by table and key, and the unpublished table as text.
type contents struct {
	rows   map[place][]predicate.Value
	colors string
}

type place struct {
	table int
	key   int64
}

func (b *bed) contents(q querier) contents {
	b.t.Helper()
	ctx := caller.WithInternal(b.t.Context())
	c := contents{rows: map[place][]predicate.Value{}}
	for i := range b.tables {
		t := &b.tables[i].Model.Table
		rows, err := q.QueryContext(ctx, "SELECT * FROM "+b.dialect.Quote(t.Name))
		if err != nil {
			b.t.Fatal(err)
		}
		for rows.Next() {
			values, targets := make([]any, len(t.Columns)), make([]any, len(t.Columns))
			for i := range values {
				targets[i] = &values[i]
			}
			if err := rows.Scan(targets...); err != nil {
				b.t.Fatal(err)
			}
			row := make([]predicate.Value, len(values))
			for i, v := range values {
				if row[i], err = b.dialect.Scan(t.Columns[i].Kind, v); err != nil {
					b.t.Fatal(err)
				}
			}
			c.rows[place{i, row[0].Int()}] = row
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			b.t.Fatal(err)
		}
	}
	colors, err := answer(ctx, q, "SELECT id, name, todos, lists FROM colors ORDER BY id")
	if err != nil {
		b.t.Fatal(err)
	}
	c.colors = strings.Join(colors, "\n")
	return c
}

// String writes rows down for comparison. Keys that the database made have no number.
func (c contents) String() string {
	var lines []string
	for p, row := range c.rows {
		line := fmt.Sprint(p.table, row)
		if p.key > generated {
			line = fmt.Sprint(p.table, " new ", row[1:])
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n" + c.colors
}

// outcome is what a statement came to.
type outcome struct {
	rows     []string
	affected int64
	err      error
	after    contents // within the transaction, where there is no error
}

// attempt runs a statement in a transaction that is rolled back. A violation has to make the transaction useless.
func (b *bed) attempt(ctx context.Context, e entry) (o outcome) {
	b.t.Helper()
	tx, err := b.sql.BeginTx(ctx, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() {
		if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
			b.t.Errorf("%s: rollback: %v", e.sql, err)
		}
	}()
	if o.rows, o.affected, o.err = run(ctx, tx, e); o.err == nil {
		o.after = b.contents(tx)
		return o
	}
	if permission(o.err) {
		if _, err := tx.ExecContext(ctx, "UPDATE colors SET name = 'after' WHERE id = 1"); !permission(err) {
			b.t.Errorf("%s: a later statement of the transaction: %v", e.sql, err)
		}
		if err := tx.Commit(); !permission(err) {
			b.t.Errorf("%s: commit after a violation: %v", e.sql, err)
		}
	}
	return o
}

type runner interface {
	querier
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// run runs a statement as what it is.
func run(ctx context.Context, db runner, e entry) (rows []string, affected int64, err error) {
	explained := regexp.MustCompile(`^(EXPLAIN|ANALYZE)`).MatchString(e.sql)
	if explained || strings.Contains(e.sql, "RETURNING") || strings.HasPrefix(e.sql, "SELECT") {
		rows, err = answer(ctx, db, e.sql, e.args...)
		if explained {
			return nil, 0, err
		}
		slices.Sort(rows)
		return rows, 0, err
	}
	result, err := db.ExecContext(ctx, e.sql, e.args...)
	if err != nil {
		return nil, 0, err
	}
	affected, err = result.RowsAffected()
	return nil, affected, err
}

func permission(err error) bool {
	p := (*problem.Error)(nil)
	return errors.As(err, &p) && p.Code == problem.Permission
}

// judge says by the rules alone whether a caller may bring the rows that it can read from one state to another.
func (b *bed) judge(id auth.Identity, before, after contents) error {
	who := predicate.Caller{ID: id.ID, Roles: id.Roles, Claims: id.Claims}
	may := func(rule *predicate.Expr, row []predicate.Value) bool { return predicate.Fold(rule, who).Match(row) }
	for p, row := range after.rows {
		old, was := before.rows[p]
		rules, m := b.tables[p.table].Rules, b.tables[p.table].Model
		switch {
		case !was && !may(rules.Create, row):
			return fmt.Errorf("create %v", row)
		case !was && hasManaged(m) && row[1] != predicate.TextValue(id.ID):
			return fmt.Errorf("create for another %v", row)
		case !was || slices.Equal(old, row):
		case !may(rules.Read, old), !may(rules.Update, old), !may(rules.Update, row):
			return fmt.Errorf("change %v to %v", old, row)
		case hasManaged(m) && old[1] != row[1]:
			return fmt.Errorf("hand over %v", old)
		}
	}
	for p, row := range before.rows {
		rules := b.tables[p.table].Rules
		if after.rows[p] == nil && (!may(rules.Read, row) || !may(rules.Delete, row)) {
			return fmt.Errorf("delete %v", row)
		}
	}
	return nil
}

func hasManaged(m *model.Model) bool { return m.Fields[1].Managed.Source != model.FromBody }

// collides tells whether a statement made a row in the mirror whose key belongs to a row that the caller cannot read.
func collides(mirror, mirrored, all contents) bool {
	for p := range mirrored.rows {
		if mirror.rows[p] == nil && all.rows[p] != nil {
			return true
		}
	}
	return false
}

// union adds to the rows of the mirror those of the whole that it does not have.
func union(mirror, mirrored, all contents) contents {
	whole := contents{rows: maps.Clone(mirrored.rows), colors: mirrored.colors}
	for p, row := range all.rows {
		if mirror.rows[p] == nil {
			whole.rows[p] = row
		}
	}
	return whole
}

// pair is a bed and its mirror for one caller, with what they hold.
type pair struct {
	*bed
	mirror     *bed
	name       string
	all, own   contents
	rows, bans int // statements that changed something, and that were refused
}

func newPair(b *bed, name string) *pair {
	b.t.Helper()
	mirror := newBed(b.t, dbtest.New(b.t, b.target.Engine))
	mirror.seedForWrites(b.readable(name))
	return &pair{bed: b, mirror: mirror, name: name, all: b.contents(b.sql), own: mirror.contents(mirror.sql)}
}

// write runs a statement and returns what it did that the oracle does not have.
func (p *pair) write(e entry) error {
	want := p.mirror.attempt(caller.WithInternal(p.t.Context()), e)
	got := p.attempt(p.as(p.name), e)
	if now := p.contents(p.sql).String(); now != p.all.String() {
		return fmt.Errorf("something stays of what was rolled back or refused:\n%s\nwant:\n%s", now, p.all)
	}
	switch {
	case want.err != nil && got.err == nil:
		return fmt.Errorf("no error, but the mirror has %w", want.err)
	case want.err != nil:
		return nil
	}
	if collides(p.own, want.after, p.all) {
		return p.collided(e, got)
	}
	if violation := p.judge(identities()[p.name], p.own, want.after); violation != nil {
		p.bans++
		if !permission(got.err) {
			return fmt.Errorf("rows %s and no refusal: %w", got.rows, errors.Join(got.err, violation))
		}
		_, _, err := run(p.as(p.name), p.sql, e)
		if now := p.contents(p.sql).String(); !permission(err) || now != p.all.String() {
			return fmt.Errorf("outside of a transaction: error %w, rows:\n%s", err, now)
		}
		return nil
	}
	if got.err != nil {
		return fmt.Errorf("error %w, want none", got.err)
	}
	whole := union(p.own, want.after, p.all).String()
	if now := got.after.String(); now != whole {
		return fmt.Errorf("rows (-want +got):\n%s", cmp.Diff(strings.Split(whole, "\n"), strings.Split(now, "\n")))
	}
	if !slices.Equal(unnumbered(got.rows), unnumbered(want.rows)) || got.affected != want.affected {
		return fmt.Errorf("%d affected, returned %s, want %d, %s", got.affected, got.rows, want.affected, want.rows)
	}
	if whole != p.all.String() {
		p.rows++
	}
	return nil
}

// collided judges a statement whose new row stands in the way of one that the caller cannot read.
func (p *pair) collided(e entry, got outcome) error {
	forgiving := strings.Contains(e.sql, "CONFLICT") || strings.Contains(e.sql, "IGNORE")
	switch {
	case got.err != nil:
		p.bans++
		return nil
	case !forgiving:
		return fmt.Errorf("no error where a key is taken, but rows %s", got.rows)
	case got.after.String() != p.all.String() || len(got.rows) > 0 || got.affected > 0:
		return fmt.Errorf("%d affected, returned %s where a key is taken, rows:\n%s", got.affected, got.rows, got.after)
	}
	return nil
}

// unnumbered hides the keys that the database made.
func unnumbered(rows []string) []string {
	key := regexp.MustCompile(`\b[1-9][0-9]{3,5}\b`)
	hidden := make([]string, len(rows))
	for i, row := range rows {
		hidden[i] = key.ReplaceAllString(row, "new")
	}
	return hidden
}
