package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"streamcanary/decisions/actuators"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// until is what it means that a sink doesn't do what it is to do.
func (k *sink) until() string {
	switch {
	case k.Kind.Routes():
		return "Until then it moves no traffic."
	case k.Kind.Changes():
		return "Until then the registry says what it said before: don't deploy by its aliases. Traffic doesn't wait for it."
	}
	return "Until then nobody hears of it there. Traffic doesn't wait for it."
}

// An attempt is what came of bringing an event to a sink.
type attempt struct {
	err     error
	failure *actuators.Failure // in err; nil: there is none
	refused bool               // it will never be taken
	tooOld  bool               // it was tried for long enough
}

func (k *sink) attempt(t *bus.Told, err error) attempt {
	a := attempt{err: err}
	errors.As(err, &a.failure)
	if err != nil && !k.Kind.Routes() {
		a.refused = a.failure == nil || a.failure.Refused
		a.tooOld = time.Since(t.At) > tellWithin
	}
	return a
}

// over reports whether nothing more is to be tried.
func (a *attempt) over() bool { return a.err == nil || a.refused || a.tooOld }

// act brings an event there, and answers for it. It says after which time the event is to come again; 0: it is done with.
func (k *sink) act(ctx context.Context, t *bus.Told, e *actuators.Event) time.Duration {
	var err error
	silent := k.isSilent(e)
	switch {
	case silent && !k.answers(t.Decision):
		return 0
	case silent && k.Kind.Changes():
		err = errRehearsed
	case silent:
	case !slices.Contains(k.done, e.ID) || k.Kind.Routes(): // people are not told twice because NATS takes no answer
		over := k.trying(ctx, t)
		err = k.actuator.Act(ctx, e)
		over()
	}
	if ctx.Err() != nil {
		return sinkAgain
	}
	a := k.attempt(t, err)
	if err == nil && !slices.Contains(k.done, e.ID) {
		k.done = append(k.done, e.ID)
		k.done = k.done[max(0, len(k.done)-doneMost):]
	}
	if unanswered := k.answer(ctx, t, &a); unanswered != nil && a.over() {
		k.later("what came of a decision at this sink can't be said: trying again; look at NATS (its connection, permissions)", unanswered)
		return sinkAgain
	}
	switch {
	case err == nil:
		k.seen.told(k.Name, "told")
		if e.Past() {
			k.log.Info().Str("id", e.ID).Msg("nobody is woken for this any more: what ends it waits behind it")
		}
		if k.works(t) {
			k.log.Info().Str("id", e.ID).Int("attempt", t.Attempt).Msg("this sink works again: it has taken this, and nothing waits that it failed before")
		}
		return 0
	case a.refused:
		k.seen.told(k.Name, "refused")
		k.works(t) // it answers, and that it does no more is the news
		k.log.Error().Err(err).Str("id", e.ID).Msg("this sink will never take this: it goes on with what comes next")
		return 0
	case a.tooOld:
		k.seen.told(k.Name, "given-up")
		k.log.Error().Err(err).Str("id", e.ID).Stringer("within", tellWithin).Msg("this sink did not take it in all that time: it goes on with what comes next")
		return 0
	}
	return k.failed(t, &a)
}

// errRehearsed: what a dry run was to change stays as it is.
var errRehearsed = errors.New("a dry run decided this, and changed nothing: bring the registry in line by hand")

// tryingSaid is after how long it is said of an event that it is still tried for the first time: sooner than people are told that it is overdue.
const tryingSaid = 17 * time.Second

// trying says, where a decision takes long, that it is tried and what keeps it so far: else it would look as if nobody had this sink. It goes on until over is called.
func (k *sink) trying(ctx context.Context, t *bus.Told) (over func()) {
	k.hitch.Store("")
	_, said := k.keeps[t.Sequence]
	if said || k.Kind.Routes() || !k.answers(t.Decision) {
		return func() {}
	}
	ctx, stop := context.WithCancel(ctx)
	var saying sync.WaitGroup
	saying.Go(func() {
		if pause(ctx, tryingSaid); ctx.Err() == nil {
			_ = k.ack(ctx, t.Decision, schemas.AckReceived, cmp.Or(k.hitch.Load().(string), "it is tried, and the system has not answered yet")) // what comes of it is said all the same
		}
	})
	return func() {
		stop()
		saying.Wait()
	}
}

// failed says why an event isn't there yet, and when it comes again.
func (k *sink) failed(t *bus.Told, a *attempt) time.Duration {
	k.seen.failing.WithLabelValues(k.Name).Set(1)
	model, _ := t.Names()
	k.keeps[t.Sequence] = keeping{model, why(a.err)}
	said := "this sink is not reached, and what it is to be told waits: trying again; does it run, and are its url and secret right? "
	if a.failure != nil && a.failure.Reached() {
		said = "this sink is reached, and doesn't do what it is told, which waits with what comes after it for this model: trying again; mend what it answers. "
	}
	k.later(said+k.until(), a.err)
	again := min(sinkAgain<<min(t.Attempt-1, 10), sinkAgainMost)
	if a.failure != nil {
		again = max(again, min(a.failure.After, sinkAgainAsked))
	}
	return again
}

