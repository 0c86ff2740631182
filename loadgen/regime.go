package loadgen

import (
	"math"
	"slices"
)

// tickMs is how often moving numbers are looked at again: between two ticks rates stand still.
const tickMs = 100

// A regime is what holds from one edge to the next: the numbers that events are drawn with.
type regime struct {
	until float64 // milliseconds since the start; holds before it
	perMs float64 // requests per millisecond
	share float64 // the canary's, by the scenario
	arms  [Arms]armRegime
}

// An armRegime is one arm's part of a regime. Shares lie in 0..1, and errors + timeouts, too.
type armRegime struct {
	silent           bool
	errors, timeouts float64
	factor, plus     float64 // of latencies; plus in milliseconds
	tail             float64 // factor of latencies above the arm's cut
	score            float64 // its level
	outcomes         [MaxOutcomes]float64
	samples          [MaxSamples]float64
}

// A cursor goes through a scenario's regimes in the order of time.
type cursor struct {
	s      *Scenario
	edges  []float64 // where something begins or ends, ascending
	moving []span    // where something moves
	now    regime
}

// A span is a stretch of time, in milliseconds since the start.
type span struct{ from, until float64 }

// newCursor returns a cursor at the start.
func newCursor(s *Scenario) *cursor {
	c := &cursor{s: s, edges: s.edges(), moving: s.movingSpans()}
	c.now.until = math.Inf(-1)
	return c
}

// at returns the regime at t, which must not lie before any earlier t. The result is good until the next call.
func (c *cursor) at(t float64) *regime {
	if t >= c.now.until {
		c.now = c.s.regimeAt(t)
		c.now.until = c.end(t)
	}
	return &c.now
}

// end says until when the regime at t holds.
func (c *cursor) end(t float64) float64 {
	until := math.Inf(1)
	for i, _ := slices.BinarySearch(c.edges, t); i < len(c.edges); i++ {
		if c.edges[i] > t {
			until = c.edges[i]
			break
		}
	}
	for _, m := range c.moving {
		if t >= m.from && t < m.until {
			return min(until, (math.Floor(t/tickMs)+1)*tickMs)
		}
	}
	return until
}

// edges are the times within the scenario at which the split changes, and a fault begins, is at its full size, or ends.
func (s *Scenario) edges() []float64 {
	var edges []float64
	for _, step := range s.Split {
		if step.AtMs < s.durationMs() {
			edges = append(edges, step.AtMs)
		}
	}
	for i := range s.Faults {
		f := &s.Faults[i]
		for _, at := range []float64{f.FromMs, min(f.FromMs+f.OverMs, f.UntilMs), f.UntilMs} {
			if at < s.durationMs() {
				edges = append(edges, at)
			}
		}
	}
	slices.Sort(edges)
	return slices.Compact(edges)
}

// movingSpans are the times at which numbers have to be looked at every tick.
func (s *Scenario) movingSpans() []span {
	stands := s.Rate.Drift.stands()
	for i := range s.Arms {
		a := &s.Arms[i]
		stands = max(stands, a.Errors.Drift.stands(), a.Timeouts.Drift.stands(), a.LatencyFactor.stands())
		if a.Score != nil {
			stands = max(stands, a.Score.Level.Drift.stands())
		}
		for _, o := range a.Outcomes {
			stands = max(stands, o.Rate.Drift.stands())
		}
		for _, g := range a.Samples {
			stands = max(stands, g.Level.Drift.stands())
		}
	}
	spans := []span{{math.Inf(-1), stands}}
	for _, f := range s.Faults {
		if f.OverMs > 0 {
			spans = append(spans, span{f.FromMs, min(f.FromMs+f.OverMs, f.UntilMs)})
		}
	}
	return spans
}

// regimeAt computes what holds at t. Before the start it is what holds at the start.
func (s *Scenario) regimeAt(t float64) regime {
	t = max(t, 0)
	r := regime{perMs: s.Rate.at(t) / 1000}
	for _, step := range s.Split {
		if step.AtMs <= t {
			r.share = step.Share
		}
	}
	for i := range s.Arms {
		r.arms[i] = s.Arms[i].regimeAt(t)
	}
	for i := range s.Faults {
		if k := s.Faults[i].strength(t); k > 0 {
			s.apply(&s.Faults[i], k, &r)
		}
	}
	for i := range r.arms {
		r.arms[i].cut()
	}
	return r
}

