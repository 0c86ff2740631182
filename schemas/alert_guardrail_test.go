package schemas

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const fromOutside = `  guardrails:
    - {name: errors, rate: error, increase: 5%}
    - {name: page, external: alertmanager, match: {severity: page, team: "feed, \"core\""}}
    - {name: busy, external: alertmanager, match: ['team=~"feed|core"', "env != test", 'severity="page"', 'path!~"C:\\\\d+"'], for: 30s, staleAfter: 1h, on: hold}
    - {name: note, external: alertmanager, match: ['severity=~".+"'], on: warn}
`

func TestAlertGuardrailsAreRead(t *testing.T) {
	r := parsed(t, add(fromOutside))
	want := []AlertGuardrail{
		{"page", []Matcher{{"severity", MatchEqual, "page"}, {"team", MatchEqual, `feed, "core"`}}, 0, 5 * time.Hour, OnRollback},
		{"busy", []Matcher{{"env", MatchNotEqual, "test"}, {"path", MatchNotRegex, `C:\\d+`}, {"severity", MatchEqual, "page"}, {"team", MatchRegex, "feed|core"}},
			30 * time.Second, time.Hour, OnHold},
		{"note", []Matcher{{"severity", MatchRegex, ".+"}}, 0, 5 * time.Hour, OnWarn},
	}
	if !reflect.DeepEqual(r.Alerts, want) {
		t.Errorf("got  %+v\nwant %+v", r.Alerts, want)
	}
	if len(r.Guardrails) != 1 || r.Guardrails[0].Name != "errors" || r.Alpha(&r.Guardrails[0])*4 != r.Risk.FalseRollback*3 {
		t.Errorf("guardrails %+v: want one, that has all of the risk but the missing canary's", r.Guardrails)
	}
	golden(t, "testdata/explained_alerts.yaml", Explain(r))
	checkExplained(t, r)
	for _, text := range []string{add(fromOutside), string(Explain(r))} {
		if err := compiled(t, "rollout").Validate(fromYAML(t, text)); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}

// TestDefaultGuardrailsWithAlerts: guardrails from outside beside exactly the default ones change nothing of these.
func TestDefaultGuardrailsWithAlerts(t *testing.T) {
	r := parsed(t, add("  guardrails:"+strings.ReplaceAll(defaultGuardrails, "\n", "\n    ")+"- {name: page, external: alertmanager, match: {severity: page}}\n"))
	if !r.DefaultGuardrails || len(r.Alerts) != 1 {
		t.Errorf("default %t, alerts %+v", r.DefaultGuardrails, r.Alerts)
	}
}

func TestMatchers(t *testing.T) {
	tests := []struct {
		text, value string
		fits        bool
	}{
		{`a=b`, "b", true}, {`a="b"`, "b", true}, {`a = b`, "c", false}, {`a=""`, "", true}, {`a=`, "", true},
		{`a!=b`, "c", true}, {`a!="b"`, "", true}, {`a!="b"`, "b", false},
		{`a=~"b|c"`, "c", true}, {`a=~"b"`, "bb", false}, {`a=~"b*"`, "", true}, {`a!~"b.*"`, "bb", false}, {`a!~b`, "", true},
		{`a="x\"y\\z\n"`, "x\"y\\z\n", true}, {`a=~"\d+"`, "12", true}, {`a=~"\\d+"`, "12", true},
	}
	for _, test := range tests {
		m, err := parseMatcher(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		again, err := parseMatcher(m.String())
		if m.Fits(test.value) != test.fits || err != nil || again != m {
			t.Errorf("%s fits %q: %t, want %t; written again %s: %v", test.text, test.value, !test.fits, test.fits, m.String(), err)
		}
	}
}

func badAlertGuardrails() []badFile {
	alert := func(more string) string {
		return add("  guardrails:\n  - {name: errors, rate: error, increase: 5%}\n  - {name: page, external: alertmanager" + more + "}\n")
	}
	return []badFile{
		{"an alert without match", alert(""), []string{"8:5: spec.guardrails[1].match: missing: write which alerts are meant by their labels, e.g. match: {severity: page}"}, true},
		{"from elsewhere", strings.Replace(alert(", match: {a: b}"), "external: alertmanager", "external: grafana", 1),
			[]string{`8:28: spec.guardrails[1].external: "grafana" stands where alertmanager is wanted`}, true},
		{"match of nothing", alert(", match: {}"), []string{"8:49: spec.guardrails[1].match: it fits alerts without any label, too, and so every one: write a label that must be there, e.g. severity: page"}, false},
		{"match of everything", alert(`, match: ['a=~".*"']`), []string{"8:49: spec.guardrails[1].match: it fits alerts without any label, too, and so every one: write a label that must be there, e.g. severity: page"}, false},
		{"no matcher", alert(`, match: [page]`), []string{`8:49: spec.guardrails[1].match: "page" is no matcher: write e.g. severity="page" or team=~"feed|core" (operators =, !=, =~, !~)`}, false},
		{"a quote alone", alert(`, match: ['a="b']`), []string{`8:49: spec.guardrails[1].match: "a=\"b": a quote stands alone: write e.g. severity="page", and \" for a quote in the value`}, false},
		{"no expression", alert(`, match: ['a=~"("']`), []string{"8:49: spec.guardrails[1].match: a=~\"(\": error parsing regexp: missing closing ): `^(?:()$`"}, false},
		{"for is too long", alert(", match: {a: b}, for: 1h, staleAfter: 1h"), []string{"8:62: spec.guardrails[1].for: 1h is no less than staleAfter 1h, after which an alert counts as over: write less"}, false},
		{"an alert with a weight", alert(", match: {a: b}, weight: 2"), []string{"8:65: spec.guardrails[1].weight: an alert from outside is no statistic, so it has no weight: remove it"}, true},
		{"a rate that is matched", guard("name: a, rate: error, increase: 5%, match: {a: b}"),
			[]string{"7:49: spec.guardrails[0].match: only alerts from outside are matched: remove it, or write external: alertmanager"}, true},
		{"both", guard("name: a, rate: error, external: alertmanager, match: {a: b}"),
			[]string{"7:38: spec.guardrails[0].external: external stands beside rate: a guardrail has one of rate, quantile, sample, mean, distribution or external: make two of it"}, true},
		{"only alerts", guard("name: a, external: alertmanager, match: {a: b}"),
			[]string{"7:3: spec.guardrails: all are external, and a list replaces the default one, so nothing would look at the events: " +
				"add some that do; `streamcanary check --explain` of a file without guardrails prints the default ones"}, false},
		{"its name is taken", strings.Replace(alert(", match: {a: b}"), "name: page", "name: errors", 1),
			[]string{"8:12: spec.guardrails[1].name: a guardrail in line 7 is called errors, too: give each its own name"}, false},
		{"an alert that passes", alert(", match: {a: b}") + "  stages: [{pass: [errors, page]}]\n",
			[]string{"9:19: spec.stages[0].pass: guardrail page is from outside: an alert that doesn't fire proves nothing, and one that fires ends no stage anyway: don't name it"}, false},
		{"an alert that is muted", alert(", match: {a: b}") + "  cache: {mute: [page]}\n",
			[]string{"9:17: spec.cache.mute: guardrail page is from outside, and no cold cache explains an alert: remove it"}, false},
	}
}
