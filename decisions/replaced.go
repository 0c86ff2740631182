package decisions

import "fmt"

// An epoch that begins over one that is under way, of another canary, takes that one's users away: by a supersede, or by a file that is applied anew. Whether the stream shows that is looked at
// while the new epoch runs, by the measure of a version that was retired (retired.go): what still answers as the old canary is judged by nobody, and nothing rolls it back.

// Left is a canary that had users when another epoch began over its own.
type Left struct {
	Version  string `json:"version"`
	Decision string `json:"decision,omitempty"` // that took them from it; "": the first one of the new epoch does
}

// Leaves is the canary that an epoch which begins over this one takes users from: its own, or one that it hasn't been rid of itself; nil: none.
func (s *State) Leaves(next *Terms) *Left {
	others := func(version string) bool { return version != next.Baseline && version != next.Canary }
	if others(s.Terms.Canary) && s.hadUsers() {
		switch {
		case s.Status == StatusSuperseded && s.Routes != nil && s.Prev != nil:
			return &Left{Version: s.Terms.Canary, Decision: s.Prev.ID}
		case !s.Status.Ended(), s.Promoted(): // after a promotion by override alone (moves.go)
			return &Left{Version: s.Terms.Canary}
		}
	}
	if r := s.Replaced; r != nil && (r.Told || r.DeadlineMs > 0) && others(r.Version) {
		return &Left{Version: r.Version, Decision: r.Decision}
	}
	return nil
}

// hadUsers reports whether decisions of the epoch gave its canary users.
func (s *State) hadUsers() bool {
	if s.FromMs == 0 || !s.Terms.awaited() {
		return false
	}
	if s.Promoted() {
		return true
	}
	for i := range s.Terms.Stages[:min(s.Stage+1, len(s.Terms.Stages))] {
		if s.Terms.Stages[i].WeightBP > 0 {
			return true
		}
	}
	return false
}

// replaces begins to look at the canary that the epoch begins over, where a decision has moved its traffic.
func (t *turn) replaces(left *Left) {
	if left == nil || !t.s.Terms.awaited() || left.Decision == "" && t.s.Routes == nil {
		return
	}
	t.s.Replaced = &Retired{Version: left.Version, Decision: left.Decision, UntilMs: t.in.WallMs + retiredForMs}
	if left.Decision == "" {
		t.s.Replaced.Decision = t.s.First()
	}
	t.drains(t.s.Replaced, t.s.settledMs(t.in.WallMs))
}

// replacing reports whether it is looked at: windows are counted while the epoch is judged or carried out, and as long as its own retired version is looked at.
func (s *State) replacing() bool {
	return s.Replaced != nil && (!s.Status.Ended() || s.Saga != nil && !s.Saga.Done() || s.Retired != nil)
}

// replacedServes looks at a sealed window for it. Windows tell no hosts of it.
func (t *turn) replacedServes(w *Traffic) {
	if t.s.Replaced == nil {
		return
	}
	seen := Traffic{StartMs: w.StartMs, EndMs: w.EndMs, Baseline: w.Baseline + w.Canary}
	for _, o := range w.Others {
		if o.Version == t.s.Replaced.Version {
			seen.Canary += o.Predictions
		} else {
			seen.Baseline += o.Predictions
		}
	}
	t.retiredServes(t.s.Replaced, &seen)
}

// replacedDeadline names the deadline of the version that was replaced.
const replacedDeadline = "replaced"

// replacedExpired takes that deadline. A later epoch looks on itself, where the version is none of its own.
func (t *turn) replacedExpired(x *Expired) {
	r := t.s.Replaced
	switch {
	case x.Later:
		t.retiredOver(r, "", fmt.Sprintf("A later epoch of model %s was applied, which looks on at what %s serves, unless that is one of its own versions.", t.s.Terms.Model, r.Version))
		t.s.Replaced = nil
	case r.DeadlineMs == 0:
		t.s.Replaced = nil
	default:
		t.retiredLook(r, x)
	}
}
