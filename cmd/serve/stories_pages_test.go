package serve

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/decisions/subscribe"
	"streamcanary/schemas"
)

// pagers are those who are woken.
const pagers = "  sinks: [{slack: slack}, {pagerduty: pagerduty}]\n"

// A brim is a shelf that notices only after a while that it is full: what is decided at that instant is decided before it answers.
type brim struct{ shelf }

func (b *brim) Freeze(ctx context.Context, snapshot string) error {
	time.Sleep(applyTakes + 80*time.Millisecond) // never at the instant at which the router answers
	return b.shelf.Freeze(ctx, snapshot)
}

// standsStill lets harm come where the store has no room to freeze, and nothing moves without that.
func (v *village) standsStill() *brim {
	v.Helper()
	s := &brim{}
	v.follow("users", subscribe.KeepState("users", s))
	v.status(decisions.StatusRunning)
	s.full.Store(true)
	v.harms()
	v.status(decisions.StatusFrozen)
	return s
}

// TestStoriesOfPages: what wakes people, and what they are told, while a canary that is to be rolled back serves on.
func TestStoriesOfPages(t *testing.T) {
	amongOthers(t)
	t.Run("a-freeze-that-nothing-moves-without", func(t *testing.T) {
		storyWith(t, "a-freeze-that-nothing-moves-without", rolloutWith(atOnce+illegible+pagers), sinksOutside, func(v *village) {
			s := v.standsStill()
			v.wait(4 * time.Minute)
			if reply := v.ask("rollback", true); reply.Decision == "" { // as the page says
				v.Errorf("answered %+v", reply)
			}
			s.full.Store(false)
			v.completed()
		})
	})
	t.Run("a-rollback-that-nobody-follows", func(t *testing.T) {
		storyWith(t, "a-rollback-that-nobody-follows", rolloutWith(atOnce+betweenWindows+acksBetween+pagers), sinksOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.deaf.Store(true)
			v.harms()
			v.status(decisions.StatusRolledBack)
			v.wait(4 * time.Minute)
			v.deaf.Store(false)
			v.completed()
		})
	})
	t.Run("rolled-back-too-often-for-the-pager", func(t *testing.T) {
		storyWith(t, "rolled-back-too-often-for-the-pager", rolloutWith(atOnce+often+pagers), sinksOutside, func(v *village) {
			for epoch := int64(1); epoch <= 2; epoch++ { // the second time it is chronic, and that stands
				v.until("it runs", func(s *decisions.State) bool { return s.Epoch == epoch && s.Status == decisions.StatusRunning })
				v.wait(10 * time.Second)
				v.errors.Store(6000)
				v.completed()
				v.errors.Store(0)
				if epoch == 1 {
					v.apply("story", rolloutWith(atOnce+often+pagers), func(a *Application) { a.Retry = true })
				}
			}
			v.wait(time.Minute)
			v.apply("story", rolloutWith(atOnce+often+pagers), func(a *Application) { a.Retry = true }) // who begins it anew knows of it
			v.until("a third epoch", func(s *decisions.State) bool { return s.Epoch == 3 && s.Status == decisions.StatusRunning })
			v.wait(5 * time.Second)
		})
	})
	t.Run("deleted-before-its-state-goes-back", func(t *testing.T) {
		storyWith(t, "deleted-before-its-state-goes-back", rolloutWith(atOnce+illegible+pagers), sinksOutside, func(v *village) {
			v.standsStill()
			v.wait(10 * time.Second)
			head, _, err := v.bus.LoadHead(v.Context(), "story")
			v.must(err)
			v.apply("story", string(rolloutOf(v, &head)), func(a *Application) { a.Delete, a.Force = true, true })
			v.status(decisions.StatusDeleted)
			v.wait(5 * time.Second)
		})
	})
}

// TestStoriesOfOutages: nobody is woken for what was over before the pager was reached again, and word of it is left there.
func TestStoriesOfOutages(t *testing.T) {
	amongOthers(t)
	t.Run("a-pager-that-is-busy", func(t *testing.T) {
		storyWith(t, "a-pager-that-is-busy", rolloutWith(atOnce+pagers), sinksOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(5 * time.Second)
			v.outside.busy.Store(true)
			v.harms()
			v.completed()
			v.wait(20 * time.Second)
			v.outside.busy.Store(false)
			v.wait(time.Minute)
		})
	})
	t.Run("nobody-is-told-until-all-is-over", func(t *testing.T) {
		storyWith(t, "nobody-is-told-until-all-is-over", rolloutWith(atOnce+betweenWindows+acksBetween+pagers), sinksOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.deaf.Store(true)
			v.wait(5 * time.Second)
			v.outside.away.Store(true)
			v.harms()
			v.status(decisions.StatusRolledBack)
			v.wait(90 * time.Second)
			v.deaf.Store(false)
			v.completed()
			v.wait(5 * time.Second)
			v.outside.away.Store(false)
			v.wait(time.Minute)
		})
	})
	t.Run("a-pager-that-ends-nothing", func(t *testing.T) {
		storyWith(t, "a-pager-that-ends-nothing", rolloutWith(atOnce+pagers), sinksOutside, func(v *village) {
			v.outside.endless.Store(true)
			v.status(decisions.StatusRunning)
			v.wait(5 * time.Second)
			v.harms()
			v.completed()
			v.wait(45 * time.Second)
			v.outside.endless.Store(false)
			v.wait(45 * time.Second)
		})
	})
}

