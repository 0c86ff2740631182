package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"streamcanary/analysis"
	"streamcanary/cmd/engine"
	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/schemas"
)

// routed is the wait of two routers for decision 3; one has answered.
func routed() *decisions.Wait {
	return &decisions.Wait{Decision: "r.1.3", Seq: 3, Want: schemas.AckApplied, Names: []string{"eu", "us"}, Got: []string{"eu"}}
}

// draining is a rollback whose canary is still in the stream.
func draining() decisions.State {
	return decisions.State{
		Terms: decisions.Terms{Rollout: "r", Model: "m", Baseline: "41", Canary: "42", Routers: []string{"eu", "us"}}, Epoch: 1, Seq: 3, Status: decisions.StatusRolledBack,
		Answers: []decisions.Answer{{Consumer: "eu", Seq: 3, Status: schemas.AckApplied}, {Consumer: "us", Seq: 3, Status: schemas.AckRejected, Why: "capacity"}},
		Saga: &decisions.Saga{
			Decision: "r.1.3",
			Steps: []decisions.SagaStep{
				{Name: decisions.StepRoute, State: decisions.StepFailed, Decision: "r.1.3", Wait: routed(), DeadlineMs: 75_000, Attempt: 2},
				{Name: decisions.StepVerify, State: decisions.StepSent, Decision: "r.1.3", DeadlineMs: 65_000},
			},
			Drain: decisions.Drain{Seen: 2000, LastMs: 59_000, LastCanary: 10, LastAll: 1000, Hosts: []decisions.Flow{{Host: "c-7", Predictions: 8}, {Host: "c-9", Predictions: 2}}},
		},
	}
}

// TestShowHeldState: stores that take no writes since the canary is back are shown with what it serves, and what to do.
func TestShowHeldState(t *testing.T) {
	s := draining()
	s.Frozen, s.EventMs = true, 60_000
	s.Terms.State = decisions.StateTerms{Mode: schemas.StateShared, Stores: []string{"users"}, Compatible: true}
	s.Saga.Drain.CleanFromMs = 59_000
	s.Saga.Steps[1].State = decisions.StepAcked
	s.Saga.Steps = append(s.Saga.Steps, decisions.SagaStep{Name: decisions.StepFreeze, State: decisions.StepAcked, Decision: "r.1.2", Wait: &decisions.Wait{}},
		decisions.SagaStep{Name: decisions.StepRestore, State: decisions.StepAcked, Decision: "r.1.4", Wait: &decisions.Wait{}}, decisions.SagaStep{Name: decisions.StepUnfreeze, State: decisions.StepPlanned})
	var b strings.Builder
	printTraffic(&b, &s)
	const served = "10 of the 1000 predictions of the newest window, on c-7 (8), c-9 (2), up to 1970-01-01T00:00:59.000Z"
	for _, want := range []string{
		"rollback step verify: acked: 42 had drained, and was seen again: it served " + served + "\n",
		"state: 42 still serves users: " + served + ". Move its traffic by hand now. users takes no writes until us has answered, or the stream shows that 42 has drained: then writes are taken again. `streamcanary rollout rollback r --override",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("shown is\n%s\nwant in it\n%s", b.String(), want)
		}
	}
}

// TestShowRollback: a rollback that isn't carried out says of each step until when it may take, whose answer is missing and why, and where the canary still answers.
func TestShowRollback(t *testing.T) {
	s := draining()
	var b strings.Builder
	printTraffic(&b, &s)
	want := `rollback step route: failed (deadline passed 2 times, next 1970-01-01T00:01:15.000Z): us answered rejected to decision r.1.3 at 1970-01-01T00:00:00.000Z: capacity; eu has
rollback step verify: sent (until 1970-01-01T00:01:05.000Z): it served 10 of the 1000 predictions of the newest window, on c-7 (8), c-9 (2), up to 1970-01-01T00:00:59.000Z
ack: eu answered applied to decision 3
ack: us answered rejected to decision 3: capacity
`
	if b.String() != want {
		t.Errorf("shown\n%s\nwant\n%s", b.String(), want)
	}
}

