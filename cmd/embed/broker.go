package embed

import (
	"fmt"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kfake"
)

type broker struct{ cluster *kfake.Cluster }

func startBroker(o Options) (*broker, error) {
	if err := portFree(o.BrokerPort); err != nil {
		return nil, err
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.Ports(o.BrokerPort), kfake.ClusterID("streamcanary-embedded"),
		kfake.DataDir(filepath.Join(o.Dir, "kafka")), kfake.SyncWrites(),
	)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", filepath.Join(o.Dir, "kafka"), err)
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
