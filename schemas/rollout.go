package schemas

import "time"

// A Rollout is a rollout file after parsing: every default filled in, every margin in numbers.
// ParseRollout makes one; the zero value is not usable.
type Rollout struct {
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	Model       string
	Baseline    string // version
	Canary      string // version
	// BaselineWhere and CanaryWhere pick part of the arms' versions.
	BaselineWhere, CanaryWhere Where
	Mode                       Mode
	Risk                       Risk
	Window                     time.Duration
	Lateness                   time.Duration
	Warmup                     time.Duration
	Patience                   time.Duration // Never where suspicion alone is never a rollback
	Phi                        float64
	// LatencyGranularity is what producers round latencies to; 0: they don't.
	LatencyGranularity time.Duration
	Outcomes           []OutcomeSpec // those that a guardrail names; ascending Name
	// UnusedOutcomes are declared in the file, but no guardrail names them: their events are not looked at.
	UnusedOutcomes []OutcomeSpec
	Guardrails     []Guardrail // in the file's order
	// Alerts are the guardrails from outside, in the file's order. They need no statistics, and spend no risk.
	Alerts   []AlertGuardrail
	Segments *Segments // nil: none are watched, nor told apart
	Stratify bool      // contrasts are made within segments, too; only with Segments
	Health   Health
	Stages   []Stage // those that are judged, in their order; one at least
	// External: another controller moves the weights. No stage plans one, decisions carry no routes before a rollback or a promotion, and
	// a share that changes is that controller's doing.
	External bool
	// ApprovePromotion: when the last stage has ended well, a person must say that the canary gets all traffic.
	ApprovePromotion bool
	Acks             Acks
	State            StateSpec
	Cache            *CacheSpec // nil: no cache is known
	Chronic          Chronic
	Hotfix           string // what rolling forward would mean; empty: nothing is declared
	Pillars          Pillars
	Training         *Training // nil: nothing is known of the canary from before it served
	DrainWithin      time.Duration
	Sinks            []SinkUse // in the file's order; no sink twice
	// DefaultGuardrails is true when the default guardrails stand, because the file has no list or has exactly
	// that one: such a guardrail is required only once it has had data.
	DefaultGuardrails bool
	// Sha256 is of the file's bytes as they were parsed, in lower-case hex.
	Sha256 string
}

// Never is the patience of a rollout in which "suspect" never becomes a rollback.
const Never = time.Duration(1<<63 - 1)

// Mode says whether subscribers must act on decisions.
type Mode string

// The modes of a rollout.
const (
	Enforce Mode = "enforce"
	Advise  Mode = "advise"
)

// Risk is what the user accepts for one epoch: probabilities.
type Risk struct{ FalseRollback, FalsePromote float64 }

// OutcomeSpec says how long after its prediction an outcome counts, and what becomes of its values.
type OutcomeSpec struct {
	Name   string
	Within time.Duration
	Value  OutcomeValue
	Cap    float64 // of a sum: what a prediction's values come to is held within -Cap..Cap; 0 without values
}

// OutcomeValue says what is made of the values of a prediction's outcomes of one name.
type OutcomeValue string

// ValueIgnored: an outcome happened or it didn't. ValueSum: the values are added up, and the sum is capped.
const (
	ValueIgnored OutcomeValue = ""
	ValueSum     OutcomeValue = "sum"
)

// Segments are the parts of the traffic that are watched beside the whole. Either Top is positive, or List has names;
// what is beyond them is one segment more, "other".
type Segments struct {
	Field string   // the event field that names the segment: SegmentField
	Top   int      // the greatest of the baseline's first 30 windows; 0 with a List
	List  []string // in the file's order, names unique
}

// SegmentField is the one event field that segments can be told apart by.
const SegmentField = "segment"

// GuardrailKind is the quantity that a guardrail watches.
type GuardrailKind string

// The kinds of guardrails.
const (
	RateGuardrail         GuardrailKind = "rate"         // Of: error, timeout, cache_miss, or an outcome's name
	QuantileGuardrail     GuardrailKind = "quantile"     // Of: latency, score, or the name of one of `values`
	GaugeGuardrail        GuardrailKind = "sample"       // Of: the sample's name; share of samples above Limit
	MeanGuardrail         GuardrailKind = "mean"         // Of: an outcome with values, score, one of `values`, or a sample; see From
	DistributionGuardrail GuardrailKind = "distribution" // Of: as of quantiles; compared by Test
)

// DistributionTest says how two distributions are compared.
type DistributionTest string

// TestKS looks at several quantiles at once, and so at the tail, too; TestMannWhitney at whether the canary's values
// tend to be the greater ones.
const (
	TestKS          DistributionTest = "ks"
	TestMannWhitney DistributionTest = "mann-whitney"
)

// Buckets are linear buckets of equal width from From to To, in the metric's unit; values beyond them count in the outermost ones.
// The zero value stands for the exponential buckets of latencies.
type Buckets struct {
	From, To float64 // From < To
	Count    int     // 0: no linear buckets
}

// Linear says whether there are linear buckets.
func (b Buckets) Linear() bool { return b.Count > 0 }

// Width is that of one bucket, in the metric's unit; only of linear buckets.
func (b Buckets) Width() float64 { return (b.To - b.From) / float64(b.Count) }

// Direction says which way is harm, and against what.
type Direction string

// The directions of harm. Increase and Decrease contrast the canary with the baseline, and so does Both, which only
// distributions have; Above and Below hold the canary against a fixed limit (and the baseline too: both beyond it is no
// regression).
const (
	Increase Direction = "increase"
	Decrease Direction = "decrease"
	Above    Direction = "above"
	Below    Direction = "below"
	Both     Direction = "both" // any difference is harm; the margin is `any`
)

