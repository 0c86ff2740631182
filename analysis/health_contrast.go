package analysis

import (
	"fmt"
	"math"
	"slices"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

const (
	codeLate      = "late"
	codeNoLatency = "no_latency"
	codeJoinGap   = "join_gap"

	// contrastAlpha is how often each contrast of the input may err in an epoch, both directions together.
	contrastAlpha = .001
)

var contrastThreshold = math.Log(1 / contrastAlpha)

// A contrast holds the arms' shares of something that ought to be equal against each other, in both directions at once: R1 with R4's
// factors and the start mixture, as rates are tested. It stands while its evidence does, like the split.
type contrast struct {
	judge  *Judge
	name   string // its code
	of     windows.Stream
	sides  [2]*trial // the canary has more; it has less
	off    bool
	ends   bool // what it finds ends where the shares are alike again, too
	back   contrastBack
	window window
	// read puts the counts of a part into w; false: it has none.
	read func(p *windows.Part, w *window) bool
	// learn tells what the part says of over-dispersion, after it was tested; nil: the judge does.
	learn func(p *windows.Part)
	// tell is what a person reads: since when, and both arms.
	tell func(since string, e estimate) string
}

// newContrastCheck makes the tests; phi may be the judge's own.
func (j *Judge) newContrastCheck(name string, of windows.Stream, phi *dispersion) *contrast {
	c := &contrast{judge: j, name: name, of: of}
	for side := range c.sides {
		c.sides[side] = contrastSide(side, phi)
	}
	return c
}

// contrastSide makes the test of one direction: 0 where the canary has more.
func contrastSide(side int, phi *dispersion) *trial {
	spec := &schemas.Guardrail{Kind: schemas.RateGuardrail, Of: "error", Direction: [...]schemas.Direction{schemas.Increase, schemas.Decrease}[side]}
	t := newTrial(newRateContrast(spec, stats.IncidentGrid), newRateAccount(keeping{}), shape{components: len(stats.IncidentGrid), one: true})
	t.phi = phi
	return t
}

// newPastDispersion is for shares without slices: it goes by what the baseline did in time.
func (j *Judge) newPastDispersion(s *stream) *dispersion {
	d := newDispersion(j.options, j.rollout.Phi, &s.traffic)
	d.past = &stats.Succession{}
	return d
}

func (c *contrast) take(p *windows.Part, f feeding, at clock) {
	if p.Stream != c.of {
		return
	}
	if c.window = (window{startMs: p.StartMs, endMs: p.StartMs + at.widthMs}); !c.read(p, &c.window) {
		return
	}
	if c.back.test != nil && f.cut {
		c.back.test.part(at)
	}
	for _, side := range c.sides {
		switch {
		case f.unequal:
		case f.cut && !f.whole:
			side.part(at)
		default:
			if f.cut {
				side.part(at)
			}
			side.take(&c.window, at)
		}
	}
	if c.learn != nil {
		c.learn(p)
	}
	logE := c.logE()
	c.off = logE >= contrastThreshold || c.off && logE >= halfway*contrastThreshold
	if c.ends && !f.unequal && (!f.cut || f.whole) {
		c.mended(at)
	}
}

func (c *contrast) turn(of windows.Stream, at clock) {
	if of != c.of {
		return
	}
	for _, side := range c.sides {
		side.turn(at)
	}
	if c.back.test != nil {
		c.back.test.turn(at)
	}
}

func (c *contrast) logE() float64 {
	return logMean([]float64{c.sides[0].any.LogE(), c.sides[1].any.LogE()})
}

func (c *contrast) code() string { return c.name }

func (c *contrast) sick() bool { return c.off }

func (c *contrast) holds() bool { return true }

func (c *contrast) alpha() float64 { return contrastAlpha }

// worse is the direction with the most evidence: 0 where the canary has more.
func (c *contrast) worse() int {
	if c.sides[1].any.LogE() > c.sides[0].any.LogE() {
		return 1
	}
	return 0
}

func (c *contrast) finding() schemas.Finding {
	side := c.sides[c.worse()]
	since, _ := side.began()
	return schemas.Finding{
		Code: c.name, LogEvidence: shown(c.logE()), Threshold: contrastThreshold, Since: schemas.Time(since),
		Sentence: c.tell(timeText(since, c.judge.nowMs), side.account.estimate(since)),
	}
}

func (c *contrast) evidence(dst []float64) []float64 {
	return append(dst, c.sides[0].any.LogE(), c.sides[1].any.LogE())
}

// sharesText is both arms' shares in counts.
func sharesText(e estimate) string {
	canary, baseline := e[windows.Canary], e[windows.Baseline]
	of := func(t armTally) string {
		return fmt.Sprintf("%s (%s of %s)", percentText(t.value), countText(t.events), countText(t.n))
	}
	return of(canary) + " against " + of(baseline)
}

// servingStream is the predictions'.
var servingStream = windows.Stream{Kind: windows.Serving}

// Predictions without a latency, timeouts apart.
var _ = registerHealth(healthKind{
	name: "share without latency", rank: 90,
	needs: func(r *schemas.Rollout) []windows.Metric {
		if !slices.ContainsFunc(r.Guardrails, looksAtLatency) {
			return nil
		}
		return []windows.Metric{noLatencyMetric{}}
	},
	checks: func(j *Judge) []check {
		cell := cellOf(j.rollout, noLatencyMetric{})
		if cell < 0 {
			return nil
		}
		c := j.newContrastCheck(codeNoLatency, servingStream, j.dispersion(j.stream(servingStream), cell))
		c.read = func(p *windows.Part, w *window) bool {
			return w.cells(p, cell)
		}
		c.tell = func(since string, e estimate) string {
			return fmt.Sprintf("Answers of %s carry no latency more or less often than those of %s: %s since %s; latencies are compared of those that have one.",
				j.arm(windows.Canary), j.arm(windows.Baseline), sharesText(e), since)
		}
		return []check{c}
	},
})

func looksAtLatency(g schemas.Guardrail) bool { return measuresValues(&g) && g.Of == ofLatency }

// cells takes both arms' counts of one cell; false where it is missing or empty.
func (w *window) cells(p *windows.Part, cell int) bool {
	for arm := range windows.Arms {
		if cell >= len(p.Cells[arm]) {
			return false
		}
		w.n[arm], w.k[arm] = p.Cells[arm][cell].N, p.Cells[arm][cell].K
	}
	return w.n[windows.Baseline]+w.n[windows.Canary] > 0
}

// noLatencyMetric counts the predictions without a latency, of those that didn't time out.
type noLatencyMetric struct{}

func (noLatencyMetric) Key() string { return codeNoLatency }

func (noLatencyMetric) Stream() windows.Stream { return servingStream }

func (noLatencyMetric) Columns() (windows.Columns, []string) {
	return windows.ColLatency | windows.ColTimeout, nil
}

func (noLatencyMetric) Keeps() windows.Keep { return windows.KeepSlices }

func (noLatencyMetric) Reduce(rows windows.Rows, cell *windows.Cell) {
	for i, x := range rows.Latency[:rows.Len] {
		if rows.Flags[i]&windows.FlagTimeout == 0 {
			count(rows, cell, i, math.IsNaN(x))
		}
	}
}
