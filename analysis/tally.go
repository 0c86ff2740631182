package analysis

import (
	"math"
	"slices"

	"streamcanary/windows"
)

// armTally is what one arm did over a stretch: exposures and events, and what share or quantile that makes.
type armTally struct {
	n, events int64
	value     float64 // share of events, or the quantile in the metric's unit; NaN where unknown
}

// estimate holds both arms side by side. The baseline's value is standardized: each block of it is weighted
// by the canary's exposures in that block, so that both values are of the same times of day and the same steps
// of a ramp; a plain pool would compare a canary of the evening with a baseline of the whole day.
type estimate [windows.Arms]armTally

// interval is a pair of bounds that hold at all times at once; ±Inf or NaN where there is none.
type interval struct{ lower, upper float64 }

// rateTally adds up blocks of a rate.
type rateTally struct {
	n, k     [windows.Arms]int64
	expected float64 // events the canary would have had at the baseline's rate of each block
}

func (t *rateTally) add(o rateTally) {
	for arm := range windows.Arms {
		t.n[arm] += o.n[arm]
		t.k[arm] += o.k[arm]
	}
	t.expected += o.expected
}

func rateOf(b *block) rateTally {
	t := rateTally{n: b.n, k: b.k}
	if b.n[windows.Baseline] > 0 {
		t.expected = float64(b.n[windows.Canary]) * float64(b.k[windows.Baseline]) / float64(b.n[windows.Baseline])
	}
	return t
}

func (t *rateTally) estimate() estimate {
	n := float64(t.n[windows.Canary])
	return estimate{
		windows.Baseline: {t.n[windows.Baseline], t.k[windows.Baseline], t.expected / n},
		windows.Canary:   {t.n[windows.Canary], t.k[windows.Canary], float64(t.k[windows.Canary]) / n},
	}
}

// alone is the same without standardizing: each arm's own share.
func (t *rateTally) alone() estimate {
	e := t.estimate()
	e[windows.Baseline].value = float64(t.k[windows.Baseline]) / float64(t.n[windows.Baseline])
	return e
}

// mass is one bucket with a real weight.
type mass struct {
	index  int32
	weight float64
}

// distTally adds up blocks of a distribution; k counts the events of an exact counter, where there is one.
type distTally struct {
	n, k [windows.Arms]int64
	hist [windows.Arms][]mass // the baseline's weighted by the canary's exposures per baseline exposure of its block
}

func (t *distTally) add(o distTally) {
	for arm := range windows.Arms {
		t.n[arm] += o.n[arm]
		t.k[arm] += o.k[arm]
		t.hist[arm] = mergeMass(t.hist[arm], o.hist[arm])
	}
}

// masses is the memory of a tally that isn't kept.
type masses [windows.Arms][]mass

// of is a block's tally: it is good until the memory is used again.
func (m *masses) of(b *block, standardize bool) distTally {
	for arm := range windows.Arms {
		each := 1.0
		if standardize && windows.Arm(arm) == windows.Baseline && b.n[arm] > 0 {
			each = float64(b.n[windows.Canary]) / float64(b.n[arm])
		}
		m[arm] = m[arm][:0]
		for _, bucket := range b.hist[arm].buckets {
			m[arm] = append(m[arm], mass{bucket.Index, float64(bucket.Count) * each})
		}
	}
	return distTally{n: b.n, k: b.k, hist: *m}
}

// since is the tally of a history from a block on: it is good until the memory is used again.
func (m *masses) since(h *history[distTally, *distTally], fromMs int64) distTally {
	var sum distTally
	for arm := range windows.Arms {
		sum.hist[arm] = m[arm][:0]
	}
	h.addSince(&sum, fromMs)
	*m = sum.hist
	return sum
}

// estimate reads the quantile q of both arms; an arm's events are its values above the bucket of the baseline's quantile.
func (t *distTally) estimate(q float64, s scale) estimate {
	var e estimate
	edge, known := int32(0), len(t.hist[windows.Baseline]) > 0
	if known {
		edge = massQuantile(t.hist[windows.Baseline], q)
	}
	for arm := range windows.Arms {
		e[arm] = armTally{n: t.n[arm], value: math.NaN()}
		if len(t.hist[arm]) > 0 {
			e[arm].value = s.middle(massQuantile(t.hist[arm], q))
		}
		if known {
			e[arm].events = massAbove(t.hist[arm], edge, t.n[arm])
		}
	}
	return e
}

// mergeMass adds a sorted list to another one, in that one's memory: first to what both have, which is most of it, and then, from the back, so that nothing is
// overwritten before it is read, what dst lacks.
func mergeMass(dst, add []mass) []mass {
	fresh, i := 0, 0
	for _, more := range add {
		for i < len(dst) && dst[i].index < more.index {
			i++
		}
		if i < len(dst) && dst[i].index == more.index {
			dst[i].weight += more.weight
		} else {
			fresh++
		}
	}
	i, j := len(dst)-1, len(add)-1
	dst = slices.Grow(dst, fresh)[:len(dst)+fresh]
	for at := len(dst) - 1; fresh > 0; at-- {
		if i < 0 || dst[i].index < add[j].index {
			dst[at] = add[j]
			j--
			fresh--
			continue
		}
		if dst[i].index == add[j].index {
			j--
		}
		dst[at] = dst[i]
		i--
	}
	return dst
}

// massQuantile is the bucket that holds the quantile q of a list that isn't empty: that of the K-th largest value, K the
// tail's share of all, as the rank test counts it.
func massQuantile(hist []mass, q float64) int32 {
	const rounding = 1e-9 // of sums of weights
	total := 0.0
	for _, m := range hist {
		total += m.weight
	}
	tail, above := (float64(tailPPM(q))/1e6-rounding)*total, 0.0
	for i := len(hist) - 1; i > 0; i-- {
		above += hist[i].weight
		if above >= tail {
			return hist[i].index
		}
	}
	return hist[0].index
}

// massAbove counts the values in buckets above one, of n in all.
func massAbove(hist []mass, index int32, n int64) int64 {
	above, total := 0.0, 0.0
	for _, m := range hist {
		total += m.weight
		if m.index > index {
			above += m.weight
		}
	}
	if total == 0 {
		return 0
	}
	return int64(math.Round(above / total * float64(n)))
}
