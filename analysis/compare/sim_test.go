package compare

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"streamcanary/schemas"
)

var (
	simSize = flag.String("sim", "small", "size of the simulations: small or full")
	simSeed = flag.Uint64("seed", 42, "seed of the simulations")
)

// simRuns is how many files a world has.
func simRuns() int {
	if *simSize == "full" {
		return 2000
	}
	return 40
}

// binomialLimit is the 99 % point of Binomial(n, p): the least c with P(X <= c) >= .99.
func binomialLimit(n int, p float64) int {
	term, sum := math.Pow(1-p, float64(n)), 0.0
	for c := range n {
		if sum += term; sum >= .99 {
			return c
		}
		term *= float64(n-c) / float64(c+1) * p / (1 - p)
	}
	return n
}

func hits(r *rand.Rand, n int, p float64) int {
	k := 0
	for range n {
		if r.Float64() < p {
			k++
		}
	}
	return k
}

// poisson by exponential gaps.
func poisson(r *rand.Rand, mean float64) int {
	n, sum := -1, 0.0
	for sum < mean {
		sum += r.ExpFloat64()
		n++
	}
	return n
}

// simWindows is how often a file is looked at.
const simWindows = 120

// ramp is the share of the canary: 5, 20 and 50 %.
func ramp(t int) float64 { return [...]float64{.05, .2, .5}[3*t/simWindows] }

// A world writes one CSV file whose canary's harm is known.
type world struct {
	name string
	spec Spec
	file func(r *rand.Rand) string
	harm bool // beyond the margin: must fail; else must not
}

// rates are counts of a rate that trebles over the file, in both arms, while the canary's share grows: what fools a pooled test.
func rates(plus, factor float64) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		var out strings.Builder
		out.WriteString("window,baseline_n,baseline_events,canary_n,canary_events\n")
		for t := range simWindows {
			n := 50 + r.IntN(150)
			nc := hits(r, n, ramp(t))
			p := .01 * (1 + 2*float64(t)/simWindows)
			fmt.Fprintf(&out, "%d,%d,%d,%d,%d\n", t, n-nc, hits(r, n-nc, p), nc, hits(r, nc, p*factor+plus))
		}
		return out.String()
	}
}

// clumps come by units whose events happen together, five at a time.
func clumps(r *rand.Rand) string {
	var out strings.Builder
	out.WriteString("window,arm,unit,n,events\n")
	unit := 0
	for t := range simWindows {
		for range 40 {
			unit++
			arm, k := "baseline", 0
			if r.Float64() < .3 {
				arm = "canary"
			}
			if r.Float64() < .02 {
				k = 5
			}
			fmt.Fprintf(&out, "%d,%s,u%d,5,%d\n", t, arm, unit, k)
		}
	}
	return out.String()
}

// exposures are hours whose number wanders, with counts that are Poisson of them.
func exposures(factor float64) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		var out strings.Builder
		out.WriteString("window,baseline_exposure,baseline_events,canary_exposure,canary_events\n")
		for t := range simWindows {
			b, c := 3*r.ExpFloat64(), .5*r.ExpFloat64()
			rate := 2 + float64(t)/60
			fmt.Fprintf(&out, "%d,%.4f,%d,%.4f,%d\n", t, b, poisson(r, b*rate), c, poisson(r, c*rate*factor))
		}
		return out.String()
	}
}

// samples are lognormal, with a time of day in both arms.
func samples(factor float64) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		var out strings.Builder
		out.WriteString("time,version,value\n")
		for t := range simWindows * 40 {
			arm, x := "41", 20*math.Exp(.7*r.NormFloat64())*(1+.5*math.Sin(float64(t)/600))
			if r.Float64() < ramp(t/40) {
				arm, x = "42", x*factor
			}
			fmt.Fprintf(&out, "%d,%s,%.2f\n", t, arm, x)
		}
		return out.String()
	}
}

