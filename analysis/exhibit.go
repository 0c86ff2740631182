package analysis

import (
	"math"
	"slices"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// A ranking says whether a prediction shows the harm that a guardrail looks for, and how much so.
type ranking func(e *schemas.Event) (rank float64, ok bool)

// Exhibits returns what the guardrails of a rollout point at, each once, in the order of the guardrails: of rates the predictions that count (of those
// that must not fall: that don't), of numbers the greatest (the smallest). Gauges and distributions that may differ either way point at none.
func Exhibits(r *schemas.Rollout) []windows.Exhibit {
	var all []windows.Exhibit
	for i := range r.Guardrails {
		x, ok := exhibitOf(&r.Guardrails[i])
		if ok && !slices.ContainsFunc(all, func(o windows.Exhibit) bool { return o.Key == x.Key }) {
			all = append(all, x)
		}
	}
	return all
}

// exhibitOf is what one guardrail points at; false: nothing.
func exhibitOf(g *schemas.Guardrail) (windows.Exhibit, bool) {
	key := g.Of
	if falls(g) {
		key = "-" + key
	}
	if isOutcome(g) {
		return windows.Exhibit{Key: "outcome " + key, Stream: streamOf(g), Lacks: falls(g)}, true
	}
	for _, k := range metricKinds {
		if len(k.needs(g)) == 0 || k.rank == nil || g.Direction == schemas.Both {
			continue
		}
		if rank := k.rank(g, falls(g)); rank != nil {
			return windows.Exhibit{Key: k.name + " " + key, Stream: windows.Stream{Kind: windows.Serving}, Rank: rank}, true
		}
	}
	return windows.Exhibit{}, false
}

// A display has the newest predictions that an exhibit of a stream names: of the newest window first.
type display struct {
	key   string
	shown []exemplar
}

// exemplar is a prediction with the window that named it.
type exemplar struct {
	windows.Exemplar
	startMs int64
}

// displayed bounds a display: more than are told, so that some are of each segment that is harmed, and some of the slow ones where a window has so few
// predictions that all are named.
const displayed = 20 * windows.MaxExemplars

// newDisplays are those of a stream.
func newDisplays(r *schemas.Rollout, s windows.Stream) []display {
	var list []display
	for _, x := range Exhibits(r) {
		if x.Stream == s {
			list = append(list, display{key: x.Key})
		}
	}
	return list
}

// show takes what a part names.
func (s *stream) show(p *windows.Part) {
	for i, list := range p.Exemplars {
		if i < len(s.displays) && len(list) > 0 {
			s.displays[i].take(list, p.StartMs)
		}
	}
}

// displayOf is what a guardrail points at; nil: nothing.
func (s *stream) displayOf(g *schemas.Guardrail) *display {
	x, ok := exhibitOf(g)
	for i := range s.displays {
		if ok && s.displays[i].key == x.Key {
			return &s.displays[i]
		}
	}
	return nil
}

func (d *display) take(list []windows.Exemplar, startMs int64) {
	if d.shown == nil {
		d.shown = make([]exemplar, 0, displayed)
	}
	named := 0
	for i := range list {
		if !list[i].Aside {
			named++
		}
	}
	keep := min(len(d.shown), displayed-named)
	d.shown = d.shown[:keep+named]
	copy(d.shown[named:], d.shown[:keep])
	at := 0
	for _, x := range list {
		if !x.Aside {
			d.shown[at] = exemplar{x, startMs}
			at++
		}
	}
}

// exemplars are the newest predictions of the canary that show the harm since it began; of a segment, those in it.
func (g *guard) exemplars(sinceMs int64) []schemas.Exemplar {
	if g.display == nil {
		return nil
	}
	var list []schemas.Exemplar
	ordinary := g.ordinary(sinceMs)
	for _, x := range g.display.shown {
		if x.startMs < sinceMs || x.Rank <= ordinary || !g.holds(x.Segment) || len(list) == windows.MaxExemplars {
			continue
		}
		if slices.ContainsFunc(list, func(o schemas.Exemplar) bool { return o.ID == x.ID }) { // an attempt in another window
			continue
		}
		shown := schemas.Exemplar{ID: x.ID, Code: x.Code, Value: g.exhibited(x.Rank), Window: schemas.Time(x.startMs)}
		if shown.Value != nil && g.spec.Of == ofLatency {
			shown.Unit = unitMillis
		}
		list = append(list, shown)
	}
	return list
}

// holds says whether the guardrail is held to a segment: one of all the traffic is to each, and one of the others to those that have no slot.
func (g *guard) holds(segment string) bool { return !g.ofPart || g.roster.slot(segment) == g.slot }

// ordinary is the rank up to which a prediction shows no harm: that of the limit, or of the baseline's own value since the harm began, where it is known. A
// window with few predictions names all of them.
func (g *guard) ordinary(sinceMs int64) float64 {
	if !g.byNumber() || g.isContrast() && g.apart() {
		return math.Inf(-1)
	}
	value := g.spec.Margin.Value
	if g.isContrast() {
		value = g.inRange(g.estimate(sinceMs))[windows.Baseline].value
	}
	if falls(g.spec) {
		value = -value
	}
	if math.IsNaN(value) {
		return math.Inf(-1)
	}
	return value
}

// exhibited is the number of a prediction that has this rank; nil where it isn't by a number, or has none (a timeout).
func (g *guard) exhibited(rank float64) *float64 {
	if !g.byNumber() {
		return nil
	}
	if falls(g.spec) {
		rank = 0 - rank
	}
	return finite(rank)
}

// byNumber says whether it points at predictions for their numbers.
func (g *guard) byNumber() bool { return !isOutcome(g.spec) && g.spec.Kind != schemas.RateGuardrail }

// falls says whether harm is that something is too small.
func falls(g *schemas.Guardrail) bool {
	return g.Direction == schemas.Decrease || g.Direction == schemas.Below
}
