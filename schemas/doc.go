// Package schemas holds the shapes that cross a border: events, the rollout and the configuration that people write,
// the decisions, acks, notices and heartbeats that machines exchange, and what names and signs them. Bytes come in and
// values go out; it opens no file, and knows no clock and no network.
//
// The names to know first: ParseRollout reads a rollout file into a Rollout, in which every default is filled in and
// every margin is a number; Decision is what is published, EncodeDecision its exact bytes, and SigningKey and Trust
// what proves who wrote them.
//
// # Files that people write
//
// They are read strictly. The tables rollout_keys.go and config_keys.go say which keys there are, what may stand
// there, what stands there by default, and what isn't supported yet; the parser, Explain and the JSON Schemas all go by
// them, so a new key is a line in a table and a line where it is read. Whatever is wrong with a file is told together,
// as a FileError: file, line, column, full key, what is wrong, what to write. A value whose machinery comes later is
// refused; it is never accepted and passed over.
//
// # Messages between machines
//
// Fields that a reader doesn't know are passed over; everything else is checked, by the writer and by the reader
// alike. The same value always gives the same bytes, and a signature covers those bytes, not what they mean: look at
// the body of a Signed only after Trust.Verify. The shape of a message is named in its `schema`; within one name
// fields are only ever added.
//
// # Order of reading
//
// event.go, rollout.go, decision.go, time.go: the types. form.go, rollout_keys.go, config_keys.go: the tables. yaml.go,
// check.go, scalar.go, section.go, problem.go, nearest.go: reading by them. rollout_read.go, guardrail_read.go,
// where.go, margin.go, resolution.go, duration.go, config.go: what no single key shows; training.go: the file of offline scores. explain.go and schema.go: the way back. message.go,
// decision_message.go, notice.go, names.go, sign.go: what goes over NATS.
//
// # Limits
//
// Files have at most MaxFileBytes, decisions at most MaxDecisionBytes, names at most MaxNameBytes. Comments and layout
// of a file are not kept. YAML anchors, aliases, tags and second documents are refused. All functions may be called at
// once from several goroutines; the values that they return are the caller's.
package schemas
