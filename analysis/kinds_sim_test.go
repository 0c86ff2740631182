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

// A rowWorld makes windows of rows, and lets the rollout's own metrics reduce them: for guardrails on values, gauges and outcomes.
type rowWorld struct {
	script *script
	random *rand.Rand
	tally  windows.Tally
	hosts  [windows.Arms][]float64 // a level for each, that drifts on its own
	rows   []row
	few    bool              // segments have a tenth of their predictions
	users  [windows.Arms]int // that come in the next window; none: no prediction names one
	named  uint64
}

type row struct {
	x     float64
	slice uint8
}

func newRowWorld(t *testing.T, r *schemas.Rollout, random *rand.Rand) *rowWorld {
	return &rowWorld{script: newScript(t, r, Options{NoIntervals: true}), random: random}
}

// slice is a calibration slice, as a hash of a unit falls.
func (w *rowWorld) slice() uint8 {
	return uint8(min(bitsOf(w.random.Uint64()), windows.Slices-1))
}

func bitsOf(x uint64) int {
	n := 0
	for ; x&1 == 0 && n < 64; x >>= 1 {
		n++
	}
	return n
}

// cells reduces rows by every metric of one stream.
func (w *rowWorld) cells(arm windows.Arm, kind windows.PartKind) []windows.Cell {
	rows := windows.Rows{Len: len(w.rows), Arm: arm, Tally: &w.tally, Flags: make([]uint8, len(w.rows))}
	for _, r := range w.rows {
		rows.Latency = append(rows.Latency, r.x)
		rows.Sample = append(rows.Sample, r.x)
		if arm == windows.Baseline {
			rows.Slice = append(rows.Slice, r.slice)
		}
	}
	rows.Values = [][]float64{rows.Latency}
	var cells []windows.Cell
	for _, m := range w.script.keys {
		if m.Stream().Kind == kind {
			var c windows.Cell
			m.Reduce(rows, &c)
			cells = append(cells, c)
		}
	}
	return cells
}

// step gives the judge a window of n rows per arm, each drawn by its arm; kind is the part's.
func (w *rowWorld) step(stream windows.Stream, n [windows.Arms]int64, draw func(arm windows.Arm) row) {
	s := w.script
	serving := s.serving(side{n: n[0]}, side{n: n[1]})
	p := serving
	if stream.Kind != windows.Serving {
		for arm := range windows.Arms {
			serving.Cells[arm] = w.cells(windows.Arm(arm), windows.Serving)
		}
		s.verdict = s.judge.Step(serving)
		p = &windows.Part{Stream: stream, StartMs: s.atMs}
	}
	for arm := range windows.Arms {
		w.rows = w.rows[:0]
		for range n[arm] {
			w.rows = append(w.rows, draw(windows.Arm(arm)))
		}
		p.Cells[arm] = w.cells(windows.Arm(arm), stream.Kind)
		for _, r := range w.rows {
			if windows.Arm(arm) == windows.Baseline && stream.Kind == windows.Serving {
				p.Traffic[arm].Slices[r.slice]++
			}
		}
		for range w.users[arm] {
			w.named++
			p.Traffic[arm].Units = append(p.Traffic[arm].Units, windows.UnitSight{Unit: w.named})
		}
		w.users[arm] = 0
		if stream.Kind == windows.Outcomes {
			p.Cells[arm] = []windows.Cell{w.outcomeCell(windows.Arm(arm))}
		}
	}
	s.verdict = s.judge.Step(p)
	s.atMs += s.judge.clock.widthMs
}

// outcomeCell is the capped values of predictions, as windows adds them up.
func (w *rowWorld) outcomeCell(arm windows.Arm) windows.Cell {
	var c windows.Cell
	limit := w.script.rollout.Outcomes[0].Cap
	rows := windows.Rows{}
	for _, r := range w.rows {
		if arm == windows.Baseline {
			rows.Slice = append(rows.Slice, r.slice)
		}
	}
	for i, r := range w.rows {
		c.AddValue(&rows, i, windows.SumUnits(r.x, limit))
		if r.x != 0 {
			c.K++
		}
	}
	return c
}

