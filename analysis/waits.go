package analysis

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"
	"time"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// Waits tells which guardrails the present stage waits for to pass although, by what is known now, they won't: for people, nothing is decided by it. The
// memory is the caller's. Call it when somebody asks: it adds up what was tested.
func (j *Judge) Waits() []schemas.Wait {
	var all []schemas.Wait
	if j.verdict.Action == VerdictRollback {
		return all
	}
	for _, g := range j.guards {
		if !j.mustPass(g, j.stages.present()) || g.state == schemas.StatePassed || g.state == schemas.StateFailed {
			continue
		}
		if code, why := j.cantPass(g); code != "" {
			all = append(all, schemas.Wait{Guardrail: g.spec.Name, Code: code, Sentence: g.spec.Name + " " + why})
		}
	}
	return all
}

// cantPass says why a guardrail won't pass in the present stage; "": it may, for all that is known.
func (j *Judge) cantPass(g *guard) (code, why string) {
	if !g.spec.CanPass() {
		return schemas.WaitNoMargin, "has no margin, so nothing can show that it is kept: give it one, or " + notRequired
	}
	if g.isContrast() && g.inOnePart() {
		return schemas.WaitInOnePart, "is not tested: its baseline's hosts, or units, all fall into one half of it by their names, so nothing shows how much they differ: let the baseline have more of them, " +
			"write `sample:` with a limit instead of a mean, or " + notRequired
	}
	if why := TooCoarse(j.rollout, g.spec, g.baselineAt()); why != "" {
		return schemas.WaitTooCoarse, why
	}
	if why := j.tooSlow(g); why != "" {
		return schemas.WaitTooSlow, why
	}
	return "", ""
}

// notRequired is what to do where a pass isn't worth its price.
const notRequired = "don't wait for it (required: false, or leave it out of the stage's `pass`)"

// baselineAt tells the quantiles of a guardrail's values on the baseline; NaN: unknown.
func (g *guard) baselineAt() func(q float64) float64 {
	at := func(float64) float64 { return math.NaN() }
	if g.canary.tested == 0 {
		return at
	}
	switch a := g.canary.account.(type) {
	case *quantileAccount:
		t := a.scratch.since(&a.history, 0)
		return a.scale.quantiles(t.hist[windows.Baseline])
	case *leanAccount:
		if a.shown == nil || a.shown.law == nil {
			return at
		}
		var all []mass
		for _, b := range a.shown.law.buckets {
			all = append(all, mass{b.Index, float64(b.Count)})
		}
		return a.scale.quantiles(all)
	}
	return at
}

// quantiles tells those of a histogram: below linear buckets -Inf, NaN where it is empty.
func (s scale) quantiles(hist []mass) func(q float64) float64 {
	return func(q float64) float64 {
		if len(hist) == 0 {
			return math.NaN()
		}
		index := massQuantile(hist, q)
		if index == windows.ZeroBucket && s.linear.Linear() {
			return math.Inf(-1)
		}
		return s.middle(index)
	}
}

// TooCoarse says why a canary that is like the baseline can't show that it keeps the margin of a quantile or a distribution, however long it lasts, and what to do;
// "" where it can, or where that isn't known. at tells the baseline's quantiles; NaN: unknown.
//
// Claim. Let both arms have one law with the value v at the quantile, and let a be how many buckets lie between v as high and v as low as it may have been before it
// was rounded. Where a is no less than the margin in buckets, the canary's values as the pass test has them are stochastically not on the better side of the baseline's there, which is what it
// tests: so its evidence never grows, on average. Where v is a multiple of the step and lies in a bucket of its own the reverse is true as well: all that
// ties at v are parted, and it grows. Where v is outside of linear buckets all that ties there stays tied, whatever the margin. Of mann-whitney it is said where no
// bet of the test itself gains on the law as it is told by its quantiles, and values are rounded, or more than half of them outside of linear buckets. A canary that is better than the baseline can pass all the same.
func TooCoarse(r *schemas.Rollout, g *schemas.Guardrail, at func(q float64) float64) string {
	why, todo := Coarse(r, g, at)
	if why == "" {
		return ""
	}
	return fmt.Sprintf("can't pass by a canary like the baseline%s. %s, or %s", why, todo, notRequired)
}

