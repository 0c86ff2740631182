package certify

import "math"

// A noise says how the hits of one rate come about among the predictions of one calibration slice, or of the canary, in one window.
// Its mean is always n times the rate; its variance is phi times a binomial's (of rare hits).
type noise interface {
	// hits draws how many of n predictions are hits. cell names the slice, or the canary: noise that lasts is kept per cell and rate.
	hits(d dice, n int64, at place) int64
	// next is called after each window.
	next(d dice)
}

// place is where hits are drawn: which rate, in which cell, which is how large (its share of the baseline's traffic; of the canary, its
// size as a multiple of the baseline's).
type place struct {
	rate, cell int
	p, size    float64
}

// canaryCell is the cell of the canary; the baseline's are 0 to windows.Slices-1.
const canaryCell = 8

const (
	maxRates = 8
	cells    = canaryCell + 1
)

// independent predictions: binomial counts.
type independent struct{}

func (independent) hits(d dice, n int64, at place) int64 { return d.binomial(n, at.p) }
func (independent) next(dice)                            {}

// negativeBinomial noise is what R4 is exact for: phi is the same in every cell, whatever its size.
type negativeBinomial struct{ phi float64 }

func (b negativeBinomial) hits(d dice, n int64, at place) int64 {
	return min(n, d.negativeBinomial(float64(n)*at.p, b.phi))
}
func (negativeBinomial) next(dice) {}

// betaBinomial noise: predictions come in groups, say of one tenant, that share a chance of failing, drawn for each group and window:
// phi = 1 + (group-1) spread, where spread is the share of a group's variance that its chance makes.
type betaBinomial struct {
	group  int64
	spread float64
}

func (b betaBinomial) hits(d dice, n int64, at place) int64 {
	k, strength := int64(0), 1/b.spread-1
	for n > 0 {
		group := min(n, b.group)
		n -= group
		k += d.binomial(group, d.beta(at.p*strength, (1-at.p)*strength))
	}
	return k
}
func (betaBinomial) next(dice) {}

// wobble is noise that lasts: the rate of each cell swings around its mean by a log-normal factor whose logarithm is an AR(1) sequence, each cell and rate
// by itself. A cell's swing is the smaller the larger it is, like the mean of many small causes, so phi is the same at
// every size; or, with attached, it is the same for each cell: then a shard of the baseline of the canary's size, made of several
// slices, swings less than the canary, and the split can't see it all.
type wobble struct {
	spread   float64 // standard deviation of the logarithm, of a cell as large as the baseline
	keeps    float64 // correlation of one window with the next
	attached bool
	state    [maxRates][cells]float64
	begun    bool
}

func (w *wobble) hits(d dice, n int64, at place) int64 {
	if !w.begun {
		w.begun = true
		for r := range w.state {
			for c := range w.state[r] {
				w.state[r][c] = d.NormFloat64()
			}
		}
	}
	s := w.spread
	if !w.attached {
		s /= math.Sqrt(at.size)
	}
	return d.binomial(n, min(1, at.p*math.Exp(s*w.state[at.rate][at.cell]-s*s/2)))
}

func (w *wobble) next(d dice) {
	fresh := math.Sqrt(1 - w.keeps*w.keeps)
	for r := range w.state {
		for c := range w.state[r] {
			w.state[r][c] = w.keeps*w.state[r][c] + fresh*d.NormFloat64()
		}
	}
}
