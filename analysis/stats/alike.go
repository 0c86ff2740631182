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
// When. Evidence for a rank statistic is divided by Phi. It can't see what Dispersion can't; units that send more because their values are larger are not seen before the scores are measured. Where units stay
// for long, how alike values are isn't known before some ten lots of units have come and gone, and the prior counts as long; of units that stay for more than 125 blocks it takes the next 125 for others.
//
// Cost: 800 bytes, 64 for each part of the split, and 376 for each contrast more than one; constant time, no allocation but in NewAlike.
//
// Conventions: those of Dispersion.AddScores and Spread.Add; a NaN prior comes back until the scores are measured; ppm isn't looked at. The zero value is not ready; see NewAlike.
//
// Sources: the design effect of clusters (Kish, Survey Sampling, 1965, section 5.4); degrees of freedom of a sum of variances (Satterthwaite, Biometrics Bulletin 2, 1946). The rest is chosen here.
type Alike struct {
	scores  []*Dispersion // of each contrast
	sizes   *Spread
	prior   float64
	assumed float64 // how alike values are that nothing is known of
}

// NewAlike returns one that has seen nothing: for a split into parts, of a tail of ppm millionths, 0 for ranks, with a prior phi, and so many contrasts between parts.
func NewAlike(parts, contrasts int, ppm int64, prior float64) *Alike {
	a := &Alike{make([]*Dispersion, contrasts), NewSpread(parts), prior, alikeAs(max(0, min(1, prior-1)), ppm)}
	for i := range a.scores {
		a.scores[i] = NewDispersion()
	}
	return a
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

// Add takes one block, after its tests: the scores of one half against the other, then those of further contrasts, which have nothing to do with each other (a quarter against the other), and of each part of the split n
// exposures, in proportion to its share and far more than k, the values in it.
func (a *Alike) Add(n, k []float64, s ...Scores) {
	for i, d := range a.scores {
		d.AddScores(s[i])
	}
	a.sizes.Add(n, k)
}

// alikeUnits is how many units of the largest size that is possible a slice must have values for in a batch, until its contrast has a say: one unit with most values of a slice is seldom in a small one.
const alikeUnits = 8

// batch is what the contrasts say of one size of batches, with units of most values at most, each by its own unit of variance: as many batches as the first one has had, with the degrees of freedom of all.
func (a *Alike) batch(size int, most float64) batch {
	if len(a.scores) == 1 {
		return a.scores[0].batches[size]
	}
	b := batch{m: a.scores[0].batches[size].m}
	for i, d := range a.scores {
		c := &d.batches[size]
		values := d.expected / float64(d.windows) * float64(dispersionSizes[size])
		if c.v == 0 || i > 0 && values < alikeUnits*most {
			continue
		}
		w := c.m / c.v
		b.u, b.v = b.u+w*c.u, b.v+c.m
		b.uu, b.uv, b.vv = b.uu+w*w*c.uu, b.uv+w*w*c.uv, b.vv+w*w*c.vv
	}
	return b
}

// Phi is what to divide evidence by. Until the scores are measured it is at least the prior, and at least what sizes of units allow within a block. What few batches say of a size is no more than what that size
// allows, with values that are as alike as in shorter ones, or, where no unit has several values in these, as alike as normal values whose pairs have the prior. Never below 1.
//
// Where units stay for longer than a batch, the next one shows the same units again: batches are fewer than they seem, by as often as a unit comes back, which is how much more values of a unit the longest batch has, the open one, too.
// Of units that stay for longer than that, and of which both halves happen to be equal, each batch says so: where batches vary less than those of single values do by chance, neither that size nor a longer one says how alike
// values are. Only of units with about one value in a batch, though: several values of one may differ more than those of two (the first is slow, the rest come from a cache), and then less is the truth.
func (a *Alike) Phi() float64 {
	phi := 1.0
	if !a.scores[0].Measured() {
		phi = max(phi, a.prior, a.Sizes())
	}
	longest := 1.0
	for i := range dispersionSizes {
		_, most := a.sizes.batches[i].size()
		longest = max(longest, most)
	}
	rho, stuck := a.assumed, false
	for i := range dispersionSizes {
		size, most := a.sizes.batches[i].size()
		scores := a.batch(i, most)
		seen, limit, few := scores.limitOf(stay{size, most, max(1, longest/size)})
		if stuck = stuck || size < alikeSize && scores.stuck(); stuck {
			seen, limit, few = 1, math.Inf(1), true
		}
		by, byLimit := max(0, seen-1)/(size-1), max(0, limit-1)/(size-1) // how alike values are by this size: as it seems, and at most
		if few {
			limit, byLimit = min(limit, max(seen, 1+rho*(most-1))), min(byLimit, max(by, rho))
		}
		if phi = max(phi, limit); size >= alikeSize {
			rho = byLimit
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
	return max(1, (b.u+u)/(b.v+v)), max(1, limit)
}

// stuckZ is how many standard deviations less than independent values a stuck batch varies: one in a thousand by chance.
const stuckZ = 3.09

// stuck reports whether the batches vary less than independent ones.
func (b *batch) stuck() bool {
	nu := b.v * b.v / b.vv
	return nu >= 3 && b.u/b.v < chiSquareAbove(nu, stuckZ)
}

// stay is what is known of units for one batch size: how many values they have in a batch, by a point estimate and at most, and in how many batches on end they come.
type stay struct{ size, most, batches float64 }

// limitOf is one batch size's upper limit; seen is what it would be if each batch had units of its own: that of a chi-square with as many degrees of freedom as there are batches, or R4's, whichever is greater.
// Few says that there are less than ten lots of units: then the limit may be far above phi, and seen is 1 where there are less than ten batches at all. Where some batches outweigh all others it says nothing.
func (b *batch) limitOf(s stay) (seen, limit float64, few bool) {
	nu := b.v * b.v / b.vv
	if !(nu >= 3) {
		return 1, math.Inf(1), true
	}
	point := b.u / b.v
	seen = point / chiSquareFloor(nu)
	limit = max(seen, s.limit(point, nu))
	if b.m < dispersionBatches {
		return 1, limit, true
	}
	seen = max(seen, b.limit())
	return seen, max(seen, limit), nu < dispersionBatches*s.batches
}

// limit is what a point estimate of phi allows. A batch's variance phi is (1 - rho) + rho size: the first part is new in each of them, the second is the same in all in which a unit comes, and has so many times fewer
// degrees of freedom. Satterthwaite's for both together are what the limit's chi-square has; the greatest phi that isn't refused, at most most, is it.
func (s stay) limit(point, nu float64) float64 {
	phi := s.most
	for range 16 { // from above: each step is a limit, too
		lasting := 1.0
		if s.size > 1 {
			lasting = min(1, (phi-1)/phi*s.size/(s.size-1))
		}
		next := point / chiSquareFloor(nu/(1+(s.batches-1)*lasting*lasting))
		if !(next < .99*phi) {
			break
		}
		phi = max(1, next)
	}
	return phi
}
