package serve

import (
	"testing"
	"time"

	"streamcanary/decisions"
)

// Stages of a canary that may never come.
const (
	inShortShadow = "  stages: [{weight: 0, mirror: 50, bake: 10s, max: 2m}, {weight: 10, bake: 10s, max: 10m}]\n"
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
