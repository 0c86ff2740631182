package decisions

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// codePaused is the reason of a hold that a person began.
const codePaused = "paused"

// codeCommanded is the reason of what a person decided.
const codeCommanded = "commanded"

// overWatch stands among what a person went past where a watch was left out, or ended before its time.
const overWatch = "watch"

// command obeys a person, or says why not.
func (t *turn) command(c *Command) {
	if _, taken := t.s.Outcome(c); taken {
		return
	}
	why := noSuchCommand
	if do, known := commands[c.Do]; known {
		if why = do.refuses(t, c); why == "" {
			do.obey(t, c)
		}
	}
	result := Commanded{ID: c.ID, Sum: c.Sum(), Refused: why}
	if why != "" {
		t.deny(c, why)
	} else {
		result.Decision, result.Advice = t.came()
	}
	t.s.Remember(result)
}

// Refuses says why a command isn't obeyed as things stand after so many turns (Input.Turn); "": it is.
func (s *State) Refuses(c *Command, turns int64) string {
	t := turn{s: s.clone(), in: Input{Kind: InputCommand, Turn: turns, Command: c}}
	if do, known := commands[c.Do]; known {
		return do.refuses(&t, c)
	}
	return noSuchCommand
}

const noSuchCommand = "there is no such command"

// came is what a command has led to: the decision, and a recommendation that follows it.
func (t *turn) came() (decision, advice string) {
	for _, e := range t.out {
		if e.Decision != nil {
			decision = cmp.Or(decision, e.Decision.Decision.ID)
		}
	}
	if d := t.decided(schemas.ActionRollForward); d != nil {
		advice = d.Reason.Sentence
	}
	return decision, advice
}

// commands are what a person can ask for: why it can't be done now ("": it can), and how.
var commands = map[CommandKind]struct {
	refuses func(*turn, *Command) string
	obey    func(*turn, *Command)
}{
	CommandDelete:   {(*turn).refusesDelete, (*turn).remove},
	CommandPause:    {(*turn).refusesPause, (*turn).pause},
	CommandResume:   {(*turn).refusesResume, (*turn).resumed},
	CommandAdvance:  {(*turn).refusesAdvance, (*turn).advanced},
	CommandPromote:  {(*turn).refusesPromote, (*turn).promoted},
	CommandRollback: {(*turn).refusesRollback, (*turn).rolledBack},
	CommandFreeze:   {(*turn).refusesFreeze, (*turn).froze},

	CommandSupersede: {(*turn).refusesSupersede, (*turn).supersede},
}

func (t *turn) refusesDelete(c *Command) string {
	s := &t.s
	switch {
	case s.Status == StatusDeleted:
		return "it is deleted already"
	case s.Saga != nil && !s.Saga.Done() && !c.Force:
		return fmt.Sprintf("its rollback is not yet carried out: wait for it, or give up following it with `rollout delete %s --force`", s.Terms.Rollout)
	}
	return ""
}

func (t *turn) refusesPause(*Command) string {
	s := &t.s
	switch {
	case !s.holdable():
		return s.notJudged()
	case s.Hold != nil && s.Hold.Sticky:
		return fmt.Sprintf("it holds already (%s) until somebody resumes it", s.Hold.Code)
	}
	return ""
}

func (t *turn) refusesResume(*Command) string {
	s := &t.s
	switch {
	case s.Hold == nil && !s.holdable():
		return s.notJudged()
	case s.Hold == nil && s.Status == StatusPreparing:
		return "the rollout doesn't hold: it has not begun, and " + s.notBegun()
	case s.Hold == nil:
		return "the rollout doesn't hold"
	case s.Hold.Code == codeApproval:
		next := cmp.Or(map[bool]CommandKind{true: CommandPromote}[s.Terms.last(s.Stage)], CommandAdvance)
		return fmt.Sprintf("it waits for an approval: `rollout %s` gives it, `rollout rollback` ends it", next)
	}
	return ""
}

func (t *turn) refusesAdvance(c *Command) string {
	s := &t.s
	switch {
	case !s.judged():
		return s.notJudged()
	case s.Terms.last(s.Stage):
		return "it is in its last stage, after which the canary gets all traffic: " + t.promotes(c)
	case t.in.Turn == 0:
		return "there is no window yet in which both versions answered, so its first stage has not begun"
	}
	return s.refusesMore(c)
}

