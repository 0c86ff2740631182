package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"streamcanary/analysis"
	"streamcanary/decisions"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A Fold is stage two of one epoch: it merges the sealed parts of all partitions and judges them in canonical order.
type Fold struct {
	rollout  *schemas.Rollout
	merger   *windows.Merger
	judge    *analysis.Judge
	widthMs  int64
	begun    bool  // windows count from fromMs on; before, parts are passed over
	fromMs   int64 // event time
	hitCell  int   // -1: nothing is known of caches
	segments bool  // every one is told of in a report
	resting  bool  // parts are still merged and digested, but judged no more
	parts    windows.Digest
	chain    [sha256.Size]byte // over the decisions so far
	evidence []float64
	verdict  analysis.Verdict
	reason   schemas.Reason // of verdict; guardrails as they were when it became this one
	graver   schemas.Reason // of what came up since that can't wait, likewise
	turns    int64          // parts judged since the epoch began
	skewed   bool           // as of the latest turn: scores online are proven to differ from those offline
	stages   []decisions.StageBegin
	walked   int  // stages after the first that the judge knows of
	followed bool // it knows when the last of these starts
	returns  []decisions.Return
	returned int               // of these the judge knows
	arrived  bool              // it knows from when on the last of these has its traffic
	windows  int64             // merged serving windows
	served   decisions.Traffic // of the last of them
	firstMs  int64             // start of the first merged serving window
	lastMs   int64             // end of the last merged serving window
	reached  int64             // latest ready time of a part
	others   analysis.Others   // of every part, also of windows in which no version of the rollout answered; the judge's own are of merged ones
}

// Sources are the partitions that parts come from.
type Sources struct{ Predictions, Samples []windows.Partition }

// NewFold starts an epoch that goes through the rollout's stages as they are walked. The plan must be the one that stage one works by.
func NewFold(r *schemas.Rollout, plan *windows.Plan, from Sources) *Fold {
	return newFold(r.Walked(), plan, from, analysis.Options{})
}

func newFold(r *schemas.Rollout, plan *windows.Plan, from Sources, o analysis.Options) *Fold {
	return &Fold{
		rollout: r, widthMs: plan.WidthMs, merger: windows.NewMerger(plan, from.Predictions, from.Samples),
		judge: analysis.NewJudge(r, o), segments: o.SegmentRatios, hitCell: analysis.HitCell(r),
	}
}

// Add takes one sealed part of one partition; its memory is the caller's again on return. A second record of a
// key is dropped. An error means that the part is not of this epoch's plan.
func (f *Fold) Add(key windows.Key, p *windows.Part) error {
	err := f.merger.Add(key, p)
	if err == nil {
		f.others.Add(p, analysis.OthersPeriod(f.rollout))
	}
	return err
}

// OthersAlone is a sentence that names the model's other versions that answer while the rollout's two are silent; "": there are none.
func (f *Fold) OthersAlone() string { return analysis.OthersText(f.others.Alone()) }

// Finish says that no more parts will come.
func (f *Fold) Finish() { f.merger.Finish() }

// Release is the ruling that nobody waits any longer for parts of a stream that would be ready by upToMs.
func (f *Fold) Release(s windows.Stream, upToMs int64) { f.merger.Release(s, upToMs) }

// Rest ends the judging: parts that follow are merged and digested only.
func (f *Fold) Rest() { f.resting = true }

// Begin says from which event time on windows are judged. Parts that came before the call, or are of earlier windows, are passed over:
// they are in no digest.
func (f *Fold) Begin(fromMs int64) { f.begun, f.fromMs = true, fromMs }

// Due says from which event time on the traffic of the first stage is due, and whether routers have said that they follow its plan: see analysis.Judge.Due.
func (f *Fold) Due(fromMs int64, awaited bool) { f.judge.Due(fromMs, awaited) }

// A Turn is what one merged part changed.
type Turn struct {
	Part    *windows.Part // that was merged; valid until the next turn
	Stream  windows.Stream
	EventMs int64 // event time reached: the part's ready time
	Begun   bool  // this is the epoch's first window: the comparison begins at StartMs
	StartMs int64
	Traffic *decisions.Traffic // of a serving part
	Verdict *decisions.Verdict // what the evidence asks for; nil: go on, as before
	Changed bool               // the verdict differs from the turn before
}

