package analysis

import (
	"math"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// Why a guardrail is insufficient.
const (
	whyNoData          = "no_data"          // an arm had nothing that it measures
	whyWaiting         = "waiting_outcomes" // its outcome may still come for every window so far: within hasn't passed
	whyFewEvents       = "too_few"          // there is data, but not a block's worth
	whyUnequalSampling = "unequal_sampling" // the arms' events are sampled differently
	whyInOnePart       = "in_one_part"      // all of its baseline's hosts, or units, fall into one half of it, so nothing shows the noise
	whySeveral         = "several_segments" // with stratify, of all other segments together: each is compared by itself, in all of the traffic
	whyJoinOverflow    = codeJoinOverflow   // its outcome was never seen, and from now on some may be missing
)

// halfway is the part of a threshold below which current evidence says that nothing is going on: a pass stands again,
// and a suspicion ends.
const halfway = .5

// A guard is one guardrail, on all of the traffic or on one segment of it: where its numbers come from, its evidence, and its state.
type guard struct {
	spec        *schemas.Guardrail
	ofPart      bool     // it is held to one segment
	segment     string   // its name, once it is known; empty: all of the traffic
	roster      *roster  // of a segment: who says what belongs to it
	slot        int      // its place in there
	several     bool     // it is all other segments, and contrasts are made within one: they would be no less of a mix than all traffic is, so nothing is tested
	segments    []*guard // the same guardrail by segment, where segments are watched; the last one is of all others
	cell        int      // of the stream's metrics
	histCell    int      // where its histogram is; cell, unless an exact counter is tested
	lackingCell int      // of ranks that can pass: where what has no value is counted; 0: they can't
	display     *display // the predictions that it points at; nil: none
	rounding    float64  // of a quantile: what values are rounded to, in their unit; 0: they aren't
	anew        func()   // of a limit: makes its tests, or makes them anew
	edges       [2]int   // where the histograms of rounded values are, as low and as high as they may have been; both cell: they aren't rounded
	canary      *trial
	more        []*trial // of a distribution that is looked at by quantiles: those beside the first one, each a test of its own
	mixed       *mixed   // of these together; nil: there is one test only
	baseline    *trial   // of an absolute limit: the same test on the baseline; else nil

	family *family
	member int
	self   *selfTest // of its metric; nil: there is none
	doubts []doubt   // what may make its numbers meaningless; of a segment those of the whole

	before  struct{ n, k int64 } // of the baseline, before the epoch
	settled bool                 // which test it is: from the first window on

	state        schemas.State
	why          string
	seen         [windows.Arms]bool // the arm had data
	waiting      bool               // of an outcome: none of its windows is complete yet
	unequal      bool
	blind        bool  // of an outcome: some may be missing, and nobody waits for them
	passed       bool  // latched
	again        int32 // new beginnings of its tests
	patienceOut  bool  // failed by patience, not by proof
	breached     bool  // it was in Verdict.Breached after the latest part
	toldSuspect  bool  // people have heard of it, and not that it is over
	toldFailed   bool  // likewise, of one that only warns
	calmSince    int64 // event time since which what was told to be suspect is so no more; 0: it is, or it wasn't told
	voided       bool  // a doubt stands: nothing can be made of its numbers
	hidden       bool  // a doubt stands: harm may be hidden, so it can't pass
	bothArms     bool  // of a limit: this time the baseline is beyond it, too
	suspectSince int64 // event time; 0: not suspect
	estimated    int64 // blocks tested when beyond was found
	beyond       bool

	shown *figures // of its failure, as they were told last; nil: they weren't
}

// isContrast reports whether the guardrail holds the canary against the baseline.
func (g *guard) isContrast() bool { return g.baseline == nil }

// name is what people call it: with its segment.
func (g *guard) name() string {
	if g.segment == "" {
		return g.spec.Name
	}
	return g.spec.Name + " in " + schemas.Readable(g.segment)
}

// needed reports whether a promotion needs it to pass: a default one only once it had data, and one of a segment never.
func (g *guard) needed(r *schemas.Rollout) bool {
	if !g.spec.Required || g.ofPart {
		return false
	}
	return !r.DefaultGuardrails || g.seen[windows.Canary] || g.seen[windows.Baseline]
}

// cells are both arms' cells of one window, in the order of the stream's metrics.
type cells [windows.Arms][]windows.Cell

// see makes the guard's window of its cells; false when neither arm has anything for it.
func (g *guard) see(w *window, of *cells) bool {
	w.rounded = g.edges[0] != g.edges[1]
	for arm := range windows.Arms {
		w.n[arm], w.k[arm], w.sum[arm], w.squares[arm] = 0, 0, 0, 0
		w.hist[arm], w.low[arm], w.high[arm] = nil, nil, nil
		if g.cell >= len(of[arm]) {
			continue
		}
		c := &of[arm][g.cell]
		w.n[arm], w.k[arm], w.sum[arm], w.squares[arm] = c.N, c.K, c.Sum, c.Squares
		w.hist[arm] = of[arm][g.histCell].Hist
		if at := g.lackingCell; at > 0 && at < len(of[arm]) {
			w.k[arm] = of[arm][at].K
		}
		if w.rounded {
			w.low[arm], w.high[arm] = of[arm][g.edges[0]].Hist, of[arm][g.edges[1]].Hist
		}
		g.seen[arm] = g.seen[arm] || c.N > 0
	}
	return w.n[windows.Baseline]+w.n[windows.Canary] > 0
}

// lack takes a window in which nothing has a value, of a guardrail that asks what lacks one.
func (g *guard) lack(w *window) {
	if g.lackingCell == 0 || w.k[windows.Canary] == 0 {
		return
	}
	for _, t := range g.trials() {
		if !t.blind() {
			t.kernel.(*rankContrast).lacking.count(w.n, w.k)
		}
	}
}

// trials are the tests of the canary.
func (g *guard) trials() []*trial { return append([]*trial{g.canary}, g.more...) }

// take tests the window that see made.
func (g *guard) take(w *window, c clock) {
	g.canary.take(w, c)
	for _, t := range g.more {
		t.take(w, c)
	}
	if g.baseline != nil {
		g.baseline.take(w, c)
	}
	g.mix()
}

// part ends the open blocks at a change of the share.
func (g *guard) part(c clock) {
	g.canary.part(c)
	for _, t := range g.more {
		t.part(c)
	}
	g.mix()
}

// mixed has the running maxima of a distribution's evidence: the log of the mean over its quantiles, in which one whose block is open counts nothing. That
// is stats.TopKMix, which has the argument, with the quantiles' tests as they are here.
type mixed struct{ any, beyond float64 }

// mix counts what a window has brought. Within segments some block is open at nearly every time, so nothing is mixed there.
func (g *guard) mix() {
	if g.mixed == nil || g.canary.strata != nil {
		return
	}
	n := math.Log(float64(1 + len(g.more)))
	any, beyond := math.Inf(-1), math.Inf(-1)
	for at := -1; at < len(g.more); at++ {
		t := g.canary
		if at >= 0 {
			t = g.more[at]
		}
		if t.block.empty() {
			any = logMean([]float64{any, t.any.LogE()}) + math.Ln2
			beyond = logMean([]float64{beyond, t.beyond.LogE()}) + math.Ln2
		}
	}
	g.mixed.any, g.mixed.beyond = max(g.mixed.any, any-n), max(g.mixed.beyond, beyond-n)
}

// greatest is the greatest of a number of log evidence over the quantiles of a distribution, less the log of how many there are: the chances that any one of them
// errs add up. Of a guardrail with one test it is that test's. It is never more than what is mixed was at the end of that quantile's block, and can be had at any time.
func (g *guard) greatest(of func(*trial) float64) float64 {
	best := of(g.canary)
	if len(g.more) == 0 {
		return best
	}
	for _, t := range g.more {
		best = max(best, of(t))
	}
	return best - math.Log(float64(1+len(g.more)))
}

func (g *guard) anyE() float64 {
	return g.greatest(func(t *trial) float64 { return t.any.LogE() })
}

func (g *guard) anyMax() float64 {
	most := g.greatest(func(t *trial) float64 { return t.any.LogMax() })
	if g.mixed != nil {
		most = max(most, g.mixed.any)
	}
	return most
}

func (g *guard) beyondE() float64 {
	return g.greatest(func(t *trial) float64 { return t.beyond.LogE() })
}

func (g *guard) beyondMax() float64 {
	most := g.greatest(func(t *trial) float64 { return t.beyond.LogMax() })
	if g.mixed != nil {
		most = max(most, g.mixed.beyond)
	}
	return most
}

// provesAny reports whether any harm is a failure: harm beyond a limit is all that there is.
func (g *guard) provesAny() bool { return g.spec.Prove == schemas.ProveAny || !g.isContrast() }

// failE is the log evidence of what the guardrail fails by, now.
func (g *guard) failE() float64 {
	if g.provesAny() {
		return g.anyE()
	}
	return g.beyondE()
}

// failMax is the greatest that there ever was.
func (g *guard) failMax() float64 {
	if g.provesAny() {
		return g.anyMax()
	}
	return g.beyondMax()
}

// passE is the log evidence that the margin is kept, at every quantile of a distribution; 0 where nothing can pass.
func (g *guard) passE() float64 {
	least := g.canary.passLogE()
	for _, t := range g.more {
		least = min(least, t.passLogE())
	}
	return least
}

// roundoff is log evidence that is nothing but rounding.
const roundoff = 1e-9

// lead is the test with the most evidence now.
func (g *guard) lead() *trial {
	lead := g.canary
	for _, t := range g.more {
		if t.any.LogE() > max(roundoff, lead.any.LogE()) { // without any evidence the median tells most
			lead = t
		}
	}
	return lead
}

// began is the start of the harm, as far as the evidence tells.
func (g *guard) began() (int64, bool) { return g.lead().began() }

// estimate is of all blocks from the one that starts at sinceMs on; 0: all.
func (g *guard) estimate(sinceMs int64) estimate { return g.lead().account.estimate(sinceMs) }

// raise puts the evidence on the ladders. While there is a doubt that it means anything it stays away.
func (g *guard) raise() {
	g.doubted()
	if g.voided {
		return
	}
	g.family.any.raise(g.member, g.anyMax())
	g.family.fail.raise(g.member, g.failMax())
}

// doubted follows the doubts. What was taken while one stood counts for nothing once it is over, nor does what came before it was found, since a fault begins before that, and
// when isn't known: the tests begin anew. Where harm can only be hidden that is the pass alone: what speaks of harm all the same does so rightly. A failure is latched, and nothing is added to it.
func (g *guard) doubted() {
	void, hidden := g.void(), g.hides()
	switch {
	case g.state == schemas.StateFailed:
		g.voided = g.voided || void
		return
	case g.voided && !void:
		g.restart()
	case g.hidden && !hidden:
		g.unpass()
	}
	g.voided, g.hidden = void, hidden
}

// restart begins the tests anew, and takes back what they have proven.
func (g *guard) restart() {
	g.again++
	for _, t := range g.trials() {
		t.anew(g.again)
	}
	if g.mixed != nil {
		*g.mixed = mixed{}
	}
	g.passed = false
	g.forget()
}

// forget takes back what the tests have proven.
func (g *guard) forget() {
	g.family.any.forget(g.member)
	g.family.fail.forget(g.member)
}

// judge makes the state of what is proven, at the event time nowMs.
//
// Failed is latched. Suspicion stands on the estimate since the harm began, not since the start: after twelve
// healthy hours the latter would hide a regression for as long again. An estimate since the onset is biased
// upward while it is young, since its start was chosen by the evidence; so suspicion needs, beside the proof of any
// harm, that this evidence is still there (at least half of its threshold now), and patience asks for all of it without a
// break. The onset is that of any harm, not of harm beyond the margin: with a true harm within the margin,
// the latter is chosen again and again from stretches that happen to lie beyond it.
func (g *guard) judge(nowMs, patienceMs int64, passAt float64) {
	void := g.void()
	if g.canary.pass != nil && g.passE() >= passAt && !g.hidden {
		g.passed = true
	}
	if g.state == schemas.StateFailed {
		return
	}
	g.state, g.why = g.stateNow(), ""
	if g.bothArms {
		g.why = codeBothArms
	}
	switch g.state {
	case schemas.StateInsufficient:
		g.why, g.suspectSince = g.whyInsufficient(), 0
	case schemas.StateSuspect:
		if g.suspectSince == 0 || g.canary.gapMs >= patienceMs || void { // a stretch without data as long as patience is a break
			g.suspectSince = nowMs
		}
		if nowMs-g.suspectSince >= patienceMs && !void {
			g.state, g.patienceOut = schemas.StateFailed, true
		}
	default:
		g.suspectSince = 0
	}
}

func (g *guard) stateNow() schemas.State {
	if g.unequal || g.blind || g.canary.tested == 0 {
		return schemas.StateInsufficient
	}
	any, failed := g.family.any.proven[g.member], g.family.fail.proven[g.member]
	if !g.isContrast() {
		return g.limitState(failed)
	}
	if g.void() {
		return g.voidState()
	}
	suspect := any && g.stillThere() && g.estimateBeyond()
	switch {
	case any && failed && (suspect || !g.provesAny()):
		return schemas.StateFailed
	case suspect:
		return schemas.StateSuspect
	}
	return g.passState()
}

// A doubt is a check whose finding can make a guardrail's numbers meaningless.
type doubt interface {
	// voids reports whether it does so now: the guardrail can neither fail nor pass.
	voids(g *guard) bool
	// hides reports whether it may hide harm now: the guardrail can't pass. What voids hides, too.
	hides(g *guard) bool
}

// hides reports whether harm may be hidden in the numbers now.
func (g *guard) hides() bool {
	for _, d := range g.doubts {
		if d.hides(g) {
			return true
		}
	}
	return false
}

// void reports whether nothing can be made of the numbers now.
func (g *guard) void() bool {
	for _, d := range g.doubts {
		if d.voids(g) {
			return true
		}
	}
	return false
}

// voidState is all that can be said while nothing can be made of the numbers: that they look bad, or nothing.
func (g *guard) voidState() schemas.State {
	if g.anyE() >= g.family.any.thresholds[g.member] && g.estimateBeyond() {
		return schemas.StateSuspect
	}
	return schemas.StateContinue
}

// limitState fails a canary that is beyond its limit alone. Where the baseline is beyond it too, the canary is excused for as long as
// that evidence lasts; a later one must be proven by what is there then.
//
// The baseline is back within its limit when that is proven by what came since its evidence last spoke against it. Then both tests begin anew: what the canary is
// beyond from there on is its own doing. The canary's has for its stakes what it hasn't spent (trial.follow), so that however many new beginnings there are, all together err no more often than
// one test may; that the moment is chosen by evidence of the baseline makes it calibrated, not exact.
func (g *guard) limitState(proven bool) schemas.State {
	if g.bothArms && g.baselineBack() {
		g.again++
		g.anew()
		g.forget()
		g.bothArms, g.estimated, g.beyond, g.passed = false, 0, false, false
	}
	now := proven && g.anyE() >= g.family.fail.thresholds[g.member]
	switch {
	case !g.stillThere():
		g.bothArms = false
	case now && g.baselineBeyond():
		if !g.bothArms {
			g.baseline.unpass()
		}
		g.bothArms = true
	}
	if now && !g.bothArms {
		return schemas.StateFailed
	}
	return g.passState()
}

// backAt is the log evidence that proves the baseline to be back within its limit.
const backAt = 4.6 // log 100

// baselineBack follows the evidence that the baseline keeps the limit from where it was lowest on.
func (g *guard) baselineBack() bool {
	if g.baseline.passLogE() < 0 {
		g.baseline.unpass()
	}
	return g.baseline.passLogE() >= backAt
}

func (g *guard) passState() schemas.State {
	if g.passed && !g.hidden && !g.failing() {
		return schemas.StatePassed
	}
	return schemas.StateContinue
}

// failing reports whether the evidence that withdraws a pass is there now.
func (g *guard) failing() bool {
	return g.failE() >= halfway*g.family.fail.thresholds[g.member]
}

// stillThere reports whether the evidence of any harm is there now, not only at some time before.
func (g *guard) stillThere() bool {
	return g.anyE() >= halfway*g.family.any.thresholds[g.member]
}

// baselineBeyond reports whether the baseline is beyond an absolute limit, too: by its evidence, or, in the same stretch as the
// canary, by its estimate. Without the latter a canary of half the traffic would be rolled back every second time that
// both arms go bad together, because its proof happened to come first.
func (g *guard) baselineBeyond() bool {
	return g.baseline.any.LogE() >= halfway*g.family.any.thresholds[g.member] || g.estimateBeyond()
}

// estimateBeyond reports whether the estimate since the harm began is beyond: of a contrast beyond the margin, of a
// limit the baseline's beyond the limit. It changes with each block only.
func (g *guard) estimateBeyond() bool {
	tested := g.canary.tested
	for _, t := range g.more { // their blocks end at other times
		tested += t.tested
	}
	if g.estimated == tested {
		return g.beyond
	}
	g.estimated, g.beyond = tested, false
	since, ok := g.began()
	if !ok {
		return false
	}
	if g.isContrast() {
		g.beyond = beyondMargin(g.spec, g.nearest(since))
	} else {
		g.beyond = beyondLimit(g.spec, g.estimate(since)[windows.Baseline].value)
	}
	return g.beyond
}

// inRange puts a quantile that lies beyond linear buckets at the end of their range: more isn't known of it, and a canary just above must not be beyond a margin
// of a baseline just below.
func (g *guard) inRange(e estimate) estimate {
	if b := g.spec.Buckets; b.Linear() && !g.apart() && measuresValues(g.spec) {
		for arm := range e {
			e[arm].value = max(b.From, min(b.To, e[arm].value)) // NaN stays
		}
	}
	return e
}

// nearest is the estimate of a stretch as it is held against the margin: no further from it than rounding, or the end of what is measured, can have put it.
func (g *guard) nearest(sinceMs int64) estimate {
	if a, ok := g.lead().account.(*leanAccount); ok {
		return a.nearest(sinceMs)
	}
	return g.unrounded(g.inRange(g.estimate(sinceMs)))
}

// unrounded puts quantiles of rounded latencies where they may have been, as near to each other as can be.
func (g *guard) unrounded(e estimate) estimate {
	if g.rounding == 0 || g.apart() {
		return e
	}
	c, b := &e[windows.Canary].value, &e[windows.Baseline].value
	if gap := min(g.rounding, math.Abs(*c-*b)); *c > *b {
		*c, *b = *c-gap/2, *b+gap/2
	} else if *c < *b {
		*c, *b = *c+gap/2, *b-gap/2
	}
	return e
}

// beyondMargin reports whether a contrast's estimate is beyond its margin; never when it is unknown. A share is of the baseline's size.
func beyondMargin(s *schemas.Guardrail, e estimate) bool {
	c, b := e[windows.Canary].value, e[windows.Baseline].value
	edge := b + s.Margin.Value
	switch {
	case s.Direction == schemas.Both:
		return c < b || c > b
	case s.Direction == schemas.Decrease && s.Margin.Relative:
		return c < min(b*(1-s.Margin.Value), b*(1+s.Margin.Value))
	case s.Direction == schemas.Decrease:
		return c < b-s.Margin.Value
	case s.Margin.Relative:
		edge = max(b*(1+s.Margin.Value), b*(1-s.Margin.Value))
	}
	return c > edge
}

// beyondLimit reports whether one arm's value is beyond an absolute limit; never when it is unknown.
func beyondLimit(s *schemas.Guardrail, value float64) bool {
	if s.Direction == schemas.Below {
		return value < s.Margin.Value
	}
	return value > s.Margin.Value
}

func (g *guard) whyInsufficient() string {
	switch {
	case g.several:
		return whySeveral
	case g.blind:
		return whyJoinOverflow
	case g.unequal:
		return whyUnequalSampling
	case g.waiting:
		return whyWaiting
	case !g.seen[windows.Canary], g.isContrast() && !g.seen[windows.Baseline]:
		return whyNoData
	case g.isContrast() && g.inOnePart():
		return whyInOnePart
	}
	return whyFewEvents
}

// inOnePart reports whether its noise would have been measured by now, were its baseline's hosts, or units, not all in one half of it.
func (g *guard) inOnePart() bool { return g.canary.noise != nil && g.canary.noise.inOnePart() }

// passThreshold is what pass evidence is held against.
func passThreshold(r *schemas.Rollout) float64 { return math.Log(1 / r.Risk.FalsePromote) }
