package serve

import (
	"fmt"
	"math/rand/v2"
	"time"

	"streamcanary/cmd/engine"
	"streamcanary/ingest/kafka"
	"streamcanary/loadgen"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A stretch makes the sealed parts of healthy windows. Each window comes from one partition as a whole, the next from the next
// partition, so that the partitions' watermarks move on together; every few windows come marks of the samples' partitions.
type stretch struct {
	plan   windows.Plan
	hash   string
	counts *loadgen.Counts
	pairs  float64
	random *rand.Rand
	nextMs int64
	window loadgen.WindowCounts
}

// stretchWindows is how many windows come at a time at most, and stretchMarks how many between two marks of a samples' partition: fewer than
// Settle.
const (
	stretchWindows = 200
	stretchMarks   = 20
)

func newStretch(r *onsetRun, c *onsetCase, fromMs int64) (*stretch, error) {
	s, err := loadgen.Parse("healthy", r.scenario(c, c.healthy+time.Hour))
	if err != nil {
		return nil, err
	}
	s.StartMs = fromMs
	counts, err := loadgen.NewCounts(s, loadgen.CountsOptions{Width: time.Second, Bucket: windows.BucketOf})
	plan := engine.PlanOf(r.rollout, 1, fromMs)
	return &stretch{
		plan: plan, hash: plan.Hash(), counts: counts, pairs: c.pairs, random: rand.New(rand.NewPCG(r.seed, 1)), nextMs: fromMs,
	}, err
}

// next returns journal entries of some more windows that start before toMs; none: that was all.
func (s *stretch) next(toMs int64) ([]kafka.Entry, error) {
	var entries []kafka.Entry
	for i := 1; i <= stretchWindows && s.nextMs < toMs; i++ {
		if !s.counts.Next(&s.window) {
			return nil, fmt.Errorf("no window left at %s", schemas.Time(s.nextMs))
		}
		e, err := s.entry("predictions", int32(s.nextMs/1000%onsetPartitions), s.part())
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
		s.nextMs += 1000
		for number := range int32(onsetPartitions) {
			if i%stretchMarks != 0 && s.nextMs < toMs {
				break
			}
			e, err := s.entry("samples", number, s.mark())
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
		}
	}
	return entries, nil
}

func (s *stretch) entry(topic string, number int32, p *windows.Part) (kafka.Entry, error) {
	key := windows.Key{
		Rollout: s.plan.Rollout, Epoch: s.plan.Epoch, Plan: s.hash,
		Partition: windows.Partition{Topic: topic, Number: number}, Stream: p.Stream, StartMs: p.StartMs,
	}
	value, err := windows.EncodePart(key, p)
	return kafka.Entry{Key: []byte(s.plan.Model), Value: value, Headers: headers(partRecord, "", 0)}, err
}

// mark says that there are no samples before nextMs.
func (s *stretch) mark() *windows.Part {
	resources := windows.Stream{Kind: windows.Resources}
	p := &windows.Part{Stream: resources, StartMs: s.nextMs - 1000, Metrics: s.plan.CellKeys(resources)}
	for arm := range p.Cells {
		p.Cells[arm] = make([]windows.Cell, len(p.Metrics))
	}
	return p
}

// part is the serving part of the window that was counted last.
func (s *stretch) part() *windows.Part {
	serving := windows.Stream{Kind: windows.Serving}
	p := &windows.Part{Stream: serving, StartMs: s.window.StartMs, Metrics: s.plan.CellKeys(serving)}
	for arm := range p.Cells {
		c := &s.window.Arms[arm]
		if windows.Arm(arm) == windows.Baseline {
			s.pair(&c.Errors, &c.Predictions)
		}
		t := &p.Traffic[arm]
		t.Events, t.Served, t.SampledMin, t.SampledMax = c.Predictions.Total, c.Predictions.Total, 1, 1
		sliced := windows.Arm(arm) == windows.Baseline
		if sliced {
			t.Slices = c.Predictions.Slices
		}
		for _, key := range p.Metrics {
			p.Cells[arm] = append(p.Cells[arm], s.cell(key, c, sliced))
		}
	}
	return p
}

// cell is a metric's cell of an arm's counts; a metric that this doesn't know panics.
func (s *stretch) cell(key string, c *loadgen.ArmCounts, sliced bool) windows.Cell {
	cell := windows.Cell{N: c.Predictions.Total}
	hits := &c.Errors
	switch key {
	case "error":
	case "timeout":
		hits = &c.Timeouts
	case "no_latency":
		hits = &loadgen.Count{} // each of them has one
	case "latency":
		for _, b := range c.Latency {
			cell.Hist = append(cell.Hist, windows.Bucket{Index: b.Index, Count: b.Count})
		}
		return cell
	case "latency/half":
		return s.half(c, sliced)
	default:
		panic("no counts for metric " + key)
	}
	cell.K = hits.Total
	for i := range cell.Slices {
		if sliced {
			cell.Slices[i] = windows.SliceCount{N: c.Predictions.Slices[i], K: hits.Slices[i]}
		}
	}
	return cell
}

// half is the latencies of one half of the baseline's requests.
func (s *stretch) half(c *loadgen.ArmCounts, sliced bool) (cell windows.Cell) {
	if !sliced {
		return cell
	}
	for _, b := range c.Latency {
		count := uint32(0)
		for range b.Count {
			count += uint32(s.random.IntN(2))
		}
		if count > 0 {
			cell.Hist = append(cell.Hist, windows.Bucket{Index: b.Index, Count: count})
			cell.N += int64(count)
		}
	}
	return cell
}

// pair lets some errors come twice and as many not at all.
func (s *stretch) pair(errors, predictions *loadgen.Count) {
	errors.Total = 0
	for i, k := range errors.Slices {
		for range k {
			switch u := s.random.Float64(); {
			case u < s.pairs:
				errors.Slices[i]++
			case u < 2*s.pairs:
				errors.Slices[i]--
			}
		}
		errors.Slices[i] = min(errors.Slices[i], predictions.Slices[i])
		errors.Total += errors.Slices[i]
	}
}
