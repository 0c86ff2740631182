package analysis

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// clicks gives the judge a window's clicks: of 900 and 100 predictions, and how many outcomes found none of how many.
func clicks(s *script, k [windows.Arms]int64, gap [windows.Arms]windows.JoinGap, source windows.JoinGap) {
	p := &windows.Part{Stream: windows.Stream{Kind: windows.Outcomes, Name: "click"}, StartMs: s.atMs - 1000, Gap: gap, Source: source}
	p.Cells[windows.Baseline] = []windows.Cell{{N: 900, K: k[windows.Baseline]}}
	p.Cells[windows.Canary] = []windows.Cell{{N: 100, K: k[windows.Canary]}}
	s.verdict = s.judge.Step(p)
}

// TestJoinGapVoids: outcomes that get lost may look like harm, and then nothing is rolled back for it; everything else is.
func TestJoinGapVoids(t *testing.T) {
	fewer, more := [windows.Arms]int64{90, 5}, [windows.Arms]int64{90, 15}
	canaryLoses := [windows.Arms]windows.JoinGap{{Matched: 90, Unmatched: 1}, {Matched: 5, Unmatched: 5}}
	baselineLoses := [windows.Arms]windows.JoinGap{{Matched: 45, Unmatched: 45}, {Matched: 10}}
	for _, tt := range []struct {
		name   string
		guard  string
		k      [windows.Arms]int64
		gap    [windows.Arms]windows.JoinGap
		source windows.JoinGap
		errors int64
		action VerdictAction
		code   string
		by     string
	}{
		{"no gap: fewer clicks", "ctr: rate click decrease any", fewer, [windows.Arms]windows.JoinGap{{Matched: 90}, {Matched: 5}}, windows.JoinGap{}, 0,
			VerdictRollback, codeGuardrailFailed, "ctr"},
		{"the canary loses clicks, so it seems to have fewer", "ctr: rate click decrease any", fewer, canaryLoses, windows.JoinGap{}, 0, VerdictHold, codeJoinGap, ""},
		{"which doesn't hide more of them", "spam: rate click increase any", more, canaryLoses, windows.JoinGap{}, 0, VerdictRollback, codeGuardrailFailed, "spam"},
		{"the baseline loses clicks: fewer are fewer", "ctr: rate click decrease any", fewer, baselineLoses, windows.JoinGap{}, 0, VerdictRollback, codeGuardrailFailed, "ctr"},
		{"and more may be none", "spam: rate click increase any", more, baselineLoses, windows.JoinGap{}, 0, VerdictHold, codeJoinGap, ""},
		{"whose are lost isn't known", "ctr: rate click decrease any", fewer, [windows.Arms]windows.JoinGap{}, windows.JoinGap{Matched: 90, Unmatched: 10}, 0,
			VerdictHold, codeJoinGap, ""},
		{"few are", "ctr: rate click decrease any", fewer, [windows.Arms]windows.JoinGap{}, windows.JoinGap{Matched: 90, Unmatched: 4}, 0,
			VerdictRollback, codeGuardrailFailed, "ctr"},
		{"errors roll back all the same", "ctr: rate click decrease any", fewer, canaryLoses, windows.JoinGap{}, 5, VerdictRollback, codeGuardrailFailed, "errors"},
		{"and so does a limit of the clicks", "least: rate click below 8%", fewer, canaryLoses, windows.JoinGap{}, 0, VerdictRollback, codeGuardrailFailed, "least"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := guardrail(tt.guard)
			g.Prove = schemas.ProveAny
			r := rolloutOf(errors05, g)
			r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: time.Minute}}
			r.Health.Unmatched, r.Stages[0].Bake = .05, time.Hour
			s := newScript(t, r, Options{Phi: 1})
			for i := range 200 {
				errors := int64(0)
				if i > 60 {
					errors = tt.errors
				}
				s.play(1, side{n: 900}, side{n: 100, errors: errors})
				k := [windows.Arms]int64{90, 10}
				if i > 20 { // the gap comes first
					k = tt.k
				}
				clicks(s, k, tt.gap, tt.source)
			}
			s.want(tt.action, tt.code)
			if s.verdict.Guardrail != tt.by {
				t.Errorf("by %q, want %q", s.verdict.Guardrail, tt.by)
			}
		})
	}
}

