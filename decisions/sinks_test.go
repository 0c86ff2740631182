package decisions

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// told lets a registry and two sinks of people hear of the rollback.
func told(t *Terms) {
	t.Sinks = SinkTerms{Registry: []string{"mlflow"}, Alert: []string{"oncall", "slack"}}
}

func TestSinkTerms(t *testing.T) {
	r := &schemas.Rollout{Sinks: []schemas.SinkUse{
		{Kind: schemas.SinkSlack, Sink: "slack"}, {Kind: schemas.SinkHTTPRoute, Sink: "gateway"}, {Kind: schemas.SinkMLflow, Sink: "mlflow"},
		{Kind: schemas.SinkAlertmanager, Sink: "am"}, {Kind: schemas.SinkPagerDuty, Sink: "oncall"}, {Kind: schemas.SinkEnvoy, Sink: "envoy"}, {Kind: schemas.SinkWebhook, Sink: "hook"},
	}}
	want := SinkTerms{Registry: []string{"mlflow"}, Alert: []string{"am", "hook", "oncall", "slack"}}
	if have := TermsOf(r).Sinks; !reflect.DeepEqual(have, want) {
		t.Errorf("got %+v, want %+v", have, want)
	}
}

// TestSinkSteps: each sink's step in a rollback that is otherwise carried out, or not.
func TestSinkSteps(t *testing.T) {
	begun := []string{"#1 start prepare", "#2 start commit", "#3 rollback 41:10000 42:0 (route)"}
	followed := after([]Input{ack(6, 3, "eu", schemas.AckApplied)}, windowsOf(6, 3, 1000, 0)...)
	all := []Input{ack(6, 3, "mlflow", schemas.AckApplied), ack(6, 3, "oncall", schemas.AckApplied), ack(6, 3, "slack", schemas.AckApplied)}
	keeps := ack(7, 3, "mlflow", schemas.AckReceived)
	keeps.Ack.Why = "it answers 503"
	late := []Input{expire(35, id(1, 3)+"/registry-mlflow"), expire(35, id(1, 3)+"/alert-oncall"), expire(35, id(1, 3)+"/alert-slack")}
	fails := ack(8, 3, "mlflow", schemas.AckFailed)
	fails.Ack.Why = "somebody else moved it."
	tests := []struct {
		name  string
		in    []Input
		want  []string
		steps string // of mlflow, oncall and slack
	}{
		{"waits", nil, nil, "pending pending pending"},
		{"all are told", all, nil, "acked acked acked"},
		{"the rollback doesn't wait for them", followed, []string{"!rollback-completed  done"}, "pending pending pending"},
		{"no sink answers for traffic", append(all[:3:3], windowsOf(6, 3, 1000, 0)...), nil, "acked acked acked"},
		{"an earlier decision", []Input{ack(6, 2, "mlflow", schemas.AckApplied)}, nil, "pending pending pending"},
		{"nobody is told before the deadline", []Input{expire(34, id(1, 3)+"/registry-mlflow")}, nil, "pending pending pending"},
		{"overdue, in one sentence", late, []string{"!sink-overdue registry-mlflow,alert-oncall,alert-slack"}, "expired expired expired"},
		{"the others are told", append(all[1:3:3], late...), []string{"!sink-overdue registry-mlflow"}, "expired acked acked"},
		{"overdue, then done", append(late[:3:3], all...), []string{
			"!sink-overdue registry-mlflow,alert-oncall,alert-slack", "!sink-done route,alert-oncall,alert-slack,verify", "!sink-done route,alert-slack,verify", "!sink-done route,verify",
		}, "acked acked acked"},
		{"overdue, completed, then done", after(all[1:3:3], append(append(late[:1:1], followed...), all[0])...), []string{
			"!sink-overdue registry-mlflow", "!rollback-completed registry-mlflow done", "!sink-done",
		}, "acked acked acked"},
		{"what keeps it", []Input{keeps}, nil, "pending: it answers 503 pending pending"},
		{"refused", []Input{fails}, []string{"!sink-refused registry-mlflow"}, "failed: somebody else moved it. pending pending"},
		{"refused twice, and no deadline any more", []Input{fails, fails, late[0]}, []string{"!sink-refused registry-mlflow"}, "failed: somebody else moved it. pending pending"},
		{"refused, then done", []Input{fails, all[0]}, []string{"!sink-refused registry-mlflow", "!sink-done route,verify"}, "acked pending pending"},
		{"done twice", []Input{all[0], all[0], fails}, nil, "acked pending pending"},
		{"a later decision of the rollback", []Input{command(6, CommandRollback, false), ack(7, 3, "slack", schemas.AckApplied)}, []string{"!command-refused"}, "pending pending acked"},
		{"deleted", append([]Input{command(6, CommandDelete, true)}, late...), []string{"!rollout-deleted route,verify"}, "pending pending pending"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, words := fold(t, after(rolledBack(terms(told)), test.in...)...)
			if test.name == "no sink answers for traffic" && s.Saga.Done() {
				t.Error("a sink's answer has settled the route")
			}
			expectNamed(t, words, append(begun[:3:3], test.want...))
			var steps []string
			for _, step := range s.Saga.Steps {
				if step.Sink != "" {
					steps = append(steps, strings.TrimSuffix(string(step.State)+": "+step.Why, ": "))
				}
			}
			if have := strings.Join(steps, " "); have != test.steps {
				t.Errorf("steps are %q, want %q", have, test.steps)
			}
		})
	}
}

