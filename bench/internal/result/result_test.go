package result_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/bench/internal/result"
)

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for _, each := range []struct {
		sorted []float64
		share  float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{7}, 0.99, 7},
		{hundred, 0.5, 50},
		{hundred, 0.95, 95},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
		{hundred[:3], 0.5, 2},
	} {
		if got := result.Quantile(each.sorted, each.share); got != each.want {
			t.Errorf("the %v quantile of %d values: want %v, got %v", each.share, len(each.sorted), each.want, got)
		}
	}
}

func TestMedianHasAsManyAboveAsBelow(t *testing.T) {
	if got := result.Median(nil); got != 0 {
		t.Errorf("of none: got %v", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 20).Draw(t, "values")
		median := result.Median(values)
		below, above := 0, 0
		for _, v := range values {
			switch {
			case v < median:
				below++
			case v > median:
				above++
			}
		}
		if half := len(values) / 2; below > half || above > half {
			t.Fatalf("%v: %d below and %d above of %d", median, below, above, len(values))
		}
	})
}

func rounds(cpu ...float64) []result.Round {
	all := make([]result.Round, len(cpu))
	for i, used := range cpu {
		all[i] = result.Round{Requests: 1000, Seconds: 0.5, Cost: used, Latencies: []time.Duration{time.Millisecond},
			Allocations: used, AllocatedBytes: 10 * used, PeakBytes: int64(used) << 20}
	}
	return all
}

func report() *result.Report {
	slow := result.Sum("read-one", "slow", rounds(40, 80, 50), nil)
	fast := result.Sum("read-one", "fast", rounds(20, 20, 30), rounds(40, 80, 50))
	fast.Goal = 1.1
	live := result.Sum("fan-out", "slow", rounds(40), nil)
	live.Unit, live.Subscribers, live.GoalP99, live.Delivered, live.Expected = result.CPUPerDelivery, 100, 10_000, 7, 7
	idle := result.Sum("idle", "slow", []result.Round{{Cost: 12}}, nil)
	idle.Unit, idle.Subscribers = result.Memory, 5000
	flood, other := live, live
	flood.GoalP99, flood.GoalRate = 0, 50
	other.GoalP99, other.Least = 0, 150
	return &result.Report{
		Go: "go1", System: "linux/amd64", CPUs: 2, Database: "sqlite", Users: 3, Rows: 4, Connections: 5,
		Figures: []result.Figures{slow, fast, live, idle, flood, other},
	}
}

func TestSumComparesPairs(t *testing.T) {
	figures := report().Figures
	if slow := figures[0]; slow.Cost != 50 || slow.Rate != 2000 || slow.P99 != 1000 || slow.Ratio != nil ||
		slow.Allocations != 50 || slow.AllocatedBytes != 500 || slow.PeakBytes != 80<<20 {
		t.Errorf("got %+v", slow)
	}
	// 20/40, 20/80, 30/50: the median of the ratios, which the ratio of the medians (0.4) is not.
	want := result.Ratio{Median: 0.5, Low: 0.25, High: 0.6}
	if got := figures[1].Ratio; got == nil || *got != want {
		t.Errorf("want %+v, got %+v", want, got)
	}
}

func TestWriteTable(t *testing.T) {
	var out strings.Builder
	if err := report().WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	const want = `
  scenario  subscribers  server  cost               of  ratio  quartiles           goal  delivered  a second  p50 µs  p95 µs  p99 µs  allocations  bytes  peak MiB
  read-one            -    slow  50.0   CPU µs/request      1                                           2000    1000    1000    1000           50    500        80
  read-one            -    fast  20.0   CPU µs/request   0.50  0.25–0.60          ≤ 1.1                 2000    1000    1000    1000           20    200        30
   fan-out          100    slow  40.0  CPU µs/delivery      1               p99 ≤ 10000     7 of 7      2000    1000    1000    1000           40    400        40
      idle         5000    slow  12.0   KiB/connection      1                                              -       -       -       -            -      -         -
   fan-out          100    slow  40.0  CPU µs/delivery      1             ≥ 50 a second     7 of 7      2000    1000    1000    1000           40    400        40
   fan-out          100    slow  40.0  CPU µs/delivery      1                     ≥ 150     7 of 7      2000    1000    1000    1000           40    400        40

linux/amd64, 2 CPUs shared with the load driver, go1, sqlite; 3 users × 4 rows; 5 connections, closed loop.
Ratio: cost against that of the first line of the scenario, median of paired rounds. A database server's own time is
not counted. With subscribers, latencies are from the answer to a write until a subscriber has its change.
Allocations and their bytes are of one request, or what else the cost is of; the peak is of resident memory.
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("want %s\ngot %s", want, got)
	}
}

func TestWriteJSON(t *testing.T) {
	var out strings.Builder
	if err := report().WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var back result.Report
	if err := json.Unmarshal([]byte(out.String()), &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Figures) != 6 || len(back.Figures[1].Rounds) != 3 || math.Abs(back.Figures[1].Ratio.Median-0.5) > 1e-9 {
		t.Errorf("got %s", out.String())
	}
}
