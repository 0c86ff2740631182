package windows

import (
	"cmp"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"streamcanary/schemas"
)

// twin says what the parts and classes of a stream must be, by going over sets of events again and again: slow, and
// written from the rules, not from the stage.
type twin struct {
	*stream
	seal   bool
	counts Counts
	high   [4]int64 // the greatest time of each kind in any partition
	events []twinEvent
	byID   map[string][]int // places in events, to go over those of one id only
	parts  map[Stream]map[int64]*Part

	spoilt []spoilt

	names map[segmentsOf][]string // of the predictions of a window, ascending
}

// segmentsOf is whose segments: all counted predictions of a window, or those that outcomes can follow.
type segmentsOf struct {
	joined bool
	start  int64
}

// spoilt is an event that can't be read, and how far its partition's predictions had come.
type spoilt struct {
	*twinEvent
	high int64
}

// twinEvent is an event with what its partition's log says of it.
type twinEvent struct {
	*schemas.Event
	place     int
	watermark int64 // of its kind in its partition, before it; NoTime
	class     Class // Counted stands for an outcome that is neither late, duplicate nor unused, too
}

func (w *twin) start(ms int64) int64 {
	return int64(math.Floor(float64(ms)/float64(w.plan.WidthMs))) * w.plan.WidthMs
}
func (w *twin) end(ms int64) int64 { return w.start(ms) + w.plan.WidthMs }

func (w *twin) first() int64 {
	return int64(math.Ceil(float64(w.plan.FromMs)/float64(w.plan.WidthMs))) * w.plan.WidthMs
}

func (w *twin) within(name []byte) (int64, bool) {
	for _, o := range w.plan.Outcomes {
		if o.Name == string(name) {
			return o.WithinMs, true
		}
	}
	return 0, false
}

func (w *twin) withinMax() int64 {
	longest := int64(0)
	for _, o := range w.plan.Outcomes {
		longest = max(longest, o.WithinMs)
	}
	return longest
}

func newTwin(s *stream, seal bool) *twin {
	w := &twin{stream: s, seal: seal, high: [4]int64{NoTime, NoTime, NoTime, NoTime}, parts: map[Stream]map[int64]*Part{}, byID: map[string][]int{}}
	for place, log := range s.logs {
		high := [4]int64{NoTime, NoTime, NoTime, NoTime}
		for i := range log {
			e := twinEvent{Event: &log[i], place: place, watermark: NoTime}
			if e.Kind == schemas.KindUnknown {
				w.counts.add(e.Kind, Invalid, 1)
				w.spoilt = append(w.spoilt, spoilt{&e, high[schemas.KindPrediction]})
				continue
			}
			if h := high[e.Kind]; h != NoTime {
				e.watermark = h - s.plan.LatenessMs
			}
			e.class = w.classOf(&e)
			w.byID[string(e.ID)] = append(w.byID[string(e.ID)], len(w.events))
			w.events = append(w.events, e)
			high[e.Kind] = max(high[e.Kind], e.TimeMs)
			w.lag(place, &high)
			for kind := range high {
				w.high[kind] = max(w.high[kind], high[kind])
			}
		}
	}
	w.findSegments()
	w.countServing()
	w.countSamples()
	w.countOutcomes()
	w.name()
	return w
}

// lag carries the kinds of a partition along that are too far behind its others.
func (w *twin) lag(place int, high *[4]int64) {
	if w.lagMs == 0 {
		return
	}
	to := int64(math.Floor(float64(slices.Max(high[:])-w.lagMs)/1000)) * 1000
	for _, kind := range w.carries[place] {
		high[kind] = max(high[kind], to)
	}
}

// underRollout says whether the rollout counts a prediction's or sample's model, version and time.
func (w *twin) underRollout(e *schemas.Event) bool {
	known := string(e.Version) == w.plan.Baseline || string(e.Version) == w.plan.Canary
	return string(e.Model) == w.plan.Model && known && w.start(e.TimeMs) >= w.first() && w.isPicked(e)
}

