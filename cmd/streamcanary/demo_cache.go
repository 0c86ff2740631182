package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"streamcanary/cmd/serve"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/subscribe"
	"streamcanary/ingest/kafka"
	"streamcanary/loadgen"
	"streamcanary/schemas"
)

// What demo --scenario cold-cache shows: two fleets with the same requests, whose canary has 95 % of them and becomes slow. Both are rolled back, one of them in steps.
const (
	coldRate     = 400 // requests/s of each fleet
	coldKeys     = 1500
	coldKeep     = time.Minute // a key stays in a version's cache so long after it was last asked for
	coldHit      = 20 * time.Millisecond
	coldMiss     = 60 * time.Millisecond // beside the waiting
	coldMissRate = 80                    // misses/s that the backend of a fleet can answer
	coldHarm     = 200 * time.Millisecond
	coldHealthy  = 15 * time.Second // before the harm
	coldWatched  = time.Minute      // from each fleet's rollback on
	coldWithin   = 2 * time.Minute
)

const coldRollout = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: %[1]s}
spec:
  model: %[1]s
  baseline: {version: v41}
  canary: {version: v42}
  guardrails: [{name: p50, quantile: 0.5, of: latency, increase: 50%%}]
  stages: [{weight: 95, bake: 10m, max: 24h}]
