package stats

import (
	"fmt"
	"math"
)

// Spread measures the over-dispersion of a rate from all parts of a split of the baseline at once, for the time in which a shard of the
// canary's size has seen too little for Dispersion: seven parts against the whole say in one batch what a shard against the rest says in seven.
//
// For each batch, with mu_i = p n_i the events that part i of the split would have at the pooled rate p, and weights 1/(mu_i + 1), U is the
// weighted sum of (k_i - mu_i)² and V what it would be on average if events were independent; phi = sum U / sum V, over the closed batches and
// the open one. Its limit takes U/V for a chi-square by its degrees of freedom (Satterthwaite's, Wilson and Hilferty's cube root), one-sided 95 %.
//
// Claim. Each size's limit is about a one-sided 95 % limit of the true ratio: calibrated by simulation, not exact.
//
// When. For noise that belongs to units, which is the same at all sizes of a part.
//
// Cost: 368 bytes, and 64 for each part; time in proportion to the parts. Allocates in NewSpread alone.
//
// Conventions: a batch that is empty in all parts adds nothing; a size with less than three degrees of freedom says nothing. n and k have one number for
// each part. Negative or NaN counts, and more events than exposures, panic; that exposures are finite isn't looked at. Before phi is measured a NaN prior
// comes back. The zero value is not ready; see NewSpread.
//
// Sources: Pearson's chi-square, with 1 added to each expected count so that rare events keep it bounded; Satterthwaite (Biometrics Bulletin 2, 1946); Wilson, Hilferty (Proc. Nat. Acad. Sci. 17, 1931). The
// rest is chosen here, by TestSpreadFindsPhi and by SimCalibration in package analysis.
type Spread struct {
	batches [len(dispersionSizes)]spreadBatch
	windows int64   // with any exposures
	events  float64 // of all parts
}

// spreadBatch is one size's open batch and what the closed ones add up to.

type spreadBatch struct {
	n, k []float64 // of the open batch, by part
	held int
	m    float64 // closed batches
	u, v float64 // of the closed ones
	vv   float64 // sum of squares of V's parts, for the degrees of freedom
}

// NewSpread returns one for a split into parts that has seen nothing.
func NewSpread(parts int) *Spread {
	s := &Spread{}
	for i := range s.batches {
		s.batches[i].n, s.batches[i].k = make([]float64, parts), make([]float64, parts)
	}
	return s
}

// Add takes one window: exposures n and events k of each part. It keeps neither.
func (s *Spread) Add(n, k []float64) {
	exposures := 0.0
	for part := range n {
		exposures += n[part]
		s.events += k[part]
	}
	if exposures > 0 {
		s.windows++
	}
	for i := range s.batches {
		b := &s.batches[i]
		for part := range b.n {
			if !(k[part] >= 0 && k[part] <= n[part]) {
				panic(fmt.Sprintf("stats: spread of %v of %v in part %d", k[part], n[part], part))
			}
			b.n[part] += n[part]
			b.k[part] += k[part]
		}
		if b.held++; b.held == dispersionSizes[i] {
			u, v, vv := spreadOf(b.n, b.k)
			b.u, b.v, b.vv, b.m = b.u+u, b.v+v, b.vv+vv, b.m+1
			clear(b.n)
			clear(b.k)
			b.held = 0
		}
	}
}

// spreadOf is one batch's U and V, and the sum of squares of V's parts.
func spreadOf(n, k []float64) (u, v, vv float64) {
	all, events := 0.0, 0.0
	for i := range n {
		all += n[i]
		events += k[i]
	}
	if all == 0 {
		return 0, 0, 0
	}
	p := events / all
	for i := range n {
		mu := p * n[i]
		weight := 1 / (mu + 1)
		part := weight * mu * (1 - p) * (1 - n[i]/all)
		u += weight * (k[i] - mu) * (k[i] - mu)
		v += part
		vv += part * part
	}
	return u, v, vv
}

// limit is a size's; false where there was nothing to measure, or less than three degrees of freedom.
func (b *spreadBatch) limit() (float64, bool) {
	u, v, vv := spreadOf(b.n, b.k)
	u, v, vv = b.u+u, b.v+v, b.vv+vv
	if v == 0 {
		return 1, false
	}
	nu := v * v / vv
	if nu < 3 {
		return 1, false
	}
	return u / v / chiSquareFloor(nu), true
}

// chiSquareFloor is what a chi-square by its degrees of freedom is above in 95 %: from three on Wilson and Hilferty's, below that the first term of its series, which is too small, by up to 7 %.
func chiSquareFloor(nu float64) float64 {
	if nu < 3 {
		return 2 * math.Pow(.05*math.Gamma(nu/2+1), 2/nu) / nu
	}
	return chiSquareAbove(nu, dispersionZ)
}

// chiSquareAbove is what it is above but for z, at most 3.1, standard deviations of a normal value, from three degrees of freedom on.
func chiSquareAbove(nu, z float64) float64 {
	a := 2 / (9 * nu)
	root := 1 - a - z*math.Sqrt(a) // positive from three degrees of freedom on
	return root * root * root
}

// Phi is the dispersion factor to test with: the largest limit over all sizes of batches, once there have been 200 events in 50 windows and each size
// says something (measured is true); before that the prior, where it is greater. Never below 1.
func (s *Spread) Phi(prior float64) (phi float64, measured bool) {
	phi, measured = 1, s.events >= dispersionEvents && s.windows >= dispersionWindows
	for i := range s.batches {
		limit, ok := s.batches[i].limit()
		phi, measured = max(phi, limit), measured && ok
	}
	if !measured {
		phi = max(phi, prior)
	}
	return phi, measured
}

// Window is the limit for batches of one window, which speaks soonest; 1 while it says nothing, and never below 1.
func (s *Spread) Window() float64 {
	limit, _ := s.batches[0].limit()
	return max(1, limit)
}

// Few is the largest limit over the sizes of batches of which Dispersion has too few, which are those with less than 10 closed; never
// below 1.
func (s *Spread) Few() float64 {
	largest := 1.0
	for i := range s.batches {
		if s.batches[i].m < dispersionBatches {
			limit, _ := s.batches[i].limit()
			largest = max(largest, limit)
		}
	}
	return largest
}
