package decisions

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"streamcanary/schemas"
)

// A Beyond is an absolute limit that the baseline is beyond.
type Beyond struct {
	Guardrail string `json:"guardrail"`
	Sentence  string `json:"sentence"` // the baseline's estimate, since when, and the limit
	// Proven: of the baseline alone. Else the canary's own failure of this limit is excused by what is seen of the baseline (both_arms).
	Proven bool `json:"proven,omitempty"`
}

// beyondText tells of limits that the baseline is beyond; "" of none.
func beyondText(all []Beyond) string {
	if len(all) == 0 {
		return ""
	}
	text := all[0].Sentence
	if len(all) > 1 {
		text += fmt.Sprintf(" It is beyond these, too: %s.", strings.Join(guardrailsOf(all[1:]), ", "))
	}
	return text
}

// guardrailsOf are the names of limits.
func guardrailsOf(all []Beyond) []string {
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Guardrail
	}
	return names
}

// proven are the limits that the baseline alone is proven to be beyond.
func (s *State) proven() []Beyond {
	return slices.DeleteFunc(slices.Clone(s.Beyond), func(b Beyond) bool { return !b.Proven })
}

// noRefuge is why a rollback doesn't end the harm, where the baseline is proven to be beyond a limit of its own; the zero value: nothing of that is known.
func (s *State) noRefuge() schemas.Reason {
	text := beyondText(s.proven())
	if text == "" {
		return schemas.Reason{}
	}
	return schemas.Reason{Code: codeNoRefuge, Sentence: fmt.Sprintf("%s So it is no refuge: that all traffic goes back to it does not end this.", text)}
}

// bothText is why nothing is rolled back where both versions are beyond a limit.
func (s *State) bothText() string {
	if text := beyondText(s.Beyond); text != "" {
		return text + " So it is no refuge, and nothing is rolled back for that limit."
	}
	return fmt.Sprintf("Baseline %s is beyond its own limit, too, so it is no refuge.", s.Terms.Baseline)
}

// beyond tells people once of each limit that the baseline is proven to be beyond, unless a recommendation has just done so. Behind a rollback it is the recommendation
// itself, once; while all stands still, that can wait until traffic moves.
func (t *turn) beyond() {
	if t.s.Status == StatusFrozen {
		return
	}
	said := len(t.s.BeyondTold) > 0
	news := t.s.news()
	switch {
	case news == nil || t.decided(schemas.ActionRollForward) != nil:
	case t.s.judged() || t.s.Status == StatusPromoting:
		t.tellBeyond(news)
	case t.s.Status == StatusRolledBack && t.s.Undone() && !said && t.s.Saga.RefugeOver:
		t.refugeAgain(news)
	case t.s.Status == StatusRolledBack && t.s.Undone() && !said:
		t.recommend(t.s.noRefuge())
	}
}

// refugeAgain tells people while a rollback is carried out that its baseline is proven to be beyond a limit again: the recommendation has been decided once, and was over.
func (t *turn) refugeAgain(news []Beyond) {
	why := t.s.noRefuge()
	why.Sentence += " " + t.s.rollForwardNow()
	t.s.stands(why)
	t.notice(schemas.Notice{Kind: schemas.NoticeNoRefuge, Severity: schemas.Critical, Decision: t.s.Saga.Decision, Guardrails: guardrailsOf(news), Sentence: why.Sentence})
}

// refugeKept looks at a sealed window while a rollback is carried out whose baseline was told to be no refuge: that is over by the same measure as after it (heirBeyond).
func (t *turn) refugeKept(w *Traffic) {
	saga := t.s.Saga
	switch {
	case !t.s.Undone() || t.s.Status != StatusRolledBack || len(t.s.BeyondTold) == 0 || w.Baseline == 0:
		return
	case len(t.s.proven()) > 0:
		saga.KeptMs = 0
		return
	}
	if saga.KeptMs += w.EndMs - w.StartMs; saga.KeptMs < refugeKeptMs {
		return
	}
	saga.KeptMs, saga.RefugeOver, t.s.BeyondTold = 0, true, nil
	t.s.refugeReturns()
	t.notice(schemas.Notice{Kind: schemas.NoticeNoRefugeOver, Severity: schemas.Info, Decision: saga.Decision, Waiting: t.s.left(), Sentence: fmt.Sprintf(
		"For %s of its traffic baseline %s, to which rollback %s gives all users, isn't proven to be beyond a limit of its own any more. Should it be proven again, that is told.",
		schemas.FormatDuration(refugeKeptMs*time.Millisecond), t.s.Terms.Baseline, saga.Decision)})
}

// news are the limits that the baseline is proven to be beyond, and that were not told; they are now.
func (s *State) news() []Beyond {
	var news []Beyond
	for _, b := range s.proven() {
		if !slices.Contains(s.BeyondTold, b.Guardrail) {
			news = append(news, b)
			s.BeyondTold = append(s.BeyondTold, b.Guardrail)
		}
	}
	return news
}

