package pillars

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	here := baseline.alone() && canary.alone()
	var own []compat.Finding
	if here || baseline.Kind != canary.Kind { // which nobody holds against each other
		if own, err = compat.Compare(role, baseline.Document, canary.Document, c.options(role)); err != nil {
			return c.failed(name, err)
		}
	}
	asked := c.ask(ctx, baseline, canary)
	why := slices.Concat(asked.harmful, sentences(own))
	if !here && asked.away == nil && asked.harmful == nil {
		why = slices.Concat(why, asked.unproven(baseline, canary))
	}
	if why != nil {
		p := decisions.NewPillar(name, decisions.PillarFailed, append(why, asked.unchecked...))
		p.Away = asked.harmful != nil && !asked.answered && own == nil
		return p
	}
	if asked.away != nil {
		return c.failed(name, asked.away)
	}
	held := decisions.NewPillar(name, decisions.PillarHeld, asked.unchecked)
	if !here { // what has parts elsewhere can't be read here
		return held.Changed(unread(role, baseline, canary))
	}
	changes, err := compat.Changes(role, baseline.Document, canary.Document, c.options(role))
	if err != nil {
		return c.failed(name, err)
	}
	return held.Changed(changes)
}

// unread says of schemas that can't be read here that they are not the same; nil: they are. That is all that is known of it.
func unread(role compat.Role, baseline, canary *side) []string {
	if bytes.Equal(bytes.TrimSpace(baseline.Text), bytes.TrimSpace(canary.Text)) && maps.Equal(baseline.Parts, canary.Parts) {
		return nil
	}
	return []string{fmt.Sprintf("%s is another %s (what differs isn't compared here; look at %s and %s)", role, canary.Kind, baseline.Name, canary.Name)}
}

// options are how documents of a role are compared.
func (c *check) options(role compat.Role) compat.Options {
	return compat.Options{Ordered: c.Pillars.Ordered && role == compat.Features}
}

// sentences are findings, what differs first. What can't be compared is as bad as that: nobody knows whether it fits.
func sentences(all []compat.Finding) []string {
	var differs, unknown []string
	for _, f := range all {
		if f.Unchecked {
			unknown = append(unknown, f.String())
		} else {
			differs = append(differs, f.String())
		}
	}
	return append(differs, unknown...)
}

// unproven says why nobody knows whether schemas fit that only the registry compares; nil: it said so of both directions, or they are one and the same.
func (a *asked) unproven(baseline, canary *side) []string {
	if a.out && a.back || baseline.reference == canary.reference {
		return nil
	}
	s, ways := baseline, "either direction"
	if s.alone() {
		s = canary
	}
	if a.out {
		ways = string(compat.RollingBack)
	} else if a.back {
		ways = string(compat.RollingOut)
	}
	asked := "it has no version to hold it against"
	if a.levels != nil {
		asked = strings.Join(slices.Compact(a.levels), ", and ")
	}
	return []string{fmt.Sprintf("can't be compared: %s is %s%s, which only the Schema Registry can hold against another one, and of %s it did not say that it fits (%s): "+
		"let the level of both be BACKWARD, FORWARD or FULL, or write the schema whole, as JSON or Avro", s.Name, s.Kind.One(), s.elsewhere(), ways, asked)}
}

// elsewhere says what of a document stands elsewhere.
func (s *side) elsewhere() string {
	if len(s.Parts) == 0 {
		return ""
	}
	return " that refers to " + strings.Join(slices.Sorted(maps.Values(s.Parts)), ", ")
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
