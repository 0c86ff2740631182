package stats

import (
	"fmt"
	"math"
)

// Mixture turns the blocks' increments of a test into its evidence: the mean over the grid points of products that start at
// different blocks, each start with the weight that the caller gives (the start mixture; R3 with any weights).
//
// Claim. e^LogE is a nonnegative supermartingale that starts at 1: the chance that LogMax ever reaches log(1/alpha) is at most alpha, however often one
// looks (Ville). What has not started yet is kept as cash, a bet on nothing.
//
// When. e^increment has, for each point, conditional mean at most 1 given the past, and the weights are fixed in advance (or depend on the past and on sizes
// only) and add up to at most 1.
//
// A plain product, for a pass test, is a first Step with weight 1 and later ones with 0.
//
// Anew gives up what was staked. Wealth may be thrown away at any time, for any reason, so the claim holds on: what is proven afterwards, and what was proven before, err
// together with chance alpha at most. Later weights are parts of the cash that was left.
//
// Cost: three elementary functions for each point; 48 bytes and 8 for each point; no allocation.
//
// Conventions: order matters, steps are taken in the order of event time. An empty block is no Step, or one with increments of 0. NaN panics, in increments
// and in the weight; an increment of -Inf loses what its point has. The zero value is not ready; see NewMixture. Owned by one goroutine.
//
// Sources: Ville's inequality (Étude critique de la notion de collectif, 1939); the idea of starts, Shin, Ramdas, Rinaldo (E-detectors, arXiv 2203.03532),
// whose weights don't add up to a limit and bound how often, not whether ever, it alarms.
type Mixture struct {
	log    []float64 // R_j: log of the started stake of point j, times its winnings
	cash   float64   // stake that has not started: 1 before the first step, never negative
	logE   float64
	logMax float64
}

// NewMixture returns a mixture over points grid points, at evidence 1 (LogE 0).
func NewMixture(points int) *Mixture {
	if points < 1 {
		panic(fmt.Sprintf("stats: mixture of %d points", points))
	}
	m := &Mixture{log: make([]float64, points), cash: 1}
	for j := range m.log {
		m.log[j] = math.Inf(-1)
	}
	return m
}

// Step takes one block: weight of the stake starts with it, then every point grows by its increment. Weight beyond the
// cash left is not staked, so that cash is never negative. It panics when inc has not one increment for each point, weight is
// negative or NaN, or an increment is NaN or +Inf.
func (m *Mixture) Step(inc []float64, weight float64) {
	if len(inc) != len(m.log) || !(weight >= 0) {
		panic(fmt.Sprintf("stats: mixture of %d points takes %d increments with weight %v", len(m.log), len(inc), weight))
	}
	weight = min(weight, m.cash)
	m.cash -= weight
	stake := math.Log(weight)
	for j, x := range inc {
		if !(x <= math.MaxFloat64) {
			panic(fmt.Sprintf("stats: increment %d is %v", j, x))
		}
		m.log[j] = logAddExp(m.log[j], stake) + x
	}
	m.logE = logAddExp(m.started(), math.Log(m.cash))
	m.logMax = max(m.logMax, m.logE)
}

// Anew gives up all that has started, its winnings and its losses, and forgets the maximum: what follows stands on later blocks alone, and on the cash, which it
// returns. LogE is the log of that now: what was spent is spent.
func (m *Mixture) Anew() (cash float64) {
	for j := range m.log {
		m.log[j] = math.Inf(-1)
	}
	m.logE, m.logMax = math.Log(m.cash), 0
	return m.cash
}

// started is the log evidence without the cash.
func (m *Mixture) started() float64 { return logSumExp(m.log) - math.Log(float64(len(m.log))) }

// LogE is the log evidence now: 0 before the first step.
func (m *Mixture) LogE() float64 { return m.logE }

// LogMax is the largest LogE so far, never below 0: what Holm and thresholds look at.
func (m *Mixture) LogMax() float64 { return m.logMax }
