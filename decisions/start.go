package decisions

import (
	"fmt"
	"slices"

	"streamcanary/schemas"
)

// applied begins a new epoch: its first decision is the prepare. An epoch that isn't above the state's own is ignored.
func (t *turn) applied(a *Applied) {
	if a.Epoch <= t.s.Epoch {
		return
	}
	before := t.s
	t.s = State{
		Terms: a.Terms, Epoch: a.Epoch, Status: StatusPreparing, Prev: a.Prev, Before: a.Routes,
		EventMs: t.in.EventMs, Commanded: t.s.Commanded, Spent: t.s.Spent, Pillars: a.Pillars, Past: a.Past[max(0, len(a.Past)-MaxPast):],
	}
	if w := a.Terms.State.Written; w != nil {
		t.s.Snapshots = w.Snapshots
	}
	t.s.Parted = slices.DeleteFunc(before.HeardBy(), func(sink string) bool { return slices.Contains(a.Terms.Sinks.Alert, sink) })
	before.looksOn(&t.s)
	t.s = t.s.clone()
	t.s.thaws(t.s.Terms.State.Owing)
	if t.refusedStart(a) {
		t.noLonger(before.Serving)
		return
	}
	t.s.Retired, t.s.Replaced, t.s.ReplacedToo, t.s.BeyondTold = nil, nil, nil, nil
	over := slices.Concat(a.Override, failedNames(a.Pillars)) // of a way back alone; another one doesn't start
	t.passPillars(a.Pillars)
	d := draft{
		action: schemas.ActionStart, severity: schemas.Info, actor: a.Actor, override: over,
		reason: schemas.Reason{Code: "applied", Sentence: fmt.Sprintf("Rollout %s begins%s: canary %s against baseline %s of model %s.",
			a.Terms.Rollout, overText(over), a.Terms.Canary, a.Terms.Baseline, a.Terms.Model)},
	}
	if a.Retry {
		d.action, d.reason.Code = schemas.ActionRetry, "retried"
		d.reason.Sentence = fmt.Sprintf("Rollout %s begins anew, as epoch %d%s: canary %s against baseline %s of model %s. What was seen of it before counts no more.",
			a.Terms.Rollout, a.Epoch, overText(over), a.Terms.Canary, a.Terms.Baseline, a.Terms.Model)
		if a.Prev != nil {
			d.supersedes = a.Prev.ID
		}
	}
	if a.Lost > 0 {
		d.reason.Sentence += fmt.Sprintf(" The decision log has lost decisions, of epoch %d or before: what they had begun is forgotten.", a.Lost)
	}
	d.reason.Sentence += t.s.movedText(a.Override) + t.s.thawedText(a.Override) + t.s.writtenText()
	t.decide(t.preparation(d))
	t.replaces(a.leaves())
	t.noLonger(before.Serving)
	if t.s.Wait == nil {
		t.commit(draft{reason: schemas.Reason{Code: "prepared", Sentence: "Judging begins."}, actor: engine})
	}
}

// commit ends the preparation: from then on the arms are compared. Where it moves traffic, windows from before it was decided, and what was routed before and is answered
// after it, are of another split: as with a later stage (followed) the first window comes after them, also where events are read late. It doesn't wait for routers to
// follow: until they have, the canary has no traffic by which anything could begin, and harm must count from its first window on.
func (t *turn) commit(d draft) {
	t.s.Status = StatusRunning
	t.s.FromMs = t.s.EventMs
	if t.s.Terms.stageRoutes(0) != nil {
		t.s.FromMs = t.s.settledMs(t.in.WallMs)
	}
	if len(t.s.Terms.Alerts) > 0 {
		t.s.BeganMs = t.in.WallMs
	}
	if !t.s.Terms.External {
		d.asks = routers
	}
	d.phase, d.routes, d.state, d.await = schemas.PhaseCommit, t.s.Terms.stageRoutes(0), t.thaw(), schemas.AckApplied
	t.s.thaws(nil) // its own stores are told from here on
	t.decide(d.as(schemas.ActionStart, schemas.Info))
	t.leftBehind()
	t.stillServe()
	if t.s.Wait == nil {
		t.s.DueMs = t.s.FromMs
	}
	t.alarms("")
}

