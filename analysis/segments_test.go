package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// segmentSides is what both arms did in one segment in one window of a script.
type segmentSides struct {
	name             string
	baseline, canary side
}

// playSegments gives the judge the same serving window, by segments, some times.
func (s *script) playSegments(times int, of ...segmentSides) {
	for range times {
		s.verdict = s.judge.Step(s.bySegment(of))
		s.atMs += s.judge.clock.widthMs
	}
}

// bySegment makes a part of its segments; their names ascend.
func (s *script) bySegment(of []segmentSides) *windows.Part {
	var whole *windows.Part
	for _, one := range of {
		p := s.serving(one.baseline, one.canary)
		segment := windows.Segment{Name: one.name, Cells: p.Cells}
		for arm := range windows.Arms {
			segment.Served[arm] = p.Traffic[arm].Served
		}
		if whole == nil {
			copied := s.serving(one.baseline, one.canary)
			whole = copied
		} else {
			addPart(whole, p)
		}
		whole.Segments = append(whole.Segments, segment)
	}
	return whole
}

func addPart(to, p *windows.Part) {
	for arm := range windows.Arms {
		t, u := &to.Traffic[arm], &p.Traffic[arm]
		t.Events, t.Served = t.Events+u.Events, t.Served+u.Served
		t.SampledMin, t.SampledMax = max(t.SampledMin, u.SampledMin), max(t.SampledMax, u.SampledMax)
		for i := range to.Cells[arm] {
			c, d := &to.Cells[arm][i], &p.Cells[arm][i]
			h := histogram{buckets: c.Hist}
			h.add(d.Hist)
			c.N, c.K, c.Sum, c.Squares, c.Hist = c.N+d.N, c.K+d.K, c.Sum+d.Sum, c.Squares+d.Squares, h.buckets
		}
	}
}

func watching(r *schemas.Rollout, top int, list ...string) *schemas.Rollout {
	r.Segments = &schemas.Segments{Field: schemas.SegmentField, Top: top, List: list}
	return r
}

// TestRoster holds which segments are watched, and that they stay the same.
func TestRoster(t *testing.T) {
	part := func(counts ...any) *windows.Part {
		p := &windows.Part{Stream: windows.Stream{Kind: windows.Serving}}
		for i := 0; i < len(counts); i += 2 {
			n := int64(counts[i+1].(int))
			p.Traffic[windows.Baseline].Events += n
			p.Segments = append(p.Segments, windows.Segment{Name: counts[i].(string), Served: [windows.Arms]int64{n, 1000}})
		}
		return p
	}
	r := newRoster(&schemas.Segments{Top: 2})
	for i := range 29 { // the 30th chooses
		r.count(part("", 900, "a", 1, "b", 5, "c", 3))
		r.count(&windows.Part{}) // without predictions: doesn't count
		if r.frozen {
			t.Fatalf("frozen after %d windows", i+1)
		}
	}
	r.count(part("c", 300))
	if want := []string{"b", "c"}; !r.frozen || !slices.Equal(r.names, want) {
		t.Fatalf("frozen %v with %v, want %v", r.frozen, r.names, want)
	}
	r.count(part("z", 9000))
	var slots []int
	for _, name := range []string{"b", "c", "a", "z", ""} {
		slots = append(slots, r.slot(name))
	}
	if want := []int{0, 1, 2, 2, 2}; !slices.Equal(slots, want) {
		t.Errorf("slots %v, want %v", slots, want)
	}
	few := newRoster(&schemas.Segments{Top: 5})
	for range rosterWindows {
		few.count(part("a", 7, "b", 7))
	}
	if few.slot("b") != 1 || few.slot("x") != 5 || few.name(5) != otherSegment || few.name(3) != "" {
		t.Errorf("with fewer segments than slots: b in %d, x in %d, names %q %q", few.slot("b"), few.slot("x"), few.name(5), few.name(3))
	}
	if listed := newRoster(&schemas.Segments{List: []string{"z", "a"}}); !listed.frozen || listed.slot("a") != 0 || listed.slot("q") != 2 {
		t.Errorf("a list: %+v", listed)
	}
}

