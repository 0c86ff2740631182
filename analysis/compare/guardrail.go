package compare

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"streamcanary/analysis"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// contest judges the windows as a rollout of one guardrail, by analysis.Judge. The guardrail holds, so that it has all of alpha; all that
// a rollout watches beside it is out of the way: nobody is missing, and no stage ends.
type contest struct {
	spec     *Spec
	exposure bool
	perUnit  float64 // steps in which a real-valued exposure is counted, per unit; 1 for counts
	judge    *analysis.Judge
	rollout  schemas.Rollout
	part     windows.Part
	verdict  analysis.Verdict
	states   []schemas.State
	units    []windows.UnitSight // see sights
	oneArmed int64
	changes  int64  // of the canary's share
	changed  string // the first window of a new share; "": it never changed
	shiftMs  int64  // added to times, so that the number 0 of a window is no time 0, which means none
}

// numberedFromMs is where the time of numbered windows begins.
const numberedFromMs = 1_000_000_000_000

// exposureDigits is how many decimal digits of the first window's exposure are counted.
const exposureDigits = 9

// newContest starts at the first window of a file, whose sizes scale a real-valued exposure: known before any event is looked at.
func newContest(s *Spec, r *rows, first *window, widthMs int64) (*contest, error) {
	t := &contest{spec: s, exposure: r.columns.exposure, perUnit: 1}
	if r.timing == timingNumber {
		t.shiftMs = numberedFromMs
	}
	if t.exposure {
		t.perUnit = stepsOf(first.arms[windows.Baseline].exposure + first.arms[windows.Canary].exposure)
	}
	g, err := s.guardrail(t.exposure, t.perUnit)
	if err != nil {
		return nil, err
	}
	if g.Margin.Value == 0 {
		s.Margin = anyMargin // 0pp, which is the same, is no margin that can be kept
	}
	width := time.Duration(widthMs) * time.Millisecond
	t.rollout = schemas.Rollout{
		Name: "compare", Model: "compare", Baseline: s.Baseline, Canary: s.Canary,
		Risk:   schemas.Risk{FalseRollback: s.Alpha, FalsePromote: s.FalsePromote},
		Window: width, Patience: schemas.Never, Phi: s.Phi,
		Guardrails: []schemas.Guardrail{g},
		Health:     schemas.Health{Silent: schemas.Never, Traffic: schemas.OnWarn, SelfTest: schemas.OnHold},
		Stages:     []schemas.Stage{{Max: time.Duration(s.planned(widthMs)) * width, Then: schemas.OnHold}},
	}
	if g.Of == ofEngagement {
		t.rollout.Outcomes = []schemas.OutcomeSpec{{Name: ofEngagement}}
	}
	options := analysis.Options{ShapeIntervals: true, WholeWindows: true, RoundedValues: true}
	if s.ranked() && r.columns.unit == none { // nothing would ever measure it
		options.Phi = s.rowsPhi
	}
	t.judge = analysis.NewJudge(&t.rollout, options)
	if s.BaselineRate > 0 {
		t.remember(first.startMs+t.shiftMs-widthMs, s.BaselineRate)
	}
	return t, nil
}

// remembered is how many exposures a known rate of the baseline is told with.
const remembered = 1_000_000

// remember tells what the baseline's rate was before the file: it decides how a rate is tested, and no more.
func (t *contest) remember(atMs int64, rate float64) {
	past := windows.Part{Stream: t.stream(), StartMs: atMs}
	if past.Kind == windows.Serving {
		past.Traffic[windows.Baseline] = windows.Traffic{Events: remembered, Served: remembered, SampledMin: 1, SampledMax: 1}
	}
	past.Cells[windows.Baseline] = []windows.Cell{{N: remembered, K: int64(math.Round(remembered * rate))}}
	past.Cells[windows.Canary] = make([]windows.Cell, 1)
	t.judge.Step(&past)
}

// stream is what the guardrail's numbers come by in a rollout.
func (t *contest) stream() windows.Stream {
	switch g := &t.rollout.Guardrails[0]; {
	case g.Of == ofEngagement:
		return windows.Stream{Kind: windows.Outcomes, Name: ofEngagement}
	case g.From == schemas.KindSample:
		return windows.Stream{Kind: windows.Resources}
	}
	return windows.Stream{Kind: windows.Serving}
}

