package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// ParseRollout reads a rollout file, strictly, and fills in every default. name is what the file is called in
// messages. The error is a *FileError with all that is wrong, by line: unknown keys, wrong types, values out of
// bounds, what can't work, and what isn't supported yet.
func ParseRollout(name string, data []byte) (*Rollout, error) {
	found := &problems{file: name}
	root := found.readDocument(data)
	if root == nil {
		return nil, found.err()
	}
	if foreign := notRollout(name, root); foreign != nil {
		return nil, foreign.err()
	}
	c := checker{found, &rolloutForm}
	c.check(root, &rolloutForm, "")
	r := readRollout(section{found, root, &rolloutForm, ""})
	if err := found.err(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	r.Sha256 = hex.EncodeToString(sum[:])
	return r, nil
}

// notRollout is what is wrong with a file that isn't meant as a rollout; nil: it says that it is one, or has something of one. It tells nothing of what stands there, which may be secret.
func notRollout(name string, root *yaml.Node) *problems {
	ours := len(root.Content) == 0
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i].Value, root.Content[i+1]
		switch {
		case key == "kind" && value.Kind == yaml.ScalarNode && !isNull(value) && nearest(value.Value, []string{"Rollout"}) == "":
			found := &problems{file: name}
			found.add(spotOf(value), "kind", "it isn't Rollout: this is no rollout file, and nothing of it is shown, since it may be secret")
			return found
		case key == "kind", key == "apiVersion" && value.Value == APIVersion, nearest(key, []string{"metadata", "spec"}) != "", specForm.find(key) != nil:
			ours = true
		}
	}
	if ours {
		return nil
	}
	found := &problems{file: name}
	found.add(fileStart, "", "this is no rollout file, which has metadata and spec: nothing of it is shown, since it may be secret")
	return found
}

// A rolloutReader turns a checked file into a rollout, and refuses what no single key shows.
type rolloutReader struct {
	spec     section
	outcomes map[string]OutcomeSpec // all that are known
	rollout  *Rollout
}

func readRollout(root section) *Rollout {
	meta, spec := root.under("metadata"), root.under("spec")
	risk, acks := spec.under("risk"), spec.under("acks")
	r := &Rollout{
		Name: meta.text("name"), Labels: meta.pairs("labels"), Annotations: meta.pairs("annotations"),
		Model: spec.text("model"), Baseline: spec.under("baseline").text("version"), Canary: spec.under("canary").text("version"),
		BaselineWhere: readWhere(spec.under("baseline")), CanaryWhere: readWhere(spec.under("canary")),
		Mode:   Mode(spec.text("mode")),
		Risk:   Risk{risk.number("falseRollback"), risk.number("falsePromote")},
		Window: spec.duration("window"), Lateness: spec.duration("lateness"),
		Warmup: spec.duration("warmup"), Patience: spec.duration("patience"), Phi: spec.number("phi"),
		LatencyGranularity: spec.duration("latencyGranularity"),
		Health:             readHealth(spec.under("health")), Acks: Acks{acks.texts("routers"), acks.duration("within")},
		DrainWithin: spec.under("rollback").duration("drainWithin"),
		Chronic:     Chronic{int(spec.under("chronic").number("rollbacks")), spec.under("chronic").duration("within")},
		Hotfix:      spec.text("hotfix"),
	}
	checkLabels(meta, r)
	rr := rolloutReader{spec: spec, rollout: r}
	rr.checkArms()
	rr.readState()
	rr.readPillars()
	rr.readTraining()
	if twice := repeatedText(r.Acks.Routers); twice != "" {
		acks.refuse("routers", "%s is named twice: remove one", twice)
	}
	rr.checkHealth()
	rr.readSegments()
	rr.readOutcomes()
	rr.readGuardrails()
	rr.checkWhere()
	rr.checkGranularity()
	rr.keepOutcomes()
	rr.readStages()
	rr.readCache()
	rr.readSinks()
	return r
}

func readHealth(s section) Health {
	return Health{
		Silent: s.duration("silent"), Unmatched: s.number("unmatched") / 100, SelfTest: On(s.text("selfTest")),
		Traffic: On(s.text("traffic")), NoData: s.duration("noData"),
	}
}

func (rr rolloutReader) checkArms() {
	if r := rr.rollout; r.Canary != "" && r.Canary == r.Baseline {
		rr.spec.under("canary").refuse("version", "%q is the baseline's version, too: a version can't be compared with itself: name another one", r.Canary)
	}
}