// TestShowStage: a stage's first window may be still to come when routers have followed.
func TestShowStage(t *testing.T) {
	s := decisions.State{Status: decisions.StatusRunning, Stage: 1, Begun: []decisions.StageBegin{{Turn: 5}}}
	s.Terms.Stages = []decisions.StageTerms{{WeightBP: 500}, {WeightBP: 2000}}
	for _, test := range []struct {
		fromMs int64
		want   string
	}{{0, "stage: stage 2 of 2 (20 % of the traffic), begins when routers have followed\n"}, {65_000, "stage: stage 2 of 2 (20 % of the traffic), of windows from 1970-01-01T00:01:05.000Z on\n"}} {
		s.Begun[0].FromMs = test.fromMs
		var b strings.Builder
		if printTraffic(&b, &s); b.String() != test.want {
			t.Errorf("shown %q, want %q", b.String(), test.want)
		}
	}
}

// TestShowUnproven: a rollback after which nobody asked the model says that its drain isn't proven.
func TestShowUnproven(t *testing.T) {
	s := draining()
	s.Saga.Unproven = true
	s.Saga.Steps = []decisions.SagaStep{{Name: decisions.StepVerify, State: decisions.StepAcked, Decision: "r.1.3"}}
	var b strings.Builder
	printTraffic(&b, &s)
	if want := "rollback step verify: acked: not proven: no traffic came that could show that 42 has drained\n"; !strings.HasPrefix(b.String(), want) {
		t.Errorf("shown\n%s\nwant\n%s", b.String(), want)
	}
}

// TestShowRetired: a version that was rolled back, and serves users again.
func TestShowRetired(t *testing.T) {
	s := decisions.State{
		Terms: decisions.Terms{Baseline: "41", Canary: "42"}, Status: decisions.StatusRolledBack,
		Retired: &decisions.Retired{DeadlineMs: 90_000, Told: true, Attempt: 1, Drain: draining().Saga.Drain},
	}
	var b strings.Builder
	printTraffic(&b, &s)
	want := "retired: 42 serves users: it served 10 of the 1000 predictions of the newest window, on c-7 (8), c-9 (2), up to 1970-01-01T00:00:59.000Z (deadline passed once); people are told again at 1970-01-01T00:01:30.000Z, unless it is over\n"
	if b.String() != want {
		t.Errorf("shown\n%s\nwant\n%s", b.String(), want)
	}
}

// TestShowFreeze: a person's freeze that a store fails isn't shown as one that holds.
func TestShowFreeze(t *testing.T) {
	s := decisions.State{
		Status: decisions.StatusHolding, Frozen: true, Answers: []decisions.Answer{{Consumer: "users", Seq: 3, Status: schemas.AckFailed, Why: "the disk is full"}},
		Freezing: &decisions.Wait{Decision: "r.1.3", Seq: 3, Want: schemas.AckPrepared, NoRouter: true, Stores: []string{"users"}, DeadlineMs: 65_000, Attempt: 1},
	}
	var b strings.Builder
	printTraffic(&b, &s)
	want := `state: was asked to take no writes: users answered failed to decision 3 at 1970-01-01T00:00:00.000Z: the disk is full
waiting: for stores to take no writes, of decision r.1.3, until 1970-01-01T00:01:05.000Z (attempt 2)
ack: users answered failed to decision 3: the disk is full
`
	if b.String() != want {
		t.Errorf("shown\n%s\nwant\n%s", b.String(), want)
	}
}

// TestShowThaw: stores that have not answered that they take writes again are named, whatever else is over.
func TestShowThaw(t *testing.T) {
	s := decisions.State{
		Terms: decisions.Terms{Rollout: "r", Model: "m", Baseline: "1", Canary: "2", State: decisions.StateTerms{Mode: schemas.StateShared, Stores: []string{"users"}}}, Epoch: 1, Seq: 5, Status: decisions.StatusPromoted,
		Thawing: &decisions.Wait{Decision: "r.1.4", Seq: 4, Want: schemas.AckApplied, NoRouter: true, Stores: []string{"users"}, DeadlineMs: 65_000, Attempt: 1},
	}
	var out strings.Builder
	printTraffic(&out, &s)
	want := "state: was told to take writes again by decision r.1.4 (deadline passed once), and may not do it yet: users has not answered\n"
	if !strings.Contains(out.String(), want) {
		t.Errorf("shown\n%swant\n%s", out.String(), want)
	}
}

