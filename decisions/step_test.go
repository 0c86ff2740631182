package decisions

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

func TestStart(t *testing.T) {
	tests := []struct {
		name   string
		in     []Input
		want   []string
		status Status
	}{
		{"waits for a router", []Input{applied(1, terms())}, []string{"#1 start prepare"}, StatusPreparing},
		{"received is no answer", []Input{applied(1, terms()), ack(2, 1, "eu", schemas.AckReceived)},
			[]string{"#1 start prepare"}, StatusPreparing},
		{"any router starts it", []Input{applied(1, terms()), ack(2, 1, "eu", schemas.AckPrepared)},
			[]string{"#1 start prepare", "#2 start commit"}, StatusRunning},
		{"applied is not prepared", []Input{applied(1, terms()), ack(2, 1, "eu", schemas.AckApplied)},
			[]string{"#1 start prepare", "!ack-refused eu"}, StatusPreparing},
		{"a weight puts routes into both", []Input{applied(1, terms(weight)), ack(2, 1, "eu", schemas.AckPrepared)},
			[]string{"#1 start prepare 41:10000 42:0 (route)", "#2 start commit 41:9000 42:1000 (route)"}, StatusRunning},
		{"all that are named", []Input{applied(1, terms(named)), ack(2, 1, "us", schemas.AckPrepared), ack(2, 1, "us", schemas.AckPrepared)},
			[]string{"#1 start prepare"}, StatusPreparing},
		{"in any order", []Input{applied(1, terms(named)), ack(2, 1, "us", schemas.AckPrepared), ack(3, 1, "eu", schemas.AckPrepared)},
			[]string{"#1 start prepare", "#2 start commit"}, StatusRunning},
		{"a stranger doesn't count", []Input{applied(1, terms(named)), ack(2, 1, "us", schemas.AckPrepared), ack(3, 1, "asia", schemas.AckPrepared)},
			[]string{"#1 start prepare"}, StatusPreparing},
		{"advise needs no router", []Input{applied(1, terms(advise))}, []string{"#1 start prepare", "#2 start commit"}, StatusRunning},
		{"advise moves no traffic", []Input{applied(1, terms(advise, weight))},
			[]string{"#1 start prepare 41:10000 42:0", "#2 start commit 41:9000 42:1000"}, StatusRunning},
		{"a replay needs no router", []Input{applied(1, terms(unattended))}, []string{"#1 start prepare", "#2 start commit"}, StatusRunning},
		{"nobody in time: told, and waited for again", []Input{applied(1, terms()), expire(11, id(1, 1)+"/acks"), ack(12, 1, "eu", schemas.AckPrepared)},
			[]string{"#1 start prepare", "!acks-overdue any", "again " + id(1, 1), "#2 start commit"}, StatusRunning},
		{"a deadline that has not passed", []Input{applied(1, terms()), expire(10, id(1, 1)+"/acks")}, []string{"#1 start prepare"}, StatusPreparing},
		{"a deadline that was met", []Input{applied(1, terms()), ack(2, 1, "eu", schemas.AckPrepared), expire(99, id(1, 1)+"/acks")},
			[]string{"#1 start prepare", "#2 start commit"}, StatusRunning},
		{"a refusal is told once", []Input{applied(1, terms()), ack(2, 1, "eu", schemas.AckRejected), ack(3, 1, "eu", schemas.AckRejected), ack(4, 1, "us", schemas.AckPrepared)},
			[]string{"#1 start prepare", "!ack-refused eu", "#2 start commit"}, StatusRunning},
		{"verdicts before the commit", []Input{applied(1, terms()), verdictOf(2, VerdictRollback)}, []string{"#1 start prepare"}, StatusPreparing},
		{"an epoch that is no new one", []Input{applied(1, terms()), applied(2, terms())}, []string{"#1 start prepare"}, StatusPreparing},
		{"nothing before it was applied", []Input{verdictOf(2, VerdictRollback), gap(2)}, nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, words := fold(t, test.in...)
			expect(t, words, test.want...)
			if s.Status != test.status {
				t.Errorf("status %q, want %q", s.Status, test.status)
			}
		})
	}
}

