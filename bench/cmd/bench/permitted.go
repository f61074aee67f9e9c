package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/capebase/capebase/bench/internal/result"
)

const (
	fewer   = 10 // the smaller case of measurePermitted has so many times fewer subscribers
	authors = 8  // whose rows everybody may read, by a claim
)

// measurePermitted asks how many changes a second reach all who may see them, while writers wait for their answers only. In the
// first scenario each subscriber is another user, and a claim of theirs lets them read the rows of some users: everybody gets each
// change, by a rule that has to be evaluated for each of them. In the other one each change is seen by its owner's subscribers.
func measurePermitted(ctx context.Context, b *bed) (all []result.Figures, err error) {
	for _, c := range b.named("capebase") {
		for _, each := range []struct {
			name string
			goal float64 // changes a second: fifty times what Supabase publishes
			place
		}{
			{"fanout-permitted-claim", 50 * 40, place{contestant: c, subscribers: b.subscribers / fewer, followed: authors}},
			{"fanout-permitted-claim", 50 * 5, place{contestant: c, subscribers: b.subscribers, followed: authors}},
			{"fanout-permitted-owner", 50 * 40, place{contestant: c, subscribers: b.subscribers / fewer}},
			{"fanout-permitted-owner", 50 * 5, place{contestant: c, subscribers: b.subscribers}},
		} {
			f, err := b.permitted(ctx, each.place)
			if err != nil {
				return nil, fmt.Errorf("%s with %d subscribers: %w", each.name, each.subscribers, err)
			}
			f.Scenario, f.GoalRate = each.name, each.goal
			all = append(all, f)
		}
	}
	return all, nil
}

func (b *bed) permitted(ctx context.Context, p place) (f result.Figures, err error) {
	const first = 50 // changes, to warm up and to learn how fast it is
	l, err := b.open(ctx, p)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	guess, err := l.flood(ctx, first)
	if err != nil {
		return f, err
	}
	n := max(first, perRound(guess, b.round))
	var rounds []result.Round
	for range b.rounds {
		round, err := l.flood(ctx, n)
		if err != nil {
			return f, err
		}
		rounds = append(rounds, round)
	}
	f = result.Sum("", p.name, rounds, nil)
	f.Subscribers, f.Unit = p.subscribers, result.CPUPerDelivery
	f.Delivered, f.Expected, err = l.check()
	return f, errors.Join(err, l.count(ctx))
}

// flood makes n rows as fast as the server answers, and waits until all subscribers have what they may see. The round counts
// changes a second, and what a delivery costs.
func (l *lane) flood(ctx context.Context, n int) (result.Round, error) {
	deliveries := n * reach
	if l.toAll() {
		deliveries = n * l.subscribers
	}
	var latencies []time.Duration
	round, err := l.spend(deliveries, func() (err error) {
		latencies, err = l.steadily(ctx, n, 0, l.data.Create)
		return err
	})
	l.rows += n
	round.Requests, round.Latencies = n, latencies
	return round, err
}
