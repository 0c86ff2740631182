package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"streamcanary/schemas"
)

// A fake is a Kafka in this process, reached over a network of its own, so that a bubble's time is virtual.
type fake struct {
	*testing.T
	cluster *kfake.Cluster
	network *kfake.VirtualNetwork
	address string
}

// inBubble runs a test against a fake cluster in virtual time.
func inBubble(t *testing.T, options []kfake.Opt, test func(f *fake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{T: t, network: new(kfake.VirtualNetwork)}
		options := append([]kfake.Opt{kfake.ListenFn(f.network.Listen), kfake.Ports(9092), kfake.NumBrokers(1)}, options...)
		cluster, err := kfake.NewCluster(options...)
		if err != nil {
			t.Fatal(err)
		}
		f.cluster, f.address = cluster, cluster.ListenAddrs()[0]
		defer cluster.Close()
		test(f)
	})
}

// connection reaches the fake.
func (f *fake) connection() Connection {
	return Connection{Brokers: []string{f.address}, Dial: f.network.DialContext}
}

// connect reaches the fake, until the test ends.
func (f *fake) connect() *Client {
	f.Helper()
	c, err := Connect(f.Context(), f.connection())
	if err != nil {
		f.Fatal(err)
	}
	return c
}

// event is a prediction of a value's number.
func event(n int) []byte {
	return []byte(fmt.Sprintf(`{"id":"%d","ts":%d,"model":"m","version":"v"}`, n, n))
}

// produce appends values n.. to a partition of a topic, with a plain client.
func (f *fake) produce(topic string, partition int32, values ...[]byte) {
	f.Helper()
	p, err := kgo.NewClient(kgo.SeedBrokers(f.address), kgo.Dialer(f.network.DialContext), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		f.Fatal(err)
	}
	defer p.Close()
	for _, v := range values {
		if err := p.ProduceSync(f.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: v}).FirstErr(); err != nil {
			f.Fatal(err)
		}
	}
}

// events are the values of predictions from to to.
func events(from, to int) [][]byte {
	var values [][]byte
	for n := from; n < to; n++ {
		values = append(values, event(n))
	}
	return values
}

var predictions = []Topic{{Name: "predictions", Want: schemas.KindPrediction}}

// source opens a source of the predictions.
func (f *fake) source(c *Client, o SourceOptions) *Source {
	f.Helper()
	if o.Topics == nil {
		o.Topics = predictions
	}
	s, err := c.Source(f.Context(), o)
	if err != nil {
		f.Fatal(err)
	}
	return s
}

// items reads until n items have come, and returns them as "partition:offset id".
func items(t *testing.T, s *Source, n int) []string {
	t.Helper()
	var got []string
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(got) < n {
		b, err := s.Next(ctx)
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		for i := range b.Items {
			what := string(b.Items[i].Event.ID)
			if b.Items[i].Err != nil {
				what = string(b.Items[i].Err.Reason)
			}
			got = append(got, fmt.Sprintf("%d:%d %s", b.Partition, b.Items[i].Offset, what))
		}
		b.Release()
	}
	return got
}

// wanted is what items returns for predictions from to to of partition 0, whose offsets are their numbers.
func wanted(from, to int) []string {
	var want []string
	for n := from; n < to; n++ {
		want = append(want, fmt.Sprintf("0:%d %d", n, n))
	}
	return want
}

// nothing checks that no item comes for a while.
func nothing(t *testing.T, s *Source) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if b, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %+v, %v, want nothing", b, err)
	}
}

// A switchedNetwork is a network that can be cut.
type switchedNetwork struct {
	*kfake.VirtualNetwork
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

// DialContext fails while the network is cut.
func (n *switchedNetwork) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	c, err := n.VirtualNetwork.DialContext(ctx, network, address)
	if err == nil {
		n.conns = append(n.conns, c)
	}
	return c, err
}

// set cuts the network, connections that there are included, or mends it.
func (n *switchedNetwork) set(cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.cut = cut; cut && len(n.conns) > 0; n.conns = n.conns[1:] {
		n.conns[0].Close()
	}
}
