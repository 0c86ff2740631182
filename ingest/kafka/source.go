package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"streamcanary/ingest"
	"streamcanary/schemas"
)

// Bounds of a source. A full buffer makes the broker wait, never drops.
const (
	batchRecords   = 1024     // most records in one batch
	batchesAhead   = 8        // decoded batches that wait for Next
	fetchBytes     = 8 << 20  // asked of one broker at a time, compressed
	fetchPartition = 1 << 20  // of that, of one partition
	fetchesAtOnce  = 4        // brokers asked at a time
	batchBytesMost = 64 << 20 // a batch of the producer's may decompress to
	responseBytes  = 96 << 20 // a broker's answer: one batch may be larger than what was asked for
	keptBatches    = batchesAhead + 4

	// fetchWait is how long a broker waits for something to send, as for Kafka's own consumer (the client's default is ten times that). A partition that a request
	// doesn't name is held up by it, and the first request names those that the client has taken up by then.
	fetchWait = 500 * time.Millisecond
)

// A Topic is what a Source reads.
type Topic struct {
	Name   string
	Format string       // of each record; "" is "json"
	Want   schemas.Kind // the only kind of event in it; KindUnknown: each event says its own
}

// SourceOptions says what is read, and from where.
type SourceOptions struct {
	Topics []Topic
	// Partitions is how many of a topic's partitions are read, the first ones; all where a topic isn't in it. Fewer are an error.
	Partitions map[string]int32
	// Start is the first offset of each partition; a partition that isn't in it begins at SinceMs.
	Start Offsets
	// SinceMs is the record time from which partitions without a Start are read; 0: the beginning of their log.
	SinceMs int64
	// Group is the consumer group that Commit writes to; "": none.
	Group string
	// MaxBytes is the most that one encoded event may have; 0: schemas.MaxEventBytes.
	MaxBytes int
}

// An End says how far a partition has been read, and how far it could be.
type End struct {
	Partition ingest.Partition
	Next      int64 // offset after the last record that Next handed over
	End       int64 // where the log ended when the broker was asked: nothing more to read if Next has reached it
}

// A Source reads all partitions of its topics, from given offsets on. It is an ingest.Source: batches of one partition each
// come in the order of that partition's log, and between partitions in the order in which brokers answer. Only decided
// records of transactions are read. Where a record's time was stamped by the broker (LogAppendTime), batches say so.
//
// Next reports what is wrong with one partition as an error and goes on with the others when it's called again: a *Gap
// (the partition stands still until Resume), a refusal of the broker, or a batch that cannot be read (tried again and again,
// reported every 30 s, until Resume leads past it). A broker that is away is no error of Next: the client waits for it. Ends
// tells that apart from a partition at its end.
type Source struct {
	client     *Client
	kafka      *kgo.Client
	group      string
	topics     []string
	partitions []ingest.Partition
	index      map[ingest.Partition]int

	out  chan delivery
	free chan *batch
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	next    []int64       // per partition: after what Next has handed over
	resumes map[int]int64 // asked for by Resume, not yet done; nil: none
	wake    context.CancelFunc

	pump pump
}

// delivery is what the reading goroutine hands to Next: a batch or an error.
type delivery struct {
	batch *ingest.Batch
	err   error
}

// Source starts reading. It fails if a topic doesn't exist or no broker can tell its offsets.
func (c *Client) Source(ctx context.Context, o SourceOptions) (*Source, error) {
	s := &Source{
		client: c, group: o.Group, index: map[ingest.Partition]int{},
		out: make(chan delivery, batchesAhead), free: make(chan *batch, keptBatches), done: make(chan struct{}),
	}
	for _, t := range o.Topics {
		s.topics = append(s.topics, t.Name)
	}
	if len(s.topics) == 0 {
		return nil, errors.New("read from kafka: no topic is named")
	}
	start, err := s.begin(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := s.plan(o, start); err != nil {
		return nil, err
	}
	from := make(map[string]map[int32]kgo.Offset, len(start))
	for topic, offsets := range start {
		from[topic] = make(map[int32]kgo.Offset, len(offsets))
		for p, at := range offsets {
			from[topic][p] = kgo.NewOffset().At(at)
		}
	}
	s.kafka, err = kgo.NewClient(append(slices.Clone(c.base), append(c.consuming(), kgo.ConsumePartitions(from), kgo.WithPools(new(fetchPools)))...)...)
	if err != nil {
		return nil, fmt.Errorf("read from kafka: %w", err)
	}
	run, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() {
		defer close(s.done)
		s.read(run)
	}()
	return s, nil
}

// consuming are the options of every reading connection. Nothing is ever reset (DESIGN: nothing is silently re-read or
// skipped), and control records are kept, so that the end of a transactional log can be told.
func (c *Client) consuming() []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchPartition), kgo.MaxConcurrentFetches(fetchesAtOnce), kgo.FetchMaxWait(cmp.Or(c.connection.FetchWait, fetchWait)),
		kgo.BrokerMaxReadBytes(responseBytes), kgo.MaxDecompressBatchBytes(batchBytesMost),
	}
}

