package windows

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"streamcanary/schemas"
)

// benchPlan is what the default guardrails need.
func benchPlan(outcomes bool) Plan {
	p := Plan{
		Rollout: "r", Epoch: 1, Model: "ranker", Baseline: "v1", Canary: "v2", WidthMs: 1_000, LatenessMs: 2_000,
		Metrics: []Metric{errorMetric{}, latencyMetric{}},
	}
	if outcomes {
		p.Outcomes = []OutcomePlan{{Name: "click", WithinMs: 100_000}}
	}
	return p
}

// benchEvents are 10,000 a second of event time; next gives the n-th, for ever, in the same memory.
type benchEvents struct {
	base  []schemas.Event
	event schemas.Event
	id    []byte
}

func newBenchEvents(unit, host bool) *benchEvents {
	r := rand.New(rand.NewPCG(1, 0))
	b := &benchEvents{id: make([]byte, 16)}
	for i := range 4_096 {
		e := schemas.Event{Kind: schemas.KindPrediction, Model: []byte("ranker"), Version: []byte("v1"), HasLatency: true,
			LatencyMs: math.Exp(4 + r.NormFloat64()), Error: i%500 == 0, SampledBy: 1, Segment: fmt.Appendf(nil, "segment-%d", r.IntN(20))}
		if i%10 == 0 {
			e.Version = []byte("v2")
		}
		if unit {
			e.Unit = fmt.Appendf(nil, "user-%d", r.IntN(5_000))
		}
		if host {
			e.Host = fmt.Appendf(nil, "pod-%d", r.IntN(20))
		}
		b.base = append(b.base, e)
	}
	return b
}

func (b *benchEvents) next(n int) *schemas.Event {
	b.event = b.base[n%len(b.base)]
	b.event.TimeMs = int64(n / 10)
	const hex = "0123456789abcdef"
	for i, z := 0, keyOf(int64(n)); i < len(b.id); i, z = i+1, z>>4 {
		b.id[i] = hex[z&15]
	}
	b.event.ID = b.id
	return &b.event
}

// BenchmarkAdd takes predictions, with copies looked for, windows sealed and their parts drained.
func BenchmarkAdd(b *testing.B) {
	for _, row := range []struct {
		name                 string
		outcomes, unit, host bool
		segments             *SegmentPlan
		where                schemas.Where // of the baseline
		exhibits             bool
	}{
		{"dedup", false, false, false, nil, schemas.Where{}, false},
		{"dedup+unit+host", false, true, true, nil, schemas.Where{}, false},
		{"dedup+unit+host+where=all", false, true, true, nil, schemas.Where{Host: "*o*d-*"}, false},
		{"dedup+unit+host+where=tenth", false, true, true, nil, schemas.Where{Host: "pod-1*", Segment: "segment-1*"}, false},
		{"dedup+exhibits", false, false, false, nil, schemas.Where{}, true},
		{"dedup+join+exhibits/pending=1M", true, false, false, nil, schemas.Where{}, true},
		{"dedup+segments=20", false, false, false, &SegmentPlan{Most: 20}, schemas.Where{}, false},
		{"dedup+join/pending=1M", true, false, false, nil, schemas.Where{}, false},
		{"dedup+join+segments=20/pending=1M", true, false, false, &SegmentPlan{Most: 20}, schemas.Where{}, false},
	} {
		b.Run(row.name, func(b *testing.B) {
			s, events := NewStage(Limits{}), newBenchEvents(row.unit, row.host)
			s.AddPartition(Partition{"p", 0}, schemas.KindPrediction)
			plan := benchPlan(row.outcomes)
			plan.Segments, plan.Where[Baseline] = row.segments, row.where
			if row.exhibits {
				plan.Exhibits = testExhibits(plan.Outcomes)
			}
			if err := s.SetPlan(plan); err != nil {
				b.Fatal(err)
			}
			n := 0
			step := func() {
				if _, err := s.Add(0, events.next(n), int64(n), 0); err != nil {
					b.Fatal(err)
				}
				if n++; n&1023 == 0 {
					s.Sealed()
				}
			}
			for range 50_000 {
				step()
			}
			for row.outcomes && n < 3_000_000 {
				step()
			}
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				step()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			if row.outcomes {
				b.ReportMetric(float64(s.Stats().Bytes)/1_250_000, "bytes/entry")
			}
		})
	}
}