// TestForeignAcks: an ack of another epoch changes nothing (but is kept for who asks: TestStrays), one that nobody asked for is shown and counts for nothing.
func TestForeignAcks(t *testing.T) {
	s, _ := fold(t, applied(1, terms(named)))
	second := applied(2, terms(named))
	second.Applied.Epoch = 2
	s, _ = Step(s, second)
	for name, change := range map[string]func(*schemas.Ack){
		"an older epoch":                func(a *schemas.Ack) { a.Epoch = 1 },
		"a newer epoch":                 func(a *schemas.Ack) { a.Epoch = 3 },
		"a decision that is none yet":   func(a *schemas.Ack) { a.Seq = 2 },
		"a number that no decision has": func(a *schemas.Ack) { a.Seq = 0 },
	} {
		in := ack(2, 1, "eu", schemas.AckPrepared)
		in.Ack.Epoch, in.Ack.Decision = 2, id(2, 1)
		change(in.Ack)
		after, effects := Step(s, in)
		after.Strays = nil
		if len(effects) > 0 || !reflect.DeepEqual(after, s) {
			t.Errorf("%s: effects %v, state %+v, want %+v", name, effects, after, s)
		}
	}
	stranger := ack(3, 1, "asia", schemas.AckPrepared)
	stranger.Ack.Epoch, stranger.Ack.Decision = 2, id(2, 1)
	s, _ = Step(s, stranger)
	if len(s.Answers) != 1 || len(s.Wait.Got) != 0 {
		t.Errorf("a stranger's ack: answers %v, counted %v", s.Answers, s.Wait.Got)
	}
}

func TestVerdicts(t *testing.T) {
	start := running(terms())
	begun := []string{"#1 start prepare", "#2 start commit"}
	rollback := "#3 rollback 41:10000 42:0 (route)"
	tests := []struct {
		name   string
		in     []Input
		want   []string
		status Status
	}{
		{"go on", []Input{verdictOf(5, VerdictContinue)}, nil, StatusRunning},
		{"hold once", []Input{verdictOf(5, VerdictHold), verdictOf(6, VerdictHold)}, []string{"#3 hold"}, StatusHolding},
		{"resume", []Input{verdictOf(5, VerdictHold), verdictOf(6, VerdictContinue)}, []string{"#3 hold", "#4 resume over " + id(1, 3)}, StatusRunning},
		{"rollback", []Input{verdictOf(5, VerdictRollback)}, []string{rollback}, StatusRolledBack},
		{"rollback is latched", []Input{verdictOf(5, VerdictRollback), verdictOf(6, VerdictPromote), verdictOf(7, VerdictContinue), verdictOf(8, VerdictRollback)},
			[]string{rollback}, StatusRolledBack},
		{"rollback out of a hold", []Input{verdictOf(5, VerdictHold), verdictOf(6, VerdictRollback)},
			[]string{"#3 hold", "#4 rollback 41:10000 42:0 over " + id(1, 3) + " (route)"}, StatusRolledBack},
		{"promote", []Input{verdictOf(5, VerdictPromote), ack(6, 3, "eu", schemas.AckApplied), verdictOf(6, VerdictRollback)},
			[]string{"#3 promote 41:0 42:10000 (route)"}, StatusPromoted},
		{"a promotion that nobody answered", []Input{verdictOf(5, VerdictPromote), verdictOf(6, VerdictHold), gap(6)},
			[]string{"#3 promote 41:0 42:10000 (route)"}, StatusPromoting},
		{"rollback out of a promotion on its way", []Input{verdictOf(5, VerdictPromote), verdictOf(6, VerdictRollback)},
			[]string{"#3 promote 41:0 42:10000 (route)", "#4 rollback 41:10000 42:0 over " + id(1, 3) + " (route)"}, StatusRolledBack},
		{"promote out of a hold", []Input{verdictOf(5, VerdictHold), verdictOf(6, VerdictPromote)},
			[]string{"#3 hold", "#4 promote 41:0 42:10000 over " + id(1, 3) + " (route)"}, StatusPromoting},
		{"a gap holds until a person resumes", []Input{gap(5), verdictOf(6, VerdictContinue), verdictOf(7, VerdictPromote), command(8, CommandResume, false)},
			[]string{"#3 hold", "#4 resume over " + id(1, 3)}, StatusRunning},
		{"a gap makes a hold last", []Input{verdictOf(5, VerdictHold), gap(5), verdictOf(6, VerdictContinue)},
			[]string{"#3 hold", "#4 hold over " + id(1, 3)}, StatusHolding},
		{"a gap doesn't stop a rollback", []Input{gap(5), verdictOf(6, VerdictRollback)},
			[]string{"#3 hold", "#4 rollback 41:10000 42:0 over " + id(1, 3) + " (route)"}, StatusRolledBack},
		{"resume what doesn't hold", []Input{command(8, CommandResume, false)}, []string{"!command-refused"}, StatusRunning},
		{"delete", []Input{command(8, CommandDelete, false), verdictOf(9, VerdictRollback)}, []string{"#3 start abort"}, StatusDeleted},
		{"delete twice", []Input{command(8, CommandDelete, false), command(9, CommandDelete, false)}, []string{"#3 start abort", "!command-refused"}, StatusDeleted},
		{"delete in the midst of a rollback", []Input{verdictOf(5, VerdictRollback), command(6, CommandDelete, false)},
			[]string{rollback, "!command-refused"}, StatusRolledBack},
		{"by force", []Input{verdictOf(5, VerdictRollback), command(6, CommandDelete, true)}, []string{rollback, "!rollout-deleted route,verify"}, StatusDeleted},
		{"delete a promotion on its way", []Input{verdictOf(5, VerdictPromote), command(6, CommandDelete, false)},
			[]string{"#3 promote 41:0 42:10000 (route)", "#4 start abort 41:10000 42:0 over " + id(1, 3) + " (route)"}, StatusDeleted},
		{"delete after the end", []Input{verdictOf(5, VerdictPromote), ack(5, 3, "eu", schemas.AckApplied), command(6, CommandDelete, false)},
			[]string{"#3 promote 41:0 42:10000 (route)", "!rollout-deleted"}, StatusDeleted},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, words := fold(t, after(start, test.in...)...)
			expect(t, words, append(begun, test.want...)...)
			if s.Status != test.status {
				t.Errorf("status %q, want %q", s.Status, test.status)
			}
		})
	}
}

