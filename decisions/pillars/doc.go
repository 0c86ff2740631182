// Package pillars checks what must hold before a rollout starts: both versions are in the model registry and unchanged, and the schemas and
// features of both fit each other in both directions. What comes of it is data (decisions.Pillar), which the start of a rollout records.
//
// Names to know first: Check, Query, Registries.
//
// It asks MLflow's model registry and a Schema Registry over HTTP (client.go): a call takes 5 s at most and is tried three times, an answer has
// at most 2 MiB, redirections are not followed, and secrets are read from files at each call and never told. What can't be asked has failed:
// nothing starts on a guess.
//
// Read in this order: check.go, mlflow.go, documents.go, schemaregistry.go, client.go.
//
// Limits: Protobuf schemas, and Avro schemas that refer to other subjects, are compared by the Schema Registry alone, which must then say of both directions that they
// fit. What nobody can compare has failed.
package pillars
