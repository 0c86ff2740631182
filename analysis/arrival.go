package analysis

import (
	"fmt"
	"math"
	"slices"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// absentAlpha bounds how often an arm that gets its share of the traffic is said to be absent in an epoch.
const absentAlpha = .001

// absentAlpha is that for a rollout: no more than a tenth of falseRollback, beside which it stands.
func (j *Judge) absentAlpha() float64 { return min(absentAlpha, j.rollout.Risk.FalseRollback/10) }

// Codes of findings before the epoch's first window.
const (
	codeCanaryAbsent   = "canary_absent"
	codeBaselineAbsent = "baseline_absent"
)

// arrival watches an epoch that has not begun, as there is no window yet in which both arms answered: a canary that gets no traffic, is down from the start,
// or is called something else in the events. The time of the stage runs from when its traffic is due, and an arm from which nothing comes by then is tested as a
// missing one is (R4, at the share that is planned; nothing is learned of it later, when the epoch has begun).
//
// An absent arm is told of as soon as it is proven, and a silence of health.silent has passed. It lasts for windows in which the other arm is heard: where the whole stream is silent, nothing is
// known of either. What is done takes health.noData of silence: routers, pods and gateways
// begin in their own time, while one that breaks off has ended. Then a canary with a weight is rolled back, as one that falls silent is: users who are sent
// to it may get no answer, and if only the events call it something else, they are served by a version that nobody judges. A baseline holds. A shadow harms
// nobody, so only its stage's time ends it, as of all whose share isn't planned by us.
type arrival struct {
	dueMs   int64   // start of the first window in which traffic is due; 0: not known
	fromMs  int64   // start of the first window in which its answers are due; 0: it isn't reached yet
	awaited bool    // routers have said that they follow the plan, so that silence means something
	endMs   int64   // of the last window since; 0: there was none
	silent  int64   // ms
	noData  int64   // ms
	proof   float64 // what the evidence of an absent arm is held against
	sizes   *dispersion
	arms    [windows.Arms]*missing
	quiet   [windows.Arms]int64 // ms of windows since the arm was heard of, or its traffic was due, in which the other one was
	heard   [windows.Arms]int64 // events since
	late    [windows.Arms]int64
}

func (j *Judge) newArrival(serving *stream) {
	j.arrival.sizes = newDispersion(j.options, j.rollout.Phi, &serving.traffic)
	j.arrival.sizes.share = &shareNoise{}
	j.arrival.proof = math.Log(1 / j.absentAlpha())
	h := &j.rollout.Health
	j.arrival.silent, j.arrival.noData = h.Silent.Milliseconds(), max(h.NoData, h.Silent).Milliseconds()
	for arm := range windows.Arms {
		j.arrival.arms[arm] = newMissing(windows.Arm(arm), j.stages.least(windows.Arm(arm), 0, 0), j.rollout.Health.Silent, j.arrival.sizes)
	}
}

// Due says from which event time on the traffic of the first stage is due: Unix ms, after every window that was taken. awaited: routers have said that they follow its plan, so that an arm
// from which nothing comes is news; else only the stage's time runs. The first call counts. Without one, as in a replay, the epoch waits for its first window however long it takes.
func (j *Judge) Due(fromMs int64, awaited bool) {
	a := &j.arrival
	if a.dueMs != 0 || fromMs <= 0 {
		return
	}
	width := j.clock.widthMs
	a.dueMs, a.awaited = (fromMs+width-1)/width*width, awaited && j.stages.share(0) > 0
	if a.awaited {
		j.stages.dueMs = a.dueMs
	}
}

// comes takes the start of a serving window, and how long answers are on the way by then: silence means something only once they can be there. What was known of that when it began to count stays.
func (a *arrival) comes(startMs, answersMs int64) {
	if a.dueMs == 0 || a.fromMs > 0 || startMs < a.dueMs+answersMs {
		return
	}
	a.fromMs = a.dueMs + answersMs
	for _, m := range a.arms {
		m.lastMs = max(m.lastMs, a.fromMs)
	}
}

// counts reports whether answers are due in a window.
func (a *arrival) counts(startMs int64) bool { return a.fromMs > 0 && startMs >= a.fromMs }

// await takes a serving window from before the epoch's first.
func (j *Judge) await(p *windows.Part) {
	a := &j.arrival
	if p.Kind != windows.Serving || a.dueMs == 0 || p.StartMs < a.dueMs || j.verdict.Action == VerdictRollback {
		return
	}
	c := j.clock
	c.startMs = a.fromMs
	a.endMs = p.StartMs + c.widthMs
	a.sizes.share.look(p)
	for arm, m := range a.arms {
		a.heard[arm] += p.Traffic[arm].Events
		a.late[arm] += p.Traffic[arm].Late
		if !a.counts(p.StartMs) {
			continue
		}
		m.step(p, c, false)
		switch mine, other := &p.Traffic[arm], &p.Traffic[1-arm]; {
		case mine.Events+mine.Late > 0:
			a.quiet[arm] = 0
		case other.Events > 0:
			a.quiet[arm] += c.widthMs
		}
	}
	a.sizes.addSizes(&p.Traffic[windows.Baseline].Slices)
	a.sizes.share.await(p)
	j.unbegun()
}

// absent reports whether an arm is proven to be.
func (a *arrival) absent(arm windows.Arm) bool {
	return a.awaited && a.quiet[arm] >= a.silent && a.arms[arm].proven(a.proof)
}

// over reports whether an arm has been absent for so long that something is done.
func (a *arrival) over(arm windows.Arm) bool {
	return a.absent(arm) && a.quiet[arm] >= a.noData
}

// unbegun brings the verdict of an epoch that has not begun up to date.
func (j *Judge) unbegun() {
	action, code := j.unbegunNext()
	for i, c := range j.checks {
		j.sickNow[i] = c.sick()
	}
	news := j.tellHealth()
	v := &j.verdict
	if action == v.Action && code == v.Code && !news {
		return
	}
	v.Action, v.Code, v.EventMs = action, code, j.nowMs
	v.Sentence = j.unbegunSentence()
	if code == codeCanaryMissing {
		v.Severe, v.HarmBeganMs = true, j.arrival.arms[windows.Canary].lastMs
	}
}

// unbegunNext is what is asked for while the epoch has not begun.
func (j *Judge) unbegunNext() (VerdictAction, string) {
	a, stage := &j.arrival, j.stages.present()
	most := stage.Max.Milliseconds()
	switch {
	case a.over(windows.Canary) && !stage.Shadow():
		return VerdictRollback, codeCanaryMissing
	case most > 0 && a.endMs-a.dueMs >= most && stage.Then == schemas.OnRollback:
		return VerdictRollback, codeNotBegun
	case most > 0 && a.endMs-a.dueMs >= most:
		return VerdictHold, codeNotBegun
	case a.over(windows.Baseline):
		return VerdictHold, codeBaselineMissing
	}
	return VerdictContinue, codeNotBegun
}

// unbegunSentence says why the epoch has not begun, and what follows from it.
func (j *Judge) unbegunSentence() string {
	action, code := j.verdict.Action, j.verdict.Code
	switch {
	case code == codeCanaryMissing:
		return fmt.Sprintf("%s Users who are sent to it may get no answer, so it is rolled back after %s. %s", j.absentSentence(windows.Canary),
			durationText(j.arrival.quiet[windows.Canary]), j.lookSentence(windows.Canary))
	case code == codeBaselineMissing:
		return fmt.Sprintf("%s %s The rollout holds until it is heard of.", j.absentSentence(windows.Baseline), j.lookSentence(windows.Baseline))
	case action == VerdictContinue && j.arrival.absent(windows.Canary):
		return j.absentSentence(windows.Canary)
	case action == VerdictContinue && j.arrival.absent(windows.Baseline):
		return j.absentSentence(windows.Baseline)
	case action == VerdictContinue:
		return j.sentenceNotBegun()
	}
	then := "a person must decide (once that is mended, `rollout retry` begins anew)"
	if !j.arrival.awaited {
		then = "it holds until they do"
	}
	if action == VerdictRollback {
		then = "it is rolled back, as the rollout has it (then: rollback)"
	}
	whole := j.stages.present().Max.Milliseconds()
	return fmt.Sprintf("%s were over on %s, and by then there was no window in which both versions answered%s: %s. %s", j.wholeText(durationText(whole)),
		timeText(j.arrival.dueMs+whole, 0), j.countsText(), then, j.lookSentence(j.quieter()))
}

// countsText is what was planned and what was seen, before the epoch has begun.
func (j *Judge) countsText() string {
	a := &j.arrival
	text := fmt.Sprintf("%s sent %s predictions and %s %s", j.arm(windows.Canary), countText(a.heard[windows.Canary]), j.arm(windows.Baseline), countText(a.heard[windows.Baseline]))
	if late := a.late[windows.Canary] + a.late[windows.Baseline]; late > 0 {
		text += fmt.Sprintf(", and %s that were late", countText(late))
	}
	if planned := j.plannedText(windows.Canary); planned != "" {
		text = fmt.Sprintf("planned %s, observed %s; %s", planned, j.observedText(), text)
	}
	return fmt.Sprintf(" (%s)", text)
}

// observedText is the canary's share since its traffic was due, in the words of plannedText.
func (j *Judge) observedText() string {
	canary, baseline := float64(j.arrival.heard[windows.Canary]), float64(j.arrival.heard[windows.Baseline])
	if j.stages.present().Shadow() {
		return percentText(canary / max(1, baseline))
	}
	return percentText(canary / max(1, canary+baseline))
}

// plannedText is an arm's planned share of the traffic, or which share of the requests is copied to it; "" where none is planned.
func (j *Judge) plannedText(arm windows.Arm) string {
	stage, share := j.stages.present(), j.stages.share(j.stages.now)
	switch {
	case share == 0:
		return ""
	case arm == windows.Canary && stage.Shadow():
		return fmt.Sprintf("copies of %s of the requests", percentText(float64(stage.MirrorBP)/10000))
	case arm == windows.Canary:
		return percentText(share)
	case stage.Shadow():
		return "all of the requests"
	}
	return percentText(1 - share)
}

// absentSentence says since when nothing was heard of an arm, what is planned, and what comes of it. It holds no number that moves, as it is said once.
func (j *Judge) absentSentence(arm windows.Arm) string {
	a := &j.arrival
	m := a.arms[arm]
	due := ""
	if m.lastMs == a.fromMs {
		due = a.dueText()
	}
	return fmt.Sprintf("Nothing was heard of %s since %s%s, while %s answers: planned %s, observed 0 %%.", j.arm(arm), timeText(m.lastMs, j.nowMs), due, j.arm(1-arm), j.plannedText(arm))
}

// dueText is what began when an arm was heard of no more, where it never was.
func (a *arrival) dueText() string {
	if a.fromMs == a.dueMs {
		return ", when its traffic was due"
	}
	return fmt.Sprintf(", when its first answers were due (traffic %s before that)", durationText(a.fromMs-a.dueMs))
}

// lookSentence is what to look at where an arm isn't heard of.
func (j *Judge) lookSentence(arm windows.Arm) string {
	version := j.rollout.Canary
	if arm == windows.Baseline {
		version = j.rollout.Baseline
	}
	router := "the router sends it what it says it does"
	switch {
	case arm == windows.Canary && j.stages.present().Shadow():
		router = "requests are copied to it"
	case !j.arrival.awaited:
		router = "it gets traffic"
	}
	return fmt.Sprintf("Look whether %s, whether it runs and answers, and whether its events say version %q.%s", router, version, j.othersText())
}

// quieter is the arm of which less was heard.
func (j *Judge) quieter() windows.Arm {
	if j.arrival.heard[windows.Baseline] < j.arrival.heard[windows.Canary] {
		return windows.Baseline
	}
	return windows.Canary
}

// comesOfIt is what becomes of an arm that stays absent.
func (j *Judge) comesOfIt(arm windows.Arm) string {
	a, stage := &j.arrival, j.stages.present()
	until := timeText(a.endMs+max(0, a.noData-a.quiet[arm]), j.nowMs)
	switch {
	case arm == windows.Baseline:
		return fmt.Sprintf("If it stays so until %s, the rollout holds.", until)
	case !stage.Shadow():
		return fmt.Sprintf("Users who are sent to it may get no answer: if it stays so until %s, it is rolled back.", until)
	case stage.Max == 0:
		return "No user waits for its answers, so nothing is done by itself."
	}
	then := "the rollout holds"
	if stage.Then == schemas.OnRollback {
		then = "it is rolled back"
	}
	return fmt.Sprintf("No user waits for its answers: if it stays so until %s (max), %s.", timeText(a.dueMs+stage.Max.Milliseconds(), j.nowMs), then)
}

// Absent arms, as findings of an epoch that has not begun.
var (
	_ = registerHealth(healthKind{name: "canary absent", rank: 11, checks: func(j *Judge) []check {
		return []check{j.absentView(windows.Canary, codeCanaryAbsent)}
	}})
	_ = registerHealth(healthKind{name: "baseline absent", rank: 21, checks: func(j *Judge) []check {
		return []check{j.absentView(windows.Baseline, codeBaselineAbsent)}
	}})
)

func (j *Judge) absentView(arm windows.Arm, code string) *view {
	return &view{name: code, warn: true, errs: j.absentAlpha(), when: func() bool { return !j.begun && j.arrival.absent(arm) }, tell: func(f *schemas.Finding) {
		m := j.arrival.arms[arm]
		f.Sentence = fmt.Sprintf("%s %s %s", j.absentSentence(arm), j.comesOfIt(arm), j.lookSentence(arm))
		f.LogEvidence, f.Threshold, f.Since = shown(m.mixture.LogE()), j.arrival.proof, schemas.Time(m.lastMs)
	}}
}

// amissCodes are the findings of traffic that isn't as planned: people are told when one begins and when it ends.
var amissCodes = []string{codeCanaryAbsent, codeCanaryUnserved, codeCanaryScarce, codeBaselineAbsent, codeOffPlan, codeShadowUsers}

// tellHealth brings what the verdict says of the input up to date, and reports whether that is other findings than before.
func (j *Judge) tellHealth() bool {
	if slices.Equal(j.sickNow, j.sick) {
		return false
	}
	copy(j.sick, j.sickNow)
	j.verdict.Health, j.verdict.Amiss = j.findings(), nil
	for _, f := range j.verdict.Health {
		if slices.Contains(amissCodes, f.Code) {
			j.verdict.Amiss = append(j.verdict.Amiss, f)
		}
	}
	return true
}
