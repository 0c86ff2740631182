package decisions

import (
	"fmt"

	"streamcanary/schemas"
)

// notice completes a notice and puts it out. Its id is the same after a crash.
func (t *turn) notice(n schemas.Notice) {
	t.s.Notices++
	n.Schema, n.Model, n.Rollout, n.Epoch = schemas.NoticeSchema, t.s.Terms.Model, t.s.Terms.Rollout, t.s.Epoch
	n.ID = fmt.Sprintf("%s.notice.%d", idOf(&t.s.Terms, t.s.Epoch, t.s.Seq), t.s.Notices)
	n.EventTime, n.At = schemas.Time(t.s.EventMs), schemas.Time(t.in.WallMs)
	n.Sentence = clip(n.Sentence, MaxSentence)
	t.out = append(t.out, Effect{Notice: &n})
}

// tell puts out some that were made before.
func (t *turn) tell(all []schemas.Notice) {
	for _, n := range all {
		t.notice(n)
	}
}

// times counts for a sentence.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
