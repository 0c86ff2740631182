package analysis

import (
	"slices"
	"strings"
	"testing"

	"streamcanary/windows"
)

// TestNoValue: a canary that stops sending a number that is compared holds the rollout, and one that sends it as often as the baseline doesn't.
func TestNoValue(t *testing.T) {
	r := rolloutOf(errors05, guardrail("tok: quantile 0.9 tokens increase 20%"), guardrail("p99: quantile 0.99 latency increase 20%"))
	if have := comparedValues(r); !slices.Equal(have, []string{"tokens"}) {
		t.Fatalf("compared %v", have)
	}
	cell := cellOf(r, noValueMetric{"tokens"})
	if cell < 0 {
		t.Fatal("nobody counts predictions without tokens")
	}
	play := func(missing int64) Verdict {
		s := newScript(t, r, Options{Phi: 1})
		for range 120 {
			p := s.serving(side{n: 900}, side{n: 100})
			for arm, k := range [windows.Arms]int64{windows.Baseline: 45, windows.Canary: missing} {
				for len(p.Cells[arm]) <= cell {
					p.Cells[arm] = append(p.Cells[arm], windows.Cell{})
				}
				p.Cells[arm][cell] = windows.Cell{N: p.Traffic[arm].Events, K: k}
			}
			s.verdict = s.judge.Step(p)
			s.atMs += 1000
		}
		return s.verdict
	}
	if v := play(5); v.Action == VerdictHold {
		t.Errorf("as often as the baseline: %s (%s)", v.Code, v.Sentence)
	}
	v := play(100)
	if v.Action != VerdictHold || v.Code != codeNoValue || !strings.Contains(v.Sentence, "carry no tokens more or less often") {
		t.Errorf("none at all: %s %s (%s)", v.Action, v.Code, v.Sentence)
	}
}
