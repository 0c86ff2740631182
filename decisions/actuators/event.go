package actuators

import (
	"fmt"
	"strings"

	"streamcanary/schemas"
)

// An Event is what a sink hears of: a decision, or a notice of what became of one.
type Event struct {
	ID       string // the decision's or the notice's: the idempotency key
	Decision *schemas.Decision
	Signed   schemas.Signed  // of a decision: the exact bytes that were published, and who signed them
	Notice   *schemas.Notice // where Decision is nil
	Rollout  *schemas.Rollout
	Use      *schemas.SinkUse // what the rollout wants of the sink
}

// OfDecision is the event of a decision as it was published.
func OfDecision(d *schemas.Decision, signed schemas.Signed, r *schemas.Rollout, use *schemas.SinkUse) *Event {
	return &Event{ID: d.ID, Decision: d, Signed: signed, Rollout: r, Use: use}
}

// OfNotice is the event of a notice.
func OfNotice(n *schemas.Notice, r *schemas.Rollout, use *schemas.SinkUse) *Event {
	return &Event{ID: n.ID, Notice: n, Rollout: r, Use: use}
}

// at is the wall time of an event; of one without, the event time.
func (e *Event) at() schemas.Time {
	var at, events schemas.Time
	if d := e.Decision; d != nil {
		at, events = d.IssuedAt, d.EventTime
	} else {
		at, events = e.Notice.At, e.Notice.EventTime
	}
	if at == 0 {
		return events
	}
	return at
}

func (e *Event) severity() schemas.Severity {
	if e.Decision != nil {
		return e.Decision.Severity
	}
	return e.Notice.Severity
}

func (e *Event) epoch() int64 {
	if e.Decision != nil {
		return e.Decision.Epoch
	}
	return e.Notice.Epoch
}

// advises reports whether nobody acts on it, since the rollout only advises.
func (e *Event) advises() bool { return e.Rollout.Mode != schemas.Enforce }

// what is the event in a word: the action, or the kind of notice.
func (e *Event) what() string {
	if d := e.Decision; d != nil {
		return string(d.Action)
	}
	return string(e.Notice.Kind)
}

// title is the event in one line, without its reason.
func (e *Event) title() string {
	text := fmt.Sprintf("%s: rollout %s of model %s", e.what(), e.Rollout.Name, e.Rollout.Model)
	if e.Decision != nil && e.Decision.Phase != "" {
		text = fmt.Sprintf("%s (%s): rollout %s of model %s", e.what(), e.Decision.Phase, e.Rollout.Name, e.Rollout.Model)
	}
	if e.advises() {
		text += " (only advised: nobody acts on it)"
	}
	return text
}

// sentence says why.
func (e *Event) sentence() string {
	if e.Decision != nil {
		return e.Decision.Reason.Sentence
	}
	return e.Notice.Sentence
}

