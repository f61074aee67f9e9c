package sqlite_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/capebase/capebase/internal/engine"
	"github.com/capebase/capebase/internal/predicate"
	"github.com/capebase/capebase/sqlite"
)

// TestTimesOfOtherPrograms reads what other programs write into columns of times, declared in the usual ways.
func TestTimesOfOtherPrograms(t *testing.T) {
	t.Parallel()
	f := open(t, sqlite.Temp())
	at := time.Date(2024, 2, 29, 12, 30, 15, 0, time.UTC)
	for i, declared := range []string{"DATETIME", "TIMESTAMP", "TEXT", "", "VARCHAR(40)", "datetime(6)"} {
		f.exec(t, "CREATE TABLE t"+strconv.Itoa(i)+" (v "+declared+")")
		for written, want := range map[any]time.Time{
			"2024-02-29T12:30:15.000000Z":                    at,
			"2024-02-29T12:30:15.000001Z":                    at.Add(time.Microsecond),
			"2024-02-29T12:30:15Z":                           at,
			"2024-02-29T14:00:15.5+01:30":                    at.Add(time.Second / 2),
			"2024-02-29 12:30:15":                            at,
			"2024-02-29 12:30:15.123456789":                  at.Add(123456 * time.Microsecond),
			"2024-02-29 12:30:15.5+00:00":                    at.Add(time.Second / 2),
			"2024-02-29 12:30":                               at.Truncate(time.Minute),
			"2024-02-29":                                     at.Truncate(24 * time.Hour),
			"0001-01-01T00:00:00.000000Z":                    time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
			at.Unix():                                        at,
			at.UnixMilli():                                   at,
			at.Add(time.Second / 2).Format(time.RFC3339Nano): at.Add(time.Second / 2),
		} {
			if _, number := written.(int64); number && (declared == "TEXT" || declared == "VARCHAR(40)") {
				continue // a text of digits is no time
			}
			f.exec(t, "DELETE FROM t"+strconv.Itoa(i))
			f.exec(t, "INSERT INTO t"+strconv.Itoa(i)+" VALUES (?)", written)
			read := one(t, f.reader, "SELECT v FROM t"+strconv.Itoa(i))
			got, err := f.Dialect.Scan(predicate.Time, read)
			if err != nil || !got.Time().Equal(want) {
				t.Errorf("%q: %v is read as %v, %v (the driver gave %T)", declared, written, got, err, read)
			}
		}
	}
}

// TestScanRefuses gives errors, because a guess would let rules in SQL and in memory differ.
func TestScanRefuses(t *testing.T) {
	t.Parallel()
	f := open(t, sqlite.Temp())
	for _, c := range []struct {
		kind predicate.Kind
		v    any
	}{
		{predicate.Bool, int64(2)}, {predicate.Bool, "yes"}, {predicate.Int, 1.5}, {predicate.Int, "1.5"}, {predicate.Int, 1e300},
		{predicate.Int, uint64(1 << 63)}, {predicate.Float, "x"}, {predicate.Time, "noon"}, {predicate.Time, []byte{0xff}}, {predicate.Time, true},
		{predicate.UUID, "x"}, {predicate.JSON, "{"}, {predicate.JSON, ""}, {predicate.Bytes, int64(1)}, {predicate.Text, struct{}{}},
	} {
		if got, err := f.Dialect.Scan(c.kind, c.v); err == nil {
			t.Errorf("%v as %s is %q", c.v, c.kind, got.String())
		}
	}
	for kind := range predicate.JSON + 1 {
		if got, err := f.Dialect.Scan(kind, nil); err != nil || !got.IsNull() {
			t.Errorf("NULL as %s is %q, %v", kind, got.String(), err)
		}
	}
}

func TestForeignTriggersAndDefaults(t *testing.T) {
	t.Parallel()
	f := open(t, sqlite.Temp())
	f.exec(t, "CREATE TABLE `od\"d` (id INTEGER PRIMARY KEY, a DEFAULT 7)")
	table := &engine.Table{Name: `od"d`}
	b := engine.NewBuilder(f.Dialect)
	b.Write("INSERT INTO ")
	b.Table(table)
	b.Write(f.Dialect.DefaultValues())
	f.exec(t, b.String())
	if v := one(t, f.writer, "SELECT a FROM `od\"d`"); v != int64(7) {
		t.Errorf("the default is %v", v)
	}
	query, args := f.Dialect.ForeignTriggers(table)
	all, _ := f.Dialect.ForeignTriggers(nil)
	for _, c := range []struct {
		trigger string
		found   int64
	}{{"cape_insert", 0}, {"capeless", 1}, {"other", 2}} {
		f.exec(t, "CREATE TRIGGER "+c.trigger+" AFTER INSERT ON `od\"d` BEGIN SELECT 1; END")
		if found := one(t, f.reader, "SELECT count(*) FROM ("+query+")", args[0].Value); found != c.found {
			t.Errorf("after %s: %v triggers, want %d", c.trigger, found, c.found)
		}
		if found := one(t, f.reader, "SELECT count(*) FROM ("+all+")"); found != c.found {
			t.Errorf("after %s: %v triggers in all, want %d", c.trigger, found, c.found)
		}
	}
}
