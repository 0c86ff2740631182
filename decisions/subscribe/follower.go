package subscribe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

const (
	// inboxSize bounds the messages that wait for a handler; beyond it the readers wait.
	inboxSize = 16
	// Pauses before a handler that failed is called again: doubled each time.
	retryFirst = time.Second
	retryMost  = 30 * time.Second
	// ackRetry is the pause before acks that could not be sent are tried again.
	ackRetry = time.Second
)

// message is one decision as it arrived.
type message struct {
	signed schemas.Signed
	public []byte // the key that a log message brings along; nil in a route document
	route  bool   // from the route document
	again  bool   // asked again, without routes
	before bool   // the route document as it is read before the log: who has carried that out is asked nothing
	// written tells what was written twice from what is read again; the zero value in the log.
	written writing
}

// writing is one writing of a key: its revision alone may come again, in a bucket that was made anew, or restored from an older backup.
type writing struct {
	revision uint64
	atNs     int64 // by the server
}

// follower follows one model. Its run goroutine owns everything but the inbox.
type follower struct {
	o      *Options
	js     jetstream.JetStream
	model  string
	handle Handler
	inbox  chan message
	// routesRead is closed once the route document was read: the log is read after it.
	routesRead chan struct{}

	trust    schemas.Trust // learned; Options.Trust comes first
	position Position
	seen     Version // the highest verified one
	// routeSeen is the one that the route document last held, routeWritten that writing, routeRefused the last one that wasn't to be obeyed, askedWritten that of what was asked again last.
	routeSeen    Version
	routeWritten writing
	routeRefused writing
	askedWritten writing
	// aside is a route document that came before any key was learned.
	aside    *message
	restored bool    // the routes in force were handed over in this run
	called   Version // the one that the handler was called for last, and how often in this run
	calls    int
	failures int // of these calls
	pending  *Delivery
	retryAt  time.Time // of pending
	behind   []behind  // came while pending is to be tried again, and don't take its place, by version; at most inboxSize
	// overtaken is the last one that was being carried out when a newer one came: it is not called again, however often that was asked for meanwhile.
	overtaken Version
	held      []message // arrived during a call; at most inboxSize
	unsent    []schemas.Ack
}

// behind is a decision whose turn comes once an older one, which it doesn't take the place of, was carried out.
type behind struct {
	decision *schemas.Decision
	message  message
}

// run handles messages and retries until the context ends.
func (f *follower) run(ctx context.Context) {
	f.seen = f.position.Applied
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-f.inbox:
			f.consider(ctx, m)
		case <-tick.C:
			f.retry(ctx)
		}
		for len(f.held) > 0 || f.pending == nil && len(f.behind) > 0 {
			if f.pending == nil && len(f.behind) > 0 {
				f.goOn(ctx)
				continue
			}
			m := f.held[0]
			f.held = f.held[1:]
			f.consider(ctx, m)
		}
		tick.Reset(f.next())
	}
}

// next is how long until something is to be tried again.
func (f *follower) next() time.Duration {
	wait := time.Hour
	if f.pending != nil {
		wait = min(wait, max(0, time.Until(f.retryAt)))
	}
	if len(f.unsent) > 0 {
		wait = min(wait, ackRetry)
	}
	return wait
}

func (f *follower) retry(ctx context.Context) {
	f.sendAcks(ctx)
	if f.pending != nil && !time.Now().Before(f.retryAt) {
		f.carryOut(ctx, *f.pending)
	}
}

// consider decides what a message is worth: nothing, an answer, or a call of the handler.
func (f *follower) consider(ctx context.Context, m message) {
	if m.route && f.o.TrustOnFirstUse && len(f.trust.IDs()) == 0 {
		f.aside = &m // a route document brings no key along: the log's next message does
		return
	}
	if m.again && len(f.trust.IDs()) == 0 {
		return // nothing was read in the log yet
	}
	decision, err := f.verified(m)
	if err != nil {
		if !m.route || m.written != f.routeRefused { // it is read again whenever a reader begins
			f.o.OnError(fmt.Errorf("model %s: a decision is not obeyed: %w", f.model, err))
		}
		if m.route {
			f.routeRefused = m.written
		}
		return
	}
	if aside := f.aside; aside != nil {
		f.aside = nil
		f.consider(ctx, *aside)
	}
	f.weigh(ctx, decision, m)
}

// weigh places a decision that is verified, and does what is due.
func (f *follower) weigh(ctx context.Context, decision *schemas.Decision, m message) {
	v := versionOf(decision)
	again := f.asksAgain(v, m)
	if m.again && (v != f.seen || !again) {
		return // the log says what is to be; there it hasn't come yet, or is over
	}
	f.place(ctx, decision, m, again)
}

// place does what is due for a decision. One that doesn't take the place of what is to be tried again waits until that is done: it must neither be lost for a decision of
// another matter, nor come after it. Once the context has ended nothing is due: it would be stored as carried out behind a call that the stop broke off, and that one lost for good.
func (f *follower) place(ctx context.Context, decision *schemas.Decision, m message, again bool) {
	if ctx.Err() != nil {
		return
	}
	v := versionOf(decision)
	switch f.fence(decision, again) {
	case fenceStale:
		if !m.route && v.Epoch < f.position.Applied.Epoch {
			f.answer(ctx, decision, answer{status: schemas.AckRejected, why: schemas.WhyStaleEpoch})
		}
	case fenceDone:
		if m.before {
			return
		}
		f.answer(ctx, decision, done(decision, f.position.Snapshot))
	case fenceRestore:
		f.restored = true
		f.carryOut(ctx, Delivery{Decision: *decision, Signed: m.signed, Restored: true})
	case fenceNew:
		if f.pending != nil && versionOf(&f.pending.Decision) != v {
			f.wait(decision, m)
			return
		}
		if f.seen = v; f.passed(decision) {
			return
		}
		f.obey(ctx, decision, m.signed)
	}
}

