package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// Logged is one message of the log: a decision as it stands there, or what somebody else wrote.
type Logged struct {
	Sequence uint64    // in the stream
	At       time.Time // when the server stored it
	Model    string    // by the subject
	Signed   schemas.Signed
	Decision *schemas.Decision // nil: the message is no decision
	// Malformed says why the message is no decision.
	Malformed error
}

// Verify proves that a trusted key signed the exact bytes, and that they are a decision of the subject's model.
func (l *Logged) Verify(trust schemas.Trust) error {
	switch {
	case l.Malformed != nil:
		return l.Malformed
	case l.Decision.Model != l.Model:
		return fmt.Errorf("decision %s of model %q stands on the subject of model %q", l.Decision.ID, l.Decision.Model, l.Model)
	}
	return trust.Verify(l.Signed)
}

func logged(m *jetstream.RawStreamMsg) Logged {
	// A signature that can't be read stays empty: it verifies as what it is, a bad one.
	signature, _ := schemas.DecodeSignature(m.Header.Get(schemas.HeaderSignature))
	l := Logged{Sequence: m.Sequence, At: m.Time, Signed: schemas.Signed{Body: m.Data, KeyID: m.Header.Get(schemas.HeaderKeyID), Signature: signature}}
	names, err := schemas.SubjectNames(m.Subject)
	if err == nil && len(names) == 1 {
		l.Model = names[0]
	}
	if l.Decision, err = schemas.DecodeDecision(m.Data); err != nil {
		l.Malformed = fmt.Errorf("stream %s, message %d: %w", schemas.StreamName, m.Sequence, err)
	}
	return l
}

// LogQuery chooses decisions.
type LogQuery struct {
	Model  string // "": all models
	Follow bool   // go on with new ones until the context ends
}