// promotes is how a promotion is asked for as things stand.
func (t *turn) promotes(c *Command) string {
	asked := *c
	asked.Do = CommandPromote
	if why := t.refusesPromote(&asked); why != "" {
		return "that is a promotion, which would be refused, too: " + why
	}
	if c.Force {
		return t.s.overruled(&asked) + " does that"
	}
	return "`rollout promote` does that"
}

// overruled is how to ask for a command once more, past what speaks against it.
func (s *State) overruled(c *Command) string {
	return fmt.Sprintf("`streamcanary rollout %s %s --override --comment WHY`", c.Do, s.Terms.Rollout)
}

func (t *turn) refusesPromote(c *Command) string {
	s := &t.s
	switch {
	case s.Status == StatusPromoting && s.Warming != nil: // without waiting for a warm cache
		return s.refusesHarm(c)
	case !s.judged():
		return s.notJudged()
	case s.refusesUnreadable(c) != "":
		return s.refusesUnreadable(c)
	case !c.Force && s.watch() > 0 && t.in.Turn == 0:
		return fmt.Sprintf("there is no window yet in which both versions answered, so its watch can't begin; %s leaves the watch out, and the decision says so", s.overruled(c))
	}
	more, watched := s.refusesMore(c), s.refusesWatched(c)
	switch {
	case watched == "":
		return more
	case more == "":
		return fmt.Sprintf("%s; %s ends it now, and the decision says so", watched, s.overruled(c))
	}
	return fmt.Sprintf("%s. It would end the watch, too: %s", more, watched)
}

// refusesMore says why the canary may not get more traffic. A person may go on without proof of health, and not past signs of harm, or where the
// evidence is incomplete, unless by force, which the decision says.
func (s *State) refusesMore(c *Command) string {
	if why := s.refusesHarm(c); why != "" {
		return why
	}
	switch {
	case c.Force:
	case s.Hold.Is(codeFrozen) && s.Hold.Under == nil:
		return fmt.Sprintf("it holds (%s): `streamcanary rollout resume %s --comment WHY` ends that; %s goes past it, and the decision says so", s.Hold.Code, s.Terms.Rollout, s.overruled(c))
	case len(s.holdCodes()) > 0:
		return fmt.Sprintf("it holds (%s); %s goes past that, and the decision says so", strings.Join(s.holdCodes(), ", "), s.overruled(c))
	case len(s.gone()) > 0: // under a pause
		return fmt.Sprintf("a pillar holds no longer: %s; %s goes past that, and the decision says so", failedText(s.gone()), s.overruled(c))
	case s.refusesBeside(c) != "":
		return s.refusesBeside(c)
	case s.Wait != nil:
		return fmt.Sprintf("decision %s is not answered by %s yet; %s doesn't wait for it, and the decision says so", s.Wait.Decision, listed(s.Wait.missing()), s.overruled(c))
	}
	return ""
}

// refusesHarm says which signs of harm a person may not go past, unless by force.
func (s *State) refusesHarm(c *Command) string {
	switch f := s.blocking(); {
	case c.Force:
	case f != nil:
		return fmt.Sprintf("alert %s (guardrail %s) fires; %s goes past it, and the decision says so", f.Name, f.Guardrail, s.overruled(c))
	case len(s.Breached) > 0:
		return fmt.Sprintf("guardrails say that the canary does harm: %s; %s goes past them, and the decision says so", strings.Join(s.Breached, ", "), s.overruled(c))
	case s.unheard() == codeCanaryScarce:
		return fmt.Sprintf("canary %s answers less than half of what is planned, so more users may get no answer; %s goes past that, and the decision says so", s.Terms.Canary, s.overruled(c))
	case s.unheard() != "":
		return fmt.Sprintf("nothing is heard of canary %s, so more users may get no answer, or be served by what nobody judges; %s goes past that, and the decision says so", s.Terms.Canary, s.overruled(c))
	}
	return ""
}