// TestSegmentBudget holds the shares of the budget: a tenth for segments, the rest as before, and all of it together.
func TestSegmentBudget(t *testing.T) {
	guards := []schemas.Guardrail{
		guardrail("errors: rate error increase 0.5pp weight=3"), guardrail("cpu: sample cpu 0.9 increase 5pp"),
		guardrail("timeouts: rate timeout increase 0.5pp on=hold"), guardrail("memory: sample memory 0.9 increase 5pp on=warn"),
	}
	j := NewJudge(watching(rolloutOf(guards...), 4), Options{Phi: 1})
	near := func(name string, got, share float64) {
		t.Helper()
		if want := math.Log(1 / (.05 * share)); math.Abs(got-want) > 1e-12 {
			t.Errorf("%s: threshold %.6f, want %.6f", name, got, want)
		}
	}
	threshold := func(g *guard) float64 { return g.family.any.thresholds[g.member] }
	near("errors", threshold(j.guards[0]), .9*3/5)
	near("cpu", threshold(j.guards[1]), .9*1/5)
	near("the missing canary", j.rollback.any.thresholds[j.missingMember], .9*1/5)
	near("timeouts", threshold(j.guards[2]), .9)
	near("memory, whose samples have no segments", threshold(j.guards[3]), .9)
	if n := len(j.guards[0].segments); n != 5 || len(j.guards[1].segments) != 0 {
		t.Fatalf("%d and %d segments, want 5 and none", n, len(j.guards[1].segments))
	}
	for _, part := range j.guards[0].segments {
		near("errors by segment", threshold(part), .1/5)
	}
	for _, part := range j.guards[2].segments {
		near("timeouts by segment", threshold(part), .1/5)
	}
	for _, f := range j.families {
		sum := 0.0
		for _, w := range f.any.weights {
			sum += w
		}
		if math.Abs(sum-1) > 1e-12 {
			t.Errorf("weights add up to %v", sum)
		}
	}
}

// TestSegmentHarm holds that harm in one small segment rolls back where the whole hardly moves, and is told with its name.
func TestSegmentHarm(t *testing.T) {
	r := watching(rolloutOf(guardrail("errors: rate error increase 0.5pp weight=3"), guardrail("p99: quantile 0.99 latency increase 20%")), 3)
	s := newScript(t, r, Options{Phi: 1})
	fine := segmentSides{"de", side{n: 4000, errors: 8, latencyMs: 20}, side{n: 400, errors: 1, latencyMs: 20}}
	also := segmentSides{"fr", side{n: 2000, errors: 4, latencyMs: 20}, side{n: 200, latencyMs: 20}}
	tiny := segmentSides{"li", side{n: 90, latencyMs: 20}, side{n: 9, latencyMs: 20}}
	bad := segmentSides{"it", side{n: 200, errors: 1, latencyMs: 20}, side{n: 20, errors: 2, latencyMs: 20}}
	s.playSegments(30, fine, also, segmentSides{"it", bad.baseline, side{n: 20, latencyMs: 20}}, tiny)
	for i := 0; i < 60 && s.verdict.Action != VerdictRollback; i++ {
		s.playSegments(1, fine, also, bad, tiny)
	}
	s.want(VerdictRollback, codeGuardrailFailed)
	if s.verdict.Guardrail != "errors" || s.verdict.Segment != "it" {
		t.Fatalf("because of %s in %q: %s", s.verdict.Guardrail, s.verdict.Segment, s.verdict.Sentence)
	}
	want := "Canary 42 answers with more errors than baseline 41 in segment it: 10 % against 0.5 % since 09:00:30 ("
	if !strings.HasPrefix(s.verdict.Sentence, want) {
		t.Errorf("sentence %q, want %q…", s.verdict.Sentence, want)
	}
	var told []string
	for _, st := range s.judge.Status() {
		told = append(told, fmt.Sprint(st.Name, " ", st.Segment, " ", st.State, " ", st.Harmed))
	}
	if want := []string{"errors  continue [it]", "errors it failed []", "p99  continue []"}; !reflect.DeepEqual(told, want) && told[0] != "errors  passed [it]" {
		t.Errorf("status %q, want %q", told, want)
	}
	if all := s.judge.Segments(); len(all) != 8 || all[3].Segment != otherSegment || all[3].Canary.N == 0 {
		t.Errorf("%d segments are told, want 8", len(all))
	}
}