var serving = windows.Stream{Kind: windows.Serving}

// kindWorlds are a healthy world at the edge of what each kind of guardrail allows, and one with harm.
type kindWorld struct {
	name, spec string
	stream     windows.Stream
	windows    int
	n          [windows.Arms]int64
	outcome    schemas.OutcomeSpec
	granular   time.Duration
	healthy    func(w *rowWorld, t int) func(arm windows.Arm) row
	harmful    func(w *rowWorld, t int) func(arm windows.Arm) row
}

// times draws baseline values, and gives the canary's factor times as much.
func times(factor float64, base func(w *rowWorld, t int) float64) func(w *rowWorld, t int) func(arm windows.Arm) row {
	return func(w *rowWorld, t int) func(arm windows.Arm) row {
		return func(arm windows.Arm) row {
			x := base(w, t)
			if arm == windows.Canary {
				x *= factor
			}
			return row{x, w.slice()}
		}
	}
}

func plus(more float64, base func(w *rowWorld, t int) float64) func(w *rowWorld, t int) func(arm windows.Arm) row {
	return func(w *rowWorld, t int) func(arm windows.Arm) row {
		return func(arm windows.Arm) row {
			x := base(w, t)
			if arm == windows.Canary {
				x += more
			}
			return row{x, w.slice()}
		}
	}
}

// latencyAt is lognormal, and doubles over 400 windows.
func latencyAt(w *rowWorld, t int) float64 {
	return 20 * math.Exp(.5*w.random.NormFloat64()) * (1 + float64(t)/400)
}

// scoreAt is between 0 and 1, with a bulk that wanders.
func scoreAt(w *rowWorld, t int) float64 {
	return 1 / (1 + math.Exp(-(math.Sin(float64(t)/40)/2 + w.random.NormFloat64())))
}

// revenueAt is what a prediction brings: nothing mostly, lognormal else.
func revenueAt(w *rowWorld, t int) float64 {
	if w.random.Float64() > .05*(1+.5*math.Sin(float64(t)/60)) {
		return 0
	}
	return 20 * math.Exp(w.random.NormFloat64())
}

// gauges are samples of few hosts whose levels wander on their own (autoregressive, .9 from one window to the next).
func gauges(more float64) func(w *rowWorld, t int) func(arm windows.Arm) row {
	return func(w *rowWorld, t int) func(arm windows.Arm) row {
		hosts := [windows.Arms]int{windows.Baseline: 8, windows.Canary: 2}
		for arm := range windows.Arms {
			for len(w.hosts[arm]) < hosts[arm] {
				w.hosts[arm] = append(w.hosts[arm], .05*w.random.NormFloat64())
			}
			for h := range w.hosts[arm] {
				w.hosts[arm][h] = .9*w.hosts[arm][h] + math.Sqrt(1-.81)*.05*w.random.NormFloat64()
			}
		}
		next := [windows.Arms]int{}
		return func(arm windows.Arm) row {
			h := next[arm] % hosts[arm]
			next[arm]++
			x := .6 + w.hosts[arm][h] + .03*w.random.NormFloat64()
			if arm == windows.Canary {
				x += more
			}
			return row{max(0, min(1, x)), [...]uint8{0, 0, 0, 0, 1, 1, 2, 3}[h]}
		}
	}
}

