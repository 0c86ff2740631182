package serve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// begins lets an instance that isn't there begin an advised rollout of the model that has traffic, and returns its application and its record, which is not stored yet.
func (v *village) begins(name, instance string) (a Application, head decisions.Head) {
	v.Helper()
	a, in, record := startsOf(v.T, name, "ranker", instance)
	stood, err := v.kafka.Log(JournalTopic, 0).Append(v.Context(), record)
	v.must(err)
	return a, begunBy(v.T, instance, a, in, stood)
}

// TestJudgedWhenTakenOver: whichever way a service has come to stand by for a rollout that another one has begun, once that one is stopped or killed it judges its windows and rolls a bad canary back.
func TestJudgedWhenTakenOver(t *testing.T) {
	amongOthers(t)
	for name, x := range map[string]struct {
		stands  func(v *village) decisions.Head // lets the service stand by for "ghost"
		killed  bool
		because string // as it says
	}{
		"applied to both": {func(v *village) decisions.Head {
			a, head := v.begins("ghost", "gone")
			v.saves(head, 0)
			v.puts("ghost", &a)
			return head
		}, false, "has begun with the same application"},
		"another one is applied": {func(v *village) decisions.Head {
			a, head := v.begins("ghost", "gone")
			v.wait(time.Second + 130*time.Millisecond)
			v.apply("real", advisedOf("real", "ranker"))
			v.wait(time.Second + 130*time.Millisecond)
			v.saves(head, 0)
			v.wait(2*time.Second + 130*time.Millisecond)
			v.puts("ghost", &a)
			return head
		}, true, "while another one was applied"},
		"its decision is found": {func(v *village) decisions.Head {
			a, head := v.begins("ghost", "gone")
			late := a
			late.Refused = "its file comes later" // nothing is taken by that
			v.puts("ghost", &late)
			v.wait(othersBegin + 130*time.Millisecond) // its start is no rival's any more
			v.saves(head, 0)
			head = v.delivers(head)
			v.apply("real", advisedOf("real", "ranker"))
			return head
		}, false, "by its last decision ghost.1.2"},
	} {
		t.Run(name, func(t *testing.T) {
			inVillage(t, advisedOf("story", "m"), "", func(v *village) {
				v.status(decisions.StatusRunning)
				v.share.Store(1000)
				v.wait(5*time.Second + 130*time.Millisecond)
				head := x.stands(v)
				v.wait(15*time.Second + 130*time.Millisecond)
				if page := v.page("/v1/rollouts/ghost"); !strings.Contains(page, `"stands_by":true`) || !strings.Contains(page, x.because) {
					t.Errorf("it stands by otherwise: %s", page)
				}
				if !x.killed {
					_, revision, err := v.bus.LoadHead(v.Context(), "ghost")
					v.must(err)
					head.Writer = ""
					v.saves(head, revision)
				}
				v.errors.Store(2000)
				began := time.Now()
				v.untilOf("ghost", "it is rolled back", func(s *decisions.State) bool { return s.Status == decisions.StatusRolledBack })
				if took := time.Since(began); took > 3*time.Minute {
					t.Errorf("it is rolled back %s later", took)
				}
				v.isFounded()
			})
		})
	}
}

// TestCountsWhatItJudges: a rollout that this process judges, and that stage one was never told of, is counted after all, and the log says so; one that is counted, lost, or finished is left as it is.
func TestCountsWhatItJudges(t *testing.T) {
	h := newChamber(t, t.TempDir())
	h.decide(t)
	c, d := h.court, h.court.desks["story"]
	d.started = true
	told := make(chan order, 9)
	c.counter = told
	ordered := func() (orders []order) {
		c.countsAll(t.Context())
		for len(told) > 0 {
			orders = append(orders, <-told)
		}
		return orders
	}
	d.lost = bus.ErrLost
	if got := ordered(); len(got) != 0 {
		t.Errorf("another one judges it, and it is counted: %+v", got)
	}
	d.lost = nil
	if got := ordered(); len(got) != 1 || got[0].set == nil || got[0].set.Rollout != "story" || got[0].set.Epoch != 1 || h.log.times("its windows were not counted") != 1 {
		t.Errorf("it isn't counted, or nothing says so: %+v", got)
	}
	if got := ordered(); len(got) != 0 {
		t.Errorf("it is counted already: %+v", got)
	}
	c.order(t.Context(), order{remove: "story"})
	<-told
	d.head.State.Status = decisions.StatusSuperseded
	if got := ordered(); len(got) != 0 {
		t.Errorf("it has ended, and is counted: %+v", got)
	}
}

