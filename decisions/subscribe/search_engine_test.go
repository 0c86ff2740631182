package subscribe

import (
	"errors"
	"fmt"
	"slices"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// engine is one process that decides, as cmd/serve does: what it takes it stores, then it delivers, then it stores that.
type engine struct {
	instance uint8 // 0: nobody runs here
	head     uint16
	current  bool  // the record's revision is the one that it read or wrote last
	at       uint8 // next in the journal
	phase    phase
	asked    uint8 // the application that it has journaled, and not read back
}

type phase uint8

const (
	reading phase = iota
	saving
	delivering
)

// beginEngine begins with what is stored. Where something was left to be delivered, it writes the record before it goes on with that.
func (w *fleet) beginEngine(i int) {
	w.begun++
	if w.begun > 12 {
		violated("nobody can go on: %d engines have begun, and each one had to stop", w.begun)
	}
	e := engine{instance: w.begun, head: w.s.headNumber(decisions.NewHead(uint64(len(w.log)))), current: true, at: uint8(len(w.journal))}
	if w.record.head != 0 {
		e.head, e.at = w.record.head, w.record.at
		w.checkLog(&w.s.heads[e.head].head)
		if w.s.flaw == forgetsOutbox {
			e.head = w.s.emptied(e.head)
		}
		if w.s.heads[e.head].more {
			e.phase = saving
		}
	}
	w.engines[i] = e
}

// emptied is a head whose outbox is lost.
func (s *scene) emptied(head uint16) uint16 {
	h := s.heads[head].head
	h.Outbox = nil
	return s.headNumber(h)
}

// checkLog is what package bus does at the start: no crash may look like a log that went backwards.
func (w *fleet) checkLog(h *decisions.Head) {
	if uint64(len(w.log)) < h.SubjectSeq {
		violated("the log ends at %d, the record knows %d", len(w.log), h.SubjectSeq)
	}
	unpublished := slices.ContainsFunc(h.Outbox, func(e decisions.Entry) bool { return e.Kind == decisions.EntryDecision && !e.Published })
	if uint64(len(w.log)) == h.SubjectSeq && !unpublished && w.s.bodies[w.last()].sha256 != h.State.Prev.Sha256 {
		violated("the log's last decision is not the record's")
	}
	if w.route() != 0 && w.s.bodies[w.route()].version > w.s.bodies[w.last()].version {
		violated("the route document is newer than the log")
	}
}

// readOn takes inputs until one is to be stored, and passes over notices.
func (w *fleet) readOn(i int) {
	e := &w.engines[i]
	for e.instance != 0 && e.phase == reading && int(e.at) < len(w.journal) {
		n := w.journal[e.at]
		j, state := &w.s.inputs[n], &w.s.heads[e.head].head.State
		if j.asker == e.instance {
			return
		}
		e.at++
		if j.asker != 0 || j.epoch != state.Epoch {
			continue
		}
		t := w.s.take(taking{e.head, n, e.instance})
		e.head = t.head
		if t.dirty {
			e.phase = saving
		}
	}
	for e.phase == delivering && w.s.heads[e.head].more && w.s.heads[e.head].next.Do == decisions.DoNotify {
		w.delivered(i, decisions.Receipt{})
	}
}

// wall is the wall time of everything that is journaled, Unix ms; what follows from the evidence has the engine's own.
const wall = 1000

type taking struct {
	head     uint16
	input    uint8
	instance uint8
}

type took struct {
	head  uint16
	dirty bool
}

// take folds an input into a head, and says whether that is stored at once.
func (s *scene) take(t taking) took {
	if known, ok := s.takes[t]; ok {
		return known
	}
	before, in := s.heads[t.head].head, s.inputs[t.input].in
	if in.Kind == decisions.InputVerdict {
		in.WallMs += int64(t.instance)
	}
	after, effects, err := before.Take(in)
	if err != nil {
		panic(err)
	}
	after.State.Status = s.flawed(before.State.Status, after.State.Status)
	was, is := before.State.Status, after.State.Status
	if before.State.Epoch == after.State.Epoch && !absorbs(was, is) {
		violated("epoch %d was %s, and %s makes it %s", before.State.Epoch, was, s.inputText(t.input), is)
	}
	result := took{s.headNumber(after), len(effects) > 0 || was != is || in.Kind == decisions.InputAck}
	s.takes[t] = result
	return result
}

// absorbs reports whether a status may follow on another: once an epoch has ended, it stays so as it has. Only a rollback may stand still until its stores freeze, and then goes on.
func absorbs(was, is decisions.Status) bool {
	rollback := func(s decisions.Status) bool { return s == decisions.StatusRolledBack || s == decisions.StatusFrozen }
	return !was.Ended() || was == is || rollback(was) && rollback(is)
}

// flawed is the status that follows where the engine has a flaw.
func (s *scene) flawed(was, is decisions.Status) decisions.Status {
	switch {
	case s.flaw == revives && was == decisions.StatusRolledBack:
		return decisions.StatusRunning
	case s.flaw == takesBack && was == decisions.StatusPromoted:
		return decisions.StatusRolledBack
	}
	return is
}

// apply journals the start of the next epoch.
func (w *fleet) apply(i int) {
	e := &w.engines[i]
	e.asked = w.applied
	a := decisions.Applied{Terms: w.s.terms, Epoch: 1, Actor: schemas.Actor{Kind: "person", Name: "ada"}, Retry: w.log != ""}
	a.Epoch = w.s.heads[e.head].head.State.Epoch
	if n := w.last(); n != 0 {
		d := w.s.bodies[n].decision
		a.Epoch = max(a.Epoch, d.Epoch)
		a.Prev = &schemas.Prev{ID: d.ID, Sha256: w.s.bodies[n].sha256}
	}
	if n := w.route(); n != 0 {
		a.Routes = w.s.bodies[n].decision.Routes
	}
	a.Epoch++
	a.Terms.Application = fmt.Sprint(w.applied)
	w.append(journaled{decisions.Input{Kind: decisions.InputApplied, EventMs: wall, WallMs: wall + int64(e.instance), Applied: &a}, a.Epoch, e.instance})
}

// application is the one that a head stands for.
func (s *scene) application(head uint16) uint8 {
	n := uint8(0)
	_, _ = fmt.Sscan(s.heads[head].head.State.Terms.Application, &n)
	return n
}

// start reads the start of an epoch back, and begins it behind what stands in the log then. One that stands on another decision is asked for again. The record that it
// writes over is the one that the engine knows.
func (w *fleet) start(i int) {
	e := &w.engines[i]
	n := w.journal[e.at]
	e.at++
	e.asked = 0
	prev, last := w.s.inputs[n].in.Applied.Prev, w.last()
	if w.s.flaw == startsAnyway {
		e.current = true
	} else if (prev == nil) != (last == 0) || prev != nil && prev.Sha256 != w.s.bodies[last].sha256 {
		return
	}
	e.head = w.s.take(taking{w.s.headNumber(decisions.NewHead(uint64(len(w.log)))), n, e.instance}).head
	e.phase = saving
}

// save writes the record by compare-and-set; the same bytes once more are no conflict.
func (w *fleet) save(i int, unheard bool) {
	e := &w.engines[i]
	mine := e.record()
	switch {
	case e.current, w.s.flaw == writesOver:
		w.record = mine
		for k := range w.engines {
			w.engines[k].current = k == i
		}
	case w.record != mine: // another one wrote it
		*e = engine{}
		return
	}
	e.current = !unheard
	if unheard {
		return
	}
	e.phase = reading
	if w.s.heads[e.head].more {
		e.phase = delivering
	}
}

// outcome is how a delivery goes.
type outcome uint8

const (
	heard   outcome = iota
	unheard         // it is done, and the answer is lost
	forgets         // the stream's window of duplicates is over
)

// deliver does the next delivery of the outbox.
func (w *fleet) deliver(i int, o outcome) {
	h := &w.s.heads[w.engines[i].head]
	var receipt decisions.Receipt
	switch h.next.Do {
	case decisions.DoPublish:
		receipt = w.publish(h, o)
	case decisions.DoRoute:
		if w.route() == 0 || w.s.bodies[h.body].version > w.s.bodies[w.route()].version {
			w.docs += string([]byte{h.body})
		}
	case decisions.DoAgain:
		if n := w.route(); n != 0 && w.s.bodies[n].decision.ID == h.next.ID {
			w.docs += string([]byte{n})
		}
	}
	if o == unheard {
		w.engines[i].phase = saving // all is tried again, from the record on
		return
	}
	w.delivered(i, receipt)
}

// twice reports whether the next delivery publishes behind the right decision what the log has already: then it depends on the window of duplicates.
func (w *fleet) twice(h *headed) bool {
	return h.next.Do == decisions.DoPublish && w.fits(h) && w.has(h.next.ID)
}

// fits reports whether the next delivery publishes behind the decision that it expects.
func (w *fleet) fits(h *headed) bool {
	return h.next.Expect == uint64(len(w.log)) || w.s.flaw == expectsNothing
}

func (w *fleet) has(id string) bool {
	for k := range len(w.log) {
		if w.s.bodies[w.log[k]].decision.ID == id {
			return true
		}
	}
	return false
}

// publish is JetStream's, and the reading back of package bus: behind another decision than the expected one, or with an id that the stream remembers, nothing is
// stored, and the last decision is the answer.
func (w *fleet) publish(h *headed, o outcome) decisions.Receipt {
	if w.fits(h) && (o == forgets || !w.has(h.next.ID)) {
		w.checkNext(h.body)
		w.log += string([]byte{h.body})
		return decisions.Receipt{Sequence: uint64(len(w.log))}
	}
	if uint64(len(w.log)) < h.next.Expect || w.last() == 0 {
		violated("the log ends at %d, the outbox expects %d", len(w.log), h.next.Expect)
	}
	b := &w.s.bodies[w.last()]
	return decisions.Receipt{Last: &decisions.Last{Sequence: uint64(len(w.log)), ID: b.decision.ID, Sha256: b.sha256}}
}

type delivery struct {
	head     uint16
	sequence uint64
	last     string // its hash; "": it was published, or is no decision
}

// delivered takes the answer to a delivery; one who is fenced out stops.
func (w *fleet) delivered(i int, r decisions.Receipt) {
	e := &w.engines[i]
	d := delivery{head: e.head, sequence: r.Sequence}
	if r.Last != nil {
		d.sequence, d.last = r.Last.Sequence, r.Last.ID+r.Last.Sha256
	}
	next, known := w.s.deliveries[d]
	if !known {
		head, err := w.s.heads[e.head].head.Delivered(r)
		switch {
		case err == nil:
			next = w.s.headNumber(head)
		case !errors.Is(err, decisions.ErrFenced):
			panic(err)
		}
		w.s.deliveries[d] = next
	}
	if next == 0 {
		*e = engine{}
		return
	}
	e.head = next
	if !w.s.heads[next].more {
		e.phase = saving
	}
}

// mostExpiries bounds how often one deadline passes until nobody believes that it is heeded.
const mostExpiries = 5

// expire journals the first deadline of a head. Acks that were lost come by that: the route document is written again, and who did what stands there answers once more.
func (w *fleet) expire(i int) {
	h := &w.s.heads[w.engines[i].head]
	d, state := h.waits[0], &h.head.State
	attempts := 0
	if state.Wait != nil {
		attempts = state.Wait.Attempt
	}
	if state.Saga != nil {
		for k := range state.Saga.Steps {
			attempts = max(attempts, state.Saga.Steps[k].Attempt)
		}
	}
	if attempts == mostExpiries {
		violated("nobody answers: deadline %s has passed %d times", d.ID, attempts)
	}
	w.append(journaled{decisions.Input{Kind: decisions.InputExpired, WallMs: d.AtMs, Expired: &decisions.Expired{Deadline: d.ID}}, state.Epoch, 0})
}

// deciding are the heads that everything follows from which is still to be decided, if all of them have read the whole journal; none otherwise. The record's is one of
// them as long as an engine may begin. An engine that has work in hand, and whose record another one has written, is none: it decides nothing any more.
func (w *fleet) deciding() []uint16 {
	heads := make([]uint16, 0, len(w.engines)+1)
	for i := range w.engines {
		e := &w.engines[i]
		switch {
		case e.instance == 0, !e.current && e.phase != reading && w.record != e.record():
		case !e.current && e.phase == reading, int(e.at) < len(w.journal):
			return nil
		default:
			heads = append(heads, e.head)
		}
	}
	if len(heads) == 1 && w.left.stops+w.left.takeovers+w.left.unheard == 0 {
		return heads
	}
	if w.record.head == 0 || int(w.record.at) < len(w.journal) {
		return nil
	}
	return append(heads, w.record.head)
}

// record is what an engine writes.
func (e *engine) record() record { return record{e.head, e.instance, e.at} }
