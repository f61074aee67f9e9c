package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/capebase/capebase/bench/internal/load"
	"github.com/capebase/capebase/bench/internal/result"
)

// measureDelivery sends writes at a steady rate, whether or not the ones before have been delivered, and measures how
// long each change takes to each of its subscribers.
func measureDelivery(ctx context.Context, b *bed) (all []result.Figures, err error) {
	for _, c := range b.named("capebase") {
		f, err := b.deliver(ctx, place{contestant: c, subscribers: b.subscribers / medium})
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

func (b *bed) deliver(ctx context.Context, p place) (f result.Figures, err error) {
	const (
		rate     = 200 // writes a second
		goalP99  = 10 * time.Millisecond
		warm     = 100 // writes
		shortest = 200
	)
	l, err := b.open(ctx, p)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	if _, err := l.run(ctx, work{write: alternate}, warm); err != nil {
		return f, err
	}
	n := max(shortest, int(rate*b.round.Seconds())*b.rounds)
	var latencies []time.Duration
	round, err := l.spend(n, func() (err error) {
		latencies, err = l.steadily(ctx, n, time.Second/rate, l.data.Update)
		return err
	})
	if err != nil {
		return f, fmt.Errorf("%s with %d subscribers: %w", p.name, p.subscribers, err)
	}
	round.Latencies = latencies
	f = result.Sum("fanout-delivery", p.name, []result.Round{round}, nil)
	f.Subscribers, f.Unit, f.GoalP99 = p.subscribers, result.CPUPerWrite, float64(goalP99/time.Microsecond)
	f.Delivered, f.Expected, err = l.check()
	return f, errors.Join(err, l.count(ctx))
}

// steadily writes n times, one write each interval, and returns how long each delivery took. All writes of a user go over one connection, so that they are in
// order.
func (l *lane) steadily(
	ctx context.Context, n int, interval time.Duration, write func(conn *load.Conn, user, number int) error,
) (latencies []time.Duration, err error) {
	l.group.Receipts()
	users, conns, first := len(l.written), min(len(l.conns), len(l.written)), l.number
	answered := make([]time.Time, n)
	errs := make([]error, conns)
	var writers sync.WaitGroup
	start := time.Now()
	for c := range conns {
		writers.Go(func() {
			for i := range n {
				user := (first + i) % users
				if user%conns != c {
					continue
				}
				time.Sleep(time.Until(start.Add(time.Duration(i) * interval)))
				if errs[c] = write(l.conns[c], user, first+i); errs[c] != nil {
					return
				}
				answered[i] = time.Now()
			}
		})
	}
	writers.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i := range n {
		l.expect((first + i) % users)
	}
	l.number += n
	if err := l.group.Wait(ctx, l.awaited); err != nil {
		return nil, err
	}
	for _, r := range l.group.Receipts() {
		latencies = append(latencies, max(0, r.At.Sub(answered[r.Number-first])))
	}
	return latencies, nil
}