// roundedSamples are lognormal about a value that rounds down where a factor of it rounds up: multiples of 5.
func roundedSamples(spread, factor float64) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		var out strings.Builder
		out.WriteString("time,version,value\n")
		for t := range simWindows * 40 {
			arm, x := "41", 7.2*math.Exp(spread*r.NormFloat64())
			if r.Float64() < ramp(t/40) {
				arm, x = "42", x*factor
			}
			fmt.Fprintf(&out, "%d,%s,%v\n", t, arm, 5*math.Round(x/5))
		}
		return out.String()
	}
}

// revenue is what users of a day spend: most nothing, some a lot, all at most 500; as sums.
func revenue(factor float64) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		var out strings.Builder
		out.WriteString("window,arm,n,sum,squares\n")
		for t := range simWindows {
			for arm, n := range []int{120, 40} {
				sum, squares := 0.0, 0.0
				for range n {
					if r.Float64() > .3 {
						continue
					}
					x := 60 * math.Exp(r.NormFloat64()) * (1 + .5*math.Sin(float64(t)/20))
					if arm == 1 {
						x *= factor
					}
					x = min(x, 500)
					sum, squares = sum+x, squares+x*x
				}
				fmt.Fprintf(&out, "%d,%s,%d,%.2f,%.2f\n", t, []string{"baseline", "canary"}[arm], n, sum, squares)
			}
		}
		return out.String()
	}
}

// gauges are the cpu of hosts that wander slowly, each by itself; the canary's may have more.
func gauges(plus float64) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		var out strings.Builder
		out.WriteString("window,arm,unit,value\n")
		level := make([]float64, 16)
		for t := range 4 * simWindows {
			for host := range level {
				level[host] = .9*level[host] + .04*r.NormFloat64()
				arm, x := "baseline", .4+level[host]
				if host%4 == 0 {
					arm, x = "canary", x+plus
				}
				fmt.Fprintf(&out, "%d,%s,host-%d,%.4f\n", t, arm, host, x)
			}
		}
		return out.String()
	}
}

// users come anew in each window, each with ten values that are alike: half of the variance is between users. named: the file has them as units.
func users(factor float64, named bool) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		var out strings.Builder
		out.WriteString("window,arm,user,value\n")
		if named {
			out.Reset()
			out.WriteString("window,arm,unit,value\n")
		}
		user := 0
		for t := range simWindows {
			for range 10 {
				user++
				arm, level := "baseline", 20*math.Exp(.4*r.NormFloat64())
				if r.Float64() < .3 {
					arm, level = "canary", level*factor
				}
				for range 10 {
					fmt.Fprintf(&out, "%d,%s,u%d,%.2f\n", t, arm, user, level*math.Exp(.4*r.NormFloat64()))
				}
			}
		}
		return out.String()
	}
}

// sameScores are of users who come anew in each window, each with 20 values that are all the same; five users a window, a fifth of them the canary's. named: the file has them as units.
func sameScores(shift float64, named bool) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		var out strings.Builder
		out.WriteString("window,arm,user,value\n")
		if named {
			out.Reset()
			out.WriteString("window,arm,unit,value\n")
		}
		for user := range simWindows * 5 {
			arm, x := "baseline", .8*r.Float64()
			if r.Float64() < .2 {
				arm, x = "canary", x+shift
			}
			for range 20 {
				fmt.Fprintf(&out, "%d,%s,u%d,%.3f\n", user/5, arm, user, x)
			}
		}
		return out.String()
	}
}

// scores lie between 0 and 1, rounded, with many ties.
func scores(shift float64) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		var out strings.Builder
		out.WriteString("time,arm,value\n")
		for t := range simWindows * 20 {
			arm, x := "baseline", .5+.15*r.NormFloat64()
			if r.Float64() < .3 {
				arm, x = "canary", x+shift
			}
			fmt.Fprintf(&out, "%d,%s,%.2f\n", t, arm, max(0, min(1, x)))
		}
		return out.String()
	}
}

