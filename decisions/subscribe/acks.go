package subscribe

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// MaxUnsent bounds the acks of a model that wait for a connection; beyond it the oldest is dropped, and OnError hears of it.
const MaxUnsent = 16

// maxWhy bounds a reason, in bytes.
const maxWhy = 256

// answer is what is acknowledged.
type answer struct {
	status   schemas.AckStatus
	why      string
	snapshot string
}

// done is the answer for a decision that was carried out.
func done(d *schemas.Decision, snapshot string) answer {
	switch {
	case d.Mode != schemas.Enforce:
		return answer{status: schemas.AckReceived}
	case d.Phase == schemas.PhasePrepare:
		return answer{status: schemas.AckPrepared, snapshot: snapshot}
	}
	return answer{status: schemas.AckApplied}
}

// answer acknowledges a decision, now or as soon as the connection allows.
func (f *follower) answer(ctx context.Context, d *schemas.Decision, a answer) {
	if a.status == schemas.AckRejected && a.why != schemas.WhyStaleEpoch && a.why != schemas.WhyIncompatibleState && a.why != schemas.WhyCapacity {
		a.why = schemas.WhyPolicy
	}
	if len(f.unsent) == MaxUnsent {
		f.o.OnError(fmt.Errorf("model %s: ack %s of decision %s could not be sent and is dropped", f.model, f.unsent[0].Status, f.unsent[0].Decision))
		f.unsent = f.unsent[1:]
	}
	f.unsent = append(f.unsent, schemas.Ack{
		Decision: d.ID, Epoch: d.Epoch, Seq: d.Seq, Consumer: f.o.Consumer, Instance: f.o.Instance,
		Status: a.status, Why: clip(a.why), Snapshot: a.snapshot, At: schemas.Time(time.Now().UnixMilli()),
	})
	f.sendAcks(ctx)
}

// sendAcks sends what waits, in order; what can't be sent waits on.
func (f *follower) sendAcks(ctx context.Context) {
	for len(f.unsent) > 0 {
		if err := f.send(ctx, &f.unsent[0]); err != nil {
			if ctx.Err() == nil {
				f.o.OnError(fmt.Errorf("model %s: ack %s of decision %s waits: %w", f.model, f.unsent[0].Status, f.unsent[0].Decision, err))
			}
			return
		}
		f.unsent = f.unsent[1:]
	}
}

// send publishes one ack. Its id makes a repetition within the stream's window of duplicates one ack.
func (f *follower) send(ctx context.Context, a *schemas.Ack) error {
	subject, err := schemas.AckSubject(f.model, a.Consumer)
	if err != nil {
		return err
	}
	body, err := schemas.EncodeAck(a)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.o.Timeout)
	defer cancel()
	_, err = f.js.Publish(ctx, subject, body, jetstream.WithMsgID(a.MessageID()))
	return err
}

// clip cuts a reason at its bound.
func clip(why string) string { return strings.ToValidUTF8(why[:min(len(why), maxWhy)], "") }
