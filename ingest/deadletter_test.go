package ingest

import (
	"bytes"
	"errors"
	"testing"
)

// TestDeadLetterLines writes letters as text and, where they aren't text, in base 64.
func TestDeadLetterLines(t *testing.T) {
	for _, row := range []struct {
		name   string
		record Record
		want   string
	}{
		{"text", Record{Value: []byte(`{"id":"<é>"}`), Offset: 7}, `"value":"{\"id\":\"<é>\"}"`},
		{"empty", Record{Value: []byte{}, Offset: 7}, `"value":""`},
		{"bytes", Record{Value: []byte("\xff\x00"), Offset: 7}, `"value_base64":"/wA="`},
		{"key", Record{Key: []byte("k"), Value: []byte("v"), Offset: 7}, `"key":"k","value":"v"`},
		{"key of bytes", Record{Key: []byte("\xfe"), Value: []byte("v"), Offset: 7}, `"key_base64":"/g==","value":"v"`},
	} {
		var b bytes.Buffer
		d := NewDeadLetterLines(&b)
		letter := DeadLetter{Partition: Partition{Topic: "log", Number: 2}, Record: &row.record, Invalid: Invalidf(ReasonSyntax, "at byte %d: no", 1)}
		if err := errors.Join(d.Write(t.Context(), &letter), d.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
		want := `{"reason":"broken_json","detail":"at byte 1: no","topic":"log","partition":2,"offset":7,` + row.want + "}\n"
		if b.String() != want {
			t.Errorf("%s:\ngot  %swant %s", row.name, b.String(), want)
		}
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestDeadLetterLinesFull holds that a letter that cannot be written is an error that names its record.
func TestDeadLetterLinesFull(t *testing.T) {
	letter := DeadLetter{Partition: Partition{Topic: "log"}, Record: &Record{Offset: 3}, Invalid: Invalidf(ReasonSyntax, "no")}
	err := NewDeadLetterLines(full{}).Write(t.Context(), &letter)
	if want := "write invalid event of log 0 at 3: no space left on device"; text(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
