package actuators

import (
	"context"
	"slices"

	"streamcanary/schemas"
)

// A Standing is what stands of the incidents of one sink, whose system forgets what isn't told again. It is a fold of the sink's events in the order of the log (Hear), so who reads that has it again after
// a restart. The zero value is empty. One goroutine uses it.
type Standing struct {
	all       []stands
	suspected map[string]suspicion // by rollout: Event.Suspected as it was then, which the record has only as it is now
}

// suspicion is of which guardrails people were told in an epoch that they are suspect, and not that this is over.
type suspicion struct {
	epoch int64
	names []string
}

// stands is an incident of a rollout at one severity, which to Alertmanager is one alert.
type stands struct {
	incident string
	severity schemas.Severity
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
	e = s.suspects(e)
	for _, x := range e.incidents() {
		switch x.what {
		case raise:
			kept = s.raise(x.name, e) && kept
		case over:
			s.end(x.name, e)
		case quiet:
		}
	}
	return kept
}

// suspects takes note of suspicions, and gives a decision those that stood when it was made.
func (s *Standing) suspects(e *Event) *Event {
	name, now := e.Rollout.Name, s.suspected[e.Rollout.Name]
	if now.epoch != e.epoch() {
		now = suspicion{epoch: e.epoch()}
	}
	if e.Decision != nil {
		then := *e
		then.Suspected = now.names
		return &then
	}
	if kind := e.Notice.Kind; kind != schemas.NoticeGuardrailSuspect && kind != schemas.NoticeGuardrailClear {
		return e
	}
	now.names = slices.DeleteFunc(slices.Clone(now.names), func(name string) bool { return slices.Contains(e.Notice.Guardrails, name) })
	if e.Notice.Kind == schemas.NoticeGuardrailSuspect {
		now.names = append(now.names, e.Notice.Guardrails...)
	}
	if s.suspected == nil {
		s.suspected = map[string]suspicion{}
	}
	if s.suspected[name] = now; len(now.names) == 0 {
		delete(s.suspected, name)
	}
	return e
}

func (s *Standing) raise(incident string, e *Event) bool {
	i := slices.IndexFunc(s.all, func(x stands) bool { return x.is(incident, e) && x.severity == e.severity() })
	switch {
	case i >= 0 && s.all[i].ended == nil:
		s.all[i].last = e
		return true
	case i >= 0:
		s.all = slices.Delete(s.all, i, i+1)
	case len(s.all) >= standMost:
		return false
	}
	s.all = append(s.all, stands{incident: incident, severity: e.severity(), since: e.at(), last: e})
	return true
}

// end ends an incident. What was repeated is told once more that it is over: a repetition that was under way could have come after the end.
func (s *Standing) end(incident string, e *Event) {
	s.all = slices.DeleteFunc(s.all, func(x stands) bool { return x.is(incident, e) && !x.repeated })
	for i := range s.all {
		if x := &s.all[i]; x.is(incident, e) && x.ended == nil {
			x.ended = e
		}
	}
}

func (x *stands) is(incident string, e *Event) bool {
	return x.incident == incident && x.last.Rollout.Name == e.Rollout.Name
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
	delete(s.suspected, rollout)
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
