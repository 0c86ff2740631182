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
	trust, model, known string
	recompute           bool
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
	known, err := readKnown(q.known)
	if err != nil {
		return err
	}
	x := &links{c: c, keys: keys, known: &known, last: map[string]*bus.Logged{}, signed: map[string]string{}}
	if err := b.Log(ctx, bus.LogQuery{Model: q.model}, func(l bus.Logged) error { return x.take(&l) }); err != nil {
		return err
	}
	if q.model != "" && len(x.all) == 0 && x.wrong == 0 {
		return errors.New(noDecisions(q.model))
	}
	if q.model == "" {
		known.stale(c.err)
	}
	told := verified{Type: "verified", Decisions: x.good, Wrong: x.wrong, Known: known.counted, known: known.text()}
	wrong := x.err()
	if q.recompute {
		again := &recomputation{c: c, bus: b, keys: keys, model: q.model, sums: map[string]string{}, known: x.isSigned}
		err := again.run(ctx, r, x.log())
		if wrong = also(wrong, err); !again.done {
			return wrong
		}
		told.Recomputed, told.Wrong = &again.counts, told.Wrong+again.wrong
	}
	if wrong != nil {
		told.Type = "unverified"
	}
	return cmp.Or(wrong, told.print(c))
}

// also is two errors in one sentence.
func also(a, b error) error {
	if a != nil && b != nil {
		return fmt.Errorf("%w; and %w", a, b)
	}
	return cmp.Or(a, b)
}

// links checks the signatures and the chain of a log, tells what is wrong with it, and keeps what it takes to compute its decisions again.
type links struct {
	c      *console
	keys   schemas.Trust
	known  *acknowledged
	last   map[string]*bus.Logged // by model
	good   int
	wrong  int
	signed map[string]string // the hash of the body that a trusted key has signed first, by id
	all    []serve.Published
	others []serve.Published // what no trusted key has signed: perhaps a decision whose body was changed
}

// take checks one message.
func (x *links) take(l *bus.Logged) error {
	if why := l.Verify(x.keys); why != nil {
		return x.foreign(l, wrongWith(l), why)
	}
	sum := decisions.BodySha256(l.Signed.Body)
	if x.signed[l.Decision.ID] == sum {
		return x.foreign(l, findingCopy, errors.New("it stands in the log already, and nobody obeys it twice: who may publish there has copied it"))
	}
	before := x.last[l.Model]
	if err := x.begins(before, l); err != nil {
		return err
	}
	why := follows(before, l)
	x.last[l.Model] = l
	x.signed[l.Decision.ID] = sum
	x.all = append(x.all, serve.PublishedOf(l.Decision, l.Signed.Body, l.At))
	if why != nil {
		x.wrong++
		f := findingOf(l, findingChain, why)
		return f.tell(x.c)
	}
	x.good++
	return nil
}

// begins tells of a model's log that doesn't have its beginning. Where its first decision names the one before it, NATS may have removed that by its age, and nothing is wrong. Where it
// names none, and isn't the first epoch's, nothing stood there any more when it was taken: the log was lost, or made anew.
func (x *links) begins(before, l *bus.Logged) error {
	d := l.Decision
	if before != nil || d.Epoch == 1 && d.Seq == 1 && d.Prev == nil {
		return nil
	}
	var kind serve.FindingKind
	var why string
	if d.Prev != nil {
		kind = findingBegins
		why = fmt.Sprintf("the log of model %s begins here; decision %s, which this one follows, is not in it any more. NATS removes decisions %s after they were published, and of more than %d of a model the oldest; "+
			"where neither is so, somebody has", d.Model, d.Prev.ID, schemas.FormatDuration(bus.KeepFor), bus.KeepPerSubject)
	} else {
		kind, x.wrong = findingBeginning, x.wrong+1
		why = fmt.Sprintf("the log of model %s begins here, in epoch %d, and this decision names none before it: all that came before was gone when it was taken. The stream %s was deleted, emptied or made anew, unless nothing had been "+
			"decided for %s; look for it in a backup of NATS, and who may delete there", d.Model, d.Epoch, schemas.StreamName, schemas.FormatDuration(bus.KeepFor))
	}
	f := findingOf(l, kind, errors.New(why))
	return f.tell(x.c)
}

// foreign tells of a message that nobody obeys. One that is known isn't counted.
func (x *links) foreign(l *bus.Logged, kind serve.FindingKind, why error) error {
	f := findingOf(l, kind, why)
	if !x.known.take(&f, l) {
		x.wrong++
		if l.Decision != nil {
			x.others = append(x.others, serve.PublishedOf(l.Decision, l.Signed.Body, l.At))
		}
	}
	return f.tell(x.c)
}

func findingOf(l *bus.Logged, kind serve.FindingKind, why error) aFinding {
	f := aFinding{Type: "finding", Kind: kind, Message: l.Sequence, Why: why.Error()}
	if d := l.Decision; d != nil {
		f.Rollout, f.Epoch, f.Decision = d.Rollout, d.Epoch, d.ID
	}
	return f
}

// err says how much is wrong; nil: nothing is.
func (x *links) err() error {
	if x.wrong == 0 {
		return nil
	}
	beside := ""
	if x.known.counted > 0 {
		beside = ", beside those that are known"
	}
	return fmt.Errorf("the decision log isn't what trusted keys have signed, one behind the other (findings above%s: %d; good are %d): look who may publish to %s (the NATS permissions)",
		beside, x.wrong, x.good, schemas.AllDecisions)
}

// log is what is to be computed again: of an id that a trusted key has signed only that.
func (x *links) log() []serve.Published {
	log := x.all
	for _, p := range x.others {
		if x.signed[p.ID] == "" {
			x.signed[p.ID] = p.Sha256
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
