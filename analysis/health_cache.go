package analysis

import (
	"fmt"
	"slices"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// codeCacheCold is a finding that holds nothing: the guardrails that the rollout names for it count nothing.
const codeCacheCold = "cache_cold"

// A version that has just got its traffic answers from a cold cache, which says nothing of the version. What is left out is known before a window is seen, from
// the windows before it, so the tests stay exact.
var _ = registerHealth(healthKind{
	name: "cold cache", rank: 65,
	needs: func(r *schemas.Rollout) []windows.Metric {
		if r.Cache == nil {
			return nil
		}
		return []windows.Metric{missMetric}
	},
	checks: func(j *Judge) []check {
		if j.rollout.Cache == nil || len(j.rollout.Cache.Mute) == 0 {
			return nil
		}
		c := &coldness{spec: j.rollout.Cache, cell: cellOf(j.rollout, missMetric)}
		j.cold = c
		return []check{&view{name: codeCacheCold, warn: true, when: func() bool { return c.is }, tell: func(f *schemas.Finding) {
			var whose []string
			for _, arm := range []windows.Arm{windows.Canary, windows.Baseline} {
				if !c.warm[arm] {
					whose = append(whose, j.arm(arm))
				}
			}
			f.Sentence = fmt.Sprintf("While the cache of %s is cold, %s says nothing: until %s of the answers come from it, at the latest until %s.",
				listText(whose), listText(c.spec.Mute), percentText(c.spec.HitRate), timeText(c.untilMs, j.nowMs))
			f.Since = schemas.Time(c.fromMs)
		}}}
	},
})

// missMetric has the hit rate.
var missMetric = rateMetric{"cache_miss"}

// WarmAnswers is how many predictions with a cache_hit a hit rate is taken of: the share of any of 200 is known to within 3 points.
const WarmAnswers = 200

// coldness is whether a version that got its traffic lately has a cold cache.
type coldness struct {
	spec    *schemas.CacheSpec
	cell    int  // of missMetric
	is      bool // now: it is what the next window is taken by
	counts  bool // windows are of the new share
	fromMs  int64
	untilMs int64
	warm    [windows.Arms]bool
	n, k    [windows.Arms]int64 // predictions that say whether the cache answered, and those where it didn't, since the last that were WarmAnswers
}

// begin is where versions get their traffic: of an epoch both, as the baseline may have got its own back a moment ago; of a later stage the canary.
func (c *coldness) begin(startMs int64, first bool) {
	*c = coldness{spec: c.spec, cell: c.cell, is: true, counts: true, fromMs: startMs, untilMs: startMs + c.spec.Max.Milliseconds()}
	c.warm[windows.Baseline] = !first
}

// coming is when a stage is decided: routers may follow at any moment, and until they have, nothing says how warm the cache is.
func (c *coldness) coming(nowMs int64) {
	c.begin(nowMs, false)
	c.counts = false
}

// Returned says that a rollback gives the baseline traffic: the split is no longer the stage's, and what is named for a cold cache counts nothing until that is warm, at the latest
// until then; 0: it counts. Routers may follow at any moment, and until they have (Followed), nothing says how warm it is.
func (j *Judge) Returned(untilMs int64) {
	j.returning = true
	if c := j.cold; c != nil && untilMs > 0 {
		*c = coldness{spec: c.spec, cell: c.cell, is: true, fromMs: j.nowMs, untilMs: untilMs}
		c.warm[windows.Canary] = true
	}
}

// Followed says from which window on the baseline has the traffic that was Returned.
func (j *Judge) Followed(fromMs int64) {
	if j.cold != nil {
		j.cold.counts, j.cold.fromMs = true, fromMs
	}
}

// before brings it up to a window whose numbers nobody has looked at yet.
func (c *coldness) before(startMs int64) {
	if c != nil && c.is && startMs >= c.untilMs {
		c.is = false
	}
}

// after counts a window.
func (c *coldness) after(p *windows.Part) {
	if c == nil || !c.is || !c.counts || p.StartMs < c.fromMs {
		return
	}
	for arm := range windows.Arms {
		if c.warm[arm] || c.cell >= len(p.Cells[arm]) {
			continue
		}
		c.n[arm] += p.Cells[arm][c.cell].N
		c.k[arm] += p.Cells[arm][c.cell].K
		if c.n[arm] >= WarmAnswers {
			c.warm[arm] = float64(c.n[arm]-c.k[arm]) >= c.spec.HitRate*float64(c.n[arm])
			c.n[arm], c.k[arm] = 0, 0
		}
	}
	c.is = !c.warm[windows.Baseline] || !c.warm[windows.Canary]
}

// mutes reports whether a guardrail is left out of the next window.
func (c *coldness) mutes(g *schemas.Guardrail) bool {
	return c != nil && c.is && slices.Contains(c.spec.Mute, g.Name)
}

// HitCell is the place of the cell in serving parts that counts the predictions that say whether the cache answered (N), and those where it didn't (K); -1: the rollout
// knows no cache.
func HitCell(r *schemas.Rollout) int {
	if r.Cache == nil {
		return -1
	}
	return cellOf(r, missMetric)
}

// Current are findings as a verdict has them, but for whose cache is still cold, which is as it is now. It is for people: decisions have what stood there when the findings changed last.
func (j *Judge) Current(told []schemas.Finding) []schemas.Finding {
	if j.cold == nil {
		return told
	}
	i := slices.IndexFunc(told, func(f schemas.Finding) bool { return f.Code == codeCacheCold })
	latched := j.verdict.Action == VerdictRollback // its findings stay as they were, and the cache that is cold then is the baseline's
	switch told = slices.Clone(told); {
	case j.cold.is && i >= 0:
		told[i] = j.checks[j.checkOf(codeCacheCold)].finding()
	case j.cold.is && latched:
		told = append(told, j.checks[j.checkOf(codeCacheCold)].finding())
	case i >= 0 && latched:
		told = slices.Delete(told, i, i+1)
	}
	return told
}
