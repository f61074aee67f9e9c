package guard

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/store"
)

// Ticket is a model for random rules.
type Ticket struct {
	ID     int64 `gorm:"autoIncrement:false"`
	UserID string
	Number *int64
	Public bool
}

// drawRule draws a tree over the columns of Ticket.
func drawRule(t *rapid.T, depth int) *predicate.Expr {
	number := func() predicate.Value { return predicate.IntValue(rapid.Int64Range(0, 4).Draw(t, "constant")) }
	leaves := []func() *predicate.Expr{
		func() *predicate.Expr { return &predicate.Expr{Op: predicate.True} },
		func() *predicate.Expr { return &predicate.Expr{Op: predicate.Owner, Column: 1, Kind: predicate.Text} },
		func() *predicate.Expr { return role("editor") },
		func() *predicate.Expr { return &predicate.Expr{Op: predicate.IsTrue, Column: 3, Kind: predicate.Bool} },
		func() *predicate.Expr { return &predicate.Expr{Op: predicate.IsNull, Column: 2, Kind: predicate.Int} },
		func() *predicate.Expr {
			op := rapid.SampledFrom([]predicate.Op{predicate.Eq, predicate.Ne, predicate.Lt, predicate.Ge}).Draw(t, "op")
			return &predicate.Expr{Op: op, Column: 2, Kind: predicate.Int, Values: []predicate.Value{number()}}
		},
	}
	if depth == 0 || rapid.IntRange(0, 2).Draw(t, "leaf") == 0 {
		return rapid.SampledFrom(leaves).Draw(t, "leaf")()
	}
	switch rapid.IntRange(0, 2).Draw(t, "inner") {
	case 0:
		return &predicate.Expr{Op: predicate.Not, Args: []*predicate.Expr{drawRule(t, depth-1)}}
	case 1:
		return predicate.All(drawRule(t, depth-1), drawRule(t, depth-1))
	default:
		return predicate.Any(drawRule(t, depth-1), drawRule(t, depth-1))
	}
}

type ticketRow = []predicate.Value

func drawTicket(t *rapid.T, id int) ticketRow {
	number := predicate.Value{}
	if rapid.IntRange(0, 4).Draw(t, "null") > 0 {
		number = predicate.IntValue(rapid.Int64Range(0, 4).Draw(t, "number"))
	}
	return ticketRow{
		predicate.IntValue(int64(id)), predicate.TextValue(rapid.SampledFrom([]string{"alice", "bob", ""}).Draw(t, "user")),
		number, predicate.BoolValue(rapid.Bool().Draw(t, "public")),
	}
}

func insertTickets(rows []ticketRow) string {
	values := make([]string, len(rows))
	for i, row := range rows {
		values[i] = fmt.Sprintf("(%d, '%s', %s, %v)", row[0].Int(), row[1].Content(), literal(row[2]), row[3].Bool())
	}
	return "INSERT INTO tickets (id, user_id, number, public) VALUES " + strings.Join(values, ", ")
}

func literal(v predicate.Value) string {
	if v.IsNull() {
		return "NULL"
	}
	return fmt.Sprint(v.Int())
}

// effect is a statement and what it makes of each row: nil where it deletes it.
type effect struct {
	statement string
	inserts   []ticketRow
	change    func(row ticketRow) ticketRow
}

