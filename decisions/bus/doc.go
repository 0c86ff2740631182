// Package bus carries decisions, records and acks over NATS JetStream.
//
// It promises: a decision of a model is published only behind the one that its record names as the last (else ErrFenced); a record
// changes only by compare-and-set (else ErrLost); what was stored before an ack was lost is found again by reading back, and never
// published twice; an ack is handed over at least once; every call ends within Options.Timeout.
//
// Names to know first: Connect, Bus.Ensure, Bus.SaveHead and Bus.Deliver (store a record, then empty its outbox). A record must be
// stored before Deliver is called on it.
//
// Read in this order: bus.go, ensure.go, deliver.go, route.go, record.go, spec.go, ack.go, read.go, log.go, notice.go, history.go.
//
// Limits: one account, one stream and two buckets under the names of package schemas. A Bus is safe for concurrent use.
package bus
