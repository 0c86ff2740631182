package decisions

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// found is a verdict that holds the rollout for a finding.
func found(at int64, code string) Input {
	in := verdictOf(at, VerdictHold)
	in.Verdict.Reason.Code = code
	return in
}

func noData(at int64) Input {
	return Input{Kind: InputRuling, EventMs: at * 1000, WallMs: at * 1000, Ruling: &Ruling{Kind: RulingNoData}}
}

// TestFindingUnderAPause: what the engine holds a rollout for keeps speaking against more traffic while a person holds it, too, and holds on when that ends.
func TestFindingUnderAPause(t *testing.T) {
	const refused = "!command-refused"
	hold := func(seq, over string) string {
		return strings.TrimSpace("#" + seq + " hold 41:9900 42:100 " + over)
	}
	over := func(seq int64) string { return "over " + id(1, seq) + " (route)" }
	pause, resume, promote := command(6, CommandPause, false), command(8, CommandResume, false), command(7, CommandPromote, false)
	tests := map[string]struct {
		in   []Input
		want []string
		hold *Hold
	}{
		"late, then a pause, then promote": {[]Input{found(5, "late"), pause, promote}, []string{hold("3", "(route)"), hold("4", over(3)), refused},
			&Hold{Decision: id(1, 4), Code: "paused", Earlier: []string{"late"}, Sticky: true, Under: &Beneath{Code: "late", Sentence: "Because."}}},
		"late in a pause": {[]Input{pause, found(6, "late"), promote}, []string{hold("3", "(route)"), refused},
			&Hold{Decision: id(1, 3), Code: "paused", Sticky: true, Under: &Beneath{Code: "late", Sentence: "Because."}}},
		"late, and over before the pause ends": {[]Input{pause, found(6, "late"), verdictOf(7, VerdictContinue)}, []string{hold("3", "(route)")},
			&Hold{Decision: id(1, 3), Code: "paused", Sticky: true}},
		"no data in a pause": {[]Input{pause, noData(6), promote}, []string{hold("3", "(route)"), refused},
			&Hold{Decision: id(1, 3), Code: "paused", Sticky: true, Under: &Beneath{Code: "no_data", Sentence: "No version has answered for too long."}}},
		"the pause ends, the finding doesn't": {[]Input{found(5, "late"), pause, resume}, []string{hold("3", "(route)"), hold("4", over(3)), hold("5", over(4))},
			&Hold{Decision: id(1, 5), Code: "late"}},
		"a gap, a freeze, and its end": {[]Input{gap(5), command(6, CommandFreeze, false), verdictOf(7, VerdictContinue), resume, command(9, CommandPromote, false)},
			[]string{hold("3", "(route)"), "#4 freeze 41:9900 42:100 " + over(3), hold("5", over(4)), refused}, &Hold{Decision: id(1, 5), Code: "input_gap", Sticky: true}},
		"a gap in a pause isn't covered by what ends by itself": {[]Input{pause, gap(6), found(7, "late"), verdictOf(8, VerdictAdvance)}, []string{hold("3", "(route)")},
			&Hold{Decision: id(1, 3), Code: "paused", Sticky: true, Under: &Beneath{Code: "input_gap", Sentence: "Events are gone from the input before they were read.", Sticky: true}}},
		"an approval is no finding": {[]Input{verdictOf(5, VerdictAdvance), pause, resume}, []string{hold("3", "(route)"), hold("4", over(3)), "#5 resume 41:9900 42:100 " + over(4)}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for i := range test.in {
				test.in[i].Turn = 5
			}
			s, words := fold(t, after(running(terms(ramp, approved)), test.in...)...)
			expect(t, words[2:], test.want...)
			if !reflect.DeepEqual(s.Hold, test.hold) {
				t.Errorf("hold %+v, want %+v", s.Hold, test.hold)
			}
		})
	}
	force := command(7, CommandPromote, true)
	force.Turn = 5
	s, _ := fold(t, after(running(terms(ramp)), found(5, "late"), pause)...)
	_, effects := Step(s, force)
	if d := effects[0].Decision.Decision; !reflect.DeepEqual(d.Override, []string{"late"}) {
		t.Errorf("override %v: the finding is gone past in silence", d.Override)
	}
	s, _ = fold(t, after(running(terms(ramp)), found(5, "late"), pause, resume)...)
	if want := "ada ended that hold. It still holds (late): Because."; s.Why.Sentence != want {
		t.Errorf("said %q, want %q", s.Why.Sentence, want)
	}
}

