package schemas

import (
	"crypto/sha256"
	"fmt"
)

// Action is what a decision asks for.
type Action string

// The actions of a decision.
const (
	ActionStart       Action = "start"
	ActionAdvance     Action = "advance"
	ActionPromote     Action = "promote"
	ActionRollback    Action = "rollback"
	ActionHold        Action = "hold"
	ActionFreeze      Action = "freeze"
	ActionResume      Action = "resume"
	ActionRetry       Action = "retry"
	ActionSupersede   Action = "supersede"
	ActionRollForward Action = "roll-forward"
)

// Phase is a step of a decision that several must agree to.
type Phase string

// The phases: of a start, prepare comes before commit.
const (
	PhasePrepare Phase = "prepare"
	PhaseCommit  Phase = "commit"
	PhaseAbort   Phase = "abort"
)

// ReasonDeleted is the code of the decision that ends a rollout because a person deleted it.
const ReasonDeleted = "deleted"

// Severity says how loud a decision is.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

// A Decision is an immutable, numbered statement of what traffic must do: the `data` of the CloudEvent
// that is published (see CONTRACTS of the project: docs in schemas/). Within a model, (Epoch, Seq) only grows.
type Decision struct {
	Schema         string            `json:"schema"`
	ID             string            `json:"id"`
	Epoch          int64             `json:"epoch"`
	Seq            int64             `json:"seq"`
	Prev           *Prev             `json:"prev,omitempty"`
	Model          string            `json:"model"`
	Rollout        string            `json:"rollout"`
	Stage          int               `json:"stage"`
	Labels         map[string]string `json:"labels,omitempty"`
	Mode           Mode              `json:"mode"`
	Action         Action            `json:"action"`
	Phase          Phase             `json:"phase,omitempty"`
	Severity       Severity          `json:"severity"`
	Routes         []Route           `json:"routes,omitempty"`
	PreviousRoutes []Route           `json:"previous_routes,omitempty"`
	Unit           string            `json:"unit,omitempty"`  // what routers that hash take as key; empty: an event's unit
	Salt           string            `json:"salt,omitempty"`  // what they hash it with, where Routes share the traffic out: of the epoch
	State          []StateOrder      `json:"state,omitempty"` // the full desired state of what holds the model's state; none: nothing is asked of it
	Cache          *CacheOrder       `json:"cache,omitempty"`
	Mute           []Mute            `json:"mute,omitempty"` // guardrails that say nothing while a cache is cold
	Reason         Reason            `json:"reason"`
	Evidence       Evidence          `json:"evidence"`
	EventTime      Time              `json:"event_time"`
	IssuedAt       Time              `json:"issued_at,omitzero"`
	ExpiresAt      Time              `json:"expires_at,omitzero"`
	Deadline       Time              `json:"deadline,omitzero"`
	Acks           []string          `json:"acks,omitempty"` // who must answer; "any": one of the routers
	Supersedes     string            `json:"supersedes,omitempty"`
	Override       []string          `json:"override,omitempty"` // what a person went past: guardrails, the code of a hold, pillars that fail ("pillar registry"), decisions without an answer, the status of an epoch that was begun anew, "state_incompatible" of a way back, "state_written" of a rollout that begins over a canary whose state can't go back then, "state_shut" of one that begins over stores that take no writes and whose rollout nobody follows any more, "users_moved" of one that takes users at once from a version that is not on trial, "log_lost" of an epoch that begins though the decision log has lost decisions of the rollout, "watch" where one was left out or cut short
	Actor          Actor             `json:"actor"`
	Links          map[string]string `json:"links,omitempty"` // the rollout's annotations
}

// Prev chains a decision to the model's previous one.
type Prev struct {
	ID     string `json:"id"`
	Sha256 string `json:"sha256"` // of the previous body, lower-case hex
}

// A Route is one version's share of the traffic; the weights of all routes sum to 10000.
type Route struct {
	Version  string `json:"version"`
	WeightBP int    `json:"weight_bp"`
	MirrorBP int    `json:"mirror_bp,omitempty"`
}

// A StateOrder says what is to be of a model's state.
type StateOrder struct {
	Store     string  `json:"store,omitempty"` // the consumer that must do it; empty: whoever reads or writes the state
	Do        StateDo `json:"do"`
	Snapshot  string  `json:"snapshot,omitempty"`  // of freeze, restore and unfreeze: the one from before the canary
	Namespace string  `json:"namespace,omitempty"` // of use
}

// StateDo is what is asked of a state store.
type StateDo string

