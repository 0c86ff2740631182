package schemas

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readCache fills in how the cache of the version that takes over is warmed; without the key there is none.
func (rr *rolloutReader) readCache() {
	if n := child(rr.spec.node, "cache"); n == nil || n.Kind == yaml.ScalarNode {
		return
	}
	s := rr.spec.under("cache")
	until := s.under("until")
	spec := &CacheSpec{Namespace: s.text("namespace"), HitRate: until.number("hitRate"), Max: until.duration("max"), Idle: s.flag("idle"), Mute: s.texts("mute")}
	for _, percent := range s.texts("warm") {
		spec.WarmBP = append(spec.WarmBP, warmBP(percent))
	}
	rr.rollout.Cache = spec
	if !s.sound() {
		return
	}
	if !strings.Contains(spec.Namespace, "{version}") {
		s.refuse("namespace", "%q is the same for both versions, so one would answer from what the other has left: write {version} into it", spec.Namespace)
	}
	if i := slices.IndexFunc(spec.WarmBP, func(bp int) bool { return bp < 1 }); i >= 0 {
		s.refuse("warm", "a step of less than 0.01 percent: write more, or leave it out")
	}
	if !slices.IsSorted(spec.WarmBP) || len(slices.Compact(slices.Clone(spec.WarmBP))) < len(spec.WarmBP) {
		s.refuse("warm", "steps go up: write them in order, each once, e.g. warm: [10, 50, 100]")
	}
	if len(spec.WarmBP)+len(spec.Mute) == 0 {
		s.refuse("warm", "nothing is warmed and nothing is muted, so the rest of cache does nothing: write warm: [10, 50, 100], or mute with guardrails of the latency, or remove cache")
	}
	if n := len(spec.WarmBP); n > 0 && spec.WarmBP[n-1] == allBP {
		spec.WarmBP = spec.WarmBP[:n-1] // all of the traffic is where every rollback ends
	}
	rr.checkMute(s)
	rr.checkWarm(s)
}

// checkWarm refuses steps where nobody knows from which share traffic moves, and more than an epoch can go through.
func (rr *rolloutReader) checkWarm(s section) {
	stages := rr.rollout.Stages
	switch {
	case rr.rollout.Cache.Idle && len(rr.rollout.Cache.WarmBP) == 0:
		s.refuse("idle", "there are no steps at which a promotion could stop: write warm: [10, 50, 100], or remove the key")
	case len(rr.rollout.Cache.WarmBP) == 0 || rr.spec.problems.under("spec.stages"):
	case rr.rollout.External:
		s.refuse("warm", "with stages: external another controller moves the weights, and warms what it moves them to: remove the key")
	case rr.rollout.Cache.Idle && rr.spec.given("stages"):
		s.refuse("idle", "stages give the canary traffic before its promotion: remove stages, or this key")
	case rr.rollout.Cache.Idle:
	case stages[len(stages)-1].WeightBP == 0:
		s.refuse("warm", "no stage plans a weight, so nobody knows from which share traffic would return: give each stage a weight, or remove the key")
	case len(stages)+len(rr.rollout.stops()) > maxStages:
		s.refuse("warm", "%d stages, and %d stops of the cache above them: at most %d together: leave some out", len(stages), len(rr.rollout.stops()), maxStages)
	}
}

// warmBP is a step of a warming in basis points; a finer one is rounded.
func warmBP(percent string) int {
	x, _ := strconv.ParseFloat(percent, 64) // its form was checked
	return int(math.Round(x * 100))
}

// checkMute refuses names that no guardrail has, and guardrails of what no cold cache explains.
func (rr *rolloutReader) checkMute(s section) {
	if !rr.guardrailsSound() {
		return
	}
	spec := rr.rollout.Cache
	for _, name := range spec.Mute {
		g, found := rr.rollout.guardrail(name)
		switch {
		case rr.rollout.isExternal(name):
			s.refuse("mute", "guardrail %s is from outside, and no cold cache explains an alert: remove it", name)
		case !found:
			s.refuse("mute", "no guardrail is called %q: %s", name, suggest(name, rr.rollout.guardrailNames()))
		case !g.FollowsCache():
			s.refuse("mute", "guardrail %s is neither of the latency nor of cache_miss, and a cold cache is no excuse for it: remove it", name)
		}
	}
	if twice := repeatedText(spec.Mute); twice != "" {
		s.refuse("mute", "%s is named twice: remove one", twice)
	}
}

// guardrailNames are those of all guardrails, in the file's order.
func (r *Rollout) guardrailNames() []string {
	names := make([]string, len(r.Guardrails))
	for i := range r.Guardrails {
		names[i] = r.Guardrails[i].Name
	}
	return names
}

// Of is the namespace of one version's cache.
func (s *CacheSpec) Of(model, version string) string { return inNamespace(s.Namespace, model, version) }

// FollowsCache says whether a cold cache alone can move a guardrail.
func (g *Guardrail) FollowsCache() bool {
	switch g.Kind {
	case QuantileGuardrail, DistributionGuardrail:
		return g.Of == "latency"
	case RateGuardrail:
		return g.Of == "cache_miss"
	}
	return false
}

// explainCache adds the keys of a cache, where there is one.
func explainCache(values map[string]string, c *CacheSpec) {
	if c == nil {
		return
	}
	values["spec.cache.namespace"] = quoted(c.Namespace)
	values["spec.cache.until.hitRate"], values["spec.cache.until.max"] = shortNumber(c.HitRate), FormatDuration(c.Max)
	if c.Idle {
		values["spec.cache.idle"] = "true"
	}
	if len(c.WarmBP) > 0 {
		steps := make([]string, 0, len(c.WarmBP)+1)
		for _, bp := range append(slices.Clone(c.WarmBP), allBP) {
			steps = append(steps, percentOf(bp))
		}
		values["spec.cache.warm"] = fmt.Sprintf("[%s]", strings.Join(steps, ", "))
	}
	if len(c.Mute) > 0 {
		values["spec.cache.mute"] = flowList(c.Mute)
	}
}
