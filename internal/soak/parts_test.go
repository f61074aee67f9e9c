package soak

import (
	"fmt"

	"github.com/capebase/capebase/internal/dbtest"
)

// partStep makes up a statement about parts. A part goes with its task by a cascade, forgets its memo by another one, and
// makes way for a part that takes its slot.
func (a *author) partStep(tag string) step {
	switch n := a.random.IntN(200); {
	case n < 90:
		return a.placePart(tag)
	case n < 140:
		return statement(asIs, "UPDATE parts SET v = v + 1, tx = ? WHERE slot = ?", tag, a.slot())
	case n < 170:
		return statement(nothing, "UPDATE parts SET memo_id = (SELECT id FROM memos WHERE id = ?) WHERE slot = ?", a.memo(), a.slot())
	case n < 185:
		return a.moveParts(tag)
	case n < 195:
		return statement(nothing, "DELETE FROM tasks WHERE id IN (SELECT task_id FROM parts WHERE slot = ?)", a.slot())
	case n < 198 || a.engine != dbtest.Postgres:
		return statement(nothing, "DELETE FROM parts WHERE slot < ?", a.slot())
	default:
		return statement(nothing, "TRUNCATE parts")
	}
}

func (a *author) slot() int64 { return a.random.Int64N(allSlots) }

// placePart puts a part of a task that is there into a slot: in the place of what has it, or, on PostgreSQL, as that.
func (a *author) placePart(tag string) step {
	verb, conflict := "REPLACE", ""
	if a.engine == dbtest.Postgres {
		verb, conflict = "INSERT", " ON CONFLICT (slot) DO UPDATE SET v = parts.v + 1, task_id = excluded.task_id, tx = excluded.tx"
	}
	return statement(oneIfAny, verb+" INTO parts (task_id, slot, v, tx) SELECT id, ?, 1, ? FROM tasks WHERE id = ?"+conflict, a.slot(), tag, a.task())
}

// moveParts gives parts other slots. Only SQLite can have what is in these make way.
func (a *author) moveParts(tag string) step {
	if a.engine != dbtest.SQLite {
		return statement(asIs, "UPDATE parts SET task_id = (SELECT max(id) FROM tasks), v = v + 1, tx = ? WHERE slot = ? AND EXISTS (SELECT 1 FROM tasks)", tag, a.slot())
	}
	low := a.slot()
	return statement(asIs, fmt.Sprintf("UPDATE OR REPLACE parts SET slot = slot + %d, v = v + 1, tx = ? WHERE slot = ?", 1+a.random.IntN(5)), tag, low)
}
