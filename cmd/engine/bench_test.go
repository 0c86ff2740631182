package engine

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"streamcanary/analysis"
	"streamcanary/decisions"
	"streamcanary/ingest"
	"streamcanary/loadgen"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// benchRollout is the shortest rollout with outcomes: the default guardrails.
const benchRollout = `apiVersion: streamcanary.dev/v1
kind: Rollout
metadata: {name: bench}
spec: {model: ranker, baseline: {version: v1}, canary: {version: v2}, outcomes: {click: {within: 2m}}}
`

// benchLog writes the scenario healthy, about 1.26 million events of which one in twenty is an outcome, into a file.
func benchLog(b *testing.B) (path string, events int) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "healthy.ndjson")
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	out := bufio.NewWriterSize(file, 1<<20)
	scenario, err := loadgen.Load("healthy")
	if err != nil {
		b.Fatal(err)
	}
	n, err := loadgen.Pump(loadgen.New(scenario, 0), lineSink{out})
	if err := errors.Join(err, out.Flush(), file.Close()); err != nil {
		b.Fatal(err)
	}
	return path, int(n)
}

// lineSink writes one event a line.
type lineSink struct{ w *bufio.Writer }

func (s lineSink) Write(_ schemas.Kind, _, value []byte, _ int64) error {
	if _, err := s.w.Write(value); err != nil {
		return err
	}
	return s.w.WriteByte('\n')
}

// perEvent runs the benchmark, whose every round handles so many events, and reports events a second and allocations an event,
// those of all goroutines.
func perEvent(b *testing.B, events int, round func()) {
	b.Helper()
	b.ReportAllocs()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rounds := 0
	for b.Loop() {
		round()
		rounds++
	}
	runtime.ReadMemStats(&after)
	total := float64(rounds * events)
	b.ReportMetric(total/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/total, "allocs/event")
	b.ReportMetric(b.Elapsed().Seconds()/total*float64(time.Second/time.Nanosecond), "ns/event")
}

// BenchmarkReplay is the way of an event through a replay: each step on its own, then all of them from a file to the verdict.
// "read" is what any program pays that reads the file and decodes it.
func BenchmarkReplay(b *testing.B) {
	path, events := benchLog(b)
	r, err := schemas.ParseRollout("bench.yaml", []byte(benchRollout))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode", func(b *testing.B) { benchDecode(b, path, events) })
	b.Run("window", func(b *testing.B) { benchWindow(b, r, path, events) })
	b.Run("reduce", func(b *testing.B) { benchReduce(b, r) })
	b.Run("test", func(b *testing.B) { benchTest(b, r, path, events) })
	b.Run("read", func(b *testing.B) {
		perEvent(b, events, func() {
			eachBatch(b, path, func(*ingest.Batch) {})
		})
	})
	b.Run("whole", func(b *testing.B) {
		perEvent(b, events, func() {
			src, err := ingest.OpenLogs([]string{path}, ingest.LogOptions{})
			if err != nil {
				b.Fatal(err)
			}
			s, err := Replay(context.Background(), r, src, ReplayOptions{})
			if err := errors.Join(err, src.Close()); err != nil {
				b.Fatal(err)
			}
			if s.Verdict != analysis.VerdictPromote {
				b.Fatalf("verdict %s (%s), want promote", s.Verdict, s.Sentence)
			}
		})
	})
}

// eachBatch reads a log to its end.
func eachBatch(b *testing.B, path string, take func(*ingest.Batch)) {
	b.Helper()
	src, err := ingest.OpenLogs([]string{path}, ingest.LogOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer src.Close()
	for {
		batch, err := src.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			b.Fatal(err)
		}
		take(batch)
		batch.Release()
	}
}

