package analysis

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
)

// scarceOf is a script of a stage that plans half of the traffic, due from its first window on, in which both answered for half a minute.
func scarceOf(t *testing.T) *script {
	t.Helper()
	s := awaitedOf(t, schemas.Stage{WeightBP: 5000, Bake: 10 * time.Minute, Max: time.Hour})
	s.play(30, side{n: 50}, side{n: 50})
	return s
}

// TestScarce: a canary of which a part breaks off is told after health.silent, and rolled back after health.noData.
func TestScarce(t *testing.T) {
	s := scarceOf(t)
	before := len(s.judge.Evidence(nil))
	s.play(4, side{n: 50}, side{n: 2})
	s.amiss()
	s.play(2, side{n: 50}, side{n: 2})
	s.amiss(codeCanaryScarce)
	if have, want := len(s.judge.Evidence(nil)), before+2; have != want {
		t.Errorf("%d numbers of evidence, want %d", have, want)
	}
	const told = "Canary 42 answers 3.8 % of the traffic of both since 09:00:30, which is less than half of the 50 % that are planned. Users who are sent to it may get no answer"
	const look = " Look whether all of it runs and answers (pods, hosts, regions), and whether every router sends it what it says it does."
	if have, want := s.verdict.Amiss[0].Sentence, told+": if it stays so until 09:01:30, it is rolled back."+look; have != want {
		t.Errorf("told\n%s\nwant\n%s", have, want)
	}
	s.play(53, side{n: 50}, side{n: 2})
	s.want(VerdictHold, codeSplitMismatch)
	s.play(2, side{n: 50}, side{n: 2})
	s.want(VerdictRollback, codeCanaryScarce)
	s.says(told + ", so it is rolled back after 1m." + look)
	if v := &s.verdict; !v.Severe || v.HarmBeganMs != startMs+30_000 {
		t.Errorf("severe %t, harm began %d", v.Severe, v.HarmBeganMs-startMs)
	}
	s.play(60, side{n: 50}, side{n: 20, errors: 20}) // a person may be moving it back in steps
	if s.verdict.Graver == nil || s.verdict.Graver.Code != codeGuardrailFailed {
		t.Errorf("graver: %+v", s.verdict.Graver)
	}
}

// TestScarceEnds: what doesn't last is told of, and its end; a minute counts from where it began last.
func TestScarceEnds(t *testing.T) {
	s := scarceOf(t)
	s.play(50, side{n: 50}, side{n: 2})
	s.amiss(codeCanaryScarce)
	s.play(10, side{n: 50}, side{n: 50})
	s.amiss()
	s.play(50, side{n: 50}, side{n: 2})
	s.amiss(codeCanaryScarce)
	s.want(VerdictHold, codeSplitMismatch)
}

// TestReturned: once a rollback gives the baseline its traffic back, in steps, no stage plans the split, and nothing is said of it; a canary that answers nobody is seen on.
func TestReturned(t *testing.T) {
	for _, returned := range []bool{false, true} {
		s := scarceOf(t)
		if returned {
			s.judge.Returned(0)
		}
		s.play(120, side{n: 90}, side{n: 10})
		if !returned {
			s.want(VerdictRollback, codeCanaryScarce)
			continue
		}
		s.want(VerdictContinue, codeUndecided)
		s.amiss()
		if len(s.verdict.Health) > 0 {
			t.Errorf("findings %+v", s.verdict.Health)
		}
		s.play(120, side{n: 90}, side{})
		s.want(VerdictRollback, codeCanaryMissing)
	}
}

// TestScarceNot: what may be something else rolls nothing back.
func TestScarceNot(t *testing.T) {
	weight := schemas.Stage{WeightBP: 5000, Bake: 10 * time.Minute, Max: time.Hour}
	for name, play := range map[string]func(t *testing.T) *script{
		"more than half of what is planned": func(t *testing.T) *script {
			s := scarceOf(t)
			s.play(300, side{n: 70}, side{n: 30})
			return s
		},
		"users stay where they were, and new ones come as planned": func(t *testing.T) *script {
			s := awaitedOf(t, weight)
			s.play(300, side{n: 95, units: 5}, side{n: 5, units: 5})
			return s
		},
		"no router says that it follows": func(t *testing.T) *script {
			r := rolloutOf(errors05)
			r.Stages = []schemas.Stage{weight}
			s := newScript(t, r, Options{Phi: 1})
			s.play(300, side{n: 50}, side{n: 2})
			return s
		},
		"a shadow that is mirrored less": func(t *testing.T) *script {
			s := awaitedOf(t, schemas.Stage{MirrorBP: 10_000, Max: time.Hour})
			s.play(300, side{n: 50}, side{n: 2, shadow: 2})
			return s
		},
		"routers change over": func(t *testing.T) *script {
			s := shadowThenWeight(t, true)
			s.play(60, side{n: 100}, side{n: 50, shadow: 50})
			s.verdict = s.judge.Advance(1, s.atMs+3600_000)
			s.play(300, side{n: 100}, side{n: 1})
			return s
		},
		"its events are late": func(t *testing.T) *script {
			s := scarceOf(t)
			s.play(300, side{n: 50}, side{n: 2, late: 48})
			return s
		},
		"nobody asks": func(t *testing.T) *script {
			s := scarceOf(t)
			s.play(5, side{n: 50}, side{n: 2})
			s.play(300, side{}, side{})
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			if s := play(t); s.verdict.Action == VerdictRollback || s.judge.scarce.over() {
				t.Errorf("%s: %+v", s.verdict.Action, s.verdict.Amiss)
			}
		})
	}
}

