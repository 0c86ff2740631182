package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// lives notes an epoch of a model: answers to it are its rollout's.
func (c *court) lives(model string, of owner) {
	c.models.Store(life{model, of.epoch}, of.rollout)
	if now, known := c.newest.Load(model); !known || now.(owner).epoch <= of.epoch {
		c.newest.Store(model, of)
	}
}

// ends forgets one.
func (c *court) ends(model string, of owner) {
	c.models.Delete(life{model, of.epoch})
	c.newest.CompareAndDelete(model, of)
}

// ack journals a subscriber's answer. It is called from the intake's goroutine, once the court is opened.
func (c *court) ack(ctx context.Context, m bus.AckMessage) error {
	rollout, judged := c.models.Load(life{m.Model, m.Ack.Epoch})
	if !judged {
		return c.strayed(ctx, &m)
	}
	return c.journalAck(ctx, &m, owner{rollout.(string), m.Ack.Epoch})
}

// journalAck brings an answer to the epoch that it is for.
func (c *court) journalAck(ctx context.Context, m *bus.AckMessage, of owner) error {
	c.crash.pass(BeforeAckAppend)
	in := decisions.Input{Kind: decisions.InputAck, WallMs: m.At.UnixMilli(), Ack: &m.Ack}
	if err := c.journalInput(ctx, m.Model, of, in); err != nil {
		c.ackWaits(ctx, m, "an ack waits for the window journal, and comes again; look at Kafka (its disk, ACLs, the topic's settings)", err)
		return err
	}
	c.crash.pass(AfterAckAppend)
	c.seen.acked(&m.Ack)
	return nil
}

// ackWaits says in the log, once in a while, why an answer comes again.
func (c *court) ackWaits(ctx context.Context, m *bus.AckMessage, said string, err error) {
	if ctx.Err() == nil && c.unacked.due(err) {
		c.log.Warn().Err(err).Str("model", m.Model).Str("consumer", m.Ack.Consumer).Msg(said)
	}
}

// recordTries is how often an answer comes, a second apart, to a process that can't read the record which would say whose it is: one that a newer version wrote, that one takes meanwhile. After that
// it is taken for a stray one, so that nobody who may acknowledge fills the intake with what is never taken.
const recordTries = 60

// begunBeside is the epoch that another process has begun of a rollout of an answer's model, by its record: processes that run side by side share the answers among them, and not what they
// know. None: the zero value.
func (c *court) begunBeside(ctx context.Context, m *bus.AckMessage, rollout string) (owner, error) {
	head, _, err := c.bus.LoadHead(ctx, rollout)
	switch {
	case errors.Is(err, bus.ErrNotFound), err != nil && m.Tries >= recordTries:
		return owner{}, nil
	case err != nil:
		c.ackWaits(ctx, m, "an ack waits until the record of its rollout can be read, or another serve takes it, and comes again; look at NATS (its connection, permissions), or at who wrote that record", err)
		return owner{}, err
	case head.State.Terms.Model != m.Model || head.Writer == c.instance:
		return owner{}, nil
	}
	return owner{rollout, head.State.Epoch}, nil
}

// rolloutNamed is the rollout that an answer names; "": none.
func rolloutNamed(a *schemas.Ack) string {
	token, _, _ := strings.Cut(a.Decision, ".")
	rollout, err := schemas.DecodeName(token)
	if err != nil {
		return ""
	}
	return rollout
}

// mostStretches bounds the consumers of which it is kept when something was said of them: whoever may acknowledge can make up names.
const mostStretches = 1000

// stretches keep what comes again and again from being said each time: it is due when it is new, or was said nagEvery ago. One goroutine uses them.
type stretches struct{ said map[string]time.Time }

// due reports whether something is to be said of a key now. Beyond the bound nothing new is, until what is kept is old.
func (s *stretches) due(key string, now time.Time) bool {
	old := func(_ string, said time.Time) bool { return now.Sub(said) >= nagEvery }
	if said, known := s.said[key]; known && !old(key, said) {
		return false
	}
	if len(s.said) >= mostStretches {
		maps.DeleteFunc(s.said, old)
	}
	if len(s.said) >= mostStretches {
		return false
	}
	if s.said == nil {
		s.said = map[string]time.Time{}
	}
	s.said[key] = now
	return true
}

