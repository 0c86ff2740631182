package serve

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// A larder is the cache of each version: a key is there for a while after it was last asked for, so how many are there depends on how much a version is asked.
type larder struct {
	keys int64
	keep time.Duration
	last map[string]time.Time
}

const missTakesMs = 100

// look asks a version's cache for a key.
func (l *larder) look(random *rand.Rand, version string, now time.Time) (hit bool) {
	key := version + string(rune(random.Int64N(l.keys)))
	last, there := l.last[key]
	l.last[key] = now
	return there && now.Sub(last) < l.keep
}

// caches lets both versions answer from caches that a twentieth of the traffic doesn't keep warm.
func (v *village) caches() {
	v.larder.Store(&larder{keys: 300, keep: 30 * time.Second, last: map[string]time.Time{}})
}

const (
	slower   = "  guardrails: [{name: slow, quantile: 0.5, of: latency, increase: 50%}, {name: errors, rate: error, increase: 10pp}]\n"
	warmed   = "  cache: {warm: [20, 60], until: {hitRate: 0.8, max: 1m}, mute: [slow]}\n"
	fewThen  = "  stages: [{weight: 5, bake: 1m, max: 10m}]\n"
	fewFirst = "  stages: [{weight: 5, bake: 1m, max: 10m}, {weight: 100, approve: true, watch: 10m, holdback: 5}]\n"
)

// limited is a rollout whose baseline must keep a limit, but while its cache is cold.
const limited = "  guardrails: [{name: errors, rate: error, increase: 10pp}, {name: slo, quantile: 0.5, of: latency, above: 80ms}]\n" +
	"  cache: {until: {hitRate: 0.8, max: 1m}, mute: [slo]}\n  stages: [{weight: 90, bake: 5m, max: 10m}]\n"

// neverWarm is warmed, by a rate that no cache comes to.
var neverWarm = strings.Replace(warmed, "0.8", "0.999", 1)

// slows lets the canary be slow in its watch.
func (v *village) slows() {
	v.Helper()
	v.caches()
	v.status(decisions.StatusHolding)
	v.ask("advance", false)
	v.inStage(3)
	v.wait(90 * time.Second)
	v.slow.Store(300)
}

func TestStoriesOfCaches(t *testing.T) {
	tell(t, map[string]tale{
		"a-cold-cache": {slower + warmed + fewFirst, func(v *village) {
			v.slows()
			v.completed()
			v.slow.Store(0)
			v.apply("story", rolloutWith(slower+warmed+fewFirst), func(a *Application) { a.Retry = true })
			v.status(decisions.StatusHolding) // its slow first minute isn't held against it
		}},
		"a-cold-cache-that-nobody-told-of": {slower + fewFirst, func(v *village) {
			v.caches()
			v.completed()
		}},
		"harm-that-can-not-wait": {slower + warmed + fewFirst, func(v *village) {
			v.caches()
			v.status(decisions.StatusHolding)
			v.ask("advance", false)
			v.inStage(3)
			v.errors.Store(6000)
			v.completed()
		}},
		"a-promotion-that-warms": {slower + warmed + fewThen, func(v *village) {
			v.caches()
			v.status(decisions.StatusPromoted)
		}},
		"harm-while-a-promotion-warms": {slower + warmed + fewThen, func(v *village) {
			v.caches()
			v.inStage(2)
			v.errors.Store(6000)
			v.completed()
		}},
		"a-cache-that-stays-cold": {slower + neverWarm + fewThen, func(v *village) {
			v.caches()
			v.inStage(1)
			v.restart() // in the midst of what is waited for
			v.status(decisions.StatusPromoted)
		}},
		"back-into-a-cold-cache": {slower + warmed + fewThen, func(v *village) {
			v.caches()
			v.status(decisions.StatusPromoted)
			v.wait(time.Minute) // nothing is left in the cache of v1
			text, name, err := schemas.WayBack([]byte(rolloutWith(slower + warmed + fewThen)))
			v.must(err)
			v.apply(name, string(text))
			v.untilOf(name, "it is prepared", func(s *decisions.State) bool { return s.Status == decisions.StatusRunning && s.Wait == nil })
			_, err = v.bus.Ask(v.Context(), name, &schemas.Command{ID: "back", Do: "promote", By: "ada", Comment: "users complain"}, "")
			v.must(err)
			v.untilOf(name, "it has the first step", func(s *decisions.State) bool { return s.Warming != nil && s.Warming.Warm != nil })
			v.restart() // in the midst of what is waited for
			v.untilOf(name, "it is promoted", func(s *decisions.State) bool { return s.Status == decisions.StatusPromoted })
			v.wait(time.Minute)
		}},
	})
}

// TestStoriesOfCachesBehindARollback are of a baseline that gets its traffic back.
func TestStoriesOfCachesBehindARollback(t *testing.T) {
	tell(t, map[string]tale{
		"harm-that-comes-on-the-way-back": {slower + neverWarm + fewFirst, func(v *village) {
			v.slows()
			v.until("traffic goes back by steps", func(s *decisions.State) bool { return s.Returning() })
			v.wait(10 * time.Second)
			v.errors.Store(6000)
			v.completed()
		}},
		"a-router-that-does-not-go-back": {slower + warmed + fewFirst, func(v *village) {
			v.slows()
			v.deaf.Store(true)
			v.wait(time.Minute)
			v.deaf.Store(false)
			v.completed()
		}},
		"a-refuge-whose-cache-is-cold": {limited, func(v *village) {
			v.status(decisions.StatusRunning)
			v.wait(90 * time.Second) // since its start nothing is muted any more
			v.errors.Store(6000)
			v.until("the traffic goes back", func(s *decisions.State) bool { return s.Saga != nil })
			v.larder.Store(&larder{keys: 12_000, keep: 5 * time.Minute, last: map[string]time.Time{}}) // most answers miss for forty seconds
			v.errors.Store(0)
			v.wait(5 * time.Second)
			v.restart() // while it is muted
			v.completed()
			v.wait(2 * time.Minute)
		}},
	})
}
