package analysis

import (
	"fmt"
	"math"
	"slices"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

const (
	codeRounded = "rounded"

	// roundedLatencies is how many latencies must have shown a step until it is told.
	roundedLatencies = 2000
	// roundedPlaces is in how many different buckets they must have been: a service of a few fixed latencies is no rounding.
	roundedPlaces = 3
	// roundedSteps says when a step isn't small against a margin: when that is less than so many of them. Two quantiles may be nearly a step further apart, or nearer to each
	// other, than they were before rounding.
	roundedSteps = 4
)

// commonSteps are what producers are looked at for, in ms, the greatest first. Each is a whole number of tenths.
var commonSteps = []float64{100, 50, 20, 10, 5, 2, 1, .5, .2, .1}

// roundedSigns look for latencies that are rounded although the rollout doesn't say so: rounding moves a margin unless latencyGranularity tells of it, and a limit always. It is for people: it is in no
// evidence and no decision, and comes by the histograms that guardrails have anyway, so windows and digests are what they are without it.
//
// A histogram's buckets tell a step where they are much narrower than it is: then most of them hold none of its multiples. One event in such a bucket shows that latencies are no
// multiples of the step. Where buckets are more than half as wide as the step, which is beyond 46 steps on exponential ones, events count for nothing. So a step is seen wherever it is not
// small against a margin of 9 % or more, and against less where some latencies are below 46 steps. A limit of less than four steps is seen by latencies near it.
//
// Cost: the first window of latencies that aren't rounded ends it; else a look at each bucket of a window, for each step that is left.
type roundedSigns struct {
	scale  scale
	cell   int
	known  time.Duration // what the rollout says
	guards []*schemas.Guardrail
	places int           // in how many different buckets values must have been
	steps  []roundedStep // that are not excluded yet, the greatest first; none: nothing is kept
	hist   histogram     // of the baseline
}

// roundedStep is what spoke for one step so far.
type roundedStep struct {
	ms     float64
	n      int64   // latencies in buckets that could have excluded it
	places []int32 // the first few of these
}

// newRoundedSigns are those of a rollout; nil: no guardrail has a margin or a limit that rounding could move.
func newRoundedSigns(r *schemas.Rollout, ofValues bool) *roundedSigns {
	var s *roundedSigns
	var least float64
	for i := range r.Guardrails {
		g := &r.Guardrails[i]
		if !measuresValues(g) || g.Of != ofLatency && !ofValues || g.Margin.Value == 0 {
			continue
		}
		if s == nil {
			_, cell := cellsOf(r, g)
			s = &roundedSigns{scale: scaleOf(g), cell: cell, known: r.LatencyGranularity, places: roundedPlaces}
			if ofValues { // what is told of these asks
				s.places = roundedPlaces - 1
			}
			least = stepOf(r, g)
		}
		s.guards = append(s.guards, g)
	}
	if s == nil {
		return nil
	}
	for _, ms := range commonSteps {
		if ms > least {
			s.steps = append(s.steps, roundedStep{ms: ms})
		}
	}
	return s
}

// take looks at a serving window of the epoch.
func (s *roundedSigns) take(p *windows.Part) {
	if s == nil || len(s.steps) == 0 {
		return
	}
	for arm := range windows.Arms {
		if s.cell >= len(p.Cells[arm]) {
			continue
		}
		hist := p.Cells[arm][s.cell].Hist
		s.steps = slices.DeleteFunc(s.steps, func(step roundedStep) bool { return !s.all(&step, hist) })
		for i := range s.steps {
			s.steps[i].take(s.scale, hist)
		}
		if windows.Arm(arm) == windows.Baseline {
			s.hist.add(hist)
		}
	}
	if len(s.steps) == 0 {
		s.hist = histogram{}
	}
}

// all reports whether all latencies of a histogram may be multiples of a step.
func (s *roundedSigns) all(step *roundedStep, hist []windows.Bucket) bool {
	for _, b := range hist {
		if _, may := step.holds(s.scale, b.Index); !may {
			return false
		}
	}
	return true
}

// take counts what speaks for a step.
func (step *roundedStep) take(s scale, hist []windows.Bucket) {
	for _, b := range hist {
		if tells, _ := step.holds(s, b.Index); !tells {
			continue
		}
		step.n += int64(b.Count)
		if len(step.places) < roundedPlaces && !slices.Contains(step.places, b.Index) {
			step.places = append(step.places, b.Index)
		}
	}
}

// holds reports whether a bucket may hold multiples of a step, and whether that tells something: most of its size don't. What is not above 0, or has no
// finite value, and what lies outside linear buckets, tells nothing.
func (step *roundedStep) holds(s scale, bucket int32) (tells, may bool) {
	if bucket <= windows.ZeroBucket || bucket >= windows.TopBucket || s.linear.Linear() && bucket < 0 {
		return false, true
	}
	lower, upper := s.upper(bucket-1), s.upper(bucket)
	if upper-lower >= step.ms { // some multiple is in it; and where steps are finer than numbers are, they can't be counted
		return false, true
	}
	may = step.upTo(upper) > lower // upper is the greatest number that the bucket holds
	return may && upper-lower <= step.ms/2, may
}

// upTo is the greatest multiple of a step that isn't above x, as who writes it in decimals has it: tenths are whole numbers, and so exact.
func (step *roundedStep) upTo(x float64) float64 {
	tenths := math.Round(10 * step.ms)
	k := math.Floor(10 * x / tenths)
	for k*tenths/10 > x {
		k--
	}
	for (k+1)*tenths/10 <= x {
		k++
	}
	return k * tenths / 10
}

// finding tells of the greatest step that is proven, and of the first guardrail that it matters to; false: there is none.
func (s *roundedSigns) finding() (schemas.Finding, bool) {
	step, g, text := s.proven()
	if g == nil {
		return schemas.Finding{}, false
	}
	return schemas.Finding{Code: codeRounded, Sentence: s.sentence(g, text, step)}, true
}

// proven is the greatest step that is proven, and the first guardrail that it matters to, with its margin; nil: there is none.
func (s *roundedSigns) proven() (float64, *schemas.Guardrail, string) {
	if s == nil {
		return 0, nil, ""
	}
	at := slices.IndexFunc(s.steps, func(step roundedStep) bool { return step.n >= roundedLatencies && len(step.places) >= s.places })
	if at < 0 {
		return 0, nil, ""
	}
	step := s.steps[at].ms
	for _, limits := range []bool{false, true} { // margins can be held for latencies as they were
		for _, g := range s.guards {
			if g.Direction.Contrast() == limits {
				continue
			}
			if margin, text := s.margin(g); margin < roundedSteps*step && !(limits && moved(g.Margin.Value, step) == g.Margin.Value) {
				return step, g, text
			}
		}
	}
	return 0, nil, ""
}

// moved is the limit that latencies were held to before they were rounded to the nearest multiple of a step, where what is above a limit is counted: those above it, rounded, are at the next multiple or beyond.
func moved(limit, step float64) float64 {
	s := roundedStep{ms: step}
	return s.upTo(limit) + step/2
}

// margin is a guardrail's in ms, as far as the baseline has shown the quantile that it is of: of a distribution the median, the least of those that are looked at.
func (s *roundedSigns) margin(g *schemas.Guardrail) (ms float64, text string) {
	if !g.Margin.Relative {
		return g.Margin.Value, g.Margin.Text
	}
	q := .5
	if g.Kind == schemas.QuantileGuardrail {
		q = g.Quantile
	}
	if len(s.hist.buckets) == 0 {
		return math.Inf(1), ""
	}
	var all []mass
	for _, b := range s.hist.buckets {
		all = append(all, mass{b.Index, float64(b.Count)})
	}
	of := s.scale.middle(massQuantile(all, q))
	ms = g.Margin.Value * of
	return ms, fmt.Sprintf("%s of %.3g ms", g.Margin.Text, of)
}

func (s *roundedSigns) sentence(g *schemas.Guardrail, margin string, step float64) string {
	if !g.Direction.Contrast() {
		at := moved(g.Margin.Value, step)
		return fmt.Sprintf("All latencies so far are multiples of %g ms, and limits are held against them as they are reported: that of guardrail %s, %s, is one of %.4g ms for what they were before, or of %.4g ms if producers cut off instead of rounding. "+
			"Report latencies more finely, or write a limit that allows for it.", step, g.Name, g.Margin.Text, at, at+step/2)
	}
	said := "latencyGranularity doesn't say so"
	if s.known > 0 {
		said = "latencyGranularity says " + schemas.FormatDuration(s.known)
	}
	return fmt.Sprintf("All latencies so far are multiples of %g ms, and %s: rounding alone can make much of what guardrail %s allows (%s is less than %d steps). "+
		"Write latencyGranularity: %gms, or %gms if producers cut off instead of rounding.", step, said, g.Name, margin, roundedSteps, step, 2*step)
}

// Rounded tells that latencies are rounded, where the rollout doesn't say so and a margin or a limit is no more than a few steps; nil: nothing of the kind has shown. It is for
// people: no decision has it.
func (j *Judge) Rounded() []schemas.Finding {
	f, some := j.rounded.finding()
	if !some {
		return nil
	}
	return []schemas.Finding{f}
}

// RoundedTo is the step that all values so far are multiples of, though that isn't told (Guardrail.Granularity, LatencyGranularity), where a margin or a limit is no more than a few of them; 0: nothing of
// the kind has shown. It is Rounded as a number, with Options.RoundedValues of any values.
func (j *Judge) RoundedTo() float64 {
	step, _, _ := j.rounded.proven()
	return step
}
