package serve

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/subscribe"
	"streamcanary/ingest/kafka"
	"streamcanary/loadgen"
	"streamcanary/schemas"
)

const onsetScenario = `# %s
model    %s
baseline version v1
canary   version v2
for      %ds
seed     %d
rate     1000/s
split    1%%
latency  lognormal 40ms sigma 0.5
errors   0.1%%
hosts    2
sample   cpu 55%% every 5s noise 5%%
transport delay exponential 5ms
expect   no-rollback
`

// onsetRollout is not promoted while the stretch lasts; all else is the default.
const onsetRollout = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: %s}
spec:
  model: %s
  mode: advise
  baseline: {version: v1}
  canary: {version: v2}
  stages: [{bake: 20h}]
`

const onsetConfig = `apiVersion: streamcanary.dev/v1
kind: Config
data: %s
sources:
  - {topic: predictions, type: prediction}
  - {topic: samples, type: sample}
http: {listen: "127.0.0.1:0"}
`

// onsetPartitions is how many partitions each event topic has.
const onsetPartitions = 4

// An onsetRun is one rollout of its own model, from its start to the rollback.
type onsetRun struct {
	name     string // of model and rollout
	seed     uint64
	rollout  *schemas.Rollout
	stretch  *stretch
	live     *loadgen.Generator
	record   loadgen.Record // the next one of live
	more     bool
	onsetMs  int64
	decision schemas.Decision
	seen     time.Time // when the subscriber had it
}

// An onsetBatch is some runs of a case that one service judges at the same time.
type onsetBatch struct {
	c        *onsetCase
	runs     []onsetRun
	fromMs   int64
	ready    chan Addresses
	standing atomic.Pointer[[]Standing]
	client   *kafka.Client
	journal  *kafka.Log
	bus      *bus.Bus
	behind   time.Duration // how late an event was sent, at most, from 5 s before the onset on

	mu   sync.Mutex
	told int // runs whose rollback the subscriber has
}

// newOnsetBatch starts a service for runs first, first+1, …
func newOnsetBatch(t *testing.T, c *onsetCase, first, n int) *onsetBatch {
	t.Helper()
	b := &onsetBatch{c: c, runs: make([]onsetRun, n), ready: make(chan Addresses, 1)}
	for i := range b.runs {
		b.runs[i].name, b.runs[i].seed = fmt.Sprintf("m%02d", first+i), *onsetSeed*1000+uint64(first+i)
	}
	b.fromMs = time.Now().Add(c.lead-c.healthy).UnixMilli() / 1000 * 1000
	return b
}

// play lets the batch happen. The service has ended when it returns.
func (b *onsetBatch) play(t *testing.T) []onsetRun {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "batch")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() {
		if err := Run(ctx, b.options(t, dir)); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	at := b.connect(t)
	defer b.client.Close()
	defer b.bus.Close()
	b.apply(t)
	b.past(t)
	all.Go(func() { b.subscriber(ctx, t, at) })
	b.present(t)
	return b.runs
}

func (b *onsetBatch) options(t *testing.T, dir string) Options {
	config, err := schemas.ParseConfig("config.yaml", fmt.Appendf(nil, onsetConfig, dir))
	if err != nil {
		t.Error(err)
	}
	return Options{
		Config: config, Program: "streamcanary test", Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.ErrorLevel),
		EmbeddedPartitions: onsetPartitions,
		Ready:              func(at Addresses) { b.ready <- at },
		Watch:              func(all []Standing) { b.standing.Store(&all) },
	}
}

func (b *onsetBatch) connect(t *testing.T) Addresses {
	t.Helper()
	var at Addresses
	select {
	case at = <-b.ready:
	case <-time.After(time.Minute):
		t.Fatal("the service isn't ready after a minute")
	}
	var err error
	if b.client, err = kafka.Connect(t.Context(), kafka.Connection{Brokers: at.Kafka}); err != nil {
		t.Fatal(err)
	}
	b.journal = b.client.Log(JournalTopic, 0)
	if b.bus, err = bus.Connect(t.Context(), bus.Options{URLs: at.NATS}); err != nil {
		t.Fatal(err)
	}
	return at
}

// apply starts the rollouts.
func (b *onsetBatch) apply(t *testing.T) {
	t.Helper()
	for i := range b.runs {
		r := &b.runs[i]
		yaml := fmt.Sprintf(onsetRollout, r.name, r.name)
		var err error
		if r.rollout, err = schemas.ParseRollout(r.name+".yaml", []byte(yaml)); err != nil {
			t.Fatal(err)
		}
		request := Application{ID: r.name, File: r.name + ".yaml", YAML: yaml, From: schemas.Time(b.fromMs), At: schemas.Time(b.fromMs),
			Actor: schemas.Actor{Kind: "person", Name: "tester"}}
		body, err := request.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.bus.PutSpec(t.Context(), bus.Spec{Rollout: r.name, Body: body}); err != nil {
			t.Fatal(err)
		}
		if r.stretch, err = newStretch(r, b.c, b.fromMs); err != nil {
			t.Fatal(err)
		}
	}
	for i := range b.runs {
		b.until(t, "the start is committed", func() bool {
			head, _, err := b.bus.LoadHead(t.Context(), b.runs[i].name)
			return err == nil && head.State.Status == decisions.StatusRunning
		})
	}
}

// onsetPatience bounds every waiting: ten rollouts' twelve hours are half a million parts.
const onsetPatience = 20 * time.Minute

// until waits for something that must happen.
func (b *onsetBatch) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > onsetPatience {
			t.Fatalf("%s have passed, and still not: %s", onsetPatience, what)
		}
	}
}

// past puts the healthy stretch into the journal, up to the lead, and waits until it is judged.
func (b *onsetBatch) past(t *testing.T) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // it is over sooner; the live part runs with the default
	toMs := b.fromMs + (b.c.healthy - b.c.lead).Milliseconds()
	b.fill(t, toMs)
	b.until(t, "the healthy stretch is judged", func() bool {
		all := b.standing.Load()
		judged := 0
		for _, s := range *all {
			if int64(s.Report.Reached) >= toMs-onsetPartitions*1000 {
				judged++
			}
		}
		return judged == len(b.runs)
	})
}

// fill journals the windows that start before toMs.
func (b *onsetBatch) fill(t *testing.T, toMs int64) {
	t.Helper()
	var all sync.WaitGroup
	for i := range b.runs {
		all.Go(func() {
			for more := true; more; {
				entries, err := b.runs[i].stretch.next(toMs)
				if err == nil {
					_, err = b.journal.AppendAll(context.Background(), entries)
				}
				if err != nil {
					t.Errorf("journal the healthy stretch: %v", err)
				}
				more = err == nil && len(entries) > 0
			}
		})
	}
	all.Wait()
}

// present sends the live events, each when its time comes, until the subscriber knows of every rollback. The time that the past took to be
// judged is made up for by healthy windows.
func (b *onsetBatch) present(t *testing.T) {
	t.Helper()
	soon := time.Second + time.Duration(len(b.runs))*100*time.Millisecond // so long the last windows may take
	liveMs := time.Now().Add(soon).UnixMilli()/1000*1000 + 1000
	b.fill(t, liveMs)
	for i := range b.runs {
		r := &b.runs[i]
		// onsets are spread evenly over the window
		r.onsetMs = liveMs + b.c.lead.Milliseconds() + int64(1000*(2*i+1)/(2*len(b.runs)))
		text := r.scenario(b.c, b.c.lead+10*time.Minute) + fmt.Sprintf("fault %s from %dms\n", b.c.fault, r.onsetMs-liveMs)
		s, err := loadgen.Parse("live", text)
		if err != nil {
			t.Fatal(err)
		}
		s.StartMs = liveMs
		r.live = loadgen.New(s, s.Seed)
		r.more = r.live.Next(&r.record)
	}
	end := time.UnixMilli(liveMs).Add(b.c.lead + 90*time.Second)
	for !b.over() {
		if time.Now().After(end) {
			t.Fatalf("not every rollback came within 90 s of the onset:\n%s", b.stand())
		}
		b.send(t)
		time.Sleep(5 * time.Millisecond)
	}
	for i := range b.runs {
		if r := &b.runs[i]; int64(r.decision.EventTime) <= r.onsetMs {
			t.Errorf("%s: rolled back at %s, before the onset at %s: %s", r.name, r.decision.EventTime, schemas.Time(r.onsetMs), r.decision.Reason.Sentence)
		}
	}
}

// stand says where the rollouts stand.
func (b *onsetBatch) stand() string {
	var all strings.Builder
	for _, s := range *b.standing.Load() {
		fmt.Fprintf(&all, "%s: %s at %s: %s\n", s.Rollout, s.Status, s.Report.Reached, s.Sentence)
	}
	return all.String()
}

// send sends what is due.
func (b *onsetBatch) send(t *testing.T) {
	t.Helper()
	now := time.Now()
	topics := [...]*kafka.Log{schemas.KindPrediction: b.client.Log("predictions", 0), schemas.KindSample: b.client.Log("samples", 0)}
	for i := range b.runs {
		for r := &b.runs[i]; r.more && r.record.ArrivalMs <= now.UnixMilli(); r.more = r.live.Next(&r.record) {
			if r.record.ArrivalMs > r.onsetMs-5000 {
				b.behind = max(b.behind, now.Sub(time.UnixMilli(r.record.ArrivalMs)))
			}
			entry := kafka.Entry{Key: bytes.Clone(r.record.Key()), Value: r.record.AppendJSON(nil)}
			topics[r.record.Event.Kind].AppendAsync(t.Context(), entry, func(_ kafka.Entry, err error) {
				if err != nil && t.Context().Err() == nil && !b.over() {
					t.Errorf("send an event: %v", err)
				}
			})
		}
	}
}

// subscriber follows all models, as a router would.
func (b *onsetBatch) subscriber(ctx context.Context, t *testing.T, at Addresses) {
	text, err := os.ReadFile(at.Trust)
	if err != nil {
		t.Error(err)
		return
	}
	trust, err := schemas.ParseTrust(at.Trust, text)
	if err != nil {
		t.Error(err)
		return
	}
	models := make([]string, len(b.runs))
	for i := range b.runs {
		models[i] = b.runs[i].name
	}
	err = subscribe.Run(ctx, subscribe.Options{URLs: at.NATS, Models: models, Consumer: "router", Trust: trust},
		func(_ context.Context, d subscribe.Delivery) error {
			if d.Decision.Action == schemas.ActionRollback {
				b.note(d.Decision, time.Now())
			}
			return nil
		})
	if err != nil {
		t.Errorf("subscriber: %v", err)
	}
}

func (b *onsetBatch) note(d schemas.Decision, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.runs {
		if r := &b.runs[i]; r.name == d.Model && r.seen.IsZero() {
			r.decision, r.seen = d, now
			b.told++
		}
	}
}

func (b *onsetBatch) over() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.told == len(b.runs)
}

// scenario is the run's traffic before the onset, for so long.
func (r *onsetRun) scenario(c *onsetCase, length time.Duration) string {
	return fmt.Sprintf(onsetScenario, c.name(), r.name, int(length.Seconds()), r.seed)
}
