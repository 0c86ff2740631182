package loadgen

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"streamcanary/schemas"
)

// farOut is how unlikely a count may be before a test fails: a few thousand counts are looked at, with fixed seeds.
const farOut = 1e-7

// within checks k of n against the exact binomial limits.
func within(t *testing.T, what string, k, n int64, p float64) {
	t.Helper()
	b := distuv.Binomial{N: float64(n), P: p}
	switch {
	case p <= 0 && k > 0, p >= 1 && k < n:
	case p <= 0 || p >= 1:
		return
	case b.CDF(float64(k)) >= farOut && 1-b.CDF(float64(k-1)) >= farOut:
		return
	}
	t.Errorf("%s: %d of %d, which is %.6g; want %.6g", what, k, n, float64(k)/float64(n), p)
}

// near checks a Poisson count against its exact limits.
func near(t *testing.T, what string, n int64, mean float64) {
	t.Helper()
	p := distuv.Poisson{Lambda: mean}
	if mean == 0 && n == 0 || p.CDF(float64(n)) >= farOut && 1-p.CDF(float64(n-1)) >= farOut {
		return
	}
	t.Errorf("%s: %d; want about %.1f", what, n, mean)
}

// seen is what an arm's events in a phase came to.
type seen struct {
	n, errors, timeouts int64
	latencies           []float64
	mature, clicked     []int64 // answered predictions whose outcomes had the time to happen, and the outcomes of these
	samples             []seenSample
}

type seenSample struct {
	n          int64
	sum, above float64
}

// watch runs a scenario, and counts by phase and arm.
func watch(s *Scenario, phases []Phase) [][Arms]seen {
	all := make([][Arms]seen, len(phases))
	for i := range all {
		for arm := range Arms {
			all[i][arm].mature = make([]int64, len(s.Arms[arm].Outcomes))
			all[i][arm].clicked = make([]int64, len(s.Arms[arm].Outcomes))
			all[i][arm].samples = make([]seenSample, len(s.Arms[arm].Samples))
		}
	}
	at := func(ms int64) int {
		return slices.IndexFunc(phases, func(p Phase) bool { return schemas.Time(ms) < p.Until })
	}
	end := float64(s.StartMs) + s.durationMs()
	by := map[[16]byte]*seen{} // of mature predictions
	var longest [Arms][]float64
	for arm := range Arms {
		for _, o := range s.Arms[arm].Outcomes {
			longest[arm] = append(longest[arm], quantile(1-1e-9, o.Delay.below))
		}
	}
	g := New(s, 0)
	var r Record
	for g.Next(&r) {
		e := &r.Event
		arm := Baseline
		if string(e.Version) == s.Arms[Canary].Version {
			arm = Canary
		}
		phase := at(e.TimeMs)
		switch e.Kind {
		case schemas.KindPrediction:
			c := &all[phase][arm]
			c.prediction(e)
			for i, delay := range longest[arm] {
				if !e.Error && !e.Timeout && float64(e.TimeMs)+delay < end {
					c.mature[i]++
					by[[16]byte(e.ID)] = c
				}
			}
		case schemas.KindOutcome:
			if c := by[[16]byte(e.ID)]; c != nil {
				c.clicked[slices.IndexFunc(s.Arms[Baseline].Outcomes, func(o Outcome) bool { return o.Name == string(e.Name) })]++
			}
		case schemas.KindSample:
			i := slices.IndexFunc(s.Arms[arm].Samples, func(x Sample) bool { return x.Name == string(e.Name) })
			all[phase][arm].samples[i].add(e.Value)
		}
	}
	return all
}

func (c *seen) prediction(e *schemas.Event) {
	c.n++
	if e.Error {
		c.errors++
	}
	if e.Timeout {
		c.timeouts++
	}
	latency := math.Inf(1)
	if e.HasLatency {
		latency = e.LatencyMs
	}
	c.latencies = append(c.latencies, latency)
}

func (x *seenSample) add(value float64) {
	x.n++
	x.sum += value
	if value > 0.9 {
		x.above++
	}
}

// TestTruth holds every scenario's events against its true answer, with so much traffic that it has some 100,000 requests, and with
// phi and transport left out (they have tests of their own).
func TestTruth(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			s := load(t, name)
			s.Rate.Base = min(s.Rate.Base, 1e5/s.Duration.Seconds())
			s.Units.Phi = 1
			for i := range s.Arms {
				s.Arms[i].Transport = Transport{}
			}
			truth := s.Truth(0)
			for i, arms := range watch(s, truth.Phases) {
				p := &truth.Phases[i]
				seconds := float64(p.Until-p.From) / 1000
				for arm, want := range []*ArmTruth{&p.Baseline, &p.Canary} {
					what := fmt.Sprintf("phase %d, %s", i, want.Version)
					compare(t, what, &arms[arm], want)
					if s.Units.SessionOf == 0 && !s.Units.Sticky { // then they are no Poisson counts
						near(t, what+", predictions", arms[arm].n, want.PerSecond*seconds)
					}
					for j, sample := range want.Samples {
						compareSample(t, what+", "+sample.Name, &arms[arm].samples[j], sample, &s.Arms[arm].Samples[j])
					}
				}
			}
		})
	}
}

