// Package serve is the live service: events in from Kafka, decisions out on NATS.
//
// It runs two loops that share nothing but the window journal. Stage one (counter.go) reads the event topics, counts, and appends
// what it sealed. Stage two (court.go) reads the journal and keeps a desk (desk.go) for each rollout: a fold over the
// journal's records, and the rollout's head, which is written by compare-and-set. Everything from outside that matters to a
// rollout (acks, expired deadlines, commands, alerts, rulings) goes into the journal first and takes effect where it stands there.
//
// So a process that is killed anywhere starts again from the head and the journal and goes on as if nothing had happened. Crash
// (crash.go) names the places where the tests kill it.
//
// Alertmanager's webhook (alerts.go) comes in by HTTP, as people's commands do (people.go).
//
// Sinks (sinks.go) are told what was published: they read the decision log for themselves, so the loops never wait for one.
// Alertmanager, which forgets, is told again what stands (repeat.go).
//
// Read serve.go first (what is started, in which order, and how it ends), then record.go, counter.go, court.go, desk.go, topics.go
// (brokers that are away, and new partitions), and holdup.go, health.go, metrics.go, nag.go for what an operator sees;
// recompute.go is the fold once more, for auditors.
package serve
