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

// measure starts the servers and runs all scenarios.
func measure(ctx context.Context, o options, progress *slog.Logger) (report *result.Report, err error) {
	directory, err := os.MkdirTemp("", "capebase-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(directory)) }()
	var all []*running
	defer func() {
		for _, r := range all {
			err = errors.Join(err, r.stop())
		}
	}()
	for _, c := range o.contestants {
		progress.Info("start", "server", c.name)
		r, err := start(ctx, o, c, directory)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	report = &result.Report{
		Time: time.Now().UTC(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(),
		Database: server.Kind(o.database), Users: o.users, Rows: o.rows, Connections: o.connections,
	}
	for _, scenario := range o.scenarios {
		figures, err := compare(ctx, o, scenario, all, progress)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", scenario.Name, err)
		}
		report.Figures = append(report.Figures, figures...)
	}
	for _, r := range all {
		if err := r.count(ctx); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// compare measures one scenario on all servers, in rounds that take turns. All rounds have the same number of requests,
// so that tables grow alike.
func compare(ctx context.Context, o options, s todo.Scenario, all []*running, progress *slog.Logger) ([]result.Figures, error) {
	n, err := calibrate(ctx, o, s, all)
	if err != nil {
		return nil, err
	}
	progress.Info("measure", "scenario", s.Name, "rounds", o.rounds, "requests", n)
	rounds := make([][]result.Round, len(all))
	for number := range o.rounds {
		for i := range all {
			if number%2 == 1 { // A B, B A, A B, …
				i = len(all) - 1 - i
			}
			round, err := all[i].run(ctx, s, n, uint64(number))
			if err != nil {
				return nil, err
			}
			rounds[i] = append(rounds[i], round)
		}
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
	}
	return figures, nil
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
	before, err := r.process.CPU()
	if err != nil {
		return result.Round{}, err
	}
	sample, err := load.Run(ctx, r.conns, works, n)
	if err != nil {
		return result.Round{}, fmt.Errorf("%s: %w", r.name, err)
	}
	after, err := r.process.CPU()
	if err != nil {
		return result.Round{}, err
	}
	if s.Inserts {
		r.rows += n
	}
	if err := load.Close(r.conns, works); err != nil {
		return result.Round{}, fmt.Errorf("%s: %w", r.name, err)
	}
	used := float64(after-before) / float64(time.Microsecond)
	return result.Round{
		Requests: n, Seconds: sample.Took.Seconds(), CPU: used / float64(n), Latencies: sample.Latencies,
	}, nil
}
