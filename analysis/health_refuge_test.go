package analysis

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestRefuge: a baseline that is beyond a limit of its own is told of, whatever the canary does.
func TestRefuge(t *testing.T) {
	outage, contrast := guardrail("outage: rate error above 5%"), guardrail("errors: rate error increase 0.5pp")
	good, bad, worse := side{n: 100}, side{n: 100, errors: 12}, side{n: 100, errors: 40}
	t.Run("the baseline alone: a finding, and nothing else", func(t *testing.T) {
		r := rolloutOf(outage, contrast)
		r.Stages[0].Bake = r.Stages[0].Max
		s := newScript(t, r, Options{Phi: 1})
		s.play(100, good, good)
		if len(s.judge.Beyond()) > 0 || s.verdict.Beyond != 0 {
			t.Fatalf("beyond before anything was wrong: %+v", s.judge.Beyond())
		}
		s.play(60, bad, good)
		s.want(VerdictContinue, codeUndecided)
		s.wantState("outage", passed)
		beyond := s.judge.Beyond()
		const want = "Baseline 41 answers with too many errors itself (outage): 12 % since "
		if len(beyond) != 1 || !beyond[0].Proven || beyond[0].Guardrail != "outage" || !strings.HasPrefix(beyond[0].Sentence, want) || !strings.HasSuffix(beyond[0].Sentence, "where the limit is 5 %.") {
			t.Errorf("beyond %+v, want one that begins with %q", beyond, want)
		}
		if len(s.verdict.Health) != 1 || s.verdict.Health[0].Code != codeBaselineBeyond || s.verdict.Health[0].LogEvidence < s.verdict.Health[0].Threshold || s.verdict.Health[0].Since == 0 {
			t.Errorf("health %+v", s.verdict.Health)
		}
		told := s.verdict.Beyond
		s.play(2000, good, good)
		if len(s.judge.Beyond()) > 0 || len(s.verdict.Health) > 0 || s.verdict.Beyond <= told {
			t.Errorf("the baseline is back: %+v, health %+v", s.judge.Beyond(), s.verdict.Health)
		}
	})
	t.Run("a canary that is worse is rolled back all the same", func(t *testing.T) {
		s := newScript(t, rolloutOf(outage, contrast), Options{Phi: 1})
		s.play(100, good, good)
		s.play(60, bad, bad)
		for range 300 {
			s.play(1, bad, worse)
		}
		s.want(VerdictRollback, codeGuardrailFailed)
		if beyond := s.judge.Beyond(); len(beyond) != 1 || !beyond[0].Proven {
			t.Errorf("beyond %+v", beyond)
		}
	})
	t.Run("a limit that only warns, and a contrast, say nothing of a refuge", func(t *testing.T) {
		s := newScript(t, rolloutOf(guardrail("outage: rate error above 5% on=warn"), contrast), Options{Phi: 1})
		s.play(300, worse, good)
		if len(s.judge.Beyond()) > 0 || len(s.judge.refuges) > 0 {
			t.Errorf("beyond %+v", s.judge.Beyond())
		}
	})
	t.Run("the alphas add up", func(t *testing.T) {
		j := NewJudge(rolloutOf(outage, guardrail("down: rate error above 50% weight=3"), contrast), Options{})
		sum := 0.0
		for _, r := range j.refuges {
			sum += r.alpha()
		}
		if math.Abs(sum-refugeAlpha) > 1e-12 || len(j.refuges) != 2 || j.FalseHolds() != NewJudge(rolloutOf(contrast), Options{}).FalseHolds() {
			t.Errorf("%d limits have an alpha of %v together; holds %v", len(j.refuges), sum, j.FalseHolds())
		}
	})
}

// TestSimRefuge counts baselines that lie exactly on their limit and are proven to be beyond it at some time, at 0.05, with noise that is not known beforehand; and those
// that lie twice as high and are not found at refugeAlpha.
func TestSimRefuge(t *testing.T) {
	runs, total := size(48, 400), size(400, 2000)
	limit := binomialLimit(runs, .05)
	r := rolloutOf(guardrail("outage: rate error above 1%"))
	r.Phi, r.Health.SelfTest, r.Health.Traffic, r.Stages[0].Bake = 1.5, schemas.OnWarn, schemas.OnWarn, r.Stages[0].Max
	for _, w := range []struct {
		name        string
		stay, burst float64
	}{{"independent", 1, .01}, {"clumps of 3", 1, 3}, {"stays 5 windows", 5, 1}} {
		count := func(rate, proof float64) int {
			proven := make([]bool, runs)
			inParallel(runs, func(i int, random *rand.Rand) {
				j := NewJudge(r, Options{NoIntervals: true})
				s := &sessions{random: random, requests: 1000, share: constant(.2), rate: rate, stay: w.stay, burst: w.burst, more: .1}
				for at := 0; at < total && !proven[i]; at++ {
					j.Step(s.part(at, startMs+int64(at)*1000))
					proven[i] = j.guards[0].baseline.any.LogE() >= proof
				}
			})
			return trueOf(proven)
		}
		erred, found := count(.01, math.Log(1/.05)), count(.02, NewJudge(r, Options{}).refuges[0].threshold)
		t.Logf("%-16s on the limit %2d of %d are proven to be beyond it, limit %d; at twice the limit %d", w.name, erred, runs, limit, found)
		if erred > limit {
			t.Errorf("%s: %d of %d baselines on the limit are proven to be beyond it, the limit is %d", w.name, erred, runs, limit)
		}
		if found < runs*9/10 {
			t.Errorf("%s: %d of %d baselines at twice the limit are found: this check would pass anything", w.name, found, runs)
		}
	}
}
