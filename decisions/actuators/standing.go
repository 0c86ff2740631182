package actuators

import (
	"context"
	"maps"
	"slices"

	"streamcanary/schemas"
)

// A Standing is what stands of the incidents of one sink, whose system forgets what isn't told again. It is a fold of the sink's events in the order of the log (Hear), so who reads that has it again after
// a restart. The zero value is empty. One goroutine uses it.
type Standing struct {
	all    []stands
	told   map[string]told              // by rollout
	labels map[string]map[string]string // by rollout, those of its last decision, where they aren't those of its file any more
}

// told is what people were told of a rollout in an epoch, and not that it is over, of what has an end of its own: Event.Standing as it was then, which the record has only as it is now.
type told struct {
	epoch int64
	all   []toldOf
}

// A toldOf is one such thing: the kind of the event that told of it, and of a suspicion the guardrail, of answers the order to stores; "" of other answers.
type toldOf struct {
	kind schemas.NoticeKind
	of   string
}

// ownEnds are the kinds that tell of something that has an end of its own, and those ends. Whoever adds a kind that raises an incident adds what ends it.
var ownEnds = map[schemas.NoticeKind][]schemas.NoticeKind{
	schemas.NoticeAcksOverdue:      {schemas.NoticeAcksComplete, schemas.NoticeWritesAgain, schemas.NoticeHandedOn, schemas.NoticeRollbackCompleted},
	schemas.NoticeAckRefused:       {schemas.NoticeAcksComplete, schemas.NoticeWritesAgain, schemas.NoticeHandedOn, schemas.NoticeRollbackCompleted},
	schemas.NoticeDrainOverdue:     {schemas.NoticeRollbackCompleted},
	schemas.NoticeGuardrailSuspect: {schemas.NoticeGuardrailClear},
	schemas.NoticeSinkOverdue:      {schemas.NoticeSinkDone, schemas.NoticeHandedOn},
	schemas.NoticeSinkRefused:      {schemas.NoticeSinkDone, schemas.NoticeHandedOn},
	schemas.NoticePillarFailed:     {schemas.NoticePillarHeld},
	schemas.NoticeRolloutLost:      {schemas.NoticeRolloutFound},
	schemas.NoticeForeignDecision:  {schemas.NoticeForeignOver},
	schemas.NoticeAlertsTruncated:  {schemas.NoticeAlertsWhole},
	schemas.NoticeShareOffPlan:     {schemas.NoticeShareAsPlanned},
	schemas.NoticeRetiredServes:    {schemas.NoticeRetiredOver},
	schemas.NoticeNoRefuge:         {schemas.NoticeNoRefugeOver},
}

// aside reports whether it is beside the state machine: an epoch that begins doesn't end it.
func (t toldOf) aside() bool {
	return t.kind == schemas.NoticeForeignDecision || t.kind == schemas.NoticeRolloutLost
}

// ofAnswers reports whether it is that answers are missing, or refusals.
func (t toldOf) ofAnswers() bool {
	return t.kind == schemas.NoticeAcksOverdue || t.kind == schemas.NoticeAckRefused
}

// awaitedBy reports whether the answers are waited for still when a decision is out, as its record has it then: what stores are asked stands in every decision for as long as it is wanted, but where they are asked for
// a snapshot first; all else ends with what asks anew, or goes its way, but for the decisions of people before the start. A freeze asks only stores.
func (t toldOf) awaitedBy(d *schemas.Decision) bool {
	asks := func(do ...schemas.StateDo) bool {
		return slices.ContainsFunc(d.State, func(o schemas.StateOrder) bool { return slices.Contains(do, o.Do) })
	}
	switch schemas.StateDo(t.of) {
	case schemas.StateFreeze:
		return asks(schemas.StateFreeze) && d.Action != schemas.ActionRollback
	case schemas.StateUnfreeze:
		return asks(schemas.StateUnfreeze, schemas.StateSnapshot)
	}
	again := d.Phase == schemas.PhasePrepare // before the start: all is asked again, and only answers end what was told
	switch d.Action {
	case schemas.ActionAdvance, schemas.ActionPromote, schemas.ActionSupersede, schemas.ActionRollback:
		return false
	case schemas.ActionFreeze:
		return d.Phase == "" || again
	case schemas.ActionHold, schemas.ActionResume:
		return d.Acks == nil && d.Phase == "" || again
	}
	return d.Acks == nil && d.Phase == ""
}

