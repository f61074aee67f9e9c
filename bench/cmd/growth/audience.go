package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/capebase/capebase/bench/internal/curve"
	"github.com/capebase/capebase/bench/internal/listen"
	"github.com/capebase/capebase/bench/internal/todo"
)

// reach is how many subscribers a user has: so many see a write.
const reach = 10

// audience is the subscribers of a site, each to the rows of its user.
type audience struct {
	*site
	group   *listen.Group
	data    *todo.Data
	reach   int
	number  int   // of the next write
	written []int // writes for each user who has subscribers
	awaited int   // changes that all subscribers together must have got
}

// gather subscribes n times, for the first users. The table is one of package fill's.
func (s *site) gather(ctx context.Context, n int) (*audience, error) {
	listeners := max(1, n/reach)
	a := &audience{site: s, reach: n / listeners, written: make([]int, listeners)}
	a.data = &todo.Data{API: s.api, Users: s.users[:listeners], IDs: make([][][]byte, listeners)}
	for user := range listeners {
		a.data.IDs[user] = [][]byte{strconv.AppendInt(nil, int64(user+1), 10)}
	}
	var err error
	a.group, err = listen.Open(ctx, s.process.Address, s.api, a.data.Users, listeners*a.reach, listen.Audience{})
	return a, err
}

// expect notes a change for a user.
func (a *audience) expect(user int) {
	a.written[user]++
	a.awaited += a.reach
	a.number++
}

// write measures writes, each of which waits until those who see the one before have it.
func (a *audience) write(ctx context.Context, o *options, name string, most int, write func(user int) error) (curve.Point, error) {
	return a.measure(ctx, o, name, most, func(n int) error {
		a.group.Receipts() // they are not asked for
		for range n {
			user := a.number % len(a.written)
			if err := write(user); err != nil {
				return err
			}
			a.expect(user)
			if err := a.group.Wait(ctx, a.awaited); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *audience) create(user int) error { return a.data.Create(a.conns[0], user, a.number) }
func (a *audience) update(user int) error { return a.data.Update(a.conns[0], user, a.number) }

// part ends the subscriptions, after a look at whether each got what was for it.
func (a *audience) part() error {
	_, _, err := a.group.Check(func(user int) int { return a.written[user] })
	if err != nil {
		err = fmt.Errorf("after %d writes: %w", a.number, err)
	}
	return errors.Join(err, a.group.Close())
}