// checkHealth refuses a margin that could never be crossed.
func (rr rolloutReader) checkHealth() {
	if r := rr.rollout; r.Health.Unmatched >= 1 {
		rr.spec.under("health").refuse("unmatched", "%s: a share can't get there: write less than 100%%", rr.spec.under("health").text("unmatched"))
	}
}

// granularityMost bounds what latencies are rounded to, as a share of the window: what is coarser hides in one window what another shows.
const granularityMost = 0.25

// checkGranularity refuses latencies that are rounded so coarsely that they tell nothing.
func (rr rolloutReader) checkGranularity() {
	r := rr.rollout
	step := r.LatencyGranularity
	if most := time.Duration(granularityMost * float64(r.Window)); step > most && r.Window > 0 {
		rr.spec.refuse("latencyGranularity", "%s is coarse beside a window of %s: write at most %s, or a window of %s",
			FormatDuration(step), FormatDuration(r.Window), FormatDuration(most), FormatDuration(time.Duration(float64(step)/granularityMost)))
	}
}

// readSegments fills in which segments are watched.
func (rr rolloutReader) readSegments() {
	r := rr.rollout
	r.Stratify = rr.spec.given("stratify")
	if !rr.spec.given("segments") {
		if r.Stratify {
			rr.spec.refuse("stratify", "there are no segments to keep apart: name them with segments: {watch: segment, top: 20}, or remove the key")
		}
		return
	}
	s := rr.spec.under("segments")
	if s.node.Kind != yaml.MappingNode {
		return
	}
	watched := &Segments{Field: s.text("watch"), List: s.texts("list")}
	switch twice := repeatedText(watched.List); {
	case watched.List != nil && s.given("top"):
		s.refuse("top", "top stands beside list: the names are either those of the list, or the greatest: remove one")
	case twice != "":
		s.refuse("list", "%s is named twice: remove one", twice)
	case watched.List == nil:
		watched.Top = int(s.number("top"))
	}
	r.Segments = watched
}

// reservedRates are the rates that come with predictions; no outcome may have their names.
var reservedRates = []string{"error", "timeout", "cache_miss"}

// readOutcomes fills in what is known of outcomes: the defaults, and over them what the file says.
func (rr *rolloutReader) readOutcomes() {
	defaults := defaultNode(specForm.find("outcomes").def)
	rr.outcomes = map[string]OutcomeSpec{}
	rr.addOutcomes(section{rr.spec.problems, defaults, &specForm.find("outcomes").form, "spec.outcomes"})
	if n := child(rr.spec.node, "outcomes"); n != nil && n.Kind == yaml.MappingNode && len(n.Content) <= 2*MaxOutcomes {
		rr.addOutcomes(section{rr.spec.problems, n, &specForm.find("outcomes").form, "spec.outcomes"})
	}
}

func (rr *rolloutReader) addOutcomes(s section) {
	for i := 0; i+1 < len(s.node.Content); i += 2 {
		name := s.node.Content[i].Value
		one := section{s.problems, s.node.Content[i+1], s.form.item, join(s.path, name)}
		known, isKnown := rr.outcomes[name]
		switch {
		case slices.Contains(reservedRates, name):
			s.refuse(name, "every prediction says %s itself: call the outcome something else", name)
		case one.given("within") || isKnown:
			known.Name = name
			if one.given("within") {
				known.Within = one.duration("within")
			}
			rr.outcomes[name] = one.readValue(known)
		case one.sound():
			one.refuse("within", "missing: write how long after its prediction a %s still counts, e.g. within: 10m", name)
			rr.outcomes[name] = one.readValue(OutcomeSpec{Name: name})
		}
	}
}

// readValue fills in what is made of an outcome's values: a sum has a cap, since one value without bounds could outweigh all others.
func (s section) readValue(o OutcomeSpec) OutcomeSpec {
	if s.node.Kind != yaml.MappingNode {
		return o
	}
	o.Value, o.Cap = OutcomeValue(s.text("value")), s.number("cap")
	switch {
	case o.Value == ValueSum && !s.given("cap"):
		s.refuse("cap", "missing: write what the sum of one prediction's values counts at most, e.g. cap: 500")
	case o.Value != ValueSum && s.given("cap"):
		s.refuse("cap", "nothing is added up that a cap could hold: write value: sum beside it, or remove it")
	}
	return o
}

