package analysis

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// said is evidence that a test states as it likes.
type said struct{ now, most float64 }

func (s *said) Step([]float64, float64) {}

func (s *said) LogE() float64 { return s.now }

func (s *said) LogMax() float64 { s.most = max(s.most, s.now); return s.most }

func (s *said) Anew() float64 { s.most = 0; return 1 }

// stated is a guardrail with evidence that a test states, and an estimate beyond its margin.
func stated(t *testing.T, text string) (g *guard, any, beyond, pass *said) {
	s := newScript(t, rolloutOf(guardrail(text)), Options{Phi: 1})
	g = s.judge.guards[0]
	any, beyond, pass = &said{}, &said{}, &said{}
	g.canary.any, g.canary.beyond, g.canary.pass = any, beyond, pass
	g.canary.tested, g.estimated, g.beyond = 1, 1, true
	return g, any, beyond, pass
}

// TestPassFollowsEvidence: a pass is latched; it doesn't stand while the evidence against it is at half its threshold or more, and stands again
// afterwards, though the pass evidence is gone. With prove: any it is the evidence of any harm that counts.
func TestPassFollowsEvidence(t *testing.T) {
	for _, tt := range []struct {
		text    string
		against func(any, beyond *said) *said
	}{
		{"errors: rate error increase 0.5pp", func(_, beyond *said) *said { return beyond }},
		{"errors: rate error increase 0.5pp prove=any", func(any, _ *said) *said { return any }},
	} {
		g, any, beyond, pass := stated(t, tt.text)
		against := tt.against(any, beyond)
		half := g.family.fail.thresholds[g.member] / 2
		for i, step := range []struct {
			pass, against float64
			want          schemas.State
		}{
			{2.9, 0, continues}, {3, 0, passed}, {-9, 0, passed}, {-9, half - .01, passed}, {-9, half, continues}, {-9, half - .01, passed},
		} {
			pass.now, against.now = step.pass, step.against
			g.raise()
			g.judge(int64(i), time.Hour.Milliseconds(), 3)
			if g.state != step.want {
				t.Errorf("%s, step %d: %s, want %s", tt.text, i, g.state, step.want)
			}
		}
	}
}

// doubtful voids a guardrail while it is set, or only hides harm.
type doubtful struct{ on, hiding bool }

func (d *doubtful) voids(*guard) bool { return d.on }

func (d *doubtful) hides(*guard) bool { return d.on || d.hiding }

// TestPatienceAfterADoubt: time in which nothing could be made of the numbers is no part of patience, and evidence from then doesn't count afterwards.
func TestPatienceAfterADoubt(t *testing.T) {
	g, any, _, _ := stated(t, "errors: rate error increase 0.5pp")
	d := &doubtful{on: true}
	g.doubts = []doubt{d}
	proof := g.family.any.thresholds[g.member]
	for i, step := range []struct {
		atMs  int64
		doubt bool
		any   float64
		want  schemas.State
	}{
		{0, true, proof, suspect}, {90, true, proof, suspect}, {180, true, proof, suspect},
		{190, false, proof, suspect}, {279, false, proof, suspect}, {281, false, proof, failed},
	} {
		d.on, any.now = step.doubt, step.any
		g.raise()
		g.judge(step.atMs, 100, 3)
		if g.state != step.want {
			t.Errorf("step %d: %s, want %s", i, g.state, step.want)
		}
	}
	g, any, _, _ = stated(t, "errors: rate error increase 0.5pp")
	g.doubts = []doubt{d}
	d.on, any.now, any.most = true, proof, proof
	g.raise()
	d.on, any.now = false, proof-.1
	g.raise()
	if g.family.any.proven[g.member] {
		t.Error("what was there while nothing could be made of it proves something afterwards")
	}
}

// TestPassAfterADoubt: what passed before a doubt, or while it stood, has not passed while it stands, nor afterwards: it must pass again.
func TestPassAfterADoubt(t *testing.T) {
	for _, hiding := range []bool{false, true} {
		g, any, _, pass := stated(t, "errors: rate error increase 0.5pp")
		d := &doubtful{}
		g.doubts = []doubt{d}
		for i, step := range []struct {
			doubt     bool
			any, pass float64
			want      schemas.State
		}{
			{false, 0, 3, passed}, {true, 0, 9, continues}, {true, 0, 9, continues}, {false, 0, 9, continues},
		} {
			d.on, d.hiding = step.doubt && !hiding, step.doubt && hiding
			any.now, pass.now = step.any, step.pass
			g.raise()
			g.judge(int64(i), time.Hour.Milliseconds(), 3)
			if g.state != step.want {
				t.Errorf("hiding only %v, step %d: %s, want %s", hiding, i, g.state, step.want)
			}
		}
		if pass.now = 3; g.canary.pass == mixture(pass) {
			t.Errorf("hiding only %v: the pass evidence goes on", hiding)
		}
	}
}

