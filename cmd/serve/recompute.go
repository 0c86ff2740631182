package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"streamcanary/decisions"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// Published is what Recompute must know of a decision in the log.
type Published struct {
	ID, Rollout string
	Model       string
	Epoch, Seq  int64
	Sha256      string // of the exact body, lower-case hex
	Person      bool   // somebody asked for it: it stands on that, and on no evidence
	Alert       bool   // an alert from outside asked for it: likewise
	Inputs      []schemas.Input
	IssuedAt    schemas.Time
	StoredAt    schemas.Time // when NATS stored it
}

// PublishedOf is what Recompute must know of a decision that was stored at a time.
func PublishedOf(d *schemas.Decision, body []byte, at time.Time) Published {
	return Published{
		ID: d.ID, Rollout: d.Rollout, Model: d.Model, Epoch: d.Epoch, Seq: d.Seq, Sha256: decisions.BodySha256(body), Person: d.Actor.Kind == "person", Alert: decisions.IsOfAlert(d),
		Inputs: d.Evidence.Inputs, IssuedAt: d.IssuedAt, StoredAt: schemas.Time(at.UnixMilli()),
	}
}

// FindingKind says in which way the decision log isn't what the window journal leads to.
type FindingKind string

// The kinds of findings. All but FindingGone and FindingBefore say that one of the two was tampered with, or that this program isn't the one that decided.
const (
	FindingDiffers     FindingKind = "differs"        // Computed is the body that the journal leads to
	FindingUnfounded   FindingKind = "unfounded"      // the journal leads to no such decision, or to none of the epoch
	FindingUnpublished FindingKind = "unpublished"    // the journal leads to it, and the log hasn't got it; Computed is set, but not of a whole epoch
	FindingTwice       FindingKind = "twice"          // of a whole epoch, which is computed: the journal has an earlier one of the same number
	FindingClock       FindingKind = "clock"          // the body is what the journal leads to, but it was issued at another time than it says
	FindingGone        FindingKind = "gone"           // of a whole epoch: the journal hasn't got what it takes, by its retention or since an older program wrote it
	FindingBefore      FindingKind = "before_journal" // of a whole epoch: its decisions were stored before the journal begins, which was made anew since
)

// Unreached reports whether a finding says only that the journal hasn't got what it takes to compute an epoch again.
func (k FindingKind) Unreached() bool { return k == FindingGone || k == FindingBefore }

// A Finding is where the decision log isn't what the window journal leads to.
type Finding struct {
	Kind     FindingKind
	Rollout  string
	Model    string // of a whole epoch that the log has nothing of
	Epoch    int64
	ID       string // "" of a whole epoch
	Why      string // one sentence
	Computed []byte // the exact body
	Program  string // that decided, by the journal
}

// Recomputed counts what became of the decisions of a log that weren't found otherwise.
type Recomputed struct {
	Same   int `json:"same"`             // the journal leads to the same bytes
	People int `json:"people"`           // of them what somebody asked for: computed from who asked for what, as the journal has it
	Alerts int `json:"alerts,omitempty"` // of them what an alert from outside asked for: computed from the alert, as the journal has it
	Gone   int `json:"gone"`             // of epochs that are FindingGone or FindingBefore
}

// clockSkew is how far apart the clocks of those that judge, of Kafka and of NATS may be. Of a decision that evidence leads to, the time at which it was issued is its
// own to say: no record of the journal has it. It is held between the record that it follows from and its storing.
const clockSkew = time.Minute

// closely says of an epoch that is older than the journal by no more than clocks differ that this proves nothing: nothing that was tampered with, and not that nothing was.
var closely = fmt.Sprintf(". It is older by no more than clocks may differ (%s), which by itself is no sign that something was tampered with; look whether the topic was made anew just then", clockSkew)