// TestHoldReasons: a hold whose cause changes says so, once for each cause; what only a person ends stays the reason.
func TestHoldReasons(t *testing.T) {
	holds := func(at int64, code string) Input {
		in := verdictOf(at, VerdictHold)
		in.Verdict.Reason = schemas.Reason{Code: code, Sentence: "It is " + code + "."}
		return in
	}
	noData := Input{Kind: InputRuling, WallMs: 6000, Ruling: &Ruling{Kind: RulingNoData}}
	tests := []struct {
		name string
		in   []Input
		want []string
		hold Hold
	}{
		{"the same again", []Input{holds(5, "split"), holds(6, "split")}, []string{"#3 hold"}, Hold{Decision: id(1, 3), Code: "split"}},
		{"another", []Input{holds(5, "split"), holds(6, "inconclusive"), holds(7, "inconclusive")},
			[]string{"#3 hold", "#4 hold over " + id(1, 3)}, Hold{Decision: id(1, 4), Code: "inconclusive", Earlier: []string{"split"}}},
		{"taking turns", []Input{holds(5, "a"), holds(6, "b"), holds(7, "a"), holds(8, "b"), holds(9, "a")},
			[]string{"#3 hold", "#4 hold over " + id(1, 3)}, Hold{Decision: id(1, 4), Code: "a", Earlier: []string{"a", "b"}}},
		{"a gap comes", []Input{holds(5, "a"), gap(6), holds(7, "a"), gap(8)},
			[]string{"#3 hold", "#4 hold over " + id(1, 3)}, Hold{Decision: id(1, 4), Code: string(RulingGap), Earlier: []string{"a"}, Sticky: true}},
		{"no data says less", []Input{holds(5, "a"), noData}, []string{"#3 hold"}, Hold{Decision: id(1, 3), Code: "a"}},
		{"no data, then evidence", []Input{noData, holds(7, "a"), verdictOf(8, VerdictContinue), holds(9, "a")},
			[]string{"#3 hold", "#4 hold over " + id(1, 3), "#5 resume over " + id(1, 4), "#6 hold"}, Hold{Decision: id(1, 6), Code: "a"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, words := fold(t, after(running(terms()), test.in...)...)
			expect(t, words[2:], test.want...)
			if s.Hold == nil || !reflect.DeepEqual(*s.Hold, test.hold) || s.Why.Code != test.hold.Code {
				t.Errorf("hold %+v for %+v, want %+v", s.Hold, s.Why, test.hold)
			}
		})
	}
}

