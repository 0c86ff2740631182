package loadgen

import (
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"testing"
	"time"

	"streamcanary/schemas"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// load loads a scenario that comes with the program.
func load(t testing.TB, name string) *Scenario {
	t.Helper()
	s, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// hashSink is the sha256 of the first events that are written to it.
type hashSink struct {
	sum  []byte
	left int
	buf  []byte
}

var errFull = fmt.Errorf("enough")

func (h *hashSink) Write(kind schemas.Kind, key, value []byte, arrivalMs int64) error {
	if h.left == 0 {
		return errFull
	}
	h.left--
	h.buf = fmt.Appendf(h.buf, "%s %s %s %d\n", kind, key, value, arrivalMs)
	if h.left == 0 {
		sum := sha256.Sum256(h.buf)
		h.sum = sum[:]
	}
	return nil
}

func digest(t *testing.T, s *Scenario, seed uint64) string {
	t.Helper()
	h := &hashSink{left: 10000}
	written, err := Pump(New(s, seed), h)
	want := fmt.Sprintf("write event 10001 of scenario %s: enough", s.Name)
	if written != 10000 || err == nil || err.Error() != want {
		t.Fatalf("%s: Pump = %d, %v; want 10000, %s", s.Name, written, err, want)
	}
	return fmt.Sprintf("%x", h.sum)
}

// TestGolden holds the first 10,000 events of every scenario: a change of the generator is a change of every log made with it.
// The digests are amd64's; elsewhere the last digit of a latency may differ.
func TestGolden(t *testing.T) {
	const file = "testdata/golden.json"
	got := map[string]string{}
	for _, name := range Names() {
		s := load(t, name)
		got[name] = digest(t, s, 0)
		if again := digest(t, s, 0); again != got[name] {
			t.Errorf("%s: the same seed gave %s and %s", name, got[name], again)
		}
		if other := digest(t, s, 99); other == got[name] {
			t.Errorf("%s: another seed gave the same events", name)
		}
	}
	if *update {
		text, err := json.MarshalIndent(got, "", "\t")
		if err == nil {
			err = os.WriteFile(file, append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// TestArrival: records come in the order of arrival, none before it happened, and each of a dirty transport's sins
// is as frequent as stated.
func TestArrival(t *testing.T) {
	s := load(t, "dirty-transport")
	g := New(s, 0)
	var r Record
	var last, lateMs, kinds [4]int64
	var doubled, broken, backwards, newest int64
	first, second := map[string]bool{}, map[string]bool{}
	lastArrival := int64(0)
	for g.Next(&r) {
		if r.ArrivalMs < lastArrival || r.ArrivalMs < r.Event.TimeMs || r.Event.TimeMs < s.StartMs {
			t.Fatalf("event of %d arrives at %d, after %d", r.Event.TimeMs, r.ArrivalMs, lastArrival)
		}
		lastArrival = r.ArrivalMs
		k := r.Event.Kind
		kinds[k]++
		if r.Event.TimeMs < newest {
			backwards++
		}
		newest = max(newest, r.Event.TimeMs)
		last[k] = max(last[k], r.Event.TimeMs)
		if r.ArrivalMs-r.Event.TimeMs > 5000 && !r.Duplicate {
			lateMs[k]++
		}
		if r.Broken {
			broken++
		}
		identity := fmt.Sprintf("%s %s %d", k, r.Key(), r.Event.TimeMs)
		if k != schemas.KindSample && r.Duplicate && second[identity] || !r.Duplicate && first[identity] {
			t.Fatalf("%s: arrives too often", identity)
		}
		if r.Duplicate {
			doubled++
			second[identity] = true
		} else {
			first[identity] = true
		}
	}
	var sum Tally
	for arm := range Arms {
		for k := schemas.KindPrediction; k <= schemas.KindSample; k++ {
			tally := g.Tally(arm, k)
			sum = Tally{sum.Events + tally.Events, sum.Lost + tally.Lost, sum.Doubled + tally.Doubled, sum.Broken + tally.Broken}
		}
	}
	arrived := kinds[1] + kinds[2] + kinds[3]
	if sum.Events-sum.Lost+sum.Doubled != arrived || sum.Doubled != doubled || sum.Broken != broken {
		t.Errorf("tally %+v; arrived %d, twice %d, broken %d", sum, arrived, doubled, broken)
	}
	within(t, "lost", sum.Lost, sum.Events, 0.01)
	within(t, "doubled", sum.Doubled, sum.Events-sum.Lost, 0.03)
	within(t, "broken", sum.Broken, arrived, 0.001)
	// 5 s late: of the half per cent, those by uniform 3..25 s that come to more than 5 s with an exponential of 0.3 s on top.
	within(t, "late", lateMs[1]+lateMs[2]+lateMs[3], sum.Events-sum.Lost, 0.005*(25-5+0.3)/22)
	if backwards < arrived/4 {
		t.Errorf("%d of %d events are out of order", backwards, arrived)
	}
	for k := schemas.KindPrediction; k <= schemas.KindSample; k++ {
		if end := s.StartMs + s.Duration.Milliseconds(); last[k] >= end || last[k] < end-6000 {
			t.Errorf("%s: the last one happened %d ms before the end", k, end-last[k])
		}
	}
	if g.Pending() != 0 {
		t.Errorf("%d events are left", g.Pending())
	}
}

// TestMemory: what is under way is all that is kept: rate x mean delay, with room for chance.
func TestMemory(t *testing.T) {
	for _, row := range []struct {
		name string
		most int
	}{
		{"onset-100", 1},           // no delay
		{"errors", 900 + 50 + 250}, // 45 clicks/s x 20 s, 1000/s x 50 ms
		{"overdispersed", 300},     // 50 sessions/s x 0.8 s, 20 clicks/s x 5 s, 420/s x 50 ms
	} {
		s := load(t, row.name)
		s.Duration = 3 * time.Minute
		g, most := New(s, 0), 0
		var r Record
		for g.Next(&r) {
			most = max(most, g.Pending())
		}
		if most > row.most {
			t.Errorf("%s: %d under way; want at most %d", row.name, most, row.most)
		}
	}
}

// TestSetSplit: a router's new share holds from the very next requests on, in both directions.
func TestSetSplit(t *testing.T) {
	s := parseLeast(t, "canary errors 1%\ntransport delay exponential 20ms\n")
	s.Rate.Base = 2000
	g := New(s, 0)
	var r Record
	steps := []struct{ at, share float64 }{{10e3, 0}, {20e3, 1}, {30e3, 0.5}, {40e3, -3}, {45e3, math.NaN()}, {50e3, 7}}
	want := []float64{0.1, 0, 1, 0.5, 0, 0, 1}
	n, k, step := int64(0), int64(0), 0
	for {
		more := g.Next(&r)
		if !more || step < len(steps) && float64(r.ArrivalMs-s.StartMs) >= steps[step].at {
			within(t, fmt.Sprintf("canary's share in step %d", step), k, n, want[step])
			if !more {
				break
			}
			g.SetSplit(steps[step].share)
			step, n, k = step+1, 0, 0
		}
		if step > 0 && float64(r.Event.TimeMs-s.StartMs) <= steps[step-1].at+5 {
			continue // answered before the router's word
		}
		n++
		if string(r.Event.Version) == "v2" {
			k++
		}
	}
}

// TestSetSplitFromElsewhere: the router lives in another goroutine (for the race detector).
func TestSetSplitFromElsewhere(t *testing.T) {
	g := New(parseLeast(t, ""), 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 1000 {
			g.SetSplit(float64(i%2) / 2)
		}
	}()
	var r Record
	n := 0
	for g.Next(&r) {
		n++
	}
	<-done
	if n < 5000 {
		t.Errorf("%d events", n)
	}
}

// TestUnits: a sticky unit keeps its arm as long as the split stays, and only moves to the canary when that grows.
func TestUnits(t *testing.T) {
	for _, row := range []string{"users 300 sticky", "sessions of 30 every 1s sticky"} {
		s := parseLeast(t, row+"\nsplit 50% at 30s\nsegments a 50% b 50%\n")
		g := New(s, 0)
		var r Record
		arm, segment := map[string]string{}, map[string]string{}
		units, n := map[string]bool{}, 0
		for g.Next(&r) {
			unit, version := string(r.Event.Unit), string(r.Event.Version)
			if was, ok := arm[unit]; ok && was != version && (was == "v2" || r.Event.TimeMs < s.StartMs+30e3) {
				t.Fatalf("unit %s went from %s to %s", unit, was, version)
			}
			if was, ok := segment[unit]; ok && was != string(r.Event.Segment) {
				t.Fatalf("unit %s changed its segment", unit)
			}
			arm[unit], segment[unit] = version, string(r.Event.Segment)
			units[unit] = true
			n++
		}
		if n < 5000 || n > 7000 {
			t.Errorf("%s: %d requests; want about 6000", row, n)
		}
		if mean := float64(n) / float64(len(units)); mean < 10 || mean > 30 {
			t.Errorf("%s: %.1f requests a unit", row, mean)
		}
	}
}

// TestPhi measures the variance of an arm's counts over their binomial variance, in windows long against a session, or
// in one window of the stated length for each of many populations of users.
func TestPhi(t *testing.T) {
	rows := []struct {
		name, units string
		want        float64
	}{
		{"no units", "", 1},
		{"sessions without phi", "sessions of 8 every 100ms sticky", 1},
		{"sessions", "sessions of 8 every 100ms sticky phi 2", 2},
		{"users", "users 500 sticky phi 3 over 20s", 3},
		// An arm of 30 % sees 30 % of a unit's other requests, and one of 70 % sees 70 %: 1 + 0.3² + 0.7² over both.
		{"sessions that aren't sticky", "sessions of 8 every 100ms phi 2", 1.58},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			further := "errors 2%\n"
			for i := range 4 {
				further += fmt.Sprintf("outcome o%d 10%% after fixed 1ms\n", i)
			}
			s := parseLeast(t, further+row.units)
			s.Duration, s.Rate.Base, s.Split[0].Share = 20*time.Second, 200, 0.3
			square, variance := 0.0, 0.0
			add := func(n, k int64, p float64) {
				x := float64(k) - float64(n)*p
				square += x * x
				variance += float64(n) * p * (1 - p)
			}
			for seed := range uint64(200) {
				for _, total := range armTotals(New(s, seed+1)) {
					add(total.n, total.failed, 0.02)
					for _, k := range total.outcomes {
						add(total.n-total.failed, k, 0.1)
					}
				}
			}
			// 2000 counts: a standard error of about 4 % of phi. Sessions that the windows cut cost 2 % of it.
			if got := square / variance; got < row.want*0.85 || got > row.want*1.15 {
				t.Errorf("phi %.3f; want about %g", got, row.want)
			}
		})
	}
}

// A total is an arm's predictions, errors and outcomes.
type total struct {
	n, failed int64
	outcomes  [4]int64
}

// armTotals runs a generator to its end.
func armTotals(g *Generator) (totals [Arms]total) {
	var r Record
	arm := map[[16]byte]*total{}
	for g.Next(&r) {
		if r.Event.Kind == schemas.KindOutcome {
			arm[[16]byte(r.Event.ID)].outcomes[r.Event.Name[1]-'0']++
			continue
		}
		to := &totals[Baseline]
		if string(r.Event.Version) == "v2" {
			to = &totals[Canary]
		}
		arm[[16]byte(r.Event.ID)] = to
		to.n++
		if r.Event.Error {
			to.failed++
		}
	}
	return totals
}

// TestNewFrom begins in the middle: nothing before, everything after as ever.
func TestNewFrom(t *testing.T) {
	for _, units := range []string{"", "sessions of 10 every 100ms\n"} {
		s := parseLeast(t, units+"sample cpu 50% every 1s\nfault errors canary =100% from 40s\n")
		g := NewFrom(s, 0, 30*time.Second)
		var r Record
		n, failed, first := int64(0), int64(0), int64(math.MaxInt64)
		for g.Next(&r) {
			first = min(first, r.Event.TimeMs)
			if r.Event.Kind == schemas.KindSample {
				continue
			}
			n++
			if r.Event.Error {
				failed++
				if at := r.Event.TimeMs - s.StartMs; at < 40e3 {
					t.Errorf("an error at %d ms", at)
				}
			}
		}
		if from := s.StartMs + 30e3; first < from || first > from+500 {
			t.Errorf("the first event is %d ms after the beginning", first-from)
		}
		if n < 2500 || n > 3500 || failed < 120 || failed > 280 {
			t.Errorf("%d predictions, %d errors; want about 3000 and 200", n, failed)
		}
	}
}

// TestFields: one event of each kind, with everything that a scenario can put into it.
func TestFields(t *testing.T) {
	s := parseLeast(t, "users 5\nsegments web 100%\ncanary hosts 1\nerrors 100% taking fixed 1ms\nsample cpu 50% every 1s\n")
	s.Split[0].Share = 1
	s.RoundMs = 0.25
	g := New(s, 0)
	seen := map[schemas.Kind]schemas.Event{}
	var r Record
	for g.Next(&r) {
		if _, ok := seen[r.Event.Kind]; ok || string(r.Event.Version) != "v2" {
			continue
		}
		e := r.Event
		e.ID, e.Unit = append([]byte(nil), e.ID...), append([]byte(nil), e.Unit...)
		seen[e.Kind] = e
	}
	p := seen[schemas.KindPrediction]
	want := schemas.Event{
		Kind: schemas.KindPrediction, TimeMs: p.TimeMs, ID: p.ID, Model: []byte("m"), Version: []byte("v2"), Host: []byte("v2-0"),
		Segment: []byte("web"), Unit: p.Unit, LatencyMs: 1, HasLatency: true, Error: true, SampledBy: 1,
	}
	if !reflect.DeepEqual(p, want) || len(p.ID) != 16 || len(p.Unit) != 16 {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}
	c := seen[schemas.KindSample]
	want = schemas.Event{
		Kind: schemas.KindSample, TimeMs: s.StartMs, Model: []byte("m"), Version: []byte("v2"), Host: []byte("v2-0"),
		Name: []byte("cpu"), Value: 0.5, SampledBy: 1, ID: c.ID, Unit: c.Unit,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

// TestNothingAllocates: after the heaps have grown, an event costs no memory, nor does its JSON.
func TestNothingAllocates(t *testing.T) {
	for _, name := range []string{"demo", "dirty-transport", "overdispersed", "ramp-drift"} {
		g := New(load(t, name), 0)
		var r Record
		var dst []byte
		step := func() {
			if !g.Next(&r) {
				t.Fatal("the scenario is over")
			}
			dst = r.AppendJSON(dst[:0])
		}
		for range 60000 {
			step()
		}
		if got := testing.AllocsPerRun(50000, step); got != 0 {
			t.Errorf("%s: %g allocations per event", name, got)
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	for _, name := range []string{"onset-100", "demo", "overdispersed", "dirty-transport"} {
		b.Run("scenario="+name, func(b *testing.B) {
			s := load(b, name)
			s.Duration = MaxDuration
			g := New(s, 0)
			var r Record
			var dst []byte
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				g.Next(&r)
				dst = r.AppendJSON(dst[:0])
				size += len(dst)
			}
			b.SetBytes(int64(size / b.N))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
