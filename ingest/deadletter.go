package ingest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// A DeadLetter is a record that was refused, by its decoder or by a rule of time.
type DeadLetter struct {
	Partition Partition
	Record    *Record // as it was found; the writer keeps nothing of it
	Invalid   *Invalid
	AtMs      int64 // wall time of the refusal, Unix milliseconds
}

// DeadLetters keeps refused records. Its methods are called by one goroutine.
type DeadLetters interface {
	// Write hands a letter over. An error may be that of an earlier letter: after one, letters are lost unless their
	// records are read again, so reading must not go on.
	Write(ctx context.Context, l *DeadLetter) error
	// Flush waits until every letter handed over is kept.
	Flush(ctx context.Context) error
}

// DeadLetterLines writes dead letters as JSON, one object a line: reason, detail, topic, partition, offset, and the record's
// value in `value`, or, where that isn't UTF-8, in `value_base64`; likewise its key, if it has one.
type DeadLetterLines struct {
	w *json.Encoder
}

// NewDeadLetterLines writes to w, which the caller closes after Flush.
func NewDeadLetterLines(w io.Writer) *DeadLetterLines {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return &DeadLetterLines{w: e}
}

// deadLetterLine is the line's shape.
type deadLetterLine struct {
	Reason      Reason  `json:"reason"`
	Detail      string  `json:"detail"`
	Topic       string  `json:"topic"`
	Partition   int32   `json:"partition"`
	Offset      int64   `json:"offset"`
	Key         *string `json:"key,omitempty"`
	KeyBase64   string  `json:"key_base64,omitempty"`
	Value       *string `json:"value,omitempty"`
	ValueBase64 string  `json:"value_base64,omitempty"`
}

// Write is DeadLetters'.
func (d *DeadLetterLines) Write(_ context.Context, l *DeadLetter) error {
	line := deadLetterLine{
		Reason: l.Invalid.Reason, Detail: l.Invalid.Detail,
		Topic: l.Partition.Topic, Partition: l.Partition.Number, Offset: l.Record.Offset,
	}
	if len(l.Record.Key) > 0 {
		line.Key, line.KeyBase64 = textOrBase64(l.Record.Key)
	}
	line.Value, line.ValueBase64 = textOrBase64(l.Record.Value)
	if err := d.w.Encode(&line); err != nil {
		return fmt.Errorf("write invalid event of %s %d at %d: %w", l.Partition.Topic, l.Partition.Number, l.Record.Offset, err)
	}
	return nil
}

// Flush is DeadLetters'. Every line is written at once, so there is nothing to wait for.
func (d *DeadLetterLines) Flush(context.Context) error { return nil }

// textOrBase64 returns bytes as text if they are UTF-8, else in base 64.
func textOrBase64(b []byte) (*string, string) {
	if utf8.Valid(b) {
		s := string(b)
		return &s, ""
	}
	return nil, base64.StdEncoding.EncodeToString(b)
}
