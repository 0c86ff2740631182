package analysis

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
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
