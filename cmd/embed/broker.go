package embed

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

type broker struct{ cluster *kfake.Cluster }

func startBroker(o Options) (*broker, error) {
	if err := portFree(o.BrokerPort); err != nil {
		return nil, err
	}
	dir := filepath.Join(o.Dir, "kafka")
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.Ports(o.BrokerPort), kfake.ClusterID("streamcanary-embedded"),
		kfake.DataDir(dir), kfake.SyncWrites(), kfake.WithLogger(&brokerLog{dir: dir, refused: o.Refused}),
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
	return &broker{cluster}, nil
}

// brokerLog tells why the broker refused what it was given; its clients only hear that it failed.
type brokerLog struct {
	dir     string
	refused func(error) // may be nil
	mu      sync.Mutex
	told    time.Time
}

// refusedEvery is how often a refusal is told at most: producers try again all the time.
const refusedEvery = time.Minute

// Logf is kfake.Logger's. What can't be written begins with "persist", all else goes nowhere.
func (l *brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if l.refused == nil || level > kfake.LogLevelWarn || !strings.HasPrefix(format, "persist ") {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.told) < refusedEvery {
		return
	}
	l.told = time.Now()
	l.refused(fmt.Errorf("embedded Kafka can't write to folder %s: %w", l.dir, fmt.Errorf(format, args...)))
}
