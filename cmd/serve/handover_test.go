package serve

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// cliWaits is for how long the command line waits.
const cliWaits = 25 * time.Second

// TestStoriesOfACommandInAHandover: what is asked for after the service that decides was stopped, and before the one that stands by has taken over, is obeyed by that one, once, while whoever asks waits.
func TestStoriesOfACommandInAHandover(t *testing.T) {
	story(t, "a-command-in-a-handover", storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		stop := v.other("new", "127.0.0.1:8089")
		v.wait(15*time.Second + 70*time.Millisecond)
		stop()
		v.wait(100 * time.Millisecond)
		for range 2 { // the second is the same request
			began := time.Now()
			if reply := v.request(schemas.Command{ID: "two", Do: "rollback", Comment: "users complain"}); reply.Decision != "story.1.3" || time.Since(began) > 8*time.Second {
				v.Errorf("after %s: %+v", time.Since(began), reply)
			}
		}
		v.completed()
		if v.share.Load() != 0 {
			v.Errorf("the canary has %d basis points", v.share.Load())
		}
	})
}

// TestCommandWhileStopping: what the service that decides hears on its way out is done once, by that one or by the one that takes over, and whoever asks is told.
func TestCommandWhileStopping(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		names := [...]string{"one", "two", "three", "four"}
		seq := 2
		for i, name := range names { // what is between the two that happens at once is left to chance
			stop := v.other(name, fmt.Sprint("127.0.0.1:", 8089+i))
			v.wait(15*time.Second + 70*time.Millisecond)
			go stop()
			began, do := time.Now(), [...]string{"pause", "resume"}[i%2]
			seq++
			if reply := v.request(schemas.Command{ID: name, Do: do, Comment: "x"}); reply.Decision != fmt.Sprint("story.1.", seq) || time.Since(began) > cliWaits {
				v.Errorf("%s is answered after %s with %+v", do, time.Since(began), reply)
			}
			v.wait(15*time.Second + 70*time.Millisecond)
		}
		if head, _, err := v.bus.LoadHead(v.Context(), "story"); err != nil || head.State.Seq != int64(seq) {
			t.Errorf("decision %d is the last (%v), want %d", head.State.Seq, err, seq)
		}
	})
}

// TestCommandAfterAKill: where the service that decides was killed, whoever asks is told, in time, that nothing is done, and when to ask again; asked again then, it is done.
func TestCommandAfterAKill(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.other("new", "127.0.0.1:8089")
		v.wait(15*time.Second + 70*time.Millisecond)
		v.lines["new"].cut()
		v.wait(5*time.Second + 70*time.Millisecond)
		began := time.Now()
		back := schemas.Command{ID: "two", Do: "rollback", Comment: "users complain"}
		reply := v.request(back)
		const says = "nothing is done: serve new decides for rollout story, by its record, and has not answered; this one stands by. If that one runs, ask again with the same id. If it is gone, this one takes over in "
		if took := time.Since(began); !strings.HasPrefix(reply.Failed, says) || took > cliWaits {
			t.Fatalf("after %s: %+v", took, reply)
		}
		text, _, _ := strings.Cut(strings.TrimPrefix(reply.Failed, says), " at most: ask again then")
		within, err := time.ParseDuration(text)
		v.must(err)
		if within < 30*time.Second || within > 2*time.Minute {
			t.Errorf("it is to be in %s", within)
		}
		v.wait(within)
		began = time.Now()
		if reply := v.request(back); reply.Decision != "story.1.3" || time.Since(began) > 3*time.Second {
			t.Errorf("after %s: %+v", time.Since(began), reply)
		}
	})
}

// TestCommandForTheRefusedAfterAKill: where the service that decides was killed, a command for a rollout that a pillar refused, which nobody will obey, is answered by the record, and not after 22 s.
func TestCommandForTheRefusedAfterAKill(t *testing.T) {
	const text, number = `{"type":"object","required":["a"],"properties":{"a":{"type":"string"}}}`, `{"type":"object","required":["a"],"properties":{"a":{"type":"number"}}}`
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.other("new", "127.0.0.1:8089")
		v.wait(15*time.Second + 70*time.Millisecond)
		second := strings.NewReplacer("name: story", "name: second", "model: ranker", "model: other").Replace(storyHead + errorsMore + atOnce + withRequests)
		v.apply("second", second, documented("in-1.json", text, "in-2.json", number)) // the new one begins it, and the old one stands by
		v.untilOf("second", "it is refused", func(s *decisions.State) bool { return s.Status == decisions.StatusRefused })
		v.wait(15*time.Second + 70*time.Millisecond)
		v.lines["new"].cut()
		v.wait(5*time.Second + 70*time.Millisecond)
		for _, do := range []string{"pause", "rollback"} {
			began := time.Now()
			reply, err := v.bus.Ask(v.Context(), "second", &schemas.Command{ID: do, Do: do, Comment: "x", By: "ada"}, "")
			v.must(err)
			if took := time.Since(began); !strings.HasPrefix(reply.Refused, "epoch 1 is refused, and stays so") || took < endedAfter || took > 10*time.Second {
				t.Errorf("%s is answered after %s with %+v", do, took, reply)
			}
			v.wait(130 * time.Millisecond)
		}
	})
}

// TestCommandOfTheReplaced: one that doesn't know yet that a newer one has taken over takes a command, finds that as it writes, and says in time what is known where that one was killed, too.
func TestCommandOfTheReplaced(t *testing.T) {
	inVillage(t, storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", "", func(v *village) {
		v.status(decisions.StatusRunning)
		for i, do := range []string{"pause", schemas.CommandRetry} {
			name := fmt.Sprint("new-", i)
			v.wait(15*time.Second + 130*time.Millisecond)
			v.other(name, fmt.Sprint("127.0.0.1:", 8089+i))
			v.wait(130 * time.Millisecond)
			v.lines[name].cut()
			v.wait(130 * time.Millisecond)
			began := time.Now()
			c := schemas.Command{ID: name, Do: do, Comment: "x", Override: do == schemas.CommandRetry}
			reply := v.request(c)
			_, text, _ := strings.Cut(reply.Failed, "this one takes over in ")
			text, _, _ = strings.Cut(text, " at most: ask again then")
			within, err := time.ParseDuration(text)
			if took := time.Since(began); err != nil || took > cliWaits || !strings.HasPrefix(reply.Failed, "it ") {
				t.Fatalf("%s is answered after %s with %+v", do, took, reply)
			}
			v.wait(within)
			if reply := v.request(c); reply.Decision == "" {
				t.Errorf("%s, asked again, is answered with %+v", do, reply)
			}
		}
		v.epoch(2, decisions.StatusRunning)
		v.isFounded()
	})
}
