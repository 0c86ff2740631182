package decisions

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// cached is a rollout whose canary has nearly all of the traffic, and whose baseline's cache is warmed when it gets it back.
func cached(t *Terms) {
	t.Stages[0].WeightBP = 9500
	t.Cache = CacheTerms{BaselineNamespace: "ranker:41", CanaryNamespace: "ranker:42", WarmBP: []int{400, 1000, 5000}, HitRate: 0.8, MaxMs: 300_000, Mute: []string{"p99"}}
}

// answers is a window in which n of the baseline's predictions say whether its cache answered, and so many did.
func answers(at, n, hits int64) Input {
	in := traffic(at, n, 100)
	in.Traffic.CacheTold, in.Traffic.CacheHits = n, hits
	return in
}

// saidWithCache adds what a decision says of caches: "+activate -retire ~warm".
func saidWithCache(e Effect) string {
	words := said(e)
	if e.Decision == nil {
		return words
	}
	if c := e.Decision.Decision.Cache; c != nil {
		words += fmt.Sprintf(" +%s -%s ~%v", c.Activate, c.Retire, c.Warm)
	}
	return words
}

const (
	warm10   = "#3 rollback 41:1000 42:9000 (route) +ranker:41 - ~[50]"
	warm50   = "#4 rollback commit 41:5000 42:5000 (route) +ranker:41 - ~[]"
	allAt    = "rollback commit 41:10000 42:0 (route) +ranker:41 -ranker:42 ~[]"
	warmDone = "#5 " + allAt
)

func TestWarm(t *testing.T) {
	harm := verdictOf(5, VerdictRollback)
	severe := verdictOf(5, VerdictRollback)
	severe.Verdict.Severe = true
	followed := []Input{harm, ack(6, 3, "eu", schemas.AckApplied)}
	first := id(1, 3) + "/warm-10"
	tests := []struct {
		name   string
		change []func(*Terms)
		in     []Input
		want   []string
		says   string // the last decision
	}{
		{"each step until its cache is warm", nil, after(followed, answers(7, 200, 160), ack(8, 4, "eu", schemas.AckApplied), answers(9, 200, 190)),
			[]string{warm10, warm50, warmDone}, "41 answers 95 % from its cache: all traffic goes to 41."},
		{"a colder one is waited for", nil, after(followed, answers(7, 200, 159), answers(8, 199, 199), traffic(9, 500, 500)), []string{warm10}, "Because. Traffic returns to 41 in steps, as its cache may be cold: 10 % first."},
		{"windows from before routers had followed say nothing", nil, after(followed, answers(4, 200, 200), answers(5, 200, 200)), []string{warm10}, ""},
		{"nor do those before they answer", nil, []Input{harm, answers(6, 200, 200)}, []string{warm10}, ""},
		{"not for ever", nil, after(followed, answers(7, 200, 100), expire(306, first)), []string{warm10, warm50}, "After 5m 41 answers no more than 50 % from its cache, and traffic doesn't wait any longer: 50 % of the traffic goes to 41."},
		{"where nothing says so", nil, after(followed, traffic(7, 200, 100), expire(306, first)), []string{warm10, warm50},
			"After 5m it isn't known how warm the cache of 41 is (events have no cache_hit, or too few came), and traffic doesn't wait any longer: 50 % of the traffic goes to 41."},
		{"a router that doesn't follow: all at once, and told", nil, []Input{harm, expire(15, first)}, []string{warm10, "!acks-overdue any", "#4 " + allAt},
			"any router has not followed, so nothing is warmed any more: all traffic goes to 41."},
		{"or that refuses", nil, []Input{harm, ack(6, 3, "eu", schemas.AckRejected)}, []string{warm10, "!ack-refused eu", "#4 " + allAt}, ""},
		{"harm that can't wait", nil, []Input{severe}, []string{"#3 rollback 41:10000 42:0 (route) +ranker:41 -ranker:42 ~[]"}, "Because."},
		{"a person who doesn't wait", nil, after(followed, command(7, CommandRollback, false)), []string{warm10, "#4 " + allAt}, "ada moved all traffic without waiting for a warm cache."},
		{"but asks only once", nil, after(followed, command(7, CommandRollback, false), command(8, CommandRollback, false)), []string{warm10, "#4 " + allAt, "!command-refused"}, ""},
		{"a person's rollback is warmed", nil, []Input{command(5, CommandRollback, false)}, []string{warm10}, ""},
		{"unless it overrides", nil, []Input{command(5, CommandRollback, true)}, []string{"#3 rollback 41:10000 42:0 (route) +ranker:41 -ranker:42 ~[]"}, ""},
		{"a baseline that has more already", []func(*Terms){func(t *Terms) { t.Stages[0].WeightBP = 5000 }}, []Input{harm}, []string{"#3 rollback 41:10000 42:0 (route) +ranker:41 -ranker:42 ~[]"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			change := append([]func(*Terms){cached}, test.change...)
			last := ""
			_, words := foldWith(t, func(e Effect) string {
				if e.Decision != nil {
					last = e.Decision.Decision.Reason.Sentence
				}
				return saidWithCache(e)
			}, after(running(terms(change...)), test.in...)...)
			expect(t, words[2:], test.want...)
			if test.says != "" && last != test.says {
				t.Errorf("said %q, want %q", last, test.says)
			}
		})
	}
}