// TestOtherSegments holds that all that is not watched is judged together, quantiles included.
func TestOtherSegments(t *testing.T) {
	r := watching(rolloutOf(guardrail("p90: quantile 0.9 latency increase 20%")), 0, "de")
	s := newScript(t, r, Options{})
	good := side{n: 500, latencyMs: 20}
	for range 200 {
		s.playSegments(1, segmentSides{"", side{n: 50, latencyMs: 20}, side{n: 5, latencyMs: 40}}, segmentSides{"de", good, good},
			segmentSides{"fr", side{n: 30, latencyMs: 20}, side{n: 3, latencyMs: 40}}, segmentSides{"it", side{n: 20, latencyMs: 20}, side{n: 2, latencyMs: 40}})
	}
	g := s.guard("p90")
	if g.segments[0].state != continues || g.segments[1].state != failed {
		t.Fatalf("de is %s, other is %s", g.segments[0].state, g.segments[1].state)
	}
	if st := s.judge.Segments()[1]; st.Segment != otherSegment || st.Canary.N != 10*(st.Baseline.N/100) {
		t.Errorf("status of others: %s, %d and %d", st.Segment, st.Baseline.N, st.Canary.N)
	}
}

// TestSegmentsNeverPass holds that a promotion needs the whole alone, and that a suspect segment stands in its way.
func TestSegmentsNeverPass(t *testing.T) {
	r := watching(rolloutOf(errors05), 0, "de")
	s := newScript(t, r, Options{Phi: 1})
	fine := segmentSides{"de", side{n: 900, errors: 1}, side{n: 100}}
	s.playSegments(70, fine, segmentSides{"fr", side{n: 900, errors: 1}, side{n: 100}})
	s.want(VerdictPromote, codeAllPassed)
	s.guard("errors").segments[0].state = suspect
	if s.judge.passed(&r.Stages[0]) {
		t.Error("a suspect segment doesn't stand in the way")
	}
}

// mixWorld is two segments whose rates differ tenfold, of which the canary has another mix than the baseline.
type mixWorld struct {
	world world
	plus  float64 // the canary's, in both segments, as a factor
}

// part makes one window: segment a has errors at 1 %, b at 10 %. A fifth of the baseline's predictions and four fifths of the canary's are in b.
func (m *mixWorld) part(s *script) *windows.Part {
	draw := func(n int64, rate float64) side { return side{n: n, errors: m.world.binomial(n, rate)} }
	return s.bySegment([]segmentSides{
		{"a", draw(800, .01), draw(20, .01*m.plus)},
		{"b", draw(200, .1), draw(80, .1*m.plus)},
	})
}

// TestStratifyMix holds what stratify is for: a mix of segments that differs between the arms fakes harm without it, and hides harm; with it, neither. The mirrored mix hides.
func TestStratifyMix(t *testing.T) {
	for _, tt := range []struct {
		name     string
		stratify bool
		plus     float64
		mirror   bool
		least    int // rollbacks of the runs
		most     int
	}{
		{"a mix that fakes harm, not stratified", false, 1, false, 12, 12},
		{"a mix that fakes harm, stratified", true, 1, false, 0, binomialLimit(12, .05)},
		{"a mix that hides harm, not stratified", false, 2, true, 0, 0},
		{"a mix that hides harm, stratified", true, 2, true, 11, 12},
	} {
		rolled := make([]bool, 12)
		inParallel(len(rolled), func(i int, random *rand.Rand) {
			r := watching(rolloutOf(guardrail("errors: rate error increase 20%")), 2)
			r.Stratify, r.Segments.Top = tt.stratify, 1
			s := newScript(t, r, Options{Phi: 1, NoIntervals: true})
			m := &mixWorld{plus: tt.plus}
			m.world.random = random
			for range 300 {
				p := m.part(s)
				if tt.mirror {
					p = mirrored(s, m)
				}
				s.verdict = s.judge.Step(p)
				s.atMs += 1000
			}
			rolled[i] = s.guard("errors").state == failed
		})
		n := 0
		for _, r := range rolled {
			if r {
				n++
			}
		}
		t.Logf("%s: %d of %d", tt.name, n, len(rolled))
		if n < tt.least || n > tt.most {
			t.Errorf("%s: %d of %d failed, want %d to %d", tt.name, n, len(rolled), tt.least, tt.most)
		}
	}
}

