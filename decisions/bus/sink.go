package bus

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// Settings of what sinks hear. The stream is a sink's queue, and its durable consumer, which all instances share, its place in it.
const (
	sinkConsumer  = "streamcanary-sink-"
	lastConsumer  = "streamcanary-last-"  // of SinkQuery.Last: the two can't be turned into each other
	sinkWait      = 10 * time.Second      // until an event comes again that nobody says anything of any more: a process that ended
	sinkProgress  = 3 * time.Second       // how often one that is held, or at work, is said to be
	sinkGathers   = 20 * time.Millisecond // what comes together is ranked together
	sinkForgotten = 30 * 24 * time.Hour   // after which a sink that nobody asks for begins anew
	sinkOpen      = 64                    // decisions of SinkQuery.Last that are not done with
	sinkHeld      = 256                   // events of another query that are not done with: beyond them all wait in the stream for one of these
)

// A SinkQuery says what a sink hears.
type SinkQuery struct {
	Name string // of its place in the log: the same after a restart
	// Last: it hears decisions only, at first the last one of each model, and newer ones while an older one is yet to be tried again. Otherwise it hears decisions and
	// notices, from when it is first asked for, those of a model each once the one before is done with. Two processes that share the place may tell a model's events in another order.
	Last bool
	// Rank is what goes before what; nil: all go in order. Waits hears of each event that stays behind another one of its model which comes again; nil: nobody does.
	Rank  func(*Told) Rank
	Waits func(ctx context.Context, t, behind *Told)
}

// Rank is an event's place among the others. The zero value is that in the log.
type Rank struct {
	Urgent bool // it goes before all that isn't, but for what Stays in its own model
	Stays  bool // nothing later goes before it: it ends what came before, or what comes ends it
	Yields bool // with Stays: but for what is urgent, once one of its model that isn't has failed. It hears of that (Told.Passed)
}

// Told is a decision or a notice on its way to a sink.
type Told struct {
	Logged                  // Decision is nil where it is a notice
	Notice  *schemas.Notice // nil where it is a decision
	Attempt int             // of the handler, from 1
	DryRun  bool            // a dry run has published it
	Passed  []Told          // what was told before it, as Rank.Yields says, although it stands behind it in the log
	Behind  []Told          // what came of its model since, and waits behind it here, in the order of the log: of another process's it knows nothing, nor of more than a sink holds
}

// Again is what a handler says of an event. The zero value: it is done with.
type Again struct {
	After time.Duration // it comes again then, and what stands behind it in its model waits
	Aside bool          // nothing waits for it, and it may come again to another process
}

// Names are the model and the rollout that it is about.
func (t *Told) Names() (model, rollout string) {
	if t.Decision != nil {
		return t.Decision.Model, t.Decision.Rollout
	}
	return t.Notice.Model, t.Notice.Rollout
}

// ID is the decision's, or the notice's.
func (t *Told) ID() string {
	if t.Decision != nil {
		return t.Decision.ID
	}
	return t.Notice.ID
}

// EnsureSink makes a sink's place in the log: from then on it misses nothing.
func (b *Bus) EnsureSink(ctx context.Context, q SinkQuery) error {
	_, err := b.sinkConsumer(ctx, q, time.Time{})
	if err != nil {
		return fmt.Errorf("sink %s at %s: %w", q.Name, b.where(), err)
	}
	return nil
}

// LogEnd is the number of the last decision or notice that was published by now.
func (b *Bus) LogEnd(ctx context.Context) (uint64, error) {
	decided, err := b.lastSequence(ctx, schemas.AllDecisions)
	if err != nil {
		return 0, err
	}
	told, err := b.lastSequence(ctx, schemas.AllNotices)
	return max(decided, told), err
}

// sinkConsumer opens it. One that somebody has deleted begins again with what was stored from a time on (zero: none was read), of the last decisions with those.
func (b *Bus) sinkConsumer(ctx context.Context, q SinkQuery, from time.Time) (jetstream.Consumer, error) {
	token, err := schemas.EncodeName(q.Name)
	if err != nil {
		return nil, err
	}
	config := jetstream.ConsumerConfig{
		Durable: sinkConsumer + token, FilterSubjects: []string{schemas.AllDecisions, schemas.AllNotices}, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: sinkWait, MaxDeliver: -1, MaxAckPending: sinkHeld, DeliverPolicy: jetstream.DeliverNewPolicy, InactiveThreshold: sinkForgotten,
	}
	if q.Last {
		config.Durable = lastConsumer + token
		config.FilterSubjects, config.DeliverPolicy, config.MaxAckPending = []string{schemas.AllDecisions}, jetstream.DeliverLastPerSubjectPolicy, sinkOpen
		from = time.Time{}
	}
	return b.durable(ctx, config, from)
}

// A Teller takes one event of a sink.
type Teller func(ctx context.Context, t Told) Again

// Tell hands a sink what it is to hear, at least once and one after the other, until the context ends. Whatever breaks this off goes to Options.OnError, and it begins again where it
// was: it never ends by itself.
func (b *Bus) Tell(ctx context.Context, q SinkQuery, handle Teller) {
	h := hearing{SinkQuery: q}
	never := func(error) bool { return false }
	_ = b.lasting(ctx, "sink "+q.Name+" hears nothing", never, func(begun func()) error { return b.tell(ctx, &h, handle, begun) }) // it never ends by itself
}

// hearing is how far a sink has heard.
type hearing struct {
	SinkQuery
	from time.Time // all that was stored before is done with; zero: nothing was read
}

