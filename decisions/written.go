package decisions

import (
	"fmt"
	"slices"

	"streamcanary/schemas"
)

// Written is what a version that was tried before the epoch may have left in shared state. A snapshot that was taken since then has it, so an epoch that begins over one that is under way
// goes on with that one's snapshots, and asks for no new ones.
type Written struct {
	By string `json:"by"` // the version
	// Epoch is the one for which Snapshots were taken; none: the epoch's own are taken, and may have what By wrote.
	Epoch     int64      `json:"epoch,omitempty"`
	Snapshots []Snapshot `json:"snapshots,omitempty"`
	// Within: Snapshots, or the epoch's own, may have what By wrote.
	Within bool `json:"within,omitempty"`
}

// codeWritten stands among what a person went past where an epoch begins over one that is under way, and can't go back to its snapshots.
const codeWritten = "state_written"

// kept reports whether the snapshots are those of an earlier epoch.
func (t *StateTerms) kept() bool { return t.Written != nil && len(t.Written.Snapshots) > 0 }

// Over notes what may be in the state that a rollout shares: by what is known of the model's last epoch (nil: nothing), and by the routes in force, and those before the last decision. Of a
// last epoch of which that isn't certain the snapshots are not used.
func (t *Terms) Over(last *State, certain bool, routes ...schemas.Route) {
	if !t.awaited() {
		return
	}
	var w *Written
	if last != nil && !(last.Status == StatusPromoted && last.Terms.Canary == t.Baseline) {
		w = last.written(t)
	}
	for _, r := range routes {
		if w == nil && t.State.shared() && r.Version != t.Baseline && r.WeightBP > 0 {
			w = &Written{By: r.Version, Within: true}
		}
	}
	if w != nil && !t.State.shared() {
		w = &Written{By: w.By, Epoch: w.Epoch, Within: true}
	} else if w != nil && (len(w.Snapshots) == 0 || !certain || !last.handsOn(t)) {
		w = &Written{By: w.By, Within: true}
	}
	t.State.Written = w
}

// written is what an epoch, or one before it, may have left in the state for the next one, beside what that one's baseline wrote; nil: nothing.
func (s *State) written(next *Terms) *Written {
	w := s.Terms.State.Written
	if w != nil && (w.By == next.Baseline || s.wentBack() && !w.Within) {
		w = nil
	}
	switch tried := s.tried() && s.Terms.Canary != next.Baseline; {
	case w == nil && tried:
		return &Written{By: s.Terms.Canary, Epoch: s.Epoch, Snapshots: slices.Clone(s.Snapshots)}
	case w != nil && tried && len(w.Snapshots) == 0: // its own have what was written before it
		return &Written{By: w.By, Epoch: s.Epoch, Snapshots: slices.Clone(s.Snapshots), Within: true}
	case w != nil && (len(w.Snapshots) == 0 || s.wentBack()):
		return &Written{By: w.By, Within: true}
	}
	return w
}

// tried reports whether the canary may have written shared state that hasn't gone back since.
func (s *State) tried() bool {
	return s.Terms.State.shared() && s.Terms.awaited() && s.FromMs > 0 && !s.wentBack()
}

// wentBack reports whether a rollback has restored the state.
func (s *State) wentBack() bool {
	if s.Saga == nil {
		return false
	}
	restore := s.Saga.step(StepRestore)
	return restore != nil && restore.State == StepAcked
}

// handsOn reports whether an epoch's snapshots are of use to the one that begins over it. After its end a store need keep none.
func (s *State) handsOn(next *Terms) bool {
	over := !s.Status.Ended() || s.Status == StatusSuperseded
	return over && s.restorable() && s.Terms.Baseline == next.Baseline && slices.Equal(s.Terms.State.Stores, next.State.Stores)
}

// RefusesOver says why a rollout should not begin over this epoch, which is under way, and what to do; "": nothing speaks against it.
func (s *State) RefusesOver(next *Terms) string {
	if s.Status.Ended() || !s.overwrites(next) {
		return ""
	}
	differs := fmt.Sprintf("its baseline is %s, and theirs %s", next.Baseline, s.Terms.Baseline)
	if s.Terms.Baseline == next.Baseline {
		differs = fmt.Sprintf("its state.stores are not theirs (%s)", listed(s.Terms.State.Stores))
	}
	return fmt.Sprintf("%s may have written to %s in epoch %d, and %s could not go back to the snapshots from before that (%s): %s: "+
		"`rollout rollback %s --comment WHY` first, and apply it when that is carried out; or apply it with --force, which takes an admin, and the decision says so",
		s.Terms.Canary, listed(s.Terms.State.Stores), s.Epoch, next.Rollout, s.snapshotsText(), differs, s.Terms.Rollout)
}

// overwrites reports whether a rollout that begins over this epoch leaves in the state what the canary wrote, for good.
func (s *State) overwrites(next *Terms) bool {
	return next.awaited() && next.State.shared() && s.tried() && s.Terms.Canary != next.Baseline && s.Status != StatusPromoted && s.Status != StatusDeleted && !s.handsOn(next)
}

// GoesPast is what whoever begins a rollout by force over this epoch goes past in its state; "": nothing.
func (s *State) GoesPast(next *Terms) []string {
	if s.overwrites(next) {
		return []string{codeWritten}
	}
	return nil
}

// beforeText is what the snapshots are from before.
func (s *State) beforeText() string {
	w := s.Terms.State.Written
	switch {
	case w == nil:
		return s.Terms.Canary
	case !w.Within:
		return fmt.Sprintf("%s (epoch %d)", w.By, w.Epoch)
	}
	epoch := w.Epoch
	if epoch == 0 {
		epoch = s.Epoch
	}
	return fmt.Sprintf("epoch %d, which may have what %s wrote earlier", epoch, w.By)
}

// writtenText is what the start of an epoch says of that; a sentence with a space before it, "" where nothing is known to have been written.
func (s *State) writtenText() string {
	w := s.Terms.State.Written
	if w == nil || !s.Terms.State.shared() && w.Epoch == 0 {
		return ""
	}
	if !s.Terms.State.shared() {
		return fmt.Sprintf(" What %s may have written to shared state in epoch %d stays: this rollout restores none.", w.By, w.Epoch)
	}
	if s.Terms.State.kept() {
		return fmt.Sprintf(" No new snapshot is taken, since %s may have written to the state: a rollback goes back to the one from before %s: %s.", w.By, s.beforeText(), s.snapshotsText())
	}
	return fmt.Sprintf(" %s may have written to the state: a rollback goes back to the snapshot from before %s.", w.By, s.beforeText())
}

// WrittenLeft is what the canary of a rollout that was deleted while it was under way has left in shared state, and what to do; a sentence, "" where it has left none that is known.
func (s *State) WrittenLeft() string {
	if s.Status != StatusDeleted || s.Saga != nil || !s.tried() {
		return ""
	}
	stores := listed(s.Terms.State.Stores)
	text := fmt.Sprintf("What %s wrote to %s stays there: nothing is restored.", s.Terms.Canary, stores)
	if !s.restorable() {
		return text + fmt.Sprintf(" Not all of %s had named a snapshot from before that.", stores)
	}
	return text + fmt.Sprintf(" By hand it can go back to before %s (%s): look whether the snapshot is still there, stop the writes, restore it with the store's own tools, and let writes in again; what %s wrote since then is lost, too.",
		s.beforeText(), s.snapshotsText(), s.Terms.Baseline)
}