// Recompute computes every decision of a log again from the window journal, and calls found with what isn't the same, to the byte; in the order of the journal, and at the end
// what never came, and of which epochs of a model, also of one that the log doesn't name, it has nothing at all. An epoch whose beginning the journal has no more (retention), or never had (it was made anew since), is one finding, and none of its decisions is
// computed.
//
// The log must have been read before: what it holds by then stands on records that are in the journal now. Decisions that were taken meanwhile are FindingUnpublished.
func Recompute(ctx context.Context, journal *Journal, log []Published, found func(Finding) error) (Recomputed, error) {
	a := newAudit(found)
	for i := range log {
		if err := a.expect(&log[i]); err != nil {
			return a.counts, err
		}
	}
	begins, ends, err := journal.reach(ctx)
	if err != nil {
		return a.counts, err
	}
	if err := a.unreachable(begins); err != nil {
		return a.counts, err
	}
	reader, err := journal.log.ReadFrom(ctx, begins) // what it has of epochs before those of the log is to be seen, too
	if err != nil {
		return a.counts, err
	}
	defer reader.Close()
	if err := reader.Drain(ctx, func(record kafka.Entry) error { return a.take(&record) }); err != nil {
		return a.counts, err
	}
	if err = a.beyond(ends); err == nil {
		err = a.neverBegan()
	}
	if err == nil {
		err = a.missing()
	}
	return a.counts, err
}

// audit computes decisions again. One goroutine uses it.
type audit struct {
	found    func(Finding) error
	retrials map[epochKey]*retrial
	order    []*retrial           // as their first decisions stand in the log
	desks    map[string]*retrial  // those that the journal's reading is in the midst of, by model
	heard    map[modelEpoch]bool  // those of which the log has a decision, or that are among silent
	judged   map[modelEpoch]int64 // the offset of the first record of each epoch behind its start: that was heeded
	begun    map[int32]bool       // the partitions of which a record was read
	oldestMs int64                // when the oldest one of all partitions was written; 0: none was read
	cut      bool                 // a partition doesn't begin with its first record: retention has deleted what came before
	silent   []Finding            // the epochs that begin in the journal, and of which the log has nothing
	counts   Recomputed
}

func newAudit(found func(Finding) error) *audit {
	return &audit{found: found, retrials: map[epochKey]*retrial{}, desks: map[string]*retrial{}, heard: map[modelEpoch]bool{}, judged: map[modelEpoch]int64{}, begun: map[int32]bool{}}
}

type modelEpoch struct {
	model string
	epoch int64
}

type epochKey struct {
	rollout string
	epoch   int64
}

// A retrial is an epoch of a rollout: its decisions in the log, and the desk that takes them again.
type retrial struct {
	epochKey
	published map[string]*Published // by id; nil once it was computed
	ids       []string              // as published
	begins    schemas.Input         // where it began: its first record, by its decisions
	storedAt  schemas.Time          // when its first decision in the log was
	gone      bool
	older     string // that its first decision was stored before the journal begins, where that is by no more than clocks differ; "": it wasn't
	opened    bool   // its first record was found
	desk      *desk  // nil before its first record, and behind its last
	atMs      int64  // when the record that is taken now was appended
	program   string
	gaps      gaps
}

// expect takes note of a decision in the log.
func (a *audit) expect(p *Published) error {
	a.heard[modelEpoch{p.Model, p.Epoch}] = true
	key := epochKey{p.Rollout, p.Epoch}
	x := a.retrials[key]
	if x == nil {
		x = &retrial{epochKey: key, published: map[string]*Published{}, storedAt: p.StoredAt, gaps: gaps{holes: map[place]string{}}}
		a.retrials[key] = x
		a.order = append(a.order, x)
	}
	if _, twice := x.published[p.ID]; twice {
		return a.tell(x, Finding{Kind: FindingUnfounded, ID: p.ID, Why: "the log has two decisions of this id, and the journal leads to one"})
	}
	x.published[p.ID] = p
	x.ids = append(x.ids, p.ID)
	if x.begins.Topic == "" && len(p.Inputs) > 0 {
		x.begins = p.Inputs[0]
	}
	return nil
}

