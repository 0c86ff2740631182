// Package kafka reads events from Kafka and keeps our own logs in it. It is the only package that knows the Kafka client.
//
// The names to know first: Connect gives a Client, whose Source reads event topics as batches (ingest.Source), and whose
// Log appends to one topic and reads it back: the window journal, the dead letters (DeadLetters), generated events.
//
// Offsets are never recovered from Kafka: a Source starts where its caller says, and nothing is ever reset, so nothing
// is read twice or passed over in silence. A part of a log that is gone is a *Gap, and its partition stands still until
// Resume. Consumer groups: see Source.Commit.
//
// Nothing here waits without an end: connecting, requests and appends have deadlines of their own, since the client by
// itself retries for as long as a broker is away, and an append in flight cannot be taken back.
//
// Order to read: client.go, security.go, source.go, source_fetch.go, pools.go, gap.go, log.go, log_reader.go, deadletters.go.
package kafka
