// Package compat says whether two versions of a model can take each other's place: whether what was made for the one fits the other, in
// both directions, since a rollback takes the way back. It is pure: two documents in, findings out.
//
// Compare says whether they fit, and Changes (changes.go) what differs, whether or not it matters. Both read JSON Schemas (json_*.go; draft-04
// to 2020-12), Avro schemas (avro.go) and feature lists (features.go), and findings (finding.go) say where, what changed, whom it hurts on which way, and what to do.
//
// Limits, of JSON Schemas: "fits" is proven, not tried on examples, so a schema that says the same in other words may be told as a
// finding. A property that a schema doesn't name isn't sent under it, even where the schema allows it. What isn't understood
// (not, if, dependentSchemas, patterns that differ, references to other documents) and isn't the same in both is told as "not checked",
// never passed over.
package compat
