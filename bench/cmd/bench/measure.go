package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/capebase/capebase/bench/internal/load"
	"github.com/capebase/capebase/bench/internal/result"
	"github.com/capebase/capebase/bench/internal/server"
	"github.com/capebase/capebase/bench/internal/todo"
)

// measure runs all scenarios.
func measure(ctx context.Context, o options, progress *slog.Logger) (report *result.Report, err error) {
	b := &bed{options: o, programs: map[string]string{}}
	if b.directory, err = os.MkdirTemp("", "capebase-bench-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.directory)) }()
	report = &result.Report{
		Time: time.Now().UTC(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(),
		Database: server.Kind(o.database), Users: o.users, Rows: o.rows, Connections: o.connections,
	}
	if len(o.scenarios) > 0 {
		if report.Figures, err = b.requests(ctx, progress); err != nil {
			return nil, err
		}
	}
	for _, f := range o.fanouts {
		progress.Info("measure", "scenario", f.name)
		figures, err := f.measure(ctx, b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		report.Figures = append(report.Figures, figures...)
	}
	return report, nil
}

// requests starts the servers and measures the scenarios of requests.
func (b *bed) requests(ctx context.Context, progress *slog.Logger) (all []result.Figures, err error) {
	var servers []*running
	defer func() {
		for _, r := range servers {
			err = errors.Join(err, r.stop())
		}
	}()
	for _, c := range b.contestants {
		progress.Info("start", "server", c.name)
		r, err := b.start(ctx, c, size{users: b.users, rows: b.rows})
		if err != nil {
			return nil, err
		}
		servers = append(servers, r)
	}
	for _, scenario := range b.scenarios {
		figures, err := compare(ctx, b.options, scenario, servers, progress)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", scenario.Name, err)
		}
		all = append(all, figures...)
	}
	for _, r := range servers {
		if err := r.count(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// observedGoal is the most processor time with logs and metrics on, as a multiple of that without.
const observedGoal = 1.05

// compare measures one scenario on all servers, in rounds that take turns. All rounds have the same number of requests,
// so that tables grow alike.
func compare(ctx context.Context, o options, s todo.Scenario, all []*running, progress *slog.Logger) ([]result.Figures, error) {
	n, err := calibrate(ctx, o, s, all)
	if err != nil {
		return nil, err
	}
	progress.Info("measure", "scenario", s.Name, "rounds", o.rounds, "requests", n)
	rounds, err := takeTurns(o.rounds, all, func(r *running, number int) (result.Round, error) {
		return r.run(ctx, s, n, uint64(number)) //nolint:gosec // it counts from 0
	})
	if err != nil {
		return nil, err
	}
	figures := make([]result.Figures, len(all))
	for i, r := range all {
		var first []result.Round
		if i > 0 {
			first = rounds[0]
		}
		figures[i] = result.Sum(s.Name, r.name, rounds[i], first)
		if r.name == "capebase" && all[0].name == "hand-written" {
			figures[i].Goal = s.Goal
		}
		if r.name == "observed" && all[0].name == "capebase" {
			figures[i].Goal = observedGoal
		}
	}
	return figures, nil
}

// takeTurns runs rounds on all servers, A B, B A, A B, …, and returns those of each.
func takeTurns[T any](n int, all []T, run func(server T, number int) (result.Round, error)) ([][]result.Round, error) {
	rounds := make([][]result.Round, len(all))
	for number := range n {
		for i := range all {
			if number%2 == 1 {
				i = len(all) - 1 - i
			}
			round, err := run(all[i], number)
			if err != nil {
				return nil, err
			}
			rounds[i] = append(rounds[i], round)
		}
	}
	return rounds, nil
}

// calibrate warms the servers up, and returns how many requests the slowest of them answers in a round.
func calibrate(ctx context.Context, o options, s todo.Scenario, all []*running) (int, error) {
	const (
		first = 500 // requests, to learn how fast a server is
		seed  = 1 << 32
	)
	requests := 0
	for i, r := range all {
		guess, err := r.run(ctx, s, first, seed)
		if err != nil {
			return 0, err
		}
		warm, err := r.run(ctx, s, perRound(guess, o.round/2), seed+1)
		if err != nil {
			return 0, err
		}
		if n := perRound(warm, o.round); i == 0 || n < requests {
			requests = n
		}
	}
	return requests, nil
}

func perRound(r result.Round, length time.Duration) int {
	return max(1, int(float64(r.Requests)/r.Seconds*length.Seconds()))
}

// run sends n requests to the server and measures it.
func (r *running) run(ctx context.Context, s todo.Scenario, n int, seed uint64) (result.Round, error) {
	works := make([]load.Work, len(r.conns))
	for i := range works {
		works[i] = s.Work(r.data, i, len(works), seed)
	}
	var sample load.Sample
	used, err := r.cost(func() (err error) {
		sample, err = load.Run(ctx, r.conns, works, n)
		return err
	})
	if err != nil {
		return result.Round{}, fmt.Errorf("%s: %w", r.name, err)
	}
	if s.Inserts {
		r.rows += n
	}
	if err := load.Close(r.conns, works); err != nil {
		return result.Round{}, fmt.Errorf("%s: %w", r.name, err)
	}
	return result.Round{
		Requests: n, Seconds: sample.Took.Seconds(), Cost: used / float64(n), Latencies: sample.Latencies,
	}, nil
}

// cost is the processor time in microseconds that the server uses while fn runs.
func (r *running) cost(fn func() error) (float64, error) {
	before, err := r.process.CPU()
	if err != nil {
		return 0, err
	}
	if err := fn(); err != nil {
		return 0, err
	}
	after, err := r.process.CPU()
	return float64(after-before) / float64(time.Microsecond), err
}
