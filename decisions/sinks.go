package decisions

import (
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// SinkTerms are the sinks of a rollout whose work is a step of its rollback. What moves traffic isn't among them: it answers as a router does, to StepRoute.
type SinkTerms struct {
	Registry []string `json:"registry,omitempty"` // model registries, ascending
	Alert    []string `json:"alert,omitempty"`    // what people hear by, ascending
}

// The steps of sinks; the sink is part of the name. All begin with the rollback's first decision, and nothing waits for them.
const (
	StepRegistry StepName = "registry" // the canary's alias or stage is taken away
	StepAlert    StepName = "alert"    // people are told
)

// How long a sink may take until people are told that it is overdue, doubled each time, and how often they are. It is tried again for a day, whatever they are told.
const (
	sinkWithinMs  = 30_000
	sinkReminders = 6
)

// sinkLifeMs is for how long after a rollback a sink may answer, which gives up after a day.
const sinkLifeMs = 2 * 24 * 3600 * 1000

// sinkTermsOf takes them from a rollout.
func sinkTermsOf(r *schemas.Rollout) SinkTerms {
	var t SinkTerms
	for i := range r.Sinks {
		switch use := &r.Sinks[i]; {
		case use.Kind.Routes():
		case use.Kind.Changes():
			t.Registry = append(t.Registry, use.Sink)
		default:
			t.Alert = append(t.Alert, use.Sink)
		}
	}
	slices.Sort(t.Registry)
	slices.Sort(t.Alert)
	return t
}

// isSink reports whether a consumer answers for a step of a sink, and not for traffic.
func (t *Terms) isSink(consumer string) bool {
	return slices.Contains(t.Sinks.Registry, consumer) || slices.Contains(t.Sinks.Alert, consumer)
}

// sinkSteps are the steps of the sinks, registries first.
func (t *Terms) sinkSteps() []SagaStep {
	var steps []SagaStep
	for _, of := range []struct {
		kind  StepName
		sinks []string
	}{{StepRegistry, t.Sinks.Registry}, {StepAlert, t.Sinks.Alert}} {
		for _, sink := range of.sinks {
			steps = append(steps, SagaStep{Name: of.kind + "-" + StepName(sink), State: StepPlanned, Sink: sink})
		}
	}
	return steps
}

// tell begins the steps of sinks.
func (s *Saga) tell(first *schemas.Decision, wallMs int64) {
	for i := range s.Steps {
		if step := &s.Steps[i]; step.Sink != "" {
			step.State, step.Decision, step.DeadlineMs = StepPending, first.ID, wallMs+sinkWithinMs
			step.Wait = &Wait{Decision: first.ID, Seq: first.Seq, Want: schemas.AckApplied, NoRouter: true, Stores: []string{step.Sink}}
		}
	}
}

// told ends the step of a sink. Who was told that it is overdue, or refused, is told that, too.
func (t *turn) told(step *SagaStep) {
	late := step.Attempt > 0 || step.State == StepFailed
	step.State, step.Why = StepAcked, ""
	if !late {
		return
	}
	t.notice(schemas.Notice{
		Kind: schemas.NoticeSinkDone, Severity: schemas.Info, Decision: step.Decision, Attempt: step.Attempt, Waiting: t.s.Saga.left(),
		Sentence: fmt.Sprintf("Step %s of rollback %s is done after all.", step.Name, step.Decision),
	})
}

// left are the steps that are still open, of sinks only those that people were told of: as long as there is one, somebody may have to do something.
func (s *Saga) left() []string {
	var names []string
	for i := range s.Steps {
		if step := &s.Steps[i]; step.open() && (step.Sink == "" || step.Attempt > 0 || step.State == StepFailed) {
			names = append(names, string(step.Name))
		}
	}
	return names
}

// Awaits reports whether at a wall time a deadline, or the answer of a sink, may still change something.
func (s *State) Awaits(wallMs int64) bool {
	if len(s.Deadlines()) > 0 {
		return true
	}
	if s.Saga == nil || s.Status == StatusDeleted || wallMs-int64(s.Saga.Times.Decided) > sinkLifeMs {
		return false
	}
	return slices.ContainsFunc(s.Saga.Steps, func(step SagaStep) bool { return step.Sink != "" && step.open() && step.State != StepFailed })
}

// sinksOverdue tells people, in one sentence, of all sinks whose deadline has passed, and gives each more time.
func (t *turn) sinksOverdue() {
	var names, why []string
	var last *SagaStep
	for i := range t.s.Saga.Steps {
		step := &t.s.Saga.Steps[i]
		if step.Sink == "" || !step.open() || step.DeadlineMs == 0 || step.DeadlineMs > t.in.WallMs {
			continue
		}
		t.retry(step, sinkWithinMs)
		if step.Attempt >= sinkReminders {
			step.DeadlineMs = 0
		}
		names = append(names, string(step.Name))
		if step.Why != "" {
			why = append(why, step.Sink+": "+step.Why)
		}
		last = step
	}
	if why == nil {
		why = []string{"It has said nothing: does a serve run that has it in its sinks?"}
	}
	often := times(last.Attempt)
	if last.DeadlineMs == 0 {
		often += ", and isn't told any more"
	}
	t.notice(schemas.Notice{
		Kind: schemas.NoticeSinkOverdue, Severity: schemas.Warning, Decision: last.Decision, Attempt: last.Attempt, Waiting: names,
		Sentence: fmt.Sprintf("Not done of rollback %s in time: %s (deadline passed %s). Traffic doesn't wait for that, and it is tried again for a day. %s %s",
			last.Decision, strings.Join(names, ", "), often, t.byHand(names), strings.Join(why, " ")),
	})
}

// sinkRefused tells people of a sink that will never do its step.
func (t *turn) sinkRefused(step *SagaStep) {
	step.DeadlineMs = 0
	t.notice(schemas.Notice{
		Kind: schemas.NoticeSinkRefused, Severity: schemas.Warning, Decision: step.Decision, Waiting: []string{string(step.Name)},
		Sentence: fmt.Sprintf("Step %s of rollback %s has failed, and isn't tried again: %s. Traffic doesn't wait for that. %s",
			step.Name, step.Decision, strings.TrimSuffix(orUnknown(step.Why), "."), t.byHand([]string{string(step.Name)})),
	})
}

// byHand is what a person can do for steps of sinks.
func (t *turn) byHand(steps []string) string {
	registry := func(name string) bool { return strings.HasPrefix(name, string(StepRegistry)) }
	move := fmt.Sprintf("give the registry's alias or stage back to %s", t.s.Terms.Baseline)
	switch {
	case !slices.ContainsFunc(steps, registry):
		return "If that can't wait, tell people yourself."
	case len(steps) == 1:
		return fmt.Sprintf("If that can't wait, %s by hand.", move)
	}
	return fmt.Sprintf("If that can't wait, %s by hand, and tell people yourself.", move)
}