// acked takes a subscriber's answer. Answers to another epoch are kept for show where this one's are missing; one to a decision that nobody waits for is kept for show.
// Acks may come twice and in any order: what counts for a wait is a set, and only news of a refusal is told.
func (t *turn) acked(a *schemas.Ack) {
	if a.Epoch != t.s.Epoch {
		t.s.stray(a, t.in.WallMs)
		return
	}
	if why := t.s.Unheeded(a); why != "" && why != UnheededStranger { // a stranger's is shown
		return
	}
	t.s.found(a.Consumer)
	before := t.s.refusedLast(a.Consumer)
	answer := t.s.answerOf(a, t.in.WallMs)
	news := t.s.remember(&answer)
	if answer.refuses() {
		if news {
			t.refused(a, &answer, before)
		}
		return
	}
	t.sinkAcked(a)
	if t.s.Saga != nil {
		t.sagaAcked(a)
	}
	if w := t.s.Wait; w != nil && w.satisfies(a) {
		before := t.s.Seq
		t.answered(w, a)
		if t.s.Wait == nil && t.s.Seq == before { // else the decision that follows says so
			t.complete(w, "")
		}
	}
	if w := t.s.Freezing; w != nil && w.satisfies(a) && w.take(a.Consumer, &t.s.Terms) {
		t.s.Freezing = nil
		t.complete(w, schemas.StateFreeze)
	}
	t.thawed(a)
}

// complete tells those who were told that answers are missing, or refusals, that all have answered now.
func (t *turn) complete(w *Wait, order schemas.StateDo) {
	if !w.Told && w.Attempt == 0 {
		return
	}
	sentence := fmt.Sprintf("Decision %s is answered with %q after all, by %s.", w.Decision, w.Want, listed(w.Got))
	if order == schemas.StateFreeze {
		sentence = fmt.Sprintf("The freeze that was asked for (decision %s) is acknowledged after all, by %s.", w.Decision, listed(w.Got))
	}
	t.notice(schemas.Notice{
		Kind: schemas.NoticeAcksComplete, Severity: schemas.Info, Decision: w.Decision, Attempt: w.Attempt, Waiting: t.s.remaining(), Order: order, Sentence: sentence,
	})
}

// answered counts an answer that is waited for.
func (t *turn) answered(w *Wait, a *schemas.Ack) {
	if t.s.snapshotting(a.Consumer) {
		t.s.snapshotted(a)
	}
	if w.take(a.Consumer, &t.s.Terms) {
		t.s.Wait = nil
		switch t.s.Status {
		case StatusPreparing:
			t.prepared(w)
		case StatusPromoting:
			if t.s.Warming != nil {
				t.followedTo(t.s.Warming)
				return
			}
			t.hasPromoted(w.Decision)
		case StatusRunning, StatusHolding:
			t.followed()
		}
	}
}

// staleText is what it means that somebody has obeyed an epoch that is later than the one of the decision that it answers, and what to do; "": it doesn't say so.
func staleText(a *schemas.Ack) string {
	if a.Status != schemas.AckRejected || a.Why != schemas.WhyStaleEpoch {
		return ""
	}
	return fmt.Sprintf(" It obeys a later epoch than %d, which isn't known here: was NATS restored from an older backup, or does it hear another installation? It obeys a new epoch (`rollout retry`) that is above its own.", a.Epoch)
}

// refused tells people that a subscriber will not, or could not, obey a decision that is waited for, or a later one that asks for the same, where it hasn't refused
// that before (before is the seq of what it refused last), or that its answer is no answer to it.
func (t *turn) refused(a *schemas.Ack, answer *Answer, before int64) {
	var step *SagaStep
	if t.sinkRefuses(a) {
		return
	}
	asked := func(w *Wait) bool {
		return w != nil && w.awaits(a.Consumer, &t.s.Terms) && (w.Decision == a.Decision || w.Seq < a.Seq && before < w.Seq && !slices.Contains(w.Got, a.Consumer))
	}
	if t.s.Saga != nil {
		step = t.s.Saga.refused(a, asked)
	}
	thaws := asked(t.s.Thawing) && !t.s.snapshotting(a.Consumer)
	if step == nil && !asked(t.s.Wait) && !asked(t.s.Freezing) && !thaws {
		return
	}
	sentence := fmt.Sprintf("%s answered %s to decision %s: %s.", a.Consumer, a.Status, a.Decision, orUnknown(answer.Why)) + staleText(a)
	var order schemas.StateDo
	switch {
	case asked(t.s.Freezing):
		t.s.Freezing.Told, order = true, schemas.StateFreeze
		sentence += t.stillWritten()
	case thaws:
		t.s.Thawing.Told, order = true, schemas.StateUnfreeze
		sentence += t.s.stillFrozen([]string{a.Consumer})
	default:
		if step == nil {
			t.s.Wait.Told = true
		}
		sentence += " " + t.outcome(step)
	}
	severity := schemas.Critical
	switch {
	case step != nil:
		severity = t.s.Saga.severity()
	case order == "": // of a start, or of more traffic: users stay with the version that serves them well
		severity = schemas.Warning
	}
	t.notice(schemas.Notice{
		Kind: schemas.NoticeAckRefused, Severity: severity, Decision: a.Decision, Waiting: []string{a.Consumer}, Order: order, Sentence: sentence,
	})
	switch {
	case step == nil:
	case step.Name == StepFreeze:
		t.unfrozen(step, a.Status == schemas.AckRejected)
	case step.WarmBP > 0:
		t.skipWarming()
		t.next()
	}
}

