package analysis

import (
	"time"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// Bounds of the values that a band stands on.
const (
	recentMs   = int64(time.Hour / time.Millisecond)
	recentMost = int64(1) << 31 // of a half, per arm: no count of a bucket overflows
)

// recent keeps what both arms' values were in the last hour at most, in two halves: when the newer one is half an hour long the older one is
// forgotten.
type recent struct{ older, newer stretchOf }

// stretchOf is the values of a stretch of time.
type stretchOf struct {
	fromMs, toMs int64 // toMs 0: it is empty
	n            [windows.Arms]int64
	hist         [windows.Arms]histogram
}

func (s *stretchOf) clear() {
	s.fromMs, s.toMs = 0, 0
	for arm := range windows.Arms {
		s.n[arm] = 0
		s.hist[arm].clear()
	}
}

// take adds what both arms did in a window: their cells of one metric.
func (r *recent) take(p *windows.Part, cell int, widthMs int64) {
	n, endMs := &r.newer, p.StartMs+widthMs
	if n.toMs != 0 && (endMs-n.fromMs > recentMs/2 || max(n.n[windows.Baseline], n.n[windows.Canary]) >= recentMost) {
		r.older, r.newer = r.newer, r.older
		n.clear()
	}
	if n.toMs == 0 {
		n.fromMs = p.StartMs
	}
	n.toMs = endMs
	for arm := range windows.Arms {
		if cell < len(p.Cells[arm]) {
			n.n[arm] += p.Cells[arm][cell].N
			n.hist[arm].add(p.Cells[arm][cell].Hist)
		}
	}
}

// of is what is kept of one arm: from when on, and what. The caller's.
func (r *recent) of(arm windows.Arm) (fromMs, n int64, hist []windows.Bucket) {
	var sum histogram
	fromMs, n = r.newer.fromMs, r.newer.n[arm]
	if o := &r.older; o.toMs != 0 && r.newer.toMs-o.fromMs <= recentMs {
		fromMs, n = o.fromMs, n+o.n[arm]
		sum.add(o.hist[arm].buckets)
	}
	sum.add(r.newer.hist[arm].buckets)
	return fromMs, n, sum.buckets
}

// Bands bounds each arm's own quantile, for every quantile guardrail, from the last hour at most: for display alone, see
// schemas.Band. The memory is the caller's. Call it when somebody asks: it adds up histograms.
func (j *Judge) Bands() []schemas.Band {
	var all []schemas.Band
	for _, g := range j.guards {
		s := j.find(streamOf(g.spec))
		if g.spec.Kind != schemas.QuantileGuardrail || g.histCell >= len(s.recents) || s.recents[g.histCell].newer.toMs == 0 {
			continue
		}
		r := s.recents[g.histCell]
		for arm, version := range [windows.Arms]string{windows.Baseline: j.rollout.Baseline, windows.Canary: j.rollout.Canary} {
			fromMs, n, hist := r.of(windows.Arm(arm))
			b := schemas.Band{
				DisplayOnly: true, Guardrail: g.spec.Name, Version: version, Quantile: g.spec.Quantile, Unit: unitNumber, N: n,
				From: schemas.Time(fromMs), To: schemas.Time(r.newer.toMs),
			}
			if g.spec.Of == ofLatency {
				b.Unit = unitMillis
			}
			lower, upper := stats.QuantileBand{PPM: tailPPM(g.spec.Quantile)}.Interval(hist, displayAlpha)
			b.Lower, b.Upper = lowerEdge(g.spec, hist, lower), finite(scaleOf(g.spec).upper(upper))
			all = append(all, b)
		}
	}
	return all
}

// lowerEdge is the value of a lower bound; nil: there is none. Beyond all finite values it is the largest of these.
func lowerEdge(g *schemas.Guardrail, hist []windows.Bucket, lower int32) *float64 {
	if g.Buckets.Linear() {
		if lower < -1 {
			return nil
		}
		return finite(scaleOf(g).upper(min(lower, int32(g.Buckets.Count)-1)))
	}
	if lower == windows.TopBucket-1 {
		lower = windows.ZeroBucket
		for _, b := range hist {
			if b.Index < windows.TopBucket {
				lower = b.Index
			}
		}
	}
	if lower == windows.ZeroBucket {
		return nil
	}
	return finite(scaleOf(g).upper(lower))
}

// recently keeps the values of a quantile guardrail's cell.
func (s *stream) recently(cell int) {
	for len(s.recents) <= cell {
		s.recents = append(s.recents, nil)
	}
	if s.recents[cell] == nil {
		s.recents[cell] = &recent{}
	}
}

// remember takes a window in whose values are compared.
func (s *stream) remember(p *windows.Part, widthMs int64) {
	for cell, r := range s.recents {
		if r != nil {
			r.take(p, cell, widthMs)
		}
	}
}
