package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"streamcanary/cmd/serve"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/subscribe"
	"streamcanary/ingest/kafka"
	"streamcanary/loadgen"
	"streamcanary/schemas"
)

// demoRollout is what the demo judges.
//
//go:embed demo.yaml
var demoRollout []byte

// demoWithin bounds the demo.
const demoWithin = 85 * time.Second

// demoScenarios are what --scenario can name.
var demoScenarios = []string{"regression", "stateful", "cold-cache"}

func demoCommand(c *console) *cobra.Command {
	scenario := demoScenarios[0]
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Everything on this machine: a regression is injected, caught and rolled back",
		Long: `Starts an embedded Kafka broker and NATS server, a judge, live traffic and a router that splits it. After a healthy stretch the
canary's tail latency and errors go wrong; the rollback is decided, published, obeyed and seen in the stream. Takes about a minute;
exits with 0 only if all of that happened.

--scenario stateful adds a store that both versions write to: it takes a snapshot before the rollout starts, and on the rollback takes no
more writes, goes back to the snapshot once traffic has moved, and takes writes again.

--scenario cold-cache rolls two fleets back whose canary has nearly all of the traffic: one in steps, as the baseline's cache warms, the
other at once; and prints what their users waited in the minute after. Takes a minute and a half.`,
		Example: "  streamcanary demo\n  streamcanary demo --scenario stateful\n  streamcanary demo --scenario cold-cache",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(demoScenarios, scenario) {
				return fmt.Errorf("there is no scenario %q: name one of %s", scenario, strings.Join(demoScenarios, ", "))
			}
			within := demoWithin
			if scenario == "cold-cache" {
				within = coldWithin
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), within)
			defer cancel()
			return runDemo(ctx, c, scenario)
		},
	}
	cmd.Flags().StringVar(&scenario, "scenario", scenario, "what is shown: "+strings.Join(demoScenarios, ", "))
	return cmd
}

// demo is one run. Its goroutines send what they see to events; the goroutine of runDemo prints it.
type demo struct {
	ctx       context.Context
	screen    *demoScreen
	scenario  *loadgen.Scenario
	generator *loadgen.Generator
	events    chan any // serve.Addresses, []serve.Standing, schemas.Decision, demoRoute, demoStored, *schemas.Notice, demoEnd
	bus       *bus.Bus
	keeper    *demoStore // nil: the model has no state
	all       sync.WaitGroup
}

// demoRoute is what the demo's router did; demoEnd how one of its parts ended.
type demoRoute struct {
	decision schemas.Decision
	share    float64
}

// demoStored is what the demo's store did.
type demoStored string

type demoEnd struct {
	what string
	err  error
}