// isPicked says whether an event of an arm's version is of the part that the plan wants.
func (w *twin) isPicked(e *schemas.Event) bool {
	where := w.plan.Where[w.arm(e.Version)]
	for _, one := range []struct {
		pattern string
		field   []byte
	}{{where.Host, e.Host}, {where.Segment, e.Segment}, {where.Region, e.Region}} {
		likeness := "(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(one.pattern), `\*`, ".*") + "$"
		if one.pattern != "" && (len(one.field) == 0 || !regexp.MustCompile(likeness).Match(one.field)) {
			return false
		}
	}
	return true
}

func (w *twin) classOf(e *twinEvent) Class {
	if e.Kind == schemas.KindOutcome {
		return w.outcomeClass(e)
	}
	switch {
	case !w.underRollout(e.Event):
		return Other
	case e.Kind == schemas.KindSample && string(e.Name) != "cpu" && string(e.Name) != "memory":
		return Unused
	case e.watermark != NoTime && w.end(e.TimeMs) <= e.watermark:
		return Late
	case e.Kind == schemas.KindPrediction && w.isCopy(e):
		return Duplicate
	}
	return Counted
}

// isCopy looks for an earlier copy in the partition that is still remembered.
func (w *twin) isCopy(e *twinEvent) bool {
	for _, i := range w.byID[string(e.ID)] {
		c := &w.events[i]
		same := c.place == e.place && c.Kind == e.Kind && string(c.ID) == string(e.ID) && c.Attempt == e.Attempt &&
			string(c.Version) == string(e.Version) && (c.class == Counted || c.class == Duplicate)
		if same && w.end(c.TimeMs)+w.withinMax() > e.watermark {
			return true
		}
	}
	return false
}

func (w *twin) outcomeClass(e *twinEvent) Class {
	within, named := w.within(e.Name)
	if !named || (len(e.Model) > 0 && string(e.Model) != w.plan.Model) {
		return Unused
	}
	if e.TimeMs < e.watermark {
		return Late
	}
	for _, i := range w.byID[string(e.ID)] {
		c := &w.events[i]
		same := c.place == e.place && c.Kind == e.Kind && string(c.ID) == string(e.ID) && string(c.Name) == string(e.Name) &&
			string(c.EventID) == string(e.EventID) && (c.class == Counted || c.class == Duplicate)
		if same && c.TimeMs+within >= e.watermark {
			return Duplicate
		}
	}
	return Counted
}

// part returns the merged part of a window.
func (w *twin) part(stream Stream, start int64) *Part {
	if w.parts[stream] == nil {
		w.parts[stream] = map[int64]*Part{}
	}
	p := w.parts[stream][start]
	if p == nil {
		p = &Part{Stream: stream, StartMs: start}
		cells := map[PartKind]int{Serving: 4, Resources: 2, Outcomes: 1}[stream.Kind]
		for arm := range Arms {
			p.Cells[arm] = make([]Cell, cells)
		}
		w.parts[stream][start] = p
	}
	return p
}

func (w *twin) arm(version []byte) Arm {
	if string(version) == w.plan.Canary {
		return Canary
	}
	return Baseline
}

func (w *twin) slice(e *schemas.Event) int {
	key := e.ID
	if len(e.Unit) > 0 {
		key = e.Unit
	}
	if e.Kind == schemas.KindSample {
		key = e.Host
	}
	h, slice := xxhash.Sum64(key), 0
	for slice < Slices-1 && h>>slice&1 == 0 {
		slice++
	}
	return slice
}

// hit counts an event in a cell, and in its calibration slice.
func (w *twin) hit(c *Cell, e *schemas.Event, is bool) {
	k := int64(0)
	if is {
		k = 1
	}
	c.N, c.K = c.N+1, c.K+k
	if w.arm(e.Version) == Baseline {
		s := &c.Slices[w.slice(e)]
		s.N, s.K = s.N+1, s.K+k
	}
}

