package compare

import (
	"math"

	"streamcanary/schemas"
)

// Units of an estimate, beside those of a guardrail's status.
const (
	unitShare  = "share"        // a difference of shares; of SRM the canary's share
	unitRatio  = "ratio"        // canary over baseline
	unitPerOne = "per exposure" // a difference of events per unit of exposure
)

// A Result is what is known after a window. Estimate, Lower and Upper are of everything tested so far, in Unit; the interval holds at
// all times at once with 95 % confidence, of an effect that stays as it is; nil: unknown or unbounded.
type Result struct {
	Verdict       schemas.State `json:"verdict"`
	Why           string        `json:"why,omitempty"` // of insufficient
	Unit          string        `json:"unit"`
	Estimate      *float64      `json:"estimate"`
	Lower         *float64      `json:"lower"`
	Upper         *float64      `json:"upper"`
	Changed       bool          `json:"changed,omitempty"` // Lower is above Upper: no one effect fits all windows (see schemas.Crossed)
	LogEvidence   float64       `json:"log_evidence"`      // of failing, the greatest so far, as a natural logarithm
	Threshold     float64       `json:"threshold"`         // that it is held against
	LogPass       float64       `json:"log_evidence_pass"`
	ThresholdPass float64       `json:"threshold_pass,omitempty"` // 0: without a margin nothing can pass
	Phi           float64       `json:"phi,omitempty"`            // over-dispersion reckoned with, of KS at the median; 0: of a mean it isn't known yet, and of the others each row is the first of its unit
	Granularity   float64       `json:"granularity,omitempty"`    // that was stated: the evidence is of values as they were before they were rounded, Estimate, Lower and Upper are of those in the file
	Capped        float64       `json:"capped,omitempty"`         // of a mean of samples: the share of them at the cap or beyond, in the arm that has more; from a half on
	Calibration   string        `json:"calibration,omitempty"`    // uncalibrated: the baseline differs from itself, between its units, by more than noise explains
}

// Arm is what one arm counted: N exposures (or samples, or units), Events of them; Value is the arm's own rate or quantile, of the
// baseline weighted as the canary's exposures are.
type Arm struct {
	N      float64  `json:"n"`
	Events int64    `json:"events"`
	Value  *float64 `json:"value,omitempty"`
}

func (a *Arm) add(o Arm) {
	a.N += o.N
	a.Events += o.Events
}

// Read is what the windows of a file had, tested or not.
type Read struct {
	Baseline Arm   `json:"baseline"` // without Value
	Canary   Arm   `json:"canary"`
	Both     int64 `json:"windows_of_both"` // in which each arm had something
}

// Reference is the period that tells what an unplanned share of the canary is at first: the first windows with units, in order.
type Reference struct {
	From    string   `json:"from"` // its first window
	To      string   `json:"to"`   // its last
	Windows int64    `json:"windows"`
	N       float64  `json:"n"` // units
	Share   *float64 `json:"share"`
	Open    bool     `json:"open,omitempty"`  // it lasts on
	Moved   bool     `json:"moved,omitempty"` // what it has proves by itself that the share was another at its end than at its beginning
	canary  float64
}

// A Window is one line of the answer: what the window had, and what is known after it.
type Window struct {
	Type     string `json:"type"`   // window
	Window   string `json:"window"` // as the file calls it, or its start
	Baseline Arm    `json:"baseline"`
	Canary   Arm    `json:"canary"`
	Result
	Looks // KSDistance and MannWhitneyP are of this window alone, nil where an arm has no sample in it; ProbabilityIndex is of all so far
}

// Looks are how people know two distributions, where distributions are compared: nothing is decided by them.
type Looks struct {
	ProbabilityIndex *float64 `json:"probability_index,omitempty"` // how often a sample of the canary is above one of the baseline, ties half
	KSDistance       *float64 `json:"ks,omitempty"`                // Kolmogorov and Smirnov's
	MannWhitneyP     *float64 `json:"mann_whitney_p,omitempty"`    // to the side of the harm
}

// A Summary is the answer.
type Summary struct {
	Type     string `json:"type"`    // summary
	Compare  Kind   `json:"compare"` // what was compared
	Margin   string `json:"margin,omitempty"`
	Sentence string `json:"sentence"` // the verdict, for a person
	Result
	Decided    string     `json:"decided,omitempty"`    // the window after which the verdict became this one; of a failure or a pass
	DecidedAt  int64      `json:"decided_at,omitempty"` // its number, from 1
	HarmBegan  string     `json:"harm_began,omitempty"` // estimated start of the harm, as the file writes times
	SinceHarm  *float64   `json:"estimate_since_harm,omitempty"`
	Ratio      *Interval  `json:"ratio,omitempty"`      // of rates whose estimate is a difference
	Difference *Interval  `json:"difference,omitempty"` // of rates whose estimate is a ratio: a share, or per exposure
	Planned    float64    `json:"planned,omitempty"`    // of SRM: the canary's share by the plan, over all units
	Reference  *Reference `json:"reference,omitempty"`  // of SRM without a plan

	Looks                                 // KSDistance and MannWhitneyP are of the last block
	Shape      []schemas.QuantileEvidence `json:"shape,omitempty"`       // of KS: where the harm is
	AtQuantile float64                    `json:"at_quantile,omitempty"` // of KS: of which estimate and interval are: the one with the most evidence now

	Baseline  Arm   `json:"baseline"` // of all windows that were tested
	Canary    Arm   `json:"canary"`
	Read      *Read `json:"read,omitempty"` // not of SRM, where all that is read is tested
	Windows   int64 `json:"windows"`        // with rows
	Rows      int64 `json:"rows"`
	OtherRows int64 `json:"other_rows,omitempty"` // of neither arm
	OneArmed  int64 `json:"one_armed,omitempty"`  // windows left out since one arm had no exposure
	// How often the canary's share changed, and the first window that had another one: each counts whole, as the first of the new share.
	ShareChanges int64    `json:"share_changes,omitempty"`
	ShareChanged string   `json:"share_changed,omitempty"`
	RoundedTo    float64  `json:"rounded_to,omitempty"`     // what all values are multiples of, though it wasn't stated, where the margin isn't large beside it
	NoPass       string   `json:"no_pass,omitempty"`        // why a canary like the baseline can't pass, and what to do
	Measured     bool     `json:"phi_measured"`             // units told the over-dispersion; else it is assumed
	Unused       []string `json:"unused_columns,omitempty"` // columns of the file that nothing was read from
	spec         Spec
	numbered     bool // windows are named by numbers
	harmed       bool
	clumped      bool // some unit of the baseline has several values
	beyondCap    bool // no mean of capped values can be beyond the margin
	harmMs       int64
}

// Interval is an estimate with its bounds; nil where unknown or unbounded.
type Interval = schemas.Interval

// finite is nil for what is unknown or unbounded.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// times is x in another unit.
func times(x *float64, factor float64) *float64 {
	if x == nil {
		return nil
	}
	return finite(*x * factor)
}
