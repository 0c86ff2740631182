package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestHighRateChoice holds what the choice of a rate's test stands on: the baseline before the canary's first window, and nothing else.
func TestHighRateChoice(t *testing.T) {
	tests := []struct {
		name  string
		guard string
		play  func(s *script)
		high  bool
	}{
		{"above 10 % before", "errors: rate error increase 5pp", func(s *script) { s.play(10, side{n: 100, errors: 20}, side{}) }, true},
		{"below 10 % before", "errors: rate error increase 5pp", func(s *script) { s.play(10, side{n: 100, errors: 9}, side{}) }, false},
		{"nothing before", "errors: rate error increase 5pp", func(*script) {}, false},
		{"hardly anything before", "errors: rate error increase 5pp", func(s *script) { s.play(1, side{n: 99, errors: 20}, side{}) }, false},
		{"a canary without a baseline before", "errors: rate error increase 5pp", func(s *script) { s.play(10, side{}, side{n: 100, errors: 20}) }, false},
		{"a limit has no baseline", "errors: rate error above 50%", func(s *script) { s.play(10, side{n: 100, errors: 20}, side{}) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t, rolloutOf(guardrail(tt.guard)), Options{Phi: 1})
			tt.play(s)
			s.play(5, side{n: 900, errors: 450}, side{n: 100, errors: 50}) // of the epoch: says nothing to the choice
			if _, high := s.guard("errors").canary.kernel.(*highRateContrast); high != tt.high {
				t.Errorf("tested as a high rate: %v, want %v", high, tt.high)
			}
		})
	}
}

// highRateWorld plays a baseline of the given rate, and a canary that has plus more, until the guardrail fails; -1: it doesn't.
func highRateWorld(t *testing.T, random *rand.Rand, spec string, rate, plus, phi float64, before int, clump int64) int {
	r := rolloutOf(guardrail(spec))
	r.Risk.FalseRollback = .1 // half of it is the missing canary's
	s := newScript(t, r, Options{Phi: phi, NoIntervals: true})
	w := world{random: random}
	draw := func(n int64, p float64) side { return side{n: n, errors: clump * w.binomial(n/clump, p)} }
	for range before {
		s.play(1, draw(900, rate), side{})
	}
	for i := range 600 {
		drift := 1 + .2*math.Sin(float64(i)/50)
		s.play(1, draw(900, rate*drift), draw(100, rate*drift+plus))
		if s.guard("errors").state == failed {
			return i
		}
	}
	return -1
}

// TestHighRateSim holds level at the margin, under drift and with clumps, and that knowing the variance pays.
func TestHighRateSim(t *testing.T) {
	runs := size(10, 400)
	limit := binomialLimit(runs, .05)
	for _, w := range []struct {
		name, spec      string
		rate, plus, phi float64
		clump           int64
		least, most     int // failures
	}{
		{"at a margin of 5 pp", "errors: rate error increase 5pp", .3, .05, 1, 1, 0, limit},
		{"no harm, any", "errors: rate error increase any", .5, 0, 1, 1, 0, limit},
		{"no harm, any, clumps of 4", "errors: rate error increase any", .5, 0, 4, 4, 0, limit},
		{"a decrease to the margin", "errors: rate error decrease 5pp", .4, -.05, 1, 1, 0, limit},
		{"twice the margin", "errors: rate error increase 5pp", .3, .1, 1, 1, runs, runs},
		{"a decrease of twice the margin", "errors: rate error decrease 5pp", .4, -.1, 1, 1, runs, runs},
		{"at a margin that is a small part of the rate", "errors: rate error increase 1pp", .3, .01, 1, 1, 0, limit},
		{"twice a margin that is a small part of the rate", "errors: rate error increase 1pp", .3, .02, 1, 1, runs * 95 / 100, runs},
		{"a decrease to the margin, of most", "errors: rate error decrease 1pp", .8, -.01, 1, 1, 0, limit},
		{"a decrease of twice the margin, of most", "errors: rate error decrease 1pp", .8, -.02, 1, 1, runs * 95 / 100, runs},
	} {
		ends := make([]int, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			ends[i] = highRateWorld(t, random, w.spec, w.rate, w.plus, w.phi, 30, w.clump)
		})
		n := 0
		for _, e := range ends {
			if e >= 0 {
				n++
			}
		}
		t.Logf("%s: %d of %d failed", w.name, n, runs)
		if n < w.least || n > w.most {
			t.Errorf("%s: %d of %d failed, want %d to %d", w.name, n, runs, w.least, w.most)
		}
	}
	delays := func(before int) float64 {
		ends := make([]int, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			ends[i] = highRateWorld(t, random, "errors: rate error increase any", .5, .03, 1, before, 1)
		})
		slices.Sort(ends)
		return float64(ends[runs/2])
	}
	linear, high := delays(0), delays(30)
	t.Logf("3 pp more than 50 %%: found after a median of %.0f windows, %.0f without knowing the rate", high, linear)
	if high < 0 || high > .8*linear {
		t.Errorf("median of %.0f windows with the rate's variance, %.0f without", high, linear)
	}
}

// TestHighRateInterval: of a rate above one half, that is known beforehand, the interval of the difference is that of what did not happen, to the other side; of any rate it is the same in width.
func TestHighRateInterval(t *testing.T) {
	play := func(spec string, rate, canary int64) (interval, interval) {
		s := newScript(t, rolloutOf(guardrail(spec)), Options{Phi: 1})
		s.play(10, side{n: 1000, errors: rate}, side{})
		s.play(60, side{n: 9000, errors: 9 * rate}, side{n: 1000, errors: canary})
		return s.guard("errors").canary.account.intervals(.05)
	}
	most, ratio := play("errors: rate error decrease 1pp", 970, 960)
	few, _ := play("errors: rate error increase 1pp", 30, 40)
	if math.Abs(most.lower+few.upper) > 1e-9 || math.Abs(most.upper+few.lower) > 1e-9 || !(most.lower < -.01 && most.upper > -.01 && most.upper-most.lower < .006) {
		t.Errorf("of 97 %% %v, of what is left %v", most, few)
	}
	if !(ratio.lower < .96/.97 && ratio.upper > .96/.97) {
		t.Errorf("the ratio %v leaves out what was played", ratio)
	}
}
