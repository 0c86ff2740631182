package serve

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// js is JetStream, for who deletes things there.
func (v *village) js() jetstream.JetStream {
	v.Helper()
	js, err := jetstream.New(v.conn())
	v.must(err)
	return js
}

// routed is the decision in the model's route document.
func (v *village) routed() string {
	d, err := v.bus.Route(v.Context(), "ranker")
	if err != nil {
		return err.Error()
	}
	return d.ID
}

// TestRoutesGone: a bucket of route documents that somebody deletes is made again within seconds, with every model's document, and people are told once; decisions go on. After a restart the
// documents are there before anything is judged.
func TestRoutesGone(t *testing.T) {
	inVillage(t, storyHead+errorsMore+atOnce, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RoutesBucket))
		v.wait(3 * time.Second)
		if id := v.routed(); id != "story.1.2" {
			t.Errorf("%s stands in the bucket 3 s later", id)
		}
		if told := v.notices(schemas.NoticeForeignDecision); len(told) != 1 || !strings.Contains(told[0].Sentence, "Bucket streamcanary-routes: somebody has deleted or emptied it; serve has made it again") {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		stream, err := v.js().Stream(v.Context(), "KV_"+schemas.RoutesBucket)
		v.must(err)
		v.must(stream.Purge(v.Context()))
		v.wait(3 * time.Second)
		if id := v.routed(); id != "story.1.2" {
			t.Errorf("%s stands in the bucket 3 s after it was emptied", id)
		}
		v.stopService()
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RoutesBucket))
		v.wait(time.Second)
		v.stopService = v.service()
		if id := v.routed(); id != "story.1.2" {
			t.Errorf("%s stands in the bucket when serve is ready again", id)
		}
		v.must(v.js().DeleteKeyValue(v.Context(), schemas.RoutesBucket))
		if reply := v.ask("rollback", false); reply.Decision != "story.1.3" { // it waits for the bucket
			t.Errorf("a rollback is answered with %+v", reply)
		}
		v.completed()
		if id := v.routed(); id != "story.1.3" || v.share.Load() != 0 {
			t.Errorf("%s stands in the bucket, the canary has %d basis points", id, v.share.Load())
		}
		if told := v.notices(schemas.NoticeForeignDecision); len(told) != 2 {
			t.Errorf("told %d times: %+v", len(told), told)
		}
	})
}
