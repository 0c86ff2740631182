package schemas

import "time"

// APIVersion is that of every file that a person writes.
const APIVersion = "streamcanary.dev/v1"

const (
	neverWord    = "never"
	anyWord      = "any"
	allWord      = "all"
	externalWord = "external"
	noneWord     = "none"
)

// Bounds of a rollout file.
const (
	MaxGuardrails = 64
	MaxExternal   = 8 // guardrails of them that are from outside
	MaxOutcomes   = 16
	MaxSegments   = 200
	MaxBuckets    = 10_000
	MaxRouters    = 64
	MaxStores     = 16
	MaxUses       = 16
	maxStages     = 32
	maxPast       = 64 // rollbacks that a decision remembers
	maxLabels     = 64
	maxLabelBytes = 1024
	maxLabelsAll  = 16 << 10 // bytes of labels and annotations together: every decision has them
	maxListed     = 256
	maxMatchers   = 16
)

// rolloutForm is all that a rollout file may hold, in the order in which Explain prints it, with its defaults.
// A default stands here and nowhere else; those of a guardrail's required, prove and weight depend on its other keys
// (guardrail_read.go).
var rolloutForm = mapping(
	field{key: "apiVersion", form: word(APIVersion), def: APIVersion, about: "version of this file's shape"},
	field{key: "kind", form: word("Rollout"), def: "Rollout", about: "what this file is"},
	field{key: "metadata", need: required, example: "metadata: {name: ranker-42}", about: "what the rollout is called",
		form: mapping(
			field{key: "name", form: text(MaxNameBytes), need: required, example: "name: ranker-42", about: "names the rollout in decisions, keys and commands"},
			field{key: "labels", form: names(maxLabels, text(maxLabelBytes)), about: "go along with every decision"},
			field{key: "annotations", form: names(maxLabels, text(maxLabelBytes)), about: "for people: owner, runbook; they are the links of every decision"},
		)},
	field{key: "spec", need: required, example: "spec: with model, baseline and canary", about: "what is compared, and what happens then",
		form: specForm},
)

var specForm = mapping(
	field{key: "model", form: text(MaxNameBytes), need: required, example: "model: ranker", about: "the model, as in the events"},
	field{key: "baseline", form: armForm, need: required, example: `baseline: {version: "41"}`, about: "the version that serves now"},
	field{key: "canary", form: armForm, need: required, example: `canary: {version: "42"}`, about: "the version under test"},
	field{key: "mode", form: word(string(Enforce), string(Advise)), def: string(Enforce), about: "enforce, or advise: decide and tell, but nobody acts on it"},
	field{key: "risk", about: "what is accepted for one epoch", form: mapping(
		field{key: "falseRollback", form: number(0, 0.5).above(), def: "0.01", about: "probability that a canary that does no harm is rolled back"},
		field{key: "falsePromote", form: number(0, 0.5).above(), def: "0.05", about: "probability that a canary beyond a margin is promoted"},
	)},
	field{key: "window", form: duration(100*time.Millisecond, time.Hour), def: "1s", about: "event time that is judged at once"},
	field{key: "lateness", form: duration(0, day), def: "2s", about: "how much later than its successors an event may come"},
	field{key: "warmup", form: duration(0, day), def: "0s", about: "the canary's first time, which counts for errors, not for latency"},
	field{key: "patience", form: duration(0, 365*day).orWord(neverWord), def: "30m", about: "how long \"suspect\" may last before it is a rollback, or never"},
	field{key: "phi", form: number(1, 100), def: "1.5", about: "over-dispersion assumed until it is measured"},
	field{key: "latencyGranularity", form: duration(0, time.Hour), def: "0ms", about: "what producers round latencies to"},
	field{key: "outcomes", form: names(MaxOutcomes, outcomeForm), def: "{click: {within: 10m}, purchase: {within: 24h}}",
		about: "how long after its prediction an outcome still counts"},
	field{key: "guardrails", form: list(1, MaxGuardrails, guardrailForm), def: defaultGuardrails, about: "what the canary may not do"},
	field{key: "segments", form: segmentsForm, about: "watches parts of the traffic, too"},
	field{key: "stratify", form: word(SegmentField), about: "contrasts within segments, too"},
	field{key: "health", form: healthForm, about: "how the input itself is watched"},
	field{key: "stages", form: list(1, maxStages, stageForm).orForm(word(externalWord)), def: "[{}]", about: "shares of the traffic, and what ends each"},
	field{key: "acks", about: "who must answer a decision", form: mapping(
		field{key: "routers", form: list(1, MaxRouters, text(MaxNameBytes)).orForm(word(anyWord)), def: anyWord, about: "any, or names: all of them must answer"},
		field{key: "within", form: duration(100*time.Millisecond, time.Hour), def: "10s", about: "how soon"},
	)},
	field{key: "state", form: stateForm.orForm(word(noneWord, string(StateNamespaced))), about: "what else must go back with the traffic"},
	field{key: "cache", form: cacheForm.orForm(word(noneWord)), about: "how the cache of the version that takes over is warmed"},
	field{key: "rollback", about: "how a rollback is carried out", form: mapping(
		field{key: "ifIncompatible", form: word(string(ActionFreeze)), def: string(ActionFreeze), about: "what happens if the baseline can't read the state and a store doesn't answer"},
		field{key: "drainWithin", form: duration(time.Second, day), def: "60s", about: "how soon the canary must be gone from the stream"},
	)},
	field{key: "pillars", form: pillarsForm, about: "what must hold before the rollout starts; what isn't named isn't checked"},
	field{key: "training", about: "what the canary did offline: for training/serving skew, which decides nothing", form: mapping(
		field{key: "scores", form: text(maxLabelBytes), need: required, example: "scores: offline-scores-42.csv", about: "file of the scores that it gave: a number on each line, or a column score"},
	)},
	field{key: "chronic", about: "when rolling back again is no answer, and rolling forward is recommended", form: mapping(
		field{key: "rollbacks", form: integer(2, maxPast), def: "3", about: "so many of the model, with the one that is decided"},
		field{key: "within", form: duration(time.Minute, 365*day), def: "14d", about: "in this time"},
	)},
	field{key: "hotfix", form: text(maxLabelBytes), about: "what rolling forward would mean: a flag, a setting"},
	field{key: "sinks", form: list(0, MaxUses, useForm), about: "who else hears of it, or carries it out: sinks of the configuration"},
)