// TestJoinGapEnds: a gap of ten minutes between versions is over soon after it, and a new one is found soon; one that lasts, in part or now and then, stands. Before, the first held for hours.
func TestJoinGapEnds(t *testing.T) {
	type gap = [windows.Arms]windows.JoinGap
	canary := func(lost int64) gap {
		return gap{{Matched: 90}, {Matched: 10 - lost, Unmatched: lost}}
	}
	baseline := func(lost int64) gap {
		return gap{{Matched: 90 - lost, Unmatched: lost}, {Matched: 10}}
	}
	for _, tt := range []struct {
		name        string
		fine, lossy gap
		after       []gap // in turn
		ends        bool
	}{
		{"the canary's", canary(0), canary(3), []gap{canary(0)}, true},
		{"the baseline's", baseline(0), baseline(18), []gap{baseline(0)}, true},
		{"half as many of the baseline's", baseline(0), baseline(18), []gap{baseline(9)}, false},
		{"a third as many of the canary's", canary(0), canary(3), []gap{canary(1)}, false},
		{"of the canary now and then", canary(0), canary(3), append(slices.Repeat([]gap{canary(0)}, 60), slices.Repeat([]gap{canary(3)}, 30)...), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := rolloutOf(guardrail("ctr: rate click decrease 10% prove=any"))
			r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: time.Second}}
			r.Health.Unmatched, r.Stages[0].Bake, r.Stages[0].Max = .05, 20*time.Hour, 24*time.Hour
			s := newScript(t, r, Options{Phi: 1})
			play := func(g gap) {
				s.play(1, side{n: 900}, side{n: 100})
				clicks(s, [windows.Arms]int64{90, 10}, g, windows.JoinGap{})
			}
			for range 20 {
				play(tt.fine)
			}
			for range 600 {
				play(tt.lossy)
			}
			s.want(VerdictHold, codeJoinGap)
			held := 0
			for ; s.verdict.Code == codeJoinGap && held < 900; held++ {
				play(tt.after[held%len(tt.after)])
			}
			if tt.ends != (held < 400) {
				t.Fatalf("held for %d windows after it", held)
			}
			if !tt.ends {
				return
			}
			for range 60 {
				play(tt.lossy)
			}
			if s.want(VerdictHold, codeJoinGap); s.verdict.Health[0].Since < schemas.Time(startMs+(620+int64(held))*1000) {
				t.Errorf("again, since %s: as if what was before were still counted", s.verdict.Health[0].Since)
			}
		})
	}
}

