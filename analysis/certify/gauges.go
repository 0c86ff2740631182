package certify

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Gauges: a few hosts whose load lasts, so that samples say the same thing again and again.

// How long a run is, and how often a host samples.
const gaugeHours, gaugeEvery = 6 * time.Hour, 10 * time.Second

// A gauging is what a guardrail on the hosts' samples is shown.
type gauging struct {
	name      string
	guardrail string
	plus      float64 // the share of the canary's samples above the limit, on top of 5 %
	delta     float64 // that the guardrail allows
	alone     bool    // after as long with the baseline alone
	hosts     [2]int
	keeps     float64 // correlation of a sample with the next; 0: 0.95
	staggered bool    // windows of a second, each with the samples of a tenth of the hosts; else of ten, with those of all
}

// width is that of windows.
func (g *gauging) width() time.Duration {
	if g.staggered {
		return time.Second
	}
	return gaugeEvery
}

// windows is how many a run has.
func (g *gauging) windows() int { return int(gaugeHours / g.width()) }

// Guardrails on samples: the share of them above the limit, and their mean.
const (
	shareOf = "sample: cpu, limit: 0.9, increase: "
	meanOf  = "mean: cpu, cap: 2, increase: "
)

var gaugings = []gauging{
	{name: "any", guardrail: shareOf + "any", hosts: [2]int{24, 6}},
	{name: "5 pp, exactly", guardrail: shareOf + "5pp", plus: .05, delta: .05, hosts: [2]int{24, 6}},
	{name: "any, after six hours of the baseline alone", guardrail: shareOf + "any", alone: true, hosts: [2]int{24, 6}},
	{name: "any, four hosts against four", guardrail: shareOf + "any", hosts: [2]int{4, 4}},
	{name: "any, two hosts against two", guardrail: shareOf + "any", hosts: [2]int{2, 2}},
	{name: "mean, any", guardrail: meanOf + "any", hosts: [2]int{24, 6}},
	{name: "mean, 0.04, exactly", guardrail: meanOf + "0.04", plus: .05, hosts: [2]int{24, 6}},
	{name: "mean, any, after six hours of the baseline alone", guardrail: meanOf + "any", alone: true, hosts: [2]int{24, 6}},
	{name: "mean, any, correlated 0.98", guardrail: meanOf + "any", hosts: [2]int{24, 6}, keeps: .98},
	{name: "mean, any, correlated 0.99", guardrail: meanOf + "any", hosts: [2]int{24, 6}, keeps: .99},
	{name: "any, correlated 0.99", guardrail: shareOf + "any", hosts: [2]int{24, 6}, keeps: .99},
	{name: "mean, any, four hosts against four", guardrail: meanOf + "any", hosts: [2]int{4, 4}},
	{name: "staggered, any, correlated 0.99", guardrail: shareOf + "any", hosts: [2]int{24, 6}, keeps: .99, staggered: true},
	{name: "staggered, 5 pp, exactly, correlated 0.99", guardrail: shareOf + "5pp", plus: .05, delta: .05, hosts: [2]int{24, 6}, keeps: .99, staggered: true},
	{name: "staggered, any, fifty hosts against fifty, correlated 0.98", guardrail: shareOf + "any", hosts: [2]int{50, 50}, keeps: .98, staggered: true},
	{name: "staggered, any, four hosts against four, correlated 0.99", guardrail: shareOf + "any", hosts: [2]int{4, 4}, keeps: .99, staggered: true},
	{name: "staggered, mean, any, correlated 0.99", guardrail: meanOf + "any", hosts: [2]int{24, 6}, keeps: .99, staggered: true},
	{name: "staggered, mean, 0.04, exactly, correlated 0.99", guardrail: meanOf + "0.04", plus: .05, delta: gaugeMargin, hosts: [2]int{24, 6}, keeps: .99, staggered: true},
}

