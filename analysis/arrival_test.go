package analysis

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat/distuv"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// awaitedOf is a script whose traffic is due from its first window on, by what routers say.
func awaitedOf(t *testing.T, stage schemas.Stage) *script {
	t.Helper()
	r := rolloutOf(errors05)
	r.Health.NoData = time.Minute
	stage.Then = max(stage.Then, schemas.OnHold)
	r.Stages = []schemas.Stage{stage}
	s := newScript(t, r, Options{Phi: 1})
	s.judge.Due(s.atMs, true)
	return s
}

// amiss wants these codes of what isn't as planned.
func (s *script) amiss(want ...string) {
	s.t.Helper()
	var have []string
	for _, f := range s.verdict.Amiss {
		have = append(have, f.Code)
	}
	if strings.Join(have, " ") != strings.Join(want, " ") {
		s.t.Errorf("amiss: %v, want %v", have, want)
	}
}

// says wants the verdict's sentence.
func (s *script) says(want string) {
	s.t.Helper()
	if s.verdict.Sentence != want {
		s.t.Errorf("says\n%s\nwant\n%s", s.verdict.Sentence, want)
	}
}

// TestAbsentCanary: one with a weight that never answers is told of after health.silent, and rolled back after health.noData.
func TestAbsentCanary(t *testing.T) {
	s := awaitedOf(t, schemas.Stage{WeightBP: 1000, Max: time.Hour})
	s.play(4, side{n: 900}, side{})
	s.want(VerdictContinue, codeNotBegun)
	s.amiss()
	s.play(1, side{n: 900}, side{})
	s.want(VerdictContinue, codeNotBegun)
	s.amiss(codeCanaryAbsent)
	const told = "Nothing was heard of canary 42 since 09:00:00, when its traffic was due, while baseline 41 answers: planned 10 %, observed 0 %."
	s.says(told)
	if have, want := s.verdict.Amiss[0].Sentence, told+" Users who are sent to it may get no answer: if it stays so until 09:01:00, it is rolled back."+
		" Look whether the router sends it what it says it does, whether it runs and answers, and whether its events say version \"42\"."; have != want {
		t.Errorf("told\n%s\nwant\n%s", have, want)
	}
	s.play(54, side{n: 900}, side{})
	s.want(VerdictContinue, codeNotBegun)
	s.play(1, side{n: 900}, side{})
	s.want(VerdictRollback, codeCanaryMissing)
	if v := &s.verdict; !v.Severe || v.HarmBeganMs != startMs || v.StartMs != 0 {
		t.Errorf("severe %t, harm began %d, start %d", v.Severe, v.HarmBeganMs, v.StartMs)
	}
	s.says("Nothing was heard of canary 42 since 09:00:00, when its traffic was due, while baseline 41 answers: planned 10 %, observed 0 %. " +
		"Users who are sent to it may get no answer, so it is rolled back after 1m. " +
		"Look whether the router sends it what it says it does, whether it runs and answers, and whether its events say version \"42\".")
	s.play(20, side{n: 900}, side{n: 100}) // it is latched
	s.want(VerdictRollback, codeCanaryMissing)
}

// TestAbsentCanaryOfCallers: where no event names a unit, and a caller sends a hundred predictions at once, every other second, that none has come to a canary of 5 % in a minute proves nothing yet; of as many single
// requests it does.
func TestAbsentCanaryOfCallers(t *testing.T) {
	for _, at := range []struct {
		many int64
		code string
	}{{1, codeCanaryMissing}, {100, codeNotBegun}} {
		r := rolloutOf(errors05)
		r.Health.NoData, r.Stages = time.Minute, []schemas.Stage{{WeightBP: 500, Max: time.Hour, Then: schemas.OnHold}}
		s := newScript(t, r, Options{})
		s.judge.Due(s.atMs, true)
		random := rand.New(rand.NewPCG(17, 3))
		for range 160 {
			s.play(1, side{n: at.many * int64(distuv.Poisson{Lambda: 50 / float64(at.many), Src: random}.Rand())}, side{})
		}
		if s.verdict.Code != at.code {
			t.Errorf("callers of %d: %s, want %s", at.many, s.verdict.Code, at.code)
		}
	}
}

// TestAbsentCanaryComes ends with its first window: nothing of the wait enters the epoch.
func TestAbsentCanaryComes(t *testing.T) {
	s := awaitedOf(t, schemas.Stage{WeightBP: 1000, Bake: 10 * time.Second, Max: time.Hour})
	s.play(50, side{n: 900}, side{})
	s.amiss(codeCanaryAbsent)
	s.play(1, side{n: 900}, side{n: 100})
	s.amiss()
	s.want(VerdictContinue, codeUndecided)
	if len(s.verdict.Health) > 0 {
		t.Errorf("health %+v", s.verdict.Health)
	}
	late := newScript(t, s.rollout, Options{Phi: 1})
	late.atMs += 50_000
	late.play(1, side{n: 900}, side{n: 100})
	for range 40 {
		s.play(1, side{n: 900}, side{n: 100})
		late.play(1, side{n: 900}, side{n: 100})
		a, b := s.judge.Evidence(nil), late.judge.Evidence(nil)
		if len(a) != len(b) {
			t.Fatalf("%d numbers of evidence, want %d", len(a), len(b))
		}
		for i := range a {
			if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
				t.Fatalf("evidence %d is %v, want %v", i, a[i], b[i])
			}
		}
	}
	s.want(VerdictPromote, codeAllPassed)
}

