package decisions

import (
	"fmt"
	"strings"

	"streamcanary/schemas"
)

// Back is what a rollout goes back from: the promotion of another one. No state is restored then. Since that promotion the newer version alone has written, for days perhaps,
// and a restore would lose all of it; a store keeps a snapshot only as long as its rollout lasts. So that is for a person to weigh, and to do.
type Back struct {
	Rollout   string     `json:"rollout"`
	Snapshots []Snapshot `json:"snapshots,omitempty"` // of shared state, from before the rollout; at most MaxBackSnapshots
}

// MaxBackSnapshots bounds the snapshots that are told.
const MaxBackSnapshots = 16

// Kept is what is kept of it, within the bounds, whoever wrote it; nil of nil.
func (b *Back) Kept() *Back {
	if b == nil {
		return nil
	}
	kept := &Back{Rollout: clip(b.Rollout, schemas.MaxNameBytes)}
	for _, x := range b.Snapshots[:min(len(b.Snapshots), MaxBackSnapshots)] {
		kept.Snapshots = append(kept.Snapshots, Snapshot{clip(x.Store, schemas.MaxNameBytes), clip(x.ID, schemas.MaxSnapshotBytes)})
	}
	return kept
}

// BackOf is what goes back from an epoch.
func BackOf(s *State) *Back {
	return (&Back{Rollout: s.Terms.Rollout, Snapshots: s.Snapshots}).Kept()
}

// keptText is what becomes of the state with a way back's promotion, in sentences with a space before them; "" where none is shared.
func (s *State) keptText() string {
	if s.Terms.Back == nil || !s.Terms.State.shared() {
		return ""
	}
	return " " + s.Terms.Back.KeptText(s.Terms.State.Stores, s.Terms.Baseline)
}

// KeptText is what stores of shared state keep when traffic goes back from a version, and what can be done about it.
func (b *Back) KeptText(stores []string, from string) string {
	text := fmt.Sprintf("No state is restored: %s what %s wrote.", agreed(stores, "keeps", "keep"), from)
	var known []string
	for _, x := range b.Snapshots {
		known = append(known, fmt.Sprintf("%s had snapshot %s", x.Store, x.ID))
	}
	if known == nil {
		return text
	}
	return fmt.Sprintf("%s Before %s, %s: to go back to that, restore it by hand, if it is still kept.", text, b.Rollout, strings.Join(known, ", "))
}
