package serve

import (
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
)

// Stages of a canary that may never come.
const (
	inShortShadow = "  stages: [{weight: 0, mirror: 50, bake: 10s, max: 2m}, {weight: 10, bake: 10s, max: 10m}]\n"
	inHalves      = "  stages: [{weight: 50, bake: 1m, max: 10m}]\n"
	inTwoSteps    = "  stages: [{weight: 10, bake: 30s, max: 10m}, {weight: 50, bake: 30s, max: 10m}]\n"
	notLong       = "  stages: [{bake: 10s, max: 1m}]\n"
)

// TestStoriesOfAbsence: a canary that gets nothing of what the plan says, or something else.
func TestStoriesOfAbsence(t *testing.T) {
	tell(t, map[string]tale{
		"a-router-that-only-says-so": {atOnce, func(v *village) {
			v.idle.Store(true)
			v.status(decisions.StatusRunning)
			v.wait(30 * time.Second)
			v.restart() // what was not seen is folded again
			v.completed()
		}},
		"a-canary-that-comes-late": {atOnce, func(v *village) {
			v.idle.Store(true)
			v.status(decisions.StatusRunning)
			v.wait(40 * time.Second)
			v.idle.Store(false)
			v.share.Store(1000)
			v.status(decisions.StatusPromoted)
		}},
		"a-shadow-that-nobody-mirrors": {inShortShadow, func(v *village) {
			v.idle.Store(true)
			v.status(decisions.StatusHolding)
			v.wait(20 * time.Second)
			v.idle.Store(false)
			v.copies.Store(5000)
			v.wait(20 * time.Second) // its time is over all the same
			v.ask("advance", true)
			v.status(decisions.StatusPromoted)
		}},
		"a-shadow-at-half-its-plan": {inShadow, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(2 * time.Second)
			v.copies.Store(2500)
			v.wait(30 * time.Second)
			v.restart()
			v.copies.Store(5000)
			v.status(decisions.StatusPromoted)
		}},
		"another-controller-goes-all-the-way": {elsewhere, func(v *village) {
			v.status(decisions.StatusRunning)
			for _, share := range []int64{500, 5000, 10_000} {
				v.share.Store(share)
				v.wait(60 * time.Second)
			}
			v.status(decisions.StatusHolding)
			v.refused("promote", false, "it holds (baseline_missing); `streamcanary rollout promote story --override --comment WHY` goes past that")
			v.wait(5 * time.Second)
			v.ask("promote", true)
			v.status(decisions.StatusPromoted)
		}},
		"another-controller-that-never-begins": {notLong, func(v *village) {
			v.status(decisions.StatusHolding)
			v.wait(20 * time.Second)
			v.share.Store(1000)
			v.status(decisions.StatusPromoted)
		}},
		"a-stream-that-is-silent": {atOnce, func(v *village) {
			v.requests.Store(0)
			v.status(decisions.StatusHolding)
			v.wait(2 * time.Minute)
			v.idle.Store(true)
			v.share.Store(0)
			v.requests.Store(200) // only now it is seen that none reach the canary
			v.completed()
		}},
	})
}

// tells wants the service to say this of the rollout.
func (v *village) tells(want string) {
	v.Helper()
	if page := v.page("/v1/rollouts/story"); !strings.Contains(page, want) {
		v.Errorf("it tells\n%s\nwant %s", page, want)
	}
}

// TestStoriesOfNames: versions that the events call something else are named where they are missed.
func TestStoriesOfNames(t *testing.T) {
	tell(t, map[string]tale{
		"a-canary-under-another-name": {atOnce, func(v *village) {
			v.renamed.Store(strings.NewReplacer("v2", "V2"))
			v.third.Store(100)
			v.status(decisions.StatusRunning)
			v.wait(20 * time.Second)
			v.tells(`"other_versions":[{"version":"V2","share":0.`)
			v.completed()
		}},
		"another-controller-and-another-name": {elsewhere, func(v *village) {
			v.status(decisions.StatusRunning)
			v.share.Store(1000)
			v.wait(20 * time.Second)
			v.renamed.Store(strings.NewReplacer("v2", "v2.1"))
			v.completed()
		}},
		"versions-that-no-rollout-has": {elsewhere, func(v *village) {
			v.renamed.Store(strings.NewReplacer("v1", "1.0", "v2", "2.0"))
			v.share.Store(1000)
			v.status(decisions.StatusHolding)
			v.tells(`"other_versions":[{"version":"1.0","share":0.`)
			v.restart()
			v.wait(20 * time.Second)
			v.renamed.Store(nil)
			v.status(decisions.StatusRunning)
			v.wait(5 * time.Second)
		}},
	})
}

