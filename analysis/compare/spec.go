package compare

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"streamcanary/analysis"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// Kind is what is compared.
type Kind string

// The kinds of comparisons.
const (
	Rate     Kind = "rate"     // share of events, or events per exposure
	Quantile Kind = "quantile" // a quantile of samples
	Mean     Kind = "mean"     // the mean of samples that are held within a cap
	// KS and MannWhitney compare the whole distribution of samples, as the tests of a rollout's distribution do.
	KS          Kind = "ks"
	MannWhitney Kind = "mann-whitney"
	SRM         Kind = "srm" // the split of units between the arms (sample ratio mismatch)
)

// Effects says how large the changes are that a rate is watched for: it picks the grid of bets, as the product does by where a rate comes from.
type Effects string

// The sizes of effects. Empty is Incident for an increase and Engagement for a decrease.
const (
	Incident   Effects = "incident"   // errors, timeouts, crashes: from a few percent to twentyfold
	Engagement Effects = "engagement" // clicks, conversions: from half a percent to half as much again
)

// A Spec says what to compare and how. The zero values of its optional parts are the product's defaults.
type Spec struct {
	Kind      Kind
	Direction schemas.Direction // Increase or Decrease: which way is harm; of KS and MannWhitney also empty: any difference is; not for SRM
	Margin    string            // as in a rollout: 0.5pp, 20%, any; per unit of exposure also a plain number; not for SRM
	Prove     schemas.Prove     // empty: beyond
	Effects   Effects           // of a rate
	Quantile  float64           // of a quantile, in (0,1), at most six decimals
	Buckets   schemas.Buckets   // of samples that may be zero or less: the zero value is exponential buckets, for positive ones
	// Granularity is what samples were rounded to, in their unit, as latencyGranularity of a rollout is of latencies; 0: they weren't. Of samples that were cut off, twice what they were cut to.
	Granularity float64
	Cap         float64 // of a mean: values are held within -Cap..Cap
	Gauge       bool    // of a mean: values hang together over time, as readings of gauges do, and the file has units to measure that by

	Alpha        float64 // chance of a false alarm in the whole file; 0: .01, of SRM .001
	FalsePromote float64 // chance of a false "passed"; 0: .05
	BaselineRate float64 // of a rate, in (0,1), known from before: above .1 a sharper test is taken; 0: what the file has before the canary's first row
	// Phi is over-dispersion, assumed until the file's units tell: of a rate or a mean; of samples that go to the arms by units whose samples are alike. 0: 1.5, of samples without units 1. Not of a gauge, nor of SRM.
	Phi   float64
	Share float64 // of SRM: the canary's planned share; 0: the file has it, or it stays what it is

	WidthMs  int64  // of a window; 0: the file's own windows, and a minute where it has times
	Horizon  string // how long one means to watch: a number of windows or a duration; empty: 1000 windows
	Baseline string // how the file calls the arms; empty: baseline and canary
	Canary   string
	Columns  map[string]string // the file's name of a column, by ours: {"arm": "variation"}

	named          bool    // the arms were given names
	rowsPhi        float64 // of samples without units
	exposure       bool    // the file has real-valued exposures
	horizonWindows int64
	horizonMs      int64
}

// Defaults of a Spec.
const (
	defaultAlpha        = .01
	defaultAlphaSRM     = .001
	defaultFalsePromote = .05
	defaultPhi          = 1.5
	defaultHorizon      = 1000
	defaultWidthMs      = 60_000
	maxPhi              = 100
)

// errKinds is for a kind that doesn't exist.
var errKinds = errors.New("no such comparison: there are rate, quantile, mean, ks, mann-whitney and srm")

// anyMargin is no margin at all.
const anyMargin = "any"

// complete fills in the defaults and refuses what makes no sense. The margin is looked at when the file's columns are known.
func (s Spec) complete() (Spec, error) {
	if !slices.Contains([]Kind{Rate, Quantile, Mean, KS, MannWhitney, SRM}, s.Kind) {
		return s, errKinds
	}
	if s.Gauge && s.Phi != 0 {
		return s, errors.New("phi is not of a gauge: its noise is measured between the baseline's units, and no factor of another. Leave it out")
	}
	if s.distribution() && s.Direction == "" {
		s.Direction, s.Margin = schemas.Both, anyMargin
	}
	if s.Kind == SRM {
		s.Alpha = orElse(s.Alpha, defaultAlphaSRM)
	}
	s.Alpha = orElse(s.Alpha, defaultAlpha)
	s.rowsPhi = orElse(s.Phi, 1) // each row goes to an arm by itself
	s.FalsePromote, s.Phi = orElse(s.FalsePromote, defaultFalsePromote), orElse(s.Phi, defaultPhi)
	if s.Prove == "" {
		s.Prove = schemas.ProveBeyond
	}
	s.named = s.Baseline != "" || s.Canary != ""
	if s.Baseline == "" {
		s.Baseline = "baseline"
	}
	if s.Canary == "" {
		s.Canary = "canary"
	}
	if err := s.check(); err != nil {
		return s, err
	}
	return s, s.readHorizon()
}

