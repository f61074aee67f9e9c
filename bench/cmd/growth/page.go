package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/capebase/capebase/bench/internal/chart"
	"github.com/capebase/capebase/bench/internal/curve"
)

// writePage draws the families, and puts their tables into the page in place of those that are there.
func writePage(docs string, measured []*curve.Family) error {
	path := filepath.Join(docs, "growth.md")
	page, err := os.ReadFile(path) //nolint:gosec // the user names the directory
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(docs, "growth"), 0o755); err != nil { //nolint:gosec // everybody may read it
		return err
	}
	text := string(page)
	for _, f := range measured {
		for _, unit := range f.Units() {
			if err := writeDrawing(docs, f, unit); err != nil {
				return err
			}
		}
		if text, err = replace(text, f.Name, section(f)); err != nil {
			return err
		}
	}
	return os.WriteFile(path, []byte(text), 0o644) //nolint:gosec // everybody may read the page
}

func writeDrawing(docs string, f *curve.Family, unit string) error {
	c := chart.Chart{Title: f.Name + ": " + unit, X: f.Size, Y: unit}
	for _, each := range f.Of(unit) {
		s := chart.Series{Name: each.Name}
		for _, p := range each.Points {
			s.Points = append(s.Points, chart.Point{X: float64(p.Size), Y: p.Value})
		}
		c.Series = append(c.Series, s)
	}
	var b bytes.Buffer
	if err := c.SVG(&b); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(docs, "growth", drawing(f.Name, unit)), b.Bytes(), 0o644) //nolint:gosec // everybody may read it
}

// drawing names the file of a family's figures of a unit.
func drawing(family, unit string) string {
	suffix := map[string]string{cpuTime: "", startTime: "-start", eachHeap: "-memory", heap: "-memory"}
	return family + suffix[unit] + ".svg"
}

// section is what the page says of a family.
func section(f *curve.Family) string {
	var b strings.Builder
	for _, unit := range f.Units() {
		fmt.Fprintf(&b, "![%s: %s](growth/%s)\n\nIn %s:\n\n%s\n", f.Name, unit, drawing(f.Name, unit), unit, f.Markdown(unit))
	}
	for _, note := range f.Notes {
		b.WriteString(note + "\n\n")
	}
	fmt.Fprintf(&b, "%s, %s/%s, %d CPUs shared with the driver, %s.\n",
		time.Now().UTC().Format("2 January 2006"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	return b.String()
}

// replace puts text between the two marks of a name.
func replace(page, name, text string) (string, error) {
	begin, end := "<!-- "+name+": make bench-growth writes this -->\n", "<!-- end of "+name+" -->"
	before, rest, ok := strings.Cut(page, begin)
	if !ok {
		return "", errors.New("the page lacks " + strings.TrimSpace(begin))
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", errors.New("the page lacks " + end)
	}
	return before + begin + "\n" + text + "\n" + end + after, nil
}
