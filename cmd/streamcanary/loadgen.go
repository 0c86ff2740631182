package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"streamcanary/cmd/serve"
	"streamcanary/ingest/kafka"
	"streamcanary/loadgen"
	"streamcanary/schemas"
)

func loadgenCommand(c *console) *cobra.Command {
	var f loadgenFlags
	cmd := &cobra.Command{
		Use:   "loadgen --scenario NAME [--to kafka://HOST:PORT | FILE]",
		Short: "Make traffic with a known answer",
		Long: `Makes the events of a scenario: to a file as fast as it goes, with the true answer in FILE.truth.json; or to Kafka, live, with event
times from now on, to the topics predictions, outcomes and samples, with TLS and SASL as --config says for serve. Without FILE and --to, events go to
standard output. A FILE that ends in .gz is compressed. A scenario's harm may begin only after the default rollout's bake of 10 minutes: give the rollout that
is to find it a longer one (stages: [{bake: 24h}]).

NAME is a scenario of this program or a file: ` + strings.Join(loadgen.Names(), ", ") + ".",
		Example: `  streamcanary loadgen --scenario tail-latency events.ndjson
  streamcanary loadgen --scenario errors --to kafka://127.0.0.1:9092
  streamcanary loadgen --scenario errors --to kafka:// --config streamcanary.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%q: events go to one file", args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.scenario == "" {
				return wrongUse{errors.New("no scenario: name one with --scenario NAME: " + strings.Join(loadgen.Names(), ", "))}
			}
			s, err := loadgen.Load(f.scenario)
			if err != nil {
				return wrongUse{err}
			}
			if f.seed != 0 {
				s.Seed = f.seed
			}
			if f.to != "" && len(args) > 0 {
				return wrongUse{errors.New("events go to Kafka or to a file, not both")}
			}
			if f.to != "" {
				to, err := f.kafka(c)
				if err != nil {
					return err
				}
				return generateLive(cmd.Context(), c, s, to)
			}
			path := append(args, "-")[0]
			if err := notRead(path, "write events:", []string{f.scenario}); err != nil {
				return err
			}
			return generateFile(cmd.Context(), c, s, path)
		},
	}
	cmd.Flags().StringVar(&f.scenario, "scenario", "", "the scenario's `NAME`, or the path of its file")
	cmd.Flags().StringVar(&f.to, "to", "", "write to Kafka: `kafka://HOST:PORT`; kafka:// alone: the brokers of --config")
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the configuration `FILE` (YAML) whose section kafka has the TLS and SASL settings for --to")
	cmd.Flags().Uint64Var(&f.seed, "seed", 0, "another `SEED` than the scenario's")
	return cmd
}

type loadgenFlags struct {
	scenario, to, config string
	seed                 uint64
}

// kafka is where --to leads, with the security settings of --config.
func (f *loadgenFlags) kafka(c *console) (kafka.Connection, error) {
	brokers, ok := strings.CutPrefix(f.to, "kafka://")
	if !ok {
		return kafka.Connection{}, wrongUse{fmt.Errorf("--to %q: it is kafka://HOST:PORT", f.to)}
	}
	config, err := readConfig(c, f.config, "")
	if err != nil {
		return kafka.Connection{}, err
	}
	if brokers != "" {
		config.Kafka.Brokers = strings.Split(brokers, ",")
		for _, broker := range config.Kafka.Brokers {
			if err := schemas.CheckAddress(broker); err != nil {
				return kafka.Connection{}, wrongUse{fmt.Errorf("--to: %w", err)}
			}
		}
	}
	if len(config.Kafka.Brokers) == 0 {
		return kafka.Connection{}, wrongUse{fmt.Errorf("--to %q: it is kafka://HOST:PORT, or --config names a file with kafka.brokers", f.to)}
	}
	return serve.KafkaConnection(&config.Kafka, config.Kafka.Brokers)
}

// lines is a sink for a log: one event a line.
type lines struct{ w *bufio.Writer }

func (l lines) Write(_ schemas.Kind, _, value []byte, _ int64) error {
	if _, err := l.w.Write(value); err != nil {
		return err
	}
	return l.w.WriteByte('\n')
}

// paced is a sink that shows how far a scenario has come, and ends with its context.
type paced struct {
	ctx      context.Context
	to       loadgen.Sink
	bar      *progressBar
	scenario *loadgen.Scenario
	events   int64
}

// pacedEvery is how many events go by between two looks at the clock.
const pacedEvery = 256

// Write is loadgen.Sink's.
func (p *paced) Write(kind schemas.Kind, key, value []byte, arrivalMs int64) error {
	if p.events++; p.events%pacedEvery == 0 {
		span := p.scenario.Duration.Milliseconds()
		p.bar.show(progress{done: min(arrivalMs-p.scenario.StartMs, span), total: span, events: p.events, reachedMs: arrivalMs})
		if p.ctx.Err() != nil {
			return p.ctx.Err()
		}
	}
	return p.to.Write(kind, key, value, arrivalMs)
}

// generateFile writes a whole scenario to a file, or to standard output ("-").
func generateFile(ctx context.Context, c *console, s *loadgen.Scenario, path string) (err error) {
	out := c.out
	if path != "-" {
		f, close, err := createLog(path)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, close()) }()
		out = f
	}
	w := bufio.NewWriterSize(out, 1<<20)
	bar := newProgress(c.err)
	n, err := loadgen.Pump(loadgen.New(s, s.Seed), &paced{ctx: ctx, to: lines{w}, bar: bar, scenario: s})
	bar.done()
	if err = errors.Join(err, w.Flush()); err != nil {
		return fmt.Errorf("write events to %s: %w", path, err)
	}
	if path == "-" {
		return nil
	}
	truth, err := json.MarshalIndent(s.Truth(s.Seed), "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".truth.json", append(truth, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the true answer: %w", err)
	}
	if c.json {
		return json.NewEncoder(c.out).Encode(map[string]any{"type": "generated", "file": path, "truth": path + ".truth.json", "events": n})
	}
	fmt.Fprintf(c.err, "%d events in %s, the true answer in %s.truth.json\n", n, path, path)
	return nil
}

