package serve

import (
	"context"
	"errors"
	"time"

	"streamcanary/decisions/actuators"
	"streamcanary/decisions/bus"
)

// Pauses before what stands is told again: the first after the start, when the sink has told what waited for it, and each other.
const (
	repeatFirst = 13370 * time.Millisecond // at no instant at which a service that begins with it does something else
	repeatEvery = time.Minute
)

var errFull = errors.New("too much stands")

// A repeater tells a sink again and again what stands, since its system forgets that (actuators.Standing). What stands is read from the log of what was decided and told, and not from what this process has
// told: so a restart forgets nothing, and of two processes that share the sink's place each knows what the other one has ended. It is apart from what tells the sink its events: neither waits for the other.
// While NATS is away nothing is repeated, since nobody knows whether it still stands. One goroutine has it.
type repeater struct {
	*sink
	standing actuators.Standing
	history  bus.History
	unsaid   nag
	full     nag
}

// run repeats until the context ends.
func (r *repeater) run(ctx context.Context) {
	for wait := repeatFirst; ; wait = repeatEvery {
		if pause(ctx, wait); ctx.Err() != nil {
			return
		}
		err := r.round(ctx)
		switch {
		case ctx.Err() != nil:
		case err == nil && r.unsaid.over():
			r.log.Info().Msg("what stands is told to this sink again")
		case err != nil && r.unsaid.due(err):
			r.log.Warn().Err(err).Stringer("every", repeatEvery).Msg("what stands can't be told to this sink again, which forgets it when it is restarted, and ends it after a day: trying again; does it run, and are its url and secret right? Look at NATS, too")
		}
	}
}

// round tells once what stands now.
func (r *repeater) round(ctx context.Context) error {
	known := map[string]*wish{}
	wants := func(rollout string) (*wish, error) {
		if known[rollout] == nil {
			w, err := r.wants(ctx, rollout)
			if err != nil && !errors.Is(err, bus.ErrUnreadable) { // one that can't be read keeps no other from being told
				return nil, err
			}
			known[rollout] = &w
		}
		return known[rollout], nil
	}
	err := r.bus.ReadOn(ctx, &r.history, func() { r.standing = actuators.Standing{} }, func(t *bus.Told) error {
		_, name := t.Names()
		w, err := wants(name)
		if err == nil {
			r.hear(t, w)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, rollout := range r.standing.Rollouts() {
		w, err := wants(rollout.Name)
		if err != nil {
			return err
		}
		if w.use == nil { // it no longer names the sink, or is gone: nobody would end it
			r.standing.Drop(rollout.Name)
		}
	}
	return r.actuator.Repeat(ctx, &r.standing)
}

// hear takes what was decided or told, if its rollout wants that at this sink.
func (r *repeater) hear(t *bus.Told, w *wish) {
	if w.use == nil || r.isForeign(t) {
		return
	}
	if e := r.event(w, t); e != nil && !r.isSilent(e) && !r.standing.Hear(e) && r.full.due(errFull) {
		r.log.Warn().Str("id", e.ID).Msg("more stands at this sink than is repeated: it has this, and forgets it when it is restarted; end what is old, by `streamcanary rollout delete` or the next rollout of the model")
	}
}
