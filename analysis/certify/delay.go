package certify

import (
	"fmt"
	"math"
	"slices"
	"time"

	"streamcanary/schemas"
)

// A delay is a world in which harm begins at once, and what is asked of the mean delay.
type delay struct { // 20,000 predictions a window, a day's swing, a ramp from 1 %
	name      string
	guardrail string
	key       string
	base      float64
	swing     float64
	before    int  // windows of the baseline alone
	flat      bool // no drift, 10 % the canary's: where pooling is no mistake
	rho0      float64
	delta     float64
	side      int
	harm      Harm
	worst     float64 // times the bound; 0: only shown
}

var delays = []delay{
	{
		name: "errors +1 pp over 0.5 pp", guardrail: "rate: error, increase: 0.5pp", key: "error", base: .001, swing: .5,
		rho0: 1, delta: .005, side: +1, harm: Harm{Plus: map[string]float64{"error": .01}}, worst: 1.9,
	},
	{
		name: "CTR -10 % over 2 %", guardrail: "rate: click, decrease: 2%, prove: beyond", key: "click", base: .02, swing: .3,
		rho0: .98, side: -1, harm: Harm{Times: map[string]float64{"click": .9}}, worst: 1.7,
	},
	{
		name: "conversion -10 %, any", guardrail: "rate: purchase, decrease: any", key: "purchase", base: .003, swing: .3,
		rho0: 1, side: -1, harm: Harm{Times: map[string]float64{"purchase": .9}}, worst: 1.8,
	},
	{
		name: "rate of one half, -4 %, any", guardrail: "rate: click, decrease: any", key: "click", base: .5, swing: .1, before: 120,
		rho0: 1, side: -1, harm: Harm{Times: map[string]float64{"click": .96}},
	},
	{
		name: "flat: errors +20 %, any", guardrail: "rate: error, increase: any", key: "error", base: .001, flat: true,
		rho0: 1, side: +1, harm: Harm{Times: map[string]float64{"error": 1.2}},
	},
	{
		name: "flat: CTR -5 %, any", guardrail: "rate: click, decrease: any", key: "click", base: .02, flat: true,
		rho0: 1, side: -1, harm: Harm{Times: map[string]float64{"click": .95}},
	},
	{
		name: "flat: errors +1 pp over 0.5 pp", guardrail: "rate: error, increase: 0.5pp", key: "error", base: .001, flat: true,
		rho0: 1, delta: .005, side: +1, harm: Harm{Plus: map[string]float64{"error": .01}},
	},
}

// guardAlpha is what the guardrail of a delay has of the budget: half of it, the missing canary has the other.
const guardAlpha = .0125

func (d *delay) scene() scene {
	s := scene{
		before: d.before, requests: constant(20_000), share: ramp, noise: independent{}, harm: d.harm,
		rates: []rate{{d.key, d.base, swing(lawWindows, d.swing)}},
	}
	if d.flat {
		s.share, s.rates[0].drift = constant(.1), nil
	}
	return s
}

// alone is a rollout with one guardrail, at this level.
func alone(guardrail string, width time.Duration) func(alpha float64) *schemas.Rollout {
	return func(alpha float64) *schemas.Rollout {
		s := Setting{patience: "never", guardrails: fmt.Sprintf("\n- {name: it, %s, weight: 1}\n", guardrail)}
		return s.rollout(width, min(.5, 2*alpha))
	}
}

func delayExperiments() []Experiment {
	var all []Experiment
	for _, d := range delays {
		r := &race{
			windows: lawWindows, scene: func(int) scene { return d.scene() },
			methods: slices.Concat([]Method{verdict, unknowing}, rateKernels(), zTests[:2], sequentialPeers, []Method{groupSequential, hypergeometric}),
			claim: Case{
				Rollout: alone(d.guardrail, time.Second), Key: d.key, Rho0: d.rho0, Delta: d.delta, Side: d.side,
				Alphas: []float64{guardAlpha}, Base: d.base, Phi: 1,
			},
			report: func(r *race) []Row { return delayRows(r, &d) },
		}
		about := "harm from the first window on, in a ramp from 1 % with drift; canary's predictions over the bound log(1/alpha)/KL; events known to be independent, as the bound takes them, but where it says otherwise"
		if d.flat {
			about = "harm from the first window on, 10 % the canary's, no drift: where pooled tests are allowed"
		}
		all = append(all, Experiment{Group: "delay", Name: d.name, About: about, Runs: delayRuns, begin: r.begin})
	}
	return all
}

// delayRuns is how many runs the upper limit of a mean delay takes.
const delayRuns = 300

