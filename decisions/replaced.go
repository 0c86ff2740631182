package decisions

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// An epoch that begins over one that is under way, of another canary, takes that one's users away: by a supersede, or by a file that is applied anew. Whether the stream shows that is looked at
// while the new epoch runs, by the measure of a version that was retired (retired.go): what still answers as the old canary is judged by nobody, and nothing rolls it back. So it goes on with
// what the epoch before looked at itself: the version of a rollback or a promotion, and those that it began over.

// Left is a version that had users when another epoch began, and is to have none.
type Left struct {
	Version  string `json:"version"`
	Decision string `json:"decision,omitempty"` // that took them from it; "": the first one of the new epoch does
	By       string `json:"by,omitempty"`       // what that decision began, where it ended an epoch: a rollback, or a promotion; "": it began or superseded one
	Told     bool   `json:"told,omitempty"`     // people were told that it serves users, and not of the end
	Again    bool   `json:"again,omitempty"`    // that was after it had drained
	Seen     string `json:"seen,omitempty"`     // how it was seen last, for a person
	UntilMs  int64  `json:"until_ms,omitempty"` // it has drained, and is looked at until this wall time, should it have users again; 0: that isn't proven
}

// maxLeft bounds the versions that an epoch looks at beside its own. Beyond it nobody looks at the oldest any more, and whoever was told of one hears that (Expired.On).
const maxLeft = 8

// Leaves are the versions that an epoch which begins over this one takes users from, or looks on at, the newest first: its own canary, and those that it looks at itself.
func (s *State) Leaves(next *Terms) []Left {
	var left []Left
	add := func(l Left) {
		there := slices.ContainsFunc(left, func(x Left) bool { return x.Version == l.Version })
		if !there && l.Version != next.Baseline && l.Version != next.Canary && len(left) < maxLeft {
			left = append(left, l)
		}
	}
	if s.hadUsers() {
		switch {
		case s.Status == StatusSuperseded && s.Routes != nil && s.Prev != nil:
			add(Left{Version: s.Terms.Canary, Decision: s.Prev.ID})
		case !s.Status.Ended(), s.Promoted(): // after a promotion by override alone (moves.go)
			add(Left{Version: s.Terms.Canary})
		case s.Saga != nil && !s.Saga.Done(): // it was given up by force
			add(Left{Version: s.Terms.Canary, Decision: s.Saga.Decision, By: s.ending()})
		}
	}
	for _, r := range append([]*Retired{s.Retired}, s.replaced()...) {
		if r != nil {
			add(s.leftOf(r))
		}
	}
	return left
}

// HeirOf is what a rollout of these terms does with the versions that are looked at, once it takes over.
func (s *State) HeirOf(next *Terms) *Heir {
	h := &Heir{Baseline: next.Baseline, Canary: next.Canary}
	if next.awaited() { // else it looks at none (replaces)
		for _, l := range s.Leaves(next) {
			h.LooksOn = append(h.LooksOn, l.Version)
		}
	}
	return h
}

