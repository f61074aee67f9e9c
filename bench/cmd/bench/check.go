package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"text/tabwriter"

	"github.com/capebase/capebase/bench/internal/result"
	"github.com/capebase/capebase/bench/internal/todo"
)

// tolerance is by how much a ratio may exceed the usual one. What is to be noticed is a fifth.
const tolerance = 1.1

// checkRatios compares the second server with the first, and fails where it uses more than it usually does. A ratio that is beyond
// its limit after the starts that were asked for gets as many more, one by one: with nothing else on the machine the first are
// enough.
func checkRatios(ctx context.Context, o options, out io.Writer, progress *slog.Logger) (err error) {
	b := &bed{options: o, programs: map[string]string{}}
	if b.directory, err = os.MkdirTemp("", "capebase-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.directory)) }()
	found := map[string]*pairs{}
	for _, s := range o.scenarios {
		found[s.Name] = &pairs{}
	}
	for start := 1; start <= 2*o.starts && len(b.scenarios) > 0; start++ {
		if err := b.addRounds(ctx, found, progress); err != nil {
			return err
		}
		if start >= o.starts {
			b.scenarios = exceeding(o.scenarios, found)
		}
	}
	if err := writeVerdict(out, o.scenarios, found); err != nil {
		return err
	}
	if len(b.scenarios) > 0 {
		return fmt.Errorf("%s is slower than usual: %s", o.contestants[1].name, names(b.scenarios, scenarioName))
	}
	return nil
}

// pairs are the rounds of both servers in one scenario, those of the same index one after the other.
type pairs [2][]result.Round

func (p *pairs) ratio() result.Ratio { return result.Compare(p[1], p[0]) }

// addRounds starts the servers for some rounds of each scenario that is left.
func (b *bed) addRounds(ctx context.Context, found map[string]*pairs, progress *slog.Logger) error {
	rounds := make([][][]result.Round, len(b.scenarios))
	for i, s := range b.scenarios {
		rounds[i] = found[s.Name][:]
	}
	return b.requestsOnce(ctx, rounds, progress)
}

// exceeding returns the scenarios whose ratio is beyond the limit.
func exceeding(all []todo.Scenario, found map[string]*pairs) (some []todo.Scenario) {
	for _, s := range all {
		if found[s.Name].ratio().Median > limit(s) {
			some = append(some, s)
		}
	}
	return some
}

func limit(s todo.Scenario) float64 { return tolerance * s.Usual }

func writeVerdict(out io.Writer, all []todo.Scenario, found map[string]*pairs) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "scenario\tratio\tquartiles\tusual\tlimit\trounds\t") // errors come with Flush
	for _, s := range all {
		p := found[s.Name]
		r := p.ratio()
		_, _ = fmt.Fprintf(table, "%s\t%.3f\t%.2f–%.2f\t%.3g\t%.3g\t%d\t\n", s.Name, r.Median, r.Low, r.High, s.Usual, limit(s), len(p[0]))
	}
	return table.Flush()
}
