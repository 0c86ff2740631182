package schemas

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// externalKey says from where a guardrail's alerts come.
const externalKey = "external"

// FromAlertmanager is the one place from which a guardrail's alerts can come: Alertmanager's webhook.
const FromAlertmanager = "alertmanager"

// An AlertGuardrail is a guardrail from outside: it is crossed while an alert fires that fits it.
type AlertGuardrail struct {
	Name  string    `json:"name"`
	Match []Matcher `json:"match"` // ascending; all must fit
	// For is how long an alert must have fired; StaleAfter, how long after it was told last it counts as over.
	For        time.Duration `json:"for"`
	StaleAfter time.Duration `json:"stale_after"`
	On         On            `json:"on"`
}

// MatchOp is how a matcher compares.
type MatchOp string

// The operators of Alertmanager's matchers. Expressions are Go's (RE2), and must fit the whole value.
const (
	MatchEqual    MatchOp = "="
	MatchNotEqual MatchOp = "!="
	MatchRegex    MatchOp = "=~"
	MatchNotRegex MatchOp = "!~"
)

// A Matcher is a condition on one label, as Alertmanager has them: a label that isn't there has the empty value.
type Matcher struct {
	Label string  `json:"label"`
	Op    MatchOp `json:"op"`
	Value string  `json:"value"`
}

// matcherText is a label's name, an operator, and a value, which may stand in quotes: quotedText, with escapes.
var (
	matcherText = regexp.MustCompile(`^\s*([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(=~|!=|!~|=)\s*(.*?)\s*$`)
	quotedText  = regexp.MustCompile(`^"((?:[^"\\]|\\.)*)"$`)
	unescaped   = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n")
	escaped     = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
)

// parseMatcher reads a matcher as Alertmanager's configuration has it.
func parseMatcher(text string) (Matcher, error) {
	found := matcherText.FindStringSubmatch(text)
	if found == nil {
		return Matcher{}, fmt.Errorf(`%q is no matcher: write e.g. severity="page" or team=~"feed|core" (operators =, !=, =~, !~)`, text)
	}
	m := Matcher{Label: found[1], Op: MatchOp(found[2]), Value: found[3]}
	if inside := quotedText.FindStringSubmatch(m.Value); inside != nil {
		m.Value = unescaped.Replace(inside[1])
	} else if strings.Contains(m.Value, `"`) {
		return Matcher{}, fmt.Errorf(`%q: a quote stands alone: write e.g. severity="page", and \" for a quote in the value`, text)
	}
	_, err := m.regex()
	return m, err
}

// regex is the expression that a value must fit as a whole; nil where there is none.
func (m *Matcher) regex() (*regexp.Regexp, error) {
	if m.Op != MatchRegex && m.Op != MatchNotRegex {
		return nil, nil
	}
	re, err := regexp.Compile("^(?:" + m.Value + ")$")
	if err != nil {
		return nil, fmt.Errorf("%s%s%q: %w", m.Label, m.Op, m.Value, err)
	}
	return re, nil
}

// Fits reports whether a label's value fits; "" is that of a label that isn't there. An expression that can't be read fits nothing.
func (m *Matcher) Fits(value string) bool {
	re, err := m.regex()
	switch {
	case err != nil:
		return false
	case re != nil:
		return re.MatchString(value) == (m.Op == MatchRegex)
	}
	return (value == m.Value) == (m.Op == MatchEqual)
}

// String is the matcher as Alertmanager writes it.
func (m *Matcher) String() string {
	return m.Label + string(m.Op) + `"` + escaped.Replace(m.Value) + `"`
}

// Fits reports whether labels fit all matchers.
func (g *AlertGuardrail) Fits(labels map[string]string) bool {
	for i := range g.Match {
		if !g.Match[i].Fits(labels[g.Match[i].Label]) {
			return false
		}
	}
	return true
}

// Matches reports whether a matcher is about a label.
func (g *AlertGuardrail) Matches(label string) bool {
	return slices.ContainsFunc(g.Match, func(m Matcher) bool { return m.Label == label })
}

