package analysis

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// slowly is a service whose answers take whole seconds, behind a router that follows at once: by arm the seconds that an answer takes, one request in as many parts.
type slowly struct {
	takes    [windows.Arms][]int
	requests int64
	weights  []int          // bp, by stage
	dies     int            // second from which the canary answers nothing that it is asked; 0: it doesn't
	blind    bool           // nothing watches latency
	health   schemas.Health // no fields: as elsewhere here
	units    bool           // requests are of users, each of another one
	fails    int64          // one request in so many fails at once, instead; 0: none
	asked    []int          // bp of the canary, by second
	told     []string
	judge    *Judge
	seen     uint64
}

// asks is how many requests an arm got in a second.
func (s *slowly) asks(arm windows.Arm, second int) int64 {
	share := 0
	if second >= 0 {
		share = s.asked[second]
	}
	if arm == windows.Canary && s.dies > 0 && second >= s.dies {
		return 0
	}
	if arm == windows.Baseline {
		share = 10_000 - share
	}
	return s.requests * int64(share) / 10_000
}

// window is what was answered in a second.
func (s *slowly) window(second int, metrics []windows.Metric) *windows.Part {
	p := &windows.Part{Stream: servingStream, StartMs: startMs + int64(second)*1000}
	for arm := range windows.Arms {
		var tally windows.Tally
		var hist windows.Cell
		n, failed := int64(0), int64(0)
		if s.fails > 0 {
			failed = s.asks(windows.Arm(arm), second) / s.fails
		}
		for range failed {
			n++
			tally.Add(windows.BucketOf(100))
		}
		for _, takes := range s.takes[arm] {
			some := s.asks(windows.Arm(arm), second-takes) / int64(len(s.takes[arm]))
			n += some
			for range some {
				tally.Add(windows.BucketOf(float64(takes)*1000 + 300))
			}
		}
		tally.Flush(&hist)
		hist.N = n
		p.Traffic[arm] = windows.Traffic{Events: n, Served: n}
		if n > 0 {
			p.Traffic[arm].SampledMin, p.Traffic[arm].SampledMax = 1, 1
		}
		for range n {
			if s.units {
				s.seen++
				p.Traffic[arm].Units = append(p.Traffic[arm].Units, windows.UnitSight{Unit: s.seen})
			}
		}
		for _, m := range metrics {
			c := windows.Cell{N: n}
			switch m.Key() {
			case ofLatency:
				c = hist
			case "error":
				c.K = failed
			}
			p.Cells[arm] = append(p.Cells[arm], c)
		}
	}
	return p
}

// play lets so many seconds pass, as serve would see them: routers carry out at once what is decided, windows come 2 s after they end, and a stage's windows
// begin 4 s after routers say so. It ends with a promotion or a rollback.
func (s *slowly) play(t *testing.T, seconds int) {
	t.Helper()
	r := inStages(rolloutOf(errors05, guardrail("slow: quantile 0.9 latency increase 100%")), s.weights...)
	if s.blind {
		r = inStages(rolloutOf(errors05), s.weights...)
	}
	r.Lateness, r.Health.NoData = 2*time.Second, time.Minute
	if s.health.Silent > 0 {
		r.Health = s.health
	}
	for i := range r.Stages {
		r.Stages[i].Bake = 2 * time.Minute
	}
	metrics := Metrics(r)
	s.judge = NewJudge(r, Options{Phi: 1, NoIntervals: true})
	s.asked, s.told = make([]int, seconds), nil
	split := func(from, stage int) {
		for i := from; i < seconds; i++ {
			s.asked[i] = r.Stages[stage].WeightBP
		}
	}
	const settles = 4
	split(0, 0)
	s.judge.Due(startMs+settles*1000, true)
	for second, stage := settles, 0; second < seconds; second++ {
		v := s.judge.Step(s.window(second, metrics))
		s.note(second, &v)
		switch v.Action {
		case VerdictAdvance:
			stage++
			wall := second + 1 + 2
			s.judge.Advance(stage, math.MaxInt64)
			split(wall, stage)
			s.judge.Advance(stage, startMs+int64(wall+settles)*1000+s.judge.AnswersMs())
		case VerdictPromote, VerdictRollback:
			return
		}
	}
}

// note keeps what is told anew.
func (s *slowly) note(second int, v *Verdict) {
	words := string(v.Action)
	if v.Action == VerdictHold || v.Action == VerdictRollback {
		words += " " + v.Code
	}
	for _, f := range v.Health {
		words += " (" + f.Code + ")"
	}
	if last := len(s.told) - 1; last < 0 || !strings.HasSuffix(s.told[last], ": "+words) {
		s.told = append(s.told, fmt.Sprintf("%d: %s", second, words))
	}
}

