package decisions

import (
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// codeNotBegun is the reason of what is decided although there was never a window in which both versions answered.
const codeNotBegun = "not_begun"

// Codes of a canary that has a weight: nothing is heard of it, at first or later; copies are, but no user is answered; less than half of what is planned is.
const (
	codeCanaryAbsent   = "canary_absent"
	codeCanaryMissing  = "canary_missing"
	codeCanaryUnserved = "canary_unserved"
	codeCanaryScarce   = "canary_scarce"
)

// maxRouters bounds the routers that a sentence names.
const maxRouters = 8

// amiss tells people once of each stretch in which the traffic isn't as planned, and of its end. It returns the verdict, with what routers say where nothing could be
// compared, or no user was answered: who reads that a version gets nothing must know who says that it does.
func (t *turn) amiss(v *Verdict) *Verdict {
	was := t.s.Amiss
	t.s.Amiss = slices.Clone(v.Amiss[:min(len(v.Amiss), maxNamed)])
	if v.Action != VerdictContinue && v.Unbegun || v.Action == VerdictRollback && v.unanswered() {
		told := *v
		told.Reason.Sentence += " " + t.s.followedText()
		v = &told
	}
	if v.Action == VerdictRollback {
		return v
	}
	for _, f := range t.s.Amiss {
		if !hasCode(was, f.Code) {
			t.notice(schemas.Notice{Kind: schemas.NoticeShareOffPlan, Severity: schemas.Warning, Sentence: f.Sentence + " " + t.s.followedText()})
		}
	}
	for _, f := range was {
		if !hasCode(t.s.Amiss, f.Code) {
			t.notice(schemas.Notice{Kind: schemas.NoticeShareAsPlanned, Severity: schemas.Info, Sentence: t.s.asPlanned(f.Code), Waiting: t.s.standing()})
		}
	}
	return v
}

// unanswered reports whether a verdict stands on users whom the canary doesn't answer, while something is heard of it.
func (v *Verdict) unanswered() bool {
	return v.Reason.Code == codeCanaryScarce || v.Reason.Code == codeCanaryMissing && hasCode(v.Amiss, codeCanaryUnserved)
}

// amissEnds tells that a stage ends, and with it what people were told of its traffic.
func (t *turn) amissEnds() {
	if t.s.Amiss == nil {
		return
	}
	t.s.Amiss = nil
	t.notice(schemas.Notice{Kind: schemas.NoticeShareAsPlanned, Severity: schemas.Info, Waiting: t.s.standing(),
		Sentence: fmt.Sprintf("%s ends, and with it what was told of its share of the traffic.", strings.ToUpper(t.s.StageText()[:1])+t.s.StageText()[1:])})
}

func hasCode(list []schemas.Finding, code string) bool {
	return slices.ContainsFunc(list, func(f schemas.Finding) bool { return f.Code == code })
}

// unheard is the code of what is amiss where users who are sent to the canary, or most of them, get no answer that anybody hears of; "": nothing is.
func (s *State) unheard() string {
	for _, code := range []string{codeCanaryAbsent, codeCanaryUnserved, codeCanaryScarce} {
		if hasCode(s.Amiss, code) {
			return code
		}
	}
	return ""
}

// asPlanned says what is as planned again.
func (s *State) asPlanned(code string) string {
	switch code {
	case codeCanaryAbsent:
		return fmt.Sprintf("Canary %s is heard of: judging begins.", s.Terms.Canary)
	case codeCanaryUnserved:
		return fmt.Sprintf("Canary %s answers users.", s.Terms.Canary)
	case codeCanaryScarce:
		return fmt.Sprintf("Canary %s answers half of its planned share of the traffic, or more.", s.Terms.Canary)
	case "shadow_users":
		return fmt.Sprintf("No user reaches canary %s any more: what its copies show counts towards a pass again.", s.Terms.Canary)
	case "baseline_absent":
		return fmt.Sprintf("Baseline %s is heard of: judging begins.", s.Terms.Baseline)
	}
	return fmt.Sprintf("Canary %s has the share of the traffic that is planned: what it does counts towards a pass again.", s.Terms.Canary)
}

// standing is what else people were told of, and that isn't over: what holds the rollout, pillars that fail, what is amiss, guardrails, alerts that are left out, answers
// and steps that are missing: what nobody was told to be missing comes without a word, and would keep the incident open. A hold for pillars stands as long as one fails.
func (s *State) standing() []string {
	all := slices.DeleteFunc(s.holdCodes(), func(code string) bool { return code == codePillarFailed })
	all = append(append(all, s.unplanned()...), s.Breached...)
	for _, name := range s.Suspected {
		if !slices.Contains(s.Breached, name) {
			all = append(all, name)
		}
	}
	all = slices.Concat(all, s.toldMissing(), s.left())
	return all[:min(len(all), maxNamed)]
}

// unplanned is what of it isn't as it was to be around the rollout: pillars that fail, traffic that is amiss, alerts that are left out.
func (s *State) unplanned() []string {
	var all []string
	for _, w := range s.gone() {
		all = append(all, pillarNamed(w.Name))
	}
	for _, f := range s.Amiss {
		all = append(all, f.Code)
	}
	if s.TruncatedTold {
		all = append(all, truncatedDeadline)
	}
	return all
}

// Standing is what stands whatever is decided: what people were told of, and will be told the end of by an event of its own. A hold isn't among it, nor what held: that ends with the decision
// that ends the hold. What a promotion, or another end, leaves behind is only what is followed after it: of all else nobody tells any more.
func (s *State) Standing() []string {
	switch {
	case s.Status == StatusSuperseded: // what it looked on at, the one that takes over does
		return s.undone()
	case s.Status.Ended():
		return s.left()
	case s.Status == StatusPromoting:
		return slices.Concat(s.toldMissing(), s.left())
	}
	return slices.Concat(s.unplanned(), s.Suspected, s.toldMissing(), s.left())
}

// What stands after an epoch's end until the model's next rollout (lingers), for who looks.
const (
	refusedStands = "refused start"
	advisedStands = "advised rollback"
)

// Stands is what people were told of, and that isn't over, each once, for who looks: a person's freeze, too, since the status says only that it holds, and what waits for the model's next rollout. Of what was deleted nothing, since nobody follows it any more.
func (s *State) Stands() []string {
	if s.Status == StatusDeleted {
		return nil
	}
	var all []string
	if s.Hold.Is(codeFrozen) && !s.Status.Ended() {
		all = append(all, codeFrozen)
	}
	switch {
	case !s.lingers():
	case s.Status == StatusRefused:
		all = append(all, refusedStands)
	case !s.Terms.awaited():
		all = append(all, advisedStands)
	}
	for _, name := range s.Standing() {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

// Calm reports whether nothing stands any more that people were told of: of what began, while it goes on, and after its end. What never began, and state that can't go back, wait for a person.
// That the model is rolled back again and again stands until its next rollout, and keeps no other thing from being over.
func (s *State) Calm() bool {
	switch s.Status {
	case StatusRunning, StatusHolding, StatusPromoting:
		return len(s.remaining()) == 0
	case StatusRolledBack, StatusPromoted, StatusSuperseded:
		return !s.awaitsNext() && !slices.ContainsFunc(s.left(), func(name string) bool { return name != codeChronic })
	case StatusPreparing, StatusFrozen, StatusDeleted, StatusRefused:
	}
	return false
}

// Routed reports whether routers were asked to follow what the present stage plans.
func (s *State) Routed() bool {
	return s.Terms.awaited() && !s.Terms.External && s.Terms.stageRoutes(s.Stage) != nil
}

// followedText is which routers say that they follow.
func (s *State) followedText() string {
	if !s.Routed() {
		return "No router was asked to move traffic."
	}
	return s.appliedText()
}

// appliedText is which routers say that they have applied a decision.
func (s *State) appliedText() string {
	var names []string
	for i := range s.Answers {
		if a := &s.Answers[i]; a.Status == schemas.AckApplied && s.speaksFor(a.Consumer, anyRouter) && !s.Stranger(a.Consumer) {
			names = append(names, fmt.Sprintf("%s (decision %d)", a.Consumer, a.Seq))
		}
	}
	if len(names) == 0 {
		return "No router has answered that it has applied a decision."
	}
	more := ""
	if len(names) > maxRouters {
		more = fmt.Sprintf(" and %d more", len(names)-maxRouters)
	}
	return fmt.Sprintf("Routers say that they have applied: %s%s.", strings.Join(names[:min(len(names), maxRouters)], ", "), more)
}