var kindWorlds = []kindWorld{
	{name: "ks of latency, 20 %", spec: "g: distribution latency ks increase 20%", stream: serving, windows: 150, n: [2]int64{450, 50},
		healthy: times(1.2, latencyAt), harmful: times(1.5, latencyAt)},
	{name: "ks of latency, any, a tail", spec: "g: distribution latency ks increase any", stream: serving, windows: 150, n: [2]int64{450, 50},
		healthy: times(1, latencyAt), harmful: func(w *rowWorld, t int) func(arm windows.Arm) row {
			return func(arm windows.Arm) row {
				x := latencyAt(w, t)
				if arm == windows.Canary && w.random.Float64() < .02 {
					x *= 10
				}
				return row{x, w.slice()}
			}
		}},
	{name: "ks of score, both ways", spec: "g: distribution score ks both any buckets=0,1,1000", stream: serving, windows: 150, n: [2]int64{450, 50},
		healthy: times(1, scoreAt), harmful: func(w *rowWorld, t int) func(arm windows.Arm) row {
			return func(arm windows.Arm) row {
				x := scoreAt(w, t)
				if arm == windows.Canary { // the same median, but pushed to the ends
					x = .5 + (x-.5)*1.5
				}
				return row{x, w.slice()}
			}
		}},
	{name: "mann-whitney of latency, 10 %", spec: "g: distribution latency mann-whitney increase 10%", stream: serving, windows: 150, n: [2]int64{450, 50},
		healthy: times(1.1, latencyAt), harmful: times(1.3, latencyAt)},
	{name: "mann-whitney of score, a decrease", spec: "g: distribution score mann-whitney decrease 0.05 buckets=0,1,1000", stream: serving, windows: 150, n: [2]int64{450, 50},
		healthy: plus(-.05, scoreAt), harmful: plus(-.15, scoreAt)},
	{name: "median of score, a decrease", spec: "g: quantile 0.5 score decrease 0.05 buckets=0,1,1000", stream: serving, windows: 150, n: [2]int64{450, 50},
		healthy: plus(-.05, scoreAt), harmful: plus(-.15, scoreAt)},
	{name: "median of rounded latencies", spec: "g: quantile 0.5 latency increase 20%", stream: serving, windows: 150, n: [2]int64{450, 50}, granular: 5 * time.Millisecond,
		healthy: roundedTo(5, times(1.2, latencyAt)), harmful: roundedTo(5, times(1.8, latencyAt))},
	{name: "mean of score", spec: "g: mean score decrease 0.03 from=prediction cap=1", stream: serving, windows: 300, n: [2]int64{450, 50},
		healthy: plus(-.03, scoreAt), harmful: plus(-.08, scoreAt)},
	{name: "mean of tokens, 20 % more", spec: "g: mean tokens increase 20% from=prediction cap=400", stream: serving, windows: 200, n: [2]int64{450, 50},
		healthy: times(1.2, latencyAt), harmful: times(1.6, latencyAt)},
	{name: "revenue", spec: "g: mean purchase decrease 10% from=outcome cap=200 prove=any", stream: windows.Stream{Kind: windows.Outcomes, Name: "purchase"}, windows: 400, n: [2]int64{450, 100},
		outcome: schemas.OutcomeSpec{Name: "purchase", Within: time.Minute, Value: schemas.ValueSum, Cap: 200},
		healthy: times(1, revenueAt), harmful: times(.5, revenueAt)},
	{name: "revenue that rises is no harm", spec: "g: mean purchase increase any from=outcome cap=200", stream: windows.Stream{Kind: windows.Outcomes, Name: "purchase"}, windows: 400, n: [2]int64{450, 100},
		outcome: schemas.OutcomeSpec{Name: "purchase", Within: time.Minute, Value: schemas.ValueSum, Cap: 200},
		healthy: times(1, revenueAt), harmful: times(1.6, revenueAt)},
	{name: "mean of a gauge, autocorrelated", spec: "g: mean cpu increase any from=sample cap=1", stream: windows.Stream{Kind: windows.Resources}, windows: 600, n: [2]int64{48, 12},
		healthy: gauges(0), harmful: gauges(.15)},
	{name: "share of a gauge, autocorrelated", spec: "g: sample cpu 0.65 increase any", stream: windows.Stream{Kind: windows.Resources}, windows: 600, n: [2]int64{48, 12},
		healthy: gauges(0), harmful: gauges(.15)},
	{name: "a gauge's limit", spec: "g: mean cpu above 0.7 from=sample cap=1", stream: windows.Stream{Kind: windows.Resources}, windows: 300, n: [2]int64{48, 12},
		healthy: gauges(.05), harmful: gauges(.25)},
}