// leftOf is a version that is looked at, as the next epoch takes it over.
func (s *State) leftOf(r *Retired) Left {
	version, _ := s.retiredVersion(r)
	l := Left{Version: version, Decision: r.Decision, By: r.By, Told: r.Told, Again: r.Again}
	if r.Version == "" {
		l.By = s.ending()
	}
	if r.Told {
		l.Seen = r.Drain.dated()
	}
	if r.DeadlineMs == 0 && !r.Unproven {
		l.UntilMs = r.UntilMs
	}
	return l
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

// replaces begins to look at the versions that the epoch begins over, where a decision has moved their traffic. Whoever was told that one serves users is told so under this rollout (stillServe).
func (t *turn) replaces(left []Left) {
	if !t.s.Terms.awaited() {
		return
	}
	var all []*Retired
	for i := range left[:min(len(left), maxLeft)] {
		l := &left[i]
		if l.Decision == "" && t.s.Routes == nil {
			continue
		}
		r := &Retired{Version: l.Version, By: l.By, Decision: cmp.Or(l.Decision, t.s.First()), UntilMs: cmp.Or(l.UntilMs, t.in.WallMs+retiredForMs), Told: l.Told, Again: l.Again, Before: l.Seen}
		if l.UntilMs == 0 {
			t.drains(r, t.s.settledMs(t.in.WallMs))
		}
		all = append(all, r)
	}
	t.s.replace(all)
}

// leftBehind notes that routers are prepared: those that were asked have taken the traffic from the versions that the epoch begins over.
func (t *turn) leftBehind() {
	for _, r := range t.s.replaced() {
		if r.DeadlineMs > 0 && !r.Again {
			r.Drain.follows(t.in.WallMs)
		}
	}
}

// stillServe tells people under this rollout of versions that they were told of before, once it begins: that ends what was told until then.
func (t *turn) stillServe() {
	for _, r := range t.s.replaced() {
		if !r.Told {
			continue
		}
		seen := ""
		if text := cmp.Or(r.Drain.dated(), r.Before); text != "" {
			seen = ": " + text
		}
		t.tellRetired(r, fmt.Sprintf("%s, and when last looked at it was not proven that %s has drained%s.", t.s.endedBy(r), r.Version, seen), "Find what still routes to it, and move that by hand.")
	}
}

// noLonger ends what people were told under the rollout, in the epoch before, of versions that this one doesn't look at: the others it tells of anew (stillServe).
func (t *turn) noLonger(told []string) {
	for _, version := range told {
		if slices.Contains(t.s.RetiredServing(), version) {
			continue
		}
		n := schemas.Notice{Kind: schemas.NoticeRetiredOver, Severity: schemas.Info, Version: version, Waiting: t.s.left()}
		n.Sentence = fmt.Sprintf("This ends here only because epoch %d of rollout %s takes the place of the one that told of it: ", t.s.Epoch, t.s.Terms.Rollout)
		if version == t.s.Terms.Baseline || version == t.s.Terms.Canary {
			n.Sentence += fmt.Sprintf("%s is one of its two versions, and may have users again.", version)
		} else {
			n.Severity = schemas.Warning // its incident ends, and that doesn't
			n.Sentence += fmt.Sprintf("nobody looks any more at what %s serves, which was not seen to have drained. Find what still routes to it, and move that by hand.", version)
		}
		t.notice(n)
	}
}

// takenOver ends what people were told under a rollout that gives way to another one, which tells of it itself once it begins, where it looks on.
func (t *turn) takenOver(c *Command) {
	by := cmp.Or(c.For, "another")
	for _, r := range t.s.retiredTold() {
		version := t.s.nameOf(r)
		n := schemas.Notice{Kind: schemas.NoticeRetiredOver, Severity: schemas.Info, Decision: r.Decision, Version: version, Attempt: r.Attempt, Waiting: t.s.undone()}
		n.Sentence = fmt.Sprintf("This ends here only because rollout %s takes over from %s: ", by, t.s.Terms.Rollout)
		switch h := c.Heir; {
		case h == nil:
			n.Sentence += fmt.Sprintf("it looks on at what %s serves, unless that is one of its own versions, and its own alert says so as long as that isn't over.", version)
		case version == h.Baseline || version == h.Canary:
			n.Sentence += fmt.Sprintf("%s is one of its two versions, and may have users again.", version)
		case slices.Contains(h.LooksOn, version):
			n.Sentence += fmt.Sprintf("once that begins, it looks on at what %s serves, and its own alert says so as long as that isn't over. Should it not begin, nobody looks.", version)
		default:
			n.Severity = schemas.Warning // its incident ends, and that doesn't
			n.Sentence = fmt.Sprintf("Rollout %s takes over from %s, and only so this ends: it doesn't look at what %s serves. %s", by, t.s.Terms.Rollout, version, t.s.retiredLeft(r))
		}
		t.notice(n)
	}
}

// unwatched are what people are told at a deletion of versions that serve users, and that nobody looks at any more: their incidents end with it, and that doesn't.
func (s *State) unwatched() []schemas.Notice {
	var all []schemas.Notice
	for _, r := range s.retiredTold() {
		all = append(all, schemas.Notice{Kind: schemas.NoticeRetiredOver, Severity: schemas.Warning, Decision: r.Decision, Version: s.nameOf(r), Attempt: r.Attempt,
			Sentence: fmt.Sprintf("Rollout %s was deleted, and only so this ends. %s", s.Terms.Rollout, s.retiredLeft(r))})
	}
	return all
}

// replaced are the versions that it began over and that it looks at, the newest first.
func (s *State) replaced() []*Retired {
	if s.Replaced == nil {
		return nil
	}
	all := []*Retired{s.Replaced}
	for i := range s.ReplacedToo {
		all = append(all, &s.ReplacedToo[i])
	}
	return all
}

// replace lets it look at these.
func (s *State) replace(all []*Retired) {
	s.Replaced, s.ReplacedToo = nil, nil
	for i, r := range all {
		if i == 0 {
			s.Replaced = r
		} else {
			s.ReplacedToo = append(s.ReplacedToo, *r)
		}
	}
}

// replacedOf is what it looks at of a version that it began over; nil: it doesn't.
func (s *State) replacedOf(version string) *Retired {
	for _, r := range s.replaced() {
		if r.Version == version {
			return r
		}
	}
	return nil
}

// Replaces reports whether it looks at a version that it began over.
func (s *State) Replaces(version string) bool { return s.replacedOf(version) != nil }

// replacing reports whether it is looked at: windows are counted while the epoch is judged or carried out, and as long as its own retired version is looked at.
func (s *State) replacing() bool {
	return s.Replaced != nil && (!s.Status.Ended() || s.Saga != nil && !s.Saga.Done() || s.Retired != nil)
}

// replacedServes looks at a sealed window for them. Windows tell their hosts, and no regions.
func (t *turn) replacedServes(w *Traffic) {
	for _, r := range t.s.replaced() {
		seen := Traffic{StartMs: w.StartMs, EndMs: w.EndMs, Baseline: w.Baseline + w.Canary, Hosts: w.hostsOf(r.Version)}
		for _, o := range w.Others {
			if o.Version == r.Version {
				seen.Canary += o.Predictions
			} else {
				seen.Baseline += o.Predictions
			}
		}
		t.retiredServes(r, &seen)
	}
}

// codeRetiredServes is the reason of a hold while a version that is to have no users serves some, as people were told.
const codeRetiredServes = "retired_serves"

// beside are the versions that the epoch began over, that serve users as people were told, and that nobody has resumed the rollout in spite of. One that isn't proven to have drained, and
// that no window shows, is none, unless it has held the rollout before. Until the first window, what the epoch before has seen counts.
func (s *State) beside() []*Retired {
	held := s.Hold != nil && s.Hold.Code == codeRetiredServes
	return slices.DeleteFunc(s.replaced(), func(r *Retired) bool {
		shown := r.Drain.LastCanary > 0 || r.Drain.Seen == 0 && r.Before != ""
		return !r.Told || r.Waived || !shown && !held
	})
}

// What holds the rollout for them, and why a command is refused, says how much each serves, and not where: of several that would be more than people can read, and the events of each say it (retired-serves).

// heldByRetired holds the rollout instead of letting its canary have more traffic, and reports whether such a version wants that. What is judged is right all the same: it compares the users of
// both arms, of which that version is none. But its users are none of the stage's share, and nobody judges what they get: a person must find what routes them.
func (t *turn) heldByRetired() bool {
	var texts []string
	for _, r := range t.s.beside() {
		texts = append(texts, r.serves(r.Drain.share()))
	}
	if texts == nil {
		return false
	}
	t.hold(holding{reason: schemas.Reason{Code: codeRetiredServes, Sentence: fmt.Sprintf("Versions that are to have no users serve some: %s. %s gets no more traffic until that is over, or a person resumes the rollout.",
		strings.Join(texts, "; "), t.s.Terms.Canary)}})
	return true
}

// serves is how the version was seen, for a person.
func (r *Retired) serves(seen string) string {
	return r.Version + " " + strings.TrimPrefix(cmp.Or(seen, r.Before, "isn't proven to have drained"), "it ")
}

// refusesBeside says what a pass would hold the rollout for, where a person lets the canary have more traffic before that or under a pause, unless by force; "": nothing.
func (s *State) refusesBeside(c *Command) string {
	var texts []string
	for _, r := range s.beside() {
		seen := r.Drain.share()
		if seen != "" {
			seen += fmt.Sprintf(", up to %s", schemas.Time(r.Drain.LastMs))
		}
		texts = append(texts, r.serves(seen))
	}
	if texts == nil || c.Force {
		return ""
	}
	return fmt.Sprintf("versions that are to have no users serve some (%s): wait until that is over; %s goes past it, and the decision says so", strings.Join(texts, "; "), s.overruled(c))
}

// waiveRetired lets those that serve hold the rollout no more, until they have drained and serve anew.
func (s *State) waiveRetired() {
	for _, r := range s.beside() {
		r.Waived = true
	}
}

// replacedDeadline names the deadline of a version that was replaced.
const replacedDeadline = "replaced"

// replacedDue is the version whose deadline that is, where it is due; nil: it is none of these.
func (t *turn) replacedDue(x *Expired) *Retired {
	if !t.s.replacing() {
		return nil
	}
	for _, r := range t.s.replaced() {
		if d := t.s.deadlineOf(r, replacedDeadline); d.ID == x.Deadline && d.Due(t.in.WallMs, x.Later) {
			return r
		}
	}
	return nil
}

// replacedExpired takes that deadline. A later epoch looks on itself, where the version is none of its own.
func (t *turn) replacedExpired(r *Retired, x *Expired) {
	switch {
	case x.Later && x.On != "":
		t.retiredOver(r, "", t.s.lookedAtBy(r, x.On))
	case x.Later:
		t.retiredOver(r, "", fmt.Sprintf("A later epoch of model %s was applied, and nobody looks any more at what %s serves, unless that is one of its own versions.", t.s.Terms.Model, r.Version))
	case r.DeadlineMs > 0:
		t.retiredLook(r, x)
		return
	}
	t.s.replace(slices.DeleteFunc(t.s.replaced(), func(y *Retired) bool { return y == r }))
}

// lookedAtBy says which rollout goes on to look at a version.
func (s *State) lookedAtBy(r *Retired, on string) string {
	version, _ := s.retiredVersion(r)
	return fmt.Sprintf("This ends here only because a later epoch of model %s was applied: rollout %s looks on at what %s serves, and its own alert says so as long as that isn't over.", s.Terms.Model, on, version)
}
