package schemas

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readGuardrails fills in the guardrails of the file, or the default ones.
func (rr *rolloutReader) readGuardrails() {
	r, given := rr.rollout, rr.spec.given("guardrails")
	standing, _ := rr.readGuardrailList(section{rr.spec.problems, nil, rr.spec.form, rr.spec.path})
	if !given {
		r.Guardrails, r.DefaultGuardrails = standing, true
		return
	}
	r.Guardrails, r.Alerts = rr.readGuardrailList(rr.spec)
	rr.checkAlerts()
	r.DefaultGuardrails = slices.EqualFunc(r.Guardrails, standing, func(a, b Guardrail) bool {
		a.Line = b.Line
		return a == b
	})
}

// readGuardrailList returns those that look at events, and those from outside.
func (rr *rolloutReader) readGuardrailList(spec section) (read []Guardrail, alerts []AlertGuardrail) {
	lines := map[string]int{} // by name
	for _, s := range spec.items("guardrails") {
		if !s.sound() {
			continue
		}
		name := s.text("name")
		if line, twice := lines[name]; twice {
			s.refuse("name", "a guardrail in line %d is called %s, too: give each its own name", line, name)
		}
		lines[name] = s.node.Line
		switch kind := s.one(guardrailKinds, "what it watches, e.g. rate: error"); {
		case kind == externalKey:
			alerts = append(alerts, s.readAlerts())
		case kind != "" || !s.given(externalKey): // else it is both, which was told
			read = append(read, rr.readGuardrail(s, GuardrailKind(kind)))
		}
	}
	return read, alerts
}

var (
	guardrailKinds = []string{
		string(RateGuardrail), string(QuantileGuardrail), string(GaugeGuardrail), string(MeanGuardrail), string(DistributionGuardrail),
		externalKey,
	}
	guardrailDirections = []string{string(Increase), string(Decrease), string(Above), string(Below)}
)

func (rr *rolloutReader) readGuardrail(s section, kind GuardrailKind) Guardrail {
	g := Guardrail{Name: s.text("name"), On: On(s.text("on")), Kind: kind, Line: s.node.Line}
	g.Direction = s.readDirection(g.Kind)
	if g.Kind == "" || g.Direction == "" {
		return g
	}
	switch g.Kind {
	case RateGuardrail:
		rr.readRate(s, &g)
	case QuantileGuardrail:
		rr.readQuantile(s, &g)
	case GaugeGuardrail:
		rr.readGauge(s, &g)
	case MeanGuardrail:
		rr.readMean(s, &g)
	case DistributionGuardrail:
		s.readDistribution(&g)
	}
	s.refuseStrangers(g.Kind)
	rr.readMargin(s, &g)
	rr.readChoices(s, &g)
	return g
}

// readDirection returns which way is harm; only distributions have both.
func (s section) readDirection(kind GuardrailKind) Direction {
	anyGiven := slices.ContainsFunc(guardrailDirections, s.given)
	if kind == DistributionGuardrail && !anyGiven {
		return Both
	}
	return Direction(s.one(guardrailDirections, "which way is harm, e.g. increase: 20%"))
}

// strangers are the keys that only some kinds of guardrails have, and what to say elsewhere.
var strangers = []struct {
	key   string
	kinds []GuardrailKind
	say   string
}{
	{"of", []GuardrailKind{QuantileGuardrail}, "only a quantile is of something: remove it"},
	{"limit", []GuardrailKind{GaugeGuardrail}, "only a sample has a limit: remove it, or write above: for a fixed limit"},
	{"test", []GuardrailKind{DistributionGuardrail}, "only a distribution has a choice of tests: remove it"},
	{"buckets", []GuardrailKind{QuantileGuardrail, DistributionGuardrail}, "only a quantile or a distribution is counted in buckets: remove them"},
	{"from", []GuardrailKind{MeanGuardrail}, "only a mean has a choice of events: remove it"},
	{"cap", []GuardrailKind{MeanGuardrail}, "only a mean has values that are capped: remove it"},
	{"match", nil, "only alerts from outside are matched: remove it, or write external: alertmanager"},
	{"for", nil, "only an alert from outside fires for a time: remove it, or write external: alertmanager"},
	{"staleAfter", nil, "only an alert from outside is told again and again: remove it, or write external: alertmanager"},
}

// refuseStrangers refuses keys that another kind of guardrail has.
func (s section) refuseStrangers(kind GuardrailKind) {
	for _, stranger := range strangers {
		if !s.given(stranger.key) || slices.Contains(stranger.kinds, kind) {
			continue
		}
		say := stranger.say
		if stranger.key == "of" {
			say = s.text("of") + ": " + say
		}
		s.refuse(stranger.key, "%s", say)
	}
}

// readMargin fills in the margin, and refuses one that what is watched can never cross.
func (rr *rolloutReader) readMargin(s section, g *Guardrail) {
	if g.Direction == Both {
		g.Margin = Margin{Text: anyWord, Relative: !g.Buckets.Linear()}
		return
	}
	key := string(g.Direction)
	margin, err := parseMargin(s.text(key), g)
	g.Margin = margin
	step := rr.rollout.LatencyGranularity
	switch b := g.Buckets; {
	case err != nil:
		s.refuse(key, "%v", err)
	case g.Kind == QuantileGuardrail && g.Of == ofLatency && !g.Direction.Contrast() && margin.Value <= millis(step):
		s.refuse(key, "%s is no more than what latencies are rounded to (latencyGranularity: %s): write a greater limit", margin.Text, FormatDuration(step))
	case b.Linear() && g.Direction.Contrast() && margin.Value >= b.To-b.From:
		s.refuse(key, "%s is as wide as all the buckets, from %s to %s: write less", margin.Text, shortNumber(b.From), shortNumber(b.To))
	case b.Linear() && !g.Direction.Contrast() && (margin.Value >= b.To || margin.Value <= b.From):
		s.refuse(key, "%s lies outside the buckets, from %s to %s: write a limit between them, or other buckets", margin.Text, shortNumber(b.From), shortNumber(b.To))
	case g.Kind == MeanGuardrail && !margin.Relative && g.Cap > 0 && margin.Value >= g.farthest():
		s.refuse(key, "%s: a mean of values within %s can't get there: write less than %s", margin.Text, shortNumber(g.Cap), shortNumber(g.farthest()))
	}
}

