package journal

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func drawIDs(t *rapid.T, name string) []int64 {
	ids := rapid.SliceOfDistinct(rapid.Int64Range(1, 60), func(id int64) int64 { return id }).Draw(t, name)
	slices.Sort(ids)
	return ids
}

func TestIDSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := drawIDs(t, "ids")
		s, err := parseIDs(setOf(ids).String())
		if err != nil || s.count() != int64(len(ids)) {
			t.Fatalf("%v became %v, error %v", ids, s, err)
		}
		for id := int64(0); id <= 61; id++ {
			if s.has(id) != slices.Contains(ids, id) {
				t.Errorf("%v: has(%d) is wrong", s, id)
			}
		}
		skip, most := rapid.IntRange(0, len(ids)).Draw(t, "skip"), rapid.IntRange(1, 10).Draw(t, "most")
		var got []int64
		s.each(int64(skip), func(id int64) bool {
			got = append(got, id)
			return len(got) < most
		})
		if want := ids[skip:min(len(ids), skip+most)]; !slices.Equal(got, want) {
			t.Errorf("%v from %d on: %v, want %v", s, skip, got, want)
		}
	})
}

func TestHoles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const low, seen = 10, 7
		first := slices.DeleteFunc(drawIDs(t, "first"), func(id int64) bool { return id <= low })
		holes, err := parseHoles(formatHoles(between(low, first, seen)))
		if err != nil {
			t.Fatal(err)
		}
		late := slices.DeleteFunc(drawIDs(t, "late"), func(id int64) bool { return !rangesOf(holes).has(id) })
		rest := without(holes, late)
		for id := int64(1); id <= 61; id++ {
			want := len(first) > 0 && id > low && id < first[len(first)-1] && !slices.Contains(first, id)
			if got := rangesOf(holes).has(id); got != want {
				t.Errorf("after %v: %d is in a hole: %v", first, id, got)
			}
			if got := rangesOf(rest).has(id); got != (want && !slices.Contains(late, id)) {
				t.Errorf("after %v, without %v: %d is in a hole: %v", first, late, id, got)
			}
		}
		for _, h := range rest {
			if h.seen != seen {
				t.Errorf("%v was seen at %d", h.idRange, h.seen)
			}
		}
	})
}

func TestSetsThatAreNone(t *testing.T) {
	for _, text := range []string{",", "x", "1,", "3-2", "1-", "-", "1-2-3"} {
		if s, err := parseIDs(text); err == nil {
			t.Errorf("%q became %v", text, s)
		}
		if holes, err := parseHoles(text + "@1"); err == nil {
			t.Errorf("%q became %v", text, holes)
		}
	}
	for _, text := range []string{"1", "1@", "@1", "1@x"} {
		if holes, err := parseHoles(text); err == nil {
			t.Errorf("%q became %v", text, holes)
		}
	}
}
