// Package result turns what was measured into figures, and prints them.
package result

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Round is one run of a scenario against one server.
type Round struct {
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
	// Cost is what the scenario counts, mostly the server's processor time in microseconds. A database server's is not
	// in it.
	Cost float64 `json:"cost"`
	// Allocations and AllocatedBytes are those on the server's heap for each request, or what else is counted.
	Allocations    float64 `json:"allocations,omitempty"`
	AllocatedBytes float64 `json:"allocated_bytes,omitempty"`
	// PeakBytes is the most memory that the server had resident.
	PeakBytes int64 `json:"peak_bytes,omitempty"`
	// Latencies are those of the round's requests.
	Latencies []time.Duration `json:"-"`
}

// Figures sums up the rounds of a scenario against one server.
type Figures struct {
	Scenario    string  `json:"scenario"`
	Subscribers int     `json:"subscribers,omitempty"`
	Server      string  `json:"server"`
	Cost        float64 `json:"cost"`                // median of the rounds
	Unit        string  `json:"unit"`                // of Cost
	Rate        float64 `json:"requests_per_second"` // median of the rounds
	P50         float64 `json:"p50_us"`              // of all requests, or of all deliveries
	P95         float64 `json:"p95_us"`
	P99         float64 `json:"p99_us"`
	// What the server allocates for each request, median of the rounds, and the most memory that it had in any.
	Allocations    float64 `json:"allocations,omitempty"`
	AllocatedBytes float64 `json:"allocated_bytes,omitempty"`
	PeakBytes      int64   `json:"peak_bytes,omitempty"`
	// Ratio compares Cost with that of the first, round by round; nil for the first.
	Ratio   *Ratio  `json:"ratio,omitempty"`
	Goal    float64 `json:"goal,omitempty"`        // the highest ratio
	GoalP99 float64 `json:"goal_p99_us,omitempty"` // the highest P99
	// GoalRate is the lowest Rate, Least the lowest ratio.
	GoalRate float64 `json:"goal_requests_per_second,omitempty"`
	Least    float64 `json:"least,omitempty"`
	// Delivered counts the changes that subscribers got, each in its place and once; Expected is how many they had to.
	Delivered int     `json:"delivered,omitempty"`
	Expected  int     `json:"expected,omitempty"`
	Rounds    []Round `json:"rounds"`
}

// The units of Figures.Cost.
const (
	CPUPerRequest  = "CPU µs/request"
	CPUPerWrite    = "CPU µs/write"
	CPUPerDelivery = "CPU µs/delivery"
	CPUPerMinute   = "CPU µs/minute" // of a connection
	Memory         = "KiB/connection"
)

// Ratio is how much more a server used than the first one in the same pair of rounds.
type Ratio struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"` // the quartiles
	High   float64 `json:"high"`
}

// Report is what a run of the benchmark found.
type Report struct {
	Time        time.Time `json:"time"`
	Go          string    `json:"go"`
	System      string    `json:"system"`
	CPUs        int       `json:"cpus"`
	Database    string    `json:"database"`
	Users       int       `json:"users"`
	Rows        int       `json:"rows_per_user"`
	Connections int       `json:"connections"`
	Figures     []Figures `json:"figures"`
}

// Sum sums up rounds. First are those of the server that others are compared with, or nil.
func Sum(scenario, server string, rounds, first []Round) Figures {
	var latencies []time.Duration
	var cost, rate, allocations, allocated []float64
	var peak int64
	for _, round := range rounds {
		latencies = append(latencies, round.Latencies...)
		cost = append(cost, round.Cost)
		allocations = append(allocations, round.Allocations)
		allocated = append(allocated, round.AllocatedBytes)
		peak = max(peak, round.PeakBytes)
		if round.Seconds > 0 {
			rate = append(rate, float64(round.Requests)/round.Seconds)
		}
	}
	slices.Sort(latencies)
	f := Figures{
		Scenario: scenario, Server: server, Rounds: rounds,
		Cost: Median(cost), Unit: CPUPerRequest, Rate: Median(rate),
		P50: microseconds(Quantile(latencies, 0.50)),
		P95: microseconds(Quantile(latencies, 0.95)),
		P99: microseconds(Quantile(latencies, 0.99)),

		Allocations: Median(allocations), AllocatedBytes: Median(allocated), PeakBytes: peak,
	}
	if len(first) > 0 {
		ratio := Compare(rounds, first)
		f.Ratio = &ratio
	}
	return f
}

