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
// Windows are taken in batches: one ends as soon as it is proven to be off the plan, or when it would be if its odds were at the bounds of what ends no block. So what was before is
// forgotten, however long it was. A stretch begins when batches were off the plan for health.silent, and ends when they were on it for as long. Where the split's own test looks, that is
// quicker, and says it: a stretch then takes health.noData, and is of what that test can't see, which may go by units, and of units by those that are new.
type planCheck struct {
	judge       *Judge
	serving     *stream
	batch       shareWatch // sizes of the open one, each divided by phi
	fromMs      int64      // its start; 0: it is empty
	seen        shareWatch // of all batches since the share was off the plan last
	atMs        int64      // start of the first of these
	offMs, onMs int64      // start of the first batch since which the share is off the plan, or on it, without a break; 0: it isn't
	off         bool       // in a stretch
	split       bool       // the split's test has said it by the last window
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
	if p.Kind != windows.Serving || f.unequal || j.answers.early(p.StartMs) || k.serving.stage != j.stages.now { // the latter two: answers are of another split, routers change over
		return
	}
	if k.split && !j.split.off { // it is as planned again, and that was quicker, too
		k.renew()
	}
	k.split = j.split.off
	arms := j.sizes.arms()
	phi := max(arms[windows.Canary], arms[windows.Baseline])
	k.batch.canary += float64(p.Traffic[windows.Canary].Events) / phi
	k.batch.baseline += float64(p.Traffic[windows.Baseline].Events) / phi
	if k.fromMs == 0 {
		k.fromMs = p.StartMs
	}
	if off := j.stages.off(k.serving.stage, &k.batch); off || k.enough() {
		k.end(off, p.StartMs+c.widthMs)
	}
	stage := &j.stages.all[k.serving.stage]
	k.told = k.off && (k.told || !j.split.off) && !stage.Warm && stage.Watch == 0 // where nothing has to pass
}

// end ends a batch.
func (k *planCheck) end(off bool, endMs int64) {
	if off && k.offMs == 0 {
		k.seen, k.atMs = shareWatch{}, k.fromMs
	}
	few := k.batch.share() < k.judge.stages.share(k.serving.stage) // more than enough is enough to bake
	if stage := k.judge.stages.present(); off && few && !stage.Warm && stage.Watch == 0 {
		k.judge.stages.awayMs += endMs - k.fromMs
	}
	if off {
		k.seen.canary, k.seen.baseline = k.seen.canary+k.batch.canary, k.seen.baseline+k.batch.baseline
	}
	k.offMs, k.onMs = since(k.offMs, off, k.fromMs), since(k.onMs, !off, k.fromMs)
	if off != k.judge.stages.offPlan(k.serving) { // a batch tells what no window does by itself, where sizes are noisy
		for _, s := range k.judge.streams {
			if s.Kind == windows.Outcomes {
				s.traffic.watch = shareWatch{}
			}
		}
		k.serving.traffic.watch = k.batch
	}
	k.batch, k.fromMs = shareWatch{}, 0
	switch wait := k.wait(); {
	case k.offMs > 0 && endMs-k.offMs >= wait:
		k.off = true
	case k.off && k.onMs > 0 && endMs-k.onMs >= wait:
		k.over()
	}
}

// over ends a stretch. What keeps windows from proving a pass forgets it, too: where little comes, no window shows that the share has changed.
func (k *planCheck) over() {
	k.off, k.told, k.serving.traffic.watch = false, false, shareWatch{}
}

// enough reports whether the open batch would be proven to be off the plan if its odds were at the bounds.
func (k *planCheck) enough() bool {
	share, n := k.judge.stages.share(k.serving.stage), k.batch.canary+k.batch.baseline
	for _, odds := range []float64{shareOddsLow, shareOddsHigh} {
		at := odds * share / (1 - share + odds*share)
		if g := 2 * n * (excess(at, share) + excess(1-at, 1-share)); g <= shareDeviance {
			return false
		}
	}
	return true
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
		*k = planCheck{judge: k.judge, serving: k.serving}
	}
}

// differs reports whether the share that is seen now is off the plan, told or not; nil is no check.
func (k *planCheck) differs() bool { return k != nil && k.offMs > 0 && !k.judge.returning }

func (k *planCheck) sick() bool { return k.told && !k.judge.returning }

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
	return fmt.Sprintf("%s Harm counts all the same. Set %s.%s", k.text(), set, j.othersText())
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
		capital(j.arm(windows.Canary)), percentText(w.share()), when, percentText(j.stages.share(k.serving.stage)))
}

func (k *planCheck) evidence(dst []float64) []float64 { return dst }
