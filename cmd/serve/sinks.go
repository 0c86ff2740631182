package serve

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"streamcanary/decisions/actuators"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// A sink brings what was published to one system outside. It reads the decision log, at its own place in it, so the judge never waits for it, and a restart loses
// nothing. What moves traffic is told the newest decision of a model only, and answers for it as a router does; all others are told everything in order, and answer for
// what came of a rollback, since that is a step of it.
type sink struct {
	schemas.Sink
	actuator *actuators.Sink
	bus      *bus.Bus
	trust    schemas.Trust
	instance string
	log      zerolog.Logger
	seen     *metrics
	dry      bool
	unsaid   nag
	done     string // the event that is carried out here, and perhaps not answered for yet
	vain     bool   // nobody has known the key of a decision
}

// Pauses before an event is tried again, beyond those between the requests of a row: the first, doubled each time, up to the longest.
const (
	sinkAgain      = time.Second
	sinkAgainMost  = 30 * time.Second
	sinkAgainAsked = time.Hour // that a server may ask for
)

// How old an event may become until it is given up, where it isn't about traffic; and one that another key has signed, which another process may know.
const (
	tellWithin  = 24 * time.Hour
	trustWithin = time.Minute
)

// openSinks opens the sinks of the configuration, and makes their places in the log.
func (s *service) openSinks(ctx context.Context) ([]*sink, error) {
	var all []*sink
	for _, one := range s.Config.Sinks {
		k := &sink{Sink: one, bus: s.bus, trust: s.ownKeys(), instance: instance(), seen: s.seen, dry: s.DryRun}
		k.log = s.Log.With().Str("sink", one.Name).Logger()
		if one.Kind.Routes() {
			one.Retries = 0 // between two attempts a newer decision may come
		}
		o := actuators.Options{Program: s.Program, Jitter: s.wires.jitter, Dial: s.wires.dial}
		if o.Jitter == nil {
			o.Jitter = rand.Float64
		}
		if s.DryRun {
			o.Say = func(text string) { k.log.Info().Msg("dry run: " + text) }
		}
		var err error
		if o.TLS, err = tlsOf("sinks."+one.Name+".tls", one.TLS); err != nil {
			return nil, err
		}
		if k.actuator, err = actuators.Open(one, o); err != nil {
			return nil, fmt.Errorf("open the sinks of the configuration: %w", err)
		}
		if err := s.bus.EnsureSink(ctx, k.query()); err != nil {
			return nil, fmt.Errorf("open the sinks of the configuration: %w", err)
		}
		all = append(all, k)
	}
	return all, nil
}

// ownKeys are those whose decisions count.
func (s *service) ownKeys() schemas.Trust {
	if len(s.trust.IDs()) == 0 {
		return schemas.NewTrust(s.key.Public())
	}
	return s.trust
}

// query is what the sink hears. A dry run has a place of its own, so that nothing is lost by it.
func (k *sink) query() bus.SinkQuery {
	q := bus.SinkQuery{Name: k.Name, Last: k.Kind.Routes()}
	if k.dry {
		q.Name += " (dry run)"
	}
	return q
}

// run tells the sink what is published until the context ends.
func (k *sink) run(ctx context.Context) error {
	defer k.actuator.Close()
	k.bus.Tell(ctx, k.query(), k.take)
	return nil
}

// take brings one event there, if its rollout wants that. It says after which time the event is to come again; 0: it is done with.
func (k *sink) take(ctx context.Context, t bus.Told) time.Duration {
	e, err := k.wanted(ctx, &t)
	if err == nil && e != nil && k.Kind.Routes() {
		var newest bool
		if newest, err = k.newest(ctx, &t); err == nil && !newest {
			k.seen.told(k.Name, "superseded")
			return 0
		}
	}
	switch {
	case ctx.Err() != nil:
		return sinkAgain
	case err != nil:
		k.later("what this sink is to be told can't be looked up: trying again; look at NATS (its connection, permissions)", err)
		return sinkAgain
	case e == nil:
		return 0
	}
	if t.Decision != nil && t.Verify(k.trust) != nil {
		return k.untrusted(&t, e)
	}
	return k.act(ctx, &t, e)
}

