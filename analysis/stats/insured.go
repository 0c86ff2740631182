package stats

import "math"

// insuredShare is the insurance's part of the stake.
const insuredShare = 0.1

// Insured is the evidence of a high rate's test: nine tenths of the stake on Bernoulli, whose power hangs on its plug-in rate, a tenth on Linear, which has none
// (log e = log(0.9 e_R2 + 0.1 e_R1)). So a plug-in that an outage has driven off costs at most log 10 = 2.3 nat against Linear alone,
// and the insurance 0.1 nat against Bernoulli alone.
//
// Claim. Both parts are start mixtures (Mixture) with the same weights over the same blocks, e-processes of one hypothesis in one filtration; a fixed mean
// of such is one, too: the chance that LogMax ever reaches log(1/alpha) is at most alpha.
//
// When. As Bernoulli and Linear; which rates are high must be decided before the first block.
//
// Cost: two Mixtures and four elementary functions for a block, and 56 + 8 bytes for each of Bernoulli's points beside them; no allocation.
//
// Conventions: as Mixture: NaN panics, in increments and in the weight; a block that is empty for Bernoulli alone is told by nil. Owned by one goroutine.
// The zero value is not ready; see NewInsured.
//
// Source: derived here, the proof is in the claim.
type Insured struct {
	block, linear *Mixture
	idle          []float64 // increments of 0: a block that Bernoulli skips
	logE, logMax  float64
}

// NewInsured returns one at evidence 1 (LogE 0), for grids of so many points of Bernoulli and of Linear.
func NewInsured(block, linear int) *Insured {
	return &Insured{block: NewMixture(block), linear: NewMixture(linear), idle: make([]float64, block)}
}

// Step takes one block's increments of both tests, with the stake's part that starts with it: see Mixture.Step. block is nil where Bernoulli skips
// what Linear takes (it skips whatever Linear skips).
func (i *Insured) Step(block, linear []float64, weight float64) {
	if block == nil {
		block = i.idle
	}
	i.block.Step(block, weight)
	i.linear.Step(linear, weight)
	i.logE = i.both()
	i.logMax = max(i.logMax, i.logE)
}

func (i *Insured) both() float64 {
	return logAddExp(math.Log1p(-insuredShare)+i.block.LogE(), math.Log(insuredShare)+i.linear.LogE())
}

// Anew is Mixture.Anew of both parts, whose cash is the same.
func (i *Insured) Anew() (cash float64) {
	i.block.Anew()
	cash = i.linear.Anew()
	i.logE, i.logMax = i.both(), 0
	return cash
}

// LogE is the log evidence now: 0 before the first step.
func (i *Insured) LogE() float64 { return i.logE }

// LogMax is the largest LogE so far, never below 0.
func (i *Insured) LogMax() float64 { return i.logMax }
