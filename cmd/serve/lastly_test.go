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
		if strings.Count(pages, "another one has written its record. Ask that one, and stop this one; if no other runs, restart this one") != 1 {
			t.Errorf("one of the two decides no more, and says so: %s", pages)
		}
		// Where the judge is gone, the other one says what it knows, before whoever asks gives up.
		if strings.HasPrefix(v.page("/readyz"), "200") {
			v.stopService()
		} else {
			stop()
		}
		began = time.Now()
		reply = v.ask("pause", false)
		if !strings.HasPrefix(reply.Failed, "This serve no longer decides for rollout story: another one has written its record.") || time.Since(began) > 25*time.Second {
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
