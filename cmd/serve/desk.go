package serve

import (
	"context"
	"errors"
	"time"

	"streamcanary/cmd/engine"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A desk is one rollout's place in stage two: its fold over the journal, and its head. The court's goroutine owns it.
type desk struct {
	application Application
	instance    string // of this process
	rollout     *schemas.Rollout
	fold        *engine.Fold
	head        decisions.Head
	revision    uint64          // of the stored head; 0: none is stored
	partition   int32           // of the journal: everything about a model stands in one
	next        int64           // offset of the next journal record to take
	stored      mark            // how far the record goes that this process has written or read last
	unsettled   *decisions.Head // a write of which nobody knows whether it was stored
	dirty       bool            // the head in memory has more than the stored one
	savedAt     time.Time
	watchAt     time.Time // when its pillars are checked again; zero: soon
	quiet       quiet
	vigil       *engine.Vigil // over who serves users once the epoch has ended; nil: it isn't kept
	shown       shown
	asked       map[string]bool // deadlines whose expiry is journaled
	foreign     int64           // parts of another plan or other partitions: of a process with another configuration
	unread      bool            // it was ruled that new partitions are not read
	started     bool            // the record that started its epoch was read, or nothing more of it is judged
	trails      error           // its record is older than the decision log, and what that has since is decided again from the journal, as it was; nil: it isn't
	lost        error           // why this process no longer decides for the rollout
	lostTold    bool            // people were told of that
	other       string          // the instance that has written its record instead, where that is known
	gaps        *gaps           // in what it reads; nil: nobody asks
	parted      bool            // it had ended, and people have deleted it
	goneAt      time.Time       // when one of its keys was found gone, where it has ended; zero: none is
	missed      int             // how often in a row its record was looked for, which another process is to write, and wasn't there
	// clock is the wall time at which an input takes effect that names none: what follows from sealed parts. Of all that is decided by them it alone isn't in the journal.
	clock func(decisions.Input) int64
}

// newDesk makes an empty desk for an epoch.
func newDesk(s start, r *schemas.Rollout, epoch int64) *desk {
	plan := engine.PlanOf(r, epoch, int64(s.Application.From))
	return &desk{
		application: s.Application, rollout: r, asked: map[string]bool{}, savedAt: time.Now(), quiet: newQuiet(time.Now(), s.Sources.Predictions),
		fold: engine.NewFold(r, &plan, s.Sources), clock: wallNow,
	}
}

// wallNow is the clock of who decides anew.
func wallNow(decisions.Input) int64 { return time.Now().UnixMilli() }

// begin opens a desk at the record that started its epoch, and takes that.
func (d *desk) begin(head decisions.Head, record *kafka.Entry, in decisions.Input) ([]decisions.Effect, error) {
	d.head, d.partition, d.next = head, record.Partition, record.Offset+1
	d.head.From = []decisions.Offset{{Partition: record.Partition, Offset: record.Offset}}
	d.started = true
	d.watchAt = time.Now().Add(watchPeriod(d.rollout.Name)) // they were checked just before
	return d.input(in)
}

// resume goes on with a head that was loaded.
func (d *desk) resume(head decisions.Head, revision uint64) {
	d.head, d.revision, d.started = head, revision, !judges(&head)
	d.partition = head.From[0].Partition
	d.next, d.stored = offsetOf(head.From, d.partition), markOf(&head, d.partition)
	d.fold.SetChain(head.DecisionsSha256)
	d.follow()
}

// answering reports whether nothing of a finished epoch is left but answers that somebody waits for. It needs no statistics, and is read on from
// where its head was stored.
func (d *desk) answering() bool {
	return finished(&d.head) && d.head.State.Awaits(time.Now().UnixMilli())
}

// open reports whether parts and inputs still change something.
func (d *desk) open() bool { return d.lost == nil && d.head.State.Epoch > 0 }

// replaying reports whether the record at an offset is already in the stored head: then only the statistics are folded again.
func (d *desk) replaying(offset int64) bool { return offset < offsetOf(d.head.Offsets, d.partition) }

func offsetOf(list []decisions.Offset, partition int32) int64 {
	for _, o := range list {
		if o.Partition == partition {
			return o.Offset
		}
	}
	return 0
}

// take folds one journal record. It returns what was decided, for the log; nothing of it is stored yet.
func (d *desk) take(offset int64, e *entry, wall time.Time) ([]decisions.Effect, error) {
	known := d.replaying(offset)
	d.next = offset + 1
	var effects []decisions.Effect
	switch {
	case e.part != nil && d.vigil != nil && d.vigil.Counts(&e.key):
		return d.serves(e, wall)
	case e.part != nil:
		switch err := d.fold.Add(e.key, e.part); {
		case errors.Is(err, windows.ErrHole): // stage one counts again what it lost, and this part with it
			d.gaps.hole(e)
			return nil, nil
		case err != nil && finished(&d.head): // of a vigil that was kept before a restart
			return nil, nil
		case err != nil:
			d.foreign++
			return nil, nil
		}
		d.gaps.filled(e)
		d.note(e, wall)
		return d.judge(known)
	case e.input != nil:
		if in := e.input; in.Kind == decisions.InputRuling && in.Ruling.Kind == decisions.RulingRelease && !in.Ruling.Idle {
			d.fold.Release(streamNamed(in.Ruling.Stream), in.Ruling.UpToMs)
		}
		if !known {
			in := *e.input
			in.EventMs = d.fold.ReachedMs()
			more, err := d.input(in)
			if err != nil {
				return nil, err
			}
			effects = more
		}
		more, err := d.judge(known)
		return append(effects, more...), err
	}
	return nil, nil
}

// judge takes every part that is due.
func (d *desk) judge(known bool) ([]decisions.Effect, error) {
	var effects []decisions.Effect
	for {
		t, due := d.fold.Next()
		if !due {
			return effects, nil
		}
		if known {
			continue
		}
		for _, in := range d.inputs(&t) {
			more, err := d.input(in)
			if err != nil {
				return nil, err
			}
			effects = append(effects, more...)
		}
	}
}

// inputs are what a turn means to the state machine. Traffic matters only while a rollback is carried out, a cache is warmed, or a promotion is to be seen that nobody may answer; a hold for want of data ends with the first
// window that has some.
func (d *desk) inputs(t *engine.Turn) []decisions.Input {
	var in []decisions.Input
	state := &d.head.State
	if t.Traffic != nil && state.Retired == nil && (state.Saga != nil || state.Warming != nil || state.Replaced != nil || state.Witnessed()) {
		in = append(in, decisions.Input{Kind: decisions.InputTraffic, EventMs: t.EventMs, Traffic: t.Traffic})
	}
	verdict := t.Verdict
	if verdict == nil && t.Traffic != nil && state.Hold.Is(string(decisions.RulingNoData)) {
		verdict = d.fold.Verdict()
	}
	if verdict != nil {
		in = append(in, decisions.Input{Kind: decisions.InputVerdict, EventMs: t.EventMs, Verdict: verdict})
	}
	return in
}

// input folds one input into the head.
func (d *desk) input(in decisions.Input) ([]decisions.Effect, error) {
	in.Read, in.Turn, in.AnswersMs = d.read(), d.fold.Turns(), d.fold.AnswersMs()
	if in.WallMs == 0 {
		in.WallMs = d.clock(in)
	}
	was, looked := d.head.State.Status, d.head.State.Retired != nil
	head, effects, err := d.head.Take(in)
	if err != nil {
		return nil, err
	}
	d.head = head
	d.dirty = d.dirty || len(effects) > 0 || head.State.Status != was || looked != (head.State.Retired != nil) || shownAtOnce(&in)
	for _, e := range effects {
		if e.Decision != nil {
			d.fold.Decided(&e.Decision.Decision)
		}
	}
	d.follow()
	return effects, nil
}

// shownAtOnce reports whether an input stands in what people look at though it has no effect: answers, and how many alerts were left out.
func shownAtOnce(in *decisions.Input) bool {
	return in.Kind == decisions.InputAck || in.Kind == decisions.InputRuling && in.Ruling.Kind == decisions.RulingTruncated
}

// read is what of the journal the epoch stands on up to now: from its start to the record that was taken last. Where a record is taken again after a
// crash, it is the same.
func (d *desk) read() []schemas.Input {
	return []schemas.Input{{Topic: JournalTopic, Partition: d.partition, From: offsetOf(d.head.From, d.partition), To: d.next - 1}}
}

// follow brings the fold in line with the head: judging begins at the commit, and stages where they were decided.
func (d *desk) follow() {
	s := &d.head.State
	if s.FromMs > 0 {
		d.fold.Begin(s.FromMs)
	}
	if s.DueMs > 0 {
		d.fold.Due(s.DueMs, s.Routed())
	}
	d.fold.Walk(s.Begun)
	d.fold.Return(s.Returns)
}

// store writes the head by compare-and-set, calls saved, and empties its outbox.
func (d *desk) store(ctx context.Context, b *bus.Bus, crash *drill, saved func()) error {
	if err := d.save(ctx, b); err != nil {
		return err
	}
	crash.pass(AfterHeadSave)
	saved()
	if len(d.head.Outbox) == 0 {
		return nil
	}
	head, err := b.Deliver(ctx, d.head)
	d.head = head
	if err != nil {
		return err
	}
	crash.pass(AfterDeliver)
	return d.save(ctx, b)
}

// save writes the head. A write whose answer was lost is first settled by writing the same bytes again, so that it is never taken
// for another process's.
func (d *desk) save(ctx context.Context, b *bus.Bus) error {
	if d.unsettled != nil {
		if err := d.write(ctx, b, *d.unsettled); err != nil {
			return err
		}
	}
	d.head.Offsets = []decisions.Offset{{Partition: d.partition, Offset: d.next}}
	d.head.Writer = d.instance
	d.head.StatsSha256, d.head.DecisionsSha256 = d.fold.PartsDigest(), d.fold.Chain()
	if err := d.write(ctx, b, d.head); err != nil {
		return err
	}
	d.dirty, d.savedAt = false, time.Now()
	return nil
}

// write stores one version of the head.
func (d *desk) write(ctx context.Context, b *bus.Bus, head decisions.Head) error {
	revision, err := b.SaveHead(ctx, head, d.revision)
	switch {
	case errors.Is(err, bus.ErrLost), errors.Is(err, bus.ErrFenced):
		d.lost = err
		return err
	case err != nil:
		d.unsettled = &head
		return err
	}
	d.revision, d.unsettled, d.stored = revision, nil, markOf(&head, d.partition)
	return nil
}
