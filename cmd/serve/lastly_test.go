package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// TestTheJudgeAnswers: where two services hear a command, the answer is that of the one that decides for the rollout, and at once; where none does, whoever hears it says so.
func TestTheJudgeAnswers(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.must(os.CopyFS(filepath.Join(v.dir, "second", "keys"), os.DirFS(filepath.Join(v.dir, "data", "keys"))))
		stop := v.serviceAt("second", "127.0.0.1:8089")
		v.wait(5 * time.Second)
		for i := range 6 {
			began := time.Now()
			do := [...]string{"pause", "resume"}[i%2]
			if reply := v.ask(do, false); reply.Decision == "" || time.Since(began) > 3*time.Second {
				t.Errorf("%s is answered after %s: %+v", do, time.Since(began), reply)
			}
			v.wait(4 * time.Second)
		}
		if reply := v.ask("resume", false); reply.Refused != "the rollout doesn't hold" {
			t.Errorf("what the judge refuses is answered: %+v", reply)
		}
		began := time.Now()
		reply, err := v.bus.Ask(v.Context(), "nobody", &schemas.Command{ID: "x", Do: "pause", Comment: "x"}, "")
		v.must(err)
		if !strings.HasPrefix(reply.Refused, "no rollout nobody is judged here") || time.Since(began) > time.Second {
			t.Errorf("a rollout that nobody judges: after %s %+v", time.Since(began), reply)
		}
		pages := v.page("/readyz") + v.pageAt("127.0.0.1:8089", "/readyz")
		if strings.Count(pages, "another one has written its record (second). Ask that one. Where that one is stopped, this one goes on by itself, within seconds; where it is killed, or hangs, about 1m30s after it wrote last.") != 1 {
			t.Errorf("one of the two decides no more, and says so: %s", pages)
		}
		// Where the judge is gone, the other one takes over, and does it, before whoever asks gives up.
		if strings.HasPrefix(v.page("/readyz"), "200") {
			v.stopService()
		} else {
			stop()
		}
		began = time.Now()
		reply = v.ask("pause", false)
		if reply.Decision == "" || time.Since(began) > 8*time.Second {
			t.Errorf("without the judge: after %s %+v", time.Since(began), reply)
		}
	})
}