func (t *turn) tellBeyond(news []Beyond) {
	t.notice(schemas.Notice{Kind: schemas.NoticeBaselineBeyond, Severity: schemas.Warning, Guardrails: guardrailsOf(news),
		Sentence: beyondText(news) + " By itself that changes nothing: look at the baseline. A rollback would not end it."})
}

// refugeKeptMs is for how much of its traffic the baseline, which has all users, must not be proven to be beyond a limit until what people were told of that is over. After a restart the proof begins
// anew, so that a shorter time would end what goes on.
const refugeKeptMs = 5 * 60_000

// heirBeyond tells people once of each limit that the baseline is proven to be beyond when a rollback has given it all users: what to do instead is the same as behind the rollback. It is no decision
// any more, and wakes people: all users are harmed, and nothing else moves them. What is over, and is proven again, is told again.
func (t *turn) heirBeyond(w *Traffic) {
	r := t.s.Retired
	if t.s.Promoted() {
		return
	}
	t.s.Beyond = slices.Clone(w.Beyond[:min(len(w.Beyond), maxNamed)])
	if news := t.s.news(); news != nil {
		t.tellNoRefuge(news)
	}
	switch {
	case !r.Harmed || w.Baseline == 0: // nothing is seen of it
	case len(t.s.proven()) > 0:
		r.KeptMs = 0
	default:
		if r.KeptMs += w.EndMs - w.StartMs; r.KeptMs >= refugeKeptMs {
			t.refugeOver(fmt.Sprintf("For %s of its traffic baseline %s, which has all users since rollback %s, isn't proven to be beyond a limit of its own any more. Should it be proven again, that is told.",
				schemas.FormatDuration(refugeKeptMs*time.Millisecond), t.s.Terms.Baseline, r.Decision))
		}
	}
}

func (t *turn) tellNoRefuge(news []Beyond) {
	r := t.s.Retired
	r.Harmed = true
	why := schemas.Reason{Code: codeNoRefuge, Sentence: fmt.Sprintf("%s All users are with it since rollback %s, so that is no refuge. %s", beyondText(news), r.Decision, t.s.rollForwardNow())}
	t.s.stands(why)
	t.notice(schemas.Notice{Kind: schemas.NoticeNoRefuge, Severity: schemas.Critical, Decision: r.Decision, Guardrails: guardrailsOf(news), Sentence: why.Sentence})
}

// refugeOver tells those who were told that the baseline, which has all users, is beyond a limit that this is over.
func (t *turn) refugeOver(sentence string) {
	r := t.s.Retired
	if !r.Harmed {
		return
	}
	r.Harmed, r.KeptMs, t.s.BeyondTold = false, 0, nil
	t.s.refugeReturns()
	t.notice(schemas.Notice{Kind: schemas.NoticeNoRefugeOver, Severity: schemas.Info, Decision: r.Decision, Waiting: t.s.left(), Sentence: sentence})
}

// refugeLeft is refugeOver where a later epoch ends the looking.
func (t *turn) refugeLeft() {
	t.refugeOver(fmt.Sprintf("A later epoch of model %s was applied, so nobody looks here any more whether baseline %s keeps its limits, which it was not seen to do at last.", t.s.Terms.Model, t.s.Terms.Baseline))
}

// refugeReturns forgets the recommendation for what the baseline was beyond. That it may not be deployable has the same code, and stands on.
func (s *State) refugeReturns() {
	s.unsay(codeNoRefuge)
	if why := s.pillarGone(); why.Code == codeNoRefuge {
		s.stands(s.advised(why))
	}
}

// harmed reports whether people were told that the baseline, which has all users behind a rollback, is beyond a limit, and not yet of the end.
func (s *State) harmed() bool { return s.Retired != nil && s.Retired.Harmed }

// NoRefuge is why a version is no baseline to go back to now, as people were told of it as this epoch's; "": they weren't, or that is over.
func (s *State) NoRefuge(version string) string {
	heir := s.Terms.Baseline
	if s.Retired != nil {
		_, heir = s.retiredVersion(s.Retired)
	}
	if version != heir {
		return ""
	}
	all := s.Recommended()
	at := slices.IndexFunc(all, func(r schemas.Reason) bool { return r.Code == codeNoRefuge })
	switch {
	case at >= 0 && (s.harmed() || s.Undone()):
		return all[at].Sentence
	case s.harmed(): // a refused start looks on
		return fmt.Sprintf("%s was told to be beyond a limit of its own (event no-refuge), and it is not known that this is over.", version)
	case s.judged(), s.Status == StatusPromoting:
		return beyondText(s.proven())
	}
	return ""
}

// decided is the first decision of an action in this turn; nil: there is none.
func (t *turn) decided(action schemas.Action) *schemas.Decision {
	for _, e := range t.out {
		if e.Decision != nil && e.Decision.Decision.Action == action {
			return &e.Decision.Decision
		}
	}
	return nil
}