// past reports whether nobody follows it any more once the rollout has gone its way.
func (t toldOf) past() bool {
	switch t.kind {
	case schemas.NoticeGuardrailSuspect, schemas.NoticePillarFailed, schemas.NoticeAlertsTruncated, schemas.NoticeShareOffPlan:
		return true
	}
	return false
}

// stands is an incident of a rollout at one severity, which to Alertmanager is one alert.
type stands struct {
	incident              // as it was raised
	since    schemas.Time // when it was raised first
	last     *Event       // that told of it last: its labels are those that its end must have
	ended    *Event       // that has ended it after it was repeated; nil: it stands
	repeated bool
}

// standMost bounds what stands. What comes beyond is told once, and isn't repeated.
const standMost = 4096

// Hear takes the next event. It reports whether all that it raises is kept (standMost).
func (s *Standing) Hear(e *Event) (kept bool) {
	kept = true
	e = s.tells(e)
	e.Rollout = s.labelled(e)
	for _, x := range e.incidents() {
		switch x.what {
		case raise, fallen:
			kept = s.raise(&x, e) && kept
		case over:
			s.end(&x, e)
		case risen:
			s.over(e, func(y *stands) bool { return y.is(&x, e) })
		case quiet, past:
		}
	}
	return kept
}

// tells takes note of what people are told of, and gives an event that ends something what else stood when it was told.
func (s *Standing) tells(e *Event) *Event {
	name, now := e.Rollout.Name, s.told[e.Rollout.Name]
	now.all = slices.Clone(now.all)
	if now.epoch != e.epoch() {
		now.all = slices.DeleteFunc(now.all, func(t toldOf) bool { return !t.aside() })
		now.epoch = e.epoch()
	}
	then := *e
	if e.Decision != nil {
		over := e.Decision.Action
		now.all = slices.DeleteFunc(now.all, func(t toldOf) bool {
			superseded := over == schemas.ActionSupersede
			return t.ofAnswers() && !t.awaitedBy(e.Decision) || t.past() && (superseded || over == schemas.ActionPromote || over == schemas.ActionRollback) || superseded && t.kind == schemas.NoticeRetiredServes
		})
	} else {
		now.hears(e.Notice)
	}
	then.Standing = nil
	for _, t := range now.all {
		if e.Decision != nil || t.aside() { // a notice names the others itself
			then.Standing = append(then.Standing, string(t.kind))
		}
	}
	if s.told == nil {
		s.told = map[string]told{}
	}
	if s.told[name] = now; len(now.all) == 0 || e.deletes() {
		delete(s.told, name)
	}
	return &then
}

// labelled is the event's rollout with the labels that it had: a notice doesn't say them, and its rollout's last decision does. They are part of what an alert is, so its end must have them, also after a restart.
func (s *Standing) labelled(e *Event) *schemas.Rollout {
	name := e.Rollout.Name
	had, other := s.labels[name]
	if e.Decision != nil {
		had = e.labels()
		other = !maps.Equal(had, e.Rollout.Labels)
	}
	if e.deletes() || !other {
		delete(s.labels, name)
	} else if s.labels == nil {
		s.labels = map[string]map[string]string{name: had}
	} else {
		s.labels[name] = had
	}
	if !other {
		return e.Rollout
	}
	r := *e.Rollout
	r.Labels = had
	return &r
}

func (t *told) hears(n *schemas.Notice) {
	t.all = slices.DeleteFunc(t.all, func(x toldOf) bool {
		return slices.Contains(ownEnds[x.kind], n.Kind) && x.endsBy(n)
	})
	if ownEnds[n.Kind] == nil {
		return
	}
	of := []string{""}
	switch {
	case n.Kind == schemas.NoticeGuardrailSuspect:
		of = n.Guardrails
	case (toldOf{kind: n.Kind}).ofAnswers():
		of[0] = string(n.Order)
	}
	for _, name := range of {
		if x := (toldOf{n.Kind, name}); !slices.Contains(t.all, x) {
			t.all = append(t.all, x)
		}
	}
}

