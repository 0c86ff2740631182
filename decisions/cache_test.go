package decisions

import (
	"fmt"
	"reflect"
	"slices"
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
	graver := verdictOf(8, VerdictRollback)
	graver.Verdict.Severe, graver.Verdict.Reason.Sentence = true, "It errs."
	scarce := verdictOf(8, VerdictRollback)
	scarce.Verdict.Severe, scarce.Verdict.Reason.Code = true, codeCanaryScarce
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
		{"harm that can't wait any more", nil, after(followed, verdictOf(7, VerdictRollback), graver, graver), []string{warm10, "#4 " + allAt},
			"It errs. That can't wait for the cache of 41: all traffic goes there."},
		{"also in the midst of the way", nil, after(followed, answers(7, 200, 190), graver, graver), []string{warm10, warm50, "#5 " + allAt}, ""},
		{"and after a person's rollback", nil, []Input{command(5, CommandRollback, false), graver}, []string{warm10, "#4 " + allAt}, ""},
		{"but not as the way back itself leaves it less than is planned", nil, []Input{command(5, CommandRollback, false), scarce}, []string{warm10}, ""},
		{"which can't wait before", nil, []Input{scarce}, []string{"#3 rollback 41:10000 42:0 (route) +ranker:41 -ranker:42 ~[]"}, "Because. Routers say that they have applied: eu (decision 2)."},
		{"not once all has gone back", nil, after(followed, answers(7, 200, 160), ack(8, 4, "eu", schemas.AckApplied), answers(9, 200, 190), graver),
			[]string{warm10, warm50, warmDone}, ""},
		{"nor of a rollout that nobody follows any more", nil, after(followed, command(7, CommandDelete, true), graver), []string{warm10, "!rollout-deleted warm-10,warm-50,route,verify"}, ""},
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

// TestReturns: each decision that gives the baseline traffic is noted, with where in the evidence it stands, until when it mutes, and from when on routers had followed; a rollback
// that moves nothing, or where nothing is known of a cache, notes none.
func TestReturns(t *testing.T) {
	at := func(in Input, turn int64) Input {
		in.Turn = turn
		return in
	}
	way := []Input{at(verdictOf(5, VerdictRollback), 50), at(ack(6, 3, "eu", schemas.AckApplied), 60), at(answers(7, 200, 190), 70), at(ack(8, 4, "eu", schemas.AckApplied), 80)}
	unmuted := func(t *Terms) { t.Cache.Mute = nil }
	for _, test := range []struct {
		name   string
		change []func(*Terms)
		want   []Return
		until  int64
	}{
		{"in steps", []func(*Terms){cached}, []Return{{50, 305_000, 6000, 60}, {70, 310_000, 8000, 80}}, 310_000},
		{"that mute nothing", []func(*Terms){cached, unmuted}, []Return{{50, 0, 6000, 60}, {70, 0, 8000, 80}}, 0},
		{"no cache", []func(*Terms){weight}, nil, 0},
		{"advice", []func(*Terms){cached, advise}, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, _ := fold(t, after(running(terms(test.change...)), way...)...)
			if !slices.Equal(s.Returns, test.want) || s.MutedUntilMs() != test.until {
				t.Errorf("noted %+v, muted until %d; want %+v, %d", s.Returns, s.MutedUntilMs(), test.want, test.until)
			}
		})
	}
}

// TestMutedText: what is muted behind a rollback is shown where that is carried out, as long as it may be so.
func TestMutedText(t *testing.T) {
	s, _ := fold(t, after(running(terms(cached)), verdictOf(5, VerdictRollback), ack(6, 3, "eu", schemas.AckApplied), answers(7, 200, 190), ack(8, 4, "eu", schemas.AckApplied))...)
	if text := s.MutedText(309_999); text != "" {
		t.Errorf("while it is under way: %q", text)
	}
	for i := range s.Saga.Steps {
		s.Saga.Steps[i].State = StepAcked
	}
	for wallMs, want := range map[int64]string{309_999: "p99 counts nothing of 41, which has its traffic back, until its cache is warm, at the latest until 1970-01-01T00:05:10.000Z", 310_000: ""} {
		if text := s.MutedText(wallMs); text != want {
			t.Errorf("%q, want %q", text, want)
		}
	}
}

