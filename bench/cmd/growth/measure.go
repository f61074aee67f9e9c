package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/capebase/capebase/bench/internal/curve"
	"github.com/capebase/capebase/bench/internal/load"
	"github.com/capebase/capebase/bench/internal/result"
)

// task is a kind of request.
type task struct {
	name string
	next func(r *rand.Rand, b []byte) []byte
	// want says what is wrong with an answer.
	want func(load.Response) error
	// conns send at the same time, all where it is 0.
	conns int
	// most is how many go in a round; 0: as many as there is time for.
	most int
}

// asker is the work of one connection.
type asker struct {
	*task
	random *rand.Rand
}

func (a *asker) Next(b []byte) []byte               { return a.next(a.random, b) }
func (a *asker) Check(response load.Response) error { return a.want(response) }

// ask measures a kind of request.
func (s *site) ask(ctx context.Context, o *options, t *task) (curve.Point, error) {
	conns := s.conns
	if t.conns > 0 {
		conns = conns[:t.conns]
	}
	works := make([]load.Work, len(conns))
	for i := range works {
		works[i] = &asker{t, rand.New(rand.NewPCG(1, uint64(i)))} //nolint:gosec // nothing is kept secret by it
	}
	return s.measure(ctx, o, t.name, t.most, func(n int) error {
		_, err := load.Run(ctx, conns, works, n)
		return err
	})
}

// measure measures the server's processor time for one of n things that run does, in rounds that have at most so many.
func (s *site) measure(ctx context.Context, o *options, name string, most int, run func(n int) error) (p curve.Point, err error) {
	fail := func(err error) (curve.Point, error) { return p, fmt.Errorf("%s: %w", name, err) }
	n, err := perRound(o.round, most, run)
	if err != nil {
		return fail(err)
	}
	var costs []float64
	for range o.rounds {
		before, err := s.process.CPU()
		if err != nil {
			return fail(err)
		}
		if err := run(n); err != nil {
			return fail(err)
		}
		after, err := s.process.CPU()
		if err != nil {
			return fail(err)
		}
		costs = append(costs, float64(after-before)/float64(time.Microsecond)/float64(n))
		if ctx.Err() != nil {
			return fail(ctx.Err())
		}
	}
	return summed(costs), nil
}

// perRound warms the server up, and returns how many things it does in a round.
func perRound(round time.Duration, most int, run func(n int) error) (int, error) {
	n := 1
	for {
		began := time.Now()
		if err := run(n); err != nil {
			return 0, err
		}
		took := time.Since(began)
		next := max(1, int(float64(n)*float64(round)/float64(took)))
		if most > 0 {
			next = min(next, most)
		}
		const grown = 4 // times as many: what the last one says is not much worth
		if next <= grown*n {
			return next, nil
		}
		n = min(next, 16*n)
	}
}

// summed is the median of rounds, with their quartiles.
func summed(rounds []float64) curve.Point {
	slices.Sort(rounds)
	return curve.Point{
		Value: result.Median(rounds), Low: result.Quantile(rounds, 0.25), High: result.Quantile(rounds, 0.75),
	}
}

// tooSlow is what a request may take for its curve to go on.
const tooSlow = 250_000 // µs

// at notes the size of a point, and the point in the family.
func at(f *curve.Family, size int, name, unit string, p curve.Point) {
	p.Size = size
	f.Add(name, unit, p)
}

// few bounds what a round adds to a table or a journal of n, so that all rounds meet about the same size.
func few(n int) int { return max(20, n/100) }
