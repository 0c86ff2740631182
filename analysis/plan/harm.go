package plan

import (
	"fmt"
	"math"
	"slices"

	"streamcanary/schemas"
)

// usualHarm is the harm that is planned for where a guardrail has no margin to go by: 10 % of the baseline's.
const usualHarm = .1

// shiftHarm is the same on linear buckets: a twentieth of all of them.
const shiftHarm = .05

// UsualHarm is what a guardrail is planned for where nothing is stated: twice its margin or limit, halfway to what can't be where twice
// is too much; 10 % of the baseline's where it has no margin.
//
// Claim. None: a place to begin, at twice what is tolerated.
//
// When. Nobody has stated a harm.
//
// Cost: constant time.
//
// Conventions: in the unit of the guardrail's margin, with its text; half of the limit where below it is harm, a twentieth of the range on linear buckets.
//
// Source: chosen here.
func UsualHarm(g *schemas.Guardrail) schemas.Margin {
	h := schemas.Margin{Relative: g.Margin.Relative, Value: 2 * g.Margin.Value}
	share := g.Kind == schemas.RateGuardrail || g.Kind == schemas.GaugeGuardrail
	switch falls := g.Direction == schemas.Decrease; {
	case g.Direction == schemas.Below:
		h.Value = g.Margin.Value / 2
	case g.Margin.Value > 0:
		if (share && !h.Relative || falls && h.Relative) && h.Value >= 1 {
			h.Value = (1 + g.Margin.Value) / 2
		}
	case g.Buckets.Linear():
		h.Value = shiftHarm * (g.Buckets.To - g.Buckets.From)
	default:
		h.Relative, h.Value = true, usualHarm
	}
	h.Text = HarmText(g, h)
	return h
}

// HarmText writes a harm as the margin of its guardrail is written, with its sign: +1pp, -4%; a fixed level without one.
func HarmText(g *schemas.Guardrail, h schemas.Margin) string {
	number := fmt.Sprintf("%.4g", h.Value)
	share := g.Kind == schemas.RateGuardrail || g.Kind == schemas.GaugeGuardrail
	switch {
	case h.Relative:
		number = fmt.Sprintf("%.4g%%", 100*h.Value)
	case share && g.Direction.Contrast():
		number = fmt.Sprintf("%.4gpp", 100*h.Value)
	case share:
		number = fmt.Sprintf("%.4g%%", 100*h.Value)
	case g.Of == ofLatency:
		number = fmt.Sprintf("%.4gms", h.Value)
	}
	switch g.Direction {
	case schemas.Increase, schemas.Both:
		return "+" + number
	case schemas.Decrease:
		return "-" + number
	}
	return number
}

// harmed is the law of a canary with a harm; the error says why no canary can have it.
func harmed(g *schemas.Guardrail, healthy []atom, h schemas.Margin) ([]atom, error) {
	if g.Kind == schemas.RateGuardrail || g.Kind == schemas.GaugeGuardrail {
		return harmedRate(g, healthy, h)
	}
	factor, shift := harmOfValues(g, healthy, h)
	if math.IsNaN(factor) || math.IsInf(factor, 0) || factor < 0 {
		return nil, fmt.Errorf("%s can't be: the baseline's %s is %.3g", HarmText(g, h), g.Of, level(g, healthy))
	}
	sick := slices.Clone(healthy)
	for i := range sick {
		if !math.IsInf(sick[i].x, 1) {
			sick[i].x = sick[i].x*factor + shift
		}
	}
	return sick, nil
}

// harmOfValues says what becomes of each value: a factor, or a shift.
func harmOfValues(g *schemas.Guardrail, healthy []atom, h schemas.Margin) (factor, shift float64) {
	sign := 1.0
	if g.Direction == schemas.Decrease {
		sign = -1
	}
	now := level(g, healthy)
	switch contrast := g.Direction.Contrast(); {
	case contrast && g.Kind == schemas.MeanGuardrail && now <= 0:
		if size := math.Abs(now); h.Relative && size > 0 {
			return 1, sign * h.Value * size
		} else if h.Relative {
			return math.NaN(), 0 // a share of nothing
		}
		return 1, sign * h.Value
	case contrast && h.Relative:
		return 1 + sign*h.Value, 0
	case contrast && g.Kind == schemas.MeanGuardrail:
		return (now + sign*h.Value) / now, 0
	case contrast:
		return 1, sign * h.Value
	case g.Buckets.Linear():
		return 1, h.Value - now
	}
	return h.Value / now, 0
}

// level is where a law stands: its mean, or its quantile.
func level(g *schemas.Guardrail, atoms []atom) float64 {
	sum, total := 0.0, 0.0
	for _, a := range atoms {
		sum += a.p * a.x
		total += a.p
	}
	switch g.Kind {
	case schemas.RateGuardrail, schemas.GaugeGuardrail:
		return atoms[hitAt(g)].p
	case schemas.MeanGuardrail:
		return sum / total
	}
	q := g.Quantile
	if q == 0 {
		q = .5
	}
	return quantile(atoms, q)
}

// quantile is a quantile of values, ascending.
func quantile(atoms []atom, q float64) float64 {
	below, total := 0.0, 0.0
	for _, a := range atoms {
		total += a.p
	}
	for _, a := range atoms {
		if below += a.p; below >= q*total {
			return a.x
		}
	}
	return atoms[len(atoms)-1].x
}

// hitAt is the place of the sort of events that a rate counts.
func hitAt(g *schemas.Guardrail) int {
	if g.Kind == schemas.GaugeGuardrail {
		return 1
	}
	return 0
}

func harmedRate(g *schemas.Guardrail, healthy []atom, h schemas.Margin) ([]atom, error) {
	at := hitAt(g)
	p, change := healthy[at].p, h.Value
	if h.Relative {
		change *= p
	}
	rate := h.Value
	switch g.Direction {
	case schemas.Increase:
		rate = p + change
	case schemas.Decrease:
		rate = p - change
	}
	if rate < 0 || rate > 1 || rate == p && g.Direction.Contrast() {
		return nil, fmt.Errorf("%s can't be: the baseline's rate is %.3g%%", HarmText(g, h), 100*p)
	}
	sick := slices.Clone(healthy)
	sick[at].p, sick[1-at].p = rate, 1-rate
	return sick, nil
}
