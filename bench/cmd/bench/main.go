// Command bench measures servers that do the same work: CapeBase and a hand-written one. It starts each on a database
// of its own, fills it, and sends both the same requests in short rounds that take turns, so that what else happens on
// the machine happens to both. The figure that counts is the server's processor time for one request, or for one change
// that reaches subscribers.
//
//	go run ./cmd/bench -database sqlite -json bench.json
//
// It fails when an answer, the number of rows in a table at the end, or what a subscriber got is not what it must be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/capebase/capebase/bench/internal/result"
	"github.com/capebase/capebase/bench/internal/todo"
)

// options is the command line.
type options struct {
	database    string
	contestants []contestant
	scenarios   []todo.Scenario
	fanouts     []fanout
	connections int
	rounds      int
	starts      int
	round       time.Duration
	hold        time.Duration // of idle subscribers
	users, rows int
	subscribers int  // the most
	durable     bool // SQLite waits for the disk
	json        string
	limited     bool // check ratios against the usual ones
	profiles    string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, stdout, stderr io.Writer) error {
	o, err := parse(arguments, stderr)
	if err != nil {
		return err
	}
	progress := slog.New(slog.NewTextHandler(stderr, nil))
	if o.limited {
		return checkRatios(ctx, o, stdout, progress)
	}
	report, err := measure(ctx, o, progress)
	if err != nil {
		return err
	}
	if o.json != "" {
		if err := writeJSON(o.json, report); err != nil {
			return err
		}
	}
	return report.WriteTable(stdout)
}

func writeJSON(path string, report *result.Report) (err error) {
	file, err := os.Create(path) //nolint:gosec // the user names the file
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return report.WriteJSON(file)
}

func parse(arguments []string, stderr io.Writer) (options, error) {
	var o options
	var servers, only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.database, "database", "sqlite", "sqlite, or the URL of a server on which to create databases:\n"+
		"postgres://user:password@host/postgres or mysql://user:password@host/.\n"+
		"postgres or mysql alone stands for the one in CAPE_TEST_DATABASES")
	flags.StringVar(&servers, "servers", "hand-written,capebase", "servers, of "+names(contestants(), contestant.label)+"; the others are compared\n"+
		"with the first. observed is capebase with a line a request and with metrics; slowed wastes "+injected+" of its time")
	flags.StringVar(&only, "only", names(todo.Scenarios(), scenarioName)+","+names(fanouts(), fanoutName),
		"the scenarios to measure; fanout stands for all that begin so")
	flags.IntVar(&o.connections, "connections", 8, "connections that send at the same time")
	flags.IntVar(&o.rounds, "rounds", 15, "rounds of each scenario on each server")
	flags.IntVar(&o.starts, "starts", 1, "how often servers are started anew for the scenarios of requests, since two processes of one\n"+
		"program differ by some percent; each start has its rounds")
	flags.DurationVar(&o.round, "round", 600*time.Millisecond, "how long a round takes on the slowest server")
	flags.IntVar(&o.users, "users", 100, "users")
	flags.IntVar(&o.rows, "rows", 100, "rows of each user at the beginning")
	flags.IntVar(&o.subscribers, "subscribers", 5000, "the most subscribers; some scenarios have a fifth or a fiftieth of them")
	flags.BoolVar(&o.durable, "durable", false, "SQLite waits for the disk with each commit; not PocketBase's")
	flags.BoolVar(&o.limited, "check", false, "only tell whether ratios are the usual ones; of two servers and scenarios of requests")
	flags.StringVar(&o.json, "json", "", "a `file` for the figures of all rounds")
	flags.DurationVar(&o.hold, "hold", time.Minute, "how long fanout-heartbeat watches idle subscribers: each has a sign of life each 15 s,\n"+
		"and its caller is looked at again each minute")
	flags.StringVar(&o.profiles, "profiles", "", "a `directory` for the servers' CPU profiles; they cost a little")
	if err := flags.Parse(arguments); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var err error
	o.contestants, err = choose(servers, contestants(), contestant.label)
	return o, errors.Join(err, o.chooseScenarios(only), o.check(), o.findDatabase(os.Getenv("CAPE_TEST_DATABASES")))
}

// chooseScenarios picks those whose name, or its beginning, is in a comma-separated list.
func (o *options) chooseScenarios(only string) error {
	for want := range strings.SplitSeq(only, ",") {
		meant := func(name string) bool { return name == want || strings.HasPrefix(name, want+"-") }
		found := false
		for _, s := range todo.Scenarios() {
			if meant(s.Name) {
				o.scenarios, found = append(o.scenarios, s), true
			}
		}
		for _, f := range fanouts() {
			if meant(f.name) {
				o.fanouts, found = append(o.fanouts, f), true
			}
		}
		if !found {
			return fmt.Errorf("there is no %q; want some of %s,%s", want, names(todo.Scenarios(), scenarioName), names(fanouts(), fanoutName))
		}
	}
	return nil
}

func (o *options) check() error {
	switch {
	case o.connections < 1 || o.rounds < 1 || o.starts < 1 || o.round <= 0 || o.hold <= 0:
		return errors.New("want at least one connection, one start, and rounds and a hold that take some time")
	case o.users < max(2, o.connections):
		return errors.New("want at least two users, and one for each connection")
	case o.rows < 20:
		return errors.New("want at least 20 rows a user: lists have as many")
	case o.limited && (len(o.contestants) != 2 || len(o.fanouts) > 0):
		return errors.New("-check wants two servers, and scenarios of requests alone")
	case o.limited && slices.ContainsFunc(o.scenarios, func(s todo.Scenario) bool { return s.Usual == 0 }):
		return errors.New("-check wants scenarios whose usual ratio is known")
	case o.durable && (o.database != "sqlite" || slices.ContainsFunc(o.contestants, func(c contestant) bool { return c.name == "pocketbase" })):
		return errors.New("-durable is SQLite's, and PocketBase does not know it")
	case o.subscribers < 1 || o.subscribers%(2*smallest*reach) != 0:
		return fmt.Errorf("want a multiple of %d subscribers: there are always two users", 2*smallest*reach)
	}
	return nil
}

// findDatabase replaces the bare name of a kind of database by the URL of one that runs.
func (o *options) findDatabase(running string) error {
	if o.database != "postgres" && o.database != "mysql" {
		return nil
	}
	for _, address := range strings.Split(running, ",") {
		if strings.HasPrefix(address, o.database+"://") {
			o.database = address
			return nil
		}
	}
	return fmt.Errorf("CAPE_TEST_DATABASES names no %s://…; go run ./internal/dbtest/with starts servers for a command", o.database)
}

func scenarioName(s todo.Scenario) string { return s.Name }

func fanoutName(f fanout) string { return f.name }

func names[T any](all []T, name func(T) string) string {
	list := make([]string, len(all))
	for i, each := range all {
		list[i] = name(each)
	}
	return strings.Join(list, ",")
}

// choose picks from all in the order of a comma-separated list.
func choose[T any](list string, all []T, name func(T) string) ([]T, error) {
	var chosen []T
	for _, want := range strings.Split(list, ",") {
		i := slices.IndexFunc(all, func(each T) bool { return name(each) == want })
		if i < 0 {
			return nil, fmt.Errorf("there is no %q; want some of %s", want, names(all, name))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