// split is what becomes of the traffic; "" where nothing does.
func (e *Event) split() string {
	if e.Decision == nil {
		return ""
	}
	var parts []string
	for _, r := range e.Decision.Routes {
		part := fmt.Sprintf("%s %g %%", r.Version, float64(r.WeightBP)/100)
		if r.MirrorBP > 0 {
			part += fmt.Sprintf(" and copies of %g %%", float64(r.MirrorBP)/100)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// actor is the person who decided; "" where the engine did.
func (e *Event) actor() string {
	if e.Decision == nil || e.Decision.Actor.Kind != "person" {
		return ""
	}
	if e.Decision.Actor.Comment == "" {
		return e.Decision.Actor.Name
	}
	return e.Decision.Actor.Name + ": " + e.Decision.Actor.Comment
}

// alarm is what an event means to people on call.
type alarm int

// What there is: nothing, raise the rollout's alarm (or tell more of it), or it is over.
const (
	quiet alarm = iota
	raise
	over
)

// alarm says what to do about people on call. A decision that is a warning or worse raises the alarm, and so does a notice that a person has to look at: a step that
// failed or is overdue, a guardrail under suspicion, or one that may miss its alerts, traffic that isn't as planned, users of a version that is to have none, somebody else's decisions. It is over when a rollback is carried out, that version has drained, stores take
// writes again, the traffic is as planned, or Alertmanager tells of all alerts again, with all that people were told of; when nobody else has written decisions for an hour, and nothing else stands; or when
// the rollout begins, goes on, has gone its way, gives way to another, or is deleted.
func (e *Event) alarm() alarm {
	if e.Decision == nil {
		switch e.Notice.Kind {
		case schemas.NoticeAcksOverdue, schemas.NoticeAckRefused, schemas.NoticeDrainOverdue, schemas.NoticeGuardrailSuspect, schemas.NoticeSinkOverdue, schemas.NoticeSinkRefused,
			schemas.NoticePillarFailed, schemas.NoticeRolloutLost, schemas.NoticeForeignDecision, schemas.NoticeAlertsTruncated,
			schemas.NoticeShareOffPlan, schemas.NoticeRetiredServes:
			return raise
		case schemas.NoticeRollbackCompleted, schemas.NoticeSinkDone, schemas.NoticeRetiredOver, schemas.NoticeShareAsPlanned, schemas.NoticeAlertsWhole, schemas.NoticeWritesAgain:
			if len(e.Notice.Waiting) == 0 {
				return over
			}
		case schemas.NoticeRolloutDeleted, schemas.NoticeForeignOver:
			return over
		case schemas.NoticeCommandRefused, schemas.NoticeGuardrailWarning, schemas.NoticeBaselineBeyond, schemas.NoticePillarHeld:
		}
		return quiet
	}
	switch e.Decision.Action {
	case schemas.ActionResume, schemas.ActionAdvance, schemas.ActionPromote, schemas.ActionRetry, schemas.ActionSupersede:
		return over
	case schemas.ActionRollback, schemas.ActionHold, schemas.ActionFreeze, schemas.ActionRollForward, schemas.ActionStart:
	}
	switch {
	case e.Decision.Action == schemas.ActionStart && e.Decision.Phase == schemas.PhaseAbort && e.Decision.Reason.Code == schemas.ReasonDeleted:
		return over
	case e.Decision.Action == schemas.ActionStart && e.Decision.Phase == schemas.PhaseCommit: // what kept it from beginning is over, also where that was another epoch
		return over
	case e.severity() == schemas.Info:
		return quiet
	}
	return raise
}

// stuckDeadlines is how many deadlines of a step of a rollback must have passed until it is an incident of its own. Each deadline is twice as long as the one before.
const stuckDeadlines = 3

// stuck says what to do about the second incident of a rollout: that its rollback isn't carried out. Who was woken by the rollback itself, and has gone back to sleep
// since all seemed well, isn't woken by more of the same incident. It begins with the third passed deadline of a critical step, or with the first of the proof that the canary has
// drained, and ends when the rollback is carried out, or with all of the rollout's alarms, where another epoch begins or it is deleted.
func (e *Event) stuck() alarm {
	if d := e.Decision; d != nil {
		if (d.Action == schemas.ActionStart || d.Action == schemas.ActionRetry) && e.alarm() == over {
			return over
		}
		return quiet
	}
	switch n := e.Notice; {
	case n.Kind == schemas.NoticeRollbackCompleted, n.Kind == schemas.NoticeRolloutDeleted, n.Kind == schemas.NoticeWritesAgain && len(n.Waiting) == 0:
		return over
	case n.Severity != schemas.Critical:
	case n.Kind == schemas.NoticeAcksOverdue && n.Attempt >= stuckDeadlines, n.Kind == schemas.NoticeDrainOverdue && n.Attempt > 0:
		return raise
	}
	return quiet
}

// Urgent reports whether somebody is to be woken by an event.
func (e *Event) Urgent() bool { return e.severity() == schemas.Critical }

// Ends reports whether an event ends the alarm of its rollout.
func (e *Event) Ends() bool { return e.alarm() == over }

// alarmKey names the alarm of a rollout: everything about it is one incident, but that its rollback is stuck. Its epoch is no part of that, since what one epoch raised may be
// over with the next.
func (e *Event) alarmKey() string { return "streamcanary/" + e.Rollout.Name }

// stuckKey names the incident that a rollback is stuck.
func (e *Event) stuckKey() string { return e.alarmKey() + "/stuck" }

// clip cuts a text to so many bytes.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const dots = "…"
	return strings.ToValidUTF8(text[:most-len(dots)], "") + dots
}
