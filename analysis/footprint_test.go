package analysis

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// footprint adds up the numbers that a value holds, each at its own size, everything that it points to included, once. That is what a checkpoint has
// to write, before it is compressed. Left out: what the rollout says or can be computed anew from it (specifications, places, bets, tests without memory,
// scratch), what many share (noise, families, the roster of segments), and, where apart is true, histograms.
type footprint struct {
	apart bool
	seen  map[uintptr]bool
	bytes []byte // the numbers
}

// fixedFields are those that the rollout fixes.
var fixedFields = map[string]bool{"cell": true, "histCell": true, "lackingCell": true, "edges": true, "member": true, "ppm": true, "shifts": true, "bets": true, "nodes": true, "by": true, "stratum": true}

var sharedTypes = map[reflect.Type]bool{
	reflect.TypeFor[*schemas.Guardrail](): true, reflect.TypeFor[*schemas.Rollout](): true, reflect.TypeFor[*increments](): true,
	reflect.TypeFor[*dispersion](): true, reflect.TypeFor[*meanNoise](): true, reflect.TypeFor[*rankNoise](): true, reflect.TypeFor[*rankPart](): true, reflect.TypeFor[*family](): true, reflect.TypeFor[*selfTest](): true,
	reflect.TypeFor[*rateContrast](): true, reflect.TypeFor[*rankContrast](): true, reflect.TypeFor[*rateLimit](): true, reflect.TypeFor[*quantileLimit](): true,
	reflect.TypeFor[*noisyMean](): true, reflect.TypeFor[*ends](): true, reflect.TypeFor[*meanLimit](): true, reflect.TypeFor[shape](): true, reflect.TypeFor[scale](): true,
	reflect.TypeFor[[]int](): true, reflect.TypeFor[*Judge](): true, reflect.TypeFor[[]*guard](): true, reflect.TypeFor[*roster](): true,
}

var histogramTypes = map[reflect.Type]bool{
	reflect.TypeFor[[]windows.Bucket](): true, reflect.TypeFor[[]mass](): true, reflect.TypeFor[*strata](): true, reflect.TypeFor[*edges](): true,
}

func (f *footprint) of(v reflect.Value) int {
	if sharedTypes[v.Type()] || f.apart && histogramTypes[v.Type()] {
		return 0
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || f.seen[v.Pointer()] {
			return 0
		}
		f.seen[v.Pointer()] = true
		return f.of(v.Elem())
	case reflect.Interface:
		if v.IsNil() {
			return 0
		}
		return f.of(v.Elem())
	case reflect.Struct:
		sum := 0
		for i := range v.NumField() {
			if !fixedFields[v.Type().Field(i).Name] {
				sum += f.of(v.Field(i))
			}
		}
		return sum
	case reflect.Slice, reflect.Array:
		sum := 0
		for i := range v.Len() {
			sum += f.of(v.Index(i))
		}
		return sum
	case reflect.Map:
		sum := 0
		for it := v.MapRange(); it.Next(); {
			sum += f.of(it.Key()) + f.of(it.Value())
		}
		return sum
	case reflect.String:
		f.bytes = append(f.bytes, v.String()...)
		return v.Len()
	case reflect.Func:
		return 0
	}
	f.write(v)
	return int(v.Type().Size())
}

// ranks is what a noise of ranks holds, with those of its segments.
func (f *footprint) ranks(r *rankNoise) int {
	sum := f.of(reflect.ValueOf(r).Elem())
	for _, part := range r.parts {
		sum += f.of(reflect.ValueOf(part).Elem())
	}
	return sum
}

func (f *footprint) write(v reflect.Value) {
	x := uint64(0)
	switch {
	case v.CanInt():
		x = uint64(v.Int())
	case v.CanUint():
		x = v.Uint()
	case v.CanFloat():
		x = math.Float64bits(v.Float())
	case v.Kind() == reflect.Bool && v.Bool():
		x = 1
	}
	b := binary.LittleEndian.AppendUint64(nil, x)
	f.bytes = append(f.bytes, b[:v.Type().Size()]...)
}

// ladderEntry is what a family holds of one member beside its weight: two ladders of a maximum, a threshold and a proof.
const ladderEntry = 2 * (2*8 + 1)

// busy is a rollout of ten guardrails of all kinds, each on 20 segments and the others, after a while of traffic.
func busy(t testing.TB, seed uint64) (*rowWorld, func()) {
	texts := []string{
		"errors: rate error increase 0.5pp weight=3", "timeouts: rate timeout increase 20%", "outage: rate error above 20%",
		"p99: quantile 0.99 latency increase 20% weight=3", "p90: quantile 0.9 latency increase 100%", "slo: quantile 0.9 latency above 200ms",
		"shape: distribution latency ks increase 20%", "any: distribution score ks both any buckets=0,1,1000",
		"ranks: distribution latency mann-whitney increase 10%", "level: mean score decrease 0.03 from=prediction cap=1",
	}
	var guards []schemas.Guardrail
	for _, text := range texts {
		guards = append(guards, guardrail(text))
	}
	r := watching(rolloutOf(guards...), 20)
	r.Phi = 1.5
	s := &script{rollout: r, judge: NewJudge(r, Options{}), keys: Metrics(r), atMs: startMs}
	w := &rowWorld{script: s, random: rand.New(rand.NewPCG(seed, 1))}
	return w, func() {
		p := &windows.Part{Stream: serving, StartMs: s.atMs}
		for i := range 21 {
			w.addSegment(p, string(rune('a'+i)))
		}
		s.verdict = s.judge.Step(p)
		s.atMs += 1000
	}
}

