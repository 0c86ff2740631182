package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
)

// Where two processes serve the same rollouts, as an old and a new one do while a deploy rolls, the one that began last decides: once it has caught up, it claims each record by writing it. The other
// one finds that at its next write, and stands by. Who stops releases its records, and who stands by takes them over then: it reads the record and the journal again, as at a start. So whichever
// is stopped, the one that is left decides, and nobody is woken unless two go on running for longer than a deploy takes. Who is killed, or hangs, releases nothing: who decides writes its records also where
// nothing happens, and one that stays as it is for silentLooks is taken over as if it had been released. Should that process live on, its next write is refused, and it stands by.
// What begins anew is the one's to begin that decides already (leaves). Where nothing was under way to be claimed, or both have given a rollout up for lost, both may journal a start of what is applied. The
// record is the claim: who writes it first, over the revision that it was read at, begins with its own start, and whoever finds the application there stands by.

const (
	// besideWithin is for how long two may run side by side before people are told.
	besideWithin = 5 * time.Minute
	// standByEvery is how often it is looked whether a record was released.
	standByEvery = 5 * time.Second
	// othersBegin is for how long one that stands by leaves a rollout that is applied to the one that decides, which may have registries to ask first.
	othersBegin = 15 * time.Second
	// aliveEvery is how long a record of which something is needed stays unwritten at most.
	aliveEvery = 20 * time.Second
	// silentLooks is how often in a row a record must have been read as it was until its writer is believed to be gone, or it is believed to be written no more: times standByEvery, aliveEvery and two appends that the journal
	// doesn't take (kafka.AppendWithin), for which its writer waits.
	silentLooks = 18
	// TakesOverAfter is about how long after its last write a process that is gone is taken over from.
	TakesOverAfter = silentLooks * standByEvery
	// mostMissed is how often in a row a record may not be there until the process that is to write it again is believed to be gone: it does so within seconds.
	mostMissed = 3
	// claimAttempts bounds how often a record is read again at the start that another process has written meanwhile: that one does so each 10 s.
	claimAttempts = 10
)

// standbys are the rollouts that another process decides for, and since when that is known.
type standbys struct {
	since  map[string]time.Time // by rollout
	seen   map[string]sighting  // likewise: of its record
	left   map[string]leftTo    // likewise: what is left to that process to begin, or was
	looked time.Time
	failed nag
}

// leftTo is an application that is left to another process, and since when.
type leftTo struct {
	application string
	since       time.Time
}

// sighting is a revision of a record, and how often in a row it was there again.
type sighting struct {
	revision uint64
	again    int
}

func newStandbys() standbys {
	return standbys{since: map[string]time.Time{}, seen: map[string]sighting{}, left: map[string]leftTo{}}
}

// silent looks at a record that another process has claimed, and reports whether that process writes it no more. It would, as long as something is needed of it; one of which nothing is any more is written by nobody,
// and is anybody's: both read it as ended then. What can't be read says nothing of it (err).
func (s *standbys) silent(name string, revision uint64, err error) bool {
	was, known := s.seen[name]
	if err != nil || !known || was.revision != revision {
		s.seen[name] = sighting{revision: revision}
		return false
	}
	was.again++
	s.seen[name] = was
	return was.again >= silentLooks
}

// standsBy notes that another process decides for a rollout.
func (c *court) standsBy(name string) {
	if _, known := c.standbys.since[name]; !known {
		c.standbys.since[name] = time.Now()
	}
}

// standsAside reports whether another process is known to decide for a rollout.
func (c *court) standsAside(name string) bool {
	_, stands := c.standbys.since[name]
	d := c.desks[name]
	return stands || d != nil && errors.Is(d.lost, bus.ErrLost)
}

// beside notes a rollout that is refused here, and of whose model another process decides: that one may have begun it.
func (c *court) beside(name, model string) {
	for _, d := range c.desks {
		if d.rollout.Model == model && errors.Is(d.lost, bus.ErrLost) && c.desks[name] == nil {
			c.standsBy(name)
		}
	}
}

// leavesTo reports whether a new epoch of a model is another process's to begin: that one decides for another rollout of the model, or this one stands by and decides for nothing.
func (c *court) leavesTo(model string) bool {
	decides := false
	for name, d := range c.desks {
		_, stands := c.standbys.since[name]
		if stands && d.rollout.Model == model {
			return true
		}
		decides = decides || !stands && d.open() && d.needed()
	}
	return !decides && len(c.standbys.since) > 0
}

