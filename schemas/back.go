package schemas

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// backSuffix is what the name of a way back ends with.
const backSuffix = "-back"

// WayBack is the way back from what a rollout file promoted: the file with baseline and canary changed for one another, wherever both stand side by side, named NAME-back,
// and without stages, so that no traffic moves before its promotion, which stops at the steps of cache.warm, where there are some (cache.idle). It has no offline scores
// (training), which are the canary's, and no guardrails from outside: an alert that fires is a reason to go back, and must not keep from it. The file must be one that
// ParseRollout reads.
func WayBack(text []byte) (back []byte, name string, err error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, "", fmt.Errorf("turn rollout round: %w", err)
	}
	if len(doc.Content) == 0 {
		return nil, "", fmt.Errorf("turn rollout round: the file is empty")
	}
	root := doc.Content[0]
	named := valueOf(valueOf(root, "metadata"), "name")
	spec := valueOf(root, "spec")
	if named == nil || spec == nil {
		return nil, "", fmt.Errorf("turn rollout round: the file has no metadata.name, or no spec")
	}
	named.Value += backSuffix
	if len(named.Value) > MaxNameBytes {
		return nil, "", fmt.Errorf("turn rollout round: its name, %s, would have %d bytes, %d are allowed: write the file of the way back by hand", named.Value, len(named.Value), MaxNameBytes)
	}
	drop(spec, "stages")
	drop(spec, "training")
	dropExternal(valueOf(spec, "guardrails"))
	idles(valueOf(spec, "cache"))
	turn(spec)
	back, err = yaml.Marshal(&doc)
	return back, named.Value, err
}

// drop takes a key out of a mapping, where it is there.
func drop(n *yaml.Node, key string) {
	for i := 0; valueOf(n, key) != nil; i += 2 {
		if n.Content[i].Value == key {
			n.Content = append(n.Content[:i], n.Content[i+2:]...)
			return
		}
	}
}

// dropExternal takes the guardrails from outside out of a list.
func dropExternal(list *yaml.Node) {
	if list != nil {
		list.Content = slices.DeleteFunc(list.Content, func(n *yaml.Node) bool { return valueOf(n, externalKey) != nil })
	}
}

// idles says of a cache that is warmed in steps that the promotion stops at them.
func idles(cache *yaml.Node) {
	if valueOf(cache, "warm") != nil && valueOf(cache, "idle") == nil {
		cache.Content = append(cache.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "idle"}, &yaml.Node{Kind: yaml.ScalarNode, Value: "true"})
	}
}

// turn changes baseline and canary for one another in a node, and in all below it.
func turn(n *yaml.Node) {
	if baseline, canary := valueOf(n, "baseline"), valueOf(n, "canary"); baseline != nil && canary != nil {
		*baseline, *canary = *canary, *baseline
	}
	for _, below := range n.Content {
		turn(below)
	}
}

// valueOf is what stands under a key of a mapping; nil: nothing does.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