// TestRoutes: what was set by this epoch is carried on by each of its decisions; what another epoch had set is not.
func TestRoutes(t *testing.T) {
	t.Run("with a weight", func(t *testing.T) {
		_, words := fold(t, after(running(terms(weight)), verdictOf(5, VerdictHold), command(6, CommandDelete, false))...)
		expect(t, words, "#1 start prepare 41:10000 42:0 (route)", "#2 start commit 41:9000 42:1000 (route)",
			"#3 hold 41:9000 42:1000 (route)", "#4 start abort 41:10000 42:0 over "+id(1, 3)+" (route)")
	})
	t.Run("of an earlier epoch", func(t *testing.T) {
		in := applied(1, terms())
		in.Applied.Routes = []schemas.Route{{Version: "41", WeightBP: 10000}}
		s, words := fold(t, in, ack(2, 1, "eu", schemas.AckPrepared), verdictOf(5, VerdictHold))
		expect(t, words, "#1 start prepare", "#2 start commit", "#3 hold")
		_, effects := Step(s, verdictOf(6, VerdictRollback))
		if have := effects[0].Decision.Decision.PreviousRoutes; !reflect.DeepEqual(have, in.Applied.Routes) {
			t.Errorf("previous routes %v, want %v", have, in.Applied.Routes)
		}
	})
}

// TestRollbackDecision holds the whole decision, and the bytes that are signed.
func TestRollbackDecision(t *testing.T) {
	s, _ := fold(t, running(terms())...)
	prev := *s.Prev
	_, effects := Step(s, verdictOf(5, VerdictRollback))
	have := effects[0].Decision
	want := schemas.Decision{
		Schema: schemas.DecisionSchema, ID: id(1, 3), Epoch: 1, Seq: 3, Prev: &prev, Model: "ranker", Rollout: "ranker-42",
		Mode: schemas.Enforce, Action: schemas.ActionRollback, Severity: schemas.Critical,
		Routes:   []schemas.Route{{Version: "41", WeightBP: 10000}, {Version: "42"}},
		Reason:   schemas.Reason{Code: "code-rollback", Sentence: "Because."},
		Evidence: schemas.Evidence{RolloutSha256: strings.Repeat("a", 64)}, EventTime: 5000, IssuedAt: 5000, Deadline: 15000,
		Acks: []string{"any"}, Actor: schemas.Actor{Kind: "engine"},
	}
	if !reflect.DeepEqual(have.Decision, want) {
		t.Errorf("decision\n%+v\nwant\n%+v", have.Decision, want)
	}
	decoded, err := schemas.DecodeDecision(have.Body)
	if err != nil || !reflect.DeepEqual(*decoded, want) {
		t.Errorf("the body holds\n%+v (%v)\nwant\n%+v", decoded, err, want)
	}
	if prev.ID != id(1, 2) {
		t.Errorf("it follows %s, want the commit", prev.ID)
	}
}

