// Package analysis turns merged, sealed windows into evidence per guardrail, and evidence into a verdict.
//
// Metrics says what a rollout's guardrails need of each window; a Judge, one per epoch, folds the merged
// parts into a Verdict. Both are pure: no clock, no random source, no map order. The same parts in the same
// order give the same evidence bit for bit (on one build and architecture), whatever batch they came in.
//
// Names to know first: Metrics, NewJudge, Judge.Step, Judge.Status.
//
// Order to read: metric.go and the metric_*.go files (what a window keeps); share.go and block.go (which
// windows one test takes together); kernel_*.go (a block becomes increments of log evidence), with dispersion.go
// (how much less than independent events prove); trial.go (the three e-processes over the same blocks); onset.go, tally.go and batch.go (since when,
// estimates, intervals); guard.go (a guardrail's states); missing.go, split.go, sampling.go and the health*.go files (the
// input's health: a check is added by adding a file); budget.go (what counts as proven); judge.go (the fold), verdict.go, sentence.go, status.go.
//
// Limits: one stage; contrasts of quantiles take relative margins only; segments are not told apart.
package analysis
