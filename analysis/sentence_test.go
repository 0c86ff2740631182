package analysis

import (
	"math"
	"testing"
	"time"

	"streamcanary/schemas"
)

// TestSentences has every sentence that a person may wake up to.
func TestSentences(t *testing.T) {
	healthy := side{n: 900, errors: 3, latencyMs: 100, slow: 9, slowMs: 150}
	well := side{n: 100, latencyMs: 100, slow: 1, slowMs: 150}
	after := func(bad side, times int) func(s *script) {
		return func(s *script) { s.play(53, healthy, well); s.play(times, healthy, bad) }
	}
	checkSentences(t, []sentenceTest{
		{"not begun", "errors: rate error increase 0.5pp", nil, func(*script) {},
			"There is no window yet in which both canary 42 and baseline 41 answered."},
		{"errors", "errors: rate error increase 0.5pp", nil, after(side{n: 100, errors: 4}, 20),
			"Canary 42 answers with more errors than baseline 41: 4 % against 0.33 % since 09:00:53 (+3.7 pp; margin 0.5 pp)."},
		{"errors from the start", "errors: rate error increase 0.5pp", nil, func(s *script) { s.play(90, healthy, side{n: 100, errors: 4}) },
			"Canary 42 answers with more errors than baseline 41: 4 % against 0.33 % since 09:00:00 (+3.7 pp, at least +0.57 pp; margin 0.5 pp)."},
		{"relative", "errors: rate error increase 50%", nil, func(s *script) { s.play(90, healthy, side{n: 100, errors: 4}) },
			"Canary 42 answers with more errors than baseline 41: 4 % against 0.33 % since 09:00:00 (x12, at least x1.59; margin 50 %)."},
		{"p99", "p99: quantile 0.99 latency increase 20%", nil, after(side{n: 100, latencyMs: 100, slow: 20, slowMs: 1900}, 20),
			"Canary 42 is slower (p99) than baseline 41: 1.91 s against 150 ms since 09:00:53 (x12.7, at least x4 at times; margin 20 %)."},
		{"timeouts on top", "p99: quantile 0.99 latency increase 20%", nil, after(side{n: 100, latencyMs: 100, slow: 20, slowMs: math.Inf(1)}, 20),
			"Canary 42 is slower (p99) than baseline 41: no answer against 150 ms since 09:00:53 (at least x4 at times; margin 20 %)."},
		{"a limit", "outage: rate error above 5%", nil, after(side{n: 100, errors: 40}, 20),
			"Canary 42 answers with too many errors: 40 % since 09:00:53 (40 of 100), where the limit is 5 %; baseline 41 has 0.33 %."},
		{"both arms", "outage: rate error above 5%", nil, func(s *script) { s.play(20, side{n: 900, errors: 300}, side{n: 100, errors: 30}) },
			"Both canary 42 and baseline 41 are beyond the limit of outage: rolling back would not help."},
		{"patience", "errors: rate error increase 0.5pp weight=0.1", func(r *schemas.Rollout) { r.Patience = 10 * time.Second },
			func(s *script) { s.play(700, side{n: 900}, side{n: 200, errors: 2}) },
			"Canary 42 answers with more errors than baseline 41: 1 % against 0 % since 09:00:00 (+1 pp; margin 0.5 pp, beyond it without a break for 10s)."},
		{"missing", "errors: rate error increase 0.5pp", func(r *schemas.Rollout) { r.Stages[0].WeightBP = 1000 },
			func(s *script) { s.play(53, healthy, well); s.play(9, side{n: 900}, side{}) },
			"Nothing was heard of canary 42 since 09:00:53, while baseline 41 sent 4,500 predictions; about 500 of the former were due."},
		{"passed", "errors: rate error increase 0.5pp", nil, func(s *script) { s.play(90, side{n: 900}, side{n: 100}) },
			"Canary 42 keeps every margin that it was held to against baseline 41 (errors), after 1m of traffic."},
		{"inconclusive", "errors: rate error increase 0.5pp", nil, func(s *script) { s.play(2, healthy, well); s.pause(time.Hour); s.play(1, healthy, well) },
			"The stage's 1h were over on 9 Oct 10:00:00, and by then canary 42 was neither proven worse than baseline 41 nor proven within the margins of errors: a person must decide."},
		{"another day", "errors: rate error increase 0.5pp", func(r *schemas.Rollout) { r.Stages[0].Max = 48 * time.Hour },
			func(s *script) {
				s.play(1, healthy, well)
				s.pause(15*time.Hour - 2*time.Second)
				s.play(60, healthy, side{n: 100, errors: 9})
			},
			"Canary 42 answers with more errors than baseline 41: 9 % against 0.33 % since 9 Oct 23:59:59 (+8.7 pp, at least +1.2 pp on average since 9 Oct 09:00:00; margin 0.5 pp)."},
	})
}