// TestSalt: routers that hash get one salt for every split of an epoch, another one in the next, and none where one version has all traffic.
func TestSalt(t *testing.T) {
	again := applied(9, terms(weight, unattended))
	again.Applied.Epoch = 2
	again.Applied.Terms.Stages = []StageTerms{{WeightBP: 5000}}
	for _, test := range []struct {
		name string
		in   []Input
		want string // "action salt" of each decision
	}{
		{"a split", after(running(terms(weight)), verdictOf(5, VerdictHold), verdictOf(6, VerdictContinue), verdictOf(7, VerdictRollback)),
			"start, start ranker-42.1, hold ranker-42.1, resume ranker-42.1, rollback"},
		{"no weight planned", after(running(terms()), verdictOf(5, VerdictHold), verdictOf(6, VerdictPromote)), "start, start, hold, promote"},
		{"all traffic from the start", running(terms(func(t *Terms) { t.Stages[0].WeightBP = 10000 })), "start, start"},
		{"advice", running(terms(weight, advise)), "start, start ranker-42.1"},
		{"a new epoch", after(running(terms(weight, unattended)), again), "start, start ranker-42.1, start, start ranker-42.2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var have []string
			for _, d := range decided(test.in) {
				have = append(have, strings.TrimSpace(string(d.Action)+" "+d.Salt))
				if d.Unit != "" {
					t.Errorf("decision %s names the unit %q: a rollout doesn't", d.ID, d.Unit)
				}
			}
			if got := strings.Join(have, ", "); got != test.want {
				t.Errorf("decisions %s\nwant %s", got, test.want)
			}
		})
	}
}

// decided are the decisions that follow from inputs.
func decided(inputs []Input) []schemas.Decision {
	var s State
	var list []schemas.Decision
	for _, in := range inputs {
		var effects []Effect
		s, effects = Step(s, in)
		for _, e := range effects {
			if e.Decision != nil {
				list = append(list, e.Decision.Decision)
			}
		}
	}
	return list
}

// TestWhatIsCarried: a decision names what of the journal its input was read to, whatever kind of input that is, and the rollout's annotations; neither is
// in the digest. What is journaled of an input doesn't have its place.
func TestWhatIsCarried(t *testing.T) {
	named := func(t *Terms) {
		t.Links = map[string]string{"runbook": "https://runbooks.example/ranker", "owner": "feed-oncall"}
	}
	inputs := after(running(terms(named, weight)), verdictOf(5, VerdictHold), command(6, CommandDelete, false))
	plain := decided(after(running(terms(weight)), verdictOf(5, VerdictHold), command(6, CommandDelete, false)))
	for i := range inputs {
		inputs[i].Read = []schemas.Input{{Topic: "journal", Partition: 2, From: 7, To: int64(7 + i)}}
	}
	list := decided(inputs)
	wantTo := []int64{7, 8, 10, 11} // the prepare, the commit by an ack, another ack, the hold, the end
	if len(list) != len(wantTo) || len(plain) != len(wantTo) {
		t.Fatalf("%d and %d decisions, want %d", len(list), len(plain), len(wantTo))
	}
	for i, d := range list {
		if want := []schemas.Input{{Topic: "journal", Partition: 2, From: 7, To: wantTo[i]}}; !reflect.DeepEqual(d.Evidence.Inputs, want) {
			t.Errorf("decision %s stands on %v, want %v", d.ID, d.Evidence.Inputs, want)
		}
		if !reflect.DeepEqual(d.Links, map[string]string{"runbook": "https://runbooks.example/ranker", "owner": "feed-oncall"}) {
			t.Errorf("decision %s links to %v", d.ID, d.Links)
		}
		if len(plain[i].Evidence.Inputs) > 0 || plain[i].Links != nil || !bytes.Equal(AppendDigest(nil, &d), AppendDigest(nil, &plain[i])) {
			t.Errorf("decision %s: with links and inputs the digest is another one, or there are some without", d.ID)
		}
	}
	body, err := EncodeInput(inputs[0])
	if err != nil || bytes.Contains(body, []byte("journal")) {
		t.Errorf("input %s (%v) is journaled with its place", body, err)
	}
}

// TestLongLinks: labels and links give way before the reason does.
func TestLongLinks(t *testing.T) {
	long := func(t *Terms) { t.Links = map[string]string{"runbook": strings.Repeat("<", MaxBodyBytes)} }
	v := verdictOf(5, VerdictRollback)
	v.Verdict.Reason.Guardrails = []schemas.GuardrailStatus{{Name: "errors", State: schemas.StateFailed}}
	list := decided(after(running(terms(long)), v))
	if d := list[len(list)-1]; d.Links != nil || len(d.Reason.Guardrails) != 1 {
		t.Errorf("links of %d bytes, %d guardrails, want none and one", len(d.Links["runbook"]), len(d.Reason.Guardrails))
	}
}