// TestAnewAfterADoubt: the tests begin anew with what they haven't spent, and everything else of them is as if they had just been made.
func TestAnewAfterADoubt(t *testing.T) {
	for _, text := range []string{
		"errors: rate error increase 0.5pp", "errors: rate error increase any", "p99: quantile 0.99 latency increase 20%",
		"tail: distribution latency ks increase any", "shape: distribution latency mann-whitney increase 20%",
	} {
		s := newScript(t, rolloutOf(guardrail(text)), Options{Phi: 1})
		d, g := &doubtful{}, s.judge.guards[0]
		g.doubts = []doubt{d}
		fine, well, ill := side{n: 900, latencyMs: 20, errors: 3}, side{n: 100, latencyMs: 20}, side{n: 100, latencyMs: 20, errors: 1, slow: 2, slowMs: 60}
		s.play(20, fine, well)
		d.on = true
		s.play(30, fine, ill)
		proof := g.anyE()
		if d.on = false; proof < 1 {
			t.Fatalf("%s: evidence %.2f", text, proof)
		}
		s.play(1, fine, well) // ends the doubt
		var left []float64
		for _, one := range g.trials() {
			left = append(left, one.any.LogE())
		}
		if got := g.anyMax(); got != 0 || g.anyE() > 0 || g.canary.stake >= .25 || g.family.any.max[g.member] != 0 {
			t.Errorf("%s: evidence %.3f, at most %.3f, with a stake of %.3f", text, g.anyE(), got, g.canary.stake)
		}
		s.play(30, fine, ill)
		anew := newScript(t, s.rollout, Options{Phi: 1})
		anew.play(30, fine, ill)
		for i, one := range g.trials() { // half of what is left is staked, in 32 bits, as of a new test
			want := left[i] + math.Log((1+math.Exp(anew.judge.guards[0].trials()[i].any.LogE()))/2)
			if got := one.any.LogE(); math.Abs(got-want) > 1e-6 {
				t.Errorf("%s, test %d: evidence %.6f after a new beginning, want half of a new test's on what is left: %.6f", text, i, got, want)
			}
		}
	}
}

// TestLivesOfALimit: the test of a limit that begins anew behind an outage of both arms has what it hasn't spent, as one behind a doubt has, and what it had proven is taken back, a pass, too: so all lives together err no more often than one may, and
// nothing more is asked of a later one. The baseline's test is new.
func TestLivesOfALimit(t *testing.T) {
	for _, text := range []string{"outage: rate error above 5%", "slow: quantile 0.9 latency above 50ms"} {
		s := newScript(t, rolloutOf(guardrail(text)), Options{Phi: 1})
		g := s.judge.guards[0]
		fine, ill := side{n: 100, latencyMs: 20}, side{n: 100, latencyMs: 20, errors: 12, slow: 14, slowMs: 90}
		anew := newScript(t, s.rollout, Options{Phi: 1})
		anew.play(2, fine, ill)
		fresh, at := anew.judge.guards[0], g.family.fail.thresholds[g.member]
		for life := int32(1); life <= 3; life++ {
			s.play(60, fine, fine)
			s.play(80, ill, ill)
			if !g.bothArms || !g.family.fail.proven[g.member] {
				t.Fatalf("%s: no outage of both arms after %d new beginnings", text, g.again)
			}
			for g.again < life {
				s.play(1, fine, ill)
			}
			if g.passed || s.verdict.Action == VerdictPromote {
				t.Errorf("%s: life %d begins with a pass of the last one, and the verdict %s", text, life+1, s.verdict.Action)
			}
			left := g.canary.any.LogE()
			if left >= 0 || g.family.fail.proven[g.member] || g.family.any.max[g.member] != 0 || g.baseline.any.LogE() != 0 {
				t.Errorf("%s: life %d begins with evidence %.3f, the baseline's %.3f, at most %.3f", text, life+1, left, g.baseline.any.LogE(), g.family.any.max[g.member])
			}
			s.play(2, fine, ill)
			n := float64(life)
			want := left + math.Log((n+math.Exp(fresh.anyE()))/(n+1)) // a part of what is left is staked, as of a new test
			if got := g.anyE(); math.Abs(got-want) > 1e-6 {
				t.Errorf("%s, life %d: evidence %.6f, want %.6f", text, life+1, got, want)
			}
		}
		for g.anyE() < at {
			if s.play(1, fine, ill); (g.state == failed) != (g.anyE() >= at) {
				t.Fatalf("%s: %s at evidence %.2f of %.2f", text, g.state, g.anyE(), at)
			}
		}
	}
}

