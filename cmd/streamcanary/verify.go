package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// A verification is what `decisions verify` is asked for.
type verification struct {
	trust, model string
	recompute    bool
}

func (q *verification) run(ctx context.Context, c *console, r *reach) error {
	b, a, err := r.bus(ctx, c)
	if err != nil {
		return err
	}
	defer b.Close()
	keys, err := readTrust(cmp.Or(q.trust, a.Trust))
	if err != nil {
		return err
	}
	x := &links{c: c, keys: keys, last: map[string]*bus.Logged{}, signed: map[string]bool{}}
	if err := b.Log(ctx, bus.LogQuery{Model: q.model}, func(l bus.Logged) error { return x.take(&l) }); err != nil {
		return err
	}
	if q.model != "" && len(x.all) == 0 && x.wrong == 0 {
		return errors.New(noDecisions(q.model))
	}
	told := verified{Type: "verified", Decisions: x.good}
	wrong := x.err()
	if q.recompute {
		counts, err := (&recomputation{c: c, bus: b, keys: keys, sums: map[string]string{}, known: x.isSigned}).run(ctx, r, x.log())
		if err != nil && wrong != nil {
			return fmt.Errorf("%w; and %w", wrong, err)
		}
		wrong = errors.Join(wrong, err)
		told.Recomputed = &counts
	}
	if wrong != nil {
		return wrong
	}
	return told.print(c)
}

// links checks the signatures and the chain of a log, tells what is wrong with it, and keeps what it takes to compute its decisions again.
type links struct {
	c      *console
	keys   schemas.Trust
	last   map[string]*bus.Logged // by model
	good   int
	wrong  int
	signed map[string]bool // ids that a trusted key has signed
	all    []serve.Published
	others []serve.Published // what no trusted key has signed: perhaps a decision whose body was changed
}

// take checks one message.
func (x *links) take(l *bus.Logged) error {
	if why := l.Verify(x.keys); why != nil {
		if l.Decision != nil {
			x.others = append(x.others, serve.PublishedOf(l.Decision, l.Signed.Body, l.At))
		}
		return x.tell(l, wrongWith(l), why)
	}
	why := follows(x.last[l.Model], l)
	x.last[l.Model] = l
	x.signed[l.Decision.ID] = true
	x.all = append(x.all, serve.PublishedOf(l.Decision, l.Signed.Body, l.At))
	if why != nil {
		return x.tell(l, findingChain, why)
	}
	x.good++
	return nil
}

func (x *links) tell(l *bus.Logged, kind serve.FindingKind, why error) error {
	x.wrong++
	f := aFinding{Type: "finding", Kind: kind, Message: l.Sequence, Why: why.Error()}
	if d := l.Decision; d != nil {
		f.Rollout, f.Epoch, f.Decision = d.Rollout, d.Epoch, d.ID
	}
	return f.tell(x.c)
}

// err says how much is wrong; nil: nothing is.
func (x *links) err() error {
	if x.wrong == 0 {
		return nil
	}
	return fmt.Errorf("the decision log isn't what trusted keys have signed, one behind the other (findings above: %d; good are %d): look who may publish to %s (the NATS permissions)",
		x.wrong, x.good, schemas.AllDecisions)
}

// log is what is to be computed again: of an id that a trusted key has signed only that.
func (x *links) log() []serve.Published {
	log := x.all
	for _, p := range x.others {
		if !x.signed[p.ID] {
			x.signed[p.ID] = true
			log = append(log, p)
		}
	}
	return log
}

// isSigned reports whether a trusted key has signed the decision that a finding is about, or any of the epoch that it is about. What none has signed is told already.
func (x *links) isSigned(f *serve.Finding) bool {
	return slices.ContainsFunc(x.all, func(p serve.Published) bool {
		return p.Rollout == f.Rollout && p.Epoch == f.Epoch && (f.ID == "" || p.ID == f.ID)
	})
}

// follows says why a decision doesn't follow the model's one before it; nil: it does. The log may begin later than the model did.
func follows(before, l *bus.Logged) error {
	if before == nil {
		return nil
	}
	d := l.Decision
	want := decisions.BodySha256(before.Signed.Body)
	if d.Prev == nil || d.Prev.ID != before.Decision.ID || d.Prev.Sha256 != want {
		return fmt.Errorf("it (%s %d.%d) doesn't follow %s: the chain is broken", d.Model, d.Epoch, d.Seq, before.Decision.ID)
	}
	if d.Epoch < before.Decision.Epoch || d.Epoch == before.Decision.Epoch && d.Seq != before.Decision.Seq+1 {
		return fmt.Errorf("it is numbered %d.%d after %d.%d", d.Epoch, d.Seq, before.Decision.Epoch, before.Decision.Seq)
	}
	return nil
}
