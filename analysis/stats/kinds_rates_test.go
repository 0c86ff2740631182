package stats

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"
)

// What the rate and mean kernels of blocks with a plug-in or a variance register for TestConformance.

// oddCounts are blocks of every size that ingest lets through, with no, one, half and all events.
func oddCounts() []any {
	var all []any
	sizes := []float64{0, 1, 7, 1e6, 1e12}
	events := func(n float64) []float64 { return []float64{0, min(1, n), math.Floor(n / 2), n} }
	for _, nc := range sizes {
		for _, nb := range sizes {
			for i, kc := range events(nc) {
				for _, kb := range events(nb)[i%2:] {
					all = append(all, Counts{nc, kc, nb, kb})
				}
			}
		}
	}
	return all
}

// plugged is a kernel that needs the baseline's rate as it was before the block.
func plugged(b Bernoulli, phi float64) func() process {
	return func() process {
		rate := NewBaselineRate(0.3)
		return newKernel(len(b.Grid), func(dst []float64, block any) bool {
			c := block.(Counts)
			took := b.Increments(dst, c, rate.Rate(), phi)
			rate.Add(c.Nb, c.Kb)
			return took
		})
	}
}

// clumped draws blocks in which a unit's events, up to size of them, share their outcome.
func clumped(w worldOfRates, size int) func(r *rand.Rand) func(int) any {
	return func(r *rand.Rand) func(int) any {
		w := w
		w.r, w.blocks = r, 60
		return func(t int) any {
			units := w.block(t)
			clump := func(n, k float64) (events, hits float64) {
				for i := range int(n) {
					m := float64(1 + r.IntN(size))
					events += m
					if float64(i) < k {
						hits += m
					}
				}
				return events, hits
			}
			var c Counts
			c.Nc, c.Kc = clump(units.Nc, units.Kc)
			c.Nb, c.Kb = clump(units.Nb, units.Kb)
			return c
		}
	}
}

// twins enumerates a block of pairs of events that share their outcome: nc and nb pairs, on the boundary.
func twins(l Linear, nc, nb int, pb float64) []outcome {
	all := pairs(l, nc, nb, pb)
	for i := range all {
		c := all[i].block.(Counts)
		all[i].block = Counts{2 * c.Nc, 2 * c.Kc, 2 * c.Nb, 2 * c.Kb}
	}
	return all
}

func init() {
	bernoulli := func(name string, b Bernoulli, null, harm worldOfRates) {
		l := Linear{Rho0: b.Rho0, Delta: b.Delta}
		register(kind{
			name: "bernoulli/" + name, file: "bernoulli.go", start: plugged(b, 1),
			null: ratesOf(null), harm: ratesOf(harm),
			tiny:  [][]outcome{pairs(l, 3, 2, 0.15), pairs(l, 2, 3, 0.6)},
			idle:  []any{Counts{0, 0, 10, 1}, Counts{}},
			edges: oddCounts(),
		})
	}
	bernoulli("no margin", Bernoulli{Rho0: 1, Side: 1, Grid: IncidentGrid},
		worldOfRates{size: 800, rate: 0.2, rho: 1}, worldOfRates{size: 800, rate: 0.2, rho: 1.3})
	bernoulli("relative drop", Bernoulli{Rho0: 0.95, Side: -1, Grid: EngagementGrid},
		worldOfRates{size: 800, rate: 0.3, rho: 0.95}, worldOfRates{size: 2000, rate: 0.3, rho: 0.8})
	bernoulli("absolute drop", Bernoulli{Rho0: 1, Delta: -0.05, Side: -1, Grid: IncidentGrid},
		worldOfRates{size: 800, rate: 0.2, rho: 1, delta: -0.05}, worldOfRates{size: 2000, rate: 0.2, rho: 1, delta: -0.12})
	bernoulli("absolute limit", Bernoulli{Delta: 0.3, Side: 1, Grid: IncidentGrid},
		worldOfRates{size: 200, rate: 0.1, delta: 0.3}, worldOfRates{size: 2000, rate: 0.1, delta: 0.4})
	units, few := worldOfRates{size: 200, rate: 0.2, rho: 1}, worldOfRates{size: 800, rate: 0.2, rho: 1.4}
	register(kind{
		name: "bernoulli/units of three", file: "bernoulli.go", start: plugged(Bernoulli{Rho0: 1, Side: 1, Grid: IncidentGrid}, 3),
		null: clumped(units, 3), harm: clumped(few, 3),
		tiny:  [][]outcome{twins(Linear{Rho0: 1}, 3, 2, 0.2), twins(Linear{Rho0: 1}, 1, 4, 0.5)},
		idle:  []any{Counts{}},
		edges: oddCounts(),
	})
	register(kind{
		name: "insured", file: "insured.go", start: newInsuredProcess,
		null: ratesOf(worldOfRates{size: 800, rate: 0.2, rho: 1}), harm: ratesOf(worldOfRates{size: 800, rate: 0.2, rho: 1.3}),
		tiny:  [][]outcome{pairs(Linear{Rho0: 1}, 3, 2, 0.15), pairs(Linear{Rho0: 1}, 2, 3, 0.6)},
		idle:  []any{Counts{0, 0, 10, 1}, Counts{}},
		edges: oddCounts(),
	})
}

