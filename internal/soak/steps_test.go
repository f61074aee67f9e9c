package soak

import (
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/capebase/capebase/internal/dbtest"
)

// How many rows the tables have, more or less.
const (
	recentTasks = 150
	recentMemos = 80
	allReadings = 60
	allSlots    = 40
)

// step makes up one statement. Each write of a row adds one to its counter and leaves the tag, but for those of hidden
// columns alone.
func (a *author) step(tag string) step {
	if a.random.IntN(5) == 0 {
		return a.partStep(tag)
	}
	switch n := a.random.IntN(100); {
	case n < 12:
		return a.insertTasks(tag)
	case n < 18:
		return a.insertMemo(tag)
	case n < 28:
		return a.upsertReading(tag)
	case n < 46:
		return a.updateTask(tag)
	case n < 50:
		return a.updateTasks(tag)
	case n < 62:
		return a.updateMemo(tag)
	case n < 72:
		return a.updateReading(tag)
	case n < 78:
		return a.hide()
	case n < 83:
		return a.deleteMemoSoftly(tag)
	case n < 87:
		return statement(asIs, "UPDATE memos SET deleted_at = NULL, v = v + 1, tx = ? WHERE id = ? AND deleted_at IS NOT NULL", tag, a.memo())
	case n < 93:
		return a.remove()
	case n < 96:
		return a.replaceReading(tag)
	default:
		return statement(nothing, "UPDATE tasks SET v = v, level = level WHERE owner_id = ?", a.user())
	}
}

func (a *author) user() string   { return fmt.Sprintf("u%d", a.random.IntN(users)) }
func (a *author) org() string    { return fmt.Sprintf("org%d", a.random.IntN(4)) }
func (a *author) level() int64   { return a.random.Int64N(10) }
func (a *author) score() int64   { return a.random.Int64N(100) }
func (a *author) reading() int64 { return 1 + a.random.Int64N(allReadings) }

func (a *author) label() string {
	return []string{openLabel, secretLabel, "inner", "inner"}[a.random.IntN(4)]
}

// task is the key of a row that may be there.
func (a *author) task() int64 {
	return max(1, a.shared.tasks.Load()-a.random.Int64N(recentTasks))
}

func (a *author) memo() string {
	return fmt.Sprintf("m%d", max(1, a.shared.memos.Load()-a.random.Int64N(recentMemos)))
}

func (a *author) insertTasks(tag string) step {
	n := 1
	if a.random.IntN(4) == 0 {
		n += a.random.IntN(4)
	}
	a.shared.tasks.Add(int64(n))
	s := step{query: "INSERT INTO tasks (owner_id, level, v, tx, note) VALUES ", counts: asIs}
	if a.engine == dbtest.Postgres && a.random.IntN(3) == 0 {
		s.copied = "COPY tasks (owner_id, level, v, tx, note) FROM STDIN (FORMAT csv);\n"
	}
	rows := make([]Task, n)
	for i := range rows {
		rows[i] = Task{OwnerID: a.user(), Level: a.level(), V: 1, Tx: tag, Note: "n"}
		if i > 0 {
			s.query += ", "
		}
		s.query += "(?, ?, 1, ?, 'n')"
		if s.copied != "" {
			s.copied += fmt.Sprintf("%s,%d,1,%s,n\n", rows[i].OwnerID, rows[i].Level, tag)
		}
		s.args = append(s.args, rows[i].OwnerID, rows[i].Level, tag)
	}
	if s.copied != "" {
		s.copied += `\.`
	}
	s.orm = func(tx *gorm.DB) (int64, error) {
		done := tx.Create(&rows)
		return int64(len(rows)), done.Error
	}
	return s
}

func (a *author) insertMemo(tag string) step {
	m := Memo{ID: fmt.Sprintf("m%d", a.shared.memos.Add(1)), OrgID: a.org(), Public: a.random.IntN(3) == 0, V: 1, Tx: tag}
	s := statement(asIs, "INSERT INTO memos (id, org_id, public, v, tx) VALUES (?, ?, ?, 1, ?)", m.ID, m.OrgID, m.Public, tag)
	s.orm = func(tx *gorm.DB) (int64, error) {
		done := tx.Create(&m)
		return done.RowsAffected, done.Error
	}
	return s
}