// TestHarmed: segments are told to be harmed by what their evidence is now, at a share of a tenth of mistakes among them: of four segments one alone
// needs e-values of 40, two need 20 each.
func TestHarmed(t *testing.T) {
	r := watching(rolloutOf(errors05), 0, "a", "b", "c")
	s := newScript(t, r, Options{Phi: 1})
	for _, tt := range []struct {
		now, most [3]float64 // log evidence
		want      string
	}{
		{[3]float64{3.6}, [3]float64{}, ""},            // e^3.6 = 36
		{[3]float64{3.7}, [3]float64{}, "a"},           // e^3.7 = 40.4
		{[3]float64{3.1, 0, 3.1}, [3]float64{}, "a c"}, // e^3.1 = 22
		{[3]float64{2.9, 0, 3.1}, [3]float64{}, ""},    // e^2.9 = 18
		{[3]float64{0, 1, 0}, [3]float64{0, 9, 0}, ""}, // it was harmed once
	} {
		for i := range 3 {
			s.judge.guards[0].segments[i].canary.any = &said{tt.now[i], tt.most[i]}
		}
		if got := strings.Join(s.judge.guards[0].harmed(), " "); got != tt.want {
			t.Errorf("evidence %v: %q, want %q", tt.now, got, tt.want)
		}
	}
}

// TestBadShareChanges: a share of unreadable events far below what is accepted is still watched for a change, up or down, and what doesn't change
// is not found.
func TestBadShareChanges(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, since int64 // of 1,000 a window
		want          string
	}{
		{"as before", 8, 8, ""},
		{"none any more", 8, 0, "0 % of the events since"},
		{"more", 2, 8, "0.79 % of the events since"},
	} {
		s := newScript(t, rolloutOf(errors05), Options{Phi: 1})
		for i := range 600 {
			p := s.serving(side{n: 900}, side{n: 100})
			if p.Bad = tt.before; i >= 300 {
				p.Bad = tt.since
			}
			s.verdict = s.judge.Step(p)
			s.atMs += 1000
			if at := slices.Index(codes(s.verdict.Health), codeBadEvents); i < 300 && at >= 0 {
				t.Fatalf("%s: found in window %d", tt.name, i)
			} else if at >= 0 != (tt.want != "") && i == 599 {
				t.Errorf("%s: health %q", tt.name, codes(s.verdict.Health))
			} else if at >= 0 && !strings.HasPrefix(s.verdict.Health[at].Sentence, tt.want) {
				t.Fatalf("%s: %s", tt.name, s.verdict.Health[at].Sentence)
			}
		}
	}
}

// TestNeededWithoutData: a guardrail that somebody listed and that never had data stands in the way of a promotion; a default one doesn't.
func TestNeededWithoutData(t *testing.T) {
	for defaults, want := range map[bool]VerdictAction{false: VerdictContinue, true: VerdictPromote} {
		r := rolloutOf(errors05, guardrail("ctr: rate click decrease 2%"))
		r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: time.Minute}}
		r.DefaultGuardrails = defaults
		s := newScript(t, r, Options{Phi: 1})
		s.play(90, side{n: 900}, side{n: 100})
		if s.wantState("ctr", insufficient); s.verdict.Action != want {
			t.Errorf("guardrails by default %v: %s, want %s", defaults, s.verdict.Action, want)
		}
	}
}

// TestMeasuredMetricsKeepSlices: what is held against the baseline with a measured noise is cut by unit there, gauges by host.
func TestMeasuredMetricsKeepSlices(t *testing.T) {
	r := rolloutOf(errors05, guardrail("cpu: sample cpu 0.9 increase 5pp"))
	j, kept := NewJudge(r, Options{}), 0
	for _, s := range j.streams {
		cell := 0
		for _, m := range Metrics(r) {
			if m.Stream() != s.Stream {
				continue
			}
			if cell < len(s.dispersions) && s.dispersions[cell] != nil {
				if kept++; m.Keeps()&windows.KeepSlices == 0 {
					t.Errorf("%s keeps no slices, and its noise is measured on them", m.Key())
				}
			}
			cell++
		}
	}
	if kept != 2 {
		t.Errorf("noise is measured of %d metrics, want 2", kept)
	}
}
