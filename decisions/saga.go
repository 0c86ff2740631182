package decisions

import (
	"fmt"
	"slices"

	"streamcanary/schemas"
)

// StepName names a step of a rollback's saga.
type StepName string

// The steps of a rollback.
const (
	StepRoute  StepName = "route"  // the baseline gets all traffic: routers acknowledge
	StepVerify StepName = "verify" // the canary has drained, by the prediction stream itself
)

// rollbackSteps are a rollback's steps in their order: traffic safety first, then what must agree with it, then the proof.
// A further step is a line here, and its acks or its proof in its own file.
var rollbackSteps = []StepName{StepRoute, StepVerify}

// StepState is how far a step is.
type StepState string

// The states of a step. An expired or failed step stays open: it was escalated, and an ack still settles it.
const (
	StepPending StepState = "pending" // decided, not yet published
	StepSent    StepState = "sent"
	StepAcked   StepState = "acked"
	StepFailed  StepState = "failed"
	StepExpired StepState = "expired"
)

// Saga is a rollback that is being carried out.
type Saga struct {
	Decision string                `json:"decision"`
	Steps    []SagaStep            `json:"steps"`
	Drain    Drain                 `json:"drain"`
	Times    schemas.RollbackTimes `json:"times"`
	// Unproven is true when no traffic was there that could show that the canary had drained.
	Unproven bool `json:"unproven,omitempty"`
}

// SagaStep is one step of a saga.
type SagaStep struct {
	Name  StepName  `json:"name"`
	State StepState `json:"state"`
	// Wait is of steps that subscribers acknowledge; nil of those that the engine proves itself.
	Wait       *Wait  `json:"wait,omitempty"`
	DeadlineMs int64  `json:"deadline_ms,omitempty"` // wall time; 0: none
	Attempt    int    `json:"attempt,omitempty"`
	Why        string `json:"why,omitempty"` // of failed
}

// Done reports whether every step is acknowledged.
func (s *Saga) Done() bool {
	for i := range s.Steps {
		if s.Steps[i].open() {
			return false
		}
	}
	return true
}

func (s *SagaStep) open() bool { return s.State != StepAcked }

// step is the saga's step of a name; nil where it has none.
func (s *Saga) step(name StepName) *SagaStep {
	for i := range s.Steps {
		if s.Steps[i].Name == name {
			return &s.Steps[i]
		}
	}
	return nil
}

// newSaga begins the saga of a rollback that was just decided at wallMs.
func newSaga(s *State, d *schemas.Decision, harmBeganMs, wallMs int64) *Saga {
	saga := &Saga{
		Decision: d.ID,
		Drain:    Drain{FromMs: int64(d.EventTime), CleanFromMs: int64(d.EventTime)},
		Times: schemas.RollbackTimes{
			HarmBegan: schemas.Time(harmBeganMs), Detected: d.EventTime, Decided: d.IssuedAt,
		},
	}
	for _, name := range rollbackSteps {
		step := SagaStep{Name: name, State: StepPending}
		switch name {
		case StepRoute:
			step.Wait = &Wait{Decision: d.ID, Seq: d.Seq, Want: schemas.AckApplied, Names: slices.Clone(s.Terms.Routers)}
			step.DeadlineMs = wallMs + s.Terms.AckWithinMs
		case StepVerify:
			step.DeadlineMs = wallMs + s.Terms.DrainWithinMs
		}
		saga.Steps = append(saga.Steps, step)
	}
	return saga
}

// sagaAcked gives an ack to the step that waits for it.
func (t *turn) sagaAcked(a *schemas.Ack) {
	for i := range t.s.Saga.Steps {
		step := &t.s.Saga.Steps[i]
		if step.Wait != nil && step.open() && step.Wait.satisfies(a) && step.Wait.take(a.Consumer) {
			t.settle(step, t.in.WallMs)
		}
	}
}

// refused marks the step that waits for an ack of this decision as failed, and reports whether there is one. A later ack still settles it.
func (s *Saga) refused(a *schemas.Ack) bool {
	for i := range s.Steps {
		step := &s.Steps[i]
		if step.Wait != nil && step.open() && step.Wait.Decision == a.Decision {
			step.State, step.Why = StepFailed, clip(a.Why, MaxWhy)
			return true
		}
	}
	return false
}

// settle ends a step at a time (wall time of an ack, event time of a proof; 0: without one); the last one completes the rollback.
func (t *turn) settle(step *SagaStep, atMs int64) {
	step.State, step.Why = StepAcked, ""
	switch step.Name {
	case StepRoute:
		t.s.Saga.Times.Acked = schemas.Time(atMs)
	case StepVerify:
		t.s.Saga.Times.Drained = schemas.Time(atMs)
	}
	if t.s.Saga.Done() {
		t.completed()
	}
}

// completed says that the rollback is carried out, with its times.
func (t *turn) completed() {
	saga := t.s.Saga
	times := saga.Times
	sentence := fmt.Sprintf("Rollback of %s is carried out: %s serves all traffic and %s has drained.",
		t.s.Terms.Rollout, t.s.Terms.Baseline, t.s.Terms.Canary)
	outcome := schemas.OutcomeDone
	if saga.Unproven {
		outcome = schemas.OutcomeDoneUnproven
		sentence = fmt.Sprintf("Rollback of %s is acknowledged; no traffic came that could show that %s has drained.",
			t.s.Terms.Rollout, t.s.Terms.Canary)
	}
	t.notice(schemas.Notice{
		Kind: schemas.NoticeRollbackCompleted, Severity: schemas.Info, Decision: saga.Decision,
		Sentence: sentence, Outcome: outcome, Times: &times,
	})
}

// sagaExpired escalates the step whose deadline has passed, and starts it again with twice the time.
func (t *turn) sagaExpired(x *Expired) {
	for i := range t.s.Saga.Steps {
		step := &t.s.Saga.Steps[i]
		if deadlineID(t.s.Saga.Decision, string(step.Name)) != x.Deadline {
			continue
		}
		if step.Name == StepVerify {
			t.drainExpired(step, x.Quiet)
			return
		}
		t.routeExpired(step)
		return
	}
}

func (t *turn) routeExpired(step *SagaStep) {
	t.retry(step, t.s.Terms.AckWithinMs)
	t.notice(schemas.Notice{
		Kind: schemas.NoticeAcksOverdue, Severity: schemas.Critical, Decision: t.s.Saga.Decision, Attempt: step.Attempt,
		Waiting: step.Wait.missing(),
		Sentence: fmt.Sprintf("Rollback %s is not acknowledged by %s (deadline passed %s): traffic may still reach %s. Move it by hand if it does.",
			t.s.Saga.Decision, listed(step.Wait.missing()), times(step.Attempt), t.s.Terms.Canary),
	})
	t.out = append(t.out, Effect{Again: t.s.Saga.Decision})
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
	if s.Saga == nil || s.Saga.Decision != id {
		return
	}
	for i := range s.Saga.Steps {
		if s.Saga.Steps[i].State == StepPending {
			s.Saga.Steps[i].State = StepSent
		}
	}
}
