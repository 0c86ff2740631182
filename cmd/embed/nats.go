package embed

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// natsReady is how long the server may take until clients can connect: it reads its store first.
	natsReady = 30 * time.Second
	// natsPayload bounds a message: a rollout's record fits.
	natsPayload = 1 << 20
	// natsStore bounds the store in bytes. Without it the server takes a share of what is free when it starts, and keeps to that when
	// there is more; the disk is bound enough.
	natsStore = server.JetStreamMaxStoreDefault
	// natsLook is how often the server is looked at.
	natsLook = time.Second
	// natsRoom is how many bytes a disk that was full must take before the server is started again.
	natsRoom = 256 << 10
)

type natsServer struct {
	dir, url string
	port     int
	told     func(error)
	stop     chan struct{} // closed by close
	done     chan struct{} // closed once nothing watches any more
	once     sync.Once
	run      *natsRun // the watching goroutine's; close's after done

	mu  sync.Mutex
	err error
}

// natsRun is one server from its start to its end.
type natsRun struct {
	server *server.Server
	log    *natsLog
}

func startNATS(o Options) (*natsServer, error) {
	n := &natsServer{
		dir: filepath.Join(o.Dir, "nats"), port: o.NATSPort, told: o.Told, stop: make(chan struct{}), done: make(chan struct{}),
	}
	var err error
	if n.run, err = n.start(); err != nil {
		return nil, err
	}
	n.url = n.run.server.ClientURL()
	n.port = n.run.server.Addr().(*net.TCPAddr).Port
	go n.watch()
	return n, nil
}

// start runs a server on the folder and the port.
func (n *natsServer) start() (*natsRun, error) {
	if err := portFree(n.port); err != nil {
		return nil, err
	}
	options := &server.Options{
		ServerName: "streamcanary-embedded", Host: loopback, Port: n.port, NoSigs: true, MaxPayload: natsPayload,
		JetStream: true, StoreDir: n.dir, SyncAlways: true, DisableJetStreamBanner: true, JetStreamMaxStore: natsStore,
	}
	if n.port == 0 {
		options.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("folder %s, port %d: %w", n.dir, n.port, err)
	}
	r := &natsRun{server: s, log: &natsLog{}}
	s.SetLoggerV2(r.log, false, false, false)
	s.Start()
	began := time.Now()
	for !s.ReadyForConnections(natsReady/100) && r.log.broken() == nil && time.Since(began) < natsReady && !n.stopping() {
	}
	if !s.ReadyForConnections(time.Millisecond) || !s.JetStreamEnabled() {
		cause := r.log.first()
		r.end()
		return nil, fmt.Errorf("folder %s, port %d: not ready after %s: %w", n.dir, n.port, time.Since(began).Round(time.Millisecond), cause)
	}
	return r, nil
}

func (n *natsServer) stopping() bool {
	select {
	case <-n.stop:
		return true
	default:
		return false
	}
}

// watch looks at the server until close.
func (n *natsServer) watch() {
	defer close(n.done)
	tick := time.NewTicker(natsLook)
	defer tick.Stop()
	for {
		select {
		case <-n.stop:
			return
		case <-tick.C:
			n.look()
		}
	}
}

// look starts the server again if it has given up its store, as it does for good at a write that fails, and if the folder can be
// written to now. Until then it runs on: what it holds can be read. What it acknowledged is on disk, and the new server reads it.
func (n *natsServer) look() {
	bad := n.run.broken()
	if bad == nil {
		return
	}
	if err := writable(n.dir); err != nil {
		n.is(fmt.Errorf("embedded NATS can't write to folder %s: %w", n.dir, err))
		return
	}
	if n.trouble() == nil {
		n.is(fmt.Errorf("embedded NATS gave up its store in folder %s: %w", n.dir, bad))
	}
	n.run.end()
	r, err := n.start()
	if err != nil {
		n.is(fmt.Errorf("start embedded NATS again: %w", err))
		return
	}
	n.run = r
	n.is(nil)
}

// is notes what is wrong (nil: nothing), and tells it if it is new.
func (n *natsServer) is(err error) {
	n.mu.Lock()
	before := n.err
	n.err = err
	n.mu.Unlock()
	if n.told != nil && fmt.Sprint(before) != fmt.Sprint(err) {
		n.told(err)
	}
}

func (n *natsServer) trouble() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

func (n *natsServer) close() {
	n.once.Do(func() {
		close(n.stop)
		<-n.done
		n.run.end()
	})
}

// broken says why the server stores nothing any more; nil: it does.
func (r *natsRun) broken() error {
	if bad := r.log.broken(); bad != nil {
		return bad
	}
	if !r.server.JetStreamEnabled() {
		return r.log.first()
	}
	return nil
}

func (r *natsRun) end() {
	r.server.Shutdown()
	r.server.WaitForShutdown()
}

// writable tries to write to a folder.
func writable(dir string) error {
	name := filepath.Join(dir, "room")
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, natsRoom))
	if err == nil {
		err = f.Sync()
	}
	return cmp.Or(err, f.Close(), os.Remove(name))
}

// natsLog keeps the server's first error, and the first that it doesn't recover from; it lets it neither print nor end the process.
type natsLog struct {
	mu       sync.Mutex
	err, bad error
}

func (l *natsLog) keep(bad bool, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := fmt.Errorf(format, args...)
	l.err = cmp.Or(l.err, err)
	if bad {
		l.bad = cmp.Or(l.bad, err)
	}
}

func (l *natsLog) first() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return cmp.Or(l.err, errors.New("the server gave no reason"))
}

func (l *natsLog) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bad
}

// Errorf keeps errors. After a write that failed the server refuses all others of that stream or consumer. Only the format, which is
// the server's own, is asked: clients have a say in the arguments.
func (l *natsLog) Errorf(format string, args ...any) {
	l.keep(strings.Contains(strings.ToLower(format), "critical write error"), format, args...)
}

// Fatalf is kept; the server goes on, and is found to be broken.
func (l *natsLog) Fatalf(format string, args ...any) { l.keep(true, format, args...) }

// Noticef goes nowhere.
func (l *natsLog) Noticef(string, ...any) {}

// Warnf goes nowhere.
func (l *natsLog) Warnf(string, ...any) {}

// Debugf goes nowhere.
func (l *natsLog) Debugf(string, ...any) {}

// Tracef goes nowhere.
func (l *natsLog) Tracef(string, ...any) {}