// units are split by the plan of each window, or by another share.
func units(factor float64, planned bool) func(r *rand.Rand) string {
	return func(r *rand.Rand) string {
		var out strings.Builder
		out.WriteString("window,baseline,canary,share\n")
		for t := range simWindows {
			n, plan := 50+r.IntN(100), .3
			if planned {
				plan = ramp(t)
			}
			real := plan
			if t > simWindows/3 {
				real *= factor
			}
			c := hits(r, n, real)
			if fmt.Fprintf(&out, "%d,%d,%d", t, n-c, c); planned {
				fmt.Fprintf(&out, ",%v%%\n", 100*plan)
			} else {
				out.WriteString(",\n")
			}
		}
		if !planned {
			return strings.ReplaceAll(strings.ReplaceAll(out.String(), ",\n", "\n"), ",share", "")
		}
		return out.String()
	}
}

var worlds = []world{
	{"no harm, any", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "any", Phi: 1}, rates(0, 1), false},
	{"no harm, any, downward", Spec{Kind: Rate, Direction: schemas.Decrease, Margin: "any", Phi: 1}, rates(0, 1), false},
	{"on an absolute margin", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "1pp", Phi: 1}, rates(.01, 1), false},
	{"on a relative margin", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "50%", Phi: 1}, rates(0, 1.5), false},
	{"clumps that units tell", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "any"}, clumps, false},
	{"clumps that phi tells", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "any", Phi: 5}, clumps, false},
	{"exposures", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "any", Phi: 1}, exposures(1), false},
	{"exposures on a margin", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "30%", Phi: 1}, exposures(1.3), false},
	{"median, any", Spec{Kind: Quantile, Direction: schemas.Increase, Margin: "any", Quantile: .5, Baseline: "41", Canary: "42"}, samples(1), false},
	{"p95 on its margin", Spec{Kind: Quantile, Direction: schemas.Increase, Margin: "20%", Quantile: .95, Baseline: "41", Canary: "42"}, samples(1.2), false},
	{"ks, any", Spec{Kind: KS, Baseline: "41", Canary: "42"}, samples(1), false},
	{"ks on its margin", Spec{Kind: KS, Direction: schemas.Increase, Margin: "20%", Baseline: "41", Canary: "42"}, samples(1.2), false},
	{"mann-whitney on its margin", Spec{Kind: MannWhitney, Direction: schemas.Increase, Margin: "20%", Baseline: "41", Canary: "42"}, samples(1.2), false},
	{"median of rounded values on its margin", Spec{Kind: Quantile, Direction: schemas.Increase, Margin: "20%", Quantile: .5, Baseline: "41", Canary: "42", Granularity: 5}, roundedSamples(.4, 1.2), false},
	{"ks of rounded values within its margin, any harm", Spec{Kind: KS, Direction: schemas.Increase, Margin: "20%", Prove: schemas.ProveAny, Baseline: "41", Canary: "42", Granularity: 5}, roundedSamples(.4, 1.1), false},
	{"mann-whitney of rounded values on its margin", Spec{Kind: MannWhitney, Direction: schemas.Increase, Margin: "20%", Baseline: "41", Canary: "42", Granularity: 5}, roundedSamples(.1, 1.2), false},
	{"mann-whitney of scores, any", Spec{Kind: MannWhitney, Buckets: schemas.Buckets{From: 0, To: 1, Count: 100}}, scores(0), false},
	{"median of users, any", Spec{Kind: Quantile, Direction: schemas.Increase, Margin: "any", Quantile: .5}, users(1, true), false},
	{"ks of users, any", Spec{Kind: KS}, users(1, true), false},
	{"mann-whitney of users on its margin", Spec{Kind: MannWhitney, Direction: schemas.Increase, Margin: "20%"}, users(1.2, true), false},
	{"mann-whitney of users that phi tells", Spec{Kind: MannWhitney, Phi: 6}, users(1, false), false},
	{"mean of users, any", Spec{Kind: Mean, Direction: schemas.Increase, Margin: "any", Cap: 200}, users(1, true), false},
	{"mean of users' same scores, any", Spec{Kind: Mean, Direction: schemas.Increase, Margin: "any", Cap: 1}, sameScores(0, true), false},
	{"mean of users' same scores on its margin", Spec{Kind: Mean, Direction: schemas.Increase, Margin: "0.1", Cap: 1}, sameScores(.1, true), false},
	{"mean of users' same scores that phi tells", Spec{Kind: Mean, Direction: schemas.Increase, Margin: "any", Cap: 1, Phi: 20}, sameScores(0, false), false},
	{"mean of revenue, any", Spec{Kind: Mean, Direction: schemas.Decrease, Margin: "any", Cap: 500}, revenue(1), false},
	{"mean of a gauge, any", Spec{Kind: Mean, Direction: schemas.Increase, Margin: "any", Cap: 1, Gauge: true}, gauges(0), false},
	{"split by a plan that changes", Spec{Kind: SRM}, units(1, true), false},
	{"split that nobody planned", Spec{Kind: SRM}, units(1, false), false},

	{"three more in a hundred", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "1pp", Phi: 1}, rates(.04, 1), true},
	{"a third as many", Spec{Kind: Rate, Direction: schemas.Decrease, Margin: "10%", Phi: 1, Effects: Incident}, rates(0, .2), true},
	{"twice per hour", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "30%", Phi: 1}, exposures(2.5), true},
	{"p95 half as much again", Spec{Kind: Quantile, Direction: schemas.Increase, Margin: "20%", Quantile: .95, Baseline: "41", Canary: "42"}, samples(1.8), true},
	{"ks half as much again", Spec{Kind: KS, Direction: schemas.Increase, Margin: "20%", Baseline: "41", Canary: "42"}, samples(1.8), true},
	{"mann-whitney half as much again", Spec{Kind: MannWhitney, Direction: schemas.Increase, Margin: "20%", Baseline: "41", Canary: "42"}, samples(1.8), true},
	{"median of values whose rounding nobody tells, any harm", Spec{Kind: Quantile, Direction: schemas.Increase, Margin: "20%", Prove: schemas.ProveAny, Quantile: .5, Baseline: "41", Canary: "42"}, roundedSamples(.4, 1.1), true},
	{"mann-whitney of values whose rounding nobody tells", Spec{Kind: MannWhitney, Direction: schemas.Increase, Margin: "20%", Baseline: "41", Canary: "42"}, roundedSamples(.1, 1.2), true},
	{"ks of rounded values, four times as much", Spec{Kind: KS, Direction: schemas.Increase, Margin: "20%", Baseline: "41", Canary: "42", Granularity: 5}, roundedSamples(.4, 4), true},
	{"mann-whitney of users, twice as much", Spec{Kind: MannWhitney, Direction: schemas.Increase, Margin: "20%"}, users(2, true), true},
	{"scores moved", Spec{Kind: KS, Buckets: schemas.Buckets{From: 0, To: 1, Count: 100}}, scores(.08), true},
	{"revenue halved", Spec{Kind: Mean, Direction: schemas.Decrease, Margin: "5%", Cap: 500}, revenue(.5), true},
	{"mean of users, three times as much", Spec{Kind: Mean, Direction: schemas.Increase, Margin: "5%", Cap: 200}, users(3, true), true},
	{"a gauge much higher", Spec{Kind: Mean, Direction: schemas.Increase, Margin: "any", Cap: 1, Gauge: true}, gauges(.3), true},
	{"half of the canary's units get lost", Spec{Kind: SRM}, units(.5, true), true},
	{"and nobody planned them", Spec{Kind: SRM}, units(.3, false), true},
}