func runDemo(ctx context.Context, c *console, scenario string) (err error) {
	began := time.Now()
	signal.Ignore(syscall.SIGPIPE) // a closed pipe is an error of the writing, and the demo tidies up
	out := &brokenOnce{w: c.out}
	c = &console{in: c.in, out: out, err: c.err, json: c.json}
	dir, err := os.MkdirTemp("", "streamcanary-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer os.RemoveAll(dir)
	config, err := schemas.ParseConfig("", nil)
	if err != nil {
		return err
	}
	config.Data, config.HTTP.Listen = dir, "127.0.0.1:0"
	ctx, stop := context.WithCancel(ctx)
	d := &demo{ctx: ctx, screen: newDemoScreen(c, began, canRewrite(out.w)), events: make(chan any, 64)}
	if scenario == "stateful" {
		d.keeper = newDemoStore(func(what string) { d.send(demoStored(what)) })
	}
	d.start("serve", func() error {
		return serve.Run(ctx, serve.Options{
			Config: config, Program: program(), Log: zerolog.Nop(),
			Ready: func(a serve.Addresses) { d.send(a) }, Watch: func(s []serve.Standing) { d.send(s) }, Decided: func(x schemas.Decision) { d.send(x) },
		})
	})
	defer func() {
		stop()
		d.all.Wait()
		if d.bus != nil {
			d.bus.Close()
		}
	}()
	if scenario == "cold-cache" {
		return (&coldDemo{demo: d}).watch()
	}
	return d.watch()
}

// start runs a part of the demo, and says how it ended.
func (d *demo) start(what string, f func() error) {
	d.all.Go(func() { d.send(demoEnd{what, f()}) })
}

func (d *demo) send(event any) {
	select {
	case d.events <- event:
	case <-d.ctx.Done():
	}
}

// watch prints what happens until the rollback is completed, or something fails.
func (d *demo) watch() error {
	for {
		select {
		case <-d.ctx.Done():
			if errors.Is(d.ctx.Err(), context.Canceled) {
				return errors.New("interrupted")
			}
			return fmt.Errorf("not done within %s: %s", demoWithin, d.screen.missing())
		case event := <-d.events:
			if err := d.see(event); err != nil {
				return err
			}
			if err := d.screen.broken(); err != nil {
				return fmt.Errorf("print the demo: %w", err)
			}
			if done, err := d.ended(); done {
				return err
			}
		}
	}
}

// see prints one thing that happened.
func (d *demo) see(event any) error {
	switch x := event.(type) {
	case serve.Addresses:
		return d.begin(x)
	case []serve.Standing:
		d.screen.standing(x)
	case schemas.Decision:
		d.screen.decision(&x)
	case demoRoute:
		d.screen.route(&x)
		d.traffic(x.share)
	case demoStored:
		d.screen.stored(string(x))
	case *schemas.Notice:
		d.screen.notice(x)
	case demoEnd:
		if x.err != nil {
			return fmt.Errorf("%s: %w", x.what, x.err)
		}
	}
	return nil
}

// ended says whether the demo is over; its last lines are the times.
func (d *demo) ended() (bool, error) {
	if d.screen.missing() != "" {
		return false, nil
	}
	truth := d.scenario.Truth(d.scenario.Seed)
	if err := d.screen.wrong(truth); err != nil {
		return true, err
	}
	if d.keeper != nil {
		if err := d.keeper.wrong(); err != nil {
			return true, err
		}
	}
	d.screen.times(d.screen.complete.Times, truth.Onset)
	return true, d.screen.broken()
}

// begin applies the rollout and starts the router, once the judge runs.
func (d *demo) begin(a serve.Addresses) error {
	d.screen.addresses(&a)
	var err error
	if d.bus, err = bus.Connect(d.ctx, bus.Options{URLs: a.NATS}); err != nil {
		return err
	}
	trust, err := readTrust(a.Trust)
	if err != nil {
		return err
	}
	if d.scenario, err = loadgen.Load("demo"); err != nil {
		return err
	}
	d.start("events", func() error {
		return d.bus.Notices(d.ctx, func(n *schemas.Notice) error { d.send(n); return nil })
	})
	d.start("router", func() error { return d.router(a.NATS, trust) })
	rollout := string(demoRollout)
	if d.keeper != nil {
		rollout += sharedState
		d.store(a.NATS, trust)
	}
	d.start("traffic", func() error { return d.generate(a.Kafka) })
	request := serve.Application{ID: rand.Text(), File: "demo.yaml", YAML: rollout, From: now(), At: now(), Actor: person("demo")}
	body, err := request.Encode()
	if err != nil {
		return err
	}
	_, err = d.bus.PutSpec(d.ctx, bus.Spec{Rollout: "demo", Body: body})
	return err
}

// router obeys decisions by splitting the generated traffic: what a user of decisions/subscribe writes.
func (d *demo) router(urls []string, trust schemas.Trust) error {
	return subscribe.Run(d.ctx, subscribe.Options{
		URLs: urls, Models: []string{"ranker"}, Consumer: "demo-router", Trust: trust,
	}, func(_ context.Context, x subscribe.Delivery) error {
		if x.Advise || len(x.Decision.Routes) == 0 {
			return nil
		}
		share := 0.0
		for _, r := range x.Decision.Routes {
			if r.Version == canaryOfDemo {
				share = float64(r.WeightBP) / 10000
			}
		}
		d.send(demoRoute{x.Decision, share})
		return nil
	})
}

// canaryOfDemo is the canary's version in demo.yaml and in the scenario.
const canaryOfDemo = "v42"

// traffic brings a route to the generator; the first one with a canary starts the scenario's clock.
func (d *demo) traffic(share float64) {
	d.screen.mu.Lock()
	defer d.screen.mu.Unlock()
	d.screen.share = share
	if d.generator != nil {
		d.generator.SetSplit(share)
	}
}

// generate waits for the first split, and then sends the scenario's events in its own time.
func (d *demo) generate(brokers []string) error {
	client, err := kafka.Connect(d.ctx, kafka.Connection{Brokers: brokers})
	if err != nil {
		return err
	}
	defer client.Close()
	for d.screen.shareNow() == 0 {
		select {
		case <-d.ctx.Done():
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
	d.screen.mu.Lock()
	d.scenario.StartMs = time.Now().UnixMilli()
	d.generator = loadgen.New(d.scenario, d.scenario.Seed)
	d.generator.SetSplit(d.screen.share)
	g := d.generator
	d.screen.mu.Unlock()
	to := newTopics(d.ctx, client)
	_, err = play(d.ctx, g, to)
	if end := to.Close(); err == nil {
		err = end
	}
	if d.ctx.Err() != nil {
		return nil
	}
	return err
}

// demoLine is one line of `demo --json`.
func demoLine(c *console, kind string, value any) {
	_ = json.NewEncoder(c.out).Encode(map[string]any{"type": kind, kind: value}) // its error stays with brokenOnce
}

// brokenOnce remembers the first error of a writer.
type brokenOnce struct {
	w   io.Writer
	err error
}

// Write is io.Writer's.
func (b *brokenOnce) Write(p []byte) (int, error) {
	n, err := b.w.Write(p)
	if b.err == nil {
		b.err = err
	}
	return n, err
}
