package plan

import (
	"fmt"
	"math"
	"slices"

	"streamcanary/schemas"
)

// Stated is the traffic that a person states, for the guardrails of a rollout.
//
// Claim. Nothing is added to what was stated but independence, where no over-dispersion is.
//
// When. The statement is read strictly (schemas), which refuses NaN.
//
// Cost: a few operations for each guardrail, and for each quantile that is stated.
//
// Conventions: what a guardrail needs and nobody stated makes it Unknown, with what to write. Rates a second are of both arms together.
//
// Source: chosen here: between the quantiles that are stated, and beyond them, the value or its logarithm is linear in the normal score, so that two of a
// lognormal give just it.
func Stated(r *schemas.Rollout, s *schemas.Traffic) Traffic {
	t := Traffic{Source: "stated rates", Requests: s.Requests, Share: s.Share}
	for i := range r.Guardrails {
		t.Baselines = append(t.Baselines, stated(&r.Guardrails[i], s))
	}
	return t
}

// Unused returns the names that a person stated something of, and that no guardrail goes by; ascending.
func Unused(r *schemas.Rollout, s *schemas.Traffic) []string {
	var names []string
	note := func(name string) {
		used := slices.ContainsFunc(r.Guardrails, func(g schemas.Guardrail) bool { return g.Name == name || g.Of == name })
		if !used && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for name := range s.Rates {
		note(name)
	}
	for name := range s.Quantiles {
		note(name)
	}
	for name := range s.Samples {
		note(name)
	}
	for name := range s.Means {
		note(name)
	}
	for name := range s.Phi {
		note(name)
	}
	slices.Sort(names)
	return names
}

func stated(g *schemas.Guardrail, s *schemas.Traffic) Baseline {
	b := Baseline{PerSecond: s.Requests, Sampled: g.IsSample()}
	b.Phi, _ = lookUp(s.Phi, g)
	var ok bool
	switch {
	case g.Kind == schemas.QuantileGuardrail || g.Kind == schemas.DistributionGuardrail:
		var points []schemas.QuantileValue
		if points, ok = lookUp(s.Quantiles, g); !ok {
			b.Unknown = fmt.Sprintf("the baseline's %s is not stated: give two quantiles or more", g.Of)
			return b
		}
		b.Values = spread(points, g.Buckets)
		return b
	case g.Kind == schemas.MeanGuardrail:
		if b.Mean, ok = lookUp(s.Means, g); !ok {
			b.Unknown = fmt.Sprintf("the baseline's mean of %s and its deviation are not stated", g.Of)
			return b
		}
	default:
		if b.Rate, ok = lookUp(s.Rates, g); !ok {
			b.Unknown = fmt.Sprintf("the baseline's rate of %s is not stated", rateName(g))
			return b
		}
	}
	if g.IsSample() {
		if b.PerSecond, ok = lookUp(s.Samples, g); !ok {
			b.Unknown = fmt.Sprintf("how many readings of %s come a second is not stated", g.Of)
		}
	}
	return b
}

// lookUp finds what was stated of a guardrail: under its own name, else under what it watches.
func lookUp[V any](stated map[string]V, g *schemas.Guardrail) (V, bool) {
	if v, ok := stated[g.Name]; ok {
		return v, true
	}
	v, ok := stated[g.Of]
	return v, ok
}

func rateName(g *schemas.Guardrail) string {
	if g.Kind == schemas.GaugeGuardrail {
		return fmt.Sprintf("%s above %g", g.Of, g.Limit)
	}
	return g.Of
}

// Steps of a distribution's body, and of each decade of its tail.
const (
	bodySteps = 900
	tailSteps = 150
	tailEnd   = 1e-6 // what is rarer counts with it
)

// spread makes a distribution of some of its quantiles: between them the value, or its logarithm where all are above zero and no linear buckets ask
// otherwise, is linear in the normal score; beyond them it goes on with the last slope. So two quantiles of a lognormal give just it.
func spread(points []schemas.QuantileValue, buckets schemas.Buckets) []Point {
	logs := !buckets.Linear() && points[0].Value > 0
	scale := func(x float64) float64 { return x }
	back := scale
	if logs {
		scale, back = math.Log, math.Exp
	}
	at := func(q float64) float64 {
		z, i := score(q), 1
		for i < len(points)-1 && q > points[i].Quantile {
			i++
		}
		z0, z1 := score(points[i-1].Quantile), score(points[i].Quantile)
		y0, y1 := scale(points[i-1].Value), scale(points[i].Value)
		return back(y0 + (z-z0)*(y1-y0)/(z1-z0))
	}
	var values []Point
	for i := range bodySteps {
		values = append(values, Point{at((float64(i) + .5) / 1000), 1. / 1000})
	}
	for tail := .1; tail > tailEnd*1.5; tail /= 10 {
		for i := range tailSteps {
			from, to := tail*math.Pow(10, -float64(i)/tailSteps), tail*math.Pow(10, -float64(i+1)/tailSteps)
			values = append(values, Point{at(1 - (from+to)/2), from - to})
		}
	}
	return append(values, Point{at(1 - tailEnd/2), tailEnd})
}

// score is the normal quantile function.
func score(q float64) float64 { return math.Sqrt2 * math.Erfinv(2*q-1) }