// TestWarmThenDrained: the steps end in the proof that every rollback ends in, and a record that was read again goes on the same.
func TestWarmThenDrained(t *testing.T) {
	in := after(running(terms(cached)), verdictOf(5, VerdictRollback), ack(6, 3, "eu", schemas.AckApplied), answers(7, 200, 190),
		ack(8, 4, "eu", schemas.AckApplied), answers(9, 200, 190), ack(10, 5, "eu", schemas.AckApplied))
	in = append(in, windowsOf(11, 3, 1500, 0)...)
	s, words := fold(t, in...)
	if words[len(words)-1] != "!rollback-completed  done" || !s.Saga.Done() {
		t.Errorf("it ended in %v", words)
	}
	var names []string
	for _, step := range s.Saga.Steps {
		names = append(names, string(step.Name)+" "+string(step.State))
	}
	if have, want := strings.Join(names, ", "), "warm-10 acked, warm-50 acked, route acked, verify acked"; have != want {
		t.Errorf("steps %s, want %s", have, want)
	}
}

// TestWarmWithState: shared state is frozen before traffic begins to return, and restored after all of it has.
func TestWarmWithState(t *testing.T) {
	_, words := fold(t, after(begun(cached), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared),
		ack(13, 4, "eu", schemas.AckApplied), answers(17, 200, 200), ack(18, 5, "eu", schemas.AckApplied), answers(22, 200, 200), ack(23, 6, "eu", schemas.AckApplied))...)
	expect(t, words[2:], "#3 rollback prepare 41:500 42:9500 (route)", "#4 rollback commit 41:1000 42:9000 (route)", "#5 rollback commit 41:5000 42:5000 (route)",
		"#6 rollback commit 41:10000 42:0 (route)", "#7 rollback commit 41:10000 42:0 (route)")
}

// TestCacheNames: which cache each decision of a rollout that goes well names, and what is muted.
func TestCacheNames(t *testing.T) {
	var muted []string
	_, words := foldWith(t, func(e Effect) string {
		for _, m := range e.Decision.Decision.Mute {
			muted = append(muted, fmt.Sprintf("%d %s of %s until %d", e.Decision.Decision.Seq, m.Guardrail, m.Version, int64(m.Until)/1000))
		}
		return saidWithCache(e)
	}, after(running(terms(cached)), verdictOf(10, VerdictPromote))...)
	expect(t, words, "#1 start prepare 41:10000 42:0 (route) +ranker:41 - ~[]", "#2 start commit 41:500 42:9500 (route) +ranker:42 - ~[]",
		"#3 promote 41:0 42:10000 (route) +ranker:42 -ranker:41 ~[]")
	expect(t, muted, "2 p99 of 41 until 302", "2 p99 of 42 until 302", "3 p99 of 42 until 310")
}

func TestCacheTerms(t *testing.T) {
	r, err := schemas.ParseRollout("rollout.yaml", []byte(`apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: ranker-42}
spec:
  model: ranker
  baseline: {version: "41"}
  canary: {version: "42"}
  stages: [{weight: 10}]
  cache: {namespace: "c/{model}/{version}", warm: [10, 50, 100], until: {hitRate: 0.7, max: 2m}, mute: [p99]}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := CacheTerms{BaselineNamespace: "c/ranker/41", CanaryNamespace: "c/ranker/42", WarmBP: []int{1000, 5000}, HitRate: 0.7, MaxMs: 120_000, Mute: []string{"p99"}}
	if have := TermsOf(r).Cache; !reflect.DeepEqual(have, want) {
		t.Errorf("%+v, want %+v", have, want)
	}
}
