package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/capebase/capebase/bench/internal/listen"
	"github.com/capebase/capebase/bench/internal/result"
)

const (
	reach    = 10 // subscribers that a user has
	medium   = 5  // some scenarios have so many times fewer subscribers than the most,
	smallest = 50 // or so many
)

// fanout is a scenario with subscribers.
type fanout struct {
	name    string
	measure func(ctx context.Context, b *bed) ([]result.Figures, error)
}

// fanouts lists them, in the order in which they are measured.
func fanouts() []fanout {
	return []fanout{
		{"fanout-owner", measureOwner},
		{"fanout-broadcast", measureBroadcast},
		{"fanout-idle", measureIdle},
		{"fanout-heartbeat", measureHeartbeat},
		{"fanout-delivery", measureDelivery},
		{"fanout-permitted", measurePermitted},
		{"fanout-pocketbase", measurePocketBase},
	}
}

// measureOwner has each change seen by its owner's subscribers alone, as many of them in every case: what a write costs
// should not depend on how many others there are.
func measureOwner(ctx context.Context, b *bed) ([]result.Figures, error) {
	var places []place
	for _, c := range b.named("capebase") {
		for _, n := range []int{b.subscribers / smallest, b.subscribers / medium, b.subscribers} {
			places = append(places, place{contestant: c, subscribers: n})
		}
	}
	return b.compareLanes(ctx, places, []work{
		{name: "fanout-create", unit: result.CPUPerWrite, goal: 1.3, write: create},
		{name: "fanout-update", unit: result.CPUPerWrite, goal: 1.3, write: update},
	})
}

// measureBroadcast has each change seen by everybody, and compares with a bare loop.
func measureBroadcast(ctx context.Context, b *bed) (all []result.Figures, err error) {
	for _, n := range []int{b.subscribers / medium, b.subscribers} {
		var places []place
		for _, c := range b.named("hand-written", "capebase") {
			places = append(places, place{contestant: c, subscribers: n, public: true})
		}
		figures, err := b.compareLanes(ctx, places, []work{
			{name: "fanout-broadcast", unit: result.CPUPerDelivery, goal: 1 / 0.8, write: alternate},
		})
		if err != nil {
			return nil, err
		}
		all = append(all, figures...)
	}
	return all, nil
}

// measurePocketBase has each change seen by its owner's subscribers alone, as measureOwner has, and compares with PocketBase.
func measurePocketBase(ctx context.Context, b *bed) (all []result.Figures, err error) {
	chosen := b.named("capebase", "pocketbase")
	if len(chosen) < 2 {
		return nil, nil
	}
	for _, n := range []int{b.subscribers / smallest, b.subscribers / medium, b.subscribers} {
		var places []place
		for _, c := range chosen {
			places = append(places, place{contestant: c, subscribers: n})
		}
		least := 0.0
		if n >= 5000 {
			least = 150
		}
		figures, err := b.compareLanes(ctx, places, []work{
			{name: "fanout-create", unit: result.CPUPerWrite, least: least, write: create},
			{name: "fanout-update", unit: result.CPUPerWrite, least: least, write: update},
		})
		if err != nil {
			return nil, err
		}
		all = append(all, figures...)
	}
	return all, nil
}

// named returns those of the chosen servers that have one of the names.
func (b *bed) named(names ...string) []contestant {
	var found []contestant
	for _, c := range b.contestants {
		if slices.Contains(names, c.name) {
			found = append(found, c)
		}
	}
	return found
}

// place is a server and who subscribes there.
type place struct {
	contestant
	subscribers int
	public      bool // everybody sees each change,
	followed    int  // or each subscriber is another user, and may read the rows of so many of them
}

func (p place) toAll() bool { return p.public || p.followed > 0 }

// work is what is measured in lanes.
type work struct {
	name, unit string
	goal       float64 // the highest ratio to the first lane,
	least      float64 // or the lowest
	write      func(l *lane, user int) error
}

func create(l *lane, user int) error {
	l.rows++
	return l.data.Create(l.conns[0], user, l.number)
}

func update(l *lane, user int) error { return l.data.Update(l.conns[0], user, l.number) }

func alternate(l *lane, user int) error {
	if l.number%2 == 0 {
		return create(l, user)
	}
	return update(l, user)
}

// lane is a server with subscribers.
type lane struct {
	*running
	place
	group   *listen.Group
	number  int   // of the next write
	written []int // writes of the rows of each user who writes
	awaited int   // changes that all subscribers together must have got
}

