package decisions

import (
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// A rollback that nobody follows any more (its rollout was deleted by force, or its record is gone) may leave stores that take no writes, over a state that hasn't gone back. Whether a person has
// mended that is known to nobody here. So the model's next epoch doesn't begin over it, unless an admin says so: its decisions tell those stores to take writes, then.

// CodeStateShut stands among what a person went past where an epoch begins over stores that take no writes, and whose rollout nobody follows any more.
const CodeStateShut = "state_shut"

// LeftShut are the stores that a model's last decision, whose rollout nobody follows any more, has told to take no writes, ascending.
func LeftShut(last *schemas.Decision) []string {
	var names []string
	for _, o := range last.State {
		if last.Mode == schemas.Enforce && (o.Do == schemas.StateFreeze || o.Do == schemas.StateRestore) {
			names = append(names, o.Store)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// RefusesShut says why no epoch of the model begins over that, and what to do; "": nothing speaks against it.
func RefusesShut(last *schemas.Decision, rollout string, retry bool) string {
	names := LeftShut(last)
	if names == nil {
		return ""
	}
	var back []string
	for _, o := range last.State {
		if o.Snapshot != "" {
			back = append(back, fmt.Sprintf("%s to snapshot %s", o.Store, o.Snapshot))
		}
	}
	again := "apply it with --new-epoch --force"
	if retry {
		again = fmt.Sprintf("`streamcanary rollout retry %s --override --comment WHY`", rollout)
	}
	return fmt.Sprintf("%s to take no writes by decision %s of rollout %s, which nobody follows any more, and a snapshot taken now may have what its canary wrote: let the state go back by hand%s; then %s, "+
		"which takes an admin: the decision says so, and tells %s to take writes again",
		agreed(names, "was told", "were told"), last.ID, last.Rollout, inParentheses(back), again, listed(names))
}

// shutText is what a rollout that is deleted says of the next one; a sentence with a space before it.
func (s *State) shutText() string {
	return fmt.Sprintf(" The next rollout of model %s doesn't begin without an admin's --new-epoch --force, which tells %s to take writes.", s.Terms.Model, listed(s.Terms.State.Stores))
}

// thawedText is what the start of an epoch that begins over that says of it; a sentence with a space before it, "": it doesn't.
func (s *State) thawedText(override []string) string {
	if !slices.Contains(override, CodeStateShut) {
		return ""
	}
	return fmt.Sprintf(" It lets %s take writes again, and restores nothing there of what an earlier rollout, which nobody follows any more, was to restore.", listed(s.Terms.State.Owing))
}

// inParentheses lists texts behind what they are of; "" where there are none.
func inParentheses(texts []string) string {
	if len(texts) == 0 {
		return ""
	}
	return " (" + strings.Join(texts, ", ") + ")"
}
