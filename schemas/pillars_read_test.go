package schemas

import (
	"reflect"
	"testing"
)

func TestPillars(t *testing.T) {
	file := func(name string) Reference { return Reference{File: name} }
	mlflow := func(b, c RecordedVersion) Pillars {
		return Pillars{MLflow: &MLflowPillar{"ranker", "digest", b, c}}
	}
	const digest = "sha256:0123456789abcdef0123456789abcdef"
	for _, test := range []struct {
		name, text string
		want       Pillars
		remote     bool
	}{
		{"nothing is said", "", Pillars{}, false},
		{"a model", "pillars: {registry: {mlflow: {name: ranker}}}", mlflow(RecordedVersion{"41", ""}, RecordedVersion{"42", ""}), true},
		{"versions of their own", `pillars: {registry: {mlflow: {name: ranker, baseline: {version: "7"}, canary: {version: "8", digest: "` + digest + `"}}}}`,
			mlflow(RecordedVersion{"7", ""}, RecordedVersion{"8", digest}), true},
		{"schemas", "pillars: {input: {baseline: a.json, canary: ../b.json}, output: {baseline: a.avsc, canary: b.avsc}}",
			Pillars{Input: &Pair{file("a.json"), file("../b.json")}, Output: &Pair{file("a.avsc"), file("b.avsc")}}, false},
		{"subjects", `pillars: {input: {baseline: "subject:a/b@1", canary: "subject:a@b@12"}}`,
			Pillars{Input: &Pair{Reference{Subject: "a/b", Version: 1}, Reference{Subject: "a@b", Version: 12}}}, true},
		{"features", "pillars: {features: {baseline: a.txt, canary: a.txt}}", Pillars{Features: &Pair{file("a.txt"), file("a.txt")}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := parsed(t, shortest+"  "+test.text+"\n")
			if !reflect.DeepEqual(r.Pillars, test.want) || r.Pillars.Remote() != test.remote || r.Pillars.None() != (test.text == "") {
				t.Errorf("pillars %+v (remote %v), want %+v (%v)", r.Pillars, r.Pillars.Remote(), test.want, test.remote)
			}
			checkExplained(t, r)
		})
	}
}

func TestReferences(t *testing.T) {
	a, b, s := Reference{File: "a.json"}, Reference{File: "b.json"}, Reference{Subject: "x", Version: 2}
	p := Pillars{Output: &Pair{a, s}, Input: &Pair{b, a}}
	if got, want := p.References(), []Reference{b, a, s}; !reflect.DeepEqual(got, want) {
		t.Errorf("references %v, want %v", got, want)
	}
	if got := s.String(); got != "subject:x@2" {
		t.Errorf("a subject is written %s", got)
	}
}

// badPillars are files whose pillars can't be checked.
func badPillars() []badFile {
	var files []badFile
	refuse := func(name, lines string, schema bool, want ...string) {
		files = append(files, badFile{name, shortest + "  pillars: " + lines + "\n", want, schema})
	}
	refuse("no pillar", "{}", false, "6:12: spec.pillars: names none: write e.g. input: {baseline: in-41.json, canary: in-42.json}, or remove the key")
	refuse("no registry", "{registry: {}}", true, "6:23: spec.pillars.registry.mlflow: missing: write mlflow: {name: ranker}")
	refuse("no model", "{registry: {mlflow: {}}}", true, "6:32: spec.pillars.registry.mlflow.name: missing: write name: ranker")
	refuse("one arm", "{input: {baseline: a.json}}", true, "6:20: spec.pillars.input.canary: missing: write canary: in-42.json")
	refuse("a digest that is none", "{registry: {mlflow: {name: r, canary: {digest: abc}}}}", false,
		`6:59: spec.pillars.registry.mlflow.canary.digest: "abc" is no digest: write e.g. sha256: and 64 hexadecimal digits, in lower case`)
	refuse("one version for both arms", `{registry: {mlflow: {name: r, canary: {version: "41"}}}}`, false,
		"6:50: spec.pillars.registry.mlflow.canary: version 41 of the registry is the baseline's, too: name the versions of each with version:")
	refuse("a file of another kind", "{input: {baseline: a.yaml, canary: b}, features: {baseline: a.json, canary: \"subject:a@1\"}}", false,
		`6:31: spec.pillars.input.baseline: "a.yaml": write the name of a file that ends in .json or .avsc, or of a Schema Registry's subject, e.g. subject:ranker-value@3`,
		`6:47: spec.pillars.input.canary: "b": write the name of a file that ends in .json or .avsc, or of a Schema Registry's subject, e.g. subject:ranker-value@3`,
		`6:72: spec.pillars.features.baseline: "a.json": write the name of a file that ends in .txt`,
		`6:88: spec.pillars.features.canary: "subject:a@1": write the name of a file that ends in .txt`)
	refuse("two kinds", "{input: {baseline: a.json, canary: b.avsc}}", false,
		"6:47: spec.pillars.input.canary: b.avsc can't be held against a.json: both must be .json, or both .avsc")
	refuse("a subject that moves", `{input: {baseline: "subject:a@latest", canary: "subject:a@2"}}`, false,
		"6:31: spec.pillars.input.baseline: latest is another schema tomorrow: write a number, e.g. subject:a@3")
	for _, subject := range []string{"subject:a", "subject:@1", "subject:a@0", "subject:a@-1", "subject:a@+1", "subject:a@01", "subject:a@2147483648", "subject:a@1.5"} {
		refuse("version of "+subject, `{input: {baseline: "`+subject+`", canary: "subject:a@2"}}`, false,
			`6:31: spec.pillars.input.baseline: "`+subject+`" is no version of a subject: write e.g. subject:ranker-value@3`)
	}
	refuse("order of schemas", "{input: {baseline: a.json, canary: b.json, ordered: true}}", true,
		"6:55: spec.pillars.input.ordered: unknown key: it belongs to spec.pillars.features")
	return files
}