// useForm is one entry of sinks; it has one of the keys.
var useForm = mapping(
	field{key: "mlflow", about: "a model registry that follows what was decided", form: mapping(
		sinkField,
		field{key: "name", form: text(maxLabelBytes), about: "the registered model; default: the model"},
		field{key: "alias", form: text(MaxNameBytes), about: "alias of the version that serves: a promotion moves it to the canary, a rollback back"},
		field{key: "candidate", form: text(MaxNameBytes), about: "alias of the canary: taken away when it is promoted or rolled back"},
		field{key: "stage", form: text(MaxNameBytes), about: "stage of the version that serves, e.g. Production; the other one is archived"},
		field{key: "baseline", form: text(MaxNameBytes), about: "the registered version; default: the baseline's version"},
		field{key: "canary", form: text(MaxNameBytes), about: "the registered version; default: the canary's version"},
	)},
	field{key: "httproute", about: "a Gateway API HTTPRoute whose weights follow", form: mapping(
		sinkField,
		field{key: "namespace", form: text(MaxNameBytes), need: required, example: "namespace: feed", about: "the route's"},
		field{key: "name", form: text(MaxNameBytes), need: required, example: "name: ranker", about: "the route's"},
		field{key: "baseline", form: text(MaxNameBytes), need: required, example: "baseline: ranker-41", about: "name of the baseline's backendRef"},
		field{key: "canary", form: text(MaxNameBytes), need: required, example: "canary: ranker-42", about: "name of the canary's backendRef"},
	)},
	field{key: "envoy", about: "runtime keys of Envoy's weighted_clusters that follow", form: mapping(
		sinkField,
		field{key: "prefix", form: text(MaxNameBytes), need: required, example: "prefix: routing.ranker", about: "runtime_key_prefix of the route's weighted_clusters"},
		field{key: "baseline", form: text(MaxNameBytes), need: required, example: "baseline: ranker-41", about: "the baseline's cluster"},
		field{key: "canary", form: text(MaxNameBytes), need: required, example: "canary: ranker-42", about: "the canary's cluster"},
	)},
	field{key: "webhook", form: text(MaxNameBytes), about: "gets everything, signed: the sink's name"},
	field{key: "slack", form: text(MaxNameBytes), about: "a Slack channel: the sink's name"},
	field{key: "pagerduty", form: text(MaxNameBytes), about: "people on call: the sink's name"},
	field{key: "alertmanager", form: text(MaxNameBytes), about: "an Alertmanager: the sink's name"},
)

var sinkField = field{key: "sink", form: text(MaxNameBytes), about: "the sink's name in the configuration; default: its kind"}

var segmentsForm = mapping(
	field{key: "watch", form: word(SegmentField), def: SegmentField, about: "the event field that names the segment"},
	field{key: "top", form: integer(1, MaxSegments), def: "20", about: "this many, by the baseline's count in the first 30 windows; the rest is one more"},
	field{key: "list", form: list(1, MaxSegments, text(MaxNameBytes)), about: "or these; the rest is one more"},
)

