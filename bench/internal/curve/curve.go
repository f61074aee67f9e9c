// Package curve holds figures that were measured at growing sizes, fits how they grow, and prints them as tables.
package curve

import (
	"math"
	"slices"
)

// Family is what was measured as one thing grew.
type Family struct {
	Name   string   `json:"name"`
	Size   string   `json:"size"` // what grows: "rows"
	Notes  []string `json:"notes,omitempty"`
	Curves []Curve  `json:"curves"`
}

// Curve is one figure at growing sizes.
type Curve struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	Points []Point `json:"points"`
}

// Point is a figure at a size.
type Point struct {
	Size  int     `json:"size"`
	Value float64 `json:"value"` // the median of the rounds
	Low   float64 `json:"low"`   // their quartiles
	High  float64 `json:"high"`
}

// Add notes a figure of the curve with the name and the unit, which is made where there is none yet.
func (f *Family) Add(name, unit string, p Point) {
	i := slices.IndexFunc(f.Curves, func(c Curve) bool { return c.Name == name && c.Unit == unit })
	if i < 0 {
		i = len(f.Curves)
		f.Curves = append(f.Curves, Curve{Name: name, Unit: unit})
	}
	f.Curves[i].Points = append(f.Curves[i].Points, p)
}

// Units lists the curves' units, in their order.
func (f *Family) Units() []string {
	var units []string
	for _, c := range f.Curves {
		if !slices.Contains(units, c.Unit) {
			units = append(units, c.Unit)
		}
	}
	return units
}

// Of returns the curves with the unit.
func (f *Family) Of(unit string) []Curve {
	var found []Curve
	for _, c := range f.Curves {
		if c.Unit == unit {
			found = append(found, c)
		}
	}
	return found
}

// Sizes lists all sizes at which one of the curves has a figure.
func (f *Family) Sizes() []int {
	var sizes []int
	for _, c := range f.Curves {
		for _, p := range c.Points {
			sizes = append(sizes, p.Size)
		}
	}
	slices.Sort(sizes)
	return slices.Compact(sizes)
}

// Slope fits a line to the logarithms of sizes and figures: 0 is a figure that does not depend on the size, 1 one that is
// proportional to it. It is NaN of fewer than two sizes.
func (c *Curve) Slope() float64 { return slope(c.Points) }

// UpperSlope is the slope over the larger half of the sizes, in which a constant cost hides growth less. With an odd
// number of sizes that half has the one in the middle.
func (c *Curve) UpperSlope() float64 { return slope(c.Points[len(c.Points)/2:]) }

func slope(points []Point) float64 {
	n := float64(len(points))
	var meanX, meanY float64
	for _, p := range points {
		meanX += math.Log10(float64(p.Size)) / n
		meanY += math.Log10(p.Value) / n
	}
	var products, squares float64
	for _, p := range points {
		x := math.Log10(float64(p.Size)) - meanX
		products += x * (math.Log10(p.Value) - meanY)
		squares += x * x
	}
	if squares == 0 {
		return math.NaN()
	}
	return products / squares
}
