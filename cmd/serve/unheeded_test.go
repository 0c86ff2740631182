package serve

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"streamcanary/decisions"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// TestUnheeded: an answer that counts for nothing leaves a count with its reason, the log tells once in a while of one that was never asked for, and who waits is told of other epochs.
func TestUnheeded(t *testing.T) {
	inVillage(t, strings.Replace(rolloutWith(atOnce), "[router-a]", "[raw, router-a]", 1), "", func(v *village) {
		v.wait(2 * time.Second)
		say := func(model, consumer, decision string, epoch, seq int64) {
			v.Helper()
			v.must(v.bus.Answer(v.Context(), model, &schemas.Ack{
				Decision: decision, Epoch: epoch, Seq: seq, Consumer: consumer, Instance: fmt.Sprint(time.Now().UnixNano()), Status: schemas.AckApplied, At: schemas.Time(time.Now().UnixMilli()),
			}))
			v.wait(10 * time.Millisecond)
		}
		for range 3 {
			say("ranker", "raw", "story.1.7", 1, 7)
			say("ranker", "raw", "other.1.1", 1, 1)
			say("ranker", "raw", "story.9.1", 9, 1)
			say("ranker", "nobody", "story.1.1", 1, 1)
			say("unknown", "raw", "story.1.1", 1, 1)
		}
		v.wait(2 * time.Second)
		page := v.page("/metrics")
		for reason, want := range map[decisions.Unheeded]int{
			decisions.UnheededFuture: 3, decisions.UnheededDecision: 3, decisions.UnheededNewer: 3, decisions.UnheededStranger: 3, decisions.UnheededModel: 3,
		} {
			if line := fmt.Sprintf("streamcanary_acks_ignored_total{reason=%q} %d\n", reason, want); !strings.Contains(page, line) {
				v.Errorf("metrics have no line %s", line)
			}
		}
		v.until("who waits for raw is told what it answers to", func(s *decisions.State) bool {
			return len(s.Strays) == 1 && s.Strays[0].Consumer == "raw" && s.Strays[0].Epoch == 9 && s.Status == decisions.StatusPreparing
		})
	})
}

// TestOlderEpochWhileAway: what was answered to an epoch before, and journaled by a serve that ended before it had folded it, is counted by the next one, and told where it is waited for.
func TestOlderEpochWhileAway(t *testing.T) {
	rollout := strings.Replace(rolloutWith(atOnce), "[router-a]", "[raw, router-a]", 1)
	second := strings.Replace(rollout, "name: story", "name: second", 1)
	inVillage(t, rollout, "", func(v *village) {
		v.wait(2 * time.Second)
		v.answers("raw", 1, schemas.AckPrepared, "")
		v.status(decisions.StatusRunning)
		v.answers("raw", 2, schemas.AckApplied, "")
		v.wait(5 * time.Second)
		v.apply("second", second, func(a *Application) { a.Supersede = true })
		v.wait(2 * time.Second)
		v.journaledWhileAway("story", 1)
		v.untilOf("second", "who waits for raw is told what it answers to", func(s *decisions.State) bool {
			return len(s.Strays) == 1 && s.Strays[0].Consumer == "raw" && s.Strays[0].Epoch == 1 && s.Status == decisions.StatusPreparing
		})
		v.apply("second", second, func(a *Application) { a.Retry, a.Force = true, true })
		v.untilOf("second", "it begins anew", func(s *decisions.State) bool { return s.Epoch == 3 })
		v.wait(2 * time.Second)
		v.journaledWhileAway("second", 2)
	})
}

