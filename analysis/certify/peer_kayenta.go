package certify

import (
	"math"
	"slices"
)

// Kayenta's judge sees one point a minute for each metric: a rank test of the minutes' values, not of the requests.

// kayentaPeers judge the growing series: once when the run is over, and every five minutes (canary analysis intervals), as it runs in a pipeline.
var kayentaPeers = []Method{
	{Name: "Kayenta rule, once at the end", Source: kayentaSource, start: func(c *Case) watch { return &kayentaRule{c: c} }},
	{Name: "Kayenta rule, every 5 minutes", Source: kayentaSource, start: func(c *Case) watch { return &kayentaRule{c: c, every: 5} }},
}

const kayentaSource = "spinnaker/kayenta a69573b NetflixACAJudge, MannWhitneyClassifier, MannWhitney.scala: confidence 0.98, tolerance 0.25, both critical, direction increase"

const (
	kayentaConfidence = .98
	kayentaTolerance  = .25
	kayentaAllowed    = 1    // ratio of means that is no effect
	kayentaRoot       = 1e-4 // how exactly a shift is found (BrentSolver)
)

type kayentaRule struct {
	c      *Case
	every  int // minutes between two judgements; 0: one when the run is over
	minute minute
	ms     int64
	errors [2][]float64 // canary, baseline
	slow   [2][]float64
}

func (k *kayentaRule) see(m *Moment, alarmed []bool) {
	if k.minute.add(m) {
		if c, b, ok := k.minute.errors(); ok {
			k.errors[0], k.errors[1] = append(k.errors[0], c), append(k.errors[1], b)
		}
		if c, b, ok := k.minute.p99(); ok {
			k.slow[0], k.slow[1] = append(k.slow[0], c), append(k.slow[1], b)
		}
		k.minute.clear()
		k.ms += minuteMs
		if k.every > 0 && k.ms%(int64(k.every)*minuteMs) == 0 {
			setAll(alarmed, k.high())
		}
	}
	if k.every == 0 && m.T == k.c.Windows-1 {
		setAll(alarmed, k.high())
	}
}

func (k *kayentaRule) high() bool {
	return kayentaHigh(k.errors[0], k.errors[1]) || kayentaHigh(k.slow[0], k.slow[1])
}

// kayentaHigh is the classification High of one metric.
func kayentaHigh(canary, baseline []float64) bool {
	if len(canary) == 0 || len(baseline) == 0 || equalAsSets(canary, baseline) || oneValue(canary, baseline) {
		return false
	}
	s := newShiftTest(canary, baseline)
	if s == nil {
		return false // all tied at some shift: the judge gives up on the metric
	}
	z := -normalQuantile((1 - kayentaConfidence) / 2)
	lower, estimate := s.root(z), s.root(0)
	ratio := mean(canary) / mean(baseline)
	if mean(canary) == 0 || mean(baseline) == 0 {
		ratio = math.NaN()
	}
	return lower > kayentaTolerance*math.Abs(estimate) && !(ratio < kayentaAllowed)
}

func mean(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

func equalAsSets(a, b []float64) bool {
	return len(a) == len(b) && slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func oneValue(a, b []float64) bool {
	for _, xs := range [][]float64{a, b} {
		for _, x := range xs {
			if x != a[0] {
				return false
			}
		}
	}
	return true
}

// A shiftTest is the rank-sum test of canary - mu against the baseline, as a function of mu.
type shiftTest struct {
	x, y, all []float64
	low, high float64
}

// newShiftTest is nil where all values are tied at one end of the range, in which nothing can be computed.
func newShiftTest(canary, baseline []float64) *shiftTest {
	s := &shiftTest{x: canary, y: baseline}
	s.low, s.high = slices.Min(canary)-slices.Max(baseline), slices.Max(canary)-slices.Min(baseline)
	if math.IsNaN(s.z(s.low)) || math.IsNaN(s.z(s.high)) {
		return nil
	}
	return s
}

// z falls as mu rises: the standardized rank sum of the canary's values less mu, with continuity correction and ties.
func (s *shiftTest) z(mu float64) float64 {
	s.all = s.all[:0]
	for _, x := range s.x {
		s.all = append(s.all, x-mu)
	}
	n, m := float64(len(s.x)), float64(len(s.y))
	s.all = append(s.all, s.y...)
	slices.Sort(s.all)
	ties, rankSum := 0.0, 0.0
	for i := 0; i < len(s.all); {
		j := i
		for j < len(s.all) && s.all[j] == s.all[i] {
			j++
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	for _, x := range s.x {
		below, _ := slices.BinarySearch(s.all, x-mu)
		equal := below
		for equal < len(s.all) && s.all[equal] == x-mu {
			equal++
		}
		rankSum += float64(below+equal+1) / 2
	}
	d := rankSum - n*(n+1)/2 - n*m/2
	switch {
	case d > 0:
		d -= .5
	case d < 0:
		d += .5
	}
	sigma := math.Sqrt(n * m / 12 * (n + m + 1 - ties/((n+m)*(n+m-1))))
	if sigma == 0 {
		return math.NaN()
	}
	return d / sigma
}

// root is the shift at which z reaches the quantile, within the range of shifts.
func (s *shiftTest) root(quantile float64) float64 {
	lo, hi := s.low, s.high
	if s.z(lo) <= quantile {
		return lo
	}
	if s.z(hi) >= quantile {
		return hi
	}
	for hi-lo > kayentaRoot && hi-lo > 1e-9*math.Abs(hi) {
		if mid := (lo + hi) / 2; s.z(mid) > quantile {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}