func compare(t *testing.T, what string, got *seen, want *ArmTruth) {
	t.Helper()
	if want.PerSecond == 0 && got.n == 0 {
		return
	}
	within(t, what+", errors", got.errors, got.n, want.Errors)
	within(t, what+", timeouts", got.timeouts, got.n, want.Timeouts)
	for j, o := range want.Outcomes {
		within(t, what+", "+o.Name, got.clicked[j], got.mature[j], o.Rate)
	}
	for _, q := range []struct {
		p  float64
		at *float64
	}{{0.5, want.Latency.P50}, {0.9, want.Latency.P90}, {0.99, want.Latency.P99}, {0.999, want.Latency.P999}} {
		at := math.Inf(1)
		if q.at != nil {
			at = *q.at
		}
		under, upTo := int64(0), int64(0)
		for _, x := range got.latencies {
			if x < at {
				under++
			}
			if x <= at {
				upTo++
			}
		}
		// Ties at the quantile: at most p lie under it, at least p up to it.
		b := distuv.Binomial{N: float64(got.n), P: q.p}
		if 1-b.CDF(float64(under-1)) < farOut || b.CDF(float64(upTo)) < farOut {
			t.Errorf("%s: %d under and %d up to the %g quantile %g, of %d", what, under, upTo, q.p, at, got.n)
		}
	}
}

// compareSample allows five standard errors of an AR(1) mean.
func compareSample(t *testing.T, what string, got *seenSample, want SampleTruth, s *Sample) {
	t.Helper()
	if got.n == 0 {
		return
	}
	stretch := (1 + s.Correlation) / (1 - s.Correlation)
	width := 5 * math.Sqrt(stretch/float64(got.n))
	if mean := got.sum / float64(got.n); math.Abs(mean-want.Level) > s.Noise*width+0.01 {
		t.Errorf("%s: level %.4f; want %.4f", what, mean, want.Level)
	}
	if share := got.above / float64(got.n); math.Abs(share-want.Above90) > width*math.Sqrt(want.Above90*(1-want.Above90))+0.01 {
		t.Errorf("%s: %.4f of the readings above 0.9; want %.4f", what, share, want.Above90)
	}
}

// guardrails are the defaults of a rollout, as functions of the truth: whether an arm's harm is truly beyond the margin.
var guardrails = []struct {
	name   string
	beyond func(base, canary *ArmTruth) bool
}{
	{"errors", func(b, c *ArmTruth) bool { return c.Errors > b.Errors+0.005 }},
	{"outage", func(b, c *ArmTruth) bool { return c.Errors > 0.05 && b.Errors <= 0.05 }},
	{"timeouts", func(b, c *ArmTruth) bool { return c.Timeouts > b.Timeouts+0.002 }},
	{"hang", func(b, c *ArmTruth) bool { return c.Timeouts > 0.05 && b.Timeouts <= 0.05 }},
	{"p99", func(b, c *ArmTruth) bool { return beyondFactor(b.Latency.P99, c.Latency.P99, 1.2) }},
	{"crawl", func(b, c *ArmTruth) bool { return beyondFactor(b.Latency.P90, c.Latency.P90, 2) }},
	{"cpu", func(b, c *ArmTruth) bool { return above90(c, "cpu") > above90(b, "cpu")+0.05 }},
	{"memory", func(b, c *ArmTruth) bool { return above90(c, "memory") > above90(b, "memory")+0.05 }},
	{"ctr", func(b, c *ArmTruth) bool { return rate(c, "click") < rate(b, "click")*0.98 }},
	{"sales", func(b, c *ArmTruth) bool { return rate(c, "purchase") < rate(b, "purchase")*(1-1e-9) }},
	{"missing", func(b, c *ArmTruth) bool { return c.PerSecond == 0 && b.PerSecond > 0 }},
}

func beyondFactor(base, canary *float64, factor float64) bool {
	return base != nil && (canary == nil || *canary > *base*factor)
}

func above90(a *ArmTruth, name string) float64 {
	for _, s := range a.Samples {
		if s.Name == name {
			return s.Above90
		}
	}
	return 0
}

func rate(a *ArmTruth, name string) float64 {
	for _, o := range a.Outcomes {
		if o.Name == name {
			return o.Rate
		}
	}
	return 0
}

// TestExpectedAnswerFollows: a scenario's expected answer is what its own rates say about the default guardrails.
func TestExpectedAnswerFollows(t *testing.T) {
	for _, name := range Names() {
		truth := load(t, name).Truth(0)
		for _, g := range guardrails {
			beyond := slices.ContainsFunc(truth.Phases, func(p Phase) bool {
				silent := p.Canary.PerSecond == 0 && g.name != "missing"
				return !silent && g.beyond(&p.Baseline, &p.Canary)
			})
			if fails := slices.Contains(truth.Fail, g.name); fails != beyond {
				t.Errorf("%s: %s is truly beyond its margin: %v; expected to fail: %v", name, g.name, beyond, fails)
			}
		}
		harmed := len(truth.Fail) > 0
		if harmed != (truth.Harm != "none") || harmed != (truth.Verdict == "rollback" || truth.Verdict == "hold") {
			t.Errorf("%s: harm %q, verdict %s, fail %v", name, truth.Harm, truth.Verdict, truth.Fail)
		}
		if harmed && truth.Onset != truth.Phases[1].From && truth.Onset != truth.Phases[0].From && name != "hang" {
			t.Errorf("%s: onset %s isn't where a phase begins", name, truth.Onset)
		}
	}
}