// Next judges the next merged part that is due; false: none is.
func (f *Fold) Next() (Turn, bool) {
	p := f.merger.Next()
	if p == nil {
		return Turn{}, false
	}
	t := Turn{Part: p, Stream: p.Stream, EventMs: f.readyMs(p), StartMs: p.StartMs}
	f.reached = max(f.reached, t.EventMs)
	if p.Kind == windows.Serving {
		t.Traffic = f.traffic(p)
	}
	if !f.begun || p.StartMs < f.fromMs {
		return t, true
	}
	f.parts.Part(p)
	if f.resting {
		f.parts.Floats(f.evidence)
		return t, true
	}
	begun, breached, skewed, beyond, amiss := f.verdict.StartMs != 0, f.verdict.Breached, f.skewed, f.verdict.Beyond, f.verdict.Amiss
	v := f.judge.Step(p)
	if v.StartMs != 0 {
		f.turns++
	}
	f.evidence = f.judge.Evidence(f.evidence[:0])
	f.parts.Floats(f.evidence)
	t.Begun = !begun && v.StartMs != 0
	t.Changed = f.turn(v)
	f.walk()
	f.giveBack()
	f.skewed = f.judge.Skewed()
	if v.Action != analysis.VerdictContinue || t.Changed || len(v.Concerns) > 0 || !slices.Equal(v.Breached, breached) || f.skewed != skewed || v.Beyond != beyond || !slices.EqualFunc(v.Amiss, amiss, sameCode) {
		t.Verdict = f.Verdict()
		t.Verdict.Concerns = concernsOf(v.Concerns)
	}
	return t, true
}

func sameCode(a, b schemas.Finding) bool { return a.Code == b.Code }

// turn takes over a verdict, and reports whether it asks for something else than the one before.
func (f *Fold) turn(v analysis.Verdict) bool {
	was := f.verdict
	f.verdict = v
	changed := v.Action != was.Action || v.Code != was.Code || v.Guardrail != was.Guardrail || v.Segment != was.Segment || v.Stage != was.Stage
	if changed {
		f.reason = schemas.Reason{Code: v.Code, Sentence: v.Sentence, Guardrails: f.judge.Status(), Health: v.Health}
	}
	if v.Graver != nil && was.Graver == nil {
		f.graver = schemas.Reason{Code: v.Graver.Code, Sentence: v.Graver.Sentence, Guardrails: f.judge.Status(), Health: v.Health}
	}
	return changed
}

// Turns is how many parts were judged since the epoch began: where in the evidence something happens. 0: it has not begun.
func (f *Fold) Turns() int64 { return f.turns }

// AnswersMs is how long answers are on the way (analysis.Judge.AnswersMs): a later stage begins so much later, as what is answered until then was routed before.
func (f *Fold) AnswersMs() int64 { return f.judge.AnswersMs() }

// Walk says which stages began, and where in the evidence. Each takes effect at its turn, which may be still to come: then the epoch is folded again.
func (f *Fold) Walk(stages []decisions.StageBegin) {
	f.stages = stages
	f.walk()
}

// Return says where in the evidence a rollback gave the baseline traffic back. Each takes effect at its turn, as stages do.
func (f *Fold) Return(returns []decisions.Return) {
	f.returns = returns
	f.giveBack()
}

func (f *Fold) giveBack() {
	for {
		switch {
		case f.returned > 0 && !f.arrived && f.returns[f.returned-1].FromMs > 0 && f.returns[f.returned-1].FromTurn <= f.turns:
			f.arrived = true
			f.judge.Followed(f.returns[f.returned-1].FromMs)
		case f.returned < len(f.returns) && f.returns[f.returned].Turn <= f.turns:
			f.returned, f.arrived = f.returned+1, false
			f.judge.Returned(f.returns[f.returned-1].UntilMs)
		default:
			return
		}
	}
}

// walk begins the stages whose turn it is: first as decided, then as followed by routers. A stage that a person went past before routers had followed has
// no start.
func (f *Fold) walk() {
	for {
		known := f.walked == 0 || f.followed || f.stages[f.walked-1].FromMs == 0
		switch {
		case f.walked > 0 && !f.followed && f.stages[f.walked-1].FromMs > 0 && f.stages[f.walked-1].FromTurn <= f.turns:
			f.followed = true
			f.turn(f.judge.Advance(f.walked, f.stages[f.walked-1].FromMs))
		case known && f.walked < len(f.stages) && f.stages[f.walked].Turn <= f.turns:
			f.walked, f.followed = f.walked+1, false
			f.turn(f.judge.Advance(f.walked, math.MaxInt64))
		default:
			return
		}
	}
}

