package kafka

import "fmt"

// A Gap says that a part of a partition's log cannot be read any more: retention took it, the broker lost it, or the topic
// was made anew. The partition stands still until Source.Resume says where to go on.
type Gap struct {
	Topic     string
	Partition int32
	From      int64 // the offset that should have been read next
	To        int64 // where the log goes on, as far as the broker knows: below From where its end was lost
	Cause     error
}

// Error says what is missing.
func (g *Gap) Error() string {
	switch {
	case g.To == g.From:
		return fmt.Sprintf("read topic %s partition %d: nothing can be read from offset %d on: %v", g.Topic, g.Partition, g.From, g.Cause)
	case g.To > g.From:
		return fmt.Sprintf("read topic %s partition %d: offsets %d to %d are gone: %v", g.Topic, g.Partition, g.From, g.To-1, g.Cause)
	}
	return fmt.Sprintf("read topic %s partition %d: read up to offset %d, but the log now ends at %d: %v",
		g.Topic, g.Partition, g.From, g.To, g.Cause)
}

// Unwrap returns the client's error.
func (g *Gap) Unwrap() error { return g.Cause }

// Grown says that a topic has got more partitions since its source was made. Nothing reads the new ones: make a new source.
type Grown struct {
	Topic   string
	Was, Is int32
}

// Error says what is not read.
func (g *Grown) Error() string {
	return fmt.Sprintf("topic %s had %d partitions when reading began and has %d now: the new ones are not read", g.Topic, g.Was, g.Is)
}