// leavesToOther reports whether an application is not taken now, since another process is to begin it: it comes again until that has happened, or othersBegin is over. Then this one takes it.
func (c *court) leavesToOther(ctx context.Context, s *bus.Spec, a *Application, model string) bool {
	if !c.leavesTo(model) {
		delete(c.standbys.left, s.Rollout)
		return false
	}
	if c.standbys.left[s.Rollout].application != a.ID {
		c.standbys.left[s.Rollout] = leftTo{a.ID, time.Now()}
	}
	if time.Since(c.standbys.left[s.Rollout].since) >= othersBegin {
		return false
	}
	if head, _, err := c.bus.LoadHead(ctx, s.Rollout); err == nil && head.State.Terms.Application == a.ID {
		c.standsBy(s.Rollout)
		delete(c.standbys.left, s.Rollout) // should it come again, since its record was restored from a backup, that one has its time again
		return true
	}
	c.comesAgain(ctx, s)
	return true
}

// isBegun reports whether another process has begun an application, by its record: then this one stands by.
func (c *court) isBegun(ctx context.Context, name string, a *Application) (bool, error) {
	head, revision, err := c.bus.LoadHead(ctx, name)
	switch {
	case errors.Is(err, bus.ErrNotFound), errors.Is(err, bus.ErrUnreadable): // what that means is known where it is read back (applied)
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%w: %w", errUnasked, err)
	case head.State.Terms.Application != a.ID:
		return false, nil
	}
	c.yields(ctx, name, fmt.Errorf("begin rollout %s: revision %d of its record has begun with the same application, in epoch %d: %w", name, revision, head.State.Epoch, bus.ErrLost))
	return true, nil
}

// yields leaves a rollout to another process, which has written its record.
func (c *court) yields(ctx context.Context, name string, why error) {
	d := c.desks[name]
	if d == nil {
		if head, revision, err := c.bus.LoadHead(ctx, name); err == nil {
			d = c.opens(name, head, revision)
		}
	}
	if d == nil { // its record can't be read just now: it is when that one is stopped
		c.standsBy(name)
		c.log.Error().Err(why).Str("rollout", name).Msg(standsByText)
		return
	}
	c.lose(ctx, d, why)
}

// standsByText says in the log that another process decides.
const standsByText = "another process decides for this rollout: this one stands by, and goes on when that one is stopped; is it meant that two serve run?"

// alarms reports whether people are to hear that this process no longer decides for a rollout: at once, but for what another one has only just taken over.
func (c *court) alarms(name string) bool {
	since, stands := c.standbys.since[name]
	d := c.desks[name]
	return !stands || time.Since(since) >= besideWithin || d != nil && d.missed >= mostMissed
}

// misses counts how often in a row a record wasn't there that another process is to write.
func (c *court) misses(name string, err error) {
	d := c.desks[name]
	switch {
	case d == nil:
	case errors.Is(err, bus.ErrNotFound):
		d.missed++
	default:
		d.missed = 0
	}
}

// needed reports whether something may still be decided for a record's epoch.
func needed(h *decisions.Head) bool {
	return !finished(h) || h.State.Retired != nil || h.State.Awaits(time.Now().UnixMilli())
}

func (d *desk) needed() bool { return needed(&d.head) }

// alive writes records that nothing else has let be written for a while, so that no other process believes this one to be gone. It comes before whatever may wait for the journal.
func (c *court) alive(ctx context.Context, now time.Time) {
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; d.open() && d.needed() && now.Sub(d.savedAt) >= aliveEvery {
			c.signs(ctx, d)
			d.savedAt = now // also where it could not be written: the next time is soon enough
		}
	}
}

// claim makes this process the one that decides, for all that it has just read.
func (c *court) claim(ctx context.Context) error {
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; !d.needed() || !c.trusts(ctx, &d.head) {
			continue
		}
		c.signs(ctx, c.desks[name])
		for n := 0; n < claimAttempts && errors.Is(c.desks[name].lost, bus.ErrLost); n++ {
			if err := c.retake(ctx, name); err != nil && (olderBy(err) == nil || !c.isLostOlder(ctx, name, err)) {
				return err
			}
		}
	}
	return nil
}

// trusts reports whether this process believes what was decided for a rollout last. One with another key, whose decisions nobody may obey, takes nothing over.
func (c *court) trusts(ctx context.Context, h *decisions.Head) bool {
	if h.SubjectSeq == 0 {
		return true
	}
	last, err := c.bus.LastDecision(ctx, h.State.Terms.Model)
	return err == nil && last.Sequence >= h.SubjectSeq
}

// signs writes a record in this process's name. What keeps it from being written but another process is told by the next write.
func (c *court) signs(ctx context.Context, d *desk) {
	if d.lost != nil || !d.needed() {
		return
	}
	err := d.sign(ctx, c.bus, c.instance)
	if d.lost != nil {
		if err = c.reclaims(ctx, d, err); err == nil {
			err = d.sign(ctx, c.bus, c.instance)
		}
	}
	if d.lost != nil {
		c.lose(ctx, d, err)
	}
}