// open starts a server and subscribes to it. All tables are of the same size.
func (b *bed) open(ctx context.Context, p place) (l *lane, err error) {
	const rows = 1000
	users, writing := p.subscribers/reach, p.subscribers/reach
	if p.followed > 0 {
		users, writing = p.subscribers, p.followed
	}
	s := size{users: users, rows: max(1, rows/users), public: p.public, followed: p.followed}
	l = &lane{place: p, written: make([]int, writing)}
	if l.running, err = b.start(ctx, p.contestant, s); err != nil {
		return nil, err
	}
	who := listen.Audience{Public: p.toAll(), Writers: p.followed}
	if l.group, err = listen.Open(ctx, l.process.Address, p.api, l.data.Users, p.subscribers, who); err != nil {
		return nil, errors.Join(err, l.stop())
	}
	return l, nil
}

func (l *lane) close() error { return errors.Join(l.group.Close(), l.stop()) }

// compareLanes measures works in the same lanes, which take turns.
func (b *bed) compareLanes(ctx context.Context, places []place, works []work) (all []result.Figures, err error) {
	var lanes []*lane
	defer func() {
		for _, l := range lanes {
			err = errors.Join(err, l.close())
		}
	}()
	for _, p := range places {
		l, err := b.open(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("%s with %d subscribers: %w", p.name, p.subscribers, err)
		}
		lanes = append(lanes, l)
	}
	for _, w := range works {
		figures, err := b.compareWork(ctx, lanes, w)
		if err != nil {
			return nil, err
		}
		all = append(all, figures...)
	}
	for _, l := range lanes {
		if err := l.count(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (b *bed) compareWork(ctx context.Context, lanes []*lane, w work) ([]result.Figures, error) {
	n := 0
	for i, l := range lanes {
		const (
			first  = 20 // writes, to warm up and to learn how fast the lane is
			fewest = 5
		)
		guess, err := l.run(ctx, w, first)
		if err != nil {
			return nil, err
		}
		if l.public {
			guess.Requests /= l.subscribers
		}
		if writes := max(fewest, perRound(guess, b.round)); i == 0 || writes < n {
			n = writes
		}
	}
	rounds, err := takeTurns(b.rounds, lanes, func(l *lane, _ int) (result.Round, error) { return l.run(ctx, w, n) })
	if err != nil {
		return nil, err
	}
	if err := sameSize(lanes); err != nil {
		return nil, err
	}
	figures := make([]result.Figures, len(lanes))
	for i, l := range lanes {
		var first []result.Round
		if i > 0 {
			first = rounds[0]
		}
		f := result.Sum(w.name, l.place.name, rounds[i], first)
		f.Subscribers, f.Unit = l.subscribers, w.unit
		if i > 0 {
			f.Goal, f.Least = w.goal, w.least
		}
		if f.Delivered, f.Expected, err = l.check(); err != nil {
			return nil, err
		}
		figures[i] = f
	}
	return figures, nil
}

// sameSize wants events to be about as long in all lanes of one API.
func sameSize(lanes []*lane) error {
	const tolerance = 0.02
	first := lanes[0].group.EventSize()
	for _, l := range lanes[1:] {
		if l.place.api != lanes[0].place.api {
			continue
		}
		if size := l.group.EventSize(); math.Abs(size/first-1) > tolerance {
			return fmt.Errorf("%s sends events of %.0f bytes, and %s of %.0f", lanes[0].place.name, first, l.place.name, size)
		}
	}
	return nil
}

// run writes n times, and each time waits until all who may see the change have it: changes that meet on their way share
// some of their cost, and more of it where fewer users have more each.
func (l *lane) run(ctx context.Context, w work, n int) (result.Round, error) {
	l.group.Receipts()
	answered := make([]time.Time, n)
	first := l.number
	counted := n
	if w.unit == result.CPUPerDelivery {
		counted *= l.subscribers
	}
	round, err := l.spend(counted, func() error {
		for i := range n {
			user := l.number % len(l.written)
			if err := w.write(l, user); err != nil {
				return err
			}
			answered[i] = time.Now()
			l.expect(user)
			l.number++
			if err := l.group.Wait(ctx, l.awaited); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return result.Round{}, fmt.Errorf("%s with %d subscribers: %w", l.place.name, l.subscribers, err)
	}
	for _, r := range l.group.Receipts() {
		round.Latencies = append(round.Latencies, max(0, r.At.Sub(answered[r.Number-first])))
	}
	return round, nil
}

// expect notes a write of a row of the user.
func (l *lane) expect(user int) {
	l.written[user]++
	if l.toAll() {
		l.awaited += l.subscribers
	} else {
		l.awaited += reach
	}
}

// check wants every subscriber to have got all that it must.
func (l *lane) check() (delivered, expected int, err error) {
	delivered, expected, err = l.group.Check(func(user int) int {
		if l.toAll() {
			return l.number
		}
		return l.written[user]
	})
	if err != nil {
		return 0, 0, fmt.Errorf("%s with %d subscribers: %w", l.place.name, l.subscribers, err)
	}
	return delivered, expected, nil
}
