package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// ConnectWithin is how long Connect looks for a broker.
	ConnectWithin = 10 * time.Second
	// requestWithin bounds every request about topics and offsets.
	requestWithin = 15 * time.Second
	dialWithin    = 5 * time.Second
)

// A Connection says how to reach a cluster, and as whom.
type Connection struct {
	Brokers  []string // host:port; one that answers is enough
	TLS      *TLS     // nil: plain connections
	SASL     *SASL    // nil: no authentication
	ClientID string   // shown in the brokers' logs; "" is "streamcanary"
	// Dial opens connections; nil: TCP. TLS, where there is one, goes over it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// FetchWait is how long a broker may wait for something to send; 0: half a second.
	FetchWait time.Duration
}

// A Client is a connection to a cluster, for producing and for questions about topics and offsets. It may be used by many
// goroutines. Sources and readers made by it have connections of their own.
type Client struct {
	connection Connection
	base       []kgo.Opt // security and addresses, for every connection
	kafka      *kgo.Client
	admin      *kadm.Client
}

// Connect reaches a cluster, or says within ConnectWithin why it cannot: which addresses, and what they answered.
func Connect(ctx context.Context, c Connection) (*Client, error) {
	base, err := c.options()
	if err != nil {
		return nil, err
	}
	kafka, err := kgo.NewClient(append(slices.Clone(base), producing()...)...)
	if err != nil {
		return nil, fmt.Errorf("connect to kafka at %s: %w", c.addresses(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, ConnectWithin)
	defer cancel()
	if err := ping(ctx, kafka); err != nil {
		return nil, fmt.Errorf("connect to kafka at %s: %w", c.addresses(), explain(err))
	}
	return &Client{connection: c, base: base, kafka: kafka, admin: kadm.NewClient(kafka)}, nil
}

// ping asks any broker for a sign of life. The client gives up a silent one by its own clock, so when the context has ended it is
// closed, which ends the asking.
func ping(ctx context.Context, kafka *kgo.Client) error {
	answer := make(chan error, 1)
	go func() { answer <- kafka.Ping(ctx) }()
	select {
	case err := <-answer:
		if err != nil {
			kafka.Close()
		}
		return err
	case <-ctx.Done():
		kafka.Close()
		_ = <-answer
		return ctx.Err()
	}
}

// addresses names the brokers in an error.
func (c *Connection) addresses() string { return strings.Join(c.Brokers, ", ") }

// options are what every connection to the cluster needs.
func (c *Connection) options() ([]kgo.Opt, error) {
	if len(c.Brokers) == 0 {
		return nil, errors.New("connect to kafka: no broker is named")
	}
	for _, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return nil, fmt.Errorf("connect to kafka: broker %q is not host:port: %w", b, err)
		}
	}
	id := c.ClientID
	if id == "" {
		id = "streamcanary"
	}
	dial, err := c.dialer()
	if err != nil {
		return nil, err
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...), kgo.ClientID(id), kgo.Dialer(dial), kgo.DisableClientMetrics(),
		kgo.RetryTimeout(requestWithin), kgo.MetadataMinAge(time.Second),
	}
	if c.SASL != nil {
		mechanism, err := c.SASL.mechanism()
		if err != nil {
			return nil, err
		}
		options = append(options, kgo.SASL(mechanism))
	}
	return options, nil
}

// Close ends the connection. Appends in flight end with an error.
func (c *Client) Close() { c.kafka.Close() }

// Partitions returns how many partitions each topic has; a topic that doesn't exist is an error that names it.
func (c *Client) Partitions(ctx context.Context, topics ...string) (map[string]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	details, err := c.admin.ListTopics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list topics %s: %w", strings.Join(topics, ", "), explain(err))
	}
	counts := make(map[string]int32, len(topics))
	for _, topic := range topics {
		d, ok := details[topic]
		switch {
		case !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			return nil, c.absent(topic)
		case d.Err != nil:
			return nil, fmt.Errorf("topic %s: %w", topic, explain(d.Err))
		}
		counts[topic] = int32(len(d.Partitions))
	}
	return counts, nil
}

// absent says that a topic isn't there, and what to do.
func (c *Client) absent(topic string) error {
	return fmt.Errorf("topic %s does not exist at %s: make it (`kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions N`, with the same N for outcomes as for their predictions), or name the right one, or the right brokers, in the configuration",
		topic, c.connection.addresses(), c.connection.Brokers[0], topic)
}

