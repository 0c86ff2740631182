package windows

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"

	"streamcanary/schemas"
)

// testExhibits ask for errors, for the slowest, for the smallest scores, and for predictions with and without each outcome of a plan.
func testExhibits(outcomes []OutcomePlan) []Exhibit {
	list := []Exhibit{
		{Key: "error", Stream: Stream{Kind: Serving}, Rank: func(e *schemas.Event) (float64, bool) { return 0, e.Error }},
		{Key: "latency", Stream: Stream{Kind: Serving}, Rank: func(e *schemas.Event) (float64, bool) { return e.LatencyMs, e.HasLatency }},
		{Key: "-score", Stream: Stream{Kind: Serving}, Rank: func(e *schemas.Event) (float64, bool) { return -e.Score, e.HasScore }},
	}
	for i, o := range outcomes {
		s := Stream{Kind: Outcomes, Name: o.Name}
		list = append(list, Exhibit{Key: "-" + o.Name, Stream: s, Lacks: true})
		if i == 0 {
			list = append(list, Exhibit{Key: o.Name, Stream: s})
		}
	}
	return list
}

// name works out what the merged parts name.
func (w *twin) name() {
	if len(w.plan.Exhibits) == 0 {
		return
	}
	for stream, parts := range w.parts {
		for start, p := range parts {
			at := 0
			for _, x := range w.plan.Exhibits {
				if x.Stream == stream {
					p.exhibit(at)
					p.Exemplars[at] = w.exemplars(&x, start)
					at++
				}
			}
		}
	}
}

// exemplars are those of one exhibit in one window.
func (w *twin) exemplars(x *Exhibit, start int64) []Exemplar {
	var all []Exemplar
	for i := range w.events {
		e := &w.events[i]
		if e.Kind != schemas.KindPrediction || e.class != Counted || w.start(e.TimeMs) != start || w.arm(e.Version) != Canary {
			continue
		}
		drawn := Exemplar{ID: string(e.ID), Code: string(e.Code), Segment: string(e.Segment)}
		var ok bool
		if x.Stream.Kind == Serving {
			drawn.Rank, ok = x.Rank(e.Event)
		} else if ok = w.canFollow(e) && w.sampling(start) > 0; ok {
			drawn.Aside = w.hadByID(e, start, x.Stream.Name) == x.Lacks
		}
		if ok {
			all = append(all, drawn)
		}
	}
	slices.SortFunc(all, func(a, b Exemplar) int {
		return cmp.Or(cmp.Compare(b.Rank, a.Rank), cmp.Compare(xxhash.Sum64String(a.ID), xxhash.Sum64String(b.ID)), cmp.Compare(a.ID, b.ID),
			cmp.Compare(a.Code+a.Segment, b.Code+b.Segment))
	})
	most := 10
	if x.Stream.Kind == Outcomes {
		most = w.sampling(start)
	}
	var first []Exemplar
	for _, x := range all {
		if at := slices.IndexFunc(first, func(o Exemplar) bool { return o.ID == x.ID }); at >= 0 {
			first[at].Aside = first[at].Aside && (x.Aside || x.Code+x.Segment != first[at].Code+first[at].Segment) // a copy in another partition
		} else if len(first) < most {
			first = append(first, x)
		}
	}
	return first
}

// sampling is how many predictions of a window outcomes' exhibits look at.
func (w *twin) sampling(start int64) int {
	waiting := (w.withinMax()+2*w.plan.LatenessMs)/w.plan.WidthMs + 1
	if waiting > 16384 && start%(w.plan.WidthMs*((waiting+16383)/16384)) != 0 {
		return 0
	}
	return int(max(1, min(4, 16384/waiting)))
}

// hadByID says whether any attempt of a prediction in its partition had an outcome.
func (w *twin) hadByID(e *twinEvent, start int64, name string) (had bool) {
	for i := range w.events {
		o := &w.events[i]
		same := o.Kind == schemas.KindPrediction && o.place == e.place && string(o.ID) == string(e.ID) && w.arm(o.Version) == Canary
		if !same || !w.canFollow(o) || w.start(o.TimeMs) != start {
			continue
		}
		for _, plan := range w.plan.Outcomes {
			had = had || plan.Name == name && w.hasOutcome(o, plan)
		}
	}
	return had
}
