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
// Events are drawn at a constant rate and share, independently, or in clumps of the over-dispersion that is stated or was surveyed; how noisy they are is measured
// as a rollout measures it. No burst, no cycle of the day, and no noise of single hosts is drawn, and the canary is harmful from its first window on. A median of
// 21 runs is within about a quarter of that of very many (Options.Runs), and replays of such traffic agree with it as far (TestPlannedIsSimulated); what takes more than 400 of
// a rollout's windows, of means of outcomes or of gauges, to about a half (Reach.Rough, TestWiderWindows). Rates above 10 %
// are planned as known before the canary comes. Everything is a function of its arguments; all functions may be called at once from several goroutines.
package plan
