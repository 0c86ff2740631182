package analysis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// leaningRest is three segments without harm: one that is watched, and two that are not, of which the canary has more of the one that fails more often.
var leaningRest = []segmentSides{
	{"a", side{n: 500, errors: 5}, side{n: 50}},
	{"x", side{n: 400}, side{n: 20}},
	{"y", side{n: 100, errors: 20}, side{n: 60, errors: 12}},
}

// TestOthersAreAMix: with stratify nothing is made of all other segments together, which fake harm as all traffic does, and who asks for segments hears it.
func TestOthersAreAMix(t *testing.T) {
	for _, stratify := range []bool{false, true} {
		r := watching(rolloutOf(guardrail("errors: rate error increase any")), 1)
		r.Stratify, r.Patience = stratify, schemas.Never
		s := newScript(t, r, Options{Phi: 1})
		s.playSegments(100, leaningRest...)
		other := s.guard("errors").segments[1]
		if fell := other.state == failed; fell == stratify || other.segment != otherSegment {
			t.Errorf("stratify %v: %q is %s, any %.1f", stratify, other.segment, other.state, other.anyE())
		}
		if !stratify {
			continue
		}
		if g := s.guard("errors"); g.state == failed || g.canary.tested == 0 || s.verdict.Action == VerdictRollback {
			t.Errorf("%s after %d steps: %s", g.state, g.canary.tested, s.verdict.Sentence)
		}
		told := s.judge.Segments()
		if i := slices.IndexFunc(told, func(g schemas.GuardrailStatus) bool { return g.Segment == otherSegment }); i < 0 || told[i].State != schemas.StateInsufficient || told[i].Why != whySeveral {
			t.Errorf("what is told of segments: %+v", told)
		}
	}
}

// TestUnlistedAreAMix: with stratify and a list, what is in none of its segments is compared nowhere, and that is told without a hold.
func TestUnlistedAreAMix(t *testing.T) {
	r := watching(rolloutOf(guardrail("errors: rate error increase any")), 0, "a")
	r.Stratify = true
	s := newScript(t, r, Options{Phi: 1})
	rest := segmentSides{"", side{n: 500, errors: 20}, side{n: 80, errors: 12}} // as windows has x and y
	s.playSegments(100, rest, leaningRest[0])
	g := s.guard("errors")
	if e := g.estimate(0); g.state == failed || e[0].n+e[1].n != 100*550 {
		t.Errorf("%s, of %+v", g.state, e)
	}
	i := slices.IndexFunc(s.verdict.Health, func(f schemas.Finding) bool { return f.Code == codeUnlisted })
	if i < 0 || !strings.HasPrefix(s.verdict.Health[i].Sentence, "51.3 % of the predictions (") || s.verdict.Action == VerdictHold {
		t.Errorf("verdict %s, health %+v", s.verdict.Action, s.verdict.Health)
	}
	s = newScript(t, r, Options{Phi: 1})
	if s.playSegments(3, leaningRest[0]); len(s.verdict.Health) > 0 {
		t.Errorf("nothing is out of the list, and yet: %+v", s.verdict.Health)
	}
}

// TestCrowdedStrata: in a window with more names than are told apart, those without name may be several segments, and are compared nowhere; else they are one.
func TestCrowdedStrata(t *testing.T) {
	for names, want := range map[int]int64{200: 200, 199: 200} {
		r := watching(rolloutOf(errors05), 1)
		r.Stratify = true
		s := newScript(t, r, Options{Phi: 1})
		of := []segmentSides{{"", side{n: 20}, side{n: 10}}}
		for i := range names {
			of = append(of, segmentSides{fmt.Sprintf("g%03d", i), side{n: 20}, side{n: 10}})
		}
		s.playSegments(1, of...)
		if n := s.guard("errors").estimate(0)[1].n; n != 10*want {
			t.Errorf("%d names: %d of the canary's are compared, want %d", names, n, 10*want)
		}
	}
}