// journaledWhileAway stops the service, appends two answers of raw that it didn't come to, and wants both counted once it runs again.
func (v *village) journaledWhileAway(rollout string, epoch int64) {
	v.Helper()
	v.stopService()
	for seq := range 2 {
		id := fmt.Sprintf("%s.%d.%d", rollout, epoch, seq+1)
		value, err := decisions.EncodeInput(decisions.Input{Kind: decisions.InputAck, WallMs: time.Now().UnixMilli(), Ack: &schemas.Ack{
			Decision: id, Epoch: epoch, Seq: int64(seq + 1), Consumer: "raw", Status: schemas.AckApplied, At: schemas.Time(time.Now().UnixMilli()),
		}})
		v.must(err)
		_, err = v.kafka.Log(JournalTopic, 0).Append(v.Context(), kafka.Entry{Key: []byte("ranker"), Value: value, Headers: headers(inputRecord, rollout, epoch)})
		v.must(err)
	}
	v.stopService = v.service()
	v.wait(5 * time.Second)
	if page := v.page("/metrics"); !strings.Contains(page, `streamcanary_acks_ignored_total{reason="older_epoch"} 2`+"\n") {
		v.Errorf("answers to %s.%d are not counted", rollout, epoch)
	}
}

// TestUnheededIsLogged: once in a while for each consumer that is asked, and of nobody else.
func TestUnheededIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		c := &court{seen: newMetrics("test"), log: zerolog.New(&log)}
		d := &desk{rollout: &schemas.Rollout{Name: "r", Model: "m"}}
		d.head.State = decisions.State{Terms: decisions.Terms{Rollout: "r", Model: "m", Mode: schemas.Enforce, Routers: []string{"eu"}}, Epoch: 2, Seq: 3, Prev: &schemas.Prev{ID: "r.2.3"}}
		say := func(consumer string, epoch, seq int64) {
			c.heeded(d, &schemas.Ack{Decision: fmt.Sprintf("r.%d.%d", epoch, seq), Epoch: epoch, Seq: seq, Consumer: consumer, Status: schemas.AckApplied})
		}
		for range 5 {
			say("eu", 2, 3)    // as asked
			say("eu", 1, 9)    // is over
			say("eu", 2, 4)    // was never decided
			say("eu", 3, 1)    // nor was that
			say("other", 2, 4) // and nobody asked who says so
			say("other", 2, 3)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), `"decision":"r.2.4"`) || !strings.Contains(log.String(), `"reason":"future_decision"`) {
			t.Errorf("logged\n%s", log.String())
		}
		time.Sleep(nagEvery)
		say("eu", 3, 1)
		if lines := strings.Count(log.String(), "\n"); lines != 2 || !strings.Contains(log.String(), `"reason":"future_epoch"`) {
			t.Errorf("a while later logged\n%s", log.String())
		}
	})
}

// TestCrowd: made-up names and epochs take no place from those whom the rollout asks.
func TestCrowd(t *testing.T) {
	c := &court{roster: newRoster()}
	c.roster.put(&schemas.Rollout{Name: "r", Model: "m", Acks: schemas.Acks{Routers: []string{"eu"}}, State: schemas.StateSpec{Stores: []string{"users"}}})
	now := owner{"r", 7}
	due := func(consumer string, epoch int64) bool {
		return c.saidOf(consumer, now).due(strayKey("m", &schemas.Ack{Consumer: consumer, Epoch: epoch}, now), time.Now())
	}
	for i := range 2 * mostStretches {
		due(fmt.Sprint("made-up-", i), 3)
	}
	if due("nobody", 3) {
		t.Error("the crowd has no bound")
	}
	for _, epoch := range []int64{1, 2, 8} {
		if !due("eu", epoch) || due("eu", epoch) || !due("users", epoch) {
			t.Errorf("eu and users, of epoch %d, are not told once", epoch)
		}
	}
	if due("eu", 9) || due("eu", 1<<50) {
		t.Error("each epoch that is still to come is told")
	}
}

// TestStretches: what is said of one is said again after a while, and no more names are kept than there is room for.
func TestStretches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s stretches
		said := 0
		for i := range 2 * mostStretches {
			if s.due(fmt.Sprint(i), time.Now()) {
				said++
			}
		}
		if said != mostStretches || s.due("0", time.Now()) {
			t.Errorf("%d are said", said)
		}
		time.Sleep(nagEvery)
		if !s.due("0", time.Now()) || !s.due("new", time.Now()) || len(s.said) > mostStretches {
			t.Errorf("after a while nothing is said again, or %d are kept", len(s.said))
		}
	})
}
