package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// sessions is a world of one rate whose events come by users that stay: bad users arrive at random in each part of the baseline and on
// the canary, each stays for a while, and makes events as long as it does. In one window the variance is 1 + burst times that of
// independent events, over many 1 + burst (2 stay - 1) times.
type sessions struct {
	random   *rand.Rand
	requests float64             // in a window
	share    func(t int) float64 // the canary's
	rate     float64             // events per request
	stay     float64             // windows that a bad user stays, on average; the time is geometric
	burst    float64             // events that it makes in each
	more     float64             // of the canary: factor of the rate
	users    [windows.Slices + 1]int64
	world    world
}

// step is the events of place i (a slice, or the canary) among n requests.
func (s *sessions) step(i int, n, rate float64) int64 {
	arrive := n * rate / s.burst / s.stay
	s.users[i] += s.poisson(arrive)
	k := s.poisson(float64(s.users[i]) * s.burst)
	s.users[i] -= s.world.binomial(s.users[i], 1/s.stay)
	return min(k, int64(n))
}

// part makes window t.
func (s *sessions) part(t int, startMs int64) *windows.Part {
	s.world.random = s.random
	p := &windows.Part{Stream: windows.Stream{Kind: windows.Serving}, StartMs: startMs}
	canary := math.Round(s.requests * s.share(t))
	if t == 0 { // as many as there are in the long run
		for i := range s.users {
			s.users[i] = s.poisson(s.place(i, canary) * s.rate / s.burst)
		}
	}
	var cells [windows.Arms]windows.Cell
	for i := range windows.Slices {
		n := s.place(i, canary)
		k := s.step(i, n, s.rate)
		cells[windows.Baseline].Slices[i] = windows.SliceCount{N: int64(n), K: k}
		cells[windows.Baseline].N += int64(n)
		cells[windows.Baseline].K += k
	}
	cells[windows.Canary] = windows.Cell{N: int64(canary), K: s.step(windows.Slices, canary, s.rate*s.more)}
	for arm := range windows.Arms {
		n := cells[arm].N
		p.Cells[arm] = []windows.Cell{cells[arm]}
		p.Traffic[arm] = windows.Traffic{Events: n, Served: n, SampledMin: 1, SampledMax: 1}
	}
	return p
}

// poisson is that of the world, which has no mean of zero.
func (s *sessions) poisson(mean float64) int64 {
	if mean <= 0 {
		return 0
	}
	return s.world.poisson(mean)
}

// place is how many requests a place has: the slices' shares of the baseline, or the canary.
func (s *sessions) place(i int, canary float64) float64 {
	if i == windows.Slices {
		return canary
	}
	return math.Round((s.requests - canary) / math.Exp2(float64(min(i+1, windows.Slices-1))))
}

// ended is how a run ended.
type ended struct {
	rolled, crossed bool // rolled back; the self-test crossed before that
	windows         float64
}

// endings judges runs of a world, each until it is rolled back or over.
func endings(r *schemas.Rollout, runs, total int, world func(random *rand.Rand, t int) *sessions) []ended {
	ends := make([]ended, runs)
	inParallel(runs, func(i int, random *rand.Rand) {
		j := NewJudge(r, Options{NoIntervals: true})
		w := world(random, 0)
		for t := 0; t < total && !ends[i].rolled; t++ {
			w.more = world(nil, t).more
			v := j.Step(w.part(t, startMs+int64(t)*1000))
			ends[i].windows = float64(t + 1)
			ends[i].rolled = v.Action == VerdictRollback
			ends[i].crossed = ends[i].crossed || j.guards[0].self.off
		}
	})
	return ends
}

// simSessions are worlds whose noise is not known beforehand, but for the first one by far more than what is assumed then.
var simSessions = []struct {
	name                               string
	requests, share, rate, stay, burst float64
}{
	{"independent", 1000, .1, .01, 1, .01},
	{"clumps of 3", 1000, .1, .01, 1, 3},
	{"clumps of 3, canary 1 %", 10000, .01, .01, 1, 3},
	{"clumps of 10", 1000, .1, .05, 1, 10},
	{"stays 5 windows", 1000, .1, .01, 5, 1},
	{"stays 5 windows, rare", 1000, .1, .002, 5, 1},
	{"stays 20 windows", 1000, .1, .01, 20, .5},
	{"stays 20 windows, canary half", 1000, .5, .01, 20, .5},
	{"stays 20 windows, 20,000 a window", 20000, .25, .01, 20, .5},
	{"stays 100 windows", 1000, .1, .01, 100, .3},
}

