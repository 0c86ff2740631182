package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// scanTimeouts is how many times Options.Timeout reading a model's whole log may take: it has up to KeepPerSubject messages.
const scanTimeouts = 6

// A Foreign is something that stands where only the judge writes and doesn't count: no trusted key has signed it, it is no decision, or it is the copy of an
// older one. It is passed over.
type Foreign struct {
	Model    string // "": its subject is no model's
	Place    string // what it stands in, for people: a subject, or a key of a bucket
	Sequence uint64 // in that
	At       time.Time
	Why      error
	Forged   bool // it has the form of a decision, and isn't garbage
	Route    bool // it stands as a route document, and not in the log
	Again    bool // of Route: it stands where decisions without routes are asked again
	Gone     bool // somebody has deleted all of the place: Sequence says when, in milliseconds
	Older    bool // of Gone: what stood there before is back in it
}

// foreign tells of something that doesn't count.
func (b *Bus) foreign(f Foreign) {
	if b.o.OnForeign != nil {
		b.o.OnForeign(f)
	}
}

// scan is a part of a model's log: from a message on.
type scan struct {
	model string
	from  uint64
	known string // hash of a body that counts, whoever signed it: one's own record says that it was published; "": none
	each  func(*Logged)
}

// tail is what was found in such a part.
type tail struct {
	last  *Logged // the newest decision that counts; nil: there is none
	end   uint64  // sequence of the last message of the subject, whatever it is; 0: there is none
	first string  // hash of the body at scan.from; "": no message of the subject stands there
}

// scan reads a part of a model's log, and calls each with the decisions that count.
func (b *Bus) scan(ctx context.Context, s scan) (tail, error) {
	var t tail
	subject, err := schemas.DecisionSubject(s.model)
	if err != nil {
		return t, err
	}
	if t.end, err = b.lastSequence(ctx, subject); err != nil || t.end < s.from {
		return t, err
	}
	ctx, cancel := context.WithTimeout(ctx, scanTimeouts*b.o.Timeout)
	defer cancel()
	ended := false
	err = b.read(ctx, subject, &place{next: s.from}, func(m jetstream.Msg, sequence uint64, at time.Time) (bool, error) {
		ended = sequence >= t.end
		l := logged(&jetstream.RawStreamMsg{Subject: subject, Sequence: sequence, Header: m.Headers(), Data: m.Data(), Time: at})
		if sequence == s.from {
			t.first = decisions.BodySha256(l.Signed.Body)
		}
		if why := b.counts(&l, &s, t.last); why != nil {
			b.foreign(Foreign{Model: s.model, Place: subject, Sequence: sequence, At: at, Why: why, Forged: l.Malformed == nil})
			return ended, nil
		}
		t.last = &l
		if s.each != nil {
			s.each(&l)
		}
		return ended, nil
	})
	if err == nil && !ended {
		err = fmt.Errorf("read %s at %s: %w", subject, b.where(), context.Cause(ctx))
	}
	return t, err
}

// counts says why a message of a model's log counts for nothing; nil: it is a decision. Behind the last one that counts, only a newer one can: what was signed once can be published again
// by anybody who may publish.
func (b *Bus) counts(l *Logged, s *scan, last *Logged) error {
	if l.Malformed != nil {
		return l.Malformed
	}
	if s.known == "" || decisions.BodySha256(l.Signed.Body) != s.known {
		if err := b.believe(l.Signed, l.Decision, s.model); err != nil {
			return err
		}
	}
	if last != nil && !newer(l.Decision, last.Decision) {
		return fmt.Errorf("decision %s stands behind %s: it is a copy, or of a process that was fenced out", l.Decision.ID, last.Decision.ID)
	}
	return nil
}

// believe says why a decision is not to be believed: a trusted key must have signed it, for this model, under the id that its rollout, epoch and seq give. Who has no
// keys believes every decision.
func (b *Bus) believe(signed schemas.Signed, d *schemas.Decision, model string) error {
	if len(b.trust.IDs()) == 0 {
		return nil
	}
	if err := b.trust.Verify(signed); err != nil {
		return err
	}
	if id, err := schemas.DecisionID(d.Rollout, d.Epoch, d.Seq); err != nil || id != d.ID {
		return fmt.Errorf("decision %q of rollout %s, epoch %d, seq %d: its id should be %q", d.ID, d.Rollout, d.Epoch, d.Seq, id)
	}
	if d.Model != model {
		return fmt.Errorf("decision %s is of model %q", d.ID, d.Model)
	}
	return nil
}

// LastDecision is a model's last decision that counts: signed by a trusted key, and newer than those before it; ErrNotFound where there is none. Whatever else stands there is passed
// over, and told to Options.OnForeign. It reads the model's whole log.
func (b *Bus) LastDecision(ctx context.Context, model string) (Logged, error) {
	return b.EachDecision(ctx, model, func(*Logged) {})
}

// EachDecision calls fn with the decisions of a model that count, in their order, and returns the last one as LastDecision does.
func (b *Bus) EachDecision(ctx context.Context, model string, fn func(*Logged)) (Logged, error) {
	t, err := b.scan(ctx, scan{model: model, from: 1, each: fn})
	if err == nil && t.last == nil {
		err = ErrNotFound
	}
	if err != nil {
		return Logged{}, fmt.Errorf("read last decision of model %s: %w", model, err)
	}
	return *t.last, nil
}
