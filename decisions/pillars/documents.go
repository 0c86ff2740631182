package pillars

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"streamcanary/decisions"
	"streamcanary/schemas"
	"streamcanary/schemas/compat"
)

// side is one version's schema or feature list, and where it is from.
type side struct {
	compat.Document
	reference schemas.Reference
	subject   *subjectVersion // of a reference to a Schema Registry
}

// alone reports whether our own check can read it without others.
func (s *side) alone() bool {
	return s.Kind != protobuf && (s.subject == nil || len(s.subject.References) == 0 || s.Kind == compat.JSONSchema)
}

// protobuf is a kind that package compat doesn't compare.
const protobuf compat.Kind = "Protobuf schema"

// pair checks that two schemas, or feature lists, fit each other in both directions: by our own check, and where one is a registry's, by its own.
func (c *check) pair(ctx context.Context, name decisions.PillarName, role compat.Role, p *schemas.Pair) decisions.Pillar {
	if c.Offline && p.Baseline.Subject+p.Canary.Subject != "" {
		return unchecked(name, "the Schema Registry")
	}
	baseline, err := c.side(ctx, p.Baseline)
	if err != nil {
		return c.failed(name, err)
	}
	canary, err := c.side(ctx, p.Canary)
	if err != nil {
		return c.failed(name, err)
	}
	own, compared, err := c.own(role, baseline, canary)
	if err != nil {
		return c.failed(name, err)
	}
	asked := c.ask(ctx, baseline, canary)
	if compared+asked.compared == 0 && asked.away == nil {
		asked.harmful = append(asked.harmful, "nothing could be compared: see what was not checked")
	}
	harmful, rest := asked.harmful, asked.unchecked
	for _, f := range own {
		if f.Unchecked {
			rest = append(rest, f.String())
		} else {
			harmful = append(harmful, f.String())
		}
	}
	if harmful != nil {
		return decisions.NewPillar(name, decisions.PillarFailed, append(harmful, rest...))
	}
	if asked.away != nil {
		return c.failed(name, asked.away)
	}
	held := decisions.NewPillar(name, decisions.PillarHeld, rest)
	if !baseline.alone() || !canary.alone() { // what has parts elsewhere can't be read here
		return held
	}
	changes, err := compat.Changes(role, baseline.Document, canary.Document, c.options(role))
	if err != nil {
		return c.failed(name, err)
	}
	return held.Changed(changes)
}

// options are how documents of a role are compared.
func (c *check) options(role compat.Role) compat.Options {
	return compat.Options{Ordered: c.Pillars.Ordered && role == compat.Features}
}

// own compares what can be compared here, and counts the comparisons.
func (c *check) own(role compat.Role, baseline, canary *side) ([]compat.Finding, int, error) {
	for _, s := range []*side{baseline, canary} {
		if !s.alone() {
			return []compat.Finding{{Way: "both ways", At: s.Name, Change: fmt.Sprintf("it is a %s with parts elsewhere, or of another kind than JSON and Avro", s.Kind),
				Do: "only the Schema Registry's own check says whether it fits", Unchecked: true}}, 0, nil
		}
	}
	found, err := compat.Compare(role, baseline.Document, canary.Document, c.options(role))
	return found, 1, err
}

// side gets a document.
func (c *check) side(ctx context.Context, r schemas.Reference) (*side, error) {
	if r.Subject != "" {
		return c.subject(ctx, r)
	}
	text, there := c.Documents[r.File]
	if !there {
		return nil, fmt.Errorf("the text of %s did not come with the rollout: apply it again, from the folder that has the file (of one that is in no folder, as `rollout back` makes them, write the file there first: `rollout explain NAME > FILE`)", r.File)
	}
	return &side{Document: compat.Document{Name: r.File, Kind: kindOf(r.File), Text: []byte(text)}, reference: r}, nil
}

// kindOf is the kind of a file, by its ending, which the rollout file's reader has seen.
func kindOf(file string) compat.Kind {
	switch {
	case strings.HasSuffix(file, schemas.JSONSchemaSuffix):
		return compat.JSONSchema
	case strings.HasSuffix(file, schemas.AvroSuffix):
		return compat.Avro
	}
	return compat.FeatureList
}

// errNoSchemaRegistry: a subject is named, and no registry is configured.
var errNoSchemaRegistry = &away{errors.New("the configuration has no registries.schemas: write where the Schema Registry is, e.g. registries: {schemas: {url: \"https://registry.example:8081\"}}")}
