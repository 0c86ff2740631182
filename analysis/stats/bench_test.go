package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"streamcanary/windows"
)

// lognormal draws a histogram of n latencies of 20 ms in the median, times scale, about spread buckets wide on each side.
func lognormal(r *rand.Rand, n int, scale, sigma float64) []windows.Bucket {
	counts := map[int32]uint32{}
	for range n {
		counts[windows.BucketOf(20*scale*math.Exp(sigma*r.NormFloat64()))]++
	}
	return histOf(counts)
}

func BenchmarkTopK(b *testing.B) {
	for _, size := range []struct {
		n      int
		canary float64
	}{{1_000, 0.01}, {1_000, 0.5}, {100_000, 0.1}, {1_000_000, 0.1}, {1_000_000, 0.5}} {
		for _, ppm := range []int64{500_000, 10_000} {
			r := rand.New(rand.NewPCG(1, 1))
			canary := lognormal(r, int(float64(size.n)*size.canary), 1, 0.3)
			baseline := lognormal(r, size.n-int(float64(size.n)*size.canary), 1, 0.3)
			test := TopK{PPM: ppm, Shift: 17, Grid: FailOdds}
			inc := make([]float64, len(FailOdds))
			b.Run(fmt.Sprintf("buckets=%d/requests=%d/canary=%v/ppm=%d", len(baseline), size.n, size.canary, ppm), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					test.Increments(inc, canary, baseline)
				}
			})
		}
	}
}

func BenchmarkQuantileRatio(b *testing.B) {
	for _, size := range []struct {
		n      int
		canary float64
	}{{1_000, 0.01}, {1_000, 0.5}, {10_000, 0.5}, {100_000, 0.1}} {
		for _, ppm := range []int64{500_000, 10_000} {
			r := rand.New(rand.NewPCG(1, 1))
			canary := lognormal(r, int(float64(size.n)*size.canary), 1, 0.3)
			baseline := lognormal(r, size.n-int(float64(size.n)*size.canary), 1, 0.3)
			b.Run(fmt.Sprintf("buckets=%d/requests=%d/canary=%v/ppm=%d", len(baseline), size.n, size.canary, ppm), func(b *testing.B) {
				b.ReportAllocs()
				q := NewQuantileRatio(ppm)
				t := int64(0)
				for b.Loop() {
					q.Add(canary, baseline, StartWeight(t, 86_400), 1)
					t++
				}
			})
		}
	}
}

func BenchmarkRates(b *testing.B) {
	c := Counts{Nc: 100, Kc: 3, Nb: 9_900, Kb: 40}
	for _, phi := range []float64{1, 1.5} {
		inc := make([]float64, len(IncidentGrid))
		b.Run(fmt.Sprintf("Linear/points=8/phi=%v", phi), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Linear{Rho0: 1, Delta: 0.005, Side: 1, Grid: IncidentGrid}.Increments(inc, c, phi, phi)
			}
		})
		b.Run(fmt.Sprintf("Difference/phi=%v", phi), func(b *testing.B) {
			b.ReportAllocs()
			d := NewDifference()
			for b.Loop() {
				d.Add(c, phi, phi)
			}
		})
		b.Run(fmt.Sprintf("Ratio/phi=%v", phi), func(b *testing.B) {
			b.ReportAllocs()
			r := NewRatio()
			for b.Loop() {
				r.Add(c, phi, phi)
			}
		})
	}
}

func BenchmarkHighRates(b *testing.B) {
	c := Counts{Nc: 100, Kc: 33, Nb: 900, Kb: 260}
	test, inc := Bernoulli{Rho0: 1, Delta: 0.01, Side: 1, Grid: IncidentGrid}, make([]float64, len(IncidentGrid))
	linear := Linear{Rho0: 1, Delta: 0.01, Side: 1, Grid: IncidentGrid}
	b.Run("Bernoulli/points=8", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			test.Increments(inc, c, 0.3, 1.5)
		}
	})
	b.Run("block of Insured/points=8+8", func(b *testing.B) {
		b.ReportAllocs()
		rate, insured, more, t := NewBaselineRate(0.3), NewInsured(8, 8), make([]float64, 8), int64(0)
		for b.Loop() {
			test.Increments(inc, c, rate.Rate(), 1.5)
			linear.Increments(more, c, 1.5, 1.5)
			insured.Step(inc, more, StartWeight(t, 86_400))
			rate.Add(c.Nb, c.Kb)
			t++
		}
	})
}

func BenchmarkMeans(b *testing.B) {
	b.Run("Bounded/points=16", func(b *testing.B) {
		b.ReportAllocs()
		v, inc := Values{Samples{100, 30, 12}, Samples{900, 250, 110}}, make([]float64, BoundedPoints)
		for b.Loop() {
			Bounded{Rho0: 1, Delta: 0.01, Side: 1}.Increments(inc, v, 0.28, 1)
		}
	})
	b.Run("Mean/points=8", func(b *testing.B) {
		b.ReportAllocs()
		inc := make([]float64, len(MeanGrid))
		for b.Loop() {
			Mean{Rho0: 1, Delta: 0.01, Side: 1, Grid: MeanGrid}.Increments(inc, Means{100, 0.31, 900, 0.28}, 0.04)
		}
	})
	b.Run("LongRun", func(b *testing.B) {
		b.ReportAllocs()
		var l LongRun
		for b.Loop() {
			l.Add(Means{100, 0.31, 900, 0.28})
			l.Variance()
		}
	})
	b.Run("NormalMixture", func(b *testing.B) {
		b.ReportAllocs()
		n := NewNormalMixture(1)
		for b.Loop() {
			n.Add(0.03, 0.001, 90)
			n.Interval(0.05)
		}
	})
}

func BenchmarkEvidence(b *testing.B) {
	b.Run("Mixture/points=8", func(b *testing.B) {
		b.ReportAllocs()
		m, inc := NewMixture(8), []float64{0.1, -0.1, 0.2, -0.2, 0.1, 0, -0.3, -0.4}
		t := int64(0)
		for b.Loop() {
			m.Step(inc, StartWeight(t, 86_400))
			t++
		}
	})
	for _, gap := range []int64{1, 3_600, 1_000_000} {
		b.Run(fmt.Sprintf("StartSum/windows=%d", gap), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				StartSum(1_000, 1_000+gap, 86_400)
			}
		})
	}
	b.Run("SplitChange", func(b *testing.B) {
		b.ReportAllocs()
		s := NewSplitChange()
		for b.Loop() {
			s.Add(1_000, 100, 1e-6)
		}
	})
	b.Run("Interval/Difference", func(b *testing.B) {
		b.ReportAllocs()
		d := NewDifference()
		d.Add(Counts{Nc: 1e4, Kc: 120, Nb: 1e5, Kb: 1_000}, 1, 1)
		for b.Loop() {
			d.Interval(0.05)
		}
	})
	b.Run("Interval/Ratio", func(b *testing.B) {
		b.ReportAllocs()
		r := NewRatio()
		r.Add(Counts{Nc: 1e4, Kc: 120, Nb: 1e5, Kb: 1_000}, 1, 1)
		for b.Loop() {
			r.Interval(0.05)
		}
	})
	b.Run("EBH/segments=50", func(b *testing.B) {
		b.ReportAllocs()
		r, logE := rand.New(rand.NewPCG(2, 2)), make([]float64, 50)
		for i := range logE {
			logE[i] = AdjustMax(5 * r.ExpFloat64())
		}
		for b.Loop() {
			EBH(logE, 0.1)
		}
	})
}