func (t *turn) refusesRollback(c *Command) string {
	s := &t.s
	switch {
	case s.Status == StatusPreparing, s.Status == StatusPromoting, s.judged(), s.Status == StatusFrozen && c.Force, s.Status == StatusRolledBack && s.isWarming():
		return ""
	case s.Status == StatusRolledBack && c.Force:
		if _, next := s.stateHeld(); next != nil {
			return ""
		}
	case s.Status == StatusFrozen:
		return fmt.Sprintf("%s, and %s can't read what %s wrote; %s moves the traffic all the same, which takes an admin, and the decision says so",
			s.notBackText(s.Saga.step(StepFreeze).Wait, "the state"), s.Terms.Baseline, s.Terms.Canary, s.overruled(c))
	}
	return s.notJudged()
}

func (t *turn) refusesFreeze(*Command) string {
	s := &t.s
	switch {
	case !s.holdable():
		return s.notJudged()
	case s.Hold != nil && s.Hold.Code == codeFrozen:
		return "it is frozen already, until somebody resumes it"
	}
	return ""
}

func (t *turn) refusesSupersede(*Command) string {
	if s := &t.s; s.Status.Ended() {
		return s.notJudged()
	}
	return ""
}

// judged reports whether the rollout is under way.
func (s *State) judged() bool { return s.Status == StatusRunning || s.Status == StatusHolding }

// holdable reports whether a person may hold it: before it has begun, too.
func (s *State) holdable() bool { return s.judged() || s.Status == StatusPreparing }

// notJudged says why a command that is about judging isn't obeyed. What it names instead is obeyed as things stand.
func (s *State) notJudged() string {
	t := &s.Terms
	switch s.Status {
	case StatusPreparing:
		return fmt.Sprintf("it has not begun: %s; `rollout rollback` ends it, and gives %s all traffic", s.notBegun(), t.Baseline)
	case StatusPromoting:
		if s.Warming != nil {
			return "its promotion is on its way, in steps that warm a cache; `rollout promote` goes on without waiting, `rollout rollback` stops it"
		}
		return "its promotion is on its way; `rollout rollback` stops it"
	case StatusPromoted:
		if t.unreadable() {
			return fmt.Sprintf("epoch %d is promoted, and stays so: `streamcanary rollout back %s --override --comment WHY` gives %s all traffic again, as a rollout of its own, although it can't read what %s wrote",
				s.Epoch, t.Rollout, t.Baseline, t.Canary)
		}
		return fmt.Sprintf("epoch %d is promoted, and stays so: `streamcanary rollout back %s --comment WHY` gives %s all traffic again, as a rollout of its own", s.Epoch, t.Rollout, t.Baseline)
	case StatusSuperseded:
		return fmt.Sprintf("epoch %d is superseded by another rollout of model %s, and stays so: `rollout list` names it", s.Epoch, t.Model)
	case StatusDeleted:
		return fmt.Sprintf("epoch %d is deleted, and stays so: `rollout apply --new-epoch` begins one from a file", s.Epoch)
	}
	stays := fmt.Sprintf("epoch %d is %s, and stays so: ", s.Epoch, s.Status)
	switch {
	case s.Status == StatusFrozen:
		return fmt.Sprintf("its rollback waits for the state (%s); `rollout rollback %s --override --comment WHY` moves the traffic without that, which takes an admin", s.OpenText(), t.Rollout)
	case s.Undone():
		return fmt.Sprintf("%sits rollback is not yet carried out (%s); once it is, a new epoch can begin%s", stays, s.OpenText(), s.heldRefusal())
	}
	return stays + "`rollout retry` begins a new one, and `rollout apply --new-epoch` one from a changed file"
}

// pause holds the rollout until a person resumes it. Nothing changes for users, and who did it knows of it: that pages nobody.
func (t *turn) pause(c *Command) {
	t.holdFor(holding{reason: commanded(c, codePaused, "paused it"), sticky: true, severity: schemas.Info, actor: c.Actor})
}

// froze holds the rollout, and lets its state take no writes, until a person resumes it. What users write isn't taken meanwhile: that is a warning, and stays open.
func (t *turn) froze(c *Command) {
	t.holdFor(holding{reason: commanded(c, codeFrozen, "froze it"), sticky: true, freeze: true, actor: c.Actor})
}

