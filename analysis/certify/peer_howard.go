package certify

import (
	"math"

	"streamcanary/windows"
)

// Howard and Ramdas, Sequential estimation of quantiles with applications to A/B testing and best-arm identification (Bernoulli 28, 2022):
// valid for samples that stay the same all the time, which the arms of a ramp don't. Numbers as in gostevehoward/confseq.

// howardPeers are looked at every howardEvery windows: their cost grows with the histograms.
var howardPeers = []Method{
	{Name: "Howard-Ramdas two-sample p99", Source: "confseq quantile_ab_p_value (QuantileABTest), one-sided here; all requests so far", start: func(c *Case) watch {
		return &howardWatch{c: c, test: twoSampleQuantile(.99)}
	}},
	{Name: "LIL bands", Source: "Howard and Ramdas, theorem 2, as Lindon, Sanden, Shirikian (KDD 2022) use it: two bands that part", start: func(c *Case) watch {
		return &howardWatch{c: c, test: bandsPart}
	}},
}

const howardEvery = 10

// howardWatch adds all requests up.
type howardWatch struct {
	c     *Case
	test  func(h *howardWatch, alarmed []bool)
	arms  pair
	moved []windows.Bucket
}

func (h *howardWatch) see(m *Moment, alarmed []bool) {
	canary, baseline := latencies(m)
	h.moved = movedDown(h.moved[:0], canary, h.c.Slower)
	h.arms.add(h.moved, baseline)
	if m.T%howardEvery == 0 && h.arms.n > 0 && h.arms.m > 0 {
		h.test(h, alarmed)
	}
}

// quantileMixture is the beta-binomial mixture for one quantile: log M(x) for x of n values at or below a point.
type quantileMixture struct{ p, a, d, base float64 }

// newQuantileMixture is tightest around tOpt values, at the level alphaOpt.
func newQuantileMixture(p, tOpt, alphaOpt float64) quantileMixture {
	l := math.Log(1 / alphaOpt)
	rho := tOpt * p * (1 - p) / (2*l + math.Log(1+2*l))
	r := max(rho-p*(1-p), 1e-3*p*(1-p))
	q := quantileMixture{p: p, a: r / (1 - p), d: r / p}
	q.base = logBeta(q.a, q.d)
	return q
}

func (q quantileMixture) logE(n, x float64) float64 {
	return logBeta(q.a+x, q.d+n-x) - q.base - x*math.Log(q.p) - (n-x)*math.Log(1-q.p)
}

// least is the real x that says least: logE falls before it and rises after it. It need not be n p.
func (q quantileMixture) least(n float64) float64 {
	return bottom(0, n, func(x float64) float64 { return q.logE(n, x) })
}

func logBeta(a, b float64) float64 {
	x, _ := math.Lgamma(a)
	y, _ := math.Lgamma(b)
	z, _ := math.Lgamma(a + b)
	return x + y - z
}

// twoSampleQuantile tests that the canary's quantile is not above the baseline's: the evidence is the least, over all thresholds, of the
// evidence that the canary's is above it and the baseline's is below it.
func twoSampleQuantile(p float64) func(h *howardWatch, alarmed []bool) {
	mixture := newQuantileMixture(p, 1000, .05)
	return func(h *howardWatch, alarmed []bool) {
		h.c.cross(alarmed, mixture.slower(&h.arms))
	}
}

// slower is the log evidence that the canary's quantile is above the baseline's. A threshold may lie anywhere in a bucket, so the canary's
// values in it count as at or below, and the baseline's as above: the least evidence that the raw values could give.
func (q quantileMixture) slower(arms *pair) float64 {
	n, m := float64(arms.n), float64(arms.m)
	leastN, leastM := q.least(n), q.least(m)
	floorN, floorM := q.logE(n, leastN), q.logE(m, leastM)
	against := func(x, y float64) float64 { // x and y values at or below
		log := floorN + floorM
		if x < leastN {
			log += q.logE(n, x) - floorN
		}
		if y > leastM {
			log += q.logE(m, y) - floorM
		}
		return log
	}
	canary, baseline := arms.canary, arms.baseline
	x, y := 0.0, 0.0
	least := math.Inf(1)
	for len(canary) > 0 || len(baseline) > 0 {
		at := lowest(canary, baseline)
		if len(canary) > 0 && canary[0].Index == at {
			x, canary = x+float64(canary[0].Count), canary[1:]
		}
		least = min(least, against(x, y))
		if len(baseline) > 0 && baseline[0].Index == at {
			y, baseline = y+float64(baseline[0].Count), baseline[1:]
		}
	}
	return least
}

// lilStart is the number of values from which a band is finite.
const lilStart = 100

