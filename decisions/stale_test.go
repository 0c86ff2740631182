package decisions

import (
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestStaleEpoch: where a router refuses a rollback since it obeys a later epoch, people are told what that means.
func TestStaleEpoch(t *testing.T) {
	s := stateOf(t, rolledBack(terms(ramp))...)
	in := ack(9, 3, "eu", schemas.AckRejected)
	in.Ack.Why = schemas.WhyStaleEpoch
	_, effects := Step(s, in)
	const want = "eu answered rejected to decision ranker-42.1.3: stale-epoch. It obeys a later epoch than 1, which isn't known here: was NATS restored from an older backup, or does it hear another installation?"
	for _, e := range effects {
		if e.Notice != nil && e.Notice.Kind == schemas.NoticeAckRefused && strings.HasPrefix(e.Notice.Sentence, want) {
			return
		}
	}
	t.Errorf("%+v: nobody is told %q", effects, want)
}
