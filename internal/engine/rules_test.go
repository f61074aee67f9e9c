package engine_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
)

// The test of rules: for random trees, rows and callers, the condition in SQL has the same truth, of the three there
// are, as the tree in memory, and a WHERE lets through the rows that match.

func seedFlag() func() uint64 {
	seed := flag.Uint64("seed", 0, "seed of the random rules; 0: a new one")
	return func() uint64 {
		if *seed == 0 {
			return rand.Uint64()
		}
		return *seed
	}
}

var chooseSeed = seedFlag()

// rulesTable has a column of each kind, and a text whose own collation is not CapeBase's.
func rulesTable() *engine.Table {
	table := &engine.Table{Name: "rules"}
	for _, column := range []engine.Column{
		{Name: "id", Kind: predicate.Int}, {Name: "boolean", Kind: predicate.Bool}, {Name: "integer", Kind: predicate.Int},
		{Name: "number", Kind: predicate.Float}, {Name: "decimal", Kind: predicate.Decimal}, {Name: "text", Kind: predicate.Text},
		{Name: "keyed", Kind: predicate.Text}, {Name: "foreign", Kind: predicate.Text, Foreign: true},
		{Name: "uuid", Kind: predicate.UUID}, {Name: "bytes", Kind: predicate.Bytes}, {Name: "time", Kind: predicate.Time},
		{Name: "json", Kind: predicate.JSON},
	} {
		column.Nullable = column.Name != "id"
		table.Columns = append(table.Columns, column)
	}
	table.Key = []int{0}
	return table
}

func kindsOf(table *engine.Table) []predicate.Kind {
	kinds := make([]predicate.Kind, len(table.Columns))
	for i, column := range table.Columns {
		kinds[i] = column.Kind
	}
	return kinds
}

// foldedText is a type of text whose comparisons are not by bytes.
func foldedText(engineName string) string {
	switch engineName {
	case dbtest.SQLite:
		return "VARCHAR(500) COLLATE NOCASE"
	case dbtest.Postgres:
		return "varchar(500)" // the database's own collation, which dbtest makes a language's
	case dbtest.MariaDB:
		return "varchar(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci"
	default:
		return "varchar(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci"
	}
}

func (b *bed) createRules(t testing.TB, table *engine.Table) {
	t.Helper()
	types := make([]string, len(table.Columns))
	for i, column := range table.Columns {
		shape := engine.Shape{Kind: column.Kind}
		if column.Name == "keyed" {
			shape.Size, shape.Keyed = 500, true
		}
		shape.Keyed = shape.Keyed || column.Kind == predicate.Bytes
		types[i] = b.dialect.ColumnType(shape)
		if column.Foreign {
			types[i] = foldedText(b.engine)
		}
	}
	b.create(t, table, types)
	for _, column := range table.Columns[1:] {
		if column.Name == "text" || column.Kind == predicate.JSON {
			continue // MySQL indexes none of an unbounded length
		}
		d := engine.NewBuilder(b.dialect)
		d.Write("CREATE INDEX ")
		d.Quote("by_" + column.Name)
		d.Write(" ON ")
		d.Table(table)
		d.Write(" (")
		d.Quote(column.Name)
		d.Write(")")
		b.exec(t, d.String())
	}
	if b.engine == dbtest.Postgres {
		b.exec(t, "SET enable_seqscan = off") // a small table would never see its indexes used
		b.exec(t, "SET jit = off")            // what that makes of the costs would have each statement compiled
	}
}

// subject is what the test compares: the compiler and the evaluation, or broken ones.
type subject struct {
	compile compiler
	eval    func(*predicate.Expr, []predicate.Value) predicate.Truth
}

func honest() subject { return subject{engine.Where, (*predicate.Expr).Eval} }

// tally counts what a run has seen.
type tally struct {
	cases int // tree × caller × row
	trees int
	truth map[predicate.Truth]int
	seen  map[string]int // operator and kind of column
}

func (c *tally) note(e *predicate.Expr, table *engine.Table) {
	name := e.Op.String()
	switch e.Op {
	case predicate.And, predicate.Or, predicate.Not, predicate.True, predicate.False, predicate.Unknown, predicate.SignedIn, predicate.HasRole:
	default:
		name += " " + e.Kind.String()
		if table.Columns[e.Column].Foreign {
			name += " foreign"
		}
	}
	c.seen[name]++
	for _, arg := range e.Args {
		c.note(arg, table)
	}
}

// wanted lists every operator with every kind that it is defined on.
func wanted() []string {
	names := []string{"and", "or", "not", "true", "false", "unknown", "signed-in", "role"}
	for _, kind := range []string{"boolean", "integer", "number", "decimal", "text", "text foreign", "uuid", "bytes", "time"} {
		for _, op := range append(comparisons(), predicate.IsNull, predicate.Owner, predicate.Claim) {
			names = append(names, op.String()+" "+kind)
		}
	}
	return append(names, "is.null json", "is.true boolean", "is.false boolean",
		"like text", "ilike text", "like text foreign", "ilike text foreign")
}

const (
	rowsEach    = 24             // rows that lie in the table at a time
	treesEach   = 20             // trees in a statement
	generations = 20             // fillings of the table
	whereEvery  = 10 * treesEach // of so many trees one statement is also asked with WHERE, which costs more to plan
)