// TestStrataNoise: a segment whose users fail together, and of which the canary has far more than of the other, is as noisy in the sum of contrasts as all its noise makes it, and not as all traffic is.
func TestStrataNoise(t *testing.T) {
	r := watching(rolloutOf(errors05), 1)
	r.Stratify = true
	s := newScript(t, r, Options{})
	random, k := rand.New(rand.NewPCG(8, 9)), 0
	step := func(more ...segmentSides) {
		wild := int64(0)
		if k++; k%10 == 7 {
			wild = 24 // of 120, all at once, in three of the eight parts
		}
		calm, some := side{n: 800, errors: 8 + random.Int64N(3)}, side{n: 120, errors: wild}
		for i := range calm.slices { // all of the window's are the first one's
			calm.slices[i] = windows.SliceCount{N: 115, K: 1}
		}
		for i := range 3 {
			calm.slices[i].K += wild / 3
		}
		s.playSegments(1, append([]segmentSides{{"calm", calm, side{n: 8}}, {"wild", some, side{n: 120}}}, more...)...)
	}
	const calm, wild, late = 1, 2, 3
	g := s.guard("errors").canary
	for range 100 {
		step()
	}
	lean := g.strata.roll.noise.leans[g.strata.cell]
	w := [2]float64{.01 * 1.01, 2}
	near, all := 2*920/(800*w[0]+120*w[1]), g.phi.arms()
	of := armPhi{1 + lean*(all[0]-1), 1 + lean*(all[1]-1)}
	if math.Abs(lean-near) > .05*near || g.phiOf(calm) != of || g.phiOf(wild) != of || of[0] < 20 {
		t.Errorf("after 100 windows phi is %v and %v, that of all %v times %v, want about %v", g.phiOf(calm), g.phiOf(wild), g.phi.arms(), lean, near)
	}
	for range 300 {
		step()
	}
	if calm, wild := g.phiOf(calm)[0], g.phiOf(wild)[0]; wild < 15 || calm > g.phi.canary() && calm > 4 {
		t.Errorf("once measured phi is %v of the calm segment, %v of the wild one, %v of all", calm, wild, g.phi.canary())
	}
	for i := range 60 {
		step(segmentSides{"x", side{n: 40}, side{n: 40}})
		if tested := !g.unknown(late); tested != (i >= 49) {
			t.Fatalf("a segment that came late is tested after %d windows: %v", i+1, tested)
		}
	}
}

// TestFewEventsTellNoNoise: a segment's past is believed once it has shown 200 events, with stratify or without, whatever it is tested by: of rare clumps the first may be the canary's.
func TestFewEventsTellNoNoise(t *testing.T) {
	for _, stratify := range []bool{false, true} {
		r := watching(rolloutOf(errors05), 0, "a")
		r.Stratify = stratify
		s := newScript(t, r, Options{})
		for _, step := range []struct {
			windows int
			errors  int64
			told    bool
		}{{partWindows, 0, false}, {partEvents - 1, 1, false}, {1, 1, true}} {
			s.playSegments(step.windows, segmentSides{"a", side{n: 100, errors: step.errors}, side{n: 10}})
			if of := s.judge.streams[0].strips.noises[s.guard("errors").cell][0]; of.told() != step.told {
				t.Errorf("stratify %v: told %v after %d windows with %g errors", stratify, of.told(), of.counted, of.events)
			}
		}
	}
}

// TestFewEventsOfASmallSegment: what a segment's past has not shown in 250 windows is no larger than what is in one of them, however many events others have.
func TestFewEventsOfASmallSegment(t *testing.T) {
	whole := &dispersion{}
	of := newPartDispersion(whole)
	for k := range 2 * partWindows {
		whole.events += 10
		of.addPast(int64(4+2*(k%2)), 0) // 4 and 6 requests
		want := float64(10*(k+1)+1)*.5 + 1
		if k+1 >= partWindows {
			want = 5.2
		}
		if phi := of.ofPart(1.5); math.Abs(phi-want) > .01 {
			t.Fatalf("phi %.4f after %d windows, want %.4f", phi, k+1, want)
		}
	}
}

// TestStrataSplitAlike: where all segments are split as all traffic is, they are as noisy together as that.
func TestStrataSplitAlike(t *testing.T) {
	of := []traffic{{watch: shareWatch{}}, {watch: shareWatch{100, 900}}, {watch: shareWatch{10, 90}}}
	n := strataNoise{parts: [][]*dispersion{{{}, {events: 9}, {}}}, leans: []float64{0}, apart: []bool{true}}
	for _, times := range []float64{1, 2} { // of half the traffic that is compared all the noise may be
		if n.lean(of, times); math.Abs(n.leans[0]-times) > 1e-9 || math.Abs(n.ranks-times) > 1e-9 || n.apart[0] {
			t.Errorf("leans %v, of ranks %v, want %v", n.leans, n.ranks, times)
		}
	}
}