// TestRetriedBeside: where two services hear that a rollout is to begin anew, who asks is told that it does, also where the other one doesn't know the rollout, or has it as ended, too.
func TestRetriedBeside(t *testing.T) {
	long := storyHead + errorsMore + "  stages: [{weight: 10, bake: 10m, max: 1h}]\n"
	inVillage(t, long, "", func(v *village) {
		command := func(rollout, do, want string) {
			t.Helper()
			v.asked++
			began := time.Now()
			reply, err := v.bus.Ask(v.Context(), rollout, &schemas.Command{ID: fmt.Sprint(v.asked), Do: do, By: "ada", Comment: "x"}, "")
			v.must(err)
			if took := time.Since(began); reply.Decision != want || took > 5*time.Second {
				t.Errorf("%s of %s is answered after %s: %+v", do, rollout, took, reply)
			}
		}
		ended := func(s *decisions.State) bool { return s.Saga != nil && s.Saga.Done() }
		v.status(decisions.StatusRunning)
		command("story", "rollback", "story.1.3")
		v.completed()
		stop := v.other("new", "127.0.0.1:8089")
		v.wait(30*time.Second + 70*time.Millisecond)
		command("story", "retry", "story.2.1")
		v.epoch(2, decisions.StatusRunning)
		command("story", "pause", "story.2.3")
		command("story", "rollback", "story.2.4")
		v.until("it is over", ended)
		v.wait(5*time.Second + 70*time.Millisecond)
		v.apply("next", strings.Replace(long, "name: story", "name: next", 1))
		v.untilOf("next", "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		command("next", "rollback", "next.3.3")
		v.untilOf("next", "it is over", ended)
		v.wait(5*time.Second + 70*time.Millisecond)
		command("next", "retry", "next.4.1")
		v.untilOf("next", "it runs again", func(s *decisions.State) bool { return s.Epoch == 4 && s.Status == decisions.StatusRunning })
		for _, rollout := range []string{"story", "next"} {
			if head, _, err := v.bus.LoadHead(v.Context(), rollout); err != nil || head.Writer != "new" {
				t.Errorf("%s decides for %s: %v", head.Writer, rollout, err)
			}
		}
		v.wait(time.Minute)
		if told := v.notices(schemas.NoticeRetiredServes); len(told) != 0 { // what begins after a rollback is known to the one that looks at that
			t.Errorf("told: %+v", told)
		}
		command("next", "rollback", "next.4.3")
		v.untilOf("next", "it is over", func(s *decisions.State) bool { return s.Epoch == 4 && ended(s) })
		v.wait(5*time.Second + 70*time.Millisecond)
		stop()
		v.wait(7*time.Second + 70*time.Millisecond)
		command("next", "retry", "next.5.1")
	})
}

// TestRetriedByBoth: where neither of two services decides for an ended rollout, both hear that it is to begin anew, and both hand it in: who asks is told that it does, and not that one of them came too late.
func TestRetriedByBoth(t *testing.T) {
	advice := strings.Replace(storyHead, "  acks: {routers: [router-a], within: 10s}\n", "  mode: advise\n", 1) + errorsMore + "  stages: [{weight: 10, bake: 10m, max: 1h}]\n"
	inVillage(t, advice, "", func(v *village) {
		for epoch := int64(1); epoch < 3; epoch++ {
			v.epoch(epoch, decisions.StatusRunning)
			v.ask("rollback", false)
			v.epoch(epoch, decisions.StatusRolledBack)
			v.wait(5*time.Second + 70*time.Millisecond)
			stop := v.other(fmt.Sprint("new-", epoch), "127.0.0.1:8089")
			v.wait(5*time.Second + 70*time.Millisecond)
			began := time.Now()
			if reply := v.ask("retry", false); reply.Decision != fmt.Sprintf("story.%d.1", epoch+1) || time.Since(began) > 5*time.Second {
				t.Errorf("after %s: %+v", time.Since(began), reply)
			}
			v.epoch(epoch+1, decisions.StatusRunning)
			v.wait(5*time.Second + 70*time.Millisecond)
			stop()
			v.restart()
		}
	})
}

// TestHandedInByAnother: of two services that hear the same command, the one that comes too late to hand the rollout in has nothing to say of that; where somebody has handed in another one meanwhile, it has.
func TestHandedInByAnother(t *testing.T) {
	inVillage(t, rolloutWith(atOnce), "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.stopService()
		there, err := v.bus.Spec(v.Context(), "story")
		v.must(err)
		a, err := ReadApplication(there.Body)
		v.must(err)
		c := &court{bus: v.bus}
		own, other := there, there
		for _, x := range []struct {
			own, other string
			want       error
		}{{"r1", "r1", nil}, {"r2", "r3", bus.ErrConflict}} {
			a.ID = x.other
			other.Body, err = a.Encode()
			v.must(err)
			if other.Revision, err = v.bus.PutSpec(v.Context(), other); err != nil {
				v.Fatal(err)
			}
			a.ID = x.own
			own.Body, err = a.Encode()
			v.must(err)
			if err := c.writeOver(v.Context(), own, x.own); !errors.Is(err, x.want) || x.want == nil && err != nil {
				t.Errorf("%s, after %s was handed in: %v, want %v", x.own, x.other, err, x.want)
			}
			if now, err := v.bus.Spec(v.Context(), "story"); err != nil || now.Revision != other.Revision {
				t.Errorf("%s was written over %s: %v", x.own, x.other, err)
			}
		}
	})
}
