package certify

import (
	"math"

	"streamcanary/windows"
)

// What most rollout controllers run: a query a minute, a threshold, and a number of failures that is forgiven. There is no level: the rule alarms
// at every alpha alike. It knows one margin, as its users write it, whatever the case claims.

const (
	minuteMs       = 60_000
	thresholdError = .005 // above the baseline's share of errors
	thresholdSlow  = 1.2  // times the baseline's p99
	argoLimit      = 3    // failureLimit: failed when more measurements than this have failed
	flaggerLimit   = 5    // threshold: rolled back when this many checks have failed
)

// thresholdPeers are the rules of Argo Rollouts and of Flagger.
var thresholdPeers = []Method{
	{
		Name:   "Argo rule, failureLimit 3",
		Source: "argoproj/argo-rollouts 9f8d111 analysis/analysis.go: failed > failureLimit; errors > baseline + 0.5 pp and p99 > 1.2 x baseline, each minute",
		start:  func(*Case) watch { return &argoRule{} },
	},
	{
		Name:   "Flagger rule, threshold 5",
		Source: "fluxcd/flagger 15bd6ad pkg/controller/scheduler.go: failed checks >= threshold, never forgotten; a check fails if a metric does, or has no value",
		start:  func(*Case) watch { return &flaggerRule{} },
	},
}

// A minute adds up a minute's windows as a dashboard would.
type minute struct {
	sum  totals
	arms pair
	ms   int64
}

// add reports whether the minute is over; then read it, and clear it.
func (q *minute) add(m *Moment) bool {
	if m.T < 0 {
		return false // there is no canary yet to watch
	}
	if at, ok := m.indexes["error"]; ok {
		q.sum.add(countsOf(&m.Serving.Cells[windows.Canary][at], &m.Serving.Cells[windows.Baseline][at]))
	}
	q.arms.add(latencies(m))
	q.ms += m.widthMs
	return q.ms >= minuteMs
}

func (q *minute) clear() {
	q.sum, q.ms = totals{}, 0
	q.arms.clear()
}

// errors are the shares of both arms; false: an arm had no request.
func (q *minute) errors() (canary, baseline float64, ok bool) {
	if q.sum.Nc == 0 || q.sum.Nb == 0 {
		return 0, 0, false
	}
	return q.sum.Kc / q.sum.Nc, q.sum.Kb / q.sum.Nb, true
}

// p99 is of both arms in milliseconds: the upper edge of the bucket of the request of rank 0.99 n, rounded up.
func (q *minute) p99() (canary, baseline float64, ok bool) {
	if q.arms.n == 0 || q.arms.m == 0 {
		return 0, 0, false
	}
	return quantileOf(q.arms.canary, q.arms.n), quantileOf(q.arms.baseline, q.arms.m), true
}

func quantileOf(hist []windows.Bucket, n int64) float64 {
	rank := int64(math.Ceil(.99*float64(n) - 1e-9))
	for _, b := range hist {
		if rank -= int64(b.Count); rank <= 0 {
			return windows.BucketUpper(b.Index)
		}
	}
	return math.Inf(1)
}

// breaches says which of the two conditions fail in this minute, and whether one has no value.
func (q *minute) breaches() (errors, slow, blind bool) {
	c, b, ok := q.errors()
	errors, blind = ok && c > b+thresholdError, !ok
	c, b, ok = q.p99()
	return errors, ok && c > b*thresholdSlow, blind || !ok
}

type argoRule struct {
	minute       minute
	errors, slow int // failed measurements
}

func (a *argoRule) see(m *Moment, alarmed []bool) {
	if !a.minute.add(m) {
		return
	}
	errors, slow, _ := a.minute.breaches()
	a.minute.clear()
	if errors {
		a.errors++
	}
	if slow {
		a.slow++
	}
	setAll(alarmed, a.errors > argoLimit || a.slow > argoLimit)
}

type flaggerRule struct {
	minute minute
	failed int
}

func (f *flaggerRule) see(m *Moment, alarmed []bool) {
	if !f.minute.add(m) {
		return
	}
	errors, slow, blind := f.minute.breaches()
	f.minute.clear()
	if errors || slow || blind {
		f.failed++
	}
	setAll(alarmed, f.failed >= flaggerLimit)
}

func setAll(alarmed []bool, now bool) {
	if now {
		for i := range alarmed {
			alarmed[i] = true
		}
	}
}