var armForm = mapping(
	field{key: "version", form: text(MaxNameBytes), need: required, example: `version: "42"`, about: "as in the events"},
	field{key: "where", form: whereForm, about: "picks part of the version: the events whose fields fit all of these; * stands for anything"},
)

var outcomeForm = mapping(
	field{key: "within", form: duration(time.Millisecond, 90*day), about: "this long after the prediction"},
	field{key: "value", form: word(string(ValueSum)), about: "adds a prediction's values up"},
	field{key: "cap", form: number(0, 1e15).above(), about: "the sum is held within this, both ways"},
)

const defaultGuardrails = `
- {name: errors,   rate: error,   increase: 0.5pp, weight: 3}
- {name: outage,   rate: error,   above: 5%, weight: 1}
- {name: timeouts, rate: timeout, increase: 0.2pp, weight: 1}
- {name: hang,     rate: timeout, above: 5%, weight: 1}
- {name: p99,      quantile: 0.99, of: latency, increase: 20%, weight: 3}
- {name: crawl,    quantile: 0.9,  of: latency, increase: 100%, weight: 1}
- {name: cpu,      sample: cpu,    limit: 0.9, increase: 5pp, on: hold}
- {name: memory,   sample: memory, limit: 0.9, increase: 5pp, on: hold}
- {name: ctr,      rate: click,    decrease: 2%, prove: any, required: false, weight: 1}
- {name: sales,    rate: purchase, decrease: any, required: false, weight: 1}
`

var guardrailForm = mapping(
	field{key: "name", form: text(MaxNameBytes), need: required, example: "name: errors", about: "names it in decisions and in pass"},
	field{key: "rate", form: text(MaxNameBytes), about: "share of predictions with: error, timeout, cache_miss or an outcome"},
	field{key: "quantile", form: number(0, 0.999999).above(), about: "this quantile of what `of` names, e.g. 0.99"},
	field{key: "sample", form: text(MaxNameBytes), about: "share of this resource's samples above `limit`"},
	field{key: "mean", form: text(MaxNameBytes), about: "mean of an outcome's values, of one of `values`, of the score, or of a sample"},
	field{key: "distribution", form: text(MaxNameBytes), about: "the whole distribution of latency, score, or one of `values`"},
	field{key: externalKey, form: word(FromAlertmanager), about: "alerts that Alertmanager's webhook tells of, and that fit `match`: harm while one fires"},
	field{key: "match", form: names(maxMatchers, text(maxLabelBytes)).orForm(list(1, maxMatchers, text(maxLabelBytes))),
		about: "of external: labels and their values, or a list of Alertmanager's matchers, e.g. severity=~\"page|critical\"; all must fit"},
	field{key: "for", form: duration(0, day), def: "0s", about: "of external: the alert must have fired for so long"},
	field{key: "staleAfter", form: duration(time.Second, 30*day), def: "5h",
		about: "of external: an alert that isn't told again for so long counts as over; more than Alertmanager's repeat_interval (4h)"},
	field{key: "test", form: word(string(TestKS), string(TestMannWhitney)), about: "how distributions are compared"},
	field{key: "of", form: text(MaxNameBytes), def: ofLatency, about: "of a quantile: latency, score, or the name of one of `values`"},
	field{key: "limit", form: number(0, 1e15), about: "of a sample: the reading above which it counts"},
	field{key: "from", form: word(KindPrediction.String(), KindOutcome.String(), KindSample.String()), about: "of a mean: the kind of event that carries it, where its name doesn't tell"},
	field{key: "cap", form: number(0, 1e15).above(), about: "of a mean: values are held within this, both ways"},
	field{key: "buckets", form: bucketsForm, about: "of a quantile or a distribution: linear buckets, for values that may be zero or less"},
	field{key: "increase", form: form{kind: marginForm}, about: "harm is more than this above the baseline"},
	field{key: "decrease", form: form{kind: marginForm}, about: "harm is more than this below the baseline"},
	field{key: "above", form: form{kind: marginForm}, about: "harm is above this fixed limit"},
	field{key: "below", form: form{kind: marginForm}, about: "harm is below this fixed limit"},
	field{key: "on", form: word(string(OnRollback), string(OnHold), string(OnWarn)), def: string(OnRollback), about: "what a failure does"},
	field{key: "prove", form: word(string(ProveBeyond), string(ProveAny)), about: "harm beyond the margin, or any harm while the estimate is beyond it"},
	field{key: "required", form: form{kind: boolForm}, about: "must pass before a promotion; default: true unless on: warn"},
	field{key: "weight", form: number(0, 1000).above(), about: "share of the risk; default: 3 for the error rate and latency increases, else 1"},
)