// mirrored is a window in which the canary has less of the bad segment.
func mirrored(s *script, m *mixWorld) *windows.Part {
	draw := func(n int64, rate float64) side { return side{n: n, errors: m.world.binomial(n, rate)} }
	return s.bySegment([]segmentSides{
		{"a", draw(200, .01), draw(80, .01*m.plus)},
		{"b", draw(800, .1), draw(20, .1*m.plus)},
	})
}

// TestStrataAddUp holds the arithmetic: the evidence is the mixture over the sums of the segments' increments, each block its segment's own.
func TestStrataAddUp(t *testing.T) {
	r := watching(rolloutOf(guardrail("errors: rate error increase 1pp")), 0, "a", "b")
	r.Stratify = true
	s := newScript(t, r, Options{Phi: 1})
	k := newRateContrast(&r.Guardrails[0], gridOf(&r.Guardrails[0]))
	want := newTrial(k, newRateAccount(keeping{}), shape{components: 8, passes: true})
	block := func(nb, kb, nc, kc int64) *increments {
		inc := newIncrements(want.shape)
		b := &block{n: [2]int64{nb, nc}, k: [2]int64{kb, kc}}
		if !k.increments(inc, b, independent) {
			t.Fatal("no increments")
		}
		return inc
	}
	both := func(a, b *increments) *increments { a.add(b); return a }
	a := segmentSides{"a", side{n: 100, errors: 2}, side{n: 10, errors: 1}}
	b := segmentSides{"b", side{n: 50, errors: 1}, side{n: 4, errors: 1}} // two windows to a block
	for i := range int64(6) {
		s.playSegments(1, a, b)
		inc := block(100, 2, 10, 1)
		if i%2 == 1 {
			inc = both(inc, block(100, 2, 8, 2))
		}
		want.step(inc, span{startMs + i*1000, startMs + (i+1)*1000}, s.judge.clock)
	}
	got := s.guard("errors").canary
	for _, pair := range [][2]float64{{got.any.LogE(), want.any.LogE()}, {got.beyond.LogE(), want.beyond.LogE()}, {got.passLogE(), want.passLogE()}} {
		if pair[0] != pair[1] || pair[0] == 0 {
			t.Errorf("log evidence %v, want %v", pair[0], pair[1])
		}
	}
	e := s.guard("errors").estimate(0)
	if e[windows.Canary].n != 6*14 || e[windows.Canary].events != 6*2 || e[windows.Baseline].n != 900 {
		t.Errorf("the account has %+v", e)
	}
	if at, ok := got.began(); !ok || at != startMs {
		t.Errorf("harm began at %v, %v", schemas.Time(at), ok)
	}
}

// TestStratumShareChange holds that a change of one segment's share cuts its block alone.
func TestStratumShareChange(t *testing.T) {
	r := watching(rolloutOf(errors05), 0, "a")
	r.Stratify = true
	s := newScript(t, r, Options{Phi: 1})
	a := func(canary int64) segmentSides { return segmentSides{"a", side{n: 1000}, side{n: canary}} }
	b := segmentSides{"b", side{n: 1000}, side{n: 5}}
	s.playSegments(3, a(100), b) // b: one block of two windows, one open window
	g := s.guard("errors")
	if n := g.estimate(0)[windows.Canary].n; n != 310 {
		t.Fatalf("%d canary predictions tested, want 310", n)
	}
	s.playSegments(1, a(500), b) // a's window is left out, b's block closes
	if n := g.estimate(0)[windows.Canary].n; n != 320 {
		t.Errorf("%d canary predictions tested, want 320", n)
	}
	s.pause(2 * time.Hour)
	s.playSegments(1, segmentSides{"b", side{n: 1000}, side{n: 5}})
	s.pause(2 * time.Hour)
	s.playSegments(1, segmentSides{"b", side{n: 1000}, side{n: 5}}) // what is older than a block may be was tested alone
	if n := g.estimate(0)[windows.Canary].n; n != 325 {
		t.Errorf("%d canary predictions tested, want 325", n)
	}
}

