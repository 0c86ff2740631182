package subscribe

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"streamcanary/schemas"
)

// overtakenGrace is how long a call may go on once a newer decision has come.
const overtakenGrace = time.Second

var errOvertaken = errors.New("a newer decision came")

// call runs the handler. A newer decision that takes its place, and orders something else, ends its context: a call that hangs must not keep a rollback waiting. The last of
// what arrives meanwhile is kept for run, in its order.
func (f *follower) call(ctx context.Context, d Delivery) error {
	calling, end := context.WithCancelCause(ctx)
	defer end(nil)
	returned := make(chan error, 1)
	go func() { returned <- f.handle(calling, d) }()
	grace := time.NewTimer(overtakenGrace)
	defer grace.Stop()
	overtaken := slices.ContainsFunc(f.held, func(m message) bool { return f.ends(m, &d.Decision) })
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
			f.hold(m)
			if !overtaken && f.ends(m, &d.Decision) {
				overtaken, f.overtaken = true, versionOf(&d.Decision)
				grace.Reset(overtakenGrace)
			}
		case <-grace.C:
			end(errOvertaken)
		}
	}
}

// hold keeps what arrives during a call. Beyond what there is room for, what goes is the first that is worth nothing: a repetition, what is not to be obeyed, or of which a newer one says all.
// Where there is none, the oldest goes.
func (f *follower) hold(m message) {
	f.held = append(f.held, m)
	if len(f.held) <= inboxSize {
		return
	}
	all := make([]*schemas.Decision, len(f.held))
	var newer []*schemas.Decision // what is asked again brings no decision of its own
	for i := range f.held {
		if all[i] = f.newer(f.held[i]); all[i] != nil && !f.held[i].again {
			newer = append(newer, all[i])
		}
	}
	at := slices.IndexFunc(all, func(d *schemas.Decision) bool {
		return d == nil || versionOf(d).Compare(f.seen) <= 0 || slices.ContainsFunc(newer, func(n *schemas.Decision) bool { return f.takesOver(n, d) && saysAll(n, d, f.o.Consumer) })
	})
	if at < 0 {
		at = 0
		f.o.OnError(fmt.Errorf("model %s: %d messages wait for the handler, the oldest of them (decision %s) is dropped", f.model, inboxSize, all[0].ID))
	}
	f.held = slices.Delete(f.held, at, at+1)
}

// ends reports whether a message is a newer decision for which a call is ended: one that takes its place, and orders anything else.
func (f *follower) ends(m message, d *schemas.Decision) bool {
	newer := f.newer(m)
	return newer != nil && versionOf(newer).Compare(f.seen) > 0 && f.takesOver(newer, d) && !ordersSame(newer, d, f.o.Consumer)
}

// newer is the decision of a message that has arrived, and was not placed yet; nil: it is not to be obeyed.
func (f *follower) newer(m message) *schemas.Decision {
	if len(f.trust.IDs()) == 0 {
		return nil // its key is not learned yet
	}
	d, err := f.verified(m)
	if err != nil {
		return nil
	}
	return d
}

// passed reports whether a newer decision that has arrived takes the place of one that was not handed over yet: that one is passed over.
func (f *follower) passed(d *schemas.Decision) bool {
	for _, m := range f.held {
		if m.again {
			continue // what is asked again brings no decision of its own
		}
		if newer := f.newer(m); newer != nil && f.takesOver(newer, d) && saysAll(newer, d, f.o.Consumer) {
			return true
		}
	}
	return slices.ContainsFunc(f.behind, func(b behind) bool { return f.takesOver(b.decision, d) && saysAll(b.decision, d, f.o.Consumer) })
}

// takesOver reports whether a decision takes the place of another one that is being carried out, or is to be tried again: it is newer, will be carried out, and says all that the
// other one asks of this consumer. A store moves no traffic.
func (f *follower) takesOver(newer, d *schemas.Decision) bool {
	if versionOf(newer).Compare(versionOf(d)) <= 0 || expired(newer) {
		return false
	}
	was, is := orderTo(f.o.Consumer, d), orderTo(f.o.Consumer, newer)
	switch {
	case was.Do == "":
		return saysSplit(newer, d)
	case was == is:
		return true
	case was.Do == schemas.StateSnapshot: // of no use any more once its preparation has ended
		return newer.Epoch > d.Epoch || newer.Phase != schemas.PhasePrepare
	case newer.Epoch > d.Epoch && newer.Phase == schemas.PhasePrepare && newer.Mode == schemas.Enforce:
		return true // it begins over the state as it is: a restore that fails for good must not keep a hotfix from starting
	}
	return is.Do == schemas.StateFreeze || is.Do == schemas.StateUnfreeze || is.Do == schemas.StateRestore
}

// saysAll reports whether a decision that takes over also says all that is to be of one that nobody has begun yet: that a store goes back is said by nothing else.
func saysAll(newer, d *schemas.Decision, consumer string) bool {
	was, is := orderTo(consumer, d), orderTo(consumer, newer)
	return saysSplit(newer, d) && (was == is || was.Do != schemas.StateRestore && was.Do != schemas.StateSnapshot)
}

// saysSplit reports whether a newer decision says all that is to be of the split, if an older one asks for one.
func saysSplit(newer, older *schemas.Decision) bool { return !moves(older) || moves(newer) }

// moves reports whether a decision asks for a split.
func moves(d *schemas.Decision) bool { return len(d.Routes) > 0 && d.Mode == schemas.Enforce }

// ordersSame reports whether two decisions ask the same of a consumer: a call for the older one does what the newer one asks.
func ordersSame(newer, older *schemas.Decision, consumer string) bool {
	if was := orderTo(consumer, older); was.Do != "" {
		return was == orderTo(consumer, newer)
	}
	same := newer.Mode == older.Mode && newer.Salt == older.Salt && newer.Unit == older.Unit && slices.Equal(newer.Routes, older.Routes)
	return same && slices.Equal(newer.State, older.State) && reflect.DeepEqual(newer.Cache, older.Cache)
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
