package embed

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// natsReady is how long the server may take until clients can connect: it reads its store first.
	natsReady = 30 * time.Second
	// natsPayload bounds a message: a rollout's record fits.
	natsPayload = 1 << 20
)

type natsServer struct {
	server *server.Server
	log    *natsLog
}

func startNATS(o Options) (*natsServer, error) {
	if err := portFree(o.NATSPort); err != nil {
		return nil, err
	}
	options := &server.Options{
		ServerName: "streamcanary-embedded", Host: loopback, Port: o.NATSPort, NoSigs: true, MaxPayload: natsPayload,
		JetStream: true, StoreDir: filepath.Join(o.Dir, "nats"), SyncAlways: true, DisableJetStreamBanner: true,
	}
	if o.NATSPort == 0 {
		options.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("folder %s, port %d: %w", options.StoreDir, o.NATSPort, err)
	}
	n := &natsServer{server: s, log: &natsLog{}}
	s.SetLoggerV2(n.log, false, false, false)
	s.Start()
	if !s.ReadyForConnections(natsReady) || !s.JetStreamEnabled() {
		cause := n.log.first()
		n.close()
		return nil, fmt.Errorf("folder %s, port %d: not ready within %s: %w", options.StoreDir, o.NATSPort, natsReady, cause)
	}
	return n, nil
}

func (n *natsServer) close() {
	n.server.Shutdown()
	n.server.WaitForShutdown()
}

// natsLog keeps the server's first error, and lets it neither print nor end the process.
type natsLog struct {
	mu  sync.Mutex
	err error
}

func (l *natsLog) keep(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

func (l *natsLog) first() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return errors.New("the server gave no reason")
	}
	return l.err
}

// Errorf and Fatalf are kept; the server's other words go nowhere.
func (l *natsLog) Errorf(format string, args ...any) { l.keep(format, args...) }

// Fatalf is kept, too; the server goes on, and is found not to be ready.
func (l *natsLog) Fatalf(format string, args ...any) { l.keep(format, args...) }

// Noticef goes nowhere.
func (l *natsLog) Noticef(string, ...any) {}

// Warnf goes nowhere.
func (l *natsLog) Warnf(string, ...any) {}

// Debugf goes nowhere.
func (l *natsLog) Debugf(string, ...any) {}

// Tracef goes nowhere.
func (l *natsLog) Tracef(string, ...any) {}
