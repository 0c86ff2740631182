package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// Errors that a caller branches on.
var (
	// ErrUnreachable: no NATS server answered.
	ErrUnreachable = errors.New("NATS is not reachable")
	// ErrMismatch: the stream or a bucket exists with settings that would break a promise.
	ErrMismatch = errors.New("it exists with other settings")
	// ErrFenced: another instance has published a decision for the model: stop deciding for it.
	ErrFenced = decisions.ErrFenced
	// ErrLost: another instance has written the rollout's record: stop deciding for it.
	ErrLost = errors.New("another instance has written this record")
	// ErrOddNotice: an event is there, and no program of this version wrote it.
	ErrOddNotice = errors.New("this version can't read it")
	// ErrUnreadable: a rollout's record is there, and no program of this version wrote it. Nobody decides for the rollout, since that could decide twice.
	ErrUnreadable = errors.New("it can't be read, and so nothing is decided for the rollout")
	// ErrConflict: a rollout's file was changed by someone else since it was read: read it again.
	ErrConflict = errors.New("it was changed by someone else: read it again")
	// ErrNotFound: there is no such record, file or decision.
	ErrNotFound = errors.New("not found")
	// ErrLogRegressed: the decision log is older than what was published to it. Nothing may be published until a person looked.
	ErrLogRegressed = errors.New("the decision log went backwards: it lost decisions that were published (restored from an older backup, emptied, or made anew?)")
	// ErrNoKey: something is to be published, and there is no key to sign with.
	ErrNoKey = errors.New("no signing key")
)

// DefaultTimeout bounds every call to NATS.
const DefaultTimeout = 5 * time.Second

// Options say how to reach NATS. One of URLs and Conn is needed.
type Options struct {
	URLs []string
	// Conn is used instead of URLs, and left open by Close.
	Conn *nats.Conn
	Name string // of the connection, for those who watch the server; default "streamcanary"
	// CredsFile is a NATS credentials file; TLS, where set, is required.
	CredsFile string
	TLS       *tls.Config
	// Timeout bounds every call; default DefaultTimeout.
	Timeout time.Duration
	// Replicas of the stream and the buckets where Ensure makes them; default 1.
	Replicas int
	// Key signs decisions; nil: nothing can be published but events.
	Key *schemas.SigningKey
	// DryRun marks what is published (Told.DryRun).
	DryRun bool
	// Trust are the keys whose decisions count where the log and the routes are read back; none: that of Key. Without any key, signatures are not looked at.
	Trust schemas.Trust
	// OnForeign hears of what doesn't count where that is read back, as often as it is met. It must not block.
	OnForeign func(Foreign)
	// OnState hears of a lost (with the cause, or nil) and a regained connection. It must not block.
	OnState func(connected bool, cause error)
	// OnError hears of what goes wrong without a call that could return it (a watch that begins anew, a key that somebody else wrote). It must not block.
	OnError func(error)
	// After, where set, is called after each outside effect, with its name: "publish", "route", "event", "record". Tests and
	// failure drills stop the process there.
	After func(effect string)
}

// Bus is a connection to NATS. Safe for concurrent use.
type Bus struct {
	o     Options
	conn  *nats.Conn
	js    jetstream.JetStream
	owned bool
	trust schemas.Trust

	madeRoutes atomic.Bool // the bucket of the routes was not there
	wroteBack  atomic.Bool // a record of a rollout was not there, nor a mark that it was deleted
}

// wrong tells of what goes wrong without a call that could return it.
func (b *Bus) wrong(err error) {
	if b.o.OnError != nil {
		b.o.OnError(err)
	}
}

// Connect connects, within Options.Timeout; the error names the addresses that were tried. Afterwards the connection is
// kept up: it reconnects for as long as it takes, and calls fail by their deadline meanwhile.
func Connect(ctx context.Context, o Options) (*Bus, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Name == "" {
		o.Name = "streamcanary"
	}
	b := &Bus{o: o, conn: o.Conn, trust: o.Trust}
	if len(b.trust.IDs()) == 0 && o.Key != nil {
		b.trust = schemas.NewTrust(o.Key.Public())
	}
	if b.conn == nil {
		conn, err := dial(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("connect to NATS at %s: %w: %w (is a server running there? see nats.urls)", strings.Join(o.URLs, ", "), ErrUnreachable, err)
		}
		b.conn, b.owned = conn, true
	}
	js, err := jetstream.New(b.conn, jetstream.WithDefaultTimeout(o.Timeout))
	if err != nil {
		b.Close()
		return nil, fmt.Errorf("use JetStream at %s: %w", b.where(), err)
	}
	b.js = js
	return b, nil
}

// dial connects once to any of the addresses: all of them together have the timeout.
func dial(ctx context.Context, o Options) (*nats.Conn, error) {
	if len(o.URLs) == 0 {
		return nil, errors.New("no address is given")
	}
	within := o.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(deadline))
	}
	options := []nats.Option{
		nats.Name(o.Name), nats.Timeout(max(within/time.Duration(len(o.URLs)), time.Millisecond)),
		nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.ReconnectBufSize(-1), // a publish while disconnected fails at once, and is tried again by its owner
	}
	options = append(options, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if o.OnError != nil { // without a handler, the client would print
			o.OnError(err)
		}
	}))
	if o.CredsFile != "" {
		options = append(options, nats.UserCredentials(o.CredsFile))
	}
	if o.TLS != nil {
		options = append(options, nats.Secure(o.TLS))
	}
	if o.OnState != nil {
		options = append(options,
			nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { o.OnState(false, err) }),
			nats.ReconnectHandler(func(*nats.Conn) { o.OnState(true, nil) }))
	}
	return nats.Connect(strings.Join(o.URLs, ","), options...)
}

// Close ends the connection if Connect made it. Calls that are under way fail.
func (b *Bus) Close() {
	if b.owned {
		b.conn.Close()
	}
}

// Connected reports whether the connection stands now.
func (b *Bus) Connected() bool { return b.conn.IsConnected() }

// where names the server for errors.
func (b *Bus) where() string {
	if len(b.o.URLs) > 0 {
		return strings.Join(b.o.URLs, ", ")
	}
	return b.conn.ConnectedUrlRedacted()
}

// within gives a call its deadline.
func (b *Bus) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, b.o.Timeout)
}

// after tells a drill that an outside effect was done.
func (b *Bus) after(effect string) {
	if b.o.After != nil {
		b.o.After(effect)
	}
}
