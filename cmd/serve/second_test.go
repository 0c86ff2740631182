package serve

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// Another model's canary that begins to fail; its events come on the same topics as the story's.
const secondScenario = `# Another model on the same topics
model    other
baseline version a1
canary   version a2
for      80s
seed     12
rate     150/s
split    50%
latency  lognormal 30ms sigma 0.4
errors   1%
outcome  click 20% after exponential 2s
sample   cpu 40% every 5s noise 4%
hosts    2
transport delay exponential 80ms, late 2% by exponential 5s, duplicates 1% after exponential 1s
fault    errors canary +10pp from 50s
expect   rollback, fail errors
`

const secondRollout = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: second}
spec:
  model: other
  mode: advise
  baseline: {version: a1}
  canary: {version: a2}
  window: 2s
  lateness: 3s
  outcomes: {click: {within: 6s}}
  guardrails:
    - {name: errors, rate: error, increase: 1pp}
    - {name: ctr, rate: click, decrease: 5%, prove: any, required: false}
`

// TestSecondRollout applies a rollout of another model while the story's is judged, with a first window that stage one has passed: it reads
// again. The first one goes on, and comes to what it comes to alone; the second one is judged as if it had been applied to the whole log.
func TestSecondRollout(t *testing.T) {
	t.Parallel()
	secondRolloutFrom(t, 0)
}

// secondRolloutFrom judges the second rollout from so long after the story's start.
func secondRolloutFrom(t *testing.T, after time.Duration) {
	t.Helper()
	story := parsed(t, storyScenario)
	from := schemas.Time(story.StartMs + after.Milliseconds())
	first, second := oneAfterTheOther(t, from)

	s := newStage(t, nil)
	serving(t, s, pace{})
	s.begin(t, story)
	events := s.events(t, story, parsed(t, secondScenario))
	for part := range storyParts {
		if part == storyParts/2 {
			s.reached(t, from)
			s.apply(t, "second", secondRollout, Application{ID: "second-1", From: from})
		}
		s.send(t, events, part)
	}
	s.comes(t, first)
	if got := s.judged(t); got != second {
		t.Errorf("the second rollout came to\n%s\nwant\n%s", got, second)
	}
	if n := s.log.times("its first window lies behind what was read"); n != 1 {
		t.Errorf("events were read again for it %d times, want once", n)
	}
}

// oneAfterTheOther is what the first rollout comes to without the second one, and then, with the whole log there, what the second one does.
func oneAfterTheOther(t *testing.T, from schemas.Time) (first outcome, second string) {
	t.Helper()
	s := newStage(t, nil)
	serving(t, s, pace{})
	story := parsed(t, storyScenario)
	s.begin(t, story)
	events := s.events(t, story, parsed(t, secondScenario))
	for part := range storyParts {
		s.send(t, events, part)
	}
	first = s.rest(t)
	first.check(t)
	s.apply(t, "second", secondRollout, Application{ID: "second-1", From: from})
	return first, s.judged(t)
}

// reached waits until a window of the story's rollout that ends after a time is judged.
func (s *stage) reached(t *testing.T, at schemas.Time) {
	t.Helper()
	s.until(t, fmt.Sprintf("windows beyond %s are judged", at), func() bool {
		o, err := s.look(t, "story")
		return err == nil && o.Reached > at
	})
}

// judged waits for the rollback of the second rollout, and returns its decisions.
func (s *stage) judged(t *testing.T) string {
	t.Helper()
	var o outcome
	s.until(t, "the second rollout is rolled back", func() bool {
		var err error
		o, err = s.look(t, "second")
		return err == nil && len(o.Decisions) == 3
	})
	if !strings.Contains(o.Decisions[2], string(schemas.ActionRollback)) {
		t.Errorf("the second rollout's last decision is %s, want a rollback", o.Decisions[2])
	}
	return strings.Join(o.Decisions, "\n")
}

// other starts a second service beside the one that runs, with the same key.
func (v *village) other(name, address string) (stop func()) {
	v.Helper()
	v.must(os.CopyFS(filepath.Join(v.dir, name, "keys"), os.DirFS(filepath.Join(v.dir, "data", "keys"))))
	return v.serviceAt(name, address)
}

// TestStoriesOfARollingDeploy: an old service and a new one run side by side for a minute. Nobody is woken, the new one is ready, and decides when the old one has gone.
func TestStoriesOfARollingDeploy(t *testing.T) {
	story(t, "a-rolling-deploy", storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.other("new", "127.0.0.1:8089")
		v.wait(time.Minute)
		if ready := v.pageAt("127.0.0.1:8089", "/readyz"); !strings.HasPrefix(ready, "200") {
			v.Errorf("the new one: %s", ready)
		}
		v.stopService()
		v.wait(5*time.Second + 70*time.Millisecond)
		v.errors.Store(2000)
		v.completed()
		if ready := v.pageAt("127.0.0.1:8089", "/readyz"); !strings.HasPrefix(ready, "200") || v.share.Load() != 0 {
			v.Errorf("the canary has %d basis points, ready: %s", v.share.Load(), ready)
		}
	})
}

// TestStandsBy: of two services the one that began last decides; when it is stopped, the one that stands by goes on, also where it can't read the journal at its first
// try, and what was applied meanwhile is judged on, too.
func TestStandsBy(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		stop := v.other("new", "127.0.0.1:8089")
		v.wait(30*time.Second + 70*time.Millisecond)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 rollout story stands by here: This serve no longer decides for rollout story: another one has written its record (new). Ask that one. Where that one is stopped, this one goes on by itself") ||
			!strings.HasSuffix(strings.TrimSpace(ready), "where it isn't meant that two run, stop one of them.") {
			t.Errorf("the old one: %s", ready)
		}
		if page := v.page("/v1/rollouts/story"); !strings.Contains(page, `"stands_by":true`) {
			t.Errorf("the old one stands by: %s", page)
		}
		v.apply("second", strings.NewReplacer("name: story", "name: second", "model: ranker", "model: other\n  mode: advise", "  acks: {routers: [router-a], within: 10s}\n", "").Replace(storyHead+errorsMore+atOnce))
		v.untilOf("second", "the other model is judged", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		v.wait(2 * time.Second)
		if page := v.page("/v1/rollouts/second"); !strings.HasPrefix(page, "200") || !strings.Contains(page, `"status":"running"`) || !strings.Contains(page, `"stands_by":true`) ||
			!strings.Contains(page, "This serve doesn't decide for rollout second: another one has begun it (new). Ask that one") {
			t.Errorf("the old one is asked for what the new one has begun: %s", page)
		}
		if page := v.page("/v1/rollouts/nobody"); !strings.HasPrefix(page, "404") {
			t.Errorf("the old one is asked for what nobody has begun: %s", page)
		}
		if reply := v.ask("retry", true); reply.Decision != "story.2.1" { // the old one knows of epoch 1
			t.Errorf("a retry is answered with %+v", reply)
		}
		v.until("a second epoch", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
		v.wait(30*time.Second + 70*time.Millisecond)
		unread := v.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: JournalTopic, Err: kerr.TopicAuthorizationFailed, Count: -1})
		stop()
		v.wait(7*time.Second + 70*time.Millisecond)
		if ready := v.page("/readyz"); !strings.Contains(ready, "rollouts second, story stand by here (") || !strings.Contains(ready, " What this one met: read its journal again: ") {
			t.Errorf("the one that is left has what it can't read: %s", ready)
		}
		unread.Remove()
		v.wait(7*time.Second + 70*time.Millisecond)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
			t.Errorf("the one that is left: %s", ready)
		}
		v.errors.Store(2000)
		v.completed()
		if page := v.page("/v1/rollouts"); v.share.Load() != 0 || strings.Contains(page, `"lost":`) || !strings.Contains(page, `"rollout":"second"`) {
			t.Errorf("the canary has %d basis points; rollouts: %s", v.share.Load(), page)
		}
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 0 {
			t.Errorf("told: %+v", told)
		}
	})
}

// TestAppliedAfterAKill: a rollout that began while this service stood by is applied anew before this one has taken it over from the one that was killed: what people were told of in the epoch before goes on,
// or ends.
func TestAppliedAfterAKill(t *testing.T) {
	amongOthers(t)
	const stages = "  stages: [{weight: 10, bake: 10m, max: 1h}]\n"
	for canary, want := range map[string]string{
		"v5": "retired-serves v2: Rollback story.1.3 took all traffic from v2 before rollout second began",
		"v2": "retired-over v2: This ends here only because epoch 3 of rollout second takes the place of the one that told of it: v2 is one of its two versions",
	} {
		t.Run(canary, func(t *testing.T) {
			inVillage(t, storyHead+errorsMore+stages, "", func(v *village) {
				v.harms()
				v.completed()
				v.other("new", "127.0.0.1:8089")
				v.wait(15*time.Second + 130*time.Millisecond)
				v.share.Store(500) // a router has restarted with an old configuration
				v.told(true)
				v.errors.Store(0)
				next := strings.NewReplacer("name: story", "name: second", "version: v2", "version: v4").Replace(storyHead + errorsMore + stages)
				v.apply("second", next)
				v.untilOf("second", "it runs, and tells of v2", func(s *decisions.State) bool { return slices.Contains(s.RetiredServing(), "v2") })
				v.wait(2*time.Second + 130*time.Millisecond)
				v.lines["new"].cut()
				v.wait(20*time.Second + 130*time.Millisecond)
				v.apply("second", strings.Replace(next, "version: v4", "version: "+canary, 1))
				v.untilOf("second", "it runs anew", func(s *decisions.State) bool { return s.Epoch == 3 && s.DueMs > 0 })
				var told []string
				for _, n := range append(v.notices(schemas.NoticeRetiredServes), v.notices(schemas.NoticeRetiredOver)...) {
					if n.Epoch == 3 {
						told = append(told, fmt.Sprint(n.Kind, " ", n.Version, ": ", n.Sentence))
					}
				}
				if len(told) != 1 || !strings.HasPrefix(told[0], want) {
					t.Errorf("told %q, want %s", told, want)
				}
			})
		})
	}
}

// TestMetricsBeside: what is said of a rollout in numbers is said by the process that decides for it; an answer that the other one has not heard of isn't missing.
func TestMetricsBeside(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.deaf.Store(true)
		v.ask("rollback", false) // that nobody carries out
		v.wait(5*time.Second + 130*time.Millisecond)
		v.other("new", "127.0.0.1:8089")
		v.wait(30*time.Second + 70*time.Millisecond)
		lost, missing, undone := `streamcanary_rollout_lost{model="ranker",rollout="story"} 1`, `streamcanary_acks_missing{consumer="router-a"`, `streamcanary_rollback_undone{`
		if page := v.pageAt("127.0.0.1:8089", "/metrics"); strings.Contains(page, lost) || !strings.Contains(page, missing) || !strings.Contains(page, undone) {
			t.Error("the new one doesn't say what is missing")
		}
		if page := v.page("/metrics"); !strings.Contains(page, lost) || strings.Contains(page, missing) || strings.Contains(page, undone) || strings.Contains(page, "streamcanary_rollout_status{") {
			t.Error("the old one says more than that another one decides")
		}
	})
}

// TestAnotherKey: a service that has another key than the one that decides takes nothing over, neither when it begins nor when that one is stopped: routers would not obey it.
func TestAnotherKey(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.serviceAt("stranger", "127.0.0.1:8089")
		v.wait(30*time.Second + 70*time.Millisecond)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
			t.Errorf("the one that decides: %s", ready)
		}
		v.stopService()
		v.wait(20*time.Second + 70*time.Millisecond)
		if ready := v.pageAt("127.0.0.1:8089", "/readyz"); !strings.HasPrefix(ready, "503 rollout story stands by here") {
			t.Errorf("the stranger: %s", ready)
		}
		v.stopService = v.service()
		v.errors.Store(2000)
		v.completed()
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") || v.share.Load() != 0 {
			t.Errorf("the canary has %d basis points, ready: %s", v.share.Load(), ready)
		}
	})
}

// TestBegunBeside: a rollout that began while this service stood by, and that it had refused, since it knew of no end of the one before, is judged on by it, too.
func TestBegunBeside(t *testing.T) {
	long := storyHead + errorsMore + "  stages: [{weight: 10, bake: 10m, max: 1h}]\n"
	inVillage(t, long, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		stop := v.other("new", "127.0.0.1:8089")
		v.wait(30*time.Second + 70*time.Millisecond)
		v.ask("rollback", false)
		v.completed()
		v.apply("next", strings.Replace(long, "name: story", "name: next", 1))
		running := func(s *decisions.State) bool { return s.Status == decisions.StatusRunning && s.Wait == nil }
		v.untilOf("next", "the next one runs", running)
		v.wait(7*time.Second + 70*time.Millisecond)
		stop()
		v.wait(7*time.Second + 70*time.Millisecond)
		v.errors.Store(2000)
		v.untilOf("next", "the rollback is carried out", func(s *decisions.State) bool { return s.Saga != nil && s.Saga.Done() })
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 0 || v.share.Load() != 0 {
			t.Errorf("the canary has %d basis points, told: %+v", v.share.Load(), told)
		}
	})
}

// TestTwoForLong: two services that go on running side by side, also while the journal takes nothing, are told, once, for each rollout that both have; one that is deleted meanwhile isn't.
func TestTwoForLong(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.requests.Store(20) // nothing is to be found in them
		second := strings.NewReplacer("name: story", "name: second", "model: ranker", "model: other\n  mode: advise", "  acks: {routers: [router-a], within: 10s}\n", "").Replace(storyHead + errorsMore + atOnce)
		v.apply("second", second)
		v.untilOf("second", "the other model is judged", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		v.wait(5*time.Second + 130*time.Millisecond)
		v.other("new", "127.0.0.1:8089")
		v.wait(30*time.Second + 70*time.Millisecond)
		v.apply("second", second, func(a *Application) { a.ID, a.Delete = "gone", true })
		v.wait(3*time.Second + 70*time.Millisecond)
		there, err := v.bus.Spec(v.Context(), "second")
		v.must(err)
		v.must(v.bus.DeleteSpec(v.Context(), "second", there.Revision))
		silent := v.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: JournalTopic, Err: kerr.NotLeaderForPartition, Count: -1})
		v.wait(4 * time.Minute)
		silent.Remove()
		if head, _, err := v.bus.LoadHead(v.Context(), "story"); err != nil || head.Writer != "new" { // it waited for the journal, and wasn't gone
			t.Errorf("%s decides: %v", head.Writer, err)
		}
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 0 {
			t.Errorf("told before 5 minutes are over: %+v", told)
		}
		v.wait(2 * time.Minute)
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 1 || told[0].Rollout != "story" || !strings.Contains(told[0].Sentence, "another one has written its record (new)") {
			t.Errorf("told %d times: %+v", len(told), told)
		}
		if page := v.page("/v1/rollouts/story"); strings.Contains(page, "stands_by") || !strings.Contains(page, `"lost":`) {
			t.Errorf("two that go on running are no deploy: %s", page)
		}
	})
}

// TestAcksBeside: answers to epochs that began while two services run come to the one that decides, whichever of the two takes them; what nobody decided counts for nothing as ever.
func TestAcksBeside(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.other("new", "127.0.0.1:8089")
		v.wait(30*time.Second + 70*time.Millisecond)
		for epoch := int64(2); epoch <= 7; epoch++ {
			v.ask("retry", true)
			began := time.Now()
			v.until(fmt.Sprint("epoch ", epoch), func(s *decisions.State) bool { return s.Epoch == epoch && s.Status == decisions.StatusRunning })
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("epoch %d runs after %s", epoch, took)
			}
			v.wait(3*time.Second + 130*time.Millisecond)
		}
		for range 4 { // each of the two takes some
			v.answersTo("story", 9, "router-a", 1, schemas.AckApplied, "")
			v.answersTo("nobody", 9, "router-a", 1, schemas.AckPrepared, "")
			v.wait(time.Second + 130*time.Millisecond)
		}
		ignored := v.metrics("streamcanary_acks_ignored_total")
		if want := []string{`streamcanary_acks_ignored_total{reason="future_epoch"} 8`}; !slices.Equal(ignored, want) {
			t.Errorf("%q count for nothing, want %q", ignored, want)
		}
	})
}

// TestAckOfAnUnreadableRecord: an answer whose record can't be read here, as where a newer version has written it, comes again for a minute, so that whoever can takes it; then it counts for nothing.
// The answers behind it are taken meanwhile.
func TestAckOfAnUnreadableRecord(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		records, err := v.js().KeyValue(v.Context(), schemas.RolloutsBucket)
		v.must(err)
		key, err := schemas.StateKey("newer")
		v.must(err)
		_, err = records.Put(v.Context(), key, []byte(`{"version": 99}`))
		v.must(err)
		v.wait(time.Second + 130*time.Millisecond)
		v.answersTo("newer", 9, "router-a", 1, schemas.AckPrepared, "")
		v.answersTo("story", 1, "nobody", 1, schemas.AckPrepared, "")
		v.wait(50 * time.Second)
		const later, stranger = `streamcanary_acks_ignored_total{reason="future_epoch"}`, `streamcanary_acks_ignored_total{reason="not_asked"} 1`
		if page := v.page("/metrics"); strings.Contains(page, later) || !strings.Contains(page, stranger) {
			t.Error("before a minute is over it counts for nothing, or one behind it was not taken")
		}
		v.wait(20 * time.Second)
		if page := v.page("/metrics"); !strings.Contains(page, later+" 1\n") {
			t.Error("after a minute it doesn't count for nothing")
		}
	})
}

// metrics are the lines of a metric, those of the two services added up.
func (v *village) metrics(name string) []string {
	v.Helper()
	sums := map[string]float64{}
	for _, line := range strings.Split(v.page("/metrics")+v.pageAt("127.0.0.1:8089", "/metrics"), "\n") {
		if at := strings.LastIndex(line, " "); strings.HasPrefix(line, name) {
			n, err := strconv.ParseFloat(line[at+1:], 64)
			v.must(err)
			sums[line[:at]] += n
		}
	}
	var lines []string
	for _, labels := range slices.Sorted(maps.Keys(sums)) {
		lines = append(lines, fmt.Sprint(labels, " ", sums[labels]))
	}
	return lines
}