// BenchmarkSeal fills a window and seals it: reduce and hand out.
func BenchmarkSeal(b *testing.B) {
	for _, row := range []struct{ rows, segments int }{{64, 0}, {4_096, 0}, {60_000, 0}, {4_096, 20}, {60_000, 20}} {
		rows := row.rows
		b.Run(fmt.Sprintf("rows=%d/arms=2/segments=%d", rows, row.segments), func(b *testing.B) {
			plan := benchPlan(false)
			if row.segments > 0 {
				plan.Segments = &SegmentPlan{Most: row.segments}
			}
			r := newRollout(plan, 0)
			shop, known, events := newWorkshop(), unitMemory{}, newBenchEvents(false, false)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				o := shop.window(Stream{Kind: Serving}, &r.serving, 0)
				for i := range rows {
					e := events.next(i)
					p := placed{Event: e, arm: Arm(i & 1), slice: i & 7}
					if plan.Segments != nil {
						p.segment = o.segments.id(r.serving.segments, p)
					}
					shop.rowsOf(&r.serving, o, p.arm, 0).addPrediction(&r.serving, p)
				}
				b.StartTimer()
				shop.take(shop.seal(&r.serving, o, &known))
			}
			b.ReportMetric(float64(b.N)*float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkJournal writes and reads the part of a window of 4,096 predictions.
func BenchmarkJournal(b *testing.B) {
	b.Run("segments=0", func(b *testing.B) { benchJournal(b, nil) })
	b.Run("segments=20", func(b *testing.B) { benchJournal(b, &SegmentPlan{Most: 20}) })
}

func benchJournal(b *testing.B, segments *SegmentPlan) {
	s, events := NewStage(Limits{}), newBenchEvents(true, true)
	s.AddPartition(Partition{"p", 0}, schemas.KindPrediction)
	plan := benchPlan(false)
	plan.Segments = segments
	if err := s.SetPlan(plan); err != nil {
		b.Fatal(err)
	}
	for n := range 4_096 {
		e := events.next(n)
		e.TimeMs = 0
		if _, err := s.Add(0, e, int64(n), 0); err != nil {
			b.Fatal(err)
		}
	}
	s.Finish(true)
	part := s.Sealed()[0]
	bytes, err := EncodePart(part.Key, part.Part)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := EncodePart(part.Key, part.Part); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(bytes)), "bytes")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := DecodePart(bytes); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkMerge adds the serving parts of eight partitions up.
func BenchmarkMerge(b *testing.B) {
	s, events := NewStage(Limits{}), newBenchEvents(true, true)
	plan := benchPlan(false)
	var at []Partition
	for i := range 8 {
		at = append(at, Partition{"p", int32(i)})
		s.AddPartition(at[i], schemas.KindPrediction)
	}
	if err := s.SetPlan(plan); err != nil {
		b.Fatal(err)
	}
	for n := range 8_192 {
		e := events.next(n)
		e.TimeMs = 0
		if _, err := s.Add(n%8, e, int64(n), 0); err != nil {
			b.Fatal(err)
		}
	}
	s.Finish(true)
	parts := s.Sealed()
	m := NewMerger(&plan, at, nil)
	start := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range parts {
			p.Key.StartMs, p.Part.StartMs = start, start
			if err := m.Add(p.Key, p.Part); err != nil {
				b.Fatal(err)
			}
		}
		if m.Next() == nil {
			b.Fatal("nothing is due")
		}
		start += plan.WidthMs
	}
}