// keepOutcomes parts the outcomes that guardrails name from those that were only declared.
func (rr *rolloutReader) keepOutcomes() {
	declared := child(rr.spec.node, "outcomes")
	for _, name := range slices.Sorted(maps.Keys(rr.outcomes)) {
		named := slices.ContainsFunc(rr.rollout.Guardrails, func(g Guardrail) bool { return g.IsOutcome() && g.Of == name })
		switch {
		case named:
			rr.rollout.Outcomes = append(rr.rollout.Outcomes, rr.outcomes[name])
		case child(declared, name) != nil:
			rr.rollout.UnusedOutcomes = append(rr.rollout.UnusedOutcomes, rr.outcomes[name])
		}
	}
}

// checkLabels bounds what goes along with every decision.
func checkLabels(meta section, r *Rollout) {
	bytes := 0
	for _, pairs := range []map[string]string{r.Labels, r.Annotations} {
		for key, text := range pairs {
			bytes += len(key) + len(text)
		}
	}
	if bytes > maxLabelsAll {
		meta.refuse("annotations", "labels and annotations have %d bytes together, at most %d are allowed, since every decision carries them: put a link in their place", bytes, maxLabelsAll)
	}
}

func (rr *rolloutReader) guardrailsSound() bool {
	return !rr.spec.problems.under("spec.guardrails") && !rr.spec.problems.under("spec.outcomes")
}

// suggest says what may have been meant, or what there is.
func suggest(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	return "there are " + orList(known)
}

func repeatedText(words []string) string {
	for i, w := range words {
		if slices.Contains(words[:i], w) {
			return w
		}
	}
	return ""
}

// Problems returns what is wrong with a file by err, or nil if err is something else.
func Problems(err error) []Problem {
	var file *FileError
	if errors.As(err, &file) {
		return file.Problems
	}
	return nil
}

// familyWeight returns what the weights of all guardrails with one `on` add up to; with those that can roll back, the missing
// canary, too.
func (r *Rollout) familyWeight(on On) float64 {
	sum := 0.0
	if on == OnRollback {
		sum = MissingCanaryWeight
	}
	for _, g := range r.Guardrails {
		if g.On == on {
			sum += g.Weight
		}
	}
	return sum
}

// SegmentReserve is the share of each family's risk that is kept for segments where they are watched.
const SegmentReserve = 0.1

// totalRisk is what is left of risk.falseRollback for the guardrails of the whole traffic.
func (r *Rollout) totalRisk() float64 {
	if r.Segments != nil {
		return r.Risk.FalseRollback * (1 - SegmentReserve)
	}
	return r.Risk.FalseRollback
}

// Alpha returns the probability with which a guardrail that keeps its margin may fail in one epoch: its weight's share of
// risk.falseRollback among those with the same `on` (each of which have that risk as a budget of their own), less what is reserved for
// segments. It is what its share begins with: guardrails that failed before leave theirs to the rest.
func (r *Rollout) Alpha(g *Guardrail) float64 {
	return g.Weight / r.familyWeight(g.On) * r.totalRisk()
}

// MissingCanaryWeight is the weight of the health check that rolls back a canary of which nothing is heard.
const MissingCanaryWeight = 1.0

// CanPass says whether there is anything to prove: without a margin (`any`), it never is that harm is within it.
func (g Guardrail) CanPass() bool { return g.Margin.Value > 0 }

// BeyondCap says of a mean whose values are capped that none can be as far from the baseline's as the margin, in the direction of harm: no harm beyond it can show.
func (g Guardrail) BeyondCap(baseline float64) bool {
	if g.Kind != MeanGuardrail || !g.Direction.Contrast() {
		return false
	}
	off := g.Margin.Value
	if g.Margin.Relative {
		off *= math.Abs(baseline)
	}
	if g.Direction == Decrease {
		off = -off
	}
	return math.Abs(baseline+off) >= g.Cap
}

// IsOutcome says whether the guardrail's numbers come with outcomes, and so only when their time within has passed.
func (g Guardrail) IsOutcome() bool {
	switch g.Kind {
	case RateGuardrail:
		return !slices.Contains(reservedRates, g.Of)
	case MeanGuardrail:
		return g.From == KindOutcome
	}
	return false
}

// IsSample says whether the guardrail's numbers come with samples.
func (g Guardrail) IsSample() bool {
	return g.Kind == GaugeGuardrail || g.Kind == MeanGuardrail && g.From == KindSample
}

// guardrail returns the guardrail of a name, and whether there is one.
func (r *Rollout) guardrail(name string) (Guardrail, bool) {
	i := slices.IndexFunc(r.Guardrails, func(g Guardrail) bool { return g.Name == name })
	if i < 0 {
		return Guardrail{}, false
	}
	return r.Guardrails[i], true
}
