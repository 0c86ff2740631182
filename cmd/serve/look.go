package serve

import (
	"context"

	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// EachPart calls fn with every sealed part that the window journal has, partition by partition in order; the part is fn's.
func EachPart(ctx context.Context, k *schemas.Kafka, brokers []string, fn func(windows.Key, *windows.Part)) error {
	connection, err := KafkaConnection(k, brokers)
	if err != nil {
		return err
	}
	client, err := kafka.Connect(ctx, connection)
	if err != nil {
		return err
	}
	defer client.Close()
	journal := client.Log(JournalTopic, 0)
	offsets, err := journal.StartOffsets(ctx)
	if err != nil {
		return err
	}
	reader, err := journal.ReadFrom(ctx, offsets)
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
