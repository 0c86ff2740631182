package loadgen

import (
	"math"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// Truth is a scenario's true answer: what was done to the traffic, what a judge should find, and the exact rates that the
// events were drawn with. Its JSON is printed beside the log.
type Truth struct {
	Scenario string       `json:"scenario"`
	Story    string       `json:"story"`
	Seed     uint64       `json:"seed"`
	Start    schemas.Time `json:"start"`
	End      schemas.Time `json:"end"`
	Model    string       `json:"model"`
	Harm     string       `json:"harm"`           // "none", or what harms the canary, e.g. "latency+errors"
	Onset    schemas.Time `json:"onset,omitzero"` // when the first fault of the canary begins, harmful or not; none: no time
	Expect
	Faults []FaultTruth `json:"faults"`
	Phases []Phase      `json:"phases"` // the run, cut where the split changes, and where a fault begins, is at its full size, or ends
}

// FaultTruth is one fault, as written and when.
type FaultTruth struct {
	Text  string       `json:"text"`
	From  schemas.Time `json:"from"`
	Until schemas.Time `json:"until"`
}

// A Phase is a stretch of event time, From inclusive, with each arm's true numbers: averages over its predictions
// where they move within it. The split stands still in it, so these averages compare like with like.
type Phase struct {
	From     schemas.Time `json:"from"`
	Until    schemas.Time `json:"until"`
	Baseline ArmTruth     `json:"baseline"`
	Canary   ArmTruth     `json:"canary"`
}

// ArmTruth is an arm's true numbers in a phase. Shares are of its predictions. A silent arm has only its version.
type ArmTruth struct {
	Version   string        `json:"version"`
	PerSecond float64       `json:"per_second"` // predictions, by the scenario's split
	Errors    float64       `json:"errors"`
	Timeouts  float64       `json:"timeouts"`
	Latency   LatencyTruth  `json:"latency_ms"`
	Score     *float64      `json:"score,omitempty"`    // level of the scores, before noise
	Outcomes  []NamedTruth  `json:"outcomes,omitempty"` // share of the answered predictions, however late it happens
	Samples   []SampleTruth `json:"samples,omitempty"`
}

// LatencyTruth is quantiles of the latency in milliseconds, errors and timeouts included, rounded like the latencies.
// A timeout without a latency is longer than any: nil is such a quantile.
type LatencyTruth struct {
	P50  *float64 `json:"p50"`
	P90  *float64 `json:"p90"`
	P99  *float64 `json:"p99"`
	P999 *float64 `json:"p999"`
}

// NamedTruth is the true share of one outcome.
type NamedTruth struct {
	Name string  `json:"name"`
	Rate float64 `json:"rate"`
}

// SampleTruth is the level of one sample, and the share of its readings above 0.9.
type SampleTruth struct {
	Name    string  `json:"name"`
	Level   float64 `json:"level"`
	Above90 float64 `json:"above_90"`
}

// Truth computes the scenario's true answer for a seed; 0 is the scenario's own. What SetSplit does isn't in it.
func (s *Scenario) Truth(seed uint64) Truth {
	if seed == 0 {
		seed = s.Seed
	}
	t := Truth{
		Scenario: s.Name, Story: s.Story, Seed: seed, Model: s.Model, Expect: s.Expect,
		Start: s.time(0), End: s.time(s.durationMs()), Faults: []FaultTruth{},
	}
	t.Harm, t.Onset = s.harm()
	for i := range s.Faults {
		f := &s.Faults[i]
		t.Faults = append(t.Faults, FaultTruth{f.Text, s.time(f.FromMs), s.time(min(f.UntilMs, s.durationMs()))})
	}
	cuts := append(s.edges(), 0, s.durationMs())
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for i := 1; i < len(cuts); i++ {
		t.Phases = append(t.Phases, s.phase(cuts[i-1], cuts[i]))
	}
	return t
}

// time turns milliseconds since the start into a time.
func (s *Scenario) time(ms float64) schemas.Time { return schemas.Time(s.StartMs + int64(ms)) }

// harm names what harms the canary, and when the first thing was done to it.
func (s *Scenario) harm() (string, schemas.Time) {
	var what []string
	onset := math.Inf(1)
	for i := range s.Faults {
		f := &s.Faults[i]
		if f.Arms[Canary] && f.What != "rate" {
			onset = min(onset, f.FromMs)
		}
		if f.Arms[Canary] && !f.Arms[Baseline] && !slices.Contains(what, f.What) {
			what = append(what, f.What)
		}
	}
	switch {
	case len(s.Expect.Fail) == 0 && math.IsInf(onset, 1):
		return "none", 0
	case len(s.Expect.Fail) == 0:
		return "none", s.time(onset)
	case len(what) == 0:
		return strings.Join(s.Expect.Fail, "+"), s.time(0)
	}
	return strings.Join(what, "+"), s.time(onset)
}

// A piece is a stretch of time in which nothing moves much.
type piece struct {
	ms float64
	r  regime
}

// piecesMax bounds into how many pieces a moving phase is cut.
const piecesMax = 2048

// pieces cuts a phase where something moves.
func (s *Scenario) pieces(from, until float64) []piece {
	cuts := []float64{from, until}
	for _, m := range s.movingSpans() {
		lo, hi := max(from, m.from), min(until, m.until)
		n := math.Min(math.Ceil((hi-lo)/tickMs), piecesMax)
		for i := 1.0; i < n; i++ {
			cuts = append(cuts, lo+(hi-lo)*i/n)
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var list []piece
	for i := 1; i < len(cuts); i++ {
		list = append(list, piece{cuts[i] - cuts[i-1], s.regimeAt((cuts[i-1] + cuts[i]) / 2)})
	}
	return list
}

func (s *Scenario) phase(from, until float64) Phase {
	list := s.pieces(from, until)
	return Phase{
		From: s.time(from), Until: s.time(until),
		Baseline: s.armTruth(Baseline, list), Canary: s.armTruth(Canary, list),
	}
}

// armTruth averages an arm's numbers over the pieces, by how many predictions fall into each (samples: by time).
func (s *Scenario) armTruth(arm int, list []piece) ArmTruth {
	a := &s.Arms[arm]
	t := ArmTruth{Version: a.Version}
	span, answered, score := 0.0, 0.0, 0.0
	weights := make([]float64, len(list))
	outcomes := make([]float64, len(a.Outcomes))
	total := 0.0
	for i := range list {
		p := &list[i].r.arms[arm]
		span += list[i].ms
		weights[i] = predictions(arm, &list[i])
		total += weights[i]
		t.Errors += weights[i] * p.errors
		t.Timeouts += weights[i] * p.timeouts
		good := weights[i] * (1 - p.errors - p.timeouts)
		answered += good
		score += good * p.score
		for j := range outcomes {
			outcomes[j] += good * p.outcomes[j]
		}
	}
	if total == 0 {
		return ArmTruth{Version: a.Version}
	}
	t.PerSecond = total / span * 1000
	t.Errors /= total
	t.Timeouts /= total
	for j, k := range outcomes {
		t.Outcomes = append(t.Outcomes, NamedTruth{a.Outcomes[j].Name, k / max(answered, math.SmallestNonzeroFloat64)})
	}
	if score /= max(answered, math.SmallestNonzeroFloat64); a.Score != nil {
		t.Score = &score
	}
	t.Latency = s.latencyTruth(arm, list, weights)
	t.Samples = s.samplesTruth(arm, list)
	return t
}

// predictions is how many predictions of an arm a piece holds on average.
func predictions(arm int, p *piece) float64 {
	share := p.r.share
	if arm == Baseline {
		share = 1 - share
	}
	if p.r.arms[arm].silent {
		return 0
	}
	return p.ms * p.r.perMs * share
}

func (s *Scenario) latencyTruth(arm int, list []piece, weights []float64) LatencyTruth {
	law := s.answerLaw(arm)
	total := 0.0
	for _, w := range weights {
		total += w
	}
	below := func(x float64) float64 {
		sum := 0.0
		for i := range list {
			if weights[i] > 0 {
				sum += weights[i] * s.Arms[arm].latencyBelow(x, &law, &list[i].r.arms[arm])
			}
		}
		return sum / total
	}
	at := func(q float64) *float64 {
		x := quantile(q, below)
		if math.IsInf(x, 1) {
			return nil
		}
		x = law.rounded(x)
		return &x
	}
	return LatencyTruth{P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999)}
}

// latencyBelow is the distribution function of an arm's latencies under a regime, errors and timeouts included.
func (a *Arm) latencyBelow(x float64, law *answerLaw, r *armRegime) float64 {
	own := law.below(x, r)
	failed := own
	if a.ErrorLatency != nil {
		failed = a.ErrorLatency.below(x)
	}
	late := 0.0
	if a.TimeoutMs > 0 && x >= a.TimeoutMs {
		late = 1
	}
	return (1-r.errors-r.timeouts)*own + r.errors*failed + r.timeouts*late
}

func (s *Scenario) samplesTruth(arm int, list []piece) []SampleTruth {
	var truths []SampleTruth
	for j, sample := range s.Arms[arm].Samples {
		t := SampleTruth{Name: sample.Name}
		span := 0.0
		for i := range list {
			r := &list[i].r.arms[arm]
			if r.silent {
				continue
			}
			span += list[i].ms
			t.Level += list[i].ms * r.samples[j]
			t.Above90 += list[i].ms * normalAbove(0.9, r.samples[j], sample.Noise)
		}
		t.Level /= span
		t.Above90 /= span
		truths = append(truths, t)
	}
	return truths
}

// normalAbove is the share of a normal distribution above x.
func normalAbove(x, mean, sigma float64) float64 {
	if sigma > 0 {
		return math.Erfc((x-mean)/(sigma*math.Sqrt2)) / 2
	}
	if mean > x {
		return 1
	}
	return 0
}
