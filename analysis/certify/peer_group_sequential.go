package certify

import (
	"math"
	"sync"
)

// groupLooks is how many looks the group-sequential plan has, at equal steps of information.
const groupLooks = 20

// groupSequential is a planned trial: Lan and DeMets's spending function of the O'Brien-Fleming type, one-sided, on the stratified z. It
// is told how much information the whole run will have, which a live canary doesn't know.
var groupSequential = Method{
	Name:   "O'Brien-Fleming, stratified",
	Source: "Lan and DeMets, Biometrika 70 (1983), as gsDesign's sfLDOF; boundaries by numerical integration (Armitage, McPherson, Rowe 1969); 20 looks, information known",
	start: func(c *Case) watch {
		g := &groupWatch{c: c, sum: stratumSum{c: c}}
		for _, alpha := range c.Alphas {
			g.bounds = append(g.bounds, obrienFleming(alpha, groupLooks))
		}
		return g
	},
}

type groupWatch struct {
	c      *Case
	sum    stratumSum
	bounds [][]float64
	looks  int
}

func (g *groupWatch) see(m *Moment, alarmed []bool) {
	counts, ok := g.c.counts(m)
	if !ok {
		return
	}
	z, ok := g.sum.take(counts)
	if !ok || g.looks == groupLooks || g.sum.informations < g.c.Planned*float64(g.looks+1)/groupLooks {
		return
	}
	for i, bounds := range g.bounds {
		if z >= bounds[g.looks] {
			alarmed[i] = true
		}
	}
	g.looks++
}

// spent is the share of alpha spent when the part t of the information is there: 2 - 2 Phi(z_(alpha/2)/sqrt t).
func spent(alpha, t float64) float64 { return 2 * normalTail(-normalQuantile(alpha/2)/math.Sqrt(t)) }

var groupBounds sync.Map // of {alpha, looks}: []float64

// obrienFleming is the boundary of z at each of the looks.
func obrienFleming(alpha float64, looks int) []float64 {
	type key struct {
		alpha float64
		looks int
	}
	if b, ok := groupBounds.Load(key{alpha, looks}); ok {
		return b.([]float64)
	}
	bounds := groupBoundary(alpha, looks)
	groupBounds.Store(key{alpha, looks}, bounds)
	return bounds
}

// groupBoundary finds each look's boundary so that the chance to have crossed by then is what is spent by then. The sum of increments that has
// not crossed yet has a sub-density, which is carried on a grid from look to look.
func groupBoundary(alpha float64, looks int) []float64 {
	const points, deepest = 400, -6.
	step := math.Sqrt(1 / float64(looks)) // standard deviation of one increment, of a total variance of 1
	bounds := make([]float64, looks)
	var at, density []float64
	for k := range looks {
		t := float64(k+1) / float64(looks)
		goal := spent(alpha, t)
		if k > 0 {
			goal -= spent(alpha, float64(k)/float64(looks))
		}
		beyond := func(b float64) float64 { // the chance to cross b now
			if k == 0 {
				return normalTail(b / step)
			}
			sum := 0.0
			for i, x := range at {
				sum += density[i] * normalTail((b-x)/step)
			}
			return sum
		}
		lo, hi := -1.0, 12.0
		for range 60 {
			if mid := (lo + hi) / 2; beyond(mid) > goal {
				lo = mid
			} else {
				hi = mid
			}
		}
		bounds[k] = hi / math.Sqrt(t)
		at, density = carry(at, density, carrying{step: step, from: deepest, to: hi, points: points})
	}
	return bounds
}

// carrying says onto which grid the sub-density goes next.
type carrying struct {
	step, from, to float64
	points         int
}

// carry is the sub-density after one more increment, below the boundary: midpoints, with their chances.
func carry(at, density []float64, c carrying) (nextAt, nextDensity []float64) {
	width := (c.to - c.from) / float64(c.points)
	nextAt, nextDensity = make([]float64, c.points), make([]float64, c.points)
	scale := width / (c.step * math.Sqrt(2*math.Pi))
	for j := range nextAt {
		y := c.from + (float64(j)+.5)*width
		nextAt[j] = y
		if at == nil {
			nextDensity[j] = scale * math.Exp(-y*y/(2*c.step*c.step))
			continue
		}
		for i, x := range at {
			d := (y - x) / c.step
			nextDensity[j] += density[i] * scale * math.Exp(-d*d/2)
		}
	}
	return nextAt, nextDensity
}