func (a *Arm) regimeAt(t float64) armRegime {
	r := armRegime{errors: a.Errors.at(t), timeouts: a.Timeouts.at(t), factor: a.LatencyFactor.at(t), tail: 1}
	if a.Score != nil {
		r.score = a.Score.Level.at(t)
	}
	for i := range a.Outcomes {
		r.outcomes[i] = a.Outcomes[i].Rate.at(t)
	}
	for i := range a.Samples {
		r.samples[i] = a.Samples[i].Level.at(t)
	}
	return r
}

// strength is how much of a fault is on at t, 0..1.
func (f *Fault) strength(t float64) float64 {
	if t < f.FromMs || t >= f.UntilMs {
		return 0
	}
	if f.OverMs > 0 {
		return min((t-f.FromMs)/f.OverMs, 1)
	}
	return 1
}

// apply puts the share k of a fault upon a regime.
func (s *Scenario) apply(f *Fault, k float64, r *regime) {
	if f.What == "rate" {
		r.perMs = f.change(r.perMs, k)
		return
	}
	for i := range r.arms {
		if f.Arms[i] {
			s.Arms[i].apply(f, k, &r.arms[i])
		}
	}
}

func (a *Arm) apply(f *Fault, k float64, r *armRegime) {
	switch f.What {
	case "silent":
		r.silent = true
	case "errors":
		r.errors = f.change(r.errors, k)
	case "timeouts":
		r.timeouts = f.change(r.timeouts, k)
	case scoreFault:
		r.score = f.change(r.score, k)
	case "latency":
		switch {
		case f.Change == Add:
			r.plus = f.change(r.plus, k)
		case f.Tail:
			r.tail = f.change(r.tail, k)
		default:
			r.factor = f.change(r.factor, k)
		}
	default:
		for i := range a.Outcomes {
			if a.Outcomes[i].Name == f.What {
				r.outcomes[i] = f.change(r.outcomes[i], k)
			}
		}
		for i := range a.Samples {
			if a.Samples[i].Name == f.What {
				r.samples[i] = f.change(r.samples[i], k)
			}
		}
	}
}

// change returns x with the share k of the fault's change.
func (f *Fault) change(x, k float64) float64 {
	switch f.Change {
	case Set:
		return f.By
	case Times:
		return x * (1 + (f.By-1)*k)
	}
	return x + f.By*k
}

// cut brings every share back into 0..1; where errors and timeouts are more than everything, errors come first.
func (r *armRegime) cut() {
	r.errors = min(max(r.errors, 0), 1)
	r.timeouts = min(max(r.timeouts, 0), 1-r.errors)
	r.score = min(max(r.score, 0), 1)
	for i := range r.outcomes {
		r.outcomes[i] = min(max(r.outcomes[i], 0), 1)
	}
	for i := range r.samples {
		r.samples[i] = min(max(r.samples[i], 0), 1)
	}
}

// An answerLaw is how an arm's latencies come about once its law is drawn: see Fault.
type answerLaw struct {
	law   *Law
	cut   float64 // the law's 95th percentile, above which `tail` applies
	round float64 // granularity in milliseconds
}

func (s *Scenario) answerLaw(arm int) answerLaw {
	law := &s.Arms[arm].Latency
	round := s.RoundMs
	if round == 0 {
		round = 0.001
	}
	return answerLaw{law: law, cut: quantile(tailQuantile, law.below), round: round}
}

// shape turns a draw of the law into a latency under a regime.
func (a *answerLaw) shape(x float64, r *armRegime) float64 {
	if x > a.cut {
		x *= r.tail
	}
	return a.rounded(x*r.factor + r.plus)
}

// rounded rounds to the granularity; negative latencies are 0.
func (a *answerLaw) rounded(x float64) float64 {
	if a.round == 0.001 {
		return math.Round(max(x, 0)*1000) / 1000
	}
	return math.Round(max(x, 0)/a.round) * a.round
}

// below is the distribution function of the latencies under a regime, rounding left aside.
func (a *answerLaw) below(x float64, r *armRegime) float64 {
	if r.factor <= 0 {
		if x >= r.plus {
			return 1
		}
		return 0
	}
	y := (x - r.plus) / r.factor
	switch {
	case y <= a.cut:
		return a.law.below(y)
	case y <= a.cut*r.tail:
		return a.law.below(a.cut)
	}
	return a.law.below(y / r.tail)
}
