package schemas

import (
	"fmt"
	"strings"
)

// Where picks part of a version: the events whose fields fit all patterns that are given. The zero value picks everything.
// In a pattern `*` stands for anything, also for nothing; all else stands for itself, and the whole field must fit. An event that
// doesn't have the field fits no pattern: samples have a host only.
type Where struct{ Host, Segment, Region string }

// All says whether every event of the version is meant.
func (w Where) All() bool { return w == Where{} }

// OfSamples says whether samples can fit: they have neither segment nor region.
func (w Where) OfSamples() bool { return w.Segment == "" && w.Region == "" }

// Check says what is wrong with the patterns, or nil.
func (w Where) Check() error {
	for i, pattern := range w.patterns() {
		if wrong := wrongPattern(pattern); pattern != "" && wrong != "" {
			return fmt.Errorf("where %s: %s", whereForm.fields[i].key, wrong)
		}
	}
	return nil
}

// patterns are in the order of whereForm's fields.
func (w Where) patterns() [3]string { return [...]string{w.Host, w.Segment, w.Region} }

// Of names a part of a version for a person: `41`, or `41 (host base-*)`.
func (w Where) Of(version string) string {
	if w.All() {
		return version
	}
	var parts []string
	for i, pattern := range w.patterns() {
		if pattern != "" {
			parts = append(parts, whereForm.fields[i].key+" "+pattern)
		}
	}
	return version + " (" + strings.Join(parts, ", ") + ")"
}

// reservedInPatterns means something in other patterns; here nothing but `*` does, and nobody shall find that out from an arm without events.
const reservedInPatterns = `?[]{}\`

// wrongPattern says what is wrong with a pattern, or returns "".
func wrongPattern(pattern string) string {
	at := strings.IndexAny(pattern, reservedInPatterns)
	if at < 0 {
		return ""
	}
	return fmt.Sprintf("%q has %q, which no pattern can have: `*` stands for anything, all else for itself", pattern, pattern[at:at+1])
}

var whereForm = mapping(
	field{key: "host", form: pattern(), about: "the host that answered, or that a sample is of"},
	field{key: "segment", form: pattern(), about: "the segment; samples have none, so none of theirs is picked"},
	field{key: "region", form: pattern(), about: "the region; samples have none, so none of theirs is picked"},
)

// pattern is text in which `*` stands for anything.
func pattern() form { return form{kind: patternForm, low: 1, high: MaxNameBytes} }

// readWhere fills in what part of an arm's version is meant, and refuses a mapping that picks nothing.
func readWhere(arm section) Where {
	s := arm.under("where")
	if s.node == nil || !s.sound() {
		return Where{}
	}
	w := Where{Host: s.text("host"), Segment: s.text("segment"), Region: s.text("region")}
	if w.All() {
		arm.refuse("where", "is empty: name a field, e.g. where: {host: \"base-*\"}, or remove the key")
	}
	return w
}

// Picks says whether an arm is only part of its version: then how the traffic is split between the arms isn't known beforehand, and an outcome
// without a prediction is of neither arm for sure.
func (r *Rollout) Picks() bool { return !r.BaselineWhere.All() || !r.CanaryWhere.All() }

// checkWhere refuses what an arm that is part of its version can't have. A default list of guardrails stands nevertheless: there, those without
// data aren't required.
func (rr rolloutReader) checkWhere() {
	r := rr.rollout
	if r.Picks() && r.Health.Unmatched > 0 && !sameValue(rr.spec.under("health").value("unmatched"), healthForm.find("unmatched")) {
		rr.spec.under("health").refuse("unmatched", "an outcome that finds no prediction doesn't say on which host it was made, so beside where this isn't tested: remove it")
	}
	if r.DefaultGuardrails || !rr.guardrailsSound() || r.BaselineWhere.OfSamples() && r.CanaryWhere.OfSamples() {
		return
	}
	for i, s := range rr.spec.items("guardrails") {
		if g := r.Guardrails[i]; g.IsSample() {
			s.refuse(map[GuardrailKind]string{GaugeGuardrail: "sample", MeanGuardrail: "mean"}[g.Kind],
				"samples have a host, but no segment and no region, so where picks none of them: remove the guardrail, or pick by host alone")
		}
	}
}