// holdFor holds the rollout for a person, whether or not it has begun.
func (t *turn) holdFor(n holding) {
	if t.s.Status == StatusPreparing {
		t.holdStart(n)
		return
	}
	t.hold(n)
}

func (t *turn) resumed(c *Command) {
	if t.s.Status == StatusPreparing {
		t.resumeStart(c)
		return
	}
	if t.s.Hold.Under != nil {
		t.uncover(c)
		return
	}
	switch t.s.Hold.Code {
	case codeAlert:
		t.s.waive()
	case codePillarFailed:
		t.s.waivePillars()
	case codeRetiredServes:
		t.s.waiveRetired()
	}
	t.resume(commanded(c, "resumed", "ended the hold"), schemas.Evidence{}, c.Actor)
	t.alarms("")
	t.pillared()
}

func (t *turn) advanced(c *Command) {
	over := t.s.passedOver(c)
	t.advance(draft{reason: commanded(c, codeCommanded, "let the next stage begin"+overText(over)), actor: c.Actor, override: over})
}

func (t *turn) promoted(c *Command) {
	over := t.s.passedOver(c)
	d := draft{actor: c.Actor, override: over, urgent: c.Force}
	did := "promoted " + t.s.Terms.Canary
	at := t.s.watch()
	untilMs, watched := t.s.watching()
	switch {
	case t.s.Status == StatusPromoting:
		did, d.urgent = "moved all traffic without waiting for a warm cache", true
	case at > 0 && !c.Force:
		d.reason = commanded(c, codeCommanded, did+", whose watch comes first")
		t.advanceTo(at, d)
		return
	case at > 0, watched && untilMs == 0:
		did += " without its watch"
	case watched:
		did += fmt.Sprintf(", %s before its watch was over", t.s.watchLeft(untilMs))
	}
	d.reason = commanded(c, codeCommanded, did+overText(over))
	d.reason.Sentence += t.s.keptText()
	t.promote(d)
}

// maxToldOver bounds what a sentence names of what a person went past; the decision's override names all.
const maxToldOver = 5

// overText says in a sentence what a person went past; "" of nothing. A watch is told of by what was done.
func overText(over []string) string {
	if len(over) == 0 {
		return ""
	}
	over = slices.DeleteFunc(slices.Clone(over), func(x string) bool { return x == overWatch })
	switch {
	case len(over) == 0:
		return ", by override"
	case len(over) > maxToldOver:
		return fmt.Sprintf(", by override past %s and %d more", listed(over[:maxToldOver]), len(over)-maxToldOver)
	}
	return ", by override past " + listed(over)
}

func (t *turn) rolledBack(c *Command) {
	if t.s.Status == StatusFrozen {
		freeze := t.s.Saga.step(StepFreeze)
		t.skipWarming()
		freeze.Waived, freeze.DeadlineMs, t.s.Status = true, 0, StatusRolledBack
		t.begin(t.s.Saga.step(StepRoute), draft{
			reason: commanded(c, codeCommanded, fmt.Sprintf("moved the traffic by override, although %s", t.s.notBackText(freeze.Wait, "the state"))),
			actor:  c.Actor, follows: true, override: freeze.Wait.missing(),
		})
		return
	}
	if route, next := t.s.stateHeld(); next != nil {
		t.stateGoesBack(c, route, next)
		return
	}
	if t.s.isWarming() {
		t.skipWarming()
		t.begin(t.s.Saga.step(StepRoute), draft{reason: commanded(c, codeCommanded, "moved all traffic without waiting for a warm cache"), actor: c.Actor, follows: true})
		return
	}
	early := t.s.Status == StatusPreparing
	t.rollback(draft{reason: commanded(c, codeCommanded, t.s.rolledBackText(early)), actor: c.Actor, urgent: c.Force || early}, 0)
}

// rolledBackText is what a rollback does; an early one comes before judging has begun.
func (s *State) rolledBackText(early bool) string {
	text := fmt.Sprintf("rolled %s back", s.Terms.Canary)
	if early {
		text += " before it began"
	}
	switch names := listed(s.Terms.State.Stores); {
	case s.untouched():
		text += fmt.Sprintf("; it has written nothing to %s, so the state stays as it is, and no snapshot of it need be kept", names)
		if s.Frozen {
			text += "; writes are taken again"
		}
	case s.Terms.State.shared() && !s.restorable():
		text += fmt.Sprintf("; not all of %s had named a snapshot, so the state stays as it is", names)
	}
	return text
}

