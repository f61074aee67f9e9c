// Package chart draws curves with two logarithmic axes as SVG. The background is light whatever page it is on, and each
// line is labelled at its end and has a marker of its own, so that colours are not all that tells them apart.
package chart

import (
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strings"
)

// Chart is one drawing.
type Chart struct {
	Title, X, Y string // what the axes count
	Series      []Series
}

// Series is one line.
type Series struct {
	Name   string
	Points []Point // in the order of X, all above 0
}

// Point is a point of a line.
type Point struct{ X, Y float64 }

// The drawing, in pixels: the frame in which lines are, and the place for labels at its right.
const (
	width, height = 860, 440
	left, right   = 76, 600
	top, bottom   = 44, 384
	labelHeight   = 17
)

// colours are apart for most who see few colours, and dark enough for text on white.
func colours() []string {
	return []string{"#0b62a4", "#b8480c", "#0f7a55", "#9a3b8a", "#5b5b5b", "#8a6d00", "#2f9ac4", "#c4003d"}
}

// SVG writes the drawing.
func (c *Chart) SVG(w io.Writer) error {
	x := axis{low: left, high: right}
	y := axis{low: bottom, high: top}
	for _, s := range c.Series {
		for _, p := range s.Points {
			x.take(p.X)
			y.take(p.Y)
		}
	}
	x.round()
	y.round()
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s" `+
		`font-family="system-ui, sans-serif" font-size="13">`+"\n", width, height, width, height, html.EscapeString(c.Title))
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	text(&b, left, top-18, "start", "#222222", c.Title, `font-size="15" font-weight="600"`)
	for _, tick := range x.ticks() {
		at := x.place(tick)
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#e4e4e4"/>`+"\n", at, top, at, bottom)
		text(&b, at, bottom+20, "middle", "#444444", number(tick), "")
	}
	for _, tick := range y.ticks() {
		at := y.place(tick)
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#e4e4e4"/>`+"\n", left, at, right, at)
		text(&b, left-8, at+4, "end", "#444444", number(tick), "")
	}
	fmt.Fprintf(&b, `<path d="M%d %dV%dH%d" fill="none" stroke="#888888"/>`+"\n", left, top, bottom, right)
	text(&b, (left+right)/2, bottom+42, "middle", "#222222", c.X, "")
	text(&b, -(top+bottom)/2, 20, "middle", "#222222", c.Y, `transform="rotate(-90)"`)
	c.lines(&b, &x, &y)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// lines draws the series and their labels.
func (c *Chart) lines(b *strings.Builder, x, y *axis) {
	ends := make([]float64, len(c.Series))
	for i, s := range c.Series {
		ends[i] = y.place(s.Points[len(s.Points)-1].Y)
	}
	labels := apart(ends)
	for i, s := range c.Series {
		colour := colours()[i%len(colours())]
		places := make([]string, len(s.Points))
		for j, p := range s.Points {
			places[j] = fmt.Sprintf("%.1f,%.1f", x.place(p.X), y.place(p.Y))
		}
		fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(places, " "), colour)
		for _, p := range s.Points {
			fmt.Fprintf(b, `<path transform="translate(%.1f %.1f)" d="%s" fill="%s"/>`+"\n", x.place(p.X), y.place(p.Y), marker(i), colour)
		}
		last := s.Points[len(s.Points)-1]
		fmt.Fprintf(b, `<path d="M%.1f %.1fL%d %.1f" stroke="%s" stroke-width="0.7" stroke-dasharray="2 2"/>`+"\n",
			x.place(last.X), ends[i], right+14, labels[i], colour)
		fmt.Fprintf(b, `<path transform="translate(%d %.1f)" d="%s" fill="%s"/>`+"\n", right+20, labels[i], marker(i), colour)
		text(b, right+30, labels[i]+4, "start", colour, s.Name, "")
	}
}

// marker is the shape of a series's points.
func marker(series int) string {
	shapes := []string{
		"M-3.5-3.5h7v7h-7z", "M0-5L4.5 4h-9z", "M0-5L5 0L0 5L-5 0z", "M-5-1.5h10v3h-10z",
		"M0 5L4.5-4h-9z", "M-1.5-5h3v10h-3z", "M-4-2.5h8v5h-8z", "M-2-2h4v4h-4z",
	}
	return shapes[series%len(shapes)]
}

// apart moves labels until none covers another, and all are within the frame where they fit.
func apart(wanted []float64) []float64 {
	order := make([]int, len(wanted))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(math.Copysign(1, wanted[a]-wanted[b])) })
	placed := slices.Clone(wanted)
	for k := 1; k < len(order); k++ {
		placed[order[k]] = max(placed[order[k]], placed[order[k-1]]+labelHeight)
	}
	limit := float64(bottom)
	for _, i := range slices.Backward(order) {
		placed[i] = min(placed[i], limit)
		limit = placed[i] - labelHeight
	}
	return placed
}

func text(b *strings.Builder, x, y float64, anchor, colour, content, more string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s" %s>%s</text>`+"\n", x, y, anchor, colour, more, html.EscapeString(content))
}
