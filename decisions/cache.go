package decisions

import (
	"fmt"
	"slices"
	"time"

	"streamcanary/schemas"
)

// CacheTerms are what the state machine needs of the versions' caches; the zero value: nothing is known of any.
type CacheTerms struct {
	BaselineNamespace string   `json:"baseline_namespace,omitempty"`
	CanaryNamespace   string   `json:"canary_namespace,omitempty"`
	WarmBP            []int    `json:"warm_bp,omitempty"` // shares at which a version that takes over stops, ascending, less than all
	HitRate           float64  `json:"hit_rate,omitempty"`
	MaxMs             int64    `json:"max_ms,omitempty"`
	Mute              []string `json:"mute,omitempty"`
	PromoteBP         []int    `json:"promote_bp,omitempty"` // shares at which a promotion itself stops, ascending: of a canary that had no traffic before
}

// cacheTermsOf takes them from a rollout.
func cacheTermsOf(r *schemas.Rollout) CacheTerms {
	c := r.Cache
	if c == nil {
		return CacheTerms{}
	}
	return CacheTerms{
		BaselineNamespace: c.Of(r.Model, r.Baseline), CanaryNamespace: c.Of(r.Model, r.Canary),
		WarmBP: slices.Clone(c.WarmBP), HitRate: c.HitRate, MaxMs: c.Max.Milliseconds(), Mute: slices.Clone(c.Mute), PromoteBP: r.PromotionStops(),
	}
}

// StepWarm is a stop on the way to all of the traffic: a version gets part of it until its cache is warm. The share is part of the name.
const StepWarm StepName = "warm"

// Warmth is what the stream has shown of a version's cache under a share of the traffic.
type Warmth struct {
	FromMs int64   `json:"from_ms"` // event time: routers had followed
	Told   int64   `json:"told"`    // predictions that say whether the cache answered, since the last warmAnswers of them
	Hits   int64   `json:"hits"`
	Rate   float64 `json:"rate"` // of the last warmAnswers
	Known  bool    `json:"known,omitempty"`
}

// warmAnswers is how many predictions a hit rate is taken of.
const warmAnswers = 200

// take counts a window's predictions that say whether the cache answered, and those where it did, and reports whether the cache is warm.
func (w *Warmth) take(startMs, told, hits int64, rate float64) bool {
	if startMs < w.FromMs {
		return false
	}
	w.Told += told
	w.Hits += hits
	if w.Told < warmAnswers {
		return false
	}
	w.Known, w.Rate = true, float64(w.Hits)/float64(w.Told)
	w.Told, w.Hits = 0, 0
	return w.Rate >= rate
}

// Text is what is known of the cache, for a person.
func (w *Warmth) Text() string {
	switch {
	case w == nil:
		return ""
	case !w.Known:
		return fmt.Sprintf("%d predictions have told whether the cache answered, %d are needed", w.Told, warmAnswers)
	}
	return w.text() + " come from the cache"
}

// text is the hit rate in whole percents, and no more than it was.
func (w *Warmth) text() string { return percentOf(int(w.Rate*100) * 100) }

// warmSteps are the stops of a rollback: those above the share that the baseline has. None where that isn't known.
func (s *State) warmSteps() []SagaStep {
	var steps []SagaStep
	for _, r := range s.Routes {
		if r.Version != s.Terms.Baseline {
			continue
		}
		for _, bp := range s.Terms.Cache.WarmBP {
			if bp > r.WeightBP {
				steps = append(steps, SagaStep{Name: warmName(bp), State: StepPlanned, WarmBP: bp})
			}
		}
	}
	return steps
}

func warmName(bp int) StepName { return StepName(fmt.Sprintf("%s-%s", StepWarm, shortPercent(bp))) }

// warming begins a stop on the way back.
func (t *turn) warming(step *SagaStep, d *draft) {
	terms := &t.s.Terms
	d.routes = []schemas.Route{{Version: terms.Baseline, WeightBP: step.WarmBP}, {Version: terms.Canary, WeightBP: fullBP - step.WarmBP}}
	if !d.follows {
		d.reason.Sentence = fmt.Sprintf("%s Traffic returns to %s in steps, as its cache may be cold: %s first.", d.reason.Sentence, terms.Baseline, percentOf(step.WarmBP))
		return
	}
	d.phase, d.reason = schemas.PhaseCommit, t.s.again("%s: %s of the traffic goes to %s.", t.ended(step), percentOf(step.WarmBP), terms.Baseline)
}

