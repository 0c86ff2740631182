package decisions

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// SinkTerms are the sinks of a rollout whose work is a step of its rollback, and a registry's of its promotion, too. What moves traffic isn't among them: it answers as a
// router does, to StepRoute.
type SinkTerms struct {
	Registry []string `json:"registry,omitempty"` // model registries, ascending
	Alert    []string `json:"alert,omitempty"`    // what people hear by, ascending
	// Dry are those that move traffic, and answer nothing, since serve began the epoch in a dry run. The others are left out in one.
	Dry []string `json:"dry,omitempty"`
}

// The steps of sinks; the sink is part of the name. All begin with the first decision of the rollback or with the promotion, and nothing waits for them.
const (
	StepRegistry StepName = "registry" // the alias or stage is the version's that serves
	StepAlert    StepName = "alert"    // people are told
)

// A Promotion is what must agree with a promotion that was decided: the steps of registries.
type Promotion struct {
	DecidedMs int64      `json:"decided_ms"` // wall time
	Steps     []SagaStep `json:"steps"`
}

// How long a sink may take until people are told that it is overdue, doubled each time, and how often they are. It is tried again for a day, whatever they are told.
const (
	sinkWithinMs  = 30_000
	sinkReminders = 6
)

// sinkLifeMs is for how long after a rollback, or a promotion, a sink may answer, which gives up after a day.
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

// HeardBy are the sinks that people hear by, or did in an earlier epoch, ascending: those of the epoch first, where there are more than maxNamed.
func (s *State) HeardBy() []string {
	all := slices.Clone(s.Terms.Sinks.Alert)
	for _, sink := range s.Parted {
		if len(all) < maxNamed && !slices.Contains(all, sink) {
			all = append(all, sink)
		}
	}
	slices.Sort(all)
	return all
}

// isSink reports whether a consumer answers for a step of a sink, and not for traffic.
func (t *Terms) isSink(consumer string) bool {
	return slices.Contains(t.Sinks.Registry, consumer) || slices.Contains(t.Sinks.Alert, consumer)
}

// sinkSteps are the steps of sinks of a kind.
func sinkSteps(kind StepName, sinks []string) []SagaStep {
	var steps []SagaStep
	for _, sink := range sinks {
		steps = append(steps, SagaStep{Name: kind + "-" + StepName(sink), State: StepPlanned, Sink: sink})
	}
	return steps
}

// beginSinks begins the steps of sinks with a decision that all of them are told.
func beginSinks(steps []SagaStep, with *schemas.Decision, wallMs int64) {
	for i := range steps {
		if step := &steps[i]; step.Sink != "" {
			step.State, step.Decision, step.DeadlineMs = StepPending, with.ID, wallMs+sinkWithinMs
			step.Wait = &Wait{Decision: with.ID, Seq: with.Seq, Want: schemas.AckApplied, NoRouter: true, Stores: []string{step.Sink}}
		}
	}
}

// tellPromotion begins what follows a promotion.
func (t *turn) tellPromotion(d *schemas.Decision) {
	t.s.Promotion = nil
	steps := sinkSteps(StepRegistry, t.s.Terms.Sinks.Registry)
	if steps == nil || !t.s.Terms.awaited() {
		return
	}
	beginSinks(steps, d, t.in.WallMs)
	t.s.Promotion = &Promotion{DecidedMs: t.in.WallMs, Steps: steps}
}

// steps are those that are followed: of the rollback, or of the promotion.
func (s *State) steps() []SagaStep {
	switch {
	case s.Saga != nil:
		return s.Saga.Steps
	case s.Promotion != nil:
		return s.Promotion.Steps
	}
	return nil
}

// sinks are those of them that sinks do.
func (s *State) sinks() []*SagaStep {
	var sinks []*SagaStep
	steps := s.steps()
	for i := range steps {
		if steps[i].Sink != "" {
			sinks = append(sinks, &steps[i])
		}
	}
	return sinks
}

