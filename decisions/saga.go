package decisions

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"streamcanary/schemas"
)

// StepName names a step of a rollback's saga.
type StepName string

// The steps of a rollback.
const (
	StepFreeze   StepName = "freeze"   // of shared state: its stores take no more writes
	StepRoute    StepName = "route"    // the baseline gets all traffic: routers acknowledge
	StepRestore  StepName = "restore"  // of shared state: it goes back to the snapshot from before the canary
	StepUnfreeze StepName = "unfreeze" // of shared state: its stores take writes again
	StepVerify   StepName = "verify"   // the canary has drained, by the prediction stream itself
)

// stepKinds says of each step who acknowledges it (nobody: the engine proves it), with what, and how its decision begins it (nil: it needs to know the step).
var stepKinds = map[StepName]struct {
	asks  who
	want  schemas.AckStatus
	begin func(*turn, *draft)
}{
	StepFreeze:   {stores, schemas.AckPrepared, (*turn).freezing},
	StepWarm:     {routers, schemas.AckApplied, nil},
	StepRoute:    {routers, schemas.AckApplied, (*turn).routing},
	StepRestore:  {stores, schemas.AckApplied, (*turn).restoring},
	StepUnfreeze: {stores, schemas.AckApplied, (*turn).unfreezing},
}

// rollbackSteps are a rollback's steps in their order: traffic safety first, then what must agree with it, then the proof. Each but the proof has a
// decision of its own, and begins when the one before it has ended; the proof begins with the route.
func (s *State) rollbackSteps() []StepName {
	if s.restorable() {
		return []StepName{StepFreeze, StepRoute, StepRestore, StepUnfreeze, StepVerify}
	}
	return []StepName{StepRoute, StepVerify}
}

// StepState is how far a step is.
type StepState string

// The states of a step. An expired or failed step stays open: it was escalated, and an ack still settles it.
const (
	StepPlanned StepState = "planned" // its turn has not come
	StepPending StepState = "pending" // decided, not yet published
	StepSent    StepState = "sent"
	StepAcked   StepState = "acked"
	StepFailed  StepState = "failed"
	StepExpired StepState = "expired"
	StepWarming StepState = "warming" // acknowledged, and the cache of the version that takes over is waited for
	StepPassed  StepState = "passed"  // of a stop on the way: it has ended without a warm cache; of a freeze: it was answered only after the traffic had moved without it; of a route: no router is there that could answer (witnessed)
	StepSkipped StepState = "skipped" // likewise: it was not made
)

// Saga is a rollback that is being carried out.
type Saga struct {
	Decision string                `json:"decision"` // the first one
	Steps    []SagaStep            `json:"steps"`
	Drain    Drain                 `json:"drain"`
	Times    schemas.RollbackTimes `json:"times"`
	// Unproven is true when no traffic was there that could show that the canary had drained.
	Unproven bool `json:"unproven,omitempty"`
	// Untried: the rollout had not begun, and no decision had given its canary traffic.
	Untried bool `json:"untried,omitempty"`
	// KeptMs is for how long of its traffic the baseline, which was told to be no refuge, hasn't been proven to be beyond a limit since. RefugeOver: that was told to be over.
	KeptMs     int64 `json:"kept_ms,omitempty"`
	RefugeOver bool  `json:"refuge_over,omitempty"`
}

// severity is how loud the rollback, and what keeps it, is told: of a canary that was never tried as a warning, unless the stream shows that it serves all the same.
func (s *Saga) severity() schemas.Severity {
	if s.Untried && !s.Drain.served() {
		return schemas.Warning
	}
	return schemas.Critical
}

// untried reports whether a rollout has not begun, and no decision that is known gives its canary traffic.
func (s *State) untried() bool {
	gives := func(r schemas.Route) bool { return r.Version == s.Terms.Canary && r.WeightBP+r.MirrorBP > 0 }
	return s.Status == StatusPreparing && !slices.ContainsFunc(s.Before, gives) && !slices.ContainsFunc(s.Routes, gives)
}

// untouched reports whether an untried canary can't have written shared state: its weights are this rollout's own, and no version that was tried before has left anything there. What was
// written since the snapshots is the baseline's then.
func (s *State) untouched() bool {
	t := &s.Terms
	return t.State.shared() && t.State.Written == nil && !t.External && t.stageRoutes(0) != nil && s.untried()
}

