package plan

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"streamcanary/analysis"
	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A Survey learns a rollout's traffic from merged parts of its plan, in their order: rates, latencies and over-dispersion of the baseline,
// and how much traffic there is. Owned by one goroutine.
//
// Claim. Shares and rates are what was counted; over-dispersion is the likely one (stats.Dispersion.Point), without an interval; of ranks the limit that the judge reckons with.
//
// When. The log is of traffic such as the rollout will meet.
//
// Cost: for each cell of the plan a histogram of its buckets and 368 bytes, and a judge of the rollout; Add takes a few operations for each cell and bucket, and a step of that judge.
//
// Conventions: it may see parts from before a canary: then the share is unknown (0). A guardrail of which the log is empty is Unknown; without any prediction of
// the baseline Traffic is an error. Latencies are in milliseconds.
//
// Source: relative frequencies; stats.Dispersion's. Within a bucket values are spread evenly on its own scale, which is chosen here.
type Survey struct {
	rollout        *schemas.Rollout
	metrics        []windows.Metric
	tallies        map[string]*tally // by stream and cell
	judge          *analysis.Judge   // measures the noise of ranks
	served         [windows.Arms]int64
	firstMs, endMs int64
}

// tally is what one cell came to.
type tally struct {
	n            [windows.Arms]int64
	k            int64 // of the baseline, like all that follows
	hist         map[int32]int64
	sum, squares float64
	phi          *stats.Dispersion
}

// NewSurvey returns one that has seen nothing of a rollout, whose memory it shares.
func NewSurvey(r *schemas.Rollout) *Survey {
	return &Survey{rollout: r, metrics: analysis.Metrics(r), tallies: map[string]*tally{}, judge: analysis.NewJudge(r, analysis.Options{NoIntervals: true})}
}

// Add takes a merged part; its memory is the caller's again on return.
func (s *Survey) Add(p *windows.Part) {
	s.judge.Step(p)
	if p.Kind == windows.Serving {
		if s.firstMs == 0 {
			s.firstMs = p.StartMs
		}
		s.endMs = p.StartMs + s.rollout.Window.Milliseconds()
		for arm := range windows.Arms {
			s.served[arm] += p.Traffic[arm].Served
		}
	}
	for i, key := range p.Metrics {
		at := s.at(p.Stream, key)
		for arm := range windows.Arms {
			if i < len(p.Cells[arm]) {
				at.n[arm] += p.Cells[arm][i].N
			}
		}
		if i < len(p.Cells[windows.Baseline]) {
			at.add(&p.Cells[windows.Baseline][i])
		}
	}
}

func (s *Survey) at(stream windows.Stream, key string) *tally {
	name := fmt.Sprintf("%d %s\x00%s", stream.Kind, stream.Name, key)
	if s.tallies[name] == nil {
		s.tallies[name] = &tally{hist: map[int32]int64{}, phi: stats.NewDispersion()}
	}
	return s.tallies[name]
}

// add takes one cell of the baseline; half of its calibration slices against the other half tell of over-dispersion.
func (t *tally) add(c *windows.Cell) {
	t.k += c.K
	t.sum += float64(c.Sum)
	t.squares += float64(c.Squares)
	for _, b := range c.Hist {
		t.hist[b.Index] += int64(b.Count)
	}
	half, rest := c.Slices[0], windows.SliceCount{}
	for _, slice := range c.Slices[1:] {
		rest.N, rest.K = rest.N+slice.N, rest.K+slice.K
	}
	if half.N > 0 && rest.N > 0 {
		t.phi.Add(float64(half.N), float64(half.K), float64(rest.N), float64(rest.K))
	}
}