// TestSimCalibration counts rollbacks of harmless canaries, and self-tests that cross, from the first window on in worlds whose noise is not known
// beforehand.
func TestSimCalibration(t *testing.T) {
	runs, total := size(24, 400), size(300, 2000)
	for _, w := range simSessions {
		for _, alpha := range []float64{.05, .01} {
			if alpha == .05 && size(0, 1) == 0 {
				continue
			}
			r := rolloutOf(guardrail("errors: rate error increase any"))
			r.Risk.FalseRollback, r.Phi, r.Health.SelfTest, r.Health.Traffic = alpha, 1.5, schemas.OnWarn, schemas.OnWarn
			r.Stages[0].Bake = r.Stages[0].Max
			rolled, crossed := 0, 0
			for _, e := range endings(r, runs, total, func(random *rand.Rand, _ int) *sessions {
				return &sessions{random: random, requests: w.requests, share: constant(w.share), rate: w.rate, stay: w.stay, burst: w.burst, more: 1}
			}) {
				if e.rolled {
					rolled++
				}
				if e.crossed {
					crossed++
				}
			}
			limit, selfLimit := binomialLimit(runs, alpha), binomialLimit(runs, selfAlpha)
			t.Logf("%-34s phi %4.1f in a window, %5.1f in the long run: at %.2f %2d of %d rolled back, limit %d; %d self-tests crossed, limit %d",
				w.name, 1+w.burst, 1+w.burst*(2*w.stay-1), alpha, rolled, runs, limit, crossed, selfLimit)
			if rolled > limit {
				t.Errorf("%s: %d of %d rolled back at %v, the limit is %d", w.name, rolled, runs, alpha, limit)
			}
			if crossed > selfLimit && w.stay < 100 { // a self-test that finds stays as long as the largest batch is right: not all of their noise is measured
				t.Errorf("%s: %d of %d self-tests crossed, the limit is %d", w.name, crossed, runs, selfLimit)
			}
		}
	}
}

// TestSimCalibrationCosts prints how much later a harm is found because noise must be measured first, and fails where that is too much.
func TestSimCalibrationCosts(t *testing.T) {
	runs := size(12, 300)
	for _, w := range []struct {
		name              string
		share, rate, more float64
		healthy           int
		guard             string
		worst             float64 // median
	}{
		{"twice the errors, from the start", .1, .01, 2, 0, "any", 90},
		{"three times over a margin, from the start", .1, .01, 3, 0, "0.5pp", 60},
		{"a fifth of all, from the start", .01, .01, 20, 0, "0.5pp", 20},
		{"all, from the start", .01, .001, 1000, 0, "0.5pp", 5},
		{"twice the errors, after 600 windows", .1, .01, 2, 600, "any", 120},
	} {
		r := rolloutOf(guardrail("errors: rate error increase " + w.guard))
		r.Phi, r.Stages[0].Bake, r.Health.Traffic = 1.5, r.Stages[0].Max, schemas.OnWarn
		ends := endings(r, runs, 2000, func(random *rand.Rand, t int) *sessions {
			s := &sessions{random: random, requests: 1000, share: constant(w.share), rate: w.rate, stay: 1, burst: .01, more: 1}
			if t >= w.healthy {
				s.more = w.more
			}
			return s
		})
		delays := make([]float64, runs)
		for i, e := range ends {
			delays[i] = e.windows - float64(w.healthy)
		}
		slices.Sort(delays)
		t.Logf("%-44s median %3.0f windows of %d runs, 90 %% within %3.0f", w.name, delays[runs/2], runs, delays[runs*9/10])
		if delays[runs/2] > w.worst || delays[0] <= 0 {
			t.Errorf("%s: median %v, want at most %v; the first %v", w.name, delays[runs/2], w.worst, delays[0])
		}
	}
}