// stepsOf is the power of ten that counts a total to exposureDigits digits.
func stepsOf(total float64) float64 {
	if total <= 0 {
		return math.Pow10(exposureDigits)
	}
	return math.Pow10(exposureDigits - int(math.Ceil(math.Log10(total))))
}

// exposureRange is how many times more, or less, exposure than the first window a later one may have: more would be beyond what is counted, and less would be
// counted in steps so coarse that the arms' exposures are other ones than the file's.
const exposureRange = 100_000

// take judges the next window.
func (t *contest) take(w *window) error {
	if t.exposure {
		counted, err := t.scale(w)
		if err != nil {
			return err
		}
		if !counted {
			t.oneArmed++
			return nil
		}
	}
	p := &t.part
	p.StartMs = w.startMs + t.shiftMs
	for arm := range w.arms {
		n := t.size(w, arm)
		traffic := windows.Traffic{Events: n, Served: n}
		if n > 0 {
			traffic.SampledMin, traffic.SampledMax = 1, 1
		}
		if !t.exposure && arm == int(windows.Baseline) { // steps of exposure are no requests
			traffic.Slices = t.slices(&w.arms[arm])
			traffic.Units = t.sights(w.arms[arm].units)
		}
		p.Traffic[arm], p.Cells[arm] = traffic, w.arms[arm].cells
	}
	p.Stream = windows.Stream{Kind: windows.Serving}
	if stream := t.stream(); stream != p.Stream { // the traffic comes first, and by itself
		served := windows.Part{Stream: p.Stream, StartMs: p.StartMs, Traffic: p.Traffic}
		t.judge.Step(&served)
		p.Stream, p.Traffic = stream, [windows.Arms]windows.Traffic{}
	}
	t.verdict = t.judge.Step(p)
	if changes := t.judge.ShareChanges(0); changes != t.changes {
		t.changes = changes
		t.changed = cmp.Or(t.changed, w.label)
	}
	return nil
}

// slices are an arm's numbers by calibration slice.
func (t *contest) slices(c *counts) (n [windows.Slices]int64) {
	if t.spec.ranked() { // histograms have none
		return c.samples
	}
	for i := range n {
		n[i] = c.cells[0].Slices[i].N
	}
	return n
}

// sights are so many units that are seen for the first time: their number tells whether rows share a unit.
func (t *contest) sights(units int) []windows.UnitSight {
	if cap(t.units) < units {
		t.units = make([]windows.UnitSight, units)
	}
	return t.units[:units]
}

// scale counts a window's exposures in whole steps; false where an arm has none: events of an arm alone prove nothing, and taken
// together with the next window they would be held against another time.
func (t *contest) scale(w *window) (bool, error) {
	first := math.Pow10(exposureDigits)
	for arm := range w.arms {
		switch steps := w.arms[arm].exposure * t.perUnit; {
		case steps <= 0:
			return false, nil
		case steps > exposureRange*first:
			return false, fmt.Errorf("window %s has more than %d times the exposure of the first one: leave the windows before it out", w.label, exposureRange)
		case steps*exposureRange < first:
			return false, fmt.Errorf("window %s: an arm has less than 1/%d of the exposure of the first window: leave it out, or, if it is the first one that is odd, that one",
				w.label, exposureRange)
		}
	}
	for arm := range w.arms {
		c := &w.arms[arm]
		cell := &c.cells[0]
		if cell.N = t.steps(c.exposure); cell.K > cell.N {
			return false, fmt.Errorf("window %s: %d events are too many for its exposure beside that of the first window: count the exposure in a finer unit", w.label, cell.K)
		}
		for i, x := range c.slices {
			slice := &cell.Slices[i]
			slice.N = max(t.steps(x), slice.K) // a unit may have hardly any exposure, and an event
		}
	}
	return true, nil
}

func (t *contest) steps(exposure float64) int64 {
	return int64(math.Round(exposure * t.perUnit))
}

