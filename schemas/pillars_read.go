package schemas

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Pillars are what must hold before a rollout starts. One that is nil isn't named, and so not checked.
type Pillars struct {
	MLflow   *MLflowPillar
	Input    *Pair // schemas of requests
	Output   *Pair // schemas of answers
	Features *Pair // feature lists
	// Ordered, of Features: their order matters.
	Ordered bool
}

// An MLflowPillar says which versions of a registered model the arms are.
type MLflowPillar struct {
	Name string // the registered model
	Tag  string // of a model version: where its digest stands in MLflow
	// Baseline and Canary are the arms' versions.
	Baseline, Canary RecordedVersion
}

// A RecordedVersion is a version of a registered model, and what it was when the rollout was written.
type RecordedVersion struct {
	Version string
	Digest  string // "": none was recorded
}

// A Pair is the same thing of both arms.
type Pair struct{ Baseline, Canary Reference }

// A Reference names a schema or a feature list: either a file, or a version of a subject of a Schema Registry.
type Reference struct {
	File    string // path, relative to the rollout file's folder
	Subject string
	Version int // of Subject, from 1
}

// String is the reference as a rollout file has it.
func (r Reference) String() string {
	if r.Subject == "" {
		return r.File
	}
	return subjectPrefix + r.Subject + "@" + strconv.Itoa(r.Version)
}

// The endings of files that a reference may name.
const (
	JSONSchemaSuffix  = ".json"
	AvroSuffix        = ".avsc"
	FeatureListSuffix = ".txt"
)

const subjectPrefix = "subject:"

var pillarsForm = mapping(
	field{key: "registry", about: "both versions are in a model registry, and ready", form: mapping(
		field{key: "mlflow", form: mlflowForm, need: required, example: "mlflow: {name: ranker}", about: "in MLflow, at registries.mlflow.url of the configuration"},
	)},
	field{key: "input", form: pairForm, about: "schemas of requests: .json (JSON Schema), .avsc (Avro), or subject:NAME@VERSION"},
	field{key: "output", form: pairForm, about: "schemas of answers, likewise"},
	field{key: "features", about: "lists of features: .txt, a line `name` or `name: type` each", form: mapping(append(slices.Clone(pairForm.fields),
		field{key: "ordered", form: form{kind: boolForm}, def: "false", about: "their order matters, too"})...)},
)

var mlflowForm = mapping(
	field{key: "name", form: text(MaxNameBytes), need: required, example: "name: ranker", about: "the registered model"},
	field{key: "tag", form: text(MaxNameBytes), def: "digest", about: "tag of a model version that holds the digest of what it serves"},
	field{key: "baseline", form: recordedForm, about: "of the baseline"},
	field{key: "canary", form: recordedForm, about: "of the canary"},
)

var recordedForm = mapping(
	field{key: "version", form: text(MaxNameBytes), about: "its version in MLflow; default: the arm's"},
	field{key: "digest", form: text(maxLabelBytes), about: "what its tag must say, e.g. sha256:9f86…; without it the digest is not checked"},
)

var pairForm = mapping(
	field{key: "baseline", form: text(maxLabelBytes), need: required, example: "baseline: in-41.json", about: "of the baseline"},
	field{key: "canary", form: text(maxLabelBytes), need: required, example: "canary: in-42.json", about: "of the canary"},
)

// readPillars fills in what is checked before the start.
func (rr rolloutReader) readPillars() {
	if !rr.spec.given("pillars") {
		return
	}
	s, p := rr.spec.under("pillars"), &rr.rollout.Pillars
	if s.node.Kind != yaml.MappingNode || !s.sound() {
		return
	}
	if s.given("registry") {
		p.MLflow = rr.readMLflow(s.under("registry").under("mlflow"))
	}
	p.Input, p.Output, p.Features = readSchemas(s, "input"), readSchemas(s, "output"), readFeatures(s)
	p.Ordered = s.under("features").flag("ordered")
	if p.None() {
		rr.spec.refuse("pillars", "names none: write e.g. input: {baseline: in-41.json, canary: in-42.json}, or remove the key")
	}
}

func (rr rolloutReader) readMLflow(s section) *MLflowPillar {
	m := &MLflowPillar{Name: s.text("name"), Tag: s.text("tag")}
	m.Baseline = readRecorded(s.under("baseline"), rr.rollout.Baseline)
	m.Canary = readRecorded(s.under("canary"), rr.rollout.Canary)
	if m.Baseline.Version == m.Canary.Version && m.Canary.Version != "" {
		s.refuse("canary", "version %s of the registry is the baseline's, too: name the versions of each with version:", m.Canary.Version)
	}
	return m
}

// digestText is how a digest is written: what was computed, and its bytes in lower-case hex.
var digestText = regexp.MustCompile(`^[a-z0-9]+:[0-9a-f]{32,128}$`)

