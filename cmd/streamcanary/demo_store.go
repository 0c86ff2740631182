package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"streamcanary/decisions/subscribe"
	"streamcanary/schemas"
)

// storeOfDemo is the store's name in the rollout of demo --scenario stateful.
const storeOfDemo = "demo-store"

// sharedState is what that rollout has more than the plain one.
const sharedState = "  state: {mode: shared, stores: [" + storeOfDemo + "], ackWithin: 10s}\n"

// A demoStore holds rows that both versions write, and can go back to a snapshot: what a user of subscribe.KeepState writes.
type demoStore struct {
	mu       sync.Mutex
	rows     int64
	snapshot int64 // rows in it; -1: none was taken
	frozen   bool
	restored bool
	said     func(string)
}

func newDemoStore(said func(string)) *demoStore { return &demoStore{snapshot: -1, said: said} }

// storeWritesEvery is how often a row is written.
const storeWritesEvery = 5 * time.Millisecond

// fill writes rows until the demo ends.
func (s *demoStore) fill(ctx context.Context) error {
	tick := time.NewTicker(storeWritesEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.write()
		}
	}
}

func (s *demoStore) write() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.frozen {
		s.rows++
	}
}

// do changes the store, and then says what was done; "" where it was so already.
func (s *demoStore) do(change func() string) {
	s.mu.Lock()
	what := change()
	s.mu.Unlock()
	if what != "" {
		s.said("the store " + what)
	}
}

// Snapshot is subscribe.Keeper's.
func (s *demoStore) Snapshot(context.Context) (name string, err error) {
	s.do(func() (said string) {
		if s.snapshot < 0 {
			s.snapshot = s.rows
			said = fmt.Sprintf("takes a snapshot of its %d rows", s.rows)
		}
		name = s.name()
		return said
	})
	return name, nil
}

func (s *demoStore) name() string { return fmt.Sprintf("rows-%d", s.snapshot) }

// Freeze is subscribe.Keeper's.
func (s *demoStore) Freeze(context.Context, string) error {
	s.do(func() string {
		if s.frozen {
			return ""
		}
		s.frozen = true
		return fmt.Sprintf("takes no more writes; it has %d rows", s.rows)
	})
	return nil
}

// Restore is subscribe.Keeper's.
func (s *demoStore) Restore(_ context.Context, snapshot string) (err error) {
	s.do(func() string {
		if s.snapshot < 0 || snapshot != s.name() {
			err = subscribe.Reject(schemas.WhyIncompatibleState)
			return ""
		}
		s.frozen, s.restored, s.rows = true, true, s.snapshot
		return "goes back to " + snapshot
	})
	return err
}

// Unfreeze is subscribe.Keeper's.
func (s *demoStore) Unfreeze(context.Context) error {
	s.do(func() string {
		if !s.frozen {
			return ""
		}
		s.frozen = false
		return fmt.Sprintf("takes writes again, from %d rows on", s.rows)
	})
	return nil
}

// wrong says what isn't as it should be once the rollback is carried out; nil: all is.
func (s *demoStore) wrong() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.restored || s.frozen {
		return fmt.Errorf("the rollback is said to be carried out, but of the store: restored %v, frozen %v", s.restored, s.frozen)
	}
	return nil
}

// store runs the store, and lets it obey.
func (d *demo) store(urls []string, trust schemas.Trust) {
	d.start("writes", func() error { return d.keeper.fill(d.ctx) })
	d.start("store", func() error {
		return subscribe.Run(d.ctx, subscribe.Options{URLs: urls, Models: []string{"ranker"}, Consumer: storeOfDemo, Trust: trust}, subscribe.KeepState(storeOfDemo, d.keeper))
	})
}
