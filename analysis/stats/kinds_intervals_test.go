package stats

import (
	"math"
	"math/rand/v2"

	"streamcanary/windows"
)

// What intervals register for TestConformance, beside those that stand with the tests that they invert.

// totals is a sequence of what its blocks add up to.
type totals[T any] struct {
	unplayed
	sum T
	add func(sum *T, block any)
	of  func(sum *T, alpha float64) (lower, upper float64)
}

func (s *totals[T]) take(b any, _ float64)                         { s.add(&s.sum, b) }
func (s *totals[T]) interval(alpha float64) (lower, upper float64) { return s.of(&s.sum, alpha) }

// valuesOf draws blocks of some units with so many equal values each, in [0, 1], few of them large, with this mean (at most 1/4).
func valuesOf(size int, mean float64) func(r *rand.Rand) func(int) any {
	return func(r *rand.Rand) func(int) any {
		return func(int) any {
			var s Samples
			for range 1 + r.IntN(40) {
				y, n := 4*mean*r.Float64()*r.Float64(), float64(size)
				s = Samples{s.N + n, s.Sum + n*y, s.Squares + n*y*y}
			}
			return s
		}
	}
}

func oddSamples() []any {
	var all []any
	for _, n := range []float64{1, 3, 1e12} {
		for _, y := range []float64{0, 1e-9, 0.5, 1} {
			all = append(all, Samples{n, n * y, n * y * y}, Samples{n, n * y, n * y})
		}
	}
	return all
}

// readings draws blocks of some readings with a deviation of 2 around this level.
func readings(level float64) func(r *rand.Rand) func(int) any {
	return func(r *rand.Rand) func(int) any {
		return func(int) any {
			n := float64(1 + r.IntN(9))
			return Level{N: n, Mean: level + 2/math.Sqrt(n)*r.NormFloat64()}
		}
	}
}

func init() {
	for name, size := range map[string]int{"independent": 1, "units of four": 4} {
		register(kind{
			name: "mean interval/" + name, file: "mean_interval.go", truth: 0.2,
			start: func() process {
				return &totals[Samples]{
					add: func(sum *Samples, b any) {
						s := b.(Samples)
						*sum = Samples{sum.N + s.N, sum.Sum + s.Sum, sum.Squares + s.Squares}
					},
					of: func(sum *Samples, alpha float64) (lower, upper float64) {
						return MeanInterval(*sum, float64(size), alpha)
					},
				}
			},
			null: valuesOf(size, 0.2), harm: valuesOf(size, 0.25),
			idle: []any{Samples{}}, edges: oddSamples(), anyOrder: true,
		})
	}
	register(kind{
		name: "level interval", file: "level.go", truth: 3,
		start: func() process {
			return &totals[Level]{
				sum: Level{Variance: 4, Tuned: 100},
				add: func(sum *Level, b any) {
					if l := b.(Level); l.N > 0 {
						sum.Mean = (sum.Mean*sum.N + l.Mean*l.N) / (sum.N + l.N)
						sum.N += l.N
					}
				},
				of: func(sum *Level, alpha float64) (lower, upper float64) { return LevelInterval(*sum, alpha) },
			}
		},
		null: readings(3), harm: readings(4),
		idle:  []any{Level{}, Level{Mean: 7}},
		edges: []any{Level{N: 1e-9, Mean: 1e9}, Level{N: 1e15, Mean: -1e9}, Level{N: 1}}, anyOrder: true,
	})
}

// effectSequence is one of the two intervals of a MeanEffect.
type effectSequence struct {
	unplayed
	*MeanEffect
	ratio bool
}

// newEffect has had the block that fixes its scale.
func newEffect(ratio bool) *effectSequence {
	e := &effectSequence{MeanEffect: NewMeanEffect(), ratio: ratio}
	e.Add(Means{12, 0.5, 60, 0.5}, hostVariance)
	return e
}

func (e *effectSequence) take(b any, _ float64) { e.Add(b.(gauges).arms, hostVariance) }

func (e *effectSequence) interval(alpha float64) (lower, upper float64) {
	if e.ratio {
		return e.Ratio(alpha)
	}
	return e.Difference(alpha)
}

// scaled is a world of hosts whose canary's mean is so many times the baseline's; its noise stays.
func scaled(factor float64) func(r *rand.Rand) func(int) any {
	return func(r *rand.Rand) func(int) any {
		next := hosts(0, 0)(r)
		return func(t int) any {
			g := next(t).(gauges)
			g.arms.Mc += (factor - 1) * (0.5 + 0.2*float64(t)/60)
			return g
		}
	}
}