// TestShowWhoIsAwaited: routes that not everybody has answered say who hasn't.
func TestShowWhoIsAwaited(t *testing.T) {
	for _, test := range []struct {
		names, sinks []string
		want         string
	}{
		{[]string{"eu"}, []string{"slack"}, "routes: 41 100.00 %\nrollback step alert-slack: sent"},
		{[]string{"eu", "us"}, nil, "routes: 41 100.00 % (decided; waits for us to answer: see below)\n"},
		{nil, nil, "routes: 41 100.00 % (decided; waits for any router to answer: see below)\n"},
	} {
		w := routed()
		if w.Names = test.names; w.Names == nil {
			w.Got = nil
		}
		s := decisions.State{Status: decisions.StatusPreparing, Routes: []schemas.Route{{Version: "41", WeightBP: 10000}}, Wait: w}
		if s.Terms.Sinks.Alert = test.sinks; test.sinks != nil {
			told := &decisions.Wait{Seq: 3, Want: schemas.AckApplied, Names: test.sinks}
			s.Wait, s.Saga = nil, &decisions.Saga{Steps: []decisions.SagaStep{{Name: "alert-slack", Sink: "slack", State: decisions.StepSent, Wait: told}}}
		}
		var b strings.Builder
		printTraffic(&b, &s)
		if !strings.HasPrefix(b.String(), test.want) {
			t.Errorf("shown\n%s\nwant\n%s", b.String(), test.want)
		}
	}
}

// TestLeftOut: what the service alone knows is missed only while it still changes something.
func TestLeftOut(t *testing.T) {
	silent := errors.New("it is asleep")
	for status, want := range map[decisions.Status]bool{decisions.StatusRunning: true, decisions.StatusHolding: true, decisions.StatusPromoted: false, decisions.StatusRolledBack: false} {
		if have := leftOut(&decisions.State{Status: status}, silent); (have != "") != want || want && !strings.Contains(have, "it is asleep") {
			t.Errorf("%s: %q", status, have)
		}
	}
	if have := leftOut(&decisions.State{Status: decisions.StatusRunning}, nil); have != "" {
		t.Errorf("nothing is missing, and it says %q", have)
	}
}

// TestShowPillars: what became of pillars since the start is shown with its time, and what the baseline is beyond where nobody says how it stands now.
func TestShowPillars(t *testing.T) {
	s := decisions.State{
		Status: decisions.StatusRolledBack, Pillars: []decisions.Pillar{decisions.NewPillar(decisions.PillarRegistry, decisions.PillarHeld, nil)},
		Watched: []decisions.Watched{{Name: decisions.PillarRegistry, State: decisions.PillarFailed, SinceMs: 65_000, Found: []string{"version 41 is gone"}, UnknownMs: 75_000, Unknown: "MLflow is away"}},
		Beyond:  []decisions.Beyond{{Guardrail: "outage", Sentence: "Baseline 41 is too slow itself.", Proven: true}},
		Why:     &schemas.Reason{Code: "guardrail_failed", Sentence: "It is slow."},
	}
	var b strings.Builder
	if err := printView(&b, &view{AsOf: asOfDecision, Record: &decisions.Head{State: s}}); err != nil {
		t.Fatal(err)
	}
	want := `pillar registry: held at the start
pillar registry: FAILED since 1970-01-01T00:01:05Z: version 41 is gone
pillar registry: unknown since 1970-01-01T00:01:15Z, and taken for what it was: MLflow is away
`
	if !strings.Contains(b.String(), want) || !strings.HasSuffix(b.String(), "\nbaseline: Baseline 41 is too slow itself.\n") {
		t.Errorf("shown\n%s", b.String())
	}
}

// TestShowStrangers: who answers although nobody asks stands there as such.
func TestShowStrangers(t *testing.T) {
	s := decisions.State{Terms: decisions.Terms{Mode: schemas.Enforce, Routers: []string{"r1"}}, Answers: []decisions.Answer{
		{Consumer: "ghost", Seq: 2, Status: schemas.AckApplied}, {Consumer: "r1", Seq: 2, Status: schemas.AckApplied}}}
	var b strings.Builder
	printTraffic(&b, &s)
	if want := "ack: ghost (whom nobody asks) answered applied to decision 2\nack: r1 answered applied to decision 2\n"; b.String() != want {
		t.Errorf("shown\n%s\nwant\n%s", b.String(), want)
	}
}

