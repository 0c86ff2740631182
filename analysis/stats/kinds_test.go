package stats

import (
	"math"
	"math/rand/v2"

	"streamcanary/windows"
)

// What each kind registers for TestConformance.

func init() {
	linear := func(name string, l Linear, null, harm worldOfRates) {
		phi := max(1, null.phi)
		register(kind{
			name: "linear/" + name, file: "linear.go",
			start: func() process {
				return newKernel(len(l.Grid), func(dst []float64, b any) bool { return l.Increments(dst, b.(Counts), phi, phi) })
			},
			null:  ratesOf(null),
			harm:  ratesOf(harm),
			tiny:  [][]outcome{pairs(l, 3, 2, 0.01), pairs(l, 2, 3, 0.3)},
			idle:  []any{Counts{0, 0, 10, 1}, Counts{}},
			edges: append(oddCounts(), Counts{1e-9, 0, 1e-9, 5}), anyOrder: true,
		})
	}
	linear("difference", Linear{Rho0: 1, Delta: 0.005, Side: 1, Grid: IncidentGrid},
		worldOfRates{size: 2000, rate: 0.005, rho: 1, delta: 0.005}, worldOfRates{size: 2000, rate: 0.005, rho: 1, delta: 0.02})
	linear("ratio pass", Linear{Rho0: 0.98, Side: 1, Grid: EngagementGrid},
		worldOfRates{size: 8000, rate: 0.02, rho: 0.98}, worldOfRates{size: 8000, rate: 0.02, rho: 1.2})
	linear("tiny counts", Linear{Rho0: 1, Side: 1, Grid: IncidentGrid},
		worldOfRates{size: 40, rate: 0.02, rho: 1}, worldOfRates{size: 40, rate: 0.02, rho: 5})
	linear("dispersed", Linear{Rho0: 1, Side: 1, Grid: IncidentGrid},
		worldOfRates{size: 2000, rate: 0.01, rho: 1, phi: 3}, worldOfRates{size: 2000, rate: 0.01, rho: 2, phi: 3})
	linear("absolute limit", Linear{Delta: 0.01, Side: 1, Grid: IncidentGrid},
		worldOfRates{size: 2000, rate: 0.02, delta: 0.01}, worldOfRates{size: 2000, rate: 0.02, delta: 0.02})
}

// ratesOf draws the blocks of a world.
func ratesOf(w worldOfRates) func(r *rand.Rand) func(int) any {
	return func(r *rand.Rand) func(int) any {
		w := w
		w.r, w.blocks = r, 60
		return func(t int) any { return w.block(t) }
	}
}

// pairs enumerates a block of nc and nb events of which each is a hit by itself, on the boundary of l's null.
func pairs(l Linear, nc, nb int, pb float64) []outcome {
	var all []outcome
	baseline := binomialLaw(nb, pb)
	for kc, c := range binomialLaw(nc, l.Rho0*pb+l.Delta) {
		for kb, b := range baseline {
			all = append(all, outcome{math.Exp(c + b), Counts{float64(nc), float64(kc), float64(nb), float64(kb)}})
		}
	}
	return all
}

// arms is a block of histograms.
type arms struct{ canary, baseline []windows.Bucket }

// latencies draws blocks of lognormal latencies that double over the run, the canary factor times as slow, its share rising from 2 % to 50 %; one in
// fifty times out in either arm.
func latencies(size int, factor float64) func(r *rand.Rand) func(int) any {
	return func(r *rand.Rand) func(int) any {
		return func(t int) any {
			level := math.Exp2(float64(t) / 60)
			share := []float64{0.02, 0.1, 0.25, 0.5}[min(3, t/15)]
			var counts [2]map[int32]uint32
			counts[0], counts[1] = map[int32]uint32{}, map[int32]uint32{}
			for range size {
				arm, x := 0, 20*level*math.Exp(0.5*r.NormFloat64())
				if r.Float64() < share {
					arm, x = 1, x*factor
				}
				i := windows.BucketOf(x)
				if r.IntN(50) == 0 {
					i = windows.TopBucket
				}
				counts[arm][i]++
			}
			return arms{histOf(counts[1]), histOf(counts[0])}
		}
	}
}

