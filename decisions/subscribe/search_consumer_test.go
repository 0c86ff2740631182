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
	torn   bool  // it stopped between its work and its note, or where its handler had failed behind its work, so that it knows of less than it does

	flying, taken uint32 // its acks in the stream, not yet in the journal and there: see ackBit
}

// standing is what the fence goes by: the position, which is stored, and the rest, which is lost with the process.
type standing struct {
	applied, routes uint8
	snapshot        bool
	seen, routeSeen uint8
	restored        bool
	pending         uint8 // body that the handler has failed at, and is called for again
	pendingRestored bool
	behind          string // bodies that wait for pending, each with the source that it came from
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
	body    uint8
	from    source
	handler handling
}

// handling is what the handler does.
type handling uint8

const (
	works   handling = iota
	fails            // it does all, and fails at the end
	refuses          // it does nothing
)

var errHandler = errors.New("no disk")

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
	failing
	refusing
)

// kindsOfAnswers is how many there are.
const kindsOfAnswers = int(refusing)

// name is a consumer's.
func (s *scene) consumerName(i int) string { return string(rune('a' + i)) }

// weigh lets the follower weigh a message, or try again what its handler has failed at.
func (s *scene) weigh(x weighing) weighed {
	if known, ok := s.weighings[x]; ok {
		return known
	}
	d := s.bodies[x.body].decision
	var out weighed
	position := Position{}
	f := s.follower(&x, &position)
	work := f.handle
	f.handle = func(ctx context.Context, given Delivery) error {
		out.worked, out.restored, out.moved = true, given.Restored, len(d.Routes) > 0 && x.handler != refuses
		return work(ctx, given)
	}
	switch {
	case x.from == itself:
		f.retry(context.Background())
	case x.from == theLine:
		f.goOn(context.Background())
	default:
		f.weigh(context.Background(), d, message{route: x.from == theDocument, written: writing{revision: 1}}) // each one that comes was written anew
	}
	out.standing = standing{
		applied: small(position.Applied), routes: small(position.Routes), snapshot: position.Snapshot != "", seen: small(f.seen), routeSeen: small(f.routeSeen), restored: f.restored,
	}
	for _, b := range f.behind {
		out.behind += s.waits(b)
	}
	if f.pending != nil {
		out.pending, out.pendingRestored = x.pending, f.pending.Restored
		if f.pending.Decision.ID == d.ID {
			out.pending = x.body
		}
	}
	for i := range f.unsent {
		out.answer = answerOf(&f.unsent[i])
	}
	s.checkWork(&x, &out)
	s.weighings[x] = out
	return out
}

// waits is a decision behind another one, as a standing has it.
func (s *scene) waits(b behind) string {
	from := theLog
	if b.message.route {
		from = theDocument
	}
	body := slices.IndexFunc(s.bodies, func(known bodied) bool { return known.decision == b.decision })
	return string([]byte{uint8(body), byte(from)})
}

// follower is the one of a consumer as it stands, with its position.
func (s *scene) follower(x *weighing, position *Position) *follower {
	name, known := s.consumerName(int(x.who)), s.blinded(x)
	*position = Position{Applied: large(known.applied), Routes: large(known.routes)}
	if known.snapshot {
		position.Snapshot = snapshotName
	}
	work := func(context.Context, Delivery) error { return nil }
	if slices.Contains(s.terms.State.Stores, name) {
		work = KeepState(name, vault{})
	}
	f := &follower{
		o: &Options{Store: paper{position}, Consumer: name, OnError: func(error) {}}, js: wire{}, model: s.terms.Model,
		position: *position, seen: large(known.seen), routeSeen: large(known.routeSeen), restored: known.restored,
		handle: func(ctx context.Context, given Delivery) error {
			switch x.handler {
			case fails:
				return errHandler
			case refuses:
				return Reject(schemas.WhyCapacity)
			case works:
			}
			return work(ctx, given)
		},
	}
	if known.pending != 0 {
		f.pending = &Delivery{Decision: *s.bodies[known.pending].decision, Restored: known.pendingRestored}
	}
	for k := 0; k < len(known.behind); k += 2 {
		f.behind = append(f.behind, behind{s.bodies[known.behind[k]].decision, message{route: source(known.behind[k+1]) == theDocument, written: writing{revision: 1}}})
	}
	return f
}

// blinded is what the fence goes by: all of it, but where the consumer has a flaw.
func (s *scene) blinded(x *weighing) standing {
	known, v := x.standing, s.bodies[x.body].version
	switch {
	case s.flaw == heedsNoNote && v>>4 < known.applied>>4:
		known.applied, known.seen = 0, 0
	case s.flaw == heedsNothingSeen && v > known.applied && v < known.seen:
		known.seen = known.applied
	}
	return known
}

func answerOf(a *schemas.Ack) answered {
	switch {
	case a.Status == schemas.AckPrepared, a.Status == schemas.AckApplied:
		return carriedOut
	case a.Status == schemas.AckFailed:
		return failing
	case a.Status == schemas.AckRejected && a.Why == schemas.WhyStaleEpoch:
		return stale
	case a.Status == schemas.AckRejected:
		return refusing
	}
	return noAnswer
}

// checkWork holds what the handler was called for to what the consumer knew then.
func (s *scene) checkWork(x *weighing, out *weighed) {
	b := &s.bodies[x.body]
	what := b.decision.ID + map[source]string{theLog: " from the log", theDocument: " from the route document", itself: " once more", theLine: " behind another one"}[x.from]
	switch name := s.consumerName(int(x.who)); {
	case out.restored && b.version != x.routes:
		violated("%s restores %s, and the routes in force are those of %s", name, what, versionText(x.routes))
	case out.worked && !out.restored && b.version <= x.applied:
		violated("%s carries out %s, and has noted that it carried out %s", name, what, versionText(x.applied))
	case out.worked && !out.restored && b.version < x.seen:
		violated("%s carries out %s, and was given %s before", name, what, versionText(x.seen))
	}
}

