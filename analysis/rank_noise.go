package analysis

import (
	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// rankNoise measures by how much noisier a rank test's statistic is than requests that go to the arms one by one, on the baseline: see stats.Alike. It holds the half by unit against the other one, as
// the self-test does. Noise of units is the same at all sizes, so the half speaks for the canary. While each request so far was the first of its unit, or none names a unit, there is nothing to measure: phi is 1.
//
// Claim: of a statistic X whose mean keeps the hypothesis, and whose units are independent, evidence divided by phi is evidence: E exp(log e / phi) is at most 1 up to the second
// order in the bet, and to all orders where units' requests come as a Poisson number of clumps of at most phi requests that share their place, as (e^(c l/phi) - 1) is at most c/phi (e^l - 1) by convexity.
type rankNoise struct {
	known  float64 // > 0: given, not measured
	ppm    int64   // of a tail; 0: ranks
	whole  int     // cell of the histogram
	half   int     // of its half
	named  bool    // some request named a unit
	many   bool    // some unit of the baseline had more than one request
	told   bool    // a block with such units was measured
	blind  bool    // there are such units, and nothing is known of them yet
	seen   *stats.Alike
	open   halves
	served [windows.Slices]float64
	rest   histogram   // scratch
	phi    float64     // 0: not asked for since something was measured
	parts  []*rankPart // by slot; none: no guardrail by segment asks for it
	strata []*rankPart // likewise, by place

	stratified bool // a guardrail compares within segments
}

// halves are the half and the other one of a block that is too small to tell yet.
type halves struct {
	n    int64
	hist [2]histogram
}

// add takes one window of n requests, and returns what the block tells, of a tail or of ranks, once it is full.
func (h *halves) add(n int64, half, other []windows.Bucket, ppm int64) (s stats.Scores, full bool) {
	h.n += n
	full = h.n >= 2*blockExposures && (ppm == 0 || tailFull(h.n, ppm))
	if alone := h.n == n; !alone || !full {
		h.hist[0].add(half)
		h.hist[1].add(other)
		half, other = h.hist[0].buckets, h.hist[1].buckets
	}
	if !full {
		return s, false
	}
	if ppm > 0 {
		s = stats.TailScores(half, other, ppm)
	} else {
		s = stats.RankScores(half, other)
	}
	h.n = 0
	h.hist[0].clear()
	h.hist[1].clear()
	return s, true
}

// rankNoise finds or adds what measures the noise of a rank test: of a tail, or, of 0, of ranks.
func (j *Judge) rankNoise(s *stream, g *schemas.Guardrail, ppm int64) *rankNoise {
	whole := needsOf(g)[0]
	cell := cellOf(j.rollout, whole)
	for _, r := range s.ranks {
		if r.whole == cell && r.ppm == ppm {
			return r
		}
	}
	r := &rankNoise{known: j.options.Phi, ppm: ppm, whole: cell, half: cellOf(j.rollout, newHalfMetric(whole)), seen: stats.NewAlike(windows.Slices, 1, ppm, j.rollout.Phi)}
	s.ranks = append(s.ranks, r)
	return r
}

// look takes a window before its tests.
func (r *rankNoise) look(p *windows.Part) {
	canary, baseline := &p.Traffic[windows.Canary], &p.Traffic[windows.Baseline]
	r.named = r.named || baseline.UnitsFull || len(canary.Units)+len(baseline.Units) > 0
	r.many = r.many || r.named && baseline.Served > int64(len(baseline.Units))
	r.blind = r.known == 0 && r.many && !r.told
}

// add takes a window's baseline, after its tests.
func (r *rankNoise) add(p *windows.Part) {
	cells := p.Cells[windows.Baseline]
	if r.known > 0 || !r.named || r.whole >= len(cells) || r.half >= len(cells) || cells[r.whole].N == 0 {
		return
	}
	r.rest.less(cells[r.whole].Hist, cells[r.half].Hist)
	scores, full := r.open.add(cells[r.whole].N, cells[r.half].Hist, r.rest.buckets, r.ppm)
	for i, n := range p.Traffic[windows.Baseline].Slices {
		r.served[i] += float64(n)
	}
	if !full {
		return
	}
	r.seen.Add(sliceShares[:], r.served[:], scores)
	r.phi, r.served, r.told = 0, [windows.Slices]float64{}, r.many
}

// measures reports whether there is any noise to reckon with.
func (r *rankNoise) measures() bool { return r.known > 0 || r.many }

// arms is phi for the next block.
func (r *rankNoise) arms() armPhi {
	if r.known > 0 {
		return armPhi{r.known, r.known}
	}
	if !r.many {
		return independent
	}
	if r.phi == 0 {
		r.phi = r.seen.Phi()
	}
	return armPhi{r.phi, r.phi}
}

// temper divides a block's evidence by phi.
func (i *increments) temper(phi float64) {
	if phi <= 1 {
		return
	}
	divide(i.any, phi)
	if !i.one() {
		divide(i.beyond, phi)
	}
	divide(i.pass, phi)
}

func divide(xs []float64, by float64) {
	for j := range xs {
		xs[j] /= by
	}
}