// labelings enumerates which 2 of 5 requests, with ties, are the canary's.
func labelings() []outcome {
	values := []int32{3, 7, 7, 9, windows.TopBucket}
	var all []outcome
	for i := range values {
		for j := range i {
			counts := [2]map[int32]uint32{{}, {}}
			for k, v := range values {
				arm := 0
				if k == i || k == j {
					arm = 1
				}
				counts[arm][v]++
			}
			all = append(all, outcome{0.1, arms{histOf(counts[1]), histOf(counts[0])}})
		}
	}
	return all
}

var (
	someHist = []windows.Bucket{{Index: 5, Count: 3}, {Index: 9, Count: 1}}
	endHist  = []windows.Bucket{{Index: windows.ZeroBucket, Count: 3}, {Index: windows.TopBucket, Count: 5_000_000}}
)

// oddArms are blocks of every sort of histogram that ingest lets through, each held against each: the ends, the least and the greatest number there is, one value and
// as many as there can be, all alike and none alike.
func oddArms() []any {
	full := func(from, step int32, n int, count uint32) (hist []windows.Bucket) {
		for i := range int32(n) {
			hist = append(hist, windows.Bucket{Index: from + step*i, Count: count})
		}
		return hist
	}
	least, greatest := windows.BucketOf(math.SmallestNonzeroFloat64), windows.BucketOf(math.MaxFloat64)
	hists := [][]windows.Bucket{
		nil, someHist, endHist, full(windows.ZeroBucket, 1, 1, 1), full(windows.TopBucket, 1, 1, 1), full(least, 1, 1, 1), full(greatest, 1, 1, 1),
		full(7, 1, 1, math.MaxUint32), full(-300, 1, 200, math.MaxUint32), full(least, 1000, int(greatest-least)/1000, 1),
		{{Index: windows.ZeroBucket, Count: math.MaxUint32}, {Index: least, Count: 1}, {Index: greatest, Count: 1}, {Index: windows.TopBucket, Count: math.MaxUint32}},
	}
	var all []any
	for _, canary := range hists {
		for _, baseline := range hists {
			all = append(all, arms{canary, baseline})
		}
	}
	return all
}

func init() {
	topK := func(name string, test TopK, factor, worse float64) {
		tiny := test
		tiny.Shift, tiny.PPM = 0, 400_000
		for _, k := range []struct {
			name string
			test TopK
			tiny [][]outcome
		}{{name, test, nil}, {name + " tiny", tiny, [][]outcome{labelings()}}} {
			factor, size := factor, 300
			if k.tiny != nil {
				factor, size = 1, 60
			} else {
				k.tiny = [][]outcome{{{1, arms{someHist, nil}}}}
			}
			register(kind{
				name: "topk/" + k.name, file: "topk.go",
				start: func() process {
					return newKernel(len(k.test.Grid), func(dst []float64, b any) bool { return k.test.Increments(dst, b.(arms).canary, b.(arms).baseline) })
				},
				null:  latencies(size, factor),
				harm:  latencies(size, factor*worse),
				tiny:  k.tiny,
				idle:  []any{arms{someHist, nil}, arms{nil, someHist}, arms{}},
				edges: oddArms(), anyOrder: true,
			})
		}
	}
	topK("fail", TopK{20_000, 17, FailOdds}, shiftRatio(17), 2.5)
	topK("pass", TopK{100_000, 16, PassOdds}, shiftRatio(16), 0.5)
	register(kind{
		name: "quantile ratio", file: "quantile_ratio.go", truth: shiftRatio(20),
		start: func() process { return &quantileSequence{QuantileRatio: NewQuantileRatio(100_000)} },
		null:  latencies(200, shiftRatio(20)),
		harm:  latencies(200, 1.8*shiftRatio(20)),
		idle:  []any{arms{someHist, nil}, arms{nil, someHist}, arms{}},
		edges: oddArms(),
	})
}