// source is where a consumer has it from.
type source uint8

const (
	theLog source = iota
	theDocument
	itself  // it tries again what its handler has failed at
	theLine // what has waited behind that

	sources // how many there are
)

// next is the next message of a source, weighed; false: there is none.
func (w *fleet) next(i int, from source) (uint8, weighed, bool) {
	c := &w.consumers[i]
	var body uint8
	switch {
	case !c.runs, c.pending == 0 && c.behind != "" && from != theLine:
		return 0, weighed{}, false
	case from == theDocument && int(c.doc) < len(w.docs):
		body = w.docs[c.doc]
	case from == theLog && c.opened && !c.fresh && int(c.log) < len(w.log):
		body = w.log[c.log]
	case from == itself && c.pending != 0:
		body = c.pending
	case from == theLine && c.pending == 0 && c.behind != "":
		body = c.behind[0]
	default:
		return 0, weighed{}, false
	}
	return body, w.s.weigh(weighing{uint8(i), c.standing, body, from, works}), true
}

// passOver reads on over what neither is to be carried out nor has an answer that the stream would store: it has it already, by its id. What the consumer was given and hasn't
// carried out is none of that: it may do so, and then has an answer. Nor is what is put behind another one: in which order counts.
func (w *fleet) passOver(i int) {
	c := &w.consumers[i]
	for again := true; again; {
		again = false
		for _, from := range []source{theDocument, theLog} {
			body, x, any := w.next(i, from)
			if !any || x.worked || x.behind != c.behind || x.pending != c.pending || x.answer != noAnswer && (c.flying|c.taken)&w.ackBit(body, x.answer) == 0 || c.seen != c.applied && w.s.bodies[body].version == c.seen {
				continue
			}
			c.advance(from)
			c.standing = x.standing
			again = true
		}
	}
}

func (c *consumer) advance(from source) {
	switch from {
	case theLog:
		c.log++
	case theDocument:
		c.doc++
		c.fresh = false
	case itself, theLine, sources:
	}
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

func answerBit(place int, a answered) uint32 {
	if place >= mostDecisions {
		panic("too many decisions for the search")
	}
	return 1 << (kindsOfAnswers*place + int(a) - 1)
}

// mostDecisions is how many the acks of a consumer have place for.
const mostDecisions = 32 / kindsOfAnswers

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
	failed      // its handler fails
	refused     // its handler refuses
)

// give lets a consumer work on its next message.
func (w *fleet) give(i int, from source, h how) {
	c := &w.consumers[i]
	body, x, _ := w.next(i, from)
	switch h {
	case failed:
		x = w.s.weigh(weighing{uint8(i), c.standing, body, from, fails})
	case refused:
		x = w.s.weigh(weighing{uint8(i), c.standing, body, from, refuses})
	case whole, unsent, unnoted, noted:
	}
	c.advance(from)
	if v := w.s.bodies[body].version; x.moved {
		if v < c.does && !c.torn {
			violated("%s goes back from the routes of %s to those of %s", w.s.consumerName(i), versionText(c.does), versionText(v))
		}
		c.torn = c.torn && v < c.does
		c.does = v
	}
	switch h {
	case unnoted:
		w.stopConsumer(i)
		return
	case noted:
		c.standing = x.standing
		w.stopConsumer(i)
		return
	case whole, failed, refused:
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
	c.torn = c.torn || c.does > c.routes
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
	body := w.log[place]
	n := &w.s.ackNumbers[i][body][a]
	if *n == 0 {
		*n = w.s.ack(w.s.consumerName(i), w.s.bodies[body].decision, a)
	}
	return *n
}

func (s *scene) ack(consumer string, d *schemas.Decision, a answered) uint8 {
	ack := &schemas.Ack{Decision: d.ID, Epoch: d.Epoch, Seq: d.Seq, Consumer: consumer, Status: schemas.AckApplied}
	switch {
	case a == stale:
		ack.Status, ack.Why = schemas.AckRejected, schemas.WhyStaleEpoch
	case a == refusing:
		ack.Status, ack.Why = schemas.AckRejected, schemas.WhyCapacity
	case a == failing:
		ack.Status, ack.Why = schemas.AckFailed, errHandler.Error()
	case d.Phase == schemas.PhasePrepare:
		ack.Status = schemas.AckPrepared
		if slices.Contains(s.terms.State.Stores, consumer) {
			ack.Snapshot = snapshotName
		}
	}
	return s.inputNumber(journaled{decisions.Input{Kind: decisions.InputAck, EventMs: wall, WallMs: wall, Ack: ack}, d.Epoch, 0})
}

// acks calls fn for every ack of a set.
func (w *fleet) acks(set func(*consumer) uint32, fn func(i, place int, a answered)) {
	for i := range w.s.consumers {
		for k := range kindsOfAnswers * len(w.log) {
			if set(&w.consumers[i])&(1<<k) != 0 {
				fn(i, k/kindsOfAnswers, answered(k%kindsOfAnswers+1))
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
		v := w.s.bodies[w.log[place]].version
		again := place == len(w.log)-1 || v == c.applied || v == c.seen // it may be sent once more
		if !again && (w.left.doubled == 0 || w.idle(i, place, a)) {
			c.taken &^= answerBit(place, a)
		}
	})
}
