package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"streamcanary/cmd/engine"
	"streamcanary/decisions"
	"streamcanary/ingest"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// JournalTopic is the window journal's Kafka topic. Records are keyed by model, so that everything about a model stands in one
// partition, in order.
const JournalTopic = "streamcanary.windows"

// DeadLetterTopic gets the events that could not be counted.
const DeadLetterTopic = "streamcanary.dlq"

// kindHeader says what a journal record is; rolloutHeader whose it is (parts name it inside).
const (
	kindHeader    = "sc-kind"
	rolloutHeader = "sc-rollout"
	epochHeader   = "sc-epoch"
	startHeader   = "sc-start" // of the input that starts an epoch: a start, as JSON
)

// The kinds of journal records.
const (
	partRecord     = "part"     // windows.EncodePart
	inputRecord    = "input"    // decisions.EncodeInput, of one epoch of the rollout in the header
	recoveryRecord = "recovery" // windows.Recovery as JSON: where stage one may start again
)

// entry is a journal record after decoding. Exactly one of Part, Input and Recovery is set.
type entry struct {
	rollout  string
	epoch    int64
	key      windows.Key
	part     *windows.Part
	input    *decisions.Input
	recovery *windows.Recovery
}

// header returns a header's value, or "".
func header(r *kafka.Entry, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// decodeEntry reads a journal record. A record of an unknown kind, of a newer program, is no error: it is an empty entry.
func decodeEntry(r *kafka.Entry) (entry, error) {
	switch kind := header(r, kindHeader); kind {
	case partRecord:
		key, part, err := windows.DecodePart(r.Value)
		if err != nil {
			return entry{}, fmt.Errorf("journal record at offset %d: %w", r.Offset, err)
		}
		return entry{rollout: key.Rollout, epoch: key.Epoch, key: key, part: part}, nil
	case inputRecord:
		in, err := decisions.DecodeInput(r.Value)
		if err != nil {
			return entry{}, fmt.Errorf("journal record at offset %d: %w", r.Offset, err)
		}
		return owned(r, entry{input: &in})
	case recoveryRecord:
		var rec windows.Recovery
		if err := json.Unmarshal(r.Value, &rec); err != nil {
			return entry{}, fmt.Errorf("journal record at offset %d: recovery: %w", r.Offset, err)
		}
		return owned(r, entry{recovery: &rec})
	}
	return entry{}, nil
}

// owned adds the rollout and the epoch that a record's headers name.
func owned(r *kafka.Entry, e entry) (entry, error) {
	e.rollout = header(r, rolloutHeader)
	if _, err := fmt.Sscan(header(r, epochHeader), &e.epoch); err != nil {
		return entry{}, fmt.Errorf("journal record at offset %d: epoch: %w", r.Offset, err)
	}
	return e, nil
}

// headers are those of a record of one epoch.
func headers(kind, rollout string, epoch int64) []ingest.Header {
	h := []ingest.Header{{Key: kindHeader, Value: []byte(kind)}}
	if rollout != "" {
		h = append(h, ingest.Header{Key: rolloutHeader, Value: []byte(rollout)}, ingest.Header{Key: epochHeader, Value: fmt.Append(nil, epoch)})
	}
	return h
}

// A start is what an epoch begins with, beside its input. With it the journal holds all that the epoch's decisions follow from.
type start struct {
	Application Application    `json:"application"`
	Sources     engine.Sources `json:"sources"`
	// Instance is the process that asks for it: of several that do so at once each begins by its own record or not at all.
	Instance string `json:"instance,omitempty"`
}

// startRecord is the journal record that starts an epoch.
func startRecord(s *start, in decisions.Input) (kafka.Entry, error) {
	value, err := decisions.EncodeInput(in)
	if err != nil {
		return kafka.Entry{}, err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return kafka.Entry{}, fmt.Errorf("encode the start of rollout %s: %w", in.Applied.Terms.Rollout, err)
	}
	terms := &in.Applied.Terms
	h := append(headers(inputRecord, terms.Rollout, in.Applied.Epoch), ingest.Header{Key: startHeader, Value: text})
	return kafka.Entry{Key: []byte(terms.Model), Value: value, Headers: h}, nil
}

// errOlderStart: the journal's record of an epoch's start hasn't got what the epoch began with.
var errOlderStart = errors.New("the record that starts the epoch doesn't carry the rollout's file: an older version of streamcanary wrote it")

// startOf reads what a record that starts an epoch carries, and the rollout in it.
func startOf(record *kafka.Entry, in *decisions.Input) (start, *schemas.Rollout, error) {
	var s start
	text := header(record, startHeader)
	if text == "" {
		return s, nil, errOlderStart
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return s, nil, fmt.Errorf("header %s of the record that starts the epoch: %w", startHeader, err)
	}
	r, err := s.Application.Rollout()
	if err != nil {
		return s, nil, fmt.Errorf("the rollout's file in the record that starts the epoch: %w", err)
	}
	if r.Sha256 != in.Applied.Terms.Sha256 {
		return s, nil, fmt.Errorf("the record that starts the epoch carries another rollout file (sha256 %s) than the one it started (%s)", r.Sha256, in.Applied.Terms.Sha256)
	}
	return s, r, nil
}

// streamNamed is the stream that a ruling names: the part's kind, and its outcome's name after a slash.
func streamNamed(text string) windows.Stream {
	kind, name, _ := strings.Cut(text, "/")
	for _, k := range []windows.PartKind{windows.Serving, windows.Resources, windows.Outcomes} {
		if k.String() == kind {
			return windows.Stream{Kind: k, Name: name}
		}
	}
	return windows.Stream{}
}

// journalInput appends an input of one epoch.
func (c *court) journalInput(ctx context.Context, model string, of owner, in decisions.Input) error {
	value, err := decisions.EncodeInput(in)
	if err != nil {
		return err
	}
	return c.append(ctx, kafka.Entry{Key: []byte(model), Value: value, Headers: headers(inputRecord, of.rollout, of.epoch)})
}

// append puts a record at the journal's end.
func (c *court) append(ctx context.Context, e kafka.Entry) error {
	if _, err := c.journal.Append(ctx, e); err != nil {
		return fmt.Errorf("%w: append to %s: %w", errUnjournaled, JournalTopic, err)
	}
	return nil
}