func (a *author) upsertReading(tag string) step {
	conflict := "ON CONFLICT (id) DO UPDATE SET v = readings.v + 1, score = excluded.score, tx = excluded.tx"
	if a.mysql() {
		conflict = "ON DUPLICATE KEY UPDATE v = v + 1, score = VALUES(score), tx = VALUES(tx)"
	}
	return statement(one, "INSERT INTO readings (id, score, v, tx, label) VALUES (?, ?, 1, ?, ?) "+conflict, a.reading(), a.score(), tag, a.label())
}

func (a *author) mysql() bool { return a.engine == dbtest.MariaDB || a.engine == dbtest.MySQL }

func (a *author) updateTask(tag string) step {
	id, owner, level := a.task(), a.user(), a.level()
	s := statement(asIs, "UPDATE tasks SET owner_id = ?, level = ?, v = v + 1, tx = ? WHERE id = ?", owner, level, tag, id)
	s.orm = func(tx *gorm.DB) (int64, error) {
		done := tx.Model(&Task{}).Where("id = ?", id).
			Updates(map[string]any{"owner_id": owner, "level": level, "v": gorm.Expr("v + 1"), "tx": tag})
		return done.RowsAffected, done.Error
	}
	return s
}

func (a *author) updateTasks(tag string) step {
	return statement(asIs, "UPDATE tasks SET level = ?, v = v + 1, tx = ? WHERE owner_id = ? AND level = ?", a.level(), tag, a.user(), a.level())
}

func (a *author) updateMemo(tag string) step {
	id, org, public := a.memo(), a.org(), a.random.IntN(3) == 0
	s := statement(asIs, "UPDATE memos SET org_id = ?, public = ?, v = v + 1, tx = ? WHERE id = ?", org, public, tag, id)
	s.orm = func(tx *gorm.DB) (int64, error) { // of those that are not deleted
		done := tx.Model(&Memo{}).Where("id = ?", id).
			Updates(map[string]any{"org_id": org, "public": public, "v": gorm.Expr("v + 1"), "tx": tag})
		return done.RowsAffected, done.Error
	}
	return s
}

func (a *author) updateReading(tag string) step {
	return statement(asIs, "UPDATE readings SET score = ?, v = v + 1, tx = ? WHERE id = ?", a.score(), tag, a.reading())
}

// hide changes what no client sees, though it may show or hide the row.
func (a *author) hide() step {
	if a.random.IntN(2) == 0 {
		return statement(nothing, "UPDATE tasks SET note = ? WHERE id = ?", fmt.Sprint("n", a.random.IntN(1000)), a.task())
	}
	return statement(nothing, "UPDATE readings SET label = ? WHERE id = ?", a.label(), a.reading())
}

func (a *author) deleteMemoSoftly(tag string) step {
	id := a.memo()
	now := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	if a.mysql() {
		now = time.Now().UTC().Format("2006-01-02 15:04:05.000000")
	}
	s := statement(asIs, "UPDATE memos SET deleted_at = ?, v = v + 1, tx = ? WHERE id = ? AND deleted_at IS NULL", now, tag, id)
	s.orm = func(tx *gorm.DB) (int64, error) { // as GORM does it, which counts nothing
		return 0, tx.Delete(&Memo{ID: id}).Error
	}
	return s
}

func (a *author) remove() step {
	switch a.random.IntN(5) {
	case 0:
		return statement(nothing, "DELETE FROM tasks WHERE id < ?", a.shared.tasks.Load()-2*recentTasks)
	case 1:
		return statement(nothing, "DELETE FROM memos WHERE id = ?", a.memo())
	case 2:
		return statement(nothing, "DELETE FROM readings WHERE id = ?", a.reading())
	case 3:
		return statement(nothing, "DELETE FROM memos WHERE id = ?", fmt.Sprintf("m%d", max(1, a.shared.memos.Load()-recentMemos-a.random.Int64N(100))))
	}
	id := a.task()
	s := statement(nothing, "DELETE FROM tasks WHERE id = ?", id)
	s.orm = func(tx *gorm.DB) (int64, error) { return 0, tx.Delete(&Task{ID: id}).Error }
	return s
}

// replaceReading puts a row in the place of itself, where the engine can.
func (a *author) replaceReading(tag string) step {
	if a.engine == dbtest.Postgres {
		return a.updateReading(tag)
	}
	return statement(oneIfAny, "REPLACE INTO readings (id, score, v, tx, label) SELECT id, score, v + 1, ?, label FROM readings WHERE id = ?", tag, a.reading())
}