// untroubled wants what is told to be advances, and a promotion in the end.
func (s *slowly) untroubled(t *testing.T) {
	t.Helper()
	wrong := func(told string) bool {
		return strings.ContainsAny(told, "(") || strings.Contains(told, "hold") || strings.Contains(told, "rollback")
	}
	if len(s.told) == 0 || slices.ContainsFunc(s.told, wrong) || !strings.HasSuffix(s.told[len(s.told)-1], ": promote") {
		t.Errorf("told %q", s.told)
	}
}

// TestSlowAnswers: a healthy canary whose answers take long goes through all stages without a finding. Where it takes longer than the baseline by more than silence is borne, that it is absent
// is told, and ends by itself.
func TestSlowAnswers(t *testing.T) {
	for _, takes := range [][2]int{{0, 0}, {3, 3}, {4, 4}, {5, 5}, {6, 6}, {10, 11}, {11, 10}, {30, 33}, {56, 58}, {56, 70}, {60, 66}, {90, 100}, {100, 90}, {300, 303}} {
		for _, requests := range []int64{200, 2000} {
			t.Run(fmt.Sprint(takes, requests), func(t *testing.T) {
				s := &slowly{takes: [windows.Arms][]int{{takes[0]}, {takes[1]}}, requests: requests, weights: []int{100, 2000, 5000}}
				s.play(t, 3000)
				if takes[1]-takes[0] >= 5 {
					s.told = slices.DeleteFunc(s.told, func(told string) bool { return strings.HasSuffix(told, ": continue (canary_absent)") })
				}
				s.untroubled(t)
			})
		}
	}
}

// TestSlowAnswersQuickFailures: of what was routed anew the failures come first, where these are quick and answers take long. A healthy canary isn't rolled back for that, nor for an advance; one whose requests fail too often is, when answers
// can be there.
func TestSlowAnswersQuickFailures(t *testing.T) {
	for _, seconds := range []int{10, 30, 60} {
		s := slowly{takes: [windows.Arms][]int{{seconds}, {seconds}}, requests: 2000, weights: []int{1000, 5000}, fails: 100}
		s.play(t, 1200)
		if last := s.told[len(s.told)-1]; !strings.Contains(last, string(VerdictPromote)) {
			t.Errorf("answers of %d s: %v", seconds, s.told)
		}
	}
}

// TestSlowAnswersVary: as they take from a second to a minute, the quick ones come first, and a canary's share grows for a minute.
func TestSlowAnswersVary(t *testing.T) {
	long := []int{0, 1, 2, 5, 10, 20, 30, 40, 50, 60}
	for name, s := range map[string]*slowly{
		"both":                          {takes: [windows.Arms][]int{long, long}},
		"by users":                      {takes: [windows.Arms][]int{long, long}, units: true},
		"quick ones, and then none yet": {takes: [windows.Arms][]int{{0, 60}, {0, 60}}},
		"a canary that is quicker":      {takes: [windows.Arms][]int{long, {1, 2, 3, 4, 5}}},
	} {
		t.Run(name, func(t *testing.T) {
			s.requests, s.weights = 2000, []int{1000, 2000, 5000}
			s.play(t, 3000)
			s.untroubled(t)
		})
	}
}

// TestSlowAnswersNever: a canary that never answers is told of, and rolled back, later by as long as answers take.
func TestSlowAnswersNever(t *testing.T) {
	for takes, want := range map[int]string{
		0:  `["4: continue" "8: continue (canary_absent)" "63: rollback canary_missing (canary_absent)"]`,
		2:  `["4: continue" "8: continue (canary_absent)" "63: rollback canary_missing (canary_absent)"]`,
		10: `["4: continue" "19: continue (canary_absent)" "74: rollback canary_missing (canary_absent)"]`,
		60: `["4: continue" "74: continue (canary_absent)" "129: rollback canary_missing (canary_absent)"]`,
	} {
		s := &slowly{takes: [windows.Arms][]int{{takes}, {100_000}}, requests: 2000, weights: []int{2000, 5000}}
		s.play(t, 300)
		if have := fmt.Sprintf("%q", s.told); have != want {
			t.Errorf("%d s: %s, want %s", takes, have, want)
		}
	}
}

// TestSlowAnswersEnd: a canary that dies later is found as fast as one whose answers come at once: five seconds after its last answer.
func TestSlowAnswersEnd(t *testing.T) {
	for _, takes := range []int{0, 10, 60} {
		s := &slowly{takes: [windows.Arms][]int{{takes}, {takes}}, requests: 2000, weights: []int{2000, 5000}, dies: 200}
		s.play(t, 600)
		want := fmt.Sprintf("%d: rollback canary_missing (canary_missing)", s.dies+takes+4)
		if len(s.told) == 0 || !strings.HasPrefix(s.told[len(s.told)-1], want) {
			t.Errorf("%d s: %q, want %q", takes, s.told, want)
		}
	}
}