// TestStoriesOfLeavingOut: what a pager was told of by an epoch whose file names it is ended there by the next, whose file doesn't; nothing else is told there.
func TestStoriesOfLeavingOut(t *testing.T) {
	rollout := rolloutWith(atOnce + betweenWindows + acksBetween)
	storyWith(t, "a-pager-that-a-new-file-leaves-out", rolloutWith(atOnce+betweenWindows+acksBetween+pagers), sinksOutside, func(v *village) {
		v.status(decisions.StatusRunning)
		v.deaf.Store(true)
		v.harms()
		v.status(decisions.StatusRolledBack)
		v.wait(5100 * time.Millisecond)
		v.deaf.Store(false)
		v.errors.Store(0)
		v.apply("story", rollout, func(a *Application) { a.Retry, a.Force = true, true })
		v.until("it runs again", func(s *decisions.State) bool { return s.Epoch == 2 && s.DueMs > 0 })
		v.wait(5100 * time.Millisecond)
		v.harms()
		v.completed()
		v.wait(5100 * time.Millisecond)
	})
}

// TestStoriesOfSuspicions: who lets a rollout go on while a guardrail is suspect ends no incident: people aren't told of it again.
func TestStoriesOfSuspicions(t *testing.T) {
	amongOthers(t)
	t.Run("a-suspicion-that-a-person-goes-past", func(t *testing.T) {
		storyWith(t, "a-suspicion-that-a-person-goes-past", rolloutWith(inSteps+"  patience: never\n"+pagers), sinksOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.errors.Store(1150)
			v.until("people are told that errors is suspect", func(s *decisions.State) bool { return len(s.Suspected) > 0 })
			v.wait(1100 * time.Millisecond)
			v.ask("pause", false) // nobody is paged for it, and its end ends nothing
			v.wait(2100 * time.Millisecond)
			v.ask("resume", false)
			v.wait(2100 * time.Millisecond)
			v.ask("advance", true)
			v.wait(5100 * time.Millisecond)
			v.ask("rollback", false)
			v.completed()
			v.wait(2 * time.Second)
		})
	})
}

// TestStoriesOfWhatStands: what is decided while something stands that has nothing to do with it ends no incident; its own end does.
func TestStoriesOfWhatStands(t *testing.T) {
	amongOthers(t)
	t.Run("a-hold-that-ends-while-alerts-are-left-out", func(t *testing.T) {
		storyWith(t, "a-hold-that-ends-while-alerts-are-left-out", rolloutWith(inSteps+strings.Replace(alertsOf, "for: 30s, ", "", 1)+pagers), sinksOutside, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(5100 * time.Millisecond)
			v.leftOut = 7
			fires := time.Now()
			v.alerts("firing", "other", fires)
			v.wait(2100 * time.Millisecond)
			v.alerts("firing", "busy", fires) // it holds, and the engine goes on by itself
			v.wait(2100 * time.Millisecond)
			v.alerts("resolved", "busy", fires)
			v.wait(3100 * time.Millisecond)
			v.leftOut = 0
			v.alerts("resolved", "other", fires)
			v.wait(3100 * time.Millisecond)
		})
	})
	t.Run("a-retry-while-somebody-forges", func(t *testing.T) {
		storyWith(t, "a-retry-while-somebody-forges", rolloutWith(atOnce+pagers), sinksOutside, func(v *village) {
			v.harms()
			v.completed()
			v.errors.Store(0)
			v.wait(2100 * time.Millisecond)
			_, err := v.routes().Put(v.Context(), "ranker", []byte("hello"))
			v.must(err)
			v.wait(4100 * time.Millisecond)
			v.apply("story", rolloutWith(atOnce+pagers), func(a *Application) { a.Retry = true })
			v.until("it runs again", func(s *decisions.State) bool { return s.Epoch == 2 && s.DueMs > 0 })
			v.wait(2100 * time.Millisecond)
			v.ask("pause", false)
			v.wait(2100 * time.Millisecond)
			v.restart() // the log knows what stands
			v.ask("resume", false)
			v.wait(5100 * time.Millisecond)
		})
	})
}