// EnsureTopic makes the topic if it isn't there, with the broker's default replication; a topic that is there stays as it
// is, and is an error only if it has fewer partitions.
func (c *Client) EnsureTopic(ctx context.Context, topic string, partitions int32, config map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	settings := make(map[string]*string, len(config))
	for key, value := range config {
		settings[key] = &value
	}
	_, err := c.admin.CreateTopic(ctx, partitions, -1, settings, topic)
	if err == nil {
		return c.visible(ctx, topic)
	}
	if !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("make topic %s: %w", topic, explain(err))
	}
	counts, err := c.Partitions(ctx, topic)
	if err == nil && counts[topic] < partitions {
		err = fmt.Errorf("topic %s has %d partitions, %d are needed", topic, counts[topic], partitions)
	}
	return err
}

// Retention returns for how long a topic keeps its records; negative: for ever.
func (c *Client) Retention(ctx context.Context, topic string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	described, err := c.admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("read the settings of topic %s: %w", topic, explain(err))
	}
	of, err := described.On(topic, nil)
	if err == nil {
		err = of.Err
	}
	if err != nil {
		return 0, fmt.Errorf("read the settings of topic %s: %w", topic, explain(err))
	}
	for _, setting := range of.Configs {
		if setting.Key == "retention.ms" && setting.Value != nil {
			ms, err := strconv.ParseInt(*setting.Value, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read the settings of topic %s: retention.ms %q: %w", topic, *setting.Value, err)
			}
			return time.Duration(max(ms, -1)) * time.Millisecond, nil
		}
	}
	return 0, fmt.Errorf("read the settings of topic %s: the broker doesn't tell its retention.ms", topic)
}

// visible waits until the brokers tell of a topic that was just made: a cluster answers before all of it knows.
func (c *Client) visible(ctx context.Context, topic string) error {
	for {
		_, err := c.Partitions(ctx, topic)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(visibleEvery):
		}
	}
}

// visibleEvery is how often visible asks.
const visibleEvery = 50 * time.Millisecond

// Offsets are positions in partitions: topic, partition, offset.
type Offsets map[string]map[int32]int64

// StartOffsets returns where the topics' logs begin.
func (c *Client) StartOffsets(ctx context.Context, topics ...string) (Offsets, error) {
	return c.listed(ctx, topics, "start", c.admin.ListStartOffsets)
}

// EndOffsets returns where the next records of the topics' logs will stand (the high watermarks).
func (c *Client) EndOffsets(ctx context.Context, topics ...string) (Offsets, error) {
	return c.listed(ctx, topics, "end", c.admin.ListEndOffsets)
}

// OffsetsSince returns the first offsets whose records have a time of at least ms; the end where there are none. A broker says
// of a partition only that there are none, and where the end is when it is asked again: what came in between would be passed
// over. So the end is taken before.
func (c *Client) OffsetsSince(ctx context.Context, ms int64, topics ...string) (Offsets, error) {
	ends, err := c.EndOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	offsets, err := c.listed(ctx, topics, "offset by time", func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
		return c.admin.ListOffsetsAfterMilli(ctx, ms, topics...)
	})
	if err != nil {
		return nil, err
	}
	for topic, partitions := range ends {
		for p, end := range partitions {
			offsets[topic][p] = min(offsets[topic][p], end)
		}
	}
	return offsets, nil
}

// stableOffsets returns up to where records are decided: what a source can read.
func (c *Client) stableOffsets(ctx context.Context, topics ...string) (Offsets, error) {
	return c.listed(ctx, topics, "end", c.admin.ListCommittedOffsets)
}

// listed asks for one offset per partition; what makes the answer incomplete is an error.
func (c *Client) listed(ctx context.Context, topics []string, what string,
	list func(context.Context, ...string) (kadm.ListedOffsets, error),
) (Offsets, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	answer, err := list(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list the %s of %s: %w", what, strings.Join(topics, ", "), explain(err))
	}
	offsets := make(Offsets, len(topics))
	for _, topic := range topics {
		offsets[topic] = make(map[int32]int64, len(answer[topic]))
		for _, o := range answer[topic] {
			if o.Err != nil {
				return nil, fmt.Errorf("list the %s of topic %s: %w", what, topic, explain(o.Err))
			}
			offsets[topic][o.Partition] = o.Offset
		}
	}
	return offsets, nil
}

// Committed returns the offsets that a consumer group has committed: what lag tools see.
func (c *Client) Committed(ctx context.Context, group string) (Offsets, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	answer, err := c.admin.FetchOffsets(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("read offsets of group %s: %w", group, explain(err))
	}
	offsets := Offsets{}
	for topic, partitions := range answer {
		offsets[topic] = make(map[int32]int64, len(partitions))
		for p, o := range partitions {
			if o.Err != nil {
				return nil, fmt.Errorf("read offsets of group %s: topic %s partition %d: %w", group, topic, p, explain(o.Err))
			}
			offsets[topic][p] = o.At
		}
	}
	return offsets, nil
}
