// Package analysis turns merged, sealed windows into evidence per guardrail, and evidence into a verdict.
//
// Metrics says what a rollout's guardrails need of each window; a Judge, one per epoch, folds the merged
// parts into a Verdict. Both are pure: no clock, no random source, no map order. The same parts in the same
// order give the same evidence bit for bit (on one build and architecture), whatever batch they came in.
//
// Names to know first: Metrics, NewJudge, Judge.Step, Judge.Advance, Judge.Status.
//
// Order to read: metric.go and the metric_*.go files (what a window keeps); share.go and block.go (which
// windows one test takes together); kernel_*.go (a block becomes increments of log evidence), with dispersion.go
// (how much less than independent events prove); trial.go (the three e-processes over the same blocks) and strata.go (the same within segments), strata_noise.go (how noisy these are);
// onset.go, tally.go, account_lean.go and batch.go (since when, estimates, intervals); kinds.go and distribution.go (which tests a guardrail
// has); guard.go (a guardrail's states); segments.go (the same guardrail by segment); missing.go, split.go, sampling.go and the health*.go files (the
// input's health: a check is added by adding a file), answers.go (from when on that can be told); budget.go (what counts as proven); judge.go (the fold), stage.go (from one stage to the next), verdict.go, sentence.go, status.go.
//
// Stages are the caller's to walk, by Judge.Advance: fail evidence runs through the epoch, and each stage must be passed by what was seen in it.
//
// Limits: a rollout file has one stage so far. A warmup is the epoch's, not each stage's. Samples have no segments. A segment's guardrail can't pass, takes rates for rare ones, looks at fewer quantiles of a distribution, and tells an
// interval only where that is a difference of rates or means. What is kept for one is at most 1 KiB, and 8 KiB for a guardrail on all of the traffic,
// histograms apart (TestFootprint).
package analysis