func gaugeExperiments() []Experiment {
	var all []Experiment
	for _, g := range gaugings {
		if g.keeps == 0 {
			g.keeps = .95
		}
		e := Experiment{
			Group: "gauges", Name: g.name, Runs: 1000, begin: g.race().begin,
			About: fmt.Sprintf("%d canary hosts and %d of the baseline, a sample each 10 s for 6 hours, loads correlated %s from one to the next; rolled back at 0.05 in all", g.hosts[1], g.hosts[0], hundredths(g.keeps)),
		}
		if g.staggered {
			e.Runs, e.About = 300, e.About+"; windows of a second, each host at its own"
		}
		all = append(all, e)
	}
	return append(all, gaugeHarms()...)
}

func gaugeHarms() []Experiment {
	var all []Experiment
	for _, g := range []gauging{
		{name: "harm", guardrail: shareOf + "5pp", delta: .05, hosts: [2]int{24, 6}}, {name: "harm", guardrail: shareOf + "5pp", delta: .05, hosts: [2]int{4, 4}},
		{name: "mean, harm", guardrail: meanOf + "0.04", hosts: [2]int{24, 6}},
		{name: "staggered, harm", guardrail: shareOf + "5pp", delta: .05, hosts: [2]int{24, 6}, staggered: true}, {name: "staggered, harm", guardrail: shareOf + "5pp", delta: .05, hosts: [2]int{4, 4}, staggered: true},
		{name: "staggered, mean, harm", guardrail: meanOf + "0.04", hosts: [2]int{24, 6}, staggered: true},
	} {
		about := "the same, and 70 % of the canary's samples are above the limit that 5 % of the baseline's are, over a margin of 5 pp"
		if strings.HasPrefix(g.guardrail, meanOf) {
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
	before := 0
	if g.alone {
		before = g.windows()
	}
	return &race{
		windows: g.windows(), methods: methods,
		scene: func(int) scene {
			return scene{
				before: before, requests: constant(20 * g.width().Seconds()), share: constant(.2), noise: independent{}, rates: []rate{{"error", .001, nil}},
				gauges: &fleet{hosts: g.hosts, every: int(gaugeEvery / g.width()), stagger: g.staggered, keeps: g.keeps, above: .05, plus: plus},
			}
		},
		claim: Case{
			Rollout: alone(g.guardrail, g.width()), Key: "cpu>0.9", Rho0: 1, Delta: g.delta, Side: +1,
			Alphas: []float64{.025}, Base: .05,
		},
	}
}

// race counts alarms where the canary is as the guardrail allows.
func (g gauging) race() *race {
	r := g.on(g.plus, slices.Concat([]Method{verdict}, rateKernels()[1:2], zTests[:2]))
	if g.staggered || strings.HasPrefix(g.guardrail, meanOf) {
		r.methods = r.methods[:1] // the others are of shares, and see the same samples again
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
		if g.staggered {
			rows = append(rows, r.quiet(0, "holds", func(e *Ending) bool { return len(e.Held) > 0 }))
		}
		if g.staggered && g.delta > 0 {
			rows = append(rows, r.quiet(0, "passes", func(e *Ending) bool { return len(e.Passed) > 0 }))
		}
		return rows
	}
	return r
}

// quiet counts what the whole verdict should hardly ever do where nothing is wrong.
func (r *race) quiet(method int, measure string, did func(*Ending) bool) Row {
	row := r.row(method, measure)
	for i := range r.ends[method] {
		if did(r.ends[method][i].ending) {
			row.Count++
		}
	}
	row.Limit = binomialPoint(r.runs, .05)
	row.judge(r.methods[method], true, row.Count > row.Limit)
	return row
}

// harm is a canary whose hosts are nearly all busy.
func (g gauging) harm() *race {
	g.keeps = .95
	r := g.on(.65, []Method{verdict})
	r.report = func(r *race) []Row {
		row, delay := r.part(0, 0, 1, "caught"), r.row(0, "median minutes to the rollback")
		row.Limit = binomialLow(r.runs, caughtShare)
		row.judge(verdict, true, row.Count < row.Limit)
		delay.Value, delay.Unit = number(r.median(0, 0, 1)*g.width().Minutes()), "min"
		return []Row{row, delay}
	}
	return r
}
