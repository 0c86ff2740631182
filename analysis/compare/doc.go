// Package compare holds a canary against a baseline on counts or samples from anywhere: a CSV file instead of events.
//
// Run reads the file once, window by window, and judges every window as the product judges a rollout of one guardrail: the same
// tests, blocks, start weights and states, by way of analysis.Judge; the split of traffic (srm) by the same kernels of stats. So
// the answer may be looked at after each window, and acted on at any of them, with its error rates intact.
//
// Names to know first: Spec, Run, Window, Summary.
//
// Order to read: spec.go (what is asked), lines.go (the CSV's lines), times.go, columns.go (what its columns mean), rows.go (rows
// become windows), points.go, compare.go (Run), guardrail.go and split.go (the two judges), result.go, text.go (what a person reads).
//
// Limits: one comparison of two arms; windows must come in order; a line has at most 64 KiB; memory doesn't grow with the file (of samples whose units have one row each, with these, up to a bound).
package compare
