package analysis

import (
	"slices"
	"testing"

	"streamcanary/windows"
)

// TestRounds: which windows are the last ones of rounds, by the slices that speak in each: of hosts that sample each ten seconds, and others.
func TestRounds(t *testing.T) {
	each := func(every int, slicesAt ...int) func(int) []int { // slicesAt[i] speaks in each window i of so many
		return func(window int) []int {
			if at := window % every; at < len(slicesAt) {
				return slicesAt[at : at+1]
			}
			return nil
		}
	}
	for _, tt := range []struct {
		name    string
		widthMs int64
		leastMs int64
		speak   func(window int) []int
		ends    []int // of the first 150 windows, at most seven
		samples int64 // of the last of these
	}{
		{"one host a window, of four, two of which share a slice: from the fourth on each has spoken once", 1000, 0, each(10, 0, 1, 0, 2), []int{0, 2, 11, 21, 31, 41, 51}, 4},
		{"all together in one window", 1000, 0, func(w int) []int { return map[bool][]int{true: {0, 1, 3}}[w%10 == 4] }, []int{4, 14, 24, 34, 44, 54, 64}, 3},
		{"all in each window", 1000, 0, func(int) []int { return []int{0, 1, 2} }, []int{0, 1, 2, 3, 4, 5, 6}, 3},
		{"one that falls silent is waited for once", 1000, 0, func(w int) []int { return []int{0, 1, 2}[:3-min(1, w/3)] }, []int{0, 1, 2, 62, 63, 64, 65}, 2},
		{"of shares: half a minute at least", 1000, shareRoundMs, each(10, 0, 1, 0, 2), []int{29, 59, 89, 119, 149}, 12},
		{"of shares in wide windows: each", 60_000, shareRoundMs, func(int) []int { return []int{0, 1} }, []int{0, 1, 2, 3, 4, 5, 6}, 2},
		{"nobody", 1000, 0, func(int) []int { return nil }, nil, 0},
	} {
		var r round
		var ends []int
		samples := int64(0)
		for w := range 150 {
			var c windows.Cell
			for _, slice := range tt.speak(w) {
				c.N, c.K, c.Sum, c.Squares = c.N+1, c.K+1, c.Sum+5, c.Squares+25
				c.Slices[slice] = windows.SliceCount{N: c.Slices[slice].N + 1, K: c.Slices[slice].K + 1, Sum: c.Slices[slice].Sum + 5}
			}
			at := int64(w) * tt.widthMs
			if len(ends) == 7 || !r.add(&c, span{at, at + tt.widthMs}, tt.leastMs) {
				continue
			}
			ends, samples = append(ends, w), r.open.N
			sum := windows.SliceCount{}
			for _, s := range r.open.Slices {
				sum = windows.SliceCount{N: sum.N + s.N, K: sum.K + s.K, Sum: sum.Sum + s.Sum}
			}
			if o := &r.open; sum != (windows.SliceCount{N: o.N, K: o.K, Sum: o.Sum}) || o.K != o.N || o.Sum != 5*o.N || o.Squares != 25*o.N {
				t.Errorf("%s: window %d: slices %+v of %+v", tt.name, w, sum, *o)
			}
			r.begin()
		}
		if !slices.Equal(ends, tt.ends) || samples != tt.samples {
			t.Errorf("%s: rounds end with windows %v, the last of %d samples; want %v, of %d", tt.name, ends, samples, tt.ends, tt.samples)
		}
	}
}