// TestShowDatesTheEvidence: a finding of the last decision stands still, and what is seen of the baseline goes on: each says of when it is.
func TestShowDatesTheEvidence(t *testing.T) {
	s := decisions.State{Status: decisions.StatusRolledBack, Beyond: []decisions.Beyond{{Guardrail: "outage", Sentence: "Baseline 41 is beyond: 9.8 % (1,141 of 11,652)."}},
		Why: &schemas.Reason{Code: "guardrail_failed", Sentence: "It is slow."}}
	v := view{AsOf: asOfDecision, EvidenceOf: "ranker-42.1.3", EvidenceAt: 65_000, Record: &decisions.Head{State: s},
		Health: []schemas.Finding{{Code: "baseline_beyond", Sentence: "Baseline 41 is beyond: 11.1 % (102 of 918)."}}}
	var b strings.Builder
	if err := printView(&b, &v); err != nil {
		t.Fatal(err)
	}
	want := `
health at decision ranker-42.1.3 (judged up to 1970-01-01T00:01:05.000Z): baseline_beyond: Baseline 41 is beyond: 11.1 % (102 of 918).
baseline: Baseline 41 is beyond: 9.8 % (1,141 of 11,652).
`
	if !strings.HasSuffix(b.String(), want) {
		t.Errorf("shown\n%s", b.String())
	}
}

// TestShowAmiss: where nobody says how it stands now, traffic that isn't as planned is shown from the record, as long as it is judged.
func TestShowAmiss(t *testing.T) {
	s := decisions.State{Status: decisions.StatusRunning, Amiss: []schemas.Finding{{Code: "off_plan", Sentence: "Canary 42 has too little."}}}
	for status, want := range map[decisions.Status]bool{decisions.StatusRunning: true, decisions.StatusHolding: true, decisions.StatusRolledBack: false} {
		s.Status = status
		var b strings.Builder
		if err := printView(&b, &view{AsOf: asOfStart, Record: &decisions.Head{State: s}}); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(b.String(), "\ntraffic: Canary 42 has too little.\n") != want {
			t.Errorf("%s: shown\n%s", status, b.String())
		}
	}
}

// TestShowWaits: a stage that waits for a pass that doesn't come says so, as long as somebody says how it stands now.
func TestShowWaits(t *testing.T) {
	live := &serve.Standing{Epoch: 1, Report: engine.Report{Waits: []schemas.Wait{{Guardrail: "p99", Code: schemas.WaitTooCoarse, Sentence: "p99 can't pass."}}}}
	for status, want := range map[decisions.Status]bool{decisions.StatusRunning: true, decisions.StatusHolding: true, decisions.StatusRolledBack: false} {
		v := viewOf(&decisions.Head{State: decisions.State{Status: status, Epoch: 1}}, live)
		var b strings.Builder
		if err := printView(&b, &v); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "\nwaiting: p99 can't pass.\n") != want {
			t.Errorf("%s: shown\n%s", status, b.String())
		}
	}
}

// TestShowNow: where the evidence still changes something, it is shown as it stands, with what it asks for.
func TestShowNow(t *testing.T) {
	live := &serve.Standing{Rollout: "r", Epoch: 1, Report: engine.Report{Verdict: "promote", Code: "all_passed", Sentence: "All passed."}}
	on := &decisions.Saga{Steps: []decisions.SagaStep{{Name: "warm-10", State: decisions.StepWarming, WarmBP: 1000}, {Name: decisions.StepRoute, State: decisions.StepPlanned}}}
	for _, test := range []struct {
		name string
		s    decisions.State
		asOf string
	}{
		{"running", decisions.State{Status: decisions.StatusRunning}, asOfNow},
		{"promoting", decisions.State{Status: decisions.StatusPromoting}, asOfNow},
		{"traffic goes back in steps", decisions.State{Status: decisions.StatusRolledBack, Saga: on}, asOfNow},
		{"it has gone back", decisions.State{Status: decisions.StatusRolledBack, Saga: draining().Saga}, asOfDecision},
		{"promoted", decisions.State{Status: decisions.StatusPromoted}, asOfDecision},
	} {
		test.s.Epoch, test.s.Why = 1, &schemas.Reason{Code: "why", Sentence: "Why."}
		v := viewOf(&decisions.Head{State: test.s}, live)
		want := ""
		if test.asOf == asOfNow {
			want = "promote"
		}
		if v.AsOf != test.asOf || v.Verdict != want {
			t.Errorf("%s: as of %s, verdict %q; want %s, %q", test.name, v.AsOf, v.Verdict, test.asOf, want)
		}
	}
}

