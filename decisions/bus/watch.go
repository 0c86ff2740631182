package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// WatchStrangers tells Options.OnForeign of what somebody else publishes on a decision subject when it comes, from now on until the context ends: what doesn't count as LastDecision
// counts. What keeps it from looking goes to Options.OnError, and it looks again.
func (b *Bus) WatchStrangers(ctx context.Context) {
	told := ""
	for ctx.Err() == nil {
		err := b.watchStrangers(ctx)
		if err != nil && ctx.Err() == nil && b.o.OnError != nil && err.Error() != told {
			told = err.Error()
			b.o.OnError(fmt.Errorf("look for what others write among the decisions: %w: trying again", err))
		}
		pause(ctx, followAgain)
	}
}

func (b *Bus) watchStrangers(ctx context.Context) error {
	end, err := b.last(ctx, schemas.AllDecisions)
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("read the end of %s at %s: %w", schemas.AllDecisions, b.where(), err)
	}
	at := place{next: 1}
	if end != nil {
		at = place{next: end.Sequence + 1, last: end.Sequence, at: end.Time}
	}
	newest := map[string]*Logged{} // by model, of decisions that count: as many as there are models of one's own
	before := uint64(0)
	return b.followFrom(ctx, schemas.AllDecisions, at, func(m jetstream.Msg, sequence uint64, stored time.Time) (bool, error) {
		l := logged(&jetstream.RawStreamMsg{Subject: m.Subject(), Sequence: sequence, Header: m.Headers(), Data: m.Data(), Time: stored})
		if sequence <= before { // a log that was restored, or made anew, is read from its beginning
			clear(newest)
		}
		before = sequence
		if why := b.counts(&l, &scan{model: l.Model}, newest[l.Model]); why != nil {
			b.foreign(Foreign{Model: l.Model, Place: m.Subject(), Sequence: sequence, At: stored, Why: why, Forged: l.Malformed == nil})
			return false, nil
		}
		newest[l.Model] = &Logged{Decision: &schemas.Decision{ID: l.Decision.ID, Epoch: l.Decision.Epoch, Seq: l.Decision.Seq}}
		return false, nil
	})
}
