// Package loadgen makes traffic with a known answer: the events of a baseline and a canary, as a scenario tells them, for
// demos, tests and benchmarks.
//
// Load reads a [Scenario] by name or path; [New] makes a [Generator], whose Next gives one event after the other in the order of
// arrival; [Pump] writes them to a [Sink]. [Scenario.Truth] is the answer that a judge should come to, with the exact rates
// behind the events. [Counts] makes whole windows' counts without their events. Pacing is the caller's: a Record says when
// it arrives on the scenario's clock.
//
// # Scenarios
//
// A scenario is a text that reads as a story, one statement a line; "#" begins a comment, commas are spaces, the first
// comment is the scenario's title. Nothing unknown is accepted: an error has the file, the line, the word, the nearest known
// word and what is allowed. A DURATION is 250ms, 10m, 12h or 1d; shares are PERCENT like 0.1%; […] may be left out.
//
//	model ranker
//	start 2026-01-05T09:00:00Z                   event time of the first event; this one unless said
//	for 30m                                      how long things happen
//	seed 7                                       1 unless said
//	rate 1000/s [DRIFT]                          requests: a Poisson process
//	split 1% [at 10m]                            the canary's share from then on; the first at 0s, more of them are a ramp
//	users 5000 [sticky] [phi 2 over 1m]          who asks: one of so many users …
//	sessions of 10 every 300ms [sticky] [phi 2]  … or units that come, ask about so often with such gaps, and go
//	round 1ms                                    latencies are multiples of it; unless said, of 1 microsecond
//
// The following are about both arms, or with "baseline" or "canary" in front about that one; the line for both comes first.
//
//	canary version v2                            needs its arm
//	latency LAW [DRIFT]
//	errors 0.1% [taking LAW] [DRIFT]             taking: their own latencies
//	timeouts 0.05% [after 2s] [DRIFT]            after: the latency they are reported with
//	score 40% [noise 15%] [DRIFT]                the model's answer, 0 to 1; errors and timeouts have none
//	outcome click 5% after LAW [DRIFT]           of the answered predictions
//	hosts 4 [named base]                         base-0, base-1, …; named after the version unless said
//	segments web 60% ios 40%
//	sample cpu 55% every 10s [noise 5%] [correlation 0.9] [DRIFT]
//	transport [delay LAW] [late 1% by LAW] [duplicates 1% after LAW] [lost 1%] [broken 1%]
//
// A DRIFT is "drift 30% over 24h", a sine of that amplitude and period which begins rising, or "trend +50% over 12h", linear
// and then constant, or both. A LAW is one of
//
//	fixed 5ms
//	exponential 20s                              its mean
//	uniform 5s..30s
//	lognormal 40ms sigma 0.5 [tail 1% pareto 3]  its median; the largest 1 % follow a Pareto law from their least one on
//	pareto 10ms exponent 2.5                     its least value
//
// or several with shares, parted by bars: "hit 80% lognormal 5ms sigma 0.3 | miss 20% lognormal 60ms sigma 0.5", where hit
// and miss also say so in the event's cache_hit. Every law but fixed can have a tail.
//
// Then what goes wrong, and what should be made of it:
//
//	fault errors canary +2pp from 5m [until 8m] [over 1m]
//	fault latency canary x1.5 [tail] from 5m
//	fault silent canary from 5m
//	expect rollback, fail p99 errors, pass timeouts
//
// A fault is of errors, timeouts, latency, rate, silent, score, an outcome or a sample; of baseline, canary or both; adds points (+2pp,
// -1pp), sets (=100%) or multiplies (x1.5), latencies also by +20ms; grows over a time where one is said. Several
// apply in their order. "tail" changes only what lies above the law's 95th percentile. A silent arm sends nothing, its requests are lost.
// A fault of the rate is for both arms. The expected verdict (rollback, promote, hold, no-rollback) and guardrails are those of a
// rollout with the default guardrails, given the time that it needs.
//
// # Phi
//
// The stated phi is the variance of an arm's count of errors, timeouts or outcomes over its binomial variance, with sticky
// routing, over a time that is long against a session, or over the stated one for users. Two requests of one unit then have the
// correlation that gives it; each alone keeps its rate. Without sticky routing an arm sees only a part of a unit, and less of phi.
//
// # Limits
//
// Numbers that move are held for 100 ms at a time. Event times are whole milliseconds. The same scenario, seed, build and
// architecture give the same bytes; another architecture may round a latency differently.
//
// Read scenario.go, parse.go (then parse_law.go, parse_answers.go, parse_fault.go on words.go), law.go, regime.go, units.go,
// sampler.go, generator.go, json.go, truth.go, counts.go.
package loadgen