// release gives the snapshots up, lets stores that take no writes take some again, and is what a decision must say of that.
func (t *turn) release() []schemas.StateOrder {
	orders := t.thaw()
	t.s.Snapshots = nil
	return orders
}

// SagaStep is one step of a saga.
type SagaStep struct {
	Name     StepName  `json:"name"`
	State    StepState `json:"state"`
	Decision string    `json:"decision,omitempty"` // that began it
	// Wait is of steps that subscribers acknowledge; nil of those that the engine proves itself.
	Wait       *Wait  `json:"wait,omitempty"`
	DeadlineMs int64  `json:"deadline_ms,omitempty"` // wall time; 0: none
	Attempt    int    `json:"attempt,omitempty"`
	Why        string `json:"why,omitempty"` // of failed
	// Waived: a person said that nothing waits for it.
	Waived bool   `json:"waived,omitempty"`
	Sink   string `json:"sink,omitempty"` // whose step it is, where it is a sink's
	// WarmBP, of a stop on the way, is the share in it of the version that takes over; Warm is what was seen of its cache since routers followed.
	WarmBP int     `json:"warm_bp,omitempty"`
	Warm   *Warmth `json:"warm,omitempty"`
}

// Done reports whether the rollback is carried out: every step is acknowledged, but for those of sinks.
func (s *Saga) Done() bool {
	for i := range s.Steps {
		if s.Steps[i].Sink == "" && s.Steps[i].open() {
			return false
		}
	}
	return true
}

func (s *SagaStep) open() bool {
	return s.State != StepAcked && s.State != StepPassed && s.State != StepSkipped
}

// kind is the step's name without its share.
func (s *SagaStep) kind() StepName {
	if s.WarmBP > 0 {
		return StepWarm
	}
	return s.Name
}

// begun reports whether its turn has come.
func (s *SagaStep) begun() bool { return s.State != StepPlanned }

// step is the saga's step of a name; nil where it has none.
func (s *Saga) step(name StepName) *SagaStep {
	for i := range s.Steps {
		if s.Steps[i].Name == name {
			return &s.Steps[i]
		}
	}
	return nil
}

// moved is the first decision by which traffic goes back, all of it or some; "": none has been taken.
func (s *Saga) moved() string {
	for i := range s.Steps {
		if step := &s.Steps[i]; (step.WarmBP > 0 || step.Name == StepRoute) && step.Decision != "" {
			return step.Decision
		}
	}
	return ""
}

// rollback gives the baseline all traffic, by steps that are followed until the canary has drained.
func (t *turn) rollback(d draft, harmBeganMs int64) {
	d.supersedes = t.superseded()
	t.s.Hold, t.s.Wait, t.s.Warming, t.s.Freezing, t.s.Promotion = nil, nil, nil, nil, nil
	if t.s.Status != StatusPreparing { // else nothing was tried
		defer t.afterRollback()
	}
	untried := t.s.untried()
	if t.s.untouched() {
		d.state = t.release()
	}
	if d.reason.Skew == nil { // a person's, or an alert's: the decision log tells later epochs what was known
		d.reason.Skew = t.s.Skew
	}
	t.s.Status = StatusRolledBack
	if !t.s.Terms.awaited() {
		t.routing(&d)
		t.decide(d.as(schemas.ActionRollback, schemas.Critical))
		return
	}
	t.s.Saga = &Saga{Untried: untried, Times: schemas.RollbackTimes{HarmBegan: schemas.Time(harmBeganMs)}}
	for _, name := range t.s.rollbackSteps() {
		if name == StepRoute && !d.urgent {
			t.s.Saga.Steps = append(t.s.Saga.Steps, t.s.warmSteps()...)
		}
		if name == StepVerify {
			t.s.Saga.Steps = append(t.s.Saga.Steps, sinkSteps(StepRegistry, t.s.Terms.Sinks.Registry)...)
			t.s.Saga.Steps = append(t.s.Saga.Steps, sinkSteps(StepAlert, t.s.Terms.Sinks.Alert)...)
		}
		t.s.Saga.Steps = append(t.s.Saga.Steps, SagaStep{Name: name, State: StepPlanned})
	}
	first := t.begin(&t.s.Saga.Steps[0], d)
	t.s.Saga.Decision = first.ID
	beginSinks(t.s.Saga.Steps, first, t.in.WallMs)
	t.s.Saga.Times.Detected, t.s.Saga.Times.Decided = first.EventTime, first.IssuedAt
}

