package analysis

import (
	"math"
	"math/rand/v2"
	"slices"

	"streamcanary/windows"
)

// A world makes sealed windows with a known truth: what the simulations judge.
type world struct {
	random   *rand.Rand
	requests int                 // expected in a window
	share    func(t int) float64 // the canary's
	drift    func(t int) float64 // factor of rates and latencies of both arms
	rates    [2]float64          // of errors, of timeouts, before drift
	plus     [2]float64          // the canary's, on top, after drift
	slower   float64             // the canary's latency, as a factor
	roundMs  float64             // 0: not rounded
	users    []int64             // errors and timeouts come by users with as many predictions each in a window as is drawn from these; nil: they don't
	latency  []float64           // quantile function at even steps; nil: predictions have none
	metrics  []windows.Metric

	tally  windows.Tally
	half   windows.Tally
	part   windows.Part
	unit   uint64
	pooled [2][2]int64 // arm x (predictions, errors) so far
}

// clump is how many predictions a user makes in a window: variance over mean of sums by user is (.5 + .3·4 + .2·9)/1.7 = 2.06.
var clump = []int64{1, 1, 1, 1, 1, 2, 2, 2, 3, 3}

// lognormal is a lognormal's quantile function at 1<<14 even steps: median 20 ms, sigma 0.5.
var lognormal = func() []float64 {
	q := make([]float64, 1<<14)
	for i := range q {
		q[i] = 20 * math.Exp(.5*math.Sqrt2*math.Erfinv(2*(float64(i)+.5)/float64(len(q))-1))
	}
	return q
}()

// pareto is a Pareto's with tail index 1.5 from 5 ms on.
var pareto = func() []float64 {
	q := make([]float64, 1<<14)
	for i := range q {
		q[i] = 5 * math.Pow(1-(float64(i)+.5)/float64(len(q)), -1/1.5)
	}
	return q
}()

// window makes the serving part of window t; its memory is used again.
func (w *world) window(t int, startMs int64) *windows.Part {
	p := &w.part
	p.Stream, p.StartMs = windows.Stream{Kind: windows.Serving}, startMs
	n := w.poisson(float64(w.requests))
	canary := w.binomial(n, w.share(t))
	for arm, n := range [windows.Arms]int64{n - canary, canary} {
		tr := &p.Traffic[arm]
		*tr = windows.Traffic{Units: tr.Units[:0]}
		if len(p.Cells[arm]) == 0 {
			p.Cells[arm] = make([]windows.Cell, len(w.metrics))
		}
		for i := range p.Cells[arm] {
			c := &p.Cells[arm][i]
			*c = windows.Cell{Hist: c.Hist[:0]}
		}
		w.fill(p, windows.Arm(arm), n, t)
		if tr.Events > 0 {
			tr.SampledMin, tr.SampledMax = 1, 1
		}
	}
	return p
}

// fill puts n predictions (or the predictions of as many users as make about n) into one arm.
func (w *world) fill(p *windows.Part, arm windows.Arm, n int64, t int) {
	var rates [2]float64
	for i := range rates {
		rates[i] = w.rates[i] * w.drift(t)
		if arm == windows.Canary {
			rates[i] += w.plus[i]
		}
	}
	tr := &p.Traffic[arm]
	if w.users != nil {
		for tr.Events < n {
			w.user(p, arm, rates)
		}
	} else {
		tr.Events = n
		w.spread(p, arm, rates)
	}
	tr.Served = tr.Events
	w.latencies(p, arm, tr.Events, t)
	w.pooled[arm][0] += tr.Events
	w.pooled[arm][1] += p.Cells[arm][0].K
}

// user makes one user's predictions: they fail together.
func (w *world) user(p *windows.Part, arm windows.Arm, rates [2]float64) {
	m := w.users[w.random.IntN(len(w.users))]
	slice := min(int(w.random.ExpFloat64()/math.Ln2), windows.Slices-1)
	w.unit++
	tr := &p.Traffic[arm]
	tr.Events += m
	tr.Units = append(tr.Units, windows.UnitSight{Unit: w.unit})
	for i, rate := range rates {
		k := int64(0)
		if w.random.Float64() < rate {
			k = m
		}
		w.count(p, arm, i, slice, m, k)
	}
	if arm == windows.Baseline {
		tr.Slices[slice] += m
	}
}

