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
	Since    []*Event         // what was told before it, although it came later: an incident that one of these has raised isn't ended by it, nor is what has become critical by one raised
	Behind   []*Event         // what came later and waits behind it: for an incident that one of these ends nobody is woken any more
	// Standing is what else people were told of the rollout and haven't heard the end of, beside what a notice names itself: while there is any, the event doesn't end its incident.
	Standing []string
	// Rehearsed: a dry run has published it, which is over. It raises nothing, and ends what was raised otherwise.
	Rehearsed bool
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
	if version := e.version(); version != "" {
		text += ", version " + version
	}
	if e.advises() {
		text += " (only advised: nobody acts on it)"
	}
	return text
}

// version is the one that an event is about, where that is to have no users, for people; "": it is about the rollout.
func (e *Event) version() string {
	if e.Notice == nil {
		return ""
	}
	return schemas.Readable(e.Notice.Version)
}

// sentence says why, for people: what others wrote in it breaks no line, and turns no text around.
func (e *Event) sentence() string {
	d := e.Decision
	if d == nil {
		return schemas.Readable(e.Notice.Sentence)
	}
	text := schemas.Readable(d.Reason.Sentence)
	if d.Action == schemas.ActionFreeze && d.Actor.Kind == "person" { // only a person ends it: who is told of it, and did not do it, must know how
		text += " " + e.howToResume()
	}
	return text
}