// end writes every head once more, so that a restart has less to read, and releases them.
func (c *court) end() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin/2)
	defer cancel()
	var errs []error
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; d.open() && (d.dirty || d.next > offsetOf(d.head.Offsets, d.partition)) {
			if err := d.store(ctx, c.bus, c.crash, func() {}); !errors.Is(err, bus.ErrLost) { // else another one decides, and has it
				errs = append(errs, err)
			}
		}
	}
	c.release(ctx)
	for id := range c.asking {
		c.answer(id, stoppingReply(stoppingText))
	}
	c.show()
	return errors.Join(errs...)
}

// release lets another process take over at once what this one, which stops, decides for. Where that can't be written, or another one has done it, it is left.
func (c *court) release(ctx context.Context) {
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; d.open() && (d.needed() || d.head.Writer == c.instance) {
			_ = d.sign(ctx, c.bus, "")
		}
	}
}

// sign writes the record with the name of who decides for the rollout; "": nobody does. Of an epoch that isn't folded again, since it has ended, nothing else of it changes.
func (d *desk) sign(ctx context.Context, b *bus.Bus, name string) error {
	d.instance = name
	if d.next >= offsetOf(d.head.Offsets, d.partition) {
		return d.save(ctx, b)
	}
	if d.unsettled != nil {
		if err := d.write(ctx, b, *d.unsettled); err != nil {
			return err
		}
	}
	head := d.head
	head.Writer = name
	if err := d.write(ctx, b, head); err != nil {
		return err
	}
	d.head = head
	return nil
}

// standBy takes over what another process has released, or left. A record that is gone, and that this other process doesn't write again, is nobody's: people hear of that.
func (c *court) standBy(ctx context.Context, now time.Time) {
	if now.Sub(c.standbys.looked) < standByEvery {
		return
	}
	c.standbys.looked = now
	c.givesWay(ctx)
	for _, name := range slices.Sorted(maps.Keys(c.standbys.since)) {
		head, revision, err := c.bus.LoadHead(ctx, name)
		silent := c.standbys.silent(name, revision, err)
		c.names(name, &head, err)
		c.misses(name, err)
		switch {
		case err == nil && head.Writer == c.instance && c.regained(ctx, name): // no other one's: this process wrote it, and it is back from a backup
			continue
		case err != nil || head.Writer != "" && !silent || !c.trusts(ctx, &head):
			continue
		}
		if head.Writer != "" && needed(&head) && c.standbys.seen[name].again == silentLooks {
			c.log.Warn().Str("rollout", name).Str("writer", head.Writer).Dur("silent_ms", silentLooks*standByEvery).
				Msg("the serve that decides for this rollout writes its record no more: it was killed, or hangs, and this one takes over; look what became of it")
		}
		err = c.retake(ctx, name)
		if silent && olderBy(err) != nil {
			err = c.takesOlder(ctx, name, err)
		}
		if err != nil && ctx.Err() == nil {
			if c.standbys.failed.due(err) {
				c.log.Warn().Err(err).Str("rollout", name).Msg("another serve has released this rollout, or is gone, and it can't be taken over yet: trying again; look at Kafka and NATS")
			}
			continue
		}
		c.standbys.failed.over()
	}
	c.handsOver(ctx, now)
}

// givesWay lets this process stand by for rollouts that it has lost, and of which another one has decided more since: who did what it says to do would undo that.
func (c *court) givesWay(ctx context.Context) {
	for _, name := range sortedDesks(c.desks) {
		d := c.desks[name]
		if d.lost == nil || errors.Is(d.lost, bus.ErrLost) {
			continue
		}
		head, _, err := c.bus.LoadHead(ctx, name)
		s, own := &head.State, &d.head.State
		if err != nil || head.Writer == c.instance || s.Epoch < own.Epoch || s.Epoch == own.Epoch && s.Seq <= own.Seq {
			continue
		}
		d.lost = fmt.Errorf("its record is of epoch %d and decision %d, and this one knows epoch %d and decision %d: %w", s.Epoch, s.Seq, own.Epoch, own.Seq, bus.ErrLost)
		c.standsBy(name)
		c.log.Info().Str("rollout", name).Str("writer", head.Writer).Msg("another serve has decided more for this rollout, which was lost: this one stands by, and goes on when that one is stopped")
	}
}