// TestInputWords holds what a person reads of each finding.
func TestInputWords(t *testing.T) {
	r := rolloutOf(guardrail("p99: quantile 0.99 latency increase 20%"), guardrail("ctr: rate click decrease 2% optional"))
	r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: time.Minute}}
	r.Health.Unmatched = .05
	s := newScript(t, r, Options{Phi: 1})
	for i := range 200 {
		p := s.serving(side{n: 900, late: 9}, side{n: 100, late: 100})
		p.Traffic[windows.Canary].Hosts = []windows.HostCount{{Host: "c-1", Events: 50}, {Host: "c-2", Events: 50, Late: 100}}
		p.Cells[windows.Baseline][2] = windows.Cell{N: 900}
		p.Cells[windows.Canary][2] = windows.Cell{N: 100, K: 40}
		if i >= 100 {
			p.Bad = 60
		}
		s.verdict = s.judge.Step(p)
		s.atMs += 1000
		clicks(s, [windows.Arms]int64{90, 10}, [windows.Arms]windows.JoinGap{{Matched: 90}, {Matched: 5, Unmatched: 5}}, windows.JoinGap{Matched: 8, Unmatched: 2})
	}
	var got []string
	for _, f := range s.judge.findings() {
		if f.Threshold != math.Log(1000) || f.LogEvidence < f.Threshold/2 {
			t.Errorf("%s: evidence %.3f of %.3f, want that of a chance of one in a thousand", f.Code, f.LogEvidence, f.Threshold)
		}
		got = append(got, fmt.Sprintf("%s: %s", f.Code, f.Sentence))
	}
	want := []string{
		"late: Events of canary 42 and baseline 41 don't come late equally often: 50 % (20,000 of 40,000) against 0.99 % (1,800 of 181,800) since 09:00:00; " +
			"late ones are not judged, so something may be hidden. Most of them lately are from c-2 (66.7 % of its events).",
		"no_latency: Answers of canary 42 carry no latency more or less often than those of baseline 41: 40 % (8,000 of 20,000) against 0 % (0 of 180,000) since 09:00:00; " +
			"latencies are compared of those that have one.",
		"join_gap: Outcomes \"click\" of canary 42 and baseline 41 don't find their predictions equally often: 50 % (1,000 of 2,000) against 0 % (0 of 18,000) find none " +
			"since 09:00:00. So a difference of click may be one of bookkeeping, and where it would look like harm nothing is rolled back for it. " +
			"Nor does anything pass by click until that is over; then it is tested anew.",
		"join_gap: 20 % of the outcomes \"click\" since 09:00:00 find no prediction (400 of 2,000), more than the 5 % that are accepted (health.unmatched). " +
			"They name no version, so they may all be one arm's: nothing is rolled back for a difference of click, nor passes by it, until that is over; then it is tested anew.",
		"bad_events: 5.1 % of the events since 09:01:40 can't be read or counted (6,000 of 116,900), more than 1 %; whose they are isn't known, " +
			"so what an arm does may be hidden. They are among the dead letters, with the reason.",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("found\n%s\nwant\n%s", lines(got), lines(want))
	}
}

func lines(text []string) (all string) {
	for _, line := range text {
		all += line + "\n"
	}
	return all
}

// TestJoinGapHeals: what was taken while outcomes got lost, and before that was found, decides nothing once they are found again; what comes then does.
func TestJoinGapHeals(t *testing.T) {
	for _, tt := range []struct {
		name               string
		fine, lossy, after [windows.Arms]int64
		windows            int // with a loss
		lost               int64
		state              schemas.State
		action             VerdictAction
	}{
		{"a canary like the baseline loses clicks", [windows.Arms]int64{90, 10}, [windows.Arms]int64{90, 6}, [windows.Arms]int64{90, 10}, 90, 12, passed, VerdictPromote},
		{"the baseline does, and hides that the canary has fewer", [windows.Arms]int64{90, 10}, [windows.Arms]int64{70, 8}, [windows.Arms]int64{90, 8}, 150, 12, failed, VerdictRollback},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := rolloutOf(guardrail("ctr: rate click decrease 10% prove=any"))
			r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: time.Second}}
			r.Health.Unmatched = .05
			s := newScript(t, r, Options{Phi: 1})
			play := func(k [windows.Arms]int64, lost int64) {
				s.play(1, side{n: 900}, side{n: 100})
				clicks(s, k, [windows.Arms]windows.JoinGap{}, windows.JoinGap{Matched: k[0] + k[1], Unmatched: lost})
			}
			for range 20 {
				play(tt.fine, 0)
			}
			for range tt.windows {
				play(tt.lossy, tt.lost)
			}
			s.want(VerdictHold, codeJoinGap)
			held := 0
			for ; s.verdict.Code == codeJoinGap && held < 2000; held++ {
				play(tt.after, 0)
			}
			t.Logf("held for %d windows after the gap: %s %s", held, s.verdict.Action, s.verdict.Code)
			s.want(VerdictContinue, codeUndecided)
			for range 400 {
				if play(tt.after, 0); s.verdict.Action != VerdictContinue {
					break
				}
			}
			if s.wantState("ctr", tt.state); s.verdict.Action != tt.action {
				t.Errorf("%s (%s), want %s", s.verdict.Action, s.verdict.Sentence, tt.action)
			}
		})
	}
}
