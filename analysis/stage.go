package analysis

import (
	"fmt"
	"math"
	"slices"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// stages is how far an epoch has come in its rollout's plan. A window belongs to the latest stage that had begun when the window did, whenever it
// comes: an outcome counts where its prediction was served.
type stages struct {
	all       []schemas.Stage // one at least
	picks     bool            // an arm is part of its version, and a stage's weight is of whole versions: no share is planned
	moved     bool            // by another controller: no share is planned, and none is expected to stay
	now       int
	starts    []int64 // event time, by stage, up to the present one
	dueMs     int64   // event time from which on the traffic of the first was due, by what routers say; 0: not known
	awayMs    int64   // of the present one: time in which the share was less than planned, which no bake counts
	changedMs int64   // event time at which the present one was decided
	shown     int64   // event time since which the present one has shown what it was to show; 0: it hasn't
}

// newStages panics where only some stages plan a share: what holds the traffic's split against a plan can't be what watches that it stays as it was.
func newStages(r *schemas.Rollout) stages {
	s := stages{all: r.Stages, picks: r.Picks(), moved: r.External, starts: []int64{0}}
	if len(s.all) == 0 {
		s.all = []schemas.Stage{{}}
	}
	for i := range s.all {
		if (s.share(i) > 0) != (s.share(0) > 0) {
			panic(fmt.Sprintf("analysis: stage %d plans %d hundredths of a percent, stage 0 %d: all must plan a share, or none", i, s.all[i].WeightBP, s.all[0].WeightBP))
		}
	}
	return s
}

// horizon is the planned life in windows, of all stages.
func horizon(r *schemas.Rollout) int64 { return max(1, int64(r.Life()/r.Window)) }

// present is the stage that the rollout is in.
func (s *stages) present() *schemas.Stage { return &s.all[s.now] }

// last reports whether a promotion comes next.
func (s *stages) last() bool { return s.now == len(s.all)-1 }

// age is how long the present stage has lasted at an event time, in ms; negative before it.
func (s *stages) age(nowMs int64) int64 { return nowMs - s.starts[s.now] }

// late notes whether the present stage has shown what it was to show, and reports whether its time is over and it hadn't by then. What it has shown in time stays so while it
// keeps on: that it doesn't end is not for want of evidence, but for an alert, a person, or a router that hasn't answered.
func (s *stages) late(nowMs int64, shown bool) bool {
	switch {
	case !shown:
		s.shown = 0
	case s.shown == 0:
		s.shown = nowMs
	}
	most := s.present().Max.Milliseconds()
	from := s.from()
	return most > 0 && nowMs-from >= most && (!shown || s.shown-from >= most)
}

// from is the event time from which the present stage's max counts: its start, or, where that was earlier, when its traffic was due.
func (s *stages) from() int64 {
	start := s.starts[s.now]
	if s.now == 0 && s.dueMs > 0 {
		return min(start, s.dueMs)
	}
	return start
}

// of is the stage of the window that starts at startMs.
func (s *stages) of(startMs int64) int {
	at := s.now
	for at > 0 && startMs < s.starts[at] {
		at--
	}
	return at
}

// share is the canary's share of both arms' predictions that a stage plans, copies included; 0: none.
func (s *stages) share(stage int) float64 {
	of := &s.all[stage]
	switch {
	case s.picks:
		return 0
	case of.Shadow():
		return float64(of.MirrorBP) / float64(10000+of.MirrorBP)
	}
	return float64(of.WeightBP) / 10000
}

// offPlan reports whether the share that a stream shows since it changed last is another than the one that its stage plans, from sizes alone. The canary was to be
// seen under so much load: under less it proves nothing about that.
func (s *stages) offPlan(of *stream) bool {
	return s.off(of.stage, &of.traffic.watch)
}

// off reports whether a share is another than the one that a stage plans.
func (s *stages) off(stage int, w *shareWatch) bool {
	share := s.share(stage)
	if share == 0 {
		return false
	}
	const certain = 1e9 // a plan isn't counted: as a reference it is as good as any number of predictions
	return w.canary+w.baseline > 0 && shareDiffers(w.canary, w.baseline, certain*share, certain*(1-share))
}

// least is the least share of the traffic that an arm is to have in any of the stages from one to another: while routers change over, it has no less.
func (s *stages) least(arm windows.Arm, from, to int) float64 {
	least := 1.0
	for stage := from; stage <= to; stage++ {
		share := s.share(stage)
		if arm == windows.Baseline && share > 0 {
			share = 1 - share
		}
		least = min(least, share)
	}
	return least
}

// Advance begins the next stage: windows that start at startMs or later are its. It returns a verdict as Step does, and is called between two Steps, at a
// place that the caller's log fixes, as a replay must call it there, too.
//
// With a stage begin anew the pass evidence, what has passed, the clock of bake and max, the list of what must pass, and the planned share; where none is
// planned, what was observed of it. All else runs on
// through the epoch: fail evidence and what it has proven, the start mixture, over-dispersion, the input's checks, suspicion and patience. Open blocks end
// where the stage begins.
//
// Windows that start before startMs but come after the call (outcomes come late) count for fail evidence, and for no pass. Serving windows among them
// are held against no split, since routers are changing over; an arm is missing by the lesser of its two shares. So call it when the advance is
// decided, before routers hear of it, with a start by which they have followed; or with math.MaxInt64 while that isn't known, and again when it is: as long as no
// window of the stage was taken, another call for the same stage moves its start.
//
// It panics when the epoch has not begun or is rolled back, on a stage (counted from 0) that is not the next one, nor the present one in the case just said, and
// when startMs is before the verdict's event time: the latest at which a part so far was ready.
func (j *Judge) Advance(stage int, startMs int64) Verdict {
	s := &j.stages
	taken := func(of *stream) bool { return of.stage == stage }
	switch moved := stage > 0 && stage == s.now && !slices.ContainsFunc(j.streams, taken); {
	case !j.begun || j.verdict.Action == VerdictRollback:
		panic(fmt.Sprintf("analysis: advance to stage %d of an epoch that is at %s %s", stage, j.verdict.Action, j.verdict.Code))
	case !moved && stage != s.now+1, stage >= len(s.all):
		panic(fmt.Sprintf("analysis: advance to stage %d of %d from stage %d", stage, len(s.all), s.now))
	case startMs < j.nowMs:
		panic(fmt.Sprintf("analysis: stage %d begins at %d, when windows up to %d were taken", stage, startMs, j.nowMs))
	case moved:
		s.starts[stage] = startMs
	default:
		s.now, s.starts, s.shown, s.awayMs, s.changedMs = stage, append(s.starts, startMs), 0, 0, j.nowMs
		j.plan.renew()
		j.unserved.renew()
		j.scarce.renew()
		j.users.renew()
		for _, g := range j.all {
			g.unpass()
		}
		if j.cold != nil {
			j.cold.coming(j.nowMs)
		}
		j.replan()
	}
	j.decide()
	return j.verdict
}

// unpass forgets what has passed, and the evidence for it.
func (g *guard) unpass() {
	g.passed = false
	g.canary.unpass()
	for _, t := range g.more {
		t.unpass()
	}
	if g.baseline != nil {
		g.baseline.unpass()
	}
}

func (t *trial) unpass() {
	if t.pass != nil {
		t.pass = t.shape.mixture()
	}
	if r, is := t.kernel.(*rankContrast); is && r.lacking != nil {
		r.lacking.renew()
	}
}

// replan tells the checks of the traffic which shares are planned for the serving windows that come.
func (j *Judge) replan() {
	from, to := j.stream(servingStream).stage, j.stages.now
	for arm, m := range j.missing {
		m.planned = j.stages.least(windows.Arm(arm), from, to)
	}
	j.split.planned, j.split.moving = j.stages.share(to), from != to || j.stages.all[to].Shadow()
}

// blockwise is a check with open blocks.
type blockwise interface {
	// turn ends those of a stream where a stage begins.
	turn(of windows.Stream, c clock)
}

// turn comes before a part is taken: where it is the stream's first of a stage, or the first after the early ones of the epoch, all that is open in the stream ends.
func (j *Judge) turn(s *stream, p *windows.Part) {
	early := j.answers.early(p.StartMs)
	if s.early && !early {
		j.end(s)
	}
	s.early = early
	if stage := j.stages.of(p.StartMs); stage > s.stage {
		j.end(s)
		s.stage = stage
		if p.Kind == windows.Serving {
			j.replan()
			j.split.renew(j.clock.window(p.StartMs))
			if j.cold != nil {
				j.cold.begin(p.StartMs, false)
			}
			for _, m := range j.missing {
				m.renew = true
			}
		}
	}
	j.clock.over = early || s.stage < j.stages.now
}

// end ends what is open in a stream: what comes is of another split.
func (j *Judge) end(s *stream) {
	j.clock.over = true
	for _, g := range s.guards {
		g.turn(j.clock)
		for _, part := range g.segments {
			part.turn(j.clock)
		}
	}
	for _, c := range j.checks {
		if c, ok := c.(blockwise); ok {
			c.turn(s.Stream, j.clock)
		}
	}
	s.newShares()
}

// turn ends the open blocks.
func (g *guard) turn(c clock) {
	for _, t := range g.trials() {
		t.turn(c)
	}
	if g.baseline != nil {
		g.baseline.turn(c)
	}
	g.mix()
}

func (t *trial) turn(c clock) {
	if t.strata == nil {
		t.part(c)
		return
	}
	for place := range t.strata.open {
		t.partStratum(place)
	}
	t.settle(c)
}

// newShares lets the watches of shares begin again: a change that was planned need not be noticed first.
func (s *stream) newShares() {
	s.traffic.watch = shareWatch{}
	if s.strips == nil {
		return
	}
	for i := range s.strips.traffic {
		s.strips.traffic[i].watch = shareWatch{}
	}
	if roll := s.strips.strata; roll != nil {
		for i := range roll.traffic {
			roll.traffic[i].watch = shareWatch{}
		}
	}
}

// stageText is the present stage for a person; empty where there is only one.
func (j *Judge) stageText() string {
	if len(j.stages.all) == 1 {
		return ""
	}
	return fmt.Sprintf("stage %d of %d", j.stages.now+1, len(j.stages.all))
}

// inStage is where something happens, where there are several stages.
func (j *Judge) inStage() string {
	if len(j.stages.all) == 1 {
		return ""
	}
	return " in " + j.stageText()
}

// wholeText is the time that the stage may take, as the subject of a sentence.
func (j *Judge) wholeText(duration string) string {
	if len(j.stages.all) == 1 {
		return "The stage's " + duration
	}
	return fmt.Sprintf("The %s of %s", duration, j.stageText())
}

// comingText is what a person reads between an advance and the stage's first window.
func (j *Judge) comingText() string {
	share := ""
	if planned := j.stages.share(j.stages.now); planned > 0 {
		share = fmt.Sprintf(" (%s of the traffic)", percentText(planned))
	}
	when := ""
	if start := j.stages.starts[j.stages.now]; start < math.MaxInt64 {
		when = " at " + timeText(start, j.nowMs)
	}
	return fmt.Sprintf("%s%s begins%s; until then what %s does counts against it, and not for it.", capital(j.stageText()), share, when, j.arm(windows.Canary))
}
