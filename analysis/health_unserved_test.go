package analysis

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// shadowThenWeight is a script of a shadow and a weight after it, whose traffic is due from its first window on, by what routers say if they are awaited.
func shadowThenWeight(t *testing.T, awaited bool) *script {
	t.Helper()
	r := inStages(rolloutOf(errors05), 0, 1000)
	r.Stages[0].MirrorBP, r.Health.NoData = 5000, time.Minute
	s := newScript(t, r, Options{Phi: 1})
	s.judge.Due(s.atMs, awaited)
	return s
}

// TestUnserved: copies go on, and no user comes with the weight that follows them: told after health.silent, rolled back after health.noData.
func TestUnserved(t *testing.T) {
	s := shadowThenWeight(t, true)
	copies := side{n: 50, shadow: 50}
	s.play(60, side{n: 100}, copies)
	s.want(VerdictAdvance, codeAllPassed)
	s.advance(1)
	s.play(4, side{n: 100}, copies)
	s.amiss()
	s.play(4, side{n: 100}, copies) // 10 of 100 are due: by then so many that it is proven
	s.amiss(codeCanaryUnserved)
	const told = "Canary 42 has answered no user since 09:01:00, when its traffic was due, while baseline 41 does: planned 10 %, observed 0 %; it only gets copies of requests. " +
		"Users who are sent to it may get no answer, or that of a version that nobody judges"
	const look = " Look whether the router sends it what it says it does, whether requests are still copied to it, and whether its events have the right version, and \"shadow\" only of copies."
	if have, want := s.verdict.Amiss[0].Sentence, told+": if it stays so until 09:02:00, it is rolled back."+look; have != want {
		t.Errorf("told\n%s\nwant\n%s", have, want)
	}
	s.play(51, side{n: 100}, copies)
	if s.verdict.Action == VerdictRollback {
		t.Fatal("it is rolled back too soon")
	}
	before := len(s.judge.Evidence(nil))
	s.play(1, side{n: 100}, copies)
	s.want(VerdictRollback, codeCanaryMissing)
	s.says(told + ", so it is rolled back after 1m." + look)
	if v := &s.verdict; !v.Severe || v.HarmBeganMs != startMs+60_000 || v.Stage != 1 || before != len(s.judge.Evidence(nil)) {
		t.Errorf("severe %t, harm began %d, stage %d", v.Severe, v.HarmBeganMs-startMs, v.Stage)
	}
	s.play(200, side{n: 100}, copies) // no graver harm than that
	if s.verdict.Graver != nil {
		t.Errorf("graver: %+v", s.verdict.Graver)
	}
}

// TestUnservedFromTheStart: copies that nobody planned begin an epoch whose weight never comes.
func TestUnservedFromTheStart(t *testing.T) {
	s := awaitedOf(t, schemas.Stage{WeightBP: 1000, Bake: 10 * time.Second, Max: time.Hour})
	s.play(20, side{n: 100}, side{n: 11, shadow: 11})
	s.amiss(codeCanaryUnserved)
	s.play(40, side{n: 100}, side{n: 11, shadow: 11, late: 1}) // late ones are taken for copies
	s.want(VerdictRollback, codeCanaryMissing)
}

// TestUnservedComes ends with the first user, and begins anew with the next silence.
func TestUnservedComes(t *testing.T) {
	s := shadowThenWeight(t, true)
	copies, both := side{n: 50, shadow: 50}, side{n: 60, shadow: 50}
	s.play(60, side{n: 100}, copies)
	s.advance(1)
	s.play(50, side{n: 100}, copies)
	s.amiss(codeCanaryUnserved)
	before := len(s.judge.Evidence(nil))
	s.play(1, side{n: 100}, both)
	s.amiss()
	if got := len(s.judge.Evidence(nil)); got != before-1 {
		t.Errorf("%d numbers of evidence, want %d", got, before-1)
	}
	s.play(20, side{n: 100}, both)
	s.play(59, side{n: 100}, copies)
	if len(s.verdict.Amiss) != 1 || !strings.Contains(s.verdict.Amiss[0].Sentence, "has answered no user since 09:02:11, while") || s.verdict.Action == VerdictRollback {
		t.Errorf("%s, told %+v", s.verdict.Action, s.verdict.Amiss)
	}
	s.play(1, side{n: 100}, copies)
	s.want(VerdictRollback, codeCanaryMissing)
}

