package schemas

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// bucketsPerDoubling is how fine the exponential buckets of latencies are: each 1.09 % wide.
const bucketsPerDoubling = 64

// shiftSlack is how far from a whole number of buckets a margin may be and still count as one: margins and buckets are written in
// decimals, which floats only come near to.
const shiftSlack = 1e-9

// Shift returns a margin on linear buckets in buckets: fail is the least number that is no less than it, so that bucketing never makes a
// canary within the margin look beyond it; pass is the greatest that is no more.
func (b Buckets) Shift(margin float64) (fail, pass int) {
	exact := margin / b.Width()
	return int(math.Ceil(exact - shiftSlack)), int(math.Floor(exact + shiftSlack))
}

// Warnings tells what of a rollout can be judged and yet is not what its author may think, a sentence each: in the guardrails' order margins that are finer than
// the buckets that they are held against, then sinks that move traffic and whose answer nothing waits for.
func (r *Rollout) Warnings() []string {
	var all []string
	for i := range r.Guardrails {
		g := &r.Guardrails[i]
		ranked := g.Kind == QuantileGuardrail || g.Kind == DistributionGuardrail
		if ranked && g.Direction.Contrast() && g.Margin.Value > 0 {
			if text := g.coarse(); text != "" {
				all = append(all, "guardrail "+g.Name+": "+text)
			}
		}
	}
	for i := range r.Sinks {
		if use := &r.Sinks[i]; use.Kind.Routes() && !slices.Contains(r.Acks.Routers, use.Sink) {
			all = append(all, fmt.Sprintf("sink %s moves traffic, and a rollback counts as carried out without its answer: name it in acks: {routers: [%s]}", use.Sink,
				strings.Join(append(slices.Clone(r.Acks.Routers), use.Sink), ", ")))
		}
	}
	return all
}

// noticeable is how much greater than what was written an effective margin is before it is told, as a factor.
const noticeable = 1.1

// coarse says what a margin comes to on its buckets, where that isn't what was written.
func (g *Guardrail) coarse() string {
	fail, pass, width := g.effective()
	written := string(g.Direction) + ": " + g.Margin.Text
	switch {
	case pass == 0:
		other := map[Direction]string{Increase: "lower", Decrease: "higher"}[g.Direction]
		return fmt.Sprintf("%s is finer than its buckets, %s wide: a failure is proven beyond %s, and a pass only where the canary is proven to be %s than the baseline; "+
			"write a greater margin", written, width, g.inMargin(fail), other)
	case fail > noticeable*g.Margin.Value:
		return fmt.Sprintf("%s is held against buckets that are %s wide: a failure is proven beyond %s, a pass within %s", written, width, g.inMargin(fail), g.inMargin(pass))
	}
	return ""
}

// effective is the margin as the tests have it, for a failure and for a pass, and how wide a bucket is there.
func (g *Guardrail) effective() (fail, pass float64, width string) {
	if g.Buckets.Linear() {
		f, p := g.Buckets.Shift(g.Margin.Value)
		w := g.Buckets.Width()
		return float64(f) * w, float64(p) * w, fmt.Sprintf("%.3g", w)
	}
	ratio := 1 + g.Margin.Value
	if g.Direction == Decrease {
		ratio = 1 / (1 - g.Margin.Value)
	}
	exact := bucketsPerDoubling * math.Log2(ratio)
	f, p := math.Exp2(math.Ceil(exact-shiftSlack)/bucketsPerDoubling), math.Exp2(math.Floor(exact+shiftSlack)/bucketsPerDoubling)
	width = fmt.Sprintf("%.2g%%", 100*(math.Exp2(1./bucketsPerDoubling)-1))
	if g.Direction == Decrease {
		return 1 - 1/f, 1 - 1/p, width
	}
	return f - 1, p - 1, width
}

// inMargin writes an effective margin as one is written.
func (g *Guardrail) inMargin(x float64) string {
	if g.Margin.Relative {
		return fmt.Sprintf("%.3g%%", 100*x)
	}
	return fmt.Sprintf("%.3g", x)
}
