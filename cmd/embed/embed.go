package embed

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// Options say what to run.
type Options struct {
	// Dir keeps the data; it is made if absent.
	Dir string
	// Broker and NATS say which of the two to run.
	Broker, NATS bool
	// BrokerPort and NATSPort are on loopback; 0: any free one.
	BrokerPort, NATSPort int
	// Topics are made where they don't exist; existing ones are left as they are.
	Topics []Topic
	// Told hears when a running server stores nothing any more, with the folder and the cause, and with nil when it does again. It is
	// called from another goroutine, until Close returns, and must not block. It may be nil.
	Told func(error)
	// Refused hears why the broker could not store what it was given, at most once a minute while that lasts, and nil when it can again; its
	// clients hear of an error of the server, and may try again. It is called from another goroutine, and must not block. It may be nil.
	Refused func(error)
}

// Topic is a Kafka topic.
type Topic struct {
	Name       string
	Partitions int32
	Configs    map[string]string // e.g. message.timestamp.type: LogAppendTime
}

// Servers are the running servers. Close ends them.
type Servers struct {
	broker *broker
	nats   *natsServer
	lock   *os.File
}

// Start runs the servers, and returns once both can be used. Its error says which server, and what to do.
func Start(o Options) (*Servers, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("start embedded servers: %w", err)
	}
	lock, err := lockDir(filepath.Join(o.Dir, "LOCK"))
	if err != nil {
		return nil, fmt.Errorf("start embedded servers: folder %s is in use by another process: choose another one with `data:` (%w)", o.Dir, err)
	}
	s := &Servers{lock: lock}
	if o.Broker {
		if s.broker, err = startBroker(o); err != nil {
			return nil, errors.Join(fmt.Errorf("start embedded Kafka: %w", err), s.Close())
		}
	}
	if o.NATS {
		if s.nats, err = startNATS(o); err != nil {
			return nil, errors.Join(fmt.Errorf("start embedded NATS: %w", err), s.Close())
		}
	}
	return s, nil
}

// Brokers are the addresses of the broker, as a Kafka client takes them; nil where none runs.
func (s *Servers) Brokers() []string {
	if s.broker == nil {
		return nil
	}
	return s.broker.cluster.ListenAddrs()
}

// NATSURL is the address of the NATS server, as a client takes it; empty where none runs.
func (s *Servers) NATSURL() string {
	if s.nats == nil {
		return ""
	}
	return s.nats.url
}

// Err says why the broker and the NATS server store nothing now, with the folder; nil: they do, or don't run. The NATS server is started again, on
// the same port and folder, as soon as the folder can be written to; clients that connect again go on. The broker goes on by itself, and is
// believed to some seconds after the last write that failed. Err may be called at any time.
func (s *Servers) Err() (broker, nats error) {
	if s.broker != nil {
		broker = s.broker.log.trouble()
	}
	if s.nats != nil {
		nats = s.nats.trouble()
	}
	return broker, nats
}

// Close ends the servers after what they have begun. It may be called twice.
func (s *Servers) Close() error {
	if s.nats != nil {
		s.nats.close()
	}
	if s.broker != nil {
		s.broker.close()
	}
	if s.lock == nil {
		return nil
	}
	err := s.lock.Close()
	s.lock = nil
	return err
}

const loopback = "127.0.0.1"

// portFree reports whether a port of loopback can be listened on; 0 always can.
func portFree(port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("port %d: %w: stop what uses it, or choose another port", port, err)
	}
	return listener.Close()
}
