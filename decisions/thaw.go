package decisions

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// A store does what the newest decision says, and one that was away sees no other. So the order to take writes again stands in every decision of the model from the one that lets
// them in on, in later epochs, too, until the store has answered one of them. What it takes already, it takes: the order may come again.

// thawDeadline names the deadline of State.Thawing.
const thawDeadline = "thaw"

// thaw lets stores take writes again, and is what a decision must say of it; nil where they do already, or have only not answered that yet (owed).
func (t *turn) thaw() []schemas.StateOrder {
	t.s.Freezing = nil
	if !t.s.Frozen {
		return nil
	}
	t.s.Frozen = false
	t.s.thaws(t.s.Terms.State.Stores)
	return t.s.orders(schemas.StateUnfreeze)
}

// thaws waits from the next decision on for stores that are to take writes again, beside those that are waited for already.
func (s *State) thaws(names []string) {
	if s.Thawing != nil {
		names = slices.Concat(names, s.Thawing.missing())
	}
	if len(names) == 0 || !s.Terms.awaited() {
		return
	}
	names = slices.Clone(names)
	slices.Sort(names)
	s.Thawing = &Wait{Want: schemas.AckApplied, NoRouter: true, Stores: slices.Compact(names), Told: s.Thawing != nil && s.Thawing.Told}
}

// freeze notes that the rollout's own stores, if it has any, are told to take no writes: nobody waits for them to take some. It returns the wait for that, where it has ended by this; else nil.
func (s *State) freeze() *Wait {
	s.Frozen = s.Terms.State.shared()
	w := s.Thawing
	if w == nil {
		return nil
	}
	before := w.clone()
	w.Stores = slices.DeleteFunc(w.Stores, func(name string) bool { return slices.Contains(s.Terms.State.Stores, name) })
	if len(w.missing()) > 0 {
		return nil
	}
	s.Thawing = nil
	return before
}

// notThawing tells those who were told that stores don't take writes again that a person's freeze wants none from them now. w is what it has ended; nil: nothing.
func (t *turn) notThawing(w *Wait, freeze string) {
	if w == nil || !w.Told {
		return
	}
	t.notice(schemas.Notice{
		Kind: schemas.NoticeHandedOn, Severity: schemas.Info, Decision: w.Decision, Attempt: w.Attempt, Order: schemas.StateUnfreeze, Waiting: t.s.remaining(),
		Sentence: fmt.Sprintf("That %s again (decision %s) isn't waited for any more: a freeze was asked for meanwhile (decision %s), and until that ends no writes are wanted there. Where they were let in by hand, stop them.",
			agreed(w.missing(), "takes writes", "take writes"), w.Decision, freeze),
	})
}