// unreachable gives the epochs up of which the journal hasn't got the beginning.
func (a *audit) unreachable(begins map[int32]int64) error {
	for _, x := range a.order {
		at := x.begins
		kind, why := FindingUnfounded, ""
		switch {
		case at.Topic == "":
			why = "none of its decisions in the log says where in the window journal it began"
		case at.Topic != JournalTopic:
			why = fmt.Sprintf("its decisions stand on topic %s, which isn't the window journal", at.Topic)
		case at.From < begins[at.Partition]:
			kind, why = FindingGone, fmt.Sprintf("it began at offset %d of partition %d of %s, which now begins at %d: what came before was deleted (the topic's retention.ms says after how long)",
				at.From, at.Partition, JournalTopic, begins[at.Partition])
		}
		if why == "" {
			continue
		}
		if err := a.giveUp(x, kind, why); err != nil {
			return err
		}
	}
	return nil
}

// before gives the epochs up whose decisions were stored before the first record of their partition was written: what they follow from was in another journal, where other records had these offsets.
func (a *audit) before(record *kafka.Entry) error {
	if a.begun[record.Partition] {
		return nil
	}
	a.begun[record.Partition] = true
	a.cut = a.cut || record.Offset > 0
	if a.oldestMs == 0 || record.TimeMs < a.oldestMs {
		a.oldestMs = record.TimeMs
	}
	begins := schemas.Time(record.TimeMs)
	for _, x := range a.order {
		if x.gone || x.begins.Partition != record.Partition || x.storedAt >= begins {
			continue
		}
		why := fmt.Sprintf("its first decision was stored at %s, and the window journal doesn't reach back that far: the oldest record in partition %d of %s is of %s, and offset %d, at which the epoch began, wasn't deleted by retention. "+
			"The topic was made anew in between, or this is another Kafka", x.storedAt, record.Partition, JournalTopic, begins, x.begins.From)
		if x.storedAt >= begins-schemas.Time(clockSkew.Milliseconds()) {
			x.older = why + closely // what begins in this journal after all is computed
			continue
		}
		if err := a.giveUp(x, FindingBefore, why); err != nil {
			return err
		}
	}
	return nil
}

// beyond gives the epochs up that began where the journal has nothing yet. Where that is in a partition that never had anything, and all that the others ever had was written since, the journal was made anew.
func (a *audit) beyond(ends map[int32]int64) error {
	for p, end := range ends {
		a.cut = a.cut || end > 0 && !a.begun[p]
	}
	for _, x := range a.order {
		at, end := x.begins, ends[x.begins.Partition]
		if x.gone || at.From < end {
			continue
		}
		if end == 0 && !a.cut && x.storedAt < schemas.Time(a.oldestMs) {
			why := fmt.Sprintf("its first decision was stored at %s, and the window journal doesn't reach back that far: partition %d of %s, in which the epoch began, at offset %d, is empty, and the oldest record in the others is of %s, with none deleted by "+
				"retention. The topic was made anew in between, or this is another Kafka", x.storedAt, at.Partition, JournalTopic, at.From, schemas.Time(a.oldestMs))
			if x.storedAt >= schemas.Time(a.oldestMs-clockSkew.Milliseconds()) {
				why += closely
			}
			if err := a.giveUp(x, FindingBefore, why); err != nil {
				return err
			}
			continue
		}
		if x.older != "" {
			if err := a.giveUp(x, FindingBefore, x.older); err != nil {
				return err
			}
			continue
		}
		why := fmt.Sprintf("it began at offset %d of partition %d of %s, which ends at %d: is this the Kafka that it was judged by, or was the topic made anew?", at.From, at.Partition, JournalTopic, end)
		if err := a.giveUp(x, FindingUnfounded, why); err != nil {
			return err
		}
	}
	return nil
}

// neverBegan gives the epochs up whose beginning was not found, and that are older than the journal.
func (a *audit) neverBegan() error {
	for _, x := range a.order {
		if x.gone || x.opened || x.older == "" {
			continue
		}
		if err := a.giveUp(x, FindingBefore, x.older); err != nil {
			return err
		}
	}
	return nil
}