// readAlerts reads a guardrail from outside.
func (s section) readAlerts() AlertGuardrail {
	g := AlertGuardrail{Name: s.text("name"), For: s.duration("for"), StaleAfter: s.duration("staleAfter"), On: On(s.text("on"))}
	for i := range guardrailForm.fields {
		key := guardrailForm.fields[i].key
		if s.given(key) && !slices.Contains([]string{"name", externalKey, "match", "for", "staleAfter", "on"}, key) {
			s.refuse(key, "an alert from outside is no statistic, so it has no %s: remove it", key)
		}
	}
	g.Match = s.readMatch()
	switch {
	case !s.given("match"):
		s.refuse("match", "missing: write which alerts are meant by their labels, e.g. match: {severity: page}")
	case g.For >= g.StaleAfter:
		s.refuse("for", "%s is no less than staleAfter %s, after which an alert counts as over: write less", FormatDuration(g.For), FormatDuration(g.StaleAfter))
	}
	return g
}

// readMatch reads labels and values, or matchers. What nothing is required of would fit every alert there is.
func (s section) readMatch() []Matcher {
	var all []Matcher
	n := s.value("match")
	switch {
	case n == nil:
		return nil
	case n.Kind == yaml.MappingNode:
		for label, value := range s.pairs("match") {
			all = append(all, Matcher{label, MatchEqual, value})
		}
	default:
		for _, text := range s.texts("match") {
			m, err := parseMatcher(text)
			if err != nil {
				s.refuse("match", "%v", err)
				return nil
			}
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b Matcher) int {
		return cmp.Or(cmp.Compare(a.Label, b.Label), cmp.Compare(a.Op, b.Op), cmp.Compare(a.Value, b.Value))
	})
	if !slices.ContainsFunc(all, func(m Matcher) bool { return !m.Fits("") }) {
		s.refuse("match", "it fits alerts without any label, too, and so every one: write a label that must be there, e.g. severity: page")
	}
	return all
}

// checkAlerts refuses a list of guardrails by which nothing could be judged.
func (rr *rolloutReader) checkAlerts() {
	r := rr.rollout
	switch {
	case !rr.guardrailsSound():
	case len(r.Alerts) > MaxExternal:
		rr.spec.refuse("guardrails", "%d are external, %d are allowed: let one match several alerts, e.g. match: ['severity=~\"page|critical\"']", len(r.Alerts), MaxExternal)
	case len(r.Alerts) > 0 && len(r.Guardrails) == 0:
		rr.spec.refuse("guardrails", "all are external, and a list replaces the default one, so nothing would look at the events: "+
			"add some that do; `streamcanary check --explain` of a file without guardrails prints the default ones")
	}
}

// isExternal reports whether a guardrail from outside has a name.
func (r *Rollout) isExternal(name string) bool {
	return slices.ContainsFunc(r.Alerts, func(g AlertGuardrail) bool { return g.Name == name })
}

// alert explains a guardrail from outside.
func (e *explainer) alert(g *AlertGuardrail, indent string) {
	does := map[On]string{
		OnRollback: "an alert that begins after the canary rolls back, one that fired before holds",
		OnHold:     "an alert holds the rollout while it fires", OnWarn: "an alert is told",
	}[g.On]
	e.line(fmt.Sprintf("%s  - {name: %s, %s: %s, match: %s, for: %s, staleAfter: %s, on: %s}", indent, quoted(g.Name), externalKey, FromAlertmanager, matchText(g.Match),
		FormatDuration(g.For), FormatDuration(g.StaleAfter), g.On), does+"; no share of falseRollback, and no pass")
}

// matchText is what a file says of matchers.
func matchText(all []Matcher) string {
	var texts []string
	plain := map[string]string{}
	for i := range all {
		if all[i].Op == MatchEqual {
			plain[all[i].Label] = all[i].Value
		}
		texts = append(texts, all[i].String())
	}
	if len(plain) == len(all) {
		return flowPairs(plain)
	}
	return flowList(texts)
}
