// Package certify measures what package analysis claims: seeded worlds with a known truth are judged by the product and, on the same
// windows, by what others use today, and the counts are held against exact binomial limits.
//
// A World says how traffic, rates and latencies behave; a Tape plays one run of it, as merged parts that a Judge takes; a Method (the
// whole verdict, one test of package stats, or a peer) looks at every window. An Experiment plays many runs of one world and makes Rows; the
// Battery is the list of all experiments. Run plays a choice of them on all processors; the same seed gives the same Report
// whatever the parallelism.
//
// Names to know first: Battery, Run, Report.
//
// Order to read: dice.go (random numbers), law.go, noise.go, world.go, tape.go (a run's windows), tape_users.go (of users, whose latencies are alike), tape_scores.go, worlds.go (the list); method.go, then
// method_*.go (ours) and peer_*.go (what others use, each as its source defines it); experiment.go, limit.go, then type_one.go,
// harm.go, delay.go, onset.go, grid.go, gauges.go, scores.go, settings.go, staged.go; battery.go (the list), table.go (Markdown and JSON).
//
// To add a world, a method or an experiment, append it to its list; every experiment that takes all worlds or all methods has it then.
//
// Limits: simulations bound a rate only as far as their runs go. The worlds are made by the same people as the product: bring your
// own logs to `streamcanary replay` with two copies of one version. Peers are judged by their rules, not by running their programs.
package certify