// TestTermsOf: labels and annotations are the terms' own.
func TestTermsOf(t *testing.T) {
	r := schemas.Rollout{Name: "r", Labels: map[string]string{"team": "feed"}, Annotations: map[string]string{"owner": "feed-oncall"}}
	have := TermsOf(&r)
	r.Labels["team"], r.Annotations["owner"] = "other", "other"
	if have.Labels["team"] != "feed" || have.Links["owner"] != "feed-oncall" {
		t.Errorf("labels %v, links %v: want those of the rollout when it was taken", have.Labels, have.Links)
	}
}

// TestChain: each decision names the hash of the one before it.
func TestChain(t *testing.T) {
	var s State
	last := ""
	for _, in := range after(running(terms()), verdictOf(5, VerdictHold), verdictOf(6, VerdictContinue), verdictOf(7, VerdictRollback)) {
		var effects []Effect
		s, effects = Step(s, in)
		for _, e := range effects {
			if e.Decision == nil {
				continue
			}
			if prev := e.Decision.Decision.Prev; prev == nil != (last == "") || prev != nil && prev.Sha256 != last {
				t.Errorf("decision %s follows %+v, want hash %q", e.Decision.Decision.ID, prev, last)
			}
			last = BodySha256(e.Decision.Body)
		}
	}
	if s.Seq != 5 {
		t.Errorf("%d decisions, want 5", s.Seq)
	}
}

// TestReorderedAcks: whatever order acks come in, and however often, the state is the same.
func TestReorderedAcks(t *testing.T) {
	acks := []Input{ack(2, 1, "eu", schemas.AckReceived), ack(2, 1, "eu", schemas.AckPrepared), ack(2, 1, "us", schemas.AckReceived), ack(2, 1, "us", schemas.AckPrepared)}
	var want string
	orders := permutations(len(acks))
	for _, order := range orders {
		in := []Input{applied(1, terms(named))}
		for _, i := range order {
			in = append(in, acks[i], acks[i])
		}
		s, _ := fold(t, in...)
		have := fmt.Sprintf("%+v %+v", s.Answers, s.Status)
		if want == "" {
			want = have
		}
		if have != want {
			t.Errorf("order %v: %s\nwant %s", order, have, want)
		}
	}
	t.Logf("%d orders", len(orders))
}

func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var out [][]int
	for _, p := range permutations(n - 1) {
		for at := range n {
			q := append(append(append([]int{}, p[:at]...), n-1), p[at:]...)
			out = append(out, q)
		}
	}
	return out
}

// TestConcerns: what people should hear of is told beside whatever is decided, all guardrails of one state at once; not before the start, nor after the end.
func TestConcerns(t *testing.T) {
	concerned := func(at int64, action VerdictAction) Input {
		v := verdictOf(at, action)
		v.Verdict.Concerns = []Concern{
			{Guardrail: "p99", State: schemas.StateSuspect, Sentence: "It is slower."}, {Guardrail: "scores", State: schemas.StateFailed, Sentence: "They differ."},
			{Guardrail: "errors in de", State: schemas.StateSuspect, Sentence: "It fails more."},
		}
		return v
	}
	_, words := fold(t, after(running(terms()), concerned(5, VerdictContinue), verdictOf(6, VerdictRollback), concerned(7, VerdictContinue))...)
	expect(t, words, "#1 start prepare", "#2 start commit", "!guardrail-warning", "!guardrail-suspect", "#3 rollback 41:10000 42:0 (route)")
	_, words = fold(t, after(running(terms()), concerned(5, VerdictHold), concerned(6, VerdictContinue))...)
	expect(t, words, "#1 start prepare", "#2 start commit", "!guardrail-warning", "!guardrail-suspect", "#3 hold", "!guardrail-warning", "!guardrail-suspect", "#4 resume over ranker-42.1.3")
	_, words = fold(t, applied(1, terms()), concerned(2, VerdictContinue))
	expect(t, words, "#1 start prepare")
	s, _ := fold(t, running(terms())...)
	_, effects := Step(s, concerned(5, VerdictContinue))
	n := effects[1].Notice
	if n.Sentence != "It is slower. So are: errors in de." || !slices.Equal(n.Guardrails, []string{"p99", "errors in de"}) || n.Severity != schemas.Warning {
		t.Errorf("notice %+v", n)
	}
}