// delayRows are mean delays as multiples of the bound.
func delayRows(r *race, d *delay) []Row {
	s := d.scene()
	bound := boundOf(&s, &r.claim)
	var rows []Row
	for i, m := range r.methods {
		if m.Name == hypergeometric.Name && (d.rho0 != 1 || d.delta != 0) {
			continue // it knows no margin
		}
		var ratios sample
		never := 0
		for _, e := range r.ends[i] {
			if e.at < 0 {
				never++
				continue
			}
			ratios = append(ratios, float64(e.canary)/bound)
		}
		row := r.row(i, "mean delay / bound")
		row.Note = fmt.Sprintf("bound %.0f canary predictions; never in %d runs; %s", bound, never, r.why(i))
		row.Value, row.Upper = number(math.Inf(1)), number(math.Inf(1))
		if never == 0 {
			row.Value, row.Upper = number(ratios.mean()), number(ratios.meanLimit())
		}
		if m.Name == verdict.Name && d.worst > 0 {
			row.Bound = number(d.worst)
			held := *row.Upper
			if r.runs < delayRuns { // a few runs bound nothing: a look, not a certificate
				held = *row.Value
			}
			row.judge(m, true, float64(held) > d.worst)
		}
		rows = append(rows, row)
	}
	return rows
}

// A tail is a change of the latencies, and the reference's median for the same test with its start mixture.
type tail struct {
	name, guardrail string
	margin          float64
	harm            Harm
	figure          float64
}

var tails = []tail{
	{"p99 +50 % over 20 %, all requests", "quantile: 0.99, of: latency, increase: 20%", .2, Harm{Slower: 1.5}, 498},
	{"p99 +50 % over 20 %, the slowest 5 %", "quantile: 0.99, of: latency, increase: 20%", .2, Harm{Law: lognormalTail}, 498},
	{"0.5 % of requests ten times as slow, p99 any", "quantile: 0.99, of: latency, increase: any", 0, Harm{Law: lognormalSpike}, 4113},
	{"p99 +50 % over 20 %, all requests, ks", "distribution: latency, test: ks, increase: 20%", .2, Harm{Slower: 1.5}, 176},
	{"p99 +50 % over 20 %, the slowest 5 %, ks", "distribution: latency, test: ks, increase: 20%", .2, Harm{Law: lognormalTail}, 678},
	{"0.5 % of requests ten times as slow, ks over 20 %", "distribution: latency, test: ks, increase: 20%", .2, Harm{Law: lognormalSpike}, 1774},
	{"0.5 % of requests ten times as slow, ks any", "distribution: latency, test: ks, increase: any", 0, Harm{Law: lognormalSpike}, 1382},
	{"latency +30 %, mann-whitney over 20 %", "distribution: latency, test: mann-whitney, increase: 20%", .2, Harm{Slower: 1.3}, 492},
}

// medianRuns is how many runs a median takes that is held against a limit: that of a few is a look, not a certificate.
const medianRuns = 60

// tailWorst is how much longer than the reference's figure a median may be.
const tailWorst = 1.2

func tailExperiments() []Experiment {
	var all []Experiment
	for _, x := range tails {
		r := &race{
			windows: 480, methods: slices.Concat([]Method{verdict, unknowing}, latencyKernels(), rankPeers, howardPeers),
			scene: func(int) scene {
				return scene{requests: constant(1000), share: constant(.1), noise: independent{}, law: lognormalHalf, harm: x.harm}
			},
			claim:  Case{Rollout: alone(x.guardrail, time.Second), Key: "error", Rho0: 1, Side: +1, Slower: x.margin, Alphas: []float64{.05}, Phi: 1},
			report: func(r *race) []Row { return tailRows(r, &x) },
		}
		all = append(all, Experiment{Group: "tail", Name: x.name, About: "1,000 requests a window, 10 % the canary's, lognormal: canary's predictions to the alarm; events known to be independent, but where it says otherwise", Runs: 300, begin: r.begin})
	}
	return all
}

func tailRows(r *race, x *tail) []Row {
	var rows []Row
	for i, m := range r.methods {
		var canary sample
		for _, e := range r.ends[i] {
			if e.at < 0 {
				canary = append(canary, math.Inf(1))
			} else {
				canary = append(canary, float64(e.canary))
			}
		}
		slices.Sort(canary)
		row := r.row(i, "median canary predictions")
		row.Value = number(canary.quantile(.5))
		if m.Name == verdict.Name {
			row.Bound, row.Note = number(tailWorst*x.figure), fmt.Sprintf("the reference's figure is %.0f", x.figure)
			row.judge(m, r.runs >= medianRuns, *row.Value > *row.Bound)
		}
		rows = append(rows, row)
	}
	return rows
}
