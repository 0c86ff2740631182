package serve

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// backsUpNATS stops NATS for a moment, and copies all that it keeps.
func (v *village) backsUpNATS(name string) {
	v.Helper()
	v.stopNATS()
	v.must(os.CopyFS(filepath.Join(v.dir, name), os.DirFS(filepath.Join(v.dir, "nats"))))
	v.startNATS()
	v.wait(5*time.Second + 130*time.Millisecond)
}

// restoresNATS stops NATS, and starts it with what a copy has; "": with nothing.
func (v *village) restoresNATS(name string) {
	v.Helper()
	v.stopNATS()
	v.must(os.RemoveAll(filepath.Join(v.dir, "nats")))
	if name != "" {
		v.must(os.CopyFS(filepath.Join(v.dir, "nats"), os.DirFS(filepath.Join(v.dir, name))))
	}
	v.startNATS()
	v.wait(2*time.Second + 130*time.Millisecond)
}

// retried begins the story's next epoch.
func (v *village) retried(epoch int64) {
	v.Helper()
	v.ask("retry", true)
	v.until("a later epoch", func(s *decisions.State) bool {
		return s.Epoch == epoch && s.Status == decisions.StatusRunning && s.Wait == nil
	})
	v.wait(time.Second + 130*time.Millisecond)
}

// TestTakesOverAnOlderBackup: where all of NATS is restored from an older backup while two services run, the one that stood by takes nothing over by it: it is lost for both, and no epoch begins a second time.
func TestTakesOverAnOlderBackup(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.other("new", "127.0.0.1:8089")
		v.wait(30*time.Second + 70*time.Millisecond)
		v.ask("rollback", false)
		v.completed()
		v.backsUpNATS("kept")
		v.retried(2)
		v.restoresNATS("kept")
		v.wait(2*time.Minute + 70*time.Millisecond)
		const says = "503 rollout story is lost: This serve no longer decides for rollout story"
		const behind = "the decision log ends with epoch 1 of model ranker, and the window journal has epoch 2 of rollout story"
		old, decides := v.page("/readyz"), v.pageAt("127.0.0.1:8089", "/readyz")
		if !strings.HasPrefix(old, says) || !strings.Contains(old, behind) || !strings.HasPrefix(decides, says) {
			t.Errorf("the one that stood by: %s\nthe other one: %s", old, decides)
		}
		if reply := v.ask("retry", false); reply.Refused == "" {
			t.Errorf("a retry is answered with %+v", reply)
		}
		if reply := v.ask("retry", true); reply.Decision != "story.3.1" {
			t.Errorf("a retry by override is answered with %+v", reply)
		}
		v.until("the router obeys", func(s *decisions.State) bool {
			return s.Epoch == 3 && s.Status == decisions.StatusRunning && s.Wait == nil
		})
		v.wait(7*time.Second + 70*time.Millisecond)
		ready := []string{v.page("/readyz"), v.pageAt("127.0.0.1:8089", "/readyz")}
		if strings.HasPrefix(ready[0], "200") == strings.HasPrefix(ready[1], "200") || !strings.Contains(ready[0]+ready[1], "Where that one is stopped, this one goes on by itself") {
			t.Errorf("one of two decides, the other one stands by: %q", ready)
		}
	})
}

// TestNATSMadeAnew: where NATS was emptied while no serve ran, and the window journal is there, each start says that nobody decides for the model, with the epochs that routers have had; the file, applied again, begins
// one above them, which routers obey.
func TestNATSMadeAnew(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.retried(2)
		v.stopService()
		v.restoresNATS("")
		v.stopService = v.service()
		v.wait(4*time.Second + 130*time.Millisecond)
		const says = "NATS knows nothing of rollout story, and the window journal has epoch 1 of rollout story, epoch 2 of rollout story of model ranker: NATS was emptied"
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 1 || told[0].Severity != schemas.Critical || !strings.HasPrefix(told[0].Sentence, says) {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		v.restart()
		v.wait(4*time.Second + 130*time.Millisecond)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 rollout story is lost: "+says) {
			t.Errorf("ready: %s", ready)
		}
		if page := v.page("/v1/rollouts"); !strings.Contains(page, `"status":"unknown"`) || !strings.Contains(page, `"epoch":2`) || v.share.Load() != 1000 {
			t.Errorf("the canary has %d basis points; rollouts: %s", v.share.Load(), page)
		}
		if reply := v.ask("rollback", false); !strings.HasPrefix(reply.Failed, says) {
			t.Errorf("a rollback is answered with %+v", reply)
		}
		v.apply("story", storyHead+errorsMore+"  stages: [{weight: 20, bake: 10m, max: 1h}]\n")
		v.until("the router obeys", func(s *decisions.State) bool {
			return s.Epoch == 3 && s.Status == decisions.StatusRunning && s.Wait == nil
		})
		v.restart()
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") || v.share.Load() != 2000 {
			t.Errorf("the canary has %d basis points; ready: %s", v.share.Load(), ready)
		}
	})
}

// TestBackupOfBeforeAModel: a model that a restored NATS knows nothing of, and whose epochs the window journal has, is lost when serve starts, and begins in an epoch above those; also where the backup has a file of its rollout that
// was refused, and so begins nothing.
func TestBackupOfBeforeAModel(t *testing.T) {
	for _, refused := range []bool{false, true} {
		t.Run(fmt.Sprintf("refused=%t", refused), func(t *testing.T) { backupOfBeforeAModel(t, refused) })
	}
}

func backupOfBeforeAModel(t *testing.T, refused bool) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.others.Store(50)
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		second := strings.NewReplacer("name: story", "name: second", "model: ranker", "model: other\n  mode: advise", "  acks: {routers: [router-a], within: 10s}\n", "").Replace(storyHead + errorsMore + atOnce)
		if refused {
			v.apply("second", second, func(a *Application) { a.Refused, a.RefusedAt = "model other has an active rollout", a.At })
		}
		v.backsUpNATS("kept")
		for epoch := int64(1); epoch <= 2; epoch++ {
			v.apply("second", second, func(a *Application) { a.Retry, a.Force = epoch > 1, epoch > 1 })
			v.untilOf("second", "the other model is judged", func(s *decisions.State) bool { return s.Epoch == epoch && s.Status == decisions.StatusRunning })
			v.wait(20*time.Second + 130*time.Millisecond)
		}
		v.stopService()
		v.restoresNATS("kept")
		v.stopService = v.service()
		v.wait(4*time.Second + 130*time.Millisecond)
		const says = "NATS knows nothing of rollout second, and the window journal has epoch 1 of rollout second, epoch 2 of rollout second of model other: NATS was emptied, made anew, or restored from an older backup"
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 1 || told[0].Severity != schemas.Critical || !strings.HasPrefix(told[0].Sentence, says) {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		if ready, page := v.page("/readyz"), v.page("/v1/rollouts"); !strings.HasPrefix(ready, "503 rollout second is lost: "+says) || strings.Count(page, `"lost"`) != 1 || !strings.Contains(page, `"status":"unknown","epoch":2`) {
			t.Errorf("ready: %s; rollouts: %s", ready, page)
		}
		v.apply("second", second)
		v.untilOf("second", "it is judged again", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		if head, _, err := v.bus.LoadHead(v.Context(), "second"); err != nil || head.State.Epoch != 3 {
			t.Errorf("it begins epoch %d: %v", head.State.Epoch, err)
		}
		v.wait(4*time.Second + 130*time.Millisecond)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
			t.Errorf("ready: %s", ready)
		}
	})
}
