package decisions

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"streamcanary/schemas"
)

// Checked is what was found of a rollout's pillars while it runs, by somebody who asked registries. Only what is news is taken (State.News).
type Checked struct {
	Pillars []Pillar `json:"pillars"`
}

// Watched is what is known of a pillar since the start.
type Watched struct {
	Name    PillarName  `json:"name"`
	State   PillarState `json:"state"`              // as last known: held or failed
	SinceMs int64       `json:"since_ms,omitempty"` // wall time since which it is so; 0: the start
	Found   []string    `json:"found,omitempty"`    // why it failed
	// Baseline: of a registry's that failed: the version to go back to is concerned.
	Baseline bool `json:"baseline,omitempty"`
	// UnknownMs is the wall time since which it can't be checked, and Unknown why; 0: it can. That is no failure, and no success either.
	UnknownMs int64  `json:"unknown_ms,omitempty"`
	Unknown   string `json:"unknown,omitempty"`
	// Waived: a person ended the hold although it fails. It holds nothing until it fails anew.
	Waived bool `json:"waived,omitempty"`
}

// watchedAt is the place of what is known of a pillar; -1: it is as it was before the start.
func watchedAt(all []Watched, name PillarName) int {
	return slices.IndexFunc(all, func(w Watched) bool { return w.Name == name })
}

// News reports whether something that was found of the pillars is another thing than what is known.
func (s *State) News(found []Pillar) bool {
	if s.Status.Ended() {
		return false
	}
	for i := range found {
		now := Watched{Name: found[i].Name, State: PillarHeld}
		if at := watchedAt(s.Watched, now.Name); at >= 0 {
			now = s.Watched[at]
		}
		was := now
		now.see(&found[i], 1)
		if now.State != was.State || (now.UnknownMs > 0) != (was.UnknownMs > 0) || now.Baseline != was.Baseline || !slices.Equal(now.Found, was.Found) {
			return true
		}
	}
	return false
}

// see brings what is known of a pillar up to date. What can't be checked stays what it was.
func (w *Watched) see(p *Pillar, wallMs int64) {
	if p.State == PillarUnknown {
		if w.UnknownMs == 0 {
			w.UnknownMs, w.Unknown = wallMs, strings.Join(p.Found[:min(1, len(p.Found))], "")
		}
		return
	}
	w.UnknownMs, w.Unknown = 0, ""
	if w.State != p.State {
		w.State, w.SinceMs, w.Waived = p.State, wallMs, false
	}
	w.Found, w.Baseline = nil, false
	if p.State == PillarFailed {
		w.Found, w.Baseline = p.Found, p.Baseline
	}
}

// checked takes what was found of the pillars while the rollout runs. One that fails is told, and keeps the canary from getting more traffic: without a version that can be
// deployed, or with schemas that don't fit, there is no way back from more. It rolls nothing back, since it says nothing about the canary. What can't be checked does neither.
func (t *turn) checked(c *Checked) {
	if t.s.Status.Ended() {
		return
	}
	for i := range c.Pillars {
		if name := c.Pillars[i].Name; watchedAt(t.s.Watched, name) < 0 {
			t.s.Watched = append(t.s.Watched, Watched{Name: name, State: PillarHeld})
		}
	}
	var failed, held []*Watched
	for i := range c.Pillars {
		w := &t.s.Watched[watchedAt(t.s.Watched, c.Pillars[i].Name)]
		was := w.State
		w.see(&c.Pillars[i], t.in.WallMs)
		switch {
		case w.State == was:
		case w.State == PillarFailed:
			failed = append(failed, w)
		default:
			held = append(held, w)
		}
	}
	t.tellPillars(failed, held)
	if s := &t.s; s.judged() && !t.heldByPillar() && s.Hold != nil && s.Hold.Code == codePillarFailed {
		t.resume(schemas.Reason{Sentence: "Every pillar holds again; judging goes on."}, schemas.Evidence{}, engine)
	}
}

func (t *turn) tellPillars(failed, held []*Watched) {
	if len(failed) > 0 {
		t.notice(schemas.Notice{Kind: schemas.NoticePillarFailed, Severity: schemas.Warning, Sentence: fmt.Sprintf(
			"%s of rollout %s %s no longer: %s. %s gets no more traffic until %s, or a person resumes the rollout. %s",
			oneOrMore(failed, "A pillar", "Pillars"), t.s.Terms.Rollout, oneOrMore(failed, "holds", "hold"), failedText(failed), t.s.Terms.Canary,
			oneOrMore(failed, "it does", "they do"), t.s.meaning(failed))})
	}
	if len(held) > 0 {
		t.notice(schemas.Notice{Kind: schemas.NoticePillarHeld, Severity: schemas.Info, Waiting: t.s.standing(), Sentence: fmt.Sprintf("%s %s %s again.", oneOrMore(held, "Pillar", "Pillars"), namesOf(held), oneOrMore(held, "holds", "hold"))})
	}
}