type quantileSequence struct {
	unplayed
	*QuantileRatio
}

func (q *quantileSequence) take(b any, weight float64) {
	q.Add(b.(arms).canary, b.(arms).baseline, weight, 1)
}
func (q *quantileSequence) interval(alpha float64) (lower, upper float64) { return q.Interval(alpha) }

func init() {
	rates := func(rho, delta float64) func(r *rand.Rand) func(int) any {
		return func(r *rand.Rand) func(int) any {
			w := worldOfRates{r: r, size: 4000, rate: 0.01, rho: rho, delta: delta, blocks: 60}
			return func(t int) any { return w.block(t) }
		}
	}
	idle := []any{Counts{0, 0, 10, 1}, Counts{10, 1, 0, 0}, Counts{}}
	register(kind{
		name: "difference", file: "difference.go", truth: 0.003,
		start: func() process { return &differenceSequence{Difference: NewDifference()} },
		null:  rates(1, 0.003), harm: rates(1, 0.02), idle: idle, edges: oddCounts(), anyOrder: true,
	})
	register(kind{
		name: "ratio", file: "ratio.go", truth: 1.3,
		start: func() process { return &ratioSequence{Ratio: NewRatio()} },
		null:  rates(1.3, 0), harm: rates(2, 0), idle: append(idle, Counts{10, 0, 10, 0}), edges: oddCounts(), anyOrder: true,
	})
}

type differenceSequence struct {
	unplayed
	*Difference
}

func (d *differenceSequence) take(b any, _ float64)                         { d.Add(b.(Counts), 1, 1) }
func (d *differenceSequence) interval(alpha float64) (lower, upper float64) { return d.Interval(alpha) }

type ratioSequence struct {
	unplayed
	*Ratio
}

func (s *ratioSequence) take(b any, _ float64)                         { s.Add(b.(Counts), 1, 1) }
func (s *ratioSequence) interval(alpha float64) (lower, upper float64) { return s.Interval(alpha) }

// units is a block of units, or of requests: n of them, k on the canary (or beyond the limit), the share that was planned.
type units struct{ n, k, share float64 }

// shares enumerates n units, each on the canary with this chance.
func shares(n int, share float64) []outcome {
	var all []outcome
	for k, log := range binomialLaw(n, share) {
		all = append(all, outcome{math.Exp(log), units{float64(n), float64(k), share}})
	}
	return all
}

// ramp is a share that rises from 1 % to 50 %.
func ramp(t int) float64 { return []float64{0.01, 0.05, 0.25, 0.5}[min(3, t/15)] }

// always is a share that stays.
func always(share float64) func(int) float64 { return func(int) float64 { return share } }

// sights draws blocks of a few hundred units at a share, times off what was planned.
func sights(share func(t int) float64, off float64) func(r *rand.Rand) func(int) any {
	return func(r *rand.Rand) func(int) any {
		return func(t int) any {
			n := float64(r.IntN(400))
			return units{n, binomial(r, n, off*share(t)), share(t)}
		}
	}
}