// giveUp gives an epoch up.
func (a *audit) giveUp(x *retrial, kind FindingKind, why string) error {
	x.gone, x.desk = true, nil
	if kind.Unreached() {
		a.counts.Gone += len(x.ids)
	}
	return a.tell(x, Finding{Kind: kind, Why: why})
}

// untakable gives an epoch up at a record that can't be one that was decided by.
func (a *audit) untakable(x *retrial, record *kafka.Entry, err error) error {
	return a.giveUp(x, FindingUnfounded, fmt.Sprintf("the record at offset %d of partition %d of %s can't be taken: %v", record.Offset, record.Partition, JournalTopic, err))
}

func (a *audit) tell(x *retrial, f Finding) error {
	if f.ID != "" && f.Kind != FindingClock {
		f.Why += x.gaps.text()
	}
	f.Rollout, f.Epoch, f.Program = x.rollout, x.epoch, x.program
	return a.found(f)
}

// take takes one record of the journal, as the court does (court.take).
func (a *audit) take(record *kafka.Entry) error {
	if err := a.before(record); err != nil {
		return err
	}
	e, err := decodeEntry(record)
	if err != nil { // it is passed over, as by the court
		for _, x := range a.desks {
			if x.desk != nil && x.desk.partition == record.Partition {
				x.gaps.unreadable(record, err)
			}
		}
		return nil
	}
	if e.input != nil && e.input.Kind == decisions.InputApplied {
		return a.begin(record, &e)
	}
	if of := (modelEpoch{string(record.Key), e.epoch}); a.judged[of] == 0 {
		a.judged[of] = record.Offset
	}
	x := a.retrials[epochKey{e.rollout, e.epoch}]
	if x == nil || x.desk == nil || record.Partition != x.desk.partition {
		return nil
	}
	x.atMs = record.TimeMs
	effects, err := x.desk.take(record.Offset, &e, time.UnixMilli(record.TimeMs))
	if err != nil {
		return a.untakable(x, record, err)
	}
	return a.compare(x, effects)
}

// begin opens the desk of an epoch at the record that its decisions say that it began with: others may stand there that were never heeded (court.applied). With it, the model's epoch
// before it ends.
func (a *audit) begin(record *kafka.Entry, e *entry) error {
	a.listen(record, e)
	x := a.retrials[epochKey{e.rollout, e.epoch}]
	if x == nil || x.gone || record.Partition != x.begins.Partition || record.Offset != x.begins.From {
		return nil
	}
	if err := a.twice(x, record); err != nil {
		return err
	}
	s, r, err := startOf(record, e.input)
	switch {
	case errors.Is(err, errOlderStart):
		return a.giveUp(x, FindingGone, err.Error())
	case err != nil:
		return a.giveUp(x, FindingUnfounded, err.Error())
	}
	if before := a.desks[r.Model]; before != nil {
		before.desk = nil
	}
	a.desks[r.Model], x.opened = x, true
	x.desk, x.atMs, x.program = newDesk(s, r, e.epoch), record.TimeMs, e.input.Applied.Terms.Program
	x.desk.clock, x.desk.gaps = x.clock, &x.gaps
	effects, err := x.desk.begin(decisions.NewHead(0), record, *e.input)
	if err != nil {
		return a.untakable(x, record, err)
	}
	return a.compare(x, effects)
}

// twice tells that there was an epoch of this number before the one that begins here: starts that were never heeded may stand there, and nothing comes of them.
func (a *audit) twice(x *retrial, record *kafka.Entry) error {
	at := a.judged[modelEpoch{string(record.Key), x.epoch}]
	if at == 0 {
		return nil
	}
	return a.tell(x, Finding{Kind: FindingTwice, Why: fmt.Sprintf("the window journal has what was judged or answered in an epoch of this number and model (offset %d of partition %d of %s) before this one began (offset %d): "+
		"that one's decisions are in the log no more, and who obeyed them takes this one's for old ones; was NATS restored from an older backup?", at, record.Partition, JournalTopic, record.Offset)})
}