// TestSimStratifiedNoise counts rollbacks of healthy canaries in the world of stratify, and of canaries on their margin what fails and passes: users of batch send 20 requests that fail together, and half of them are the canary's; of web's single
// requests it has one in a hundred.
func TestSimStratifiedNoise(t *testing.T) {
	runs := size(8, 200)
	for _, tt := range []struct {
		spec string
		plus float64
	}{{"errors: rate error increase any", 0}, {"errors: rate error increase 0.5pp", .005}} {
		fell, kept := make([]bool, runs), make([]bool, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			r := watching(rolloutOf(guardrail(tt.spec)), 2)
			r.Stratify, r.Phi, r.Patience, r.Stages[0].Bake = true, 1.5, schemas.Never, time.Hour
			w := &clumpWorld{world: world{random: random}, judge: NewJudge(r, Options{NoIntervals: true}), keys: Metrics(r), plus: tt.plus, of: []clumpUsers{
				{"batch", [windows.Arms]float64{10, 10}, 20, .01}, {"web", [windows.Arms]float64{1900, 20}, 1, .01},
			}}
			for k := range int64(size(60, 500)) {
				fell[i] = w.step(startMs+k*1000).Action == VerdictRollback || fell[i]
				kept[i] = w.judge.guards[0].passed || kept[i]
			}
		})
		n, passed, limit := trueOf(fell), trueOf(kept), binomialLimit(runs, .05)
		if t.Logf("%s: %d of %d rolled back, %d passed, limit %d", tt.spec, n, runs, passed, limit); n > limit || passed > limit {
			t.Errorf("%s: %d of %d rolled back, %d passed", tt.spec, n, runs, passed)
		}
	}
}

// TestSimFewEventsOfASegment counts how often the own guardrail of a healthy segment fails whose users send 20 requests that fail together, once in 1,000 windows of an arm, where others fail a thousand times as often: its share is half of what segments have, since there is "other", too.
func TestSimFewEventsOfASegment(t *testing.T) {
	for _, stratify := range []bool{false, true} {
		runs := size(40, 200)
		fell := make([]bool, runs)
		inParallel(runs, func(i int, random *rand.Rand) {
			r := watching(rolloutOf(guardrail("errors: rate error increase any")), 0, "few")
			r.Stratify, r.Phi, r.Patience, r.Stages[0].Bake = stratify, 1.5, schemas.Never, time.Hour
			w := &clumpWorld{world: world{random: random}, judge: NewJudge(r, Options{NoIntervals: true}), keys: Metrics(r), of: []clumpUsers{
				{"few", [windows.Arms]float64{1, 1}, 20, .001}, {"web", [windows.Arms]float64{100, 100}, 1, .1},
			}}
			for k := range int64(size(600, 1500)) {
				w.step(startMs + k*1000)
				fell[i] = fell[i] || w.judge.guards[0].segments[0].state == failed
			}
		})
		n, limit := trueOf(fell), binomialLimit(runs, .05*segmentShare/2)
		if t.Logf("stratify %v: %d of %d fail, limit %d", stratify, n, runs, limit); n > limit {
			t.Errorf("stratify %v: %d of %d healthy segments fail, limit %d", stratify, n, runs, limit)
		}
	}
}

// clumpUsers are a segment's users in a window, on average, the requests of each, and what share of them fails with all of theirs.
type clumpUsers struct {
	name  string
	users [windows.Arms]float64
	each  int64
	rate  float64
}

type clumpWorld struct {
	world world
	judge *Judge
	keys  []windows.Metric
	unit  uint64
	plus  float64 // the canary's rate less the baseline's
	of    []clumpUsers
}

func (w *clumpWorld) step(at int64) Verdict {
	p := &windows.Part{Stream: serving, StartMs: at}
	for arm := range windows.Arms {
		p.Cells[arm] = make([]windows.Cell, len(w.keys))
		p.Traffic[arm].SampledMin, p.Traffic[arm].SampledMax = 1, 1
	}
	for i := range w.of {
		w.add(p, &w.of[i])
	}
	return w.judge.Step(p)
}

// add makes a segment's users.
func (w *clumpWorld) add(p *windows.Part, of *clumpUsers) {
	segment := windows.Segment{Name: of.name}
	for arm := range windows.Arms {
		segment.Cells[arm] = make([]windows.Cell, len(w.keys))
		for i := range windows.Slices {
			share := math.Ldexp(1, -min(i+1, windows.Slices-1))
			n := w.world.poisson(of.users[arm] * share)
			k := w.world.binomial(n, of.rate+float64(arm)*w.plus) * of.each
			for range n {
				w.unit++
				p.Traffic[arm].Units = append(p.Traffic[arm].Units, windows.UnitSight{Unit: w.unit})
			}
			n *= of.each
			segment.Served[arm] += n
			t, at := &p.Traffic[arm], slices.IndexFunc(w.keys, func(m windows.Metric) bool { return m.Key() == "error" })
			t.Events, t.Served = t.Events+n, t.Served+n
			c, d := &p.Cells[arm][at], &segment.Cells[arm][at]
			c.N, c.K, d.N, d.K = c.N+n, c.K+k, d.N+n, d.K+k
			if windows.Arm(arm) == windows.Baseline {
				t.Slices[i] += n
				c.Slices[i].N, c.Slices[i].K = c.Slices[i].N+n, c.Slices[i].K+k
			}
		}
	}
	p.Segments = append(p.Segments, segment)
}