// TestUndecidedSentences has what is said while nothing is decided: no more than is so, and no less.
func TestUndecidedSentences(t *testing.T) {
	healthy, well := side{n: 900, errors: 3}, side{n: 100}
	patient := func(r *schemas.Rollout) { r.Patience = 30 * time.Minute }
	suspicious := func(s *script) { s.play(20, side{n: 9000}, side{n: 1000, errors: 6}) }
	checkSentences(t, []sentenceTest{
		{"undecided", "errors: rate error increase 0.5pp", nil, func(s *script) { s.play(5, healthy, well) },
			"Nothing is proven yet of canary 42 against baseline 41."},
		{"suspect", "errors: rate error increase 0.5pp", patient, suspicious,
			"Canary 42 answers with more errors than baseline 41: that is proven, and it looks like more than the margin of 0.5 pp, which isn't proven yet. If it stays so until 09:30:01 (30m without a break), it is rolled back."},
		{"suspect, and holds", "errors: rate error increase 0.5pp on=hold", patient, suspicious,
			"Canary 42 answers with more errors than baseline 41: that is proven, and it looks like more than the margin of 0.5 pp, which isn't proven yet. If it stays so until 09:30:01 (30m without a break), the rollout is held."},
		{"suspect, and never more", "errors: rate error increase 0.5pp", func(r *schemas.Rollout) { r.Patience = schemas.Never }, suspicious,
			"Canary 42 answers with more errors than baseline 41: that is proven, and it looks like more than the margin of 0.5 pp, which isn't proven yet. By itself that changes nothing (patience: never): a person should look."},
		{"suspect, and no more", "errors: rate error increase 0.5pp", nil,
			func(s *script) { suspicious(s); s.play(20, side{n: 9000}, side{n: 1000}) },
			"Canary 42 keeps every margin that it was held to against baseline 41 (errors); the stage goes on until 09:01:00."},
		{"all well, and too early", "errors: rate error increase 0.5pp", nil, func(s *script) { s.play(54, healthy, well) },
			"Canary 42 keeps every margin that it was held to against baseline 41 (errors); the stage goes on until 09:01:00."},
	})
}

// sentenceTest is what happens to a rollout with one guardrail, and what is said of it then.
type sentenceTest struct {
	name  string
	guard string
	plan  func(r *schemas.Rollout)
	play  func(s *script)
	want  string
}

func checkSentences(t *testing.T, tests []sentenceTest) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := rolloutOf(guardrail(tt.guard))
			if tt.plan != nil {
				tt.plan(r)
			}
			s := newScript(t, r, Options{Phi: 1.5})
			s.verdict = s.judge.verdict
			tt.play(s)
			if s.verdict.Sentence != tt.want {
				t.Errorf("sentence\n got %s\nwant %s", s.verdict.Sentence, tt.want)
			}
		})
	}
}