// keeping is an event that comes again: its model, and why.
type keeping struct{ model, why string }

// forget forgets what kept an event that is done with, and where traffic is moved, those before it of its model.
func (k *sink) forget(t *bus.Told) {
	model, _ := t.Names()
	maps.DeleteFunc(k.keeps, func(sequence uint64, x keeping) bool {
		return sequence == t.Sequence || k.Kind.Routes() && x.model == model && sequence < t.Sequence
	})
}

// works notes that the sink has answered to an event, and reports whether it works again: nothing is kept any more.
func (k *sink) works(t *bus.Told) bool {
	if k.forget(t); len(k.keeps) > 0 {
		return false
	}
	k.seen.failing.WithLabelValues(k.Name).Set(0)
	return k.unsaid.over()
}

// answers reports whether a decision is answered for: by what moves traffic, as a router does, and otherwise where a step waits for that.
func (k *sink) answers(d *schemas.Decision) bool {
	if k.dry || d == nil || d.Mode != schemas.Enforce {
		return false
	}
	return k.Kind.Routes() || d.Action == schemas.ActionRollback || d.Action == schemas.ActionPromote && k.Kind.Changes()
}

// cantStart reports whether a registry will never do what a start asks of it: nothing waits for that, and people are told.
func (k *sink) cantStart(d *schemas.Decision, a *attempt) bool {
	registry := k.Kind.Changes() && !k.Kind.Routes() && !k.dry
	return registry && d != nil && d.Mode == schemas.Enforce && d.Action == schemas.ActionStart && d.Phase == schemas.PhaseCommit && a.err != nil && a.over()
}

// waitsInVain are the sinks that a rollout waits for in a dry run, in which they answer nothing. The log says so.
func (c *court) waitsInVain(r *schemas.Rollout) []string {
	var names []string
	for _, s := range c.config.Sinks {
		asked := slices.Contains(r.Acks.Routers, s.Name) || len(r.Acks.Routers) == 0 && r.Sink(s.Name) != nil
		if s.Kind.Routes() && asked {
			names = append(names, s.Name)
		}
	}
	if len(names) == 0 || r.Mode != schemas.Enforce {
		return nil
	}
	slices.Sort(names)
	c.log.Warn().Str("rollout", r.Name).Str("model", r.Model).Strs("sinks", names).
		Msg("dry run: these sinks move no traffic and answer nothing, so where no other router may answer, the rollout is never prepared, and nothing is judged: to see more, name a router in acks.routers that runs, or apply it with mode: advise")
	return names
}

// answer acknowledges that a decision is carried out here, never will be (given up), or why not yet.
func (k *sink) answer(ctx context.Context, t *bus.Told, a *attempt) error {
	d := t.Decision
	if !k.answers(d) && !k.cantStart(d, a) {
		return nil
	}
	switch {
	case a.err == nil && d.Phase == schemas.PhasePrepare && k.Kind.Routes():
		return k.ack(ctx, d, schemas.AckPrepared, "")
	case a.err == nil:
		return k.ack(ctx, d, schemas.AckApplied, "")
	case !a.over() && !k.Kind.Routes():
		return k.ack(ctx, d, schemas.AckReceived, why(a.err))
	}
	return k.ack(ctx, d, schemas.AckFailed, why(a.err))
}

// ack publishes an answer.
func (k *sink) ack(ctx context.Context, d *schemas.Decision, status schemas.AckStatus, why string) error {
	ack := schemas.Ack{Decision: d.ID, Epoch: d.Epoch, Seq: d.Seq, Consumer: k.Name, Instance: k.instance, Status: status, Why: clipWhy(why), At: schemas.Time(time.Now().UnixMilli())}
	return k.bus.Answer(ctx, d.Model, &ack)
}

// waits answers for a decision that stands behind another event of its model: it says what keeps that.
func (k *sink) waits(ctx context.Context, t, behind *bus.Told) {
	if !k.answers(t.Decision) || t.Verify(k.trust) != nil {
		return
	}
	e, err := k.wanted(ctx, t)
	if err == nil && e != nil {
		err = k.ack(ctx, t.Decision, schemas.AckReceived, fmt.Sprintf("it waits for %s, which comes first: %s", behind.ID(), k.keeps[behind.Sequence].why))
	}
	if err != nil && ctx.Err() == nil {
		k.later("what keeps a decision from this sink can't be said; look at NATS (its connection, permissions)", err)
	}
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
	return clipWhy(text)
}

func clipWhy(text string) string { return strings.ToValidUTF8(text[:min(len(text), mostWhy)], "") }
