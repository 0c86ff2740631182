package subscribe

import (
	"context"
	"errors"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// consumer is one router or state store: what it has stored, what it remembers while it runs, and what it really does.
type consumer struct {
	standing
	runs   bool
	opened bool  // it reads the log
	fresh  bool  // what stood in the route document when it began is still to be given, and comes before the log
	log    uint8 // next in the log
	doc    uint8 // next of the route document's
	does   uint8 // the version whose routes are in force at it
	torn   bool  // it stopped between its work and its note, so that it knows of less than it does

	flying, taken uint32 // its acks in the stream, not yet in the journal and there: see ackBit
}

// standing is what the fence goes by: the position, which is stored, and the rest, which is lost with the process.
type standing struct {
	applied, routes uint8
	snapshot        bool
	seen, routeSeen uint8
	restored        bool
}

// wire sends nothing: answers stay with the follower, where the search takes them.
type wire struct{ jetstream.JetStream }

func (wire) Publish(context.Context, string, []byte, ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	return nil, errors.New("the search takes them")
}

// paper is the store of one consumer.
type paper struct{ position *Position }

func (p paper) Load(string) (Position, error)      { return *p.position, nil }
func (p paper) Save(_ string, next Position) error { *p.position = next; return nil }

// vault is the state of a store that never fails.
type vault struct{}

func (vault) Snapshot(context.Context) (string, error) { return snapshotName, nil }
func (vault) Freeze(context.Context, string) error     { return nil }
func (vault) Restore(context.Context, string) error    { return nil }
func (vault) Unfreeze(context.Context) error           { return nil }

const snapshotName = "s1"

type weighing struct {
	who uint8
	standing
	body  uint8
	route bool
}

// weighed is what came of a message.
type weighed struct {
	standing
	worked   bool // the handler was called
	restored bool // with what had been carried out before
	moved    bool // with routes
	answer   answered
}

type answered uint8

const (
	noAnswer answered = iota
	carriedOut
	stale
)

// name is a consumer's.
func (s *scene) consumerName(i int) string { return string(rune('a' + i)) }

// weigh lets the follower weigh a message.
func (s *scene) weigh(x weighing) weighed {
	if known, ok := s.weighings[x]; ok {
		return known
	}
	d, name := s.bodies[x.body].decision, s.consumerName(int(x.who))
	position := Position{Applied: large(x.applied), Routes: large(x.routes)}
	if x.snapshot {
		position.Snapshot = snapshotName
	}
	var out weighed
	work := func(context.Context, Delivery) error { return nil }
	if slices.Contains(s.terms.State.Stores, name) {
		work = KeepState(name, vault{})
	}
	f := &follower{
		o: &Options{Store: paper{&position}, Consumer: name, OnError: func(error) {}}, js: wire{}, model: d.Model,
		position: position, seen: large(x.seen), routeSeen: large(x.routeSeen), restored: x.standing.restored,
		handle: func(ctx context.Context, given Delivery) error {
			out.worked, out.restored, out.moved = true, given.Restored, len(d.Routes) > 0
			return work(ctx, given)
		},
	}
	f.weigh(context.Background(), d, message{route: x.route})
	out.standing = standing{small(position.Applied), small(position.Routes), position.Snapshot != "", small(f.seen), small(f.routeSeen), f.restored}
	for i := range f.unsent {
		switch f.unsent[i].Status {
		case schemas.AckPrepared, schemas.AckApplied:
			out.answer = carriedOut
		case schemas.AckRejected:
			out.answer = stale
		case schemas.AckReceived, schemas.AckFailed:
		}
	}
	v := versionOf(d)
	if out.worked && !out.restored && v.Compare(large(x.applied)) <= 0 {
		violated("%s carries out %s, and has noted that it carried out %s", name, d.ID, versionText(x.applied))
	}
	if out.restored && v != large(x.routes) {
		violated("%s restores %s, and the routes in force are those of %s", name, d.ID, versionText(x.routes))
	}
	s.weighings[x] = out
	return out
}

// source is where a consumer reads.
type source uint8

const (
	theLog source = iota
	theDocument
)

// next is the next message of a source, weighed; false: there is none.
func (w *fleet) next(i int, from source) (uint8, weighed, bool) {
	c := &w.consumers[i]
	var body uint8
	switch {
	case !c.runs:
		return 0, weighed{}, false
	case from == theDocument && int(c.doc) < len(w.docs):
		body = w.docs[c.doc]
	case from == theLog && c.opened && !c.fresh && int(c.log) < len(w.log):
		body = w.log[c.log]
	default:
		return 0, weighed{}, false
	}
	return body, w.s.weigh(weighing{uint8(i), c.standing, body, from == theDocument}), true
}

// passOver reads on over what neither is to be carried out nor has an answer that the stream would store: it has it already, by its id.
func (w *fleet) passOver(i int) {
	c := &w.consumers[i]
	for again := true; again; {
		again = false
		for _, from := range []source{theDocument, theLog} {
			body, x, any := w.next(i, from)
			if !any || x.worked || x.answer != noAnswer && (c.flying|c.taken)&w.ackBit(body, x.answer) == 0 {
				continue
			}
			c.advance(from)
			c.standing = x.standing
			again = true
		}
	}
}

func (c *consumer) advance(from source) {
	if from == theLog {
		c.log++
		return
	}
	c.doc++
	c.fresh = false
}

// ackBit is the place of an answer among a consumer's acks.
func (w *fleet) ackBit(body uint8, a answered) uint32 {
	for k := range len(w.log) {
		if w.log[k] == body {
			return answerBit(k, a)
		}
	}
	panic("an answer to what isn't in the log")
}

func answerBit(place int, a answered) uint32 { return 1 << (2*place + int(a) - 1) }

// took notes that an ack of the log's decision at a place, from 0, is in the journal.
func (c *consumer) took(place int, a answered) {
	c.flying &^= answerBit(place, a)
	c.taken |= answerBit(place, a)
}

// how is how far a consumer comes with a message.
type how uint8

const (
	whole   how = iota
	unsent      // it doesn't send its answer
	unnoted     // it stops between its work and its note
	noted       // it stops between its note and its answer
)

// give lets a consumer work on its next message.
func (w *fleet) give(i int, from source, h how) {
	c := &w.consumers[i]
	body, x, _ := w.next(i, from)
	c.advance(from)
	if v := w.s.bodies[body].version; x.moved {
		if v < c.does && !c.torn {
			violated("%s goes back from the routes of %s to those of %s", w.s.consumerName(i), versionText(c.does), versionText(v))
		}
		c.torn = c.torn && v < c.does
		c.does = v
	}
	c.torn = c.torn || x.moved && h == unnoted
	switch h {
	case unnoted:
		w.stopConsumer(i)
		return
	case noted:
		c.standing = x.standing
		w.stopConsumer(i)
		return
	case whole:
		if x.answer != noAnswer {
			c.flying |= w.ackBit(body, x.answer) &^ c.taken
		}
	case unsent:
	}
	c.standing = x.standing
}

// stopConsumer loses what is not stored.
func (w *fleet) stopConsumer(i int) {
	c := &w.consumers[i]
	c.runs, c.opened, c.fresh, c.log, c.doc = false, false, false, 0, 0
	c.standing = standing{applied: c.applied, routes: c.routes, snapshot: c.snapshot, seen: c.applied}
}

// beginConsumer reads the route document as it stands now.
func (w *fleet) beginConsumer(i int) {
	c := &w.consumers[i]
	c.runs, c.fresh, c.doc = true, w.docs != "", uint8(max(1, len(w.docs))-1)
	if w.s.flaw == forgetsRoute {
		c.fresh, c.doc = false, uint8(len(w.docs))
	}
}

// openLog reads the log from its last decision on.
func (w *fleet) openLog(i int) {
	c := &w.consumers[i]
	c.opened, c.log = true, uint8(max(1, len(w.log))-1)
	if w.s.flaw == forgetsRoute {
		c.log = uint8(len(w.log))
	}
}

// reopenDocument reads the route document anew.
func (w *fleet) reopenDocument(i int) { w.consumers[i].doc = uint8(max(1, len(w.docs)) - 1) }

// ack is an answer as it stands in the journal.
func (w *fleet) ack(i, place int, a answered) uint8 {
	d := w.s.bodies[w.log[place]].decision
	ack := &schemas.Ack{Decision: d.ID, Epoch: d.Epoch, Seq: d.Seq, Consumer: w.s.consumerName(i), Status: schemas.AckApplied}
	switch {
	case a == stale:
		ack.Status, ack.Why = schemas.AckRejected, schemas.WhyStaleEpoch
	case d.Phase == schemas.PhasePrepare:
		ack.Status = schemas.AckPrepared
		if slices.Contains(w.s.terms.State.Stores, ack.Consumer) {
			ack.Snapshot = snapshotName
		}
	}
	return w.s.inputNumber(journaled{decisions.Input{Kind: decisions.InputAck, EventMs: wall, WallMs: wall, Ack: ack}, d.Epoch, 0})
}

// acks calls fn for every ack of a set.
func (w *fleet) acks(set func(*consumer) uint32, fn func(i, place int, a answered)) {
	for i := range w.s.consumers {
		for k := range 2 * len(w.log) {
			if set(&w.consumers[i])&(1<<k) != 0 {
				fn(i, k/2, answered(k%2+1))
			}
		}
	}
}

func flying(c *consumer) uint32 { return c.flying }
func taken(c *consumer) uint32  { return c.taken }

// arrive takes an ack into the journal, the first time or once more.
func (w *fleet) arrive(i, place int, a answered) {
	w.consumers[i].took(place, a)
	w.journal += string([]byte{w.ack(i, place, a)})
}

// asked reports whether anybody waits for the acks of a consumer.
func (s *scene) asked(i int) bool {
	name := s.consumerName(i)
	return slices.Contains(s.terms.Routers, name) || slices.Contains(s.terms.State.Stores, name)
}

// idle reports whether an ack changes nothing any more: it leaves every head as it is from which something may still be decided. What is asked for later has a higher
// number, and no ack of a lower one answers it. That of a consumer that isn't asked never does.
func (w *fleet) idle(i, place int, a answered) bool {
	if !w.s.asked(i) {
		return true
	}
	heads := w.deciding()
	for _, head := range heads {
		n := w.ack(i, place, a)
		state, ack := &w.s.heads[head].head.State, w.s.inputs[n].in.Ack
		if ack.Epoch > state.Epoch || ack.Epoch == state.Epoch && (ack.Seq > state.Seq || w.s.take(taking{head, n, 0}).head != head) {
			return false
		}
	}
	return len(heads) > 0
}

// dropIdle takes acks that change nothing off the way at once, in whatever order they would arrive, and forgets those that are taken and matter no more: nothing comes
// of it if they are sent or arrive once more.
func (w *fleet) dropIdle() {
	w.acks(flying, func(i, place int, a answered) {
		if w.idle(i, place, a) {
			w.consumers[i].took(place, a)
		}
	})
	w.acks(taken, func(i, place int, a answered) {
		c := &w.consumers[i]
		again := place == len(w.log)-1 || w.s.bodies[w.log[place]].version == c.applied // it may be sent once more
		if !again && (w.left.doubled == 0 || w.idle(i, place, a)) {
			c.taken &^= answerBit(place, a)
		}
	})
}
