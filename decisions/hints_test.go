package decisions

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// hinted are the commands that a text tells people to use: "rollout resume NAME --comment WHY".
var hinted = regexp.MustCompile("rollout (pause|resume|advance|promote|rollback|freeze|retry|delete|back|apply)\\b[^`;.]*")

// obeyed says why what a text tells people to do would be refused as things stand; "": it is done. Words that aren't commands of the state machine are the court's: what it
// asks of the state is asked here.
func obeyed(s *State, hint, do string) string {
	force := strings.Contains(hint, "--override") || strings.Contains(hint, "--force")
	switch do {
	case "retry", "apply":
		if do == "apply" && !strings.Contains(hint, "--new-epoch") {
			return "an epoch that there is needs --new-epoch"
		}
		if do == "retry" {
			return s.RefusesRetry(force)
		}
		return s.Unfinished(force)
	case "back":
		if s.Status != StatusPromoted {
			return fmt.Sprintf("it is %s, not promoted", s.Status)
		}
		return s.RefusesBack(force)
	}
	in := command(3000, CommandKind(do), force)
	in.Turn = 5
	_, effects := Step(*s, in)
	for _, e := range effects {
		if e.Notice != nil && e.Notice.Kind == schemas.NoticeCommandRefused {
			return e.Notice.Sentence
		}
	}
	return ""
}

// hintStates are rollouts that are in everything that a rollout can be in.
func hintStates() map[string][]Input {
	harm, breach := verdictOf(10, VerdictRollback), verdictOf(10, VerdictContinue)
	breach.Verdict.Breached = []string{"p99"}
	promoting := after(running(terms(weight)), verdictOf(10, VerdictPromote))
	moved := []Input{harm, ack(11, 3, "item", schemas.AckPrepared), ack(12, 3, "user", schemas.AckPrepared), ack(13, 4, "eu", schemas.AckApplied)}
	corrupt := ack(15, 5, "user", schemas.AckFailed)
	watch := after(running(terms(ramp, watched)), command(8, CommandAdvance, false))
	pause, freeze := command(10, CommandPause, false), command(10, CommandFreeze, false)
	held := []Input{applied(1, terms(stateful)), pause}
	ready := []Input{ack(11, 2, "eu", schemas.AckPrepared), snapped(12, 2, "user"), snapped(13, 2, "item")}
	return map[string][]Input{
		"preparing":                         {applied(1, terms(ramp))},
		"held before it begins":             held,
		"prepared, and held":                after(held, ready...),
		"prepared, and frozen":              after([]Input{applied(1, terms(stateful)), freeze}, ready...),
		"running":                           begun(),
		"waiting for routers":               watch,
		"paused":                            after(begun(), pause),
		"frozen by a person":                after(begun(), freeze),
		"holding":                           after(begun(), found(10, "late")),
		"held by a gap":                     after(begun(), gap(10)),
		"harm in the last stage":            after(running(terms(weight)), breach),
		"a hold in the last stage":          after(running(terms(weight)), found(10, "late")),
		"in the last stage":                 running(terms(weight)),
		"harm":                              after(begun(), breach),
		"waiting for an approval":           after(running(terms(ramp, approved)), verdictOf(10, VerdictAdvance)),
		"waiting to be promoted":            after(running(terms(weight, func(t *Terms) { t.ApprovePromotion = true })), verdictOf(10, VerdictPromote)),
		"an alert":                          after(running(terms(weight, guarded)), alarm(10, "hold", 4)),
		"promoting":                         promoting,
		"promoted":                          after(promoting, ack(11, 3, "eu", schemas.AckApplied)),
		"promoted, and not to be read":      after(begun(illegible), command(10, CommandPromote, true), ack(11, 3, "eu", schemas.AckApplied)),
		"rolled back, and open":             rolledBack(terms(ramp)),
		"rolled back, and done":             after(rolledBack(terms()), append(windowsOf(6, 3, 1000, 0), ack(9, 3, "eu", schemas.AckApplied))...),
		"rolled back, its state frozen":     after(begun(), harm),
		"rolled back, and not restored":     after(begun(), append(moved[:4:4], corrupt)...),
		"frozen, its state can't go back":   after(begun(illegible), harm, ack(11, 3, "item", schemas.AckRejected)),
		"rolled back while it was prepared": {applied(1, terms(ramp)), command(10, CommandRollback, false)},
		"a cache that is warmed":            after(running(terms(cached)), verdictOf(10, VerdictRollback)),
		"refused":                           {pillared(NewPillar(PillarInput, PillarFailed, []string{"x is gone"}))},
		"superseded":                        after(begun(), command(10, CommandSupersede, false)),
		"deleted":                           after(begun(), command(10, CommandDelete, false)),
		"deleted, and frozen":               after(begun(), harm, command(11, CommandDelete, true)),
		"advised":                           {applied(1, terms(advise)), verdictOf(10, VerdictRollback)},
	}
}

// TestHintsAreObeyed: whatever a refusal tells people to do instead isn't refused as things stand; neither is what the last decision and notices say.
func TestHintsAreObeyed(t *testing.T) {
	hints := 0
	for name, in := range hintStates() {
		for i := range in {
			in[i].Turn = 5
		}
		s := stateOf(t, in...)
		texts := map[string]string{}
		for do := range commands {
			for _, force := range []bool{false, true} {
				next := command(2000, do, force)
				next.Turn = 5
				_, effects := Step(s, next)
				for _, e := range effects {
					if e.Notice != nil && e.Notice.Kind == schemas.NoticeCommandRefused {
						texts[fmt.Sprintf("%s, force %v", do, force)] = e.Notice.Sentence
					}
				}
			}
		}
		texts["retry"], texts["apply"] = s.RefusesRetry(false), s.Unfinished(false)
		if s.Why != nil {
			texts["why"] = s.Why.Sentence
		}
		if s.Status != StatusPromoted {
			texts["back"] = s.NotPromoted()
		}
		if s.Wait != nil {
			texts["meanwhile"] = s.meanwhile()
		}
		if s.Status == StatusPreparing {
			texts["shown"] = s.PreparingText()
		}
		for what, text := range texts {
			for _, hint := range hinted.FindAllStringSubmatch(text, -1) {
				hints++
				if why := obeyed(&s, hint[0], hint[1]); why != "" {
					t.Errorf("%s: %s says %q, and that is refused: %s\n%s", name, what, hint[0], why, text)
				}
			}
		}
	}
	if hints < 60 {
		t.Errorf("only %d hints are looked at", hints)
	}
	t.Logf("%d hints are obeyed", hints)
}
