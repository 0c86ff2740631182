package analysis

import (
	"math"
	"slices"
	"testing"
	"time"

	"streamcanary/schemas"
)

// cachedRollout mutes p99, and the limit of crawl, while a cache answers less than 80 %.
func cachedRollout() *schemas.Rollout {
	r := rolloutOf(errors05, guardrail("p99: quantile 0.99 latency increase 20%"), guardrail("crawl: quantile 0.5 latency above 500ms"))
	r.Cache = &schemas.CacheSpec{Namespace: "{model}:{version}", HitRate: .8, Max: 5 * time.Minute, Mute: []string{"p99", "crawl"}}
	return r
}

func isCold(s *script) bool {
	return slices.ContainsFunc(s.verdict.Health, func(f schemas.Finding) bool { return f.Code == codeCacheCold })
}

var (
	warmSide = side{n: 400, latencyMs: 100, told: 400, misses: 40}
	coldSide = side{n: 400, latencyMs: 900, told: 400, misses: 300}
)

func TestColdCache(t *testing.T) {
	s := newScript(t, cachedRollout(), Options{Phi: 1})
	s.play(40, warmSide, coldSide)
	s.want(VerdictContinue, codeUndecided)
	s.wantState("p99", insufficient)
	s.wantState("errors", passed)
	want := "While the cache of canary 42 is cold, p99, crawl says nothing: until 80 % of the answers come from it, at the latest until 09:05:00."
	if i := slices.IndexFunc(s.verdict.Health, func(f schemas.Finding) bool { return f.Code == codeCacheCold }); i < 0 || s.verdict.Health[i].Sentence != want {
		t.Errorf("findings %+v, want %q", s.verdict.Health, want)
	}
	for _, g := range s.judge.Status() {
		if muted := g.MutedUntil == startMs+300_000; muted != (g.Name != "errors") {
			t.Errorf("%s is muted until %s", g.Name, g.MutedUntil)
		}
	}
	// It answers 80 %, and is as slow as before: that is the version's own. The window that shows it is not yet counted, since it chose the moment.
	warmed := s.atMs
	slow := side{n: 400, latencyMs: 900, told: 400, misses: 80}
	s.play(1, warmSide, slow)
	if isCold(s) || s.guard("p99").canary.firstMs != 0 {
		t.Errorf("cold %v, first window %d", isCold(s), s.guard("p99").canary.firstMs)
	}
	s.play(5, warmSide, slow)
	s.want(VerdictRollback, codeGuardrailFailed)
	if got, want := s.guard("p99").canary.firstMs, warmed+1000; got != want {
		t.Errorf("first window tested %s, want %s", schemas.Time(got), schemas.Time(want))
	}
}

// TestColdCacheNow: whoever looks reads whose cache is cold now; what a decision has stays as it was when the findings changed last.
func TestColdCacheNow(t *testing.T) {
	s := newScript(t, cachedRollout(), Options{Phi: 1})
	slow := side{n: 400, latencyMs: 100, told: 20, misses: 2}
	cold := func(all []schemas.Finding) string {
		i := slices.IndexFunc(all, func(f schemas.Finding) bool { return f.Code == codeCacheCold })
		return all[i].Sentence
	}
	const ends = " is cold, p99, crawl says nothing: until 80 % of the answers come from it, at the latest until 09:05:00."
	const both, one = "While the cache of canary 42, baseline 41" + ends, "While the cache of canary 42" + ends
	s.play(5, slow, coldSide)
	if told, now := cold(s.verdict.Health), cold(s.judge.Current(s.verdict.Health)); told != both || now != both {
		t.Errorf("told %q, now %q, want %q", told, now, both)
	}
	s.play(10, slow, coldSide)
	if told, now := cold(s.verdict.Health), cold(s.judge.Current(s.verdict.Health)); told != both || now != one {
		t.Errorf("told %q, now %q, want %q", told, now, one)
	}
	s.play(5, slow, warmSide)
	if now := s.judge.Current(s.verdict.Health); len(now) != len(s.verdict.Health) || isCold(s) {
		t.Errorf("findings %+v", now)
	}
}

func TestCacheThatStaysCold(t *testing.T) {
	for name, canary := range map[string]side{"it answers little": coldSide, "nothing is told of it": {n: 400, latencyMs: 900}} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, cachedRollout(), Options{Phi: 1})
			s.play(300, warmSide, canary)
			s.want(VerdictContinue, codeUndecided)
			if !isCold(s) {
				t.Error("its cache isn't said to be cold")
			}
			s.play(5, warmSide, canary)
			s.want(VerdictRollback, codeGuardrailFailed)
			if got, want := s.guard("p99").canary.firstMs, int64(startMs+300_000); got != want {
				t.Errorf("first window tested %s, want %s", schemas.Time(got), schemas.Time(want))
			}
		})
	}
}

