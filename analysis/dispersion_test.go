package analysis

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestDispersionBeforeASmallShardIsKnown: until the canary's own size is measured, what all slices together have seen counts where it is more than the prior.
func TestDispersionBeforeASmallShardIsKnown(t *testing.T) {
	noisy := [windows.Slices]windows.SliceCount{{N: 512, K: 40}, {N: 256}, {N: 128, K: 10}}
	quiet := [windows.Slices]windows.SliceCount{{N: 512, K: 8}, {N: 256, K: 4}, {N: 128, K: 2}}
	many := [windows.Slices]windows.SliceCount{{N: 512, K: 40}, {N: 256}, {N: 128, K: 20}, {N: 64}, {N: 32, K: 10}, {N: 16}}
	two := [windows.Slices]windows.SliceCount{{N: 512, K: 40}, {N: 256}} // too few parts to say anything in one window
	for _, tt := range []struct {
		name    string
		slices  [windows.Slices]windows.SliceCount // the smallest five are empty, as with few hosts
		windows int
		ratio   float64
		least   float64
		most    float64
	}{
		{"nothing seen: the prior", noisy, 0, .01, 1.5, 1.5},
		{"all slices together say it in a window", many, 1, .01, 10, math.Inf(1)},
		{"but not two of them", two, 1, .01, 1.5, 1.5},
		{"three of them do in time", noisy, 200, .01, 10, math.Inf(1)},
		{"all is quiet, but not for long: the prior stays", quiet, 49, .01, 1.5, 1.5},
		{"all is quiet", quiet, 375, .01, 1, 1},
		{"a large canary's own size is measured", quiet, 200, .5, 1, 1},
	} {
		tr := &traffic{ratio: tt.ratio}
		d := newDispersion(Options{}, 1.5, tr)
		for range tt.windows {
			d.add(&tt.slices)
		}
		if phi := d.canary(); phi < tt.least || phi > tt.most {
			t.Errorf("%s: phi %.3f, want %.3f to %.3f", tt.name, phi, tt.least, tt.most)
		}
	}
}

// TestDispersionOfIndependentEvents: where nothing is noisy, little is assumed for want of data: a canary of 1 % and one error a second of the
// baseline, whose shard would say in hours what all slices say in minutes.
func TestDispersionOfIndependentEvents(t *testing.T) {
	const runs = 40
	for _, tt := range []struct {
		windows    int
		median, up float64 // at most, of the runs' median and of nine in ten
	}{{300, 2, 3.5}, {600, 1.8, 2.5}, {3600, 1.3, 1.45}} {
		var phis []float64
		for run := range uint64(runs) {
			w := &sessions{random: rand.New(rand.NewPCG(run, 5)), requests: 1000, share: constant(.01), rate: .001, stay: 1, burst: .001, more: 1}
			d := newDispersion(Options{}, 1.5, &traffic{ratio: .0101})
			for at := range tt.windows {
				d.add(&w.part(at, 0).Cells[windows.Baseline][0].Slices)
			}
			phis = append(phis, d.canary())
		}
		slices.Sort(phis)
		if phis[runs/2] > tt.median || phis[runs*9/10] > tt.up || phis[0] < 1 {
			t.Errorf("after %d windows phi is %.2f to %.2f, median %.2f", tt.windows, phis[0], phis[runs-1], phis[runs/2])
		}
	}
}

// TestPhiIsKept: phi is worked out once for a window, and anew after each number that it stands on.
func TestPhiIsKept(t *testing.T) {
	rates := [windows.Slices]windows.SliceCount{{N: 512, K: 8}, {N: 256, K: 4}, {N: 128, K: 20}, {N: 64}, {N: 32, K: 1}, {N: 16}, {N: 8}, {N: 8}}
	sizes := [windows.Slices]int64{500, 200, 150, 60, 20, 16, 8, 8}
	in := (&Judge{rollout: &schemas.Rollout{Phi: 1.5}}).newPastDispersion(&stream{})
	for _, row := range []struct {
		name string
		d    *dispersion
		add  func(d *dispersion)
	}{
		{"rates", newDispersion(Options{}, 1.5, &traffic{ratio: .1}), func(d *dispersion) { d.add(&rates) }},
		{"sizes", newDispersion(Options{}, 1.5, &traffic{ratio: .1}), func(d *dispersion) { d.addSizes(&sizes) }},
		{"the past", in, func(d *dispersion) { d.addPast(1000, 500*(d.windows%2)); d.windows++ }},
		{"the floor", newDispersion(Options{}, 1.5, &traffic{ratio: .1}), func(d *dispersion) { d.raise(2) }},
	} {
		changed := false
		for range 300 {
			before := row.d.canary()
			row.add(row.d)
			now := row.d.arms()
			changed = changed || now[windows.Canary] != before
			if size := shardSize(row.d.traced.ratio); now[windows.Canary] != row.d.measured(size) || now[windows.Baseline] != row.d.measured(shards-1) {
				t.Fatalf("%s: phi %v, but it is %v and %v", row.name, now, row.d.measured(size), row.d.measured(shards-1))
			}
		}
		if !changed {
			t.Errorf("%s: phi never changed", row.name)
		}
	}
}