// TestTruthJSON holds the whole answer of a scenario with something of everything.
func TestTruthJSON(t *testing.T) {
	s := parseLeast(t, "# Story.\ntimeouts 2%\noutcome click 10% after fixed 1s\nsample cpu 80% every 1s\n"+
		"fault silent canary from 30s until 40s\nfault latency canary x1.5 from 40s\n")
	s.Expect = Expect{Verdict: "rollback", Fail: []string{"p99"}, Pass: []string{}}
	got, err := json.MarshalIndent(s.Truth(0), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	arm := func(version string, perSecond int, latency string) string {
		return fmt.Sprintf(`{"version": %q, "per_second": %d, "errors": 0, "timeouts": 0.02,
			"latency_ms": {"p50": %s, "p90": %s, "p99": null, "p999": null},
			"outcomes": [{"name": "click", "rate": 0.1}], "samples": [{"name": "cpu", "level": 0.8, "above_90": 0}]}`,
			version, perSecond, latency, latency)
	}
	silent := `{"version": "v2", "per_second": 0, "errors": 0, "timeouts": 0, "latency_ms": {"p50": null, "p90": null, "p99": null, "p999": null}}`
	want := `{"scenario": "t", "story": "Story.", "seed": 1, "start": "2026-01-05T09:00:00.000Z", "end": "2026-01-05T09:01:00.000Z", "model": "m",
		"harm": "silent+latency", "onset": "2026-01-05T09:00:30.000Z", "verdict": "rollback", "fail": ["p99"], "pass": [],
		"faults": [
			{"text": "silent canary from 30s until 40s", "from": "2026-01-05T09:00:30.000Z", "until": "2026-01-05T09:00:40.000Z"},
			{"text": "latency canary x1.5 from 40s", "from": "2026-01-05T09:00:40.000Z", "until": "2026-01-05T09:01:00.000Z"}],
		"phases": [
			{"from": "2026-01-05T09:00:00.000Z", "until": "2026-01-05T09:00:30.000Z", "baseline": ` + arm("v1", 90, "5") + `, "canary": ` + arm("v2", 10, "5") + `},
			{"from": "2026-01-05T09:00:30.000Z", "until": "2026-01-05T09:00:40.000Z", "baseline": ` + arm("v1", 90, "5") + `, "canary": ` + silent + `},
			{"from": "2026-01-05T09:00:40.000Z", "until": "2026-01-05T09:01:00.000Z", "baseline": ` + arm("v1", 90, "5") + `, "canary": ` + arm("v2", 10, "7.5") + `}]}`
	if same, err := sameJSON(string(got), want); err != nil || !same {
		t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
	}
}

// sameJSON compares two JSON texts, numbers to a relative 1e-9.
func sameJSON(a, b string) (bool, error) {
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		return false, err
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		return false, err
	}
	return sameValue(x, y), nil
}

func sameValue(x, y any) bool {
	switch x := x.(type) {
	case map[string]any:
		z, ok := y.(map[string]any)
		for k := range x {
			ok = ok && sameValue(x[k], z[k])
		}
		return ok && len(x) == len(z)
	case []any:
		z, ok := y.([]any)
		return ok && slices.EqualFunc(x, z, sameValue)
	case float64:
		z, ok := y.(float64)
		return ok && math.Abs(x-z) <= 1e-9*math.Abs(x)
	}
	return x == y
}

// TestHarm names what harms whom.
func TestHarm(t *testing.T) {
	start := schemas.Time(defaultStartMs)
	rows := []struct {
		further string
		fail    []string
		harm    string
		onset   schemas.Time
	}{
		{"", nil, "none", 0},
		{"fault errors both +5pp from 5s", nil, "none", start + 5000},
		{"fault rate both x2 from 5s", nil, "none", 0},
		{"fault errors baseline +5pp from 5s", nil, "none", 0},
		{"canary errors 10%", []string{"errors"}, "errors", start},
		{"fault latency canary x2 from 9s\nfault errors canary +1pp from 5s\nfault latency canary x3 from 10s", []string{"p99", "errors"}, "latency+errors", start + 5000},
	}
	for _, row := range rows {
		s := parseLeast(t, row.further)
		s.Expect.Fail = row.fail
		if got := s.Truth(0); got.Harm != row.harm || got.Onset != row.onset {
			t.Errorf("%q: harm %q from %s; want %q from %s", row.further, got.Harm, got.Onset, row.harm, row.onset)
		}
	}
}
