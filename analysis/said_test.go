package analysis

import (
	"strings"
	"testing"
)

// TestSentencesAfterHarm: a failure that only a person goes past is told again with each stage. Once the harm is over, its numbers stay those of the harm, with when they were so: an estimate
// over what came after would deny it, beside a bound that doesn't.
func TestSentencesAfterHarm(t *testing.T) {
	healthy, well := side{n: 900, latencyMs: 20, errors: 3}, side{n: 100, latencyMs: 20}
	const stands = " That stands for the epoch, whatever comes: a person must decide."
	for _, test := range []struct {
		guard, harm string
		later       [2]string // in the stages after it
	}{
		{"p50: quantile 0.5 latency increase 50% on=hold", "Canary 42 is slower (p50) than baseline 41: 201 ms against 20 ms since 09:00:03 (x10, at least x4 at times; margin 50 %).", [2]string{
			"Canary 42 is slower (p50) than baseline 41: 201 ms against 20 ms since 09:00:03, as of 09:00:04 (x10, at least x4 at times; margin 50 %).",
			"Canary 42 is slower (p50) than baseline 41: 201 ms against 20 ms since 09:00:03, as of 09:00:04 (x10, at least x4 at times; margin 50 %).",
		}},
		{"p99: quantile 0.99 latency increase 20% on=hold", "Canary 42 is slower (p99) than baseline 41: 201 ms against 20 ms since 09:00:03 (x10, at least x4 at times; margin 20 %).", [2]string{ // one of a hundred still is
			"Canary 42 is slower (p99) than baseline 41: 201 ms against 20 ms since 09:00:03 (x10, at least x4 at times; margin 20 %).",
			"Canary 42 is slower (p99) than baseline 41: 201 ms against 20 ms since 09:00:03 (x10, at least x4 at times; margin 20 %).",
		}},
		{"shape: distribution latency mann-whitney increase 20% on=hold", "Canary 42 is slower (as a whole) than baseline 41 since 09:00:03 (x8 or more; margin 20 %).", [2]string{
			"Canary 42 is slower (as a whole) than baseline 41 since 09:00:03, as of 09:00:04 (x8 or more; margin 20 %).",
			"Canary 42 is slower (as a whole) than baseline 41 since 09:00:03, as of 09:00:04 (x8 or more; margin 20 %).",
		}},
		{"tail: distribution latency ks increase any on=hold", "Canary 42 is slower (p90) than baseline 41 since 09:00:03 (x8 or more; no margin).", [2]string{ // a tenth still is
			"Canary 42 is slower (p90) than baseline 41 since 09:00:03 (x8 or more; no margin).",
			"Canary 42 is slower (p90) than baseline 41 since 09:00:03 (x8 or more; no margin).",
		}},
		{"outage: rate error above 5% on=hold", "Canary 42 answers with too many errors: 30 % since 09:00:03 (30 of 100), where the limit is 5 %; baseline 41 has 0.33 %.", [2]string{
			"Canary 42 answers with too many errors: 7.5 % since 09:00:03 (1,200 of 16,000), where the limit is 5 %; baseline 41 has 0.33 %.",
			"Canary 42 answers with too many errors: 7.5 % since 09:00:03, as of 09:02:43 (1,200 of 16,000), where the limit is 5 %; baseline 41 has 0.33 %.",
		}},
	} {
		r := rolloutOf(guardrail(test.guard))
		r.Stages = append(r.Stages, r.Stages[0], r.Stages[0])
		s := newScript(t, r, Options{Phi: 1.5})
		s.play(3, healthy, well)
		s.play(40, healthy, side{n: 100, latencyMs: 200, errors: 30})
		said := []string{s.verdict.Sentence}
		for stage := 1; stage < len(r.Stages); stage++ {
			s.play(120, healthy, well)
			s.advance(stage)
			s.play(2, healthy, well)
			said = append(said, s.verdict.Sentence)
		}
		for i, want := range append([]string{test.harm}, test.later[:]...) {
			if said[i] != want+stands {
				t.Errorf("in stage %d\n got %s\nwant %s", i+1, strings.TrimSuffix(said[i], stands), want)
			}
		}
	}
}