// strayed takes an answer to an epoch that isn't under way here. One to an epoch that another process has begun is brought to that. Every other one is counted, and told to the epoch that is
// under way, once in a while for each consumer: who asks why somebody doesn't answer must hear that it does, to something else. It is called from the intake's goroutine.
func (c *court) strayed(ctx context.Context, m *bus.AckMessage) error {
	var of owner // none
	if now, known := c.newest.Load(m.Model); known {
		of = now.(owner)
	}
	if named := rolloutNamed(&m.Ack); named != "" && m.Ack.Epoch > of.epoch {
		beside, err := c.begunBeside(ctx, m, named)
		switch {
		case err != nil:
			return err
		case beside.epoch == m.Ack.Epoch:
			return c.journalAck(ctx, m, beside)
		case beside.epoch > of.epoch:
			of = beside
		}
	}
	if of.epoch == 0 {
		c.seen.unheeded(decisions.UnheededModel)
		return nil
	}
	why := decisions.UnheededOlder
	if m.Ack.Epoch > of.epoch {
		why = decisions.UnheededNewer
	}
	key, said := strayKey(m.Model, &m.Ack, of), c.saidOf(m.Ack.Consumer, of)
	if !said.due(key, time.Now()) {
		c.seen.unheeded(why)
		return nil // that is known
	}
	if beside, err := c.begunBeside(ctx, m, of.rollout); err == nil && beside.epoch > of.epoch {
		of = beside // what is known here is over
	}
	if err := c.journalInput(ctx, m.Model, of, decisions.Input{Kind: decisions.InputAck, WallMs: m.At.UnixMilli(), Ack: &m.Ack}); err != nil {
		delete(said.said, key) // it comes again
		return err
	}
	c.seen.unheeded(why)
	return nil
}

// strayKey is for what is told once in a while: that somebody answers to another epoch than the one that is under way. All that are still to come are one: whoever may acknowledge can make them up.
func strayKey(model string, a *schemas.Ack, now owner) string {
	return fmt.Sprint(model, "/", a.Consumer, "/", min(a.Epoch, now.epoch+1), "/", now.epoch)
}

// saidOf is where it is kept that something was said of a consumer: those whom the rollout asks by name have a place of their own, however many others answer.
func (c *court) saidOf(consumer string, of owner) *stretches {
	r := c.roster.find(of.rollout)
	if r != nil && (slices.Contains(r.Acks.Routers, consumer) || slices.Contains(r.State.Stores, consumer)) {
		return &c.strays
	}
	return &c.crowd
}

// outlived takes an answer to an epoch whose record is there, though a later one of the model has begun. Where nobody waits for it there it is counted, and where that one does wait for
// whoever gives it, told to that one. Which of the two came first, it and the beginning of the later one, is the order in the journal, also where that is folded again.
func (c *court) outlived(ctx context.Context, d *desk, offset int64, in *decisions.Input) {
	s, a, model := &d.head.State, in.Ack, d.rollout.Model
	now, known := c.newest.Load(model)
	why := s.Unheeded(a)
	if !known || now.(owner).epoch <= s.Epoch || a.Epoch != s.Epoch || !s.Outlived(a) || why == decisions.UnheededFuture || why == decisions.UnheededDecision {
		return
	}
	of := now.(owner)
	key, later := strayKey(model, a, of), c.desks[of.rollout]
	begun := later != nil && later.open() && later.head.State.Epoch == of.epoch
	if begun && offset < offsetOf(later.head.From, later.partition) {
		return
	}
	if why == "" { // else it is counted as that
		c.seen.unheeded(decisions.UnheededOlder)
	}
	if !begun || !later.head.State.Misses(a.Consumer) || !c.behind.due(key, time.Now()) {
		return
	}
	if err := c.journalInput(ctx, model, of, decisions.Input{Kind: decisions.InputAck, WallMs: in.WallMs, Ack: a}); err != nil {
		delete(c.behind.said, key) // with its next answer
		if c.unwritten.due(err) {
			c.log.Warn().Err(err).Str("model", model).Str("consumer", a.Consumer).Msg("that somebody answers to an earlier epoch can't be noted; look at Kafka (its disk, ACLs, the topic's settings)")
		}
	}
}

// outrun counts an answer to an epoch after which its rollout's next one began before it was folded.
func (c *court) outrun(d *desk, record *kafka.Entry, e *entry) {
	if d != nil && e.input != nil && e.input.Ack != nil && e.epoch < d.head.State.Epoch && record.Partition == d.partition && !d.replaying(record.Offset) {
		c.seen.unheeded(decisions.UnheededOlder)
	}
}

// heeded counts an answer that counts for nothing, and says so once in a while where it is of somebody who is asked, to what was never decided.
func (c *court) heeded(d *desk, a *schemas.Ack) {
	s := &d.head.State
	if a.Epoch < s.Epoch { // counted, and shown where it is waited for
		return
	}
	why := decisions.UnheededNewer
	if a.Epoch == s.Epoch {
		if why = s.Unheeded(a); why == "" {
			return
		}
		c.seen.unheeded(why)
	}
	if why == decisions.UnheededStranger || !s.Terms.Asks(a.Consumer) || !c.unheard.due(fmt.Sprint(d.rollout.Name, "/", a.Consumer), time.Now()) {
		return
	}
	c.log.Warn().Str("model", d.rollout.Model).Str("rollout", d.rollout.Name).Str("consumer", a.Consumer).Str("decision", a.Decision).Int64("epoch", a.Epoch).Int64("seq", a.Seq).
		Str("status", string(a.Status)).Str("reason", string(why)).Str("last", s.Prev.ID).
		Msg("somebody answers to a decision that was never made here, which counts for nothing: does it hear another installation, or does somebody else answer in its name? Look at its NATS, its trusted keys and who may acknowledge")
}