func drawEffect(t *rapid.T) effect {
	least := rapid.Int64Range(1, 7).Draw(t, "least")
	most := least + rapid.Int64Range(-1, 3).Draw(t, "span")
	where := fmt.Sprintf(" WHERE id BETWEEN %d AND %d", least, most)
	meant := func(row ticketRow) bool { return row[0].Int() >= least && row[0].Int() <= most }
	switch rapid.IntRange(0, 4).Draw(t, "statement") {
	case 0:
		var rows []ticketRow
		for i := range rapid.IntRange(1, 3).Draw(t, "rows") {
			rows = append(rows, drawTicket(t, 100+i))
		}
		return effect{statement: insertTickets(rows), inserts: rows, change: func(row ticketRow) ticketRow { return row }}
	case 1:
		return effect{statement: "DELETE FROM tickets" + where, change: func(row ticketRow) ticketRow {
			if meant(row) {
				return nil
			}
			return row
		}}
	default:
		to := drawTicket(t, 0)
		var set []string
		columns := rapid.SliceOfNDistinct(rapid.IntRange(1, 3), 1, 3, rapid.ID[int]).Draw(t, "columns")
		for _, column := range columns {
			set = append(set, []string{
				"", "user_id = '" + to[1].Content() + "'", "number = " + literal(to[2]), fmt.Sprintf("public = %v", to[3].Bool()),
			}[column])
		}
		return effect{statement: "UPDATE tickets SET " + strings.Join(set, ", ") + where, change: func(row ticketRow) ticketRow {
			if meant(row) {
				row = slices.Clone(row)
				for _, column := range columns {
					row[column] = to[column]
				}
			}
			return row
		}}
	}
}

// A statement passes just when the rules allow each row that it changes, and leaves nothing behind when it does not.
func TestCheckAgreesWithEval(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		model := parse[Ticket](t)
		b := newChecked(t, target, []Table{{Model: model}})
		b.targets = []int{0}
		id := auth.Identity{ID: "alice", Roles: []string{"editor"}}
		ctx := auth.With(t.Context(), id)
		rapid.Check(t, func(t *rapid.T) {
			who := predicate.Caller{ID: id.ID, Roles: id.Roles}
			rules := store.Rules{Read: drawRule(t, 2), Create: drawRule(t, 2), Update: drawRule(t, 2), Delete: drawRule(t, 2)}
			b.guard.tables[0].Rules = rules
			allows := func(rule *predicate.Expr, row ticketRow) bool { return predicate.Fold(rule, who).Match(row) }

			var before, after []ticketRow
			for i := range 6 {
				before = append(before, drawTicket(t, i+1))
			}
			b.exec("DELETE FROM tickets")
			b.exec(insertTickets(before))
			e := drawEffect(t)
			allowed := true
			for _, row := range before {
				changed := e.change(row)
				switch {
				case changed == nil:
					allowed = allowed && allows(rules.Read, row) && allows(rules.Delete, row)
				case !slices.Equal(changed, row):
					allowed = allowed && allows(rules.Read, row) && allows(rules.Update, row) && allows(rules.Update, changed)
				}
				if changed != nil {
					after = append(after, changed)
				}
			}
			for _, row := range e.inserts {
				allowed = allowed && allows(rules.Create, row)
				after = append(after, row)
			}
			_, err := b.ExecContext(ctx, e.statement)
			if allowed && err != nil || !allowed && problemOf(err) == nil {
				t.Fatalf("%s: %v, want it allowed: %v", e.statement, err, allowed)
			}
			want := before
			if allowed {
				want = after
			}
			if got := b.tickets(); got != insertTickets(want) {
				t.Fatalf("%s, allowed %v: the table has\n%s, want\n%s", e.statement, allowed, got, insertTickets(want))
			}
		})
	})
}

// tickets is the table as insertTickets writes it.
func (b *checked) tickets() string {
	b.t.Helper()
	rows, err := b.sql.QueryContext(auth.Privileged(b.t.Context(), "test"), "SELECT id, user_id, number, public FROM tickets ORDER BY id")
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []ticketRow
	for rows.Next() {
		var id int64
		var user string
		var number *int64
		var public bool
		if err := rows.Scan(&id, &user, &number, &public); err != nil {
			b.t.Fatal(err)
		}
		row := ticketRow{predicate.IntValue(id), predicate.TextValue(user), {}, predicate.BoolValue(public)}
		if number != nil {
			row[2] = predicate.IntValue(*number)
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		b.t.Fatal(err)
	}
	return insertTickets(all)
}