// TestCacheAfterARollback: a baseline that has just got its traffic back is slow, too, and that is neither held against the canary nor against it.
func TestCacheAfterARollback(t *testing.T) {
	play := func(r *schemas.Rollout) *script {
		s := newScript(t, r, Options{Phi: 1})
		s.play(60, coldSide, coldSide)
		return s
	}
	deaf := cachedRollout()
	deaf.Cache = nil
	play(deaf).want(VerdictHold, codeBothArms)
	s := play(cachedRollout())
	s.want(VerdictContinue, codeUndecided)
	s.play(60, warmSide, warmSide)
	s.want(VerdictPromote, codeAllPassed)
}

// TestCacheOfAStage: more traffic finds the canary's cache cold again, and only that one is asked.
func TestCacheOfAStage(t *testing.T) {
	r := inStages(cachedRollout(), 1000, 5000)
	s := newScript(t, r, Options{Phi: 1})
	tenth := side{n: 40, latencyMs: 100, told: 40, misses: 4}
	s.play(300, side{n: 360, latencyMs: 100, told: 360, misses: 36}, tenth)
	s.want(VerdictAdvance, codeAllPassed)
	s.advance(1)
	s.play(20, side{n: 400, latencyMs: 100, told: 400, misses: 400}, coldSide)
	s.want(VerdictContinue, codeUndecided)
	if !isCold(s) {
		t.Fatal("its cache isn't said to be cold")
	}
	s.play(1, side{n: 400, latencyMs: 100, told: 400, misses: 400}, warmSide)
	if isCold(s) {
		t.Error("the baseline's cache is asked, too")
	}
	s.play(60, warmSide, warmSide)
	s.want(VerdictPromote, codeAllPassed)
}

// TestCacheOfAStop: a stop on the way to all of the traffic needs nothing to pass, and asks for more as long as nothing is suspect. The canary's cache counts as cold from
// when the stop is decided, whatever answers still come under the share of before.
func TestCacheOfAStop(t *testing.T) {
	r := inStages(cachedRollout(), 1000, 5000, 9000)
	r.Stages[1] = schemas.Stage{WeightBP: 5000, Warm: true}
	r.Stages[2] = schemas.Stage{WeightBP: 9000, Warm: true}
	s := newScript(t, r, Options{Phi: 1})
	before := side{n: 360, latencyMs: 100, told: 360, misses: 36}
	tenth := side{n: 40, latencyMs: 100, told: 40, misses: 4}
	s.play(300, before, tenth)
	s.want(VerdictAdvance, codeAllPassed)
	s.verdict = s.judge.Advance(1, math.MaxInt64)
	s.want(VerdictContinue, codeUndecided)
	s.play(20, before, tenth) // routers have not followed yet
	s.want(VerdictContinue, codeUndecided)
	if !isCold(s) {
		t.Error("its cache isn't said to be cold before routers have followed")
	}
	tested := s.guard("p99").canary.firstMs
	s.advance(1)
	half, cold := side{n: 200, latencyMs: 100, told: 200, misses: 20}, side{n: 200, latencyMs: 900, told: 200, misses: 150}
	s.play(20, half, cold)
	s.want(VerdictAdvance, codeNoHarm)
	if want := "No harm of canary 42 is proven or suspected in stage 2 of 3."; s.verdict.Sentence != want {
		t.Errorf("said %q, want %q", s.verdict.Sentence, want)
	}
	if !isCold(s) || s.guard("p99").canary.firstMs != tested {
		t.Errorf("cold %v, and p99 is tested from %d on, was from %d", isCold(s), s.guard("p99").canary.firstMs, tested)
	}
	s.advance(2)
	s.play(1, side{n: 40, latencyMs: 100, told: 40, misses: 4}, side{n: 360, latencyMs: 100, told: 360, misses: 36})
	s.want(VerdictPromote, codeNoHarm)
	s.play(40, side{n: 40, latencyMs: 100, told: 40, misses: 4}, side{n: 360, latencyMs: 100, told: 360, misses: 36, errors: 100})
	s.want(VerdictRollback, codeGuardrailFailed)
}

// TestSevere: what can't wait for a cache to be warmed.
func TestSevere(t *testing.T) {
	for _, test := range []struct {
		canary side
		severe bool
	}{
		{side{n: 400, latencyMs: 100, errors: 100}, true},
		{side{n: 400, latencyMs: 130}, false},
		{side{n: 400, latencyMs: 900}, true}, // crawl, a limit, has the most evidence
		{side{}, true},
	} {
		r := cachedRollout()
		r.Cache = nil
		s := newScript(t, r, Options{Phi: 1})
		s.play(20, side{n: 400, latencyMs: 100}, side{n: 400, latencyMs: 100})
		s.play(60, side{n: 400, latencyMs: 100}, test.canary)
		if s.verdict.Action != VerdictRollback || s.verdict.Severe != test.severe {
			t.Errorf("%+v: %s, severe %v (%s)", test.canary, s.verdict.Action, s.verdict.Severe, s.verdict.Sentence)
		}
	}
}