func init() {
	exposures := func(difference float64) func(r *rand.Rand) func(int) any {
		return func(r *rand.Rand) func(int) any {
			next := perExposure(r, [2]float64{5 + difference, 5}, 0.5)
			return func(t int) any { return next(t) }
		}
	}
	register(kind{
		name: "difference/exposures", file: "difference.go", truth: 3,
		start: func() process { return &differenceSequence{Difference: NewExposureDifference()} },
		null:  exposures(3), harm: exposures(0),
		idle: []any{Counts{0, 0, 10, 1}, Counts{10.5, 100, 0, 0}}, edges: append(oddCounts(), Counts{0.01, 50, 0.3, 7}), anyOrder: true,
	})
}

// insuredProcess is the test of a high rate as a guardrail has it.
type insuredProcess struct {
	*Insured
	block        Bernoulli
	linear       Linear
	rate         *BaselineRate
	incR2, incR1 []float64
}

func newInsuredProcess() process {
	return &insuredProcess{
		Insured: NewInsured(len(IncidentGrid), len(IncidentGrid)), rate: NewBaselineRate(0.3),
		block: Bernoulli{Rho0: 1, Side: 1, Grid: IncidentGrid}, linear: Linear{Rho0: 1, Side: 1, Grid: IncidentGrid},
		incR2: make([]float64, len(IncidentGrid)), incR1: make([]float64, len(IncidentGrid)),
	}
}

func (p *insuredProcess) take(b any, weight float64) {
	c, q := b.(Counts), p.rate.Rate()
	p.rate.Add(c.Nb, c.Kb)
	if !p.linear.Increments(p.incR1, c, 1, 1) {
		return
	}
	inc := p.incR2
	if !p.block.Increments(inc, c, q, 1) {
		inc = nil
	}
	p.Step(inc, p.incR1, weight)
}
func (p *insuredProcess) logE() float64   { return p.LogE() }
func (p *insuredProcess) logMax() float64 { return p.LogMax() }

// shades draws blocks of values in [0, 1] whose level drifts, the canary's mean higher by delta.
func shades(delta float64) func(r *rand.Rand) func(int) any {
	return func(r *rand.Rand) func(int) any {
		return func(t int) any {
			var v Values
			level := 0.25 + 0.1*float64(t)/60
			draw := func(s *Samples, n int, mean float64) {
				for range n {
					y := 0.0
					if r.Float64() < 0.8 { // the others are 0
						y = mean/0.8 + 0.1*(r.Float64()-0.5)
					}
					s.N, s.Sum, s.Squares = s.N+1, s.Sum+y, s.Squares+y*y
				}
			}
			share := []int{2, 10, 20, 30}[min(3, t/15)]
			draw(&v.Canary, share, level+delta)
			draw(&v.Baseline, 60-share, level)
			return v
		}
	}
}

