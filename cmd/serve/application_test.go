package serve

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestApplicationsFitARecord: what can be applied can be stored with the rollout's state, however its text is escaped.
func TestApplicationsFitARecord(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
	}{
		{"the most", strings.Repeat("x", MaxDocumentsBytes), ""},
		{"too many files", strings.Repeat("x", MaxDocumentsBytes+1), "the files that spec.pillars names have 262145 bytes together, at most 262144 go along"},
		{"what is longer when it is escaped", strings.Repeat("<", MaxDocumentsBytes), "the rollout and the files that go along with it have 1573"},
	} {
		a := Application{YAML: storyRollout, Documents: map[string]string{"a.json": test.text}}
		body, err := a.Encode()
		if test.want != "" {
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%s: %v, want %s", test.name, err, test.want)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		head := decisions.NewHead(0)
		head.Applied = []byte(strings.Repeat("x", MaxApplicationBytes))
		long := strings.Repeat("s", decisions.MaxFoundBytes)
		p := decisions.NewPillar(decisions.PillarInput, decisions.PillarFailed, strings.Split(strings.Repeat(long+"\n", decisions.MaxFound), "\n"))
		p = p.Changed(slices.Repeat([]string{long}, decisions.MaxChanges))
		head.State.Pillars = []decisions.Pillar{p, p, p, p}
		if encoded, err := decisions.EncodeHead(head); err != nil || len(encoded) > decisions.MaxHeadBytes-(3*decisions.MaxBodyBytes) {
			t.Errorf("an application of %d bytes makes a record of %d (%v): too little is left for decisions", len(body), len(encoded), err)
		}
	}
}

// TestEpochsBeginOnce: an epoch begins behind the decision that stands last in the log, and over the record that is known here; else another process, or what was decided
// since it was asked for, comes first.
func TestEpochsBeginOnce(t *testing.T) {
	one, other := bus.Logged{Decision: &schemas.Decision{ID: "r.1.1"}}, &schemas.Prev{ID: "r.1.1", Sha256: strings.Repeat("0", 64)}
	one.Signed.Body = []byte("one")
	own := &schemas.Prev{ID: "r.1.1", Sha256: decisions.BodySha256(one.Signed.Body)}
	for _, test := range []struct {
		prev *schemas.Prev
		last bus.Logged
		want bool
	}{{nil, bus.Logged{}, true}, {own, one, true}, {nil, one, false}, {own, bus.Logged{}, false}, {other, one, false}} {
		if standsOn(test.prev, test.last) != test.want {
			t.Errorf("prev %v, last %v: want %v", test.prev, test.last.Decision, test.want)
		}
	}

	s := newStage(t, nil)
	c := court{bus: s.bus, desks: map[string]*desk{}}
	knows := func(epoch int64, want uint64, wantErr error) {
		t.Helper()
		if have, err := c.known(t.Context(), "r", "next", epoch); have != want || !errors.Is(err, wantErr) {
			t.Errorf("epoch %d may be written over revision %d (%v), want %d (%v)", epoch, have, err, want, wantErr)
		}
	}
	write := func(over uint64) uint64 {
		t.Helper()
		head := decisions.NewHead(over)
		head.State.Terms.Rollout, head.State.Terms.Application, head.State.Epoch = "r", "this", 1
		revision, err := s.bus.SaveHead(t.Context(), head, over)
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	knows(1, 0, nil)
	first := write(0)
	knows(1, 0, bus.ErrLost)
	knows(2, first, nil)
	c.desks["r"] = &desk{revision: first}
	knows(2, first, nil)
	second := write(first)
	knows(2, 0, bus.ErrLost)
	delete(c.desks, "r")
	knows(2, second, nil)
	if _, err := c.known(t.Context(), "r", "this", 2); !errors.Is(err, bus.ErrLost) { // whatever it began with then
		t.Errorf("what another process has begun may be begun once more: %v", err)
	}
}

// TestBegins: what begins as soon as can be begins later where events of its first window may have been read, and no earlier than was said.
func TestBegins(t *testing.T) {
	const from = 10_000
	for name, x := range map[string]struct {
		soon      bool
		now, want schemas.Time
	}{
		"at once":                     {true, from - 2_900, from},
		"a little later":              {true, from - 1_500, from},
		"later":                       {true, from - 1_499, from + 1_501},
		"long after":                  {true, from + 60_000, from + 63_000},
		"when somebody has said when": {false, from + 60_000, from},
	} {
		a := Application{From: from, Soon: x.soon}
		a.begins(time.UnixMilli(int64(x.now)))
		if a.From != x.want {
			t.Errorf("%s: from %d on, want %d", name, a.From, x.want)
		}
	}
}
