package todo

import (
	"bytes"
	"math"
	"testing"

	"github.com/capebase/capebase/bench/internal/load"
	"github.com/capebase/capebase/bench/internal/users"
)

// TestMixedShares counts what is asked for, and wants the same again of the same seed.
func TestMixedShares(t *testing.T) {
	data := &Data{API: REST{}, Users: users.Make(2), IDs: [][][]byte{{[]byte("1")}, {[]byte("2")}}}
	first, again := newMixed(newBase(data, 0, 1, 7)), newMixed(newBase(data, 0, 1, 7))
	const n = 10_000
	counts := map[load.Work]int{}
	for range n {
		if a, b := first.Next(nil), again.Next(nil); !bytes.Equal(a, b) {
			t.Fatalf("got %s and %s", a, b)
		}
		counts[first.last]++
	}
	for work, want := range map[load.Work]float64{&first.readOne: 0.60, &first.list: 0.25, &first.create: 0.08, &first.update: 0.07} {
		if got := float64(counts[work]) / n; math.Abs(got-want) > 0.02 {
			t.Errorf("%T: want a share of %v, got %v", work, want, got)
		}
	}
}
