package stats

import (
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"streamcanary/windows"
)

// histOf is the histogram with these counts per bucket.
func histOf(counts map[int32]uint32) []windows.Bucket {
	var hist []windows.Bucket
	for i, n := range counts {
		if n > 0 {
			hist = append(hist, windows.Bucket{Index: i, Count: n})
		}
	}
	slices.SortFunc(hist, func(a, b windows.Bucket) int { return int(a.Index) - int(b.Index) })
	return hist
}

// poisson draws a count.
func poisson(r *rand.Rand, mean float64) float64 {
	if mean <= 0 {
		return 0
	}
	return distuv.Poisson{Lambda: mean, Src: r}.Rand()
}

// binomial draws k of n.
func binomial(r *rand.Rand, n, p float64) float64 {
	if n == 0 || p <= 0 {
		return 0
	}
	return distuv.Binomial{N: n, P: p, Src: r}.Rand()
}

// negativeBinomial draws a count of variance phi times its mean.
func negativeBinomial(r *rand.Rand, mean, phi float64) float64 {
	if phi <= 1 || mean <= 0 {
		return poisson(r, mean)
	}
	return poisson(r, distuv.Gamma{Alpha: mean / (phi - 1), Beta: 1 / (phi - 1), Src: r}.Rand())
}

// binomialLimit is the 99.9 % point of Binomial(runs, p): a count above it is no accident.
func binomialLimit(runs int, p float64) int {
	law := distuv.Binomial{N: float64(runs), P: p}
	limit := 0
	for law.CDF(float64(limit)) < 0.999 {
		limit++
	}
	return limit
}