// TestSegmentShareChange holds that a change of one segment's share ends that segment's block, and no other's.
func TestSegmentShareChange(t *testing.T) {
	r := watching(rolloutOf(errors05), 0, "a", "b")
	s := newScript(t, r, Options{Phi: 1})
	tested := func(slot int) int64 { return s.guard("errors").segments[slot].estimate(0)[windows.Canary].n }
	b := segmentSides{"b", side{n: 1000}, side{n: 20}}
	s.playSegments(3, segmentSides{"a", side{n: 1000}, side{n: 100}}, b)
	s.playSegments(1, segmentSides{"a", side{n: 1000}, side{n: 500}}, b) // a's window is nobody's
	s.playSegments(2, segmentSides{"a", side{n: 1000}, side{n: 500}}, b)
	if a, b := tested(0), tested(1); a != 300+1000 || b != 120 {
		t.Errorf("%d and %d canary predictions tested, want 1300 and 120", a, b)
	}
}

// TestStrataOfEveryKind holds that every contrast of values works within segments, by a segment that is ten times as large in all of its values and of which the
// canary has more.
func TestStrataOfEveryKind(t *testing.T) {
	for _, spec := range []string{
		"g: quantile 0.9 latency increase 20%", "g: distribution latency ks increase 20%", "g: distribution latency ks both any",
		"g: distribution latency mann-whitney increase 20%", "g: mean tokens increase 20% from=prediction cap=1000",
	} {
		for _, tt := range []struct {
			stratify bool
			factor   float64
			want     schemas.State
		}{{false, 1, failed}, {true, 1, continues}, {true, 2, failed}} {
			r := watching(rolloutOf(guardrail(spec)), 0, "a", "b")
			r.Stratify, r.Patience, r.Stages[0].Bake = tt.stratify, schemas.Never, time.Hour
			w := newRowWorld(t, r, rand.New(rand.NewPCG(4, 4)))
			for range 60 {
				w.mixed(tt.factor)
			}
			if g := w.script.guard("g"); g.state != tt.want && !(tt.want == continues && g.state == passed) {
				t.Errorf("%s, stratified %v, canary times %v: %s, any %.1f, want %s", spec, tt.stratify, tt.factor, g.state, g.anyE(), tt.want)
			}
		}
	}
}

// mixed gives the judge a window of two segments: in b, which has a fifth of the baseline's and four fifths of the canary's predictions, values are ten times as large.
func (w *rowWorld) mixed(factor float64) {
	s := w.script
	p := &windows.Part{Stream: serving, StartMs: s.atMs}
	for _, of := range []struct {
		name string
		size float64
		n    [windows.Arms]int64
	}{{"a", 1, [windows.Arms]int64{400, 20}}, {"b", 10, [windows.Arms]int64{100, 80}}} {
		segment := windows.Segment{Name: of.name, Served: of.n}
		one := s.serving(side{n: of.n[0]}, side{n: of.n[1]})
		for arm := range windows.Arms {
			w.rows = w.rows[:0]
			for range of.n[arm] {
				x := 20 * math.Exp(.3*w.random.NormFloat64()) * of.size
				if windows.Arm(arm) == windows.Canary {
					x *= factor
				}
				w.rows = append(w.rows, row{x, w.slice()})
			}
			segment.Cells[arm] = w.cells(windows.Arm(arm), windows.Serving)
			one.Cells[arm] = w.cells(windows.Arm(arm), windows.Serving)
		}
		if len(p.Segments) == 0 {
			p.Cells, p.Traffic = one.Cells, one.Traffic
		} else {
			addPart(p, one)
		}
		p.Segments = append(p.Segments, segment)
	}
	s.verdict = s.judge.Step(p)
	s.atMs += 1000
}

