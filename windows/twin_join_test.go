package windows

import (
	"cmp"
	"math"

	"streamcanary/schemas"
)

// resolvable says whether every prediction that an outcome of this time could count for has been read.
func (w *twin) resolvable(ms int64) bool {
	high := w.high[schemas.KindPrediction]
	return w.seal || (high != NoTime && w.end(ms+w.plan.LatenessMs) <= high-w.plan.LatenessMs)
}

// outcomeSealed says whether an outcome's window is sealed at the end of the logs.
func (w *twin) outcomeSealed(within, start int64) bool {
	last := start + w.plan.WidthMs + within
	high := w.high[schemas.KindOutcome]
	return w.seal || (high != NoTime && last <= high-w.plan.LatenessMs && w.resolvable(last-1))
}

func (w *twin) countOutcomes() {
	for _, o := range w.plan.Outcomes {
		for i := range w.events {
			e := &w.events[i]
			if w.canFollow(e) && w.outcomeSealed(o.WithinMs, w.start(e.TimeMs)) {
				p := w.part(Stream{Kind: Outcomes, Name: o.Name}, w.start(e.TimeMs))
				w.both(p, e, 0, func(c *Cell) {
					w.hit(c, e.Event, w.hasOutcome(e, o))
					if o.Cap > 0 {
						w.sum(c, e.Event, w.valuesOf(e, o))
					}
				})
			}
		}
	}
	for i := range w.events {
		e := &w.events[i]
		if e.Kind != schemas.KindOutcome {
			continue
		}
		class := e.class
		if w.plan.Health && (class == Counted || class == Duplicate) {
			w.countGap(e)
		}
		if class == Counted {
			class = w.joinClass(e)
		}
		w.counts.add(e.Kind, class, 1)
	}
}

// countGap counts an outcome by whether its prediction is found.
func (w *twin) countGap(o *twinEvent) {
	within, _ := w.within(o.Name)
	reach := within + within/4 + w.plan.LatenessMs
	start := w.start(o.TimeMs - within)
	known := len(o.Version) == 0 || string(o.Version) == w.plan.Baseline || string(o.Version) == w.plan.Canary
	if !known || o.TimeMs-reach < w.first() || !w.outcomeSealed(within, start) {
		return
	}
	matched := w.owner(o) != nil
	for _, i := range w.byID[string(o.ID)] {
		p := &w.events[i]
		near := p.TimeMs >= o.TimeMs-reach && p.TimeMs <= o.TimeMs+w.plan.LatenessMs
		elsewhere := p.Kind == schemas.KindPrediction && p.class == Other && (p.watermark == NoTime || w.end(p.TimeMs) > p.watermark)
		if !matched && near && (elsewhere || w.fits(o, p)) {
			return
		}
	}
	p := w.part(Stream{Kind: Outcomes, Name: string(o.Name)}, start)
	gap := &p.Source
	if len(o.Version) > 0 {
		gap = &p.Gap[w.arm(o.Version)]
	}
	if matched {
		gap.Matched++
	} else {
		gap.Unmatched++
	}
}

// canFollow says whether an outcome can count for a prediction.
func (w *twin) canFollow(p *twinEvent) bool {
	return p.Kind == schemas.KindPrediction && p.class == Counted && !p.Shadow && !p.Error && !p.Timeout
}

// hasOutcome says whether some outcome, late ones and unused ones aside, counts for a prediction.
func (w *twin) hasOutcome(p *twinEvent, o OutcomePlan) bool {
	for _, i := range w.byID[string(p.ID)] {
		e := &w.events[i]
		if e.Kind == schemas.KindOutcome && string(e.Name) == o.Name && (e.class == Counted || e.class == Duplicate) && w.owner(e) == p {
			return true
		}
	}
	return false
}

// valuesOf returns the capped sum of the values of a prediction's outcomes, in units.
func (w *twin) valuesOf(p *twinEvent, o OutcomePlan) int64 {
	sum := int64(0)
	for _, i := range w.byID[string(p.ID)] {
		e := &w.events[i]
		if e.Kind != schemas.KindOutcome || string(e.Name) != o.Name || (e.class != Counted && e.class != Duplicate) || w.owner(e) != p || w.wasThere(i, o) {
			continue
		}
		sum += int64(math.Round(max(-1024, min(1024, e.Value/o.Cap)) * SumUnit))
	}
	return max(-SumUnit, min(SumUnit, sum))
}

// wasThere says whether an event before is a copy of an outcome whose value counts.
func (w *twin) wasThere(at int, o OutcomePlan) bool {
	e := &w.events[at]
	for _, i := range w.byID[string(e.ID)] {
		c := &w.events[i]
		same := c.place == e.place && i < at && c.Kind == e.Kind && string(c.Name) == string(e.Name) &&
			string(c.EventID) == string(e.EventID) && string(c.Model) == string(e.Model)
		if same && c.TimeMs >= w.first()-w.plan.LatenessMs && c.TimeMs+o.WithinMs >= e.TimeMs {
			return true
		}
	}
	return false
}

// owner returns the prediction that an outcome counts for, or nil.
func (w *twin) owner(o *twinEvent) *twinEvent {
	within, _ := w.within(o.Name)
	var best *twinEvent
	for _, i := range w.byID[string(o.ID)] {
		p := &w.events[i]
		after := o.TimeMs - p.TimeMs
		if !w.fits(o, p) || after < -w.plan.LatenessMs || after > within {
			continue
		}
		if best == nil || w.goesBefore(p, best) {
			best = p
		}
	}
	return best
}

func (w *twin) fits(o, p *twinEvent) bool {
	return w.canFollow(p) && string(p.ID) == string(o.ID) && (len(o.Version) == 0 || string(o.Version) == string(p.Version))
}

func (w *twin) goesBefore(a, b *twinEvent) bool {
	pa, pb := w.partitions[a.place], w.partitions[b.place]
	return cmp.Or(cmp.Compare(a.Attempt, b.Attempt), cmp.Compare(a.TimeMs, b.TimeMs), cmp.Compare(string(a.Version), string(b.Version)),
		cmp.Compare(pa.Topic, pb.Topic), cmp.Compare(pa.Number, pb.Number)) > 0
}

func (w *twin) joinClass(o *twinEvent) Class {
	if !w.resolvable(o.TimeMs) {
		return Pending
	}
	within, _ := w.within(o.Name)
	if p := w.owner(o); p != nil {
		if w.outcomeSealed(within, w.start(p.TimeMs)) {
			return Matched
		}
		return Pending
	}
	class := Unmatched
	for _, i := range w.byID[string(o.ID)] {
		p := &w.events[i]
		after := o.TimeMs - p.TimeMs
		inReach := after >= -w.plan.LatenessMs && after <= within+within/4+w.plan.LatenessMs
		switch {
		case !inReach:
		case w.fits(o, p):
			return Outside
		case p.Kind == schemas.KindPrediction && p.class == Other && string(p.ID) == string(o.ID) && p.TimeMs > p.watermark:
			class = Other
		}
	}
	return class
}