// ended is what the step before one has come to.
func (t *turn) ended(step *SagaStep) string {
	terms, steps := &t.s.Terms, t.s.Saga.Steps
	at := slices.IndexFunc(steps, func(s SagaStep) bool { return s.Name == step.Name })
	for at--; at > 0 && steps[at].State == StepSkipped; at-- {
		continue // it says nothing
	}
	before := &steps[max(at, 0)]
	switch {
	case before.Name == StepFreeze && before.open():
		return t.s.unheldBy(before.Wait) + ", and traffic doesn't wait for that"
	case before.Name == StepFreeze:
		return agreed(terms.State.Stores, "takes", "take") + " no more writes"
	case before.Warm == nil:
		return agreed(before.Wait.missing(), "has", "have") + " not followed, so nothing is warmed any more"
	}
	return terms.warmed(terms.Baseline, before)
}

// warmed is what a stop of a version has come to.
func (t *Terms) warmed(version string, step *SagaStep) string {
	if step.State == StepAcked {
		return fmt.Sprintf("%s answers %s from its cache", version, step.Warm.text())
	}
	waited := schemas.FormatDuration(time.Duration(t.Cache.MaxMs) * time.Millisecond)
	if !step.Warm.Known {
		return fmt.Sprintf("After %s it isn't known how warm the cache of %s is (events have no cache_hit, or too few came), and traffic doesn't wait any longer", waited, version)
	}
	return fmt.Sprintf("After %s %s answers no more than %s from its cache, and traffic doesn't wait any longer", waited, version, step.Warm.text())
}

// warm begins a stop of the canary's, where the stage that a decision begins is one.
func (t *turn) warm(d *schemas.Decision) {
	if stage := &t.s.Terms.Stages[t.s.Stage]; stage.Warm {
		t.s.Warming = &SagaStep{Name: warmName(stage.WeightBP), State: StepSent, Decision: d.ID, WarmBP: stage.WeightBP}
	}
}

// warmedUp is a draft of what follows a stop of the canary's: its reason is what that has come to.
func (t *turn) warmedUp(d draft, next string) draft {
	d.reason.Sentence = t.s.Terms.warmed(t.s.Terms.Canary, t.s.Warming) + next
	return d
}

// WarmingText is how far the canary's cache is warmed, for a person; "": the present stage isn't for that.
func (s *State) WarmingText() string {
	switch w := s.Warming; {
	case w == nil:
		return ""
	case w.Warm == nil:
		return fmt.Sprintf("the cache of %s is warmed when routers have followed to %s", s.Terms.Canary, percentOf(w.WarmBP))
	case w.open():
		return fmt.Sprintf("the cache of %s is warmed, at the latest until %s: %s", s.Terms.Canary, schemas.Time(w.DeadlineMs), w.Warm.Text())
	default:
		return s.Terms.warmed(s.Terms.Canary, w)
	}
}

// promotionStop is the next share at which a promotion stops; 0: there is none any more, or nobody would say that routers have followed.
func (s *State) promotionStop() int {
	if !s.Terms.awaited() {
		return 0
	}
	has := 0
	for _, r := range s.previous() {
		if r.Version == s.Terms.Canary {
			has = r.WeightBP
		}
	}
	for _, bp := range s.Terms.Cache.PromoteBP {
		if bp > has {
			return bp
		}
	}
	return 0
}

// promoteTo gives the canary the share of a stop on its way to all of the traffic.
func (t *turn) promoteTo(bp int, d draft) {
	terms := &t.s.Terms
	d.routes = []schemas.Route{{Version: terms.Baseline, WeightBP: fullBP - bp}, {Version: terms.Canary, WeightBP: bp}}
	if d.follows {
		d.reason.Sentence += fmt.Sprintf(": %s of the traffic goes to %s.", percentOf(bp), terms.Canary)
	} else {
		d.reason.Sentence += fmt.Sprintf(" Traffic goes to %s in steps, as its cache may be cold: %s first.", terms.Canary, percentOf(bp))
	}
	t.decide(d.as(schemas.ActionAdvance, schemas.Info))
	t.s.Warming = &SagaStep{Name: warmName(bp), State: StepSent, Decision: t.s.Prev.ID, WarmBP: bp}
}

