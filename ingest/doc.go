// Package ingest turns logs into events: it reads records from a source, decodes them by a named format,
// and hands them over in batches, each of one source partition, in the order of that partition's log.
//
// The names to know first: a Source gives Batches, a Batch holds Items, and an Item is either a decoded
// event or an Invalid, which says by a short code and a sentence what was wrong with the record. A bad record
// never stops a source. The record that an item came from stays with the batch (Batch.Record), so that it can
// be written to DeadLetters unchanged.
//
// Logs is the source for files and standard input; package ingest/kafka has the ones for Kafka. A format is
// a Decoder that its own file registers (format_json.go).
//
// Memory: the events of a batch alias its records and its scratch text. Everything is reused after
// Batch.Release, so whoever keeps bytes of an event copies them. Decoding a valid event allocates nothing
// once a batch has grown to its usual size.
//
// Order to read: record.go, invalid.go, batch.go, format.go, format_json.go with json_fields.go, json_scan.go, json_text.go,
// json_number.go and event_time.go, then logs.go with logs_input.go and logs_read.go, and deadletter.go.
package ingest