// passedOver is what a person's decision doesn't wait for: the guardrails that say that the canary does harm, a hold, and answers that are missing.
func (s *State) passedOver(c *Command) []string {
	var over []string
	if s.goesUnreadable(c) {
		over = append(over, codeUnreadable)
	}
	if !c.Force {
		return over
	}
	over = append(over, s.Breached...)
	if f := s.blocking(); f != nil {
		over = append(over, f.Guardrail)
	}
	over = append(over, s.holdCodes()...)
	if code := s.unheard(); code != "" {
		over = append(over, code)
	}
	if len(s.gone()) > 0 && !slices.Contains(over, codePillarFailed) {
		over = append(over, codePillarFailed)
	}
	if len(s.beside()) > 0 && !slices.Contains(over, codeRetiredServes) {
		over = append(over, codeRetiredServes)
	}
	if s.Wait != nil {
		over = append(over, s.Wait.Decision)
	}
	if _, watched := s.watching(); c.Do == CommandPromote && s.judged() && (watched || s.watch() > 0) {
		over = append(over, overWatch)
	}
	return over
}

// commanded is the reason of what a person did.
func commanded(c *Command, code, did string) schemas.Reason {
	text := cmp.Or(c.Actor.Name, "A person") + " " + did
	if c.Actor.Comment != "" {
		text += ": " + c.Actor.Comment
	}
	if last := text[len(text)-1]; last != '.' && last != '!' && last != '?' {
		text += "."
	}
	return schemas.Reason{Code: code, Sentence: text}
}

// remove ends the rollout. One that was under way tells routers so by an abort.
func (t *turn) remove(c *Command) {
	ended, gone, unwatched := t.s.Status.Ended(), Deleted(&t.s, c.Actor), t.s.unwatched()
	t.s.Status = StatusDeleted
	if ended {
		t.s.Hold, t.s.Wait, t.s.Retired, t.s.Replaced, t.s.ReplacedToo = nil, nil, nil, nil, nil
		if !t.s.Frozen {
			t.notice(gone)
		} else {
			t.decide(draft{
				action: schemas.ActionFreeze, phase: schemas.PhaseAbort, severity: schemas.Critical, routes: t.s.Routes, actor: c.Actor,
				reason: schemas.Reason{Code: schemas.ReasonDeleted, Sentence: "The rollout was deleted before its rollback was carried out, and nobody follows that any more." + t.s.trafficLeft() + t.s.frozenLeft() + t.s.thawLeft()},
			})
			t.tell(unwatched)
		}
		return
	}
	t.abort(draft{
		action: schemas.ActionStart, phase: schemas.PhaseAbort, actor: c.Actor,
		reason: schemas.Reason{Code: schemas.ReasonDeleted, Sentence: "The rollout was deleted before it ended."},
	})
	t.tell(unwatched)
}

// supersede ends the rollout for another one, which begins once this is published.
func (t *turn) supersede(c *Command) {
	t.s.Status = StatusSuperseded
	t.abort(draft{
		action: schemas.ActionSupersede, phase: schemas.PhaseAbort, actor: c.Actor,
		reason: schemas.Reason{Code: "superseded", Sentence: fmt.Sprintf("Rollout %s takes over from %s before that ended.", cmp.Or(c.For, "another"), t.s.Terms.Rollout)},
	})
	t.takenOver(c)
}

// abort ends what is under way; where the engine had set a split, the traffic goes back to the baseline.
func (t *turn) abort(d draft) {
	d.supersedes, d.severity, d.state = t.superseded(), schemas.Warning, t.thaw()
	t.s.Hold, t.s.Wait, t.s.Warming = nil, nil, nil
	if t.s.Status == StatusDeleted {
		d.reason.Sentence += t.s.thawLeft()
		if left := t.s.WrittenLeft(); left != "" {
			d.reason.Sentence += " " + left
		}
	}
	if t.s.Routes != nil || t.s.Terms.stageRoutes(0) != nil {
		d.routes = t.s.Terms.baselineRoutes()
	}
	t.decide(d)
}
