package schemas

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// cacheFile is a rollout with this cache.
func cacheFile(cache, more string) string {
	return `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: r}
spec:
  model: m
  baseline: {version: "1"}
  canary: {version: "2"}
  guardrails:
    - {name: p99, quantile: 0.99, of: latency, increase: 20%}
    - {name: misses, rate: cache_miss, increase: 5pp, on: warn}
    - {name: errors, rate: error, increase: 0.5pp}
  cache: ` + cache + "\n" + more
}

const weighted = "  stages: [{weight: 5}, {weight: 100, watch: 1h}]\n"

func TestCacheIsRead(t *testing.T) {
	for _, test := range []struct {
		cache string
		want  *CacheSpec
	}{
		{"none", nil},
		{"{warm: [10, 50, 100], mute: [p99, misses]}", &CacheSpec{"{model}:{version}", []int{1000, 5000}, 0.8, 5 * time.Minute, false, []string{"p99", "misses"}}},
		{`{namespace: "c-{version}", warm: [0.5, 99.9], until: {hitRate: 0.65, max: 30s}}`, &CacheSpec{"c-{version}", []int{50, 9990}, 0.65, 30 * time.Second, false, nil}},
	} {
		r := parsed(t, cacheFile(test.cache, weighted))
		if !reflect.DeepEqual(r.Cache, test.want) {
			t.Errorf("cache: %s is %+v, want %+v", test.cache, r.Cache, test.want)
		}
		again := parsed(t, string(Explain(r)))
		if !reflect.DeepEqual(again.Cache, r.Cache) {
			t.Errorf("cache: %s is %+v once it is explained, want %+v", test.cache, again.Cache, r.Cache)
		}
	}
}

func TestCachesThatMeanNothing(t *testing.T) {
	for _, test := range []struct{ cache, more, want string }{
		{"{}", weighted, "spec.cache.warm: nothing is warmed and nothing is muted"},
		{`{namespace: "c", warm: [10]}`, weighted, `spec.cache.namespace: "c" is the same for both versions`},
		{"{warm: [50, 10]}", weighted, "spec.cache.warm: steps go up"},
		{"{warm: [10, 10]}", weighted, "spec.cache.warm: steps go up"},
		{"{warm: [0.001, 10]}", weighted, "spec.cache.warm: a step of less than 0.01 percent"},
		{"{warm: [0]}", weighted, "spec.cache.warm"},
		{"{warm: [101]}", weighted, "spec.cache.warm"},
		{"{warm: [10], mute: [p9]}", weighted, `spec.cache.mute: no guardrail is called "p9": did you mean p99?`},
		{"{warm: [10], mute: [errors]}", weighted, "spec.cache.mute: guardrail errors is neither of the latency nor of cache_miss"},
		{"{warm: [10], mute: [p99, p99]}", weighted, "spec.cache.mute: p99 is named twice"},
		{"{warm: [10]}", "  stages: external\n", "spec.cache.warm: with stages: external another controller moves the weights"},
		{"{warm: [10]}", "", "spec.cache.warm: no stage plans a weight"},
		{"{warm: [6, 7]}", "  stages: [" + strings.Repeat("{weight: 5}, ", 31) + "{weight: 5}]\n", "spec.cache.warm: 32 stages, and 2 stops of the cache above them: at most 32 together"},
		{"{mute: [p99], idle: true}", "", "spec.cache.idle: there are no steps at which a promotion could stop"},
		{"{warm: [10], idle: true}", weighted, "spec.cache.idle: stages give the canary traffic before its promotion"},
		{"{warm: [10], idle: true}", "  stages: external\n", "spec.cache.warm: with stages: external another controller moves the weights"},
		{"{warm: [10], until: {hitRate: 1.5}}", weighted, "spec.cache.until.hitRate"},
		{"{warm: [10], until: {max: 0s}}", weighted, "spec.cache.until.max"},
		{"{warm: [10], until: {hits: 0.5}}", weighted, "spec.cache.until.hits: unknown key"},
		{"warm", weighted, "spec.cache"},
	} {
		_, err := ParseRollout("r.yaml", []byte(cacheFile(test.cache, test.more)))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("cache: %s: %v, want %s", test.cache, err, test.want)
		}
	}
}
