package serve

import (
	"context"
	"errors"
	"testing"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/subscribe"
	"streamcanary/schemas"
)

const storyHead = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: story}
spec:
  model: ranker
  baseline: {version: v1}
  canary: {version: v2}
  phi: 1
  guardrails: [{name: errors, rate: error, increase: 10pp}]
  health: {selfTest: warn}
  acks: {routers: [router-a], within: 10s}
`

// A shelf is a state store: it does what it is told, and says so, unless it is silent or broken.
type shelf struct {
	silent, broken bool
}

var errBroken = errors.New("the snapshot is gone")

func (s *shelf) can(ctx context.Context) error {
	if s.silent {
		<-ctx.Done()
	}
	time.Sleep(time.Second)
	return ctx.Err()
}

func (s *shelf) Snapshot(ctx context.Context) (string, error) { return "before-v2", s.can(ctx) }
func (s *shelf) Freeze(ctx context.Context, _ string) error   { return s.can(ctx) }
func (s *shelf) Unfreeze(ctx context.Context) error           { return s.can(ctx) }
func (s *shelf) Restore(ctx context.Context, _ string) error {
	if s.broken {
		return errBroken
	}
	return s.can(ctx)
}

// keeps lets a store answer.
func (v *village) keeps(s *shelf) { v.follow("users", subscribe.KeepState("users", s)) }

const ramped = `  stages:
    - {weight: 5, bake: 10s, max: 10m}
    - {weight: 50, bake: 10s, max: 10m, approve: true}
    - {weight: 100, watch: 30s, holdback: 5}
`

const shared = `  stages: [{weight: 10, bake: 1m, max: 1h}]
  state: {mode: shared, stores: [users], ackWithin: 30s}
`

func TestStories(t *testing.T) {
	harm := func(v *village) {
		v.status(decisions.StatusRunning)
		time.Sleep(20 * time.Second)
		v.errors.Store(6000)
	}
	for _, s := range []struct {
		name, rollout string
		tell          func(v *village)
	}{
		{"a-ramp", storyHead + ramped, func(v *village) {
			v.status(decisions.StatusHolding)
			v.ask("advance", false)
			v.status(decisions.StatusPromoted)
		}},
		{"state-goes-back", storyHead + shared, func(v *village) {
			v.keeps(&shelf{})
			harm(v)
			v.completed()
		}},
	} {
		t.Run(s.name, func(t *testing.T) { story(t, s.name, s.rollout, s.tell) })
	}
	_ = schemas.Info
}