// TestShowOthers: while a rollout is judged, the model's other versions that answer are named.
func TestShowOthers(t *testing.T) {
	live := &serve.Standing{Rollout: "r", Epoch: 1, Report: engine.Report{Others: []analysis.OtherVersion{{Version: "V42", Share: .1}, {Version: "40\x1b[2J", Share: .02}, {Share: .01}, {Version: "39", Share: .001}}}}
	for status, want := range map[decisions.Status]bool{decisions.StatusRunning: true, decisions.StatusPromoted: false} {
		v := viewOf(&decisions.Head{State: decisions.State{Epoch: 1, Status: status}}, live)
		var b strings.Builder
		if err := printView(&b, &v); err != nil {
			t.Fatal(err)
		}
		line := "\ntraffic: Other versions of the model answer: \"V42\" (10 % of its predictions), \"40\\x1b[2J\" (2 %), those that are not told apart (1 %) and more.\n"
		if strings.Contains(b.String(), line) != want {
			t.Errorf("%s: shown\n%s\nwant %t: %s", status, b.String(), want, line)
		}
	}
}

// TestShowUnfitAnswer: an answer that is none to a prepare is shown as what it is, and a snapshot as what it is good for.
func TestShowUnfitAnswer(t *testing.T) {
	const why = "it names no snapshot that could be restored"
	s := decisions.State{
		Terms:  decisions.Terms{Rollout: "r", Model: "m", Baseline: "41", Canary: "42", State: decisions.StateTerms{Mode: schemas.StateShared, Stores: []string{"items", "users"}}},
		Status: decisions.StatusPreparing, Seq: 1, Snapshots: []decisions.Snapshot{{Store: "items", ID: "i-1"}},
		Wait:    &decisions.Wait{Decision: "r.1.1", Seq: 1, Want: schemas.AckPrepared, NoRouter: true, Stores: []string{"items", "users"}, Got: []string{"items"}, DeadlineMs: 65_000},
		Answers: []decisions.Answer{{Consumer: "items", Seq: 1, Status: schemas.AckPrepared}, {Consumer: "users", Seq: 1, Status: schemas.AckPrepared, Why: why, Unfit: true}},
	}
	var b strings.Builder
	printTraffic(&b, &s)
	want := `waiting: for users to answer "prepared" to decision r.1.1, again at 1970-01-01T00:01:05.000Z
state: items can go back to snapshot i-1
ack: items answered prepared to decision 1
ack: users answered prepared to decision 1: it names no snapshot that could be restored
`
	if b.String() != want {
		t.Errorf("shown\n%s\nwant\n%s", b.String(), want)
	}
	if want := "users (which answered prepared: " + why + ")"; !strings.Contains(s.PreparingText(), want) {
		t.Errorf("shown %q, want %q", s.PreparingText(), want)
	}
}

// TestShowWithoutLog: of a rollout that has ended there is shown what its record has where the decision log is gone, and what is missing is said.
func TestShowWithoutLog(t *testing.T) {
	b, url := withoutServe(t)
	head := decisions.NewHead(0)
	head.State = decisions.State{Terms: decisions.Terms{Rollout: "story", Model: "ranker"}, Epoch: 1, Seq: 3, Status: decisions.StatusRolledBack, Why: &schemas.Reason{Code: "commanded", Sentence: "S."}}
	if _, err := b.SaveHead(t.Context(), head, 0); err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Request("$JS.API.STREAM.DELETE."+schemas.StreamName, nil, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	show := showCommand(&console{out: &out, err: &bytes.Buffer{}})
	show.SetArgs([]string{"story", "--nats-urls", url, "--data", t.TempDir()})
	if err := show.ExecuteContext(t.Context()); err != nil || !strings.HasPrefix(out.String(), "NOT ALL OF IT: the guardrails and the findings of health at its last decision stand in the decision log, which can't be read: ") ||
		!strings.Contains(out.String(), "status: rolled-back") {
		t.Errorf("%v\n%s", err, out.String())
	}
}