// What a store can be asked for.
const (
	// StateSnapshot: take a snapshot, and answer prepared with its name once it can be restored.
	StateSnapshot StateDo = "snapshot"
	// StateFreeze: take no more writes. To the prepare of a rollback, answer prepared once that is so, and the snapshot can be restored.
	StateFreeze StateDo = "freeze"
	// StateRestore: freeze, if that isn't done, and go back to the snapshot.
	StateRestore StateDo = "restore"
	// StateUnfreeze: take writes again, if that isn't done. It stands in every decision until it is answered.
	StateUnfreeze StateDo = "unfreeze"
	// StateUse: read and write in this namespace.
	StateUse StateDo = "use"
)

// A CacheOrder names the caches of the versions.
type CacheOrder struct {
	Activate string    `json:"activate"`         // namespace of the version that takes over
	Retire   string    `json:"retire,omitempty"` // of the one that has no traffic any more: nobody may answer from it
	Warm     []float64 `json:"warm,omitempty"`   // percents of the traffic at which it will stop on its way to all
}

// A Mute says that a guardrail counts nothing for or against a version until its cache is warm.
type Mute struct {
	Guardrail string `json:"guardrail"`
	Version   string `json:"version"`
	Until     Time   `json:"until"` // at the latest
}

// Reason says why, for people and for machines.
type Reason struct {
	Code       string            `json:"code"`     // e.g. guardrail_failed, all_passed, canary_missing, canary_scarce
	Sentence   string            `json:"sentence"` // one plain sentence
	Guardrails []GuardrailStatus `json:"guardrails,omitempty"`
	Health     []Finding         `json:"health,omitempty"`
	Skew       *Skew             `json:"skew,omitempty"`    // of a rollout with offline scores
	Changes    []string          `json:"changes,omitempty"` // of roll-forward: what differs between the versions' schemas and features, a few words each
}

// Skew is how the scores of a canary online differ from those that it gave offline. It decides nothing: it is what is known of a cause. KS is the largest difference of
// the shares at or below an edge of the offline scores' bins, PSI the population stability index, for the eye only (above 0.25 is much, by the usual reading; of ten
// bins chance alone makes about 9 (1/online + 1/offline)). Proven says whether the sequential test has found the distributions to differ; it may err
// with a chance of 0.001 in an epoch, whatever the file's own sampling error.
type Skew struct {
	KS            float64 `json:"ks"`
	PSI           float64 `json:"psi"`
	Proven        bool    `json:"proven"`
	LogEvidence   float64 `json:"log_evidence"` // natural log; its running maximum is what is proven by
	Threshold     float64 `json:"threshold"`
	Since         Time    `json:"since,omitzero"` // where the evidence turned; none while there is none
	Online        int64   `json:"online"`         // the canary's scores in the epoch; of 0 KS and PSI are 0, and say nothing
	Offline       int64   `json:"offline"`
	OfflineSha256 string  `json:"offline_sha256"` // of the file
	// Slack is how far the offline scores' shares may be from those of their own distribution, as there are no more of them: up to it nothing is proven.
	Slack float64 `json:"slack"`
}

// PSI above which there is some, and much, of a change, by the usual reading.
const (
	PSISome = 0.1
	PSIMuch = 0.25
)

// String is e.g. "KS 0.21, proven; PSI 0.34", or "no score came yet".
func (s *Skew) String() string {
	if s.Online == 0 {
		return "no score came yet"
	}
	proven := "proven"
	if !s.Proven {
		proven = "not proven"
	}
	return fmt.Sprintf("KS %.2f, %s; PSI %.2f", s.KS, proven, s.PSI)
}

// Finding is one health finding.
type Finding struct {
	Code        string  `json:"code"` // canary_missing, baseline_missing, canary_absent, baseline_absent, canary_unserved, canary_scarce, split_mismatch, split_unwatched, off_plan, shadow_users, no_data, join_overflow, segments_full, segments_unlisted, unequal_sampling, both_arms, input_gap, uncalibrated, late, no_latency, no_value, join_gap, bad_events, score_skew, baseline_beyond
	Sentence    string  `json:"sentence"`
	LogEvidence float64 `json:"log_evidence,omitempty"`
	Threshold   float64 `json:"threshold,omitempty"`
	Since       Time    `json:"since,omitzero"`
}

// State of a guardrail.
type State string

// The states of a guardrail.
const (
	StateInsufficient State = "insufficient"
	StateContinue     State = "continue"
	StateSuspect      State = "suspect"
	StateFailed       State = "failed"
	StatePassed       State = "passed"
)

// Against says what a guardrail holds the canary against, and so what its numbers are.
type Against string