// TestPhiByArm: each arm's events are weighed by its own factor, also where the arms change places.
func TestPhiByArm(t *testing.T) {
	b := &block{toMs: 1000, n: [windows.Arms]int64{1000, 1000}, k: [windows.Arms]int64{windows.Baseline: 100, windows.Canary: 0}}
	canary, baseline := armPhi{windows.Baseline: 1, windows.Canary: 9}, armPhi{windows.Baseline: 9, windows.Canary: 1}
	for _, text := range []string{"g: rate error decrease 0.1pp", "g: rate error decrease 10%", "g: rate error increase 10%"} {
		g := guardrail(text)
		any := func(phi armPhi) (sum float64) {
			k := newRateContrast(&g, []float64{.5})
			inc := increments{any: make([]float64, 1), beyond: make([]float64, 1)}
			k.increments(&inc, b, phi)
			return math.Abs(inc.any[0])
		}
		// All events are the baseline's: what they prove falls with the baseline's factor, and hardly with the canary's.
		if plain, noisy, other := any(independent), any(baseline), any(canary); !(noisy < .4*plain && other < plain && noisy != other) {
			t.Errorf("%s: evidence %.3g, %.3g at the baseline's factor 9, %.3g at the canary's", text, plain, noisy, other)
		}
	}
	// A canary that is smaller is the side that decides: the factors must not be changed for each other where the arms are.
	less := guardrail("g: rate error decrease 0.1pp")
	small := &block{n: [windows.Arms]int64{8000, 1000}, k: [windows.Arms]int64{800, 0}}
	got, want := increments{any: make([]float64, 1), beyond: make([]float64, 1)}, make([]float64, 1)
	newRateContrast(&less, []float64{.5}).increments(&got, small, canary)
	stats.Linear{Rho0: 1, Side: +1, Grid: []float64{.5}}.Increments(want, stats.Counts{Nc: 8000, Kc: 800, Nb: 1000}, 1, 9)
	if got.any[0] != want[0] {
		t.Errorf("an absolute decrease: evidence %.4g, want %.4g", got.any[0], want[0])
	}
	limit := guardrail("g: rate error above 5%")
	k := newRateLimit(&limit, windows.Baseline, []float64{.5})
	inc := increments{any: make([]float64, 1)}
	k.increments(&inc, b, canary)
	plain := inc.any[0]
	k.increments(&inc, b, baseline)
	if !(inc.any[0] < plain) {
		t.Errorf("a limit of the baseline: evidence %.3g, at the baseline's factor 9 %.3g", plain, inc.any[0])
	}
}

// TestPhiBySize: noise that grows with the part, as that of a host or a busy user does, is reckoned with as it is at each arm's own size; where the canary's
// was not measured yet, as it is at a larger one.
func TestPhiBySize(t *testing.T) {
	// Half of the baseline has 8 % and 2 % of errors in turn, all smaller parts together 2 % and 8 %, the smallest always 5 %.
	window := func(i int, scale int64) (s [windows.Slices]windows.SliceCount) {
		for k := range s {
			n := scale << (windows.Slices - 1 - max(1, k))
			rate := []int64{2, 8}[i%2]
			switch {
			case k == 0:
				n, rate = scale<<(windows.Slices-1), 10-rate
			case k == windows.Slices-1:
				rate = 5
			}
			s[k] = windows.SliceCount{N: n, K: n * rate / 100}
		}
		return s
	}
	for _, tt := range []struct {
		name                       string
		windows                    int
		scale                      int64
		ratio                      float64
		canaryLeast, baselineLeast float64
		canaryMost                 float64
	}{
		{"a small canary, measured", 300, 100, .005, 1, 20, 2},
		{"a large one", 300, 100, .9, 20, 20, math.Inf(1)},
		{"a small one, not measured yet", 150, 20, .005, 5, 5, math.Inf(1)},
	} {
		tr := &traffic{ratio: tt.ratio}
		d := newDispersion(Options{}, 1, tr)
		for i := range tt.windows {
			s := window(i, tt.scale)
			d.add(&s)
		}
		phi := d.arms()
		if c, b := phi[windows.Canary], phi[windows.Baseline]; c < tt.canaryLeast || c > tt.canaryMost || b < tt.baselineLeast {
			t.Errorf("%s: phi %.2f of the canary, %.2f of the baseline", tt.name, c, b)
		}
	}
}

// TestFirstWindowIsForMeasuring: the first window that tells anything of the noise isn't tested, and its start weight goes to the next; where the
// baseline was seen before the canary came, or where nothing can be measured, every window is.
func TestFirstWindowIsForMeasuring(t *testing.T) {
	for _, tt := range []struct {
		name   string
		play   func(s *script)
		o      Options
		tested int64
	}{
		{"measured", func(s *script) { s.play(3, alike, small) }, Options{}, 2},
		{"measured before the epoch", func(s *script) { s.play(5, alike, side{}); s.play(3, alike, small) }, Options{}, 3},
		{"known", func(s *script) { s.play(3, alike, small) }, Options{Phi: 1}, 3},
		{"nothing to measure", func(s *script) { s.play(3, side{n: 6400, errors: 64}, small) }, Options{}, 3},
	} {
		s := newScript(t, rolloutOf(guardrail("errors: rate error increase 0.5pp"), guardrail("outage: rate error above 5%")), tt.o)
		tt.play(s)
		for _, name := range []string{"errors", "outage"} {
			if g := s.guard(name); g.canary.tested != tt.tested || g.canary.weights.next != 3 {
				t.Errorf("%s: %d blocks of %s tested, weights up to window %d; want %d and 3", tt.name, g.canary.tested, name, g.canary.weights.next, tt.tested)
			}
		}
	}
}

// TestPhiBeforeTheEpoch: the baseline's noise counts from before the canary's first window on.
func TestPhiBeforeTheEpoch(t *testing.T) {
	s := newScript(t, rolloutOf(guardrail("errors: rate error increase 0.5pp")), Options{})
	even := sliced(64, 32, 16, 8, 4, 2, 1, 1)
	s.play(400, even, side{})
	s.play(1, even, small)
	if phi := s.guard("errors").canary.phiNow[windows.Canary]; phi != 1 {
		t.Errorf("phi of the first block is %v, want 1 as measured before it", phi)
	}
}
