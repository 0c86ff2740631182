package schemas

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Explain returns the whole rollout as a file that parses to the same rollout again (but for Sha256 and the lines):
// every default is written out, with what each key means, what each guardrail's share of the risk is, and what is
// not there yet.
func Explain(r *Rollout) []byte {
	e := &explainer{rollout: r, values: explainedValues(r)}
	e.section(&rolloutForm, "", "")
	return []byte(e.out.String())
}

// An explainer writes a rollout along the table of its keys.
type explainer struct {
	rollout *Rollout
	values  map[string]string // by path, as YAML
	out     strings.Builder
}

// explainedValues is the rollout by the paths of its keys, as YAML text; what the file need not have, and hasn't, is
// not in it.
func explainedValues(r *Rollout) map[string]string {
	values := map[string]string{
		"apiVersion": APIVersion, "kind": "Rollout", "metadata.name": quoted(r.Name),
		"metadata.labels": flowPairs(r.Labels), "metadata.annotations": flowPairs(r.Annotations),
		"spec.model": quoted(r.Model), "spec.baseline.version": quoted(r.Baseline), "spec.canary.version": quoted(r.Canary),
		"spec.mode": string(r.Mode), "spec.risk.falseRollback": shortNumber(r.Risk.FalseRollback),
		"spec.risk.falsePromote": shortNumber(r.Risk.FalsePromote),
		"spec.window":            FormatDuration(r.Window), "spec.lateness": FormatDuration(r.Lateness),
		"spec.warmup": FormatDuration(r.Warmup), "spec.patience": FormatDuration(r.Patience), "spec.phi": shortNumber(r.Phi),
		"spec.health.silent":    FormatDuration(r.Health.Silent),
		"spec.health.unmatched": shortNumber(r.Health.Unmatched*100) + "%",
		"spec.health.selfTest":  string(r.Health.SelfTest), "spec.health.traffic": string(r.Health.Traffic),
		"spec.health.noData": FormatDuration(r.Health.NoData),
		"spec.acks.routers":  anyWord, "spec.acks.within": FormatDuration(r.Acks.Within),
		"spec.rollback.drainWithin": FormatDuration(r.DrainWithin),
	}
	if r.Acks.Routers != nil {
		values["spec.acks.routers"] = flowList(r.Acks.Routers)
	}
	values["spec.latencyGranularity"] = FormatDuration(r.LatencyGranularity)
	if r.LatencyGranularity == 0 {
		values["spec.latencyGranularity"] = specForm.find("latencyGranularity").def
	}
	for arm, where := range map[string]Where{"baseline": r.BaselineWhere, "canary": r.CanaryWhere} {
		for i, pattern := range where.patterns() {
			if pattern != "" {
				values["spec."+arm+".where."+whereForm.fields[i].key] = quoted(pattern)
			}
		}
	}
	if r.Stratify {
		values["spec.stratify"] = SegmentField
	}
	if s := r.Segments; s != nil {
		values["spec.segments.watch"], values["spec.segments.top"] = s.Field, shortNumber(float64(s.Top))
		if s.List != nil {
			values["spec.segments.list"], values["spec.segments.top"] = flowList(s.List), ""
		}
	}
	explainState(values, &r.State)
	explainCache(values, r.Cache)
	values["spec.chronic.rollbacks"], values["spec.chronic.within"] = strconv.Itoa(r.Chronic.Rollbacks), FormatDuration(r.Chronic.Within)
	if r.Hotfix != "" {
		values["spec.hotfix"] = quoted(r.Hotfix)
	}
	explainPillars(values, &r.Pillars)
	if r.Training != nil {
		values["spec.training.scores"] = quoted(r.Training.Scores)
	}
	return values
}

// explainState adds what the mode of the state makes use of.
func explainState(values map[string]string, s *StateSpec) {
	values["spec.state.mode"] = string(s.Mode)
	switch s.Mode {
	case StateNamespaced:
		values["spec.state.namespace"] = quoted(s.Namespace)
	case StateShared:
		values["spec.state.stores"] = flowList(s.Stores)
		values["spec.state.ackWithin"] = FormatDuration(s.AckWithin)
		values["spec.state.compatible"] = strconv.FormatBool(s.Compatible)
		values["spec.rollback.ifIncompatible"] = string(ActionFreeze)
	}
}

// explainColumn is where comments stand, if what is before them is shorter.
const explainColumn = 36

func (e *explainer) line(text, comment string) {
	fmt.Fprintf(&e.out, "%-*s  # %s\n", explainColumn, text, comment)
}

func (e *explainer) say(indent, comment string) {
	fmt.Fprintf(&e.out, "%s# %s\n", indent, comment)
}