// Against the baseline, a guardrail's estimate is a difference or a ratio of the arms, and its margin how far the canary may be off.
// Against a limit, the estimate is the canary's own level, and the margin is the limit.
const (
	AgainstBaseline Against = "baseline"
	AgainstLimit    Against = "limit"
	// AgainstAlerts: a guardrail from outside, which has no numbers.
	AgainstAlerts Against = "alerts"
)

// GuardrailStatus is what is known of one guardrail at one time. Estimate, Lower and Upper are in Unit, of the whole epoch:
// "share" (a difference of shares, or one share), "ratio" (canary over baseline), "ms" or "number"; nil where unknown or unbounded.
// SinceHarm is the same estimate of the time since HarmBegan: what a failure or a suspicion stands on. Both are there only while
// there is evidence of harm.
type GuardrailStatus struct {
	Name          string    `json:"name"`
	Segment       string    `json:"segment,omitempty"`
	State         State     `json:"state"`
	Why           string    `json:"why,omitempty"` // of insufficient: no_data, waiting_outcomes (within has not passed), too_few, unequal_sampling, in_one_part (a mean whose baseline's hosts or units fall all into one half: nothing shows its noise), several_segments (with stratify, of the other segments together), join_overflow; both_arms: excused, since the baseline is beyond the limit, too; fired_before: an alert began before the canary
	On            On        `json:"on"`
	Against       Against   `json:"against,omitempty"` // empty: one written before this was told
	Unit          string    `json:"unit"`
	Margin        string    `json:"margin"`
	Estimate      *float64  `json:"estimate"`
	Lower         *float64  `json:"lower"`
	Upper         *float64  `json:"upper"`
	Changed       bool      `json:"changed,omitempty"` // Lower is above Upper: see Crossed
	SinceHarm     *float64  `json:"estimate_since_harm,omitempty"`
	Ratio         *Interval `json:"ratio,omitempty"`      // of rates: ratio of the rates, where the main estimate is their difference
	Difference    *Interval `json:"difference,omitempty"` // of rates: difference of the rates, a share, where the main estimate is their ratio
	LogEvidence   float64   `json:"log_evidence"`         // running maximum of the fail evidence that Threshold is held against
	LogAny        float64   `json:"log_evidence_any"`
	LogPass       float64   `json:"log_evidence_pass"`
	Threshold     float64   `json:"threshold"`
	PassThreshold float64   `json:"threshold_pass"`
	Phi           float64   `json:"phi,omitempty"`
	Baseline      ArmCount  `json:"baseline"`
	Canary        ArmCount  `json:"canary"`
	HarmBegan     Time      `json:"harm_began,omitzero"`
	FirstWindow   Time      `json:"first_window,omitzero"`
	LastWindow    Time      `json:"last_window,omitzero"`
	// What a distribution looks like: for people, nothing is decided by it. P of the canary above the baseline (ties half) over the whole
	// epoch; of the last block the Kolmogorov-Smirnov distance, and the p-value of the Mann-Whitney test.
	ProbabilityIndex *float64           `json:"probability_index,omitempty"`
	KS               *float64           `json:"ks,omitempty"`
	MannWhitneyP     *float64           `json:"mann_whitney_p,omitempty"`
	Shape            []QuantileEvidence `json:"shape,omitempty"`         // of test: ks: where in the distribution the harm is; ascending Quantile
	AtQuantile       float64            `json:"at_quantile,omitempty"`   // of test: ks: the one with the most evidence now, of which estimate and interval are
	Calibration      string             `json:"calibration,omitempty"`   // CalibrationFailed, or empty
	MutedUntil       Time               `json:"muted_until,omitzero"`    // it counts nothing until a cache is warm, at the latest until then
	Harmed           []string           `json:"harmed,omitempty"`        // segments that are hurt, by e-BH; ascending
	Exemplars        []Exemplar         `json:"exemplars,omitempty"`     // of a failure or a suspicion: predictions of the canary to look up, the newest windows' first; at most ten
	Alerts           []AlertStatus      `json:"alerts,omitempty"`        // of a guardrail from outside: those that fire, what counts first; at most MaxAlertsShown
	AlertsFiring     int                `json:"alerts_firing,omitempty"` // how many fire
	Capped           float64            `json:"capped,omitempty"`        // of a mean, in a status: share of the values at the cap or beyond, in the arm that has more; from a half on
}

// MaxAlertsShown bounds the alerts that a guardrail's status names.
const MaxAlertsShown = 3