// generation fills the table anew and compares batches of trees. It returns the first difference, if any.
func (b *bed) generation(t testing.TB, s *source, table *engine.Table, with subject, batches int, c *tally) (difference string) {
	t.Helper()
	d := engine.NewBuilder(b.dialect)
	d.Write("DELETE FROM ")
	d.Table(table)
	b.exec(t, d.String())
	var rows [][]predicate.Value
	for key := range int64(rowsEach) {
		rows = append(rows, s.row(key))
	}
	b.insert(t, table, rows)
	for range batches {
		trees := make([]*predicate.Expr, treesEach)
		for i := range trees {
			tree, caller := s.tree(4), s.caller()
			c.note(tree, table)
			trees[i] = predicate.Fold(tree, caller)
			for _, row := range rows {
				if want, got := direct(tree, caller, row), trees[i].Eval(row); got != want {
					return fmt.Sprintf("folded for %+v: %d instead of %d\n%s", caller, got, want, b.describe(table, honest(), trees[i], row))
				}
			}
		}
		c.trees += len(trees)
		if difference := b.compare(t.Context(), table, rows, with, trees, c); difference != "" {
			return difference
		}
	}
	return ""
}

func (b *bed) compare(ctx context.Context, table *engine.Table, rows [][]predicate.Value, with subject, trees []*predicate.Expr, c *tally) string {
	truths, err := b.truths(ctx, table, with.compile, trees)
	if err != nil {
		return b.blame(ctx, table, with, trees, err)
	}
	var matches []map[int64]bool
	if c.trees%whereEvery == 0 {
		if matches, err = b.matches(ctx, table, with.compile, trees); err != nil {
			return b.blame(ctx, table, with, trees, err)
		}
	}
	for i, tree := range trees {
		for j, row := range rows {
			want := with.eval(tree, row)
			c.cases++
			c.truth[want]++
			if got := truths[j][i]; got != want {
				return b.smallest(ctx, table, with, tree, rows, j)
			}
			if got := matches != nil && matches[i][row[0].Int()]; matches != nil && got != (want == predicate.Yes) {
				return fmt.Sprintf("WHERE lets the row through: %v; in memory the truth is %d\n%s", got, want, b.describe(table, with, tree, row))
			}
		}
	}
	return ""
}

// smallest looks for the smallest part of a tree on which the two differ.
func (b *bed) smallest(ctx context.Context, table *engine.Table, with subject, tree *predicate.Expr, rows [][]predicate.Value, at int) string {
	got, err := b.truths(ctx, table, with.compile, []*predicate.Expr{tree})
	if err != nil {
		return b.blame(ctx, table, with, []*predicate.Expr{tree}, err)
	}
	want := with.eval(tree, rows[at])
	if got[at][0] == want {
		return ""
	}
	for _, arg := range tree.Args {
		if smaller := b.smallest(ctx, table, with, arg, rows, at); smaller != "" {
			return smaller
		}
	}
	return fmt.Sprintf("SQL says %d, memory %d\n%s", got[at][0], want, b.describe(table, with, tree, rows[at]))
}

// blame finds the tree that a database refuses.
func (b *bed) blame(ctx context.Context, table *engine.Table, with subject, trees []*predicate.Expr, err error) string {
	for _, tree := range trees {
		if _, alone := b.truths(ctx, table, with.compile, []*predicate.Expr{tree}); alone != nil {
			for _, arg := range tree.Args {
				if smaller := b.blame(ctx, table, with, []*predicate.Expr{arg}, nil); smaller != "" {
					return smaller
				}
			}
			return fmt.Sprintf("%v\n%s", alone, b.describe(table, with, tree, nil))
		}
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

func (b *bed) describe(table *engine.Table, with subject, tree *predicate.Expr, row []predicate.Value) string {
	d := engine.NewBuilder(b.dialect)
	with.compile(d, table, tree)
	var s strings.Builder
	fmt.Fprintf(&s, "SQL: %s\narguments: %q\n", d, values(d.Args))
	tree.Columns(func(i int) {
		if row != nil {
			fmt.Fprintf(&s, "%s = %q (%s)\n", table.Columns[i].Name, row[i].String(), row[i].Kind())
		}
	})
	return s.String()
}

func TestRulesAgree(t *testing.T) {
	seed := chooseSeed()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		t.Logf("-seed %d", seed)
		b := newBed(t, target)
		table := rulesTable()
		b.createRules(t, table)
		s := newSource(seed, kindsOf(table))
		c := &tally{truth: make(map[predicate.Truth]int), seen: make(map[string]int)}
		const batches = 20_000 / generations / treesEach
		for range generations {
			if difference := b.generation(t, s, table, honest(), batches, c); difference != "" {
				t.Fatalf("-seed %d: %s", seed, difference)
			}
		}
		t.Logf("%d trees with a caller each, %d cases; yes %d, no %d, unknown %d", c.trees, c.cases,
			c.truth[predicate.Yes], c.truth[predicate.No], c.truth[predicate.Maybe])
		if c.trees < 20_000 {
			t.Errorf("only %d trees", c.trees)
		}
		for _, truth := range []predicate.Truth{predicate.Yes, predicate.No, predicate.Maybe} {
			if count := c.truth[truth]; 100*count < 15*c.cases {
				t.Errorf("truth %d is only %d of %d cases", truth, count, c.cases)
			}
		}
		for _, name := range wanted() {
			if c.seen[name] == 0 {
				t.Errorf("no tree had %s", name)
			}
		}
	})
}
