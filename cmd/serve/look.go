package serve

import (
	"context"

	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A Journal is the window journal, to be read. Close ends it.
type Journal struct {
	client *kafka.Client
	log    *kafka.Log
}

// OpenJournal reaches the window journal at the brokers, with a configuration's TLS and SASL settings.
func OpenJournal(ctx context.Context, k *schemas.Kafka, brokers []string) (*Journal, error) {
	connection, err := KafkaConnection(k, brokers)
	if err != nil {
		return nil, err
	}
	client, err := kafka.Connect(ctx, connection)
	if err != nil {
		return nil, err
	}
	return journalOf(client), nil
}

// journalOf is the journal at the end of a connection.
func journalOf(client *kafka.Client) *Journal {
	return &Journal{client, client.Log(JournalTopic, 0)}
}

// Close ends the connection.
func (j *Journal) Close() { j.client.Close() }

// reach is where each of the journal's partitions begins and ends now.
func (j *Journal) reach(ctx context.Context) (begins, ends map[int32]int64, err error) {
	if begins, err = j.log.StartOffsets(ctx); err == nil {
		ends, err = j.log.EndOffsets(ctx)
	}
	return begins, ends, err
}

// EachPart calls fn with every sealed part that the window journal has, partition by partition in order; the part is fn's.
func EachPart(ctx context.Context, k *schemas.Kafka, brokers []string, fn func(windows.Key, *windows.Part)) error {
	journal, err := OpenJournal(ctx, k, brokers)
	if err != nil {
		return err
	}
	defer journal.Close()
	offsets, _, err := journal.reach(ctx)
	if err != nil {
		return err
	}
	reader, err := journal.log.ReadFrom(ctx, offsets)
	if err != nil {
		return err
	}
	defer reader.Close()
	return reader.Drain(ctx, func(record kafka.Entry) error {
		e, err := decodeEntry(&record)
		if err == nil && e.part != nil {
			fn(e.key, e.part)
		}
		return err
	})
}
