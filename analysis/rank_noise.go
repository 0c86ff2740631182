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
	open   [2]histogram // of the half, of the other one: a block that is too small to tell yet
	served [windows.Slices]float64
	n      int64
	rest   histogram
	phi    float64 // 0: not asked for since something was measured
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
	r := &rankNoise{known: j.options.Phi, ppm: ppm, whole: cell, half: cellOf(j.rollout, newHalfMetric(whole)), seen: stats.NewAlike(windows.Slices, ppm, j.rollout.Phi)}
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
	whole, half := &cells[r.whole], &cells[r.half]
	r.rest.less(whole.Hist, half.Hist)
	r.open[0].add(half.Hist)
	r.open[1].add(r.rest.buckets)
	for i, n := range p.Traffic[windows.Baseline].Slices {
		r.served[i] += float64(n)
	}
	if r.n += whole.N; r.ppm > 0 && r.n*r.ppm < blockPPM || r.n < 2*blockExposures {
		return
	}
	scores := stats.RankScores(r.open[0].buckets, r.open[1].buckets)
	if r.ppm > 0 {
		scores = stats.TailScores(r.open[0].buckets, r.open[1].buckets, r.ppm)
	}
	r.seen.Add(scores, sliceShares[:], r.served[:])
	r.n, r.phi, r.served, r.told = 0, 0, [windows.Slices]float64{}, r.many
	r.open[0].clear()
	r.open[1].clear()
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