// TestHalfIsLost: of a canary with nearly all of the traffic that loses half of its answers, the hold says that users may get none; of one that gets a little less than is planned, it doesn't.
func TestHalfIsLost(t *testing.T) {
	const lost = "If routers send canary 42 what is planned, less than half of that is answered, and users get no answer: look whether all of it runs and answers (pods, hosts, regions)."
	for name, x := range map[string]struct {
		baseline, canary int64
		lost             bool
	}{
		"more than half": {50, 400, true},
		"less":           {50, 600, false},
		"a router sends less, and the baseline answers the rest": {90, 910, false},
	} {
		s := awaitedOf(t, schemas.Stage{WeightBP: 9500, Bake: 10 * time.Minute, Max: time.Hour})
		s.play(30, side{n: 50}, side{n: 950})
		s.play(120, side{n: x.baseline}, side{n: x.canary})
		s.want(VerdictHold, codeSplitMismatch)
		s.amiss()
		if has := strings.Contains(s.verdict.Sentence, lost); has != x.lost {
			t.Errorf("%s: it says %s", name, s.verdict.Sentence)
		}
	}
}

// TestScarceByUnits: where new users don't come as planned either, nothing explains it away.
func TestScarceByUnits(t *testing.T) {
	s := awaitedOf(t, schemas.Stage{WeightBP: 5000, Bake: 10 * time.Minute, Max: time.Hour})
	s.play(30, side{n: 50, units: 5}, side{n: 50, units: 5})
	s.play(70, side{n: 50, units: 5}, side{n: 2, units: 1})
	s.want(VerdictRollback, codeCanaryScarce)
}

// TestBakeCountsThePlannedShare: a bake doesn't go on while the canary has another share than the stage plans, although all has passed before.
func TestBakeCountsThePlannedShare(t *testing.T) {
	for _, tc := range []struct {
		name     string
		baseline int64
		canary   int64
		more     int // windows by which the bake is longer
	}{
		{"as planned", 500, 500, 0},
		{"by a little", 510, 490, 0},
		{"too few", 650, 350, 60},
		{"too many", 350, 650, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := awaitedOf(t, schemas.Stage{WeightBP: 5000, Bake: 5 * time.Minute, Max: time.Hour})
			s.play(200, side{n: 500, units: 20}, side{n: 500, units: 20}) // units come as planned all along, so that nothing holds it
			s.wantState("errors", schemas.StatePassed)
			s.play(60, side{n: tc.baseline, units: 20}, side{n: tc.canary, units: 20})
			s.play(39+tc.more, side{n: 500, units: 20}, side{n: 500, units: 20})
			s.want(VerdictContinue, codeUndecided)
			s.play(2, side{n: 500, units: 20}, side{n: 500, units: 20})
			s.want(VerdictPromote, codeAllPassed)
		})
	}
}

// TestSimScarce counts how often a canary that gets its share, of little traffic, is said to get less than half of it.
func TestSimScarce(t *testing.T) {
	runs := size(300, 20_000)
	told := make([]bool, runs)
	inParallel(runs, func(i int, random *rand.Rand) {
		r := inStages(rolloutOf(errors05), 500)
		w := &world{random: random, requests: 20, share: constant(.05), drift: constant(1), slower: 1, metrics: Metrics(r)}
		j := NewJudge(r, Options{NoIntervals: true, Phi: 1})
		j.Due(startMs, true)
		for at := range 600 {
			j.Step(w.window(at, startMs+int64(at)*1000))
			told[i] = told[i] || j.scarce.sick()
		}
	})
	for i := range runs {
		if told[i] {
			t.Errorf("run %d: it is said to be scarce", i)
		}
	}
}