// TestAbsentShadow: nobody is harmed, so its stage's time ends it.
func TestAbsentShadow(t *testing.T) {
	for then, want := range map[schemas.On]VerdictAction{schemas.OnHold: VerdictHold, schemas.OnRollback: VerdictRollback} {
		s := awaitedOf(t, schemas.Stage{MirrorBP: 5000, Bake: 10 * time.Second, Max: 10 * time.Minute, Then: then})
		s.play(599, side{n: 1000}, side{})
		s.want(VerdictContinue, codeNotBegun)
		s.amiss(codeCanaryAbsent)
		if f := s.verdict.Amiss[0].Sentence; !strings.Contains(f, "planned copies of 50 % of the requests, observed 0 %. No user waits for its answers: if it stays so until 09:10:00 (max), ") ||
			!strings.Contains(f, " Look whether requests are copied to it, ") {
			t.Errorf("told: %s", f)
		}
		s.play(1, side{n: 1000}, side{})
		s.want(want, codeNotBegun)
		if !strings.HasPrefix(s.verdict.Sentence, "The stage's 10m were over on 9 Oct 09:10:00, and by then there was no window in which both versions answered "+
			"(planned copies of 50 % of the requests, observed 0 %; canary 42 sent 0 predictions and baseline 41 600,000): ") {
			t.Errorf("says %s", s.verdict.Sentence)
		}
		if then == schemas.OnRollback {
			continue
		}
		s.play(1, side{n: 1000}, side{n: 500, shadow: 500}) // too late: the time of the stage ran all along
		s.want(VerdictHold, codeInconclusive)
		s.says("The stage's 10m were over on 9 Oct 09:10:00, and canary 42 is compared with baseline 41 only since 09:10:00, which is too late: a person must decide (`rollout retry` begins anew).")
		s.amiss()
	}
}

// TestAbsentBaseline holds, until it is heard of.
func TestAbsentBaseline(t *testing.T) {
	s := awaitedOf(t, schemas.Stage{WeightBP: 1000, Bake: 10 * time.Second, Max: time.Hour})
	s.play(5, side{}, side{n: 100})
	s.want(VerdictContinue, codeNotBegun)
	s.amiss(codeBaselineAbsent)
	s.play(55, side{}, side{n: 100})
	s.want(VerdictHold, codeBaselineMissing)
	s.says("Nothing was heard of baseline 41 since 09:00:00, when its traffic was due, while canary 42 answers: planned 90 %, observed 0 %. " +
		"Look whether the router sends it what it says it does, whether it runs and answers, and whether its events say version \"41\". The rollout holds until it is heard of.")
	s.play(1, side{n: 900}, side{n: 100})
	s.want(VerdictContinue, codeUndecided)
}

// TestAbsentNotAwaited: where nobody says that routers follow, or no share is planned, only the stage's time runs; where not even that is known, nothing does.
func TestAbsentNotAwaited(t *testing.T) {
	rows := map[string]struct {
		weight, due int
		awaited     bool
		want        VerdictAction
	}{
		"advice":            {1000, 1, false, VerdictHold},
		"no share planned":  {0, 1, true, VerdictHold},
		"not followed yet":  {1000, 0, false, VerdictContinue},
		"windows of before": {1000, 7200, true, VerdictContinue},
	}
	for name, x := range rows {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, inStages(rolloutOf(errors05), x.weight), Options{Phi: 1})
			if x.due > 0 {
				s.judge.Due(startMs-1000+int64(x.due)*1000, x.awaited)
			}
			s.play(3599, side{n: 900}, side{})
			s.want(VerdictContinue, codeNotBegun)
			s.amiss()
			s.play(1, side{n: 900}, side{})
			s.want(x.want, codeNotBegun)
			s.play(1, side{n: 900}, side{n: 100})
			s.want(VerdictContinue, codeUndecided) // without a plan that is followed, the time runs from here on
		})
	}
}

// TestAbsentNeverTogether: both answer, and never in one window.
func TestAbsentNeverTogether(t *testing.T) {
	s := awaitedOf(t, schemas.Stage{WeightBP: 5000, Max: time.Minute})
	for range 30 {
		s.play(1, side{n: 2}, side{})
		s.play(1, side{}, side{n: 2, late: 1})
		s.amiss()
	}
	s.want(VerdictHold, codeNotBegun)
	if want := "(planned 50 %, observed 50 %; canary 42 sent 60 predictions and baseline 41 60, and 30 that were late)"; !strings.Contains(s.verdict.Sentence, want) {
		t.Errorf("says %s", s.verdict.Sentence)
	}
}

