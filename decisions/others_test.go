package decisions

import (
	"slices"
	"strings"
	"testing"

	"streamcanary/schemas"
)

// TestOthers: a rollback that is carried out doesn't give the baseline all traffic while other versions answer, and names them; one that is to have no users is what isn't done.
func TestOthers(t *testing.T) {
	const carried = "Rollback of ranker-42 is carried out: "
	rolledBack := func(in ...Input) []Input {
		return slices.Concat(replacing(), othersOf(12, 60, 600, 400, 0), []Input{replacedAt(72), verdictOf(73, VerdictRollback), ack(74, 3, "eu", schemas.AckApplied)}, in)
	}
	for name, x := range map[string]struct {
		in      []Input
		want    string
		waiting []string
	}{
		"another version that is to have none": {rolledBack(othersOf(75, 3, 1200, 900, 300)...),
			carried + `43 has drained, and its traffic goes to 41. In the newest window with traffic other versions of the model answered, too: "42" (37.5 % of all predictions), "44" (12.5 %). ` +
				"42 is to have no users, and isn't seen to have drained (event retired-serves).", []string{"retired 42"}},
		"another that nobody speaks of": {slices.Concat(replacing(), othersOf(12, 3, 1000, 0, 0), []Input{verdictOf(73, VerdictRollback), ack(74, 3, "eu", schemas.AckApplied)}, othersOf(75, 3, 1200, 0, 300)),
			carried + `43 has drained, and its traffic goes to 41. In the newest window with traffic other versions of the model answered, too: "44" (20 % of all predictions).`, nil},
		"a stray": {slices.Concat(replacing(), othersOf(12, 3, 1000, 0, 0), []Input{verdictOf(73, VerdictRollback), ack(74, 3, "eu", schemas.AckApplied)}, othersOf(75, 3, 2000, 0, 1)),
			carried + "41 serves all traffic and 43 has drained.", nil},
	} {
		var s State
		var last *schemas.Notice
		for _, in := range x.in {
			next, effects := Step(s, in)
			s = next
			if len(effects) > 0 && effects[0].Notice != nil && effects[0].Notice.Kind == schemas.NoticeRollbackCompleted {
				last = effects[0].Notice
			}
		}
		if last == nil || last.Sentence != x.want || !slices.Equal(last.Waiting, x.waiting) {
			t.Errorf("%s: %+v, want %q, waiting for %v", name, last, x.want, x.waiting)
		}
		if gone := Deleted(&s, person).Sentence; strings.Contains(gone, "Not done") {
			t.Errorf("%s: deleted, it says %q", name, gone)
		}
	}
}

// TestMostVersions: those with the most predictions are kept, and the sum is of all.
func TestMostVersions(t *testing.T) {
	var all []VersionFlow
	for _, version := range strings.Split("abcdefghij", "") {
		all = append(all, VersionFlow{version, 10})
	}
	all[9].Predictions, all[0].Predictions = 11, 0
	most, sum := mostVersions(all)
	if len(most) != MaxFlows || most[0].Version != "j" || most[1].Version != "b" || sum != 91 {
		t.Errorf("%v, of %d", most, sum)
	}
}
