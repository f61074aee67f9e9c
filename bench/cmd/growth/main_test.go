package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/capebase/capebase/bench/internal/curve"
)

// TestRun measures a little of all curves, and looks at what is written of them.
func TestRun(t *testing.T) {
	docs := t.TempDir()
	page, err := os.ReadFile("../../../docs/growth.md")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(docs, "growth.md"), page, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(docs, "growth.json")
	arguments := []string{
		"-top=rows=3000,own=30,subscribers=100,rules=2,journal=3000,resources=2", "-rounds=2", "-round=5ms", "-docs=" + docs, "-json=" + file,
	}
	var out, progress strings.Builder
	if err := run(t.Context(), arguments, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var measured []curve.Family
	if err := json.Unmarshal(text, &measured); err != nil {
		t.Fatal(err)
	}
	if len(measured) != len(families()) {
		t.Fatalf("want %d families, got %d", len(families()), len(measured))
	}
	if page, err = os.ReadFile(filepath.Join(docs, "growth.md")); err != nil {
		t.Fatal(err)
	}
	for i, f := range measured {
		if f.Name != families()[i].name || len(f.Curves) == 0 {
			t.Errorf("got %d curves of %s", len(f.Curves), f.Name)
		}
		for _, c := range f.Curves {
			checkCurve(t, f.Name, &c)
			if !strings.Contains(out.String(), c.Name) || !strings.Contains(string(page), "| "+c.Name+" |") {
				t.Errorf("the tables lack %s of %s", c.Name, f.Name)
			}
		}
		for _, unit := range f.Units() {
			name := drawing(f.Name, unit)
			if svg, err := os.ReadFile(filepath.Join(docs, "growth", name)); err != nil || !strings.Contains(string(svg), "<polyline") {
				t.Errorf("%s: got %v", name, err)
			}
			if !strings.Contains(string(page), "(growth/"+name+")") {
				t.Errorf("the page does not show %s", name)
			}
		}
	}
}

func checkCurve(t *testing.T, family string, c *curve.Curve) {
	t.Helper()
	// Memory is measured of many subscribers alone.
	if len(c.Points) < 2 && c.Unit != eachHeap {
		t.Errorf("%s of %s has %d sizes", c.Name, family, len(c.Points))
	}
	for _, p := range c.Points {
		if !(p.Value > 0 && p.Low > 0 && p.Low <= p.Value && p.Value <= p.High) {
			t.Errorf("%s of %s: got %+v", c.Name, family, p)
		}
	}
	if len(c.Points) > 1 && math.IsNaN(c.Slope()) {
		t.Errorf("%s of %s has no slope", c.Name, family)
	}
}

func TestChoose(t *testing.T) {
	o, err := parse([]string{"-only=journal,rows", "-top=1e6,journal=1e4"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.families) != 2 || o.families[0].name != "journal" || o.families[0].top != 10_000 || o.families[1].top != 1_000_000 {
		t.Errorf("got %+v", o.families)
	}
	for want, arguments := range map[string][]string{
		`there are no curves "users"`: {"-only=rows,users"},
		`there are no curves "x"`:     {"-top=x=3"},
		"want a size such as":         {"-top=many"},
		"at least one round":          {"-rounds=0"},
		`unexpected argument "now"`:   {"now"},
	} {
		var progress strings.Builder
		if _, err := parse(arguments, &progress); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q, got %v", arguments, want, err)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, test := range []struct {
		from, to int
		want     []int
	}{
		{1000, 10_000, []int{1000, 3000, 10_000}},
		{1, 200, []int{1, 3, 10, 30, 100, 200}},
		{10, 300, []int{10, 30, 100, 300}},
		{10, 4, []int{4}},
	} {
		if got := sizes(test.from, test.to); !slices.Equal(got, test.want) {
			t.Errorf("from %d to %d: got %v", test.from, test.to, got)
		}
	}
}

func TestReplace(t *testing.T) {
	const page = "a\n<!-- rows: make bench-growth writes this -->\nold\n<!-- end of rows -->\nb\n"
	got, err := replace(page, "rows", "new\n")
	if want := "a\n<!-- rows: make bench-growth writes this -->\n\nnew\n\n<!-- end of rows -->\nb\n"; err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	if again, err := replace(got, "rows", "new\n"); err != nil || again != got {
		t.Errorf("the second time: got %q, %v", again, err)
	}
	for _, broken := range []string{"", "<!-- rows: make bench-growth writes this -->\n"} {
		if _, err := replace(broken, "rows", "new"); err == nil {
			t.Errorf("%q: want an error", broken)
		}
	}
}
