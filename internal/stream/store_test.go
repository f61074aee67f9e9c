package stream

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm/schema"

	"github.com/capebase/capebase/internal/hub"
	"github.com/capebase/capebase/internal/journal"
	"github.com/capebase/capebase/internal/model"
	"github.com/capebase/capebase/internal/predicate"
)

// The tables of these tests. A row's columns are the fields in their order.
type todo struct {
	ID     int64  `json:"id"`
	UserID string `json:"user_id"`
	Task   string `json:"task"`
	Note   string `json:"note" cape:"hidden"`
}

type memo struct {
	ID     int64  `json:"id"`
	UserID string `json:"user_id"`
	Text   string `json:"text"`
}

const (
	todos = iota
	memos
)

func parseModel[T any](t testing.TB) *model.Model {
	t.Helper()
	m, err := model.Parse(reflect.TypeFor[T](), schema.NamingStrategy{}, &sync.Map{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

type row = []predicate.Value

// values makes a row of Go values.
func values(of ...any) row {
	r := make(row, len(of))
	for i, v := range of {
		switch v := v.(type) {
		case int:
			r[i] = predicate.IntValue(int64(v))
		case string:
			r[i] = predicate.TextValue(v)
		}
	}
	return r
}

// store is a database in memory with its journal. What is committed gets its position by the next tick, as on
// PostgreSQL; commit ticks by itself unless held.
type store struct {
	mu         sync.Mutex
	hub        *hub.Hub
	tables     [2]map[int64]row
	log        []hub.Event
	pending    []hub.Event
	source     uint64
	floor      int64
	epoch      string
	held       bool       // commits get no positions
	apart      bool       // the log is not published
	behind     int64      // entries that are published
	failing    error      // of every call
	unreadable error      // of Read
	reads      []int64    // the positions that were read from
	inside     func()     // called within a snapshot, after its read began
	random     *rand.Rand // orders the independent entries of a tick, if there is one
}

func newStore() *store {
	return &store{hub: hub.New(hub.Options{}), epoch: "e1", tables: [2]map[int64]row{{}, {}}}
}

// put inserts or changes a row, and remove deletes one.
func (s *store) put(table int, r row) { s.commit(table, r[0].Int(), r) }

func (s *store) remove(table int, id int64) { s.commit(table, id, nil) }

func (s *store) commit(table int, id int64, after row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.tables[table][id]
	if before == nil && after == nil {
		return
	}
	if after == nil {
		delete(s.tables[table], id)
	} else {
		s.tables[table][id] = after
	}
	s.append(hub.Event{Table: table, Before: before, After: after})
}

func (s *store) gap(table int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.append(hub.Event{Table: table, Gap: true})
}

func (s *store) append(e hub.Event) {
	s.source++
	e.Source, e.Time = s.source, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s.pending = append(s.pending, e)
	if !s.held {
		s.tick()
	}
}

// tick gives positions. Entries of different rows may change places; those of a row keep theirs.
func (s *store) tick() {
	if s.random != nil {
		for range len(s.pending) * 2 {
			i := s.random.IntN(len(s.pending))
			if i > 0 && rowOf(s.pending[i]) != rowOf(s.pending[i-1]) {
				s.pending[i], s.pending[i-1] = s.pending[i-1], s.pending[i]
			}
		}
	}
	for _, e := range s.pending {
		e.Position = int64(len(s.log)) + 1
		e.Nonce = uint64(e.Position) * 7
		s.log = append(s.log, e)
	}
	s.pending = nil
	s.publish()
}

func rowOf(e hub.Event) [2]int64 {
	r := e.After
	if r == nil {
		r = e.Before
	}
	if r == nil {
		return [2]int64{int64(e.Table), 0}
	}
	return [2]int64{int64(e.Table), r[0].Int()}
}

func (s *store) publish() {
	if s.apart {
		return
	}
	s.hub.Publish(s.log[s.behind:])
	s.behind = int64(len(s.log))
}

// hold keeps what is committed from getting positions, or from being published; release ends both.
func (s *store) hold(positions, publication bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.apart = positions, publication
}

func (s *store) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.apart = false, false
	s.tick()
}

func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failing = err
}

func (s *store) unread(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unreadable = err
}

func (s *store) prune(floor int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.floor = floor
}

func (s *store) position() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(len(s.log))
}

// rows are the texts of a table's rows that where holds for, by id.
func (s *store) rows(table int, where *predicate.Expr, m *model.Model) map[int64]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[int64]string{}
	for id, r := range s.tables[table] {
		if where.Match(r) {
			found[id] = string(m.AppendRow(nil, r))
		}
	}
	return found
}

func (s *store) Token(at journal.Mark, set uint64) string {
	return fmt.Sprintf("v1.%s.%d.%d.%d", s.epoch, at.Position, at.Nonce, set)
}

func (s *store) Resume(_ context.Context, token string, set uint64) (journal.Mark, journal.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing != nil {
		return journal.Mark{}, 0, s.failing
	}
	var at journal.Mark
	var given uint64
	_, err := fmt.Sscanf(token, "v1."+s.epoch+".%d.%d.%d", &at.Position, &at.Nonce, &given)
	switch {
	case err != nil || given != set || at.Nonce != uint64(at.Position)*7 || at.Position > int64(len(s.log)):
		return journal.Mark{}, journal.Unknown, nil
	case at.Position < s.floor:
		return journal.Mark{}, journal.Expired, nil
	}
	return at, journal.OK, nil
}

func (s *store) Read(_ context.Context, after int64, limit int) ([]hub.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, after)
	if s.unreadable != nil {
		return nil, s.unreadable
	}
	if after < s.floor {
		return nil, fmt.Errorf("test: %w", journal.ErrPruned)
	}
	rest := s.log[min(after, int64(len(s.log))):]
	return slices.Clone(rest[:min(limit, len(rest))]), nil
}

func (s *store) Snapshot(ctx context.Context, _ []int, fn func(context.Context, Rows) error) (journal.Snapshot, error) {
	s.mu.Lock()
	if s.failing != nil {
		defer s.mu.Unlock()
		return journal.Snapshot{}, s.failing
	}
	at := int64(len(s.log))
	tables := [2]map[int64]row{maps.Clone(s.tables[0]), maps.Clone(s.tables[1])}
	seen := map[uint64]bool{}
	for _, e := range s.pending {
		seen[e.Source] = true
	}
	inside := s.inside
	s.mu.Unlock()
	if inside != nil {
		inside()
	}
	err := fn(ctx, func(ctx context.Context, table int, where *predicate.Expr, visit func(row) error) error {
		for _, id := range slices.Sorted(maps.Keys(tables[table])) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if r := tables[table][id]; where.Match(r) {
				if err := visit(r); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return journal.Snapshot{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tick()
	return journal.Snapshot{
		Mark:    journal.Mark{Position: at, Nonce: uint64(at) * 7},
		Settled: int64(len(s.log)),
		Seen:    func(source uint64) bool { return seen[source] },
	}, nil
}