// armOf is whose a row is; false: of neither arm. The usual names may be written in capitals.
func (s *Spec) armOf(name string) (arm windows.Arm, known bool) {
	switch {
	case name == s.Canary, !s.named && strings.EqualFold(name, s.Canary):
		return windows.Canary, true
	case name == s.Baseline, !s.named && strings.EqualFold(name, s.Baseline):
		return windows.Baseline, true
	}
	return 0, false
}

func orElse(x, otherwise float64) float64 {
	if x == 0 {
		return otherwise
	}
	return x
}

func (s *Spec) check() error {
	harm := s.Direction == schemas.Increase || s.Direction == schemas.Decrease || s.Direction == schemas.Both && s.distribution()
	switch {
	case !(s.Alpha > 0 && s.Alpha < 1):
		return fmt.Errorf("alpha %v is no chance of a false alarm: write e.g. 0.01", s.Alpha)
	case !(s.FalsePromote > 0 && s.FalsePromote < 1):
		return fmt.Errorf("false promote %v is no chance of a false pass: write e.g. 0.05", s.FalsePromote)
	case !(s.Phi >= 1 && s.Phi <= maxPhi):
		return fmt.Errorf("phi %v: over-dispersion is 1 (events are independent) or more, at most %d", s.Phi, maxPhi)
	case !(s.BaselineRate >= 0 && s.BaselineRate < 1):
		return fmt.Errorf("a baseline rate of %v is none: write e.g. 30%%", s.BaselineRate)
	case strings.EqualFold(s.Baseline, s.Canary):
		return fmt.Errorf("both arms are called %q: name them apart", s.Canary)
	case s.WidthMs < 0:
		return fmt.Errorf("a window of %d ms is not positive", s.WidthMs)
	case s.Kind == SRM && !(s.Share >= 0 && s.Share < 1):
		return fmt.Errorf("a planned share of %v is none: write e.g. 10%%", s.Share)
	case s.Kind == SRM:
		return nil
	case !harm:
		return errors.New("which way is harm, and how much of it is accepted: give increase or decrease, e.g. an increase of 20% or any")
	case s.Kind == Quantile && !(s.Quantile > 0 && s.Quantile < 1 && math.Abs(s.Quantile*1e6-math.Round(s.Quantile*1e6)) < 1e-6):
		return fmt.Errorf("quantile %v: write one between 0 and 1 with at most six decimals, e.g. 0.99", s.Quantile)
	case s.Kind == Mean && !(s.Cap > 0 && !math.IsInf(s.Cap, 1)):
		return errors.New("a mean needs a cap: what one value counts at most, e.g. 500")
	case !(s.Granularity >= 0) || math.IsInf(s.Granularity, 1):
		return fmt.Errorf("a granularity of %v is none: write what values are rounded to, e.g. 5", s.Granularity)
	case s.Granularity > 0 && !s.ranked():
		return errors.New("a granularity is of quantiles, ks and mann-whitney: nothing else depends on what values are rounded to")
	case s.Buckets.Linear() && s.Granularity >= s.Buckets.To-s.Buckets.From:
		return fmt.Errorf("a granularity of %v is as wide as all the buckets, from %v to %v: write what values are rounded to, e.g. %v",
			s.Granularity, s.Buckets.From, s.Buckets.To, (s.Buckets.To-s.Buckets.From)/100)
	case s.Prove != schemas.ProveBeyond && s.Prove != schemas.ProveAny:
		return fmt.Errorf("prove %q: it is beyond or any", s.Prove)
	case s.Effects != "" && s.Effects != Incident && s.Effects != Engagement:
		return fmt.Errorf("effects %q: they are of the size of an incident or of engagement", s.Effects)
	}
	return nil
}

// ParseBuckets reads linear buckets: FROM:TO:COUNT. The error says what to write.
func ParseBuckets(text string) (b schemas.Buckets, err error) {
	parts := strings.Split(text, ":")
	if len(parts) == 3 {
		var bad [3]error
		b.From, bad[0] = strconv.ParseFloat(parts[0], 64)
		b.To, bad[1] = strconv.ParseFloat(parts[1], 64)
		b.Count, bad[2] = strconv.Atoi(parts[2])
		err = errors.Join(bad[:]...)
	}
	finite := !math.IsInf(b.From, 0) && !math.IsInf(b.To, 0)
	if err != nil || len(parts) != 3 || !finite || !(b.From < b.To) || b.Count < 2 || b.Count > schemas.MaxBuckets {
		return schemas.Buckets{}, fmt.Errorf("%q are no buckets: write the lowest value, the highest and how many (at most %d), e.g. 0:1:1000", text, schemas.MaxBuckets)
	}
	return b, nil
}

