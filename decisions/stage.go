package decisions

import (
	"fmt"
	"time"

	"streamcanary/schemas"
)

// codeApproval is the reason of a hold that waits for a person.
const codeApproval = "approval"

// stageEnds takes a verdict that the stage has shown what it was to show. What only a person ends comes first, then an alert that fires, a pillar that fails, and what the
// stage's own routes still wait for: a stage that not all routers carry out has not been seen.
func (t *turn) stageEnds(v *Verdict) {
	s := &t.s
	last := s.Terms.last(s.Stage)
	switch {
	case s.Hold != nil && s.Hold.Sticky:
		s.Hold.uncovered()
	case t.heldByAlert(), t.heldByPillar(), t.heldByRetired():
	case s.Wait != nil, s.coming(), s.Warming != nil && s.Warming.open():
		t.goOn(v)
	case last && s.Terms.ApprovePromotion:
		t.ask(v, "all traffic goes to "+s.Terms.Canary, "promote")
	case last && s.Warming != nil:
		t.promote(t.warmedUp(v.draft(), ": all traffic goes to "+s.Terms.Canary+"."))
	case last:
		t.promote(v.draft())
	case s.Terms.Stages[s.Stage+1].Approve:
		t.ask(v, s.Terms.stageText(s.Stage+1)+" begins", "advance")
	case s.Warming != nil:
		t.advance(t.warmedUp(v.draft(), "."))
	default:
		t.advance(v.draft())
	}
}

// goOn ends a hold whose cause is gone.
func (t *turn) goOn(v *Verdict) {
	if t.s.Hold == nil || t.s.Hold.Sticky || t.heldByAlert() || t.heldByPillar() || t.s.Hold.Is(codeRetiredServes) && t.heldByRetired() {
		t.s.Hold.uncovered()
		return
	}
	reason := v.Reason
	reason.Sentence = t.s.goesOn() // the verdict's own would tell how the evidence stands, and not what ended
	t.resume(reason, v.Evidence, engine)
}

// ask holds the rollout until a person agrees to what comes next.
func (t *turn) ask(v *Verdict, next, command string) {
	reason := v.Reason
	reason.Code = codeApproval
	reason.Sentence = fmt.Sprintf("%s A person must say that %s: streamcanary rollout %s %s --comment WHY", v.Reason.Sentence, next, command, t.s.Terms.Rollout)
	t.hold(holding{reason: reason, evidence: v.Evidence, severity: schemas.Info})
}

// advance begins the next stage. Until routers have followed, its windows are not its own yet (followed).
func (t *turn) advance(d draft) {
	d.supersedes = t.superseded()
	t.s.Hold, t.s.Wait, t.s.Warming = nil, nil, nil
	t.amissEnds()
	t.s.Status = StatusRunning
	t.s.Stage++
	t.s.Begun = append(t.s.Begun, StageBegin{Turn: t.in.Turn})
	d.reason.Sentence = fmt.Sprintf("%s Now begins %s.", d.reason.Sentence, t.s.Terms.stageText(t.s.Stage))
	d.routes, d.state = t.s.Terms.stageRoutes(t.s.Stage), t.thaw()
	if d.routes != nil { // else nothing changes for routers
		d.asks, d.await = routers, schemas.AckApplied
	}
	t.warm(t.decide(d.as(schemas.ActionAdvance, schemas.Info)))
	if t.s.Wait == nil {
		t.followed()
	}
}

// watch is the stage that begins the way to the watch: that itself, or the first stop before it at which the canary's cache is warmed; 0: none is declared, or it has begun.
func (s *State) watch() int {
	stages := s.Terms.Stages
	at := len(stages) - 1
	if s.Stage >= at || !stages[at].Watch {
		return 0
	}
	for at-1 > s.Stage && stages[at-1].Warm {
		at--
	}
	return at
}

// watching reports whether the present stage is a watch that is not over, and until which event time it takes; 0: that is not known, or not yet.
func (s *State) watching() (untilMs int64, is bool) {
	stage := &s.Terms.Stages[s.Stage]
	if !stage.Watch || s.Hold != nil && s.Hold.Code == codeApproval {
		return 0, false
	}
	if from := s.StageFromMs(); from > 0 && stage.WatchMs > 0 {
		untilMs = from + stage.WatchMs
	}
	return untilMs, untilMs == 0 || s.EventMs < untilMs
}

