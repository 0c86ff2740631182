package stats

import "math"

// alikeSize is the size of units, in requests, from which on it tells how alike a unit's requests are.
const alikeSize = 1.5

// Alike measures how much noisier a rank statistic is than values that go to the arms one by one: a unit's values go together, and are like each other (a slow line,
// a large account). It holds a half of the baseline by unit against the other half, in the test's own scores, and beside them the sizes of units, which bound what isn't measured yet.
//
// Claim. With units u of n_u values, assigned at random and independent of each other, and scores that have the same law in all units whatever their size, phi is at most sum n_u² / sum n_u: a sum of
// n_u values of variance s has at most the variance n_u² s. Where the values of a unit have the correlation rho it is 1 + rho (sum n_u² / sum n_u - 1), and rho of longer batches isn't greater. Phi is
// about a one-sided 95 % limit, as Dispersion's and Spread's are: calibrated by simulation (TestSimAlike in package analysis), not exact.
//
// When. Evidence for a rank statistic is divided by Phi. It can't see what Dispersion can't; units that send more because their values are larger are not seen before the scores are measured, nor are
// values that are alike over several blocks before ten batches of five blocks, but for the prior.
//
// Cost: 800 bytes, and 64 for each part of the split; constant time, no allocation but in NewAlike.
//
// Conventions: those of Dispersion.AddScores and Spread.Add; a NaN prior comes back until the scores are measured; ppm isn't looked at. The zero value is not ready; see NewAlike.
//
// Sources: the design effect of clusters (Kish, Survey Sampling, 1965, section 5.4). The rest is chosen here.
type Alike struct {
	scores  *Dispersion
	sizes   *Spread
	prior   float64
	assumed float64 // how alike values are that nothing is known of
}

// NewAlike returns one that has seen nothing: for a split into parts, of a tail of ppm millionths, 0 for ranks, with a prior phi.
func NewAlike(parts int, ppm int64, prior float64) *Alike {
	return &Alike{NewDispersion(), NewSpread(parts), prior, alikeAs(max(0, min(1, prior-1)), ppm)}
}

// alikeAs is the correlation of scores of two normal values with correlation r. Of a tail it is Plackett's integral (Biometrika 41, 1954) over the sine of an angle, by Simpson's rule.
func alikeAs(r float64, ppm int64) float64 {
	if ppm == 0 {
		return 6 / math.Pi * math.Asin(r/2)
	}
	p := float64(ppm) / 1e6
	z := math.Sqrt2 * math.Erfinv(1-2*p)
	const steps = 64
	sum, width := 0.0, math.Asin(r)/steps
	for i := range steps + 1 {
		weight := 4.0
		switch {
		case i == 0 || i == steps:
			weight = 1
		case i%2 == 0:
			weight = 2
		}
		sum += weight * math.Exp(-z*z/(1+math.Sin(float64(i)*width)))
	}
	return sum * width / 3 / (2 * math.Pi) / (p * (1 - p))
}

// Add takes one block, after its tests: the scores of one half against the other, and of each part of the split n exposures, in proportion to its share and far more than k, the values in it.
func (a *Alike) Add(s Scores, n, k []float64) {
	a.scores.AddScores(s)
	a.sizes.Add(n, k)
}

// Phi is what to divide evidence by. Until the scores are measured it is at least the prior, and at least what sizes of units allow within a block. Of longer batches of which there are no
// ten yet it is what their sizes allow, with values that are as alike as in shorter ones, or, where no unit has several values in these, as alike as normal values whose pairs have the prior. Never below 1.
//
// Where units stay for longer than a batch, the next one shows the same units again, and if the two halves happen to be equal they are so in each. Values that go to the halves one by one differ by chance. So less than that
// says that batches are not independent: then neither that size nor a longer one says how alike values are. Only of units with about one value in a batch, though: several values of one may differ more than those of two (the
// first is slow, the rest come from a cache), and then less is the truth.
func (a *Alike) Phi() float64 {
	phi := 1.0
	if !a.scores.Measured() {
		phi = max(phi, a.prior, a.Sizes())
	}
	rho, stuck := a.assumed, false
	for i := range dispersionSizes {
		size, most := a.sizes.batches[i].size()
		seen, few := a.scores.batches[i].limitOf()
		if stuck = stuck || size < alikeSize && a.scores.batches[i].stuck(); stuck {
			seen, few = math.Inf(1), true
		}
		by := max(0, seen-1) / (size - 1) // how alike values are by this size, at most
		if few {
			seen, by = min(seen, 1+rho*(most-1)), min(rho, by)
		}
		if phi = max(phi, seen); size >= alikeSize {
			rho = by
		}
	}
	return phi
}

// Sizes is what sizes of units allow within a block, whatever the scores are; never below 1.
func (a *Alike) Sizes() float64 { return a.sizes.Window() }

// size is what one batch size says of sizes: the point and its limit; ones while it says nothing.
func (b *spreadBatch) size() (point, limit float64) {
	limit, ok := b.limit()
	if !ok {
		return 1, 1
	}
	u, v, _ := spreadOf(b.n, b.k)
	return (b.u + u) / (b.v + v), max(1, limit)
}

// stuckZ is how many standard deviations less than independent values a stuck batch varies: one in a thousand by chance.
const stuckZ = 3.09

// stuck reports whether the batches vary less than independent ones.
func (b *batch) stuck() bool {
	nu := b.v * b.v / b.vv
	return nu >= 3 && b.u/b.v < chiSquareAbove(nu, stuckZ)
}

// limitOf is one batch size's upper limit: that of a chi-square with as many degrees of freedom as there are batches, or R4's, whichever is greater. Where there are few batches, or some outweigh all others, it says
// less: the first alone, and nothing below three degrees.
func (b *batch) limitOf() (limit float64, few bool) {
	nu := b.v * b.v / b.vv
	if !(nu >= 3) {
		return math.Inf(1), true
	}
	limit = b.u / b.v / chiSquareFloor(nu)
	if b.m < dispersionBatches {
		return limit, true
	}
	return max(limit, b.limit()), false
}