// ending is what the steps are of, in a word.
func (s *State) ending() string {
	switch {
	case s.Retired != nil && s.Retired.By != "":
		return s.Retired.By
	case s.Saga != nil:
		return "rollback"
	}
	return promotion
}

const promotion = "promotion"

// sinkAcked gives an ack to the step of a sink that waits for it.
func (t *turn) sinkAcked(a *schemas.Ack) {
	if t.s.Status == StatusDeleted {
		return // nobody follows it any more
	}
	for _, step := range t.s.sinks() {
		if step.Sink == a.Consumer && step.open() && a.Status == schemas.AckReceived && a.Seq >= step.Wait.Seq {
			step.Why = clip(a.Why, MaxWhy) // what keeps it, so far
		}
		if step.open() && step.Wait.satisfies(a) && step.Wait.take(a.Consumer, &t.s.Terms) {
			t.told(step)
		}
	}
}

// sinkRefuses marks the step of a sink that answers that it never will as failed, and reports whether there is one. A later ack still settles it.
func (t *turn) sinkRefuses(a *schemas.Ack) bool {
	for _, step := range t.s.sinks() {
		if step.open() && step.Decision == a.Decision && step.Wait.awaits(a.Consumer, &t.s.Terms) {
			step.State, step.Why = StepFailed, clip(a.Why, MaxWhy)
			t.sinkRefused(step)
			return true
		}
	}
	return t.unstarted(a)
}

// unstarted tells people of a registry that will never do what the start asks of it, and reports whether it is one. It has no step in the start, since nothing waits for it there.
func (t *turn) unstarted(a *schemas.Ack) bool {
	if !slices.Contains(t.s.Terms.Sinks.Registry, a.Consumer) || !t.s.judged() || t.s.steps() != nil {
		return false
	}
	if slices.Contains(t.s.Unstarted, a.Consumer) {
		return true
	}
	t.s.Unstarted = append(t.s.Unstarted, a.Consumer)
	name := registryStep(a.Consumer)
	t.notice(schemas.Notice{
		Kind: schemas.NoticeSinkRefused, Severity: schemas.Warning, Decision: a.Decision, Waiting: []string{name},
		Sentence: fmt.Sprintf("Step %s of start %s has failed, and isn't tried again: %s. Neither traffic nor the rollout waits for that. If it can't wait, do it by hand: until its test is over, the registry's candidate is %s. This counts as over with the rollout's promotion or rollback.",
			name, a.Decision, strings.TrimSuffix(orUnknown(a.Why), "."), t.s.Terms.Canary),
	})
	return true
}

// registryStep is the name of a registry's step.
func registryStep(sink string) string { return string(StepRegistry) + "-" + sink }

// sinkExpired takes the deadline of a sink's step, and reports whether it is one's. What a sink refused, and what a registry has not done yet, is nobody's to mend once the model's
// next rollout has begun: what the registry says is up to that one.
func (t *turn) sinkExpired(x *Expired) bool {
	for _, step := range t.s.sinks() {
		switch {
		case t.s.stepDeadline(step) != x.Deadline:
			continue
		case x.Later && t.handsOn(step):
			t.handOn()
		default:
			t.sinksOverdue()
		}
		return true
	}
	return false
}

// endsWithNext reports whether a sink's step, of which people were told, ends with the model's next rollout.
func (s *SagaStep) endsWithNext() bool {
	return s.refused() || s.ofRegistry() && s.open() && s.Attempt > 0
}

// handsOn reports that likewise of a step whose deadline has passed: nobody was told of it, and what is told now is that.
func (t *turn) handsOn(s *SagaStep) bool {
	return s.endsWithNext() || s.ofRegistry() && s.open() && s.DeadlineMs <= t.in.WallMs
}

// handOn ends all such steps. A registry is told on, in order, since what it is to do next stands on that.
func (t *turn) handOn() {
	for _, step := range t.s.sinks() {
		if !t.handsOn(step) {
			continue
		}
		what := "was refused"
		if !step.refused() {
			what = fmt.Sprintf("isn't done, and is tried again for a day (%s: %s)", step.Sink, strings.TrimSuffix(cmp.Or(step.Why, "nothing is said by it"), "."))
		}
		step.State = StepSkipped
		t.handedOn(step.Decision, "", fmt.Sprintf("Step %s of %s %s, which %s,", step.Name, t.s.ending(), step.Decision, what))
	}
}