// howToResume says how a person's freeze ends.
func (e *Event) howToResume() string {
	return fmt.Sprintf("It lasts until somebody ends it: `streamcanary rollout resume %s --comment WHY`.", e.Rollout.Name)
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

// What there is: nothing, raise the rollout's alarm (or tell more of it), or it is over; it was to be raised, and its end waits behind it; a warning is over because it is critical by now; or what was critical
// is over, and goes on as a warning.
const (
	quiet alarm = iota
	raise
	over
	past
	risen
	fallen
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
// rollout begins, goes on, has gone its way, gives way to another, or is deleted, as far as nothing else stands (eases). A deletion ends it also where that leaves state that takes no writes: who
// forces that is told so, and nothing could end it after.
func (e *Event) alarm() alarm {
	if n := e.Notice; e.Decision == nil {
		if n.Kind == schemas.NoticeSinkOverdue && len(n.Waiting) > 0 && len(e.others(n.Waiting)) == 0 {
			return quiet
		}
		return alarms[n.Kind]
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

// eases is what an event that ends the rollout's incident ends of it: what is critical, what is a warning, or both, as far as nothing of that stands. Of what stands some is known to be only a warning (a sink that
// doesn't do its step, a person's freeze); anything else keeps both. What stands as a warning was critical for a while, perhaps, and is told as what it is.
func (e *Event) eases() []incident {
	lesser := false
	for _, name := range e.leaves() {
		if !e.isLesser(name) {
			return nil
		}
		lesser = true
	}
	all := []incident{{severity: schemas.Critical, what: over}}
	if lesser {
		return append(all, incident{severity: schemas.Warning, what: fallen})
	}
	return append(all, incident{severity: schemas.Warning, what: over})
}

// leaves is what stands behind an event that ends the rollout's incident, of what has none of its own. A deletion leaves nothing: nobody follows that any more.
func (e *Event) leaves() []string {
	if e.deletes() {
		return nil
	}
	left := e.Standing
	if e.Notice != nil {
		left = slices.Concat(e.Notice.Waiting, left)
	}
	return slices.DeleteFunc(e.others(left), e.isApart)
}

// lesser is what of it is only a warning.
func (e *Event) lesser() []string {
	return slices.DeleteFunc(e.leaves(), func(name string) bool { return !e.isLesser(name) })
}

// textAt says why, for people, at a severity: of what goes on as a warning, what that is.
func (e *Event) textAt(severity schemas.Severity) string {
	if lesser := e.lesser(); severity == schemas.Warning && len(lesser) > 0 && e.alarm() == over {
		text := e.sentence() + " What stands of it is this: " + strings.Join(lesser, ", ") + "."
		if slices.Contains(lesser, heldFrozen) {
			text += " " + e.howToResume()
		}
		return text
	}
	return e.sentence()
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

// refuge says what to do about the incident that all users are with a baseline that is beyond a limit: who was woken for another thing, and works on that, must hear of it.
func (e *Event) refuge() alarm {
	switch {
	case e.deletes(), e.beginsAnew(), e.Notice != nil && e.Notice.Kind == schemas.NoticeNoRefugeOver:
		return over
	case e.Notice != nil && e.Notice.Kind == schemas.NoticeNoRefuge:
		return raise
	}
	return quiet
}

// forward says what to do about the incident that to roll forward is recommended, where that is critical: while a rollback is carried out its baseline is proven to be no refuge, or nothing moves. Who has
// acknowledged the rollback's own, and trusts that it helps, must hear of that. It ends when the rollback is carried out, unless the baseline is no refuge still: then with the event that this is over, and where another
// epoch begins or the rollout is deleted.
func (e *Event) forward() alarm {
	d, n := e.Decision, e.Notice
	switch {
	case e.deletes(), e.beginsAnew():
		return over
	case d != nil && d.Action == schemas.ActionRollForward && d.Severity == schemas.Critical:
		return raise
	case d != nil:
	case n.Kind == schemas.NoticeNoRefugeOver, n.Kind == schemas.NoticeRollbackCompleted && !slices.ContainsFunc(n.Waiting, isRefuge):
		return over
	}
	return quiet
}

// beginsAnew reports whether an event is the start of an epoch behind another one.
func (e *Event) beginsAnew() bool {
	return e.epoch() > 1 && (e.begins() || e.Decision != nil && e.Decision.Action == schemas.ActionRetry && e.Decision.Phase != schemas.PhaseAbort)
}

func (e *Event) longOverdue() bool {
	return e.Notice.Kind == schemas.NoticeAcksOverdue && e.Notice.Attempt >= stuckDeadlines
}

// An incident is one of what people on call hear of a rollout, which begins and ends by itself. Each severity is another: to PagerDuty and Alertmanager what is told more of an incident that somebody has seen wakes
// nobody, and neither makes less of it.
type incident struct {
	name     string // "": that of the rollout itself
	severity schemas.Severity
	what     alarm
	of       string // of incidentRetired: the version; "": none is named
}

// incidents are those that an event raises or ends. What becomes an incident of its own isn't told as more of the rollout's.
func (e *Event) incidents() []incident {
	all := slices.Concat(of(incidentStuck, schemas.Critical, e.stuck()), of(incidentState, schemas.Critical, e.frozen()), of(incidentForward, schemas.Critical, e.forward()),
		of(incidentRefuge, schemas.Critical, e.refuge()), e.retired())
	if !slices.ContainsFunc(all, func(x incident) bool { return x.what == raise }) {
		switch what := e.alarm(); what {
		case over:
			all = append(e.eases(), all...)
		default:
			all = append(of("", e.rank(), what), all...)
		}
	}
	if e.Rehearsed {
		all = ended(all)
	}
	return e.settled(all)
}

// ended is what of incidents is over. What would go on as a warning is, too: a dry run has told of that.
func ended(all []incident) []incident {
	all = slices.DeleteFunc(all, func(x incident) bool { return x.what != over && x.what != fallen })
	for i := range all {
		all[i].what = over
	}
	return all
}

// rank is the severity at which an event raises an incident.
func (e *Event) rank() schemas.Severity {
	if e.severity() == schemas.Critical {
		return schemas.Critical
	}
	return schemas.Warning
}

// of is what becomes of an incident at all severities that it may have.
func of(name string, severity schemas.Severity, what alarm) []incident {
	both := name == "" || name == incidentRetired
	switch {
	case what == quiet:
		return nil
	case what == over && both:
		return []incident{{name, schemas.Critical, over, ""}, {name, schemas.Warning, over, ""}}
	case what == raise && both && severity == schemas.Critical:
		return []incident{{name, schemas.Critical, raise, ""}, {name, schemas.Warning, risen, ""}}
	}
	return []incident{{name, severity, what, ""}}
}

// settled leaves out what is over by now, or was raised anew.
func (e *Event) settled(all []incident) []incident {
	for i := range all {
		x := &all[i]
		switch {
		case x.what == raise && e.endOf(x) != nil:
			x.what = past
		case x.what == fallen && e.endBehind(x) != nil:
			x.what = over
		}
	}
	return slices.DeleteFunc(all, func(x incident) bool {
		return x.what == over && e.raisedSince(&x) || x.what == risen && slices.Contains(all, incident{x.name, schemas.Critical, past, x.of})
	})
}

// endOf is the event by which what this one raises is over: one that ends it waits behind, or it was told before this one that it has become critical; nil: there is none.
func (e *Event) endOf(x *incident) *Event {
	if end := e.endBehind(x); end != nil {
		return end
	}
	i := slices.IndexFunc(e.Since, func(later *Event) bool {
		return later.Rollout.Name == e.Rollout.Name && slices.Contains(later.incidents(), incident{x.name, x.severity, risen, x.of})
	})
	if i < 0 {
		return nil
	}
	return e.Since[i]
}

// endBehind is the event that ends an incident of the rollout and waits behind one that raises it; nil: none does. That people weren't told in time by some sink is no cause to be woken for anything but
// that itself, which is an event of its own; but what stands in Alertmanager is sent again, so there it is over only when all of it is.
func (e *Event) endBehind(x *incident) *Event {
	ofSinks := e.Notice != nil && (e.Notice.Kind == schemas.NoticeSinkOverdue || e.Notice.Kind == schemas.NoticeSinkRefused)
	strict := ofSinks || e.Use != nil && e.Use.Kind == schemas.SinkAlertmanager
	i := slices.IndexFunc(e.Behind, func(later *Event) bool {
		if ofSinks && e.doneBy(later) {
			return true
		}
		if !strict {
			later = later.exceptTelling()
		}
		return later.Rollout.Name == e.Rollout.Name && slices.Contains(later.incidents(), incident{x.name, x.severity, over, x.of})
	})
	if i < 0 {
		return nil
	}
	return e.Behind[i]
}

// doneBy reports whether what an event says of sinks is done by a later one, whatever else stands: a step that is done is no longer among what that waits for. Not so in Alertmanager, to which what stands is sent again.
func (e *Event) doneBy(later *Event) bool {
	n := later.Notice
	if e.Use != nil && e.Use.Kind == schemas.SinkAlertmanager || n == nil || n.Kind != schemas.NoticeSinkDone || later.Rollout.Name != e.Rollout.Name || n.Epoch != e.epoch() || n.Decision != e.Notice.Decision {
		return false
	}
	open := func(name string) bool { return slices.Contains(n.Waiting, name) }
	return len(e.Notice.Waiting) > 0 && !slices.ContainsFunc(e.others(e.Notice.Waiting), open)
}

// exceptTelling is the event without the steps that people are told by sinks among what stands.
func (e *Event) exceptTelling() *Event {
	x := *e
	x.Standing = slices.DeleteFunc(slices.Clone(e.Standing), e.isTelling)
	if e.Notice != nil {
		n := *e.Notice
		n.Waiting = slices.DeleteFunc(slices.Clone(n.Waiting), e.isTelling)
		x.Notice = &n
	}
	return &x
}

// raisedSince reports whether an incident of the rollout was raised by what came after an event, and was told before it.
func (e *Event) raisedSince(x *incident) bool {
	return slices.ContainsFunc(e.Since, func(later *Event) bool {
		return later.Rollout.Name == e.Rollout.Name && slices.Contains(later.incidents(), incident{x.name, x.severity, raise, x.of})
	})
}

// The incidents beside that of the rollout: its rollback isn't carried out, stores don't do what they were asked, to roll forward is what helps instead of a rollback, all users are with a baseline that is beyond a limit, and a version serves that is to have no users.
const (
	incidentStuck   = "stuck"
	incidentState   = "state"
	incidentForward = "roll-forward"
	incidentRefuge  = "no-refuge"
	incidentRetired = "retired"
)

// Urgent reports whether somebody is to be woken by an event. What ends an incident never is: before what has raised it, it would leave that open.
func (e *Event) Urgent() bool { return e.severity() == schemas.Critical && !e.Ends() }

// Ends reports whether an event ends an incident. It may be of no known rollout.
func (e *Event) Ends() bool { return e.has(over) }

// Raises reports whether an event raises an incident that isn't over by what is Behind it, or was told Since.
func (e *Event) Raises() bool { return e.has(raise) || e.has(fallen) }

// Past reports whether an event was to raise an incident that is over by what is Behind it, or was told Since.
func (e *Event) Past() bool { return e.has(past) }

// EndsPart reports whether an event ends something by itself that was told, whatever else stands: that a sink has done its step.
func (e *Event) EndsPart() bool { return e.Notice != nil && e.Notice.Kind == schemas.NoticeSinkDone }

// EndsButForTelling reports whether an event Ends an incident where nothing stands but that people weren't told in time by some sink. It may be of no known rollout.
func (e *Event) EndsButForTelling() bool { return e.exceptTelling().Ends() }

func (e *Event) has(what alarm) bool {
	return slices.ContainsFunc(e.incidents(), func(x incident) bool { return x.what == what })
}

// alarmKey names an incident of a rollout: everything about it is one, but what has one of its own, and warnings. Its epoch is no part of that, since what one epoch raised may be
// over with the next.
func (e *Event) alarmKey(x *incident) string { return "streamcanary/" + e.Rollout.Name + x.suffix() }

// suffix tells an incident from the others of its rollout.
func (x *incident) suffix() string {
	var text string
	if x.name != "" {
		text = "/" + x.name
	}
	if x.of != "" {
		text += "/" + versionToken(x.of)
	}
	if x.severity == schemas.Warning {
		text += "/" + string(x.severity)
	}
	return text
}

// clip cuts a text to so many bytes.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const dots = "…"
	return strings.ToValidUTF8(text[:most-len(dots)], "") + dots
}
