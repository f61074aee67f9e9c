package curve

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteText prints the family for a terminal: a table for each unit.
func (f *Family) WriteText(w io.Writer) error {
	for _, unit := range f.Units() {
		if _, err := fmt.Fprintf(w, "%s: %s\n", f.Name, unit); err != nil {
			return err
		}
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		for _, line := range f.lines(unit) {
			_, _ = fmt.Fprintln(table, strings.Join(line, "\t")+"\t") // its errors come with Flush
		}
		if err := table.Flush(); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	for _, note := range f.Notes {
		if _, err := fmt.Fprintln(w, note); err != nil {
			return err
		}
	}
	return nil
}

// Markdown returns the table of a unit.
func (f *Family) Markdown(unit string) string {
	var b strings.Builder
	for i, line := range f.lines(unit) {
		b.WriteString("| " + strings.Join(line, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(line)) + "|\n")
		}
	}
	return b.String()
}

// lines are a header, a line for each size, and those of the slopes.
func (f *Family) lines(unit string) [][]string {
	curves := f.Of(unit)
	header := []string{f.Size}
	all, upper := []string{"slope"}, []string{"slope of the upper half"}
	for i := range curves {
		header = append(header, curves[i].Name)
		all = append(all, slopeText(curves[i].Slope()))
		upper = append(upper, slopeText(curves[i].UpperSlope()))
	}
	lines := [][]string{header}
	for _, size := range f.Sizes() {
		line, any := []string{Grouped(size)}, false
		for _, c := range curves {
			cell := ""
			for _, p := range c.Points {
				if p.Size == size {
					cell, any = figure(p.Value), true
				}
			}
			line = append(line, cell)
		}
		if any {
			lines = append(lines, line)
		}
	}
	return append(lines, all, upper)
}

func slopeText(slope float64) string {
	if math.IsNaN(slope) {
		return "-"
	}
	if text := strconv.FormatFloat(slope, 'f', 2, 64); text != "-0.00" {
		return strings.Replace(text, "-", "−", 1)
	}
	return "0.00"
}

// figure prints three significant digits, or all before the point.
func figure(value float64) string {
	switch {
	case value >= 100:
		return Grouped(int(math.Round(value)))
	case value >= 10:
		return strconv.FormatFloat(value, 'f', 1, 64)
	}
	return strconv.FormatFloat(value, 'f', 2, 64)
}

// Grouped prints a number that is not negative with a comma before each three digits.
func Grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