// begin takes the decision that a step stands on; a route's begins the proof, too.
func (t *turn) begin(step *SagaStep, d draft) *schemas.Decision {
	kind := stepKinds[step.kind()]
	if kind.begin == nil {
		t.warming(step, &d)
	} else {
		kind.begin(t, &d)
	}
	d.asks = kind.asks
	decided := t.decide(d.as(schemas.ActionRollback, t.s.Saga.severity()))
	step.State, step.Decision = StepPending, decided.ID
	step.Wait = newWait(&t.s.Terms, kind.asks, kind.want, decided)
	step.DeadlineMs = t.in.WallMs + t.s.Terms.within(kind.asks)
	if verify := t.s.Saga.step(StepVerify); step.Name == StepRoute {
		verify.State, verify.Decision, verify.DeadlineMs = StepPending, decided.ID, t.drainDueMs(t.in.WallMs)
		at := int64(decided.EventTime)
		t.s.Saga.Drain = Drain{RoutedMs: t.in.WallMs, FromMs: at, CleanFromMs: at, Look: Look{WallMs: t.in.WallMs, UpToMs: at}}
		t.s.Saga.Drain.follows(t.in.WallMs)
	}
	return decided
}

// next begins the step whose turn it is: the first that is planned, once all before it have ended, or need not be waited for (passable).
func (t *turn) next() {
	for i := range t.s.Saga.Steps {
		step := &t.s.Saga.Steps[i]
		if step.Name == StepVerify || step.open() && step.begun() && !t.passable(step) {
			return
		}
		if !step.begun() {
			t.begin(step, draft{actor: engine, follows: true})
			return
		}
	}
}

// routing gives all traffic to the baseline.
func (t *turn) routing(d *draft) {
	d.routes = t.s.Terms.baselineRoutes()
	if !d.follows {
		return
	}
	d.phase = schemas.PhaseCommit
	if d.reason.Code != "" {
		return // a person says why
	}
	d.reason = t.s.again("%s: all traffic goes to %s.", t.ended(t.s.Saga.step(StepRoute)), t.s.Terms.Baseline)
}

// sagaAcked gives an ack to the step that waits for it.
func (t *turn) sagaAcked(a *schemas.Ack) {
	if t.s.Status == StatusDeleted {
		return // nobody follows it any more
	}
	for i := range t.s.Saga.Steps {
		step := &t.s.Saga.Steps[i]
		if step.Sink != "" || step.Wait == nil || !step.open() || step.Warm != nil || !step.Wait.satisfies(a) || !step.Wait.take(a.Consumer, &t.s.Terms) {
			continue
		}
		if step.WarmBP > 0 {
			t.followedTo(step)
		} else {
			t.settle(step, t.in.WallMs)
		}
	}
}

// refused marks the step that asked for what an ack refuses, the newest of them, as failed, and returns it; nil: there is none. A later ack still settles it.
func (s *Saga) refused(a *schemas.Ack, asked func(*Wait) bool) *SagaStep {
	for i := range slices.Backward(s.Steps) {
		step := &s.Steps[i]
		if step.Sink == "" && step.open() && asked(step.Wait) {
			step.State, step.Why = StepFailed, clip(a.Why, MaxWhy)
			return step
		}
	}
	return nil
}

// settle ends a step at a time (wall time of an ack, event time of a proof; 0: without one). Then the next one's turn comes; the last one completes the
// rollback.
func (t *turn) settle(step *SagaStep, atMs int64) {
	step.State, step.Why = StepAcked, ""
	switch step.Name {
	case StepFreeze:
		if t.s.Saga.moved() != "" {
			step.State, step.DeadlineMs = StepPassed, 0
		}
		t.s.Status = StatusRolledBack // all may have stood still until now
		t.s.returns()
	case StepRestore:
		t.s.returns()
	case StepRoute:
		t.returned()
		t.s.Saga.Times.Acked = schemas.Time(atMs)
		t.s.Saga.Drain.follows(atMs)
	case StepVerify:
		t.returned()
		t.s.Saga.Times.Drained = schemas.Time(atMs)
		t.passRoute()
	}
	t.followOn()
}

// followOn begins the step whose turn it is, or completes the rollback.
func (t *turn) followOn() {
	if t.s.Saga.Done() {
		t.completed()
		return
	}
	t.next()
}

