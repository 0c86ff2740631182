// Package embed runs a Kafka broker and a NATS server inside the process, for demos, single machines and tests.
//
// Both keep their data in a folder, write each acknowledged message to disk before they acknowledge it, and listen on loopback only. A
// process that is killed and started again on the same folder finds everything that was acknowledged. A folder serves one process at a time.
// A NATS server that gave up after a write failed (the disk was full) is started again once writing works; the broker refuses what it can't
// write, and goes on by itself.
//
// Names to know first: Start, Options, Servers.
//
// Read in this order: embed.go, broker.go, nats.go, lock.go.
//
// Limits: the broker is kfake: one node, no authentication, made for tests; it holds what real load needs on one machine, not what a
// production cluster promises. NATS runs without authentication, too: whoever may connect to this machine's loopback may use both.
package embed