// TestAbsentSilentStream: a time in which nothing is heard of either arm is no silence of one.
func TestAbsentSilentStream(t *testing.T) {
	s := awaitedOf(t, schemas.Stage{WeightBP: 1000, Max: time.Hour})
	s.pause(10 * time.Minute)
	s.play(4, side{n: 900}, side{})
	s.amiss()
	s.play(1, side{n: 900}, side{})
	s.amiss(codeCanaryAbsent)
	if !strings.Contains(s.verdict.Amiss[0].Sentence, "if it stays so until 09:11:00, it is rolled back.") {
		t.Errorf("told: %s", s.verdict.Amiss[0].Sentence)
	}
	s.play(20, side{n: 900}, side{})
	s.pause(10 * time.Minute)
	s.play(34, side{n: 900}, side{})
	s.want(VerdictContinue, codeNotBegun)
	s.play(1, side{n: 900}, side{})
	s.want(VerdictRollback, codeCanaryMissing)
}

// TestAbsentAgain: one that answers before its traffic is due, and then no more, is absent; one that breaks off later is so since then.
func TestAbsentAgain(t *testing.T) {
	s := awaitedOf(t, schemas.Stage{WeightBP: 1000, Max: time.Hour})
	s.play(3, side{n: 900}, side{})
	s.play(1, side{}, side{n: 1})
	s.play(40, side{n: 900}, side{})
	s.amiss(codeCanaryAbsent)
	s.says("Nothing was heard of canary 42 since 09:00:04, while baseline 41 answers: planned 10 %, observed 0 %.")
}

// TestAbsentByEveryCount holds the silence of a whole grid of traffic and shares against the definition: enough of the other arm, long enough, and proven.
func TestAbsentByEveryCount(t *testing.T) {
	for _, weight := range []int{100, 1000, 5000} {
		for _, n := range []int64{1, 5, 50, 1000} {
			s := awaitedOf(t, schemas.Stage{WeightBP: weight, Max: 24 * time.Hour})
			share, told := float64(weight)/10000, 0
			for window := 1; window <= 3000 && told == 0; window++ {
				s.play(1, side{n: n}, side{})
				if len(s.verdict.Amiss) > 0 {
					told = window
				}
			}
			// Each prediction of the baseline is a bet won: at least as much as is due of the canary's is needed to prove it, and no more than 12 times that with the start weights.
			due := float64(n) * share / (1 - share)
			least := max(5, int(math.Ceil(missingEvents/float64(n))), int(math.Floor(-math.Log(absentAlpha)/due)))
			if most := max(least, int(math.Ceil(12/due))); told != 0 && (told < least || told > most) || told == 0 && most < 3000 {
				t.Errorf("weight %d, %d predictions a window: told after %d windows, want %d to %d", weight, n, told, least, most)
			}
		}
	}
}

// TestDueTwice: only the first call counts, and it is of whole windows.
func TestDueTwice(t *testing.T) {
	s := newScript(t, inStages(rolloutOf(errors05), 1000), Options{Phi: 1})
	s.judge.Due(startMs+1, true)
	s.judge.Due(startMs+50_000, false)
	if a := &s.judge.arrival; a.dueMs != startMs+1000 || !a.awaited || s.judge.stages.dueMs != a.dueMs {
		t.Errorf("due %d, awaited %t", a.dueMs-startMs, a.awaited)
	}
	before := len(s.judge.Evidence(nil))
	s.play(1, side{n: 900}, side{})
	if got := len(s.judge.Evidence(nil)); got != before {
		t.Errorf("a window from before has %d numbers of evidence, want %d", got, before)
	}
	s.play(1, side{n: 900}, side{})
	if got := len(s.judge.Evidence(nil)); got != before+int(windows.Arms) {
		t.Errorf("a window from then on has %d numbers of evidence, want %d", got, before+int(windows.Arms))
	}
}

// TestSimAbsent counts how often a canary that gets its share, of so little traffic that it takes its time to come, is said to be absent.
func TestSimAbsent(t *testing.T) {
	runs := size(4000, 40_000)
	told, begun := make([]bool, runs), make([]bool, runs)
	inParallel(runs, func(i int, random *rand.Rand) {
		r := inStages(rolloutOf(errors05), 500)
		w := &world{random: random, requests: 3, share: constant(.05), drift: constant(1), slower: 1, metrics: Metrics(r)}
		j := NewJudge(r, Options{NoIntervals: true, Phi: 1})
		j.Due(startMs, true)
		for at := 0; at < 2000 && !j.begun; at++ {
			v := j.Step(w.window(at, startMs+int64(at)*1000))
			told[i] = told[i] || len(v.Amiss) > 0
		}
		begun[i] = j.begun
	})
	wrong := 0
	for i := range runs {
		if told[i] {
			wrong++
		}
		if !begun[i] {
			t.Fatalf("run %d has no window of both", i)
		}
	}
	limit := binomialLimit(runs, absentAlpha)
	t.Logf("told: %d of %d, limit %d", wrong, runs, limit)
	if wrong > limit {
		t.Errorf("%d of %d are said to be absent, limit %d", wrong, runs, limit)
	}
}