// outcome is what a refusal means: of a step of a rollback, or of what else is waited for (nil).
func (t *turn) outcome(step *SagaStep) string {
	if step == nil {
		return t.s.meanwhile()
	}
	return t.danger(step)
}

// refusedLast is the seq of the decision that a consumer refused last; 0: it hasn't, or has answered otherwise since.
func (s *State) refusedLast(consumer string) int64 {
	for i := range s.Answers {
		if a := s.Answers[i].refusal(); a != nil && a.Consumer == consumer {
			return a.Seq
		}
	}
	return 0
}

// remember keeps the newest ack of each consumer, and reports whether this one is news: a repetition, one that is overtaken by a
// newer answer, and one of a consumer for whom there is no place is none. A refusal for another reason than before is kept, and is no news.
func (s *State) remember(a *Answer) bool {
	at, found := s.answerAt(a.Consumer)
	if !found {
		if !s.makesRoom(a.Consumer) {
			return false
		}
		at, _ = s.answerAt(a.Consumer)
		s.Answers = slices.Insert(s.Answers, at, *a)
		return true
	}
	old := s.Answers[at]
	if old.Seq == a.Seq && old.rank() == a.rank() && a.refuses() && (old.Why != a.Why || old.Status != a.Status) {
		s.Answers[at] = *a
		return false
	}
	if old.Seq > a.Seq || old.Seq == a.Seq && old.rank() >= a.rank() {
		return false
	}
	if a.Status == schemas.AckReceived {
		a.Refused = old.refusal()
	}
	s.Answers[at] = *a
	return true
}

// rank orders the answers to one decision, so that acks that arrive in another order than they were given leave the same state.
func (a *Answer) rank() int {
	switch {
	case a.Status == schemas.AckReceived:
		return 1
	case a.Unfit && a.Status == schemas.AckPrepared:
		return 3
	case a.refuses():
		return 2
	case a.Status == schemas.AckPrepared:
		return 4
	case a.Status == schemas.AckApplied:
		return 5
	}
	return 0
}

// expired takes a deadline that has passed; one that was met meanwhile, or moved, is ignored.
func (t *turn) expired(x *Expired) {
	id := x.Deadline
	armed := slices.ContainsFunc(t.s.Deadlines(), func(d Deadline) bool { return d.ID == id && d.Due(t.in.WallMs, x.Later) })
	if !armed {
		return
	}
	if w := t.s.Wait; w != nil && id == deadlineID(w.Decision, waitDeadline) {
		t.overdue(w)
		return
	}
	if w := t.s.Freezing; w != nil && id == deadlineID(w.Decision, waitDeadline) {
		t.unfreezable(w)
		return
	}
	if w := t.s.Thawing; w != nil && id == deadlineID(w.Decision, thawDeadline) {
		t.unthawed(w, x)
		return
	}
	if r := t.s.Retired; r != nil && id == deadlineID(r.Decision, retiredDeadline) {
		t.retiredExpired(x)
		return
	}
	if r := t.replacedDue(x); r != nil {
		t.replacedExpired(r, x)
		return
	}
	if w := t.s.Warming; w != nil && id == deadlineID(w.Decision, string(w.Name)) {
		w.State, w.DeadlineMs = StepPassed, 0
		t.stopEnds()
		return
	}
	if t.s.lingers() && id == deadlineID(t.s.Prev.ID, nextDeadline) {
		t.s.HandedOn = true
		t.handedOn(t.s.Prev.ID, "", fmt.Sprintf("What decision %s told of rollout %s", t.s.Prev.ID, t.s.Terms.Rollout))
		return
	}
	if !t.alertExpired(id) && !t.sinkExpired(x) {
		t.sagaExpired(x)
	}
}

// overdue escalates a wait and starts it again with twice the time. A promotion ends instead, where the stream has shown what nobody says.
func (t *turn) overdue(w *Wait) {
	if t.promotionPassed() {
		return
	}
	w.Attempt++
	w.DeadlineMs = t.in.WallMs + backoff(w.within(&t.s.Terms), w.Attempt)
	t.notice(schemas.Notice{
		Kind: schemas.NoticeAcksOverdue, Severity: schemas.Warning, Decision: w.Decision, Attempt: w.Attempt, Waiting: w.missing(),
		Sentence: fmt.Sprintf("Decision %s is not answered with %q by %s%s. %s %s", w.Decision, w.Want, listed(w.missing()), passed(w.Attempt), t.s.hint(w), t.s.meanwhile()),
	})
	t.out = append(t.out, Effect{Again: t.s.Prev.ID})
}

// backoff is how long the next attempt may take: the first deadline doubled each time, at most 32 times it.
func backoff(withinMs int64, attempt int) int64 { return withinMs << min(attempt, 5) }