// TestPromoteEntersTheWatch: a watch that is declared is left out by an override alone.
func TestPromoteEntersTheWatch(t *testing.T) {
	warmed := func(t *Terms) {
		t.Stages = []StageTerms{{WeightBP: 100}, {WeightBP: 5000, Warm: true}, {WeightBP: 9900, Watch: true}}
		t.Cache = CacheTerms{BaselineNamespace: "b", CanaryNamespace: "c", MaxMs: 1000, HitRate: 0.8}
	}
	for name, test := range map[string]struct {
		change []func(*Terms)
		turn   int64
		force  bool
		want   []string
		begun  []StageBegin
	}{
		"no watch":                     {[]func(*Terms){ramp}, 5, false, []string{"#3 promote 41:0 42:10000 (route)"}, nil},
		"a watch":                      {[]func(*Terms){ramp, watched}, 5, false, []string{"#3 advance 41:100 42:9900 (route)"}, []StageBegin{{Turn: 5}, {Turn: 5}, {Turn: 5}}},
		"a watch, by override":         {[]func(*Terms){ramp, watched}, 5, true, []string{"#3 promote 41:0 42:10000 (route)"}, nil},
		"a watch, before any evidence": {[]func(*Terms){ramp, watched}, 0, false, []string{"!command-refused"}, nil},
		"a cache is warmed first":      {[]func(*Terms){warmed}, 5, false, []string{"#3 advance 41:5000 42:5000 (route)"}, []StageBegin{{Turn: 5}}},
	} {
		t.Run(name, func(t *testing.T) {
			in := command(6, CommandPromote, test.force)
			in.Turn = test.turn
			s, words := fold(t, after(running(terms(test.change...)), in)...)
			expect(t, words[2:], test.want...)
			if !reflect.DeepEqual(s.Begun, test.begun) {
				t.Errorf("begun %+v, want %+v", s.Begun, test.begun)
			}
		})
	}
	in := command(6, CommandPromote, false)
	in.Turn = 5
	in.Command.Actor.Comment = "it is good"
	_, effects := Step(stateOf(t, running(terms(ramp, watched))...), in)
	if have, want := effects[0].Decision.Decision.Reason.Sentence, "ada promoted 42, whose watch comes first: it is good. Now begins stage 4 of 4 (watched, with all of the traffic but a holdback of 1 %)."; have != want {
		t.Errorf("said %q, want %q", have, want)
	}
}

// TestEndsThatStand: whoever looks sees a start that a pillar refused, a rollback that was only advised, and that the model is rolled back too often, among what stands, until the model's next rollout begins.
func TestEndsThatStand(t *testing.T) {
	refusal := applied(1, terms(weight))
	refusal.Applied.Pillars = []Pillar{NewPillar(PillarRegistry, PillarFailed, []string{"version 41 is gone"})}
	advised := after([]Input{applied(1, terms(weight, advise))}, verdictOf(5, VerdictRollback))
	often := running(terms(weight, chronic))
	often[0].Applied.Past = []Past{{Rollout: "a", Epoch: 1, AtMs: 500, Cause: "errors"}, {Rollout: "b", Epoch: 2, AtMs: 600, Cause: "errors"}}
	often = slices.Concat(often, []Input{verdictOf(5, VerdictRollback), ack(6, 3, "eu", schemas.AckApplied)}, windowsOf(7, 3, 1000, 0))
	replayed := after([]Input{applied(1, terms(weight, unattended))}, verdictOf(5, VerdictRollback))
	for name, test := range map[string]struct {
		in   []Input
		want []string
	}{
		"refused":              {[]Input{refusal}, []string{"refused start"}},
		"refused, and over":    {[]Input{refusal, later(100, id(1, 1)+"/next")}, nil},
		"refused, and deleted": {[]Input{refusal, command(20, CommandDelete, false)}, nil},
		"advised":              {advised, []string{"advised rollback"}},
		"advised, and over":    {after(advised, later(100, id(1, 3)+"/next")), nil},
		"too often":            {often, []string{"chronic"}},
		"too often, and over":  {after(often, later(100, id(1, 4)+"/next")), nil},
		"in a replay":          {replayed, nil},
	} {
		if s, _ := fold(t, test.in...); !slices.Equal(s.Stands(), test.want) || slices.Contains(s.Standing(), "advised rollback") {
			t.Errorf("%s: %v stand, want %v; %v keep an incident open", name, s.Stands(), test.want, s.Standing())
		}
	}
}

// TestFreezeStands: whoever looks sees a person's freeze among what stands, as people were told of it, until it ends.
func TestFreezeStands(t *testing.T) {
	suspects := verdictOf(11, VerdictContinue)
	suspects.Verdict.Concerns = []Concern{{"p99", schemas.StateSuspect, "It is so.", false}}
	freeze := func(start []Input) []Input { return after(start, command(10, CommandFreeze, false)) }
	for name, test := range map[string]struct {
		in   []Input
		want []string
	}{
		"frozen":             {freeze(running(terms(weight))), []string{"frozen"}},
		"before it begins":   {freeze([]Input{applied(1, terms(weight))}), []string{"frozen"}},
		"resumed":            {after(freeze(running(terms(weight))), command(20, CommandResume, false)), nil},
		"rolled back":        {after(freeze(running(terms(weight))), verdictOf(20, VerdictRollback)), []string{"route", "verify"}},
		"deleted":            {after(freeze(running(terms(weight))), command(20, CommandDelete, false)), nil},
		"a mere pause":       {after(running(terms(weight)), command(10, CommandPause, false)), nil},
		"what stands beside": {after(freeze(running(terms(weight))), suspects), []string{"frozen", "p99"}},
	} {
		if s, _ := fold(t, test.in...); !slices.Equal(s.Stands(), test.want) {
			t.Errorf("%s: %v stand, want %v", name, s.Stands(), test.want)
		}
	}
}