func (e *explainer) section(f *form, path, indent string) {
	for i := range f.fields {
		one := &f.fields[i]
		at := join(path, one.key)
		value, written := e.values[at]
		switch {
		case at == "spec.baseline.where" && e.rollout.BaselineWhere.All(), at == "spec.canary.where" && e.rollout.CanaryWhere.All():
			e.say(indent, "all of the version: where, with patterns of "+orList(whereForm.keys())+", would pick part of it")
		case at == "spec.health.unmatched" && e.rollout.Picks():
			e.line(indent+one.key+": "+value, one.about+" (not tested beside where: an outcome without a prediction names no host)")
		case at == "spec.pillars" && e.rollout.Pillars.None():
			e.say(indent, "no pillars are named, so none is checked: pillars: {input: {baseline: in-41.json, canary: in-42.json}} would hold one schema against the other")
		case at == "spec.training" && e.rollout.Training == nil:
			e.say(indent, "no offline scores: "+trainingExample+" would hold the canary's scores online against them")
		case strings.HasPrefix(at, "spec.pillars.") && one.form.kind == mappingForm && !e.rollout.Pillars.names(at):
			e.say(indent, one.key+" is not named, so it is not checked")
		case at == "spec.segments" && e.rollout.Segments == nil:
			e.say(indent, "no segments are watched: segments: {watch: segment, top: 20} would watch the 20 greatest")
		case at == "spec.cache" && e.rollout.Cache == nil:
			e.say(indent, "no cache: cache: {warm: [10, 50, 100], mute: [p99]} would return traffic in steps, and mute p99 while the cache is cold")
		case at == "spec.outcomes":
			e.outcomes(one, indent)
		case at == "spec.guardrails":
			e.guardrails(one, indent)
		case at == "spec.stages":
			e.stages(one, indent)
		case at == "spec.sinks":
			e.sinks(one, indent)
		case one.form.kind == mappingForm:
			e.line(indent+one.key+":", one.about)
			e.section(&one.form, at, indent+"  ")
		case written && value != "":
			e.line(indent+one.key+": "+value, remark(one, value))
		}
	}
}

// remark says what a key means, whether its value is the default, and what of it is not there yet.
func remark(f *field, value string) string {
	var marks string
	if sameValue(defaultNode(value), f) {
		marks = "default"
	}
	if f.need == laterElse {
		marks += ", others not yet"
	}
	if marks == "" {
		return f.about
	}
	return f.about + " (" + marks + ")"
}

func (e *explainer) outcomes(f *field, indent string) {
	r := e.rollout
	if len(r.Outcomes)+len(r.UnusedOutcomes) == 0 {
		e.line(indent+f.key+": {}", "no guardrail names one")
		return
	}
	e.line(indent+f.key+":", f.about)
	for _, o := range r.Outcomes {
		fmt.Fprintf(&e.out, "%s  %s\n", indent, outcomeText(o))
	}
	for _, o := range r.UnusedOutcomes {
		e.line(indent+"  "+outcomeText(o), "no guardrail names it: its events are not looked at")
	}
}

func outcomeText(o OutcomeSpec) string {
	text := quoted(o.Name) + ": {within: " + FormatDuration(o.Within)
	if o.Value != ValueIgnored {
		text += ", value: " + string(o.Value) + ", cap: " + shortNumber(o.Cap)
	}
	return text + "}"
}

func (e *explainer) guardrails(f *field, indent string) {
	r := e.rollout
	e.line(indent+f.key+":", f.about)
	if r.DefaultGuardrails {
		e.say(indent+"  ", "the default list: as long as it stands as it is, each is required only once it has had data;")
		e.say(indent+"  ", "in a list of your own every required one needs data, so leave out those that nothing feeds")
	}
	for _, g := range r.Guardrails {
		e.line(indent+"  - {"+guardrailText(g)+"}", e.share(g))
	}
	for i := range r.Alerts {
		e.alert(&r.Alerts[i], indent)
	}
	e.say(indent+"  ", "the missing canary: "+e.riskShare(MissingCanaryWeight))
	e.calibration(indent + "  ")
	e.segments(indent + "  ")
}

// segments says what the segments take of the risk.
func (e *explainer) segments(indent string) {
	r := e.rollout
	if r.Segments == nil {
		return
	}
	text := "shared by all of them"
	if !slices.ContainsFunc(r.Guardrails, func(g Guardrail) bool { return !g.IsSample() }) {
		text = "which nothing uses: samples have no segment, and all guardrails read samples"
	}
	e.say(indent, fmt.Sprintf("segments: risk %.3g: a tenth of falseRollback, %s", SegmentReserve*r.Risk.FalseRollback, text))
}

// noiseWindows is the longest stretch of windows in which noise of a rate is looked for.
const noiseWindows = 125