// lilConstant is C of the band's radius for A = .85: 4 exp(-g C)(1 + 1/((g-1) log eta)) at its least over eta is alpha, where
// g = (2/eta)(A - sqrt(2(eta-1)/C))².
func lilConstant(alpha, a float64) float64 {
	lo, hi := 1., 200.
	for range 100 {
		if mid := (lo + hi) / 2; lilError(mid, a) > alpha {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// lilError is the least of the error bounds over eta, on a fine grid and then by golden section around its best point.
func lilError(c, a float64) float64 {
	at := func(eta float64) float64 {
		root := a - math.Sqrt(2*(eta-1)/c)
		if root <= 0 {
			return math.Inf(1)
		}
		g := 2 / eta * root * root
		if g <= 1 {
			return math.Inf(1)
		}
		return 4 * math.Exp(-g*c) * (1 + 1/((g-1)*math.Log(eta)))
	}
	const points = 400
	best, top := 1+1e-6, 2*a*a
	for i := range points {
		if eta := 1 + (top-1)*(float64(i)+.5)/points; at(eta) < at(best) {
			best = eta
		}
	}
	lo, hi := max(1, best-(top-1)/points), best+(top-1)/points
	return at(bottom(lo, hi, at))
}

// A band is how far an empirical distribution ever is from the true one, from start values on.
type band struct{ start, a, c float64 }

func (b band) radius(n float64) float64 {
	if n < b.start {
		return math.Inf(1)
	}
	return b.a * math.Sqrt((math.Log(1+math.Log(n/b.start))+b.c)/n)
}

// bandsPart sets the alarm where the canary's distribution lies below the baseline's by more than both radii.
func bandsPart(h *howardWatch, alarmed []bool) {
	gap := ksGap(h.arms.canary, h.arms.baseline)
	for i, alpha := range h.c.Alphas {
		b := band{lilStart, .85, lilConstantOf(alpha / 2)}
		if gap > b.radius(float64(h.arms.n))+b.radius(float64(h.arms.m)) {
			alarmed[i] = true
		}
	}
}

// lilConstantOf has the constants for A = .85 at hand for the usual levels.
func lilConstantOf(alpha float64) float64 {
	switch alpha {
	case .05:
		return 8.122719
	case .025:
		return 8.622649
	case .01:
		return 9.283543
	case .005:
		return 9.783365
	}
	return lilConstant(alpha, .85)
}

// ksGap is the largest amount by which the canary's distribution function lies below the baseline's: the canary is slower.
func ksGap(canary, baseline []windows.Bucket) float64 {
	n, m := float64(total(canary)), float64(total(baseline))
	x, y, gap := 0.0, 0.0, 0.0
	for len(canary) > 0 || len(baseline) > 0 {
		at := lowest(canary, baseline)
		if len(canary) > 0 && canary[0].Index == at {
			x, canary = x+float64(canary[0].Count), canary[1:]
		}
		if len(baseline) > 0 && baseline[0].Index == at {
			y, baseline = y+float64(baseline[0].Count), baseline[1:]
		}
		gap = max(gap, y/m-x/n)
	}
	return gap
}

// stitchedRadius is the double-stitching bound for the empirical distribution at the quantile p, over n: tighter in the tails than the LIL band.
type stitching struct{ delta, s, eta float64 }

func (b stitching) radius(p, n, alpha, tOpt float64) float64 {
	t := max(n, tOpt)
	logit := math.Log(p / (1 - p))
	r := p
	if p < .5 {
		r = min(.5, 1/(1+math.Exp(-logit-2*b.delta*math.Sqrt(tOpt*b.eta/t))))
	}
	variance := r * (1 - r)
	j := math.Sqrt(t/tOpt)*math.Abs(logit)/(2*b.delta) + 1
	zeta := zetaOf(b.s)
	l := b.s*math.Log(math.Log(b.eta*t/tOpt)) + b.s*math.Log(j) + math.Log(2*zeta*(2*zeta+1)/(alpha*math.Pow(math.Log(b.eta), b.s)))
	k1, k2 := (math.Pow(b.eta, .25)+math.Pow(b.eta, -.25))/math.Sqrt2, (math.Sqrt(b.eta)+1)/2
	second := k2 * (1 - 2*p) / 3 * l
	return (b.delta*math.Sqrt(b.eta*t*variance/tOpt) + math.Sqrt(k1*k1*variance*t*l+second*second) + second) / n
}

// zetaOf is Riemann's zeta at s > 1, by the Euler-Maclaurin formula.
func zetaOf(s float64) float64 {
	const terms = 20
	sum, n := 0.0, float64(terms)
	for k := 1; k < terms; k++ {
		sum += math.Pow(float64(k), -s)
	}
	sum += math.Pow(n, 1-s)/(s-1) + math.Pow(n, -s)/2
	sum += s / 12 * math.Pow(n, -s-1)
	return sum - s*(s+1)*(s+2)/720*math.Pow(n, -s-3) + s*(s+1)*(s+2)*(s+3)*(s+4)/30240*math.Pow(n, -s-5)
}