// exposureTraffic is what a window's exposures count as where a change of the share is looked for: steps are no events, and their number
// would make any wobble a change.
const exposureTraffic = 100

// size is how much traffic an arm had in a window.
func (t *contest) size(w *window, arm int) int64 {
	if !t.exposure {
		return w.arms[arm].cells[0].N
	}
	all := w.arms[windows.Baseline].exposure + w.arms[windows.Canary].exposure
	return int64(math.Max(1, math.Round(exposureTraffic*w.arms[arm].exposure/all)))
}

// state is the verdict now.
func (t *contest) state() schemas.State {
	t.states = t.judge.States(t.states[:0])
	return t.states[0]
}

// fill tells what is known now.
func (t *contest) fill(s *Summary) {
	g := t.judge.Now()[0]
	s.Result = Result{
		Verdict: g.State, Why: g.Why, Unit: g.Unit, Estimate: g.Estimate, Lower: g.Lower, Upper: g.Upper,
		LogEvidence: g.LogEvidence, Threshold: g.Threshold, LogPass: g.LogPass, ThresholdPass: g.PassThreshold, Phi: g.Phi,
	}
	if t.rollout.Guardrails[0].Margin.Value == 0 { // nothing can pass
		s.ThresholdPass = 0
	}
	if slices.ContainsFunc(t.verdict.Health, func(f schemas.Finding) bool { return f.Code == schemas.CalibrationFailed }) {
		s.Calibration = schemas.CalibrationFailed
	}
	s.SinceHarm, s.Ratio, s.Difference = g.SinceHarm, g.Ratio, t.difference(g.Difference)
	s.ProbabilityIndex, s.KSDistance, s.MannWhitneyP, s.Shape = g.ProbabilityIndex, g.KS, g.MannWhitneyP, g.Shape
	if g.HarmBegan != 0 {
		s.harmed, s.harmMs = true, int64(g.HarmBegan)-t.shiftMs
	}
	s.Baseline, s.Canary, s.OneArmed = t.arm(g.Baseline), t.arm(g.Canary), t.oneArmed
	s.ShareChanges, s.ShareChanged, s.AtQuantile = t.changes, t.changed, g.AtQuantile
	s.Granularity, s.Capped = t.spec.Granularity, g.Capped
	s.beyondCap = g.Baseline.Value != nil && t.rollout.Guardrails[0].BeyondCap(*g.Baseline.Value)
	if t.exposure && s.Unit == unitShare {
		s.Unit = unitPerOne
		s.Estimate, s.SinceHarm = times(s.Estimate, t.perUnit), times(s.SinceHarm, t.perUnit)
		s.Lower, s.Upper = times(inside(s.Lower), t.perUnit), times(inside(s.Upper), t.perUnit)
	}
	s.Changed = schemas.Crossed(s.Lower, s.Upper)
}

// advise tells what people must know of values that are rounded, or counted in buckets.
func (t *contest) advise(s *Summary) {
	s.RoundedTo = t.judge.RoundedTo()
	if why, todo := t.judge.Coarse(); why != "" && s.Verdict != schemas.StatePassed && s.Verdict != schemas.StateFailed {
		s.NoPass = fmt.Sprintf("a canary like the baseline can't pass%s. %s", strings.Replace(why, ", whose ", ": the baseline's ", 1), todo)
	}
}

// difference is that of a status, per unit of exposure.
func (t *contest) difference(d *schemas.Interval) *Interval {
	if d == nil || !t.exposure {
		return d
	}
	lower, upper := times(inside(d.Lower), t.perUnit), times(inside(d.Upper), t.perUnit)
	return &Interval{Estimate: times(d.Estimate, t.perUnit), Lower: lower, Upper: upper, Changed: schemas.Crossed(lower, upper)}
}

// inside is nil for a bound that only says that a difference of shares is between -1 and 1.
func inside(x *float64) *float64 {
	if x != nil && math.Abs(*x) >= 1 {
		return nil
	}
	return x
}

func (t *contest) arm(c schemas.ArmCount) Arm {
	return Arm{N: float64(c.N) / t.perUnit, Events: c.Events, Value: times(c.Value, t.perUnit)}
}
