package analysis

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestExhibitsOfARollout: each once, outcomes by which way is harm; nothing where no prediction shows it.
func TestExhibitsOfARollout(t *testing.T) {
	r := rolloutOf(
		guardrail("errors: rate error increase 0.5pp"), guardrail("outage: rate error above 5%"), guardrail("hits: rate cache_miss decrease 1pp"),
		guardrail("p99: quantile 0.99 latency increase 20%"), guardrail("slo: quantile 0.99 latency above 50ms"),
		guardrail("tokens: quantile 0.5 tokens decrease 10%"), guardrail("logit: distribution logit mann-whitney both any buckets=-8,8,100"),
		guardrail("cpu: sample cpu 0.9 increase 5pp"), guardrail("depth: mean depth increase any from=sample cap=3"), guardrail("long: mean tokens increase any from=prediction cap=3"),
		guardrail("ctr: rate click decrease 2%"), guardrail("refunds: rate refund increase 2%"), guardrail("sales: mean click decrease any from=outcome cap=3"),
	)
	var keys []string
	for _, x := range Exhibits(r) {
		keys = append(keys, fmt.Sprintf("%s of %s %s lacks=%t", x.Key, x.Stream.Kind, x.Stream.Name, x.Lacks))
	}
	want := []string{"rate error of serving  lacks=false", "rate -cache_miss of serving  lacks=false", "latency latency of serving  lacks=false",
		"latency -tokens of serving  lacks=false", "mean tokens of serving  lacks=false", "outcome -click of outcomes click lacks=true",
		"outcome refund of outcomes refund lacks=false"}
	if !reflect.DeepEqual(keys, want) {
		t.Errorf("exhibits\n got %q\nwant %q", keys, want)
	}
}

// TestRanks: what a guardrail points at is what its metric counts.
func TestRanks(t *testing.T) {
	slow := schemas.Event{HasLatency: true, LatencyMs: 80, Error: true, Values: []schemas.Value{{Name: []byte("tokens"), Number: 7}}}
	fast := schemas.Event{HasLatency: true, LatencyMs: 3, HasCacheHit: true, CacheHit: true}
	hang := schemas.Event{Timeout: true, HasCacheHit: true}
	none := math.NaN()
	for text, want := range map[string][3]float64{ // of slow, fast and hang; NaN: not named
		"a: rate error increase 1pp":                           {0, none, none},
		"a: rate error decrease 1pp":                           {none, 0, 0},
		"a: rate timeout above 5%":                             {none, none, 0},
		"a: rate cache_miss increase 1pp":                      {none, none, 0},
		"a: rate cache_miss decrease 1pp":                      {none, 0, none},
		"a: quantile 0.99 latency increase 20%":                {80, 3, math.Inf(1)},
		"a: quantile 0.99 latency decrease 20%":                {-80, -3, math.Inf(-1)},
		"a: quantile 0.9 latency above 50ms":                   {80, 3, math.Inf(1)},
		"a: quantile 0.5 tokens below 3.25":                    {-7, none, none},
		"a: distribution latency ks increase 20%":              {80, 3, math.Inf(1)},
		"a: mean tokens increase 10% from=prediction cap=30":   {7, none, none},
		"a: quantile 0.5 score decrease 0.02 buckets=0,1,1000": {none, none, none},
	} {
		g := guardrail(text)
		x, ok := exhibitOf(&g)
		if !ok {
			t.Errorf("%s points at nothing", text)
			continue
		}
		for i, e := range []*schemas.Event{&slow, &fast, &hang} {
			rank, named := x.Rank(e)
			if named == math.IsNaN(want[i]) || named && rank != want[i] {
				t.Errorf("%s: event %d has rank %v (%t), want %v", text, i, rank, named, want[i])
			}
		}
	}
}

// shownFor plays ten healthy windows and as many bad ones, of which each names what name says, and returns what the first guardrail is told with.
func shownFor(t *testing.T, spec string, name func(window int) []windows.Exemplar) (*script, schemas.GuardrailStatus) {
	s := newScript(t, rolloutOf(guardrail(spec)), Options{Phi: 1})
	for i := range 20 {
		canary := side{n: 1_000, errors: 1}
		if i >= 10 {
			canary.errors = 300
		}
		p := s.serving(side{n: 9_000, errors: 9}, canary)
		p.Exemplars = [][]windows.Exemplar{name(i)}
		s.verdict = s.judge.Step(p)
		s.atMs += s.judge.clock.widthMs
	}
	return s, s.judge.Status()[0]
}

