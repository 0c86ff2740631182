package decisions

import (
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// What an epoch's end promises is held against the stream when the epoch has ended, too: the canary of a rollback, and the baseline of a promotion, is to have no users
// any more. Whether a promotion is seen at all is proven as a rollback's drain is (verify.go). What has drained may come back: a router that restarts with an old configuration.

// retiredForMs is for how long that is looked at. It ends sooner where a later epoch of the model begins, and later where people were told, of this version or of one that the epoch began over, and not of the end.
const retiredForMs = 24 * 3600 * 1000

// Retired is what the stream has shown of the version that is to have no users any more.
type Retired struct {
	Version    string   `json:"version,omitempty"`     // where it is none of the epoch's own (replaced.go)
	By         string   `json:"by,omitempty"`          // what that was, where it was in an epoch before: of one that has ended (LooksOn), or that this one began over (replaced.go)
	Of         *Arms    `json:"of,omitempty"`          // what that epoch compared; nil: the same as this one
	Decision   string   `json:"decision"`              // that took them from it
	UntilMs    int64    `json:"until_ms"`              // wall time: for how long it is looked at
	DeadlineMs int64    `json:"deadline_ms,omitempty"` // wall time until which it must be proven to have drained; 0: it has, or nothing can prove it
	Attempt    int      `json:"attempt,omitempty"`
	Told       bool     `json:"told,omitempty"`     // people were told, and not yet of the end
	Again      bool     `json:"again,omitempty"`    // it is about its users since it had drained
	Unproven   bool     `json:"unproven,omitempty"` // no traffic came that could show that it had
	Waived     bool     `json:"waived,omitempty"`   // a person resumed the rollout in spite of it
	Before     string   `json:"before,omitempty"`   // how it was seen last in the epoch before, where people were told then
	Harmed     bool     `json:"harmed,omitempty"`   // of a rollback: people were told that the baseline, which has all users, is beyond a limit, and not yet of the end
	KeptMs     int64    `json:"kept_ms,omitempty"`  // then: for how long of its traffic it hasn't been proven since
	Drain      Drain    `json:"drain"`
	Comeback   Comeback `json:"comeback,omitzero"`
}

// Arms are what an epoch compares.
type Arms struct {
	Baseline      string        `json:"baseline"`
	Canary        string        `json:"canary"`
	BaselineWhere schemas.Where `json:"baseline_where,omitzero"`
	CanaryWhere   schemas.Where `json:"canary_where,omitzero"`
}

// When a version that has drained is taken to have users again: when it has had so many predictions more than a share allows that is so many times the limit of a drain. A few strays are
// none: what is beyond is added up from where it was last nothing (Page's rule, analysis/split_back.go), so that predictions of others make up for them, and of one window at most
// so many count, so that it takes three.
const (
	comebackExcess = 10
	comebackTimes  = 2
	comebackWindow = 4
)

// Comeback is what came of a version since its share was last no more than is allowed.
type Comeback struct {
	FromMs int64 `json:"from_ms,omitempty"` // event time
	Excess int64 `json:"excess,omitempty"`  // predictions beyond, times drainShare
}

// take adds a window, and reports whether the version has users again.
func (c *Comeback) take(w *Traffic) bool {
	if c.Excess == 0 {
		c.FromMs = w.StartMs
	}
	c.Excess += min(drainShare*w.Canary-comebackTimes*(w.Baseline+w.Canary), comebackWindow*drainShare)
	if c.Excess <= 0 {
		*c = Comeback{}
	}
	return c.Excess >= comebackExcess*drainShare
}

func clones(all []Retired) []Retired {
	c := slices.Clone(all)
	for i := range c {
		c[i] = *c[i].clone()
	}
	return c
}

// clone shares no memory with r which Step could change; nil of nil.
func (r *Retired) clone() *Retired {
	if r == nil {
		return nil
	}
	c := *r
	c.Drain = r.Drain.clone()
	return &c
}

// hasPromoted ends a promotion: routers have followed the decision. What the stream shows is held against it from here on.
func (t *turn) hasPromoted(decision string) {
	t.s.Status = StatusPromoted
	if !t.s.Terms.awaited() {
		return
	}
	t.retire(decision)
	t.drains(t.s.Retired, t.s.settledMs(t.in.WallMs))
}

// retire begins to look at a version that has drained.
func (t *turn) retire(decision string) {
	t.s.Retired = &Retired{Decision: decision, UntilMs: t.in.WallMs + retiredForMs}
}

// drains lets the proof begin that it has drained, from an event time on.
func (t *turn) drains(r *Retired, fromMs int64) {
	r.DeadlineMs = t.drainDueMs(fromMs)
	r.Drain = Drain{RoutedMs: t.in.WallMs, FromMs: fromMs, CleanFromMs: fromMs, Look: Look{WallMs: t.in.WallMs, UpToMs: t.s.EventMs}}
}

// drainDueMs is the wall time until which a drain must be proven. The first window from a time on must have been judged by then: it begins, and ends, within one such time each.
func (t *turn) drainDueMs(fromMs int64) int64 {
	return max(t.in.WallMs+t.s.Terms.DrainWithinMs, fromMs+2*t.s.Terms.SettleMs)
}

// drainAgainMs is what the times double from after which people are told again: a window that they were not told of has been judged by then.
func (t *turn) drainAgainMs() int64 { return max(t.s.Terms.DrainWithinMs, t.s.Terms.SettleMs) }

// endedBy is what has taken its users from it, and who has them, at a sentence's beginning.
func (s *State) endedBy(r *Retired) string {
	version, heir := s.retiredVersion(r)
	if r.Version != "" && r.By != "" {
		return fmt.Sprintf("%s %s took all traffic from %s before rollout %s began", strings.ToUpper(r.By[:1])+r.By[1:], r.Decision, version, s.Terms.Rollout)
	}
	if r.Version != "" {
		return fmt.Sprintf("Decision %s took all traffic from %s, over which rollout %s begins", r.Decision, version, s.Terms.Rollout)
	}
	text := fmt.Sprintf("%s %s gave all traffic to %s", s.ending(), r.Decision, heir)
	return strings.ToUpper(text[:1]) + text[1:]
}

// LooksOn lets the state that the rollout's next epoch begins from look on at what this one's end promises: should that epoch be refused, nothing takes the place of this one. The next epoch
// may compare others than those that are looked at.
func (s *State) LooksOn(next *State, of *Arms) {
	if s.Retired == nil {
		return
	}
	next.Retired = s.Retired.clone()
	next.Replaced, next.ReplacedToo = s.Replaced.clone(), clones(s.ReplacedToo)
	next.Retired.By, next.Retired.Of = s.ending(), of
	next.BeyondTold = slices.Clone(s.BeyondTold)
}

// looksOn is that where LooksOn has said so.
func (s *State) looksOn(next *State) {
	if s.Retired != nil && s.Retired.By != "" {
		next.Retired, next.Replaced, next.ReplacedToo, next.BeyondTold = s.Retired, s.Replaced, s.ReplacedToo, s.BeyondTold
	}
}

// Promoted reports whether the epoch has ended with a promotion, or a refused one looks on at what that promises.
func (s *State) Promoted() bool {
	return s.Status == StatusPromoted || s.Retired != nil && s.Retired.By == promotion
}

// retiredVersion has no users any more; heir has them, "" where the epoch's two share them.
func (s *State) retiredVersion(r *Retired) (retired, heir string) {
	baseline, canary := s.Terms.Baseline, s.Terms.Canary
	if r.Of != nil {
		baseline, canary = r.Of.Baseline, r.Of.Canary
	}
	switch {
	case r.Version != "":
		return r.Version, ""
	case s.Promoted():
		return baseline, canary
	}
	return canary, baseline
}

// nameOf is that version.
func (s *State) nameOf(r *Retired) string {
	version, _ := s.retiredVersion(r)
	return version
}

// retiredServes looks at a sealed window for the retired version, which is in the place of the canary there.
func (t *turn) retiredServes(r *Retired, w *Traffic) {
	switch {
	case w.Baseline+w.Canary == 0:
	case r.DeadlineMs > 0 && r.Drain.take(w):
		t.retiredDrained(r)
	case r.DeadlineMs > 0:
	default:
		r.Drain.sees(w)
		if r.Comeback.take(w) {
			t.comesBack(r, w)
		}
	}
}

// comesBack tells people that a version has users again, and begins the proof of the end of that.
func (t *turn) comesBack(r *Retired, w *Traffic) {
	since := r.Comeback.FromMs
	t.drains(r, w.StartMs)
	r.Drain.take(w)
	r.Told, r.Again, r.Attempt, r.Comeback = true, true, 0, Comeback{}
	version, _ := t.s.retiredVersion(r)
	t.tellRetired(r, fmt.Sprintf("%s, and since %s %s serves users again: %s. %s", t.s.endedBy(r), schemas.Time(since), version, r.Drain.Text(), t.s.appliedText()),
		"Find what routes to it, a router that restarted with an old configuration perhaps, and move that by hand.")
}

// tellRetired tells people that a retired version serves users, and what to do, which is told in any case. A baseline that has never drained is no harm by itself.
func (t *turn) tellRetired(r *Retired, told, do string) {
	severity := schemas.Critical
	if !r.Again && (r.Version == "" && t.s.Promoted() || r.Version != "" && r.By == promotion) {
		severity = schemas.Warning
	}
	if r.Version != "" {
		do += fmt.Sprintf(" Nobody judges what %s answers any more", r.Version)
		if r.Drain.Hosts == nil {
			do += "; its events name the hosts, where producers write them"
		}
		do += "."
	}
	t.notice(schemas.Notice{Kind: schemas.NoticeRetiredServes, Severity: severity, Decision: r.Decision, Version: t.s.nameOf(r), Attempt: r.Attempt, Sentence: ending(told, do)})
}

// retiredDrained ends the proof: the version has drained.
func (t *turn) retiredDrained(r *Retired) {
	version, heir := t.s.retiredVersion(r)
	r.Unproven = false
	if heir == "" {
		t.retiredOver(r, schemas.OutcomeDone, fmt.Sprintf("%s has drained, as decision %s wants it.", version, r.Decision))
		return
	}
	sentence := fmt.Sprintf("%s has drained, as %s %s wants it: %s serves all users.", version, t.s.ending(), r.Decision, heir)
	if others := r.Drain.othersText(); others != "" {
		sentence = fmt.Sprintf("%s has drained, as %s %s wants it, and its traffic goes to %s. %s", version, t.s.ending(), r.Decision, heir, others)
	}
	t.retiredOver(r, schemas.OutcomeDone, sentence)
}

// retiredOver goes on to look whether the version has users again, and says that what people were told is over.
func (t *turn) retiredOver(r *Retired, outcome schemas.NoticeOutcome, sentence string) {
	told, attempt := r.Told, r.Attempt
	r.Told, r.Again, r.Waived, r.Attempt, r.DeadlineMs, r.Comeback = false, false, false, 0, 0, Comeback{}
	if told {
		t.notice(schemas.Notice{Kind: schemas.NoticeRetiredOver, Severity: schemas.Info, Decision: r.Decision, Version: t.s.nameOf(r), Attempt: attempt, Outcome: outcome, Sentence: sentence, Waiting: t.s.left()})
	}
}

// retiredExpired takes the deadline of the retired version: that of the proof, or of the looking.
func (t *turn) retiredExpired(x *Expired) {
	r := t.s.Retired
	version, _ := t.s.retiredVersion(r)
	if x.Later || r.DeadlineMs == 0 {
		t.s.Looked = t.s.lookedText(r, t.in.WallMs)
	}
	switch {
	case x.Later && x.On != "":
		t.retiredOver(r, "", t.s.lookedAtBy(r, x.On))
		t.refugeLeft()
		t.s.Retired = nil
	case x.Later:
		seen := "nothing was counted of it"
		if text := r.Drain.Text(); text != "" {
			seen = text
		}
		t.retiredOver(r, "", fmt.Sprintf("A later epoch of model %s was applied, and for %s %s nobody looks any more at what %s serves; when last looked at, %s. Look whether it still does, unless that epoch is to give it users.",
			t.s.Terms.Model, t.s.ending(), r.Decision, version, seen))
		t.refugeLeft()
		t.s.Retired = nil
	case r.DeadlineMs == 0 && slices.ContainsFunc(t.s.replaced(), func(r *Retired) bool { return r.Told }): // who was told of one of these hears of the end
		r.UntilMs, t.s.Looked = t.in.WallMs+retiredForMs, ""
	case r.DeadlineMs == 0:
		t.refugeOver(fmt.Sprintf("For %s %s nobody looks any more at whether baseline %s keeps its limits, which it was not seen to do at last. This counts as over: look yourself.", t.s.ending(), r.Decision, t.s.Terms.Baseline))
		t.s.Retired = nil
	default:
		t.retiredLook(r, x)
	}
}

// retiredLook looks whether the retired version has drained although it isn't proven.
func (t *turn) retiredLook(r *Retired, x *Expired) {
	was := r.Drain.Look
	version, _ := t.s.retiredVersion(r)
	silent, dueMs := t.looks(&r.Drain, x)
	switch {
	case silent:
		r.Unproven = true
		t.retiredOver(r, schemas.OutcomeDoneUnproven, fmt.Sprintf("Model %s isn't asked any more, so nothing shows whether %s would still get users. This counts as over.", t.s.Terms.Model, version))
	case dueMs > 0:
		r.DeadlineMs = dueMs
	default:
		r.Told = true
		r.Attempt++
		r.DeadlineMs = t.in.WallMs + backoff(t.drainAgainMs(), r.Attempt)
		since := "the " + t.s.ending()
		if r.Version != "" { // the epoch may go on
			since = "decision " + r.Decision
		}
		seen, do := t.undrained(&r.Drain, x, &was, since)
		what := fmt.Sprintf("it is not proven that %s has drained", version)
		if r.Again {
			what = fmt.Sprintf("%s, which is back, isn't seen to have drained again", version)
		}
		t.tellRetired(r, fmt.Sprintf("%s, and %s: %s%s. %s", t.s.endedBy(r), what, seen, passed(r.Attempt), t.s.appliedText()), do)
	}
}

// retiredDeadline names the deadline of the retired version.
const retiredDeadline = "retired"

// retiredDeadlines are when somebody looks at it next, and at the versions that were replaced; a later epoch ends that at once.
func (s *State) retiredDeadlines() []Deadline {
	var out []Deadline
	if r := s.Retired; r != nil {
		out = append(out, s.deadlineOf(r, retiredDeadline))
	}
	if s.replacing() {
		for _, r := range s.replaced() {
			out = append(out, s.deadlineOf(r, replacedDeadline))
		}
	}
	return out
}

func (s *State) deadlineOf(r *Retired, name string) Deadline {
	version, _ := s.retiredVersion(r)
	d := Deadline{ID: deadlineID(r.Decision, name), AtMs: r.UntilMs, Later: true, Version: version}
	if r.DeadlineMs > 0 {
		d.AtMs = r.DeadlineMs
	}
	return d
}

// RetiredServing are the versions that serve users although they are to have none, as people were told; none: none does, as far as is known.
func (s *State) RetiredServing() []string {
	var versions []string
	if s.Status == StatusSuperseded || s.Status == StatusDeleted { // its end has said of each that it ends here
		return nil
	}
	for _, r := range s.retiredTold() {
		versions = append(versions, s.nameOf(r))
	}
	return versions
}

// retiredTold are what it looks at of them.
func (s *State) retiredTold() []*Retired {
	return slices.DeleteFunc(append([]*Retired{s.Retired}, s.replaced()...), func(r *Retired) bool { return r == nil || !r.Told })
}

// RetiredText is what the stream shows of the versions that are to have no users any more, for a person: of that of the epoch's end, or what was seen of it last, and of those that it began over;
// "": none was looked at.
func (s *State) RetiredText() string {
	var texts []string
	if s.Retired != nil {
		texts = append(texts, s.retiredText(s.Retired))
	} else if s.Looked != "" {
		texts = append(texts, s.Looked)
	}
	if s.replacing() {
		for _, r := range s.replaced() {
			texts = append(texts, s.retiredText(r))
		}
	}
	return strings.Join(texts, "; ")
}

func (s *State) retiredText(r *Retired) string {
	version, _ := s.retiredVersion(r)
	looked, again := fmt.Sprintf("looked at until %s", schemas.Time(r.UntilMs)), fmt.Sprintf("; people are told at %s, unless it is over", schemas.Time(r.DeadlineMs))
	if r.Told {
		again = fmt.Sprintf("%s; people are told again at %s, unless it is over", passed(r.Attempt), schemas.Time(r.DeadlineMs))
	}
	last := ""
	if text := r.Drain.dated(); text != "" {
		last = "; last " + text
	}
	switch {
	case r.DeadlineMs == 0 && r.Unproven:
		return fmt.Sprintf("%s is not proven to have drained: no traffic came that could show it; %s%s", version, looked, last)
	case r.DeadlineMs == 0:
		return fmt.Sprintf("%s has drained; %s, should it have users again%s", version, looked, last)
	case r.Drain.Seen == 0:
		return fmt.Sprintf("%s is not proven to have drained: no prediction since has been counted yet%s", version, again)
	case r.Told && r.Drain.LastCanary > 0:
		return fmt.Sprintf("%s serves users: %s%s", version, r.Drain.dated(), again)
	}
	return fmt.Sprintf("%s is not proven to have drained yet: %s%s", version, r.Drain.dated(), again)
}

// lookedText is what was seen last of a version that nobody looks at any more from a wall time on.
func (s *State) lookedText(r *Retired, wallMs int64) string {
	version, _ := s.retiredVersion(r)
	what := "had drained"
	switch {
	case r.Told && r.Drain.LastCanary > 0:
		what = "still served users"
	case r.DeadlineMs > 0, r.Unproven:
		what = "was not proven to have drained"
	}
	last := ""
	if text := r.Drain.dated(); text != "" {
		last = "; last " + text
	}
	return fmt.Sprintf("%s %s, and nobody looks any more since %s%s", version, what, schemas.Time(wallMs), last)
}

// RetiredLeft is what whoever ends the looking must know of the versions that are to have no users any more: how each was seen last, and how to look without us; "": none is looked at.
func (s *State) RetiredLeft() string {
	var texts []string
	if s.Retired != nil {
		texts = append(texts, s.retiredLeft(s.Retired))
	}
	if s.replacing() {
		for _, r := range s.replaced() {
			texts = append(texts, s.retiredLeft(r))
		}
	}
	return strings.Join(texts, " ")
}

func (s *State) retiredLeft(r *Retired) string {
	version, _ := s.retiredVersion(r)
	look := fmt.Sprintf("the predictions of model %s that name version %s, with their host and region, tell", s.Terms.Model, version)
	seen := ""
	if text := r.Drain.dated(); text != "" {
		seen = ": " + text
	}
	switch {
	case r.Told && r.Drain.LastCanary > 0:
		return fmt.Sprintf("%s, and %s still had users when last looked at%s. Nobody looks at that any more: find what routes to it, and move that by hand; %s whether it is over.",
			s.endedBy(r), version, seen, look)
	case r.DeadlineMs > 0:
		return fmt.Sprintf("It is not proven that %s has drained%s. Nobody looks at that any more: %s whether it still has users.", version, seen, look)
	}
	return fmt.Sprintf("Nobody looks any more whether %s has users again, which was to be until %s: %s.", version, schemas.Time(r.UntilMs), look)
}
