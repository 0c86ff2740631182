package loadgen

import (
	"math"
	"math/rand/v2"
)

// LawKind names a distribution.
type LawKind uint8

// The distributions. A is a number of milliseconds, B a shape.
const (
	Fixed       LawKind = iota // always A
	Exponential                // mean A
	Uniform                    // between A and B milliseconds
	Lognormal                  // median A, sigma B
	Pareto                     // least value A, exponent B
)

// Cache says whether an answer came from a cache.
type Cache uint8

// What a part of a mixture says about the cache: nothing, a hit, a miss.
const (
	CacheUnsaid Cache = iota
	CacheHit
	CacheMiss
)

// A Law is a distribution of a non-negative number of milliseconds: a mixture of parts whose shares sum to 1.
// The zero Law has no parts, and is always 0.
type Law struct{ Parts []LawPart }

// A LawPart is one part of a mixture. With TailShare > 0 its largest TailShare follow a Pareto law of exponent TailExponent
// from the part's (1 - TailShare) quantile on.
type LawPart struct {
	Share        float64
	Kind         LawKind
	A, B         float64
	TailShare    float64
	TailExponent float64
	Cache        Cache

	cut float64 // where the tail begins
}

// maxDrawMs bounds every draw of a law: a longer one is cut to it.
const maxDrawMs = float64(MaxDuration / 1e6)

// tailQuantile is where a fault of the latency's tail begins.
const tailQuantile = 0.95

// dice is one stream of random numbers.
type dice struct {
	*rand.Rand
	pcg *rand.PCG
}

// newDice returns the stream of that number for a seed. Streams of different numbers are independent.
func newDice(seed, stream uint64) dice {
	pcg := rand.NewPCG(mix(seed), mix(stream^0x9e3779b97f4a7c15))
	return dice{Rand: rand.New(pcg), pcg: pcg}
}

// share draws from [0,1), without the interface call of rand.Rand.
func (d dice) share() float64 { return float64(d.pcg.Uint64()>>11) * 0x1p-53 }

// draw returns one value, and what its part says about the cache.
func (l *Law) draw(d dice) (float64, Cache) {
	if len(l.Parts) == 0 {
		return 0, CacheUnsaid
	}
	p := &l.Parts[0]
	if len(l.Parts) > 1 {
		u := d.share()
		for i := range l.Parts {
			p = &l.Parts[i]
			if u -= p.Share; u < 0 {
				break
			}
		}
	}
	return min(p.draw(d), maxDrawMs), p.Cache
}

func (p *LawPart) draw(d dice) float64 {
	if p.TailShare == 0 {
		return p.drawBody(d)
	}
	if d.share() < p.TailShare {
		return p.cut * math.Pow(1-d.share(), -1/p.TailExponent)
	}
	for {
		if x := p.drawBody(d); x <= p.cut {
			return x
		}
	}
}

func (p *LawPart) drawBody(d dice) float64 {
	switch p.Kind {
	case Exponential:
		return p.A * d.ExpFloat64()
	case Uniform:
		return p.A + (p.B-p.A)*d.share()
	case Lognormal:
		return p.A * math.Exp(p.B*d.NormFloat64())
	case Pareto:
		return p.A * math.Pow(1-d.share(), -1/p.B)
	}
	return p.A
}

// below is the distribution function: the share of values <= x.
func (l *Law) below(x float64) float64 {
	if len(l.Parts) == 0 {
		if x >= 0 {
			return 1
		}
		return 0
	}
	sum := 0.0
	for i := range l.Parts {
		sum += l.Parts[i].Share * l.Parts[i].below(x)
	}
	return sum
}

func (p *LawPart) below(x float64) float64 {
	if p.TailShare > 0 && x > p.cut {
		return 1 - p.TailShare*math.Pow(x/p.cut, -p.TailExponent)
	}
	switch {
	case p.Kind == Fixed:
		if x >= p.A {
			return 1
		}
		return 0
	case p.Kind == Uniform:
		return min(max((x-p.A)/(p.B-p.A), 0), 1)
	case x <= 0:
		return 0
	case p.Kind == Exponential:
		return -math.Expm1(-x / p.A)
	case p.Kind == Lognormal:
		return math.Erfc(-math.Log(x/p.A)/(p.B*math.Sqrt2)) / 2
	case x <= p.A:
		return 0
	}
	return 1 - math.Pow(x/p.A, -p.B)
}

// bodyQuantile is the value below which the share q of the part's values lies, tails left aside.
func (p *LawPart) bodyQuantile(q float64) float64 {
	switch p.Kind {
	case Exponential:
		return -p.A * math.Log1p(-q)
	case Uniform:
		return p.A + (p.B-p.A)*q
	case Lognormal:
		return p.A * math.Exp(p.B*math.Sqrt2*math.Erfinv(2*q-1))
	case Pareto:
		return p.A * math.Pow(1-q, -1/p.B)
	}
	return p.A
}

// settle computes where the part's tail begins. A part with a tail must be settled before it is used.
func (p *LawPart) settle() { p.cut = p.bodyQuantile(1 - p.TailShare) }

// quantile returns the least x with below(x) >= q, to a relative 1e-12, by bisection; +Inf where there is none
// below the longest draw.
func quantile(q float64, below func(float64) float64) float64 {
	if below(0) >= q {
		return 0
	}
	lo, hi := 0.0, maxDrawMs
	if below(hi) < q {
		return math.Inf(1)
	}
	for hi-lo > 1e-12*hi && hi > 1e-9 {
		mid := (lo + hi) / 2
		if lo > 0 && hi > 2*lo {
			mid = math.Sqrt(lo * hi)
		}
		if below(mid) >= q {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// sine is sin(2 pi x).
func sine(x float64) float64 { return math.Sin(2 * math.Pi * x) }

// mix is the finalizer of SplitMix64: a bijection of 64-bit numbers that scatters neighbours.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// shareOf turns 64 scattered bits into a number in [0,1).
func shareOf(bits uint64) float64 { return float64(bits>>11) * 0x1p-53 }
