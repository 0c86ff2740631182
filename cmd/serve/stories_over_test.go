package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/subscribe"
	"streamcanary/schemas"
)

// counting is a store that names each snapshot anew, and remembers what it went back to.
type counting struct {
	shelf
	taken atomic.Int64
	back  atomic.Value
}

func (s *counting) Snapshot(ctx context.Context) (string, error) {
	return fmt.Sprintf("snap-%d", s.taken.Add(1)), s.can(ctx)
}

func (s *counting) Restore(ctx context.Context, snapshot string) error {
	s.back.Store(snapshot)
	return s.can(ctx)
}

// runsAs lets time pass until an epoch of a rollout has traffic.
func (v *village) runsAs(rollout string, epoch int64) {
	v.Helper()
	v.untilOf(rollout, fmt.Sprintf("epoch %d has traffic", epoch), func(s *decisions.State) bool {
		return s.Epoch == epoch && s.Status == decisions.StatusRunning && s.DueMs > 0
	})
	v.wait(2*time.Second + 300*time.Millisecond)
}

// TestStoriesOfStateBegunOver: an epoch that begins over one that is under way goes back to what was before that: by a retry, a file that is applied anew, and another rollout that takes over.
func TestStoriesOfStateBegunOver(t *testing.T) {
	tell(t, map[string]tale{"state-of-what-begins-over-another": {atOnce + sharedAnd, func(v *village) {
		s := &counting{}
		v.follow("users", subscribe.KeepState("users", s))
		v.runsAs("story", 1)
		v.ask("retry", true)
		v.runsAs("story", 2)
		v.apply("story", rolloutWith(atOnce+sharedAnd))
		v.runsAs("story", 3)
		v.restart()
		v.wait(5*time.Second + 300*time.Millisecond)
		second := strings.Replace(rolloutWith(atOnce+sharedAnd), "name: story", "name: second", 1)
		v.apply("second", second, func(a *Application) { a.Supersede = true })
		v.runsAs("second", 4)
		v.orders("second", "rollback")
		v.untilOf("second", "the rollback is carried out", func(s *decisions.State) bool { return s.Saga != nil && s.Saga.Done() })
		if back := s.back.Load(); back != "snap-1" || s.taken.Load() != 1 {
			v.Errorf("went back to %v, of %d snapshots", back, s.taken.Load())
		}
		v.wait(5*time.Second + 300*time.Millisecond)
		v.apply("third", strings.Replace(second, "name: second", "name: third", 1)) // what was written is gone: a snapshot of its own
		v.runsAs("third", 5)
	}}})
}

// TestStoriesOfStateBegunOverByForce: where the snapshots from before are of no use, nothing begins without an admin's word, and the decisions say what the new ones may have.
func TestStoriesOfStateBegunOverByForce(t *testing.T) {
	tell(t, map[string]tale{"state-that-keeps-what-was-tried": {atOnce + sharedAnd, func(v *village) {
		v.follow("users", subscribe.KeepState("users", &counting{}))
		v.runsAs("story", 1)
		other := strings.Replace(rolloutWith(atOnce+strings.Replace(sharedAnd, "[users]", "[items, users]", 1)), "name: story", "name: second", 1)
		items := subscribe.KeepState("items", &counting{})
		v.follow("items", func(ctx context.Context, d subscribe.Delivery) error {
			time.Sleep(130 * time.Millisecond) // never at the instant of the other one
			return items(ctx, d)
		})
		v.apply("second", other, func(a *Application) { a.Supersede = true })
		v.wait(5*time.Second + 300*time.Millisecond)
		const why = "v2 may have written to users in epoch 1, and second could not go back to the snapshots from before that (users to snapshot snap-1): its state.stores are not theirs (users): " +
			"`rollout rollback story --comment WHY` first, and apply it when that is carried out; or apply it with --force, which takes an admin, and the decision says so"
		if page := v.page("/v1/rollouts"); !strings.Contains(page, why) {
			v.Errorf("want it refused: %s\n%s", why, page)
		}
		v.apply("second", other, func(a *Application) { a.Supersede, a.Force = true, true })
		v.runsAs("second", 2)
		v.orders("second", "rollback")
		v.untilOf("second", "the rollback is carried out", func(s *decisions.State) bool { return s.Saga != nil && s.Saga.Done() })
		v.wait(5*time.Second + 300*time.Millisecond)
	}}})
}

