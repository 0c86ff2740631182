package schemas

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

//go:embed *.schema.json asyncapi.yaml
var schemaFiles embed.FS

const schemaSuffix = ".schema.json"

// AsyncAPI is the name of the document that describes every subject, topic and message, in AsyncAPI 3 (YAML). It refers to the schemas of messages as files beside it: NAME.schema.json.
const AsyncAPI = "asyncapi"

const asyncAPIAbout = "Every subject, topic and message, as AsyncAPI 3: what is sent where, with which headers, and by whom."

// SchemaNames returns what Schema has, in order: ack, asyncapi, command, config, decision, event, reply, rollout.
func SchemaNames() []string {
	entries, err := schemaFiles.ReadDir(".")
	if err != nil {
		panic("embedded schemas: " + err.Error())
	}
	known := []string{AsyncAPI}
	for _, entry := range entries {
		if name, is := strings.CutSuffix(entry.Name(), schemaSuffix); is {
			known = append(known, name)
		}
	}
	slices.Sort(known)
	return known
}

// Schema returns the JSON Schema (2020-12) of a name, or the document AsyncAPI. The error says which names there are.
func Schema(name string) ([]byte, error) {
	known := SchemaNames()
	if !slices.Contains(known, name) {
		return nil, fmt.Errorf("no schema is called %q: %s", name, suggest(name, known))
	}
	file := name + schemaSuffix
	if name == AsyncAPI {
		file = "asyncapi.yaml"
	}
	data, err := schemaFiles.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read schema %s: %w", name, err)
	}
	return data, nil
}

// SchemaAbout is what a schema of SchemaNames describes, in a sentence or two; the error is Schema's.
func SchemaAbout(name string) (string, error) {
	if name == AsyncAPI {
		return asyncAPIAbout, nil
	}
	text, err := Schema(name)
	if err != nil {
		return "", err
	}
	var schema struct {
		Description string `json:"description"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		return "", fmt.Errorf("read schema %s: %w", name, err)
	}
	return schema.Description, nil
}
