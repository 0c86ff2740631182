package analysis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// startMs is 2025-10-09T09:00:00Z: the event time at which the scripts of these tests begin.
const startMs = 1760000400000

// rolloutOf is a rollout of some guardrails with plain choices: one-second windows, 5 % risk, bake 1 m, max 1 h.
func rolloutOf(guardrails ...schemas.Guardrail) *schemas.Rollout {
	return &schemas.Rollout{
		Name: "ranker-42", Model: "ranker", Baseline: "41", Canary: "42",
		Risk:   schemas.Risk{FalseRollback: .05, FalsePromote: .05},
		Window: time.Second, Patience: schemas.Never, Phi: 1,
		Guardrails: guardrails,
		Health:     schemas.Health{Silent: 5 * time.Second, Traffic: schemas.OnHold},
		Stages:     []schemas.Stage{{Bake: time.Minute, Max: time.Hour, Then: schemas.OnHold}},
	}
}

// guardrail parses the short form of these tests: "errors: rate error increase 0.5pp" with defaults for the rest.
func guardrail(text string) schemas.Guardrail {
	name, rest, _ := strings.Cut(text, ": ")
	g := schemas.Guardrail{Name: name, On: schemas.OnRollback, Prove: schemas.ProveBeyond, Required: true, Weight: 1}
	var kind, direction string
	words := strings.Fields(rest)
	kind, words = words[0], words[1:]
	switch kind {
	case "rate":
		g.Kind, g.Of, words = schemas.RateGuardrail, words[0], words[1:]
	case "sample":
		g.Kind, g.Of, words = schemas.GaugeGuardrail, words[0], words[1:]
		_, _ = fmt.Sscan(words[0], &g.Limit)
		words = words[1:]
	case "quantile":
		g.Kind, g.Of = schemas.QuantileGuardrail, words[1]
		_, _ = fmt.Sscan(words[0], &g.Quantile)
		words = words[2:]
	case "mean":
		g.Kind, g.Of, words = schemas.MeanGuardrail, words[0], words[1:]
	case "distribution":
		g.Kind, g.Of, g.Test, words = schemas.DistributionGuardrail, words[0], schemas.DistributionTest(words[1]), words[2:]
	default:
		panic("guardrail kind " + kind)
	}
	direction, words = words[0], words[1:]
	g.Direction, g.Margin = schemas.Direction(direction), margin(words[0], g.Kind, schemas.Direction(direction))
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "prove":
			g.Prove = schemas.Prove(value)
		case "on":
			g.On = schemas.On(value)
		case "weight":
			_, _ = fmt.Sscan(value, &g.Weight)
		case "optional":
			g.Required = false
		case "from":
			g.From = map[string]schemas.Kind{"prediction": schemas.KindPrediction, "outcome": schemas.KindOutcome, "sample": schemas.KindSample}[value]
		case "cap":
			_, _ = fmt.Sscan(value, &g.Cap)
		case "buckets":
			_, _ = fmt.Sscanf(value, "%g,%g,%d", &g.Buckets.From, &g.Buckets.To, &g.Buckets.Count)
			g.Margin.Relative = false
		default:
			panic("guardrail word " + w)
		}
	}
	return g
}

func margin(text string, kind schemas.GuardrailKind, d schemas.Direction) schemas.Margin {
	m := schemas.Margin{Text: text}
	number := strings.TrimRight(text, "anypms%")
	unit := text[len(number):]
	_, _ = fmt.Sscan(number, &m.Value)
	limit := d == schemas.Above || d == schemas.Below
	if unit == "pp" || unit == "%" {
		m.Value /= 100
	}
	m.Relative = unit == "%" && !limit || text == "any" && (kind == schemas.QuantileGuardrail || kind == schemas.DistributionGuardrail)
	return m
}

// side is what one arm did in one window of a script.
type side struct {
	n         int64 // predictions
	shadow    int64 // of them copies
	errors    int64
	timeouts  int64
	latencyMs float64 // of all of them but the slow ones; 0: none has a latency
	slow      int64   // of them, at slowMs
	slowMs    float64
	late      int64
	sampledBy float64 // 0: 1
	units     int
	full      bool
	clicks    int64                              // of outcome parts
	high, cpu int64                              // samples above the limit, and all
	slices    [windows.Slices]windows.SliceCount // of the error metric
	half      int64                              // predictions of slice 0, all but halfSlow of them at latencyMs
	halfSlow  int64
	told      int64 // predictions that say whether the cache answered
	misses    int64 // of them, where it didn't
}

// script drives a Judge with windows written by hand.
type script struct {
	t       *testing.T
	rollout *schemas.Rollout
	judge   *Judge
	keys    []windows.Metric
	atMs    int64
	verdict Verdict
	seen    uint64
}

func newScript(t *testing.T, r *schemas.Rollout, o Options) *script {
	return &script{t: t, rollout: r, judge: NewJudge(r, o), keys: Metrics(r), atMs: startMs}
}

// play gives the judge the same serving window some times.
func (s *script) play(times int, baseline, canary side) {
	for range times {
		s.verdict = s.judge.Step(s.serving(baseline, canary))
		s.atMs += s.judge.clock.widthMs
	}
}

