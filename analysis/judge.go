package analysis

import (
	"slices"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// Options change how a Judge works, not what it may prove.
type Options struct {
	// Phi, where positive, is the over-dispersion of every rate, of ranks and of the sizes, known beforehand: nothing is measured.
	Phi float64
	// PhiAfter, where given, is that of rates as it is known after so many windows with exposures: for simulations whose windows are too few to measure it by.
	PhiAfter func(windows int64) float64
	// NoIntervals leaves out the intervals of Status, which cost more than the tests: for simulations.
	NoIntervals bool
	// ShapeIntervals gives the effects of distributions intervals, too, which take more memory than a rollout's state has room for.
	ShapeIntervals bool
	// SegmentRatios keeps intervals of ratios for segments, too, some 8 KiB for each guardrail and segment. Only Segments tells them: what
	// Status tells, and decisions say, is the same without.
	SegmentRatios bool
	// WholeWindows takes a window in which the canary's share changes as the first one of the new share. Else it is left out, as the change may lie in
	// its midst, where a level that drifts would look like an effect: for callers whose windows begin where the split does.
	WholeWindows bool
	// RoundedValues looks for values of any kind that are rounded, and not for latencies only: for callers whose values are one measure.
	RoundedValues bool
}

// A Judge folds the merged parts of one epoch into evidence, states and a verdict. It is a pure function of the
// rollout and the parts in their order. A Step that closes no block allocates nothing. Owned by one goroutine.
type Judge struct {
	rollout *schemas.Rollout
	options Options
	clock   clock
	stages  stages
	begun   bool
	nowMs   int64 // the latest ready time of a part
	firstMs int64 // start of the first window with a canary's prediction; 0: none yet

	streams  []*stream
	guards   []*guard  // in the rollout's order
	all      []*guard  // these, and then those of their segments
	roster   *roster   // nil: no segments are watched
	window   window    // scratch
	families []*family // in order of first use
	rollback *family   // the family of rollback guardrails and the missing canary

	sizes         *dispersion // of the arms' event counts
	missing       [windows.Arms]*missing
	missingMember int                   // of the rollback family: the missing canary
	silence       [windows.Arms]float64 // log threshold of each
	split         *split
	arrival       arrival    // before the epoch begins
	answers       answers    // how long they are on the way
	plan          *planCheck // one of checks, as the next three are; nil: no share is planned
	unserved      *unserved
	scarce        *scarce
	users         *shadowUsers
	others        Others
	sampling      sampling
	returning     bool          // a rollback gives the baseline its traffic back: no stage plans the split any more
	cold          *coldness     // nil: nothing is muted for a cold cache
	rounded       *roundedSigns // for people
	crowded       bool          // a window had as many segments as are told apart
	unlisted      unlisted

	checks        []check // in the order of their ranks
	skew          *skew   // one of them; nil: there are no offline scores
	refuges       []*refuge
	sick, sickNow []bool // by check: when Verdict.Health was made, and after the latest part
	verdict       Verdict
	open          open // what its sentence says while nothing is decided
}

// stream is one sequence of parts: its guardrails, and what they share.
type stream struct {
	windows.Stream
	withinMs    int64
	stage       int  // of its latest part
	early       bool // likewise: answers.early
	traffic     traffic
	guards      []*guard
	dispersions []*dispersion // by cell; nil where no guardrail needs one
	noises      []*meanNoise  // likewise
	rounds      []round       // of samples, by cell
	ranks       []*rankNoise  // by what a guardrail asks for
	events      bool          // of an outcome: it was seen at least once
	overflow    bool          // of an outcome: some of its latest window may be missing
	strips      *strips       // by segment; nil: segments are not told apart in it
	displays    []display     // by the exhibits that its parts have
	recents     []*recent     // by cell: the values of quantile guardrails, for people; nil where no such guardrail reads it
}

// NewJudge starts an epoch of a rollout, whose memory it shares. It panics on a guardrail that schemas.ParseRollout
// would have refused, and on stages of which only some plan a share. The epoch begins in the first stage; Advance begins the others.
func NewJudge(r *schemas.Rollout, o Options) *Judge {
	j := &Judge{rollout: r, options: o, guards: make([]*guard, len(r.Guardrails)), stages: newStages(r)}
	j.clock = clock{widthMs: r.Window.Milliseconds(), horizon: horizon(r), spare: &block{}}
	j.rounded = newRoundedSigns(r, o.RoundedValues)
	for _, m := range Metrics(r) {
		j.stream(m.Stream())
	}
	j.sizes = newDispersion(j.options, r.Phi, &j.stream(windows.Stream{Kind: windows.Serving}).traffic)
	j.sizes.share = &shareNoise{}
	if r.Segments != nil {
		j.roster = newRoster(r.Segments)
	}
	for i := range r.Guardrails {
		g := &r.Guardrails[i]
		s := j.stream(streamOf(g))
		j.guards[i] = j.newGuard(s, g)
		s.guards = append(s.guards, j.guards[i])
	}
	j.all = j.guards
	for _, g := range j.guards {
		j.all = append(j.all[:len(j.all):len(j.all)], g.segments...)
	}
	j.nameSegments()
	j.newHealth()
	j.shareBudgets()
	j.newChecks()
	for _, g := range j.guards {
		for _, part := range g.segments {
			part.self, part.doubts = g.self, g.doubts
		}
	}
	j.verdict = Verdict{Action: VerdictContinue, Code: codeNotBegun, Sentence: j.sentenceNotBegun()}
	return j
}

// stream finds or adds a stream.
func (j *Judge) stream(name windows.Stream) *stream {
	for _, s := range j.streams {
		if s.Stream == name {
			return s
		}
	}
	s := &stream{Stream: name, displays: newDisplays(j.rollout, name)}
	s.traffic.whole = j.options.WholeWindows
	for _, o := range j.rollout.Outcomes {
		if name.Kind == windows.Outcomes && o.Name == name.Name {
			s.withinMs = o.Within.Milliseconds()
		}
	}
	j.streams = append(j.streams, s)
	return s
}

// dispersion finds or adds what measures one cell's over-dispersion.
func (j *Judge) dispersion(s *stream, cell int) *dispersion {
	for len(s.dispersions) <= cell {
		s.dispersions = append(s.dispersions, nil)
	}
	if s.dispersions[cell] == nil {
		prior := j.rollout.Phi
		if s.Kind == windows.Resources {
			prior = max(prior, gaugePhi)
		}
		s.dispersions[cell] = newDispersion(j.options, prior, &s.traffic)
		if s.Kind != windows.Resources { // hosts are no units
			s.dispersions[cell].units = j.sizes
		}
	}
	return s.dispersions[cell]
}

// gaugePhi is the over-dispersion of samples until it is measured: a host that is busy says so again and again, some thirty times where its load changes within
// two minutes and it is asked every five seconds.
const gaugePhi = 30

// noise finds or adds what measures one cell's variance of a mean; as a factor of that of independent values, or itself.
func (j *Judge) noise(s *stream, cell int, factor bool) *meanNoise {
	for len(s.noises) <= cell {
		s.noises = append(s.noises, nil)
	}
	if s.noises[cell] == nil {
		s.noises[cell] = newMeanNoise(j.options, j.rollout.Phi, &s.traffic, factor)
	}
	return s.noises[cell]
}

func (j *Judge) newHealth() {
	serving := j.stream(windows.Stream{Kind: windows.Serving})
	for arm := range windows.Arms {
		j.missing[arm] = newMissing(windows.Arm(arm), j.stages.least(windows.Arm(arm), 0, 0), j.rollout.Health.Silent, j.sizes)
	}
	j.split = newSplit(j.stages.share(0), len(j.stages.all), j.sizes)
	j.split.moving, j.split.free = j.stages.all[0].Shadow(), j.stages.moved
	j.newArrival(serving)
	j.newAnswers()
}

// Step takes the next merged part and returns what follows from all parts so far. The verdict's slices belong to the
// Judge and are valid until the next Step.
func (j *Judge) Step(p *windows.Part) Verdict {
	s := j.find(p.Stream)
	if s == nil { // no guardrail reads it
		return j.verdict
	}
	j.nowMs = max(j.nowMs, windows.Ready(p.Stream, p.StartMs+j.clock.widthMs, s.withinMs))
	j.others.Add(p, OthersPeriod(j.rollout))
	begun := j.begin(p)
	if p.Kind == windows.Serving {
		j.settle(p)
	}
	if !begun {
		j.recall(s, p)
		s.look(p)
		if s.strips != nil && s.strips.strata != nil {
			s.strips.strata.see(p.Segments)
		}
		j.calibrate(s, p)
		if p.Kind == windows.Serving {
			j.sizes.addSizes(&p.Traffic[windows.Baseline].Slices)
		}
		j.await(p)
		return j.verdict
	}
	j.turn(s, p)
	s.show(p)
	if p.Kind == windows.Serving {
		j.rounded.take(p)
		j.serve(s, p)
	} else {
		j.collect(s, p)
	}
	j.decide()
	return j.verdict
}

func (j *Judge) find(name windows.Stream) *stream {
	for _, s := range j.streams {
		if s.Stream == name {
			return s
		}
	}
	return nil
}

// begin reports whether the part belongs to the epoch. The epoch begins with the first serving window in which both
// arms have counted predictions; what lies before it is ignored.
func (j *Judge) begin(p *windows.Part) bool {
	if j.begun {
		return p.StartMs >= j.clock.startMs
	}
	if p.Kind != windows.Serving {
		return false
	}
	canary, baseline := &p.Traffic[windows.Canary], &p.Traffic[windows.Baseline]
	if canary.Events > 0 && j.firstMs == 0 {
		j.firstMs = p.StartMs
	}
	if canary.Events == 0 || baseline.Events == 0 {
		return false
	}
	j.begun, j.clock.startMs, j.stages.starts[0] = true, p.StartMs, p.StartMs
	j.verdict.StartMs = p.StartMs
	if j.cold != nil {
		j.cold.begin(p.StartMs, true)
	}
	return true
}

// serve takes a serving part.
func (j *Judge) serve(s *stream, p *windows.Part) {
	canary, baseline := &p.Traffic[windows.Canary], &p.Traffic[windows.Baseline]
	j.sizes.share.look(p)
	unequal := j.sampling.see(p, j.clock.widthMs)
	cut := !unequal && s.traffic.step(canary.Events, baseline.Events, j.sizesPhi(s))
	j.clock.over = j.clock.over || j.stages.offPlan(s) || j.users.spoils(s, p, canary.Served)
	j.cold.before(p.StartMs)
	warming := p.StartMs < j.firstMs+j.rollout.Warmup.Milliseconds()
	if !unequal && !warming {
		s.remember(p, j.clock.widthMs)
	}
	s.look(p)
	j.muster(p)
	j.sift(s, p)
	mixed := j.mixes(p.StartMs)
	for _, g := range s.guards {
		j.feedAll(s, g, p, feeding{unequal: unequal, cut: cut, whole: j.options.WholeWindows, leave: mixed || warming && measuresValues(g.spec) || j.cold.mutes(g.spec)})
	}
	j.check(p, feeding{unequal: unequal, cut: cut, whole: j.options.WholeWindows, leave: warming})
	j.calibrate(s, p) // after the tests: the factor of a block is known before the block
	early := j.answers.early(p.StartMs)
	for _, m := range j.missing {
		if !early {
			m.step(p, j.clock, cut)
		}
	}
	j.sizes.lookSizes(&baseline.Slices)
	j.cold.after(p)
	if !early {
		j.split.step(p, j.clock)
	}
	j.sizes.addSizes(&baseline.Slices)
	j.sizes.share.take(p, s.stage != j.stages.now)
}

// sizesPhi is how much noisier the sizes of a stream's windows are than those of predictions that go to an arm one by one, where units tell it.
func (j *Judge) sizesPhi(s *stream) float64 {
	if s.Kind == windows.Resources || !j.sizes.share.named {
		return 1
	}
	arms := j.sizes.arms()
	return max(arms[windows.Canary], arms[windows.Baseline])
}

// feeding says how a window enters a guardrail.
type feeding struct {
	unequal bool // sampling differs between the arms: the window is left out, and the guardrail says so
	cut     bool // the share changed: the open block ends before this window
	whole   bool // with cut: the window is taken, in a block of the new share; else it is left out
	leave   bool // left out, in silence
}

// calibrate measures over-dispersion on the baseline's slices, also before the epoch.
func (j *Judge) calibrate(s *stream, p *windows.Part) {
	if s.Kind == windows.Resources {
		s.calibrateRounds(p, j.clock.widthMs)
		return
	}
	s.measure(p, (*dispersion).add)
	if s.strips != nil {
		s.strips.eachNoise(func(d *dispersion, c *windows.Cell) {
			if c != nil {
				d.addPast(c.N, c.K)
			}
		})
		if s.strips.strata != nil {
			s.strips.strata.noise.measure(s.strips.strata.now)
		}
	}
	for _, r := range s.ranks {
		r.add(p)
	}
	s.addParts(p)
	cells := p.Cells[windows.Baseline]
	for i, m := range s.noises {
		if m != nil && i < len(cells) {
			m.add(&cells[i])
		}
	}
}

// look shows a window to what measures its noise, before its tests.
func (s *stream) look(p *windows.Part) {
	s.measure(p, (*dispersion).look)
	for _, r := range s.ranks {
		r.look(p)
	}
	for _, m := range s.noises {
		if m != nil {
			m.look(p)
		}
	}
}

// measure gives each cell's slices to what measures it.
func (s *stream) measure(p *windows.Part, take func(*dispersion, *[windows.Slices]windows.SliceCount)) {
	cells := p.Cells[windows.Baseline]
	for i, d := range s.dispersions {
		if d != nil && i < len(cells) {
			take(d, &cells[i].Slices)
		}
	}
}

// collect takes a part of samples or outcomes.
func (j *Judge) collect(s *stream, p *windows.Part) {
	var n [windows.Arms]int64
	for arm := range windows.Arms {
		for i := range p.Cells[arm] {
			n[arm] += p.Cells[arm][i].N
			s.events = s.events || p.Cells[arm][i].K > 0
		}
	}
	if p.Kind == windows.Outcomes && (p.Overflow || n[windows.Canary]+n[windows.Baseline] > 0) {
		s.overflow = p.Overflow
	}
	blind := s.overflow && !j.matters(s)
	unequal := p.Kind == windows.Outcomes && j.sampling.was(p.StartMs)
	leave := p.Overflow || p.Kind == windows.Outcomes && j.mixes(p.StartMs)
	cut := !unequal && !leave && s.traffic.step(n[windows.Canary], n[windows.Baseline], j.sizesPhi(s))
	j.clock.over = j.clock.over || j.stages.offPlan(s) || p.Kind == windows.Outcomes && j.users.spoils(s, p, n[windows.Canary])
	s.measure(p, (*dispersion).look)
	j.muster(p)
	j.sift(s, p)
	for _, g := range s.guards {
		g.blind, g.waiting = blind, false
		j.feedAll(s, g, p, feeding{unequal: unequal, cut: cut, whole: j.options.WholeWindows, leave: leave})
	}
	j.check(p, feeding{unequal: unequal, cut: cut, whole: j.options.WholeWindows, leave: leave})
	j.calibrate(s, p)
}

// matters reports whether a rollout must wait where an outcome's events may be missing: it was seen before, or a promotion needs it, now or in a later stage.
// By default every rollout has outcomes that nobody may ever send.
func (j *Judge) matters(s *stream) bool {
	if s.events {
		return true
	}
	for _, g := range s.guards {
		named := func(stage schemas.Stage) bool { return slices.Contains(stage.Pass, g.spec.Name) }
		if g.spec.Required || slices.ContainsFunc(j.stages.all[j.stages.now:], named) {
			return true
		}
	}
	return false
}

// Evidence appends every number that the tests stand on, in a fixed order: per guardrail the log evidence of any harm, of
// harm beyond the margin and of keeping it (0 where it can't pass), then of the missing arms, the split, and the checks of the input; of a canary
// that answers no user, or less than half of its share, while that is so; before the epoch begins, once its traffic is due, of absent arms.
func (j *Judge) Evidence(dst []float64) []float64 {
	for _, g := range j.all {
		dst = g.canary.evidence(dst)
		for _, t := range g.more {
			dst = t.evidence(dst)
		}
		if g.baseline != nil {
			dst = append(dst, g.baseline.any.LogE())
		}
	}
	for _, m := range j.missing {
		dst = append(dst, m.mixture.LogE())
	}
	dst = append(dst, j.split.logE())
	for _, c := range j.checks {
		dst = c.evidence(dst)
	}
	dst = j.scarce.told(j.unserved.told(dst))
	if !j.begun && j.arrival.endMs > 0 {
		for _, m := range j.arrival.arms {
			dst = append(dst, m.mixture.LogE())
		}
	}
	return dst
}