// begin finds the first offset of every partition.
func (s *Source) begin(ctx context.Context, o SourceOptions) (Offsets, error) {
	counts, err := s.client.Partitions(ctx, s.topics...)
	if err != nil {
		return nil, err
	}
	start := Offsets{}
	var missing []string
	for _, topic := range s.topics {
		if some, named := o.Partitions[topic]; named {
			if some > counts[topic] {
				return nil, fmt.Errorf("topic %s has %d partitions, %d are to be read", topic, counts[topic], some)
			}
			counts[topic] = some
		}
		start[topic] = map[int32]int64{}
		for p := range counts[topic] {
			at, ok := o.Start[topic][p]
			if ok {
				start[topic][p] = at
			} else if !slices.Contains(missing, topic) {
				missing = append(missing, topic)
			}
		}
	}
	if len(missing) == 0 {
		return start, nil
	}
	var listed Offsets
	if o.SinceMs > 0 {
		listed, err = s.client.OffsetsSince(ctx, o.SinceMs, missing...)
	} else {
		listed, err = s.client.StartOffsets(ctx, missing...)
	}
	if err != nil {
		return nil, err
	}
	for topic, offsets := range listed {
		for p, at := range offsets {
			if _, given := start[topic][p]; !given && p < counts[topic] {
				start[topic][p] = at
			}
		}
	}
	return start, nil
}

// plan numbers the partitions, by topic as configured and number, and makes their decoders.
func (s *Source) plan(o SourceOptions, start Offsets) error {
	for _, t := range o.Topics {
		format := t.Format
		if format == "" {
			format = "json"
		}
		decoder, err := ingest.NewDecoder(format, ingest.Options{Want: t.Want, MaxBytes: o.MaxBytes})
		if err != nil {
			return fmt.Errorf("topic %s: %w", t.Name, err)
		}
		for p := range int32(len(start[t.Name])) {
			at := start[t.Name][p]
			place := ingest.Partition{Topic: t.Name, Number: p}
			s.index[place] = len(s.partitions)
			s.partitions = append(s.partitions, place)
			s.next = append(s.next, at)
			s.pump.states = append(s.pump.states, partitionState{decoder: decoder, want: t.Want, next: at})
		}
	}
	return nil
}

// Partitions is ingest.Source's: topics in the order given, partitions by number.
func (s *Source) Partitions() []ingest.Partition { return s.partitions }

// Next is ingest.Source's.
func (s *Source) Next(ctx context.Context) (*ingest.Batch, error) {
	select {
	case d := <-s.out:
		if d.err != nil {
			return nil, d.err
		}
		s.mu.Lock()
		s.next[d.batch.Partition] = d.batch.Next
		s.mu.Unlock()
		return d.batch, nil
	case <-s.done:
		return nil, fmt.Errorf("read from kafka: %w", os.ErrClosed)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Ends asks the brokers where the logs end. A partition whose Next has reached its End is provably at its end; an error means
// that nothing is proven, but for a *Grown error: a topic has partitions that are not read; the ends are of those that are.
func (s *Source) Ends(ctx context.Context) ([]End, error) {
	offsets, err := s.client.stableOffsets(ctx, s.topics...)
	if err != nil {
		return nil, err
	}
	known := map[string]int32{}
	for _, p := range s.partitions {
		known[p.Topic]++
	}
	var grown error
	for _, topic := range s.topics {
		if is := int32(len(offsets[topic])); is > known[topic] && grown == nil {
			grown = &Grown{Topic: topic, Was: known[topic], Is: is}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ends := make([]End, len(s.partitions))
	for i, p := range s.partitions {
		end, ok := offsets[p.Topic][p.Number]
		if !ok {
			return nil, fmt.Errorf("list the end of topic %s: partition %d is missing", p.Topic, p.Number)
		}
		ends[i] = End{Partition: p, Next: s.next[i], End: end}
	}
	return ends, grown
}

// Resume lets a partition that stands still after a *Gap go on, from offset. It may be called while Next waits.
func (s *Source) Resume(p ingest.Partition, offset int64) error {
	i, ok := s.index[p]
	if !ok {
		return fmt.Errorf("resume topic %s partition %d: it isn't read", p.Topic, p.Number)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resumes == nil {
		s.resumes = map[int]int64{}
	}
	s.resumes[i] = offset
	if s.wake != nil {
		s.wake()
	}
	return nil
}

// Commit writes how far partitions were applied into the consumer group, where lag tools look. It is never read back:
// recovery is from the journal, which carries its offsets itself.
//
// The group is written to, not joined. One process reads all partitions, since an outcome may be in another partition than
// its prediction; membership would take partitions from the only process that holds their open windows whenever a second
// member shows up or a heartbeat is late, and would give nothing back, as a taken partition starts from the journal, not
// from the group. The price: two processes of one group both read everything. Their parts are the same, the journal keeps
// the first of each, and decisions are fenced by compare-and-set. A group that does have members refuses the commit, so a
// name that something else uses comes to light at once.
func (s *Source) Commit(ctx context.Context, applied Offsets) error {
	if s.group == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	var offsets kadm.Offsets
	for topic, partitions := range applied {
		for p, at := range partitions {
			offsets.AddOffset(topic, p, at, -1)
		}
	}
	if err := s.client.admin.CommitAllOffsets(ctx, s.group, offsets); err != nil {
		return fmt.Errorf("commit offsets to group %s: %w", s.group, explain(err))
	}
	return nil
}

// Close is ingest.Source's. Batches that are still held stay valid.
func (s *Source) Close() error {
	s.stop()
	s.kafka.Close()
	<-s.done
	return nil
}
