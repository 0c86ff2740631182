package stats

import (
	"fmt"
	"math"
	"slices"
)

// EBH returns, ascending, which of many hypotheses are rejected at the false discovery rate q by the e-Benjamini-Hochberg procedure: with the K
// e-values sorted downward, the i first for the largest i whose e-value is at least K/(i q). It answers "which segments are harmed".
//
// Claim. The expected share of true hypotheses among the rejected ones is at most q, under any dependence.
//
// When. Each logE is the log of an e-value: an e-process at the time of the report, which may be chosen by looking. Running maxima are not e-values: for a
// report that latches, pass them through AdjustMax first.
//
// Cost: a sort of a copy, and at most a logarithm for each hypothesis.
//
// Conventions: ties stand or fall together; -Inf is never rejected, +Inf always; of an empty list none. It panics unless 0 < q < 1 and no logE is NaN.
//
// Source: Wang, Ramdas (arXiv 2009.02824).
func EBH(logE []float64, q float64) []int {
	if !(q > 0 && q < 1) || slices.ContainsFunc(logE, math.IsNaN) {
		panic(fmt.Sprintf("stats: e-BH at %v of %v", q, logE))
	}
	sorted := slices.Clone(logE)
	slices.Sort(sorted)
	all := float64(len(logE))
	var rejected []int
	for i := len(sorted); i >= 1 && rejected == nil; i-- {
		least := sorted[len(sorted)-i]
		if least < math.Log(all/(float64(i)*q)) {
			continue
		}
		for j, x := range logE {
			if x >= least {
				rejected = append(rejected, j)
			}
		}
	}
	return rejected
}

// AdjustMax turns the log of an e-process' running maximum, m >= 1, into the log of an e-value: log A(m), A(m) = (m - 1 - log m) / log² m, and
// A(1) = 1/2. What it costs: a maximum of 1000 becomes 21.
//
// Claim. The expectation of A(m) is at most 1 at any time, since P(m >= x) <= 1/x (Ville) and the integral of A(x)/x² from 1 on is 1.
//
// When. For the maximum of any e-process from its start on.
//
// Cost: at most three elementary functions; no allocation.
//
// Conventions: a logMax below 0 counts as 0; +Inf stays so; NaN panics.
//
// Source: adjusters of Shafer, Shen, Vereshchagin, Vovk (Test martingales, Bayes factors and p-values, 2011).
func AdjustMax(logMax float64) float64 {
	if math.IsNaN(logMax) {
		panic("stats: a running maximum of NaN")
	}
	x := max(0, logMax)
	switch {
	case x < 0.02: // (e^x - 1 - x) / x² by its series
		return math.Log(1./2 + x*(1./6+x*(1./24+x*(1./120+x/720))))
	case x < 1:
		return math.Log((math.Expm1(x) - x) / (x * x))
	case math.IsInf(x, 1):
		return x
	case x > 100: // the rest is below a rounding error
		return x - 2*math.Log(x)
	}
	return x + math.Log1p(-(1+x)*math.Exp(-x)) - 2*math.Log(x)
}
