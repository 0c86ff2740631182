package serve

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/subscribe"
	"streamcanary/schemas"
)

// Each story is a rollout, what happens to it, and its timeline in testdata/stories: read that first.

const storyHead = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: story}
spec:
  model: ranker
  baseline: {version: v1}
  canary: {version: v2}
  phi: 1
  health: {selfTest: warn}
  acks: {routers: [router-a], within: 10s}
`

// What the rollouts of the stories differ in.
const (
	errorsMore   = "  guardrails: [{name: errors, rate: error, increase: 10pp}]\n"
	withLimit    = "  guardrails: [{name: errors, rate: error, increase: 10pp}, {name: outage, rate: error, above: 5%}]\n"
	withScores   = "  training: {scores: offline.csv}\n"
	withFeatures = "  pillars: {features: {baseline: features-1.txt, canary: features-2.txt}}\n"
	often        = "  chronic: {rollbacks: 2, within: 1d}\n  hotfix: flag ranker.rerank=off\n"
	inSteps      = `  stages:
    - {weight: 5, bake: 10s, max: 10m}
    - {weight: 50, bake: 10s, max: 10m, approve: true}
    - {weight: 100, watch: 30s, holdback: 5}
`
	atOnce     = "  stages: [{weight: 10, bake: 1m, max: 1h}]\n"
	inShadow   = "  stages: [{weight: 0, mirror: 50, bake: 10s, max: 10m}, {weight: 10, bake: 10s, max: 10m}]\n"
	impatient  = "  stages: [{weight: 5, bake: 1s, max: 30s, then: rollback}]\n  patience: never\n"
	elsewhere  = "  stages: external\n"
	sharedAnd  = "  state: {mode: shared, stores: [users], ackWithin: 30s}\n"
	illegible  = "  state: {mode: shared, stores: [users], ackWithin: 30s, compatible: false}\n"
	namespaced = "  state: namespaced\n"
	// A deadline on the instant at which a window is judged could come before it or after.
	betweenWindows = "  rollback: {drainWithin: 59500ms}\n"
	acksBetween    = "  acks: {routers: [router-a], within: 9500ms}\n"
	outsideToo     = `  sinks:
    - {slack: slack}
    - {pagerduty: pagerduty}
    - {webhook: hook}
    - {httproute: {sink: gateway, namespace: feed, name: ranker, baseline: ranker-v1, canary: ranker-v2}}
    - {mlflow: {alias: champion, candidate: challenger, baseline: "7", canary: "8"}}
