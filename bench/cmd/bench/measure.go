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

// requests measures the scenarios of requests, on servers that are started as often as was asked for.
func (b *bed) requests(ctx context.Context, progress *slog.Logger) ([]result.Figures, error) {
	rounds := make([][][]result.Round, len(b.scenarios)) // by scenario and server
	for i := range rounds {
		rounds[i] = make([][]result.Round, len(b.contestants))
	}
	for range b.starts {
		if err := b.requestsOnce(ctx, rounds, progress); err != nil {
			return nil, err
		}
	}
	var all []result.Figures
	for i, scenario := range b.scenarios {
		all = append(all, b.sum(scenario, rounds[i])...)
	}
	return all, nil
}

// requestsOnce starts the servers and appends the rounds of each scenario and server.
func (b *bed) requestsOnce(ctx context.Context, rounds [][][]result.Round, progress *slog.Logger) (err error) {
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
			return err
		}
		servers = append(servers, r)
	}
	for i, scenario := range b.scenarios {
		more, err := compare(ctx, b.options, scenario, servers, progress)
		if err != nil {
			return fmt.Errorf("%s: %w", scenario.Name, err)
		}
		for server := range servers {
			rounds[i][server] = append(rounds[i][server], more[server]...)
		}
	}
	for _, r := range servers {
		if err := r.count(ctx); err != nil {
			return err
		}
	}
	return nil
}

// observedGoal is the most processor time with logs and metrics on, as a multiple of that without.
const observedGoal = 1.05

// compare measures one scenario on all servers, in rounds that take turns. All rounds have the same number of requests,
// so that tables grow alike.
func compare(ctx context.Context, o options, s todo.Scenario, all []*running, progress *slog.Logger) ([][]result.Round, error) {
	n, err := calibrate(ctx, o, s, all)
	if err != nil {
		return nil, err
	}
	progress.Info("measure", "scenario", s.Name, "rounds", o.rounds, "requests", n)
	return takeTurns(o.rounds, all, func(r *running, number int) (result.Round, error) {
		return r.run(ctx, s, n, uint64(number)) //nolint:gosec // it counts from 0
	})
}

// sum makes figures of a scenario's rounds on each server.
func (b *bed) sum(s todo.Scenario, rounds [][]result.Round) []result.Figures {
	figures := make([]result.Figures, len(rounds))
	against := b.contestants[0].name
	for i, c := range b.contestants {
		var first []result.Round
		if i > 0 {
			first = rounds[0]
		}
		figures[i] = result.Sum(s.Name, c.name, rounds[i], first)
		switch {
		case c.name == "capebase" && against == "hand-written":
			figures[i].Goal = s.Goal
		case c.name == "observed" && against == "capebase":
			figures[i].Goal = observedGoal
		}
	}
	return figures
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
	round, err := r.spend(n, func() (err error) {
		sample, err = load.Run(ctx, r.conns, works, n)
		return err
	})
	if err != nil {
		return result.Round{}, fmt.Errorf("%s: %w", r.name, err)
	}
	for _, work := range works {
		if w, ok := work.(todo.Inserter); ok {
			r.rows += w.Inserted()
		}
	}
	if err := load.Close(r.conns, works); err != nil {
		return result.Round{}, fmt.Errorf("%s: %w", r.name, err)
	}
	round.Seconds, round.Latencies = sample.Took.Seconds(), sample.Latencies
	return round, nil
}

// spend measures what the server needs for n of what is counted, while fn runs.
func (r *running) spend(n int, fn func() error) (round result.Round, err error) {
	if err := r.process.ResetPeak(); err != nil {
		return round, err
	}
	allocations, err := r.process.Allocations()
	if err != nil {
		return round, err
	}
	used, err := r.process.CPU()
	if err != nil {
		return round, err
	}
	start := time.Now()
	if err := fn(); err != nil {
		return round, err
	}
	round.Seconds = time.Since(start).Seconds()
	usedThen, err := r.process.CPU()
	if err != nil {
		return round, err
	}
	allocationsThen, err := r.process.Allocations()
	if err != nil {
		return round, err
	}
	round.Requests = n
	round.Cost = float64(usedThen-used) / float64(time.Microsecond) / float64(n)
	round.Allocations = float64(allocationsThen.Objects-allocations.Objects) / float64(n)
	round.AllocatedBytes = float64(allocationsThen.Bytes-allocations.Bytes) / float64(n)
	round.PeakBytes, err = r.process.Peak()
	return round, err
}
