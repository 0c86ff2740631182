package schemas

import (
	"strings"
	"testing"
)

// picking is the shortest rollout, its canary with a where, and further lines of its spec.
func picking(where, lines string) string {
	return strings.Replace(shortest, `"42"}`, `"42", where: `+where+`}`, 1) + lines
}

func badWheres() []badFile {
	bad := func(pattern, mark string) string {
		return `5:41: spec.canary.where.host: "` + pattern + `" has "` + mark + "\", which no pattern can have: `*` stands for anything, all else for itself"
	}
	return []badFile{
		{"misspelt field of where", picking("{hots: a}", ""), []string{"5:35: spec.canary.where.hots: unknown key: did you mean host?"}, true},
		{"field that where can't match", picking("{unit: a}", ""), []string{"5:35: spec.canary.where.unit: unknown key: known here: host, region, segment"}, true},
		{"field of the arm in where", picking(`{version: "a"}`, ""), []string{"5:35: spec.canary.where.version: unknown key: it belongs to spec.baseline, spec.canary or spec.pillars.registry.mlflow.baseline"}, true},
		{"empty where", picking("{}", ""), []string{`5:34: spec.canary.where: is empty: name a field, e.g. where: {host: "base-*"}, or remove the key`}, true},
		{"where without value", picking("", ""), []string{"5:34: spec.canary.where: has no value: write a mapping of keys, or remove the key"}, true},
		{"text for where", picking("base-*", ""), []string{`5:34: spec.canary.where: "base-*" stands where a mapping of keys is wanted`}, true},
		{"empty pattern", picking(`{host: ""}`, ""), []string{"5:41: spec.canary.where.host: is empty: write a name, or remove it"}, true},
		{"number for a pattern", picking(`{host: 7}`, ""), []string{`5:41: spec.canary.where.host: 7 is a number here: write "7", in quotes`}, true},
		{"list of patterns", picking(`{host: [a, b]}`, ""), []string{"5:41: spec.canary.where.host: a list stands where text is wanted"}, true},
		{"pattern too long", picking(`{host: `+strings.Repeat("a", 129)+`}`, ""), []string{"5:41: spec.canary.where.host: is 129 bytes long, 128 are allowed"}, true},
		{"class in a pattern", picking(`{host: "base-[0-9]"}`, ""), []string{bad("base-[0-9]", "[")}, true},
		{"open class in a pattern", picking(`{host: "a]"}`, ""), []string{bad("a]", "]")}, true},
		{"one letter in a pattern", picking(`{host: "base-?"}`, ""), []string{bad("base-?", "?")}, true},
		{"alternatives in a pattern", picking(`{host: "{a,b}-*"}`, ""), []string{bad("{a,b}-*", "{")}, true},
		{"escape in a pattern", picking(`{host: 'a\*'}`, ""), []string{bad(`a\\*`, `\\`)}, true},
		{"one version in both arms, apart by where", strings.Replace(picking(`{host: "a-*"}`, ""), `"42"`, `"41"`, 1),
			[]string{`5:21: spec.canary.version: "41" is the baseline's version, too: a version can't be compared with itself: name another one`}, false},
		{"gauge of a segment", picking("{segment: web}", "  guardrails:\n  - {name: a, rate: error, increase: 5%}\n  - {name: b, sample: cpu, limit: 0.9, increase: 5pp}\n"),
			[]string{"8:23: spec.guardrails[1].sample: samples have a host, but no segment and no region, so where picks none of them: remove the guardrail, or pick by host alone"}, false},
		{"mean of samples of a region", picking("{host: a, region: eu}", "  guardrails:\n  - {name: b, mean: cpu, increase: 0.05}\n"),
			[]string{"7:21: spec.guardrails[0].mean: samples have a host, but no segment and no region, so where picks none of them: remove the guardrail, or pick by host alone"}, false},
		{"unmatched beside where", picking("{host: a}", "  health: {unmatched: 1%}\n"),
			[]string{"6:23: spec.health.unmatched: an outcome that finds no prediction doesn't say on which host it was made, so beside where this isn't tested: remove it"}, false},
	}
}

func TestWhereIsReadAndExplained(t *testing.T) {
	for _, row := range []struct {
		where string
		want  Where
		of    string
		lines []string // of what explains it
	}{
		{"{host: base-*}", Where{Host: "base-*"}, "42 (host base-*)", []string{`      host: "base-*"  `}},
		{`{segment: "on", region: eu/west}`, Where{Segment: "on", Region: "eu/west"}, "42 (segment on, region eu/west)", []string{`segment: "on"  `, "region: eu/west  "}},
		{`{host: "*", segment: "*", region: "ä b"}`, Where{"*", "*", "ä b"}, "42 (host *, segment *, region ä b)", []string{`      host: "*"  `, `segment: "*"  `, `region: "ä b"  `}},
	} {
		r := parsed(t, picking(row.where, "  stages: [{weight: 10}]\n  health: {unmatched: 5.0%}\n"))
		if r.CanaryWhere != row.want || !r.BaselineWhere.All() || !r.Picks() || r.CanaryWhere.Of(r.Canary) != row.of {
			t.Errorf("%s is read as %+v, of the canary: %q", row.where, r, r.CanaryWhere.Of(r.Canary))
		}
		text := string(Explain(r))
		for _, want := range append(row.lines, "# all of the version: where, with patterns of host, segment or region, would pick part of it",
			"(not tested beside where: an outcome without a prediction names no host)", "the share within where is held against the one at the start") {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
		checkExplained(t, r)
		if err := compiled(t, "rollout").Validate(fromYAML(t, text)); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
}

func TestWhereOfSegmentsLeavesDefaultGuardrails(t *testing.T) {
	r := parsed(t, picking("{segment: web}", ""))
	if !r.DefaultGuardrails || len(r.Guardrails) != 10 || r.CanaryWhere.OfSamples() || !(Where{Host: "a"}).OfSamples() {
		t.Errorf("got %+v", r)
	}
	if text, want := string(Explain(r)), "where picks no samples: they have neither segment nor region"; strings.Count(text, want) != 2 {
		t.Errorf("%q is not said of cpu and memory in\n%s", want, text)
	}
}

func TestWhereCheck(t *testing.T) {
	if err := (Where{Host: "a*b", Segment: "**", Region: "x y"}).Check(); err != nil {
		t.Error(err)
	}
	want := "where segment: \"a?\" has \"?\", which no pattern can have: `*` stands for anything, all else for itself"
	if err := (Where{Host: "a", Segment: "a?"}).Check(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
