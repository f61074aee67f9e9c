// Command growth measures how the cost of what CapeBase does grows with rows, subscribers, rules, the journal and
// resources.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/capebase/capebase/bench/internal/curve"
)

// family is what grows, and what is measured meanwhile.
type family struct {
	name    string
	top     int // the largest size, unless a smaller one is asked for
	measure func(ctx context.Context, b *bed, top int) (*curve.Family, error)
}

// families lists them, in the order in which they are measured.
func families() []family {
	return []family{
		{"rows", 10_000_000, measureRows},
		{"own", 100_000, measureOwn},
		{"subscribers", 20_000, measureSubscribers},
		{"rules", 200, measureRules},
		{"journal", 10_000_000, measureJournal},
		{"resources", 300, measureResources},
	}
}

type options struct {
	families []family
	rounds   int
	round    time.Duration
	json     string
	docs     string
	profiles string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(arguments, stderr)
	if err != nil {
		return err
	}
	b, err := newBed(ctx, o, slog.New(slog.NewTextHandler(stderr, nil)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.directory)) }() //nolint:gosec // it made that
	var measured []*curve.Family
	for _, f := range o.families {
		b.log.Info("measure", "curves", f.name, "top", f.top)
		found, err := f.measure(ctx, b, f.top)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		measured = append(measured, found)
		if err := found.WriteText(stdout); err != nil {
			return err
		}
	}
	if o.docs != "" {
		if err := writePage(o.docs, measured); err != nil {
			return err
		}
	}
	return writeJSON(o.json, measured)
}

func writeJSON(path string, measured []*curve.Family) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(measured, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

func parse(arguments []string, stderr io.Writer) (options, error) {
	var o options
	var only, top string
	var names []string
	for _, f := range families() {
		names = append(names, f.name)
	}
	flags := flag.NewFlagSet("growth", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&only, "only", strings.Join(names, ","), "the curves to measure")
	flags.StringVar(&top, "top", "", "the largest size of all curves, such as 1e6, or of some: rows=1e6,journal=1e5")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds of each figure")
	flags.DurationVar(&o.round, "round", 150*time.Millisecond, "how long a round takes")
	flags.StringVar(&o.json, "json", "", "a `file` for the figures")
	flags.StringVar(&o.docs, "docs", "", "the `directory` of growth.md, whose tables are replaced, and whose drawings are written to growth/")
	flags.StringVar(&o.profiles, "profiles", "", "a `directory` for CPU profiles of the servers that are measured; they cost a little")
	if err := flags.Parse(arguments); err != nil {
		return options{}, err
	}
	switch {
	case flags.NArg() > 0:
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.rounds < 1 || o.round <= 0:
		return options{}, errors.New("want at least one round that takes some time")
	}
	var err error
	o.families, err = choose(only, top)
	return o, err
}

// choose picks families and limits their sizes.
func choose(only, top string) (chosen []family, err error) {
	all := map[string]family{}
	for _, f := range families() {
		all[f.name] = f
	}
	if top != "" {
		for part := range strings.SplitSeq(top, ",") {
			name, text, named := strings.Cut(part, "=")
			if !named {
				text = name
			}
			size, err := strconv.ParseFloat(text, 64)
			if err != nil || size < 1 {
				return nil, fmt.Errorf("-top %q: want a size such as 1e6, or rows=1e6", part)
			}
			if _, known := all[name]; named && !known {
				return nil, fmt.Errorf("there are no curves %q", name)
			}
			for _, f := range all {
				if !named || f.name == name {
					f.top = int(min(float64(f.top), size))
					all[f.name] = f
				}
			}
		}
	}
	for name := range strings.SplitSeq(only, ",") {
		f, known := all[name]
		if !known {
			return nil, fmt.Errorf("there are no curves %q", name)
		}
		chosen = append(chosen, f)
	}
	return chosen, nil
}

// sizes are 1 and 3 times the powers of ten from one size to another, and that.
func sizes(from, to int) []int {
	var all []int
	for power := 1; power <= to; power *= 10 {
		for _, size := range []int{power, 3 * power} {
			if size >= from && size <= to {
				all = append(all, size)
			}
		}
	}
	if len(all) == 0 || all[len(all)-1] < to {
		all = append(all, to)
	}
	return all
}