// stopEnds goes on from a stop of a promotion; a stage that warms is ended by its verdict.
func (t *turn) stopEnds() {
	if t.s.Status == StatusPromoting {
		t.promote(draft{reason: t.s.again("%s", t.s.Terms.warmed(t.s.Terms.Canary, t.s.Warming)), actor: engine, follows: true})
	}
}

// followedTo begins the waiting for a warm cache: routers have followed to the stop's share.
func (t *turn) followedTo(step *SagaStep) {
	step.State, step.DeadlineMs = StepWarming, t.in.WallMs+t.s.Terms.Cache.MaxMs
	step.Warm = &Warmth{FromMs: t.s.settledMs(t.in.WallMs)}
	t.returned()
}

// warmed looks at a sealed window for the stop that waits for a warm cache.
func (t *turn) warmed(w *Traffic) {
	for i := range t.s.Saga.Steps {
		if step := &t.s.Saga.Steps[i]; step.State == StepWarming && step.Warm.take(w.StartMs, w.CacheTold, w.CacheHits, t.s.Terms.Cache.HitRate) {
			t.settle(step, w.EndMs)
			return
		}
	}
}

// warmExpired ends a stop whose time is over. Where routers have not followed, people are told, and all that is left of the way back is made at once.
func (t *turn) warmExpired(step *SagaStep) {
	step.DeadlineMs = 0
	if step.Warm == nil {
		step.Attempt++
		t.overdueStep(step)
		t.skipWarming()
	}
	step.State = StepPassed
	t.next()
}

// skipWarming leaves out the stops that are still to come, and ends the one that there is.
func (t *turn) skipWarming() {
	for i := range t.s.Saga.Steps {
		switch step := &t.s.Saga.Steps[i]; {
		case step.WarmBP == 0 || !step.open():
		case step.begun():
			step.State, step.DeadlineMs = StepPassed, 0
		default:
			step.State = StepSkipped
		}
	}
}

// graver moves what is left of the way back at once: harm that users can't wait out, which a draft tells, has come up on it.
func (t *turn) graver(d draft) {
	if !t.s.Returning() {
		return
	}
	under := t.s.isWarming()
	t.skipWarming()
	if !under {
		return // stores are waited for, and then all is moved
	}
	d.reason.Sentence += fmt.Sprintf(" That can't wait for the cache of %s: all traffic goes there.", t.s.Terms.Baseline)
	d.follows = true
	t.s.why(&d.reason)
	t.begin(t.s.Saga.step(StepRoute), d)
}

// Returning reports whether traffic goes back in steps, and not all of it has yet: evidence still counts, as grave harm makes the rest of the way at once.
func (s *State) Returning() bool {
	return s.Saga != nil && s.Status != StatusDeleted && slices.ContainsFunc(s.Saga.Steps, func(step SagaStep) bool { return step.WarmBP > 0 && step.open() })
}

// isWarming reports whether traffic is on its way back in steps.
func (s *State) isWarming() bool {
	return s.Saga != nil && slices.ContainsFunc(s.Saga.Steps, func(step SagaStep) bool { return step.WarmBP > 0 && step.begun() && step.open() })
}

// caches are those that go with a decision's routes. Both versions answer from their own; where one has no traffic any more, its cache is to be given up.
func (s *State) caches(d *schemas.Decision) *schemas.CacheOrder {
	t := &s.Terms.Cache
	if t.BaselineNamespace == "" || len(d.Routes) == 0 {
		return nil
	}
	weight := map[string]int{}
	for _, r := range d.Routes {
		weight[r.Version] = r.WeightBP + r.MirrorBP
	}
	switch {
	case weight[s.Terms.Baseline] == 0:
		return &schemas.CacheOrder{Activate: t.CanaryNamespace, Retire: t.BaselineNamespace}
	case weight[s.Terms.Canary] == 0 && d.Phase == schemas.PhasePrepare:
		return &schemas.CacheOrder{Activate: t.BaselineNamespace}
	case weight[s.Terms.Canary] == 0:
		return &schemas.CacheOrder{Activate: t.BaselineNamespace, Retire: t.CanaryNamespace}
	case s.Saga == nil: // else it is on the way back, whatever is decided meanwhile
		return &schemas.CacheOrder{Activate: t.CanaryNamespace, Warm: s.stopsToCome(weight[s.Terms.Canary])}
	}
	order := &schemas.CacheOrder{Activate: t.BaselineNamespace}
	for _, bp := range t.WarmBP {
		if bp > weight[s.Terms.Baseline] {
			order.Warm = append(order.Warm, float64(bp)/100)
		}
	}
	return order
}