// wanted is the event, as the rollout that is judged wants it told; nil: it doesn't.
func (k *sink) wanted(ctx context.Context, t *bus.Told) (*actuators.Event, error) {
	_, name := t.Names()
	head, _, err := k.bus.LoadHead(ctx, name)
	if errors.Is(err, bus.ErrNotFound) || errors.Is(err, bus.ErrUnreadable) { // nobody decides for it
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, r, err := DecodeApplication(head.Applied)
	if err != nil {
		return nil, err
	}
	use := r.Sink(k.Name)
	switch {
	case use == nil || use.Kind != k.Kind:
		return nil, nil
	case t.Decision != nil:
		return actuators.OfDecision(t.Decision, t.Signed, r, use), nil
	case k.Kind.Changes():
		return nil, nil
	}
	return actuators.OfNotice(t.Notice, r, use), nil
}

// newest reports whether a decision is its model's last one: it has the full desired state, so who has carried it out has carried out all. What no own key has signed is
// newest for a while, since another process may know its key; it holds nothing up.
func (k *sink) newest(ctx context.Context, t *bus.Told) (bool, error) {
	last, err := k.bus.LastDecision(ctx, t.Model)
	if errors.Is(err, bus.ErrNotFound) {
		return true, nil
	}
	return err == nil && (last.Sequence == t.Sequence || last.Sequence < t.Sequence && t.Verify(k.trust) != nil), err
}

// untrusted is what becomes of a decision that our key has not signed. It may wait for another process that knows the key; where that was in vain once, the next don't.
func (k *sink) untrusted(t *bus.Told, e *actuators.Event) time.Duration {
	if !k.vain && time.Since(t.At) < trustWithin {
		return sinkAgain
	}
	k.vain = true
	k.seen.told(k.Name, "untrusted")
	k.log.Error().Str("id", e.ID).Msg("a decision is not told, nor carried out here: this process's key has not signed it; if another serve runs, give both the same nats.signingKey; if not, somebody forges decisions")
	return 0
}

// until is what it means that a sink isn't reached.
func (k *sink) until() string {
	switch {
	case k.Kind.Routes():
		return "Until then it moves no traffic."
	case k.Kind.Changes():
		return "Until then the registry says what it said before: don't deploy by its aliases. Traffic doesn't wait for it."
	}
	return "Until then nobody hears of it there. Traffic doesn't wait for it."
}

// act brings an event there, and answers for it.
func (k *sink) act(ctx context.Context, t *bus.Told, e *actuators.Event) time.Duration {
	var err error
	if k.done != e.ID || k.Kind.Routes() { // people are not told twice because NATS takes no answer
		err = k.actuator.Act(ctx, e)
	}
	if ctx.Err() != nil {
		return sinkAgain
	}
	var failure *actuators.Failure
	errors.As(err, &failure)
	refused := err != nil && !k.Kind.Routes() && (failure == nil || failure.Refused)
	tooOld := err != nil && !k.Kind.Routes() && time.Since(t.At) > tellWithin
	if err == nil {
		k.done = e.ID
	}
	if unanswered := k.answer(ctx, t, err, refused || tooOld); unanswered != nil && (err == nil || refused || tooOld) {
		k.later("what came of a decision at this sink can't be said: trying again; look at NATS (its connection, permissions)", unanswered)
		return sinkAgain
	}
	switch {
	case err == nil:
		k.seen.told(k.Name, "told")
		k.seen.failing.WithLabelValues(k.Name).Set(0)
		if k.unsaid.over() {
			k.log.Info().Str("id", e.ID).Int("attempt", t.Attempt).Msg("this sink is reached again")
		}
		return 0
	case refused:
		k.seen.told(k.Name, "refused")
		k.log.Error().Err(err).Str("id", e.ID).Msg("this sink will never take this: it goes on with what comes next")
		return 0
	case tooOld:
		k.seen.told(k.Name, "given-up")
		k.log.Error().Err(err).Str("id", e.ID).Stringer("within", tellWithin).Msg("this sink could not be reached in all that time: it goes on with what comes next")
		return 0
	}
	k.seen.failing.WithLabelValues(k.Name).Set(1)
	k.later("this sink is not reached, and what it is to be told waits: trying again; does it run, and are its url and secret right? "+k.until(), err)
	again := min(sinkAgain<<min(t.Attempt-1, 10), sinkAgainMost)
	if failure != nil {
		again = max(again, min(failure.After, sinkAgainAsked))
	}
	return again
}

// answer acknowledges what moves traffic, as a router does, and otherwise a rollback: that it is carried out here, never will be (given up), or why not yet.
func (k *sink) answer(ctx context.Context, t *bus.Told, failed error, givenUp bool) error {
	d := t.Decision
	if k.dry || d == nil || d.Mode != schemas.Enforce || !k.Kind.Routes() && d.Action != schemas.ActionRollback {
		return nil
	}
	ack := schemas.Ack{Decision: d.ID, Epoch: d.Epoch, Seq: d.Seq, Consumer: k.Name, Instance: k.instance, Status: schemas.AckApplied, At: schemas.Time(time.Now().UnixMilli())}
	switch {
	case failed != nil && !givenUp && !k.Kind.Routes():
		ack.Status, ack.Why = schemas.AckReceived, why(failed)
	case failed != nil:
		ack.Status, ack.Why = schemas.AckFailed, why(failed)
	case d.Phase == schemas.PhasePrepare && k.Kind.Routes():
		ack.Status = schemas.AckPrepared
	}
	return k.bus.Answer(ctx, d.Model, &ack)
}

// later logs what is tried again: when it is new, and once a minute.
func (k *sink) later(what string, err error) {
	if k.unsaid.due(err) {
		k.log.Warn().Err(err).Msg(what)
	}
}

// mostWhy bounds the reason in an ack, in bytes.
const mostWhy = 256

// why is a failure's reason for an ack, which says by itself whose it is, and about what.
func why(failed error) string {
	text := failed.Error()
	var failure *actuators.Failure
	if errors.As(failed, &failure) {
		text = failure.Error()
	}
	return strings.ToValidUTF8(text[:min(len(text), mostWhy)], "")
}