// sum adds a prediction's number in units to a cell that counts it already.
func (w *twin) sum(c *Cell, e *schemas.Event, units int64) {
	c.Sum += units
	c.Squares += units * units / SumUnit
	if w.arm(e.Version) == Baseline {
		c.Slices[w.slice(e)].Sum += units
	}
}

// sealed says whether a window of a kind is sealed at the end of the logs.
func (w *twin) sealed(kind schemas.Kind, start int64) bool {
	return w.seal || (w.high[kind] != NoTime && start+w.plan.WidthMs <= w.high[kind]-w.plan.LatenessMs)
}

func (w *twin) countServing() {
	for i := range w.events {
		e := &w.events[i]
		if e.Kind != schemas.KindPrediction {
			continue
		}
		class := e.class
		switch class {
		case Counted:
			if !w.sealed(e.Kind, w.start(e.TimeMs)) {
				class = Pending
				break
			}
			w.countPrediction(w.part(Stream{Kind: Serving}, w.start(e.TimeMs)), e)
		case Late:
			if at := max(w.start(e.watermark), w.first()); w.sealed(e.Kind, at) {
				t := &w.part(Stream{Kind: Serving}, at).Traffic[w.arm(e.Version)]
				t.Late++
				w.countHost(t, e.Host, 0, 1)
			}
		}
		w.counts.add(e.Kind, class, 1)
	}
	w.findUnits()
	for _, e := range w.spoilt {
		at := max(w.start(e.high-w.plan.LatenessMs), w.first())
		ours := slices.Contains(w.carries[e.place], schemas.KindPrediction) && string(e.Model) != "another"
		if w.plan.Health && ours && e.high >= w.first() && w.sealed(schemas.KindPrediction, at) {
			w.part(Stream{Kind: Serving}, at).Bad++
		}
	}
}

func (w *twin) countPrediction(p *Part, e *twinEvent) {
	arm := w.arm(e.Version)
	w.both(p, e, 0, func(c *Cell) { w.hit(c, e.Event, e.Error) })
	if e.HasLatency || e.Timeout {
		index := TopBucket
		if e.HasLatency {
			index = int32(math.Ceil(64*math.Log2(e.LatencyMs))) - 1
		}
		w.both(p, e, 1, func(c *Cell) {
			c.N++
			c.Hist = mergeBuckets(c.Hist, []Bucket{{index, 1}})
		})
	}
	for _, v := range e.Values {
		if string(v.Name) == "tokens" {
			w.both(p, e, 2, func(c *Cell) {
				c.N++
				if v.Number > 50 {
					c.K++
				}
			})
		}
	}
	if e.HasScore {
		w.both(p, e, 3, func(c *Cell) {
			w.hit(c, e.Event, false)
			w.sum(c, e.Event, int64(math.Round(max(-1, min(1, e.Score/scoreCap))*SumUnit)))
		})
	}
	if s := w.segment(p, e); s != nil && !e.Shadow {
		s.Served[arm]++
	}
	t := &p.Traffic[arm]
	if t.Events == 0 {
		t.SampledMin, t.SampledMax = math.Inf(1), math.Inf(-1)
	}
	t.Events++
	t.SampledMin, t.SampledMax = min(t.SampledMin, e.SampledBy), max(t.SampledMax, e.SampledBy)
	if !e.Shadow {
		t.Served++
		if arm == Baseline {
			t.Slices[w.slice(e.Event)]++
		}
	}
	w.countHost(t, e.Host, 1, 0)
}

func (w *twin) countHost(t *Traffic, host []byte, events, late int64) {
	if len(host) == 0 {
		return
	}
	for i := range t.Hosts {
		if t.Hosts[i].Host == string(host) {
			t.Hosts[i].Events += events
			t.Hosts[i].Late += late
			return
		}
	}
	t.Hosts = append(t.Hosts, HostCount{string(host), events, late})
	slices.SortFunc(t.Hosts, func(a, b HostCount) int { return cmp.Compare(a.Host, b.Host) })
}