// TestStoriesOfGivingUp: who rolls back what has not begun wakes nobody, unless users reach the canary all the same. Nobody but people decides in it, so there is nothing to be computed again.
func TestStoriesOfGivingUp(t *testing.T) {
	rollout := strings.Replace(rolloutWith(atOnce+betweenWindows+acksBetween+pagers), "[router-a]", "[router-a, router-b]", 1)
	inVillage(t, rollout, sinksOutside, func(v *village) { // router-b doesn't run
		v.wait(5 * time.Second)
		v.ask("rollback", false)
		v.wait(90 * time.Second)
		v.share.Store(1000)
		v.wait(80 * time.Second)
		v.apply("story", rollout, func(a *Application) { a.Delete, a.Force = true, true })
		v.wait(5 * time.Second)
		v.golden("given-up-before-it-begins")
	})
}

// TestStoriesOfGivingUpState: what is rolled back before it has begun leaves the state as it is, and its stores write again.
func TestStoriesOfGivingUpState(t *testing.T) {
	tell(t, map[string]tale{"rolled-back-while-frozen-before-it-begins": {atOnce + sharedAnd, func(v *village) {
		s := &shelf{}
		v.wait(5 * time.Second)
		v.ask("freeze", false)
		v.keeps(s)
		v.until("the store takes no writes", func(s *decisions.State) bool { return s.FrozenText() == "takes no writes" })
		v.wait(5 * time.Second)
		v.ask("rollback", false)
		v.completed()
		v.wait(5 * time.Second)
		if s.frozen.Load() {
			v.Error("the store takes no writes")
		}
	}}})
}

// routes is the bucket of route documents.
func (v *village) routes() jetstream.KeyValue {
	v.Helper()
	js, err := jetstream.New(v.conn())
	v.must(err)
	kv, err := js.KeyValue(v.Context(), schemas.RoutesBucket)
	v.must(err)
	return kv
}

// TestStoriesOfStrangers: who writes route documents is heard of within seconds, moves no traffic, and the right document is there again.
func TestStoriesOfStrangers(t *testing.T) {
	story(t, "a-route-that-somebody-else-writes", rolloutWith(atOnce), func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5 * time.Second)
		kv := v.routes()
		was, err := kv.Get(v.Context(), "ranker")
		v.must(err)
		signed, err := schemas.DecodeSigned(was.Value())
		v.must(err)
		signed.Body = []byte(strings.ReplaceAll(string(signed.Body), `"weight_bp":1000`, `"weight_bp":5000`))
		forged, err := schemas.EncodeSigned(signed)
		v.must(err)
		for name, do := range []func() error{
			func() error { _, err := kv.Put(v.Context(), "ranker", []byte("hello")); return err },
			func() error { _, err := kv.Put(v.Context(), "ranker", forged); return err },
			func() error { return kv.Delete(v.Context(), "ranker") },
			func() error { return kv.Purge(v.Context(), "ranker") },
			func() error { _, err := kv.Put(v.Context(), "again/ranker", forged); return err },
		} {
			v.must(do())
			v.wait(11 * time.Second)
			if d, err := v.bus.Route(v.Context(), "ranker"); err != nil || d.ID != "story.1.2" || v.share.Load() != 1000 {
				v.Errorf("%d: %+v (%v) stands there, and the canary has %d basis points", name, d, err, v.share.Load())
			}
		}
		if metrics := v.page("/metrics"); !strings.Contains(metrics, `streamcanary_foreign_decisions_total{model="ranker"} 5`) {
			v.Errorf("not counted: %s", metrics)
		}
		v.status(decisions.StatusPromoted)
		v.wait(5 * time.Second)
	})
	story(t, "an-older-route-while-serve-is-away", rolloutWith(atOnce), func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5 * time.Second)
		kv := v.routes()
		was, err := kv.Get(v.Context(), "ranker")
		v.must(err)
		v.deaf.Store(true)
		v.harms()
		v.status(decisions.StatusRolledBack)
		v.wait(2 * time.Second)
		v.stopService()
		_, err = kv.Put(v.Context(), "ranker", was.Value())
		v.must(err)
		v.deaf.Store(false)
		time.Sleep(2 * time.Second)
		v.stopService = v.service()
		v.completed()
		if d, err := v.bus.Route(v.Context(), "ranker"); err != nil || d.ID != "story.1.3" || v.share.Load() != 0 {
			v.Errorf("%+v (%v) stands there, and the canary has %d basis points", d, err, v.share.Load())
		}
	})
}