// tell is Tell until something breaks it off. What a process held that ended comes again before anything newer, once the server has missed that.
func (b *Bus) tell(ctx context.Context, h *hearing, handle Teller, begun func()) error {
	consumer, err := b.sinkConsumer(ctx, h.SinkQuery, h.from)
	if err != nil {
		return err
	}
	begun()
	if h.from.IsZero() {
		h.from = time.Now()
	}
	if h.Last {
		return b.each(ctx, consumer, 1, func(t *Told, message jetstream.Msg) { hand(ctx, t, message, handle) })
	}
	if consumer.CachedInfo().NumAckPending > 0 && !pause(ctx, sinkWait+time.Second) {
		return nil
	}
	l := newLanes(h.Rank)
	defer func() { h.from = l.oldest(h.from) }()
	ctx, stop := context.WithCancel(ctx)
	var working sync.WaitGroup
	defer working.Wait()
	defer stop()
	working.Go(func() { l.walk(ctx, &h.SinkQuery, handle) })
	working.Go(func() { l.hold(ctx) })
	return b.each(ctx, consumer, sinkHeld, func(t *Told, message jetstream.Msg) {
		h.from = t.At.Add(1)
		l.add(t, message)
	})
}

// each calls fn with what a sink is to hear, of which at most so many are on their way, until something breaks it off.
func (b *Bus) each(ctx context.Context, consumer jetstream.Consumer, most int, fn func(*Told, jetstream.Msg)) error {
	return b.messages(ctx, consumer, most, func(message jetstream.Msg) {
		if t, err := readTold(message); err != nil {
			b.passOver(&t, message, err)
		} else {
			fn(&t, message)
		}
	})
}

// passOver passes over what can't be read: it is somebody else's, or of another version.
func (b *Bus) passOver(t *Told, message jetstream.Msg, why error) {
	_ = message.Term()
	b.foreign(Foreign{Model: modelOf(message.Subject()), Place: message.Subject(), Sequence: t.Sequence, At: t.At, Why: why})
}

// modelOf is the model whose subject it is; "": it is no model's.
func modelOf(subject string) string {
	names, err := schemas.SubjectNames(subject)
	if err != nil || len(names) == 0 {
		return ""
	}
	return names[0]
}

// hand gives one message to a handler, and tells the server what came of it.
func hand(ctx context.Context, t *Told, message jetstream.Msg, handle Teller) {
	done := atWork(message)
	again := handle(ctx, *t)
	done()
	answer(message, again)
}

func answer(message jetstream.Msg, again Again) {
	if again.After > 0 {
		_ = message.NakWithDelay(again.After)
		return
	}
	_ = message.Ack()
}

// walk takes events as they come, one after the other, until the context ends.
func (l *lanes) walk(ctx context.Context, q *SinkQuery, handle Teller) {
	for ctx.Err() == nil {
		for _, w := range l.behind() {
			if q.Waits != nil {
				q.Waits(ctx, &w.event.Told, &w.behind.Told)
			}
		}
		h, in := l.next(time.Now())
		if h == nil {
			l.idle(ctx, in)
			continue
		}
		t := h.Told
		t.Attempt += h.takes
		t.Passed, t.Behind = l.ahead(h), l.after(h)
		h.takes++
		again := handle(ctx, t)
		switch {
		case ctx.Err() != nil:
		case again.After > 0 && !again.Aside:
			l.later(h, time.Now().Add(again.After))
		case again.After > 0:
			answer(l.remove(h), again)
		default:
			for _, message := range l.done(h) {
				answer(message, again)
			}
		}
	}
}

// hold says to the server, as long as the context lasts, that what is held is held.
func (l *lanes) hold(ctx context.Context) {
	for pause(ctx, sinkProgress) {
		for _, message := range l.messages() {
			_ = message.InProgress()
		}
	}
}

// atWork says so to the server until it is done.
func atWork(message jetstream.Msg) (done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var saying sync.WaitGroup
	saying.Go(func() {
		for pause(ctx, sinkProgress) {
			_ = message.InProgress()
		}
	})
	return func() {
		cancel()
		saying.Wait()
	}
}

func readTold(message jetstream.Msg) (Told, error) {
	meta, err := message.Metadata()
	if err != nil {
		return Told{}, fmt.Errorf("message on %s: %w", message.Subject(), err)
	}
	t := Told{Attempt: int(meta.NumDelivered), DryRun: message.Headers().Get(schemas.HeaderDryRun) != ""}
	t.Sequence, t.At = meta.Sequence.Stream, meta.Timestamp
	if strings.HasPrefix(message.Subject(), strings.TrimSuffix(schemas.AllNotices, ">")) {
		t.Notice, err = schemas.DecodeNotice(message.Data())
		return t, err
	}
	t.Logged = logged(&jetstream.RawStreamMsg{Subject: message.Subject(), Sequence: meta.Sequence.Stream, Header: message.Headers(), Data: message.Data(), Time: meta.Timestamp})
	return t, t.Malformed
}

// Answer publishes an ack, as a subscriber's client does. Its id makes a repetition within the stream's window of duplicates one ack.
func (b *Bus) Answer(ctx context.Context, model string, a *schemas.Ack) error {
	subject, err := schemas.AckSubject(model, a.Consumer)
	if err != nil {
		return fmt.Errorf("answer decision %s: %w", a.Decision, err)
	}
	body, err := schemas.EncodeAck(a)
	if err != nil {
		return err
	}
	ctx, cancel := b.within(ctx)
	defer cancel()
	if _, err := b.js.Publish(ctx, subject, body, jetstream.WithMsgID(a.MessageID())); err != nil {
		return fmt.Errorf("answer decision %s at %s: %w", a.Decision, b.where(), err)
	}
	return nil
}
