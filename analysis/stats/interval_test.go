package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// worldOfRates draws blocks of a world in which the baseline's rate drifts by a factor of 3 and the canary's share rises from 1 % to 50 %.
type worldOfRates struct {
	r          *rand.Rand
	size       float64 // mean events of a block
	rate       float64 // of the baseline, at its lowest
	rho, delta float64 // the canary's rate: rho times the baseline's, plus delta
	phi        float64 // dispersion of both arms; 1: Binomial
	blocks     int
}

func (w worldOfRates) block(t int) Counts {
	at := float64(t) / float64(w.blocks)
	share := []float64{0.01, 0.05, 0.25, 0.5}[int(4*at)]
	pb := w.rate * (1 + 2*at)
	pc := w.rho*pb + w.delta
	n := w.size * (0.5 + w.r.Float64())
	nc := binomial(w.r, math.Round(n), share)
	nb := math.Round(n) - nc
	if w.phi > 1 {
		return Counts{nc, min(nc, negativeBinomial(w.r, nc*pc, w.phi)), nb, min(nb, negativeBinomial(w.r, nb*pb, w.phi))}
	}
	return Counts{nc, binomial(w.r, nc, pc), nb, binomial(w.r, nb, pb)}
}

// TestDifferenceIsTheMixtureInverted: at each bound the mixture over the grid, computed for that difference, is 2/alpha.
func TestDifferenceIsTheMixtureInverted(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 1))
	world := worldOfRates{r: r, size: 4000, rate: 0.01, rho: 1, delta: 0.004, blocks: 40}
	d := NewDifference()
	type taken struct {
		c    Counts
		phis [2]float64
	}
	var blocks []taken
	logE := func(delta, side float64) float64 {
		logs := make([]float64, len(IntervalGrid))
		for j, x := range IntervalGrid {
			for _, b := range blocks {
				s := b.c.Nc / b.c.Nb
				lambda := math.Expm1(side*x) / (b.phis[0] + math.Exp(side*x)*s*b.phis[1])
				logs[j] += factor(b.c.Kc, lambda, b.phis[0]) + factor(b.c.Kb, -s*lambda, b.phis[1]) - delta*lambda*b.c.Nc
			}
		}
		return logSumExp(logs) - math.Log(float64(len(logs)))
	}
	for step := range world.blocks {
		b := taken{world.block(step), [2]float64{1 + r.Float64(), 1 + r.Float64()}}
		if b.c.Nc == 0 {
			continue
		}
		blocks = append(blocks, b)
		d.Add(b.c, b.phis[0], b.phis[1])
		lower, upper := d.Interval(0.1)
		if !(lower < upper) {
			t.Fatalf("step %d: interval %v to %v", step, lower, upper)
		}
		for _, bound := range []struct{ at, side, clamp float64 }{{lower, 1, -1}, {upper, -1, 1}} {
			got, want := logE(bound.at, bound.side), math.Log(20)
			if bound.at == bound.clamp && got <= want {
				continue
			}
			if math.Abs(got-want) > 1e-8 {
				t.Errorf("step %d: log e at the bound %v of side %v is %v, want %v", step, bound.at, bound.side, got, want)
			}
		}
	}
	if lower, upper := d.Interval(0.1); lower < -0.01 || upper > 0.02 {
		t.Errorf("at the end %v to %v", lower, upper)
	}
}

func TestDifferenceAtItsEdges(t *testing.T) {
	for _, row := range []struct {
		name         string
		blocks       []Counts
		lower, upper float64
	}{
		{"nothing yet", nil, -1, 1},
		{"one arm only", []Counts{{10, 5, 0, 0}, {0, 0, 10, 5}}, -1, 1},
		{"no events prove nothing below", []Counts{{5, 0, 5, 0}}, -1, 1},
		{"all against none", []Counts{{1e6, 1e6, 1e6, 0}}, 0.99, 1},
		{"none against all", []Counts{{1e6, 0, 1e6, 1e6}}, -1, -0.99},
	} {
		d := NewDifference()
		for _, c := range row.blocks {
			d.Add(c, 1, 1)
		}
		lower, upper := d.Interval(0.05)
		if !(lower >= row.lower && lower <= row.lower+0.01 && upper <= row.upper && upper >= row.upper-0.01) {
			t.Errorf("%s: %v to %v, want about %v to %v", row.name, lower, upper, row.lower, row.upper)
		}
	}
}

