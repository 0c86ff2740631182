package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/analysis"
	"streamcanary/schemas"
	"streamcanary/windows"
)

const head = "metadata: {name: r}\nspec:\n  model: m\n  baseline: {version: a}\n  canary: {version: b}\n"

func parsed(t *testing.T, spec string) *schemas.Rollout {
	t.Helper()
	r, err := schemas.ParseRollout("r", []byte(head+spec))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func traffic(t *testing.T, file string) *schemas.Traffic {
	t.Helper()
	s, err := schemas.ParseTraffic("t", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func planned(t *testing.T, r *schemas.Rollout, file string) map[string]Guardrail {
	t.Helper()
	stages, err := Make(r, Stated(r, traffic(t, file)), Options{Runs: 15})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]Guardrail{}
	for _, g := range stages[0].Guardrails {
		byName[g.Name] = g
	}
	return byName
}

// stream is a world of single requests, made apart from the package's own: it judges the whole rollout, in windows of a second.
type stream struct {
	random  *rand.Rand
	rate    [windows.Arms]float64
	slower  float64
	clumped float64 // share of the requests that come in clumps of clumpSize, which all err or don't
	tally   windows.Tally
	metrics []windows.Metric
}

// clumpSize makes half of the requests in clumps three times as noisy as independent ones.
const clumpSize = 5

func (s *stream) part(startMs int64, n [windows.Arms]int) *windows.Part {
	p := &windows.Part{Stream: windows.Stream{Kind: windows.Serving}, StartMs: startMs}
	for arm := range windows.Arms {
		p.Traffic[arm] = windows.Traffic{Events: int64(n[arm]), Served: int64(n[arm]), SampledMin: 1, SampledMax: 1}
		rows := windows.Rows{Len: n[arm], Tally: &s.tally}
		failed, slice, left := false, uint8(0), 0
		for range n[arm] {
			if left--; left < 0 {
				if left = 0; s.random.Float64() < s.clumped/(s.clumped+clumpSize*(1-s.clumped)) {
					left = clumpSize - 1
				}
				failed, slice = s.random.Float64() < s.rate[arm], uint8(min(s.random.ExpFloat64()/math.Ln2, windows.Slices-1))
			}
			x, flags := 20*math.Exp(.7*s.random.NormFloat64()), uint8(0)
			if arm == int(windows.Canary) {
				x *= s.slower
			}
			if failed {
				flags = windows.FlagError
			}
			rows.Latency, rows.Flags = append(rows.Latency, x), append(rows.Flags, flags)
			rows.Slice = append(rows.Slice, slice)
		}
		if arm == int(windows.Canary) {
			rows.Slice = nil
		} else {
			for _, slice := range rows.Slice {
				p.Traffic[arm].Slices[slice]++
			}
		}
		p.Cells[arm] = make([]windows.Cell, len(s.metrics))
		for i, m := range s.metrics {
			m.Reduce(rows, &p.Cells[arm][i])
		}
	}
	return p
}

// first is the median number of seconds until a guardrail is in a state, over some runs; what didn't come to it counts as infinite.
func first(r *schemas.Rollout, guardrail int, state schemas.State, make func(*rand.Rand) *stream) float64 {
	const runs, most = 11, 1500
	var took []float64
	for i := range runs {
		s := make(rand.New(rand.NewPCG(7, uint64(i))))
		s.metrics = analysis.Metrics(r)
		j := analysis.NewJudge(r, analysis.Options{NoIntervals: true})
		took = append(took, math.Inf(1))
		for t := range most {
			n := [windows.Arms]int{windows.Baseline: 350 + s.random.IntN(21), windows.Canary: 35 + s.random.IntN(11)}
			j.Step(s.part(int64(1000*(t+1)), n))
			if got := j.Status()[guardrail].State; got == state || state == schemas.StateSuspect && got == schemas.StateFailed {
				took[i] = float64(t + 1)
				break
			}
		}
	}
	slices.Sort(took)
	return took[runs/2]
}

// TestPlannedIsSimulated holds what is planned against runs of the whole rollout, request by request, over-dispersion measured as it goes: medians
// of 11 and of 15 runs, each within a third of the truth, agree within a factor of 1.6.
func TestPlannedIsSimulated(t *testing.T) {
	r := parsed(t, `  guardrails:
  - {name: errors, rate: error, increase: 0.5pp, weight: 3}
  - {name: p99, quantile: 0.99, increase: 20%, weight: 3}
  stages: [{weight: 10}]
`)
	// The lognormal of stream: p99 is 20 ms · exp(0.7 · 2.3263).
	plain := planned(t, r, "requests: 400\nrates: {error: 0.2%}\nquantiles: {latency: {p50: 20ms, p99: 101.92ms}}\n")
	noisy := parsed(t, "  guardrails: [{name: errors, rate: error, increase: 1pp}]\n  stages: [{weight: 10}]\n")
	clumps := planned(t, noisy, "requests: 400\nrates: {error: 2%}\nphi: {errors: 3}\n")
	harmful := func(errors, slower float64) func(*rand.Rand) *stream {
		return func(random *rand.Rand) *stream {
			return &stream{random: random, rate: [windows.Arms]float64{.002, .002 + errors}, slower: slower}
		}
	}
	clumped := func(errors float64) func(*rand.Rand) *stream {
		return func(random *rand.Rand) *stream {
			return &stream{random: random, rate: [windows.Arms]float64{.02, .02 + errors}, slower: 1, clumped: .5}
		}
	}
	tests := []struct {
		name    string
		rollout *schemas.Rollout
		at      int
		state   schemas.State
		world   func(*rand.Rand) *stream
		plan    Reach
	}{
		{"errors suspect", r, 0, schemas.StateSuspect, harmful(.01, 1), *plain["errors"].Suspect},
		{"errors fail", r, 0, schemas.StateFailed, harmful(.01, 1), plain["errors"].Fail},
		{"errors pass", r, 0, schemas.StatePassed, harmful(0, 1), plain["errors"].Pass},
		{"p99 suspect", r, 1, schemas.StateSuspect, harmful(0, 1.4), *plain["p99"].Suspect},
		{"p99 fail", r, 1, schemas.StateFailed, harmful(0, 1.4), plain["p99"].Fail},
		{"p99 pass", r, 1, schemas.StatePassed, harmful(0, 1), plain["p99"].Pass},
		{"clumps suspect", noisy, 0, schemas.StateSuspect, clumped(.02), *clumps["errors"].Suspect},
	}
	for _, test := range tests {
		want := (test.plan.After - 2*time.Second).Seconds() // without lateness
		got := first(test.rollout, test.at, test.state, test.world)
		t.Logf("%-14s planned %4.0f s (%.0f canary events, phi %.3g), simulated %4.0f s", test.name, want, test.plan.Events, test.plan.Phi, got)
		if test.plan.How != Simulated || got > 1.6*want+1 || want > 1.6*got+1 {
			t.Errorf("%s: planned %.0f s (%s), simulated %.0f s", test.name, want, test.plan.How, got)
		}
		if events := 40 * want; math.Abs(test.plan.Events/events-1) > .1 && want > 10 {
			t.Errorf("%s: %.0f canary events are planned in %.0f s of 40 each", test.name, test.plan.Events, want)
		}
	}
}

// TestPlannedNoiseOfRanks: where requests are as alike as is stated, a quantile takes that much longer.
func TestPlannedNoiseOfRanks(t *testing.T) {
	r := parsed(t, "  guardrails: [{name: p99, quantile: 0.99, increase: 20%}]\n  stages: [{weight: 10}]\n")
	const traffic = "requests: 400\nquantiles: {latency: {p50: 20ms, p99: 101.92ms}}\n"
	plain, alike := planned(t, r, traffic)["p99"], planned(t, r, traffic+"phi: {p99: 3}\n")["p99"]
	if ratio := alike.Fail.Events / plain.Fail.Events; plain.Phi != 1 || alike.Phi != 3 || ratio < 2 || ratio > 4.5 {
		t.Errorf("phi %v: %.0f canary events, phi %v: %.0f", plain.Phi, plain.Fail.Events, alike.Phi, alike.Fail.Events)
	}
}

// TestPlannedNoiseOfMeans: so it does of a mean of predictions.
func TestPlannedNoiseOfMeans(t *testing.T) {
	r := parsed(t, "  guardrails: [{name: length, mean: tokens, from: prediction, cap: 2000, increase: 10%}]\n  stages: [{weight: 10}]\n")
	const traffic = "requests: 400\nmeans: {length: {mean: 500, deviation: 200}}\n"
	plain, alike := planned(t, r, traffic)["length"], planned(t, r, traffic+"phi: {length: 12}\n")["length"]
	if ratio := alike.Fail.Events / plain.Fail.Events; !(plain.Phi < 6) || alike.Phi != 12 || !(ratio > 3) {
		t.Errorf("phi %v: %.0f canary events, phi %v: %.0f", plain.Phi, plain.Fail.Events, alike.Phi, alike.Fail.Events)
	}
}

// plannedAsFine wants the time to a failure that is planned, with wider windows, to be within a factor of that in so many windows of a second.
func plannedAsFine(t *testing.T, s *setting, canary []atom, most int, factor float64) {
	t.Helper()
	fine := s.runs(canary, failed, sight{width: time.Second, most: most, last: true})
	slices.SortFunc(fine, func(a, b course) int { return compareWindows(a.windows, b.windows) })
	want, got := float64(fine[len(fine)/2].windows), s.reach(canary, failed)
	seconds := (got.After - s.after(0, time.Second)).Seconds()
	t.Logf("%s: %.0f s in windows of a second, %.0f s planned (%s)", s.guard.Name, want, seconds, got.How)
	if want <= levelWindows || seconds > factor*want || want > factor*seconds {
		t.Errorf("%s: %.0f s in windows of a second, %.0f s planned (%s)", s.guard.Name, want, seconds, got.How)
	}
	if mean := s.guard.Kind == schemas.MeanGuardrail; got.Rough != mean {
		t.Errorf("%s: said to be rough: %v", s.guard.Name, got.Rough)
	}
}

// TestWiderWindows: what takes longer than windows of the rollout's own width are drawn for is planned with wider ones, and comes out as with its own, for rates and
// for means whose noise is measured.
func TestWiderWindows(t *testing.T) {
	r := parsed(t, "  patience: never\n  outcomes: {click: {within: 1m, value: sum, cap: 100}}\n  guardrails: [{name: ctr, rate: click, decrease: 4%}, {name: revenue, mean: click, decrease: 5%}]\n"+
		"  stages: [{weight: 10, bake: 1m, max: 24h}]\n")
	tr := Stated(r, traffic(t, "requests: 2000\nrates: {click: 2%}\nmeans: {revenue: {mean: 3.2, deviation: 15}}\n"))
	for at := range r.Guardrails {
		s := newSetting(r, place{guardrail: at}, &tr, Options{Runs: 9})
		canary, err := harmed(s.guard, s.healthy, UsualHarm(s.guard))
		if err != nil {
			t.Fatal(err)
		}
		plannedAsFine(t, s, canary, 6000, 1.6)
	}
}

// TestRareEventsInWiderWindows: of rare errors it takes long to know the noise, and what is planned with wider windows takes that into account, so it comes out as in the rollout's own.
func TestRareEventsInWiderWindows(t *testing.T) {
	r := parsed(t, "  patience: never\n  guardrails: [{name: errors, rate: error, increase: 0.5pp}]\n  stages: [{weight: 10, bake: 1m, max: 24h}]\n")
	tr := Stated(r, traffic(t, "requests: 200\nrates: {error: 0.1%}\n"))
	for at, g := range r.Guardrails {
		s := newSetting(r, place{guardrail: at}, &tr, Options{Runs: 21})
		canary, err := harmed(s.guard, s.healthy, UsualHarm(s.guard))
		if err != nil {
			t.Fatal(err)
		}
		early, late := make([]float64, 11), make([]float64, 11)
		for i := range early {
			after := s.noiseAfter(i, 8*time.Second)
			early[i], late[i] = after(4), after(100)
		}
		slices.Sort(early)
		slices.Sort(late)
		if early[5] < 2 || late[5] > 2 {
			t.Errorf("%s: noise of %.2f is reckoned with after half a minute, and %.2f after 800 s", g.Name, early[5], late[5])
		}
		if wide := s.runs(canary, failed, sight{width: 8 * time.Second, most: 10, last: true}); wide[0].phi == wide[1].phi {
			t.Errorf("%s: each run knows the same noise, %v", g.Name, wide[0].phi)
		}
		plannedAsFine(t, s, canary, 3000, 1.3)
	}
}

// TestSmallestHarm: the smallest harm is found in about 4 of 5 runs with other seeds, and half of its excess in fewer.
func TestSmallestHarm(t *testing.T) {
	r := parsed(t, "  patience: never\n  guardrails: [{name: errors, rate: error, increase: 0.5pp}]\n  stages: [{weight: 10, bake: 1m, max: 5m}]\n")
	tr := Stated(r, traffic(t, "requests: 400\nrates: {error: 0.2%}\n"))
	s := newSetting(r, place{}, &tr, Options{Runs: 20})
	h, found := s.smallest()
	if !found || h.Value < .0055 || h.Value > .05 {
		t.Fatalf("smallest harm %+v, %v", h, found)
	}
	other := newSetting(r, place{}, &tr, Options{Runs: 60, Seed: 99})
	share := func(value float64) float64 {
		h.Value = value
		canary, err := harmed(other.guard, other.healthy, h)
		if err != nil {
			t.Fatal(err)
		}
		w, count := worldOf(other.guard, other, time.Second, canary), 0
		for i := range other.options.Runs {
			w.random = random{other.options.Seed + uint64(i)<<32}
			if other.run(w, sight{width: time.Second, most: 298}, failed).windows > 0 {
				count++
			}
		}
		return float64(count) / float64(other.options.Runs)
	}
	value := h.Value
	at, less := share(value), share(.005+(value-.005)/2)
	t.Logf("a harm of %.3g is found in %.0f %% of runs, one of half its excess in %.0f %%", value, 100*at, 100*less)
	if at < .6 || less > at-.2 {
		t.Errorf("a harm of %.3g is found in %.0f %% of runs, half its excess in %.0f %%", value, 100*at, 100*less)
	}
}

// TestBeyondTheStage: what a short stage says of what comes after its end is about what a long one simulates: in overtime, by the rule for rates,
// by the pace of the evidence for others.
func TestBeyondTheStage(t *testing.T) {
	tests := []struct {
		guard, requests, most string
		what                  event
		how                   How
	}{
		{"{name: x, rate: error, decrease: 10%}", "2000", "10m", passed, Simulated},
		{"{name: x, rate: error, decrease: 10%}", "2000", "20s", passed, Ruled},
		{"{name: x, rate: error, decrease: 10%}", "2000", "30s", failed, Ruled},
		{"{name: x, quantile: 0.999, increase: 20%}", "200", "40s", passed, Paced},
	}
	for _, test := range tests {
		in := func(most string) Reach {
			r := parsed(t, "  patience: never\n  guardrails: ["+test.guard+"]\n  stages: [{weight: 10, bake: 1s, max: "+most+"}]\n")
			tr := Stated(r, traffic(t, "requests: "+test.requests+"\nrates: {error: 2%}\nquantiles: {latency: {p50: 20ms, p99: 100ms}}\n"))
			s := newSetting(r, place{}, &tr, Options{Runs: 15})
			if test.what == passed {
				return s.reach(s.healthy, passed)
			}
			canary, err := harmed(s.guard, s.healthy, UsualHarm(s.guard))
			if err != nil {
				t.Fatal(err)
			}
			return s.reach(canary, test.what)
		}
		long, short := in("24h"), in(test.most)
		t.Logf("%s: in 24h %+v, in %s %+v", test.guard, long, test.most, short)
		if long.How != Simulated || short.How != test.how || short.Events > 2.5*long.Events || long.Events > 2.5*short.Events {
			t.Errorf("%s: %+v instead of %+v", test.guard, short, long)
		}
	}
}

// TestRule: the rule says about what simulations say, for every kind of margin.
func TestRule(t *testing.T) {
	for _, guard := range []string{
		"rate: error, increase: 0.5pp", "rate: error, increase: 20%", "rate: error, decrease: 0.5pp", "rate: click, decrease: 4%",
		"rate: click, decrease: 4%, prove: beyond", "rate: click, increase: 0.2pp, prove: beyond", "rate: error, above: 4%", "rate: error, below: 1%",
	} {
		r := parsed(t, "  patience: never\n  guardrails: [{name: x, "+guard+"}]\n  stages: [{weight: 10}]\n")
		tr := Stated(r, traffic(t, "requests: 2000\nrates: {error: 2%, click: 2%}\n"))
		s := newSetting(r, place{}, &tr, Options{Runs: 21})
		canary, err := harmed(s.guard, s.healthy, UsualHarm(s.guard))
		if err != nil {
			t.Fatal(err)
		}
		for what, law := range map[event][]atom{failed: canary, passed: s.healthy} {
			simulation := s.reach(law, what)
			ruled, _ := s.rule(law, what, simulation.Phi)
			simulated := simulation.Events
			t.Logf("%s, %d: rule %.0f, simulated %.0f: %.2f", guard, what, ruled, simulated, ruled/simulated)
			if ruled > 1.6*simulated || simulated > 1.6*ruled {
				t.Errorf("%s, event %d: %.0f by the rule, %.0f simulated", guard, what, ruled, simulated)
			}
		}
	}
}

// TestMake: what is said where there is something to say.
func TestMake(t *testing.T) {
	r := parsed(t, `  outcomes: {click: {within: 1m}}
  guardrails:
  - {name: errors, rate: error, increase: 50pp}
  - {name: none, rate: timeout, increase: 50pp, required: false}
  - {name: full, rate: cache_miss, increase: 5pp}
  - {name: any, rate: error, increase: any, required: false}
  - {name: slow, quantile: 0.5, above: 10ms}
  - {name: ctr, rate: click, decrease: 30pp, required: false}
  - {name: cpu, sample: cpu, limit: 0.9, increase: 50pp, on: hold}
`)
	s := traffic(t, "requests: 400\nshare: 20%\nrates: {error: 10%, cache_miss: 93%, click: 2%, cpu: 5%}\nquantiles: {latency: {p50: 20ms, p99: 100ms}}\nsamples: {cpu: 4}\nphi: {errors: 3}\n")
	stages, err := Make(r, Stated(r, s), Options{Runs: 3})
	if err != nil {
		t.Fatal(err)
	}
	stage := stages[0]
	if stage.Number != 1 || stage.Share != .2 || stage.PerSecond != 80 || stage.Bake != 10*time.Minute || stage.Max != 24*time.Hour {
		t.Errorf("stage %+v", stage)
	}
	type said struct {
		unknown, harm     string
		phi               string
		suspect, canPass  bool
		required, floored bool
	}
	want := map[string]said{
		"errors": {"", "+75pp", "clumps", true, true, true, false},
		"none":   {"the baseline's rate of timeout is not stated", "", "none", false, true, false, false},
		"full":   {"a harm of +10pp can't be: the baseline's rate is 93%", "", "none", false, true, true, false},
		"any":    {"", "+10%", "little", false, false, false, false},
		"slow":   {"the baseline is beyond it already, at 19.98ms: both arms beyond a limit is no regression, and holds", "", "none", false, true, true, false},
		"ctr":    {"a harm of -60pp can't be: the baseline's rate is 2%", "", "none", false, true, false, true},
		"cpu":    {"", "+75pp", "clumps", true, true, true, false}, // taken for noisy until it is measured
	}
	for _, g := range stage.Guardrails {
		got := said{g.Unknown, g.Harm.Text, noiseOf(g.Phi), g.Suspect != nil, g.CanPass, g.Required, g.Floor == 63*time.Second}
		if got != want[g.Name] {
			t.Errorf("%s: got %+v\nwant %+v", g.Name, got, want[g.Name])
		}
	}
	if got := stage.Guardrails[0].Alpha; math.Abs(got-.01*3/11) > 1e-12 {
		t.Errorf("share of the risk %v", got)
	}
	if _, err := Make(r, Stated(r, &schemas.Traffic{Requests: 1}), Options{}); err == nil || !strings.Contains(err.Error(), "share is not known") {
		t.Errorf("without a share: %v", err)
	}
	harm := map[string]schemas.Margin{"errors": {Value: .95}}
	if _, err := Make(r, Stated(r, s), Options{Runs: 1, Harms: harm}); err == nil || err.Error() != "guardrail errors: a harm of +95pp can't be: the baseline's rate is 10%" {
		t.Errorf("an impossible harm: %v", err)
	}
}

// noiseOf is what a measured over-dispersion speaks of.
func noiseOf(phi float64) string {
	switch {
	case phi == 0:
		return "none"
	case phi >= 3:
		return "clumps"
	}
	return "little"
}

func TestSameSeedSamePlan(t *testing.T) {
	r := parsed(t, "  guardrails: [{name: errors, rate: error, increase: 1pp}, {name: p90, quantile: 0.9, increase: 20%}]\n  stages: [{weight: 10}]\n")
	tr := Stated(r, traffic(t, "requests: 200\nrates: {error: 1%}\nquantiles: {latency: {p50: 20ms, p99: 100ms}}\n"))
	var plans [2]Guardrail
	for i := range plans {
		stages, err := Make(r, tr, Options{Runs: 3, Seed: 5})
		if err != nil {
			t.Fatal(err)
		}
		plans[i] = stages[0].Guardrails[1]
		plans[i].Suspect = nil
	}
	if plans[0] != plans[1] {
		t.Errorf("%+v\n%+v", plans[0], plans[1])
	}
}

func TestFleet(t *testing.T) {
	const list = "  guardrails: [{name: e, rate: error, increase: 1pp}, {name: h, rate: timeout, increase: 1pp, on: %s}]\n"
	of := func(on, more string) Fleet {
		return FleetOf(parsed(t, "  risk: {falseRollback: 0.02}\n"+fmt.Sprintf(list, on)+more), 200, 50)
	}
	// 10,000 epochs. A silent baseline has 0.02; the split, late events, and the self-tests of both rates 0.001 each, unreadable events twice that.
	// A canary that is said not to come, or only to get copies, is rolled back beside falseRollback, where a share of the traffic is planned.
	staged := parsed(t, "  risk: {falseRollback: 0.002}\n"+fmt.Sprintf(list, "rollback")+"  stages: [{weight: 5}, {weight: 50}]\n")
	for _, test := range []struct {
		name       string
		got        Fleet
		back, want float64
	}{
		{"nothing holds but the input", of("rollback", ""), 200, 10_000 * (.02 + .004 + .002)},
		{"a guardrail holds", of("hold", ""), 200, 10_000 * (.02 + .02 + .004 + .002)},
		{"checks that warn", of("hold", "  health: {selfTest: warn}\n"), 200, 10_000 * (.02 + .02 + .002 + .002)},
		{"a planned share", of("rollback", "  stages: [{weight: 5}, {weight: 50}]\n"), 200 + 20, 10_000 * (.02 + .004 + .002)},
		{"little risk", FleetOf(staged, 200, 50), 20 + 4, 10_000 * (.002 + .004 + .002)},
	} {
		if math.Abs(test.got.FalseRollbacks-test.back) > 1e-6 || math.Abs(test.got.FalseHolds-test.want) > 1e-6 {
			t.Errorf("%s: %+v, want %v and %v", test.name, test.got, test.back, test.want)
		}
	}
}

// TestHighRatesArePlanned: of a rate that is known to be high harm of a small part of it comes, and so does a pass; about as soon of the rate as of what it leaves.
func TestHighRatesArePlanned(t *testing.T) {
	const spec = "  guardrails: [{name: e, rate: error, %s: 0.5pp}]\n  stages: [{bake: 10m, max: 24h}]\n"
	few := planned(t, parsed(t, fmt.Sprintf(spec, "increase")), "requests: 10000\nshare: 10%\nrates: {error: 30%}\n")["e"]
	most := planned(t, parsed(t, fmt.Sprintf(spec, "decrease")), "requests: 10000\nshare: 10%\nrates: {error: 70%}\n")["e"]
	for name, reaches := range map[string][2]Reach{"fails": {few.Fail, most.Fail}, "passes": {few.Pass, most.Pass}} {
		for _, r := range reaches {
			if r.How != Simulated || r.Events > 600_000 {
				t.Errorf("it %s %+v, want after some 300,000 of the canary's", name, r)
			}
		}
		if ratio := reaches[0].Events / reaches[1].Events; ratio < .5 || ratio > 2 {
			t.Errorf("it %s after %.0f of 30 %%, and after %.0f of 70 %%", name, reaches[0].Events, reaches[1].Events)
		}
	}
}
