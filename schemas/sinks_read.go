package schemas

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// sinkRule is what a kind of sink needs in the configuration, and what it may have beside kind, timeout and retries. A key with a value in `def` has that where
// the file has none.
type sinkRule struct {
	need, may []string
	def       map[string]string
}

// The paths of a pod's service account, which are where HTTPRoutes are changed from inside a cluster.
const (
	podAPI    = "https://kubernetes.default.svc"
	podFolder = "/var/run/secrets/kubernetes.io/serviceaccount/"
)

// sinkRules has a rule for every kind. `token` and `secret` stand for both ways to name one.
var sinkRules = map[SinkKind]sinkRule{
	SinkMLflow: {need: []string{"url"}, may: []string{"token", "user", "tls"}},
	SinkHTTPRoute: {need: []string{"url", "token"}, may: []string{"tls"},
		def: map[string]string{"url": podAPI, "tokenFile": podFolder + "token", "caFile": podFolder + "ca.crt"}},
	SinkEnvoy:        {need: []string{"file", "layer"}, def: map[string]string{"layer": "streamcanary"}},
	SinkWebhook:      {need: []string{"url", "secret"}, may: []string{"token", "user", "tls"}},
	SinkSlack:        {need: []string{"secret"}, may: []string{"tls"}},
	SinkPagerDuty:    {need: []string{"url", "secret"}, may: []string{"tls"}, def: map[string]string{"url": "https://events.pagerduty.com"}},
	SinkAlertmanager: {need: []string{"url"}, may: []string{"token", "user", "tls"}},
}

// sinkExamples says what to write where a kind's need is missing.
var sinkExamples = map[string]string{
	"url": "url: https://HOST", "token": "tokenFile: /run/secrets/token", "secret": "secretFile: /run/secrets/secret", "file": "file: /etc/envoy/streamcanary.json",
}

// readSinks reads the sinks of a configuration, ascending by name.
func readSinks(root section) []Sink {
	n := child(root.node, "sinks")
	if n == nil || n.Kind != yaml.MappingNode || len(n.Content) > 2*MaxSinks {
		return nil
	}
	var sinks []Sink
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i].Value
		s := section{root.problems, n.Content[i+1], &sinkForm, join("sinks", name)}
		if s.node.Kind == yaml.MappingNode && s.sound() {
			sinks = append(sinks, readSink(s, name))
		}
	}
	slices.SortFunc(sinks, func(a, b Sink) int { return strings.Compare(a.Name, b.Name) })
	return sinks
}

func readSink(s section, name string) Sink {
	sink := Sink{Name: name, Kind: SinkKind(s.text("kind")), Server: readServer(s), Secret: s.secret("secret"), File: s.text("file"), Layer: s.text("layer")}
	if !s.given("kind") {
		sink.Kind = SinkKind(name)
	}
	rule, known := sinkRules[sink.Kind]
	if !known {
		s.refuse("kind", "missing: only a sink that is called like its kind can do without: write one of %s", orList(sinkKindWords()))
		return sink
	}
	rule.fill(&sink)
	rule.check(s, &sink)
	checkServer(s, &sink.Server)
	return sink
}

// fill gives a sink what its kind has by default. The cluster's certificate goes with the cluster's address only.
func (rule *sinkRule) fill(s *Sink) {
	inside := s.URL == ""
	if inside {
		s.URL = rule.def["url"]
	}
	if !s.Token.Given() {
		s.Token.File = rule.def["tokenFile"]
	}
	if ca := rule.def["caFile"]; ca != "" && s.TLS == nil && inside {
		s.TLS = &TLS{CAFile: ca}
	}
	if s.Layer == "" {
		s.Layer = rule.def["layer"]
	}
}

// check refuses what the kind has no use for, and tells what it lacks.
func (rule *sinkRule) check(s section, sink *Sink) {
	for _, key := range []string{"url", "user", "tokenFile", "tokenEnv", "secretFile", "secretEnv", "tls", "file", "layer"} {
		plain := strings.TrimSuffix(strings.TrimSuffix(key, "File"), "Env")
		switch useful := slices.Contains(rule.need, plain) || slices.Contains(rule.may, plain); {
		case s.given(key) && sink.Kind == SinkSlack && key == "url":
			s.refuse(key, "whoever has the address of an incoming webhook can write to Slack: put it into a file, and write secretFile: FILE")
		case s.given(key) && !useful:
			s.refuse(key, "a sink of kind %s has no use for it: remove it", sink.Kind)
		}
	}
	has := map[string]bool{"url": sink.URL != "", "token": sink.Token.Given(), "secret": sink.Secret.Given(), "file": sink.File != "", "layer": true}
	for _, need := range rule.need {
		if !has[need] {
			key := strings.Split(sinkExamples[need], ":")[0]
			s.refuse(key, "missing: a sink of kind %s needs it: write %s", sink.Kind, sinkExamples[need])
		}
	}
}