// TestSplitSentences holds that a split that is off is told with the share before, or the planned one, and that since.
func TestSplitSentences(t *testing.T) {
	tests := []struct {
		name     string
		weightBP int
		before   int // windows of a tenth
		canary   side
		baseline side
		want     string
	}{
		{"off the plan", 1000, 53, side{}, side{n: 1000},
			"Traffic is not split as planned: canary 42 has 0 % of the predictions of both since 09:00:53 (0 of 1,000), planned are 10 %; the comparison may be of unlike users, or a third version has some of the traffic."},
		{"off the plan from the start", 1000, 0, side{n: 100, units: 20}, side{n: 900, units: 80},
			"Traffic is not split as planned: canary 42 has 20 % of the routing units of both since 09:00:00 (60 of 300), planned are 10 %; the comparison may be of unlike users, or a third version has some of the traffic."},
		{"less than it was", 0, 53, side{n: 1}, side{n: 1000},
			"Traffic is not split as it was: canary 42 had 10 % of the predictions until 09:00:53, 0.1 % since (1 of 1,001); the comparison may be of unlike users."},
		{"more than it was, before that was known", 0, 3, side{n: 250}, side{n: 750},
			"Traffic is not split as it was: canary 42 had 10 % of the predictions until 09:00:03, 25 % since (250 of 1,000); the comparison may be of unlike users."},
		{"more than it was", 0, 53, side{n: 400}, side{n: 600},
			"Traffic is not split as it was: canary 42 had 10 % of the predictions until 09:00:53, 40 % since (400 of 1,000); the comparison may be of unlike users."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := rolloutOf(errors05)
			r.Stages[0].WeightBP = tt.weightBP
			s := newScript(t, r, Options{Phi: 1.5})
			s.play(tt.before, side{n: 900}, side{n: 100})
			s.play(3, tt.baseline, tt.canary)
			if s.verdict.Code != codeSplitMismatch || s.verdict.Sentence != tt.want {
				t.Errorf("%s\n got %s\nwant %s", s.verdict.Code, s.verdict.Sentence, tt.want)
			}
			if began := schemas.Time(startMs + 1000*int64(tt.before)); s.verdict.Health[0].Since != began {
				t.Errorf("since %s, want %s", s.verdict.Health[0].Since, began)
			}
		})
	}
}

// TestHarmTexts has what each sort of guardrail says of the canary.
func TestHarmTexts(t *testing.T) {
	tests := []struct{ guard, want string }{
		{"a: rate error increase 1pp", "answers with more errors than"}, {"a: rate timeout decrease 1pp", "has fewer timeouts than"},
		{"a: rate cache_miss increase 1pp", "has more cache misses than"}, {"a: rate click decrease 2%", "has a lower click rate than"},
		{"a: rate fraud increase 2%", "has a higher fraud rate than"}, {"a: sample cpu 0.9 increase 5pp", "has more cpu samples above 0.9 than"},
		{"a: quantile 0.999 latency increase 20%", "is slower (p99.9) than"}, {"a: quantile 0.5 latency decrease 20%", "is faster (p50) than"},
		{"a: quantile 0.5 tokens increase 20%", "has a higher p50 of tokens than"}, {"a: quantile 0.5 tokens decrease 20%", "has a lower p50 of tokens than"},
		{"a: rate error above 5%", "answers with too many errors"}, {"a: rate timeout above 5%", "has too many timeouts"},
		{"a: rate cache_miss above 5%", "has too many cache misses"}, {"a: rate click below 2%", "has too low a click rate"},
		{"a: sample memory 0.95 above 50%", "has too many memory samples above 0.95"}, {"a: quantile 0.99 latency above 50ms", "is too slow (p99)"},
		{"a: quantile 0.5 tokens below 3", "has too low a p50 of tokens"},
	}
	for _, tt := range tests {
		spec := guardrail(tt.guard)
		g := &guard{spec: &spec}
		got := g.harmText()
		if spec.Direction == schemas.Above || spec.Direction == schemas.Below {
			got = g.limitText()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.guard, got, tt.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	tests := []struct{ got, want string }{
		{percentText(0), "0 %"}, {percentText(.00012), "0.012 %"}, {percentText(.0041), "0.41 %"}, {percentText(.4567), "45.7 %"}, {percentText(1), "100 %"},
		{percentText(math.NaN()), "unknown"},
		{pointsText(.038), "+3.8 pp"}, {pointsText(-.0002), "-0.02 pp"},
		{latencyText(.5), "0.5 ms"}, {latencyText(189.6), "190 ms"}, {latencyText(2659), "2.66 s"}, {latencyText(math.Inf(1)), "no answer"},
		{ratioText(1.2567), "x1.26"}, {ratioText(math.Inf(1)), ""}, {pointsText(math.NaN()), ""},
		{countText(0), "0"}, {countText(999), "999"}, {countText(1000), "1,000"}, {countText(6930123), "6,930,123"},
		{marginText("0.5pp"), "0.5 pp"}, {marginText("20%"), "20 %"}, {marginText("any"), "any"}, {marginText("50ms"), "50 ms"},
		{quantileName(.99), "p99"}, {quantileName(.999), "p99.9"}, {quantileName(.5), "p50"},
		{durationText(90_000), "1m30s"}, {durationText(300_000), "5m"}, {durationText(86_400_000), "24h"}, {durationText(10_000), "10s"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}