// TestStoriesOfStateAfterALostLog: whoever begins anew without the decision log isn't told that the snapshot is from before the canary.
func TestStoriesOfStateAfterALostLog(t *testing.T) {
	inVillage(t, rolloutWith(atOnce+sharedAnd), "", func(v *village) {
		v.follow("users", subscribe.KeepState("users", &counting{}))
		v.runsAs("story", 1)
		v.must(v.js().DeleteStream(v.Context(), schemas.StreamName))
		v.must(v.bus.Ensure(v.Context()))
		v.wait(3*time.Second + 300*time.Millisecond)
		v.ask("retry", true)
		v.runsAs("story", 2)
		v.ask("rollback", false)
		v.until("it is restored", func(s *decisions.State) bool { return s.Saga != nil && !s.Frozen })
		v.wait(2*time.Second + 300*time.Millisecond)
		v.golden("state-after-a-lost-log")
		if findings, _ := v.recompute(journalOf(v.kafka), v.decisionLog()); told(findings) != "unpublished" || findings[0].Epoch != 1 {
			v.Errorf("of a log that lost epoch 1: %+v", findings)
		}
	})
}

// TestStateAfterADeletion: a rollout that is deleted while its canary has traffic leaves what that wrote, also where nothing but the decision log knows of it.
func TestStateAfterADeletion(t *testing.T) {
	inVillage(t, rolloutWith(atOnce+sharedAnd), "", func(v *village) {
		v.follow("users", subscribe.KeepState("users", &counting{}))
		v.runsAs("story", 1)
		v.delete("story")
		v.wait(2*time.Second + 300*time.Millisecond)
		v.apply("story", rolloutWith(atOnce+sharedAnd))
		v.runsAs("story", 2)
		head, _, err := v.bus.LoadHead(v.Context(), "story")
		v.must(err)
		if w := head.State.Terms.State.Written; w == nil || w.By != "v2" || !w.Within || w.Snapshots != nil || head.State.Snapshots[0].ID != "snap-2" {
			v.Errorf("%+v, snapshots %+v", w, head.State.Snapshots)
		}
	})
}

// TestStoriesOfStateLeftShut: where a rollout is deleted by force while its stores take no writes, no rollout of the model begins over that, whatever it has of state, until an admin says so: its
// decisions let the stores take writes again then.
func TestStoriesOfStateLeftShut(t *testing.T) {
	tell(t, map[string]tale{"deleted-while-its-state-is-shut": {atOnce + sharedAnd, func(v *village) {
		s := &shelf{}
		v.follow("users", subscribe.KeepState("users", s))
		v.runsAs("story", 1)
		s.empty.Store(true) // it can't go back
		v.ask("rollback", false)
		v.until("the store takes no writes", func(*decisions.State) bool { return s.frozen.Load() })
		v.wait(5*time.Second + 300*time.Millisecond)
		v.forces("story")
		const why = "users was told to take no writes by decision story.1.6 of rollout story, which nobody follows any more, and a snapshot taken now may have what its canary wrote: " +
			"let the state go back by hand (users to snapshot before-v2); then apply it with --new-epoch --force, which takes an admin: the decision says so, and tells users to take writes again"
		stateless := strings.Replace(rolloutWith(atOnce), "name: story", "name: second", 1)
		for _, x := range [][2]string{{"story", rolloutWith(atOnce + sharedAnd)}, {"second", stateless}} {
			v.apply(x[0], x[1])
			v.wait(3*time.Second + 300*time.Millisecond)
			if page := v.page("/v1/rollouts/" + x[0]); !strings.Contains(page, why) || !s.frozen.Load() {
				v.Errorf("want %s refused: %s", x[0], page)
			}
		}
		v.apply("second", stateless, func(a *Application) { a.Force = true })
		v.runsAs("second", 2)
		v.untilOf("second", "the store takes writes", func(x *decisions.State) bool { return len(x.Owing()) == 0 && !s.frozen.Load() })
		v.delete("second")
		v.apply("story", rolloutWith(atOnce+sharedAnd)) // nothing is left of it
		v.runsAs("story", 3)
	}}})
}