// TestSegmentRatios: intervals of ratios of segments are there for those who ask for them, hold the truth, and change nothing of what is decided or told otherwise.
func TestSegmentRatios(t *testing.T) {
	guards := []schemas.Guardrail{
		guardrail("median: quantile 0.5 latency increase 20%"), guardrail("errors: rate error increase 20%"), guardrail("points: rate error increase 1pp"),
		guardrail("score: quantile 0.5 score increase 0.5 buckets=0,100,400"),
	}
	r := watching(rolloutOf(guards...), 0, "a", "b")
	judges := []*Judge{NewJudge(r, Options{Phi: 1}), NewJudge(r, Options{Phi: 1, SegmentRatios: true})}
	s := &script{t: t, rollout: r, judge: judges[0], keys: Metrics(r), atMs: startMs}
	w := &rowWorld{script: s, random: rand.New(rand.NewPCG(9, 9))}
	factors := map[string]float64{"a": 1, "b": 1.5}
	for range 200 {
		part := &windows.Part{Stream: serving, StartMs: s.atMs}
		for _, name := range []string{"a", "b"} {
			w.addFactor(part, name, factors[name])
		}
		for _, j := range judges {
			j.Step(part)
		}
		s.atMs += 1000
	}
	if !slices.Equal(judges[0].Evidence(nil), judges[1].Evidence(nil)) || !reflect.DeepEqual(judges[0].Status(), judges[1].Status()) {
		t.Error("what is kept for those who ask changes evidence or status")
	}
	without := judges[0].Segments()
	for i, g := range judges[1].Segments() {
		truth, width := factors[g.Segment], .5
		switch g.Name {
		case "median":
			if without[i].Lower != nil || without[i].Upper != nil {
				t.Errorf("%s in %s has bounds without being asked", g.Name, g.Segment)
			}
		case "points":
			if g.Ratio.Lower == nil || g.Ratio.Upper == nil || *g.Ratio.Lower > truth || *g.Ratio.Upper < truth {
				t.Errorf("%s in %s: ratio %+v, truth %v", g.Name, g.Segment, g.Ratio, truth)
			}
			continue
		case "score":
			truth, width = 20*(truth-1), 3 // the interval's steps are one apart
		}
		if g.Segment == "" || g.Lower == nil || g.Upper == nil || *g.Lower > truth || *g.Upper < truth || *g.Upper-*g.Lower > width {
			t.Errorf("%s in %s: %+v, truth %v", g.Name, g.Segment, g, truth)
		}
	}
}

// addFactor makes 100 predictions for each arm of one segment: latencies and scores of about 20, one in ten an error, the canary's more by a factor.
func (w *rowWorld) addFactor(p *windows.Part, name string, factor float64) {
	segment := windows.Segment{Name: name}
	for arm := range windows.Arms {
		more := 1.0
		if windows.Arm(arm) == windows.Canary {
			more = factor
		}
		w.rows = w.rows[:0]
		for range 100 {
			w.rows = append(w.rows, row{more * 20 * math.Exp(.1*w.random.NormFloat64()), w.slice()})
		}
		cells := w.cells(windows.Arm(arm), windows.Serving)
		for i := range cells {
			if w.script.keys[i].Key() == "error" {
				cells[i].N, cells[i].K = 100, (&world{random: w.random}).binomial(100, .1*more)
			}
		}
		segment.Served[arm], segment.Cells[arm] = 100, cells
	}
	whole := windows.Part{Stream: serving, StartMs: p.StartMs}
	for arm := range windows.Arms {
		whole.Traffic[arm] = windows.Traffic{Events: 100, Served: 100, SampledMin: 1, SampledMax: 1}
		whole.Cells[arm] = slices.Clone(segment.Cells[arm])
	}
	if p.Cells[0] == nil {
		p.Traffic, p.Cells = whole.Traffic, whole.Cells
	} else {
		addPart(p, &whole)
	}
	p.Segments = append(p.Segments, segment)
}

