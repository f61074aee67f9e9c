package journal

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/internal/dbtest"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/internal/sqldriver"
)

// Seat has a key of two columns, of different kinds.
type Seat struct {
	Row    string `gorm:"primaryKey;size:40"`
	Number int64  `gorm:"primaryKey;autoIncrement:false"`
	Guest  *string
}

func TestKeysOfSeveralColumns(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Seat](t)).start()
		row, number := b.db.Dialect().Quote("row"), b.db.Dialect().Quote("number")
		columns := "(" + row + ", " + number + ", guest)"
		for _, statement := range []string{
			"INSERT INTO seats " + columns + " VALUES ('a', 1, 'x'), ('a', 2, NULL), ('A', 1, 'y'), ('a\",\"', 3, 'z')",
			"UPDATE seats SET guest = 'w' WHERE " + number + " = 1",
			"UPDATE seats SET " + number + " = 9 WHERE " + row + " = 'a' AND " + number + " = 2",
			"DELETE FROM seats WHERE guest = 'w'",
		} {
			b.exec(statement)
		}
		l := newLedger(t, 0)
		entries := b.all()
		l.addAll(entries)
		l.compare(b)
		keys := make(map[string]bool)
		for i := range entries {
			keys[strings.ReplaceAll(entries[i].Key, " ", "")] = true
		}
		for _, key := range []string{`["a",1]`, `["a",2]`, `["A",1]`, `["a\",\"",3]`, `["a",9]`} {
			if !keys[key] {
				t.Errorf("no entry has the key %s; there are %v", key, keys)
			}
		}
		if len(entries) != 4+2+2+2 || len(keys) != 5 {
			t.Errorf("%d entries: %s", len(entries), summary(entries))
		}
	})
}

// Word has a key that SQLite compares without regard to case.
type Word struct {
	Text  string `gorm:"primaryKey"`
	Count int64
}

func TestKeysWithACollation(t *testing.T) {
	b := open(t, dbtest.New(t, dbtest.SQLite), Options{}, parse[Word](t))
	b.exec("CREATE TABLE words (text TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, count INTEGER NOT NULL)")
	b.start()
	forms := []string{
		"INSERT INTO words VALUES ('%t', %n)", "REPLACE INTO words VALUES ('%t', %n), ('%t', %n)",
		"UPDATE words SET text = '%t', count = %n WHERE text = '%t'", "UPDATE OR REPLACE words SET text = '%t'",
		"UPDATE OR REPLACE words SET text = upper(text) WHERE count < %n", "INSERT OR IGNORE INTO words VALUES ('%t', %n)",
		"INSERT INTO words VALUES ('%t', %n) ON CONFLICT DO UPDATE SET text = excluded.text", "DELETE FROM words WHERE text = '%t'",
		"UPDATE OR IGNORE words SET text = '%t'",
	}
	l := newLedger(t, 0)
	at := 0
	rapid.Check(t, func(rt *rapid.T) {
		l.t = rt
		transact(rt, b, forms)
		entries := b.all()
		l.addAll(entries[at:])
		at = len(entries)
		l.compare(b)
	})
}

// Ten are ten columns.
type Ten struct {
	A, B, C, D, E int64
	F, G, H, I    string
	J             *float64
}

// Wide has more columns than one call of SQLite's json_object takes.
type Wide struct {
	ID int64
	P0 Ten `gorm:"embedded;embeddedPrefix:p0_"`
	P1 Ten `gorm:"embedded;embeddedPrefix:p1_"`
	P2 Ten `gorm:"embedded;embeddedPrefix:p2_"`
	P3 Ten `gorm:"embedded;embeddedPrefix:p3_"`
	P4 Ten `gorm:"embedded;embeddedPrefix:p4_"`
	P5 Ten `gorm:"embedded;embeddedPrefix:p5_"`
	P6 Ten `gorm:"embedded;embeddedPrefix:p6_"`
	P7 Ten `gorm:"embedded;embeddedPrefix:p7_"`
	P8 Ten `gorm:"embedded;embeddedPrefix:p8_"`
	P9 Ten `gorm:"embedded;embeddedPrefix:p9_"`
	Q0 Ten `gorm:"embedded;embeddedPrefix:q0_"`
	Q1 Ten `gorm:"embedded;embeddedPrefix:q1_"`
}

func TestWideTables(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[Wide](t)).start()
		columns := b.models[0].Table.Columns
		if len(columns) != 121 {
			t.Fatalf("it has %d columns", len(columns))
		}
		for id := int64(1); id <= 3; id++ {
			row := make([]predicate.Value, len(columns))
			row[0] = predicate.IntValue(id)
			for i, column := range columns[1:] {
				switch column.Kind {
				case predicate.Int:
					row[i+1] = predicate.IntValue(id * int64(i))
				case predicate.Text:
					row[i+1] = predicate.TextValue(fmt.Sprint("t", i, "\u00fc"))
				default:
					row[i+1] = predicate.FloatValue(float64(i) / 3)
				}
			}
			b.store(row)
		}
		b.exec("UPDATE wides SET q1_j = NULL, p0_a = 5, p5_f = '' WHERE id <= 2")
		b.exec("DELETE FROM wides WHERE id = 1")
		l := newLedger(t, 0)
		entries := b.all()
		l.addAll(entries)
		l.compare(b)
		if got := summary(entries); got != "INSERT [1], INSERT [2], INSERT [3], UPDATE [1], UPDATE [2], DELETE [1]" {
			t.Errorf("got %s", got)
		}
	})
}

// TestStrangeNames has names that only quotes make identifiers and texts.
func TestStrangeNames(t *testing.T) {
	eachJournaled(t, func(t *testing.T, target dbtest.Target) {
		b := open(t, target, Options{}, parse[strange](t)).start()
		d := b.db.Dialect()
		table, name := d.Quote(strange{}.TableName()), d.Quote(`it's "na*/me`)
		err := b.db.Update(t.Context(), func(ctx context.Context, c *sqldriver.Conn) error {
			for _, statement := range []string{
				"INSERT INTO " + table + " (id, " + name + ") VALUES (1, 'a'), (2, 'b')",
				"UPDATE " + table + " SET " + name + " = 'c' WHERE id = 1",
				"DELETE FROM " + table + " WHERE id = 2",
			} {
				if _, err := c.Exec(ctx, statement, nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		l := newLedger(t, 0)
		entries := b.all()
		l.addAll(entries)
		l.compare(b)
		if got := summary(entries); got != "INSERT [1], INSERT [2], UPDATE [1], DELETE [2]" {
			t.Errorf("got %s", got)
		}
	})
}

type strange struct {
	ID   int64
	Text string `json:"text" gorm:"column:it's \"na*/me"`
}

func (strange) TableName() string { return `o'dd "Ta-ble` }