// dice enumerates a block of three-valued samples: one of the canary and two of the baseline, whose mean is less by delta.
func dice(delta float64) []outcome {
	type face struct{ chance, y float64 }
	die := func(mean float64) []face { // mean = 0.4 + p, with p of the rest at 1
		top := mean - 0.25
		return []face{{0.5, 0.5}, {top, 1}, {0.5 - top, 0}}
	}
	add := func(s Samples, y float64) Samples { return Samples{s.N + 1, s.Sum + y, s.Squares + y*y} }
	var all []outcome
	for _, a := range die(0.4 + delta) {
		for _, b := range die(0.5) {
			for _, c := range die(0.3) {
				all = append(all, outcome{
					a.chance * b.chance * c.chance,
					Values{add(Samples{}, a.y), add(add(Samples{}, b.y), c.y)},
				})
			}
		}
	}
	return all
}

func init() {
	bounded := func(name string, b Bounded, null, harm float64) {
		register(kind{
			name: "bounded/" + name, file: "bounded.go",
			start: func() process {
				mean := NewBaselineMean(0.3)
				return newKernel(BoundedPoints, func(dst []float64, block any) bool {
					v := block.(Values)
					took := b.Increments(dst, v, mean.Mean(), 1)
					mean.Add(v.Baseline)
					return took
				})
			},
			null: shades(null), harm: shades(harm),
			tiny:  [][]outcome{dice(null)},
			idle:  []any{Values{Canary: Samples{3, 1, 1}, Baseline: Samples{}}, Values{}},
			edges: oddValues(),
		})
	}
	bounded("above", Bounded{Rho0: 1, Delta: 0.05, Side: 1}, 0.05, 0.2)
	bounded("below", Bounded{Rho0: 1, Delta: -0.05, Side: -1}, -0.05, -0.18)
}

func oddValues() []any {
	var all []any
	for _, nc := range []float64{0, 1, 1e9} {
		for _, nb := range []float64{0, 1, 1e9} {
			for _, y := range []float64{0, 1e-9, 0.5, 1} {
				all = append(all, Values{Samples{nc, nc * y, nc * y * y}, Samples{nb, nb * (1 - y), nb * (1 - y)}})
			}
		}
	}
	return all
}

// gauges is a block of a gauge: the arms, and two parts of the baseline.
type gauges struct{ arms, parts Means }

// hosts draws blocks of a gauge of two canary and ten baseline hosts, whose level wobbles: each host by itself, slowly, its correlation
// from block to block rho. The canary's mean is higher by delta.
func hosts(rho, delta float64) func(r *rand.Rand) func(int) any {
	return func(r *rand.Rand) func(int) any {
		var level [12]float64
		for h := range level {
			level[h] = 0.05 * r.NormFloat64()
		}
		return func(t int) any {
			var at [12]float64
			for h := range level {
				level[h] = rho*level[h] + math.Sqrt(1-rho*rho)*0.05*r.NormFloat64()
				at[h] = 0.5 + 0.2*float64(t)/60 + level[h] + 0.04*r.NormFloat64()
			}
			mean := func(hosts []float64) float64 {
				sum := 0.0
				for _, x := range hosts {
					sum += x
				}
				return sum / float64(len(hosts))
			}
			return gauges{Means{12, mean(at[:2]) + delta, 60, mean(at[2:])}, Means{12, mean(at[2:4]), 48, mean(at[4:])}}
		}
	}
}

// skewed enumerates a block whose contrast has mean 0, the given sizes and a variance of (1/nc + 1/nb), and is nearly always the same.
func skewed(nc, nb, chance float64) []outcome {
	sd := math.Sqrt(1/nc + 1/nb)
	up := sd * math.Sqrt((1-chance)/chance)
	down := -sd * math.Sqrt(chance/(1-chance))
	block := func(d float64) any { return gauges{arms: Means{nc, d, nb, 0}} }
	return []outcome{{chance, block(up)}, {1 - chance, block(down)}}
}

func oddGauges() []any {
	var all []any
	for _, nc := range []float64{0, 1, 1e12} {
		for _, nb := range []float64{0, 1, 1e12} {
			for _, mean := range []float64{-1e9, -1, 0, 1e-9, 1e9} {
				all = append(all, gauges{arms: Means{nc, mean, nb, -mean}})
			}
		}
	}
	return all
}