// TestStrataBeyondTheirBound: what is beyond the bound of strata may be a mix that differs between the arms, so it is as if it had never come, and the rollout holds.
func TestStrataBeyondTheirBound(t *testing.T) {
	r := watching(rolloutOf(errors05, guardrail("p90: quantile 0.9 latency increase 20%")), 1)
	r.Stratify = true
	play := func(left bool) *script {
		s := newScript(t, r, Options{Phi: 1})
		random := rand.New(rand.NewPCG(6, 7))
		for range 40 {
			var of []segmentSides
			for i := range 400 {
				baseline := side{n: 4 + random.Int64N(4), latencyMs: 20}
				canary := side{n: 4 + random.Int64N(4), latencyMs: 20, errors: random.Int64N(2)}
				one := segmentSides{fmt.Sprintf("g%03d", i), baseline, canary}
				if i < strataMost-1 || left { // "" has a place, too
					of = append(of, one)
				}
			}
			s.playSegments(1, of...)
		}
		return s
	}
	all, placed := play(true), play(false)
	for i, g := range all.judge.guards {
		m := placed.judge.guards[i]
		if g.anyE() != m.anyE() || g.canary.tested != m.canary.tested || len(g.canary.strata.open) > strataMost {
			t.Errorf("%s: evidence %v of %d blocks, without the rest %v of %d", g.spec.Name, g.anyE(), g.canary.tested, m.anyE(), m.canary.tested)
		}
	}
	if all.judge.guards[0].anyE() < 10 {
		t.Errorf("evidence %v of a harm that is there", all.judge.guards[0].anyE())
	}
	for s, want := range map[*script]bool{all: true, placed: false} {
		if told := slices.ContainsFunc(s.judge.checks, func(c check) bool { return c.code() == codeSegmentsFull && c.holds() && s.judge.unplaced() }); told != want {
			t.Errorf("a segment without a place is told: %v, want %v", told, want)
		}
	}
}

// TestSegmentNoise: a segment whose users fail together is noisier than all traffic, and tested so; before its noise is known, all that there is may be its own.
func TestSegmentNoise(t *testing.T) {
	r := watching(rolloutOf(errors05), 0, "calm", "wild")
	s := newScript(t, r, Options{})
	random := rand.New(rand.NewPCG(8, 9))
	phi := func(slot int) float64 { return s.judge.guards[0].segments[slot].canary.phi.canary() }
	step := func() {
		wild := int64(0)
		if random.IntN(10) == 0 {
			wild = 20 // of 100, all at once
		}
		of := func(n, errors int64) side {
			x := side{n: n, errors: errors}
			for i := range x.slices { // as alike as can be: the whole shows no noise
				x.slices[i] = windows.SliceCount{N: n / windows.Slices, K: errors / windows.Slices}
			}
			return x
		}
		s.playSegments(1, segmentSides{"calm", of(800, 8+random.Int64N(3)), side{n: 80}}, segmentSides{"wild", of(100, wild), side{n: 10}})
	}
	for range 40 {
		step()
	}
	if g := s.judge.guards[0]; g.segments[1].canary.tested != 0 || g.canary.tested == 0 {
		t.Errorf("%d blocks of a segment are tested before its noise is known, %d of all", g.segments[1].canary.tested, g.canary.tested)
	}
	for range 20 {
		step()
	}
	whole := s.judge.guards[0].canary.phi.canary()
	if s.judge.guards[0].segments[1].canary.tested == 0 || phi(1) < whole || phi(0) < whole {
		t.Errorf("phi %v and %v, of all %v", phi(0), phi(1), whole)
	}
	for range 400 {
		step()
	}
	if calm, wild := phi(0), phi(1); wild < 10 || calm > 4 || wild < 3*calm {
		t.Errorf("phi %v of the calm segment, %v of the wild one", calm, wild)
	}
}

// TestCrowdedSegments: where a window has as many segments as are told apart, the greatest may not be among them: the rollout holds, and people hear why.
func TestCrowdedSegments(t *testing.T) {
	for names, want := range map[int]VerdictAction{windows.MaxSegments: VerdictHold, windows.MaxSegments - 1: VerdictContinue} {
		s := newScript(t, watching(rolloutOf(errors05), 2), Options{Phi: 1})
		of := []segmentSides{{"", side{n: 5}, side{n: 5}}}
		for i := range names {
			of = append(of, segmentSides{fmt.Sprintf("g%03d", i), side{n: 2}, side{n: 2}})
		}
		s.playSegments(3, of...)
		told := slices.ContainsFunc(s.verdict.Health, func(f schemas.Finding) bool { return f.Code == codeSegmentsFull })
		if told != (want == VerdictHold) || s.verdict.Action != want {
			t.Errorf("%d names: told %v, verdict %s, want %s", names, told, s.verdict.Action, want)
		}
	}
}