// pause lets event time pass without any event.
func (s *script) pause(d time.Duration) { s.atMs += d.Milliseconds() }

func (s *script) serving(baseline, canary side) *windows.Part {
	p := &windows.Part{Stream: windows.Stream{Kind: windows.Serving}, StartMs: s.atMs}
	for arm, a := range [windows.Arms]side{baseline, canary} {
		sampledBy := a.sampledBy
		if sampledBy == 0 {
			sampledBy = 1
		}
		tr := windows.Traffic{Events: a.n, Served: a.n - a.shadow, Late: a.late, UnitsFull: a.full}
		if a.n > 0 {
			tr.SampledMin, tr.SampledMax = sampledBy, sampledBy
		}
		for range a.units {
			s.seen++
			tr.Units = append(tr.Units, windows.UnitSight{Unit: s.seen})
		}
		p.Traffic[arm] = tr
		for _, m := range s.keys {
			if m.Stream().Kind == windows.Serving {
				p.Cells[arm] = append(p.Cells[arm], a.cell(m.Key()))
			}
		}
	}
	return p
}

func (a side) cell(key string) windows.Cell {
	of, limit, exceeds := strings.Cut(key, ">")
	switch {
	case key == "error":
		return windows.Cell{N: a.n, K: a.errors, Slices: a.slices}
	case key == "cache_miss":
		return windows.Cell{N: a.told, K: a.misses}
	case key == "timeout":
		return windows.Cell{N: a.n, K: a.timeouts}
	case of == ofLatency && exceeds:
		c := windows.Cell{N: a.n}
		var edge float64
		_, _ = fmt.Sscan(limit, &edge)
		if a.slowMs > edge {
			c.K += a.slow
		}
		if a.latencyMs > edge {
			c.K += a.n - a.slow
		}
		return c
	case a.latencyMs > 0 && (strings.HasPrefix(key, ofLatency+"-") || strings.HasPrefix(key, ofLatency+"+")): // as low, and as high, as they may have been
		var by float64
		_, _ = fmt.Sscan(key[len(ofLatency):], &by)
		return side{n: a.n, slow: a.slow, latencyMs: a.latencyMs + by, slowMs: a.slowMs + by}.cell(ofLatency)
	case key == ofLatency+"/half" && a.half > 0:
		return side{n: a.half, slow: a.halfSlow, latencyMs: a.latencyMs, slowMs: a.slowMs}.cell(ofLatency)
	case key == ofLatency && a.latencyMs > 0:
		c, tally := windows.Cell{N: a.n}, windows.Tally{}
		for range a.n - a.slow {
			tally.Add(windows.BucketOf(a.latencyMs))
		}
		for range a.slow {
			tally.Add(windows.BucketOf(a.slowMs))
		}
		tally.Flush(&c)
		return c
	}
	return windows.Cell{}
}

// outcomes gives the judge the outcome part of the window that starts at atMs.
func (s *script) outcomes(name string, atMs int64, baseline, canary side) {
	p := &windows.Part{Stream: windows.Stream{Kind: windows.Outcomes, Name: name}, StartMs: atMs}
	p.Cells[windows.Baseline] = []windows.Cell{{N: baseline.n, K: baseline.clicks}}
	p.Cells[windows.Canary] = []windows.Cell{{N: canary.n, K: canary.clicks}}
	s.verdict = s.judge.Step(p)
}

// samples gives the judge a part of the only gauge.
func (s *script) samples(baseline, canary side) {
	p := &windows.Part{Stream: windows.Stream{Kind: windows.Resources}, StartMs: s.atMs}
	p.Cells[windows.Baseline] = []windows.Cell{{N: baseline.cpu, K: baseline.high}}
	p.Cells[windows.Canary] = []windows.Cell{{N: canary.cpu, K: canary.high}}
	s.verdict = s.judge.Step(p)
	s.atMs += s.judge.clock.widthMs
}

// state is a guardrail's.
func (s *script) state(name string) schemas.State { return s.guard(name).state }

func (s *script) guard(name string) *guard {
	for _, g := range s.judge.guards {
		if g.spec.Name == name {
			return g
		}
	}
	s.t.Fatalf("no guardrail %q", name)
	return nil
}

// want fails the test unless the verdict is this one.
func (s *script) want(action VerdictAction, code string) {
	s.t.Helper()
	if s.verdict.Action != action || s.verdict.Code != code {
		s.t.Fatalf("at %s: verdict %s %s (%s), want %s %s",
			schemas.Time(s.atMs), s.verdict.Action, s.verdict.Code, s.verdict.Sentence, action, code)
	}
}

// wantState fails the test unless a guardrail is in this state.
func (s *script) wantState(name string, want schemas.State) {
	s.t.Helper()
	if got := s.state(name); got != want {
		g := s.guard(name)
		s.t.Fatalf("at %s: %s is %s (any %.2f, beyond %.2f, pass %.2f), want %s", schemas.Time(s.atMs), name, got,
			g.canary.any.LogE(), g.canary.beyond.LogE(), g.canary.passLogE(), want)
	}
}
