// Package engine judges: it puts windows, analysis and decisions together, the same way for a log that is replayed and for
// the window journal of a live service.
//
// A Fold is stage two of one epoch of one rollout: sealed parts in, in any interleaving of partitions and streams; out, in one
// canonical order, what each part changed (a Turn), ready to be folded into the decisions' state machine. A Replay drives a Stage and a Fold
// from a source of events to its end.
//
// Everything here is synchronous; a Fold and a Replay belong to one goroutine. Order to read: plan.go, fold.go, replay.go, report.go.
package engine