`

const coldSteps = "  cache: {warm: [20, 60, 100], until: {hitRate: 0.8, max: 30s}}\n"

// A fleet is one model: its router's split, a cache for each version, and the backend that answers what they don't.
type fleet struct {
	model, rollout string
	random         *mathrand.Rand

	mu       sync.Mutex
	share    float64                                    // the canary's
	caches   map[string]*[coldKeys]time.Time            // by version: when each key was last asked for
	free     time.Time                                  // when the backend has answered all misses so far
	back     time.Time                                  // when the rollback was decided; zero: not yet
	took     [coldWatched / time.Second][]time.Duration // by second since then
	complete bool
}

// newFleet has caches as they are after a while at the canary's share.
func newFleet(model, rollout string, now time.Time) *fleet {
	f := &fleet{model: model, rollout: rollout, random: mathrand.New(mathrand.NewPCG(1, 2)), share: .95,
		caches: map[string]*[coldKeys]time.Time{"v41": {}, "v42": {}}}
	const every = time.Second / coldRate
	for at := now.Add(-2 * coldKeep); at.Before(now); at = at.Add(every) {
		f.look(f.version(), at)
	}
	f.share = 0 // until the router is told
	return f
}

func (f *fleet) version() string {
	if f.random.Float64() < f.share {
		return "v42"
	}
	return "v41"
}

// look asks a version's cache for a random key.
func (f *fleet) look(version string, now time.Time) (hit bool) {
	last := &f.caches[version][f.random.IntN(coldKeys)]
	hit = now.Sub(*last) < coldKeep
	*last = now
	return hit
}

// answer is one request.
func (f *fleet) answer(now time.Time, harmed bool) (version string, hit bool, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	version, took = f.version(), coldHit
	if harmed && version == "v42" {
		took += coldHarm
	}
	if hit = f.look(version, now); !hit {
		begins := f.free
		if begins.Before(now) {
			begins = now
		}
		f.free = begins.Add(time.Second / coldMissRate)
		took += begins.Sub(now) + coldMiss
	}
	if second := int(now.Sub(f.back) / time.Second); !f.back.IsZero() && second < len(f.took) {
		f.took[second] = append(f.took[second], took)
	}
	return version, hit, took
}

// route brings a decision to the fleet.
func (f *fleet) route(d *schemas.Decision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range d.Routes {
		if r.Version == "v42" {
			f.share = float64(r.WeightBP) / 10000
		}
	}
	if d.Action == schemas.ActionRollback && f.back.IsZero() {
		f.back = time.Now()
	}
}

func (f *fleet) isServing() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.share > 0
}

// watched reports whether all was seen that is to be told.
func (f *fleet) watched() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.complete && !f.back.IsZero() && time.Since(f.back) > coldWatched
}

// p99 is that of all users in some seconds after the rollback was decided.
func (f *fleet) p99(from, to int) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Sorted(slices.Values(slices.Concat(f.took[from:to]...)))
	if len(all) == 0 {
		return 0
	}
	return all[int(math.Ceil(.99*float64(len(all))))-1]
}

// coldDemo is one run: fleets[0] goes back in steps.
type coldDemo struct {
	*demo
	fleets [2]*fleet
}

func (d *coldDemo) fleet(model string) *fleet {
	for _, f := range d.fleets {
		if f != nil && f.model == model {
			return f
		}
	}
	return nil
}

// watch prints what happens until both fleets were watched for long enough.
func (d *coldDemo) watch() error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-d.ctx.Done():
			if errors.Is(d.ctx.Err(), context.Canceled) {
				return errors.New("interrupted")
			}
			return fmt.Errorf("not done within %s", coldWithin)
		case <-tick.C:
			if d.fleets[0] != nil && d.fleets[0].watched() && d.fleets[1].watched() {
				return d.summary()
			}
		case event := <-d.events:
			if err := d.see(event); err != nil {
				return err
			}
		}
		if err := d.screen.broken(); err != nil {
			return fmt.Errorf("print the demo: %w", err)
		}
	}
}

func (d *coldDemo) see(event any) error {
	switch x := event.(type) {
	case serve.Addresses:
		return d.begin(x)
	case schemas.Decision:
		if d.screen.json {
			demoLine(d.screen.console, "decision", x)
		}
		d.screen.say("%-12s %s%s: %s", x.Model, strings.ToUpper(string(x.Action)), phase(&x), x.Reason.Sentence)
	case *schemas.Notice:
		if f := d.fleet(x.Model); f != nil && x.Kind == schemas.NoticeRollbackCompleted {
			f.mu.Lock()
			f.complete = true
			f.mu.Unlock()
			d.screen.say("%-12s %s", x.Model, x.Sentence)
		}
	case demoEnd:
		if x.err != nil {
			return fmt.Errorf("%s: %w", x.what, x.err)
		}
	}
	return nil
}

// begin applies both rollouts, and starts the fleets.
func (d *coldDemo) begin(a serve.Addresses) error {
	var err error
	if d.bus, err = bus.Connect(d.ctx, bus.Options{URLs: a.NATS}); err != nil {
		return err
	}
	trust, err := readTrust(a.Trust)
	if err != nil {
		return err
	}
	client, err := kafka.Connect(d.ctx, kafka.Connection{Brokers: a.Kafka})
	if err != nil {
		return err
	}
	in := fmt.Sprintf(coldRollout, "in-steps")
	d.fleets = [2]*fleet{newFleet("in-steps", in+coldSteps, time.Now()), newFleet("at-once", fmt.Sprintf(coldRollout, "at-once"), time.Now())}
	d.screen.say("two fleets of %d requests/s; canary v42 has 95 %% of each, and baseline v41's cache knows what a twentieth asks for", coldRate)
	d.start("events", func() error {
		return d.bus.Notices(d.ctx, func(n *schemas.Notice) error { d.send(n); return nil })
	})
	d.start("router", func() error {
		return subscribe.Run(d.ctx, subscribe.Options{URLs: a.NATS, Models: []string{"in-steps", "at-once"}, Consumer: "demo-router", Trust: trust},
			func(_ context.Context, x subscribe.Delivery) error {
				if f := d.fleet(x.Decision.Model); f != nil {
					f.route(&x.Decision)
				}
				return nil
			})
	})
	d.start("traffic", func() error {
		defer client.Close()
		return d.traffic(newTopics(d.ctx, client))
	})
	for _, f := range d.fleets {
		request := serve.Application{ID: rand.Text(), File: f.model + ".yaml", YAML: f.rollout, From: now(), At: now(), Actor: person("demo")}
		body, err := request.Encode()
		if err != nil {
			return err
		}
		if _, err := d.bus.PutSpec(d.ctx, bus.Spec{Rollout: f.model, Body: body}); err != nil {
			return err
		}
	}
	return nil
}

// traffic sends both fleets' events, from when both canaries serve.
func (d *coldDemo) traffic(to *topics) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var began time.Time
	for sent := int64(0); ; {
		select {
		case <-d.ctx.Done():
			return nil
		case <-tick.C:
		}
		if began.IsZero() {
			if !d.fleets[0].isServing() || !d.fleets[1].isServing() {
				continue
			}
			began = time.Now()
		}
		for ; time.Duration(sent)*time.Second/coldRate < time.Since(began); sent++ {
			if err := d.request(to, began, sent); err != nil && d.ctx.Err() == nil {
				return err
			}
		}
	}
}

// request sends what both fleets answer to one request.
func (d *coldDemo) request(to *topics, began time.Time, number int64) error {
	at := began.Add(time.Duration(number) * time.Second / coldRate)
	for _, f := range d.fleets {
		version, hit, took := f.answer(at, at.Sub(began) > coldHealthy)
		e := schemas.Event{Kind: schemas.KindPrediction, TimeMs: at.UnixMilli(), ID: fmt.Appendf(nil, "%s-%d", f.model, number), Model: []byte(f.model), Version: []byte(version),
			HasLatency: true, LatencyMs: float64(took) / float64(time.Millisecond), HasCacheHit: true, CacheHit: hit, SampledBy: 1}
		if err := to.Write(schemas.KindPrediction, e.ID, loadgen.AppendJSON(nil, &e), 0); err != nil {
			return err
		}
	}
	return nil
}

// summary prints what users of each fleet waited, and fails where the steps were of no use.
func (d *coldDemo) summary() error {
	steps, once := d.fleets[0], d.fleets[1]
	seconds := len(steps.took)
	inSteps, atOnce := steps.p99(0, seconds), once.p99(0, seconds)
	if inSteps >= atOnce {
		return fmt.Errorf("p99 of users in the minute after the rollback: %s in steps, %s at once: the steps were of no use", inSteps.Round(time.Millisecond), atOnce.Round(time.Millisecond))
	}
	if d.screen.json {
		demoLine(d.screen.console, "summary", map[string]any{"ok": true, "p99_in_steps_ms": inSteps.Milliseconds(), "p99_at_once_ms": atOnce.Milliseconds()})
		return d.screen.broken()
	}
	const each = 10
	fmt.Fprintf(d.screen.out, "\n  p99 of all users after the rollback was decided\n  %-12s %10s %10s\n", "", "in steps", "at once")
	for from := 0; from < seconds; from += each {
		fmt.Fprintf(d.screen.out, "  %-12s %7d ms %7d ms\n", fmt.Sprintf("%d..%d s", from, from+each), steps.p99(from, from+each).Milliseconds(), once.p99(from, from+each).Milliseconds())
	}
	fmt.Fprintf(d.screen.out, "  %-12s %7d ms %7d ms\n", "the minute", inSteps.Milliseconds(), atOnce.Milliseconds())
	return d.screen.broken()
}
