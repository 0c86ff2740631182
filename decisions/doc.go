// Package decisions turns verdicts into decisions, and follows each until it is carried out.
//
// It is a pure state machine: Step takes a State and an Input and returns the next State and the Effects, with no clock,
// network, goroutine or log. Whatever comes from outside (an ack, an expired deadline, a person's command, wall time) is
// data in an Input, so folding the same inputs again gives the same decisions.
//
// Names to know first: Step, State, Input; Head, which is what is stored of a rollout (its state, the journal offsets
// that it stands on and the outbox of what is not yet published, in one value); Head.Next and Head.Delivered, the
// protocol by which the outbox is emptied, each decision published once. Package decisions/bus carries it out on NATS.
//
// Read in this order: terms.go, input.go, state.go, step.go, start.go, pillar.go, judge.go, alert.go, saga.go, verify.go, unrouted.go, decide.go,
// notice.go, head.go, outbox.go, digest.go.
//
// Limits: one canary stage. A rollback has the steps route and verify; further steps slot into rollbackSteps.
package decisions
