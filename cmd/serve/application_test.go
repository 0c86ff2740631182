package serve

import (
	"slices"
	"strings"
	"testing"

	"streamcanary/decisions"
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