// completed says that the rollback is carried out, with its times.
func (t *turn) completed() {
	saga := t.s.Saga
	times := saga.Times
	t.retire(saga.Decision)
	t.s.Retired.Unproven = saga.Unproven
	t.s.Retired.Harmed = len(t.s.proven()) > 0 && len(t.s.BeyondTold) > 0 // behind the rollback: its incident doesn't end with that
	kept := ""
	if !t.s.harmed() && len(t.s.BeyondTold) > 0 { // its incident ends, so it is told anew, and not recommended any more
		kept = fmt.Sprintf(" That %s is beyond a limit of its own (%s), as people were told, isn't proven any more. Should it be proven again, that is told.", t.s.Terms.Baseline, strings.Join(t.s.BeyondTold, ", "))
		t.s.BeyondTold = nil
		t.s.refugeReturns()
	}
	sentence := t.s.carriedText(&saga.Drain)
	outcome := schemas.OutcomeDone
	if saga.Unproven {
		outcome = schemas.OutcomeDoneUnproven
		sentence = fmt.Sprintf("Rollback of %s is acknowledged; no traffic came that could show that %s has drained.",
			t.s.Terms.Rollout, t.s.Terms.Canary)
		if saga.step(StepRoute).State == StepPassed {
			sentence = fmt.Sprintf("Rollback of %s is decided; no traffic came that could show that %s has drained.", t.s.Terms.Rollout, t.s.Terms.Canary)
		}
	}
	sentence += t.s.witnessText() + t.s.undoneText() + kept
	if t.s.harmed() {
		sentence += fmt.Sprintf(" And %s is beyond a limit of its own (%s), which this doesn't end.", t.s.Terms.Baseline, strings.Join(guardrailsOf(t.s.proven()), ", "))
	}
	if t.s.isChronic() {
		sentence += fmt.Sprintf(" That model %s is rolled back again and again, as people were told, doesn't end with this.", t.s.Terms.Model)
	}
	t.notice(schemas.Notice{
		Kind: schemas.NoticeRollbackCompleted, Severity: schemas.Info, Decision: saga.Decision,
		Sentence: sentence, Outcome: outcome, Times: &times, Waiting: t.s.left(),
	})
	if kept != "" && saga.RefugeOver { // it was told anew by an event, which has an end of its own
		t.notice(schemas.Notice{Kind: schemas.NoticeNoRefugeOver, Severity: schemas.Info, Decision: saga.Decision, Waiting: t.s.left(), Sentence: kept[1:]})
	}
}

// sagaExpired escalates the step whose deadline has passed, and starts it again with twice the time.
func (t *turn) sagaExpired(x *Expired) {
	for i := range t.s.Saga.Steps {
		step := &t.s.Saga.Steps[i]
		if deadlineID(t.s.Saga.Decision, string(step.Name)) != x.Deadline {
			continue
		}
		if step.Name == StepVerify {
			t.drainExpired(step, x)
		} else {
			t.stepExpired(step)
		}
		return
	}
}

// stepExpired tells who has not answered, and what of it.
func (t *turn) stepExpired(step *SagaStep) {
	if step.WarmBP > 0 {
		t.warmExpired(step)
		return
	}
	t.retry(step, t.s.Terms.within(stepKinds[step.Name].asks))
	if step.Name == StepRoute && t.passRoute() {
		t.followOn()
		return
	}
	t.overdueStep(step)
	if step.Name == StepFreeze && t.unfrozen(step, false) {
		return
	}
	if step.Name == StepRestore {
		t.unrestored(step)
	}
	t.out = append(t.out, Effect{Again: t.s.Prev.ID})
}

// overdueStep tells people of a step that isn't acknowledged.
func (t *turn) overdueStep(step *SagaStep) {
	missing := step.Wait.missing()
	t.notice(schemas.Notice{
		Kind: schemas.NoticeAcksOverdue, Severity: t.s.Saga.severity(), Decision: step.Decision, Attempt: step.Attempt, Waiting: missing,
		Sentence: fmt.Sprintf("Step %s of rollback %s, decided %s ago, is not acknowledged by %s%s. %s %s",
			step.Name, t.s.Saga.Decision, t.ago(t.s.Saga.Times.Decided), listed(missing), passed(step.Attempt), t.danger(step), t.s.hint(step.Wait)),
	})
}