// Contrast says whether the canary is held against the baseline, and not against a fixed limit.
func (d Direction) Contrast() bool { return d == Increase || d == Decrease || d == Both }

// Side is 1 where harm is more, -1 where it is less, 0 where either is.
func (d Direction) Side() int {
	switch d {
	case Increase, Above:
		return 1
	case Decrease, Below:
		return -1
	}
	return 0
}

// On says what a failed guardrail does.
type On string

// What a failed guardrail does.
const (
	OnRollback On = "rollback"
	OnHold     On = "hold"
	OnWarn     On = "warn"
)

// Prove says what a contrast must prove to fail.
type Prove string

// ProveBeyond: harm beyond the margin. ProveAny: any harm, while the estimate is beyond the margin.
const (
	ProveBeyond Prove = "beyond"
	ProveAny    Prove = "any"
)

// A Guardrail is a metric, a direction of harm, and a margin that the canary may not cross.
type Guardrail struct {
	Name      string
	Kind      GuardrailKind
	Of        string
	Quantile  float64 // of a quantile guardrail, in (0,1), at most six decimals
	Limit     float64 // of a gauge: the reading above which a sample counts
	Test      DistributionTest
	Buckets   Buckets // of a quantile or a distribution: what its values are counted in
	From      Kind    // of a mean: the kind of event that carries its values
	Cap       float64 // of a mean: values are held within -Cap..Cap; that of the outcome, where From is one
	Direction Direction
	Margin    Margin
	On        On
	Prove     Prove
	Required  bool
	Weight    float64 // > 0; its share of the budget is Weight / sum of weights
	Line      int     // in the file; 0 for a default
	// Granularity is what values other than latencies are rounded to, in their unit; 0: they aren't. No file says it; of latencies it is the rollout's LatencyGranularity.
	Granularity float64
}

// A Margin is how far the canary may be from the baseline (Increase, Decrease), or the limit itself (Above, Below).
// Relative margins are factors of the baseline; absolute ones are in the metric's unit: a share of 1 for rates and gauges,
// milliseconds for latencies; on linear buckets, a shift. `any` is the zero margin.
type Margin struct {
	Text     string // as written
	Relative bool
	Value    float64 // >= 0
}

// Health is how the input itself is watched.
type Health struct {
	Silent    time.Duration
	Unmatched float64 // margin of the share of outcomes without a prediction, in 0..1
	SelfTest  On      // OnHold or OnWarn: what happens if the baseline differs from itself
	Traffic   On
	NoData    time.Duration
}

// A Stage is a share of traffic and what ends it.
type Stage struct {
	WeightBP int           // planned canary weight in basis points; 0: whatever is observed, or only copies (MirrorBP)
	MirrorBP int           // of a shadow: so much of the traffic is copied to the canary, whose answers no user sees; 0: no shadow
	Bake     time.Duration // at least this long
	Pass     []string      // guardrails that must pass; nil: every required one
	Max      time.Duration // at most this long; 0 of a watch, which has no end but its own
	Then     On            // OnHold or OnRollback: what happens at Max
	Approve  bool          // a person must say that it begins
	// Watch, of the last stage: so long a small part of the traffic stays at the baseline, for the canary to be held against; nothing
	// has to pass, and it ends well if nothing fails. 0: no watch.
	Watch time.Duration
	// Warm: it is a stop on the way to all of the traffic, until the canary's cache is warm; nothing has to pass. No stage of a file is one: see Rollout.Walked.
	Warm bool
}

// Shadow says whether the canary gets copies only.
func (s *Stage) Shadow() bool { return s.MirrorBP > 0 }

// Life is how long the stages may take together: what is planned of an epoch's life.
func (r *Rollout) Life() time.Duration {
	all := time.Duration(0)
	for _, s := range r.Stages {
		all += s.Max + s.Watch
	}
	return all
}

// Acks says which subscribers must acknowledge, and how soon.
type Acks struct {
	Routers []string // nil: any one
	Within  time.Duration
}

// StateMode says what of a model's state goes back with the traffic.
type StateMode string

// The modes of state. StateNone: there is none. StateNamespaced: each version writes its own, so that its name is all there is to say. StateShared: versions write
// the same, so it is restored to the snapshot that was taken before the canary began.
const (
	StateNone       StateMode = "none"
	StateNamespaced StateMode = "namespaced"
	StateShared     StateMode = "shared"
)

// StateSpec is the state of the model, and who holds it.
type StateSpec struct {
	Mode       StateMode
	Namespace  string        // of StateNamespaced; {model} and {version} stand for what they say
	Stores     []string      // of StateShared, in the file's order: consumers that must all answer
	AckWithin  time.Duration // how soon
	Compatible bool          // the baseline can read what the canary wrote
}

// CacheSpec says how the cache of the version that takes over is warmed.
type CacheSpec struct {
	Namespace string        // with {version}, and {model}; of both versions
	WarmBP    []int         // shares of the traffic, in basis points, at which a version that takes over stops; ascending, less than all
	HitRate   float64       // a cache that answers this share is warm
	Max       time.Duration // so long is waited for that, at each step
	Idle      bool          // no stage plans the canary any traffic, and its promotion stops at WarmBP
	Mute      []string      // guardrails that say nothing while it isn't, in the file's order
}

// Chronic says when rolling a model back again is no answer.
type Chronic struct {
	Rollbacks int           // this many, with the one that is decided
	Within    time.Duration // in this time
}