// endsBy reports whether a notice of a kind that ends it means it.
func (t toldOf) endsBy(n *schemas.Notice) bool {
	if t.ofAnswers() {
		return t.of == string(n.Order) || n.Kind == schemas.NoticeRollbackCompleted
	}
	return t.of == "" || slices.Contains(n.Guardrails, t.of)
}

// raise begins an incident, or goes on with it. Under other labels it is another alert: the one that stood is over.
func (s *Standing) raise(of *incident, e *Event) bool {
	s.over(e, func(x *stands) bool { return x.is(of, e) && !x.labelledAs(e) })
	i := slices.IndexFunc(s.all, func(x stands) bool { return x.is(of, e) && x.labelledAs(e) })
	switch {
	case i >= 0 && s.all[i].ended == nil:
		s.all[i].last = e
		return true
	case i >= 0:
		s.all = slices.Delete(s.all, i, i+1)
	case len(s.all) >= standMost:
		return false
	}
	s.all = append(s.all, stands{incident: *of, since: e.at(), last: e})
	return true
}

// end ends an incident. What was repeated is told once more that it is over: a repetition that was under way could have come after the end. So is what stood under other labels than the end has.
func (s *Standing) end(of *incident, e *Event) {
	s.all = slices.DeleteFunc(s.all, func(x stands) bool { return x.is(of, e) && !x.repeated && x.labelledAs(e) })
	s.over(e, func(x *stands) bool { return x.is(of, e) || x.of == "" && x.isOf(of.name, of.severity, e) })
}

// over ends what stands of some.
func (s *Standing) over(e *Event, some func(*stands) bool) {
	for i := range s.all {
		if x := &s.all[i]; some(x) && x.ended == nil {
			x.ended = e
		}
	}
}

// labelledAs reports whether what it was told last has the labels of an event. The model is one of them.
func (x *stands) labelledAs(e *Event) bool {
	return maps.Equal(x.last.Rollout.Labels, e.Rollout.Labels) && x.last.model() == e.model()
}

func (x *stands) is(of *incident, e *Event) bool {
	return x.of == of.of && x.isOf(of.name, of.severity, e)
}

// isOf is the same whatever the version. What an older serve told of, without one, ends with the first that ends.
func (x *stands) isOf(name string, severity schemas.Severity, e *Event) bool {
	return x.name == name && x.severity == severity && x.last.Rollout.Name == e.Rollout.Name
}

// Rollouts are those of which something stands, each once, as they were when it was told.
func (s *Standing) Rollouts() []*schemas.Rollout {
	var all []*schemas.Rollout
	for i := range s.all {
		r := s.all[i].last.Rollout
		if !slices.ContainsFunc(all, func(x *schemas.Rollout) bool { return x.Name == r.Name }) {
			all = append(all, r)
		}
	}
	return all
}

// Drop forgets what stands of a rollout.
func (s *Standing) Drop(rollout string) {
	s.all = slices.DeleteFunc(s.all, func(x stands) bool { return x.last.Rollout.Name == rollout })
	delete(s.told, rollout)
	delete(s.labels, rollout)
}

// A repeater is an actuator whose system forgets what isn't told again.
type repeater interface {
	repeat(ctx context.Context, all []stands) error
}

// Repeats reports whether the sink's system forgets, so that what stands is to be told again and again.
func (s *Sink) Repeats() bool {
	_, repeats := s.Actuator.(repeater)
	return repeats && !s.courier.dry()
}

// Repeat tells the system what stands, with the labels and the beginning that each has, so that nobody is notified anew; and once more what has ended. It tries once, since the next time is soon. It may be called while Act is.
func (s *Sink) Repeat(ctx context.Context, all *Standing) error {
	r, repeats := s.Actuator.(repeater)
	if !repeats || s.courier.dry() || len(all.all) == 0 {
		return nil
	}
	for i := range all.all { // also where it fails: it may be there all the same
		all.all[i].repeated = true
	}
	if err := r.repeat(ctx, all.all); err != nil {
		return err
	}
	all.all = slices.DeleteFunc(all.all, func(x stands) bool { return x.ended != nil })
	return nil
}