const (
	ofLatency = "latency"
	ofScore   = "score"
)

var bucketsForm = mapping(
	field{key: "from", form: number(-1e15, 1e15), need: required, example: "from: 0", about: "what is lower counts in the lowest"},
	field{key: "to", form: number(-1e15, 1e15), need: required, example: "to: 1", about: "what is higher counts in the highest"},
	field{key: "count", form: integer(2, MaxBuckets), need: required, example: "count: 1000", about: "how many"},
)

// scoreBuckets are those of scores, unless the file has others.
var scoreBuckets = Buckets{From: 0, To: 1, Count: 1000}

var healthForm = mapping(
	field{key: "silent", form: duration(100*time.Millisecond, day), def: "5s", about: "the least silence of one arm that can count as missing"},
	field{key: "unmatched", form: form{kind: percentForm}, def: "5%", about: "margin for the share of outcomes without a prediction"},
	field{key: "selfTest", form: word(string(OnHold), string(OnWarn)), def: string(OnHold), about: "what happens if the baseline differs from itself"},
	field{key: "traffic", form: word(string(OnHold), string(OnWarn)), def: string(OnHold), need: laterElse, about: "what happens if the split isn't the planned one"},
	field{key: "noData", form: duration(time.Second, 30*day), def: "60s", about: "silence of both arms that holds the rollout (where traffic is thin, twice its longest pause of late), and of a canary that never came that rolls back"},
)

var stageForm = mapping(
	field{key: "weight", form: number(0, 100), about: "the canary's planned percent of the traffic, 0: copies only, 100: a promotion; default: whatever is observed"},
	field{key: "mirror", form: number(0, 100).above(), def: "100", about: "with weight: 0, the percent of the traffic that is copied to the canary"},
	field{key: "bake", form: duration(0, 90*day), def: "10m", about: "no promotion, and no next stage, before"},
	field{key: "pass", form: list(1, MaxGuardrails, text(MaxNameBytes)).orForm(word(allWord)), def: allWord, about: "guardrails that must pass; all: every required one"},
	field{key: "max", form: duration(time.Second, 365*day), def: "24h", about: "no longer than this"},
	field{key: "then", form: word(string(OnHold), string(OnRollback)), def: string(OnHold), about: "what happens at max"},
	field{key: "approve", form: form{kind: boolForm}, def: "false", about: "begins only when a person says so"},
	field{key: "watch", form: duration(time.Second, 365*day), about: "with weight: 100, how long the canary is watched against the holdback before it gets all"},
	field{key: "holdback", form: number(0, 50).above(), def: "1", about: "with watch, the percent that stays at the baseline"},
)

var stateForm = mapping(
	field{key: "mode", form: word(noneWord, string(StateNamespaced), string(StateShared)), def: noneWord,
		about: "none; namespaced: each version writes its own; shared: it is restored to what it was before the canary"},
	field{key: "namespace", form: text(maxLabelBytes), def: `"{model}:{version}"`, about: "of namespaced state, its name, with {model} and {version}"},
	field{key: "stores", form: list(1, MaxStores, text(MaxNameBytes)), about: "who holds shared state: all of them must answer"},
	field{key: "ackWithin", form: duration(100*time.Millisecond, day), def: "30s", about: "how soon they must answer"},
	field{key: "compatible", form: form{kind: boolForm}, def: "true", about: "the baseline can read what the canary wrote"},
)

var cacheForm = mapping(
	field{key: "namespace", form: text(maxLabelBytes), def: `"{model}:{version}"`, about: "the cache's name, with {model} and {version}: decisions say which to use"},
	field{key: "warm", form: list(1, maxStages, number(0, 100).above()), about: "percents at which a version that takes over stops until its cache is warm: the canary before its watch or promotion, the baseline after a rollback, but for harm that can't wait"},
	field{key: "until", about: "when a cache is warm", form: mapping(
		field{key: "hitRate", form: number(0, 1), def: "0.8", about: "this share of its predictions has cache_hit"},
		field{key: "max", form: duration(time.Second, day), def: "5m", about: "or so long was waited, for each step"},
	)},
	field{key: "idle", form: form{kind: boolForm}, def: "false", about: "the canary has no traffic before its promotion, no stage plans it any, and the promotion itself stops at the percents of warm: what rollout back writes"},
	field{key: "mute", form: list(1, MaxGuardrails, text(MaxNameBytes)), about: "guardrails of the latency that say nothing while the cache of a version that has just got its traffic is cold"},
)