// Compare compares rounds with those of the first server in the same places, of which there are as many.
func Compare(rounds, first []Round) Ratio {
	ratios := make([]float64, len(rounds))
	for i := range rounds {
		ratios[i] = rounds[i].Cost / first[i].Cost
	}
	slices.Sort(ratios)
	return Ratio{Median: Median(ratios), Low: Quantile(ratios, 0.25), High: Quantile(ratios, 0.75)}
}

// Median is the middle value, or the mean of the two in the middle. It is 0 of none.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Quantile is the smallest of sorted values that at least the share of them do not exceed. It is 0 of none.
func Quantile[T float64 | time.Duration](sorted []T, share float64) T {
	if len(sorted) == 0 {
		return 0
	}
	// Rounded up, less what the multiplication may be too high by.
	const tiny = 1e-9
	index := int(float64(len(sorted))*share + 1 - tiny)
	return sorted[min(max(index, 1), len(sorted))-1]
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

const mebi = 1 << 20

// cells are a line of the table.
func (f *Figures) cells() []string {
	ratio, quartiles, goal, delivered := "1", "", "", ""
	if f.Ratio != nil {
		ratio = fmt.Sprintf("%.2f", f.Ratio.Median)
		quartiles = fmt.Sprintf("%.2f–%.2f", f.Ratio.Low, f.Ratio.High)
	}
	switch {
	case f.Goal > 0:
		goal = fmt.Sprintf("≤ %.4g", f.Goal)
	case f.GoalP99 > 0:
		goal = fmt.Sprintf("p99 ≤ %.0f", f.GoalP99)
	case f.GoalRate > 0:
		goal = fmt.Sprintf("≥ %.0f a second", f.GoalRate)
	case f.Least > 0:
		goal = fmt.Sprintf("≥ %.4g", f.Least)
	}
	if f.Expected > 0 {
		delivered = fmt.Sprintf("%d of %d", f.Delivered, f.Expected)
	}
	return []string{
		f.Scenario, whole(float64(f.Subscribers)), f.Server, fmt.Sprintf("%.1f", f.Cost), f.Unit, ratio, quartiles, goal, delivered,
		whole(f.Rate), whole(f.P50), whole(f.P95), whole(f.P99),
		whole(f.Allocations), whole(f.AllocatedBytes), whole(float64(f.PeakBytes) / mebi),
	}
}

// whole prints a number that was measured.
func whole(value float64) string {
	if value == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", value)
}

// WriteTable prints the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(cells ...string) {
		_, _ = fmt.Fprintln(table, strings.Join(cells, "\t")+"\t") // its errors come with Flush
	}
	line("scenario", "subscribers", "server", "cost", "of", "ratio", "quartiles", "goal", "delivered", "a second",
		"p50 µs", "p95 µs", "p99 µs", "allocations", "bytes", "peak MiB")
	for i := range r.Figures {
		line(r.Figures[i].cells()...)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s, %d CPUs shared with the load driver, %s, %s; %d users × %d rows; %d connections, closed loop.\n"+
		"Ratio: cost against that of the first line of the scenario, median of paired rounds. A database server's own time is\n"+
		"not counted. With subscribers, latencies are from the answer to a write until a subscriber has its change.\n"+
		"Allocations and their bytes are of one request, or what else the cost is of; the peak is of resident memory.\n",
		r.System, r.CPUs, r.Go, r.Database, r.Users, r.Rows, r.Connections)
	return err
}

// WriteJSON prints the report, with its rounds, for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}
