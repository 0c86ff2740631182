package reader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrBrokenOff: what was read may not be the beginning of what the stream holds now. Begin again, at once: a reader that can't is another error, or ends after a while.
var ErrBrokenOff = errors.New("the reading broke off")

var (
	errBack   = errors.New("the connection to NATS was lost, and is back")
	errSilent = errors.New("what stands there did not come: is the account permitted to read it, as deploy/PROTOCOL.md lists?")
)

const (
	// beat is how often the server says that the consumer is there, where there is no message; after two that are missing it counts as gone.
	beat = 10 * time.Second
	// asked is for how long the server keeps one request for messages.
	asked = 30 * time.Second
)

// A Query says what is read.
type Query struct {
	Stream   string
	Subjects []string
	From     uint64        // sequence in the stream from which on; 0: the last message of each subject first, then new ones
	Kept     time.Duration // for how long the server remembers a reader that has gone
	Timeout  time.Duration // of each call to NATS
	Headers  bool          // messages come without what they carry
	Standing bool          // only what stands there is read, and it is an error where that doesn't come
	// CaughtUp, where set, is called once: what stood there at the beginning was given, or nothing did.
	CaughtUp func()
	// Give takes a message, and says whether that was all.
	Give func(m jetstream.Msg, meta *jetstream.MsgMetadata) (done bool, err error)
}

// Read gives what stands there, and then what comes, until the context ends (nil), Give is done (nil) or fails (its error), or reading on isn't safe any more: see the package.
func Read(ctx context.Context, js jetstream.JetStream, q Query) error {
	held, end := context.WithCancelCause(ctx)
	defer end(nil)
	changes := js.Conn().StatusChanged(nats.CONNECTED)
	defer js.Conn().RemoveStatusListener(changes)
	watched := make(chan struct{})
	defer func() { end(nil); <-watched }()
	go func() {
		defer close(watched)
		select {
		case <-held.Done():
		case <-changes:
			end(errBack)
		}
	}()
	given, err := read(held, js, &q)
	switch {
	case given:
		return err
	case ctx.Err() != nil:
		return nil
	case errors.Is(context.Cause(held), errBack):
		return fmt.Errorf("%w: %w", ErrBrokenOff, errBack)
	}
	return err
}

// read reads until something ends it; given: who was given a message did.
func read(ctx context.Context, js jetstream.JetStream, q *Query) (given bool, err error) {
	consumer, err := open(ctx, js, q)
	if err != nil {
		return false, err
	}
	messages, err := consumer.Messages(jetstream.PullExpiry(asked), jetstream.PullHeartbeat(beat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return false, err
	}
	defer messages.Stop()
	r := reading{q: q, messages: messages, stood: consumer.CachedInfo().NumPending}
	if r.caughtUp = q.CaughtUp == nil && !q.Standing; r.stood == 0 {
		r.catchUp()
	}
	for !q.Standing || !r.caughtUp {
		m, meta, err := r.next(ctx)
		if errors.Is(err, errSilent) {
			return false, err
		}
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrBrokenOff, err)
		}
		if done, err := q.Give(m, meta); done || err != nil {
			return true, err
		}
		if r.given >= r.stood || meta.NumPending == 0 {
			r.catchUp()
		}
	}
	return true, nil
}

// open makes a consumer of one's own: in memory, so that none outlives its server, and is found in a backup.
func open(ctx context.Context, js jetstream.JetStream, q *Query) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, q.Timeout)
	defer cancel()
	config := jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: q.Kept, MemoryStorage: true, Replicas: 1, HeadersOnly: q.Headers,
	}
	if q.From > 0 {
		config.DeliverPolicy, config.OptStartSeq = jetstream.DeliverByStartSequencePolicy, q.From
	}
	if config.FilterSubjects = q.Subjects; len(q.Subjects) == 1 {
		config.FilterSubject, config.FilterSubjects = q.Subjects[0], nil
	}
	return js.CreateConsumer(ctx, q.Stream, config)
}

// reading is how far one consumer was read.
type reading struct {
	q        *Query
	messages jetstream.MessagesContext
	stood    uint64 // messages that were there at the beginning
	given    uint64
	caughtUp bool
}

// next is the next message, if it is the one behind those before.
func (r *reading) next(ctx context.Context) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	m, err := r.wait(ctx)
	if err != nil {
		return nil, nil, err
	}
	meta, err := m.Metadata()
	if r.given++; err == nil && meta.Sequence.Consumer != r.given {
		err = fmt.Errorf("message %d of the reader did not come", r.given)
	}
	return m, meta, err
}

// wait waits for a message. What stood there at the beginning may have been taken away since, so that is waited for only as long as a call may take.
func (r *reading) wait(ctx context.Context) (jetstream.Msg, error) {
	if r.caughtUp {
		return r.messages.Next(jetstream.NextContext(ctx))
	}
	first, cancel := context.WithTimeout(ctx, r.q.Timeout)
	defer cancel()
	m, err := r.messages.Next(jetstream.NextContext(first))
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return m, err
	}
	if r.q.Standing {
		return nil, errSilent
	}
	r.catchUp()
	return r.messages.Next(jetstream.NextContext(ctx))
}

func (r *reading) catchUp() {
	if !r.caughtUp && r.q.CaughtUp != nil {
		r.q.CaughtUp()
	}
	r.caughtUp = true
}