// TestUnservedNot: nothing is said where no router says that it follows, of a stage whose windows have not begun, or of a time in which no user comes at all.
func TestUnservedNot(t *testing.T) {
	copies := side{n: 50, shadow: 50}
	for name, play := range map[string]func(s *script){
		"the shadow": func(s *script) { s.play(300, side{n: 100}, copies) },
		"on the way": func(s *script) {
			s.play(60, side{n: 100}, copies)
			s.verdict = s.judge.Advance(1, s.atMs+3600_000)
			s.play(300, side{n: 100}, copies)
		},
		"nobody asks": func(s *script) {
			s.play(60, side{n: 100}, copies)
			s.advance(1)
			s.play(300, side{n: 50, shadow: 50}, copies)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := shadowThenWeight(t, true)
			play(s)
			if s.judge.unserved.sick() || s.verdict.Action == VerdictRollback {
				t.Errorf("%s: %+v", s.verdict.Action, s.verdict.Amiss)
			}
		})
	}
	s := shadowThenWeight(t, false)
	s.play(60, side{n: 100}, copies)
	s.advance(1)
	s.play(300, side{n: 100}, copies)
	s.want(VerdictHold, codeSplitMismatch)
	if s.judge.unserved.begun {
		t.Error("it is watched, although nobody follows")
	}
}

// TestUnservedByEveryCount holds the time at which it is told against the definition: long enough, enough of the baseline's, and proven.
func TestUnservedByEveryCount(t *testing.T) {
	for _, weight := range []int{100, 1000, 5000} {
		for _, n := range []int64{1, 5, 50, 1000} {
			s := awaitedOf(t, schemas.Stage{WeightBP: weight, Max: 24 * time.Hour})
			s.rollout.Health.NoData = 24 * time.Hour
			s.judge.arrival.noData = s.rollout.Health.NoData.Milliseconds()
			told := 0
			for window := 1; window <= 3000 && told == 0; window++ {
				s.play(1, side{n: n}, side{n: 1, shadow: 1})
				if s.judge.unserved.sick() {
					told = window
				}
			}
			due := float64(n) * float64(weight) / float64(10000-weight)
			least := max(5, int((missingEvents+n-1)/n), int(-math.Log(absentAlpha)/due))
			if most := max(least, int(12/due)+1); told != 0 && (told < least || told > most) || told == 0 && most < 3000 {
				t.Errorf("weight %d, %d predictions a window: told after %d windows, want %d to %d", weight, n, told, least, most)
			}
		}
	}
}

// TestSimUnserved counts how often a canary that gets its share, of so little traffic that it is often silent for a while, beside copies of requests, is said to answer no user.
func TestSimUnserved(t *testing.T) {
	runs := size(500, 20_000)
	told := make([]bool, runs)
	inParallel(runs, func(i int, random *rand.Rand) {
		r := inStages(rolloutOf(errors05), 500)
		w := &world{random: random, requests: 3, share: constant(.05), drift: constant(1), slower: 1, metrics: Metrics(r)}
		j := NewJudge(r, Options{NoIntervals: true, Phi: 1})
		j.Due(startMs, true)
		for at := range 400 {
			p := w.window(at, startMs+int64(at)*1000)
			p.Traffic[windows.Canary].Events++ // a copy
			j.Step(p)
			told[i] = told[i] || j.unserved.sick()
		}
	})
	wrong := 0
	for i := range runs {
		if told[i] {
			wrong++
		}
	}
	limit := binomialLimit(runs, absentAlpha)
	t.Logf("told: %d of %d, limit %d", wrong, runs, limit)
	if wrong > limit {
		t.Errorf("%d of %d are said to answer nobody, limit %d", wrong, runs, limit)
	}
}