// TestReturnsBesideStores: what is asked of stores alone gives the baseline no traffic, and their answers don't say that routers have followed.
func TestReturnsBesideStores(t *testing.T) {
	turn := int64(0)
	in := begun(cached)
	for _, next := range []Input{verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared), ack(13, 4, "eu", schemas.AckApplied), answers(17, 200, 200),
		ack(18, 5, "eu", schemas.AckApplied), answers(22, 200, 200), ack(23, 6, "eu", schemas.AckApplied), ack(24, 7, "item", schemas.AckApplied)} {
		turn++
		next.Turn = turn
		in = append(in, next)
	}
	s, _ := fold(t, in...)
	var turns [][2]int64
	for _, r := range s.Returns {
		turns = append(turns, [2]int64{r.Turn, r.FromTurn})
	}
	if want := [][2]int64{{3, 4}, {5, 6}, {7, 8}}; !slices.Equal(turns, want) {
		t.Errorf("decided and followed at turns %v, want %v", turns, want)
	}
}

// TestWarmWithState: shared state is frozen before traffic begins to return, and restored after all of it has.
func TestWarmWithState(t *testing.T) {
	_, words := fold(t, after(begun(cached), verdictOf(10, VerdictRollback), ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared),
		ack(13, 4, "eu", schemas.AckApplied), answers(17, 200, 200), ack(18, 5, "eu", schemas.AckApplied), answers(22, 200, 200), ack(23, 6, "eu", schemas.AckApplied))...)
	expect(t, words[2:], "#3 rollback prepare 41:500 42:9500 (route)", "#4 rollback commit 41:1000 42:9000 (route)", "#5 rollback commit 41:5000 42:5000 (route)",
		"#6 rollback commit 41:10000 42:0 (route)", "#7 rollback commit 41:10000 42:0 (route)")
}

// rising is a rollout whose canary gets a twentieth, then a fifth and three fifths until its cache is warm, then all.
func rising(t *Terms) {
	cached(t)
	t.Stages = []StageTerms{{WeightBP: 500}, {WeightBP: 2000, Warm: true}, {WeightBP: 6000, Warm: true}}
}

func asked(t *Terms) { t.Stages[1].Approve = true }

// canaryAnswers is a window in which n of the canary's predictions say whether its cache answered, and so many did.
func canaryAnswers(at, n, hits int64) Input {
	in := traffic(at, 1000, n)
	in.Traffic.CanaryCacheTold, in.Traffic.CanaryCacheHits = n, hits
	return in
}

const (
	rise20   = "#3 advance 41:8000 42:2000 (route) +ranker:42 - ~[60]"
	rise60   = "#4 advance 41:4000 42:6000 (route) +ranker:42 - ~[]"
	riseDone = "promote 41:0 42:10000 (route) +ranker:42 -ranker:41 ~[]"
)

// takeover is what happens while the canary's cache is warmed.
type takeover struct {
	name   string
	change []func(*Terms)
	in     []Input
	want   []string
	says   string // the last decision
	shows  string // of the canary's cache
}

