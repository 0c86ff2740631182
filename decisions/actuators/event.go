package actuators

import (
	"fmt"
	"slices"
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
	Since    []*Event         // what was told before it, although it came later: an incident that one of these has raised isn't ended by it
	Behind   []*Event         // what came later and waits behind it: for an incident that one of these ends nobody is woken any more
	// Standing is what else people were told of the rollout and haven't heard the end of, beside what a notice names itself: while there is any, the event doesn't end its incident.
	Standing []string
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

// labels are the rollout's as the event was published with them: a decision has those of its file, which may be another one by now. Where its reason left no room for them, it is the same file, or there are none.
func (e *Event) labels() map[string]string {
	if d := e.Decision; d != nil && (len(d.Labels) > 0 || d.Evidence.RolloutSha256 != e.Rollout.Sha256) {
		return d.Labels
	}
	return e.Rollout.Labels
}

// model is the rollout's as the event was published, likewise.
func (e *Event) model() string {
	if e.Decision != nil {
		return e.Decision.Model
	}
	return e.Notice.Model
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

// sentence says why, for people: what others wrote in it breaks no line, and turns no text around.
func (e *Event) sentence() string {
	d := e.Decision
	if d == nil {
		return schemas.Readable(e.Notice.Sentence)
	}
	text := schemas.Readable(d.Reason.Sentence)
	if d.Action == schemas.ActionFreeze && d.Actor.Kind == "person" { // only a person ends it: who is told of it, and did not do it, must know how
		text += fmt.Sprintf(" It lasts until somebody ends it: `streamcanary rollout resume %s --comment WHY`.", e.Rollout.Name)
	}
	return text
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

// actor is the person who decided, for people; "" where the engine did.
func (e *Event) actor() string {
	if e.Decision == nil || e.Decision.Actor.Kind != "person" {
		return ""
	}
	name := schemas.Readable(e.Decision.Actor.Name)
	if e.Decision.Actor.Comment == "" {
		return name
	}
	return name + ": " + schemas.Readable(e.Decision.Actor.Comment)
}

// alarm is what an event means to people on call.
type alarm int

// What there is: nothing, raise the rollout's alarm (or tell more of it), or it is over; or it was to be raised, and its end waits behind it.
const (
	quiet alarm = iota
	raise
	over
	past
)

// alarms say of each kind of notice what it is to people on call: it raises the alarm, as what a person has to look at; it ends it, where it names nothing else that stands; or neither
// (quiet). A kind that isn't here is neither. What raises has an end among the others (TestAlarmsEnd).
var alarms = map[schemas.NoticeKind]alarm{
	schemas.NoticeAcksOverdue:      raise,
	schemas.NoticeAckRefused:       raise,
	schemas.NoticeDrainOverdue:     raise,
	schemas.NoticeGuardrailSuspect: raise,
	schemas.NoticeSinkOverdue:      raise,
	schemas.NoticeSinkRefused:      raise,
	schemas.NoticePillarFailed:     raise,
	schemas.NoticeRolloutLost:      raise,
	schemas.NoticeForeignDecision:  raise,
	schemas.NoticeAlertsTruncated:  raise,
	schemas.NoticeShareOffPlan:     raise,
	schemas.NoticeRetiredServes:    raise,
	schemas.NoticeNoRefuge:         raise,

	schemas.NoticeRollbackCompleted: over,
	schemas.NoticeSinkDone:          over,
	schemas.NoticeHandedOn:          over,
	schemas.NoticeWritesAgain:       over,
	schemas.NoticeAcksComplete:      over,
	schemas.NoticeRolloutFound:      over,
	schemas.NoticeForeignOver:       over,
	schemas.NoticeRetiredOver:       over,
	schemas.NoticeNoRefugeOver:      over,
	schemas.NoticeGuardrailClear:    over,
	schemas.NoticeAlertsWhole:       over,
	schemas.NoticeShareAsPlanned:    over,
	schemas.NoticePillarHeld:        over,
	schemas.NoticeRolloutDeleted:    over, // whatever it names: nobody follows that any more

	schemas.NoticeCommandRefused:   quiet,
	schemas.NoticeGuardrailWarning: quiet,
	schemas.NoticeBaselineBeyond:   quiet,
}

// alarm says what to do about people on call. A decision that is a warning or worse raises the alarm, and so do some notices. It is over with a notice that says so (alarms), or when the
// rollout begins, goes on, has gone its way, gives way to another, or is deleted, where nothing else stands (leaves). A deletion ends it also where that leaves state that takes no writes: who
// forces that is told so, and nothing could end it after.
func (e *Event) alarm() alarm {
	if n := e.Notice; e.Decision == nil {
		what, others := alarms[n.Kind], e.others(n.Waiting)
		switch {
		case what == over && len(others) > 0 && n.Kind != schemas.NoticeRolloutDeleted, n.Kind == schemas.NoticeSinkOverdue && len(n.Waiting) > 0 && len(others) == 0:
			return quiet
		}
		return what
	}
	switch e.Decision.Action {
	case schemas.ActionResume, schemas.ActionAdvance, schemas.ActionPromote, schemas.ActionSupersede:
		return over
	case schemas.ActionRetry:
		if e.Decision.Phase != schemas.PhaseAbort { // one that is refused ends nothing
			return over
		}
	case schemas.ActionRollback, schemas.ActionHold, schemas.ActionFreeze, schemas.ActionRollForward, schemas.ActionStart:
	}
	switch {
	case e.deletes():
		return over
	case e.begins(): // what kept it from beginning is over, also where that was another epoch
		return over
	case e.severity() == schemas.Info:
		return quiet
	}
	return raise
}

// leaves reports whether an event that ends the rollout's incident leaves something that stands, so that it doesn't. A deletion leaves nothing: nobody follows that any more.
func (e *Event) leaves() bool { return len(e.others(e.Standing)) > 0 && !e.deletes() }

// alertStep begins the name of a rollback's step that people are told by a sink, whose name follows.
const alertStep = "alert-"

// others are what stands without that this sink was to tell people: where it is told of that, it tells them.
func (e *Event) others(standing []string) []string {
	return slices.DeleteFunc(slices.Clone(standing), func(name string) bool { return e.Use != nil && name == alertStep+e.Use.Sink })
}

// deletes reports whether an event is the end of a rollout that is deleted.
func (e *Event) deletes() bool {
	if d := e.Decision; d != nil {
		return d.Phase == schemas.PhaseAbort && d.Reason.Code == schemas.ReasonDeleted
	}
	return e.Notice.Kind == schemas.NoticeRolloutDeleted
}

// begins reports whether an event is the start of what is judged.
func (e *Event) begins() bool {
	d := e.Decision
	return d != nil && d.Action == schemas.ActionStart && d.Phase == schemas.PhaseCommit
}

// stuckDeadlines is how many deadlines of a step of a rollback, or of an order to stores, must have passed until it is an incident of its own. Each deadline is twice as long as the one before.
const stuckDeadlines = 3

// stuck says what to do about the incident of a rollout that its rollback isn't carried out. Who was woken by the rollback itself, and has gone back to sleep
// since all seemed well, isn't woken by more of the same incident. It begins with the third passed deadline of a critical step, or with the first of the proof that the canary has
// drained, and ends when the rollback is carried out, or with all of the rollout's alarms, where another epoch begins or it is deleted.
func (e *Event) stuck() alarm {
	n := e.Notice
	switch {
	case e.deletes(), e.begins(), e.Decision != nil && e.Decision.Action == schemas.ActionRetry:
		return over
	case e.Decision != nil:
		return quiet
	case n.Kind == schemas.NoticeRollbackCompleted:
		return over
	case n.Severity == schemas.Critical && n.Order == "" && e.longOverdue(), n.Severity == schemas.Critical && n.Kind == schemas.NoticeDrainOverdue && n.Attempt > 0:
		return raise
	}
	return quiet
}

// frozen says what to do about the incident that stores don't do what they were asked beside a rollback: to take no writes, as a person wants it, or to take them again. It begins with the third passed
// deadline, and ends when they have answered, when that is up to a later rollout, or with the alarm of the rollout.
func (e *Event) frozen() alarm {
	n := e.Notice
	switch {
	case !e.ofStores():
	case e.Decision != nil && e.alarm() == over:
		return over
	case e.Decision != nil:
	case n.Kind == schemas.NoticeRollbackCompleted, n.Kind == schemas.NoticeRolloutDeleted, n.Order != "" && alarms[n.Kind] == over:
		return over
	case n.Order != "" && n.Severity == schemas.Critical && e.longOverdue():
		return raise
	}
	return quiet
}

// ofStores reports whether an event is of a rollout whose stores may have been asked something, or those of one before it, which are asked in its decisions.
func (e *Event) ofStores() bool {
	switch {
	case e.Rollout == nil || e.Rollout.State.Mode == schemas.StateShared:
		return true
	case e.Decision != nil:
		return slices.ContainsFunc(e.Decision.State, func(o schemas.StateOrder) bool { return o.Store != "" })
	}
	return e.Notice.Order != "" || slices.Contains(e.Notice.Waiting, string(schemas.StateUnfreeze))
}

func (e *Event) longOverdue() bool {
	return e.Notice.Kind == schemas.NoticeAcksOverdue && e.Notice.Attempt >= stuckDeadlines
}

// An incident is one of what people on call hear of a rollout, which begins and ends by itself.
type incident struct {
	name string // "": that of the rollout itself
	what alarm
}

// incidents are those that an event raises or ends. What becomes an incident of its own isn't told as more of the rollout's.
func (e *Event) incidents() []incident {
	var all []incident
	own := []incident{{incidentStuck, e.stuck()}, {incidentState, e.frozen()}}
	if what := e.alarm(); what != quiet && !(what == over && e.leaves()) && own[0].what != raise && own[1].what != raise {
		all = append(all, incident{"", what})
	}
	for _, x := range own {
		if x.what != quiet {
			all = append(all, x)
		}
	}
	for i := range all {
		if all[i].what == raise && e.endBehind(all[i].name) != nil {
			all[i].what = past
		}
	}
	return slices.DeleteFunc(all, func(x incident) bool { return x.what == over && e.raisedSince(x.name) })
}

// endBehind is the event that ends an incident of the rollout and waits behind one that raises it; nil: none does. That people weren't told in time by some sink is no cause to be woken for anything but
// that itself, which is an event of its own; but what stands in Alertmanager is sent again, so there it is over only when all of it is.
func (e *Event) endBehind(name string) *Event {
	ofSinks := e.Notice != nil && (e.Notice.Kind == schemas.NoticeSinkOverdue || e.Notice.Kind == schemas.NoticeSinkRefused)
	strict := ofSinks || e.Use != nil && e.Use.Kind == schemas.SinkAlertmanager
	i := slices.IndexFunc(e.Behind, func(later *Event) bool {
		if !strict {
			later = later.exceptTelling()
		}
		return later.Rollout.Name == e.Rollout.Name && slices.Contains(later.incidents(), incident{name, over})
	})
	if i < 0 {
		return nil
	}
	return e.Behind[i]
}

// exceptTelling is the event without the steps that people are told by sinks among what stands.
func (e *Event) exceptTelling() *Event {
	told := func(name string) bool { return strings.HasPrefix(name, alertStep) }
	x := *e
	x.Standing = slices.DeleteFunc(slices.Clone(e.Standing), told)
	if e.Notice != nil {
		n := *e.Notice
		n.Waiting = slices.DeleteFunc(slices.Clone(n.Waiting), told)
		x.Notice = &n
	}
	return &x
}

// raisedSince reports whether an incident of the rollout was raised by what came after an event, and was told before it.
func (e *Event) raisedSince(name string) bool {
	return slices.ContainsFunc(e.Since, func(later *Event) bool {
		return later.Rollout.Name == e.Rollout.Name && slices.Contains(later.incidents(), incident{name, raise})
	})
}

// The incidents beside that of the rollout: its rollback isn't carried out, and stores don't do what they were asked.
const (
	incidentStuck = "stuck"
	incidentState = "state"
)

// Urgent reports whether somebody is to be woken by an event. What ends an incident never is: before what has raised it, it would leave that open.
func (e *Event) Urgent() bool { return e.severity() == schemas.Critical && !e.Ends() }

// Ends reports whether an event ends an incident. It may be of no known rollout.
func (e *Event) Ends() bool { return e.has(over) }

// Raises reports whether an event raises an incident whose end isn't Behind it.
func (e *Event) Raises() bool { return e.has(raise) }

// Past reports whether an event was to raise an incident whose end is Behind it.
func (e *Event) Past() bool { return e.has(past) }

// EndsButForTelling reports whether an event Ends an incident where nothing stands but that people weren't told in time by some sink. It may be of no known rollout.
func (e *Event) EndsButForTelling() bool { return e.exceptTelling().Ends() }

func (e *Event) has(what alarm) bool {
	return slices.ContainsFunc(e.incidents(), func(x incident) bool { return x.what == what })
}

// alarmKey names an incident of a rollout: everything about it is one, but what has one of its own. Its epoch is no part of that, since what one epoch raised may be
// over with the next.
func (e *Event) alarmKey(x *incident) string {
	return strings.TrimSuffix("streamcanary/"+e.Rollout.Name+"/"+x.name, "/")
}

// clip cuts a text to so many bytes.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const dots = "…"
	return strings.ToValidUTF8(text[:most-len(dots)], "") + dots
}