// Coarse is TooCoarse in its parts: why goes on after "the baseline", todo is what to do but not to wait.
func Coarse(r *schemas.Rollout, g *schemas.Guardrail, at func(q float64) float64) (why, todo string) {
	if !measuresValues(g) || !g.Direction.Contrast() || !g.CanPass() {
		return "", ""
	}
	s := scaleOf(g)
	_, pass := s.shifts(g)
	pass = max(pass, -pass)
	if pass == 0 {
		return fmt.Sprintf(": its margin of %s is finer than the buckets that values are counted in", marginText(g.Margin.Text)),
			fmt.Sprintf("Write a margin of %s or more", s.marginOf(g, 1))
	}
	step := stepOf(r, g)
	for _, q := range quantilesOf(g) {
		v := at(q)
		if s.outside(v) {
			return s.outsideText(quantileName(q) + " is"), "Write buckets that hold it"
		}
		far, known := s.hidden(v, step)
		if !known || far < pass {
			continue
		}
		why, todo = roundedText(g, step, "there")
		return fmt.Sprintf(", whose %s is about %s%s", quantileName(q), (&guard{spec: g}).measuredText(v), why), todo + s.greaterText(g, far+1)
	}
	if g.Test != schemas.TestMannWhitney || step == 0 && !s.linear.Linear() {
		return "", ""
	}
	law := s.lawOf(at, step)
	switch {
	case law == nil || law.grows(g, pass):
		return "", ""
	case law.outside == lawPoints:
		return s.outsideText("values are"), "Write buckets that hold them"
	case law.outside > lawPoints/2:
		return s.outsideText("values are mostly"), "Write buckets that hold them"
	case step == 0: // the margin is small beside how the values vary: more of them are needed
		return "", ""
	}
	why, todo = roundedText(g, step, "of the values as a whole")
	return why, todo + s.greaterText(g, law.least(g, pass))
}

// Coarse is the function of that name, of the first guardrail, by what its baseline has shown.
func (j *Judge) Coarse() (why, todo string) {
	return Coarse(j.rollout, j.guards[0].spec, j.guards[0].baselineAt())
}

// roundedText says what rounding hides; where is of what.
func roundedText(g *schemas.Guardrail, step float64, where string) (why, todo string) {
	if g.Of != ofLatency {
		return fmt.Sprintf(": values are rounded to %s, and what that may hide %s is no less than the margin of %s", numberText(step), where, marginText(g.Margin.Text)),
			"Take values that are rounded less"
	}
	ms := schemas.FormatDuration(time.Duration(math.Round(step * float64(time.Millisecond))))
	return fmt.Sprintf(": latencies are rounded to %s (latencyGranularity), and what that may hide %s is no less than the margin of %s", ms, where, marginText(g.Margin.Text)),
		"Report latencies more finely"
}

// greaterText adds the least margin that can be shown to be kept; wide are its buckets, so many that there is none: empty.
func (s scale) greaterText(g *schemas.Guardrail, wide int) string {
	if wide >= math.MaxInt32 {
		return ""
	}
	return fmt.Sprintf(", write a margin of %s or more", s.marginOf(g, wide))
}

// measuredText is a value in its own unit.
func (g *guard) measuredText(x float64) string {
	if g.spec.Of == ofLatency {
		return latencyText(x)
	}
	return numberText(x)
}

// outside reports whether a value is beyond linear buckets.
func (s scale) outside(v float64) bool {
	return s.linear.Linear() && (v < s.linear.From || v > s.linear.To)
}

func (s scale) outsideText(what string) string {
	return fmt.Sprintf(", whose %s outside of its buckets, from %s to %s: what lies there is not told apart", what, numberText(s.linear.From), numberText(s.linear.To))
}

// A roundedLaw is one law of values, as low and as high as they may have been before they were rounded, by so many of its quantiles.
type roundedLaw struct {
	low, high histogram
	outside   int // how many of the quantiles are outside of linear buckets
}

// lawPoints is how many quantiles tell a law.
const lawPoints = 1000

