package kafka

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"streamcanary/schemas"
)

// cpuTime is what this process has used, so that a loaded machine's benchmarks can be compared.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSource reads a topic of a real broker: batches of decoded events, beside the client reading and throwing away (performance.md's
// yardstick).
func BenchmarkSource(b *testing.B) {
	bootstrap := os.Getenv("KAFKA_BOOTSTRAP")
	if bootstrap == "" {
		b.Skip("passed over: KAFKA_BOOTSTRAP names no broker")
	}
	ctx := b.Context()
	c, err := Connect(ctx, Connection{Brokers: []string{bootstrap}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	const partitions, events = 8, 400_000
	topic := fmt.Sprintf("bench-%d", time.Now().UnixNano())
	if err := c.EnsureTopic(ctx, topic, partitions, nil); err != nil {
		b.Fatal(err)
	}
	l := c.Log(topic, 0)
	for from := 0; from < events; from += 10_000 {
		var entries []Entry
		for n := from; n < from+10_000; n++ {
			entries = append(entries, Entry{Key: fmt.Appendf(nil, "%016x", n), Value: fmt.Appendf(nil,
				`{"type":"prediction","id":"%016x","ts":%d,"model":"ranker","version":"v1","latency_ms":%d.%03d,"error":false,"timeout":false,"segment":"android","host":"ranker-7f9c6d5b8-x2k%02d","region":"eu-west-1","unit":"user-%d","route":"/v1/rank","status":200,"score":0.%06d,"cache_hit":true}`,
				n, 1760000400000+n, n%200, n%1000, n%100, n%9973, n%1_000_000)})
		}
		if _, err := l.AppendAll(ctx, entries); err != nil {
			b.Fatal(err)
		}
	}
	report := func(b *testing.B, cpu time.Duration) {
		b.ReportMetric(float64(b.N*events)/b.Elapsed().Seconds(), "events/s")
		b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N*events), "cpu-ns/event")
	}
	b.Run("source", func(b *testing.B) {
		began := cpuTime()
		for b.Loop() {
			s, err := c.Source(ctx, SourceOptions{Topics: []Topic{{Name: topic, Want: schemas.KindPrediction}}})
			if err != nil {
				b.Fatal(err)
			}
			for n := 0; n < events; {
				batch, err := s.Next(ctx)
				if err != nil {
					b.Fatal(err)
				}
				n += len(batch.Items)
				batch.Release()
			}
			s.Close()
		}
		report(b, cpuTime()-began)
	})
	b.Run("discard", func(b *testing.B) {
		began := cpuTime()
		for b.Loop() {
			k, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic), kgo.DisableClientMetrics(),
				kgo.FetchMaxBytes(64<<20), kgo.FetchMaxPartitionBytes(8<<20), kgo.FetchMinBytes(1<<20), kgo.FetchMaxWait(200*time.Millisecond))
			if err != nil {
				b.Fatal(err)
			}
			for n := 0; n < events; {
				n += k.PollFetches(ctx).NumRecords()
			}
			k.Close()
		}
		report(b, cpuTime()-began)
	})
}
