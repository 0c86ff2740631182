package embed

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

type broker struct {
	cluster *kfake.Cluster
	log     *brokerLog
	stop    chan struct{} // closed by close
	done    chan struct{} // closed once nothing watches any more
	once    sync.Once
}

func startBroker(o Options) (*broker, error) {
	if err := portFree(o.BrokerPort); err != nil {
		return nil, err
	}
	dir := filepath.Join(o.Dir, "kafka")
	log := &brokerLog{dir: dir, refused: o.Refused}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.Ports(o.BrokerPort), kfake.ClusterID("streamcanary-embedded"),
		kfake.DataDir(dir), kfake.SyncWrites(), kfake.WithLogger(log),
	)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", dir, err)
	}
	for _, topic := range o.Topics {
		if cluster.TopicInfo(topic.Name) != nil {
			continue
		}
		if err := cluster.CreateTopic(topic.Name, topic.Partitions, topic.Configs); err != nil {
			cluster.Close()
			return nil, fmt.Errorf("make topic %s: %w", topic.Name, err)
		}
	}
	b := &broker{cluster: cluster, log: log, stop: make(chan struct{}), done: make(chan struct{})}
	go b.watch()
	return b, nil
}

// brokerLook is how often a broker that refused something is looked at.
const brokerLook = time.Second

// watch looks at the broker until close.
func (b *broker) watch() {
	defer close(b.done)
	tick := time.NewTicker(brokerLook)
	defer tick.Stop()
	for {
		select {
		case <-b.stop:
			return
		case <-tick.C:
			b.log.look()
		}
	}
}

func (b *broker) close() {
	b.once.Do(func() {
		close(b.stop)
		<-b.done
		b.cluster.Close()
	})
}

// brokerLog tells why the broker refused what it was given; its clients only hear that it failed.
type brokerLog struct {
	dir     string
	refused func(error) // may be nil

	mu     sync.Mutex
	err    error     // why the broker can't write now; nil: it can, as far as is known
	failed time.Time // when a write failed last
	told   time.Time
}

// refusedEvery is how often a refusal is told at most: producers try again all the time.
const refusedEvery = time.Minute

// brokerHeld is how long no write may have failed until the broker is believed to write again. It doesn't say when it does.
const brokerHeld = 5 * time.Second

// Logf is kfake.Logger's. What can't be written begins with "persist", all else goes nowhere.
func (l *brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if level > kfake.LogLevelWarn || !strings.HasPrefix(format, "persist ") {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = time.Now()
	l.err = fmt.Errorf("embedded Kafka can't write to folder %s: %w", l.dir, fmt.Errorf(format, args...))
	if time.Since(l.told) >= refusedEvery {
		l.told = l.failed
		l.tell(l.err)
	}
}

func (l *brokerLog) tell(err error) {
	if l.refused != nil {
		l.refused(err)
	}
}

// trouble says why the broker can't write; nil: it can.
func (l *brokerLog) trouble() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// look finds out whether a broker that couldn't write can again: nothing has failed of late, and its folder takes a file, so that a disk that is still
// full is known while nobody writes.
func (l *brokerLog) look() {
	if !l.held() {
		return
	}
	bad := writable(l.dir)
	l.mu.Lock()
	defer l.mu.Unlock()
	if bad != nil {
		l.failed = time.Now()
		return
	}
	l.err, l.told = nil, time.Time{}
	l.tell(nil)
}

// held reports whether there was a trouble of which nothing was heard of late.
func (l *brokerLog) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err != nil && time.Since(l.failed) >= brokerHeld
}