// meaning is what pillars that failed mean for going back.
func (s *State) meaning(failed []*Watched) string {
	if !slices.ContainsFunc(failed, (*Watched).blocksBack) {
		return fmt.Sprintf("Going back to %s is not concerned.", s.Terms.Baseline)
	}
	return fmt.Sprintf("Harm still rolls it back, and that may not work: mend it before %s is needed.", s.Terms.Baseline)
}

// blocksBack reports whether a failure concerns the way back to the baseline. Schemas and features are of both directions.
func (w *Watched) blocksBack() bool { return w.Name != PillarRegistry || w.Baseline }

func namesOf(all []*Watched) string {
	names := make([]string, len(all))
	for i, w := range all {
		names[i] = string(w.Name)
	}
	return strings.Join(names, ", ")
}

// failedText names pillars that failed, and the first reason.
func failedText(all []*Watched) string {
	found := make([]Pillar, len(all))
	for i, w := range all {
		found[i] = Pillar{Name: w.Name, State: PillarFailed, Found: w.Found}
	}
	_, text, _ := strings.Cut(FailedPillars(found), " ") // without the word "pillar", which the sentence has
	return clipWords(text, MaxFoundBytes)
}

// oneOrMore is the word that fits how many pillars there are.
func oneOrMore(all []*Watched, one, more string) string {
	if len(all) == 1 {
		return one
	}
	return more
}

// failing are the pillars that fail now.
func (s *State) failing(like func(*Watched) bool) []*Watched {
	var all []*Watched
	for i := range s.Watched {
		if w := &s.Watched[i]; w.State == PillarFailed && like(w) {
			all = append(all, w)
		}
	}
	return all
}

// gone are the pillars that keep the canary from more traffic.
func (s *State) gone() []*Watched { return s.failing(func(w *Watched) bool { return !w.Waived }) }

// heldByPillar holds the rollout while a pillar fails, and reports whether one wants that.
func (t *turn) heldByPillar() bool {
	failing := t.s.gone()
	if len(failing) == 0 {
		return false
	}
	t.hold(holding{reason: schemas.Reason{Code: codePillarFailed, Sentence: fmt.Sprintf(
		"%s no longer: %s. %s gets no more traffic until %s, or a person resumes the rollout.",
		oneOrMore(failing, "A pillar holds", "Pillars hold"), failedText(failing), t.s.Terms.Canary, oneOrMore(failing, "it does", "they do"))}})
	return true
}

// pillared holds a rollout that runs again, where a pillar fails.
func (t *turn) pillared() {
	if t.s.judged() && t.s.Hold == nil {
		t.heldByPillar()
	}
}

// waivePillars lets those that fail hold the rollout no more, until they fail anew.
func (s *State) waivePillars() {
	for _, w := range s.failing(func(*Watched) bool { return true }) {
		w.Waived = true
	}
}

// pillarGone is why a rollback may not help, where a pillar of the way back fails; the zero value: none does.
func (s *State) pillarGone() schemas.Reason {
	failing := s.failing((*Watched).blocksBack)
	if len(failing) == 0 {
		return schemas.Reason{}
	}
	code, what := codeSchemaGone, fmt.Sprintf("What is made for %s and for %s doesn't fit each other any more", s.Terms.Baseline, s.Terms.Canary)
	if failing[0].Name == PillarRegistry {
		code, what = codeNoRefuge, fmt.Sprintf("%s may not be deployable any more", s.Terms.Baseline)
	}
	return schemas.Reason{Code: code, Sentence: fmt.Sprintf("%s, so going back to it may not work (%s %s).", what, oneOrMore(failing, "pillar", "pillars"), failedText(failing))}
}

// WatchedTexts tell how the pillars stand since the start, where that is not what held before it.
func (s *State) WatchedTexts() []string {
	at := func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }
	var all []string
	for i := range s.Watched {
		w := &s.Watched[i]
		if w.State == PillarFailed {
			waived := ""
			if w.Waived {
				waived = ", and a person has gone past it"
			}
			all = append(all, fmt.Sprintf("%s: FAILED since %s%s: %s", w.Name, at(w.SinceMs), waived, strings.Join(w.Found, "; ")))
		} else if w.SinceMs > 0 {
			all = append(all, fmt.Sprintf("%s: holds again since %s", w.Name, at(w.SinceMs)))
		}
		if w.UnknownMs > 0 {
			all = append(all, fmt.Sprintf("%s: unknown since %s, and taken for what it was: %s", w.Name, at(w.UnknownMs), w.Unknown))
		}
	}
	return all
}
