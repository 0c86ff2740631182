package analysis

import (
	"fmt"
	"math"

	"streamcanary/schemas"
	"streamcanary/windows"
)

const codeOffPlan = "off_plan"

// planCheck tells people that the share that is seen is not the one that the stage plans, so that nothing counts towards a pass (stages.offPlan): a shadow of which half is
// mirrored, weights that a router rounds. It decides nothing, and stands on the same sizes, divided by their over-dispersion: users send several at once, which moves the share of a
// second or two, and is nothing to tell people.
//
// A stretch begins when the share was off the plan for health.silent without a break, and ends when it was within the odds of the plan for as long; a time in which too little came
// to tell does neither. Where the split's own test looks, that is quicker, and says it: a stretch then begins after health.noData, for what that test can't see, which may go by
// units, and of units by those that are new.
type planCheck struct {
	judge       *Judge
	serving     *stream
	watch       shareWatch // of sizes, each divided by phi
	seen        shareWatch // the latest that wasn't empty
	seenMs      int64      // start of its last window; 0: the share has changed since
	atMs        int64      // start of the first window of the share that was seen last; 0: none yet
	offMs, onMs int64      // start of the first window since which the share is off the plan, or on it, without a break; 0: it isn't
	off         bool       // in a stretch
	told        bool
}

var _ = registerHealth(healthKind{name: "share off the plan", rank: 32, checks: func(j *Judge) []check {
	if j.stages.share(0) == 0 {
		return nil
	}
	j.plan = &planCheck{judge: j, serving: j.stream(windows.Stream{Kind: windows.Serving})}
	return []check{j.plan}
}})

func (k *planCheck) take(p *windows.Part, f feeding, c clock) {
	j := k.judge
	if p.Kind != windows.Serving || f.unequal || k.serving.stage != j.stages.now { // the latter: routers change over
		return
	}
	arms := j.sizes.arms()
	phi := max(arms[windows.Canary], arms[windows.Baseline])
	k.watch.add(float64(p.Traffic[windows.Canary].Events)/phi, float64(p.Traffic[windows.Baseline].Events)/phi)
	if k.watch == (shareWatch{}) {
		k.seenMs = 0
		return
	}
	if k.seenMs == 0 {
		k.atMs = p.StartMs
	}
	k.seen, k.seenMs = k.watch, p.StartMs
	off := j.stages.off(k.serving.stage, &k.watch)
	k.offMs, k.onMs = since(k.offMs, off, p.StartMs), since(k.onMs, !off && k.near(), p.StartMs)
	end, wait := p.StartMs+c.widthMs, k.wait()
	switch {
	case k.offMs > 0 && end-k.offMs >= wait:
		k.off = true
	case k.onMs > 0 && end-k.onMs >= wait:
		k.off = false
	}
	stage := &j.stages.all[k.serving.stage]
	k.told = k.off && (k.told || !j.split.off) && !stage.Warm && stage.Watch == 0 // where nothing has to pass
}

// since is from when on something is so: a time that is kept while it is, 0 when it isn't.
func since(before int64, is bool, nowMs int64) int64 {
	switch {
	case !is:
		return 0
	case before == 0:
		return nowMs
	}
	return before
}

// near reports whether the share that is seen has odds within those that end no block.
func (k *planCheck) near() bool {
	w, share := &k.watch, k.judge.stages.share(k.serving.stage)
	here, there := w.canary*(1-share), w.baseline*share
	return here >= shareOddsLow*there && here <= shareOddsHigh*there
}

// wait is how long a share must stay off the plan, or on it, in ms.
func (k *planCheck) wait() int64 {
	h := &k.judge.rollout.Health
	if k.judge.split.moving || k.judge.split.full {
		return h.Silent.Milliseconds()
	}
	return max(h.Silent, h.NoData).Milliseconds()
}

// renew begins a stage, with another plan; nil is no check.
func (k *planCheck) renew() {
	if k != nil {
		k.watch, k.seen, k.seenMs, k.atMs, k.offMs, k.onMs, k.off, k.told = shareWatch{}, shareWatch{}, 0, 0, 0, 0, false, false
	}
}

// ends ends a stretch where its stage does and the share is on the plan by now, and reports whether there was one; nil is no check.
func (k *planCheck) ends() bool {
	if k == nil || !k.told || k.onMs == 0 {
		return false
	}
	k.off, k.told = false, false
	return true
}

// differs reports whether the share that is seen now is off the plan, told or not; nil is no check.
func (k *planCheck) differs() bool { return k != nil && k.offMs > 0 }

func (k *planCheck) sick() bool { return k.told }

func (k *planCheck) holds() bool { return false }

func (k *planCheck) alpha() float64 { return 0 }

func (k *planCheck) code() string { return codeOffPlan }

func (k *planCheck) finding() schemas.Finding {
	return schemas.Finding{Code: codeOffPlan, Since: schemas.Time(k.atMs), Sentence: k.sentence()}
}

// sentence is what is planned and what is seen, what that means, and what to do.
func (k *planCheck) sentence() string {
	j := k.judge
	stage := &j.stages.all[k.serving.stage]
	set := "the routers to the plan, or apply a rollout whose stages plan what they do"
	if stage.Shadow() {
		set = "the mirroring to the plan, or apply a rollout that plans what is mirrored"
	}
	return fmt.Sprintf("%s Harm counts all the same. Set %s.", k.text(), set)
}

// text is what is planned and what is seen, and what that means.
func (k *planCheck) text() string {
	j, w := k.judge, &k.seen
	stage := &j.stages.all[k.serving.stage]
	when := ""
	if k.atMs > 0 {
		when = " since " + timeText(k.atMs, j.nowMs)
	}
	if stage.Shadow() {
		copied := math.NaN()
		if w.baseline > 0 {
			copied = w.canary / w.baseline
		}
		return fmt.Sprintf("%s gets copies of %s of the requests%s, planned are copies of %s: nothing counts towards a pass until as many come as are planned.",
			capital(j.arm(windows.Canary)), percentText(copied), when, percentText(float64(stage.MirrorBP)/10000))
	}
	return fmt.Sprintf("%s has %s of the traffic%s, planned are %s: nothing counts towards a pass until it has what is planned.",
		capital(j.arm(windows.Canary)), percentText(w.canary/(w.canary+w.baseline)), when, percentText(j.stages.share(k.serving.stage)))
}

func (k *planCheck) evidence(dst []float64) []float64 { return dst }