// roundedTo rounds to a step.
func roundedTo(step float64, of func(w *rowWorld, t int) func(arm windows.Arm) row) func(w *rowWorld, t int) func(arm windows.Arm) row {
	return func(w *rowWorld, t int) func(arm windows.Arm) row {
		draw := of(w, t)
		return func(arm windows.Arm) row {
			r := draw(arm)
			r.x = math.Round(r.x/step) * step
			return r
		}
	}
}

// play is in which window the guardrail failed; -1: never.
func (k *kindWorld) play(t *testing.T, random *rand.Rand, world func(w *rowWorld, t int) func(arm windows.Arm) row) int {
	r := rolloutOf(guardrail(k.spec))
	r.Risk.FalseRollback, r.Phi = .1, 1.5 // half of it is the missing canary's
	r.LatencyGranularity = k.granular
	if k.outcome.Name != "" {
		r.Outcomes = []schemas.OutcomeSpec{k.outcome}
	}
	w := newRowWorld(t, r, random)
	for i := range k.windows {
		w.step(k.stream, k.n, world(w, i))
		if w.script.guard("g").state == failed {
			return i
		}
	}
	return -1
}

// TestSimKinds holds the level of every kind of guardrail on values, at the edge of what it allows, and that it finds harm.
func TestSimKinds(t *testing.T) {
	runs := size(4, 400)
	limit := binomialLimit(runs, .05)
	for _, k := range kindWorlds {
		wrong, found := make([]int, runs), make([]int, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			wrong[i] = k.play(t, random, k.healthy)
			found[i] = k.play(t, random, k.harmful)
		})
		alarms, hits, sum := 0, 0, 0
		for i := range runs {
			if wrong[i] >= 0 {
				alarms++
			}
			if found[i] >= 0 {
				hits++
				sum += found[i]
			}
		}
		t.Logf("%-36s %3d of %d healthy ones failed (limit %d), %3d of %d harmful ones, after %.0f windows", k.name, alarms, runs, limit, hits, runs, float64(sum)/math.Max(1, float64(hits)))
		if alarms > limit {
			t.Errorf("%s: %d of %d healthy canaries failed, the limit is %d", k.name, alarms, runs, limit)
		}
		if float64(hits) < .95*float64(runs) {
			t.Errorf("%s: %d of %d harmful canaries failed", k.name, hits, runs)
		}
	}
}

// TestSimDelayShape measures how soon a distribution's test by quantiles finds a tail of which no quantile below p99.5 knows, and a shift of all: 1,000 requests
// a window, a tenth of them the canary's. The figures to hold are the project's notes' medians for the mixture over quantiles, in canary requests.
func TestSimDelayShape(t *testing.T) {
	runs, worst := size(12, 400), 1.2
	if runs < 400 {
		worst = 2 // a median of few runs
	}
	for _, d := range []struct {
		spec   string
		figure float64
		spike  float64 // share of the canary's requests that are ten times as slow
		all    float64 // factor of all
	}{
		{"g: distribution latency ks increase any", 1382, .005, 1},
		{"g: distribution latency ks increase 20%", 1774, .005, 1},
		{"g: distribution latency ks increase 20%", 806, 0, 1.3},
		{"g: distribution latency mann-whitney increase any", 107, 0, 1.2},
	} {
		delays := make([]float64, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			r := rolloutOf(guardrail(d.spec))
			r.Risk.FalseRollback = .1
			r.Stages[0].Max *= 24
			w := newRowWorld(t, r, random)
			w.script = newScript(t, r, Options{NoIntervals: true, Phi: 1}) // as the figures are
			canary := 0.
			for delays[i] = math.Inf(1); canary < 48_000; {
				n := w.split(1000, .1)
				canary += float64(n[windows.Canary])
				w.step(serving, n, func(arm windows.Arm) row {
					x := 20 * math.Exp(.5*random.NormFloat64())
					if arm == windows.Canary {
						x *= d.all
						if random.Float64() < d.spike {
							x *= 10
						}
					}
					return row{x, w.slice()}
				})
				if w.script.guard("g").state == failed {
					delays[i] = canary
					break
				}
			}
		})
		slices.Sort(delays)
		median := delays[runs/2]
		t.Logf("%-52s median %.0f canary requests, %.2f times %.0f", d.spec, median, median/d.figure, d.figure)
		if median > worst*d.figure {
			t.Errorf("%s: median %.0f, want at most %.1f times %.0f", d.spec, median, worst, d.figure)
		}
	}
}

