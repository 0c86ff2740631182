package serve

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// recorded reports whether the rollout's record and file are in their bucket.
func (v *village) recorded() bool {
	v.Helper()
	_, _, err := v.bus.LoadHead(v.Context(), "story")
	specs, none := v.bus.Specs(v.Context())
	return err == nil && none == nil && len(specs) == 1
}

// TestRecordsGone: a bucket of rollouts that somebody deletes or empties is there again within seconds, with every record and file, and people are told once; the rollout goes on, also over a restart, and a
// command that comes while the bucket is gone is obeyed.
func TestRecordsGone(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RolloutsBucket))
		v.wait(5*time.Second + 130*time.Millisecond)
		if !v.recorded() {
			t.Error("5 s later the record or the file isn't there")
		}
		if told := v.notices(schemas.NoticeForeignDecision); len(told) != 1 || !strings.HasPrefix(told[0].Sentence, "Bucket streamcanary-rollouts: somebody has deleted or emptied it; serve has made it again, and written each ") {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		stream, err := v.js().Stream(v.Context(), "KV_"+schemas.RolloutsBucket)
		v.must(err)
		v.must(stream.Purge(v.Context()))
		v.wait(5*time.Second + 130*time.Millisecond)
		if ready := v.page("/readyz"); !v.recorded() || !strings.HasPrefix(ready, "200") {
			t.Errorf("5 s after it was emptied the record or the file isn't there; ready: %s", ready)
		}
		v.restart()
		v.wait(5*time.Second + 130*time.Millisecond)
		v.must(stream.Purge(v.Context()))
		if reply := v.ask("pause", false); reply.Decision != "story.1.3" { // it is stored while nobody knows yet that the bucket was emptied
			t.Errorf("a pause is answered with %+v", reply)
		}
		v.wait(5*time.Second + 130*time.Millisecond)
		if !v.recorded() {
			t.Error("after a pause the record or the file isn't there")
		}
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RolloutsBucket))
		if reply := v.ask("rollback", false); reply.Decision != "story.1.4" { // it waits for the bucket
			t.Errorf("a rollback is answered with %+v", reply)
		}
		v.completed()
		if ready := v.page("/readyz"); !v.recorded() || v.share.Load() != 0 || !strings.HasPrefix(ready, "200") {
			t.Errorf("the canary has %d basis points; ready: %s", v.share.Load(), ready)
		}
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 0 {
			t.Errorf("lost: %+v", told)
		}
	})
}

// TestRecordsGoneForLong: as long as the bucket can't be made again, /readyz says that the records are gone, and that a restart would forget the rollouts; then they are written back.
func TestRecordsGoneForLong(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RolloutsBucket))
		_, err := v.js().CreateKeyValue(v.Context(), jetstream.KeyValueConfig{Bucket: schemas.RolloutsBucket, TTL: time.Hour})
		v.must(err)
		v.wait(5*time.Second + 130*time.Millisecond)
		ready := v.page("/readyz")
		if !strings.HasPrefix(ready, "503 the rollouts' records (bucket streamcanary-rollouts) are gone (somebody has deleted or emptied it, and it can't be made again: ") ||
			!strings.Contains(ready, "ttl") || !strings.Contains(ready, "Don't restart it before: it would forget the rollouts") {
			t.Errorf("ready: %s", ready)
		}
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RolloutsBucket))
		v.wait(6*time.Second + 130*time.Millisecond)
		if ready := v.page("/readyz"); !v.recorded() || !strings.HasPrefix(ready, "200") {
			t.Errorf("the record or the file isn't there; ready: %s", ready)
		}
	})
}