func readRecorded(s section, version string) RecordedVersion {
	r := RecordedVersion{Version: version, Digest: s.text("digest")}
	if s.given("version") {
		r.Version = s.text("version")
	}
	if r.Digest != "" && !digestText.MatchString(r.Digest) {
		s.refuse("digest", "%q is no digest: write e.g. sha256: and 64 hexadecimal digits, in lower case", r.Digest)
	}
	return r
}

func readSchemas(around section, key string) *Pair {
	if !around.given(key) {
		return nil
	}
	s := around.under(key)
	p := &Pair{readReference(s, "baseline", JSONSchemaSuffix, AvroSuffix), readReference(s, "canary", JSONSchemaSuffix, AvroSuffix)}
	b, c := suffixOf(p.Baseline.File), suffixOf(p.Canary.File)
	if s.sound() && b != "" && c != "" && b != c {
		s.refuse("canary", "%s can't be held against %s: both must be %s, or both %s", p.Canary, p.Baseline, JSONSchemaSuffix, AvroSuffix)
	}
	return p
}

func readFeatures(around section) *Pair {
	if !around.given("features") {
		return nil
	}
	s := around.under("features")
	return &Pair{readReference(s, "baseline", FeatureListSuffix), readReference(s, "canary", FeatureListSuffix)}
}

// suffixOf is the ending of a file's name, with its dot; "" without one.
func suffixOf(file string) string {
	if i := strings.LastIndexByte(file, '.'); i >= 0 {
		return file[i:]
	}
	return ""
}

// readReference reads a file with one of the endings, or, where schemas are wanted, a subject.
func readReference(s section, key string, suffixes ...string) Reference {
	written := s.text(key)
	if rest, is := strings.CutPrefix(written, subjectPrefix); is && suffixes[0] == JSONSchemaSuffix {
		return s.readSubject(key, rest)
	}
	if !slices.Contains(suffixes, suffixOf(written)) {
		also := ""
		if suffixes[0] == JSONSchemaSuffix {
			also = ", or of a Schema Registry's subject, e.g. subject:ranker-value@3"
		}
		s.refuse(key, "%q: write the name of a file that ends in %s%s", written, orList(suffixes), also)
	}
	return Reference{File: written}
}

// maxSubjectVersion is that of the Schema Registry, whose versions are 32-bit numbers.
const maxSubjectVersion = 1<<31 - 1

func (s section) readSubject(key, written string) Reference {
	at := strings.LastIndexByte(written, '@')
	version, err := strconv.Atoi(written[at+1:])
	switch {
	case at > 0 && written[at+1:] == "latest":
		s.refuse(key, "latest is another schema tomorrow: write a number, e.g. subject:%s@3", written[:at])
	case at <= 0, err != nil, version < 1, version > maxSubjectVersion, strings.HasPrefix(written[at+1:], "+"), strings.HasPrefix(written[at+1:], "0"):
		s.refuse(key, "%q is no version of a subject: write e.g. subject:ranker-value@3", subjectPrefix+written)
	default:
		return Reference{Subject: written[:at], Version: version}
	}
	return Reference{}
}

// None says whether no pillar is named.
func (p *Pillars) None() bool {
	return p.MLflow == nil && p.Input == nil && p.Output == nil && p.Features == nil
}

// References are what the pairs name, each once, baseline first.
func (p *Pillars) References() []Reference {
	var all []Reference
	for _, pair := range []*Pair{p.Input, p.Output, p.Features} {
		if pair == nil {
			continue
		}
		for _, r := range []Reference{pair.Baseline, pair.Canary} {
			if !slices.Contains(all, r) {
				all = append(all, r)
			}
		}
	}
	return all
}

// Remote says whether a registry has to be asked.
func (p *Pillars) Remote() bool {
	return p.MLflow != nil || slices.ContainsFunc(p.References(), func(r Reference) bool { return r.Subject != "" })
}

// names says whether something stands at the path of a mapping of the file.
func (p *Pillars) names(path string) bool {
	switch path {
	case "spec.pillars.input":
		return p.Input != nil
	case "spec.pillars.output":
		return p.Output != nil
	case "spec.pillars.features":
		return p.Features != nil
	}
	return p.MLflow != nil
}

// explainPillars adds what is named.
func explainPillars(values map[string]string, p *Pillars) {
	if m := p.MLflow; m != nil {
		at := "spec.pillars.registry.mlflow."
		values[at+"name"], values[at+"tag"] = quoted(m.Name), quoted(m.Tag)
		for arm, v := range map[string]RecordedVersion{"baseline": m.Baseline, "canary": m.Canary} {
			values[at+arm+".version"] = quoted(v.Version)
			if v.Digest != "" {
				values[at+arm+".digest"] = quoted(v.Digest)
			}
		}
	}
	for key, pair := range map[string]*Pair{"input": p.Input, "output": p.Output, "features": p.Features} {
		if pair != nil {
			values["spec.pillars."+key+".baseline"], values["spec.pillars."+key+".canary"] = quoted(pair.Baseline.String()), quoted(pair.Canary.String())
		}
	}
	if p.Features != nil {
		values["spec.pillars.features.ordered"] = strconv.FormatBool(p.Ordered)
	}
}
