// Package subscribe is the client for routers and state stores: it brings them the decisions about their models, verified and in order, and
// answers for them.
//
// Run connects, reads the model's route document, then watches it and the decision log, and calls your Handler with every decision that
// is to be carried out. What it promises:
//
//   - A decision reaches the handler only if a key that you trust signed exactly its bytes. Keys come from a file that you were given
//     (TrustFile), never from NATS, unless you set TrustOnFirstUse.
//   - (Epoch, Seq) only grow: a decision that isn't above the last one that you carried out is not handed over. Where the route document and
//     the log differ, the greater one holds: a decision that a newer one has overtaken before it could be handed over is passed over, where
//     the newer one says all that it asks: a split where it has one, and the same, or more, of a store.
//   - A handler that returned nil is answered for: `prepared` for the prepare of a start, `applied` else. One that returned an error is answered
//     `failed`, and called again with growing pauses, until it succeeds or a newer decision takes its place: one that says all that it asks,
//     as above. Others, which move no traffic or only advise, wait behind it. One that returned a Rejection is answered
//     `rejected`, and called again only when the decision is asked again: when its route document is written once more, or, where it has no
//     routes, when it is written to the key beside it that is for that. One that still runs a second after a newer decision came that takes its
//     place, and orders something else, has its context ended, and isn't answered: a call that hangs keeps no rollback waiting, if it heeds
//     its context.
//   - After a restart the decision whose routes are in force is handed over once more, with Restored set, so that a router that keeps its
//     routes in memory finds them again. Acks that may have been lost are sent again.
//   - A decision of a rollout in mode advise comes with Advise set: look, don't act. It is answered `received`.
//
// A handler must be idempotent: after a crash between its work and its answer it sees the same decision again. Routes are the full desired
// state, never a difference. A decision without routes (a start whose split somebody else keeps, a hold) asks for no change of traffic.
//
// The module has no address yet: `go mod edit -require=streamcanary@v0.0.0 -replace=streamcanary=PATH-OF-A-CHECKOUT`, then `go mod tidy`.
//
// What is on the wire, and what a client in another language must do, is in deploy/PROTOCOL.md.
//
// Names to know first: Run, Options, Handler, Delivery, Reject; Dir and Memory are the stores.
//
// Read in this order: options.go, run.go, follower.go, call.go, fence.go, acks.go, readers.go, store.go, heartbeat.go.
//
// Limits: one handler call at a time per model, several models side by side. A store belongs to one subscriber.
package subscribe
