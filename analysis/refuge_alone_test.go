package analysis

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestRefugeAlone: with no canary at all, a baseline that is beyond a limit of its own is told of, and that it is back.
func TestRefugeAlone(t *testing.T) {
	outage, contrast := guardrail("outage: rate error above 5%"), guardrail("errors: rate error increase 0.5pp")
	whole := rolloutOf(contrast, outage, guardrail("slow: rate timeout above 5% on=warn"), guardrail("cpu: sample cpu 0.9 above 50%"))
	whole.Warmup = time.Hour
	alone := RefugeOf(whole)
	if alone == nil || len(alone.Guardrails) != 1 || alone.Guardrails[0].Name != "outage" || len(whole.Guardrails) != 4 || RefugeOf(rolloutOf(contrast)) != nil {
		t.Fatalf("it looks at %+v", alone)
	}
	r := NewRefuge(alone, Options{Phi: 1})
	s := newScript(t, alone, Options{Phi: 1})
	play := func(times int, baseline side) {
		for range times {
			r.Step(s.serving(baseline, side{}))
			s.atMs += 1000
		}
	}
	play(10, side{})
	play(300, side{n: 100})
	if told := r.Proven(); told != nil {
		t.Fatalf("told before anything was wrong: %+v", told)
	}
	play(20, side{n: 100, errors: 12})
	const want = "Baseline 41 answers with too many errors itself (outage): 12 % since 09:05:10 (240 of 2,000), where the limit is 5 %."
	if told := r.Proven(); len(told) != 1 || told[0].Guardrail != "outage" || told[0].Sentence != want {
		t.Errorf("told %+v, want %s", told, want)
	}
	play(2000, side{n: 100})
	if told := r.Proven(); told != nil {
		t.Errorf("it is back: %+v", told)
	}
}

// TestSimRefugeAlone counts baselines on their limit, with noise that is not known beforehand, of which it is said that they are beyond it: by refugeAlpha, none is expected.
func TestSimRefugeAlone(t *testing.T) {
	runs, total := size(48, 400), size(600, 4000)
	whole := rolloutOf(guardrail("outage: rate error above 1%"))
	whole.Phi = 1.5
	alone := RefugeOf(whole)
	told := make([]bool, runs)
	inParallel(runs, func(i int, random *rand.Rand) {
		r := NewRefuge(alone, Options{NoIntervals: true})
		s := &sessions{random: random, requests: 1000, share: constant(0), rate: .01, stay: 1, burst: 3, more: 0}
		for at := range total {
			r.Step(s.part(at, startMs+int64(at)*1000))
			told[i] = told[i] || r.Proven() != nil
		}
	})
	wrong := 0
	for _, is := range told {
		if is {
			wrong++
		}
	}
	if limit := binomialLimit(runs, refugeAlpha); wrong > limit {
		t.Errorf("%d of %d, at most %d", wrong, runs, limit)
	}
}