// TestExemplars: a failure names predictions since the harm began, the newest windows' first, each id once.
func TestExemplars(t *testing.T) {
	s, got := shownFor(t, "errors: rate error increase 0.5pp", func(window int) []windows.Exemplar {
		return []windows.Exemplar{
			{ID: fmt.Sprintf("a%d", window), Code: "503"}, {ID: "again"}, {ID: fmt.Sprintf("b%d", window)}, {ID: fmt.Sprintf("aside%d", window), Aside: true},
		}
	})
	if got.State != schemas.StateFailed || got.HarmBegan == 0 {
		t.Fatalf("state %s, harm began %s", got.State, got.HarmBegan)
	}
	var ids []string
	for i, x := range got.Exemplars {
		ids = append(ids, x.ID)
		if x.Window < got.HarmBegan || x.Value != nil || (x.Code == "503") != strings.HasPrefix(x.ID, "a1") {
			t.Errorf("exemplar %d is %+v; harm began %s", i, x, got.HarmBegan)
		}
	}
	last := int(s.atMs-startMs)/1000 - 1
	if len(ids) != windows.MaxExemplars || ids[0] != fmt.Sprintf("a%d", last) || ids[1] != "again" || ids[3] != fmt.Sprintf("a%d", last-1) || ids[4] != fmt.Sprintf("b%d", last-1) {
		t.Errorf("exemplars %q", ids)
	}
}

// TestExemplarsAreOfTheHarm: predictions of windows before it are not named, however few the later ones name; a guardrail that nothing
// is wrong with names none.
func TestExemplarsAreOfTheHarm(t *testing.T) {
	early := func(window int) []windows.Exemplar {
		if window < 8 {
			return []windows.Exemplar{{ID: fmt.Sprint(window)}}
		}
		return nil
	}
	if _, got := shownFor(t, "errors: rate error increase 0.5pp", early); got.State != schemas.StateFailed || got.Exemplars != nil {
		t.Errorf("%s, names %v of before the harm", got.State, got.Exemplars)
	}
	always := func(window int) []windows.Exemplar { return []windows.Exemplar{{ID: fmt.Sprint(window)}} }
	if _, got := shownFor(t, "errors: rate error increase 50pp", always); got.State == schemas.StateFailed || got.State == schemas.StateSuspect || got.Exemplars != nil {
		t.Errorf("%s, names %v", got.State, got.Exemplars)
	}
}

// TestDisplayIsBounded: it never has more than it may, nor moves its memory.
func TestDisplayIsBounded(t *testing.T) {
	var d display
	for window := range 80 {
		var list []windows.Exemplar
		for i := range window % (windows.MaxExemplars + 1) {
			list = append(list, windows.Exemplar{ID: fmt.Sprintf("%d.%d", window, i), Aside: i%4 == 3})
		}
		d.take(list, int64(window))
		if len(d.shown) > displayed || cap(d.shown) != displayed {
			t.Fatalf("window %d: %d of %d", window, len(d.shown), cap(d.shown))
		}
		for i := 1; i < len(d.shown); i++ {
			if d.shown[i].Aside || d.shown[i].startMs > d.shown[i-1].startMs || d.shown[i].startMs == d.shown[i-1].startMs && d.shown[i].ID <= d.shown[i-1].ID {
				t.Fatalf("window %d: %v after %v", window, d.shown[i], d.shown[i-1])
			}
		}
	}
	if len(d.shown) != displayed {
		t.Errorf("%d are shown in the end", len(d.shown))
	}
}

// TestExemplarsHaveNumbers: of a latency the milliseconds, of what may not fall the smallest number, and none of a timeout.
func TestExemplarsHaveNumbers(t *testing.T) {
	none := fixedAccount{windows.Baseline: {value: math.NaN()}}
	for _, c := range []struct {
		spec string
		rank float64
		want string
	}{
		{"a: quantile 0.99 latency increase 20%", 812.5, "812.5 ms"}, {"a: quantile 0.99 latency increase 20%", math.Inf(1), "none "},
		{"a: quantile 0.5 tokens decrease 10%", -3, "3 "}, {"a: mean tokens increase 10% from=prediction cap=30", 40, "40 "},
		{"a: rate error increase 1pp", 0, "none "},
	} {
		g := guardrail(c.spec)
		x := exemplar{Exemplar: windows.Exemplar{ID: "a", Segment: "de", Rank: c.rank}, startMs: 5}
		whole := guard{spec: &g, display: &display{shown: []exemplar{x}}, canary: &trial{account: none}}
		got := whole.exemplars(5)
		text := "none"
		if got[0].Value != nil {
			text = fmt.Sprint(*got[0].Value)
		}
		if text += " " + got[0].Unit; text != c.want {
			t.Errorf("%s: %q, want %q", c.spec, text, c.want)
		}
	}
}