// findUnits puts every unit into the earliest sealed window that served it, in the arm of the smallest pick.
func (w *twin) findUnits() {
	type sight struct {
		start int64
		pick  uint64
		arm   Arm
	}
	first := map[uint64]sight{}
	for i := range w.events {
		e := &w.events[i]
		if e.Kind != schemas.KindPrediction || e.class != Counted || e.Shadow || len(e.Unit) == 0 || !w.sealed(e.Kind, w.start(e.TimeMs)) {
			continue
		}
		unit, s := xxhash.Sum64(e.Unit), sight{w.start(e.TimeMs), xxhash.Sum64(e.ID), w.arm(e.Version)}
		old, seen := first[unit]
		if !seen || cmp.Or(cmp.Compare(s.start, old.start), cmp.Compare(s.pick, old.pick), cmp.Compare(s.arm, old.arm)) < 0 {
			first[unit] = s
		}
	}
	for unit, s := range first {
		t := &w.part(Stream{Kind: Serving}, s.start).Traffic[s.arm]
		t.Units = append(t.Units, UnitSight{unit, s.pick})
		slices.SortFunc(t.Units, func(a, b UnitSight) int { return cmp.Compare(a.Unit, b.Unit) })
	}
}

func (w *twin) countSamples() {
	for i := range w.events {
		e := &w.events[i]
		if e.Kind != schemas.KindSample {
			continue
		}
		class := e.class
		if class == Counted && !w.sealed(e.Kind, w.start(e.TimeMs)) {
			class = Pending
		}
		if class == Counted {
			cell := map[string]int{"cpu": 0, "memory": 1}[string(e.Name)]
			w.hit(&w.part(Stream{Kind: Resources}, w.start(e.TimeMs)).Cells[w.arm(e.Version)][cell], e.Event, e.Value > 0.9)
		}
		w.counts.add(e.Kind, class, 1)
	}
}

// merged returns the parts in canonical order.
func (w *twin) merged() []string {
	type item struct {
		ready int64
		part  *Part
	}
	var items []item
	for stream, parts := range w.parts {
		within, _ := w.within([]byte(stream.Name))
		for start, p := range parts {
			if !p.IsMark() {
				items = append(items, item{Ready(stream, start+w.plan.WidthMs, within), p})
			}
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.ready, b.ready), cmp.Compare(a.part.Kind, b.part.Kind), cmp.Compare(a.part.Name, b.part.Name))
	})
	var list []string
	for _, i := range items {
		list = append(list, string(PartBytes(nil, i.part)))
	}
	return list
}

func TestStageAgainstTwin(t *testing.T) {
	for name, with := range map[string]shape{
		"one log":          {partitions: 0, many: 250},
		"partitions":       {partitions: 3, many: 250},
		"by id":            {partitions: 2, byID: true, many: 250},
		"in order, by id":  {partitions: 2, byID: true, clean: true, many: 250},
		"nothing but late": {partitions: 1, many: 30},
	} {
		t.Run(name, func(t *testing.T) {
			eachSeed(t, func(t *testing.T, r *rand.Rand) {
				s := newStream(r, with)
				for _, seal := range []bool{false, true} {
					want := newTwin(s, seal)
					got := s.read(t, reading{r: r, batch: 1 + r.IntN(300), seal: seal})
					compareParts(t, got.merged, want.merged())
					if got.counts != want.counts {
						t.Errorf("seal=%v: counts\n got %v\nwant %v", seal, got.counts, want.counts)
					}
				}
			})
		})
	}
}

// compareParts says where two lists of merged parts differ first.
func compareParts(t *testing.T, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("part %d of %d\n got %x\nwant %x", i, len(want), got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d parts, want %d", len(got), len(want))
	}
}
