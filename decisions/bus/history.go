package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// A History is what was decided and told of all models, read up to its end whenever that is asked for, and each time from where it was. The zero value has read nothing. One goroutine uses it.
type History struct{ at place }

// historyWithin bounds one reading: where it isn't enough, the next one goes on.
const historyWithin = 5 * time.Minute

// ReadOn calls fn with the decisions and the notices that stand behind the place, in the order of the log, up to the end that it has now; nil: they were all read. It verifies nothing, and passes over what
// can't be read. Where fn fails (its error), that message comes again at the next reading. Where the log was made anew, or is shorter, it calls anew, and reads it from its beginning.
func (b *Bus) ReadOn(ctx context.Context, h *History, anew func(), fn func(*Told) error) error {
	before := h.at
	if err := b.settle(ctx, &h.at); err != nil {
		return fmt.Errorf("read what was decided and told at %s: %w", b.where(), noLog(err))
	}
	if !before.made.IsZero() && h.at != before {
		anew()
	}
	end, err := b.LogEnd(ctx)
	if err != nil || end < h.at.next {
		return err
	}
	subjects := []string{schemas.AllDecisions, schemas.AllNotices}
	ctx, cancel := context.WithTimeout(ctx, historyWithin)
	defer cancel()
	var failed error
	ended := false
	err = b.readAll(ctx, subjects, &h.at, func(m jetstream.Msg, sequence uint64, _ time.Time) (bool, error) {
		if t, err := readTold(m); err == nil {
			failed = fn(&t)
		}
		if failed != nil {
			h.at.next = sequence
			return true, failed
		}
		ended = sequence >= end
		return ended, nil
	})
	if err == nil && !ended {
		err = fmt.Errorf("read what was decided and told at %s: %w", b.where(), context.Cause(ctx))
	}
	return err
}
