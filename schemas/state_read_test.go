package schemas

import (
	"reflect"
	"testing"
	"time"
)

func TestState(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       StateSpec
	}{
		{"nothing is said", "", StateSpec{StateNone, "", nil, 30 * time.Second, true}},
		{"a word", "state: none", StateSpec{StateNone, "", nil, 30 * time.Second, true}},
		{"named by its version", "state: namespaced", StateSpec{StateNamespaced, "{model}:{version}", nil, 30 * time.Second, true}},
		{"named otherwise", `state: {mode: namespaced, namespace: "emb/{version}"}`, StateSpec{StateNamespaced, "emb/{version}", nil, 30 * time.Second, true}},
		{"shared", "state: {mode: shared, stores: [user, item], ackWithin: 5s, compatible: false}", StateSpec{StateShared, "", []string{"user", "item"}, 5 * time.Second, false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := parsed(t, stagedHead+"  "+test.text+"\n")
			if !reflect.DeepEqual(r.State, test.want) {
				t.Errorf("state %+v, want %+v", r.State, test.want)
			}
			if again := parsed(t, string(Explain(r))); !reflect.DeepEqual(again.State, r.State) {
				t.Errorf("explained and read again: %+v", again.State)
			}
		})
	}
	named := StateSpec{Namespace: "emb/{version} of {model}"}
	if got := named.Of("ranker", "41"); got != "emb/41 of ranker" {
		t.Errorf("namespace %q", got)
	}
}

// badStates are files whose state can't work.
func badStates() []badFile {
	var files []badFile
	refuse := func(name, lines string, want ...string) {
		files = append(files, badFile{name, shortest + lines, want, false})
	}
	refuse("state that both versions share under one name", "  state: {mode: namespaced, namespace: ranker}\n",
		`6:40: spec.state.namespace: "ranker" is the same for both versions: write {version} into it, or mode: shared`)
	refuse("shared state that nobody holds", "  state: {mode: shared}\n", "6:10: spec.state.stores: missing: name those who hold the state, and acknowledge, e.g. stores: [user-embeddings]")
	refuse("a store that is named twice", "  state: {mode: shared, stores: [a, b, a]}\n", "6:33: spec.state.stores: a is named twice: remove one")
	refuse("a store that is a router", "  state: {mode: shared, stores: [a]}\n  acks: {routers: [a]}\n",
		"6:33: spec.state.stores: a is named in acks.routers, too: one consumer answers either for traffic or for state")
	refuse("stores of no state", "  state: {stores: [a], compatible: false}\n",
		"6:19: spec.state.stores: only shared state is restored by anybody: write mode: shared beside it, or remove the key",
		"6:36: spec.state.compatible: only shared state is restored by anybody: write mode: shared beside it, or remove the key")
	refuse("a name of no state", "  state: {mode: shared, stores: [a], namespace: \"{version}\"}\n",
		"6:49: spec.state.namespace: only namespaced state has a name: write mode: namespaced beside it, or remove the key")
	return files
}
