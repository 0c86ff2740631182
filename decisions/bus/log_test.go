package bus

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"streamcanary/decisions"
)

// TestLogAhead: a log that has later decisions of a record's rollout, or a later epoch of its model while the record's is under way, says that the record is an older one. What the record comes to again is taken for what it
// was, whatever stands behind it.
func TestLogAhead(t *testing.T) {
	bubble(t, func(t *testing.T, connect func() *nats.Conn) {
		b := open(t, connect())
		older := deliver(t, b, take(t, decisions.NewHead(0), applied(1), prepared(1)))
		ended := deliver(t, b, take(t, older, verdict(decisions.VerdictRollback)))
		check := func(name string, h decisions.Head, last string) {
			t.Helper()
			var ahead *Ahead
			if err := b.CheckLog(t.Context(), []decisions.Head{h}); last == "" && err != nil || last != "" && (!errors.As(err, &ahead) || ahead.Last.ID != last || ahead.Route.ID != last) {
				t.Errorf("%s: error %v, want %q to be ahead", name, err, last)
			}
		}
		check("the newest record", ended, "")
		check("before the rollback", older, ended.State.Prev.ID)
		again := take(t, older, verdict(decisions.VerdictRollback))
		check("the rollback is decided again", again, "")
		next := decisions.NewHead(ended.SubjectSeq)
		in := applied(2)
		in.Applied.Terms.Rollout, in.Applied.Prev = "next", ended.State.Prev
		next = deliver(t, b, take(t, next, in))
		check("ended before another rollout", ended, "")
		check("under way before another rollout", older, next.State.Prev.ID)
		if again = deliver(t, b, again); again.SubjectSeq != ended.SubjectSeq || len(again.Outbox) > 0 {
			t.Errorf("it is message %d, want %d", again.SubjectSeq, ended.SubjectSeq)
		}
		if last, err := b.LastDecision(t.Context(), "ranker/v.1"); err != nil || last.Decision.ID != next.State.Prev.ID {
			t.Errorf("the log ends with %s: %v", last.Decision.ID, err)
		}
	})
}