// watchLeft is how much of a watch until an event time is left, for a person.
func (s *State) watchLeft(untilMs int64) string {
	left := time.Duration(untilMs-s.EventMs) * time.Millisecond
	return schemas.FormatDuration((left + time.Second - 1).Truncate(time.Second))
}

// refusesWatched says what a watch that is not over is good for, so that it isn't ended by the way; "": none is under way.
func (s *State) refusesWatched(c *Command) string {
	untilMs, is := s.watching()
	if !is || c.Force {
		return ""
	}
	terms, stage := &s.Terms, &s.Terms.Stages[s.Stage]
	until := "its watch is not over"
	switch {
	case untilMs > 0:
		until = fmt.Sprintf("its watch takes until %s, %s more by the events", schemas.Time(untilMs), s.watchLeft(untilMs))
	case stage.WatchMs > 0:
		until = fmt.Sprintf("its watch of %s has not begun", schemas.FormatDuration(time.Duration(stage.WatchMs)*time.Millisecond))
	}
	return fmt.Sprintf("%s: as long as %s of the traffic stays at %s, harm of %s that only all of the traffic shows is proven against it, and rolled back",
		until, percentOf(fullBP-stage.WeightBP), terms.Baseline, terms.Canary)
}

// advanceTo begins a later stage. Those between are gone past: they have no windows of their own.
func (t *turn) advanceTo(stage int, d draft) {
	for t.s.Stage < stage-1 {
		t.s.Stage++
		t.s.Begun = append(t.s.Begun, StageBegin{Turn: t.in.Turn})
	}
	t.advance(d)
}

// followed notes that routers carry out what the present stage plans. Its windows begin with what is judged next, and not before a wall time that
// allows for producers' clocks that are ahead, and for requests that were routed before and are answered after it: where routers were told of a new split, for as long as answers take.
func (t *turn) followed() {
	if t.s.Stage == 0 {
		if t.s.DueMs == 0 {
			t.s.DueMs = t.s.settledMs(t.in.WallMs)
		}
		return
	}
	if b := &t.s.Begun[t.s.Stage-1]; b.FromMs == 0 {
		b.FromMs, b.FromTurn = t.s.settledMs(t.in.WallMs), t.in.Turn
		if t.s.Terms.stageRoutes(t.s.Stage) != nil {
			b.FromMs += t.in.AnswersMs
		}
		if t.s.Warming != nil {
			t.followedTo(t.s.Warming)
		}
	}
}

// settledMs is the event time from which on all that is answered was routed after a wall time, and no window has been judged. In a replay, where there is no wall time,
// it is the event time that was reached.
func (s *State) settledMs(wallMs int64) int64 { return max(s.EventMs, wallMs+s.Terms.SettleMs) }

// promote gives the canary all traffic, or the share of the first stop at which its cache is warmed, unless that can't be waited for.
func (t *turn) promote(d draft) {
	d.supersedes = t.superseded()
	t.s.Hold, t.s.Wait, t.s.Warming = nil, nil, nil
	t.amissEnds()
	t.s.Status = StatusPromoting
	d.state, d.asks, d.await = t.thaw(), routers, schemas.AckApplied
	if bp := t.s.promotionStop(); bp > 0 && !d.urgent {
		t.promoteTo(bp, d)
		return
	}
	if d.routes = t.s.Terms.canaryRoutes(); d.follows {
		d.reason.Sentence += fmt.Sprintf(": all traffic goes to %s.", t.s.Terms.Canary)
	}
	t.tellPromotion(t.decide(d.as(schemas.ActionPromote, schemas.Info)))
	if t.s.Wait == nil {
		t.hasPromoted(t.s.Prev.ID)
		return
	}
	t.witnesses(t.s.Wait)
}

// StageText is the present stage for a person: its number, and the share that it plans.
func (s *State) StageText() string { return s.Terms.stageText(s.Stage) }

// StageFromMs is the event time of the present stage's first window; 0: it has none yet.
func (s *State) StageFromMs() int64 {
	if s.Stage == 0 {
		return s.FromMs
	}
	return s.Begun[s.Stage-1].FromMs
}
