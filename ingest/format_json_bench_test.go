package ingest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"
)

// benchEvents makes events of the size and the shape that serving fleets log (performance.md: 13 fields, about 300 bytes), or the
// fields of the shared logs only (about 160 bytes).
func benchEvents(full bool) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	events := make([][]byte, 1024)
	for i := range events {
		head := fmt.Sprintf(`{"type":"prediction","id":"%016x","ts":%d,"model":"ranker","version":"v%d","latency_ms":%.3f,"error":false,"timeout":false,"segment":"android"`,
			rng.Uint64(), 1760000400000+i, 1+i%10/9, 20+100*rng.Float64())
		if full {
			head += fmt.Sprintf(`,"host":"ranker-7f9c6d5b8-x2k%02d","region":"eu-west-1","unit":"user-%d","route":"/v1/rank","status":200,"score":%.6f,"cache_hit":true`,
				i%100, rng.IntN(1_000_000), rng.Float64())
		}
		events[i] = []byte(head + "}")
	}
	return events
}

// spaced writes events as Python's json.dumps does: a space after each comma and colon.
func spaced(events [][]byte) [][]byte {
	out := make([][]byte, len(events))
	for i, e := range events {
		inside := false
		for _, c := range e {
			out[i] = append(out[i], c)
			if c == '"' {
				inside = !inside
			} else if !inside && (c == ',' || c == ':') {
				out[i] = append(out[i], ' ')
			}
		}
	}
	return out
}

// benchFields is what encoding/json needs to read the same.
type benchFields struct {
	Type    string   `json:"type"`
	ID      string   `json:"id"`
	TS      int64    `json:"ts"`
	Model   string   `json:"model"`
	Version string   `json:"version"`
	Latency *float64 `json:"latency_ms"`
	Error   bool     `json:"error"`
	Timeout bool     `json:"timeout"`
	Segment string   `json:"segment"`
	Host    string   `json:"host"`
	Region  string   `json:"region"`
	Unit    string   `json:"unit"`
	Score   *float64 `json:"score"`
	Cache   *bool    `json:"cache_hit"`
}

// cpuTime is what this process has used, so that a loaded machine's benchmarks can be compared.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportEvents adds what readers ask for: bytes an event, events a second, processor time an event since began.
func reportEvents(b *testing.B, began time.Duration, bytes, each int) {
	b.ReportMetric(float64(b.N*each)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime()-began).Nanoseconds())/float64(b.N*each), "cpu-ns/event")
	b.ReportMetric(float64(bytes)/float64(each), "B/event")
}

// BenchmarkDecode decodes events in memory, ours beside encoding/json on the same events.
func BenchmarkDecode(b *testing.B) {
	short, long := benchEvents(false), benchEvents(true)
	mixed := benchEvents(true)
	for i := range mixed {
		if i%20 == 0 {
			mixed[i] = []byte(fmt.Sprintf(`{"type":"outcome","id":"%016x","ts":1760000400000,"name":"click","value":1}`, i))
		}
	}
	for _, c := range []struct {
		name   string
		events [][]byte
	}{{"fields=9", short}, {"fields=16", long}, {"fields=16/spaced", spaced(long)}, {"fields=16/outcomes=5%", mixed}} {
		total := 0
		for _, e := range c.events {
			total += len(e)
		}
		b.Run("ours/"+c.name, func(b *testing.B) {
			d, err := NewDecoder("json", Options{})
			if err != nil {
				b.Fatal(err)
			}
			var batch Batch
			b.ReportAllocs()
			began := cpuTime()
			for b.Loop() {
				batch.Reset(0)
				for i, e := range c.events {
					batch.Take(d, Record{Value: e, Offset: int64(i)})
				}
			}
			for i := range batch.Items {
				if batch.Items[i].Err != nil {
					b.Fatal(batch.Items[i].Err)
				}
			}
			reportEvents(b, began, total, len(c.events))
		})
		b.Run("encoding-json/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			began := cpuTime()
			for b.Loop() {
				for _, e := range c.events {
					var f benchFields
					if err := json.Unmarshal(e, &f); err != nil {
						b.Fatal(err)
					}
				}
			}
			reportEvents(b, began, total, len(c.events))
		})
	}
}

// BenchmarkScan is the validation alone.
func BenchmarkScan(b *testing.B) {
	events := benchEvents(true)
	d, err := NewDecoder("json", Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, total := &d.(*jsonDecoder).scan, 0
	for _, e := range events {
		total += len(e)
	}
	began := cpuTime()
	for b.Loop() {
		for _, e := range events {
			if !s.scan(e) {
				b.Fatal(s.bad)
			}
		}
	}
	reportEvents(b, began, total, len(events))
}