// ParseGranularity reads what samples are rounded to: a number above 0, in their unit. The error says what to write.
func ParseGranularity(text string) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x > 0) || math.IsInf(x, 1) {
		return 0, fmt.Errorf("%q is nothing that values are rounded to: write a number above 0 in the values' own unit, and no unit, e.g. 5", text)
	}
	return x, nil
}

// readHorizon reads a number of windows, or a duration.
func (s *Spec) readHorizon() error {
	if s.Horizon == "" {
		s.horizonWindows = defaultHorizon
		return nil
	}
	if n, err := strconv.ParseInt(s.Horizon, 10, 64); err == nil && n > 0 && n <= math.MaxInt32 {
		s.horizonWindows = n
		return nil
	}
	d, err := schemas.ParseDuration(s.Horizon)
	if err != nil || d < time.Millisecond {
		return fmt.Errorf("horizon %q: write a number of windows, e.g. 1000, or a duration, e.g. 24h", s.Horizon)
	}
	s.horizonMs = d.Milliseconds()
	return nil
}

// planned is the planned life in windows.
func (s *Spec) planned(widthMs int64) int64 {
	if s.horizonMs > 0 {
		return max(1, s.horizonMs/widthMs)
	}
	return s.horizonWindows
}

// distribution reports whether whole distributions are compared.
func (s *Spec) distribution() bool { return s.Kind == KS || s.Kind == MannWhitney }

// ranked reports whether values are counted in buckets.
func (s *Spec) ranked() bool { return s.Kind == Quantile || s.distribution() }

// effects are those asked for, or what the direction suggests.
func (s *Spec) effects() Effects {
	switch {
	case s.Effects != "":
		return s.Effects
	case s.Direction == schemas.Decrease:
		return Engagement
	}
	return Incident
}

// The names of what is measured, within the one guardrail.
const (
	ofIncident   = "error"
	ofEngagement = "event"
	ofValue      = "value"
)

// guardrail is the Spec as a rollout's one guardrail. exposure: of events per unit of exposure, which is counted in steps of
// 1/perUnit.
func (s *Spec) guardrail(exposure bool, perUnit float64) (schemas.Guardrail, error) {
	g := schemas.Guardrail{
		Name: string(s.Kind), Direction: s.Direction, On: schemas.OnHold, Prove: s.Prove, Required: true, Weight: 1, Granularity: s.Granularity,
	}
	switch {
	case s.Kind == Quantile:
		g.Kind, g.Of, g.Quantile, g.Buckets = schemas.QuantileGuardrail, ofValue, s.Quantile, s.Buckets
	case s.distribution():
		g.Kind, g.Of, g.Test, g.Buckets = schemas.DistributionGuardrail, ofValue, schemas.DistributionTest(s.Kind), s.Buckets
	case s.Kind == Mean:
		g.Kind, g.Of, g.From, g.Cap = schemas.MeanGuardrail, ofValue, schemas.KindPrediction, s.Cap
		if s.Gauge {
			g.From = schemas.KindSample
		}
	case s.effects() == Engagement:
		g.Kind, g.Of = schemas.RateGuardrail, ofEngagement
	default:
		g.Kind, g.Of = schemas.RateGuardrail, ofIncident
	}
	if s.Direction == schemas.Both {
		g.Margin = schemas.Margin{Text: s.Margin, Relative: !s.Buckets.Linear()}
		return g, nil
	}
	margin, err := s.margin(&g, exposure, perUnit)
	g.Margin = margin
	return g, err
}

// metrics make the cells of samples.
func (s *Spec) metrics() ([]windows.Metric, error) {
	g, err := s.guardrail(false, 1)
	if err != nil {
		return nil, err
	}
	return analysis.Metrics(&schemas.Rollout{Guardrails: []schemas.Guardrail{g}}), nil
}

func (s *Spec) margin(g *schemas.Guardrail, exposure bool, perUnit float64) (schemas.Margin, error) {
	if exposure {
		if x, err := strconv.ParseFloat(s.Margin, 64); err == nil && x > 0 && !math.IsInf(x, 0) {
			return schemas.Margin{Text: s.Margin, Value: x / perUnit}, nil
		}
		if strings.HasSuffix(s.Margin, "pp") {
			return schemas.Margin{}, fmt.Errorf("%s %s: events per exposure have no percentage points: write 20%% (of the baseline's), a number of events per unit of exposure, or any", s.Direction, s.Margin)
		}
	}
	m, err := schemas.ParseMargin(s.Margin, g)
	if err != nil {
		return m, fmt.Errorf("%s %w", s.Direction, err)
	}
	return m, nil
}