// TestSlowAnswersUnwatched: where nothing watches latency nothing is known of how long answers take.
func TestSlowAnswersUnwatched(t *testing.T) {
	s := &slowly{takes: [windows.Arms][]int{{60}, {66}}, requests: 200, weights: []int{2000, 5000}, blind: true}
	s.play(t, 300)
	if have, want := fmt.Sprintf("%q", s.told), `["4: continue" "8: continue (canary_absent)" "63: rollback canary_missing (canary_absent)"]`; have != want || s.judge.AnswersMs() != 0 {
		t.Errorf("%s, answers of %d ms, want %s", have, s.judge.AnswersMs(), want)
	}
	s.health = schemas.Health{Silent: 70 * time.Second, NoData: 140 * time.Second}
	s.play(t, 3000)
	if last := s.told[len(s.told)-1]; slices.ContainsFunc(s.told, func(told string) bool { return strings.Contains(told, "rollback") }) || !strings.HasSuffix(last, ": promote") {
		t.Errorf("with more silence borne: %q", s.told)
	}
}

// TestAnswersMs: all but the slowest hundredth of either arm's answers, in whole windows; nothing below a window and the lateness, and no timeout that says no latency.
func TestAnswersMs(t *testing.T) {
	ms := func(of ...float64) windows.Cell {
		var tally windows.Tally
		c := windows.Cell{N: int64(len(of))}
		for _, x := range of {
			tally.Add(windows.BucketOf(x))
		}
		tally.Flush(&c)
		return c
	}
	many := func(n int, x float64, more ...float64) []float64 {
		return append(slices.Repeat([]float64{x}, n), more...)
	}
	for name, x := range map[string]struct {
		baseline, canary []float64
		most             int64 // 9 % more than the answers take, and less than a window
	}{
		"none":                         {nil, nil, 0},
		"at once":                      {many(500, 20), many(20, 900), 0},
		"no longer than the lateness":  {many(500, 2700), nil, 0},
		"a baseline's":                 {many(500, 20_000), many(500, 20), 22_000},
		"a canary's":                   {many(500, 20), many(50, 20_000), 22_000},
		"the slowest hundredth":        {many(990, 20, many(10, 60_000)...), nil, 0},
		"a little more":                {many(989, 20, many(11, 60_000)...), nil, 66_000},
		"of few all":                   {many(98, 20, 60_000), nil, 66_000},
		"a quarter of an hour at most": {many(5, 4e6), nil, 900_000},
		"timeouts":                     {many(50, 20, many(50, math.Inf(1))...), many(50, math.Inf(1)), 0},
	} {
		r := rolloutOf(errors05, guardrail("slow: quantile 0.9 latency increase 100%"))
		r.Lateness = 2 * time.Second
		j := NewJudge(r, Options{})
		p := &windows.Part{Stream: servingStream, StartMs: startMs}
		p.Cells[windows.Baseline], p.Cells[windows.Canary] = []windows.Cell{{}, ms(x.baseline...)}, []windows.Cell{{}, ms(x.canary...)}
		j.Step(p)
		least := int64(0)
		for _, of := range slices.Concat(x.baseline, x.canary) {
			if int64(of) <= x.most {
				least = max(least, int64(of))
			}
		}
		if have := j.AnswersMs(); have > x.most || x.most > 0 && have < least || have%1000 != 0 {
			t.Errorf("%s: %d ms, want %d to %d", name, have, least, x.most)
		}
	}
}

// TestSlowAnswersProveNothing: the first answers count neither against a canary nor for it; of those that come at once all count.
func TestSlowAnswersProveNothing(t *testing.T) {
	for ms, early := range map[float64]int{20: 0, 10_000: 11} {
		r := rolloutOf(errors05, guardrail("slow: quantile 0.9 latency increase 100%"))
		r.Lateness, r.Stages[0].WeightBP = 2*time.Second, 5000
		s := newScript(t, r, Options{Phi: 1})
		passes := func() int {
			n := 0
			for _, g := range s.judge.guards {
				if g.canary.passLogE() != 0 {
					n++
				}
			}
			return n
		}
		one := side{n: 100, latencyMs: ms}
		if early > 0 {
			s.play(early-1, one, one)
			if n := passes(); n > 0 || !s.judge.answers.early(s.atMs-1000) {
				t.Errorf("%g ms: %d guardrails have pass evidence", ms, n)
			}
			s.play(1, side{n: 100, latencyMs: ms, errors: 1}, side{n: 100, latencyMs: ms, errors: 30})
			if e := s.guard("errors").canary.any.LogE(); e != 0 {
				t.Errorf("%g ms: failures count already: %g", ms, e)
			}
		}
		s.play(1, one, one)
		if n := passes(); n == 0 {
			t.Errorf("%g ms: no guardrail has pass evidence", ms)
		}
		s.play(1, one, side{n: 100, latencyMs: ms, errors: 30})
		if s.guard("errors").canary.any.LogE() <= 0 {
			t.Errorf("%g ms: failures don't count", ms)
		}
	}
}
