package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// arrivals is a world whose predictions come by users that stay and make several in a window: their counts are over-dispersed, and a small
// canary is silent at times without being ill.
type arrivals struct {
	requests, share, stay, burst float64
	users                        [windows.Slices + 1]int64
}

// part makes window t; the canary is silent from `silent` on.
func (a *arrivals) part(w *world, t, silent int) *windows.Part {
	p := &windows.Part{Stream: servingStream, StartMs: startMs + int64(t)*1000}
	for i := range a.users {
		n, arm := a.requests*(1-a.share)/math.Exp2(float64(min(i+1, windows.Slices-1))), windows.Baseline
		if i == windows.Slices {
			n, arm = a.requests*a.share, windows.Canary
		}
		if t == 0 {
			a.users[i] = w.poisson0(n / a.burst)
		}
		a.users[i] += w.poisson0(n / a.burst / a.stay)
		k := w.poisson0(float64(a.users[i]) * a.burst)
		a.users[i] -= w.binomial(a.users[i], 1/a.stay)
		if arm == windows.Canary && t >= silent {
			k = 0
		}
		tr := &p.Traffic[arm]
		tr.Events, tr.Served = tr.Events+k, tr.Served+k
		if arm == windows.Baseline {
			tr.Slices[i] = k
		}
	}
	for arm := range windows.Arms {
		p.Cells[arm] = []windows.Cell{{N: p.Traffic[arm].Events}}
		if p.Traffic[arm].Events > 0 {
			p.Traffic[arm].SampledMin, p.Traffic[arm].SampledMax = 1, 1
		}
	}
	return p
}

// TestSimMissing counts canaries that are taken for missing because few users make their traffic, from the first window on, and how soon
// one that is missing is found.
func TestSimMissing(t *testing.T) {
	runs, healthy := size(20, 400), size(300, 2000)
	for _, w := range []struct {
		name    string
		of      arrivals
		planned int
		worst   float64 // mean windows of silence
	}{
		{"single requests", arrivals{requests: 1000, share: .01, stay: 1, burst: .01}, 100, 6},
		{"single requests, no plan", arrivals{requests: 1000, share: .01, stay: 1, burst: .01}, 0, 6},
		{"ten at once", arrivals{requests: 1000, share: .01, stay: 1, burst: 10}, 100, 30},
		{"ten at once, little traffic", arrivals{requests: 100, share: .05, stay: 1, burst: 10}, 500, 60},
		{"users stay 10 windows", arrivals{requests: 300, share: .02, stay: 10, burst: 1}, 200, 70},
		{"users stay 10 windows, a tenth", arrivals{requests: 100, share: .1, stay: 10, burst: 1}, 1000, 50},
	} {
		r := rolloutOf(guardrail("errors: rate error increase any"))
		r.Phi, r.Health.Traffic, r.Stages[0].WeightBP, r.Stages[0].Bake = 1.5, schemas.OnWarn, w.planned, r.Stages[0].Max
		ends, offs := make([]int, runs), make([]bool, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			j, of := NewJudge(r, Options{NoIntervals: true}), w.of
			made := &world{random: random}
			for at := 0; ends[i] == 0 && at < healthy+200; at++ {
				v := j.Step(of.part(made, at, healthy))
				if v.Action == VerdictRollback {
					ends[i] = at + 1
				}
				offs[i] = offs[i] || at < healthy && j.split.off
			}
		})
		mistaken, found, sum := 0, 0, 0.
		for _, end := range ends {
			switch {
			case end > healthy:
				found, sum = found+1, sum+float64(end-healthy)
			case end > 0:
				mistaken++
			}
		}
		off := 0
		for _, o := range offs {
			if o {
				off++
			}
		}
		limit := binomialLimit(runs, r.Risk.FalseRollback)
		t.Logf("%-32s %d of %d taken for missing, limit %d, %d for split otherwise; silence found in %d after %.1f windows on average", w.name, mistaken, runs, limit, off, found, sum/float64(found))
		if most := binomialLimit(runs, splitAlpha); off > most {
			t.Errorf("%s: %d of %d taken for split otherwise, the limit is %d", w.name, off, runs, most)
		}
		if mistaken > limit || found < runs*8/10 || sum > w.worst*float64(found) {
			t.Errorf("%s: %d taken for missing, %d found after %.1f windows, want at most %d, and %.0f windows", w.name, mistaken, found, sum/float64(found), limit, w.worst)
		}
	}
}

