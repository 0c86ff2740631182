package serve

import (
	"context"
	"errors"
	"fmt"

	"streamcanary/cmd/engine"
	"streamcanary/decisions"
	"streamcanary/ingest/kafka"
)

// What a rollout is judged by is in the window journal, from its epoch's start on; its record says up to where that was read. Where the journal is another one, or shorter, all that comes new stands
// where the record has read already, and once the new one is longer than that it would be judged by half of its evidence. So each record is held against the journal, at a start and when it is taken over.
// Who is still judged is lost then. Who isn't, since it has ended or its rollback was decided, goes on where the journal ends.

// errJournalGone: the window journal hasn't got what a rollout is judged by.
var errJournalGone = errors.New("the window journal was made anew, emptied, or restored from an older backup")

// judges reports whether what comes of a record's epoch is still up to evidence.
func judges(h *decisions.Head) bool { return !finished(h) && h.State.Saga == nil }

// begins notes that the record which started an epoch was read: before it nothing of the epoch is taken.
func (c *court) begins(record *kafka.Entry, e *entry) {
	if d := c.desks[e.rollout]; d != nil && e.epoch == d.head.State.Epoch && record.Partition == d.partition && record.Offset == offsetOf(d.head.From, d.partition) {
		d.started = true
	}
}

// lacks says what the journal lacks of a desk's epoch; nil: nothing. The desk's record must have been read before.
func (c *court) lacks(ctx context.Context, d *desk) (why, err error) {
	starts, err := c.journal.StartOffsets(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the window journal: %w", err)
	}
	ends, err := c.journal.EndOffsets(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the window journal: %w", err)
	}
	from, upTo := offsetOf(d.head.From, d.partition), offsetOf(d.head.Offsets, d.partition)
	switch name, epoch := d.rollout.Name, d.head.State.Epoch; {
	case upTo > ends[d.partition]:
		why = fmt.Errorf("the record of rollout %s has read partition %d of %s up to offset %d, and that ends at %d: %w", name, d.partition, JournalTopic, upTo, ends[d.partition], errJournalGone)
	case !finished(&d.head) && from < starts[d.partition]:
		why = fmt.Errorf("epoch %d of rollout %s began at offset %d of partition %d of %s, and that begins at %d: %w", epoch, name, from, d.partition, JournalTopic, starts[d.partition], errJournalGone)
	}
	return why, nil
}

// holdsAgainstJournal stops deciding for a rollout whose evidence is gone, or lets it go on where there is no more to judge. It reports whether anything was wrong.
func (c *court) holdsAgainstJournal(ctx context.Context, d *desk) (wrong bool, err error) {
	why, err := c.lacks(ctx, d)
	switch {
	case err != nil || d.lost != nil:
		return false, err
	case why == nil && d.started:
		return false, nil
	case why == nil:
		why = fmt.Errorf("offset %d of partition %d of %s isn't where epoch %d of rollout %s began: %w", offsetOf(d.head.From, d.partition), d.partition, JournalTopic, d.head.State.Epoch, d.rollout.Name, errJournalGone)
	}
	if judges(&d.head) {
		c.lose(ctx, d, why)
		return true, nil
	}
	ends, err := c.journal.EndOffsets(ctx)
	if err != nil {
		return false, fmt.Errorf("read the window journal: %w", err)
	}
	c.log.Warn().Err(why).Str("rollout", d.rollout.Name).Str("model", d.rollout.Model).
		Msg("the window journal hasn't got what this rollout was judged by: since nothing more of it is judged, it goes on; an answer that came last may be missing, and its decisions can't be computed again")
	c.rebase(ctx, d, kafka.Entry{Partition: d.partition, Offset: ends[d.partition]})
	return true, nil
}

// rebase lets a rollout of which nothing more is judged go on from a place in the journal. What traffic it has is counted from its start again: what is counted now goes on behind windows that nobody has.
func (c *court) rebase(ctx context.Context, d *desk, at kafka.Entry) {
	head := d.head
	head.From = []decisions.Offset{{Partition: at.Partition, Offset: at.Offset}}
	head.Offsets = head.From
	anew := c.opens(d.rollout.Name, head, d.revision)
	if anew == nil { // it was read before
		return
	}
	anew.started, anew.next, anew.unsettled, anew.stored, anew.trails = true, at.Offset, d.unsettled, d.stored, d.trails
	if c.catching || finished(&head) {
		return
	}
	plan := engine.PlanOf(anew.rollout, head.State.Epoch, int64(anew.application.From))
	c.order(ctx, order{remove: anew.rollout.Name})
	c.order(ctx, order{set: &plan})
}

// endsAnyway reports whether a command is taken though the evidence is gone: to take the canary back needs none.
func (d *desk) endsAnyway(do decisions.CommandKind) bool {
	return errors.Is(d.lost, errJournalGone) && do == decisions.CommandRollback
}

// journalEnding journals a command that may end a rollout whose evidence is gone: from there on it goes on, since nothing more of it is judged then.
func (c *court) journalEnding(ctx context.Context, d *desk, in decisions.Input) error {
	of := owner{d.rollout.Name, d.head.State.Epoch}
	if !errors.Is(d.lost, errJournalGone) {
		return c.journalInput(ctx, d.rollout.Model, of, in)
	}
	if why := d.head.State.Refuses(in.Command, d.fold.Turns()); why != "" { // else it would be judged on by what is left
		return errors.New(why)
	}
	value, err := decisions.EncodeInput(in)
	if err != nil {
		return err
	}
	at, err := c.journal.Append(ctx, kafka.Entry{Key: []byte(d.rollout.Model), Value: value, Headers: headers(inputRecord, of.rollout, of.epoch)})
	if err != nil {
		return fmt.Errorf("%w: append to %s: %w", errUnjournaled, JournalTopic, err)
	}
	c.rebase(ctx, d, at)
	return nil
}

// journalGoneText says that the evidence is gone, and what to do.
func journalGoneText(d *desk) string {
	name := d.rollout.Name
	return fmt.Sprintf("This serve no longer decides for rollout %s%s. The window journal (Kafka topic %s) hasn't got what it is judged by. Take the canary back with `streamcanary rollout rollback %s --comment WHY`, or begin a new epoch, "+
		"which is judged anew, with `streamcanary rollout retry %s --override --comment WHY`; where there is a backup of the topic with its offsets, restore it while no serve runs, and it goes on. Look who may delete topics and records, and at the topic's retention. It is: %v",
		name, d.leaves(), JournalTopic, name, name, d.lost)
}