// TestExemplarsOfSegments: a segment's guardrail names those in it, and the others' those that have no place of their own: also one that is called like them.
func TestExemplarsOfSegments(t *testing.T) {
	g := guardrail("a: rate error increase 1pp")
	r := &roster{most: 3, names: []string{"de", "other"}, frozen: true}
	all := display{shown: []exemplar{{Exemplar: windows.Exemplar{ID: "1", Segment: "de"}}, {Exemplar: windows.Exemplar{ID: "2"}}, {Exemplar: windows.Exemplar{ID: "3", Segment: "jp"}},
		{Exemplar: windows.Exemplar{ID: "4", Segment: "other"}}, {Exemplar: windows.Exemplar{ID: "5", Segment: "de"}}}}
	for slot, want := range []string{"1 5", "4", "", "2 3"} {
		part := guard{spec: &g, display: &all, ofPart: true, roster: r, slot: slot, segment: r.name(slot)}
		if got := idsOf(part.exemplars(0)); got != want {
			t.Errorf("slot %d, %q: names %q, want %q", slot, part.segment, got, want)
		}
	}
	rollout := rolloutOf(g)
	rollout.Segments = &schemas.Segments{List: []string{"de", "other"}}
	made := newScript(t, rollout, Options{Phi: 1}).judge
	for slot, part := range made.guards[0].segments {
		if part.roster != made.roster || part.slot != slot {
			t.Errorf("the guardrail of slot %d has slot %d", slot, part.slot)
		}
	}
	if whole := (guard{spec: &g, display: &all}); idsOf(whole.exemplars(0)) != "1 2 3 4 5" {
		t.Errorf("all of the traffic: names %q", idsOf(whole.exemplars(0)))
	}
}

// TestExemplarsAreNotOrdinary: where a window has few predictions all are named to the judge, and of these only such that lie beyond the baseline's
// value, or the limit; all, where the baseline's isn't known.
func TestExemplarsAreNotOrdinary(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		spec  string
		base  float64
		ranks []float64
		want  string
	}{
		{"a: quantile 0.99 latency increase 20%", 136, []float64{226, 136.5, 136, 67, inf}, "0 1 4"},
		{"a: quantile 0.99 latency increase 20%", math.NaN(), []float64{226, 67, inf}, "0 1 2"},
		{"a: quantile 0.5 tokens decrease 10%", 8, []float64{-3, -8, -9}, "0"},
		{"a: mean tokens increase 10% from=prediction cap=30", 20, []float64{40, 20, 21}, "0 2"},
		{"a: quantile 0.99 latency above 50ms", 60, []float64{50, 50.5, 49}, "1"},
		{"a: quantile 0.5 tokens below 3.25", 2, []float64{-3.25, -3, -4}, "1"},
		{"a: quantile 0.5 score decrease 0.02 buckets=0,1,1000", 7, []float64{-.5, -1, -2}, "0"},
		{"a: rate error increase 1pp", .5, []float64{0, 0}, "0 1"},
		{"a: rate click decrease 1pp", .5, []float64{0, 0}, "0 1"},
	} {
		spec := guardrail(c.spec)
		g := guard{spec: &spec, display: &display{}, canary: &trial{account: fixedAccount{windows.Baseline: {value: c.base}}}}
		if !spec.Direction.Contrast() {
			g.baseline = g.canary
		}
		for i, rank := range c.ranks {
			g.display.shown = append(g.display.shown, exemplar{Exemplar: windows.Exemplar{ID: fmt.Sprint(i), Rank: rank}})
		}
		if got := idsOf(g.exemplars(0)); got != c.want {
			t.Errorf("%s: names %q, want %q", c.spec, got, c.want)
		}
	}
	lean := guardrail("a: distribution latency ks increase 20%")
	apart := guard{spec: &lean, display: &display{shown: []exemplar{{Exemplar: windows.Exemplar{ID: "a", Rank: .5}}}}, canary: &trial{account: &leanAccount{}}}
	if idsOf(apart.exemplars(0)) != "a" { // its estimate is a ratio
		t.Error("named by an effect")
	}
}

func idsOf(list []schemas.Exemplar) string {
	var ids []string
	for _, x := range list {
		ids = append(ids, x.ID)
	}
	return strings.Join(ids, " ")
}

// fixedAccount has an estimate, and nothing else.
type fixedAccount estimate

func (fixedAccount) keep(*block, closing)                           {}
func (a fixedAccount) estimate(int64) estimate                      { return estimate(a) }
func (fixedAccount) intervals(float64) (difference, ratio interval) { return unknown, unknown }