// listen takes note of an epoch that begins here, and of which the log has nothing: of none of the model's rollouts, as what another one was ahead of was never heeded.
func (a *audit) listen(record *kafka.Entry, e *entry) {
	model := e.input.Applied.Terms.Model
	if a.heard[modelEpoch{model, e.epoch}] {
		return
	}
	a.heard[modelEpoch{model, e.epoch}] = true
	a.silent = append(a.silent, Finding{
		Kind: FindingUnpublished, Rollout: e.rollout, Model: model, Epoch: e.epoch, Program: e.input.Applied.Terms.Program,
		Why: fmt.Sprintf("this epoch of model %s begins in the window journal (offset %d of partition %d of %s), and the log has no decision of it: they were lost or taken away, unless serve was ended just as it began",
			model, record.Offset, record.Partition, JournalTopic),
	})
}

// clock is when an input took effect that is not in the journal: where a decision follows from it, when that was issued, as it says; compare looks whether that can be. Nothing else
// depends on it.
func (x *retrial) clock(in decisions.Input) int64 {
	in.WallMs = x.atMs
	_, effects, err := x.desk.head.Take(in)
	if err != nil {
		return x.atMs // the same error comes again, to who can tell it
	}
	for _, e := range effects {
		if e.Decision == nil {
			continue
		}
		if p := x.published[e.Decision.Decision.ID]; p != nil {
			return int64(p.IssuedAt)
		}
	}
	return x.atMs
}

// compare holds what was decided against the log, and empties the outbox, as publishing does.
func (a *audit) compare(x *retrial, effects []decisions.Effect) error {
	for _, e := range effects {
		if e.Decision == nil {
			continue
		}
		if err := a.one(x, e.Decision); err != nil {
			return err
		}
	}
	for {
		if _, more := x.desk.head.Next(); !more {
			return nil
		}
		head, err := x.desk.head.Delivered(decisions.Receipt{Sequence: 1})
		if err != nil {
			return fmt.Errorf("compute rollout %s, epoch %d, again: %w", x.rollout, x.epoch, err)
		}
		x.desk.head = head
	}
}

// one holds one decision against the log. What follows is computed as if the one in the log were right, so that each difference is told once.
func (a *audit) one(x *retrial, d *decisions.Decided) error {
	id := d.Decision.ID
	p := x.published[id]
	if p == nil {
		return a.tell(x, Finding{Kind: FindingUnpublished, ID: id, Computed: d.Body, Why: "the window journal leads to this decision, and the log hasn't got it"})
	}
	x.published[id] = nil
	if decisions.BodySha256(d.Body) != p.Sha256 {
		if prev := x.desk.head.State.Prev; prev != nil && prev.ID == id {
			x.desk.head.State.Prev = &schemas.Prev{ID: id, Sha256: p.Sha256}
		}
		return a.tell(x, Finding{Kind: FindingDiffers, ID: id, Computed: d.Body, Why: "the window journal leads to another body"})
	}
	issued := time.UnixMilli(int64(p.IssuedAt))
	if issued.Before(time.UnixMilli(x.atMs).Add(-clockSkew)) || issued.After(time.UnixMilli(int64(p.StoredAt)).Add(clockSkew)) {
		return a.tell(x, Finding{Kind: FindingClock, ID: id, Why: fmt.Sprintf("it says that it was issued at %s, but what it follows from was journaled at %s, and it was stored at %s",
			p.IssuedAt, schemas.Time(x.atMs), p.StoredAt)})
	}
	a.counts.Same++
	if p.Person {
		a.counts.People++
	}
	if p.Alert {
		a.counts.Alerts++
	}
	return nil
}

// missing tells of decisions in the log that the journal never led to, and of epochs of which the log has nothing.
func (a *audit) missing() error {
	for _, f := range a.silent {
		if err := a.found(f); err != nil {
			return err
		}
	}
	for _, x := range a.order {
		if x.gone {
			continue
		}
		for _, id := range slices.DeleteFunc(x.ids, func(id string) bool { return x.published[id] == nil }) {
			if err := a.tell(x, Finding{Kind: FindingUnfounded, ID: id, Why: "the window journal, read to its end, doesn't lead to this decision"}); err != nil {
				return err
			}
		}
	}
	return nil
}
