package windows

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"

	"streamcanary/schemas"
)

// TestShowcase: whatever the order of a window's predictions, and however often an id comes, it names the first of them, each id once and by what is named first
// of its attempts; and so do two showcases that are added up, wherever the predictions are cut in two.
func TestShowcase(t *testing.T) {
	eachSeed(t, func(t *testing.T, r *rand.Rand) {
		all := make([]Exemplar, 1+r.IntN(60))
		for i := range all {
			all[i] = Exemplar{ID: fmt.Sprint(r.IntN(20)), Code: []string{"", "a", "ab"}[r.IntN(3)], Segment: []string{"", "b", "c"}[r.IntN(3)], Rank: float64(r.IntN(3))}
		}
		want := firstOf(all)
		for range 5 {
			r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
			cut := r.IntN(len(all) + 1)
			if got := showcased(all); !slices.Equal(got, want) {
				t.Fatalf("of %v\n got %v\nwant %v", all, got, want)
			}
			var p Part
			p.addExemplars([][]Exemplar{showcased(all[:cut])}, MaxExemplars)
			p.addExemplars([][]Exemplar{showcased(all[cut:])}, MaxExemplars)
			if !slices.Equal(p.Exemplars[0], want) {
				t.Fatalf("cut at %d of %v\n got %v\nwant %v", cut, all, p.Exemplars[0], want)
			}
		}
	})
}

// firstOf is what of them is to be named.
func firstOf(all []Exemplar) []Exemplar {
	sorted := slices.SortedFunc(slices.Values(all), compareExemplars)
	var first []Exemplar
	for _, x := range sorted {
		if len(first) < MaxExemplars && !namedBefore(first, x.ID) {
			first = append(first, x)
		}
	}
	return first
}

// showcased is what a showcase names that is offered all of them in turn.
func showcased(all []Exemplar) []Exemplar {
	var c showcase
	for _, x := range all {
		e := &schemas.Event{ID: []byte(x.ID), Code: []byte(x.Code), Segment: []byte(x.Segment)}
		c.offer(placed{Event: e, id: xxhash.Sum64(e.ID)}, x.Rank)
	}
	return c.drain(nil, &interner{})
}