// Owing are the stores that were told to take writes again and have not answered that, ascending: what the model's next epoch must go on to tell them.
func (s *State) Owing() []string {
	if !s.Terms.awaited() {
		return s.Terms.State.Owing // nobody acts on these decisions
	}
	var names []string
	if s.Thawing != nil {
		names = s.Thawing.missing()
	}
	if s.Saga != nil {
		if step := s.Saga.step(StepUnfreeze); step != nil && step.begun() && step.open() {
			names = slices.Concat(names, step.Wait.missing())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Shut are the stores that may take no writes when the epoch is forgotten, ascending: those that owe an answer, and those that it has told to take none.
func (s *State) Shut() []string {
	names := s.Owing()
	if s.Frozen && s.Terms.awaited() {
		names = slices.Concat(names, s.Terms.State.Stores)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// OwingOf are the stores that may owe an answer after a decision of which no more is known: those that it tells to take writes.
func OwingOf(d *schemas.Decision) []string {
	var names []string
	for _, o := range d.State {
		if o.Do == schemas.StateUnfreeze && d.Mode == schemas.Enforce {
			names = append(names, o.Store)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Owes notes which stores still owe an answer to an earlier epoch of the model, as many as a decision can tell beside the rollout's own.
func (t *StateTerms) Owes(names []string) {
	own := func(name string) bool { return slices.Contains(t.Stores, name) }
	room := schemas.MaxStores - max(1, len(t.Stores)) // namespaced state has an order of its own
	for _, name := range names {
		if !own(name) {
			if room == 0 {
				continue
			}
			room--
		}
		t.Owing = append(t.Owing, name)
	}
}

// owed adds to what a decision asks of the state that stores take writes which have not answered that yet, and of which it asks nothing else.
func (s *State) owed(orders []schemas.StateOrder) []schemas.StateOrder {
	if !s.Terms.awaited() {
		return orders
	}
	for _, name := range s.Owing() {
		if !slices.ContainsFunc(orders, func(o schemas.StateOrder) bool { return o.Store == name }) {
			orders = append(orders, schemas.StateOrder{Store: name, Do: schemas.StateUnfreeze, Snapshot: s.snapshotOf(name)})
		}
	}
	return orders
}

// thawsBy lets the wait for stores that are to take writes begin with a decision, where it hasn't begun.
func (t *turn) thawsBy(d *schemas.Decision) {
	if w := t.s.Thawing; w != nil && w.Decision == "" {
		w.Decision, w.Seq, w.DeadlineMs = d.ID, d.Seq, t.in.WallMs+t.s.Terms.thawWithin()
	}
}

// thawWithin is how soon stores must answer that they take writes; those of an earlier rollout, where this one has none, as soon as routers.
func (t *Terms) thawWithin() int64 { return cmp.Or(t.State.AckWithinMs, t.AckWithinMs) }

// thawed counts a store's answer that it takes writes: to any decision since the one that lets them in, whatever its phase, since each of them says so.
func (t *turn) thawed(a *schemas.Ack) {
	w := t.s.Thawing
	if w == nil || a.Seq < w.Seq || a.Status != schemas.AckPrepared && a.Status != schemas.AckApplied || t.s.snapshotting(a.Consumer) {
		return
	}
	if !w.take(a.Consumer, &t.s.Terms) {
		return
	}
	if t.s.Thawing = nil; w.Told {
		t.notice(schemas.Notice{
			Kind: schemas.NoticeWritesAgain, Severity: schemas.Info, Decision: w.Decision, Attempt: w.Attempt, Waiting: t.s.remaining(), Order: schemas.StateUnfreeze,
			Sentence: fmt.Sprintf("%s writes again (decision %s).", agreed(w.Stores, "takes", "take"), w.Decision),
		})
	}
}

// snapshotting reports whether a store is asked for its snapshot now: that it takes writes again is asked by the commit that follows.
func (s *State) snapshotting(store string) bool {
	return s.Status == StatusPreparing && s.Wait != nil && !s.Terms.State.kept() && slices.Contains(s.Terms.State.Stores, store)
}

// unthawed tells people of stores that have not answered that they take writes, and tells those again. A later epoch of the model does both itself.
func (t *turn) unthawed(w *Wait, x *Expired) {
	if x.Later {
		if t.s.Thawing = nil; w.Told {
			t.handedOn(w.Decision, schemas.StateUnfreeze, fmt.Sprintf("That %s again (decision %s)", agreed(w.missing(), "takes writes", "take writes"), w.Decision))
		}
		return
	}
	w.Told = true
	w.Attempt++
	w.DeadlineMs = t.in.WallMs + backoff(t.s.Terms.thawWithin(), w.Attempt)
	hint := t.s.hint(w)
	if slices.ContainsFunc(w.missing(), t.s.snapshotting) {
		hint = t.s.thawTexts() + "."
	}
	t.notice(schemas.Notice{
		Kind: schemas.NoticeAcksOverdue, Severity: schemas.Critical, Decision: w.Decision, Attempt: w.Attempt, Waiting: w.missing(), Order: schemas.StateUnfreeze,
		Sentence: fmt.Sprintf("That %s again (decision %s) is not acknowledged%s.%s %s",
			agreed(w.missing(), "takes writes", "take writes"), w.Decision, passed(w.Attempt), t.s.stillFrozen(w.missing()), hint),
	})
	t.out = append(t.out, Effect{Again: t.s.Prev.ID})
}

// stillFrozen is what it means that stores don't take writes again, and what to do; a sentence with a space before it.
func (s *State) stillFrozen(names []string) string {
	return fmt.Sprintf(" Until then writes there may be refused: let %s take them by hand if need be. Each decision asks for it until that is answered.", listed(names))
}

// thawTexts is why answers are missing of stores that are to take writes again.
func (s *State) thawTexts() string {
	var texts []string
	for _, name := range s.Thawing.missing() {
		if s.snapshotting(name) {
			texts = append(texts, name+" is told so when the start is committed")
		} else {
			texts = append(texts, s.missingText(name, s.Thawing))
		}
	}
	return strings.Join(texts, "; ")
}

// ThawText is which stores have not answered that they take writes again, for a person; "": all have.
func (s *State) ThawText() string {
	w := s.Thawing
	if w == nil || w.Decision == "" {
		return ""
	}
	return fmt.Sprintf("was told to take writes again by decision %s%s, and may not do it yet: %s", w.Decision, passed(w.Attempt), s.thawTexts())
}

// trafficLeft is what a rollback that is deleted before it is carried out leaves behind of the traffic; a sentence with a space before it, "": nothing.
func (s *State) trafficLeft() string {
	if s.Saga == nil || s.Saga.Done() {
		return ""
	}
	for _, r := range s.Routes {
		if r.Version == s.Terms.Canary && r.WeightBP > 0 {
			return fmt.Sprintf(" %s still has %s of the traffic: move it to %s by hand.", s.Terms.Canary, percentOf(r.WeightBP), s.Terms.Baseline)
		}
	}
	if step := s.Saga.step(StepRoute); step.open() || s.Saga.step(StepVerify).open() {
		return fmt.Sprintf(" It is not known that all traffic has gone to %s: look whether %s still gets some, and move that by hand.", s.Terms.Baseline, s.Terms.Canary)
	}
	return ""
}

// undoneLeft is what a rollback that nobody follows any more leaves behind where no store was told to take no writes; sentences with a space before each, "": nothing.
func (s *State) undoneLeft() string {
	text := ""
	if steps := s.undone(); steps != nil {
		text = fmt.Sprintf(" Not done, and not followed any more: %s.", strings.Join(steps, ", "))
	}
	return text + s.trafficLeft() + s.thawLeft()
}

// DeletedLeft is what a rollout that is deleted leaves behind of a rollback that was not carried out, and of stores that were told to take no writes: what is to be done by hand; "": nothing.
func (s *State) DeletedLeft() string {
	switch {
	case s.Status != StatusDeleted:
		return ""
	case s.Frozen && s.Why != nil && s.Why.Code == schemas.ReasonDeleted:
		return s.Why.Sentence
	}
	return strings.TrimPrefix(s.undoneLeft(), " ")
}

// frozenLeft is the same of stores that were told to take no writes.
func (s *State) frozenLeft() string {
	text := fmt.Sprintf(" %s no writes", agreed(s.Terms.State.Stores, "takes", "take"))
	if s.Saga == nil {
		return text + ": let them in by hand." + s.shutText()
	}
	if w := s.Saga.step(StepFreeze).Wait; len(w.missing()) > 0 {
		text = fmt.Sprintf(" It is not known whether %s: %s", agreed(w.missing(), "takes no writes", "take no writes"), s.missingTexts(w))
	}
	return fmt.Sprintf("%s. The state may be as %s left it: let it go back by hand (%s), and take writes again.%s", strings.TrimSuffix(text, "."), s.Terms.Canary, s.snapshotsText(), s.shutText())
}

// thawLeft is what a rollout that is deleted leaves behind of stores that have not answered that they take writes; a sentence with a space before it, "": nothing.
func (s *State) thawLeft() string {
	names := s.Owing()
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf(" Nobody waits for %s to answer that writes are taken again: look whether they are.", listed(names))
}
