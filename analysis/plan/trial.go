package plan

import (
	"math"
	"time"

	"streamcanary/analysis"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A setting is one guardrail in one stage: all that a simulation of it needs.
type setting struct {
	rollout  schemas.Rollout // of this guardrail alone, with its share of the risk
	guard    *schemas.Guardrail
	base     *Baseline
	share    float64
	requests float64
	stage    *schemas.Stage
	stream   windows.Stream
	metrics  []windows.Metric // of the stream, in their order
	healthy  []atom
	within   time.Duration // of its outcome; 0 without
	options  Options
	noises   [][]float64 // see noiseAfter
}

// sliced reports whether its noise is measured on the baseline's slices of a rate.
func (s *setting) sliced() bool {
	return s.guard.Kind == schemas.RateGuardrail || s.guard.Kind == schemas.GaugeGuardrail
}

// high reports whether a rate is tested by its own variance, as one above 10 % is: a rollout has seen its baseline before the canary comes.
func (s *setting) high() bool {
	return s.sliced() && s.guard.Direction.Contrast() && s.healthy[hitAt(s.guard)].p > analysis.HighRate
}

// ranked reports whether a guardrail holds ranks against the baseline's.
func ranked(g *schemas.Guardrail) bool {
	return g.Direction.Contrast() && (g.Kind == schemas.QuantileGuardrail || g.Kind == schemas.DistributionGuardrail)
}

// valued reports whether a guardrail is of the mean of predictions' values.
func valued(g *schemas.Guardrail) bool {
	return g.Kind == schemas.MeanGuardrail && g.From == schemas.KindPrediction
}

// A place is a guardrail in a stage, by their numbers from 0.
type place struct{ guardrail, stage int }

func newSetting(r *schemas.Rollout, at place, t *Traffic, o Options) *setting {
	s := &setting{rollout: *r, base: &t.Baselines[at.guardrail], requests: t.Requests, stage: &r.Stages[at.stage], options: o}
	s.share = shareOf(r, s.stage, t)
	s.rollout.BaselineWhere, s.rollout.CanaryWhere = schemas.Where{}, schemas.Where{} // what is simulated is of the arms
	g := r.Guardrails[at.guardrail]
	alpha := r.Alpha(&g)
	// A guardrail that holds or warns has the same tests. Alone but for the missing canary, it keeps the share that it has among all.
	g.On, g.Required = schemas.OnRollback, true
	s.rollout.Risk.FalseRollback = alpha * (g.Weight + schemas.MissingCanaryWeight) / g.Weight
	s.rollout.Guardrails, s.rollout.DefaultGuardrails = []schemas.Guardrail{g}, false
	s.rollout.Segments, s.rollout.Stratify, s.rollout.Outcomes, s.rollout.UnusedOutcomes = nil, false, nil, nil
	s.guard = &s.rollout.Guardrails[0]
	s.stream = windows.Stream{Kind: windows.Serving}
	for _, o := range r.Outcomes {
		if g.IsOutcome() && o.Name == g.Of {
			s.rollout.Outcomes, s.within = []schemas.OutcomeSpec{o}, o.Within
			s.stream = windows.Stream{Kind: windows.Outcomes, Name: o.Name}
		}
	}
	life := time.Duration(0)
	for _, one := range r.Stages {
		life += one.Max
	}
	one := *s.stage
	one.Max, one.Pass = life, nil
	one.WeightBP = int(s.share*10000 + .5)
	s.rollout.Stages = []schemas.Stage{one}
	if g.IsSample() {
		s.stream = windows.Stream{Kind: windows.Resources}
	}
	for _, m := range analysis.Metrics(&s.rollout) {
		if m.Stream() == s.stream {
			s.metrics = append(s.metrics, m)
		}
	}
	s.healthy = law(&g, s.base)
	return s
}

func shareOf(r *schemas.Rollout, stage *schemas.Stage, t *Traffic) float64 {
	if stage.WeightBP > 0 && !r.Picks() {
		return float64(stage.WeightBP) / 10000
	}
	return t.Share
}

// floor is the least time in which anything can be known of an event.
func (s *setting) floor() time.Duration { return s.rollout.Window + s.rollout.Lateness + s.within }

// An event is what a plan waits for.
type event int

const (
	suspected event = iota
	failed
	passed
)

// A course is how one simulated run went: how many windows and canary events it took, 0 windows where it didn't come to it, and the evidence as a
// share of its threshold, halfway and at the end.
type course struct {
	windows      int
	events       float64
	patience     bool // it failed by patience, not by proof
	halfway, end float64
	perWindow    float64 // canary events
	phi          float64 // over-dispersion that the test reckoned with at last; 0: it needs none; of ranks and of predictions' means what was stated or surveyed, of ranks else 1
}

// run judges windows of one width, at most so many, until what is waited for happens. As in a rollout, over-dispersion is measured on the
// baseline, with the rollout's phi until there is enough to measure by. That of ranks isn't, nor that of predictions' means where it is known: what was stated, or surveyed, is reckoned with from the first window on.
func (s *setting) run(w *world, l sight, what event) course {
	r := s.rollout
	width, most := l.width, l.most
	r.Window = width
	options := analysis.Options{NoIntervals: true}
	switch {
	case ranked(s.guard):
		options.Phi = max(1, s.base.Phi)
	case valued(s.guard) && s.base.Phi > 1:
		options.Phi = s.base.Phi
	case width > s.rollout.Window && s.sliced():
		options.PhiAfter = s.noiseAfter(w.run, width)
	case width > s.rollout.Window:
		options.Phi = s.settled(l)
	}
	judge := analysis.NewJudge(&r, options)
	start := int64(1000) * width.Milliseconds()
	if s.high() {
		judge.Step(w.past(start-width.Milliseconds(), s.healthy[hitAt(s.guard)].p))
	}
	var c course
	for i := range most {
		var v analysis.Verdict
		for _, p := range w.window(start + int64(i)*width.Milliseconds()) {
			v = judge.Step(p)
			if p.Stream == s.stream {
				c.events += float64(p.Cells[windows.Canary][0].N)
			}
		}
		status := &judge.Status()[0]
		c.phi = status.Phi
		if happened(what, status) {
			c.windows, c.patience = i+1, v.Code == codePatience
			return c
		}
		if i+1 == most/2 {
			c.halfway = evidence(what, status)
		}
		if i+1 == most {
			c.end, c.perWindow = evidence(what, status), c.events/float64(most)
		}
	}
	return c
}

// What stats.Dispersion measures by: batches of up to so many windows, from so many of them on, a limit of so many standard errors, and so
// many events.
const (
	phiBatch   = 125
	phiBatches = 10
	phiErrors  = 1.645
	phiEvents  = 200 // expected in a shard of the canary's size, before which the rollout's phi holds
)

// settled is the over-dispersion of a mean that a rollout has measured after three quarters of a sight whose windows are wider than its own: of these there are too few
// to measure it by. A limit from m batches of independent noise is about so many times what is there.
func (s *setting) settled(l sight) float64 {
	seen := float64(l.most) * 3 / 4 * float64(l.width/s.rollout.Window)
	phi := max(1, s.base.Phi) * (1 + phiErrors*math.Sqrt(2/max(phiBatches, seen/phiBatch)))
	if seen*s.base.PerSecond*s.share*s.rollout.Window.Seconds() < phiEvents {
		return max(phi, s.rollout.Phi)
	}
	return phi
}

// Bounds of what is simulated of how noise becomes known.
const (
	noiseWindows = 2 * levelWindows // of the rollout's own width
	noiseCourses = 11
)

// noiseAfter is, for runs whose windows are wider than a rollout's, so that there are too few to measure over-dispersion by, what a rollout has measured by then: in the course of its own first windows, as simulated, and then
// with what is too much of it shrinking as limits do. i is the run.
func (s *setting) noiseAfter(i int, width time.Duration) func(windows int64) float64 {
	for len(s.noises) < min(s.options.Runs, noiseCourses) {
		s.noises = append(s.noises, s.noiseCourse(len(s.noises)))
	}
	course := s.noises[i%len(s.noises)]
	each := int64(width / s.rollout.Window)
	return func(windows int64) float64 {
		seen := windows * each
		if seen < noiseWindows {
			return course[seen]
		}
		least := max(1, s.base.Phi)
		return least + max(0, course[noiseWindows-1]-least)*math.Sqrt(noiseWindows/float64(seen))
	}
}

// noiseCourse is the over-dispersion that is reckoned with in each of a rollout's first windows.
func (s *setting) noiseCourse(i int) []float64 {
	r := s.rollout
	judge := analysis.NewJudge(&r, analysis.Options{NoIntervals: true})
	w := worldOf(s.guard, s, r.Window, s.healthy)
	w.random = random{s.options.Seed + uint64(i)<<32 + 1<<31}
	width := r.Window.Milliseconds()
	course := make([]float64, noiseWindows)
	for at := range course {
		course[at] = max(1, judge.Status()[0].Phi)
		for _, p := range w.window(1000*width + int64(at)*width) {
			judge.Step(p)
		}
	}
	return course
}

// codePatience is the verdict's code where suspicion became a failure.
const codePatience = "patience"

func happened(what event, s *schemas.GuardrailStatus) bool {
	switch what {
	case suspected:
		return s.State == schemas.StateSuspect || s.State == schemas.StateFailed
	case failed:
		return s.State == schemas.StateFailed
	}
	return s.State == schemas.StatePassed
}

// evidence is how much of its threshold there is.
func evidence(what event, s *schemas.GuardrailStatus) float64 {
	switch what {
	case suspected:
		return s.LogAny / s.Threshold
	case failed:
		return s.LogEvidence / s.Threshold
	}
	return s.LogPass / s.PassThreshold
}