// createLog makes a log's file, compressed where its name says so, and returns how to close it.
func createLog(path string) (io.Writer, func() error, error) {
	if strings.HasSuffix(path, ".zst") {
		return nil, nil, wrongUse{fmt.Errorf("write events to %s: .zst is read, not written: name it .gz, or compress it afterwards", path)}
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, nil, wrongUse{fmt.Errorf("write events: %w", err)}
	}
	if !strings.HasSuffix(path, ".gz") {
		return f, f.Close, nil
	}
	z := gzip.NewWriter(f)
	return z, func() error { return errors.Join(z.Close(), f.Close()) }, nil
}

// generateLive writes a scenario to Kafka at its own pace, from now on.
func generateLive(ctx context.Context, c *console, s *loadgen.Scenario, to kafka.Connection) error {
	client, err := kafka.Connect(ctx, to)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := client.Partitions(ctx, "predictions", "outcomes", "samples"); err != nil {
		return err
	}
	s.StartMs = time.Now().UnixMilli()
	if err := json.NewEncoder(c.out).Encode(s.Truth(s.Seed)); err != nil {
		return err
	}
	outlasting, stop := outlast(ctx, appendsAfter)
	defer stop()
	sink, bar := newTopics(outlasting, client), newProgress(c.err)
	n, err := play(ctx, loadgen.New(s, s.Seed), &paced{ctx: outlasting, to: sink, bar: bar, scenario: s})
	if end := sink.Close(); err == nil {
		err = end
	}
	bar.done()
	fmt.Fprintf(c.err, "%d events sent\n", n)
	return err
}

// appendsAfter is how long events that were handed over may still be stored after an interruption.
const appendsAfter = 5 * time.Second

// outlast returns a context that ends as much later than another one.
func outlast(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return longer, func() { stop(); cancel() }
}

// topics is a sink for Kafka: one topic per kind of event. Write doesn't wait for the broker; Close waits for all.
type topics struct {
	ctx    context.Context
	logs   [schemas.KindSample + 1]*kafka.Log
	flight sync.WaitGroup
	mu     sync.Mutex
	err    error // the first append that failed
}

func newTopics(ctx context.Context, client *kafka.Client) *topics {
	t := &topics{ctx: ctx}
	t.logs[schemas.KindPrediction] = client.Log("predictions", 0)
	t.logs[schemas.KindOutcome] = client.Log("outcomes", 0)
	t.logs[schemas.KindSample] = client.Log("samples", 0)
	return t
}

// Write is loadgen.Sink's.
func (t *topics) Write(kind schemas.Kind, key, value []byte, _ int64) error {
	t.flight.Add(1)
	t.logs[kind].AppendAsync(t.ctx, kafka.Entry{Key: bytes.Clone(key), Value: bytes.Clone(value)}, func(_ kafka.Entry, err error) {
		t.fail(err)
		t.flight.Done()
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *topics) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
	}
}

// Close waits until every event is stored, and returns the first failure.
func (t *topics) Close() error {
	t.flight.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// play writes a generator's events when their time comes, until its end or the context's.
func play(ctx context.Context, g *loadgen.Generator, to loadgen.Sink) (int64, error) {
	var r loadgen.Record
	var text []byte
	n := int64(0)
	for g.Next(&r) {
		if wait := time.Until(time.UnixMilli(r.ArrivalMs)); wait > 0 {
			select {
			case <-ctx.Done():
				return n, nil
			case <-time.After(wait):
			}
		}
		text = r.AppendJSON(text[:0])
		if err := to.Write(r.Event.Kind, r.Key(), text, r.ArrivalMs); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
