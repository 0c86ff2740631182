package certify

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Gauges: a few hosts whose load lasts, so that samples say the same thing again and again.

const gaugeWindows = 6 * 360

// A gauging is what a guardrail on the hosts' samples is shown.
type gauging struct {
	name      string
	guardrail string
	plus      float64 // the share of the canary's samples above the limit, on top of 5 %
	delta     float64 // that the guardrail allows
	before    int
	hosts     [2]int
	keeps     float64 // correlation of a sample with the next; 0: 0.95
}

// Guardrails on samples: the share of them above the limit, and their mean.
const (
	shareOf = "sample: cpu, limit: 0.9, increase: "
	meanOf  = "mean: cpu, cap: 2, increase: "
)

var gaugings = []gauging{
	{name: "any", guardrail: shareOf + "any", hosts: [2]int{24, 6}},
	{name: "5 pp, exactly", guardrail: shareOf + "5pp", plus: .05, delta: .05, hosts: [2]int{24, 6}},
	{name: "any, after six hours of the baseline alone", guardrail: shareOf + "any", before: gaugeWindows, hosts: [2]int{24, 6}},
	{name: "any, four hosts against four", guardrail: shareOf + "any", hosts: [2]int{4, 4}},
	{name: "any, two hosts against two", guardrail: shareOf + "any", hosts: [2]int{2, 2}},
	{name: "mean, any", guardrail: meanOf + "any", hosts: [2]int{24, 6}},
	{name: "mean, 0.04, exactly", guardrail: meanOf + "0.04", plus: .05, hosts: [2]int{24, 6}},
	{name: "mean, any, after six hours of the baseline alone", guardrail: meanOf + "any", before: gaugeWindows, hosts: [2]int{24, 6}},
	{name: "mean, any, correlated 0.98", guardrail: meanOf + "any", hosts: [2]int{24, 6}, keeps: .98},
	{name: "mean, any, correlated 0.99", guardrail: meanOf + "any", hosts: [2]int{24, 6}, keeps: .99},
	{name: "any, correlated 0.99", guardrail: shareOf + "any", hosts: [2]int{24, 6}, keeps: .99},
	{name: "mean, any, four hosts against four", guardrail: meanOf + "any", hosts: [2]int{4, 4}},
}

func gaugeExperiments() []Experiment {
	var all []Experiment
	for _, g := range gaugings {
		if g.keeps == 0 {
			g.keeps = .95
		}
		all = append(all, Experiment{
			Group: "gauges", Name: g.name, Runs: 1000, begin: g.race().begin,
			About: fmt.Sprintf("%d canary hosts and %d of the baseline, a sample each 10 s for 6 hours, loads correlated %s from one to the next; rolled back at 0.05 in all", g.hosts[1], g.hosts[0], hundredths(g.keeps)),
		})
	}
	for _, g := range []gauging{
		{name: "harm", guardrail: shareOf + "5pp", delta: .05, hosts: [2]int{24, 6}}, {name: "harm", guardrail: shareOf + "5pp", delta: .05, hosts: [2]int{4, 4}},
		{name: "mean, harm", guardrail: meanOf + "0.04", hosts: [2]int{24, 6}},
	} {
		about := "the same, and 70 % of the canary's samples are above the limit that 5 % of the baseline's are, over a margin of 5 pp"
		if g.delta == 0 {
			about = "the same samples, of which the canary's mean is 0.24 higher than the baseline's, over a margin of 0.04"
		}
		all = append(all, Experiment{
			Group: "gauges", Name: g.name + fmt.Sprintf(", %d hosts against %d", g.hosts[1], g.hosts[0]), Runs: 300, begin: g.harm().begin, About: about,
		})
	}
	return all
}

// hundredths writes a share as .95.
func hundredths(x float64) string { return fmt.Sprintf("%.2f", x)[1:] }

// on is a race of the guardrail, on the fleet with so many more of the canary's samples above the limit.
func (g *gauging) on(plus float64, methods []Method) *race {
	return &race{
		windows: gaugeWindows, methods: methods,
		scene: func(int) scene {
			return scene{
				before: g.before, requests: constant(200), share: constant(.2), noise: independent{}, rates: []rate{{"error", .001, nil}},
				gauges: &fleet{hosts: g.hosts, every: 1, keeps: g.keeps, above: .05, plus: plus},
			}
		},
		claim: Case{
			Rollout: alone(g.guardrail, 10*time.Second), Key: "cpu>0.9", Rho0: 1, Delta: g.delta, Side: +1,
			Alphas: []float64{.025}, Base: .05,
		},
	}
}

// race counts alarms where the canary is as the guardrail allows.
func (g gauging) race() *race {
	r := g.on(g.plus, slices.Concat([]Method{verdict}, rateKernels()[1:2], zTests[:2]))
	if strings.HasPrefix(g.guardrail, meanOf) {
		r.methods = r.methods[:1] // the others are of shares
	}
	r.report = func(r *race) []Row {
		var rows []Row
		for i, m := range r.methods {
			count, _ := r.caught(i, 0)
			row := r.row(i, "alarms")
			row.Count, row.Limit, row.Note = count, binomialPoint(r.runs, .05), r.why(i)
			row.judge(m, m.Name == verdict.Name, count > row.Limit)
			rows = append(rows, row)
		}
		return rows
	}
	return r
}

// harm is a canary whose hosts are nearly all busy.
func (g gauging) harm() *race {
	g.keeps = .95
	r := g.on(.65, []Method{verdict})
	r.report = func(r *race) []Row {
		row, delay := r.part(0, 0, 1, "caught"), r.row(0, "median minutes to the rollback")
		row.Limit = binomialLow(r.runs, caughtShare)
		row.judge(verdict, true, row.Count < row.Limit)
		delay.Value, delay.Unit = number(r.median(0, 0, 1)/6), "min"
		return []Row{row, delay}
	}
	return r
}
