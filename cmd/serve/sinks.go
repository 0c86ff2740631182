package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"streamcanary/decisions"
	"streamcanary/decisions/actuators"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// A sink brings what was published to one system outside. It reads the decision log, at its own place in it, so the judge never waits for it, and a restart loses
// nothing. What moves traffic is told the newest decision of a model only, and answers for it as a router does; all others are told everything of a model in order, people first what
// they are woken for, and answer for what came of a rollback, and a registry of a promotion, since that is a step of it. One goroutine has it.
type sink struct {
	schemas.Sink
	actuator *actuators.Sink
	bus      *bus.Bus
	trust    schemas.Trust
	instance string
	log      zerolog.Logger
	seen     *metrics
	dry      bool
	before   uint64 // the last event in the log that was published before this process began
	roster   *roster
	unsaid   nag
	forged   nag
	done     []string             // events that are carried out here, and perhaps not answered for yet: the newest doneMost
	keeps    map[uint64]keeping   // by sequence, events that come again: the bus bounds how many there are
	aside    map[uint64]time.Time // by sequence, decisions of an unknown key that wait for who knows it, and when they were published: at most asideMost
	vain     bool                 // nobody has known such a key
	hitch    atomic.Value         // string: what keeps the event that is under way; "": nothing is known
}

// Bounds of what a sink remembers. Beyond asideMost a decision of an unknown key doesn't wait.
const (
	doneMost  = 64
	asideMost = 16
)

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
		k := &sink{Sink: one, bus: s.bus, trust: s.ownKeys(), instance: s.instance(), seen: s.seen, dry: s.DryRun, roster: s.roster, keeps: map[uint64]keeping{}, aside: map[uint64]time.Time{}}
		k.log = s.Log.With().Str("sink", one.Name).Logger()
		if one.Kind.Routes() {
			one.Retries = 0 // between two attempts a newer decision may come
		}
		o := actuators.Options{Program: s.Program, Jitter: s.wires.jitter, Dial: s.wires.dial, Failed: func(f *actuators.Failure) { k.hitch.Store(why(f)) }}
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
		if err = s.bus.EnsureSink(ctx, k.query()); err == nil {
			k.before, err = s.bus.LogEnd(ctx)
		}
		if err != nil {
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

// query is what the sink hears. A dry run has a place of its own, so that nothing is lost by it of what another run has published.
func (k *sink) query() bus.SinkQuery {
	q := bus.SinkQuery{Name: k.Name, Last: k.Kind.Routes(), Waits: k.waits}
	if !k.Kind.Routes() && !k.Kind.Changes() {
		q.Rank = k.rank
	}
	if k.dry {
		q.Name += " (dry run)"
	}
	return q
}

// rank lets people hear first of what they are woken for, also where what ends an incident, or raises one that is part of that, fails before it: that comes later then, and ends only what wasn't raised meanwhile,
// and raises only what isn't over. Else those keep their order, and who has no incidents hears all in order, and an end never too late, since that would be read as one.
func (k *sink) rank(t *bus.Told) bus.Rank {
	e := k.bare(t)
	urgent, ends := e.Urgent(), e.Ends()
	stays := ends || !urgent && (e.Raises() || !k.hasIncidents())
	return bus.Rank{Urgent: urgent, Stays: stays, Yields: stays && (!ends || k.hasIncidents())}
}

// bare is an event as far as that is known without looking anything up.
func (k *sink) bare(t *bus.Told) *actuators.Event {
	return &actuators.Event{Decision: t.Decision, Notice: t.Notice, Use: &schemas.SinkUse{Kind: k.Kind, Sink: k.Name}}
}

// hasIncidents reports whether what people hear by raises and ends incidents.
func (k *sink) hasIncidents() bool {
	return k.Kind == schemas.SinkPagerDuty || k.Kind == schemas.SinkAlertmanager
}

// run tells the sink what is published until the context ends.
func (k *sink) run(ctx context.Context) error {
	defer k.actuator.Close()
	var repeating sync.WaitGroup
	defer repeating.Wait()
	if k.actuator.Repeats() {
		r := repeater{sink: k}
		repeating.Go(func() { r.run(ctx) })
	}
	k.bus.Tell(ctx, k.query(), k.take)
	return nil
}

// take brings one event there, if its rollout wants that.
func (k *sink) take(ctx context.Context, t bus.Told) bus.Again {
	again := k.bring(ctx, t)
	if again.After == 0 {
		k.forget(&t)
	}
	return again
}

func (k *sink) bring(ctx context.Context, t bus.Told) bus.Again {
	e, err := k.wanted(ctx, &t)
	for i := 0; i < len(t.Passed) && err == nil && e != nil; i++ {
		var later *actuators.Event
		if later, err = k.wanted(ctx, &t.Passed[i]); later != nil && !k.isForeign(&t.Passed[i]) {
			e.Since = append(e.Since, later)
		}
	}
	if err == nil && e != nil {
		err = k.behind(ctx, e, &t)
	}
	if err == nil && e != nil && k.Kind.Routes() {
		var newest bool
		if newest, err = k.newest(ctx, &t); err == nil && !newest {
			k.seen.told(k.Name, "superseded")
			return bus.Again{}
		}
	}
	switch {
	case ctx.Err() != nil:
		return bus.Again{After: sinkAgain}
	case err != nil:
		k.later("what this sink is to be told can't be looked up: trying again; look at NATS (its connection, permissions)", err)
		return bus.Again{After: sinkAgain}
	case e == nil:
		return bus.Again{}
	}
	if k.isForeign(&t) {
		return k.untrusted(&t)
	}
	return bus.Again{After: k.act(ctx, &t, e)}
}

// isForeign reports whether it is a decision that no own key has signed.
func (k *sink) isForeign(t *bus.Told) bool { return t.Decision != nil && t.Verify(k.trust) != nil }

// wanted is the event, as the rollout that is judged wants it told, or wanted before it was deleted; nil: it doesn't.
func (k *sink) wanted(ctx context.Context, t *bus.Told) (*actuators.Event, error) {
	_, name := t.Names()
	w, err := k.wants(ctx, name)
	if err != nil || w.use == nil {
		return nil, err
	}
	e := k.event(&w, t)
	switch {
	case e == nil:
		return nil, nil
	case t.Decision != nil:
		return k.stands(ctx, e, w.head.State.Standing())
	}
	return k.stands(ctx, e, nil)
}

// event is what was published as such a rollout wants it told; nil: it doesn't.
func (k *sink) event(w *wish, t *bus.Told) *actuators.Event {
	e := w.event(t)
	if e != nil {
		e.Rehearsed = t.DryRun && t.Sequence <= k.before && !k.dry && !k.Kind.Routes()
	}
	return e
}

// isSilent reports whether nothing is told of what a dry run has published before this process began. People are told only what ends incidents, which may be of before the dry run.
func (k *sink) isSilent(e *actuators.Event) bool {
	return e.Rehearsed && !(k.hasIncidents() && e.EndsButForTelling())
}

// A wish is what a rollout wants of a sink, and the record that says so.
type wish struct {
	use     *schemas.SinkUse // nil: nothing
	ends    bool             // no more than that incidents are over, which an earlier epoch has told of here
	rollout *schemas.Rollout
	head    decisions.Head
}

func (k *sink) wants(ctx context.Context, rollout string) (w wish, err error) {
	w.head, _, err = k.bus.LoadHead(ctx, rollout)
	switch {
	case errors.Is(err, bus.ErrUnreadable): // nobody decides for it
		return wish{}, nil
	case errors.Is(err, bus.ErrNotFound):
		if w.rollout = k.roster.find(rollout); w.rollout == nil {
			return wish{}, nil
		}
	case err != nil:
		return wish{}, err
	default:
		if _, w.rollout, err = DecodeApplication(w.head.Applied); err != nil {
			return wish{}, fmt.Errorf("%w: %w", bus.ErrUnreadable, err)
		}
	}
	if use := w.rollout.Sink(k.Name); use != nil && use.Kind == k.Kind {
		w.use = use
	} else if use == nil && k.hasIncidents() && slices.Contains(w.head.State.Parted, k.Name) {
		w.use, w.ends = &schemas.SinkUse{Kind: k.Kind, Sink: k.Name}, true
	}
	return w, nil
}

// event is what was published as such a rollout wants it told; nil: it doesn't.
func (w *wish) event(t *bus.Told) *actuators.Event {
	e := w.whole(t)
	if e != nil && w.ends && !e.EndsButForTelling() {
		return nil
	}
	return e
}

// whole is that of a rollout that wants more than ends.
func (w *wish) whole(t *bus.Told) *actuators.Event {
	switch changes := w.use.Kind.Changes(); {
	case t.Decision != nil && changes && !w.use.Kind.Routes() && overtaken(t.Decision, &w.head.State):
		return nil
	case t.Decision != nil:
		return actuators.OfDecision(t.Decision, t.Signed, w.rollout, w.use)
	case changes:
		return nil
	}
	return actuators.OfNotice(t.Notice, w.rollout, w.use)
}

// overtaken reports whether a decision means nothing to a registry any more, since its epoch has ended otherwise: what ended it does all that is left to do. So it does no harm if two
// processes that share a sink's place tell the two in another order. What an earlier epoch of the rollout has begun means nothing, either, once a later one has: that sets all of it anew, and the
// file, which names the versions, is that one's by now.
func overtaken(d *schemas.Decision, s *decisions.State) bool {
	switch {
	case d.Epoch < s.Epoch && s.Status != decisions.StatusPreparing && s.Status != decisions.StatusRefused:
		return d.Action == schemas.ActionPromote || d.Action == schemas.ActionStart && d.Phase == schemas.PhaseCommit
	case d.Epoch != s.Epoch:
		return false
	case d.Action == schemas.ActionStart:
		return d.Phase == schemas.PhaseCommit && s.Status.Ended()
	case d.Action == schemas.ActionPromote:
		return s.Saga != nil
	}
	return false
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

// untrusted is what becomes of a decision that our key has not signed. It is put aside as long as another process may know the key; where that was in vain once, the next aren't.
// That somebody forges decisions is said once by strangers, and here once a minute.
func (k *sink) untrusted(t *bus.Told) bus.Again {
	if k.mayBeKnown(t) {
		return bus.Again{After: sinkAgain, Aside: true}
	}
	delete(k.aside, t.Sequence)
	k.seen.told(k.Name, "untrusted")
	if k.forged.due(errForged) {
		k.log.Error().Str("id", t.Decision.ID).Err(errForged).Msg("a decision is not told, nor carried out here; if another serve runs, give both the same nats.signingKey; if not, somebody forges decisions")
	}
	return bus.Again{}
}

var errForged = errors.New("this process's key has not signed it")

// mayBeKnown reports whether a decision of an unknown key is still left to another process.
func (k *sink) mayBeKnown(t *bus.Told) bool {
	if time.Since(t.At) >= trustWithin {
		k.vain = true
	}
	if k.vain {
		return false
	}
	maps.DeleteFunc(k.aside, func(_ uint64, at time.Time) bool { return time.Since(at) >= trustWithin })
	if _, there := k.aside[t.Sequence]; !there && len(k.aside) >= asideMost {
		return false
	}
	k.aside[t.Sequence] = t.At
	return true
}