func init() {
	idle := []any{gauges{arms: Means{0, 0, 60, 0.5}}, gauges{arms: Means{12, 0.5, 0, 0}}, gauges{}}
	register(kind{
		name: "mean effect/difference", file: "mean_effect.go", truth: 0.05, start: func() process { return newEffect(false) },
		null: hosts(0, 0.05), harm: hosts(0, 0.15), idle: idle, edges: oddGauges(), anyOrder: true,
	})
	register(kind{
		name: "mean effect/ratio", file: "mean_effect.go", truth: 1.2, start: func() process { return newEffect(true) },
		null: scaled(1.2), harm: scaled(1.5), idle: idle, edges: oddGauges(), anyOrder: true,
	})
}

// dispersed is a sequence of rates that takes both arms to be so noisy.
type dispersed struct {
	unplayed
	add   func(c Counts, phiC, phiB float64)
	phi   float64
	bound func(alpha float64) (lower, upper float64)
}

func (d *dispersed) take(b any, _ float64)                         { d.add(b.(Counts), d.phi, d.phi) }
func (d *dispersed) interval(alpha float64) (lower, upper float64) { return d.bound(alpha) }

func init() {
	const phi = 3
	rates := func(rho, delta float64) func(r *rand.Rand) func(int) any {
		return ratesOf(worldOfRates{size: 4000, rate: 0.01, rho: rho, delta: delta, phi: phi})
	}
	idle := []any{Counts{0, 0, 10, 1}, Counts{10, 1, 0, 0}, Counts{}}
	register(kind{
		name: "difference/dispersed, with a segment's bets", file: "difference.go", truth: 0.003,
		start: func() process {
			d := NewDifferenceOn(Grid(0.02, 3, 6))
			return &dispersed{add: d.Add, bound: d.Interval, phi: phi}
		},
		null: rates(1, 0.003), harm: rates(1, 0.02), idle: idle, edges: oddCounts(), anyOrder: true,
	})
	register(kind{
		name: "ratio/dispersed", file: "ratio.go", truth: 1.3,
		start: func() process {
			r := NewRatio()
			return &dispersed{add: r.Add, bound: r.Interval, phi: phi}
		},
		null: rates(1.3, 0), harm: rates(3, 0), idle: append(idle, Counts{10, 0, 10, 0}), edges: oddCounts(), anyOrder: true,
	})
}

// shares1000 are linear buckets of shares.
var shares1000 = windows.LinearBuckets{From: 0, To: 1, Count: 1000}

// scoresApart draws blocks of scores that rise over the run, the canary's by so much higher, its share rising from 2 % to 50 %; the highest lie beyond the buckets.
func scoresApart(by float64) func(r *rand.Rand) func(int) any {
	return func(r *rand.Rand) func(int) any {
		return func(t int) any {
			counts := [2]map[int32]uint32{{}, {}}
			for range 200 {
				arm, x := 0, 0.3+0.2*float64(t)/60+0.2*r.NormFloat64()
				if r.Float64() < ramp(t) {
					arm, x = 1, x+by
				}
				counts[arm][shares1000.BucketOf(x)]++
			}
			return arms{histOf(counts[1]), histOf(counts[0])}
		}
	}
}

// oddScores are the ends of the buckets, and what lies beyond them, each against each.
func oddScores() []any {
	var all []any
	of := func(x float64, n uint32) []windows.Bucket {
		return histOf(map[int32]uint32{shares1000.BucketOf(x): n})
	}
	for _, canary := range []float64{-1, 0, 0.5, 1, 2} {
		for _, baseline := range []float64{-1, 0, 0.5, 1, 2} {
			all = append(all, arms{of(canary, 1), of(baseline, 1)}, arms{of(canary, 5_000_000), of(baseline, math.MaxUint32)})
		}
	}
	return all
}

func init() {
	register(kind{
		name: "quantile ratio/scores", file: "quantile_ratio.go", truth: shiftRatio(20),
		start: func() process { return &quantileSequence{QuantileRatio: NewQuantileRatio(100_000).On(shares1000)} },
		null:  scoresApart(0.02), harm: scoresApart(0.12),
		idle: []any{arms{someHist, nil}, arms{nil, someHist}, arms{}}, edges: oddScores(),
	})
}

// repeatedZ is a wrong interval: that of one look at the difference of two rates, at 95 %, looked at after each block.
type repeatedZ struct {
	unplayed
	sums pooledZ
}

func (z *repeatedZ) take(b any, weight float64) { z.sums.take(b, weight) }

func (z *repeatedZ) interval(float64) (lower, upper float64) {
	c := z.sums.c
	pc, pb := c.Kc/c.Nc, c.Kb/c.Nb
	half := 1.96 * math.Sqrt(pc*(1-pc)/c.Nc+pb*(1-pb)/c.Nb)
	return pc - pb - half, pc - pb + half
}