// farthest is how far a mean could be from its limit or from the other arm's.
func (g *Guardrail) farthest() float64 {
	if g.Direction.Contrast() {
		return 2 * g.Cap
	}
	return g.Cap
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
	g.Buckets = s.readBuckets(g.Of)
	written := s.text("quantile")
	_, decimals, _ := strings.Cut(written, ".")
	switch {
	case len(strings.TrimRight(decimals, "0")) > quantileDecimals, strings.ContainsAny(written, "eE"):
		s.refuse("quantile", "%s: write at most %d decimals", written, quantileDecimals)
	}
}

// readBuckets returns the linear buckets of what is watched, or the zero value where it has exponential ones.
func (s section) readBuckets(of string) Buckets {
	if !s.given("buckets") {
		if of == ofScore {
			return scoreBuckets
		}
		return Buckets{}
	}
	one := s.under("buckets")
	if one.node.Kind != yaml.MappingNode {
		return Buckets{}
	}
	b := Buckets{From: one.number("from"), To: one.number("to"), Count: int(one.number("count"))}
	switch {
	case of == ofLatency:
		s.refuse("buckets", "latencies have buckets of their own, each a hundredth wider than the one before: remove them")
	case one.sound() && b.From >= b.To:
		one.refuse("to", "%s is not above from %s: write the lowest value in from, the highest in to", one.text("to"), one.text("from"))
	}
	return b
}

// readDistribution fills in what is compared, and how.
func (s section) readDistribution(g *Guardrail) {
	g.Of, g.Test = s.text("distribution"), DistributionTest(s.text("test"))
	g.Buckets = s.readBuckets(g.Of)
	switch {
	case g.Test == "":
		s.refuse("test", "missing: write test: ks, which sees the tail, too, or test: mann-whitney, which is quicker where everything is shifted")
	case !g.Direction.Contrast():
		s.refuse(string(g.Direction), "a distribution is held against the baseline's: write increase or decrease, or neither of them for any difference")
	}
}

// readMean fills in whose mean it is, by its name where that tells: an outcome of the file, a share of a resource, else a value of
// predictions.
func (rr *rolloutReader) readMean(s section, g *Guardrail) {
	g.Of = s.text("mean")
	outcome, declared := rr.outcomes[g.Of]
	shared := slices.Contains(shareSamples, g.Of)
	switch from := s.text("from"); {
	case from == KindOutcome.String() || from == "" && declared:
		g.From = KindOutcome
		rr.readOutcomeMean(s, g, outcome)
		return
	case from == KindSample.String() || from == "" && shared:
		g.From = KindSample
	default:
		g.From = KindPrediction
	}
	g.Cap = s.number("cap")
	if g.Cap == 0 && shared && g.From == KindSample {
		g.Cap = 1
	}
	switch {
	case g.Of == ofLatency && g.From == KindPrediction:
		s.refuse("mean", "a mean of latencies hides the few that hurt: write quantile: 0.5, or distribution: latency")
	case slices.Contains(reservedRates, g.Of) && g.From == KindPrediction:
		s.refuse("mean", "%s happens or it doesn't: write rate: %s", g.Of, g.Of)
	case g.Cap == 0:
		s.refuse("cap", "missing: write what one value of %s counts at most, e.g. cap: 500%s", g.Of, rr.nearOutcome(g.Of))
	}
}

// nearOutcome asks whether an outcome was meant, where one is called almost so.
func (rr *rolloutReader) nearOutcome(name string) string {
	if near := nearest(name, slices.Sorted(maps.Keys(rr.outcomes))); near != "" {
		return " (or did you mean the outcome " + near + "?)"
	}
	return ""
}

func (rr *rolloutReader) readOutcomeMean(s section, g *Guardrail, o OutcomeSpec) {
	g.Cap = o.Cap
	switch _, declared := rr.outcomes[g.Of]; {
	case !declared:
		s.refuse("mean", "no outcome is called %q: %s (an outcome of your own needs spec.outcomes: {%s: {within: 10m, value: sum, cap: 500}})",
			g.Of, suggest(g.Of, slices.Sorted(maps.Keys(rr.outcomes))), g.Of)
	case o.Value != ValueSum:
		s.refuse("mean", "the outcome %s has no values that could have a mean: write spec.outcomes: {%s: {within: %s, value: sum, cap: 500}}, or rate: %s",
			g.Of, g.Of, FormatDuration(o.Within), g.Of)
	case s.given("cap"):
		s.refuse("cap", "the cap of an outcome stands with it, at spec.outcomes.%s.cap: remove it here", g.Of)
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
	contrast := g.Direction.Contrast()
	g.Prove = Prove(s.text("prove"))
	if !s.given("prove") {
		g.Prove = ProveBeyond
		if g.IsOutcome() && contrast {
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
