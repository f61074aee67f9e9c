package chart

import (
	"fmt"
	"math"
	"strings"
)

// axis places logarithms of values between two pixels.
type axis struct {
	low, high float64 // pixels
	min, max  float64 // values; of none, both are 0
}

func (a *axis) take(value float64) {
	if a.min == 0 || value < a.min {
		a.min = value
	}
	a.max = max(a.max, value)
}

// round widens the axis to whole steps, and to two decades at least: a flat line should look flat.
func (a *axis) round() {
	const decades = 2
	a.min, a.max = a.step(a.min, math.Floor), a.step(a.max, math.Ceil)
	for a.max/a.min < math.Pow(10, decades)*(1-1e-9) {
		a.max = a.step(a.max*1.5, math.Ceil)
		if a.max/a.min < math.Pow(10, decades)*(1-1e-9) {
			a.min = a.step(a.min/1.5, math.Floor)
		}
	}
}

// step returns the nearest of 1, 2 and 5 times a power of ten in a direction.
func (a *axis) step(value float64, round func(float64) float64) float64 {
	up := round(0.5) > 0
	power := math.Pow(10, math.Floor(math.Log10(value)+1e-9))
	best := power
	for _, factor := range []float64{1, 2, 5, 10} {
		const tolerance = 1e-9
		switch {
		case up && factor*power >= value*(1-tolerance):
			return factor * power
		case !up && factor*power <= value*(1+tolerance):
			best = factor * power
		}
	}
	return best
}

func (a *axis) place(value float64) float64 {
	share := (math.Log10(value) - math.Log10(a.min)) / (math.Log10(a.max) - math.Log10(a.min))
	return a.low + share*(a.high-a.low)
}

// ticks are the decades; 2 and 5 times them, too, where there are few.
func (a *axis) ticks() []float64 {
	const few = 3.2
	factors := []float64{1}
	if math.Log10(a.max/a.min) < few {
		factors = []float64{1, 2, 5}
	}
	var ticks []float64
	for power := math.Pow(10, math.Floor(math.Log10(a.min)+1e-9)); power <= a.max*(1+1e-9); power *= 10 {
		for _, factor := range factors {
			if tick := factor * power; tick >= a.min*(1-1e-9) && tick <= a.max*(1+1e-9) {
				ticks = append(ticks, tick)
			}
		}
	}
	return ticks
}

// number prints a tick: 1,000 with its comma, and from 10,000 on short.
func number(tick float64) string {
	switch {
	case tick >= 1e6:
		return fmt.Sprintf("%.4g M", tick/1e6)
	case tick >= 1e4:
		return fmt.Sprintf("%.4g k", tick/1e3)
	case tick >= 1e3:
		return strings.Replace(fmt.Sprintf("%.0f", tick), "000", ",000", 1)
	}
	return fmt.Sprintf("%.4g", tick)
}
