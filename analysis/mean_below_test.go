package analysis

import (
	"math"
	"math/rand/v2"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// meanKinds are the events whose values have a mean, each tested in its own way.
var meanKinds = []struct {
	from   string
	stream windows.Stream
}{{"prediction", serving}, {"sample", windows.Stream{Kind: windows.Resources}}}

// playMeans gives a judge windows of 40 values of the canary and 60 of the baseline, of deviation 1, with the means that at tells of each window.
func playMeans(t *testing.T, spec string, stream windows.Stream, random *rand.Rand, times int, at func(window int) [windows.Arms]float64) *guard {
	t.Helper()
	r := rolloutOf(guardrail("g: mean x " + spec))
	r.Phi = 1.5
	w := newRowWorld(t, r, random)
	var hosts []uint8 // of the baseline's samples: a host keeps its slice
	for range 60 {
		if stream.Kind == windows.Resources {
			hosts = append(hosts, w.slice())
		}
	}
	for i := range times {
		means, next := at(i), 0
		w.step(stream, [windows.Arms]int64{windows.Baseline: 60, windows.Canary: 40}, func(arm windows.Arm) row {
			x := means[arm] + w.random.NormFloat64()
			if arm == windows.Baseline && hosts != nil {
				next++
				return row{x, hosts[next-1]}
			}
			return row{x, w.slice()}
		})
	}
	return w.script.guard("g")
}

// TestMeanBelowZero: a margin in percent is of the size of the baseline's mean, on whatever side of zero that is.
func TestMeanBelowZero(t *testing.T) {
	for _, tt := range []struct {
		spec             string
		baseline, canary float64
		want             schemas.State
		beyond           bool
	}{
		{"increase 20%", -6, -5.8, schemas.StatePassed, false}, {"decrease 20%", -6, -6.2, schemas.StatePassed, false},
		{"increase 20%", -6, -9, schemas.StatePassed, false}, {"decrease 20%", -6, -3, schemas.StatePassed, false},
		{"increase 20%", -6, -3, schemas.StateFailed, true}, {"decrease 20%", -6, -9, schemas.StateFailed, true},
		{"increase 150%", -2, 0.3, schemas.StatePassed, false}, {"increase 100%", -2, 2, schemas.StateFailed, true}, {"increase 150%", -2, 4, schemas.StateFailed, true},
		{"increase 20%", 6, 6.2, schemas.StatePassed, false}, {"increase 20%", 6, 9, schemas.StateFailed, true}, {"decrease 20%", 6, 3, schemas.StateFailed, true},
		{"increase 1", -6, -5.8, schemas.StatePassed, false}, {"increase 1", -6, -4, schemas.StateFailed, true},
	} {
		for _, kind := range meanKinds {
			g := playMeans(t, tt.spec+" cap=10 from="+kind.from, kind.stream, rand.New(rand.NewPCG(16, 1)), 100, func(int) [windows.Arms]float64 {
				return [windows.Arms]float64{windows.Baseline: tt.baseline, windows.Canary: tt.canary}
			})
			if g.state != tt.want || beyondMargin(g.spec, g.estimate(0)) != tt.beyond {
				t.Errorf("%s of a %s, %g against %g: %s, beyond its margin %v; want %s", tt.spec, kind.from, tt.canary, tt.baseline, g.state, beyondMargin(g.spec, g.estimate(0)), tt.want)
			}
		}
	}
}

// ways are how a mean may lie around zero.
var ways = []struct {
	name string
	at   func(window int) float64
}{
	{"falls below it", func(i int) float64 { return 2 - float64(i)/100 }},
	{"rises above it", func(i int) float64 { return float64(i)/100 - 2 }},
	{"goes round it", func(i int) float64 { return 1.5 * math.Sin(float64(i)/30) }},
	{"jumps below it", func(i int) float64 { return []float64{3, -3}[i/200] }},
	{"jumps above it", func(i int) float64 { return []float64{-3, 3}[i/200] }},
	{"stays at it", func(int) float64 { return 0 }},
}

// TestMeanCrossesZero: a canary exactly on its margin in percent neither fails nor passes more often than is promised while the baseline's mean goes from one side of zero to the other, or
// stays around it: on hundreds of windows the edge of the other sign would be far on the wrong side.
func TestMeanCrossesZero(t *testing.T) {
	runs := size(4, 400)
	for _, way := range ways {
		for _, spec := range []string{"increase 20%", "decrease 20%", "increase 120%"} {
			for _, kind := range meanKinds {
				ends := make([]schemas.State, runs)
				inParallel(runs, func(i int, random *rand.Rand) {
					ends[i] = playMeans(t, spec+" cap=10 from="+kind.from, kind.stream, random, 400, onMargin(spec, way.at)).state
				})
				failures, passes := countOf(ends, schemas.StateFailed), countOf(ends, schemas.StatePassed)
				t.Logf("a mean that %s, %s of a %s: %d failed and %d passed of %d", way.name, spec, kind.from, failures, passes, runs)
				if limit := binomialLimit(runs, .05); failures > limit || passes > limit {
					t.Errorf("a mean that %s, %s of a %s: %d failed and %d passed of %d, the limit is %d", way.name, spec, kind.from, failures, passes, runs, limit)
				}
			}
		}
	}
}

// onMargin are means of which the canary's is as far from the baseline's as a margin in percent allows.
func onMargin(spec string, baseline func(window int) float64) func(window int) [windows.Arms]float64 {
	g := guardrail("g: mean x " + spec + " cap=10 from=sample")
	off := g.Margin.Value
	if g.Direction == schemas.Decrease {
		off = -off
	}
	return func(i int) [windows.Arms]float64 {
		b := baseline(i)
		return [windows.Arms]float64{windows.Baseline: b, windows.Canary: b + off*math.Abs(b)}
	}
}

func countOf(ends []schemas.State, state schemas.State) (n int) {
	for _, end := range ends {
		if end == state {
			n++
		}
	}
	return n
}