// Verdict is what the present evidence asks for. Where a rollback that could wait for something can't any more, it stands on that.
func (f *Fold) Verdict() *decisions.Verdict {
	reason := f.reason
	reason.Skew = f.judge.Skew()
	v := &decisions.Verdict{
		Action: decisions.VerdictAction(f.verdict.Action), Reason: reason, HarmBeganMs: f.verdict.HarmBeganMs, Breached: f.verdict.Breached, Severe: f.verdict.Severe,
		Unbegun: f.verdict.StartMs == 0, Amiss: slices.Clone(f.verdict.Amiss),
		Evidence: schemas.Evidence{RolloutSha256: f.rollout.Sha256, Watermark: schemas.Time(f.reached)},
	}
	for _, b := range f.judge.Beyond() {
		v.Beyond = append(v.Beyond, decisions.Beyond(b))
	}
	if g := f.verdict.Graver; g != nil {
		v.Reason, v.HarmBeganMs, v.Severe = f.graver, g.HarmBeganMs, true
	}
	return v
}

func concernsOf(list []analysis.Concern) []decisions.Concern {
	var concerns []decisions.Concern
	for _, c := range list {
		concerns = append(concerns, decisions.Concern(c))
	}
	return concerns
}

func (f *Fold) traffic(p *windows.Part) *decisions.Traffic {
	if f.windows == 0 {
		f.firstMs = p.StartMs
	}
	f.windows++
	f.lastMs = p.StartMs + f.widthMs
	f.served = decisions.Traffic{
		StartMs: p.StartMs, EndMs: p.StartMs + f.widthMs,
		Baseline: p.Traffic[windows.Baseline].Served, Canary: p.Traffic[windows.Canary].Served,
	}
	t := f.served
	t.Hosts, t.Regions = flows(p.Traffic[windows.Canary].Hosts), flows(p.Traffic[windows.Canary].Regions)
	t.Others, t.OtherHosts = versionFlows(p.Others), hostFlows(p.OtherHosts)
	t.CacheTold, t.CacheHits = f.hits(p, windows.Baseline)
	t.CanaryCacheTold, t.CanaryCacheHits = f.hits(p, windows.Canary)
	return &t
}

// hits are an arm's predictions that say whether its cache answered, and those where it did.
func (f *Fold) hits(p *windows.Part, arm windows.Arm) (told, hits int64) {
	if cells := p.Cells[arm]; f.hitCell >= 0 && f.hitCell < len(cells) {
		return cells[f.hitCell].N, cells[f.hitCell].N - cells[f.hitCell].K
	}
	return 0, 0
}

// flows are the hosts, or regions, the most predictions first.
func flows(hosts []windows.HostCount) []decisions.Flow {
	var flows []decisions.Flow
	for _, h := range hosts {
		if h.Host != "" && h.Events > 0 {
			flows = append(flows, decisions.Flow{Host: h.Host, Predictions: h.Events})
		}
	}
	slices.SortStableFunc(flows, func(a, b decisions.Flow) int { return cmp.Compare(b.Predictions, a.Predictions) })
	return flows
}

// versionFlows are the counts of other versions.
func versionFlows(others []windows.HostCount) []decisions.VersionFlow {
	var flows []decisions.VersionFlow
	for _, o := range others {
		flows = append(flows, decisions.VersionFlow{Version: o.Host, Predictions: o.Events})
	}
	return flows
}

// hostFlows are the counts of their hosts.
func hostFlows(hosts []windows.HostCount) []decisions.HostFlow {
	var flows []decisions.HostFlow
	for _, h := range hosts {
		if version, host, named := windows.SplitOtherHost(h.Host); named {
			flows = append(flows, decisions.HostFlow{Version: version, Flow: decisions.Flow{Host: host, Predictions: h.Events}})
		}
	}
	return flows
}

func (f *Fold) readyMs(p *windows.Part) int64 {
	withinMs := int64(0)
	for _, o := range f.rollout.Outcomes {
		if p.Kind == windows.Outcomes && o.Name == p.Name {
			withinMs = o.Within.Milliseconds()
		}
	}
	return windows.Ready(p.Stream, p.StartMs+f.widthMs, withinMs)
}

