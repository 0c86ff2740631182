package decisions

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"streamcanary/schemas"
)

// ErrFenced: another decided for this model. The one that gets it must stop deciding for the rollout, and look at the decision log.
var ErrFenced = errors.New("another instance has published a decision for this model")

// ErrOutboxFull: the outbox must be emptied (Next, Delivered) before the next input is taken.
var ErrOutboxFull = errors.New("the outbox is full: publish what it holds first")

// MaxOutboxBytes bounds what an outbox holds (Entry.size), so that a head fits into its record. How many entries that are doesn't matter: one input has as many effects as there are things to tell of, and one
// record of the journal leads to several inputs. What an outbox that holds something can't take is refused (ErrOutboxFull). An empty one takes all effects of an input, since these always fit: an
// input has at most three decisions of MaxBodyBytes each (a person's resume, a rollback by an alert and the roll-forward behind it), and beside them
//   - of a window or a commit an event for each version that is looked at (maxLeft, and the epoch's own), and one of the baseline;
//   - of a verdict one for each state of a guardrail (concerned) and for each finding in the traffic (amiss);
//   - of the model's next epoch one for each sink that has not done its step (handOn; schemas.MaxSinks), and then no decision.
//
// An event has one sentence of MaxSentence, and names of what else stands. TestOneInputFits makes the greatest of each.
const MaxOutboxBytes = 8 * MaxBodyBytes

// EntryKind says what an outbox entry publishes.
type EntryKind string

// The kinds of entries.
const (
	EntryDecision EntryKind = "decision"
	EntryNotice   EntryKind = "notice"
	EntryAgain    EntryKind = "again" // asks a decision again
)

// Entry is one thing that is decided and stored, and not yet known to be published.
type Entry struct {
	Kind EntryKind `json:"kind"`
	ID   string    `json:"id"` // of the decision or notice
	// Notice is the notice's kind.
	Notice schemas.NoticeKind `json:"notice,omitempty"`
	Body   []byte             `json:"body,omitempty"` // the exact bytes
	Routes bool               `json:"routes,omitempty"`
	// Published is true of a decision that is on the stream, and whose route is still to be written.
	Published bool `json:"published,omitempty"`
}

// size is about what an entry takes in a record, but for the encoding of its body.
func (e *Entry) size() int { return len(e.Body) + len(e.ID) + 128 }

// sizeOf is the size of entries.
func sizeOf(entries []Entry) int {
	sum := 0
	for i := range entries {
		sum += entries[i].size()
	}
	return sum
}

// Do is what the next delivery does.
type Do string

// What a delivery can do.
const (
	DoPublish Do = "publish" // the decision, to the model's subject, if Expect is its last sequence
	DoRoute   Do = "route"   // write the decision as the model's route document, unless a newer one is there
	DoAgain   Do = "again"   // ask the decision again, if it is the model's last one
	DoNotify  Do = "notify"  // publish the notice
)

// Delivery is the next thing to do for an outbox.
type Delivery struct {
	Do     Do
	Model  string
	ID     string
	Notice schemas.NoticeKind
	Body   []byte // belongs to the head: don't change it
	Expect uint64 // of DoPublish: the subject's last stream sequence
}

// Receipt is what came of a delivery. For DoPublish exactly one of Sequence and Last is set; otherwise it is empty.
type Receipt struct {
	Sequence uint64 // of the published decision
	Last     *Last  // the subject's last message, read back when it was not the expected one
}

// Last is the last message of a decision subject.
type Last struct {
	Sequence uint64
	ID       string // Nats-Msg-Id
	Sha256   string // of the body, lower-case hex
}

// Next is the next delivery; false: the outbox is empty. Deliveries must be done in this order, one at a time, each followed
// by Delivered; a head must have been stored with its entries before any of them is delivered.
func (h *Head) Next() (Delivery, bool) {
	if len(h.Outbox) == 0 {
		return Delivery{}, false
	}
	e := &h.Outbox[0]
	d := Delivery{Model: h.State.Terms.Model, ID: e.ID, Notice: e.Notice, Body: e.Body}
	switch {
	case e.Kind == EntryNotice:
		d.Do = DoNotify
	case e.Kind == EntryAgain:
		d.Do = DoAgain
	case e.Published:
		d.Do = DoRoute
	default:
		d.Do, d.Expect = DoPublish, h.SubjectSeq
	}
	return d, true
}

// Delivered returns the head after its next delivery was done. The outbox's order makes a read-back sure: a later entry of its own
// on the subject means that the earlier ones are there, too. Anything else on the subject is ErrFenced.
func (h Head) Delivered(r Receipt) (Head, error) {
	d, ok := h.Next()
	if !ok {
		return h, fmt.Errorf("deliver: the outbox of rollout %s is empty", h.State.Terms.Rollout)
	}
	h.Outbox = slices.Clone(h.Outbox)
	h.State = h.State.clone()
	if d.Do != DoPublish {
		h.Outbox = remaining(h.Outbox[1:])
		return h, nil
	}
	last := 0
	sequence := r.Sequence
	if r.Last != nil {
		last = h.own(r.Last)
		if last < 0 {
			return h, fmt.Errorf("publish decision %s of model %s: the subject's last message is %q (stream sequence %d), expected sequence %d: %w",
				d.ID, d.Model, r.Last.ID, r.Last.Sequence, d.Expect, ErrFenced)
		}
		sequence = r.Last.Sequence
	}
	h.SubjectSeq = sequence
	for i := 0; i <= last; i++ {
		if h.Outbox[i].Kind == EntryDecision {
			h.Outbox[i].Published = true
			h.State.published(h.Outbox[i].ID)
		}
	}
	h.Outbox = remaining(slices.DeleteFunc(h.Outbox, func(e Entry) bool { return e.Published && !e.Routes }))
	return h, nil
}

// remaining is nil where nothing remains, as a record that is read has it.
func remaining(entries []Entry) []Entry {
	if len(entries) == 0 {
		return nil
	}
	return entries
}

// own is the index of the outbox's decision that is the subject's last message; -1: it is none of them.
func (h *Head) own(last *Last) int {
	return slices.IndexFunc(h.Outbox, func(e Entry) bool {
		return e.Kind == EntryDecision && e.ID == last.ID && BodySha256(e.Body) == last.Sha256
	})
}

// BodySha256 is the hash of a body as Prev and Last carry it: lower-case hex.
func BodySha256(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}
