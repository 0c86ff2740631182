// Package compat says whether two versions of a model can take each other's place: whether what was made for the one fits the other, in
// both directions, since a rollback takes the way back. It is pure: two documents in, findings out.
//
// Compare says whether they fit, and Changes (changes.go) what differs, whether or not it matters. Both read JSON Schemas (json_*.go; draft-04
// to 2020-12), Avro schemas (avro.go) and feature lists (features.go), and findings (finding.go) say where, what changed, whom it hurts on which way, and what to do.
//
// Limits, of JSON Schemas: "fits" is proven, not tried on examples, so a schema that says the same in other words may be told as a
// finding. A property that a schema doesn't name isn't sent under it, unless it says what such ones are. What can't be compared (not, if, dependentSchemas and
// whatever json_objects.go doesn't list as compared; patterns and formats that differ; references to other documents) is the same in both, or it is a finding
// of its own (Unchecked), never passed over. One without $schema is read as draft 2020-12, with the keywords of all drafts.
// Of Avro schemas one finding of each direction is told at a time; a logical type that stands on one side only is a finding, as is a feature's type.
package compat