// TestShareOfUsersOfMany: where users send many requests at once the share of a window says little, and none counts as a change of the split, nor as off its plan, as long as nobody moves it.
// Once the split is another one that is seen, in however long a stretch it was as planned, and so is its way back.
func TestShareOfUsersOfMany(t *testing.T) {
	r := rolloutOf(guardrail("errors: rate error increase 1pp"), guardrail("ctr: rate click decrease 10%"))
	r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: time.Second}}
	r.Health.Traffic, r.Stages[0].WeightBP = schemas.OnWarn, 1000
	j, w := NewJudge(r, Options{NoIntervals: true}), &world{random: rand.New(rand.NewPCG(4, 7))}
	of := arrivals{requests: 1000, share: .1, stay: 1, burst: 20}
	clicks := windows.Stream{Kind: windows.Outcomes, Name: "click"}
	streams, at := []*stream{j.stream(servingStream), j.stream(clicks)}, 0
	for _, stretch := range []struct {
		share   float64
		windows int
		off     [2]int // of the last hundred windows, at least and at most, are off the plan
	}{{.1, 1500, [2]int{0, 5}}, {.05, 300, [2]int{100, 100}}, {.1, 400, [2]int{0, 5}}, {.3, 200, [2]int{100, 100}}, {.1, 400, [2]int{0, 5}}} {
		of.share = stretch.share
		off, before := [2]int{}, j.ShareChanges(0)
		for i := range stretch.windows {
			p := of.part(w, at, math.MaxInt)
			p.Traffic[windows.Baseline].Units = []windows.UnitSight{{Unit: uint64(at)}}
			j.Step(p)
			j.Step(&windows.Part{Stream: clicks, StartMs: p.StartMs, Cells: p.Cells})
			at++
			for k, of := range streams {
				if i >= stretch.windows-100 && j.stages.offPlan(of) {
					off[k]++
				}
			}
		}
		if changes := j.ShareChanges(0) - before; min(off[0], off[1]) < stretch.off[0] || max(off[0], off[1]) > stretch.off[1] || changes > 3 {
			t.Errorf("up to window %d, of the share %v: %d changes, and %d of the last 100 windows off the plan, of clicks and of predictions, want %v", at, stretch.share, changes, off, stretch.off)
		}
	}
}

// TestShareOfUsersBySegment: the same within a segment, that is watched, and whose contrast is made within it.
func TestShareOfUsersBySegment(t *testing.T) {
	r := rolloutOf(guardrail("errors: rate error increase 1pp"))
	r.Health.Traffic, r.Segments, r.Stratify = schemas.OnWarn, &schemas.Segments{List: []string{"de"}}, true
	j, w := NewJudge(r, Options{NoIntervals: true}), &world{random: rand.New(rand.NewPCG(4, 7))}
	of, strips := arrivals{requests: 1000, share: .1, stay: 1, burst: 20}, j.stream(servingStream).strips
	watched, compared := 0, 0
	for at := range 400 {
		p := of.part(w, at, math.MaxInt)
		p.Traffic[windows.Baseline].Units = []windows.UnitSight{{Unit: uint64(at)}}
		p.Segments = []windows.Segment{{Name: "de", Served: [windows.Arms]int64{p.Traffic[0].Served, p.Traffic[1].Served}, Cells: p.Cells}}
		clear(strips.cut)
		j.Step(p)
		if slices.Contains(strips.cut, true) {
			watched++
		}
		if slices.ContainsFunc(strips.strata.now, func(s placedSegment) bool { return s.changed }) {
			compared++
		}
	}
	if watched > 3 || compared > 3 {
		t.Errorf("a segment's share counts as changed in %d of 400 windows where it is watched, in %d where it is compared", watched, compared)
	}
}
