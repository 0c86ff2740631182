package stats

import (
	"fmt"

	"streamcanary/windows"
)

// Scores is by how much one part of a sample has more of a score than its share of it: what Dispersion.AddScores takes, of TailScores or RankScores.
//
// Claim. As these say. When. As these say. Cost: 24 bytes. Conventions: the zero value says nothing; NaN panics where it is added. Source: as these say.
type Scores struct {
	Excess   float64 // the part's sum, less its share of the sum of all
	Variance float64 // of that, where each value is the part's or the rest's at random
	Events   float64 // how many of the part's values tell of it
}

// TailScores is of being among the largest: ppm millionths of all values, ties in equal shares, as TopK counts them.
//
// Claim. Excess has mean 0 and variance Variance given the pool, where the values are dealt to the part and the rest at random, with these sizes (sampling without replacement). Events is the
// number of tail values, or of others if these are fewer, to expect in the part.
//
// When. Any values. It is a moment, and no test.
//
// Cost: two walks over both histograms, no allocation.
//
// Conventions: histograms ascend by index, ties within a bucket share what is left of the tail; zeros where the part or the rest is empty, or the tail rounds to no
// value or to all. ppm isn't looked at. Counts have no NaN.
//
// Source: the variance of a linear rank statistic (Hájek, Šidák and Sen, Theory of Rank Tests, 1999, section 3.3).
func TailScores(part, rest []windows.Bucket, ppm int64) Scores {
	n, m := total(part), total(rest)
	tail := tailCount(n+m, ppm)
	if n == 0 || m == 0 || tail == 0 || tail == n+m {
		return Scores{}
	}
	below := n + m - tail // values that have the score 0
	s := scoresOf(part, rest, n+m, func(before, count int64) float64 {
		switch {
		case before >= below:
			return 1
		case before+count <= below:
			return 0
		}
		return float64(before+count-below) / float64(count)
	})
	s.Events = float64(n) * float64(min(tail, below)) / float64(n+m)
	return s
}

// RankScores is of the rank among all values, from 0 to 1, ties in the middle: what Mallows and MannWhitney go by.
//
// Claim. As TailScores; Events is the number of values in the part.
//
// When. Any values. It is a moment, and no test.
//
// Cost: two walks over both histograms, no allocation.
//
// Conventions: histograms ascend by index; zeros where the part or the rest is empty, or all values tie. Counts have no NaN.
//
// Source: the variance of the rank-sum statistic with ties (Lehmann, Nonparametrics, 1975, section 1.4).
func RankScores(part, rest []windows.Bucket) Scores {
	n, m := total(part), total(rest)
	if n == 0 || m == 0 {
		return Scores{}
	}
	all := float64(n + m)
	s := scoresOf(part, rest, n+m, func(before, count int64) float64 { return (float64(before) + float64(count)/2) / all })
	s.Events = float64(n)
	return s
}

// scoresOf adds a score up, which depends on how many values lie below a bucket and how many in it.
func scoresOf(part, rest []windows.Bucket, all int64, score func(before, count int64) float64) Scores {
	var n, ours, sum, squares float64
	before := int64(0)
	for len(part) > 0 || len(rest) > 0 {
		var a, b int64
		switch {
		case len(rest) == 0 || len(part) > 0 && part[0].Index < rest[0].Index:
			a, part = int64(part[0].Count), part[1:]
		case len(part) == 0 || rest[0].Index < part[0].Index:
			b, rest = int64(rest[0].Count), rest[1:]
		default:
			a, b, part, rest = int64(part[0].Count), int64(rest[0].Count), part[1:], rest[1:]
		}
		x := score(before, a+b)
		n += float64(a)
		ours += float64(a) * x
		sum += float64(a+b) * x
		squares += float64(a+b) * x * x
		before += a + b
	}
	total := float64(all)
	spread := max(0, squares-sum*sum/total) / (total - 1)
	return Scores{Excess: ours - n*sum/total, Variance: n * (total - n) / total * spread}
}

// AddScores takes one window's, or one block's: what it measures is the dispersion of the score. Without variance it says nothing.
func (d *Dispersion) AddScores(s Scores) {
	if !(s.Variance >= 0 && s.Events >= 0) || s.Excess != s.Excess {
		panic(fmt.Sprintf("stats: dispersion of scores %+v", s))
	}
	if s.Variance == 0 {
		return
	}
	d.add([4]float64{s.Excess, s.Variance, 0, 0}, sizeContrast)
	d.expected += s.Events
}
