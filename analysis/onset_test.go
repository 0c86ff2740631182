package analysis

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"streamcanary/analysis/stats"
)

// sumTally is a tally of one number.
type sumTally struct{ sum int }

func (s *sumTally) add(o sumTally) { s.sum += o.sum }

func TestOnset(t *testing.T) {
	type step struct {
		inc  []float64
		from int64
	}
	tests := []struct {
		name  string
		steps []step
		want  int64
		ok    bool
	}{
		{"nothing has grown", []step{{[]float64{-1, -2}, 10}, {[]float64{-1, 0}, 20}}, 20, false},
		{"from the start", []step{{[]float64{1, 1}, 10}, {[]float64{-.5, 1}, 20}, {[]float64{1, 1}, 30}}, 10, true},
		{"after a quiet stretch", []step{{[]float64{-1, -1}, 10}, {[]float64{-1, -1}, 20}, {[]float64{3, 1}, 30}, {[]float64{3, 1}, 40}}, 30, true},
		{"the component that has most says when", []step{{[]float64{1, -1}, 10}, {[]float64{1, 9}, 20}}, 20, true},
		{"a fall to zero starts anew", []step{{[]float64{5}, 10}, {[]float64{-6}, 20}, {[]float64{1}, 30}}, 30, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOnset(len(tt.steps[0].inc))
			for _, s := range tt.steps {
				o.step(s.inc, s.from)
			}
			if got, ok := o.began(); ok != tt.ok || ok && got != tt.want {
				t.Errorf("began %d %v, want %d %v", got, ok, tt.want, tt.ok)
			}
		})
	}
}

// TestOnsetOfARate dates a tenfold rate by what its test's increments say of noisy counts.
func TestOnsetOfARate(t *testing.T) {
	w := world{random: rand.New(rand.NewPCG(5, 6))}
	test := stats.Linear{Rho0: 1, Side: 1, Grid: stats.IncidentGrid}
	o, inc := newOnset(len(test.Grid)), make([]float64, len(test.Grid))
	const onset = 400
	for at := range int64(440) {
		rate := .002
		if at >= onset {
			rate = .02
		}
		c := stats.Counts{Nc: 500, Kc: float64(w.binomial(500, rate)), Nb: 4500, Kb: float64(w.binomial(4500, .002))}
		test.Increments(inc, c, 1, 1)
		o.step(inc, at)
	}
	if began, ok := o.began(); !ok || began < onset-5 || began > onset+5 {
		t.Errorf("began %d %v, the harm began at %d", began, ok, onset)
	}
}

// TestOnsetOfASplit dates a change of an unplanned share, once it is proven.
func TestOnsetOfASplit(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, after float64 // the canary's share
		onset         int64
	}{
		{"a share that falls by a fifth, early", .1, .0816, 50},
		{"a share that falls by a fifth, late", .1, .0816, 1000},
		{"a hundredth that halves", .01, .00503, 1000},
		{"a half that grows by a tenth", .5, .5238, 300},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := world{random: rand.New(rand.NewPCG(33, 1))}
			s, o := stats.NewSplitChange(), newOnset(stats.SplitTilts)
			for at := int64(0); at < tt.onset || s.LogE() < splitThreshold; at++ {
				share := tt.before
				if at >= tt.onset {
					share = tt.after
				}
				s.Add(1000, float64(w.binomial(1000, share)), stats.StartWeight(at, 2000))
				if inc := s.Increments(); inc != nil {
					o.step(inc, at)
				}
				if at > tt.onset+1000 {
					t.Fatalf("log e is %v, 1,000 blocks after the change", s.LogE())
				}
			}
			if began, ok := o.began(); !ok || began < tt.onset-80 || began > tt.onset+80 {
				t.Errorf("began %d %v, the share changed at %d", began, ok, tt.onset)
			}
		})
	}
}

// TestHistory compares the tally since each possible onset with a plain sum over all blocks, and holds the bound on stretches.
func TestHistory(t *testing.T) {
	const components = 3
	o, h := newOnset(components), history[sumTally, *sumTally]{}
	var values []int
	seed := uint64(7)
	random := func() float64 { // xorshift: small, and the same everywhere
		seed ^= seed << 13
		seed ^= seed >> 7
		seed ^= seed << 17
		return float64(seed%2001)/1000 - 1
	}
	for i := range 2000 {
		o.step([]float64{random(), random() - .2, random() + .1}, int64(i))
		values = append(values, i%17)
		h.add(sumTally{i % 17}, int64(i), &o)
		if len(h.stretches) > components+1 {
			t.Fatalf("block %d: %d stretches of %d components", i, len(h.stretches), components)
		}
		for _, from := range append([]int64{0}, o.from...) {
			want := 0
			for _, v := range values[from:] {
				want += v
			}
			if got := h.since(from); !reflect.DeepEqual(got, sumTally{want}) {
				t.Fatalf("block %d: since %d is %v, want %d", i, from, got, want)
			}
		}
	}
}
