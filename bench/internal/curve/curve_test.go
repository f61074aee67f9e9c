package curve_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/bench/internal/curve"
)

// TestSlope: the slope of a power law is its exponent, whatever its factor.
func TestSlope(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		exponent := rapid.Float64Range(-2, 2).Draw(t, "exponent")
		factor := rapid.Float64Range(0.01, 1000).Draw(t, "factor")
		sizes := rapid.SliceOfNDistinct(rapid.IntRange(1, 10_000_000), 3, 9, rapid.ID).Draw(t, "sizes")
		var c curve.Curve
		for _, size := range sizes {
			c.Points = append(c.Points, curve.Point{Size: size, Value: factor * math.Pow(float64(size), exponent)})
		}
		for _, got := range []float64{c.Slope(), c.UpperSlope()} {
			if math.Abs(got-exponent) > 1e-6 {
				t.Fatalf("want %g, got %g", exponent, got)
			}
		}
	})
}

// TestUpperSlope: a constant cost hides growth from the slope of all sizes.
func TestUpperSlope(t *testing.T) {
	var c curve.Curve
	for size := 1; size <= 1_000_000; size *= 10 {
		c.Points = append(c.Points, curve.Point{Size: size, Value: 1000 + float64(size)})
	}
	if all, upper := c.Slope(), c.UpperSlope(); all > 0.55 || upper < 0.85 {
		t.Errorf("got %g and %g", all, upper)
	}
	c.Points = c.Points[:1]
	if !math.IsNaN(c.Slope()) || !math.IsNaN(c.UpperSlope()) {
		t.Errorf("got %g of one size", c.Slope())
	}
}

func family() *curve.Family {
	f := &curve.Family{Name: "rows", Size: "rows", Notes: []string{"one is cut off"}}
	for size := 1000; size <= 100_000; size *= 10 {
		f.Add("get", "µs", curve.Point{Size: size, Value: 50})
		f.Add("start", "ms", curve.Point{Size: size, Value: 9.87654})
		if size < 100_000 {
			f.Add("scan", "µs", curve.Point{Size: size, Value: float64(size) * 1.5})
		}
	}
	return f
}

func TestWriteText(t *testing.T) {
	var b strings.Builder
	if err := family().WriteText(&b); err != nil {
		t.Fatal(err)
	}
	const want = `rows: µs
                     rows   get    scan
                    1,000  50.0   1,500
                   10,000  50.0  15,000
                  100,000  50.0
                    slope  0.00    1.00
  slope of the upper half  0.00       -

rows: ms
                     rows  start
                    1,000   9.88
                   10,000   9.88
                  100,000   9.88
                    slope   0.00
  slope of the upper half   0.00

one is cut off
`
	var got strings.Builder
	for line := range strings.Lines(b.String()) {
		got.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	if got.String() != want {
		t.Errorf("got\n%s", got.String())
	}
}

func TestMarkdown(t *testing.T) {
	const want = `| rows | get | scan |
|---|---|---|
| 1,000 | 50.0 | 1,500 |
| 10,000 | 50.0 | 15,000 |
| 100,000 | 50.0 |  |
| slope | 0.00 | 1.00 |
| slope of the upper half | 0.00 | - |
`
	if got := family().Markdown("µs"); got != want {
		t.Errorf("got\n%s", got)
	}
}
