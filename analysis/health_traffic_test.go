package analysis

import (
	"slices"
	"testing"
	"time"

	"streamcanary/schemas"
)

// splitFound is the window in which a share of 13 % where 10 % are planned is found, at an over-dispersion of the sizes.
func splitFound(t *testing.T, phi float64) int {
	r := rolloutOf(errors05)
	r.Stages[0].WeightBP = 1000
	s := newScript(t, r, Options{Phi: phi})
	for i := range 2000 {
		s.play(1, side{n: 87}, side{n: 13})
		if slices.Contains(codes(s.verdict.Health), codeSplitMismatch) {
			return i
		}
	}
	t.Fatalf("never found at phi %v", phi)
	return 0
}

// TestSplitOfClumps: predictions come by users, several at once: where they come four at a time, a share proves as much as a fourth of them.
func TestSplitOfClumps(t *testing.T) {
	if one, four := splitFound(t, 1), splitFound(t, 4); four < 3*one || four > 5*one {
		t.Errorf("found in window %d, at phi 4 in window %d", one, four)
	}
}

// TestMissingNeedsTraffic: a silence is told only when the other arm has spoken so often that it means anything to a person, whatever it proves.
func TestMissingNeedsTraffic(t *testing.T) {
	r := rolloutOf(errors05)
	r.Stages[0].WeightBP = 9000
	s := newScript(t, r, Options{Phi: 1})
	s.play(20, side{n: 1}, side{n: 9})
	for i := 1; i < missingEvents; i++ {
		if s.play(1, side{n: 1}, side{}); s.verdict.Action == VerdictRollback {
			t.Fatalf("rolled back after %d predictions of the baseline", i)
		}
	}
	if m := s.judge.missing[1]; m.mixture.LogE() < s.judge.silence[1] {
		t.Errorf("evidence %.2f of %.2f: the bound isn't what is tested", m.mixture.LogE(), s.judge.silence[1])
	}
	s.play(1, side{n: 1}, side{})
	s.want(VerdictRollback, codeCanaryMissing)
}

// TestMissingWithinAWindow: an arm that dies in the midst of a window still speaks in it, however much, and is missed as one that dies between two.
func TestMissingWithinAWindow(t *testing.T) {
	for _, dying := range []int64{0, 1, 10, 20, 30, 39} {
		r := rolloutOf(errors05)
		r.Health.Traffic, r.Stages[0].Bake = schemas.OnWarn, time.Hour
		s := newScript(t, r, Options{Phi: 1})
		s.play(100, side{n: 160}, side{n: 40})
		s.play(1, side{n: 200 - dying}, side{n: dying})
		s.play(40, side{n: 200}, side{})
		if s.want(VerdictRollback, codeCanaryMissing); t.Failed() {
			t.Fatalf("the canary dies in a window in which it answers %d", dying)
		}
	}
	for _, dying := range []int64{0, 10, 40, 80, 120, 159} {
		r := rolloutOf(errors05)
		r.Health.Traffic, r.Stages[0].Bake = schemas.OnWarn, time.Hour
		s := newScript(t, r, Options{Phi: 1})
		s.play(100, side{n: 160}, side{n: 40})
		s.play(1, side{n: dying}, side{n: 200 - dying})
		s.play(40, side{}, side{n: 200})
		if s.want(VerdictHold, codeBaselineMissing); t.Failed() {
			t.Fatalf("the baseline dies in a window in which it answers %d", dying)
		}
	}
}

// TestMissingAfterARamp: where no share is planned, one that went down while the arm still speaks is the new plan, and a short silence at it no crash.
func TestMissingAfterARamp(t *testing.T) {
	r := rolloutOf(errors05)
	r.Health.Traffic, r.Stages[0].Bake = schemas.OnWarn, time.Hour
	s := newScript(t, r, Options{Phi: 1})
	s.play(100, side{n: 20}, side{n: 20})
	s.play(100, side{n: 20}, side{n: 1})
	s.play(7, side{n: 20}, side{})
	if s.verdict.Code == codeCanaryMissing {
		t.Fatalf("after seven windows in which seven predictions were due: %s", s.verdict.Sentence)
	}
	s.play(60, side{n: 20}, side{})
	s.want(VerdictRollback, codeCanaryMissing)
}

// TestSplitOfParts: where an arm is part of its version, the stage's weight says nothing of how the arms share what they have: the split is held
// against how it began.
func TestSplitOfParts(t *testing.T) {
	r := rolloutOf(errors05)
	r.Stages[0].WeightBP, r.BaselineWhere.Host = 1000, "base-*"
	s := newScript(t, r, Options{Phi: 1})
	s.play(500, side{n: 50}, side{n: 50})
	if found := codes(s.verdict.Health); len(found) > 0 {
		t.Errorf("as it began, and found %q", found)
	}
	s.play(500, side{n: 70}, side{n: 30})
	if found := codes(s.verdict.Health); !slices.Contains(found, codeSplitMismatch) {
		t.Errorf("changed, and found %q", found)
	}
}

// TestMissingElsewhere: where another controller moves the traffic no share is planned, so none is said to have been due; what to do is.
func TestMissingElsewhere(t *testing.T) {
	for name, x := range map[string]struct {
		then           [2]side // baseline, canary
		action         VerdictAction
		code, sentence string
	}{
		"all goes to the canary": {[2]side{{}, {n: 1000}}, VerdictHold, codeBaselineMissing,
			"Nothing was heard of baseline 41 since 09:01:00, while canary 42 sent 5,000 predictions. Another controller moves the traffic. If it has given all of it to canary 42, nothing is left to compare (by then passed: errors; not yet: none): " +
				"`streamcanary rollout promote ranker-42 --override --comment WHY` ends the rollout with that, and `streamcanary rollout rollback ranker-42 --comment WHY` with all of it at baseline 41, which that controller must carry out, too. " +
				"If it has not, look whether baseline 41 runs and answers. It holds until that is heard of."},
		"none goes to it": {[2]side{{n: 1000}, {}}, VerdictRollback, codeCanaryMissing,
			"Nothing was heard of canary 42 since 09:01:00, while baseline 41 sent 5,000 predictions. Another controller moves the traffic: if it has not taken it from canary 42, look whether that runs and answers."},
	} {
		t.Run(name, func(t *testing.T) {
			r := rolloutOf(errors05)
			r.External = true
			s := newScript(t, r, Options{Phi: 1})
			s.play(60, side{n: 500}, side{n: 500})
			s.play(5, x.then[0], x.then[1])
			s.want(x.action, x.code)
			s.says(x.sentence)
		})
	}
}
