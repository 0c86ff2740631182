package analysis

import (
	"math"
	"reflect"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

func TestLadder(t *testing.T) {
	// Weights 3, 1, 1 at alpha .05: thresholds log(5/(3*.05)) = 3.51, log 100 = 4.61.
	l := newLadder(.05, []float64{3, 1, 1})
	near := func(want ...float64) {
		t.Helper()
		for i, w := range want {
			if math.Abs(l.thresholds[i]-w) > 1e-12 {
				t.Fatalf("threshold %d is %.6f, want %.6f", i, l.thresholds[i], w)
			}
		}
	}
	near(math.Log(5/.15), math.Log(100), math.Log(100))
	l.raise(1, 4.5)
	l.raise(1, 4.4) // maxima don't fall
	if want := []bool{false, false, false}; !reflect.DeepEqual(l.proven, want) || l.max[1] != 4.5 {
		t.Fatalf("proven %v, max %v", l.proven, l.max)
	}
	// The first one's proof frees its share: the second one's evidence is enough then, though it didn't move.
	l.raise(0, 3.6)
	if want := []bool{true, true, false}; !reflect.DeepEqual(l.proven, want) {
		t.Fatalf("proven %v, want %v", l.proven, want)
	}
	near(math.Log(5/.15), math.Log(100), math.Log(20))
	l.raise(2, 2.9)
	l.raise(2, 3.0)
	if want := []bool{true, true, true}; !reflect.DeepEqual(l.proven, want) {
		t.Fatalf("proven %v, want %v", l.proven, want)
	}
}

// TestForget: what is taken back leaves no share to others, and what they have proven by it is proven no more.
func TestForget(t *testing.T) {
	l := newLadder(.05, []float64{1, 1})
	l.raise(0, 4)
	l.raise(1, 3.2) // log(1/.05) = 3, log(2/.05) = 3.7
	if !l.proven[0] || !l.proven[1] {
		t.Fatalf("proven: %v", l.proven)
	}
	l.forget(0)
	if l.proven[0] || l.proven[1] || l.max[0] != 0 || l.max[1] != 3.2 || math.Abs(l.thresholds[1]-math.Log(40)) > 1e-12 {
		t.Errorf("proven %v, maxima %v, thresholds %v", l.proven, l.max, l.thresholds)
	}
}

// TestFamilies holds who shares a budget with whom, and that the missing canary has a share of the rollback budget.
func TestFamilies(t *testing.T) {
	r := rolloutOf(
		guardrail("errors: rate error increase 0.5pp weight=3"),
		guardrail("p99: quantile 0.99 latency increase 20% on=hold weight=2"),
		guardrail("timeouts: rate timeout increase 0.2pp"),
		guardrail("cpu: sample cpu 0.9 increase 5pp on=warn"),
	)
	j := NewJudge(r, Options{})
	type share struct {
		on        schemas.On
		threshold float64
	}
	want := []share{
		{schemas.OnRollback, math.Log(5 / (3 * .05))}, // 3 + 1 + 1 of the missing canary
		{schemas.OnHold, math.Log(1 / .05)},
		{schemas.OnRollback, math.Log(5 / .05)},
		{schemas.OnWarn, math.Log(1 / .05)},
	}
	for i, g := range j.guards {
		for _, l := range []*ladder{g.family.any, g.family.fail} {
			if got := (share{g.spec.On, l.thresholds[g.member]}); got.on != want[i].on || math.Abs(got.threshold-want[i].threshold) > 1e-12 {
				t.Errorf("%s: %v, want %v", g.spec.Name, got, want[i])
			}
		}
	}
	if got, want := j.rollback.any.weights[2], 1./5; got != want {
		t.Errorf("the missing canary's share is %v, want %v", got, want)
	}
}

// TestSuspicionLeavesNoShareToFailures: harm within the margin that is proven of one guardrail lets others be suspected sooner, and fails none sooner: else a canary that keeps all that it is
// held to would fail more often than falseRollback.
func TestSuspicionLeavesNoShareToFailures(t *testing.T) {
	s := newScript(t, rolloutOf(
		guardrail("errors: rate error increase 20pp weight=9"), // really 5 pp more: within
		guardrail("timeouts: rate timeout increase 0.1pp prove=any"),
	), Options{Phi: 1})
	g := s.guard("timeouts")
	s.play(100, side{n: 900, errors: 90}, side{n: 100, errors: 15})
	if f := g.family; !f.any.proven[s.guard("errors").member] || f.fail.proven[s.guard("errors").member] {
		t.Fatalf("harm of errors: %v, beyond: %v", f.any.proven, f.fail.proven)
	}
	alone := math.Log(11 / .05)
	if got := g.family.fail.thresholds[g.member]; math.Abs(got-alone) > 1e-12 {
		t.Errorf("a failure of timeouts takes %.3f, want %.3f", got, alone)
	}
	told := ""
	for range 40 {
		s.play(1, side{n: 900, errors: 90, timeouts: 9}, side{n: 100, errors: 15, timeouts: 3})
		if g.state == schemas.StateSuspect && told == "" {
			told = s.verdict.Sentence
		}
		if g.state == schemas.StateFailed {
			break
		}
		if g.family.fail.max[g.member] >= alone {
			t.Fatalf("state %s with evidence %.3f of %.3f", g.state, g.family.fail.max[g.member], alone)
		}
	}
	const want = "Canary 42 has more timeouts than baseline 41: that is suspected, and isn't proven yet. By itself that changes nothing (patience: never): a person should look."
	if told != want {
		t.Errorf("suspect: %s", told)
	}
	if g.state != schemas.StateFailed || g.patienceOut || g.family.fail.max[g.member] < alone {
		t.Errorf("state %s with evidence %.3f of %.3f", g.state, g.family.fail.max[g.member], alone)
	}
	s.want(VerdictRollback, codeGuardrailFailed)
}

// TestSuspicionLeavesNoShareToLimits: the same of a limit, and of the missing canary.
func TestSuspicionLeavesNoShareToLimits(t *testing.T) {
	s := newScript(t, rolloutOf(
		guardrail("errors: rate error increase 20pp weight=9"),
		guardrail("late: rate timeout above 0.5%"),
	), Options{Phi: 1})
	g, alone := s.guard("late"), math.Log(11/.05)
	s.play(100, side{n: 900, errors: 90}, side{n: 100, errors: 15})
	if got := s.judge.silence[windows.Canary]; !g.family.any.proven[s.guard("errors").member] || math.Abs(got-alone) > 1e-12 {
		t.Errorf("a missing canary takes %.3f, want %.3f", got, alone)
	}
	between := false
	for range 200 {
		if s.play(1, side{n: 900, errors: 90}, side{n: 100, errors: 15, timeouts: 1}); g.state == schemas.StateFailed {
			break
		}
		between = between || g.anyE() >= g.family.any.thresholds[g.member]
	}
	if g.state != schemas.StateFailed || g.family.fail.max[g.member] < alone || !between {
		t.Errorf("state %s with evidence %.3f of %.3f", g.state, g.family.fail.max[g.member], alone)
	}
}