// forces deletes a rollout whose rollback isn't carried out, as `rollout delete --force` does.
func (v *village) forces(name string) {
	v.Helper()
	head, _, err := v.bus.LoadHead(v.Context(), name)
	v.must(err)
	v.apply(name, string(rolloutOf(v, &head)), func(a *Application) { a.Delete, a.Force = true, true })
	v.untilOf(name, "it is deleted", func(s *decisions.State) bool { return s.Status == decisions.StatusDeleted })
	v.forget(name)
}

// TestStoriesOfUsersMoved: after a promotion no rollout takes all users to the version before at once, unless an admin says so.
func TestStoriesOfUsersMoved(t *testing.T) {
	tell(t, map[string]tale{"a-start-that-would-move-all-users": {atOnce, func(v *village) {
		v.runsAs("story", 1)
		v.ask("promote", false)
		v.status(decisions.StatusPromoted)
		v.wait(10*time.Second + 300*time.Millisecond)
		refuses := func(name, rollout, why string) {
			v.apply(name, rollout)
			v.wait(3*time.Second + 300*time.Millisecond)
			if page := v.page("/v1/rollouts"); !strings.Contains(page, why) {
				v.Errorf("want %s refused: %s\n%s", name, why, page)
			}
		}
		const moves = "100 % of users are on v2 by the routes of epoch 1 (decision story.1.3), and this rollout would move them to v1 at once: "
		const back = "`streamcanary rollout back story --comment WHY` where going back is meant; or apply it with --override to move them now, which takes an admin, and the decision says so"
		second := strings.NewReplacer("name: story", "name: second", "version: v2", "version: v3").Replace(rolloutWith(atOnce))
		refuses("second", second, moves+"write `baseline: {version: v2}` where that is what serves; or "+back)
		refuses("story", rolloutWith(atOnce), moves+back)
		v.apply("story", rolloutWith(atOnce), func(a *Application) { a.Override = true })
		v.runsAs("story", 2)
	}}})
}

// TestStoriesOfWhatIsRefused: what was refused begins when it is applied again, and not by a restart.
func TestStoriesOfWhatIsRefused(t *testing.T) {
	tell(t, map[string]tale{"a-refused-rollout-and-a-restart": {atOnce, func(v *village) {
		v.runsAs("story", 1)
		second := strings.NewReplacer("name: story", "name: second", "version: v2", "version: v3").Replace(rolloutWith(atOnce))
		v.apply("second", second)
		refused := func() {
			v.wait(3*time.Second + 300*time.Millisecond)
			page := v.page("/v1/rollouts")
			if _, _, err := v.bus.LoadHead(v.Context(), "second"); !errors.Is(err, bus.ErrNotFound) || !strings.Contains(page, "model ranker has an active rollout, story") || !strings.Contains(page, `"refused_at":"2000-01-01T00:00:0`) {
				v.Errorf("want it refused: %v\n%s", err, page)
			}
		}
		refused()
		v.delete("story")
		v.wait(5 * time.Second)
		v.restart()
		refused()
		v.apply("second", second)
		v.untilOf("second", "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
		v.wait(2 * time.Second)
		if page := v.page("/v1/rollouts"); strings.Contains(page, `"refused"`) {
			v.Errorf("still refused: %s", page)
		}
	}}})
}