// TestExemplarsGoFirst: where a decision would be too long, it loses the predictions that it names before its labels.
func TestExemplarsGoFirst(t *testing.T) {
	v := verdictOf(5, VerdictRollback)
	long := strings.Repeat("\x01", schemas.MaxNameBytes) // six bytes each in JSON
	for i := range MaxShort {
		g := schemas.GuardrailStatus{Name: fmt.Sprint("g", i), State: schemas.StateFailed}
		for range 10 {
			g.Exemplars = append(g.Exemplars, schemas.Exemplar{ID: long, Code: long})
		}
		v.Verdict.Reason.Guardrails = append(v.Verdict.Reason.Guardrails, g)
	}
	terms := terms()
	terms.Labels = map[string]string{"team": "search"}
	s, _ := fold(t, running(terms)...)
	_, effects := Step(s, v)
	d := effects[0].Decision
	if g := d.Decision.Reason.Guardrails; len(d.Body) > MaxBodyBytes || len(g) != MaxShort || g[0].Exemplars != nil || d.Decision.Labels["team"] != "search" {
		t.Errorf("%d bytes, %d guardrails, labels %v", len(d.Body), len(g), d.Decision.Labels)
	}
	if v.Verdict.Reason.Guardrails[0].Exemplars == nil {
		t.Error("the caller's reason was changed")
	}
}

// TestBoundedBody: a reason that is too long is shortened, never the decision lost; what JSON can't carry is replaced.
func TestBoundedBody(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	v := verdictOf(5, VerdictRollback)
	for i := range 2000 {
		g := schemas.GuardrailStatus{Name: fmt.Sprintf("g%04d", i), State: schemas.StateContinue, Estimate: &nan, Upper: &inf, LogEvidence: math.Inf(-1)}
		if i == 1234 {
			g.State = schemas.StateFailed
		}
		v.Verdict.Reason.Guardrails = append(v.Verdict.Reason.Guardrails, g)
	}
	v.Verdict.Reason.Sentence = strings.Repeat("é", MaxSentence)
	_, words := fold(t, after(running(terms()), v)...)
	expect(t, words, "#1 start prepare", "#2 start commit", "#3 rollback 41:10000 42:0 (route)")
	s, _ := fold(t, running(terms())...)
	_, effects := Step(s, v)
	d := effects[0].Decision
	if len(d.Body) > MaxBodyBytes || len(d.Decision.Reason.Guardrails) != 1 || d.Decision.Reason.Guardrails[0].Name != "g1234" {
		t.Errorf("%d bytes, %d guardrails", len(d.Body), len(d.Decision.Reason.Guardrails))
	}
	if g := d.Decision.Reason.Guardrails[0]; g.Estimate != nil || g.Upper != nil || g.LogEvidence != -math.MaxFloat64 {
		t.Errorf("guardrail %+v holds what JSON can't", g)
	}
	if len(d.Decision.Reason.Sentence) > MaxSentence || !strings.HasPrefix(v.Verdict.Reason.Sentence, d.Decision.Reason.Sentence) {
		t.Errorf("sentence of %d bytes", len(d.Decision.Reason.Sentence))
	}
	if !math.IsNaN(*v.Verdict.Reason.Guardrails[0].Estimate) {
		t.Error("the verdict that was given was changed")
	}
}