// retake opens a rollout's desk anew, by the record and the journal as they are now, and claims the record. Whatever comes between is taken in its turn.
func (c *court) retake(ctx context.Context, name string) error {
	head, revision, err := c.newestRecord(ctx, name)
	if err != nil {
		return err
	}
	before := c.desks[name]
	d := c.opens(name, head, revision)
	if d == nil {
		return fmt.Errorf("the record of rollout %s doesn't say where its epoch begins", name)
	}
	return c.retakes(ctx, before, d, nil)
}

// retakes does that with a desk that has just been opened in place of what this process had of it (nil: nothing). Where the decision log is ahead of its record (older; nil: it isn't), the journal is to lead to what that has.
func (c *court) retakes(ctx context.Context, before, d *desk, older error) error {
	name := d.rollout.Name
	if before != nil && before.head.State.Epoch != d.head.State.Epoch {
		c.ends(before.rollout.Model, owner{name, before.head.State.Epoch})
	}
	since, stood := c.standbys.since[name]
	delete(c.standbys.since, name)
	c.board.accept(name) // what it was refused for here is over
	if err := c.refold(ctx, d, older); err != nil {
		d.lost = fmt.Errorf("read its journal again: %w: %w", err, bus.ErrLost) // what it has is a part only
		c.standsBy(name)
		if stood { // people are told in time, however often it is tried
			c.standbys.since[name], d.lostTold = since, before != nil && before.lostTold
		}
		return err
	}
	d = c.desks[name]
	if c.signs(ctx, d); d.lost != nil {
		return nil
	}
	c.logAgain.Store(true)
	said := "this process decides for this rollout"
	if !d.needed() {
		said = "this rollout has ended, and nothing is to be decided for it: this process no longer stands by for it"
	}
	c.log.Info().Str("rollout", name).Str("model", d.rollout.Model).Msg(said)
	switch {
	case c.catching: // all is handed over at once
	case finished(&d.head):
		if d.head.State.Retired != nil && !c.isReplaced(d) {
			c.clears(ctx, d)
		}
		c.afterwards(ctx, d)
	default: // also where this process has had the desk, which stands for a record that was only looked at (yields)
		c.counts(ctx, d)
	}
	return nil
}

// refold folds what the journal has of one desk up to now. The journal's reader is somewhere before: what it brings again is passed over. A desk whose evidence the journal hasn't got is lost, and
// so is one whose record is older than the decision log (older; nil: it isn't), where the journal doesn't lead to what that has.
func (c *court) refold(ctx context.Context, d *desk, older error) error {
	if older != nil {
		if err := c.decidesAgain(ctx, d, older); err != nil {
			return err
		}
	}
	if finished(&d.head) {
		d.next = offsetOf(d.head.Offsets, d.partition)
	}
	if err := c.checkJournal(ctx, []string{d.rollout.Model}); err != nil { // first: what is folded moves on to where the record would have read
		return err
	}
	gone, err := c.lacks(ctx, d)
	if err == nil && gone == nil {
		err = c.foldAgain(ctx, d)
	}
	if err == nil {
		_, err = c.holdsAgainstJournal(ctx, d)
	}
	if err == nil {
		err = c.ledToLog(ctx, c.desks[d.rollout.Name])
	}
	return err
}

// foldAgain folds what the journal has of a desk from where that begins.
func (c *court) foldAgain(ctx context.Context, d *desk) error {
	offsets, err := c.journal.EndOffsets(ctx)
	if err != nil {
		return fmt.Errorf("read the window journal: %w", err)
	}
	if d.next >= offsets[d.partition] {
		return nil
	}
	offsets[d.partition] = d.next
	reader, err := c.journal.ReadFrom(ctx, offsets)
	if err != nil {
		return fmt.Errorf("read the window journal: %w", err)
	}
	defer reader.Close()
	for !reader.CaughtUp() {
		record, err := reader.Next(ctx)
		if err != nil {
			return fmt.Errorf("read the window journal: %w", err)
		}
		e, err := decodeEntry(&record)
		if err == nil && e.input != nil && e.input.Kind == decisions.InputApplied {
			c.begins(&record, &e)
			continue
		}
		if err != nil || e.rollout != d.rollout.Name {
			continue
		}
		if e.input != nil && e.epoch == d.head.State.Epoch && !c.catching { // else take does it
			c.overheard(e.input)
		}
		if _, err := c.take(ctx, &record); err != nil {
			return err
		}
	}
	return nil
}

// untook forgets a rollout that another process decides for, and whose file is gone.
func (c *court) untook(ctx context.Context, d *desk) {
	name := d.rollout.Name
	delete(c.desks, name)
	c.order(ctx, order{remove: name})
	c.roster.remove(name)
	c.ends(d.rollout.Model, owner{name, d.head.State.Epoch})
}
