package certify

import (
	"math"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// A joinedTape holds the parts of one outcome back until they are ready.
type joinedTape struct {
	rate  int
	limit float64 // of a prediction's values; 0: they have none
	open  *joined
	queue []*joined // ring: as many as are held back, and the one that is ready
	at    int
	full  bool
}

// joined is one part, and room for its segments.
type joined struct {
	part     windows.Part
	segments []windows.Segment
}

func newJoinedTape(t *Tape, o schemas.OutcomeSpec) *joinedTape {
	stream := windows.Stream{Kind: windows.Outcomes, Name: o.Name}
	late, width := windows.Ready(stream, 0, o.Within.Milliseconds()), t.moment.widthMs
	j := &joinedTape{rate: t.rate(o.Name), limit: o.Cap}
	for range (late+width-1)/width + 1 {
		p := &joined{part: windows.Part{Stream: stream, Metrics: []string{o.Name}}}
		for arm := range windows.Arms {
			p.part.Cells[arm] = make([]windows.Cell, 1)
		}
		if len(t.segments) > 0 {
			p.segments = newSegments(t.scene.segments, 1)
		}
		j.queue = append(j.queue, p)
	}
	return j
}

// begin empties the part of the window that starts now.
func (j *joinedTape) begin(startMs int64) {
	j.open = j.queue[j.at]
	j.open.part.StartMs = startMs
	for arm := range windows.Arms {
		j.open.part.Cells[arm][0] = windows.Cell{}
	}
	emptySegments(j.open.segments)
}

// next appends the part that is ready now, if there is one.
func (j *joinedTape) next(parts []*windows.Part) []*windows.Part {
	j.open.part.Segments = filled(j.open.part.Segments[:0], j.open.segments)
	j.at = (j.at + 1) % len(j.queue)
	j.full = j.full || j.at == 0
	if !j.full || j.rate < 0 {
		return parts
	}
	return append(parts, &j.queue[j.at].part)
}

const (
	gaugeLimit = .9
	// gaugeMargin is how much higher the mean of readings is where 10 % of them are above the limit, and not 5 %, of loads as below.
	gaugeMargin = .04
	gaugeMean   = "cpu~2"
)

// gaugeSpread is the standard deviation of a host's readings: normal, as its load is.
var gaugeSpread = gaugeMargin / (normalQuantile(.95) - normalQuantile(.9))

// A sampleTape plays the hosts' samples: a reading is above the limit when its host's load is high.
type sampleTape struct {
	fleet *fleet
	means []bool // by metric: it is the mean of readings, up to 2, and not the share of them above the limit
	loads [windows.Arms][]float64
	slice []int // of the baseline's hosts
	part  windows.Part
}

func newSampleTape(f *fleet, metrics []windows.Metric, d dice) *sampleTape {
	s := &sampleTape{fleet: f}
	for arm := range windows.Arms {
		for range f.hosts[arm] {
			s.loads[arm] = append(s.loads[arm], d.NormFloat64())
		}
	}
	for range f.hosts[windows.Baseline] {
		s.slice = append(s.slice, sliceOf(d))
	}
	s.part.Stream = windows.Stream{Kind: windows.Resources}
	for _, m := range metrics {
		s.part.Metrics = append(s.part.Metrics, m.Key())
		s.means = append(s.means, m.Key() == gaugeMean)
	}
	for arm := range windows.Arms {
		s.part.Cells[arm] = make([]windows.Cell, len(metrics))
	}
	return s
}

// read counts a reading.
func (s *sampleTape) read(c tally, x float64) {
	for i, mean := range s.means {
		cell := &s.part.Cells[c.arm][i]
		if !mean {
			addTo(cell, c, true)
			continue
		}
		units := windows.SumUnits(x, 2)
		addTo(cell, tally{arm: c.arm, slice: c.slice, n: 1}, true)
		addValues(cell, c, units, windows.SquareUnits(units))
	}
}

// next appends the samples of this window. (They are ready half a minute later; nothing else reads them, so they may come at once.)
func (s *sampleTape) next(d dice, m *Moment, startMs int64) []*windows.Part {
	p := &s.part
	p.StartMs = startMs
	for arm := range windows.Arms {
		clear(p.Cells[arm])
	}
	fresh := math.Sqrt(1 - s.fleet.keeps*s.fleet.keeps)
	for arm := range windows.Arms {
		if m.T < 0 && windows.Arm(arm) == windows.Canary {
			continue // its hosts are not there yet
		}
		limit := -normalQuantile(s.fleet.above)
		if windows.Arm(arm) == windows.Canary && s.fleet.plus > 0 {
			limit = -normalQuantile(s.fleet.above + s.fleet.plus)
		}
		for h := range s.loads[arm] {
			if !s.fleet.speaks(h, m.T) {
				continue
			}
			load := &s.loads[arm][h]
			*load = s.fleet.keeps**load + fresh*d.NormFloat64()
			k := int64(0)
			if *load > limit {
				k = 1
			}
			c := tally{arm: windows.Arm(arm), n: 1, k: k}
			if windows.Arm(arm) == windows.Baseline {
				c.slice = s.slice[h]
			}
			s.read(c, gaugeLimit+gaugeSpread*(*load-limit))
		}
	}
	return append(m.Parts, p)
}