func sinkKindWords() []string {
	words := make([]string, len(sinkKinds))
	for i, k := range sinkKinds {
		words[i] = string(k)
	}
	return words
}

// readSinks reads what the rollout wants of sinks, in the file's order.
func (rr rolloutReader) readSinks() {
	r := rr.rollout
	for _, s := range rr.spec.items("sinks") {
		if s.node.Kind != yaml.MappingNode || !s.sound() {
			continue
		}
		if len(s.node.Content) != 2 {
			s.problems.add(spotOf(s.node), s.path, "an entry names one sink: write e.g. - {webhook: oncall}, and another entry for another sink")
			continue
		}
		use := rr.readUse(s, s.node.Content[0].Value)
		if slices.ContainsFunc(r.Sinks, func(u SinkUse) bool { return u.Sink == use.Sink }) {
			s.refuse(string(use.Kind), "sink %s is named twice: remove one", use.Sink)
		}
		rr.checkUse(s, &use)
		r.Sinks = append(r.Sinks, use)
	}
}

func (rr rolloutReader) readUse(s section, key string) SinkUse {
	use := SinkUse{Kind: SinkKind(key)}
	if !use.Kind.Changes() {
		use.Sink = s.text(key)
		return use
	}
	of := s.under(key)
	text := func(key, def string) string {
		if of.form.find(key) == nil {
			return ""
		}
		if of.text(key) == "" {
			return def
		}
		return of.text(key)
	}
	use.Sink, use.Name, use.Namespace = text("sink", key), text("name", rr.rollout.Model), text("namespace", "")
	use.Alias, use.Candidate, use.Stage, use.Prefix = text("alias", ""), text("candidate", ""), text("stage", ""), text("prefix", "")
	use.Baseline, use.Canary = text("baseline", rr.rollout.Baseline), text("canary", rr.rollout.Canary)
	return use
}

// checkUse refuses what a sink could not do.
func (rr rolloutReader) checkUse(s section, use *SinkUse) {
	r, key := rr.rollout, string(use.Kind)
	shadow := slices.ContainsFunc(r.Stages, func(s Stage) bool { return s.Shadow() })
	switch {
	case slices.Contains(r.State.Stores, use.Sink):
		s.refuse(key, "%s is named in state.stores, too: one consumer answers either as a sink or for state", use.Sink)
	case slices.Contains(r.Acks.Routers, use.Sink) && !use.Kind.Routes():
		s.refuse(key, "%s is named in acks.routers, and a sink of kind %s moves no traffic: remove it there", use.Sink, use.Kind)
	case use.Kind.Changes() && use.Baseline == use.Canary:
		s.refuse(key, "baseline and canary are both called %s: they must differ", use.Canary)
	case use.Kind.Routes() && shadow:
		s.refuse(key, "a stage sends copies (weight: 0), which a sink of kind %s can't: remove that stage, or let a router of your own carry it out", use.Kind)
	case use.Kind == SinkMLflow && use.Alias == "" && use.Candidate == "" && use.Stage == "":
		s.refuse(key, "nothing is to be changed: write alias: champion, candidate: challenger, or stage: Production")
	case use.Alias != "" && use.Alias == use.Candidate:
		s.refuse(key, "alias and candidate are both %s: one is the serving version's, the other the canary's", use.Alias)
	}
}

// fitSinks says which sink of a rollout the configuration lacks; nil: none.
func (c *Config) fitSinks(r *Rollout) error {
	names := make([]string, len(c.Sinks))
	for i := range c.Sinks {
		names[i] = c.Sinks[i].Name
	}
	for i := range r.Sinks {
		use := &r.Sinks[i]
		switch sink := c.Sink(use.Sink); {
		case sink == nil && len(names) == 0:
			return fmt.Errorf("rollout %s: spec.sinks names %s, and the configuration of serve has no sinks: add it there under sinks, or remove it here", r.Name, use.Sink)
		case sink == nil:
			return fmt.Errorf("rollout %s: spec.sinks names %s, which is not among the sinks of serve's configuration: %s", r.Name, use.Sink, suggest(use.Sink, names))
		case sink.Kind != use.Kind:
			return fmt.Errorf("rollout %s: spec.sinks names %s as a sink of kind %s, and in serve's configuration it is of kind %s: write - {%s: …}", r.Name, use.Sink, use.Kind, sink.Kind, sink.Kind)
		}
	}
	for _, sink := range c.Sinks {
		if slices.Contains(r.Acks.Routers, sink.Name) && r.Sink(sink.Name) == nil {
			return fmt.Errorf("rollout %s: acks.routers waits for %s, a sink that spec.sinks doesn't name: it would never answer: add it to spec.sinks, or remove it from acks.routers", r.Name, sink.Name)
		}
	}
	return nil
}