// addSegment makes 900 and 100 predictions of one segment.
func (w *rowWorld) addSegment(p *windows.Part, name string) {
	segment := windows.Segment{Name: name}
	for arm, n := range [windows.Arms]int64{900, 100} {
		if w.few {
			n /= 10
		}
		w.rows = w.rows[:0]
		for range n {
			w.rows = append(w.rows, row{w.random.Float64(), w.slice()})
		}
		cells := w.cells(windows.Arm(arm), windows.Serving)
		segment.Served[arm], segment.Cells[arm] = n, cells
		t := &p.Traffic[arm]
		t.Events, t.Served, t.SampledMin, t.SampledMax, t.UnitsFull = t.Events+n, t.Served+n, 1, 1, true // they have come before
		if p.Cells[arm] == nil {
			p.Cells[arm] = make([]windows.Cell, len(cells))
		}
		for i := range cells {
			c, d := &p.Cells[arm][i], &cells[i]
			if w.script.keys[i].Key() == "error" { // rows have no flags
				w.fail(d, n, windows.Arm(arm))
			}
			h := histogram{buckets: c.Hist}
			h.add(d.Hist)
			c.N, c.K, c.Sum, c.Squares, c.Hist = c.N+d.N, c.K+d.K, c.Sum+d.Sum, c.Squares+d.Squares, h.buckets
			for k := range c.Slices {
				c.Slices[k].N += d.Slices[k].N
				c.Slices[k].K += d.Slices[k].K
				c.Slices[k].Sum += d.Slices[k].Sum
			}
		}
	}
	p.Segments = append(p.Segments, segment)
}

// fail makes errors of half a percent.
func (w *rowWorld) fail(c *windows.Cell, n int64, arm windows.Arm) {
	for range n {
		if w.random.IntN(200) > 0 {
			continue
		}
		c.K++
		if arm == windows.Baseline {
			c.Slices[w.slice()].K++
		}
	}
	for i := range c.Slices { // no more errors than predictions in any
		c.Slices[i].K = min(c.Slices[i].K, c.Slices[i].N)
	}
}

// TestFootprint holds what a rollout's statistics come to: 1 KiB for a guardrail on a segment, 8 KiB on all of the traffic, histograms apart, and
// 512 KiB for all, histograms included.
func TestFootprint(t *testing.T) {
	w, step := busy(t, 7)
	for range size(40, 600) {
		step()
	}
	j := w.script.judge
	state := func(v any) int {
		f := footprint{apart: true, seen: map[uintptr]bool{}}
		return f.of(reflect.ValueOf(v).Elem()) + ladderEntry
	}
	for _, g := range j.guards {
		most := 0
		for _, part := range g.segments {
			if part.segment != "" {
				most = max(most, state(part))
			}
		}
		t.Logf("%-9s %5d bytes, of a segment at most %4d", g.spec.Name, state(g), most)
		if most > 1<<10 || most == 0 {
			t.Errorf("%s of a segment: %d bytes", g.spec.Name, most)
		}
		if state(g) > 8<<10 {
			t.Errorf("%s: %d bytes", g.spec.Name, state(g))
		}
	}
	f := footprint{seen: map[uintptr]bool{}}
	whole := 0
	for _, g := range j.all {
		whole += f.of(reflect.ValueOf(g).Elem()) + ladderEntry
	}
	for _, s := range j.streams {
		for _, d := range s.dispersions {
			if d != nil {
				whole += f.of(reflect.ValueOf(d).Elem())
			}
		}
		for _, n := range s.noises {
			if n != nil {
				whole += f.of(reflect.ValueOf(n).Elem())
			}
		}
		for _, r := range s.ranks {
			whole += f.ranks(r)
		}
		whole += f.of(reflect.ValueOf(s.strips).Elem().FieldByName("traffic"))
		for _, r := range s.recents {
			if r != nil {
				whole += f.of(reflect.ValueOf(r).Elem())
			}
		}
	}
	whole += f.of(reflect.ValueOf(j.roster).Elem())
	for _, c := range j.checks {
		whole += f.of(reflect.ValueOf(c).Elem())
	}
	var packed bytes.Buffer
	z, err := flate.NewWriter(&packed, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(f.bytes); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if t.Logf("in all %d bytes, %d compressed", whole, packed.Len()); packed.Len() > 512<<10 {
		t.Errorf("in all %d bytes", packed.Len())
	}
}