// saves stores a record over a revision of it.
func (v *village) saves(head decisions.Head, over uint64) {
	v.Helper()
	_, err := v.bus.SaveHead(v.Context(), head, over)
	v.must(err)
}

// delivers publishes what stands in a record, signed by the service's key, and stores that.
func (v *village) delivers(head decisions.Head) decisions.Head {
	v.Helper()
	text, err := os.ReadFile(filepath.Join(v.dir, "data", "keys", "signing.pem"))
	v.must(err)
	key, err := schemas.ParseSigningKey(text)
	v.must(err)
	b, err := bus.Connect(v.Context(), bus.Options{Conn: v.conn(), Key: key})
	v.must(err)
	head, err = b.Deliver(v.Context(), head)
	v.must(err)
	_, revision, err := v.bus.LoadHead(v.Context(), head.State.Terms.Rollout)
	v.must(err)
	v.saves(head, revision)
	return head
}

// puts hands an application in as it is.
func (v *village) puts(name string, a *Application) {
	v.Helper()
	body, err := a.Encode()
	v.must(err)
	_, err = v.bus.PutSpec(v.Context(), bus.Spec{Rollout: name, Body: body})
	v.must(err)
}

// TestEndedByOneThatIsGone: what the service that decided has ended, before it was killed, is taken over by the one that stands by, too: nothing is told as lost, that one is ready, and what is asked for is done by it.
func TestEndedByOneThatIsGone(t *testing.T) {
	long := storyHead + errorsMore + "  stages: [{weight: 10, bake: 10m, max: 1h}]\n"
	inVillage(t, long, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.other("new", "127.0.0.1:8089")
		v.wait(15*time.Second + 70*time.Millisecond)
		v.apply("next", strings.Replace(long, "name: story", "name: next", 1), func(a *Application) { a.Supersede = true })
		v.untilOf("next", "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		v.wait(3*time.Second + 130*time.Millisecond)
		v.requests.Store(20)
		v.lines["new"].cut()
		v.wait(2*time.Minute + 130*time.Millisecond)
		page := v.page("/v1/rollouts/story")
		if !strings.Contains(page, `"status":"superseded"`) || strings.Contains(page, `"lost":`) {
			t.Errorf("it has ended, and stands so: %s", page)
		}
		v.wait(4 * time.Minute)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") {
			t.Errorf("the one that is left: %s", ready)
		}
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 0 {
			t.Errorf("told: %+v", told)
		}
		began := time.Now()
		if reply := v.request(schemas.Command{ID: "late", Do: "pause", Comment: "x"}); reply.Refused == "" || time.Since(began) > 3*time.Second {
			t.Errorf("after %s: %+v", time.Since(began), reply)
		}
		v.requests.Store(200)
		v.takesBack("next")
	})
}

// TestEndedBesideOther: what has ended is no loss to either of two services that go on running; begun anew, it is begun by one of them, in one epoch.
func TestEndedBesideOther(t *testing.T) {
	long := storyHead + errorsMore + "  stages: [{weight: 10, bake: 10m, max: 1h}]\n"
	inVillage(t, long, "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		stop := v.other("new", "127.0.0.1:8089")
		v.wait(15*time.Second + 70*time.Millisecond)
		next := strings.Replace(long, "name: story", "name: next", 1)
		v.apply("next", next, func(a *Application) { a.Supersede = true })
		v.untilOf("next", "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		v.deletes("next", next)
		v.requests.Store(20)
		v.wait(6*time.Minute + 130*time.Millisecond)
		if told := v.notices(schemas.NoticeRolloutLost); len(told) != 0 {
			t.Errorf("told: %+v", told)
		}
		for _, page := range []string{v.page("/readyz"), v.pageAt("127.0.0.1:8089", "/readyz")} {
			if !strings.HasPrefix(page, "200") {
				t.Errorf("one isn't ready: %s", page)
			}
		}
		if reply := v.ask("retry", true); reply.Decision != "story.3.1" {
			t.Errorf("a retry is answered with %+v", reply)
		}
		v.until("it runs anew", func(s *decisions.State) bool { return s.Epoch == 3 && s.Status == decisions.StatusRunning })
		v.wait(20*time.Second + 130*time.Millisecond)
		v.stopsLeader("story", stop)
		v.requests.Store(200)
		v.wait(10*time.Second + 130*time.Millisecond)
		v.takesBack("story")
		v.isFounded()
	})
}