// ofRegistry reports whether a step is a registry's.
func (s *SagaStep) ofRegistry() bool {
	return s.Sink != "" && strings.HasPrefix(string(s.Name), string(StepRegistry)+"-")
}

// refused reports whether a sink has said that it will never do its step.
func (s *SagaStep) refused() bool { return s.Sink != "" && s.State == StepFailed }

// handedOn tells those who were told that something isn't done that it is followed here no longer.
func (t *turn) handedOn(decision string, order schemas.StateDo, what string) {
	t.notice(schemas.Notice{
		Kind: schemas.NoticeHandedOn, Severity: schemas.Info, Decision: decision, Order: order, Waiting: t.s.remaining(),
		Sentence: fmt.Sprintf("%s is followed here no longer: a later rollout of model %s has begun, and that is up to it now.", what, t.s.Terms.Model),
	})
}

// told ends the step of a sink. Who was told that it is overdue, or refused, is told that, too.
func (t *turn) told(step *SagaStep) {
	late := step.Attempt > 0 || step.State == StepFailed
	step.State, step.Why = StepAcked, ""
	if !late {
		return
	}
	t.notice(schemas.Notice{
		Kind: schemas.NoticeSinkDone, Severity: schemas.Info, Decision: step.Decision, Attempt: step.Attempt, Waiting: t.s.left(),
		Sentence: fmt.Sprintf("Step %s of %s %s is done after all.", step.Name, t.s.ending(), step.Decision),
	})
}

// left is what is undone, which versions serve users that are to have none, and that the baseline, which has all users, is beyond a limit, where people were told: as long as there is
// something, somebody may have to do something.
func (s *State) left() []string {
	names := s.undone()
	for _, version := range s.RetiredServing() {
		names = append(names, retiredName(version))
	}
	if s.harmed() {
		names = append(names, codeNoRefuge)
	}
	if s.isChronic() {
		names = append(names, codeChronic)
	}
	return names
}

// undone are the steps that are still open, of sinks only those that people were told of, and the order to take writes again, where people were told that it isn't answered.
func (s *State) undone() []string {
	var names []string
	steps := s.steps()
	for i := range steps {
		if step := &steps[i]; step.open() && (step.Sink == "" || step.Attempt > 0 || step.State == StepFailed) {
			names = append(names, string(step.Name))
		}
	}
	if steps == nil && s.judged() {
		for _, sink := range s.Unstarted {
			names = append(names, registryStep(sink))
		}
	}
	if w := s.Thawing; w != nil && w.Told && !slices.Contains(names, string(StepUnfreeze)) {
		names = append(names, string(StepUnfreeze))
	}
	return names
}

// remaining is what people were told of and isn't over: of what goes on, and after its end. Of a promotion it is what has an end still.
func (s *State) remaining() []string {
	if s.Status.Ended() || s.Status == StatusPromoting {
		return s.Standing()
	}
	return s.standing()
}

// Awaits reports whether at a wall time a deadline, or the answer of a sink, may still change something.
func (s *State) Awaits(wallMs int64) bool {
	var decidedMs int64
	switch {
	case slices.ContainsFunc(s.Deadlines(), func(d Deadline) bool { return !d.Next }):
		return true
	case s.Status == StatusDeleted:
		return false
	case s.Saga != nil:
		decidedMs = int64(s.Saga.Times.Decided)
	case s.Promotion != nil:
		decidedMs = s.Promotion.DecidedMs
	}
	if wallMs-decidedMs > sinkLifeMs {
		return false
	}
	return slices.ContainsFunc(s.sinks(), func(step *SagaStep) bool { return step.open() && step.State != StepFailed })
}

