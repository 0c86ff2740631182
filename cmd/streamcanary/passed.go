package main

import (
	"fmt"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// passed is what has stood in the decision log so far. Whoever obeys decisions obeys none twice, and none that isn't newer than the model's last.
type passed struct {
	message uint64 // the last one
	models  map[string]*passedModel
}

// passedModel is what has stood there of a model.
type passedModel struct {
	last   *schemas.Decision
	bodies map[string]uint64 // the message that first had these bytes, by their hash; of as many as the log keeps of a model
}

// take says why nobody obeys a decision where it stands; nil: it is newer than what stood before it. Where signatures aren't checked, numbers prove nothing, and only copies are told.
func (p *passed) take(l *bus.Logged, checked bool) (serve.FindingKind, error) {
	if p.models == nil || l.Sequence <= p.message { // the log was made anew, and is read from its beginning
		p.models = map[string]*passedModel{}
	}
	p.message = l.Sequence
	m := p.models[l.Model]
	if m == nil || len(m.bodies) >= bus.KeepPerSubject {
		next := &passedModel{bodies: map[string]uint64{}}
		if m != nil {
			next.last = m.last
		}
		m, p.models[l.Model] = next, next
	}
	sum := decisions.BodySha256(l.Signed.Body)
	if first, there := m.bodies[sum]; there {
		return findingCopy, fmt.Errorf("it stands in the log already, as message %d, and nobody obeys it twice: who may publish there has copied it", first)
	}
	if checked && m.last != nil && !newerThan(l.Decision, m.last) {
		return findingChain, fmt.Errorf("it is numbered %d.%d, and %s (%d.%d) stood there before it", l.Decision.Epoch, l.Decision.Seq, m.last.ID, m.last.Epoch, m.last.Seq)
	}
	m.bodies[sum], m.last = l.Sequence, l.Decision
	return "", nil
}

// newerThan reports whether a decision is newer than another of its model, by its numbers.
func newerThan(d, other *schemas.Decision) bool {
	return d.Epoch > other.Epoch || d.Epoch == other.Epoch && d.Seq > other.Seq
}