// TestStoriesOfParts: a canary that answers some of its users, and others get no answer.
func TestStoriesOfParts(t *testing.T) {
	tell(t, map[string]tale{
		"a-canary-that-breaks-off-in-part": {inHalves, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(20 * time.Second)
			v.broken.Store(9600)
			v.wait(30 * time.Second)
			v.broken.Store(0)
			v.status(decisions.StatusRunning)
			v.wait(20 * time.Second)
			v.broken.Store(9600)
			v.wait(30 * time.Second)
			v.restart()
			v.refused("promote", false, "canary v2 answers less than half of what is planned, so more users may get no answer")
			v.completed()
		}},
		"a-share-that-falls-for-a-while": {inHalves, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(20 * time.Second)
			v.broken.Store(6000) // more than a third of both is left, so it is no more than off the plan
			v.wait(20 * time.Second)
			v.broken.Store(0)
			v.status(decisions.StatusPromoted)
		}},
	})
}

// TestStoriesOfUsers: a canary with a weight that only gets copies of requests, and a shadow that answers users.
func TestStoriesOfUsers(t *testing.T) {
	tell(t, map[string]tale{
		"a-weight-of-which-nothing-comes": {inShadow, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(10 * time.Second)
			v.idle.Store(true) // copies go on, and no user comes
			v.until("it is in its second stage", func(s *decisions.State) bool { return s.Stage == 1 })
			v.wait(30 * time.Second)
			v.restart()
			v.completed()
		}},
		"a-weight-that-comes-late": {inShadow, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(10 * time.Second)
			v.idle.Store(true)
			v.until("it is in its second stage", func(s *decisions.State) bool { return s.Stage == 1 })
			v.wait(40 * time.Second)
			v.idle.Store(false)
			v.share.Store(1000)
			v.copies.Store(0)
			v.status(decisions.StatusPromoted)
		}},
		"a-weight-of-copies": {atOnce, func(v *village) {
			v.idle.Store(true)
			v.copies.Store(1111)
			v.completed()
		}},
		"a-shadow-that-users-reach": {inShadow, func(v *village) {
			v.idle.Store(true)
			v.copies.Store(5000)
			v.share.Store(300)
			v.status(decisions.StatusRunning)
			v.wait(60 * time.Second)
			v.restart()
			v.share.Store(0)
			v.idle.Store(false)
			v.status(decisions.StatusPromoted)
		}},
		"users-instead-of-copies": {inShortShadow, func(v *village) {
			v.idle.Store(true)
			v.share.Store(3333)
			v.status(decisions.StatusHolding)
		}},
	})
}

// TestStoriesOfSlowAnswers: what is answered for a while after an advance was routed before it.
func TestStoriesOfSlowAnswers(t *testing.T) {
	tell(t, map[string]tale{
		"answers-that-take-half-a-minute": {"  guardrails: [{name: errors, rate: error, increase: 10pp}, {name: slow, quantile: 0.5, of: latency, increase: 50%}]\n" + inTwoSteps, func(v *village) {
			v.late.Store(30_000)
			v.status(decisions.StatusRunning)
			v.inStage(1)
			v.wait(10 * time.Second)
			v.restart() // the stage has not begun
			v.status(decisions.StatusPromoted)
		}},
	})
}

// TestStoriesOfSilence: the newest windows that are judged when a person rolls back are of before that, and nobody asks the model after them.
func TestStoriesOfSilence(t *testing.T) {
	tell(t, map[string]tale{"nobody-asks-from-the-rollback-on": {atOnce, func(v *village) {
		v.others.Store(100)
		v.status(decisions.StatusRunning)
		v.wait(20 * time.Second)
		v.requests.Store(0)
		v.wait(time.Second)
		v.ask("rollback", false)
		v.completed()
	}}})
}