// TestGraver: after a rollback that could wait for a cache to be warmed, evidence still counts, and says once that it can't any more.
func TestGraver(t *testing.T) {
	slow := side{n: 400, latencyMs: 130}
	for _, test := range []struct {
		name string
		then side
		code string
	}{
		{"as slow as before", slow, ""},
		{"it errs", side{n: 400, latencyMs: 130, errors: 100}, codeGuardrailFailed},
		{"it is silent", side{}, codeCanaryMissing},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := cachedRollout()
			r.Cache = nil
			s := newScript(t, r, Options{Phi: 1})
			s.play(20, side{n: 400, latencyMs: 100}, side{n: 400, latencyMs: 100})
			s.play(60, side{n: 400, latencyMs: 100}, slow)
			was := s.verdict
			if was.Action != VerdictRollback || was.Severe || was.Graver != nil {
				t.Fatalf("%+v, want a rollback that can wait", was)
			}
			s.play(60, side{n: 400, latencyMs: 100}, test.then)
			have := s.verdict
			if code := codeOf(have.Graver); code != test.code {
				t.Errorf("graver is %q, want %q", code, test.code)
			}
			if first := have.Graver; first != nil {
				s.play(60, side{n: 400, latencyMs: 100}, side{n: 400, latencyMs: 100, errors: 300})
				if s.verdict.Graver != first || first.HarmBeganMs < startMs+79_000 || first.Sentence == "" {
					t.Errorf("graver %+v, then %+v: want the first, and since when", first, s.verdict.Graver)
				}
			}
			if have.Sentence != was.Sentence || have.Guardrail != was.Guardrail {
				t.Errorf("the rollback stands on %q, and then on %q", was.Sentence, have.Sentence)
			}
		})
	}
}

func codeOf(g *Graver) string {
	if g == nil {
		return ""
	}
	return g.Code
}

// TestCacheBehindARollback: a baseline that gets its traffic back from a rollback has a cold cache, and isn't said to be beyond its limit for that: until it is warm behind the moment at
// which it has the traffic, or until the time is over. What is slow with a warm cache is its own.
func TestCacheBehindARollback(t *testing.T) {
	few := side{n: 40, latencyMs: 100, told: 40, misses: 2}
	slow := side{n: 400, latencyMs: 900, told: 400, misses: 40}
	for _, test := range []struct {
		name     string
		told     bool // that it gets its traffic
		baseline side // from then on
		cold     bool
		beyond   bool
	}{
		{"nobody says so", false, coldSide, false, true},
		{"a cold cache", true, coldSide, true, false},
		{"a warm one that is slow", true, slow, false, true},
		{"a warm one", true, warmSide, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScript(t, cachedRollout(), Options{Phi: 1})
			s.play(20, few, warmSide)
			failing := warmSide
			failing.errors = 200
			s.play(20, few, failing)
			s.want(VerdictRollback, codeGuardrailFailed)
			until := s.atMs + 60_000
			if test.told {
				s.judge.Returned(until)
			}
			s.play(10, few, warmSide) // routers haven't followed yet: it has a warm cache for what it has
			if test.told {
				s.judge.Followed(s.atMs)
			}
			s.play(40, test.baseline, side{})
			shown := slices.ContainsFunc(s.judge.Current(s.verdict.Health), func(f schemas.Finding) bool { return f.Code == codeCacheCold })
			if beyond := s.judge.Beyond() != nil; beyond != test.beyond || shown != test.cold {
				t.Errorf("beyond its limit: %t, said to be cold: %t; want %t, %t", beyond, shown, test.beyond, test.cold)
			}
			s.play(30, test.baseline, side{})
			if beyond := s.judge.Beyond() != nil; beyond != (test.baseline != warmSide) {
				t.Errorf("behind %s it is beyond its limit: %t", schemas.Time(until), beyond)
			}
		})
	}
}

// TestRefugeWithAColdCache: likewise once the rollback is carried out, by what its decision says.
func TestRefugeWithAColdCache(t *testing.T) {
	alone := RefugeOf(cachedRollout())
	if alone.Cache == nil || !slices.Equal(alone.Cache.Mute, []string{"crawl"}) {
		t.Fatalf("it mutes %+v", alone.Cache)
	}
	for _, test := range []struct {
		name     string
		muted    int // windows
		baseline side
		beyond   bool
	}{
		{"not muted", 0, coldSide, true},
		{"muted", 60, coldSide, false},
		{"it is over", 20, coldSide, true},
		{"it is warm", 60, side{n: 400, latencyMs: 900, told: 400, misses: 40}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, s := NewRefuge(alone, Options{Phi: 1}), newScript(t, alone, Options{Phi: 1})
			r.Mute(s.atMs + int64(test.muted)*1000)
			for range 50 {
				r.Step(s.serving(test.baseline, side{}))
				s.atMs += 1000
			}
			if beyond := r.Proven() != nil; beyond != test.beyond {
				t.Errorf("beyond: %t", beyond)
			}
		})
	}
}
