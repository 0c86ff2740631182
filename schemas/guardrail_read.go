package schemas

import (
	"slices"
	"strings"
)

// readGuardrails fills in the guardrails of the file, or the default ones.
func (rr *rolloutReader) readGuardrails() {
	r, given := rr.rollout, rr.spec.given("guardrails")
	standing := rr.readGuardrailList(section{rr.spec.problems, nil, rr.spec.form, rr.spec.path})
	if !given {
		r.Guardrails, r.DefaultGuardrails = standing, true
		return
	}
	r.Guardrails = rr.readGuardrailList(rr.spec)
	r.DefaultGuardrails = slices.EqualFunc(r.Guardrails, standing, func(a, b Guardrail) bool {
		a.Line = b.Line
		return a == b
	})
}

func (rr *rolloutReader) readGuardrailList(spec section) []Guardrail {
	var read []Guardrail
	for _, s := range spec.items("guardrails") {
		if !s.sound() {
			continue
		}
		g := rr.readGuardrail(s)
		if i := slices.IndexFunc(read, func(other Guardrail) bool { return other.Name == g.Name }); i >= 0 {
			s.refuse("name", "a guardrail in line %d is called %s, too: give each its own name", read[i].Line, g.Name)
		}
		read = append(read, g)
	}
	return read
}

var (
	guardrailKinds      = []string{string(RateGuardrail), string(QuantileGuardrail), string(GaugeGuardrail)}
	guardrailDirections = []string{string(Increase), string(Decrease), string(Above), string(Below)}
)

func (rr *rolloutReader) readGuardrail(s section) Guardrail {
	g := Guardrail{Name: s.text("name"), On: On(s.text("on")), Line: s.node.Line}
	kind := s.one(guardrailKinds, "what it watches, e.g. rate: error")
	direction := s.one(guardrailDirections, "which way is harm, e.g. increase: 20%")
	if kind == "" || direction == "" {
		return g
	}
	g.Kind, g.Direction = GuardrailKind(kind), Direction(direction)
	switch g.Kind {
	case RateGuardrail:
		rr.readRate(s, &g)
	case QuantileGuardrail:
		rr.readQuantile(s, &g)
	case GaugeGuardrail:
		rr.readGauge(s, &g)
	}
	if kind != string(QuantileGuardrail) && s.given("of") {
		s.refuse("of", "%s: only a quantile is of something: remove it", s.text("of"))
	}
	if kind != string(GaugeGuardrail) && s.given("limit") {
		s.refuse("limit", "only a sample has a limit: remove it, or write above: for a fixed limit")
	}
	margin, err := parseMargin(s.text(direction), g.Kind, g.Of, g.Direction)
	if err != nil {
		s.refuse(direction, "%v", err)
	}
	g.Margin = margin
	rr.readChoices(s, &g)
	return g
}

// one returns which of some keys is given; it refuses none, and several.
func (s section) one(keys []string, what string) string {
	var given []string
	for _, key := range keys {
		if s.given(key) {
			given = append(given, key)
		}
	}
	switch len(given) {
	case 0:
		s.problems.add(spotOf(s.node), s.path, "has no %s: say %s", orList(keys), what)
	case 1:
		return given[0]
	default:
		s.refuse(given[1], "%s stands beside %s: a guardrail has one of %s: make two of it", given[1], given[0], orList(keys))
	}
	return ""
}

func (rr *rolloutReader) readRate(s section, g *Guardrail) {
	g.Of = s.text("rate")
	if slices.Contains(reservedRates, g.Of) {
		return
	}
	if _, known := rr.outcomes[g.Of]; known {
		return
	}
	names := slices.Clone(reservedRates)
	for name := range rr.outcomes {
		names = append(names, name)
	}
	slices.Sort(names)
	s.refuse("rate", "no outcome is called %q: %s (an outcome of your own needs spec.outcomes: {%s: {within: 10m}})",
		g.Of, suggest(g.Of, names), g.Of)
}

// quantileDecimals is how fine a quantile may be: it is tested in parts per million.
const quantileDecimals = 6

func (rr *rolloutReader) readQuantile(s section, g *Guardrail) {
	g.Of, g.Quantile = s.text("of"), s.number("quantile")
	written := s.text("quantile")
	_, decimals, _ := strings.Cut(written, ".")
	switch {
	case g.Of == "score":
		s.refuse("of", "score is not supported yet: name latency, or one of values")
	case len(strings.TrimRight(decimals, "0")) > quantileDecimals, strings.ContainsAny(written, "eE"):
		s.refuse("quantile", "%s: write at most %d decimals", written, quantileDecimals)
	}
}

// shareSamples are the resources whose samples are shares of their limit.
var shareSamples = []string{"cpu", "memory", "gpu"}

func (rr *rolloutReader) readGauge(s section, g *Guardrail) {
	g.Of, g.Limit = s.text("sample"), s.number("limit")
	switch {
	case !s.given("limit"):
		s.refuse("limit", "missing: write the reading above which a sample counts, e.g. limit: 0.9")
	case g.Limit > 1 && slices.Contains(shareSamples, g.Of):
		s.refuse("limit", "%s: samples of %s are shares from 0 to 1: write e.g. 0.9", s.text("limit"), g.Of)
	}
}

// readChoices fills in what a failure means, with the defaults that depend on the rest of the guardrail.
func (rr *rolloutReader) readChoices(s section, g *Guardrail) {
	contrast := g.Direction == Increase || g.Direction == Decrease
	outcome := g.Kind == RateGuardrail && !slices.Contains(reservedRates, g.Of)
	g.Prove = Prove(s.text("prove"))
	if !s.given("prove") {
		g.Prove = ProveBeyond
		if outcome && contrast {
			g.Prove = ProveAny
		}
	}
	if g.Prove == ProveAny && !contrast {
		s.refuse("prove", "any: %s is held against a fixed limit, so there is only beyond: remove it", g.Direction)
	}
	g.Required = s.flag("required")
	if !s.given("required") {
		g.Required = g.On != OnWarn
	}
	g.Weight = s.number("weight")
	if !s.given("weight") {
		g.Weight = 1
		errors := g.Kind == RateGuardrail && g.Of == "error"
		latency := g.Kind == QuantileGuardrail && g.Of == ofLatency && g.Direction == Increase
		if errors || latency {
			g.Weight = 3
		}
	}
}