// Log calls fn with the decisions of the log in its order, until its end, or until fn fails (its error). Following, it
// goes on until the context ends (nil), also over a server that is away, or a log that is deleted and made anew: that is
// read from its beginning. It verifies nothing: what somebody else wrote there comes, too, and of what is no decision Logged.Malformed says why.
func (b *Bus) Log(ctx context.Context, q LogQuery, fn func(Logged) error) error {
	subject := schemas.AllDecisions
	if q.Model != "" {
		var err error
		if subject, err = schemas.DecisionSubject(q.Model); err != nil {
			return fmt.Errorf("read decisions of model %s: %w", q.Model, err)
		}
	}
	each := func(message jetstream.Msg, sequence uint64, at time.Time) error {
		return fn(logged(&jetstream.RawStreamMsg{Subject: message.Subject(), Sequence: sequence, Header: message.Headers(), Data: message.Data(), Time: at}))
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

// Decision finds a decision by its id; ErrNotFound where the log has none of it. Its signature is not verified.
func (b *Bus) Decision(ctx context.Context, id string) (Logged, error) {
	return b.Find(ctx, id, func(*Logged) bool { return true })
}

// Find finds the first decision of an id that is wanted; ErrNotFound where the log has none.
func (b *Bus) Find(ctx context.Context, id string, wanted func(*Logged) bool) (Logged, error) {
	found := errors.New("found")
	var out Logged
	err := b.Log(ctx, LogQuery{}, func(l Logged) error {
		if l.Decision != nil && l.Decision.ID == id && wanted(&l) {
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

// Ahead is the error of a record that is older than the decision log, as where it was restored from a backup: a record is stored before what it decides is published, so the log never has more.
type Ahead struct {
	Rollout    string // whose record it is
	Epoch, Seq int64  // what that ends with
	// Last is the newest decision of the model, Route the one in its route document; nil: there is none.
	Last, Route *schemas.Decision
}

// Error says what the record ends with, and the log.
func (a *Ahead) Error() string {
	return fmt.Sprintf("the record of rollout %s ends with epoch %d and decision %d, and the decision log has %s since", a.Rollout, a.Epoch, a.Seq, a.Last.ID)
}

// CheckLog compares the decision log with the records of what was published to it, before anything is published: ErrLogRegressed if the
// log, or a model's part of it, ends before the last decision that a record knows of, or has another one in its place, or if a route
// document is newer than the log; Ahead if the log has a later decision of the record's rollout, or a later epoch of the model while the record's is under way.
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
	known, published := publishedLast(h)
	ahead := false
	t, err := b.scan(ctx, scan{model: model, from: max(h.SubjectSeq, 1), known: known, each: func(l *Logged) { ahead = ahead || isAhead(l.Decision, h) }})
	if err != nil {
		return err
	}
	if t.end < h.SubjectSeq {
		return fmt.Errorf("it ends with %s (message %d), the record of rollout %s knows %s (message %d): %w",
			b.lastID(ctx, model), t.end, h.State.Terms.Rollout, publishedID(h), h.SubjectSeq, ErrLogRegressed)
	}
	if published && h.SubjectSeq > 0 && t.first != "" && t.first != known {
		return fmt.Errorf("message %d isn't what the record of rollout %s knows there, %q: %w", h.SubjectSeq, h.State.Terms.Rollout, h.State.Prev.ID, ErrLogRegressed)
	}
	if t.last == nil && t.end > h.SubjectSeq && h.SubjectSeq > 0 {
		return nil // what the record knows of has gone by the stream's limits, behind what others wrote
	}
	route, err := b.Route(ctx, model)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	var last *schemas.Decision
	if t.last != nil {
		last = t.last.Decision
	}
	if route != nil && (last == nil || newer(route, last)) {
		return fmt.Errorf("the route document holds %q, the log ends with %q: %w", route.ID, idOf(last), ErrLogRegressed)
	}
	if ahead {
		return &Ahead{Rollout: h.State.Terms.Rollout, Epoch: h.State.Epoch, Seq: h.State.Seq, Last: last, Route: route}
	}
	return nil
}

// isAhead reports whether a decision of the log comes after all that a record has: of its rollout, or of another one that began while the record has its own under way, though it has published something.
func isAhead(d *schemas.Decision, h *decisions.Head) bool {
	s := &h.State
	switch {
	case s.Epoch == 0: // nothing has begun
		return false
	case d.Rollout == s.Terms.Rollout:
		return d.Epoch > s.Epoch || d.Epoch == s.Epoch && d.Seq > s.Seq
	}
	unpublished := int64(0)
	for _, e := range h.Outbox {
		if e.Kind == decisions.EntryDecision && !e.Published {
			unpublished++
		}
	}
	return d.Epoch > s.Epoch && !s.Status.Ended() && s.Seq > unpublished
}

// lastID names a model's last decision for people, as far as it can be read.
func (b *Bus) lastID(ctx context.Context, model string) string {
	last, err := b.LastDecision(ctx, model)
	switch {
	case errors.Is(err, ErrNotFound):
		return "nothing"
	case err != nil:
		return "what can't be read"
	}
	return last.Decision.ID
}

// publishedID names the decision at Head.SubjectSeq for people, as far as the record knows it.
func publishedID(h *decisions.Head) string {
	prev := h.State.Prev
	for _, e := range h.Outbox {
		if e.Kind == decisions.EntryDecision && !e.Published {
			d, err := schemas.DecodeDecision(e.Body)
			if err != nil {
				return "another"
			}
			prev = d.Prev
			break
		}
	}
	if prev == nil {
		return "another"
	}
	return prev.ID
}

// publishedLast is the hash of the decision at Head.SubjectSeq, as far as the record knows it; true: all that was decided is published.
func publishedLast(h *decisions.Head) (sha string, all bool) {
	for _, e := range h.Outbox {
		if e.Kind == decisions.EntryDecision && !e.Published {
			return prevOf(e.Body), false
		}
	}
	if h.State.Prev == nil {
		return "", false
	}
	return h.State.Prev.Sha256, true
}

// prevOf is the hash of the decision before one; "": there is none.
func prevOf(body []byte) string {
	if d, err := schemas.DecodeDecision(body); err == nil && d.Prev != nil {
		return d.Prev.Sha256
	}
	return ""
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