// lawOf is the law with the quantiles that at tells; nil: they aren't known.
func (s scale) lawOf(at func(q float64) float64, step float64) *roundedLaw {
	law := &roundedLaw{}
	for i := range lawPoints {
		v := at((float64(i) + .5) / lawPoints)
		if math.IsNaN(v) {
			return nil
		}
		if s.outside(v) {
			law.outside++
		}
		by := 0.0
		if far, known := s.hidden(v, step); known && far > 0 {
			v, by = math.Round(v/step)*step, step/2
		}
		put(&law.low, s.bucket(v-by))
		put(&law.high, s.bucket(v+by))
	}
	return law
}

// put counts a value that is no less than those before it.
func put(h *histogram, bucket int32) {
	if n := len(h.buckets); n > 0 && h.buckets[n-1].Index == bucket {
		h.buckets[n-1].Count++
		return
	}
	h.buckets = append(h.buckets, windows.Bucket{Index: bucket, Count: 1})
}

// grows reports whether evidence of keeping a margin of so many buckets grows by the test of the bulk, where both arms have the law.
func (l *roundedLaw) grows(g *schemas.Guardrail, wide int) bool {
	if g.Direction == schemas.Decrease {
		wide = -wide
	}
	up := g.Direction == schemas.Decrease // a pass is evidence of the other direction
	canary, baseline := &l.high, &l.low
	if up {
		canary, baseline = baseline, canary
	}
	gained := make([]float64, len(stats.MallowsThetas))
	return bulkRanks().at(wide, up).Increments(gained, canary.buckets, baseline.buckets) && slices.Max(gained) > roundoff
}

// least is the least width above one that can't be kept of a margin that can; MaxInt32: there is none.
func (l *roundedLaw) least(g *schemas.Guardrail, wide int) int {
	const most = 64 * 64 // of exponential buckets: more than all of them
	if !l.grows(g, most) {
		return math.MaxInt32
	}
	return wide + 1 + sort.Search(most-wide-1, func(more int) bool { return l.grows(g, wide+1+more) })
}

// quantilesOf are those at which a guardrail must pass; none of a distribution as a whole.
func quantilesOf(g *schemas.Guardrail) (all []float64) {
	switch {
	case g.Kind == schemas.QuantileGuardrail:
		return []float64{g.Quantile}
	case g.Test == schemas.TestKS:
		for _, ppm := range stats.MixPPM {
			all = append(all, quantileOf(ppm))
		}
	}
	return all
}

// hidden is how many buckets lie between a value as low and as high as it may have been before it was rounded to a multiple of step; MaxInt32: there is no lower
// bound above 0 on exponential ones. Of values whose bucket has room for several multiples it is the least that it can be. False: not known, as is a value beyond all numbers.
func (s scale) hidden(v, step float64) (int, bool) {
	if math.IsNaN(v) || math.IsInf(v, 0) || step == 0 {
		return 0, false
	}
	if s.linear.Linear() {
		if step <= s.linear.Width() {
			return 0, true
		}
		v = math.Round(v/step) * step
		return int(s.bucket(v+step/2) - s.bucket(v-step/2)), true
	}
	if width := v * (math.Exp2(1./64) - 1); step <= width {
		return int(math.Floor(64 * math.Log2((v+step/2)/(v-step/2)))), true
	}
	if v = math.Round(v/step) * step; v == 0 {
		return math.MaxInt32, true
	}
	return int(windows.BucketOf(v+step/2) - windows.BucketOf(v-step/2)), true
}

// marginOf is the least margin, to be written, that is so many buckets wide.
func (s scale) marginOf(g *schemas.Guardrail, wide int) string {
	if s.linear.Linear() {
		return numberText(float64(wide) * s.linear.Width())
	}
	share := math.Exp2(float64(wide)/64) - 1
	if g.Direction == schemas.Decrease {
		share = 1 - math.Exp2(-float64(wide)/64)
	}
	digits := 1.
	if share < .1 {
		digits = 10 // a bucket is 1.09 %
	}
	return strconv.FormatFloat(math.Ceil(100*digits*share)/digits, 'f', -1, 64) + " %"
}
