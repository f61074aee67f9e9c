package chart_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/capebase/capebase/bench/internal/chart"
)

// drawing is what a test looks at.
type drawing struct {
	lines  [][][2]float64
	labels []string
	places map[string]float64 // heights of texts at the right
}

func read(document string) (d drawing, err error) {
	d.places = map[string]float64{}
	decoder := xml.NewDecoder(strings.NewReader(document))
	var label *xml.StartElement
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return d, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "polyline" {
				d.lines = append(d.lines, points(attribute(token, "points")))
			}
			if token.Name.Local == "text" {
				label = &token
			}
		case xml.CharData:
			if label == nil {
				continue
			}
			d.labels = append(d.labels, string(token))
			if at, err := strconv.ParseFloat(attribute(*label, "x"), 64); err == nil && at > 600 {
				d.places[string(token)], _ = strconv.ParseFloat(attribute(*label, "y"), 64)
			}
		case xml.EndElement:
			label = nil
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func points(text string) (found [][2]float64) {
	for pair := range strings.FieldsSeq(text) {
		var p [2]float64
		if _, err := fmt.Sscanf(pair, "%f,%f", &p[0], &p[1]); err != nil {
			panic(err)
		}
		found = append(found, p)
	}
	return found
}

// TestSVG: whatever is drawn is well-formed, has all points, and has them within the frame and in their order; labels do
// not cover each other.
func TestSVG(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := chart.Chart{Title: rapid.SampledFrom([]string{"rows", `a < b & "c"`}).Draw(t, "title"), X: "rows", Y: "µs"}
		for i := range rapid.IntRange(1, 8).Draw(t, "series") {
			s := chart.Series{Name: fmt.Sprintf("<series %d>", i)}
			x := rapid.Float64Range(1, 1000).Draw(t, "first")
			for range rapid.IntRange(1, 9).Draw(t, "points") {
				s.Points = append(s.Points, chart.Point{X: x, Y: rapid.Float64Range(0.001, 1e8).Draw(t, "y")})
				x *= rapid.Float64Range(1.5, 10).Draw(t, "factor")
			}
			c.Series = append(c.Series, s)
		}
		var b strings.Builder
		if err := c.SVG(&b); err != nil {
			t.Fatal(err)
		}
		d, err := read(b.String())
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if len(d.lines) != len(c.Series) {
			t.Fatalf("want %d lines, got %d", len(c.Series), len(d.lines))
		}
		for i, line := range d.lines {
			if len(line) != len(c.Series[i].Points) {
				t.Fatalf("want %d points, got %d", len(c.Series[i].Points), len(line))
			}
			for j, p := range line {
				if p[0] < 76 || p[0] > 600 || p[1] < 44 || p[1] > 384 {
					t.Fatalf("%v is outside", p)
				}
				if j > 0 && (p[0] < line[j-1][0] || (p[1] > line[j-1][1]) == (c.Series[i].Points[j].Y > c.Series[i].Points[j-1].Y) && p[1] != line[j-1][1]) {
					t.Fatalf("%v follows %v, of %v", p, line[j-1], c.Series[i].Points)
				}
			}
		}
		for a, at := range d.places {
			for b, other := range d.places {
				if a != b && max(at-other, other-at) < 16.9 {
					t.Fatalf("%s at %g covers %s at %g", a, at, b, other)
				}
			}
		}
	})
}

// TestTicks: a wide axis has its decades, a narrow one more than them; a flat line has room above and below.
func TestTicks(t *testing.T) {
	c := chart.Chart{Series: []chart.Series{{Name: "get", Points: []chart.Point{{X: 1000, Y: 50}, {X: 1e7, Y: 55}}}}}
	var b strings.Builder
	if err := c.SVG(&b); err != nil {
		t.Fatal(err)
	}
	d, err := read(b.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1,000", "10 k", "100 k", "1 M", "10 M", "20", "50", "100", "200"} {
		found := false
		for _, label := range d.labels {
			found = found || label == want
		}
		if !found {
			t.Errorf("there is no %s in %q", want, d.labels)
		}
	}
}
