package analysis

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// TestRosterOfAnyGuardrails: serving windows choose the greatest segments also where no guardrail reads them, and those of outcomes are watched then.
func TestRosterOfAnyGuardrails(t *testing.T) {
	for _, tt := range []struct {
		spec    string
		watched bool // samples have no segments
	}{{"ctr: rate click decrease 2%", true}, {"cpu: sample cpu 0.9 increase 5pp", false}} {
		r := watching(rolloutOf(guardrail(tt.spec)), 2)
		r.Outcomes = []schemas.OutcomeSpec{{Name: "click", Within: 10 * time.Second}}
		s := newScript(t, r, Options{Phi: 1})
		step := func(i int) {
			begin := s.atMs
			s.playSegments(1, segmentSides{"de", side{n: 500}, side{n: 100}}, segmentSides{"li", side{n: 10}, side{n: 2}}, segmentSides{"us", side{n: 400}, side{n: 80}})
			if begin -= 10_000; i < 10 {
				return
			}
			if tt.watched {
				s.verdict = s.judge.Step(clicksBySegment(begin, 150+10*int64(i%2)))
			} else {
				s.verdict = s.judge.Step(&windows.Part{Stream: windows.Stream{Kind: windows.Resources}, StartMs: begin, Cells: [windows.Arms][]windows.Cell{{{N: 20}}, {{N: 5}}}})
			}
		}
		for i := range 29 {
			step(i)
		}
		if s.judge.roster.frozen {
			t.Fatalf("%s: segments are chosen after 29 windows", tt.spec)
		}
		for i := range 150 {
			step(29 + i)
		}
		if want := []string{"de", "us"}; !s.judge.roster.frozen || !slices.Equal(s.judge.roster.names, want) {
			t.Fatalf("%s: chosen %v: %v, want %v", tt.spec, s.judge.roster.frozen, s.judge.roster.names, want)
		}
		var told []string
		for _, st := range s.judge.Segments() {
			told = append(told, fmt.Sprint(st.Segment, " ", st.State))
		}
		want := []string{"de continue", "us failed"}
		if !tt.watched {
			want = nil
		}
		if !slices.Equal(told, want) {
			t.Errorf("%s: segments %q, want %q", tt.spec, told, want)
		}
	}
}

// clicksBySegment is what followed on a window of two segments; in us the canary has hardly any clicks.
func clicksBySegment(startMs, clicks int64) *windows.Part {
	p := &windows.Part{Stream: windows.Stream{Kind: windows.Outcomes, Name: "click"}, StartMs: startMs}
	cell := func(n, k int64) []windows.Cell { return []windows.Cell{{N: n, K: k}} }
	for _, of := range []struct {
		name             string
		n, k, nMore, few int64
	}{{"de", 500, clicks, 100, clicks / 5}, {"us", 400, clicks, 80, 1}} {
		segment := windows.Segment{Name: of.name, Cells: [windows.Arms][]windows.Cell{cell(of.n, of.k), cell(of.nMore, of.few)}}
		p.Segments = append(p.Segments, segment)
	}
	for arm := range windows.Arms {
		a, b := p.Segments[0].Cells[arm][0], p.Segments[1].Cells[arm][0]
		p.Cells[arm] = cell(a.N+b.N, a.K+b.K)
	}
	return p
}