// calibration says what the risk stands on, and what it can't see.
func (e *explainer) calibration(indent string) {
	if e.rollout.Picks() {
		e.say(indent, "not tested beside where: unreadable events, and outcomes without a prediction: which part of a version they are of is not known")
	}
	for _, line := range []string{
		"the risk holds for noise as the baseline shows it: parts of it, cut by unit (else by id), against each other",
		"  until a rate has shown some 200 events, its noise is taken for no less than phi; and where events name units (users, sessions), for no less than their",
		"  sizes allow: all requests of one unit in a window may fail together. Where events name none, each request counts as a unit by itself: requests that fail",
		"  together aren't seen before some have failed. Neither sees users who fail on in later windows: where one fails N times on end, write phi: N",
		"  quantiles, ks, mann-whitney, and means of predictions: exact while no unit of the baseline has a second request; then by how alike a unit's are. Without units none is seen to be",
		"not seen: noise of hosts (cold caches, a slow node), as every unit uses all of them: it counts as the canary's.",
		"  A baseline of fresh hosts, as many as the canary has and as old, picked by baseline.where, has the same, and it cancels out",
		fmt.Sprintf("not seen: clumps that last longer than %s (%d windows): then less is proven than it seems; longer windows see longer ones.",
			FormatDuration(noiseWindows*e.rollout.Window), noiseWindows),
		"  Means of gauges and of outcomes see longer ones, too, if not in the first windows: what lasts there is taken to go on",
		"where the baseline differs from itself by more than that (health.selfTest), a contrast of that metric is `uncalibrated`:",
		"  with hold it can neither roll back nor pass; limits (above, below) of the metric and all other guardrails stay armed",
	} {
		e.say(indent, line)
	}
}

// share says what a guardrail may cost, and what is odd about it.
func (e *explainer) share(g Guardrail) string {
	text := e.riskShare(g.Weight)
	switch g.On {
	case OnHold:
		text = "holds: no share of falseRollback, a budget of its own"
	case OnWarn:
		text = "warns: no share of falseRollback, a budget of its own"
	}
	if g.IsSample() && !(e.rollout.BaselineWhere.OfSamples() && e.rollout.CanaryWhere.OfSamples()) {
		text += "; where picks no samples: they have neither segment nor region"
	}
	if !e.promotionWaits(g) {
		return text
	}
	for _, odd := range []string{g.roundedText(e.rollout.LatencyGranularity), g.dearText(e.rollout.Risk.FalsePromote)} {
		if odd != "" {
			text += "; " + odd
		}
	}
	if !g.CanPass() {
		text += "; without a margin it never passes, and it is required: so nothing is promoted"
	}
	return text
}

// promotionWaits says whether a stage waits for a guardrail to pass.
func (e *explainer) promotionWaits(g Guardrail) bool {
	for _, s := range e.rollout.Stages {
		if s.Pass == nil && g.Required || slices.Contains(s.Pass, g.Name) {
			return true
		}
	}
	return false
}

// riskShare says what a weight among those that can roll back may cost.
func (e *explainer) riskShare(weight float64) string {
	r, whole := e.rollout, e.rollout.familyWeight(OnRollback)
	of := "falseRollback"
	if r.Segments != nil {
		of = "nine tenths of falseRollback"
	}
	return fmt.Sprintf("risk %.3g: %s of %s shares of %s", weight/whole*r.totalRisk(), shortNumber(weight), shortNumber(whole), of)
}

func guardrailText(g Guardrail) string {
	parts := []string{"name: " + quoted(g.Name)}
	switch g.Kind {
	case QuantileGuardrail:
		parts = append(parts, "quantile: "+shortNumber(g.Quantile), "of: "+quoted(g.Of))
	case GaugeGuardrail:
		parts = append(parts, "sample: "+quoted(g.Of), "limit: "+shortNumber(g.Limit))
	case DistributionGuardrail:
		parts = append(parts, "distribution: "+quoted(g.Of), "test: "+string(g.Test))
	case MeanGuardrail:
		parts = append(parts, "mean: "+quoted(g.Of), "from: "+g.From.String())
		if g.From != KindOutcome {
			parts = append(parts, "cap: "+shortNumber(g.Cap))
		}
	default:
		parts = append(parts, string(g.Kind)+": "+quoted(g.Of))
	}
	if b := g.Buckets; b.Linear() {
		parts = append(parts, fmt.Sprintf("buckets: {from: %s, to: %s, count: %d}", shortNumber(b.From), shortNumber(b.To), b.Count))
	}
	if g.Direction != Both {
		parts = append(parts, string(g.Direction)+": "+g.Margin.Text)
	}
	parts = append(parts, "on: "+string(g.On), "prove: "+string(g.Prove), "required: "+strconv.FormatBool(g.Required), "weight: "+shortNumber(g.Weight))
	return strings.Join(parts, ", ")
}

