package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"

	"gonum.org/v1/gonum/stat/distuv"
)

// callersWorld is traffic without units: callers by the second, each of whom sends so many predictions within it, all to one arm.
type callersWorld struct {
	callers float64
	many    int
	share   float64
}

// missedIn is in how many healthy runs the canary was taken for missing, and in how many its split for another than planned.
func (c callersWorld) missedIn(t *testing.T, runs, times int, planned bool) (missing, split int) {
	ends := make([][2]bool, runs)
	inParallel(runs, func(i int, random *rand.Rand) {
		r := rolloutOf(guardrail("g: rate error increase any"))
		if planned {
			r.Stages = []schemas.Stage{{WeightBP: int(math.Round(1e4 * c.share)), Max: 24 * time.Hour}}
		}
		s := newScript(t, r, Options{NoIntervals: true})
		for range times {
			s.verdict = s.judge.Step(c.window(s, random))
			s.atMs += s.judge.clock.widthMs
			ends[i][0] = ends[i][0] || s.verdict.Code == codeCanaryMissing
			ends[i][1] = ends[i][1] || s.judge.split.off
		}
	})
	for _, e := range ends {
		if e[0] {
			missing++
		}
		if e[1] {
			split++
		}
	}
	return missing, split
}

// slices are those of the predictions' own ids.
func (c callersWorld) slices(n int64, random *rand.Rand) (slices [windows.Slices]int64) {
	for range n {
		slices[min(bitsOf(random.Uint64()), windows.Slices-1)]++
	}
	return slices
}

func (c callersWorld) window(s *script, random *rand.Rand) *windows.Part {
	var n [windows.Arms]int64
	for arm, share := range [windows.Arms]float64{windows.Baseline: 1 - c.share, windows.Canary: c.share} {
		n[arm] = int64(c.many) * int64(distuv.Poisson{Lambda: c.callers * share, Src: random}.Rand())
	}
	p := s.serving(side{n: n[windows.Baseline]}, side{n: n[windows.Canary]})
	p.Traffic[windows.Baseline].Slices = c.slices(n[windows.Baseline], random)
	return p
}

// TestCallersWithoutUnits: a canary to which callers without a name come several predictions at a time is not taken for missing because none comes for some seconds, nor its share for another one.
func TestCallersWithoutUnits(t *testing.T) {
	runs, times := size(6, 200), size(300, 1200)
	for _, c := range []callersWorld{
		{20, 5, .05}, {10, 10, .05}, {50, 10, .01}, {5, 20, .1}, {40, 3, .03}, {30, 3, .05}, {10, 3, .1}, {200, 5, .01}, {1000, 1, .01}, {100, 1, .1},
	} {
		for _, planned := range []bool{true, false} {
			missing, split := c.missedIn(t, runs, times, planned)
			t.Logf("%g callers a second of %d, %g to the canary, planned %v: %d missing, %d of another split, of %d", c.callers, c.many, c.share, planned, missing, split, runs)
			if limit := binomialLimit(runs, .025); missing > limit || split > limit {
				t.Errorf("%g callers a second of %d, %g to the canary, planned %v: %d missing, %d of another split, of %d; the limit is %d", c.callers, c.many, c.share, planned, missing, split, runs, limit)
			}
		}
	}
}

// TestSilenceWithoutUnits: how long a canary must be silent until it is missed.
func TestSilenceWithoutUnits(t *testing.T) {
	for _, after := range []int{12, 60, 600} {
		for _, c := range []callersWorld{{1000, 1, .01}, {100, 1, .1}, {100, 1, .01}, {20, 5, .05}, {10, 10, .05}, {50, 10, .01}} {
			delays := make([]int, 21)
			inParallel(len(delays), func(i int, random *rand.Rand) {
				r := rolloutOf(guardrail("g: rate error increase any"))
				r.Stages = []schemas.Stage{{WeightBP: int(math.Round(1e4 * c.share)), Max: 24 * time.Hour}}
				s := newScript(t, r, Options{NoIntervals: true})
				for k := 0; k < after+2000 && s.verdict.Action != VerdictRollback; k++ {
					p := c.window(s, random)
					if k >= after {
						p.Traffic[windows.Canary] = windows.Traffic{}
					}
					s.verdict = s.judge.Step(p)
					s.atMs += s.judge.clock.widthMs
					delays[i] = k - after + 1
				}
			})
			slices.Sort(delays)
			t.Logf("after %d windows, %g callers a second of %d, %g to the canary: %d windows", after, c.callers, c.many, c.share, delays[len(delays)/2])
		}
	}
}

// TestShareNoiseOfSteps: a share that is moved, by the stages or by others, is no noise: each step begins anew.
func TestShareNoiseOfSteps(t *testing.T) {
	for _, told := range []bool{true, false} {
		random := rand.New(rand.NewPCG(17, 2))
		var s shareNoise
		for step, share := range []float64{.01, .05, .2, .5} {
			for i := range 300 {
				p := &windows.Part{}
				for arm, share := range [windows.Arms]float64{windows.Baseline: 1 - share, windows.Canary: share} {
					p.Traffic[arm].Events = int64(distuv.Poisson{Lambda: 1000 * share, Src: random}.Rand())
				}
				s.take(p, told && step > 0 && i == 0)
			}
		}
		if phi := s.phi(1); phi > 2 {
			t.Errorf("after four shares of single predictions, told of them %v: phi %.2f", told, phi)
		}
	}
}
