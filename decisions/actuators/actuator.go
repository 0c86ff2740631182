package actuators

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"streamcanary/schemas"
)

// An Actuator tells one system of events, or changes it.
type Actuator interface {
	// Act brings an event there. nil: it is there, or the event asks nothing of the system. Its errors are told by Failure. It may be called for several events
	// at once, and again for the same one.
	Act(ctx context.Context, e *Event) error
}

// opener makes a kind's actuator. It refuses a sink that can't work, as long as nobody waits for it.
type opener func(c *courier) (Actuator, error)

var kinds = map[schemas.SinkKind]opener{}

// register adds a kind; its file calls it for a package variable. It panics on a name that is taken.
func register(kind schemas.SinkKind, open opener) bool {
	if kinds[kind] != nil {
		panic(fmt.Sprintf("actuators: kind %q is registered twice", kind))
	}
	kinds[kind] = open
	return true
}

// Options are what an actuator has of the process around it. The zero value works.
type Options struct {
	Program string // names the sender; default "streamcanary"
	// Jitter draws from [0, 1): how much of a pause is left out. Default: none is, ever.
	Jitter func() float64
	// Say, where it is set, makes it a dry run, and hears of each thing that would be changed or told, in one line or more.
	Say func(string)
	// Failed, where it is set, hears of each request that failed and is sent again, with those before it. It is called from within Act.
	Failed func(*Failure)
	// TLS is whom an https:// address must be signed by, and what we show; nil: the system's certificates.
	TLS *tls.Config
	// Dial, where it is set, connects instead of the system.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Sink is an open actuator.
type Sink struct {
	Actuator
	courier *courier
}

// Open makes the actuator of a sink. It reads the secrets that the sink names, so that a file that is missing or wrong is known before it is needed.
func Open(s schemas.Sink, o Options) (*Sink, error) {
	open := kinds[s.Kind]
	if open == nil {
		return nil, fmt.Errorf("sink %s: kind %q has no actuator", s.Name, s.Kind)
	}
	c, err := newCourier(s, o)
	if s.Kind == schemas.SinkHTTPRoute && errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: in a pod it is there by itself; elsewhere name one by tokenFile or tokenEnv", err)
	}
	if err != nil {
		return nil, fmt.Errorf("sink %s: %w", s.Name, err)
	}
	a, err := open(c)
	if err != nil {
		return nil, fmt.Errorf("sink %s: %w", s.Name, err)
	}
	return &Sink{a, c}, nil
}

// Act brings an event to the system, and says in an error whose it is.
func (s *Sink) Act(ctx context.Context, e *Event) error {
	if err := s.Actuator.Act(ctx, e); err != nil {
		return fmt.Errorf("sink %s: %s: %w", s.courier.sink.Name, e.ID, err)
	}
	return nil
}

// Close ends the connections that are kept for the next event.
func (s *Sink) Close() { s.courier.http.CloseIdleConnections() }
