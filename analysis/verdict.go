package analysis

import (
	"slices"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// VerdictAction is what the evidence asks for.
type VerdictAction string

// The actions of a verdict. Where several apply: rollback before hold before advance and promote before continue. A rollback is
// latched for the epoch, and so is the failure of a guardrail that holds; the others follow the evidence. Advance asks for the next stage, as promote does after the last one: see Judge.Advance.
const (
	VerdictContinue VerdictAction = "continue"
	VerdictHold     VerdictAction = "hold"
	VerdictAdvance  VerdictAction = "advance"
	VerdictPromote  VerdictAction = "promote"
	VerdictRollback VerdictAction = "rollback"
)

// Codes of verdicts; a hold for the input's health has its finding's code.
const (
	codeNotBegun        = "not_begun"        // no window yet in which both arms answered; as a hold or a rollback: nor by the end of the stage's time
	codeUndecided       = "undecided"        // nothing proven yet
	codeGuardrailFailed = "guardrail_failed" // harm is proven
	codePatience        = "patience"         // suspect for as long as the rollout's patience
	codeAllPassed       = "all_passed"
	codeWatched         = "watched"      // nothing failed for as long as a promotion is watched
	codeNoHarm          = "no_harm"      // nothing failed or is suspect, in a stop that only warms a cache
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
	codeSegmentsFull    = "segments_full"
	codeUnlisted        = "segments_unlisted" // stratify compares within the segments of a list, and there are others
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
	Segment     string            // that it failed in; empty: all of the traffic
	Severe      bool              // of a rollback: users get no answer, or one beyond a limit, so it can't wait for a cache to be warmed
	Graver      *Graver           // that has come up since a rollback that could wait; nil: nothing has
	Stage       int               // that it was said in, from 0
	Health      []schemas.Finding // what is wrong with the input now
	Amiss       []schemas.Finding // of Health, those of traffic that isn't as planned
	Concerns    []Concern         // that came up with the latest part; none beside a rollback
	Breached    []string          // guardrails that are failed or suspect now, but for those that only warn
	Beyond      int               // how often what Judge.Beyond tells has changed, up to a rollback
}

// decide brings proofs, states and the verdict up to date. It allocates only when the verdict changes or a
// guardrail is suspect.
func (j *Judge) decide() {
	member := j.missingMember
	missing := j.missing[windows.Canary].mixture.LogMax()
	j.rollback.any.raise(member, missing)
	j.rollback.fail.raise(member, missing)
	for _, g := range j.all {
		g.raise()
	}
	j.silence[windows.Canary] = j.rollback.fail.thresholds[member]
	passAt, patienceMs := passThreshold(j.rollout), j.rollout.Patience.Milliseconds()
	for _, g := range j.all {
		g.judge(j.nowMs, patienceMs, passAt)
	}
	if j.verdict.Concerns = nil; j.verdict.Action == VerdictRollback {
		j.worsen()
		return
	}
	for i, c := range j.checks {
		j.sickNow[i] = c.sick()
	}
	j.breaches()
	j.shelters()
	now := j.next()
	if now.action != VerdictRollback {
		j.verdict.Concerns = j.concerns()
	}
	same := now.action == j.verdict.Action && now.code == j.verdict.Code && now.name() == j.verdict.Guardrail && now.segment() == j.verdict.Segment &&
		now.open == j.open && j.stages.now == j.verdict.Stage
	j.open = now.open
	j.tellHealth()
	if same {
		return
	}
	j.verdict.Action, j.verdict.Code, j.verdict.Guardrail, j.verdict.Segment, j.verdict.EventMs = now.action, now.code, now.name(), now.segment(), j.nowMs
	j.verdict.HarmBeganMs, j.verdict.Stage = j.harmBegan(now), j.stages.now
	j.verdict.Severe = now.severe() || now.action == VerdictRollback && j.gravest().severe()
	j.verdict.Sentence = j.sentence(now)
}

// breaches brings the verdict's list of guardrails that say that the canary does harm up to date.
func (j *Judge) breaches() {
	changed := false
	for _, g := range j.all {
		is := g.spec.On != schemas.OnWarn && (g.state == schemas.StateSuspect || g.state == schemas.StateFailed)
		changed = changed || is != g.breached
		g.breached = is
	}
	if !changed {
		return
	}
	j.verdict.Breached = nil
	for _, g := range j.all {
		if g.breached {
			j.verdict.Breached = append(j.verdict.Breached, g.name())
		}
	}
}

// cause is a verdict and what it stands on: a guardrail, a check, or neither.
type cause struct {
	action VerdictAction
	code   string
	guard  *guard
	check  check
	open   open
}

// open is what is known although nothing is decided: it changes the sentence and nothing else.
type open struct {
	suspect *guard // nil: none is
	sinceMs int64  // event time from which its patience counts
	baking  bool   // everything has passed that must, but the stage isn't old enough
	coming  bool   // the stage hasn't begun
	awayMs  int64  // of the stage: what its bake doesn't count
}

// name is the guardrail's, if there is one.
func (c cause) name() string {
	if c.guard == nil {
		return ""
	}
	return c.guard.spec.Name
}

// segment is that of the guardrail.
func (c cause) segment() string {
	if c.guard == nil {
		return ""
	}
	return c.guard.segment
}

// next is the verdict that the states ask for.
func (j *Judge) next() cause {
	if c := j.harm((*guard).always); c.action == VerdictRollback {
		return c
	}
	if g := j.failed(schemas.OnHold, (*guard).always); g != nil {
		return cause{action: VerdictHold, code: g.failure(), guard: g}
	}
	for i, c := range j.checks {
		if j.sickNow[i] && c.holds() {
			return cause{action: VerdictHold, code: c.code(), check: c}
		}
	}
	stage, age := j.stages.present(), j.stages.age(j.nowMs)
	passed := j.passed(stage)
	shown := passed && age-j.stages.awayMs >= (stage.Bake+stage.Watch).Milliseconds()
	if j.stages.late(j.nowMs, shown) {
		if stage.Then == schemas.OnRollback {
			return cause{action: VerdictRollback, code: codeInconclusive}
		}
		return cause{action: VerdictHold, code: codeInconclusive}
	}
	switch {
	case shown && stage.Watch > 0:
		return cause{action: VerdictPromote, code: codeWatched}
	case shown && stage.Warm:
		return cause{action: map[bool]VerdictAction{true: VerdictPromote, false: VerdictAdvance}[j.stages.last()], code: codeNoHarm}
	case shown && j.stages.last():
		return cause{action: VerdictPromote, code: codeAllPassed}
	case shown:
		return cause{action: VerdictAdvance, code: codeAllPassed}
	}
	still := cause{action: VerdictContinue, code: codeUndecided, open: open{baking: passed && !stage.Warm && age >= 0, coming: age < 0}}
	if still.open.baking {
		still.open.awayMs = j.stages.awayMs
	}
	if g := j.suspect(); g != nil {
		still.open = open{suspect: g, sinceMs: g.suspectSince}
	}
	return still
}

// suspect is the first guardrail that is, of those that roll back, else of those that hold; nil: none.
func (j *Judge) suspect() *guard {
	for _, on := range []schemas.On{schemas.OnRollback, schemas.OnHold} {
		for _, g := range j.all {
			if g.spec.On == on && g.state == schemas.StateSuspect {
				return g
			}
		}
	}
	return nil
}

// harm is what asks for a rollback now, of guardrails like these, or the canary's silence; the zero cause: nothing does.
func (j *Judge) harm(like func(*guard) bool) cause {
	if g := j.failed(schemas.OnRollback, like); g != nil {
		return cause{action: VerdictRollback, code: g.failure(), guard: g}
	}
	if j.silent(windows.Canary) {
		return cause{action: VerdictRollback, code: codeCanaryMissing, check: j.checks[j.checkOf(codeCanaryMissing)]}
	}
	if j.verdict.Action != VerdictRollback && j.unserved.over() { // a canary that is rolled back is to answer nobody
		return cause{action: VerdictRollback, code: codeCanaryMissing, check: j.unserved}
	}
	if j.verdict.Action != VerdictRollback && j.scarce.over() { // likewise
		return cause{action: VerdictRollback, code: codeCanaryScarce, check: j.scarce}
	}
	return cause{}
}

// failed is the failed guardrail with the most evidence above its threshold, of those that do the same, and are like these.
func (j *Judge) failed(on schemas.On, like func(*guard) bool) *guard {
	var worst *guard
	most := 0.0
	for _, g := range j.all {
		if g.spec.On != on || g.state != schemas.StateFailed || !like(g) {
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
	l := g.family.fail
	return l.max[g.member] - l.thresholds[g.member]
}

// failure says how it failed.
func (g *guard) failure() string {
	if g.patienceOut {
		return codePatience
	}
	return codeGuardrailFailed
}

// passed reports whether everything that the end of a stage needs has passed in it, and nothing is suspect. A watch, and a stop that warms a cache, need no more than the latter.
func (j *Judge) passed(stage *schemas.Stage) bool {
	some := stage.Watch > 0 || stage.Warm
	for _, g := range j.all {
		if g.state == schemas.StateSuspect && g.spec.On != schemas.OnWarn {
			return false
		}
		needed := j.mustPass(g, stage)
		if needed && g.state != schemas.StatePassed {
			return false
		}
		some = some || needed
	}
	return some
}

// mustPass reports whether a stage's end needs a guardrail to pass.
func (j *Judge) mustPass(g *guard, stage *schemas.Stage) bool {
	if stage.Watch > 0 || stage.Warm {
		return false
	}
	if stage.Pass != nil {
		return !g.ofPart && slices.Contains(stage.Pass, g.spec.Name)
	}
	return g.needed(j.rollout)
}

// harmBegan is the estimated onset that a rollback stands on.
func (j *Judge) harmBegan(c cause) int64 {
	switch {
	case c.action != VerdictRollback, c.code == codeInconclusive:
		return 0
	case c.check != nil && c.check.code() == codeCanaryUnserved:
		return j.unserved.test.lastMs
	case c.code == codeCanaryScarce:
		return j.scarce.sinceMs
	case c.guard == nil:
		return j.missing[windows.Canary].lastMs
	}
	since, _ := c.guard.began()
	return since
}
