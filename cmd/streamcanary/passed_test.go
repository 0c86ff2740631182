package main

import (
	"strings"
	"testing"

	"streamcanary/cmd/serve"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestPassed: who reads the log is told of copies, and of what isn't newer than what stood there before, of each model for itself; a log that is made anew is read as one.
func TestPassed(t *testing.T) {
	const copied = "it stands in the log already, as message 1, "
	type message struct {
		number     uint64
		model      string
		epoch, seq int64
		body       string
		kind       serve.FindingKind
		why        string
	}
	for name, test := range map[string]struct {
		unchecked bool
		messages  []message
	}{
		"in order": {false, []message{{1, "a", 1, 1, "x", "", ""}, {2, "b", 1, 1, "y", "", ""}, {3, "a", 1, 2, "z", "", ""}, {4, "a", 2, 1, "0", "", ""}}},
		"a copy, twice": {false, []message{{1, "a", 1, 1, "x", "", ""}, {2, "a", 1, 2, "y", "", ""}, {3, "a", 1, 1, "x", findingCopy, copied}, {4, "a", 1, 1, "x", findingCopy, copied},
			{5, "a", 1, 3, "z", "", ""}}},
		"of what the log has no more": {false, []message{{7, "a", 2, 3, "x", "", ""}, {8, "a", 1, 9, "y", findingChain, "it is numbered 1.9, and r.2.3 (2.3) stood there before it"}, {9, "a", 2, 4, "z", "", ""}}},
		"two of one number":           {false, []message{{7, "a", 2, 3, "x", "", ""}, {8, "a", 2, 3, "y", findingChain, "it is numbered 2.3, and r.2.3 (2.3) stood there before it"}}},
		"signatures aren't checked":   {true, []message{{1, "a", 9, 9, "forged", "", ""}, {2, "a", 1, 1, "y", "", ""}, {3, "a", 9, 9, "forged", findingCopy, copied}}},
		"made anew":                   {false, []message{{1, "a", 1, 1, "x", "", ""}, {2, "a", 1, 2, "y", "", ""}, {1, "a", 1, 1, "x", "", ""}, {2, "a", 1, 2, "y", "", ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			var p passed
			for _, m := range test.messages {
				id, err := schemas.DecisionID("r", m.epoch, m.seq)
				if err != nil {
					t.Fatal(err)
				}
				l := bus.Logged{Sequence: m.number, Model: m.model, Signed: schemas.Signed{Body: []byte(m.body)}, Decision: &schemas.Decision{ID: id, Model: m.model, Epoch: m.epoch, Seq: m.seq}}
				kind, why := p.take(&l, !test.unchecked)
				if kind != m.kind || (why == nil) != (m.why == "") || why != nil && !strings.HasPrefix(why.Error(), m.why) {
					t.Errorf("message %d: %q, %v, want %q, %q", m.number, kind, why, m.kind, m.why)
				}
			}
		})
	}
}