// sinksOverdue tells people, in one sentence, of all sinks whose deadline has passed, and gives each more time.
func (t *turn) sinksOverdue() {
	var names, why, silent []string
	var last *SagaStep
	for _, step := range t.s.sinks() {
		if !step.open() || step.DeadlineMs == 0 || step.DeadlineMs > t.in.WallMs {
			continue
		}
		t.retry(step, sinkWithinMs)
		if step.Attempt >= sinkReminders {
			step.DeadlineMs = 0
		}
		names = append(names, string(step.Name))
		if step.Why != "" {
			why = append(why, step.Sink+": "+strings.TrimSuffix(step.Why, ".")+".")
		} else {
			silent = append(silent, step.Sink)
		}
		last = step
	}
	if silent != nil {
		why = append(why, fmt.Sprintf("Nothing is said by %s: does a serve run that has it in its sinks, or does what it was told before hang there?", strings.Join(silent, ", ")))
	}
	often := times(last.Attempt)
	if last.DeadlineMs == 0 {
		often += ", and isn't told any more"
	}
	t.notice(schemas.Notice{
		Kind: schemas.NoticeSinkOverdue, Severity: schemas.Warning, Decision: last.Decision, Attempt: last.Attempt, Waiting: names,
		Sentence: fmt.Sprintf("Not done of %s %s in time: %s (deadline passed %s). Traffic doesn't wait for that, and it is tried again for a day. %s %s",
			t.s.ending(), last.Decision, strings.Join(names, ", "), often, t.byHand(names), strings.Join(why, " ")),
	})
}

// sinkRefused tells people of a sink that will never do its step.
func (t *turn) sinkRefused(step *SagaStep) {
	step.DeadlineMs = 0
	t.notice(schemas.Notice{
		Kind: schemas.NoticeSinkRefused, Severity: schemas.Warning, Decision: step.Decision, Waiting: []string{string(step.Name)},
		Sentence: fmt.Sprintf("Step %s of %s %s has failed, and isn't tried again: %s. Traffic doesn't wait for that. %s This counts as over with the model's next rollout, or with `streamcanary rollout delete %s`.",
			step.Name, t.s.ending(), step.Decision, strings.TrimSuffix(orUnknown(step.Why), "."), t.byHand([]string{string(step.Name)}), t.s.Terms.Rollout),
	})
}

// byHand is what a person can do for steps of sinks.
func (t *turn) byHand(steps []string) string {
	registry := func(name string) bool { return strings.HasPrefix(name, string(StepRegistry)) }
	move := fmt.Sprintf("give the registry's alias or stage back to %s", t.s.Terms.Baseline)
	if t.s.Saga == nil {
		move = fmt.Sprintf("give the registry's alias or stage to %s", t.s.Terms.Canary)
	}
	switch {
	case !slices.ContainsFunc(steps, registry):
		return "If that can't wait, tell people yourself."
	case len(steps) == 1:
		return fmt.Sprintf("If that can't wait, %s by hand.", move)
	}
	return fmt.Sprintf("If that can't wait, %s by hand, and tell people yourself.", move)
}

// Deleted is the notice that a rollout was deleted which had ended; its id and times are set by who publishes it.
func Deleted(s *State, by schemas.Actor) schemas.Notice {
	text := fmt.Sprintf("%s deleted rollout %s, which had ended.", cmp.Or(by.Name, "A person"), s.Terms.Rollout)
	left := s.left()
	text += s.undoneLeft()
	severity := schemas.Info
	if retired := s.RetiredLeft(); retired != "" {
		text += " " + retired
	}
	if s.harmed() {
		text += fmt.Sprintf(" Baseline %s, which has all users, was beyond a limit of its own when last looked at, and nobody looks any more. %s", s.Terms.Baseline, s.rollForwardNow())
	}
	if len(s.RetiredServing()) > 0 || s.harmed() { // its incident ends, and that doesn't
		severity = schemas.Warning
	}
	return schemas.Notice{Kind: schemas.NoticeRolloutDeleted, Severity: severity, Waiting: left, Actor: &by, Sentence: text}
}