// Decided adds a decision to the digest.
func (f *Fold) Decided(d *schemas.Decision) {
	h := sha256.New()
	h.Write(f.chain[:])
	h.Write(decisions.AppendDigest(nil, d))
	h.Sum(f.chain[:0])
}

// Chain is the hash over the decisions so far; SetChain takes it up again after a restart ("": none yet).
func (f *Fold) Chain() string { return hex.EncodeToString(f.chain[:]) }

// SetChain is Chain's counterpart; a malformed chain counts as none.
func (f *Fold) SetChain(chain string) {
	f.chain = [sha256.Size]byte{}
	if b, err := hex.DecodeString(chain); err == nil && len(b) == len(f.chain) {
		copy(f.chain[:], b)
	}
}

// ReachedMs is the event time up to which parts were taken.
func (f *Fold) ReachedMs() int64 { return f.reached }

// ServedMs is the event time up to which serving windows were taken.
func (f *Fold) ServedMs() int64 { return f.lastMs }

// PartsDigest is the hash of the merged parts and their evidence alone.
func (f *Fold) PartsDigest() string { return f.parts.Sum() }

// Digest is the hash of everything judged so far: every merged part and the evidence after it, in order, then every decision.
func (f *Fold) Digest() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%x\n", f.parts.Sum(), f.chain)
	return hex.EncodeToString(h.Sum(nil))
}

// codeNotBegun is the verdict's code before the first window: the judge's own once it has seen one.
const codeNotBegun = "not_begun"

// A Report is what is known at one moment, for people and for the summary.
type Report struct {
	Verdict    analysis.VerdictAction    `json:"verdict"`
	Code       string                    `json:"code"`
	Sentence   string                    `json:"sentence"`
	Guardrails []schemas.GuardrailStatus `json:"guardrails"`
	Segments   []schemas.GuardrailStatus `json:"segments,omitempty"` // every one, where that was asked for
	Bands      []schemas.Band            `json:"bands,omitempty"`    // for display only
	Waits      []schemas.Wait            `json:"waits,omitempty"`    // guardrails that the stage waits for to pass, and that won't by what is known now
	Health     []schemas.Finding         `json:"health,omitempty"`
	Others     []analysis.OtherVersion   `json:"other_versions,omitempty"` // of the model, that answer of late: those with the most predictions first
	Skew       *schemas.Skew             `json:"skew,omitempty"`           // of the canary's scores, where there are offline ones
	Windows    int64                     `json:"windows"`                  // merged serving windows with events
	First      schemas.Time              `json:"first_window,omitzero"`
	Reached    schemas.Time              `json:"event_time,omitzero"` // end of the last merged serving window
	Served     Served                    `json:"served"`              // in that window
	Digest     string                    `json:"digest"`
}

// Served is how many requests each arm answered.
type Served struct {
	Baseline int64 `json:"baseline"`
	Canary   int64 `json:"canary"`
}

// Report says what is known now. It costs more than a turn: intervals are computed for it.
func (f *Fold) Report() Report {
	v := f.verdict
	if v.Action == "" {
		v.Action, v.Code = analysis.VerdictContinue, codeNotBegun
		v.Sentence = fmt.Sprintf("There is no window yet in which both canary %s and baseline %s answered.",
			f.rollout.CanaryWhere.Of(f.rollout.Canary), f.rollout.BaselineWhere.Of(f.rollout.Baseline))
	}
	var segments []schemas.GuardrailStatus
	if f.segments {
		segments = f.judge.Segments()
	}
	return Report{
		Segments: segments,
		Verdict:  v.Action, Code: v.Code, Sentence: v.Sentence, Guardrails: f.judge.Now(), Bands: f.judge.Bands(), Waits: f.judge.Waits(),
		Health: slices.Concat(f.judge.Current(v.Health), f.judge.Rounded()), Skew: f.judge.Skew(), Others: f.others.List(), Windows: f.windows, First: schemas.Time(f.firstMs), Reached: schemas.Time(f.lastMs),
		Served: Served{f.served.Baseline, f.served.Canary}, Digest: f.Digest(),
	}
}

// MergerStats says how the merging went.
func (f *Fold) MergerStats() windows.MergerStats { return f.merger.Stats() }