// benchDecode decodes lines that are in memory, on one core.
func benchDecode(b *testing.B, path string, events int) {
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	lines := make([][]byte, 0, events)
	for len(text) > 0 {
		n := 0
		for text[n] != '\n' {
			n++
		}
		lines, text = append(lines, text[:n]), text[n+1:]
	}
	d, err := ingest.NewDecoder("json", ingest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	var batch ingest.Batch
	perEvent(b, len(lines), func() {
		for i, line := range lines {
			if i%1024 == 0 {
				batch.Reset(0)
			}
			batch.Take(d, ingest.Record{Value: line, Offset: int64(i)})
		}
	})
}

// decoded returns all events of a log, with memory of their own.
func decoded(b *testing.B, path string, events int) []schemas.Event {
	all := make([]schemas.Event, 0, events)
	eachBatch(b, path, func(batch *ingest.Batch) {
		for i := range batch.Items {
			e := batch.Items[i].Event
			for _, text := range []*[]byte{&e.ID, &e.Model, &e.Version, &e.Host, &e.Name} {
				*text = append([]byte(nil), *text...)
			}
			all = append(all, e)
		}
	})
	return all
}

// newBenchStage returns a stage with one partition, ready to be fed.
func newBenchStage(b *testing.B, plan *windows.Plan) *windows.Stage {
	b.Helper()
	s := windows.NewStage(windows.Limits{})
	s.AddPartition(benchPartition, schemas.KindPrediction, schemas.KindOutcome, schemas.KindSample)
	if err := s.SetPlan(*plan); err != nil {
		b.Fatal(err)
	}
	return s
}

var benchPartition = windows.Partition{Topic: "log"}

// benchWindow puts decoded events into windows, joins, reduces and seals: stage one.
func benchWindow(b *testing.B, r *schemas.Rollout, path string, events int) {
	plan := PlanOf(r, 1, 0)
	all := decoded(b, path, events)
	perEvent(b, len(all), func() {
		s := newBenchStage(b, &plan)
		for i := range all {
			if _, err := s.Add(0, &all[i], int64(i), 0); err != nil {
				b.Fatal(err)
			}
			if i%1024 == 0 {
				s.Sealed()
			}
		}
		s.Finish(true)
	})
}

// benchReduce runs the metrics of the default guardrails over a full open window.
func benchReduce(b *testing.B, r *schemas.Rollout) {
	const n = windows.MaxRows
	var tally windows.Tally
	rows := windows.Rows{Len: n, Arm: windows.Baseline, Latency: make([]float64, n), Flags: make([]uint8, n), Slice: make([]uint8, n), Tally: &tally}
	for i := range n {
		rows.Latency[i] = 20 + float64(i*7919%n)/100
		rows.Slice[i] = uint8(i % windows.Slices)
		if i%500 == 0 {
			rows.Flags[i] = windows.FlagError
		}
	}
	var metrics []windows.Metric
	for _, m := range analysis.Metrics(r) {
		if m.Stream().Kind == windows.Serving {
			metrics = append(metrics, m)
		}
	}
	cells := make([]windows.Cell, len(metrics))
	perEvent(b, n, func() {
		for i, m := range metrics {
			cells[i] = windows.Cell{Hist: cells[i].Hist[:0]}
			m.Reduce(rows, &cells[i])
		}
	})
}

// benchTest merges, digests and judges sealed parts: stage two.
func benchTest(b *testing.B, r *schemas.Rollout, path string, events int) {
	plan := PlanOf(r, 1, 0)
	s := newBenchStage(b, &plan)
	eachBatch(b, path, func(batch *ingest.Batch) {
		for i := range batch.Items {
			if _, err := s.Add(0, &batch.Items[i].Event, batch.Items[i].Offset, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	s.Finish(true)
	parts := s.Sealed()
	perEvent(b, events, func() {
		f := NewFold(r, &plan, Sources{Predictions: []windows.Partition{benchPartition}, Samples: []windows.Partition{benchPartition}})
		f.Begin(0)
		for _, p := range parts {
			if err := f.Add(p.Key, p.Part); err != nil {
				b.Fatal(err)
			}
		}
		f.Finish()
		promoted := false
		for turn, due := f.Next(); due; turn, due = f.Next() {
			promoted = promoted || (turn.Verdict != nil && turn.Verdict.Action == decisions.VerdictAction(analysis.VerdictPromote))
		}
		if !promoted {
			b.Fatal("no promotion: the parts were not judged")
		}
	})
	b.ReportMetric(float64(len(parts)), "parts")
}