// TestErrorRates looks at files after each window: a healthy canary fails in at most alpha of them, a harmful one in nearly all.
func TestErrorRates(t *testing.T) {
	const alpha = .05
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			failed, n := 0, simRuns()
			spec := w.spec
			spec.Alpha = alpha
			for i := range n {
				r := rand.New(rand.NewPCG(*simSeed, uint64(i)))
				sum, err := Run(spec, Input{"sim.csv", strings.NewReader(w.file(r))}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if sum.Verdict == schemas.StateFailed {
					failed++
				}
			}
			t.Logf("%d of %d failed", failed, n)
			if limit := binomialLimit(n, alpha); !w.harm && failed > limit {
				t.Errorf("%d of %d failed without harm, at alpha %v at most %d may", failed, n, alpha, limit)
			}
			if w.harm && failed < n*95/100 {
				t.Errorf("%d of %d failed with harm of more than the margin", failed, n)
			}
		})
	}
}

// TestUsersWithoutUnits: what units, or phi, are for. Of the same values without either far more healthy canaries fail than may, so the worlds above are hard enough to tell.
func TestUsersWithoutUnits(t *testing.T) {
	const alpha, runs = .05, 40
	failed := 0
	for i := range runs {
		r := rand.New(rand.NewPCG(*simSeed, uint64(i)))
		sum, err := Run(Spec{Kind: MannWhitney, Alpha: alpha}, Input{"sim.csv", strings.NewReader(users(1, false)(r))}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if sum.Phi != 1 {
			t.Fatalf("phi is %v of rows that go to the arms by themselves", sum.Phi)
		}
		if sum.Verdict == schemas.StateFailed {
			failed++
		}
	}
	if limit := binomialLimit(runs, alpha); failed <= 2*limit {
		t.Errorf("%d of %d failed, which is no more than twice the %d that may", failed, runs, limit)
	}
}

// TestIntervals looks at intervals after each window: that of an effect that stays the same misses it at any window in at most one of twenty files, and
// in the end it is known.
func TestIntervals(t *testing.T) {
	within := func(truth float64) func(w *Result) bool {
		return func(w *Result) bool {
			return (w.Lower == nil || *w.Lower <= truth+1e-9) && (w.Upper == nil || *w.Upper >= truth-1e-9)
		}
	}
	for _, w := range []struct {
		name  string
		spec  Spec
		file  func(r *rand.Rand) string
		truth float64
	}{
		{"rate", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "1pp", Phi: 1}, rates(.01, 1), .01},
		{"ratio of rates", Spec{Kind: Rate, Direction: schemas.Increase, Margin: "20%", Phi: 1}, rates(0, 1.5), 1.5},
		{"p95", Spec{Kind: Quantile, Direction: schemas.Increase, Margin: "20%", Quantile: .95, Baseline: "41", Canary: "42"}, samples(1.2), 1.2},
		{"ks", Spec{Kind: KS, Direction: schemas.Increase, Margin: "20%", Baseline: "41", Canary: "42"}, samples(1.2), 1.2},
		{"mann-whitney", Spec{Kind: MannWhitney, Direction: schemas.Increase, Margin: "20%", Baseline: "41", Canary: "42"}, samples(1.2), 1.2},
		{"scores by ks", Spec{Kind: KS, Buckets: schemas.Buckets{From: 0, To: 1, Count: 100}}, scores(0), 0},
		{"scores by mann-whitney", Spec{Kind: MannWhitney, Buckets: schemas.Buckets{From: 0, To: 1, Count: 100}}, scores(0), 0},
		{"mean of revenue", Spec{Kind: Mean, Direction: schemas.Decrease, Margin: "5%", Cap: 500}, revenue(1), 1},
		{"mean of scores", Spec{Kind: Mean, Direction: schemas.Decrease, Margin: "0.02", Cap: 1}, scores(0), 0},
	} {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			missed, known, n, covers := 0, 0, simRuns(), within(w.truth)
			for i := range n {
				missing := false
				sum, err := Run(w.spec, Input{"sim.csv", strings.NewReader(w.file(rand.New(rand.NewPCG(*simSeed, uint64(i)))))}, func(line *Window) error {
					missing = missing || !covers(&line.Result)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if missing {
					missed++
				}
				if sum.Estimate != nil && sum.Lower != nil && sum.Upper != nil && *sum.Lower < *sum.Upper {
					known++
				}
			}
			if known < n*9/10 {
				t.Errorf("only %d of %d files end with an interval", known, n)
			}
			t.Logf("%d of %d missed %v", missed, n, w.truth)
			if limit := binomialLimit(n, displayAlpha); missed > limit {
				t.Errorf("%d of %d intervals missed %v, at most %d may", missed, n, w.truth, limit)
			}
		})
	}
}
