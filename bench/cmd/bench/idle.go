package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/capebase/capebase/bench/internal/listen"
	"github.com/capebase/capebase/bench/internal/result"
	"github.com/capebase/capebase/bench/internal/server"
)

// measureIdle measures the memory of a subscriber to whom nothing happens. Each is another user, so that CapeBase's share
// nothing.
func measureIdle(ctx context.Context, b *bed) (all []result.Figures, err error) {
	var servers []*running
	defer func() {
		for _, r := range servers {
			err = errors.Join(err, r.stop())
		}
	}()
	for _, c := range b.named("hand-written", "capebase") {
		r, err := b.start(ctx, c, size{users: b.subscribers, rows: 1})
		if err != nil {
			return nil, err
		}
		servers = append(servers, r)
	}
	const rounds = 3
	measured, err := takeTurns(rounds, servers, func(r *running, _ int) (result.Round, error) { return r.idle(ctx, b.subscribers) })
	if err != nil {
		return nil, err
	}
	for i, r := range servers {
		var first []result.Round
		if i > 0 {
			first = measured[0]
		}
		f := result.Sum("fanout-idle", r.name, measured[i], first)
		f.Subscribers, f.Unit = b.subscribers, result.Memory
		if i > 0 {
			f.Goal = 1.3
		}
		all = append(all, f)
	}
	return all, nil
}

// measureHeartbeat measures the processor time of subscribers to whom nothing happens. The hand-written server sends no sign of life
// and never looks whether a caller may still listen: it would need none.
func measureHeartbeat(ctx context.Context, b *bed) (all []result.Figures, err error) {
	for _, c := range b.named("capebase") {
		r, err := b.start(ctx, c, size{users: b.subscribers, rows: 1})
		if err != nil {
			return nil, err
		}
		round, err := r.hold(ctx, b.subscribers, b.hold)
		if err := errors.Join(err, r.stop()); err != nil {
			return nil, err
		}
		f := result.Sum("fanout-heartbeat", r.name, []result.Round{round}, nil)
		f.Subscribers, f.Unit, f.Rate = b.subscribers, result.CPUPerMinute, 0
		all = append(all, f)
	}
	return all, nil
}

// hold keeps n subscriptions for so long.
func (r *running) hold(ctx context.Context, n int, length time.Duration) (round result.Round, err error) {
	group, err := listen.Open(ctx, r.process.Address, r.api, r.data.Users, n, listen.Audience{})
	if err != nil {
		return round, err
	}
	round, err = r.spend(n, func() error {
		select {
		case <-time.After(length):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	perMinute := time.Minute.Seconds() / length.Seconds()
	round.Cost, round.Allocations, round.AllocatedBytes = round.Cost*perMinute, round.Allocations*perMinute, round.AllocatedBytes*perMinute
	_, _, failed := group.Check(func(int) int { return 0 })
	return round, errors.Join(err, failed, group.Close())
}

// idle opens n subscriptions and closes them again, after which nothing of them may remain.
func (r *running) idle(ctx context.Context, n int) (round result.Round, err error) {
	before, err := r.process.Memory()
	if err != nil {
		return round, err
	}
	group, err := listen.Open(ctx, r.process.Address, r.api, r.data.Users, n, listen.Audience{})
	if err != nil {
		return round, fmt.Errorf("%s: %w", r.name, err)
	}
	during, err := r.process.Memory()
	if err := errors.Join(err, group.Close()); err != nil {
		return round, err
	}
	if err := settle(ctx, r.process, before.Goroutines); err != nil {
		return round, fmt.Errorf("%s: %w", r.name, err)
	}
	const kibi = 1 << 10
	return result.Round{Cost: float64(during.InUse-before.InUse) / kibi / float64(n)}, nil
}

// settle waits until the server has as many goroutines as before.
func settle(ctx context.Context, p *server.Process, goroutines int) error {
	const (
		tries = 50
		pause = 100 * time.Millisecond
		some  = 8 // come and go
	)
	for range tries {
		m, err := p.Memory()
		if err != nil || m.Goroutines <= goroutines+some {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%d goroutines before, and more after all subscribers had gone", goroutines)
}
