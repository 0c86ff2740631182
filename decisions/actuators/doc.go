// Package actuators carries decisions out of NATS: to people (Slack, PagerDuty, Alertmanager, a webhook), into a model registry (MLflow), and into what
// splits traffic (a Gateway API HTTPRoute, Envoy).
//
// Open makes the actuator of a sink of the configuration; its Act brings one Event there. What may be relied on:
//
//   - Act may be called again with the same event, after a crash or an error. What changes something finds it changed already; what tells somebody sends the
//     same idempotency key, the decision's id.
//   - Each request has a time limit, the answer's body included, and is repeated a bounded number of times, with pauses that grow and vary. A server that names a
//     pause (Retry-After) gets it.
//   - Secrets are read from files or the environment for each request, and stand in no error and in no text of a dry run. Redirects are not followed, so that
//     nobody is handed one.
//   - In a dry run (Options.Say) nothing is changed: what would be sent is said instead. What has to be read for that is read.
//
// To add an actuator: a file that registers it, and its fixture in a test of its own, which TestActuators then holds to all of this. Read actuator.go,
// event.go, names.go, courier.go (requests), failure.go, secret.go, then any of the others. standing.go is what stands at a sink
// whose system forgets.
//
// Limits: an actuator keeps no queue and no position; who calls it does. Events of one sink may come at once for different models.
package actuators
