package stats

import "streamcanary/windows"

// rankTies sums up a block for the Mann-Whitney statistic: its excess, and what its ties are worth under any tilt.
//
// In a bucket that holds c of the canary and b of the baseline the order is drawn at random: it is a rankLaw of its own, of requests that
// are few against all. Where lambda (c+b) <= 1/4, its logarithm is
//
//	a_1 lambda^2 D_2 + a_2 lambda^4 D_4 + a_3 lambda^6 D_6 + a_4 lambda^8 D_8,  D_k = S_k(c+b) - S_k(c) - S_k(b),  S_k(n) = 1^k + … + n^k
//
// up to 2e-15 min(c, b), so that the D_k of all such buckets are added up once for every lambda. At most 20 buckets are larger.
type rankTies struct {
	n, m   int64
	excess float64 // as rankExcess
	powers [4]float64
	heavy  [maxHeavy][2]int64
	large  int
}

const (
	maxHeavy  = 32
	lightTilt = 0.25
)

// tiesOf walks up the block once; steepest is the greatest lambda (n+m+1) that worth will be asked for. It reports false when an arm
// is empty.
func (r *rankTies) tiesOf(canary, baseline []windows.Bucket, shift int, steepest float64) bool {
	*r = rankTies{n: total(canary), m: total(baseline)}
	if r.n == 0 || r.m == 0 {
		return false
	}
	light := int64(lightTilt / steepest * float64(r.n+r.m+1))
	if r.few(steepest) {
		light = 0
	}
	w := canaryWalk{canary: canary, baseline: baseline, shift: shift}
	for c, b, ok := w.next(); ok; c, b, ok = w.next() {
		r.excess += float64(c) * float64(2*w.below+b-r.m)
		switch {
		case b == 0:
		case c+b > light:
			r.heavy[r.large] = [2]int64{c, b}
			r.large++
		default:
			r.addLight(float64(c), float64(b))
		}
	}
	return true
}

// few reports whether there are so few requests that the terms of a rankLaw are added one by one: then all ties are kept as heavy.
func (r *rankTies) few(steepest float64) bool { return steepest > smallTilt*float64(r.n+r.m+1) }

// addLight adds D_2, D_4, D_6 and D_8 of a bucket: polynomials without differences of large numbers.
func (r *rankTies) addLight(c, b float64) {
	n, p := c+b, c*b
	d := p * (n + 1)
	q := n * (n + 1)
	r.powers[0] += d
	r.powers[1] += d * (q - p)
	r.powers[2] += d * (q*q - q/2 + p*(p-2*n*n-2.5*n))
	n2 := n * n
	r.powers[3] += d * (n2*n2*n2 + 3*n2*n2*n + (5*(n2*n2-n2*n)-2*(n2-n))/3 - p*(n*(9*n2*n+21*n2+7*n-7)-p*(10*n2+14*n)+3*p*p)/3)
}

// worth is the logarithm of the mean of e^(lambda U) over the order within ties, relative to that with ties one half.
func (r *rankTies) worth(l *rankLaw) float64 {
	y := l.lambda * l.lambda
	sum := y * (sinhcSeries[1]*r.powers[0] + y*(sinhcSeries[2]*r.powers[1]+y*(sinhcSeries[3]*r.powers[2]+y*sinhcSeries[4]*r.powers[3])))
	for _, h := range r.heavy[:r.large] {
		sum += l.log(h[0], h[1])
	}
	return sum
}