func init() {
	register(kind{
		name: "split", file: "split.go",
		start: func() process {
			return newKernel(SplitTilts, func(dst []float64, b any) bool {
				u := b.(units)
				SplitIncrements(dst, u.n, u.k, u.share)
				return true
			})
		},
		null: sights(ramp, 1), harm: sights(ramp, 0.7), tiny: [][]outcome{shares(5, 0.1), shares(3, 0.5)},
		idle:  []any{units{0, 0, 0.5}},
		edges: []any{units{1, 1, 0.001}, units{1e9, 0, 0.5}, units{1e9, 1e9, 0.999}}, anyOrder: true,
	})
	register(kind{
		name: "split change", file: "split_change.go",
		start: func() process { return &changeProcess{SplitChange: NewSplitChange()} },
		null:  sights(always(0.1), 1), harm: sights(ramp, 1), tiny: [][]outcome{shares(5, 0.1), shares(3, 0.5), shares(4, 0)},
		idle:  []any{units{}},
		edges: []any{units{1, 1, 0}, units{1e9, 0, 0}, units{1e9, 1e9, 0}, units{2e9, 1e9, 0}},
	})
	register(kind{
		name: "split break", file: "split_break.go",
		start: func() process { return &breakProcess{SplitBreak: NewSplitBreak(20)} },
		null:  sights(always(0.1), 1), harm: sights(ramp, 1), tiny: [][]outcome{shares(5, 0.1), shares(3, 0.5), shares(4, 0)},
		idle:  []any{units{}},
		edges: []any{units{1, 1, 0}, units{1e9, 0, 0}, units{1e9, 1e9, 0}, units{2e9, 1e9, 0}},
	})
	tilt := func(name string, grid []float64, worse float64) {
		register(kind{
			name: "tilt/" + name, file: "tilt.go",
			start: func() process {
				return newKernel(len(grid), func(dst []float64, b any) bool {
					Tilt{0.1, grid}.Increments(dst, b.(units).n, b.(units).k)
					return true
				})
			},
			null: sights(always(0.1), 1), harm: sights(always(0.1), worse), tiny: [][]outcome{shares(6, 0.1)},
			idle:  []any{units{}},
			edges: []any{units{1, 1, 0}, units{1e9, 0, 0}, units{1e9, 1e9, 0}}, anyOrder: true,
		})
	}
	tilt("fail", FailOdds, 1.5)
	tilt("pass", PassOdds, 0.6)
	silence := func(left float64) func(r *rand.Rand) func(int) any {
		return func(r *rand.Rand) func(int) any {
			return func(t int) any {
				share, rate := ramp(t), 300*(1+float64(t%20)/10)
				return Counts{share, negativeBinomial(r, left*rate*share, 2), 1 - share, negativeBinomial(r, rate*(1-share), 2)}
			}
		}
	}
	register(kind{
		name: "missing", file: "missing.go",
		start: func() process {
			return newKernel(1, func(dst []float64, b any) bool {
				dst[0] = MissingIncrement(b.(Counts), 2)
				return true
			})
		},
		null: silence(1), harm: silence(0.02),
		tiny:  [][]outcome{sizes(0.3, 1.5), sizes(0.05, 1)},
		idle:  []any{Counts{0.3, 0, 0.7, 0}, Counts{0, 0, 1, 50}, Counts{1, 50, 0, 0}},
		edges: []any{Counts{1e-6, 0, 1, 1e9}, Counts{0.5, 1e9, 0.5, 0}, Counts{0.999, 0, 0.001, 1}}, anyOrder: true,
	})
}

// sizes enumerates clumped counts of events of two arms at a planned share.
func sizes(share, phi float64) []outcome {
	var all []outcome
	baseline := negativeBinomialLaw(2*(1-share), phi)[:25]
	for kc, c := range negativeBinomialLaw(2*share, phi)[:25] {
		for kb, b := range baseline {
			if chance := math.Exp(c + b); chance > 1e-13 {
				all = append(all, outcome{chance, Counts{share, float64(kc), 1 - share, float64(kb)}})
			}
		}
	}
	return all
}

type changeProcess struct {
	*SplitChange
	most float64
}

func (c *changeProcess) take(b any, weight float64) {
	c.Add(b.(units).n, b.(units).k, weight)
	c.most = max(c.most, c.LogE())
}
func (c *changeProcess) logE() float64   { return c.LogE() }
func (c *changeProcess) logMax() float64 { return c.most }

type breakProcess struct {
	*SplitBreak
	most float64
}

func (c *breakProcess) take(b any, _ float64) {
	c.Add(b.(units).n, b.(units).k)
	c.most = max(c.most, c.LogE())
}
func (c *breakProcess) logE() float64   { return c.LogE() }
func (c *breakProcess) logMax() float64 { return c.most }