// AlertStatus is an alert from outside that fires.
type AlertStatus struct {
	Name        string `json:"name"`      // its label alertname
	StartsAt    Time   `json:"starts_at"` // Alertmanager's clock, or when it was told, if that was ahead of ours
	Fingerprint string `json:"fingerprint"`
	Summary     string `json:"summary,omitempty"` // its annotation, shortened
	URL         string `json:"url,omitempty"`     // its generatorURL
	Due         Time   `json:"due,omitzero"`      // it counts from then on (the guardrail's for); absent: it does
	Before      bool   `json:"before,omitempty"`  // it fired before the canary began, so it is not its doing
	Waived      bool   `json:"waived,omitempty"`  // a person resumed the rollout although it fires
}

// CalibrationFailed is the calibration of a guardrail whose self-test inside the baseline crossed: its noise isn't what the tests assume.
const CalibrationFailed = "uncalibrated"

// An Exemplar is a prediction of the canary that shows a harm.
type Exemplar struct {
	ID     string   `json:"id"`
	Code   string   `json:"code,omitempty"`  // the event's: the cause
	Value  *float64 `json:"value,omitempty"` // what the guardrail measures of it; nil where that is no number, or it has none
	Unit   string   `json:"unit,omitempty"`  // of the value: "ms" of a latency
	Window Time     `json:"window"`          // start of the window that it is in
}

// QuantileEvidence is what one quantile says of harm: natural log, running maximum.
type QuantileEvidence struct {
	Quantile    float64 `json:"quantile"`
	LogEvidence float64 `json:"log_evidence"`
}

// Interval is an estimate with its bounds; nil where unknown or unbounded.
type Interval struct {
	Estimate *float64 `json:"estimate"`
	Lower    *float64 `json:"lower"`
	Upper    *float64 `json:"upper"`
	Changed  bool     `json:"changed,omitempty"` // Lower is above Upper: see Crossed
}

// Crossed reports whether a lower bound lies above the upper one. Both are proven, so no one effect fits all windows: it changed, and each bound
// holds for a time of its own. Bounds of quantiles cross whenever the effect does so beyond doubt, since each is the tightest so far; those of
// rates only where the split of traffic changed with it. nil is no bound.
func Crossed(lower, upper *float64) bool { return lower != nil && upper != nil && *lower > *upper }

// ArmCount is n and events of one arm, and the arm's own value (rate, or quantile in ms) where it has one.
type ArmCount struct {
	N      int64    `json:"n"`
	Events int64    `json:"events"`
	Value  *float64 `json:"value,omitempty"`
}

// Evidence says what a decision stands on.
type Evidence struct {
	Inputs        []Input `json:"inputs,omitempty"` // from the epoch's start to the record that this was decided at; none in a replay
	Watermark     Time    `json:"watermark,omitzero"`
	RolloutSha256 string  `json:"rollout_sha256"`
	Program       string  `json:"program,omitempty"`
}

// Input is a range of offsets of one partition of the window journal. Records of other rollouts may stand in it.
type Input struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"`
	To        int64  `json:"to"` // the last one, inclusive
}

// Actor is who decided: the engine, or a person with a comment.
type Actor struct {
	Kind    string `json:"kind"` // engine | person
	Name    string `json:"name,omitempty"`
	Comment string `json:"comment,omitempty"`
}

// AckStatus is a subscriber's answer.
type AckStatus string

// What a subscriber can answer.
const (
	AckReceived AckStatus = "received"
	AckPrepared AckStatus = "prepared"
	AckApplied  AckStatus = "applied"
	AckRejected AckStatus = "rejected"
	AckFailed   AckStatus = "failed"
)

// An Ack is a subscriber's answer to a decision.
type Ack struct {
	Decision string    `json:"decision"`
	Epoch    int64     `json:"epoch"`
	Seq      int64     `json:"seq"`
	Consumer string    `json:"consumer"`
	Instance string    `json:"instance,omitempty"`
	Status   AckStatus `json:"status"`
	Why      string    `json:"why,omitempty"` // of a rejection: stale-epoch, incompatible-state, capacity, policy
	Snapshot string    `json:"snapshot,omitempty"`
	At       Time      `json:"at"`
}

// MessageID is the Nats-Msg-Id that an ack is published with. It names all that is said, but when: a true repetition within the stream's window of duplicates is dropped there; another
// reason, or a snapshot that is named only now, is not.
func (a *Ack) MessageID() string {
	said := sha256.Sum256([]byte(a.Why + "\n" + a.Snapshot))
	return fmt.Sprintf("%s/%s/%s/%s/%x", a.Decision, a.Consumer, a.Instance, a.Status, said[:8])
}
