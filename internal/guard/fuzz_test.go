package guard

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/auth"
	"github.com/capebase/capebase/internal/caller"
	"github.com/capebase/capebase/internal/dbtest"
)

// read runs a SELECT for the caller, and without limits in the mirror, and returns how the answers differ.
func (p *pair) read(e entry) error {
	want, err := answer(caller.WithInternal(p.t.Context()), p.mirror.sql, e.sql, e.args...)
	if err != nil {
		return nil //nolint:nilerr // it is no statement
	}
	got, err := answer(p.as(p.name), p.sql, e.sql, e.args...)
	if err != nil {
		return err
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	p.rows++
	return nil
}

// on returns the pair for the parts of a test.
func (p *pair) on(t testing.TB) *pair {
	bed, mirror := *p.bed, *p.mirror
	bed.t, mirror.t = t, t
	part := *p
	part.bed, part.mirror = &bed, &mirror
	return &part
}

// pairs are a bed and its mirrors for all identities.
func pairs(t testing.TB, target dbtest.Target) []*pair {
	b := newBed(t, target)
	b.seedForWrites(everything)
	var all []*pair
	for _, name := range []string{"alice", "bob", "anonymous", "admin"} {
		all = append(all, newPair(b, name))
	}
	return all
}

// judged runs a statement of the generator and returns what the oracle does not have.
func (p *pair) judged(e entry) error {
	if strings.HasPrefix(e.sql, "SELECT") || strings.HasPrefix(e.sql, "WITH") {
		return p.read(e)
	}
	return p.write(e)
}

// FuzzGuard makes statements of bytes. None may return or change rows that the oracle forbids.
func FuzzGuard(f *testing.F) {
	all := pairs(f, dbtest.New(f, dbtest.SQLite))
	for i := range 64 {
		seed := make([]byte, 60)
		for j := range seed {
			seed[j] = byte((i*37 + j*j*11 + i*j) % 251)
		}
		f.Add(byte(i), seed)
	}
	f.Fuzz(func(t *testing.T, who byte, data []byte) {
		g := generator{data: data, engine: dbtest.SQLite}
		e := g.statement()
		if len(e.sql) > 4000 {
			return
		}
		p := all[int(who)%len(all)].on(t)
		if err := p.judged(e); err != nil {
			t.Errorf("%s: %s: %v", p.name, e.sql, err)
		}
	})
}

// The same on every database, a few times.
func TestGenerated(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, target dbtest.Target) {
		all := pairs(t, target)
		tried := 0
		rapid.Check(t, func(r *rapid.T) {
			g := generator{data: rapid.SliceOfN(rapid.Byte(), 20, 80).Draw(r, "bytes"), engine: target.Engine}
			e := g.statement()
			p := all[rapid.IntRange(0, len(all)-1).Draw(r, "who")]
			tried++
			if err := p.judged(e); err != nil {
				r.Fatalf("%s: %s: %v", p.name, e.sql, err)
			}
		})
		judged := 0
		for _, p := range all {
			judged += p.rows + p.bans
		}
		if judged < tried/3 {
			t.Errorf("only %d of %d statements meant something", judged, tried)
		}
	})
}

// hidden stands in all that alice may not read in FuzzText.
const hidden = "unseen7351"

// FuzzText runs texts of all kinds on SQLite. None may show or change what alice may not read.
func FuzzText(f *testing.F) {
	for _, file := range []string{"select/common.sql", "select/sqlite.sql", "escape/common.sql", "escape/sqlite.sql", "write/common.sql", "write/sqlite.sql"} {
		for _, e := range corpus(f, dbtest.SQLite, file) {
			f.Add(e.sql)
		}
	}
	f.Add("-- nothing")
	shared := newBed(f, dbtest.New(f, dbtest.SQLite))
	shared.seedForWrites(everything)
	shared.exec("UPDATE todos SET note = ?, task = ? WHERE user_id <> 'alice' AND NOT public", hidden, hidden)
	shared.exec("UPDATE lists SET name = ? WHERE org <> 'red'", hidden)
	before := shared.contents(shared.sql)
	readable := shared.readable("alice")
	f.Fuzz(func(t *testing.T, query string) {
		lower := strings.ToLower(query)
		if len(query) > 2000 || strings.Contains(lower, "blob") || strings.Contains(lower, "printf") || strings.Contains(lower, "format") {
			return // these fill the memory
		}
		b := *shared
		b.t = t
		alice := auth.With(t.Context(), identities()["alice"])
		tx, err := b.sql.BeginTx(alice, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback() //nolint:errcheck // what it fails with does not matter
		ctx, cancel := context.WithTimeout(alice, 5*time.Second)
		defer cancel()
		rows, err := answer(ctx, tx, query)
		if strings.Contains(strings.Join(rows, "\n"), hidden) {
			t.Errorf("%q shows %s", query, rows)
		}
		if err != nil || strings.HasPrefix(query, "SELECT ") {
			return
		}
		after := b.contents(tx)
		for place, row := range before.rows {
			if !readable(place.table, row) && !slices.Equal(after.rows[place], row) {
				t.Errorf("%q changes %v to %v", query, row, after.rows[place])
			}
		}
		if strings.Count(after.String(), hidden) > strings.Count(before.String(), hidden) {
			t.Errorf("%q copies what cannot be read", query)
		}
	})
}

// flavors are the names of a database with the tables of published, by engine.
func flavors() map[string]*names {
	all := map[string]*names{}
	for _, engine := range []string{"sqlite", "postgres", "mysql"} {
		n := &names{flavor: defaultFlavor(engine), functions: map[string]bool{"wipe": true}}
		for _, table := range []string{"todos", "lists", "MixedCase", "pages"} {
			n.tables = append(n.tables, tableName{schema: "shop", name: table, plain: true})
		}
		n.derived = append(n.derived, derived{schema: "shop", name: "todo_view", why: "it is a view"})
		all[engine] = n
	}
	return all
}

// FuzzParse reads texts of all kinds. What is not refused has its parts within the text, in order, and reads the same
// again.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.sql")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, query string) {
		for engine, n := range flavors() {
			st, err := n.parse(query)
			if err != nil {
				if !refused(err) {
					t.Errorf("%s: %q: %v", engine, query, err)
				}
				continue
			}
			within := func(at ...int) {
				for i, a := range at {
					if a < 0 || a > len(query) || i > 0 && a < at[i-1] {
						t.Errorf("%s: %q: a part lies at %v", engine, query, at)
					}
				}
			}
			for _, h := range st.heads {
				within(h.at)
			}
			for _, l := range st.limits {
				within(max(l.where, 0), l.end)
			}
			for _, s := range st.spots {
				within(s.start, s.end)
			}
			for _, c := range st.cuts {
				within(c.start, c.end)
			}
			if st.passes && (len(st.heads) > 0 || len(st.limits) > 0 || len(st.targets) > 0) {
				t.Errorf("%s: %q passes though it has limits", engine, query)
			}
		}
	})
}
