// Package stats holds the sequential tests that a rollout is judged by: pure numbers in, evidence out.
//
// Every test is an e-process: evidence that may be looked at after every block and stopped at any time, with its
// error rate intact. A kernel (Linear, Bernoulli, Bounded, Mean, TopK, Mallows, Tilt, Skew, SplitIncrements, MissingIncrement) turns one block of counts,
// sums or histograms into increments, one for each bet of its grid; a Mixture adds them up over blocks and over possible starts of the harm.
// Difference, Ratio, NormalMixture and QuantileRatio are confidence sequences. TopKMix and Mallows test whole distributions; ProbabilityIndex
// and HodgesLehmann say by how much they differ; KSDistance, BinDistance, PSI, MannWhitney and QuantileBand are for display only. Holm spends the error rate over many tests; EBH
// says which of many segments are harmed.
//
// Logarithms are natural everywhere; c is the canary, b the baseline. A block is whatever the caller takes together: its end must depend on
// sizes only, never on results, and the split between the arms must be constant within it.
//
// Conventions, where a type doesn't say otherwise. Empty: a block in which an arm has nothing that the test needs leaves the evidence as it is, and is
// reported (false); an interval of nothing is all that is possible, an estimate of nothing NaN. Ties: exact in the rank tests, one half in U and the
// probability index. NaN panics in what is counted or measured; a factor for over-dispersion, a prior and an alpha are the caller's own, finite, and not
// looked at where a type doesn't say so. But for estimates of nothing, none is given for what is in order; log evidence is finite. An error rate alpha is in
// (0, 1). The cost is said at the type, of the method that takes a block; where it says no more, what reads the state takes constant time, and neither
// allocates. Bytes are without what a value shares with others, such as a grid.
//
// Sources. Each comment names where its method can be looked up. "Derived here" means that nothing was found that states it: then the proof, or for a
// rule chosen by simulation the test that simulates it, is named there. The short names of ARCHITECTURE.md and of the certificate are: R1 Linear, R2 Bernoulli,
// R3 the starts of Mixture, R4 the factors for over-dispersion in Linear with what measures it (Dispersion, Spread), R5 Difference, R6 SplitIncrements, R7
// Mean and NormalMixture, R8 Bounded, R13 Ratio, TOPK TopK, MALLOWS Mallows.
//
// Nothing here reads a clock, allocates in steady state, or depends on map order: the same blocks in the same order give the same
// bits on one architecture. A count that no block can hold (negative, NaN, more events than requests) is a bug and panics.
//
// Read linear.go, mixture.go and start.go first; then bernoulli.go with plugin.go and insured.go, difference.go and ratio.go; bounded.go, mean.go,
// longrun.go and normal.go (means); topk.go, hypergeometric.go and quantile_ratio.go; topk_mix.go and tail_blocks.go;
// mallows.go, rank_ties.go and rank_law.go; rank_effect.go, rank_display.go and quantile_band.go; rounding.go; tilt.go, skew.go,
// split.go, split_change.go, split_break.go and missing.go; dispersion.go, spread.go and succession.go; holm.go and ebh.go.
//
// Limits: what a test assumes is said at its type; dispersion is calibrated, not exact; margins are tested near a quantile, not at it alone.
package stats
