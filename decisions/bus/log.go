package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// Logged is one decision as it stands in the log.
type Logged struct {
	Sequence uint64    // in the stream
	At       time.Time // when the server stored it
	Signed   schemas.Signed
	Decision *schemas.Decision
}

// Verify proves that a trusted key signed the exact bytes.
func (l *Logged) Verify(trust schemas.Trust) error { return trust.Verify(l.Signed) }

// LastDecision is a model's last decision; ErrNotFound where there is none. Its signature is not verified.
func (b *Bus) LastDecision(ctx context.Context, model string) (Logged, error) {
	subject, err := schemas.DecisionSubject(model)
	if err != nil {
		return Logged{}, fmt.Errorf("read last decision of model %s: %w", model, err)
	}
	message, err := b.last(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = ErrNotFound
	}
	if err != nil {
		return Logged{}, fmt.Errorf("read last decision of model %s: %w", model, err)
	}
	return logged(message.Header, message.Data, message.Sequence, message.Time)
}

func logged(header nats.Header, body []byte, sequence uint64, at time.Time) (Logged, error) {
	decision, err := schemas.DecodeDecision(body)
	if err != nil {
		return Logged{}, fmt.Errorf("stream %s, message %d: %w", schemas.StreamName, sequence, err)
	}
	// A signature that can't be read stays empty: it verifies as what it is, a bad one.
	signature, _ := schemas.DecodeSignature(header.Get(schemas.HeaderSignature))
	return Logged{
		Sequence: sequence, At: at, Decision: decision,
		Signed: schemas.Signed{Body: body, KeyID: header.Get(schemas.HeaderKeyID), Signature: signature},
	}, nil
}

// LogQuery chooses decisions.
type LogQuery struct {
	Model  string // "": all models
	Follow bool   // go on with new ones until the context ends
}

// Log calls fn with the decisions of the log in its order, until its end, or until fn fails (its error). Following, it
// goes on until the context ends (nil), also over a server that is away, or a log that is deleted and made anew: that is
// read from its beginning. A message that is no decision is an error.
func (b *Bus) Log(ctx context.Context, q LogQuery, fn func(Logged) error) error {
	subject := schemas.AllDecisions
	if q.Model != "" {
		var err error
		if subject, err = schemas.DecisionSubject(q.Model); err != nil {
			return fmt.Errorf("read decisions of model %s: %w", q.Model, err)
		}
	}
	each := func(message jetstream.Msg, sequence uint64, at time.Time) error {
		l, err := logged(message.Headers(), message.Data(), sequence, at)
		if err != nil {
			return err
		}
		return fn(l)
	}
	if q.Follow {
		return b.follow(ctx, subject, func(m jetstream.Msg, sequence uint64, at time.Time) (bool, error) {
			return false, each(m, sequence, at)
		})
	}
	end, err := b.lastSequence(ctx, subject)
	if err != nil || end == 0 {
		return err
	}
	ended := false
	err = b.read(ctx, subject, &place{next: 1}, func(m jetstream.Msg, sequence uint64, at time.Time) (bool, error) {
		ended = sequence >= end
		return ended, each(m, sequence, at)
	})
	if err == nil && !ended {
		return fmt.Errorf("read decisions at %s: %w", b.where(), ctx.Err())
	}
	return err
}

// lastSequence is the stream sequence of the last message under a subject, which may hold a wildcard; 0: there is none.
func (b *Bus) lastSequence(ctx context.Context, subject string) (uint64, error) {
	message, err := b.last(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the end of %s at %s: %w", subject, b.where(), err)
	}
	return message.Sequence, nil
}

// Decision finds a decision by its id; ErrNotFound where the log has none of it.
func (b *Bus) Decision(ctx context.Context, id string) (Logged, error) {
	found := errors.New("found")
	var out Logged
	err := b.Log(ctx, LogQuery{}, func(l Logged) error {
		if l.Decision.ID == id {
			out = l
			return found
		}
		return nil
	})
	switch {
	case errors.Is(err, found):
		return out, nil
	case err != nil:
		return Logged{}, err
	}
	return Logged{}, fmt.Errorf("decision %s: %w", id, ErrNotFound)
}

// CheckLog compares the decision log with the records of what was published to it, before anything is published: ErrLogRegressed if the
// log, or a model's part of it, ends before the last decision that a record knows of, or has another one in its place, or if a route
// document is newer than the log.
func (b *Bus) CheckLog(ctx context.Context, heads []decisions.Head) error {
	for i := range heads {
		if err := b.checkModel(ctx, &heads[i]); err != nil {
			return fmt.Errorf("check the decision log of model %s: %w", heads[i].State.Terms.Model, err)
		}
	}
	return nil
}

func (b *Bus) checkModel(ctx context.Context, h *decisions.Head) error {
	model := h.State.Terms.Model
	last, err := b.LastDecision(ctx, model)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if last.Sequence < h.SubjectSeq {
		return fmt.Errorf("it ends at message %d, the record of rollout %s knows %d: %w", last.Sequence, h.State.Terms.Rollout, h.SubjectSeq, ErrLogRegressed)
	}
	unpublished := slices.ContainsFunc(h.Outbox, func(e decisions.Entry) bool { return e.Kind == decisions.EntryDecision && !e.Published })
	if prev := h.State.Prev; prev != nil && last.Sequence == h.SubjectSeq && !unpublished && decisions.BodySha256(last.Signed.Body) != prev.Sha256 {
		return fmt.Errorf("message %d is %q, the record of rollout %s knows %q there: %w", last.Sequence, idOf(last.Decision), h.State.Terms.Rollout, prev.ID, ErrLogRegressed)
	}
	route, err := b.Route(ctx, model)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if last.Decision == nil || newer(route, last.Decision) {
		return fmt.Errorf("the route document holds %q, the log ends with %q: %w", route.ID, idOf(last.Decision), ErrLogRegressed)
	}
	return nil
}

func idOf(d *schemas.Decision) string {
	if d == nil {
		return "nothing"
	}
	return d.ID
}

// sorted are a map's files by the name of the rollout.
func sorted(specs map[string]Spec) []Spec {
	out := make([]Spec, 0, len(specs))
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		out = append(out, specs[name])
	}
	return out
}
