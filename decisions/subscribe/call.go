package subscribe

import (
	"context"
	"errors"
	"time"

	"streamcanary/schemas"
)

// overtakenGrace is how long a call may go on once a newer decision has come.
const overtakenGrace = time.Second

var errOvertaken = errors.New("a newer decision came")

// call runs the handler. A newer decision ends its context: a call that hangs must not keep a rollback waiting. The last of what arrives meanwhile is kept for run,
// in its order.
func (f *follower) call(ctx context.Context, d Delivery) error {
	calling, end := context.WithCancelCause(ctx)
	defer end(nil)
	returned := make(chan error, 1)
	go func() { returned <- f.handle(calling, d) }()
	grace := time.NewTimer(overtakenGrace)
	defer grace.Stop()
	overtaken := false
	for _, m := range f.held {
		overtaken = overtaken || f.overtakes(m, &d.Decision)
	}
	if overtaken {
		f.overtaken = versionOf(&d.Decision)
	} else {
		grace.Stop()
	}
	for {
		select {
		case err := <-returned:
			if err != nil && errors.Is(context.Cause(calling), errOvertaken) {
				return errOvertaken
			}
			return err
		case m := <-f.inbox:
			if len(f.held) == inboxSize { // only a newer one matters: repeats must not stand in its way
				f.held = f.held[1:]
			}
			f.held = append(f.held, m)
			if !overtaken && f.overtakes(m, &d.Decision) {
				overtaken, f.overtaken = true, versionOf(&d.Decision)
				grace.Reset(overtakenGrace)
			}
		case <-grace.C:
			end(errOvertaken)
		}
	}
}

// overtakes reports whether a message is a newer decision that will be carried out.
func (f *follower) overtakes(m message, d *schemas.Decision) bool {
	if len(f.trust.IDs()) == 0 {
		return false // its key is not learned yet
	}
	newer, err := f.verified(m)
	return err == nil && versionOf(newer).Compare(versionOf(d)) > 0 && !expired(newer)
}

// passed reports whether a newer decision that has arrived takes the place of one that was not handed over yet: that one is passed over.
func (f *follower) passed(d *schemas.Decision) bool {
	for _, m := range f.held {
		if m.again || !f.overtakes(m, d) {
			continue // what is asked again brings no decision of its own
		}
		if newer, err := f.verified(m); err == nil && replaces(newer, d, f.o.Consumer) {
			return true
		}
	}
	return false
}

// replaces reports whether a newer decision says all that is to be of what an older one asks: of the split, if that asks for one, and of the consumer's own state.
func replaces(newer, older *schemas.Decision, consumer string) bool {
	if len(older.Routes) > 0 && older.Mode == schemas.Enforce && (len(newer.Routes) == 0 || newer.Mode != schemas.Enforce) {
		return false
	}
	was, is := orderTo(consumer, older), orderTo(consumer, newer)
	switch {
	case was == is:
		return true
	case was.Do == schemas.StateFreeze, was.Do == schemas.StateUnfreeze:
		return is.Do == schemas.StateFreeze || is.Do == schemas.StateUnfreeze || is.Do == schemas.StateRestore
	}
	return was.Do == ""
}

// orderTo is what a decision asks of a store's state; the zero value: nothing.
func orderTo(consumer string, d *schemas.Decision) schemas.StateOrder {
	for _, o := range d.State {
		if o.Store == consumer && d.Mode == schemas.Enforce {
			return o
		}
	}
	return schemas.StateOrder{}
}