// Traffic is what the survey found. The error says why there is nothing to plan with.
func (s *Survey) Traffic() (Traffic, error) {
	seconds := float64(s.endMs-s.firstMs) / 1000
	if s.served[windows.Baseline] == 0 {
		return Traffic{}, fmt.Errorf("no prediction is of model %s, version %s: is this the right log, and the right baseline?", s.rollout.Model, s.rollout.BaselineWhere.Of(s.rollout.Baseline))
	}
	all := s.served[windows.Baseline] + s.served[windows.Canary]
	t := Traffic{
		Source:   fmt.Sprintf("a log of %s, from %s on", schemas.FormatDuration(time.Duration(s.endMs-s.firstMs)*time.Millisecond), schemas.Time(s.firstMs)),
		Requests: float64(all) / seconds, Share: float64(s.served[windows.Canary]) / float64(all),
	}
	known := s.judge.Status()
	for i := range s.rollout.Guardrails {
		b := s.baseline(&s.rollout.Guardrails[i], seconds)
		if g := &s.rollout.Guardrails[i]; ranked(g) || valued(g) { // what the test itself reckons with
			b.Phi = known[i].Phi
		}
		t.Baselines = append(t.Baselines, b)
	}
	return t, nil
}

// leastEvents is how many events a rate must have had to be planned with.
const leastEvents = 1

func (s *Survey) baseline(g *schemas.Guardrail, seconds float64) Baseline {
	t := s.tallyOf(g)
	if t == nil || t.n[windows.Baseline] == 0 {
		return Baseline{Unknown: fmt.Sprintf("the log has nothing of %s", g.Of)}
	}
	n := float64(t.n[windows.Baseline])
	b := Baseline{Sampled: g.IsSample(), PerSecond: float64(t.n[windows.Baseline]+t.n[windows.Canary]) / seconds, Rate: float64(t.k) / n}
	if phi, measured := t.phi.Point(); measured {
		b.Phi = phi
	}
	switch g.Kind {
	case schemas.QuantileGuardrail, schemas.DistributionGuardrail:
		b.Values = pointsOf(g, t.hist)
	case schemas.MeanGuardrail:
		mean := t.sum / n / sumUnit
		spread := math.Sqrt(max(0, t.squares/n/sumUnit-mean*mean))
		b.Mean = schemas.MeanValue{Mean: mean * g.Cap, Deviation: spread * g.Cap}
	default:
		if t.k < leastEvents && g.Direction.Contrast() && (g.Margin.Relative || g.Margin.Value == 0) {
			b.Unknown = fmt.Sprintf("the log has no %s at all, and the margin is a share of it", rateName(g))
		}
	}
	return b
}

// tallyOf is what a guardrail is planned by: its histogram where it has one, else its counts.
func (s *Survey) tallyOf(g *schemas.Guardrail) *tally {
	one := *s.rollout
	one.Guardrails = []schemas.Guardrail{*g}
	if g.IsOutcome() {
		return s.tallies[fmt.Sprintf("%d %s\x00%s", windows.Outcomes, g.Of, g.Of)]
	}
	var last *tally
	for _, m := range analysis.Metrics(&one) {
		t := s.tallies[fmt.Sprintf("%d %s\x00%s", m.Stream().Kind, m.Stream().Name, m.Key())]
		if t != nil && (last == nil || len(t.hist) > 0 && len(last.hist) == 0) {
			last = t
		}
	}
	return last
}

// parts is into how many values one exponential bucket is parted: a harm may be less than its width.
const parts = 4

// pointsOf is the distribution behind a histogram.
func pointsOf(g *schemas.Guardrail, hist map[int32]int64) []Point {
	total := int64(0)
	for _, n := range hist {
		total += n
	}
	var points []Point
	for _, index := range slices.Sorted(maps.Keys(hist)) {
		p := float64(hist[index]) / float64(total)
		switch {
		case g.Buckets.Linear():
			points = append(points, Point{g.Buckets.From + (float64(index)+.5)*g.Buckets.Width(), p})
		case index <= windows.ZeroBucket || index >= windows.TopBucket:
			points = append(points, Point{windows.BucketUpper(index), p})
		default:
			low, high := windows.BucketUpper(index-1), windows.BucketUpper(index)
			for i := range parts {
				points = append(points, Point{low * math.Pow(high/low, (float64(i)+.5)/parts), p / parts})
			}
		}
	}
	return points
}