// ago is for how long something has been so, in whole seconds.
func (t *turn) ago(since schemas.Time) string {
	return schemas.FormatDuration((time.Duration(t.in.WallMs-int64(since)) * time.Millisecond).Truncate(time.Second))
}

// danger is what it means that a step isn't done, and what to do.
func (t *turn) danger(step *SagaStep) string {
	terms := &t.s.Terms
	switch step.Name {
	case StepFreeze:
		if !t.passes(step) {
			return t.s.stuckText()
		}
		return fmt.Sprintf("What %s writes may be lost when the state is restored: stop its writes by hand.", terms.Canary)
	case StepRestore:
		return fmt.Sprintf("%s serves all traffic with the state that %s left, and %s may take no writes until it is restored (%s): restore it by hand if the store can't, and let the store acknowledge that.",
			terms.Baseline, terms.Canary, listed(terms.State.Stores), t.s.snapshotsText())
	case StepUnfreeze:
		return fmt.Sprintf("The state is restored, and %s may still take no writes: let it write by hand if it doesn't.", listed(step.Wait.missing()))
	}
	return t.s.reachedAt(t.in.WallMs) + t.s.heldText()
}

// stuckText is what it means that a freeze that nothing goes on without isn't acknowledged, and what to do. It is true once the freeze is refused or overdue (unfrozen).
func (s *State) stuckText() string {
	serves := s.Terms.Canary + " still serves its users"
	for _, r := range s.Routes {
		if r.Version == s.Terms.Canary {
			serves = fmt.Sprintf("%s still serves %s of the traffic", s.Terms.Canary, percentOf(r.WeightBP))
		}
	}
	return fmt.Sprintf("No traffic is moved until then, since %s can't read what %s writes: %s. `streamcanary rollout rollback %s --override --comment WHY` moves it all the same, which takes an admin.",
		s.Terms.Baseline, s.Terms.Canary, serves, s.Terms.Rollout)
}

// askedWithin is how old the newest window with traffic may be when the canary is said to serve still, at least: two windows more may be on their way.
const askedWithin = 10_000

// reachedAt is reachedText of an instant, with the end of that window: where nothing came for a while, nobody knows whether the canary still serves.
func (s *State) reachedAt(ms int64) string {
	d := &s.Saga.Drain
	served := fmt.Sprintf("%s, up to %s. Move its traffic by hand now.", strings.TrimPrefix(d.Text(), "it served "), schemas.Time(d.LastMs))
	switch {
	case d.Seen == 0 || d.LastCanary == 0:
		return s.reachedText()
	case ms-d.LastMs > askedWithin+2*d.LastWidthMs:
		ago := (time.Duration(ms-d.LastMs) * time.Millisecond).Truncate(time.Second)
		return fmt.Sprintf("%s served users when traffic was counted last, %s ago, and nothing is known of since: %s", s.Terms.Canary, schemas.FormatDuration(ago), served)
	}
	return fmt.Sprintf("%s still serves users: %s", s.Terms.Canary, served)
}

// reachedText is what it means that routers have not acknowledged the route of a rollback: what the stream shows of the canary since, as far as anything came. Decisions have it, and are recomputed:
// its words stay.
func (s *State) reachedText() string {
	d := &s.Saga.Drain
	switch {
	case d.Seen == 0:
		return fmt.Sprintf("Traffic may still reach %s: move it by hand if it does.", s.Terms.Canary)
	case d.LastCanary == 0:
		return fmt.Sprintf("The newest window with traffic, up to %s, shows none of %s; who has not acknowledged may still send it some.", schemas.Time(d.LastMs), s.Terms.Canary)
	}
	return fmt.Sprintf("%s still serves users: %s. Move its traffic by hand now.", s.Terms.Canary, strings.TrimPrefix(d.Text(), "it served "))
}

// retry marks a step as expired, and sets its next deadline. A step that failed keeps saying so.
func (t *turn) retry(step *SagaStep, withinMs int64) {
	step.Attempt++
	if step.State != StepFailed {
		step.State = StepExpired
	}
	step.DeadlineMs = t.in.WallMs + backoff(withinMs, step.Attempt)
}

// published notes that the decision with this id is out: the steps that it asks for are sent.
func (s *State) published(id string) {
	steps := s.steps()
	for i := range steps {
		if step := &steps[i]; step.State == StepPending && step.Decision == id {
			step.State = StepSent
		}
	}
}