`
)

// A shelf is a state store: it does what it is told, and says so, unless it is silent, has lost its snapshot, or can't freeze. It is frozen while it takes no writes.
type shelf struct{ silent, empty, full, frozen atomic.Bool }

func (s *shelf) can(ctx context.Context) error {
	if s.silent.Load() {
		<-ctx.Done()
	}
	time.Sleep(storeTakes)
	return ctx.Err()
}

func (s *shelf) Snapshot(ctx context.Context) (string, error) { return "before-v2", s.can(ctx) }
func (s *shelf) Unfreeze(ctx context.Context) error {
	err := s.can(ctx)
	s.frozen.Store(s.frozen.Load() && err != nil)
	return err
}
func (s *shelf) Freeze(ctx context.Context, _ string) error {
	if s.full.Load() {
		return errors.New("the disk is full")
	}
	s.frozen.Store(true)
	return s.can(ctx)
}
func (s *shelf) Restore(ctx context.Context, _ string) error {
	if s.empty.Load() {
		return errors.New("the snapshot is gone")
	}
	return s.can(ctx)
}

// keeps lets a store answer until it is stopped.
func (v *village) keeps(s *shelf) (stop func()) {
	return v.follow("users", subscribe.KeepState("users", s))
}

// freezes lets a store take no writes, and then lets it be away.
func (v *village) freezes(s *shelf) {
	v.Helper()
	stop := v.keeps(s)
	v.status(decisions.StatusRunning)
	v.wait(10 * time.Second)
	v.ask("freeze", false)
	v.wait(5 * time.Second)
	stop()
}

// thaws wants a store to take writes again within a few seconds of its return.
func (v *village) thaws(rollout string, s *shelf) {
	v.Helper()
	if !s.frozen.Load() {
		v.Error("the store takes writes while it is away")
	}
	v.keeps(s)
	v.untilOf(rollout, "the store has answered that it takes writes", func(s *decisions.State) bool { return len(s.Owing()) == 0 })
	if s.frozen.Load() {
		v.Error("the store takes no writes")
	}
	v.wait(5 * time.Second)
}

// harms lets the canary err after 20 seconds of the rollout.
func (v *village) harms() {
	v.Helper()
	v.status(decisions.StatusRunning)
	v.wait(20 * time.Second)
	v.errors.Store(6000)
}

// follows waits until a step of the rollback is done, and a while longer.
func (v *village) follows(step decisions.StepName) {
	v.Helper()
	v.until("step "+string(step)+" is done", func(s *decisions.State) bool {
		return slices.ContainsFunc(s.Saga.Steps, func(x decisions.SagaStep) bool { return x.Name == step && x.State == decisions.StepAcked })
	})
	v.wait(5 * time.Second)
}

// delete deletes a rollout, as `rollout delete` does.
func (v *village) delete(name string) {
	v.Helper()
	head, _, err := v.bus.LoadHead(v.Context(), name)
	v.must(err)
	v.apply(name, string(rolloutOf(v, &head)), func(a *Application) { a.Delete = true })
	v.untilOf(name, "it has ended", func(s *decisions.State) bool { return s.Status.Ended() && (s.Saga == nil || s.Saga.Done()) })
	v.forget(name)
}

// forget removes what there is of a rollout that has ended.
func (v *village) forget(name string) {
	v.Helper()
	there, err := v.bus.Spec(v.Context(), name)
	v.must(err)
	v.must(v.bus.DeleteSpec(v.Context(), name, there.Revision))
	_, revision, err := v.bus.LoadHead(v.Context(), name)
	v.must(err)
	v.must(v.bus.DeleteHead(v.Context(), name, revision))
	v.wait(5 * time.Second)
}

// rolloutOf is the file that a rollout is judged by.
func rolloutOf(v *village, head *decisions.Head) []byte {
	v.Helper()
	a, _, err := DecodeApplication(head.Applied)
	v.must(err)
	return []byte(a.YAML)
}

// refused wants a command to be refused.
func (v *village) refused(do string, override bool, want string) {
	v.Helper()
	if reply := v.ask(do, override); !strings.Contains(reply.Refused, want) {
		v.Errorf("%s: %+v, want it refused: %s", do, reply, want)
	}
}

func TestStoriesOfStages(t *testing.T) {
	tell(t, map[string]tale{
		"a-ramp": {inSteps, func(v *village) {
			v.status(decisions.StatusHolding)
			v.ask("advance", false)
			v.status(decisions.StatusPromoted)
			v.refused("rollback", true, "`streamcanary rollout back story --comment WHY` gives v1 all traffic again")
		}},
		"harm-while-a-person-is-waited-for": {inSteps, func(v *village) {
			v.status(decisions.StatusHolding)
			v.errors.Store(6000)
			v.completed()
		}},
		"harm-in-the-watch": {inSteps, func(v *village) {
			v.status(decisions.StatusHolding)
			v.ask("advance", false)
			v.inStage(2)
			v.wait(10 * time.Second)
			v.errors.Store(6000)
			v.completed()
		}},
		"a-shadow-first": {inShadow, func(v *village) { v.status(decisions.StatusPromoted) }},
		"a-router-that-does-not-follow": {inSteps, func(v *village) {
			v.status(decisions.StatusHolding)
			v.deaf.Store(true)
			v.ask("advance", false)
			v.wait(time.Minute) // what is seen at 5 % proves nothing of 50 %
			v.deaf.Store(false)
			v.inStage(2)
		}},
		"time-is-over": {impatient, func(v *village) {
			v.status(decisions.StatusRunning)
			v.errors.Store(900) // near its margin, so that nothing is proven
			v.completed()
		}},
		"another-controller": {elsewhere, func(v *village) {
			for _, share := range []int64{500, 5000, 1000} {
				v.share.Store(share)
				v.wait(20 * time.Second)
			}
			v.errors.Store(6000)
			v.completed()
		}},
	})
}

func TestStoriesOfRollouts(t *testing.T) {
	tell(t, map[string]tale{
		"a-third-version": {atOnce, func(v *village) {
			v.status(decisions.StatusRunning)
			v.third.Store(2000)
			v.status(decisions.StatusPromoted)
		}},
		"another-rollout-takes-over": {atOnce, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(10 * time.Second)
			second := strings.Replace(rolloutWith(atOnce), "name: story", "name: second", 1)
			v.apply("second", second, func(a *Application) { a.Supersede = true })
			v.untilOf("second", "it is promoted", func(s *decisions.State) bool { return s.Status == decisions.StatusPromoted })
		}},
		"once-more": {atOnce, func(v *village) {
			v.harms()
			v.completed()
			v.errors.Store(0)
			v.apply("story", rolloutWith(atOnce), func(a *Application) { a.Retry = true })
			v.until("the second epoch is promoted", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusPromoted })
		}},
		"a-person-overrules": {atOnce, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(10 * time.Second)
			v.ask("pause", false)
			v.refused("pause", false, "it holds already")
			v.ask("resume", false)
			v.ask("promote", false)
			v.ask("rollback", false) // beats the promotion, whether or not that is acknowledged
			v.refused("promote", true, "epoch 1 is rolled-back, and stays so: its rollback is not yet carried out")
			v.completed()
		}},
	})
}

func TestStoriesOfState(t *testing.T) {
	tell(t, map[string]tale{
		"state-goes-back": {atOnce + sharedAnd, func(v *village) {
			v.keeps(&shelf{})
			v.harms()
			v.completed()
		}},
		"no-store-no-start": {atOnce + sharedAnd, func(v *village) {
			v.wait(40 * time.Second)
			v.keeps(&shelf{})
			v.status(decisions.StatusRunning)
			v.wait(2 * time.Second) // the answers to the start come at the very instant at which it runs
		}},
		"a-silent-store": {atOnce + sharedAnd, func(v *village) {
			s := &shelf{}
			v.keeps(s)
			v.status(decisions.StatusRunning)
			s.silent.Store(true)
			v.harms()
			v.wait(2 * time.Minute)
		}},
		"a-snapshot-that-is-gone": {atOnce + sharedAnd, func(v *village) {
			s := &shelf{}
			s.empty.Store(true)
			v.keeps(s)
			v.harms()
			v.wait(time.Minute)
			s.empty.Store(false)
			v.completed()
		}},
		"state-that-the-baseline-can-not-read": {atOnce + illegible, func(v *village) {
			s := &shelf{}
			v.keeps(s)
			v.status(decisions.StatusRunning)
			s.silent.Store(true)
			v.harms()
			v.status(decisions.StatusFrozen)
			v.refused("rollback", false, "`streamcanary rollout rollback story --override --comment WHY` moves the traffic all the same")
			v.ask("rollback", true)
			v.wait(20 * time.Second)
		}},
		"state-with-names": {atOnce + namespaced, func(v *village) {
			v.harms()
			v.completed()
		}},
		"a-router-that-never-answers": {atOnce + sharedAnd + betweenWindows + acksBetween, func(v *village) {
			v.keeps(&shelf{})
			v.harms()
			v.deaf.Store(true)
			v.wait(2 * time.Minute) // the stream shows where its traffic still goes
		}},
	})
}

func TestStoriesOfFreezes(t *testing.T) {
	tell(t, map[string]tale{
		"held-before-it-begins": {atOnce + sharedAnd, func(v *village) {
			v.wait(10 * time.Second)
			v.ask("pause", false)
			v.wait(5 * time.Second)
			v.keeps(&shelf{})
			v.wait(10 * time.Second) // all are prepared, and nothing begins
			v.refused("advance", false, "it has not begun: it holds (paused) until somebody resumes it; `rollout rollback` ends it")
			v.ask("freeze", false)
			v.wait(5 * time.Second)
			v.restart()
			v.wait(5 * time.Second)
			v.ask("resume", false)
			v.status(decisions.StatusPromoted)
		}},
		"frozen-and-resumed-before-it-is-prepared": {atOnce + sharedAnd, func(v *village) {
			v.wait(5 * time.Second)
			v.ask("freeze", false)
			v.wait(5 * time.Second)
			v.ask("resume", false)
			v.keeps(&shelf{})
			v.status(decisions.StatusRunning)
			v.wait(20 * time.Second)
		}},
		"frozen-by-a-person": {atOnce + sharedAnd, func(v *village) {
			v.keeps(&shelf{})
			v.status(decisions.StatusRunning)
			v.wait(10 * time.Second)
			v.ask("freeze", false)
			v.wait(10 * time.Second)
			v.ask("resume", false)
			v.status(decisions.StatusPromoted)
		}},
		"a-freeze-that-a-store-fails": {atOnce + sharedAnd, func(v *village) {
			s := &shelf{}
			v.keeps(s)
			v.status(decisions.StatusRunning)
			v.wait(10 * time.Second)
			s.full.Store(true)
			v.ask("freeze", false)
			v.wait(time.Minute)
			v.restart()
			s.full.Store(false)
			v.until("the store takes no writes", func(s *decisions.State) bool { return s.FrozenText() == "takes no writes" })
			v.ask("resume", false)
		}},
	})
}

// TestStoriesOfWrites: a store that is away while writes are let in takes some when it is back.
func TestStoriesOfWrites(t *testing.T) {
	tell(t, map[string]tale{
		"writes-are-let-in-while-a-store-is-away": {atOnce + sharedAnd, func(v *village) {
			s := &shelf{}
			v.freezes(s)
			v.ask("resume", false)
			v.status(decisions.StatusPromoted)
			v.wait(10 * time.Second)
			v.restart()
			v.wait(time.Minute)
			v.thaws("story", s)
			v.wait(4 * time.Minute) // nobody is told any more
		}},
		"another-rollout-takes-over-while-a-store-is-away": {atOnce + sharedAnd, func(v *village) {
			s := &shelf{}
			v.freezes(s)
			v.apply("second", strings.Replace(rolloutWith(atOnce), "name: story", "name: second", 1), func(a *Application) { a.Supersede = true })
			v.untilOf("second", "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
			v.wait(45 * time.Second)
			v.thaws("second", s)
		}},
		"deleted-while-a-store-is-away": {atOnce + sharedAnd, func(v *village) {
			s := &shelf{}
			v.freezes(s)
			v.delete("story") // what its stores have answered is forgotten
			v.apply("second", strings.Replace(rolloutWith(atOnce), "name: story", "name: second", 1))
			v.untilOf("second", "it runs", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning })
			v.thaws("second", s)
		}},
	})
}

// offlineScores are those of a canary that answers as it was trained to: anything from 0 to 1.
func offlineScores(t *testing.T) *schemas.OfflineScores {
	t.Helper()
	var file strings.Builder
	for i := range 10_000 {
		fmt.Fprintln(&file, float64(i)/10_000)
	}
	o, err := schemas.ReadScores("offline.csv", strings.NewReader(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// scored is an answer's score. The canary's are too low by so many hundredths of themselves.
func scored(random *rand.Rand, version string, by int64) string {
	score := random.Float64()
	if version == "v2" {
		score *= 1 - float64(by)/100
	}
	return fmt.Sprintf(`,"score":%.4f`, score)
}

// TestStoriesOfPreparing: nobody but people decides in them, so there is nothing to be computed again.
func TestStoriesOfPreparing(t *testing.T) {
	const name = "a-person-ends-what-only-prepares"
	inVillage(t, rolloutWith(elsewhere+sharedAnd), "", func(v *village) { // another controller sends the canary traffic, and its store is silent
		v.share.Store(1000)
		v.wait(20 * time.Second)
		v.refused("promote", true, "it has not begun: it waits for users; `rollout rollback` ends it, and gives v1 all traffic")
		v.ask("rollback", false)
		v.completed()
		v.golden(name)
	})
}

func TestStoriesOfForward(t *testing.T) {
	tell(t, map[string]tale{
		"rolled-back-too-often": {atOnce + often, func(v *village) {
			v.harms()
			v.completed()
			v.errors.Store(0)
			v.apply("story", rolloutWith(atOnce+often), func(a *Application) { a.Retry = true })
			v.until("the second epoch runs", func(s *decisions.State) bool { return s.Epoch == 2 && s.Status == decisions.StatusRunning })
			v.wait(10 * time.Second)
			v.errors.Store(6000)
			v.until("it is rolled back", func(s *decisions.State) bool { return s.Epoch == 2 && s.Saga != nil && s.Saga.Done() })
		}},
		"what-is-known-of-the-cause": {atOnce + often + withFeatures + withScores, func(v *village) {
			v.lower.Store(20)
			known := func(a *Application) {
				documented("features-1.txt", "user\nage: int\ndwell_time: float?\n", "features-2.txt", "user\nage: int\ncity?\n")(a)
				a.Offline = offlineScores(v.T)
			}
			v.wait(2 * time.Second) // the application came without the scores: it is refused at the door
			v.apply("story", rolloutWith(atOnce+often+withFeatures+withScores), known)
			v.epoch(1, decisions.StatusRunning)
			v.harms()
			v.completed()
			v.errors.Store(0)
			v.apply("story", rolloutWith(atOnce+often+withFeatures+withScores), known, func(a *Application) { a.Retry = true })
			v.epoch(2, decisions.StatusRunning)
			v.wait(5 * time.Second)
			v.restart() // what was read of the file is in the record
			v.wait(5 * time.Second)
			v.errors.Store(6000)
			v.until("it is rolled back", func(s *decisions.State) bool { return s.Epoch == 2 && s.Saga != nil && s.Saga.Done() })
		}},
		"a-skew-of-an-earlier-epoch": {atOnce + often + withScores, func(v *village) {
			v.lower.Store(20)
			known := func(a *Application) { a.Offline = offlineScores(v.T) }
			v.wait(2 * time.Second) // the application came without the scores: it is refused at the door
			v.apply("story", rolloutWith(atOnce+often+withScores), known)
			v.epoch(1, decisions.StatusRunning)
			v.wait(40 * time.Second)
			v.ask("rollback", false) // a person's reason has no evidence, and what was proven is kept all the same
			v.completed()
			v.lower.Store(0) // its answers have no scores any more
			v.apply("story", rolloutWith(atOnce+often+withScores), known, func(a *Application) { a.Retry = true })
			v.epoch(2, decisions.StatusRunning)
			v.harms()
			v.until("it is rolled back", func(s *decisions.State) bool { return s.Epoch == 2 && s.Saga != nil && s.Saga.Done() })
		}},
	})
}

// TestStoriesOfRefuge: what is decided where the baseline is no better.
func TestStoriesOfRefuge(t *testing.T) {
	amongOthers(t)
	tell(t, map[string]tale{
		"a-baseline-beyond-its-limit": {atOnce + withLimit + "  hotfix: more replicas\n", func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(10 * time.Second)
			v.all.Store(1500) // of the canary's answers none
			v.wait(20 * time.Second)
			v.errors.Store(6000)
			v.completed()
		}},
		"a-person-goes-back-to-no-refuge": {atOnce + withLimit + "  hotfix: more replicas\n", func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(10 * time.Second)
			v.all.Store(1500)
			v.wait(20 * time.Second)
			if reply := v.ask("rollback", false); reply.Decision != "story.1.3" || !strings.Contains(reply.Advice, "it is no refuge") || !strings.HasSuffix(reply.Advice, "Roll forward: more replicas.") {
				v.Errorf("answered %+v", reply)
			}
			v.completed()
		}},
		"no-refuge": {atOnce + withLimit + "  hotfix: more replicas\n", func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(10 * time.Second)
			v.all.Store(1500)
			v.errors.Store(1500)
			v.status(decisions.StatusHolding)
			v.wait(10 * time.Second)
			v.all.Store(0)
			v.errors.Store(0)
			v.status(decisions.StatusRunning)
		}},
	})
	t.Run("no-refuge-behind-a-rollback", func(t *testing.T) {
		storyWith(t, "no-refuge-behind-a-rollback", rolloutWith(atOnce+withLimit+"  hotfix: more replicas\n"+pagers), sinksOutside, func(v *village) {
			v.harms()
			v.status(decisions.StatusRolledBack)
			v.wait(1500 * time.Millisecond)
			v.all.Store(1500)
			v.completed()
			v.timed()
		})
	})
}

// TestStoriesOfDraining: how a rollback ends where the stream shows little, or nothing, of the canary.
func TestStoriesOfDraining(t *testing.T) {
	rollsBack := func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(20 * time.Second)
		v.ask("rollback", false)
	}
	tell(t, map[string]tale{
		"few-ask": {atOnce, func(v *village) {
			v.requests.Store(20)
			rollsBack(v)
			v.completed()
		}},
		"few-ask-and-some-still-reach-it": {atOnce, func(v *village) {
			v.requests.Store(20)
			rollsBack(v)
			v.wait(30 * time.Second)
			for range 3 {
				v.share.Store(10_000) // by a router that nobody asked to answer
				v.wait(time.Second)
				v.share.Store(0)
				v.wait(40 * time.Second)
			}
			v.completed()
		}},
		"nobody-asks-but-other-models-are": {atOnce, func(v *village) {
			v.others.Store(100)
			v.status(decisions.StatusRunning)
			v.wait(20 * time.Second)
			v.requests.Store(0)
			v.wait(10 * time.Second)
			v.ask("rollback", false)
			v.completed()
		}},
		"nobody-ever-asked": {atOnce, func(v *village) {
			v.requests.Store(0)
			v.others.Store(100)
			rollsBack(v)
			v.completed()
		}},
		"nobody-asks-any-more": {atOnce, func(v *village) {
			v.others.Store(100)
			rollsBack(v)
			v.wait(2 * time.Second)
			v.share.Store(500) // the last requests reach it
			v.requests.Store(20)
			v.wait(2 * time.Second)
			v.requests.Store(0)
			v.completed()
		}},
	})
}

type tale struct {
	rollout string // what differs
	tell    func(v *village)
}

func tell(t *testing.T, tales map[string]tale) {
	for name, x := range tales {
		t.Run(name, func(t *testing.T) { story(t, name, rolloutWith(x.rollout), x.tell) })
	}
}
