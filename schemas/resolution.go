package schemas

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
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
	if r.External && r.Mode == Enforce && r.Acks.Routers == nil {
		all = append(all, fmt.Sprintf("stages: external: no start waits for a router, and a rollback or a promotion has nobody to carry it out where none subscribes: the canary %s keeps its traffic until your controller, or somebody, moves it. "+
			"Let the controller follow decisions and acknowledge them as a router does (deploy/PROTOCOL.md), and name it in acks: {routers: [NAME]}", r.Canary))
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

// roundedText says of a quantile or a distribution of rounded latencies below which latency no canary like the baseline can show that it keeps the margin; "" of
// what has none to keep, or isn't rounded.
func (g *Guardrail) roundedText(step time.Duration) string {
	ranked := g.Kind == QuantileGuardrail || g.Kind == DistributionGuardrail
	if step == 0 || !ranked || g.Of != ofLatency || !g.Direction.Contrast() || !g.CanPass() {
		return ""
	}
	_, pass, _ := g.effective()
	if pass == 0 { // Warnings has it
		return ""
	}
	// As low as it may have been, v less half a step, and as high are as far apart as the margin where (v + step/2) / (v - step/2) is 1+pass, or 1/(1-pass).
	half := 1 + pass/2
	if g.Direction == Decrease {
		half = 1 - pass/2
	}
	least := millis(step) * half / pass
	return fmt.Sprintf("latencies are rounded to %s, so while %s is below about %s a canary like the baseline can't pass: then write a greater margin, report latencies more finely, or don't require it",
		FormatDuration(step), g.whatOf(), roundMillis(least))
}

// roundMillis is a time in milliseconds with three digits that count.
func roundMillis(ms float64) string {
	if ms >= 1000 {
		return fmt.Sprintf("%.3gs", ms/1000)
	}
	return fmt.Sprintf("%.3gms", ms)
}

// whatOf is what a guardrail looks at, e.g. p99.
func (g *Guardrail) whatOf() string {
	if g.Kind == QuantileGuardrail {
		return fmt.Sprintf("p%.6g", 100*g.Quantile)
	}
	if g.Test == TestKS {
		return "the median"
	}
	return "all of it"
}

// dear is how many requests or events a pass takes before that is told.
const dear = 10_000

// dearText says of a rate with a tiny margin what a pass takes at least, whatever the traffic; "" where that isn't much. It is what independent events prove of a known
// rate: no test of a contrast needs less, while rates are small.
func (g *Guardrail) dearText(falsePromote float64) string {
	if g.Kind != RateGuardrail || !g.Direction.Contrast() || !g.CanPass() {
		return ""
	}
	m, what := g.Margin.Value, "of the canary's events"
	var each float64
	switch {
	case !g.Margin.Relative && g.Direction == Decrease: // where the rate is no more than the margin, the first event proves it
		return ""
	case !g.Margin.Relative:
		what, each = "canary requests, even if nothing happens in any", m
	case g.Direction == Decrease:
		each = -math.Log1p(-m) - m
	default:
		each = m - math.Log1p(m)
	}
	least := math.Log(1/falsePromote) / each
	if !(least >= dear) {
		return ""
	}
	return fmt.Sprintf("with a rate below 10%% a pass takes at least %s %s (`streamcanary plan` says how long that is): else write a greater margin, or don't require it", roundNumber(least), what)
}

// roundNumber is a count with three digits, e.g. 60k.
func roundNumber(x float64) string {
	for _, unit := range []struct {
		of   float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if x >= unit.of {
			return fmt.Sprintf("%.3g%s", x/unit.of, unit.name)
		}
	}
	return fmt.Sprintf("%.3g", x)
}
