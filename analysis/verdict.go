package analysis

import (
	"slices"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// VerdictAction is what the evidence asks for.
type VerdictAction string

// The actions of a verdict. Where several apply: rollback before hold before promote before continue. A rollback is
// latched for the epoch; the others follow the evidence.
const (
	VerdictContinue VerdictAction = "continue"
	VerdictHold     VerdictAction = "hold"
	VerdictPromote  VerdictAction = "promote"
	VerdictRollback VerdictAction = "rollback"
)

// Codes of verdicts; a hold for the input's health has its finding's code.
const (
	codeNotBegun        = "not_begun"        // no window yet in which both arms answered
	codeUndecided       = "undecided"        // nothing proven yet
	codeGuardrailFailed = "guardrail_failed" // harm is proven
	codePatience        = "patience"         // suspect for as long as the rollout's patience
	codeAllPassed       = "all_passed"
	codeInconclusive    = "inconclusive" // the stage's time is over
)

// Codes of health findings.
const (
	codeCanaryMissing   = "canary_missing"
	codeBaselineMissing = "baseline_missing"
	codeSplitMismatch   = "split_mismatch"
	codeSplitUnwatched  = "split_unwatched" // the set of routing units is full
	codeUnequalSampling = "unequal_sampling"
	codeBothArms        = "both_arms"
	codeJoinOverflow    = "join_overflow"
)

// A Verdict is what follows from the parts so far.
type Verdict struct {
	Action      VerdictAction
	Code        string
	Sentence    string            // one plain sentence for a person
	EventMs     int64             // event time at which the verdict became this one: when the part that tipped it was ready
	StartMs     int64             // the epoch's first window; 0 before it
	HarmBeganMs int64             // estimated, of a rollback; 0: unknown
	Guardrail   string            // that a rollback or hold stands on; empty: none
	Health      []schemas.Finding // what is wrong with the input now
}

// ailment is one kind of health finding.
type ailment uint8

const (
	ailCanaryMissing ailment = iota
	ailBaselineMissing
	ailSplitMismatch
	ailSplitUnwatched
	ailUnequalSampling
	ailBothArms
	ailJoinOverflow
	ailments
)

var ailmentCodes = [ailments]string{
	codeCanaryMissing, codeBaselineMissing, codeSplitMismatch, codeSplitUnwatched, codeUnequalSampling, codeBothArms, codeJoinOverflow,
}

// decide brings proofs, states and the verdict up to date. It allocates only when the verdict changes or a
// guardrail is suspect.
func (j *Judge) decide() {
	member := len(j.rollback.any.max) - 1
	missing := j.missing[windows.Canary].mixture.LogMax()
	j.rollback.any.raise(member, missing)
	j.rollback.beyond.raise(member, missing)
	for _, g := range j.guards {
		g.raise()
	}
	j.silence[windows.Canary] = j.rollback.any.thresholds[member]
	passAt, patienceMs := passThreshold(j.rollout), j.rollout.Patience.Milliseconds()
	for _, g := range j.guards {
		g.judge(j.nowMs, patienceMs, passAt)
	}
	if j.verdict.Action == VerdictRollback {
		return
	}
	ails := j.ails()
	action, code, g := j.next(&ails)
	name := ""
	if g != nil {
		name = g.spec.Name
	}
	if action == j.verdict.Action && code == j.verdict.Code && name == j.verdict.Guardrail && ails == j.ailing {
		return
	}
	same := action == j.verdict.Action && code == j.verdict.Code && name == j.verdict.Guardrail
	if ails != j.ailing {
		j.ailing = ails
		j.verdict.Health = j.findings(&ails)
	}
	if same {
		return
	}
	j.verdict.Action, j.verdict.Code, j.verdict.Guardrail, j.verdict.EventMs = action, code, name, j.nowMs
	j.verdict.HarmBeganMs = j.harmBegan(action, g)
	j.verdict.Sentence = j.sentence(action, code, g)
}

// next is the verdict that the states ask for, and the guardrail that it stands on.
func (j *Judge) next(ails *[ailments]bool) (VerdictAction, string, *guard) {
	if g := j.failed(schemas.OnRollback); g != nil {
		return VerdictRollback, g.failure(), g
	}
	if ails[ailCanaryMissing] {
		return VerdictRollback, codeCanaryMissing, nil
	}
	if g := j.failed(schemas.OnHold); g != nil {
		return VerdictHold, g.failure(), g
	}
	for a, ails := range ails {
		if ails && j.holds(ailment(a)) {
			return VerdictHold, ailmentCodes[a], nil
		}
	}
	stage := j.stage()
	age := j.nowMs - j.clock.startMs
	if stage.Max > 0 && age >= stage.Max.Milliseconds() {
		return VerdictHold, codeInconclusive, nil
	}
	if age >= stage.Bake.Milliseconds() && j.passed(&stage) {
		return VerdictPromote, codeAllPassed, nil
	}
	return VerdictContinue, codeUndecided, nil
}

// stage is the only one there is.
func (j *Judge) stage() schemas.Stage {
	if len(j.rollout.Stages) == 0 {
		return schemas.Stage{}
	}
	return j.rollout.Stages[0]
}

// failed is the failed guardrail with the most evidence above its threshold, of those that do the same.
func (j *Judge) failed(on schemas.On) *guard {
	var worst *guard
	most := 0.0
	for _, g := range j.guards {
		if g.spec.On != on || g.state != schemas.StateFailed {
			continue
		}
		if excess := g.excess(); worst == nil || excess > most {
			worst, most = g, excess
		}
	}
	return worst
}

// excess is by how much the guardrail's evidence is above its threshold.
func (g *guard) excess() float64 {
	l := g.ladder()
	return l.max[g.member] - l.thresholds[g.member]
}

// failure says how it failed.
func (g *guard) failure() string {
	if g.patienceOut {
		return codePatience
	}
	return codeGuardrailFailed
}

// passed reports whether everything that a promotion needs has passed, and nothing is suspect.
func (j *Judge) passed(stage *schemas.Stage) bool {
	some := false
	for _, g := range j.guards {
		if g.state == schemas.StateSuspect && g.spec.On != schemas.OnWarn {
			return false
		}
		needed := g.needed(j.rollout)
		if stage.Pass != nil {
			needed = slices.Contains(stage.Pass, g.spec.Name)
		}
		if needed && g.state != schemas.StatePassed {
			return false
		}
		some = some || needed
	}
	return some
}

// holds reports whether an ailment holds the rollout.
func (j *Judge) holds(a ailment) bool {
	if a == ailSplitMismatch || a == ailSplitUnwatched {
		return j.rollout.Health.Traffic == schemas.OnHold
	}
	return true
}

// ails is what is wrong with the input now.
func (j *Judge) ails() (ails [ailments]bool) {
	ails[ailCanaryMissing] = j.missing[windows.Canary].proven(j.silence[windows.Canary])
	ails[ailBaselineMissing] = j.missing[windows.Baseline].proven(j.silence[windows.Baseline])
	ails[ailSplitMismatch] = j.split.off
	ails[ailSplitUnwatched] = j.split.full
	ails[ailUnequalSampling] = j.sampling.unequal
	for _, s := range j.streams {
		ails[ailJoinOverflow] = ails[ailJoinOverflow] || s.overflow && j.matters(s)
	}
	for _, g := range j.guards {
		ails[ailBothArms] = ails[ailBothArms] || g.bothArms
	}
	return ails
}

// findings tells every ailment to a person.
func (j *Judge) findings(ails *[ailments]bool) []schemas.Finding {
	var found []schemas.Finding
	for a, ail := range ails {
		if !ail {
			continue
		}
		f := schemas.Finding{Code: ailmentCodes[a], Sentence: j.ailmentSentence(ailment(a))}
		switch ailment(a) {
		case ailCanaryMissing, ailBaselineMissing:
			arm := windows.Canary
			if ailment(a) == ailBaselineMissing {
				arm = windows.Baseline
			}
			m := j.missing[arm]
			f.LogEvidence, f.Threshold, f.Since = shown(m.mixture.LogE()), j.silence[arm], schemas.Time(m.lastMs)
		case ailSplitMismatch:
			since, _, _ := j.split.changed()
			f.LogEvidence, f.Threshold, f.Since = shown(j.split.logE()), splitThreshold, schemas.Time(since)
		}
		found = append(found, f)
	}
	return found
}

// harmBegan is the estimated onset that a rollback stands on.
func (j *Judge) harmBegan(action VerdictAction, g *guard) int64 {
	switch {
	case action != VerdictRollback:
		return 0
	case g == nil:
		return j.missing[windows.Canary].lastMs
	}
	since, _ := g.canary.began()
	return since
}
