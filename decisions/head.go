package decisions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"streamcanary/schemas"
)

// HeadVersion is the version of the encoded head. A head of another version is refused.
const HeadVersion = 1

// MaxHeadBytes bounds an encoded head; MaxOffsets the journal partitions in it.
const (
	MaxHeadBytes = 900 << 10
	MaxOffsets   = 256
)

// ErrHeadTooLarge: a head would not fit into its record.
var ErrHeadTooLarge = errors.New("the rollout's record is too large")

// Head is the record of a rollout: one value that is written by compare-and-set, so that a decision, the journal offsets
// that it stands on, and the outbox that publishes it change together. It is a value: its methods never change it.
type Head struct {
	Version int   `json:"version"`
	State   State `json:"state"`
	// Offsets is the next offset to read, per partition of the window journal, ascending: everything before is in State.
	Offsets []Offset `json:"offsets"`
	// From is where the folding of the epoch's statistics begins.
	From []Offset `json:"from"`
	// Outbox is what was decided and is not yet known to be published, in order.
	Outbox []Entry `json:"outbox,omitempty"`
	// SubjectSeq is the stream sequence of the model's last decision; 0: there was none.
	SubjectSeq uint64 `json:"subject_seq"`
	// StatsSha256 is the hash of the statistics (their canonical bytes) at Offsets; "" where none was taken.
	StatsSha256 string `json:"stats_sha256,omitempty"`
	// Applied is the request that started the epoch, as it came: what a restart goes on with, whatever was asked for since.
	Applied []byte `json:"applied,omitempty"`
	// DecisionsSha256 is the hash chain over the epoch's decisions (AppendDigest), for the digest; "" before the first.
	DecisionsSha256 string `json:"decisions_sha256,omitempty"`
	// Writer is the instance that wrote the record: it makes the bytes of two instances differ, so that one of them loses.
	Writer string `json:"writer,omitempty"`
}

// Offset is a place in one partition of the window journal.
type Offset struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

// NewHead is the record of a rollout that was never applied, for a model whose last decision has this stream sequence (0: none).
func NewHead(subjectSeq uint64) Head { return Head{Version: HeadVersion, SubjectSeq: subjectSeq} }

// Take folds an input into the head's state and puts what follows into the outbox. The effects are for logs and people: what they
// publish is in the outbox. Nothing may be delivered before the returned head is stored.
func (h Head) Take(in Input) (Head, []Effect, error) {
	if err := in.check(); err != nil {
		return h, nil, fmt.Errorf("take input of rollout %s: %w", h.State.Terms.Rollout, err)
	}
	state, effects := Step(h.State, in)
	outbox := slices.Clone(h.Outbox)
	for _, e := range effects {
		entry, err := entryOf(e)
		if err != nil {
			return h, nil, err
		}
		outbox = append(outbox, entry)
	}
	if len(h.Outbox) > 0 && sizeOf(outbox) > MaxOutboxBytes {
		return h, nil, fmt.Errorf("take input %s of rollout %s: %w", in.Kind, h.State.Terms.Rollout, ErrOutboxFull)
	}
	h.State, h.Outbox = state, outbox
	return h, effects, nil
}

func entryOf(e Effect) (Entry, error) {
	switch {
	case e.Decision != nil:
		return Entry{Kind: EntryDecision, ID: e.Decision.Decision.ID, Body: e.Decision.Body, Routes: e.Decision.Routes}, nil
	case e.Notice != nil:
		body, err := schemas.EncodeNotice(e.Notice)
		if err != nil {
			return Entry{}, fmt.Errorf("encode event %s: %w", e.Notice.ID, err)
		}
		return Entry{Kind: EntryNotice, ID: e.Notice.ID, Notice: e.Notice.Kind, Body: body}, nil
	}
	return Entry{Kind: EntryAgain, ID: e.Again}, nil
}

// EncodeHead returns the record's bytes: versioned JSON. It refuses what DecodeHead would.
func EncodeHead(h Head) ([]byte, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("encode record of rollout %s: %w", h.State.Terms.Rollout, err)
	}
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode record of rollout %s: %w", h.State.Terms.Rollout, err)
	}
	if len(b) > MaxHeadBytes {
		return nil, fmt.Errorf("encode record of rollout %s: %d bytes, at most %d: %w", h.State.Terms.Rollout, len(b), MaxHeadBytes, ErrHeadTooLarge)
	}
	return b, nil
}

// DecodeHead reads what EncodeHead wrote. A record of another version, with an unknown field, or malformed in any way is an error:
// guessing here could decide twice.
func DecodeHead(b []byte) (Head, error) {
	var version struct {
		Version int `json:"version"`
	}
	if len(b) > MaxHeadBytes {
		return Head{}, fmt.Errorf("decode record: %d bytes: %w", len(b), ErrHeadTooLarge)
	}
	if err := json.Unmarshal(b, &version); err != nil {
		return Head{}, fmt.Errorf("decode record: %w", err)
	}
	if version.Version != HeadVersion {
		return Head{}, fmt.Errorf("decode record: version %d, this program reads version %d: run the program that wrote it, or a newer one", version.Version, HeadVersion)
	}
	var h Head
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return Head{}, fmt.Errorf("decode record: %w", err)
	}
	if err := h.check(); err != nil {
		return Head{}, fmt.Errorf("decode record: %w", err)
	}
	return h, nil
}

// check holds a head to its bounds.
func (h *Head) check() error {
	if h.Version != HeadVersion {
		return fmt.Errorf("version %d, want %d", h.Version, HeadVersion)
	}
	if most := h.State.Terms.mostAnswers(); len(h.State.Answers) > most {
		return fmt.Errorf("%d acks, at most %d", len(h.State.Answers), most)
	}
	if h.State.Epoch < 0 || h.State.Seq < 0 {
		return fmt.Errorf("epoch %d, seq %d", h.State.Epoch, h.State.Seq)
	}
	for _, offsets := range [][]Offset{h.Offsets, h.From} {
		ascending := slices.IsSortedFunc(offsets, func(a, b Offset) int { return int(a.Partition) - int(b.Partition) })
		if !ascending || len(offsets) > MaxOffsets {
			return fmt.Errorf("%d journal offsets: want ascending partitions, at most %d", len(offsets), MaxOffsets)
		}
	}
	return nil
}
