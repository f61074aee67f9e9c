package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/capebase/capebase/bench/internal/curve"
	"github.com/capebase/capebase/bench/internal/fill"
	"github.com/capebase/capebase/bench/internal/listen"
	"github.com/capebase/capebase/bench/internal/todo"
	"github.com/capebase/capebase/bench/internal/users"
)

// journaled are the users of the table whose journal grows, and the subscribers.
const (
	journaledUsers       = 100
	journaledSubscribers = 100
)

// measureJournal has one journal grow, of a table that stays as it is.
func measureJournal(ctx context.Context, b *bed, top int) (f *curve.Family, err error) {
	f = &curve.Family{Name: "journal", Size: "entries"}
	path, err := b.fill(ctx, "journal", journaledUsers*rowsEach, journaledUsers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.remove(path)) }()
	s, err := b.open(ctx, path, 1) // makes the journal
	if err == nil {
		err = s.stop()
	}
	if err != nil {
		return nil, err
	}
	for _, n := range sizes(1000, top) {
		began := time.Now()
		if err := fill.Journal(ctx, path, n); err != nil {
			return nil, err
		}
		b.log.Info("filled", "entries", n, "took", time.Since(began).Round(time.Millisecond))
		if err := b.measureJournaled(ctx, f, path, n); err != nil {
			return nil, fmt.Errorf("%d entries: %w", n, err)
		}
	}
	return f, nil
}

func (b *bed) measureJournaled(ctx context.Context, f *curve.Family, path string, n int) error {
	if err := b.starting(ctx, f, n, "start", path, nothing); err != nil {
		return err
	}
	s, err := b.open(ctx, path, journaledUsers)
	if err != nil {
		return err
	}
	return errors.Join(b.askJournal(ctx, f, s, path, n), s.stop())
}

func (b *bed) askJournal(ctx context.Context, f *curve.Family, s *site, path string, n int) error {
	q := &questions{rows: journaledUsers * rowsEach, users: journaledUsers, all: s.users}
	audit := func(query string) func(r *rand.Rand, b []byte) []byte {
		return func(_ *rand.Rand, b []byte) []byte { return s.api.Ask(b, users.Auditor, "/audit?limit=20"+query, "") }
	}
	create := q.create()
	create.most = few(n)
	for _, t := range []*task{
		create,
		{name: "audit, first page", want: wantStatus(200), next: audit("")},
		{name: "audit of a row", want: wantStatus(200), next: audit("&resource=todo&key=5000"), conns: 1},
	} {
		p, err := s.ask(ctx, &b.options, t)
		if err != nil {
			return err
		}
		at(f, n, t.name, cpuTime, p)
	}
	p, err := s.reconnect(ctx, &b.options)
	if err != nil {
		return err
	}
	at(f, n, "reconnect, 20 missed", cpuTime, p)
	a, err := s.gather(ctx, journaledSubscribers)
	if err != nil {
		return err
	}
	return errors.Join(b.follow(ctx, f, a, path, n), a.part())
}

// follow measures what goes to subscribers.
func (b *bed) follow(ctx context.Context, f *curve.Family, a *audience, path string, n int) error {
	p, err := a.write(ctx, &b.options, "update", few(n), a.update)
	if err != nil {
		return err
	}
	at(f, n, "update, seen by 10", cpuTime, p)
	if p, err = a.tail(ctx, &b.options, path, max(1, few(n)/journaledUsers)); err != nil {
		return err
	}
	at(f, n, "100 rows by other program", cpuTime, p)
	return nil
}

// tail measures transactions of another program that update a row of each user; so many go in a round.
func (a *audience) tail(ctx context.Context, o *options, path string, most int) (p curve.Point, err error) {
	pool, err := sql.Open("sqlite3", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=synchronous(off)")
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	return a.measure(ctx, o, "tail", most, func(n int) error {
		a.group.Receipts() // they are not asked for
		for range n {
			const update = "UPDATE todos SET task = ? || (? + id) WHERE id <= ?"
			if _, err := pool.ExecContext(ctx, update, todo.Numbered(), a.number, journaledUsers); err != nil {
				return err
			}
			a.number += journaledUsers + 1
			for user := range a.written {
				a.expect(user)
			}
			if err := a.group.Wait(ctx, a.awaited); err != nil {
				return err
			}
		}
		return nil
	})
}

// reconnect measures streams that go on after a cursor, 100 entries before the journal's end, 20 of which they show.
func (s *site) reconnect(ctx context.Context, o *options) (p curve.Point, err error) {
	const missed, others = 20, 4 // of each five entries, four are others'
	token := s.users[0].Token
	cursor, _, err := listen.Follow(ctx, s.process.Address, s.api.Ask(nil, token, "/todo/subscribe", ""), 0)
	if err != nil {
		return p, err
	}
	for range missed {
		for user := range 1 + others {
			request := s.api.Update(nil, s.users[user].Token, strconv.AppendInt(nil, int64(user+1), 10), "buy oat milk "+strconv.FormatInt(time.Now().UnixNano(), 10))
			response, err := s.conns[0].Do(request)
			if err == nil {
				err = wantStatus(200)(response)
			}
			if err != nil {
				return p, err
			}
		}
	}
	request := s.api.Ask(nil, token, "/todo/subscribe", "Last-Event-ID: "+cursor+"\r\n")
	return s.measure(ctx, o, "reconnect", 0, func(n int) error {
		for range n {
			_, got, err := listen.Follow(ctx, s.process.Address, request, missed)
			if err != nil {
				return err
			}
			if got != missed {
				return fmt.Errorf("want %d changes, got %d", missed, got)
			}
		}
		return nil
	})
}