// stopsToCome are the canary's after the present one, where it has a share, in percent.
func (s *State) stopsToCome(has int) []float64 {
	var stops []float64
	for _, bp := range s.Terms.Cache.PromoteBP {
		if bp > has {
			stops = append(stops, float64(bp)/100)
		}
	}
	for i := s.Stage; s.Terms.Stages[i].Warm && i+1 < len(s.Terms.Stages) && s.Terms.Stages[i+1].Warm; i++ {
		stops = append(stops, float64(s.Terms.Stages[i+1].WeightBP)/100)
	}
	return stops
}

// mutes are the guardrails that count nothing while the cache of a version that gets its traffic by a decision is cold.
func (s *State) mutes(d *schemas.Decision) []schemas.Mute {
	t := &s.Terms.Cache
	var versions []string
	switch {
	case len(d.Routes) == 0:
	case d.Action == schemas.ActionStart && d.Phase == schemas.PhaseCommit:
		versions = []string{s.Terms.Baseline, s.Terms.Canary}
	case d.Action == schemas.ActionAdvance, d.Action == schemas.ActionPromote:
		versions = []string{s.Terms.Canary}
	case d.Action == schemas.ActionRollback:
		versions = []string{s.Terms.Baseline}
	}
	until := max(int64(d.IssuedAt), int64(d.EventTime)) + t.MaxMs
	var all []schemas.Mute
	for _, version := range versions {
		for _, name := range t.Mute {
			all = append(all, schemas.Mute{Guardrail: name, Version: version, Until: schemas.Time(until)})
		}
	}
	return all
}

// maxReturns bounds the decisions of a rollback that are noted. Beyond it guardrails are muted no longer than the last of those says.
const maxReturns = 32

// returnsBy notes that a rollback's decision gives the baseline traffic, and mutes what its cold cache moves, for those who judge on while it is carried out. One that leaves the split as it is, of stores alone, gives none.
func (t *turn) returnsBy(d *schemas.Decision) {
	cached := len(t.s.Terms.Cache.WarmBP)+len(d.Mute) > 0
	if d.Action != schemas.ActionRollback || d.Mode != schemas.Enforce || len(d.Routes) == 0 || slices.Equal(d.Routes, d.PreviousRoutes) || !cached || len(t.s.Returns) == maxReturns {
		return
	}
	r := Return{Turn: t.in.Turn}
	if len(d.Mute) > 0 {
		r.UntilMs = int64(d.Mute[0].Until)
	}
	t.s.Returns = append(t.s.Returns, r)
}

// returned notes that the baseline has the traffic that the last of these decisions gives it: before that, nothing says how warm its cache is.
func (t *turn) returned() {
	if n := len(t.s.Returns); n > 0 && t.s.Returns[n-1].FromMs == 0 {
		r := &t.s.Returns[n-1]
		r.FromMs, r.FromTurn = t.s.settledMs(t.in.WallMs), t.in.Turn
	}
}

// MutedUntilMs is until when what a cold cache of the baseline moves is muted behind a rollback, at the latest; 0: it isn't.
func (s *State) MutedUntilMs() int64 {
	if n := len(s.Returns); n > 0 {
		return s.Returns[n-1].UntilMs
	}
	return 0
}

// MutedText is what counts nothing at a wall time behind a rollback that is carried out, for a person; "": nothing is muted. Until then the guardrails themselves say it.
func (s *State) MutedText(wallMs int64) string {
	until := s.MutedUntilMs()
	if s.Saga == nil || !s.Saga.Done() || until <= wallMs || len(s.Beyond) > 0 { // what is beyond its limit counts
		return ""
	}
	return fmt.Sprintf("%s nothing of %s, which has its traffic back, until its cache is warm, at the latest until %s", agreed(s.Terms.Cache.Mute, "counts", "count"), s.Terms.Baseline, schemas.Time(until))
}
