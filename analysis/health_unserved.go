package analysis

import (
	"fmt"
	"math"

	"streamcanary/schemas"
	"streamcanary/windows"
)

const codeCanaryUnserved = "canary_unserved"

// unserved watches for a canary that has a weight and answers no user, while copies of requests keep it from being silent: those of a shadow stage before that go on, or others that
// nobody planned. Users who are sent to it may get no answer, or are served by a version that nobody judges, as with one that is absent from the start (arrival), so it is told
// of after health.silent, and rolled back after health.noData. Both are of windows in which the baseline answers users, from when routers have said that they follow the
// stage; where none has (advice, a replay), nothing is awaited.
//
// The test is that of a missing arm (R4, with bets of its own in each stage), on predictions that are no copies, at the share that the stage plans. Its alpha is
// absentAlpha, in equal parts for the stages. Where no copies come either, missing sees it, and sooner.
type unserved struct {
	judge   *Judge
	serving *stream
	test    *missing // of the present stage
	begun   bool     // a window of it was taken
	fromMs  int64    // start of the first of these
	endMs   int64    // end of the latest
	quiet   int64    // ms of windows since the canary answered a user, in which the baseline did
	copies  int64    // that the canary answered meanwhile
}

var _ = registerHealth(healthKind{name: "canary unserved", rank: 12, checks: func(j *Judge) []check {
	if j.stages.share(0) == 0 {
		return nil
	}
	j.unserved = &unserved{judge: j, serving: j.stream(servingStream)}
	j.unserved.renew()
	return []check{j.unserved}
}})

// renew begins a stage; nil is no check.
func (u *unserved) renew() {
	if u == nil {
		return
	}
	j := u.judge
	test := newMissing(windows.Canary, j.stages.share(j.stages.now), j.rollout.Health.Silent, j.sizes)
	*u = unserved{judge: j, serving: u.serving, test: test}
}

func (u *unserved) take(p *windows.Part, _ feeding, c clock) {
	j := u.judge
	if p.Kind != windows.Serving || !j.arrival.awaited || !j.arrival.counts(p.StartMs) || u.serving.stage != j.stages.now || j.stages.present().Shadow() {
		return
	}
	if !u.begun {
		u.begun, u.fromMs, u.test.lastMs = true, p.StartMs, p.StartMs
	}
	c.startMs, u.endMs = u.fromMs, p.StartMs+c.widthMs
	canary, baseline := &p.Traffic[windows.Canary], &p.Traffic[windows.Baseline]
	copies := canary.Events - canary.Served
	mine := canary.Served
	if copies == 0 { // else those that are late are taken for copies, too
		mine += canary.Late
	}
	u.test.count(heard{mine: mine, other: baseline.Served, onTime: baseline.Served}, p.StartMs, c, false)
	switch {
	case mine > 0:
		u.quiet, u.copies = 0, 0
	case baseline.Served > 0:
		u.quiet += c.widthMs
	}
	if u.quiet > 0 {
		u.copies += copies
	}
}

// threshold is what the log evidence of a stage is held against.
func (u *unserved) threshold() float64 {
	return u.judge.arrival.proof + math.Log(float64(len(u.judge.stages.all)))
}

// over reports whether it has lasted so long that something is done; nil is no check.
func (u *unserved) over() bool { return u != nil && u.sick() && u.quiet >= u.judge.arrival.noData }

func (u *unserved) sick() bool {
	return u.copies > 0 && u.quiet >= u.judge.arrival.silent && u.test.proven(u.threshold())
}

func (u *unserved) holds() bool { return false }

func (u *unserved) alpha() float64 { return u.judge.absentAlpha() }

func (u *unserved) code() string { return codeCanaryUnserved }

func (u *unserved) finding() schemas.Finding {
	return schemas.Finding{Code: codeCanaryUnserved, Sentence: u.sentence(), LogEvidence: shown(u.test.mixture.LogE()), Threshold: u.threshold(), Since: schemas.Time(u.test.lastMs)}
}

// sentence says since when no user was answered, what comes of it, and what to look at.
func (u *unserved) sentence() string {
	j := u.judge
	due := ""
	if u.test.lastMs == u.fromMs {
		due = ", when its traffic was due"
	}
	then := fmt.Sprintf(": if it stays so until %s, it is rolled back", timeText(u.endMs+max(0, j.arrival.noData-u.quiet), j.nowMs))
	if u.over() {
		then = fmt.Sprintf(", so it is rolled back after %s", durationText(u.quiet))
	}
	return fmt.Sprintf("%s has answered no user since %s%s, while %s does: planned %s, observed 0 %%; it only gets copies of requests. "+
		"Users who are sent to it may get no answer, or that of a version that nobody judges%s. "+
		"Look whether the router sends it what it says it does, whether requests are still copied to it, and whether its events have the right version, and \"shadow\" only of copies.%s",
		capital(j.arm(windows.Canary)), timeText(u.test.lastMs, j.nowMs), due, j.arm(windows.Baseline), j.plannedText(windows.Canary), then, j.othersText())
}

func (u *unserved) evidence(dst []float64) []float64 { return dst }

// told appends the evidence while there is something to tell, so that what is decided by it is in the digest, and that of a rollout in which nothing is amiss has no more numbers.
// nil is no check.
func (u *unserved) told(dst []float64) []float64 {
	if u == nil || !u.sick() {
		return dst
	}
	return append(dst, u.test.mixture.LogE())
}
