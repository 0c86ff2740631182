package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"streamcanary/cmd/engine"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/subscribe"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// The ramp of these tests: a twentieth, then half once a person has agreed, then all but a twentieth for three seconds.
const rampRollout = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: ramp}
spec:
  model: ranker
  baseline: {version: v1}
  canary: {version: v2}
  window: 100ms
  lateness: 1100ms
  phi: 1
  guardrails: [{name: errors, rate: error, increase: 10pp}]
  health: {selfTest: warn}
  stages:
    - {weight: 5, bake: 1s, max: 10m}
    - {weight: 50, bake: 1s, max: 10m, approve: true}
    - {weight: 100, watch: 3s, holdback: 5}
  acks: {routers: [router-a], within: 20s}
  rollback: {drainWithin: 2s}
`

const rampWindowMs = 100 // its window

// traffic is a model in service: requests that a router splits, by the decisions that it obeys, and answers that become events at once.
type traffic struct {
	share  atomic.Int64 // the canary's, in basis points
	errors atomic.Int64 // of its answers, in basis points
	boots  atomic.Bool  // the canary answers nothing of what it gets yet
	told   atomic.Int64 // when the latest event that is in the log happened, Unix ms
}

// serveTraffic lets requests come until the test ends.
func (s *stage) serveTraffic(t *testing.T) *traffic {
	t.Helper()
	m := &traffic{}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- m.route(ctx, s) }()
	go func() { ended <- m.answer(ctx, s) }()
	t.Cleanup(func() {
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("traffic: %v", err)
			}
		}
	})
	return m
}

// route obeys decisions.
func (m *traffic) route(ctx context.Context, s *stage) error {
	trust, err := s.trust(ctx)
	if err != nil {
		return nil // the test is over
	}
	return subscribe.Run(ctx, subscribe.Options{URLs: []string{s.nats}, Models: []string{"ranker"}, Consumer: "router-a", Trust: trust},
		func(_ context.Context, d subscribe.Delivery) error {
			for _, r := range d.Decision.Routes {
				if r.Version == "v2" {
					m.share.Store(int64(r.WeightBP))
				}
			}
			return nil
		})
}

// answer makes an event of each of 1,000 requests a second.
func (m *traffic) answer(ctx context.Context, s *stage) error {
	random := rand.New(rand.NewPCG(3, 4))
	topic := s.client.Log(s.topics.predictions, 0)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			var entries []kafka.Entry
			for range 10 {
				version, failed := "v1", int64(0)
				if random.Int64N(10_000) < m.share.Load() {
					version, failed = "v2", m.errors.Load()
				}
				if version == "v2" && m.boots.Load() {
					continue
				}
				n++
				id := fmt.Sprint("p", n)
				entries = append(entries, kafka.Entry{Key: []byte(id), Value: fmt.Appendf(nil, `{"id":%q,"ts":%d,"model":"ranker","version":%q,"latency_ms":20,"error":%t}`,
					id, now.UnixMilli(), version, random.Int64N(10_000) < failed)})
			}
			if _, err := topic.AppendAll(ctx, entries); err != nil && ctx.Err() == nil {
				return err
			}
			m.told.Store(now.UnixMilli())
		}
	}
}

// ramped is every decision of the model, in short.
func (s *stage) ramped(t *testing.T) []string {
	t.Helper()
	var all []string
	err := s.bus.Log(t.Context(), bus.LogQuery{Model: "ranker"}, func(l bus.Logged) error {
		d := l.Decision
		text := fmt.Sprintf("%d %s", d.Stage, d.Action)
		for _, r := range d.Routes {
			if r.Version == "v2" {
				text += fmt.Sprintf(" %d", r.WeightBP)
			}
		}
		all = append(all, text+" by "+d.Actor.Kind)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ask sends a command, as the command line does.
func (s *stage) ask(t *testing.T, do string) *schemas.CommandReply {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	reply, err := s.bus.Ask(ctx, "ramp", &schemas.Command{ID: fmt.Sprint(do, time.Now().UnixNano()), Do: do, By: "tester", Comment: "a test"}, "")
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// begun applies the ramp and waits until it holds for an approval.
func (s *stage) begun(t *testing.T) *traffic {
	t.Helper()
	m := s.serveTraffic(t)
	s.applyRamp(t)
	s.status(t, "ramp", 1, decisions.StatusHolding)
	return m
}

func (s *stage) applyRamp(t *testing.T) {
	t.Helper()
	s.apply(t, "ramp", rampRollout, Application{ID: "ramp-1", From: schemas.Time(time.Now().UnixMilli())})
}

// begunLate is begun with a canary that answers nothing in the first window, or windows, in which its traffic is due: the evidence of these is that it is absent.
func (s *stage) begunLate(t *testing.T) {
	t.Helper()
	m := s.serveTraffic(t)
	m.boots.Store(true)
	s.applyRamp(t)
	in := int64(0) // when an event of a window happened that begins after the traffic was due
	s.until(t, "the traffic is due", func() bool {
		head, _, err := s.bus.LoadHead(t.Context(), "ramp")
		in = m.told.Load()
		return err == nil && head.State.DueMs > 0 && in > head.State.DueMs+rampWindowMs
	})
	s.until(t, "that window is over", func() bool { return m.told.Load() > in+rampWindowMs })
	m.boots.Store(false)
	s.status(t, "ramp", 1, decisions.StatusHolding)
}

func (s *stage) inStage(t *testing.T, stage int) {
	t.Helper()
	s.until(t, fmt.Sprint("stage ", stage), func() bool {
		head, _, err := s.bus.LoadHead(t.Context(), "ramp")
		return err == nil && head.State.Stage == stage
	})
}

// TestRamp leads a healthy canary through its stages: by evidence, by a person, and past a restart in the midst of it.
func TestRamp(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	stop := serving(t, s, pace{})
	s.begunLate(t)
	if reply := s.ask(t, "resume"); !strings.Contains(reply.Refused, "`rollout advance` gives it") {
		t.Errorf("resume instead of an approval: %+v", reply)
	}
	if reply := s.ask(t, "advance"); reply.Decision != "ramp.1.4" {
		t.Fatalf("the approval: %+v", reply)
	}
	s.inStage(t, 2)
	stop()
	stop = serving(t, s, pace{})
	s.status(t, "ramp", 1, decisions.StatusPromoted)
	want := []string{"0 start 0 by person", "0 start 500 by engine", "0 hold 500 by engine", "1 advance 5000 by person", "2 advance 9500 by engine", "2 promote 10000 by engine"}
	if have := s.ramped(t); !slices.Equal(have, want) {
		t.Errorf("decided\n  %s\nwant\n  %s", strings.Join(have, "\n  "), strings.Join(want, "\n  "))
	}
	stop()
	s.foldsAgain(t)
}

// TestRampRollsBack: harm in a stage rolls back, also while a person is waited for and while the promotion is watched.
func TestRampRollsBack(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]int{"waiting": 0, "watched": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, nil)
			serving(t, s, pace{})
			m := s.begun(t)
			if last > 0 {
				s.ask(t, "advance")
				s.inStage(t, last)
			}
			m.errors.Store(6000)
			s.status(t, "ramp", 1, decisions.StatusRolledBack)
			s.until(t, "the canary has drained", func() bool {
				head, _, err := s.bus.LoadHead(t.Context(), "ramp")
				return err == nil && head.State.Saga != nil && head.State.Saga.Done()
			})
			have := s.ramped(t)
			if want := fmt.Sprintf("%d rollback 0 by engine", last); have[len(have)-1] != want || m.share.Load() != 0 {
				t.Errorf("decided %v, the canary's share is %d", have, m.share.Load())
			}
		})
	}
}

// TestSupersedeAndRetry: another rollout takes over from one that is under way, and is then begun anew.
func TestSupersedeAndRetry(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	serving(t, s, pace{})
	m := s.begun(t)
	second := strings.Replace(rampRollout, "name: ramp", "name: second", 1)
	s.apply(t, "second", second, Application{ID: "second-1", From: schemas.Time(time.Now().UnixMilli()), Supersede: true})
	s.status(t, "ramp", 1, decisions.StatusSuperseded)
	s.status(t, "second", 2, decisions.StatusHolding) // it has come as far as the first
	s.apply(t, "second", second, Application{ID: "second-2", From: schemas.Time(time.Now().UnixMilli()), Retry: true})
	s.status(t, "second", 3, decisions.StatusHolding)
	want := []string{"0 start 0 by person", "0 start 500 by engine", "0 hold 500 by engine", "0 supersede 0 by person",
		"0 start 0 by person", "0 start 500 by engine", "0 hold 500 by engine", "0 retry 0 by person", "0 start 500 by engine", "0 hold 500 by engine"}
	if have := s.ramped(t); !slices.Equal(have, want) || m.share.Load() != 500 {
		t.Errorf("decided\n  %s\nwant\n  %s", strings.Join(have, "\n  "), strings.Join(want, "\n  "))
	}
}

// foldsAgain holds the record's statistics, of a process that took it up after a restart, against folds of the same journal: one that knows from the beginning where the record says that
// the traffic was due and that stages began, and the one of `decisions verify --recompute`, which hears of each on its way.
func (s *stage) foldsAgain(t *testing.T) {
	t.Helper()
	head, _, err := s.bus.LoadHead(t.Context(), "ramp")
	if err != nil {
		t.Fatal(err)
	}
	fold := s.foldTo(t, &head, head.Offsets[0].Offset)
	if have := fold.PartsDigest(); have != head.StatsSha256 || len(head.State.Begun) != 2 {
		t.Errorf("folded again, the journal gives %s, the record has %s; stages %+v", have, head.StatsSha256, head.State.Begun)
	}
	if have := s.auditTo(t, &head, head.Offsets[0].Offset); have != head.StatsSha256 {
		t.Errorf("computed again, as an audit does, the journal gives %s, the record has %s; due from %d, stages %+v", have, head.StatsSha256, head.State.DueMs, head.State.Begun)
	}
	s.recomputed(t)
	for what, forget := range map[string]func(*decisions.State){
		"where the stages began": func(s *decisions.State) { s.Begun = nil }, "when the traffic was due": func(s *decisions.State) { s.DueMs = 0 },
	} {
		bare := head
		forget(&bare.State)
		if other := s.foldTo(t, &bare, head.Offsets[0].Offset); other.PartsDigest() == head.StatsSha256 {
			t.Errorf("%s makes no difference to the evidence: this test can't fail", what)
		}
	}
}

// auditTo computes the decisions again from the journal up to an offset, and returns the digest of the evidence there.
func (s *stage) auditTo(t *testing.T, head *decisions.Head, end int64) string {
	t.Helper()
	a := newAudit(func(Finding) error { return nil }) // what is amiss is told by recomputed
	log := s.published(t)
	for i := range log {
		if err := a.expect(&log[i]); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := s.client.Log(JournalTopic, 0).ReadFrom(t.Context(), map[int32]int64{head.From[0].Partition: head.From[0].Offset})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	err = reader.Drain(t.Context(), func(record kafka.Entry) error {
		if record.Partition != head.From[0].Partition || record.Offset >= end {
			return nil
		}
		return a.take(&record)
	})
	x := a.retrials[epochKey{"ramp", head.State.Epoch}]
	if err != nil || x == nil || x.desk == nil {
		t.Fatalf("the epoch isn't computed to its end: %+v (%v)", x, err)
	}
	return x.desk.fold.PartsDigest()
}

// foldTo folds the journal up to an offset.
func (s *stage) foldTo(t *testing.T, head *decisions.Head, end int64) *engine.Fold {
	t.Helper()
	fold := s.emptyFold(t, head)
	fold.Walk(head.State.Begun)
	reader, err := s.client.Log(JournalTopic, 0).ReadFrom(t.Context(), map[int32]int64{head.From[0].Partition: head.From[0].Offset})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for {
		record, err := reader.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if record.Partition != head.From[0].Partition {
			continue
		}
		if record.Offset >= end {
			return fold
		}
		e, err := decodeEntry(&record)
		if err != nil {
			t.Fatal(err)
		}
		if e.part != nil {
			_ = fold.Add(e.key, e.part) // a hole, or another's
		} else if e.input != nil && e.input.Ruling != nil && e.input.Ruling.Kind == decisions.RulingRelease && !e.input.Ruling.Idle {
			fold.Release(streamNamed(e.input.Ruling.Stream), e.input.Ruling.UpToMs)
		}
		for {
			if _, due := fold.Next(); !due {
				break
			}
		}
		if record.Offset == end-1 {
			return fold
		}
	}
}

// TestCommandsOverHTTP: the same commands with the same roles.
func TestCommandsOverHTTP(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	serving(t, s, pace{})
	s.begun(t)
	post := func(kind, body string) (int, schemas.CommandReply) {
		status, text := s.post(t, "/v1/rollouts/ramp/commands", kind, body)
		var r schemas.CommandReply
		_ = json.Unmarshal([]byte(text), &r)
		return status, r
	}
	if status, _ := post("text/plain", `{"id":"a","do":"rollback","comment":"x"}`); status != 415 {
		t.Errorf("a page of another site is answered %d", status)
	}
	if status, _ := post("application/json", `{"id":"a","do":"rollback"}`); status != 400 {
		t.Errorf("without a comment: %d", status)
	}
	if status, _ := post("application/json", strings.Repeat(" ", schemas.MaxCommandBytes+1)); status != 413 {
		t.Errorf("more than a command may have: %d", status)
	}
	if status, r := post("application/json", `{"id":"a","do":"resume","comment":"x"}`); status != 409 || r.Refused == "" {
		t.Errorf("what can't be done: %d %+v", status, r)
	}
	for range 2 { // the same request again is obeyed once
		if status, r := post("application/json", `{"id":"b","do":"rollback","comment":"x","by":"ada"}`); status != 200 || r.Decision != "ramp.1.4" {
			t.Errorf("a rollback: %d %+v", status, r)
		}
	}
	s.status(t, "ramp", 1, decisions.StatusRolledBack)
}
