package decisions

import (
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// codeStateNotReady is the reason of a freeze in place of a route: the baseline can't read what the canary wrote, and a store doesn't answer.
const codeStateNotReady = "state_not_ready"

// codeFrozen is the reason of a hold in which the state takes no writes.
const codeFrozen = "frozen"

// StateTerms are what the state machine needs of the model's state.
type StateTerms struct {
	Mode schemas.StateMode `json:"mode,omitempty"` // empty: none
	// BaselineNamespace and CanaryNamespace are of namespaced state.
	BaselineNamespace string   `json:"baseline_namespace,omitempty"`
	CanaryNamespace   string   `json:"canary_namespace,omitempty"`
	Stores            []string `json:"stores,omitempty"` // of shared state: consumers that must all answer, ascending
	AckWithinMs       int64    `json:"ack_within_ms,omitempty"`
	Compatible        bool     `json:"compatible,omitempty"` // the baseline can read what the canary wrote
	// Owing are stores that an earlier epoch of the model told to take writes again, and that have not answered; ascending. They may be others than the rollout's own.
	Owing []string `json:"owing,omitempty"`
	// Former are stores that earlier decisions of the model asked, and this rollout doesn't; at most MaxFormer, ascending. They may follow the model still, and answer what asks nothing
	// of them, which is no router's answer where any router is enough.
	Former []string `json:"former,omitempty"`
	// Written is what an earlier epoch of the model may have left in the state; nil: nothing that is known.
	Written *Written `json:"written,omitempty"`
}

// MaxFormer bounds the stores of earlier rollouts that are known: those that were asked last.
const MaxFormer = 64

// stateTermsOf takes them from a rollout.
func stateTermsOf(r *schemas.Rollout) StateTerms {
	switch r.State.Mode {
	case schemas.StateNamespaced:
		return StateTerms{Mode: schemas.StateNamespaced, BaselineNamespace: r.State.Of(r.Model, r.Baseline), CanaryNamespace: r.State.Of(r.Model, r.Canary)}
	case schemas.StateShared:
		t := StateTerms{Mode: schemas.StateShared, Stores: slices.Clone(r.State.Stores), AckWithinMs: r.State.AckWithin.Milliseconds(), Compatible: r.State.Compatible}
		slices.Sort(t.Stores)
		return t
	}
	return StateTerms{}
}

func (t *StateTerms) shared() bool { return t.Mode == schemas.StateShared }

// isStore reports whether a consumer answers for state, and not for traffic.
func (t *Terms) isStore(consumer string) bool {
	return slices.Contains(t.State.Stores, consumer) || slices.Contains(t.State.Owing, consumer) || slices.Contains(t.State.Former, consumer)
}

// Knows notes stores that earlier decisions of the model asked, the latest last. Whom the rollout names as a router is one.
func (t *Terms) Knows(stores []string) {
	known := slices.DeleteFunc(slices.Clone(stores), func(name string) bool {
		return slices.Contains(t.State.Stores, name) || slices.Contains(t.Routers, name)
	})
	t.State.Former = slices.Clone(known[max(0, len(known)-MaxFormer):])
	slices.Sort(t.State.Former)
}

// StoresOf adds the stores that a decision asks to those that earlier ones asked, the latest last.
func StoresOf(before []string, d *schemas.Decision) []string {
	for _, o := range d.State {
		if o.Store != "" && d.Mode == schemas.Enforce {
			before = append(slices.DeleteFunc(before, func(name string) bool { return name == o.Store }), o.Store)
		}
	}
	return before[max(0, len(before)-MaxFormer):]
}

// A Snapshot is what a store can go back to.
type Snapshot struct {
	Store string `json:"store"`
	ID    string `json:"id"`
}

// orders asks every store for one thing.
func (s *State) orders(do schemas.StateDo) []schemas.StateOrder {
	if !s.Terms.State.shared() {
		return nil
	}
	orders := make([]schemas.StateOrder, len(s.Terms.State.Stores))
	for i, store := range s.Terms.State.Stores {
		orders[i] = schemas.StateOrder{Store: store, Do: do}
		if do != schemas.StateSnapshot {
			orders[i].Snapshot = s.snapshotOf(store)
		}
	}
	return orders
}

// snapshotsText names what the stores can go back to.
func (s *State) snapshotsText() string {
	all := make([]string, len(s.Terms.State.Stores))
	for i, store := range s.Terms.State.Stores {
		all[i] = fmt.Sprintf("%s to snapshot %s", store, s.snapshotOf(store))
	}
	return strings.Join(all, ", ")
}

func (s *State) snapshotOf(store string) string {
	for _, x := range s.Snapshots {
		if x.Store == store {
			return x.ID
		}
	}
	return ""
}

// restorable reports whether there is shared state, and every store of it has named what it can go back to: before the start is committed, one may not have.
func (s *State) restorable() bool {
	missing := func(store string) bool { return s.snapshotOf(store) == "" }
	return s.Terms.State.shared() && !slices.ContainsFunc(s.Terms.State.Stores, missing)
}

// state is what a decision with these routes asks of the model's state, where it doesn't say so itself: stores that take no writes go on so, and a version that
// serves everybody is named with its state.
func (s *State) state(routes []schemas.Route) []schemas.StateOrder {
	if s.Frozen {
		return s.orders(schemas.StateFreeze)
	}
	if s.Terms.State.Mode != schemas.StateNamespaced {
		return nil
	}
	for _, r := range routes {
		if r.WeightBP == fullBP {
			namespace := s.Terms.State.BaselineNamespace
			if r.Version == s.Terms.Canary {
				namespace = s.Terms.State.CanaryNamespace
			}
			return []schemas.StateOrder{{Do: schemas.StateUse, Namespace: namespace}}
		}
	}
	return nil
}

// snapshotted takes a store's answer to the prepare of a start, which names what can be restored (answerOf).
func (s *State) snapshotted(a *schemas.Ack) {
	s.Snapshots = slices.DeleteFunc(s.Snapshots, func(x Snapshot) bool { return x.Store == a.Consumer })
	s.Snapshots = append(s.Snapshots, Snapshot{a.Consumer, a.Snapshot})
}

// freezes waits for the stores that a person's freeze asks.
func (t *turn) freezes(d *schemas.Decision) {
	if d.Acks == nil {
		return // there are none, or nobody acts on it
	}
	t.s.Freezing = newWait(&t.s.Terms, stores, schemas.AckPrepared, d)
	t.s.Freezing.DeadlineMs = int64(d.Deadline)
}

// unfreezable escalates a person's freeze that stores don't answer, and asks them again.
func (t *turn) unfreezable(w *Wait) {
	w.Attempt++
	w.DeadlineMs = t.in.WallMs + backoff(w.within(&t.s.Terms), w.Attempt)
	t.notice(schemas.Notice{
		Kind: schemas.NoticeAcksOverdue, Severity: schemas.Critical, Decision: w.Decision, Attempt: w.Attempt, Waiting: w.missing(), Order: schemas.StateFreeze,
		Sentence: fmt.Sprintf("The freeze that was asked for (decision %s) is not acknowledged (deadline passed %s): %s.%s",
			w.Decision, times(w.Attempt), t.s.missingTexts(w), t.stillWritten()),
	})
	t.out = append(t.out, Effect{Again: t.s.Prev.ID})
}

// stillWritten is what it means that a store doesn't freeze, and what to do.
func (t *turn) stillWritten() string {
	return fmt.Sprintf(" What %s writes may still change it. Stop its writes by hand, or `streamcanary rollout resume %s --comment WHY` ends the freeze.", t.s.Terms.Canary, t.s.Terms.Rollout)
}

// SnapshotTexts are what the stores can go back to, or have gone back to, for a person.
func (s *State) SnapshotTexts() []string {
	var texts []string
	for _, x := range s.Snapshots {
		texts = append(texts, s.snapshotText(&x))
	}
	return texts
}

func (s *State) snapshotText(x *Snapshot) string {
	var freeze, restore *SagaStep
	if s.Saga != nil {
		freeze, restore = s.Saga.step(StepFreeze), s.Saga.step(StepRestore)
	}
	if restore != nil && restore.begun() {
		if slices.Contains(restore.Wait.Got, x.Store) {
			return fmt.Sprintf("%s has gone back to snapshot %s", x.Store, x.ID)
		}
		return fmt.Sprintf("%s is to go back to snapshot %s (%s)", x.Store, x.ID, s.missingText(x.Store, restore.Wait))
	}
	waits := []*Wait{s.Freezing}
	if freeze != nil {
		waits = append(waits, freeze.Wait)
	}
	for _, w := range waits {
		if w == nil || !slices.Contains(w.missing(), x.Store) {
			continue
		}
		if a := s.refusal(x.Store, w); a != nil {
			return fmt.Sprintf("%s has snapshot %s, and it is not known whether it can go back to it (%s)", x.Store, x.ID, s.refusalText(a))
		}
	}
	if s.Status == StatusPromoted {
		return fmt.Sprintf("%s had snapshot %s before %s; a store keeps one as long as the rollout lasts", x.Store, x.ID, s.beforeText())
	}
	return fmt.Sprintf("%s can go back to snapshot %s", x.Store, x.ID)
}

// FrozenText is how far the stores are with taking no writes, for a person; "": they weren't told to.
func (s *State) FrozenText() string {
	if !s.Frozen {
		return ""
	}
	w := s.Freezing
	if s.Saga != nil && s.Saga.step(StepFreeze) != nil {
		w = s.Saga.step(StepFreeze).Wait
	}
	if w == nil || len(w.missing()) == 0 {
		return "takes no writes"
	}
	text := "was asked to take no writes: " + s.missingTexts(w)
	if len(w.Got) > 0 {
		text += fmt.Sprintf("; %s takes none", strings.Join(w.Got, ", "))
	}
	return text
}

// freezing begins a rollback of what has shared state: nothing moves until its stores take no more writes.
func (t *turn) freezing(d *draft) {
	_ = t.s.freeze() // what was told of it ends with the rollback
	d.phase, d.routes = schemas.PhasePrepare, t.s.Routes
}

// again is the reason of the rollback, in other words.
func (s *State) again(format string, args ...any) schemas.Reason {
	r := schemas.Reason{Code: codeCommanded, Sentence: fmt.Sprintf(format, args...)}
	if s.Why != nil {
		r.Code = s.Why.Code
	}
	return r
}

// unrestored recommends to roll forward where a store says, and not for a moment only, that it can't go back to its snapshot.
func (t *turn) unrestored(step *SagaStep) {
	if step.State != StepFailed {
		return
	}
	t.forward(schemas.Reason{Code: codeStateGone, Sentence: fmt.Sprintf("The state of %s does not go back (%s), and %s serves all traffic with what %s left in it.",
		t.s.Terms.Model, t.s.missingTexts(step.Wait), t.s.Terms.Baseline, t.s.Terms.Canary)})
}

// unfrozen decides what becomes of a rollback whose stores don't answer that they take no more writes: it goes on, or, where the baseline can't read what the canary
// wrote, all stays as it is until they do or an admin says so. To roll forward is recommended once the deadline has passed, or a store has refused: what has only failed is tried again by
// itself, a second later. It reports whether a decision was taken.
func (t *turn) unfrozen(step *SagaStep, refused bool) bool {
	if t.passes(step) {
		step.DeadlineMs = 0 // later steps ask the same stores
		t.next()
		return true
	}
	before := t.s.Seq
	if t.s.Status != StatusFrozen {
		t.standStill(step)
	}
	if refused || step.Attempt > 0 {
		t.forward(schemas.Reason{Code: codeStateGone, Sentence: fmt.Sprintf("The state of %s can't go back, and %s can't read it.", t.s.Terms.Model, t.s.Terms.Baseline)})
	}
	return t.s.Seq > before
}

// standStill freezes all as it is, since state can't go back yet that the baseline can't read.
func (t *turn) standStill(step *SagaStep) {
	t.s.Status = StatusFrozen
	t.decide(draft{
		action: schemas.ActionFreeze, severity: t.s.Saga.severity(), routes: t.s.Routes, actor: engine, asks: stores,
		reason: schemas.Reason{Code: codeStateNotReady, Sentence: fmt.Sprintf(
			"%s is to be rolled back, but %s can't read its state, and %s: no traffic is moved, and stores are asked to take no writes (one that hasn't answered may still take them), until that is answered, or an admin goes past it: streamcanary rollout rollback %s --override --comment WHY",
			t.s.Terms.Canary, t.s.Terms.Baseline, t.s.notBackText(step.Wait, "it"), t.s.Terms.Rollout)},
	})
}

// notBackText is that stores have not answered a freeze, after which something (the state) could go back, and where one has said why it can't, that.
func (s *State) notBackText(w *Wait, what string) string {
	missing := w.missing()
	if !slices.ContainsFunc(missing, func(name string) bool { return s.refusal(name, w) != nil }) {
		return fmt.Sprintf("%s not answered that %s can go back", agreed(missing, "has", "have"), what)
	}
	return fmt.Sprintf("%s can't go back yet (%s)", what, s.missingTexts(w))
}

// unheldBy is who has not answered that it takes no more writes, and where one has said why not, that.
func (s *State) unheldBy(w *Wait) string {
	missing := w.missing()
	if slices.ContainsFunc(missing, func(name string) bool { return s.refusal(name, w) != nil }) {
		return s.missingTexts(w)
	}
	return agreed(missing, "has", "have") + " not answered that no more writes are taken"
}

// WhyText is why the last decision but the start was taken, for a person, and whether that is over.
func (s *State) WhyText() string {
	switch {
	case s.Why == nil:
		return ""
	case s.Why.Code != codeStateNotReady, s.Status == StatusFrozen, s.Saga == nil:
		return s.Why.Sentence
	}
	since := "goes on"
	if s.Saga.Done() {
		since = "is carried out"
	}
	return fmt.Sprintf("%s (That is over: the stores take no more writes, and the rollback %s.)", s.Why.Sentence, since)
}