// TestRatioIsConservativeAndClose compares with one test for each of many candidate ratios, the bets at the candidate itself.
func TestRatioIsConservativeAndClose(t *testing.T) {
	for _, rho := range []float64{0.3, 0.97, 1, 1.4, 3} {
		for _, phi := range []float64{1, 2.5} {
			world := worldOfRates{r: rand.New(rand.NewPCG(12, uint64(100*rho))), size: 8000, rate: 0.02, rho: rho, phi: phi, blocks: 32}
			ratio := NewRatio()
			var candidates []float64
			for v := -2.8; v <= 2.8; v += 0.03 {
				candidates = append(candidates, math.Exp(v))
			}
			above, below := make([][]float64, len(candidates)), make([][]float64, len(candidates))
			inc := make([]float64, len(ratioGrid))
			add := func(sum *[]float64, l Linear, c Counts) {
				if l.Increments(inc, c, phi, phi) {
					*sum = append(*sum, make([]float64, len(inc)-min(len(inc), len(*sum)))...)
					for j, x := range inc {
						(*sum)[j] += x
					}
				}
			}
			canary, baseline := 0.0, 0.0
			for step := range world.blocks {
				c := world.block(step)
				ratio.Add(c, phi, phi)
				canary += c.Kc * c.Nb / (c.Nc + c.Nb)
				baseline += c.Kb * c.Nc / (c.Nc + c.Nb)
				for i, candidate := range candidates {
					add(&above[i], Linear{Rho0: candidate, Side: 1, Grid: ratioGrid}, c)
					add(&below[i], Linear{Rho0: candidate, Side: -1, Grid: ratioGrid}, c)
				}
			}
			wantLower, wantUpper := 0.0, math.Inf(1)
			target := math.Log(2/0.05) + math.Log(float64(len(ratioGrid)))
			for i, candidate := range candidates {
				if logSumExp(above[i]) >= target {
					wantLower = candidate
				}
				if j := len(candidates) - 1 - i; logSumExp(below[j]) >= target {
					wantUpper = candidates[j]
				}
			}
			lower, upper := ratio.Interval(0.05)
			if !(lower <= wantLower*1.032 && lower >= wantLower*0.98 && upper >= wantUpper*0.968 && upper <= wantUpper*1.02) {
				t.Errorf("ratio %v phi %v: %v to %v, by candidates %v to %v", rho, phi, lower, upper, wantLower, wantUpper)
			}
			if e := canary / baseline; !(e > lower && e < upper) {
				t.Errorf("ratio %v phi %v: the Mantel-Haenszel estimate %v is outside %v to %v", rho, phi, e, lower, upper)
			}
		}
	}
}

// TestRatioChordsLieBelow: between the nodes the straight line is never above the evidence that it stands for.
func TestRatioChordsLieBelow(t *testing.T) {
	for _, phi := range [][2]float64{{1, 1}, {1.5, 4}, {30, 1.1}} {
		for _, c := range []Counts{{10, 3, 990, 7}, {500, 0, 500, 9}, {500, 9, 500, 0}, {900, 40, 20, 20}} {
			ratio := NewRatio()
			ratio.Add(c, phi[0], phi[1])
			for i := range len(ratio.nodes) - 1 {
				a, b := ratio.nodes[i], ratio.nodes[i+1]
				for _, h := range []chords{ratio.above, ratio.below} {
					for j, bet := range h.bets {
						lambda := bet.on(b*c.Nc/c.Nb, phi[0], phi[1])
						for _, at := range []float64{0, 0.3, 0.8, 1} {
							truth := factor(c.Kc, lambda, phi[0]) + factor(c.Kb, -mix(a, b, at)*c.Nc/c.Nb*lambda, phi[1])
							if line := mix(h.interval(i)[j].low, h.interval(i)[j].high, at); line > truth+1e-9 {
								t.Errorf("phi %v, %+v, ratio %v: line %v above %v", phi, c, mix(a, b, at), line, truth)
							}
						}
					}
				}
			}
		}
	}
}

func TestRatioAtItsEdges(t *testing.T) {
	inf := math.Inf(1)
	for _, row := range []struct {
		name         string
		blocks       []Counts
		lower, upper float64
	}{
		{"nothing yet", nil, 0, inf},
		{"no events", []Counts{{100, 0, 100, 0}}, 0, inf},
		{"one arm only", []Counts{{100, 7, 0, 0}, {0, 0, 100, 7}}, 0, inf},
		{"beyond the last node", []Counts{{1e6, 1e5, 1e6, 1e3}}, 16, inf},
		{"below the first node", []Counts{{1e6, 1e3, 1e6, 1e5}}, 0, 1. / 16},
		{"only the canary has events", []Counts{{1e4, 1e3, 1e4, 0}}, 16, inf},
		{"only the baseline has events", []Counts{{1e4, 0, 1e4, 1e3}}, 0, 1. / 16},
	} {
		ratio := NewRatio()
		for _, c := range row.blocks {
			ratio.Add(c, 1, 1)
		}
		if lower, upper := ratio.Interval(0.05); lower != row.lower || upper != row.upper {
			t.Errorf("%s: %v to %v, want %v to %v", row.name, lower, upper, row.lower, row.upper)
		}
	}
}
