package schemas

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readState fills in what of the model's state goes back with the traffic; a word stands for its mode.
func (rr rolloutReader) readState() {
	s := rr.spec.under("state")
	spec := &rr.rollout.State
	if n := child(rr.spec.node, "state"); n != nil && n.Kind == yaml.ScalarNode {
		spec.Mode = StateMode(n.Value)
		s = section{rr.spec.problems, defaultNode("{}"), &stateForm, s.path}
	} else {
		spec.Mode = StateMode(s.text("mode"))
	}
	spec.Stores, spec.AckWithin, spec.Compatible = s.texts("stores"), s.duration("ackWithin"), s.flag("compatible")
	if spec.Mode == StateNamespaced {
		spec.Namespace = s.text("namespace")
	}
	if s.sound() {
		rr.checkState(s)
	}
}

// checkState refuses what no mode of state means.
func (rr rolloutReader) checkState(s section) {
	spec := &rr.rollout.State
	if spec.Mode != StateShared {
		for _, key := range []string{"stores", "ackWithin", "compatible"} {
			if s.given(key) {
				s.refuse(key, "only shared state is restored by anybody: write mode: shared beside it, or remove the key")
			}
		}
	}
	switch {
	case spec.Mode == StateNamespaced && !strings.Contains(spec.Namespace, "{version}"):
		s.refuse("namespace", "%q is the same for both versions: write {version} into it, or mode: shared", spec.Namespace)
	case spec.Mode != StateNamespaced && s.given("namespace"):
		s.refuse("namespace", "only namespaced state has a name: write mode: namespaced beside it, or remove the key")
	case spec.Mode == StateShared && len(spec.Stores) == 0:
		s.refuse("stores", "missing: name those who hold the state, and acknowledge, e.g. stores: [user-embeddings]")
	}
	if twice := repeatedText(spec.Stores); twice != "" {
		s.refuse("stores", "%s is named twice: remove one", twice)
	}
	for _, store := range spec.Stores {
		if slices.Contains(rr.rollout.Acks.Routers, store) {
			s.refuse("stores", "%s is named in acks.routers, too: one consumer answers either for traffic or for state", store)
		}
	}
}

// Of is the namespace of one version's state.
func (s *StateSpec) Of(model, version string) string { return inNamespace(s.Namespace, model, version) }

func inNamespace(pattern, model, version string) string {
	return strings.NewReplacer("{model}", model, "{version}", version).Replace(pattern)
}