// count adds to the cells of one rate: the metric itself and every guardrail's that reads it.
func (w *world) count(p *windows.Part, arm windows.Arm, rate, slice int, n, k int64) {
	key := [...]string{"error", "timeout"}[rate]
	for i, m := range w.metrics {
		if m.Key() != key {
			continue
		}
		c := &p.Cells[arm][i]
		c.N, c.K = c.N+n, c.K+k
		if arm == windows.Baseline {
			c.Slices[slice].N += n
			c.Slices[slice].K += k
		}
	}
}

// spread makes independent predictions: counts per slice, then events per slice.
func (w *world) spread(p *windows.Part, arm windows.Arm, rates [2]float64) {
	left := p.Traffic[arm].Events
	for slice := range windows.Slices {
		n := left
		if slice < windows.Slices-1 && arm == windows.Baseline {
			n = w.binomial(left, .5)
		}
		left -= n
		for i, rate := range rates {
			w.count(p, arm, i, slice, n, w.binomial(n, rate))
		}
		if arm == windows.Baseline {
			p.Traffic[arm].Slices[slice] = n
		}
		if arm == windows.Canary {
			break
		}
	}
}

func (w *world) latencies(p *windows.Part, arm windows.Arm, n int64, t int) {
	at := slices.IndexFunc(w.metrics, func(m windows.Metric) bool { return m.Key() == ofLatency })
	if at < 0 || w.latency == nil {
		return
	}
	factor := w.drift(t)
	if arm == windows.Canary {
		factor *= w.slower
	}
	half := int64(0) // the first so many are the baseline's slice 0: they come in no order
	halfAt := slices.IndexFunc(w.metrics, func(m windows.Metric) bool { return m.Key() == ofLatency+"/half" })
	if arm == windows.Baseline && halfAt >= 0 {
		half = w.binomial(n, .5)
	}
	for i := range n {
		x := w.latency[w.random.Uint64()>>(64-14)] * factor
		if w.roundMs > 0 {
			x = math.Round(x/w.roundMs) * w.roundMs
		}
		bucket := windows.BucketOf(x)
		w.tally.Add(bucket)
		if i < half {
			w.half.Add(bucket)
		}
	}
	p.Cells[arm][at].N = n
	w.tally.Flush(&p.Cells[arm][at])
	if half > 0 {
		p.Cells[arm][halfAt].N = half
		w.half.Flush(&p.Cells[arm][halfAt])
	}
}

// binomial draws by the gaps between events, so its cost is the events', not the trials'.
func (w *world) binomial(n int64, p float64) int64 {
	if p <= 0 || n == 0 {
		return 0
	}
	if p > .5 {
		return n - w.binomial(n, 1-p)
	}
	k, at, scale := int64(0), int64(-1), 1/math.Log1p(-p)
	for {
		gap := math.Log(1-w.random.Float64()) * scale
		if gap >= float64(n) {
			return k
		}
		if at += 1 + int64(gap); at >= n {
			return k
		}
		k++
	}
}

// poisson draws a window's requests; beyond 1,000 by the normal law.
func (w *world) poisson(mean float64) int64 {
	if mean > 1000 {
		return int64(math.Round(mean + math.Sqrt(mean)*w.random.NormFloat64()))
	}
	n, sum := int64(-1), 0.0
	for sum < mean {
		sum += w.random.ExpFloat64()
		n++
	}
	return n
}

// stepped is a ramp: 1, 5, 25 and 50 % for a quarter of the windows each.
func stepped(total int) func(t int) float64 {
	return func(t int) float64 { return [...]float64{.01, .05, .25, .5}[min(3, 4*t/total)] }
}

// constant is a share that stays.
func constant(share float64) func(int) float64 { return func(int) float64 { return share } }

// swing is a cycle of the day over the given windows.
func swing(total int, amplitude float64) func(t int) float64 {
	return func(t int) float64 { return 1 + amplitude*math.Sin(2*math.Pi*float64(t)/float64(total)) }
}

// rising doubles over the given windows.
func rising(total int) func(t int) float64 {
	return func(t int) float64 { return 1 + float64(t)/float64(total) }
}
