package subscribe_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/subscribe"
	"streamcanary/schemas"
)

// A whole router: it reads the keys that it trusts, keeps its position in a folder, and sets the split of the traffic.
func Example() {
	trust, err := subscribe.TrustFile("trust.txt") // the line that `streamcanary serve` prints
	if err != nil {
		fmt.Println("router:", err)
		return
	}
	store, err := subscribe.Dir("router-state")
	if err != nil {
		fmt.Println("router:", err)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err = subscribe.Run(ctx, subscribe.Options{
		URLs: []string{"nats://127.0.0.1:4222"}, Models: []string{"ranker"}, Consumer: "router-eu", Trust: trust, Store: store,
	}, func(ctx context.Context, d subscribe.Delivery) error {
		if d.Advise || len(d.Decision.Routes) == 0 {
			return nil // nothing to change
		}
		return setSplit(d.Decision.Routes) // the full desired split, in basis points
	})
	fmt.Println("router:", err)
}

// setSplit stands for what a router does with its routes.
func setSplit(routes []schemas.Route) error {
	for _, r := range routes {
		fmt.Printf("version %s gets %d of 10000\n", r.Version, r.WeightBP)
	}
	return nil
}

// One decision from the engine to a router and back, with a NATS server inside the process.
func ExampleRun() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: filepath.Join(dir, "nats"), NoSigs: true, NoLog: true})
	if err != nil {
		panic(err)
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	s.ReadyForConnections(10 * time.Second)

	key, err := schemas.NewSigningKey(strings.NewReader(strings.Repeat("an example, not a secret", 2)))
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	publish(ctx, s.ClientURL(), key)

	err = subscribe.Run(ctx, subscribe.Options{
		URLs: []string{s.ClientURL()}, Models: []string{"ranker"}, Consumer: "router-eu", Instance: "1", Trust: schemas.NewTrust(key.Public()),
	}, func(_ context.Context, d subscribe.Delivery) error {
		fmt.Println(d.Decision.Action, d.Decision.Phase)
		defer cancel()
		return setSplit(d.Decision.Routes)
	})
	fmt.Println("ended:", err)
	// Output:
	// start prepare
	// version 41 gets 10000 of 10000
	// version 42 gets 0 of 10000
	// ended: <nil>
}

// publish is the engine's side: it starts a rollout.
func publish(ctx context.Context, url string, key *schemas.SigningKey) {
	b, err := bus.Connect(ctx, bus.Options{URLs: []string{url}, Key: key})
	if err != nil {
		panic(err)
	}
	defer b.Close()
	if err := b.Ensure(ctx); err != nil {
		panic(err)
	}
	head, _, err := decisions.NewHead(0).Take(decisions.Input{Kind: decisions.InputApplied, EventMs: 1, WallMs: 1, Applied: &decisions.Applied{
		Epoch: 1, Actor: schemas.Actor{Kind: "person", Name: "ada"}, Terms: decisions.Terms{
			Rollout: "ranker-42", Model: "ranker", Baseline: "41", Canary: "42", Mode: schemas.Enforce, Stages: []decisions.StageTerms{{WeightBP: 1000}}, AckWithinMs: 10_000,
		},
	}})
	if err != nil {
		panic(err)
	}
	revision, err := b.SaveHead(ctx, head, 0) // stored first, published then
	if err != nil {
		panic(err)
	}
	if head, err = b.Deliver(ctx, head); err != nil {
		panic(err)
	}
	if _, err = b.SaveHead(ctx, head, revision); err != nil {
		panic(err)
	}
}