func (e *explainer) stages(f *field, indent string) {
	r := e.rollout
	if r.External {
		s := r.Stages[0]
		e.line(indent+f.key+": "+externalWord, fmt.Sprintf("another controller moves the weights; a promotion is decided when every required guardrail passed, after %s to %s",
			FormatDuration(s.Bake), FormatDuration(s.Max)))
		return
	}
	e.line(indent+f.key+":", f.about)
	for _, s := range r.Stages {
		if s.Watch > 0 {
			e.stops(indent)
			e.watch(s, indent)
			continue
		}
		e.stage(s, indent)
	}
	last := r.Stages[len(r.Stages)-1]
	if last.Watch == 0 {
		e.stops(indent)
	}
	switch {
	case r.ApprovePromotion:
		e.line(indent+"  - {weight: 100, approve: true}", "the promotion, when a person says so")
	case last.Watch == 0 && last.WeightBP == 0:
		e.say(indent+"  ", "then the canary gets all traffic")
	case last.Watch == 0:
		e.say(indent+"  ", "then the canary gets all traffic: {weight: 100, approve: true, watch: 24h, holdback: 1} would let a person say when, and go on judging")
	}
}

// stops writes where the canary's cache is warmed.
func (e *explainer) stops(indent string) {
	stops := e.rollout.stops()
	if len(stops) == 0 {
		return
	}
	shares := make([]string, len(stops))
	for i, bp := range stops {
		shares[i] = percentOf(bp)
	}
	e.say(indent+"  ", fmt.Sprintf("on the way there, at %s percent: until the canary's cache is warm, each for %s at most", strings.Join(shares, ", "), FormatDuration(e.rollout.Cache.Max)))
}

// stage writes one stage below a promotion.
func (e *explainer) stage(s Stage, indent string) {
	var parts []string
	share := "at the share observed"
	switch percent := percentOf(s.WeightBP); {
	case s.Shadow():
		parts, share = append(parts, "weight: 0", "mirror: "+percentOf(s.MirrorBP)), "copies of "+percentOf(s.MirrorBP)+" percent, answers to nobody"
	case s.WeightBP > 0:
		parts, share = append(parts, "weight: "+percent), "at "+percent+" percent"
		if e.rollout.Picks() {
			share += " of the versions' traffic (the share within where is held against the one at the start)"
		}
	}
	pass, what := allWord, "every required guardrail"
	if s.Pass != nil {
		pass, what = flowList(s.Pass), strings.Join(s.Pass, ", ")
	}
	parts = append(parts, "bake: "+FormatDuration(s.Bake), "pass: "+pass, "max: "+FormatDuration(s.Max), "then: "+string(s.Then))
	begins := ""
	if s.Approve {
		parts, begins = append(parts, "approve: true"), "when a person says so, "
	}
	e.line(indent+"  - {"+strings.Join(parts, ", ")+"}", fmt.Sprintf("%s%s, until %s passed, at least %s, at most %s: then %s",
		begins, share, strings.Map(printable, what), FormatDuration(s.Bake), FormatDuration(s.Max), s.Then))
}

// watch writes the last stage, where it is judged.
func (e *explainer) watch(s Stage, indent string) {
	holdback := percentOf(allBP - s.WeightBP)
	approve, begins := "", ""
	if s.Approve {
		approve, begins = "approve: true, ", "when a person says so, "
	}
	e.line(indent+fmt.Sprintf("  - {weight: 100, %swatch: %s, holdback: %s}", approve, FormatDuration(s.Watch), holdback),
		fmt.Sprintf("%sall but %s percent, judged against that for %s; then all", begins, holdback, FormatDuration(s.Watch)))
}

// percentOf writes basis points as percents.
func percentOf(bp int) string { return shortNumber(float64(bp) / 100) }

// printable keeps a comment on its line.
func printable(r rune) rune {
	if strconv.IsPrint(r) {
		return r
	}
	return '?'
}

var (
	plainText = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*$`)
	// yamlWords are read as something else than text by one or another reader of YAML.
	yamlWords = []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null"}
)

// quoted writes text so that every reader of YAML reads just that text.
func quoted(text string) string {
	if plainText.MatchString(text) && !slices.Contains(yamlWords, strings.ToLower(text)) {
		return text
	}
	return strconv.Quote(text)
}

func flowList(words []string) string {
	parts := make([]string, len(words))
	for i, w := range words {
		parts[i] = quoted(w)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// flowPairs returns "" for none.
func flowPairs(pairs map[string]string) string {
	if len(pairs) == 0 {
		return ""
	}
	parts := make([]string, 0, len(pairs))
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		parts = append(parts, quoted(key)+": "+quoted(pairs[key]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
