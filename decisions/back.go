package decisions

import (
	"cmp"
	"fmt"
	"strings"

	"streamcanary/schemas"
)

// Back is what a rollout goes back from: the promotion of another one. No state is restored then. Since that promotion the newer version alone has written, for days perhaps,
// and a restore would lose all of it; a store keeps a snapshot only as long as its rollout lasts. So that is for a person to weigh, and to do.
type Back struct {
	Rollout   string     `json:"rollout"`
	Snapshots []Snapshot `json:"snapshots,omitempty"` // of shared state; at most MaxBackSnapshots
	// Before is what the snapshots are from before, where that isn't the rollout: it began over a version that may have written.
	Before string `json:"before,omitempty"`
	// Unreadable: the version that gets its traffic back can't read what the newer one wrote into shared state. Override: whoever goes back goes past that, and past pillars that fail: users stay
	// with a version that is known to be bad for as long as, say, a registry is away.
	Unreadable bool `json:"unreadable,omitempty"`
	Override   bool `json:"override,omitempty"`
}

// codeUnreadable stands among what a person went past where traffic goes back to a version that can't read the state.
const codeUnreadable = "state_incompatible"

// MaxBackSnapshots bounds the snapshots that are told.
const MaxBackSnapshots = 16

// Kept is what is kept of it, within the bounds, whoever wrote it; nil of nil.
func (b *Back) Kept() *Back {
	if b == nil {
		return nil
	}
	kept := &Back{Rollout: clip(b.Rollout, schemas.MaxNameBytes), Before: clip(b.Before, MaxWhy), Unreadable: b.Unreadable, Override: b.Override}
	for _, x := range b.Snapshots[:min(len(b.Snapshots), MaxBackSnapshots)] {
		kept.Snapshots = append(kept.Snapshots, Snapshot{clip(x.Store, schemas.MaxNameBytes), clip(x.ID, schemas.MaxSnapshotBytes)})
	}
	return kept
}

// PastPillars reports whether pillars that fail keep nobody from going back.
func (b *Back) PastPillars() bool { return b != nil && b.Override }

// BackOf is what goes back from an epoch.
func BackOf(s *State) *Back {
	b := &Back{Rollout: s.Terms.Rollout, Snapshots: s.Snapshots, Unreadable: s.Terms.unreadable()}
	if s.Terms.State.Written != nil && len(s.Snapshots) > 0 {
		b.Before = s.beforeText()
	}
	return b.Kept()
}

// unreadable reports whether the baseline can't read what the canary writes.
func (t *Terms) unreadable() bool { return t.State.shared() && !t.State.Compatible }

// RefusesBack says why nobody should go back from a promoted epoch, and what to do; "": nothing speaks against it, or it is to be gone past.
func (s *State) RefusesBack(override bool) string {
	t := &s.Terms
	if override || !t.unreadable() {
		return ""
	}
	return fmt.Sprintf("%s can't read what %s wrote to %s (state.compatible: false), and a way back restores no state: it would serve all users from state that it can't read. Repair %s (roll forward), or go back all the same: "+
		"`streamcanary rollout back %s --override --comment WHY`, which takes an admin, and the decision says so", t.Baseline, t.Canary, strings.Join(t.State.Stores, ", "), t.Canary, t.Rollout)
}

// NotPromoted says why there is no way back from an epoch that isn't promoted, and what to do.
func (s *State) NotPromoted() string {
	t := &s.Terms
	not := fmt.Sprintf("rollout %s is %s, not promoted: ", t.Rollout, s.Status)
	switch s.Status {
	case StatusSuperseded:
		return fmt.Sprintf("%sanother rollout of model %s took over from it, and moves the traffic since: `streamcanary rollout list` names it", not, t.Model)
	case StatusRefused:
		return not + "it never began, and has moved nothing"
	case StatusRolledBack:
		if s.Undone() {
			return fmt.Sprintf("%sits rollback is on its way, and gives %s all traffic again (%s)", not, t.Baseline, s.OpenText())
		}
		if !t.awaited() {
			return not + "it advises, and has moved nothing"
		}
		return fmt.Sprintf("%s%s has all traffic again", not, t.Baseline)
	case StatusFrozen:
		return not + s.notJudged()
	case StatusDeleted:
		return not + "nobody decides for it any more; look at what routers do, and move the traffic by hand"
	}
	return fmt.Sprintf("%s`streamcanary rollout rollback %s --comment WHY` rolls back what is under way", not, t.Rollout)
}

// refusesUnreadable says why a way back isn't promoted; "": it is.
func (s *State) refusesUnreadable(c *Command) string {
	t := &s.Terms
	if b := t.Back; b == nil || !b.Unreadable || b.Override || c.Force {
		return ""
	}
	return fmt.Sprintf("%s can't read what %s wrote to %s (state.compatible: false of rollout %s), and no state is restored; %s goes back all the same, and the decision says so",
		t.Canary, t.Baseline, strings.Join(t.State.Stores, ", "), t.Back.Rollout, s.overruled(c))
}

// goesUnreadable reports whether a command gives all traffic to a version that can't read the state, which is said by it or was said before.
func (s *State) goesUnreadable(c *Command) bool {
	return c.Do == CommandPromote && s.Terms.Back != nil && s.Terms.Back.Unreadable
}

// keptText is what becomes of the state with a way back's promotion, in sentences with a space before them; "" where none is shared.
func (s *State) keptText() string {
	if s.Terms.Back == nil || !s.Terms.State.shared() {
		return ""
	}
	return " " + s.Terms.Back.KeptText(s.Terms.State.Stores, s.Terms.Baseline, s.Terms.Canary)
}

// KeptText is what stores of shared state keep when traffic goes back from a version to another, and what can be done about it.
func (b *Back) KeptText(stores []string, from, to string) string {
	text := fmt.Sprintf("No state is restored: %s what %s wrote.", agreed(stores, "keeps", "keep"), from)
	if b.Unreadable {
		text = fmt.Sprintf("No state is restored: %s what %s wrote, which %s can't read.", agreed(stores, "keeps", "keep"), from, to)
	}
	var known []string
	for _, x := range b.Snapshots {
		known = append(known, fmt.Sprintf("%s had snapshot %s", x.Store, x.ID))
	}
	if known == nil {
		return text
	}
	return fmt.Sprintf("%s Before %s, %s: to go back to that, restore it by hand, if it is still kept.", text, cmp.Or(b.Before, b.Rollout), strings.Join(known, ", "))
}