// wait puts a decision behind the one that is to be tried again, which it ends if it takes its place. They wait in the order of their versions: the route document's may come after
// a newer one of the log.
func (f *follower) wait(decision *schemas.Decision, m message) {
	v := versionOf(decision)
	if slices.ContainsFunc(f.behind, func(b behind) bool { return versionOf(b.decision) == v }) {
		return
	}
	if len(f.behind) == inboxSize {
		f.drop(decision)
	}
	at, _ := slices.BinarySearchFunc(f.behind, v, func(b behind, v Version) int { return versionOf(b.decision).Compare(v) })
	f.behind = slices.Insert(f.behind, at, behind{decision, m})
	if f.takesOver(decision, &f.pending.Decision) {
		f.pending = nil
	}
}

// drop makes room for one more that waits: the first of which a newer one says all will be passed over anyhow. Where there is none, the oldest goes.
func (f *follower) drop(next *schemas.Decision) {
	newer := func(d *schemas.Decision) bool {
		says := func(b behind) bool { return f.takesOver(b.decision, d) && saysAll(b.decision, d, f.o.Consumer) }
		return says(behind{decision: next}) || slices.ContainsFunc(f.behind, says)
	}
	at := slices.IndexFunc(f.behind, func(b behind) bool { return newer(b.decision) })
	if at < 0 {
		at = 0
		f.o.OnError(fmt.Errorf("model %s: %d decisions wait for decision %s, the oldest of them (%s) is dropped", f.model, inboxSize, f.pending.Decision.ID, f.behind[0].decision.ID))
	}
	f.behind = slices.Delete(f.behind, at, at+1)
}

// goOn places the next one of those that waited.
func (f *follower) goOn(ctx context.Context) {
	next := f.behind[0]
	f.behind = f.behind[1:]
	f.place(ctx, next.decision, next.message, false)
}

// asksAgain reports whether a decision that was refused is asked for once more: by one more writing, and not where what was written before is read again, as after each lost connection.
func (f *follower) asksAgain(v Version, m message) bool {
	switch {
	case m.again:
		again := m.written != f.askedWritten
		f.askedWritten = m.written
		return again
	case m.route:
		again := v == f.routeSeen && m.written != f.routeWritten
		f.routeSeen, f.routeWritten = v, m.written
		return again
	}
	return false
}

// obey answers that a decision was received, and carries it out.
func (f *follower) obey(ctx context.Context, d *schemas.Decision, signed schemas.Signed) {
	if expired(d) {
		f.pending = nil
		f.answer(ctx, d, answer{status: schemas.AckRejected, why: schemas.WhyPolicy})
		return
	}
	f.answer(ctx, d, answer{status: schemas.AckReceived})
	f.carryOut(ctx, Delivery{Decision: *d, Signed: signed, Advise: d.Mode != schemas.Enforce})
}

// expired reports whether a decision says that it is too old to be carried out. A rollback never is.
func expired(d *schemas.Decision) bool {
	return d.ExpiresAt != 0 && d.Action != schemas.ActionRollback && time.Now().UnixMilli() > int64(d.ExpiresAt)
}

// carryOut calls the handler and answers by what came of it.
func (f *follower) carryOut(ctx context.Context, d Delivery) {
	if v := versionOf(&d.Decision); f.called != v {
		f.called, f.calls, f.failures = v, 0, 0
	}
	f.calls++
	d.Attempt = f.calls
	f.pending = nil
	d.snapshot = new(string)
	err := f.call(ctx, d)
	if err == nil {
		err = f.store(&d)
	}
	var rejection *Rejection
	switch {
	case err == nil:
		f.answer(ctx, &d.Decision, done(&d.Decision, f.position.Snapshot))
	case ctx.Err() != nil: // stopped, not failed
	case errors.Is(err, errOvertaken): // not answered: what it left undone is the newer one's now, and so is the answer
		f.o.OnError(fmt.Errorf("model %s: the call for decision %s was ended: %w", f.model, d.Decision.ID, err))
	case errors.As(err, &rejection):
		f.answer(ctx, &d.Decision, answer{status: schemas.AckRejected, why: rejection.Why})
	default:
		f.pending, f.retryAt = &d, time.Now().Add(min(retryFirst<<min(f.failures, 10), retryMost))
		f.failures++
		f.o.OnError(fmt.Errorf("model %s: decision %s (attempt %d): %w", f.model, d.Decision.ID, d.Attempt, err))
		f.answer(ctx, &d.Decision, answer{status: schemas.AckFailed, why: err.Error()})
	}
}

// store notes that a decision is carried out, before it is answered for.
func (f *follower) store(d *Delivery) error {
	if d.Restored {
		return nil
	}
	next := f.position
	next.Applied, next.Snapshot = versionOf(&d.Decision), *d.snapshot
	if len(d.Decision.Routes) > 0 && !d.Advise {
		next.Routes = next.Applied
	}
	if err := f.o.Store.Save(f.model, next); err != nil {
		return fmt.Errorf("store the position: %w", err)
	}
	f.position = next
	f.restored = f.restored || next.Routes == next.Applied
	return nil
}
