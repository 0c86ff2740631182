package serve

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"streamcanary/decisions"
)

// line is what a service in a village is connected by. Where it is cut, nothing that the service does reaches anybody any more: to all others it was killed.
type line struct {
	nats *nats.Conn
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	dead atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

func (l *line) dialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if l.dead.Load() {
		return nil, errors.New("the line is cut")
	}
	c, err := l.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, c)
	return c, nil
}

func (l *line) cut() {
	l.dead.Store(true)
	l.nats.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// TestStoriesOfAKilledService: the newer one of two services, which decides, is killed and doesn't come back. The one that stands by takes over within two minutes, and rolls a bad canary back.
func TestStoriesOfAKilledService(t *testing.T) {
	story(t, "a-serve-that-is-killed", storyHead+errorsMore+"  stages: [{weight: 10, bake: 10m, max: 1h}]\n", func(v *village) {
		v.status(decisions.StatusRunning)
		v.wait(5*time.Second + 130*time.Millisecond)
		v.other("new", "127.0.0.1:8089")
		v.wait(15*time.Second + 70*time.Millisecond)
		v.lines["new"].cut()
		v.wait(10*time.Second + 70*time.Millisecond)
		v.errors.Store(2000)
		v.wait(time.Minute)
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "503 rollout story stands by here: ") {
			v.Errorf("the one that stands by: %s", ready)
		}
		v.completed()
		if ready := v.page("/readyz"); !strings.HasPrefix(ready, "200") || v.share.Load() != 0 {
			v.Errorf("the canary has %d basis points, ready: %s", v.share.Load(), ready)
		}
	})
}
