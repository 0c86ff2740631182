package certify

import (
	"fmt"
	"math"
	"slices"
	"time"

	"streamcanary/schemas"
)

// windows is the time from the onset to the verdict in windows, the onset's being the first; infinite where there is none.
func (f finish) windows(from int) float64 {
	if f.at < 0 {
		return math.Inf(1)
	}
	return float64(f.at + 1 - from)
}

// An onset is harm that begins after a healthy stretch.
type onset struct {
	name      string
	healthy   int
	requests  float64
	share     func(t int) float64
	drift     func(t int) float64
	harm      Harm
	alpha     float64 // of the guardrail
	guards    string  // instead of errors alone: the default guardrails' rollout
	life      time.Duration
	phi       float64
	median    float64 // at most; 0: not asked for
	mean      float64
	windows   int // that a verdict may take
	runsAsked int
}

const errorsGuard = "rate: error, increase: 0.5pp"

var errorsUp = Harm{Plus: map[string]float64{"error": .01}}

func onsets() []onset {
	base := onset{requests: 20_000, share: ramp, drift: swing(lawWindows, .5), harm: errorsUp, alpha: guardAlpha, phi: 1, windows: 200, runsAsked: 300, life: lawWindows * time.Second}
	first, late := base, base
	first.name, first.healthy, first.mean = "errors +1 pp from window 1, in the ramp of delay", 0, 0
	late.name, late.healthy, late.mean = "errors +1 pp after 600 windows of the ramp of delay", 600, 5
	long := base
	long.name, long.healthy, long.mean, long.share, long.life = "errors +1 pp after 40,000 windows at 25 %", 40_000, 8, constant(.25), 40_200*time.Second
	all := []onset{first, late, long}
	for _, healthy := range []int{0, 600, 3_000, 10_000, 17_000} {
		o := onset{
			name: fmt.Sprintf("errors +1 pp after %d windows of 200 + 600 requests", healthy), healthy: healthy, requests: 800, share: constant(.25), drift: constant(1),
			harm: errorsUp, alpha: .01, phi: 1, life: 24 * time.Hour, windows: 600, runsAsked: 300,
		}
		if healthy == 600 || healthy == 3_000 || healthy == 17_000 {
			o.median = 150
		}
		all = append(all, o)
	}
	return append(all, sudden()...)
}

// sudden are grave harms as a person waits for them: 1,000 requests a second, 1 % the canary's, the default kind of guardrails at 1 % in all.
func sudden() []onset {
	var all []onset
	for _, l := range []struct {
		healthy int
		plus    float64
		silent  bool
		phi     float64
		median  float64
	}{
		{600, .999, false, 1.5, 4}, {600, .2, false, 1.5, 13}, {600, .2, false, 1.15, 9}, {600, 0, true, 1.5, 7},
		{43_200, .999, false, 1.5, 5}, {43_200, .2, false, 1.5, 15}, {43_200, 0, true, 1.5, 7},
	} {
		name := fmt.Sprintf("errors +%.0f %%", 100*l.plus)
		if l.silent {
			name = "silence"
		}
		all = append(all, onset{
			name: fmt.Sprintf("%s after %d windows of 10 + 990 requests, phi %v", name, l.healthy, l.phi), healthy: l.healthy, requests: 1000, share: constant(.01), drift: constant(1),
			harm: Harm{Plus: map[string]float64{"error": l.plus}, Silent: l.silent}, alpha: .005, guards: suddenGuards, life: 24 * time.Hour, phi: l.phi, median: l.median,
			windows: 120, runsAsked: 40,
		})
	}
	return all
}

const suddenGuards = `
- {name: errors, rate: error, increase: 0.5pp, weight: 3}
- {name: outage, rate: error, above: 5%}
- {name: timeouts, rate: timeout, increase: 0.2pp}
- {name: hang, rate: timeout, above: 5%}
- {name: p99, quantile: 0.99, of: latency, increase: 20%, weight: 3}
- {name: crawl, quantile: 0.9, of: latency, increase: 100%}
`

func (o *onset) rollout(alpha float64) *schemas.Rollout {
	var r *schemas.Rollout
	if o.guards == "" {
		r = alone(errorsGuard, time.Second)(alpha)
	} else {
		r = Setting{patience: "never", guardrails: o.guards}.rollout(time.Second, 2*alpha)
	}
	r.Stages[0].Max = o.life
	return r
}

func (o *onset) scene() scene {
	s := scene{
		requests: constant(o.requests), share: o.share, noise: independent{}, harm: o.harm,
		rates: []rate{{"error", .001, o.drift}, {"timeout", 0, nil}},
	}
	s.harm.From = o.healthy
	return s
}

func onsetExperiments() []Experiment {
	var all []Experiment
	for _, o := range onsets() {
		methods := []Method{verdict}
		if o.phi > 0 {
			methods = append(methods, unknowing)
		}
		if o.guards == "" {
			methods = slices.Concat(methods, rateKernels()[:2], []Method{groupSequential})
		}
		r := &race{
			windows: o.healthy + o.windows, methods: methods, scene: func(int) scene { return o.scene() },
			claim:  Case{Rollout: o.rollout, Key: "error", Rho0: 1, Delta: .005, Side: +1, Alphas: []float64{o.alpha}, Base: .001, Phi: o.phi},
			report: func(r *race) []Row { return onsetRows(r, &o) },
		}
		all = append(all, Experiment{Group: "onset", Name: o.name, About: "windows from the onset to the alarm; events known to be independent, but where it says otherwise", Runs: o.runsAsked, begin: r.begin})
	}
	return all
}

func onsetRows(r *race, o *onset) []Row {
	var rows []Row
	for i, m := range r.methods {
		var times sample
		early := 0
		for _, e := range r.ends[i] {
			if e.at >= 0 && e.at < o.healthy {
				early++
				continue
			}
			times = append(times, e.windows(o.healthy))
		}
		if len(times) == 0 {
			continue
		}
		slices.Sort(times)
		median, mean := r.row(i, "median windows after the onset"), r.row(i, "mean windows after the onset")
		median.Value, mean.Value, mean.Upper = number(times.quantile(.5)), number(times.mean()), number(times.meanLimit())
		if math.IsInf(float64(*mean.Value), 1) {
			mean.Upper = nil
		}
		median.Note = fmt.Sprintf("before the onset in %d runs; 90 %% within %.0f windows", early, times.quantile(.9))
		if m.Name == verdict.Name && o.median > 0 {
			median.Bound = number(o.median)
			median.judge(m, r.runs >= medianRuns, float64(*median.Value) > o.median)
		}
		if m.Name == verdict.Name && o.mean > 0 {
			mean.Bound = number(o.mean)
			mean.judge(m, r.runs >= medianRuns, float64(*mean.Value) > o.mean)
		}
		rows = append(rows, median, mean)
	}
	return rows
}
