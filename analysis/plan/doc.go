// Package plan says beforehand how long a rollout's guardrails need: to fail at a stated harm, to be suspect, and to pass where there
// is none; which harm is the smallest that a stage finds; and what a fleet must expect of the risk that it takes.
//
// It asks the judge itself: small, seeded simulations of windows with the traffic that is stated or was surveyed from a log, judged by
// analysis.Judge with the guardrail's own share of the risk. What takes longer than eight times the stage is reckoned, for rates by their test on expected counts and
// else from the evidence that was gained so far, and says so (Reach.How).
//
// The names to know first: Stated and Survey make the Baselines of a rollout's guardrails, Make plans, Fleet counts false rollbacks.
//
// # Order of reading
//
// baseline.go, stated.go, survey.go: what is known of the traffic. law.go, harm.go: a metric's values, with and without harm. random.go,
// world.go: windows of it. trial.go, search.go, rule.go: judging them, and what is reckoned. plan.go, fleet.go: the answers.
//
// # Limits
//
// Events are drawn independently, at a constant rate and share: the tests discount for the over-dispersion that is given, but no burst, clump or cycle
// of the day is drawn. The canary is harmful from its first window on. Medians are of few runs (Options.Runs), so read them to about a fifth. Everything is
// a function of its arguments; all functions may be called at once from several goroutines.
package plan
