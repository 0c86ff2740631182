package subscribe

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Run follows the models until the context ends (nil), or fails at once: options that can't work, a store that can't be read, no NATS
// server within Options.Timeout. Once it runs, a lost connection, a server that restarts or a stream that isn't there yet is waited for.
// When Run returns, nothing of it runs on.
func Run(ctx context.Context, o Options, handle Handler) error {
	if err := o.complete(); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	conn := o.Conn
	if conn == nil {
		var err error
		if conn, err = dial(&o); err != nil {
			return fmt.Errorf("subscribe: connect to NATS at %s: %w: %w", strings.Join(o.URLs, ", "), ErrUnreachable, err)
		}
		defer conn.Close()
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(o.Timeout))
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	followers := make([]*follower, 0, len(o.Models))
	for _, model := range o.Models {
		position, err := o.Store.Load(model)
		if err != nil {
			return fmt.Errorf("subscribe: read position of model %s: %w", model, err)
		}
		f := &follower{o: &o, js: js, model: model, handle: handle, position: position, inbox: make(chan message, inboxSize), routesRead: make(chan struct{})}
		if err := f.trustStored(); err != nil {
			return fmt.Errorf("subscribe: model %s: %w", model, err)
		}
		followers = append(followers, f)
	}
	return runAll(ctx, conn, &o, followers)
}

// runAll runs the followers, and waits for them and for what they started.
func runAll(ctx context.Context, conn *nats.Conn, o *Options, followers []*follower) error {
	var running sync.WaitGroup
	for _, f := range followers {
		running.Go(func() { f.run(ctx) })
		running.Go(func() { f.readRoutes(ctx) })
		running.Go(func() { f.readAgain(ctx) })
		running.Go(func() { f.readLog(ctx) })
	}
	if o.OnJudge != nil {
		running.Go(func() { watchJudge(ctx, conn, o) })
	}
	running.Wait()
	return nil
}

func dial(o *Options) (*nats.Conn, error) {
	options := []nats.Option{
		nats.Name(o.Consumer + "/" + o.Instance), nats.Timeout(max(o.Timeout/time.Duration(len(o.URLs)), time.Millisecond)),
		nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(250*time.Millisecond, time.Second),
		nats.ReconnectBufSize(-1), // acks are kept and sent again here
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			o.OnError(fmt.Errorf("connection to NATS: %w", err))
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				o.OnError(fmt.Errorf("connection to NATS is lost, decisions wait: %w", err))
			}
		}),
	}
	if o.CredsFile != "" {
		options = append(options, nats.UserCredentials(o.CredsFile))
	}
	if o.TLS != nil {
		options = append(options, nats.Secure(o.TLS))
	}
	return nats.Connect(strings.Join(o.URLs, ","), options...)
}

// pause waits; false: the context ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