// split draws how many of n requests each arm has.
func (w *rowWorld) split(n int, share float64) (of [windows.Arms]int64) {
	for range n {
		if w.random.Float64() < share {
			of[windows.Canary]++
		} else {
			of[windows.Baseline]++
		}
	}
	return of
}

// TestSimGaugeHosts holds that a gauge of few hosts whose levels wander doesn't alarm beyond alpha, with the noise that nobody
// told it, beside what taking the samples for independent makes of the same windows.
func TestSimGaugeHosts(t *testing.T) {
	runs := size(6, 400)
	limit := binomialLimit(runs, .05)
	for _, spec := range []string{"g: sample cpu 0.65 increase any", "g: mean cpu increase any from=sample cap=1"} {
		alarms, naive := make([]bool, runs), make([]bool, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			r := rolloutOf(guardrail(spec))
			r.Risk.FalseRollback, r.Phi = .1, 1.5
			w := newRowWorld(t, r, random)
			counts := [2][2]int64{}
			for step := range size(300, 600) {
				draw := gauges(0)(w, step)
				w.step(windows.Stream{Kind: windows.Resources}, [2]int64{48, 12}, func(arm windows.Arm) row {
					x := draw(arm)
					counts[arm][0]++
					if x.x > .65 {
						counts[arm][1]++
					}
					return x
				})
				naive[i] = naive[i] || step >= 30 && pooledZ(counts) > 1.645
				alarms[i] = alarms[i] || w.script.guard("g").state == failed
			}
		})
		mine, theirs := trueOf(alarms), trueOf(naive)
		t.Logf("%-45s %d of %d healthy canaries failed (limit %d); %d by a repeated z-test of independent samples", spec, mine, runs, limit, theirs)
		if mine > limit {
			t.Errorf("%s: %d of %d healthy canaries failed", spec, mine, runs)
		}
		if theirs <= limit {
			t.Errorf("%s: the naive test alarms in %d of %d only: this world shows nothing", spec, theirs, runs)
		}
	}
}

func trueOf(xs []bool) (n int) {
	for _, x := range xs {
		if x {
			n++
		}
	}
	return n
}

// TestSimWholeVerdict counts rollbacks of canaries that do no harm, with guardrails of most kinds, each without a margin, segments and self-tests on, and nothing of the noise
// known beforehand: by all of what can roll back, the level is that of the rollout.
func TestSimWholeVerdict(t *testing.T) {
	runs, total := size(4, 400), size(40, 120)
	limit := binomialLimit(runs, .05)
	for _, stratify := range []bool{false, true} {
		rolled := make([]bool, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			var guards []schemas.Guardrail
			for _, text := range []string{
				"errors: rate error increase any", "p90: quantile 0.9 latency increase any", "shape: distribution latency ks increase any",
				"scores: distribution score ks both any buckets=0,1,1000", "ranks: distribution latency mann-whitney increase any", "level: mean score decrease any from=prediction cap=1",
			} {
				guards = append(guards, guardrail(text))
			}
			r := watching(rolloutOf(guards...), 5)
			r.Stratify, r.Phi, r.Stages[0].Max = stratify, 1.5, 24*time.Hour
			w := newRowWorld(t, r, random)
			w.few = true
			for range total {
				p := &windows.Part{Stream: serving, StartMs: w.script.atMs}
				for k := range 6 {
					w.addSegment(p, string(rune('a'+k)))
				}
				w.script.atMs += 1000
				rolled[i] = rolled[i] || w.script.judge.Step(p).Action == VerdictRollback
			}
		})
		n := trueOf(rolled)
		t.Logf("stratified %-5v: %d of %d healthy canaries rolled back, limit %d", stratify, n, runs, limit)
		if n > limit {
			t.Errorf("stratified %v: %d of %d healthy canaries rolled back", stratify, n, runs)
		}
	}
}