func takeovers() []takeover {
	ok := func(at, seq int64) Input { return ack(at, seq, "eu", schemas.AckApplied) }
	next := func(at int64) Input { return verdictOf(at, VerdictAdvance) }
	end := func(at int64) Input { return verdictOf(at, VerdictPromote) }
	severe := verdictOf(9, VerdictRollback)
	severe.Verdict.Severe = true
	first, second := id(1, 3)+"/warm-20", id(1, 4)+"/warm-60"
	at20 := []Input{next(5), ok(6, 3)}
	at60 := after(at20, canaryAnswers(7, 200, 160), next(8), ok(8, 4))
	promoted := after(at60, canaryAnswers(9, 200, 190), end(10))
	return []takeover{
		{"each stop until its cache is warm", nil, at60, []string{rise20, rise60}, "42 answers 80 % from its cache. Now begins stage 3 of 3 (60 % of the traffic, until the cache of 42 is warm).",
			"the cache of 42 is warmed, at the latest until 1970-01-01T00:05:08.000Z: 0 predictions have told whether the cache answered, 200 are needed"},
		{"then all", nil, promoted, []string{rise20, rise60, "#5 " + riseDone}, "42 answers 95 % from its cache: all traffic goes to 42.", ""},
		{"a colder one is waited for", nil, after(at20, canaryAnswers(7, 200, 159), canaryAnswers(8, 199, 199), next(9), end(10)), []string{rise20},
			"Because. Now begins stage 2 of 3 (20 % of the traffic, until the cache of 42 is warm).",
			"the cache of 42 is warmed, at the latest until 1970-01-01T00:05:06.000Z: 79 % come from the cache"},
		{"the baseline's says nothing of it", nil, after(at20, answers(7, 500, 500), next(8)), []string{rise20}, "", ""},
		{"nor do windows from before routers had followed", nil, after(at20, canaryAnswers(4, 500, 500), canaryAnswers(5, 500, 500), next(8)), []string{rise20}, "", ""},
		{"nor those before they answer", nil, []Input{next(5), canaryAnswers(6, 500, 500), next(7)}, []string{rise20}, "",
			"the cache of 42 is warmed when routers have followed to 20 %"},
		{"a router that doesn't follow: told, and asked again", nil, []Input{next(5), expire(15, id(1, 3)+"/acks"), next(16)},
			[]string{rise20, "!acks-overdue any", "again " + id(1, 3)}, "", ""},
		{"not for ever", nil, after(at20, canaryAnswers(7, 200, 100), expire(306, first), next(307)), []string{rise20, rise60},
			"After 5m 42 answers no more than 50 % from its cache, and traffic doesn't wait any longer. Now begins stage 3 of 3 (60 % of the traffic, until the cache of 42 is warm).", ""},
		{"where nothing says so", nil, after(at60, expire(308, second), end(309)), []string{rise20, rise60, "#5 " + riseDone},
			"After 5m it isn't known how warm the cache of 42 is (events have no cache_hit, or too few came), and traffic doesn't wait any longer: all traffic goes to 42.", ""},
		{"its time alone moves nothing: what is suspect does no more", nil, after(at20, expire(306, first), verdictOf(307, VerdictContinue)), []string{rise20}, "",
			"After 5m it isn't known how warm the cache of 42 is (events have no cache_hit, or too few came), and traffic doesn't wait any longer"},
		{"nor does warmth", nil, after(at20, canaryAnswers(7, 200, 200), verdictOf(8, VerdictContinue)), []string{rise20}, "", "42 answers 100 % from its cache"},
		{"a hold, and its end, go on waiting", nil, after(at20, verdictOf(7, VerdictHold), canaryAnswers(7, 200, 100), next(9)),
			[]string{rise20, "#4 hold 41:8000 42:2000 (route) +ranker:42 - ~[60]", "#5 resume 41:8000 42:2000 over " + id(1, 4) + " (route) +ranker:42 - ~[60]"}, "", ""},
		{"a person agrees to the first", []func(*Terms){asked}, []Input{next(5), next(6), command(7, CommandAdvance, false)},
			[]string{"#3 hold 41:9500 42:500 (route) +ranker:42 - ~[]", "#4 advance 41:8000 42:2000 over " + id(1, 3) + " (route) +ranker:42 - ~[60]"}, "", ""},
		{"a person who promotes doesn't wait", nil, after(at20, command(8, CommandPromote, false)), []string{rise20, "#4 " + riseDone}, "ada promoted 42.", ""},
		{"nor does one who advances", nil, after(at20, command(8, CommandAdvance, false)), []string{rise20, rise60}, "", "the cache of 42 is warmed when routers have followed to 60 %"},
		{"harm, with a baseline that has enough", nil, after(at20, verdictOf(9, VerdictRollback)), []string{rise20, "#4 rollback 41:10000 42:0 (route) +ranker:41 -ranker:42 ~[]"}, "Because.", ""},
		{"harm, with one that has less", nil, after(at60, verdictOf(9, VerdictRollback)), []string{rise20, rise60, "#5 rollback 41:5000 42:5000 (route) +ranker:41 - ~[]"}, "", ""},
		{"harm that can't wait", nil, after(at60, severe), []string{rise20, rise60, "#5 rollback 41:10000 42:0 (route) +ranker:41 -ranker:42 ~[]"}, "", ""},
		{"harm after all went to it", nil, after(promoted, verdictOf(11, VerdictRollback)), []string{rise20, rise60, "#5 " + riseDone, "#6 rollback 41:400 42:9600 over " + id(1, 5) + " (route) +ranker:41 - ~[10 50]"}, "", ""},
		{"a person's rollback beats it, and its time is nobody's any more", nil, after(at20, command(8, CommandRollback, false), canaryAnswers(9, 500, 500), expire(306, first), next(307)),
			[]string{rise20, "#4 rollback 41:10000 42:0 (route) +ranker:41 -ranker:42 ~[]"}, "", ""},
		{"deleted", nil, after(at20, command(8, CommandDelete, false), expire(306, first), next(307)), []string{rise20, "#4 start abort 41:10000 42:0 (route) +ranker:41 -ranker:42 ~[]"}, "", ""},
	}
}

