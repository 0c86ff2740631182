package analysis

import (
	"time"

	"streamcanary/windows"
)

const (
	// answersMost bounds for how long answers are waited for.
	answersMost = 15 * time.Minute
	// answersFrom is what the first counter of answers begins above; shorter ones are never waited for.
	answersFrom = time.Second
	// answersTail is the part of an arm's answers that are not waited for: one in so many.
	answersTail = 100
	// bucketsOfAnswers is how many buckets of a histogram one counter has: each is 9 % wide.
	bucketsOfAnswers = 8
)

// answers is how long the service takes to answer. Predictions are dated by their answers, so after a change of the routing, and where a canary gets its first traffic, the stream is of the old
// split for as long. All but the slowest hundredth of each arm's answers are waited for (of fewer than a hundred: all of them), in whole windows, for 15 minutes at most. What a stage's start leaves for it anyway
// (window and lateness) is nothing to wait for: then all is as if answers came at once. Timeouts without a latency tell nothing.
//
// It goes by all windows so far, so it is known before a window is judged by it. Where no guardrail watches latency, nothing is known, and nothing is waited for.
type answers struct {
	cell    int // of the latencies, in serving parts; -1: there is none
	scale   scale
	leastMs int64
	all     [windows.Arms]int64
	slow    [windows.Arms][]int64 // those that took longer than answersFrom, by how long
	ms      int64                 // what is waited for
	fromMs  int64                 // start of the first window of the epoch in which answers that were routed before it are over; 0: none is yet
}

func (j *Judge) newAnswers() {
	a := &j.answers
	a.cell, a.leastMs = -1, (j.rollout.Window + j.rollout.Lateness).Milliseconds()
	for i := range j.rollout.Guardrails {
		g := &j.rollout.Guardrails[i]
		if measuresValues(g) && g.Of == ofLatency && (a.cell < 0 || a.scale.linear.Linear()) { // linear ones end somewhere
			_, a.cell = cellsOf(j.rollout, g)
			a.scale = scaleOf(g)
		}
	}
	if a.cell >= 0 {
		for arm := range a.slow {
			a.slow[arm] = make([]int64, placeOf(answersMost)+1)
		}
	}
}

// placeOf is the counter of answers that take so long.
func placeOf(d time.Duration) int { return placeOfBucket(windows.BucketOf(milliseconds(d))) }

func placeOfBucket(bucket int32) int {
	first := (windows.BucketOf(milliseconds(answersFrom)) + 1) / bucketsOfAnswers
	return int(bucket/bucketsOfAnswers - first)
}

// take counts a serving part's latencies.
func (a *answers) take(p *windows.Part, widthMs int64) {
	longest := 0.0
	for arm := range windows.Arms {
		if a.cell < 0 || a.cell >= len(p.Cells[arm]) {
			return
		}
		a.count(windows.Arm(arm), &p.Cells[arm][a.cell])
		longest = max(longest, a.longest(windows.Arm(arm)))
	}
	a.ms = 0
	if ms := int64(longest); ms > a.leastMs {
		a.ms = (min(ms, answersMost.Milliseconds()) + widthMs - 1) / widthMs * widthMs
	}
}

func (a *answers) count(arm windows.Arm, c *windows.Cell) {
	a.all[arm] += c.N
	most := len(a.slow[arm]) - 1
	for i := len(c.Hist) - 1; i >= 0; i-- {
		at, n := c.Hist[i].Index, int64(c.Hist[i].Count)
		switch ms := a.scale.upper(at); {
		case at >= windows.TopBucket:
			a.all[arm] -= n
		case ms <= milliseconds(answersFrom):
			return
		default:
			a.slow[arm][max(0, min(most, placeOfBucket(windows.BucketOf(ms))))] += n
		}
	}
}

// longest is how long all but the slowest of an arm's answers take at most, in ms; 0: that is not worth counting.
func (a *answers) longest(arm windows.Arm) float64 {
	n := int64(0)
	for at := len(a.slow[arm]) - 1; at >= 0; at-- {
		if n += a.slow[arm][at]; n*answersTail > a.all[arm] {
			first := placeOfBucket(0)
			return windows.BucketUpper(int32((at-first+1)*bucketsOfAnswers - 1))
		}
	}
	return 0
}

// AnswersMs is how long answers are on the way, in ms, by all windows so far: 0 where they take no longer than a window and the lateness. Of predictions, which are dated by
// their answers, so much is still of an old split after routers have changed it. The start of a later stage must allow for it (Advance).
func (j *Judge) AnswersMs() int64 { return j.answers.ms }

// early reports whether answers of a window of the epoch may still be of what was routed before it. They prove nothing, neither of the canary nor of the split or of silence: those that are quick come first, and often these are
// failures.
func (a *answers) early(startMs int64) bool { return a.fromMs == 0 || startMs < a.fromMs }

// settle takes a serving window's latencies, and brings up to date whether its answers may still be of what was routed before the epoch.
func (j *Judge) settle(p *windows.Part) {
	a := &j.answers
	a.take(p, j.clock.widthMs)
	if a.fromMs == 0 && j.begun && p.StartMs >= j.clock.startMs+a.ms {
		a.fromMs = p.StartMs
	}
	j.arrival.comes(p.StartMs, a.ms)
}

// routersMost is how long after an advance is decided routers may follow it, so that what comes is taken for the first answers of a new split.
const routersMost = time.Minute

// mixes reports whether the answers that come are those of several splits: the first ones of an epoch, or of a stage that answers are waited for. Where routers take longer to follow than routersMost, the canary is judged meanwhile.
func (j *Judge) mixes(startMs int64) bool {
	a, s := &j.answers, &j.stages
	if a.early(startMs) {
		return a.ms > 0
	}
	return a.ms > 0 && startMs < s.starts[s.now] && startMs < s.changedMs+a.ms+routersMost.Milliseconds()
}