// expectNamed compares what a fold said.
func expectNamed(t *testing.T, have, want []string) {
	t.Helper()
	have = slices.Clone(have)
	for i := range have {
		have[i] = strings.TrimSpace(have[i])
	}
	expect(t, have, want...)
}

// TestSinkSentences: what people read says what, of what, and what to do.
func TestSinkSentences(t *testing.T) {
	keeps := ack(7, 3, "mlflow", schemas.AckReceived)
	keeps.Ack.Why = "GET http://mlflow: the server answers 503"
	fails := ack(8, 3, "mlflow", schemas.AckFailed)
	fails.Ack.Why = "move alias champion: it points to version 9"
	sentences := func(in ...Input) []string {
		_, words := foldWith(t, func(e Effect) string {
			if e.Notice == nil {
				return ""
			}
			return e.Notice.Sentence
		}, after(rolledBack(terms(told)), in...)...)
		return slices.DeleteFunc(words, func(text string) bool { return text == "" })
	}
	have := sentences(keeps, expire(35, id(1, 3)+"/alert-slack"), ack(36, 3, "oncall", schemas.AckApplied), ack(36, 3, "slack", schemas.AckApplied), fails)
	want := []string{
		"Not done of rollback ranker-42.1.3 in time: registry-mlflow, alert-oncall, alert-slack (deadline passed once). Traffic doesn't wait for that, and it is tried again for a day. " +
			"If that can't wait, give the registry's alias or stage back to 41 by hand, and tell people yourself. mlflow: GET http://mlflow: the server answers 503. Nothing is said by oncall, slack: does a serve run that has it in its sinks, or does what it was told before hang there?",
		"Step alert-oncall of rollback ranker-42.1.3 is done after all.",
		"Step alert-slack of rollback ranker-42.1.3 is done after all.",
		"Step registry-mlflow of rollback ranker-42.1.3 has failed, and isn't tried again: move alias champion: it points to version 9. Traffic doesn't wait for that. " +
			"If that can't wait, give the registry's alias or stage back to 41 by hand. This counts as over with the model's next rollout, or with `streamcanary rollout delete ranker-42`.",
	}
	if !slices.Equal(have, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
	have = sentences(ack(6, 3, "mlflow", schemas.AckApplied), ack(6, 3, "oncall", schemas.AckApplied), expire(35, id(1, 3)+"/alert-slack"))
	want = []string{"Not done of rollback ranker-42.1.3 in time: alert-slack (deadline passed once). Traffic doesn't wait for that, and it is tried again for a day. " +
		"If that can't wait, tell people yourself. Nothing is said by slack: does a serve run that has it in its sinks, or does what it was told before hang there?"}
	if !slices.Equal(have, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

// TestSinkReminders: people are told so often, and no more; the step stays open, and an answer still settles it.
func TestSinkReminders(t *testing.T) {
	s := stateOf(t, rolledBack(terms(told))...)
	for _, sink := range []string{"oncall", "slack"} {
		s, _ = Step(s, ack(6, 3, sink, schemas.AckApplied))
	}
	var at []int64
	for {
		due := slices.IndexFunc(s.Deadlines(), func(d Deadline) bool { return !d.Next && strings.HasSuffix(d.ID, "/registry-mlflow") })
		if due < 0 {
			break
		}
		seconds := s.Deadlines()[due].AtMs / 1000
		at = append(at, seconds-5)
		s, _ = Step(s, expire(seconds, id(1, 3)+"/registry-mlflow"))
	}
	if want := []int64{30, 90, 210, 450, 930, 1890}; !slices.Equal(at, want) {
		t.Errorf("told %v s after the rollback, want %v", at, want)
	}
	followed := stateOf(t, after(rolledBack(terms(told)), after([]Input{ack(6, 3, "eu", schemas.AckApplied)}, windowsOf(6, 3, 1000, 0)...)...)...)
	followed.Saga.Steps = slices.DeleteFunc(followed.Saga.Steps, func(step SagaStep) bool { return step.Sink != "" })
	followed.Saga.Steps = append(followed.Saga.Steps, *s.Saga.step("registry-mlflow"))
	followed.Retired = nil // what the stream shows of the canary is looked at no longer than a day
	if !followed.Awaits(86_400_000) || followed.Awaits(3*86_400_000) {
		t.Error("a sink's answer is waited for as long as it may come")
	}
	s, _ = Step(s, ack(4000, 3, "mlflow", schemas.AckApplied))
	if step := s.Saga.step("registry-mlflow"); step.State != StepAcked {
		t.Errorf("the step is %s", step.State)
	}
}

// TestSinksOfSharedState: the steps begin with the freeze, stand before the proof, and don't keep the rollback from its next step.
func TestSinksOfSharedState(t *testing.T) {
	s, _ := fold(t, applied(1, terms(stateful, oneStore, told)), ack(2, 1, "eu", schemas.AckPrepared), snapped(3, 1, "user"), verdictOf(10, VerdictRollback),
		ack(11, 3, "user", schemas.AckPrepared), ack(12, 4, "eu", schemas.AckApplied), ack(13, 5, "user", schemas.AckApplied), ack(14, 6, "user", schemas.AckApplied))
	var names []string
	for _, step := range s.Saga.Steps {
		names = append(names, string(step.Name)+" "+string(step.State))
	}
	want := "freeze acked, route acked, restore acked, unfreeze acked, registry-mlflow pending, alert-oncall pending, alert-slack pending, verify pending"
	if have := strings.Join(names, ", "); have != want {
		t.Errorf("steps %s, want %s", have, want)
	}
	if step := s.Saga.step("registry-mlflow"); step.Decision != id(1, 3) {
		t.Errorf("the registry's step stands on %s", step.Decision)
	}
	s, _ = Step(s, ack(15, 6, "mlflow", schemas.AckApplied))
	if step := s.Saga.step("registry-mlflow"); step.State != StepAcked {
		t.Errorf("who has carried out a later decision of the rollback has carried out the first: %s", step.State)
	}
}

// TestSinksAreNoRouters: where any router is enough, a sink isn't one.
func TestSinksAreNoRouters(t *testing.T) {
	s := stateOf(t, applied(1, terms(told)), ack(2, 1, "slack", schemas.AckPrepared), ack(2, 1, "mlflow", schemas.AckApplied))
	if s.Status != StatusPreparing {
		t.Errorf("it is %s", s.Status)
	}
	own := terms(told)
	if p := RoutingPillar(&own, &s); p.State != PillarFailed {
		t.Errorf("the pillar of routing has %s", p.State)
	}
}

// TestPromotionSteps: a registry's step in a promotion, until a rollback ends it. People have no step in it.
// TestStartsThatARegistryRefuses: people are told once, the rollout goes on, what else is over names it, and the rollback or the promotion begins with a step of its own.
func TestStartsThatARegistryRefuses(t *testing.T) {
	begun := []string{"#1 start prepare", "#2 start commit"}
	fails := ack(3, 2, "mlflow", schemas.AckFailed)
	fails.Ack.Why = "move alias challenger: it points to version 9."
	again := ack(4, 2, "mlflow", schemas.AckFailed)
	again.Ack.Why = "it still does"
	slack := ack(3, 2, "slack", schemas.AckFailed)
	paused, resumed := command(5, CommandPause, false), command(6, CommandResume, false)
	tests := []struct {
		name string
		in   []Input
		want []string
		left []string
	}{
		{"told", []Input{fails}, []string{"!sink-refused registry-mlflow"}, []string{"registry-mlflow"}},
		{"told once", []Input{fails, again, fails}, []string{"!sink-refused registry-mlflow"}, []string{"registry-mlflow"}},
		{"who only tells has nothing to do", []Input{slack}, nil, nil},
		{"it goes on", []Input{fails, paused, resumed}, []string{"!sink-refused registry-mlflow", "#3 hold", "#4 resume over ranker-42.1.3"}, []string{"registry-mlflow"}},
		{"rolled back", []Input{fails, verdictOf(5, VerdictRollback)}, []string{"!sink-refused registry-mlflow", "#3 rollback 41:10000 42:0 (route)"}, []string{"route", "verify"}},
		{"promoted", []Input{fails, verdictOf(5, VerdictPromote)}, []string{"!sink-refused registry-mlflow", "#3 promote 41:0 42:10000 (route)"}, nil},
		{"after the rollback", []Input{verdictOf(5, VerdictRollback), fails}, []string{"#3 rollback 41:10000 42:0 (route)"}, []string{"route", "verify"}},
		{"deleted", []Input{fails, command(6, CommandDelete, true)}, []string{"!sink-refused registry-mlflow", "#3 start abort"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, words := fold(t, after(running(terms(told)), test.in...)...)
			expectNamed(t, words, append(begun[:2:2], test.want...))
			if have := s.left(); !slices.Equal(have, test.left) {
				t.Errorf("left is %q, want %q", have, test.left)
			}
		})
	}
	_, words := foldWith(t, func(e Effect) string {
		if e.Notice == nil {
			return ""
		}
		return e.Notice.Sentence
	}, after(running(terms(told)), fails)...)
	if want := "Step registry-mlflow of start ranker-42.1.2 has failed, and isn't tried again: move alias challenger: it points to version 9. Neither traffic nor the rollout waits for that. " +
		"If it can't wait, do it by hand: until its test is over, the registry's candidate is 42. This counts as over with the rollout's promotion or rollback."; words[len(words)-1] != want {
		t.Errorf("told %q\nwant %q", words[len(words)-1], want)
	}
}

func TestPromotionSteps(t *testing.T) {
	promoted := after(running(terms(told)), verdictOf(5, VerdictPromote))
	begun := []string{"#1 start prepare", "#2 start commit", "#3 promote 41:0 42:10000 (route)"}
	all := ack(6, 3, "mlflow", schemas.AckApplied)
	keeps := ack(7, 3, "mlflow", schemas.AckReceived)
	keeps.Ack.Why = "it answers 503"
	fails := ack(8, 3, "mlflow", schemas.AckFailed)
	fails.Ack.Why = "somebody else moved it."
	late := expire(35, id(1, 3)+"/registry-mlflow")
	tests := []struct {
		name   string
		in     []Input
		want   []string
		step   string
		status Status
	}{
		{"waits", nil, nil, "pending", StatusPromoting},
		{"the promotion doesn't wait for it", []Input{ack(6, 3, "eu", schemas.AckApplied)}, nil, "pending", StatusPromoted},
		{"no registry answers for traffic", []Input{all}, nil, "acked", StatusPromoting},
		{"people have no step", []Input{ack(6, 3, "slack", schemas.AckApplied), expire(35, id(1, 3)+"/alert-slack")}, nil, "pending", StatusPromoting},
		{"what keeps it", []Input{keeps}, nil, "pending: it answers 503", StatusPromoting},
		{"what keeps an earlier decision", []Input{ack(7, 2, "mlflow", schemas.AckReceived)}, nil, "pending", StatusPromoting},
		{"overdue, then done", []Input{late, ack(36, 3, "mlflow", schemas.AckApplied)}, []string{"!sink-overdue registry-mlflow", "!sink-done"}, "acked", StatusPromoting},
		{"refused, then done", []Input{fails, all}, []string{"!sink-refused registry-mlflow", "!sink-done"}, "acked", StatusPromoting},
		{"refused after the promotion", []Input{ack(6, 3, "eu", schemas.AckApplied), fails}, []string{"!sink-refused registry-mlflow"}, "failed: somebody else moved it.", StatusPromoted},
		{"deleted", []Input{ack(6, 3, "eu", schemas.AckApplied), command(7, CommandDelete, false), late, all}, []string{"!rollout-deleted"}, "pending", StatusDeleted},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, words := fold(t, after(promoted, test.in...)...)
			expectNamed(t, words, append(begun[:3:3], test.want...))
			step := &s.Promotion.Steps[0]
			if have := strings.TrimSuffix(string(step.State)+": "+step.Why, ": "); have != test.step || len(s.Promotion.Steps) != 1 || s.Status != test.status {
				t.Errorf("it is %s, with %d steps; the registry's is %q, want %q", s.Status, len(s.Promotion.Steps), have, test.step)
			}
			if waits := slices.Contains(s.Missing(), "mlflow"); waits == (test.step == "acked") {
				t.Errorf("the registry's answer is waited for: %t", waits)
			}
		})
	}
	s, _ := fold(t, after(promoted, verdictOf(7, VerdictRollback))...)
	if step := s.Saga.step("registry-mlflow"); s.Promotion != nil || step == nil || step.Decision != id(1, 4) {
		t.Errorf("after a rollback: %+v, %+v", s.Promotion, step)
	}
	s, _ = fold(t, after(promoted, ack(6, 3, "eu", schemas.AckApplied))...)
	for range sinkReminders {
		s, _ = Step(s, expire(1_000_000, id(1, 3)+"/registry-mlflow"))
		s.Promotion.Steps[0].DeadlineMs = min(s.Promotion.Steps[0].DeadlineMs, 1)
	}
	s.Retired = nil // what the stream shows of the baseline is looked at no longer than a day
	if slices.ContainsFunc(s.Deadlines(), func(d Deadline) bool { return !d.Next }) || !s.Awaits(86_400_000) || s.Awaits(3*86_400_000) {
		t.Errorf("a registry's answer is waited for as long as it may come: deadlines %v", s.Deadlines())
	}
	fewer, _ := fold(t, after(running(terms()), verdictOf(5, VerdictPromote))...)
	if fewer.Promotion != nil {
		t.Errorf("without a registry: %+v", fewer.Promotion)
	}
}

// TestPromotionSentences: what people read of a promotion that the registry doesn't follow.
func TestPromotionSentences(t *testing.T) {
	fails := ack(8, 3, "mlflow", schemas.AckFailed)
	fails.Ack.Why = "MLflow has no such thing"
	s, _ := fold(t, after(running(terms(told)), verdictOf(5, VerdictPromote))...)
	var have []string
	for _, in := range []Input{expire(35, id(1, 3)+"/registry-mlflow"), fails, command(9, CommandDelete, true)} {
		var effects []Effect
		s, effects = Step(s, in)
		for _, e := range effects {
			if e.Notice != nil {
				have = append(have, e.Notice.Sentence)
			}
		}
		if in.Kind == InputAck {
			s, _ = Step(s, ack(9, 3, "eu", schemas.AckApplied))
		}
	}
	want := []string{
		"Not done of promotion ranker-42.1.3 in time: registry-mlflow (deadline passed once). Traffic doesn't wait for that, and it is tried again for a day. " +
			"If that can't wait, give the registry's alias or stage to 42 by hand. Nothing is said by mlflow: does a serve run that has it in its sinks, or does what it was told before hang there?",
		"Step registry-mlflow of promotion ranker-42.1.3 has failed, and isn't tried again: MLflow has no such thing. Traffic doesn't wait for that. " +
			"If that can't wait, give the registry's alias or stage to 42 by hand. This counts as over with the model's next rollout, or with `streamcanary rollout delete ranker-42`.",
		"ada deleted rollout ranker-42, which had ended. Not done, and not followed any more: registry-mlflow. " + unseen,
	}
	if !slices.Equal(have, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

// TestAnyRouterThatFails: where any router is enough, one that answers that it can't is named, and what it says.
func TestAnyRouterThatFails(t *testing.T) {
	fails := ack(6, 3, "eu", schemas.AckFailed)
	fails.Ack.Why = "disk full."
	s, _ := fold(t, after(rolledBack(terms(told)), fails, ack(6, 3, "slack", schemas.AckFailed))...)
	route := s.Saga.step(StepRoute)
	for what, have := range map[string]string{"the step": s.StepText(route), "the hint": s.hint(route.Wait), "the wait": s.waitingNames(route.Wait), "the drain": s.whoFollowed()} {
		if !strings.Contains(have, "eu answered failed to decision ranker-42.1.3 at 1970-01-01T00:00:06.000Z: disk full") || strings.Contains(have, "slack") || strings.Contains(have, "No router") {
			t.Errorf("%s: %q", what, have)
		}
	}
}
