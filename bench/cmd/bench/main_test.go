package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capebase/capebase/bench/internal/result"
)

func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "bench.json")
	var out, progress strings.Builder
	arguments := []string{
		"-only=read-one,list-20,create,update,mixed", "-users=8", "-rows=20", "-connections=4", "-rounds=2", "-round=20ms", "-json=" + file,
	}
	if err := run(t.Context(), arguments, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report result.Report
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Figures) != 10 {
		t.Fatalf("want 5 scenarios on 2 servers, got %d figures", len(report.Figures))
	}
	for i, f := range report.Figures {
		if f.Cost <= 0 || f.Rate <= 0 || f.P50 <= 0 || f.P99 < f.P50 || len(f.Rounds) != 2 ||
			f.Allocations < 1 || f.AllocatedBytes < f.Allocations || f.PeakBytes < 1<<20 {
			t.Errorf("%s on %s: got %+v", f.Scenario, f.Server, f)
		}
		if compared := i%2 == 1; (f.Ratio != nil) != compared || (f.Goal > 0) != (compared && f.Scenario != "mixed") {
			t.Errorf("%s on %s: got ratio %v and goal %v", f.Scenario, f.Server, f.Ratio, f.Goal)
		}
		if !strings.Contains(out.String(), f.Scenario) || !strings.Contains(out.String(), f.Server) {
			t.Errorf("the table lacks %s on %s:\n%s", f.Scenario, f.Server, out.String())
		}
	}
}

// TestRunObserved: the server that logs and counts is compared with the one that does neither.
func TestRunObserved(t *testing.T) {
	var out, progress strings.Builder
	arguments := []string{
		"-servers=capebase,observed", "-only=list-20", "-users=8", "-rows=20", "-connections=4", "-rounds=2", "-round=20ms",
	}
	if err := run(t.Context(), arguments, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	if !strings.Contains(out.String(), "observed") || !strings.Contains(out.String(), "≤ 1.05") {
		t.Errorf("the table lacks the comparison:\n%s", out.String())
	}
}

// TestCheckRatios gives usual ratios that are far above and far below what can be measured.
func TestCheckRatios(t *testing.T) {
	for _, each := range []struct {
		usual  float64
		rounds string // twice as many where more are asked for
		fails  bool
	}{{100, "1", false}, {0.001, "2", true}} {
		o, err := parse([]string{
			"-check", "-only=read-one", "-users=8", "-rows=20", "-connections=4", "-starts=1", "-rounds=1", "-round=10ms",
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		o.scenarios[0].Usual = each.usual
		var out strings.Builder
		err = checkRatios(t.Context(), o, &out, slog.New(slog.DiscardHandler))
		if failed := err != nil && strings.Contains(err.Error(), "capebase is slower than usual: read-one"); failed != each.fails {
			t.Errorf("usually %v: got %v", each.usual, err)
		}
		line := strings.Fields(out.String()[strings.Index(out.String(), "\n")+1:])
		if line[0] != "read-one" || line[len(line)-1] != each.rounds {
			t.Errorf("want %s rounds:\n%s", each.rounds, out.String())
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Setenv("CAPE_TEST_DATABASES", "postgres://somewhere/")
	for want, arguments := range map[string][]string{
		`there is no "nobody"`:      {"-servers=hand-written,nobody"},
		`there is no "delete"`:      {"-only=delete"},
		"one for each connection":   {"-users=7", "-connections=8"},
		"at least 20 rows":          {"-rows=19"},
		"at least one connection":   {"-rounds=0"},
		"names no mysql://":         {"-database=mysql"},
		"a multiple of 1000":        {"-subscribers=1500"},
		"-durable is SQLite's":      {"-durable", "-database=postgres"},
		`unexpected argument "now"`: {"now"},
		"wants two servers":         {"-check", "-only=read-one", "-servers=capebase"},
		"of requests alone":         {"-check"},
	} {
		var progress strings.Builder
		if _, err := parse(arguments, &progress); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q, got %v", arguments, want, err)
		}
	}
}

func TestParseFindsARunningServer(t *testing.T) {
	t.Setenv("CAPE_TEST_DATABASES", "postgres://a/,mysql://b/")
	o, err := parse([]string{"-database=mysql"}, nil)
	if err != nil || o.database != "mysql://b/" {
		t.Errorf("got %q, %v", o.database, err)
	}
}

func TestFanout(t *testing.T) {
	var out, progress strings.Builder
	arguments := []string{"-only=fanout", "-subscribers=1000", "-rounds=2", "-round=20ms", "-hold=200ms"}
	if err := run(t.Context(), arguments, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	lines := 0
	for line := range strings.Lines(out.String()) {
		fields := strings.Fields(line)
		if len(fields) == 0 || !strings.HasPrefix(fields[0], "fanout-") {
			continue
		}
		lines++
		if fields[0] == "fanout-idle" || fields[0] == "fanout-heartbeat" {
			continue
		}
		at := slices.Index(fields[5:], "of") + 5 // the unit is before
		if delivered, expected := fields[at-1], fields[at+1]; delivered != expected || delivered == "0" {
			t.Errorf("want all delivered: %s", line)
		}
	}
	if want := 2*3 + 2*2 + 2 + 1 + 1 + 4; lines != want {
		t.Errorf("want %d lines, got %d:\n%s", want, lines, out.String())
	}
}
