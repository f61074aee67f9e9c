package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/capebase/capebase/bench/internal/curve"
	"github.com/capebase/capebase/bench/internal/listen"
	"github.com/capebase/capebase/bench/internal/server"
)

// measureSubscribers has more and more users, each with ten subscribers, who see the writes of rows of that user. The
// memory of a subscriber is measured where each is of another user.
func measureSubscribers(ctx context.Context, b *bed, top int) (*curve.Family, error) {
	f := &curve.Family{Name: "subscribers", Size: "subscribers"}
	const spare = 500 // files that a process has beside the subscribers' connections
	files, err := server.OpenFiles()
	if err != nil {
		return nil, err
	}
	if fit := (files - spare) / 1000 * 1000; fit < top {
		f.Notes = append(f.Notes, fmt.Sprintf("The curves end at %s: a process may open %s files here.", curve.Grouped(fit), curve.Grouped(files)))
		top = fit
	}
	for _, n := range sizes(reach, top) {
		n -= n % reach
		if err := b.measureAudience(ctx, f, n); err != nil {
			return nil, fmt.Errorf("%d subscribers: %w", n, err)
		}
	}
	return f, nil
}

func (b *bed) measureAudience(ctx context.Context, f *curve.Family, n int) (err error) {
	const rows = 20_000 // at least, and about as many for all sizes
	block := alike * (n / reach)
	path, err := b.fill(ctx, "subscribers"+strconv.Itoa(n), block*max(1, rows/block), n/reach)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.remove(path)) }()
	if err := b.measureWrites(ctx, f, path, n); err != nil {
		return err
	}
	const least = 100 // the memory of fewer is lost in that of the rest
	if n < least {
		return nil
	}
	p, err := b.memoryEach(ctx, path, n)
	at(f, n, "memory", eachHeap, p)
	return err
}

func (b *bed) measureWrites(ctx context.Context, f *curve.Family, path string, n int) (err error) {
	s, err := b.open(ctx, path, n/reach)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	a, err := s.gather(ctx, n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.part()) }()
	const most = 2000 // writes a round, so that the table stays about as large
	for _, w := range []struct {
		name  string
		write func(user int) error
	}{{"create, seen by 10", a.create}, {"update, seen by 10", a.update}} {
		p, err := a.write(ctx, &b.options, w.name, most, w.write)
		if err != nil {
			return err
		}
		at(f, n, w.name, cpuTime, p)
	}
	return nil
}

// memoryEach measures what a subscriber takes, of n whose users are all different.
func (b *bed) memoryEach(ctx context.Context, path string, n int) (p curve.Point, err error) {
	s, err := b.open(ctx, path, n)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	before, err := s.process.Memory()
	if err != nil {
		return p, err
	}
	group, err := listen.Open(ctx, s.process.Address, s.api, s.users, n, listen.Audience{})
	if err != nil {
		return p, err
	}
	during, err := s.process.Memory()
	if err := errors.Join(err, group.Close()); err != nil {
		return p, err
	}
	if during.InUse <= before.InUse {
		return p, fmt.Errorf("%d bytes with subscribers, and %d without", during.InUse, before.InUse)
	}
	const kibi = 1 << 10
	return summed([]float64{float64(during.InUse-before.InUse) / kibi / float64(n)}), nil
}