func TestInputCodec(t *testing.T) {
	for _, in := range []Input{applied(1, terms(named, weight)), ack(2, 1, "eu", schemas.AckPrepared), expire(3, "x/acks"),
		command(4, CommandDelete, true), gap(5), verdictOf(6, VerdictHold), traffic(7, 8, 9)} {
		b, err := EncodeInput(in)
		if err != nil {
			t.Fatal(err)
		}
		have, err := DecodeInput(b)
		if err != nil || !reflect.DeepEqual(have, in) {
			t.Errorf("%s: read back %+v (%v)", b, have, err)
		}
		for cut := range len(b) {
			if _, err := DecodeInput(b[:cut]); err == nil {
				t.Errorf("%s is accepted", b[:cut])
			}
		}
	}
	for _, bad := range []string{`{}`, `{"kind":"ack"}`, `{"kind":"pause","command":{}}`, `{"kind":"command","command":{"do":"delete"}}`,
		`{"kind":"ack","ack":{},"expired":{}}`, `{"kind":"applied","applied":{"epoch":1}}`, `[]`, ``} {
		if _, err := DecodeInput([]byte(bad)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

// TestApplyRefuses what no decision could be written of, before it is an epoch.
func TestApplyRefuses(t *testing.T) {
	for name, change := range map[string]func(*Applied){
		"no rollout":     func(a *Applied) { a.Terms.Rollout = "" },
		"no model":       func(a *Applied) { a.Terms.Model = "" },
		"no mode":        func(a *Applied) { a.Terms.Mode = "" },
		"equal versions": func(a *Applied) { a.Terms.Canary = a.Terms.Baseline },
		"no epoch":       func(a *Applied) { a.Epoch = 0 },
		"no actor":       func(a *Applied) { a.Actor = schemas.Actor{} },
		"weight":         func(a *Applied) { a.Terms.Stages = []StageTerms{{WeightBP: 10001}} },
		"bad chain":      func(a *Applied) { a.Prev = &schemas.Prev{ID: "x", Sha256: "y"} },
	} {
		t.Run(name, func(t *testing.T) {
			in := applied(1, terms())
			change(in.Applied)
			if _, _, err := NewHead(0).Take(in); err == nil {
				t.Error("it is taken")
			}
		})
	}
}

// TestDeterministic: the same inputs give the same bytes.
func TestDeterministic(t *testing.T) {
	in := after(running(terms(func(t *Terms) { t.Labels = map[string]string{"a": "1", "b": "2", "c": "3"} })), verdictOf(5, VerdictRollback))
	bodies := func() []byte {
		var all bytes.Buffer
		var s State
		for _, i := range in {
			var effects []Effect
			s, effects = Step(s, i)
			for _, e := range effects {
				if e.Decision != nil {
					all.Write(e.Decision.Body)
				}
			}
		}
		return all.Bytes()
	}
	want := bodies()
	for range 20 {
		if !bytes.Equal(bodies(), want) {
			t.Fatal("two folds of the same inputs differ")
		}
	}
}

// TestResumeSentence: a resume says what ended, not how the evidence stands.
func TestResumeSentence(t *testing.T) {
	held := func(code string) Input {
		in := verdictOf(5, VerdictHold)
		in.Verdict.Reason.Code = code
		return in
	}
	noData := Input{Kind: InputRuling, EventMs: 5000, WallMs: 5000, Ruling: &Ruling{Kind: RulingNoData}}
	tests := []struct {
		name string
		hold Input
		end  Input
		want string
	}{
		{"data", noData, verdictOf(6, VerdictContinue), "Data is there again; judging goes on."},
		{"canary", held("canary_missing"), verdictOf(6, VerdictContinue), "Canary 42 is heard of again; judging goes on."},
		{"baseline", held("baseline_missing"), verdictOf(6, VerdictContinue), "Baseline 41 is heard of again; judging goes on."},
		{"another", held("both_arms"), verdictOf(6, VerdictContinue), "What made the rollout hold (both_arms) is gone; judging goes on."},
		{"a person", gap(5), command(6, CommandResume, false), "ada ended the hold."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, _ := fold(t, after(running(terms()), test.hold)...)
			_, effects := Step(s, test.end)
			if len(effects) != 1 || effects[0].Decision == nil {
				t.Fatalf("effects %+v", effects)
			}
			d := &effects[0].Decision.Decision
			if d.Action != schemas.ActionResume || d.Reason.Sentence != test.want {
				t.Errorf("decided %s: %q, want resume: %q", d.Action, d.Reason.Sentence, test.want)
			}
		})
	}
}
