package serve

import (
	"context"
	"errors"
	"time"

	"streamcanary/decisions/actuators"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// beside are the kinds of events that raise an incident beside the state machine, and what ends each: no other end of the rollout's incident ends that. The log of events has them, whichever
// process has told them.
var beside = [...]struct{ raises, ends schemas.NoticeKind }{
	{schemas.NoticeForeignDecision, schemas.NoticeForeignOver},
	{schemas.NoticeRolloutLost, schemas.NoticeRolloutFound},
}

// stands completes an event that ends the rollout's incident with what else people were told of, and that isn't over: by the record, and beside it. It is looked up when the event is told: what
// was over by then has had its own end, and what began since then will have one.
func (k *sink) stands(ctx context.Context, e *actuators.Event, recorded []string) (*actuators.Event, error) {
	if !k.hasIncidents() || !e.EndsButForTelling() {
		return e, nil
	}
	e.Standing = recorded
	for _, x := range beside {
		stands, err := k.standsBeside(ctx, e.Rollout, x.raises, x.ends)
		if err != nil {
			return nil, err
		}
		if stands {
			e.Standing = append(e.Standing, string(x.raises))
		}
	}
	return e, nil
}

// standsBeside reports whether the last event of a kind is of a rollout, and none of its end came since, of any rollout of the model.
func (k *sink) standsBeside(ctx context.Context, r *schemas.Rollout, raises, ends schemas.NoticeKind) (bool, error) {
	raised, at, err := k.lastNotice(ctx, r.Model, raises)
	if err != nil || raised == nil || raised.Rollout != r.Name {
		return false, err
	}
	ended, over, err := k.lastNotice(ctx, r.Model, ends)
	return err == nil && (ended == nil || over.Before(at)), err
}

// lastNotice is the last event of a kind; nil: there is none, or none that this version can read.
func (k *sink) lastNotice(ctx context.Context, model string, kind schemas.NoticeKind) (*schemas.Notice, time.Time, error) {
	n, at, err := k.bus.LastNotice(ctx, model, kind)
	if errors.Is(err, bus.ErrNotFound) || errors.Is(err, bus.ErrOddNotice) {
		return nil, at, nil
	}
	return n, at, err
}

// behind completes an event that raises an incident with those that wait behind it and end one, as after an outage of the sink: nobody is woken for what is over. What no own key has signed ends nothing.
func (k *sink) behind(ctx context.Context, e *actuators.Event, t *bus.Told) error {
	if !k.hasIncidents() || !e.Raises() {
		return nil
	}
	for i := range t.Behind {
		later := &t.Behind[i]
		if _, rollout := later.Names(); rollout != e.Rollout.Name || !k.mayEnd(later) {
			continue
		}
		x, err := k.wanted(ctx, later)
		if err != nil {
			return err
		}
		if x != nil {
			e.Behind = append(e.Behind, x)
		}
	}
	return nil
}

// mayEnd reports whether an event may end an incident, or a part of what was told of one, by itself alone.
func (k *sink) mayEnd(t *bus.Told) bool {
	e := k.bare(t)
	return (e.EndsButForTelling() || e.EndsPart()) && !k.isForeign(t)
}