func init() {
	// The enumerated contrasts have a variance of 1.
	mean := func(name string, side int, variance float64, tiny [][]outcome) {
		register(kind{
			name: "mean/" + name, file: "mean.go",
			start: func() process {
				return newKernel(len(MeanGrid), func(dst []float64, b any) bool {
					return Mean{Rho0: 1, Side: side, Grid: MeanGrid}.Increments(dst, b.(gauges).arms, variance)
				})
			},
			null: hosts(0, 0), harm: hosts(0, float64(side)),
			tiny:  tiny,
			idle:  []any{gauges{arms: Means{0, 0, 60, 0.5}}, gauges{arms: Means{12, 0.5, 0, 0}}, gauges{}},
			edges: oddGauges(), anyOrder: true,
		})
	}
	point := [][]outcome{{{1, gauges{arms: Means{1, 0, 1, 0}}}}}
	laws := [][]outcome{
		skewed(10, 90, 0.001), skewed(10, 90, 0.5), skewed(10, 90, 0.999), skewed(1e4, 1e6, 0.02), skewed(1, 1, 0.05),
	}
	mean("above", 1, hostVariance, point)
	mean("below", -1, hostVariance, point)
	mean("above, any law", 1, 1, laws)
	mean("below, any law", -1, 1, laws)
	register(kind{
		name: "mean/long run", file: "mean.go",
		start: func() process {
			var longRun LongRun
			return newKernel(len(MeanGrid), func(dst []float64, b any) bool {
				variance := longRun.Variance()
				longRun.Add(b.(gauges).parts)
				return Mean{Rho0: 1, Side: 1, Grid: MeanGrid}.Increments(dst, b.(gauges).arms, variance)
			})
		},
		null: hosts(0.8, 0), harm: hosts(0, 0.2),
		tiny:  [][]outcome{{{1, gauges{arms: Means{1, 1, 1, 0}}}}},
		idle:  []any{gauges{}},
		edges: oddGauges(),
	})
	register(kind{
		name: "normal mixture/interval", file: "normal.go", truth: 0,
		start: func() process { return &normalSequence{normalProcess: newNormalProcess()} },
		null:  hosts(0, 0), harm: hosts(0, 0.1),
		idle:  []any{gauges{}},
		edges: oddGauges(), anyOrder: true,
	})
	register(kind{
		name: "normal mixture/above", file: "normal.go",
		start: func() process { return newNormalProcess() },
		null:  hosts(0, 0), harm: hosts(0, 0.1),
		tiny:  [][]outcome{normals(1), normals(3)},
		idle:  []any{gauges{}},
		edges: oddGauges(), anyOrder: true,
	})
}

// normals stands for a block whose contrast is normal with the hosts' variance, by its values at the middles of many equally likely parts.
func normals(size float64) []outcome {
	const parts = 400
	sd := math.Sqrt(hostVariance * 2 / size)
	var all []outcome
	for i := range parts {
		d := sd * distuv.UnitNormal.Quantile((float64(i)+0.5)/parts)
		all = append(all, outcome{1. / parts, gauges{arms: Means{size, d, size, 0}}})
	}
	return all
}

// hostVariance is of one of the six samples of a host, so that their mean has the host's: 0.05² + 0.04².
const hostVariance = 6 * 0.0041

// normalProcess takes the hosts' noise as it is.
type normalProcess struct {
	*NormalMixture
	most float64
}

func newNormalProcess() *normalProcess {
	return &normalProcess{NormalMixture: NewNormalMixture(MixtureScale(0.05, 10*60*hostVariance))}
}

func (n *normalProcess) take(b any, _ float64) {
	a := b.(gauges).arms
	if a.Nc == 0 || a.Nb == 0 {
		return
	}
	n.Add(a.Mc-a.Mb, hostVariance*(1/a.Nc+1/a.Nb), a.Nc*(a.Nb/(a.Nc+a.Nb)))
	n.most = max(n.most, n.LogE(1))
}
func (n *normalProcess) logE() float64   { return n.LogE(1) }
func (n *normalProcess) logMax() float64 { return n.most }

type normalSequence struct{ *normalProcess }

func (n *normalSequence) logE() float64                                 { return 0 }
func (n *normalSequence) logMax() float64                               { return 0 }
func (n *normalSequence) interval(alpha float64) (lower, upper float64) { return n.Interval(alpha) }
