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
