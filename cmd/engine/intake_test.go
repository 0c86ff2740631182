package engine

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"streamcanary/ingest"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// letterBox keeps dead letters as text: reason, offset, key, value, headers.
type letterBox struct{ letters []string }

func (b *letterBox) Write(_ context.Context, l *ingest.DeadLetter) error {
	b.letters = append(b.letters, fmt.Sprintf("%s %d %s %s %s at %d", l.Invalid.Reason, l.Record.Offset, l.Record.Key, l.Record.Value, l.Record.Headers, l.AtMs))
	return nil
}

func (b *letterBox) Flush(context.Context) error { return nil }

// timed is a record of a prediction at a time, which the broker appended at another (0: it doesn't say).
func timed(offset, ms, appendMs int64) ingest.Record {
	return ingest.Record{
		Key: fmt.Append(nil, "k", offset), Offset: offset, AppendMs: appendMs,
		Value:   fmt.Appendf(nil, `{"id":"p%d","ts":%d,"model":"ranker","version":"v1"}`, offset, ms),
		Headers: []ingest.Header{{Key: "h", Value: fmt.Append(nil, offset)}},
	}
}

// takeAll hands records over, each in a batch whose memory is overwritten afterwards, and returns the letters.
func takeAll(t *testing.T, records []ingest.Record, finish bool) []string {
	t.Helper()
	box := &letterBox{}
	stage := windows.NewStage(windows.Limits{})
	at := ingest.Partition{Topic: "predictions"}
	stage.AddPartition(windows.Partition{Topic: at.Topic}, schemas.KindPrediction)
	intake := NewIntake(stage, []ingest.Partition{at}, box)
	intake.NowMs = func() int64 { return 7 }
	decoder, err := ingest.NewDecoder("json", ingest.Options{Want: schemas.KindPrediction})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		own := r
		own.Key, own.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
		own.Headers = []ingest.Header{{Key: "h", Value: bytes.Clone(r.Headers[0].Value)}}
		b := ingest.NewBatch(nil)
		b.Take(decoder, own)
		if err := intake.Take(t.Context(), b, 0); err != nil {
			t.Fatal(err)
		}
		for _, memory := range [][]byte{own.Key, own.Value, own.Headers[0].Value} {
			clear(memory)
		}
	}
	if finish {
		stage.Finish(true)
		if err := intake.Rejected(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(intake.held) > stage.Held(0) {
		t.Errorf("%d copies of records are kept, %d events are held aside", len(intake.held), stage.Held(0))
	}
	return box.letters
}

// TestIntakeTimes: an event that a rule of time refuses is a dead letter, whole, with the reason of that rule; one that was held aside and is confirmed
// is none.
func TestIntakeTimes(t *testing.T) {
	const now, hour = 1_760_000_400_000, 3_600_000
	begun := []ingest.Record{timed(0, now, now)} // the partition has a time
	run := func(from, n int, ms int64) (records []ingest.Record) {
		for i := range n {
			records = append(records, timed(int64(from+i), ms+int64(i), 0))
		}
		return records
	}
	letter := func(reason string, r ingest.Record) string {
		return fmt.Sprintf("%s %d %s %s %s at 7", reason, r.Offset, r.Key, r.Value, r.Headers)
	}
	stamped, never := timed(1, now+1_001, now), timed(1, 95_617_584_000_000, 0) // the year 5000
	odd := timed(1, now+9*hour, 0)
	for _, row := range []struct {
		name    string
		records []ingest.Record
		finish  bool
		want    []string
	}{
		{"ahead of the broker's clock", append(begun, stamped), false, []string{letter("too_far_ahead", stamped)}},
		{"no time that a window can have", append(begun, never), false, []string{letter("bad_time", never)}},
		{"held aside", append(begun, odd), false, nil},
		{"held aside, and 20 ordinary ones came", slices.Concat(begun, []ingest.Record{odd}, run(2, 20, now)), false, []string{letter("unconfirmed", odd)}},
		{"held aside at the end of the log", append(begun, odd), true, []string{letter("unconfirmed", odd)}},
		{"held aside and confirmed", slices.Concat(begun, run(1, 20, now+9*hour)), true, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := takeAll(t, row.records, row.finish); !slices.Equal(got, row.want) {
				t.Errorf("letters %q, want %q", got, row.want)
			}
		})
	}
}