func TestTakeover(t *testing.T) {
	for _, test := range takeovers() {
		t.Run(test.name, func(t *testing.T) {
			for i := range test.in {
				test.in[i].Turn = 5
			}
			last := ""
			s, words := foldWith(t, func(e Effect) string {
				if e.Decision != nil {
					last = e.Decision.Decision.Reason.Sentence
				}
				return saidWithCache(e)
			}, after(running(terms(append([]func(*Terms){rising}, test.change...)...)), test.in...)...)
			expect(t, words[2:], test.want...)
			if test.says != "" && last != test.says {
				t.Errorf("said %q, want %q", last, test.says)
			}
			if test.shows != "" && s.WarmingText() != test.shows {
				t.Errorf("shown %q, want %q", s.WarmingText(), test.shows)
			}
		})
	}
}

// TestGraverWithState: while stores are waited for, nothing but what comes after them becomes quicker.
func TestGraverWithState(t *testing.T) {
	graver := verdictOf(11, VerdictRollback)
	graver.Verdict.Severe = true
	s, words := fold(t, after(begun(cached), verdictOf(10, VerdictRollback), graver, ack(12, 3, "item", schemas.AckPrepared), ack(13, 3, "user", schemas.AckPrepared))...)
	expect(t, words[2:], "#3 rollback prepare 41:500 42:9500 (route)", "#4 rollback commit 41:10000 42:0 (route)")
	if s.Returning() {
		t.Error("all has been moved, and traffic still returns in steps")
	}
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

// idle is a rollout whose canary had no traffic before, as that of a way back: its promotion stops at 20 % and 60 %.
func idle(t *Terms) {
	t.Cache = CacheTerms{BaselineNamespace: "ranker:41", CanaryNamespace: "ranker:42", WarmBP: []int{2000, 6000}, PromoteBP: []int{2000, 6000}, HitRate: 0.8, MaxMs: 300_000}
}

// TestPromotionStops: a promotion of a canary that had no traffic stops until its cache is warm.
func TestPromotionStops(t *testing.T) {
	ok := func(at, seq int64) Input { return ack(at, seq, "eu", schemas.AckApplied) }
	promote := command(5, CommandPromote, false)
	at20 := []Input{promote, ok(6, 3)}
	at60 := after(at20, canaryAnswers(7, 200, 160), ok(8, 4))
	all := after(at60, canaryAnswers(9, 200, 190))
	const back = "rollback 41:10000 42:0 (route) +ranker:41 -ranker:42 ~[]"
	first := id(1, 3) + "/warm-20"
	tests := []struct {
		name   string
		change []func(*Terms)
		in     []Input
		want   []string
		says   string // the last decision
		status Status
	}{
		{"the first", nil, []Input{promote}, []string{rise20}, "ada promoted 42. Traffic goes to 42 in steps, as its cache may be cold: 20 % first.", StatusPromoting},
		{"each until its cache is warm", nil, at60, []string{rise20, rise60}, "42 answers 80 % from its cache: 60 % of the traffic goes to 42.", StatusPromoting},
		{"then all", nil, after(all, ok(10, 5)), []string{rise20, rise60, "#5 " + riseDone}, "42 answers 95 % from its cache: all traffic goes to 42.", StatusPromoted},
		{"which routers must carry out", nil, all, []string{rise20, rise60, "#5 " + riseDone}, "", StatusPromoting},
		{"a colder one is waited for", nil, after(at20, canaryAnswers(7, 200, 159), canaryAnswers(8, 199, 199)), []string{rise20}, "", StatusPromoting},
		{"not for ever", nil, after(at20, canaryAnswers(7, 200, 100), expire(306, first)), []string{rise20, rise60},
			"After 5m 42 answers no more than 50 % from its cache, and traffic doesn't wait any longer: 60 % of the traffic goes to 42.", StatusPromoting},
		{"routers that don't follow are told of, and asked again", nil, []Input{promote, expire(15, id(1, 3)+"/acks")}, []string{rise20, "!acks-overdue any", "again " + id(1, 3)}, "", StatusPromoting},
		{"a cold cache rolls nothing back", nil, after(at20, verdictOf(7, VerdictRollback)), []string{rise20}, "", StatusPromoting},
		{"also at the end", nil, after(all, verdictOf(10, VerdictRollback)), []string{rise20, rise60, "#5 " + riseDone}, "", StatusPromoting},
		{"harm that can't wait does", nil, after(at60, grave(verdictOf(9, VerdictRollback))), []string{rise20, rise60, "#5 " + back}, "", StatusRolledBack},
		{"and an alert", []func(*Terms){guarded}, after(at60, alarm(9, "page", 8)), []string{rise20, rise60, "#5 " + back}, "", StatusRolledBack},
		{"and a person", nil, after(at20, command(8, CommandRollback, false), canaryAnswers(9, 500, 500), expire(306, first)), []string{rise20, "#4 " + back}, "", StatusRolledBack},
		{"a person who doesn't wait", nil, after(at20, command(8, CommandPromote, false), ok(9, 4), command(10, CommandPromote, false)), []string{rise20, "#4 " + riseDone, "!command-refused"},
			"ada moved all traffic without waiting for a warm cache.", StatusPromoted},
		{"by force none", nil, []Input{command(5, CommandPromote, true)}, []string{"#3 " + riseDone}, "ada promoted 42.", StatusPromoting},
		{"nothing else meanwhile", nil, after(at20, command(7, CommandPause, false), command(8, CommandAdvance, false)), []string{rise20, "!command-refused", "!command-refused"}, "", StatusPromoting},
		{"deleted", nil, after(at20, command(8, CommandDelete, false), expire(306, first)), []string{rise20, "#4 start abort 41:10000 42:0 (route) +ranker:41 -ranker:42 ~[]"}, "", StatusDeleted},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			last := ""
			s, words := foldWith(t, func(e Effect) string {
				if e.Decision != nil {
					last = e.Decision.Decision.Reason.Sentence
				}
				return saidWithCache(e)
			}, after(running(terms(append([]func(*Terms){idle}, test.change...)...)), test.in...)...)
			expect(t, words[2:], test.want...)
			if test.says != "" && last != test.says {
				t.Errorf("said %q, want %q", last, test.says)
			}
			if s.Status != test.status || (s.Warming != nil) && s.Status != StatusPromoting {
				t.Errorf("it is %s, want %s; warming %+v", s.Status, test.status, s.Warming)
			}
		})
	}
}

// TestWarmIsSaidOn: a recommendation while traffic goes back in steps names the cache that the rollback warms, the steps that are to come, and no other.
func TestWarmIsSaidOn(t *testing.T) {
	behind, later := beyond(verdictOf(5, VerdictRollback), outage(true)), verdictOf(5, VerdictRollback)
	for _, harm := range []Input{behind, later} {
		_, words := foldWith(t, saidWithCache, after(running(terms(cached)), harm, beyond(verdictOf(6, VerdictRollback), outage(true)))...)
		expect(t, words[2:], warm10, "#4 roll-forward 41:1000 42:9000 (route) +ranker:41 - ~[50]")
	}
}
