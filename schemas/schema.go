package schemas

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed *.schema.json
var schemaFiles embed.FS

const schemaSuffix = ".schema.json"

// SchemaNames returns what Schema has, in order: ack, config, decision, event, rollout.
func SchemaNames() []string {
	entries, err := schemaFiles.ReadDir(".")
	if err != nil {
		panic("embedded schemas: " + err.Error())
	}
	var known []string
	for _, entry := range entries {
		known = append(known, strings.TrimSuffix(entry.Name(), schemaSuffix))
	}
	slices.Sort(known)
	return known
}

// Schema returns the JSON Schema (2020-12) of a name. The error says which names there are.
func Schema(name string) ([]byte, error) {
	known := SchemaNames()
	if !slices.Contains(known, name) {
		return nil, fmt.Errorf("no schema is called %q: %s", name, suggest(name, known))
	}
	data, err := schemaFiles.ReadFile(name + schemaSuffix)
	if err != nil {
		return nil, fmt.Errorf("read schema %s: %w", name, err)
	}
	return data, nil
}
