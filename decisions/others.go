package decisions

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Versions that are neither the baseline nor the canary may answer, too: what is told of who serves must not leave them out.

// mostVersions are those with the most predictions, those first, at most MaxFlows, and the sum of all.
func mostVersions(others []VersionFlow) (most []VersionFlow, sum int64) {
	for _, o := range others {
		sum += o.Predictions
	}
	most = slices.DeleteFunc(slices.Clone(others), func(o VersionFlow) bool { return o.Predictions == 0 })
	slices.SortStableFunc(most, func(a, b VersionFlow) int {
		return cmp.Or(cmp.Compare(b.Predictions, a.Predictions), cmp.Compare(a.Version, b.Version))
	})
	return slices.Clone(most[:min(len(most), MaxFlows)]), sum
}

// hostsOf are the hosts on which another version answered in a window, the most predictions first, as far as they are told apart.
func (w *Traffic) hostsOf(version string) []Flow {
	var hosts []Flow
	for _, h := range w.OtherHosts {
		if h.Version == version && h.Predictions > 0 {
			hosts = append(hosts, h.Flow)
		}
	}
	slices.SortStableFunc(hosts, func(a, b Flow) int {
		return cmp.Or(cmp.Compare(b.Predictions, a.Predictions), cmp.Compare(a.Host, b.Host))
	})
	return hosts
}

// othersText names other versions that answer in the newest window with traffic, each with its share; "": they answer less than what a version that has drained may.
func (d *Drain) othersText() string {
	all := d.LastAll + d.OthersSum
	if d.OthersSum*drainShare < all || len(d.Others) == 0 {
		return ""
	}
	of := " of all predictions"
	var names []string
	for _, o := range d.Others {
		names = append(names, fmt.Sprintf("%q (%s%s)", o.Version, percentOf(int(o.Predictions*fullBP/all)), of))
		of = ""
	}
	return fmt.Sprintf("In the newest window with traffic other versions of the model answered, too: %s.", strings.Join(names, ", "))
}

// carriedText is what a rollback that is carried out has come to: who serves, as far as the stream shows.
func (s *State) carriedText(d *Drain) string {
	t := &s.Terms
	if others := d.othersText(); others != "" {
		return fmt.Sprintf("Rollback of %s is carried out: %s has drained, and its traffic goes to %s. %s", t.Rollout, t.Canary, t.Baseline, others)
	}
	return fmt.Sprintf("Rollback of %s is carried out: %s serves all traffic and %s has drained.", t.Rollout, t.Baseline, t.Canary)
}

// undoneText is what is not done of it: steps, and versions that are to have no users and serve some; a sentence with a space before it, "": all is.
func (s *State) undoneText() string {
	text := ""
	if steps := s.undone(); steps != nil {
		text = fmt.Sprintf(" Not done yet: %s.", strings.Join(steps, ", "))
	}
	for _, version := range s.RetiredServing() {
		text += fmt.Sprintf(" %s is to have no users, and isn't seen to have drained (event retired-serves).", version)
	}
	return text
}

// retiredName is how a version that is to have no users and serves some stands among what isn't over.
func retiredName(version string) string { return "retired " + version }
