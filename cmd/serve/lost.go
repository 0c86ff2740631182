package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// checkLog stops deciding for rollouts whose decision log has lost decisions, or whose record has, and finishes what was under way when the process ended.
func (c *court) checkLog(ctx context.Context) error {
	for _, name := range sortedDesks(c.desks) {
		d := c.desks[name]
		if d.lost != nil {
			continue
		}
		err := c.bus.CheckLog(ctx, []decisions.Head{d.head})
		switch {
		case errors.Is(err, bus.ErrLogRegressed):
			c.lose(ctx, d, err)
			continue
		case olderBy(err) != nil:
			if err := c.trailsBehind(ctx, d, err); err != nil {
				return err
			}
		case err != nil:
			return err
		}
		if len(d.head.Outbox) > 0 && d.lost == nil {
			if err := c.store(ctx, d, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// lose stops deciding for a rollout, and says so.
func (c *court) lose(ctx context.Context, d *desk, err error) {
	if d.trails != nil && !errors.Is(err, bus.ErrLost) && !errors.Is(err, bus.ErrLogRegressed) { // what else came of it came of that
		err = d.trails
	}
	d.lost = err
	if !d.isLost() {
		return
	}
	said := "another process decides for this rollout: this one stops deciding for it until it is restarted; is it meant that two serve run?"
	switch {
	case errors.Is(err, bus.ErrLost):
		said = standsByText
		c.standsBy(d.rollout.Name)
		c.handOverAsked(d)
	case errors.Is(err, errJournalGone):
		said = "the window journal hasn't got what this rollout is judged by: nothing is decided for it"
	case d.isOlder():
		said = "this rollout's record is older than the decision log, as from a backup: nothing is decided for it"
	case errors.Is(err, errBehind):
		said = "NATS was restored from a backup that is older than what was decided for this rollout's model: nothing is decided for it"
	case errors.Is(err, bus.ErrLogRegressed):
		said = "the decision log lost decisions of this rollout: nothing is decided for it"
	}
	event := c.log.Error()
	if errors.Is(err, bus.ErrLost) { // as in every deploy; people are told where two go on running (alarms)
		head, _, err := c.bus.LoadHead(ctx, d.rollout.Name)
		c.names(d.rollout.Name, &head, err)
		event = c.log.Info().Str("writer", d.other)
	}
	event.Err(err).Str("rollout", d.rollout.Name).Str("model", d.rollout.Model).Strs("unpublished", Unpublished(&d.head)).Msg(said)
	c.warn(ctx)
}

// isLost reports whether this process no longer decides for a rollout, though there is something to decide: the record of one that was deleted may be gone before its last acks are in it.
func (d *desk) isLost() bool {
	gone := d.head.State.Status == decisions.StatusDeleted && len(Unpublished(&d.head)) == 0
	return d.lost != nil && !gone
}

func lostNotice(d *desk) *schemas.Notice {
	n := noticeOf(d, schemas.NoticeRolloutLost)
	n.ID = fmt.Sprintf("%s.%d.%d.lost", n.Rollout, n.Epoch, d.head.State.Seq)
	n.Sentence = lostText(d)
	return n
}

// lostText says that this process no longer decides for a rollout, and what to do.
func lostText(d *desk) string {
	text := "This serve no longer decides for rollout " + d.rollout.Name
	if errors.Is(d.lost, bus.ErrLost) { // what this one hasn't published, that one may have
		return text + d.besideText()
	}
	if errors.Is(d.lost, errBehind) {
		return behindText(d)
	}
	if d.isOlder() {
		return olderText(d)
	}
	if errors.Is(d.lost, errJournalGone) {
		return journalGoneText(d)
	}
	text += d.leaves()
	retry := fmt.Sprintf("begin a new epoch with `streamcanary rollout retry %s --override --comment WHY`, or move the traffic by hand", d.rollout.Name)
	if errors.Is(d.lost, bus.ErrLogRegressed) { // no other serve is at fault
		without := retry + ": the chain of decisions begins anew then, and what was before is proven by backups alone"
		if finished(&d.head) && len(Unpublished(&d.head)) == 0 {
			without = fmt.Sprintf("`streamcanary rollout delete %s` takes it away: it has ended, and nothing is left to decide for it", d.rollout.Name)
		}
		return text + fmt.Sprintf(". Restore stream %s from a backup that has what is missing (`nats stream rm`, then `nats stream restore`), and restart serve; where there is none, %s. It is: %v",
			schemas.StreamName, without, d.lost)
	}
	return text + fmt.Sprintf(". If another serve is meant to decide for it, ask that one, and stop this one; else %s. It is: %v", retry, d.lost)
}

// names notes who has written a record that this process stands by for.
func (c *court) names(name string, h *decisions.Head, err error) {
	if d := c.desks[name]; d != nil && err == nil && h.Writer != "" && h.Writer != c.instance {
		d.other = h.Writer
	}
}

// besideText says who decides in place of this process, and when this one will.
func (d *desk) besideText() string {
	who := ""
	if d.other != "" {
		who = " (" + d.other + ")"
	}
	if d.missed >= mostMissed {
		return fmt.Sprintf("%s. Nobody does now: its record (%s) is gone, and the serve that decided for it%s doesn't write it back, as it would within seconds while it runs. Restore the bucket from a backup (`nats stream restore`) while no serve runs; "+
			"or restart this one, and do what it says then", d.leaves(), recordsPlace, who)
	}
	return fmt.Sprintf(": another one has written its record%s. Ask that one. Where that one is stopped, this one goes on by itself, within seconds; where it is killed, or hangs, about %s after it wrote last. "+
		"For that both must have the same signing key. Nothing is to be done in a deploy; where it isn't meant that two run, stop one of them.%s", who, schemas.FormatDuration(silentLooks*standByEvery), d.metText())
}

// metText is how it was found that another process decides, where that says more than that it has written the record; a sentence with a space before it.
func (d *desk) metText() string {
	met := strings.TrimSuffix(d.lost.Error(), ": "+bus.ErrLost.Error())
	if met == bus.ErrLost.Error() || strings.Contains(met, "write record of rollout") { // what was said before
		return ""
	}
	return fmt.Sprintf(" What this one met: %s.", met)
}

// isBeside reports whether this process stands by for another one, and has not done so for longer than a deploy takes: that is no loss.
func (c *court) isBeside(name string) bool {
	d := c.desks[name]
	return d != nil && d.isLost() && errors.Is(d.lost, bus.ErrLost) && !c.alarms(name)
}

// regressed reports whether the decision log has lost what was decided for a rollout: nothing goes on by itself then.
func (d *desk) regressed() bool { return errors.Is(d.lost, bus.ErrLogRegressed) }

// forgets says why no new epoch begins over one for which nothing is decided any more; "": an admin has said so.
func forgets(d *desk, force bool) string {
	switch {
	case d.isOlder() && !(force && d.goesOn()): // what would begin isn't what is in force
		return lostText(d)
	case force:
		return ""
	}
	return fmt.Sprintf("nothing is decided for epoch %d any more (%v), and a new one would forget what it has come to: `streamcanary rollout show %s` says what to do first; `streamcanary rollout retry %s --override --comment WHY` "+
		"begins anew all the same, which takes an admin, and the decision says so", d.head.State.Epoch, d.lost, d.rollout.Name, d.rollout.Name)
}

// mayForget says why an epoch of the same rollout isn't begun over what is under way; nil: nothing is, or an admin forgets what nothing carries out any more.
func mayForget(own *desk, force bool) error {
	why := own.head.State.Unfinished(force)
	switch {
	case own.isOlder() && force:
		return nil
	case own.isOlder():
		return errors.New(lostText(own))
	case own.regressed() && force, why == "" && (!own.regressed() || own.head.State.Status.Ended() && !own.isBehind()) && (!errors.Is(own.lost, errJournalGone) || force):
		return nil
	case own.regressed(), errors.Is(own.lost, errJournalGone) && !force:
		return errors.New(lostText(own))
	}
	return errors.New(why)
}

// forgot is the newest epoch that is lost to a rollout's next one; 0: none is.
func (c *court) forgot(rollout string) int64 {
	d := c.desks[rollout]
	if d == nil || !d.regressed() {
		return 0
	}
	return max(d.head.State.Epoch, c.had[d.rollout.Model])
}

// leaves is what becomes of a model's traffic where nothing is decided for its rollout any more.
func (d *desk) leaves() string {
	if a := olderBy(d.lost); a != nil {
		return inForce(a)
	}
	s := &d.head.State
	routes, ids, text := s.Routes, Unpublished(&d.head), ""
	if len(ids) > 0 {
		routes, text = Kept(&d.head), fmt.Sprintf(", and has not published %v: routers stay as they are", ids)
	}
	split := users(&schemas.Decision{Routes: routes})
	switch harm := d.harm(routes); {
	case s.Terms.Mode != schemas.Enforce && len(ids) == 0: // it moves nothing anyway
		return ""
	case harm != "" && len(ids) > 0:
		return text + ", so " + harm
	case harm != "":
		return ": " + harm
	case len(ids) > 0:
		if len(split) > 1 {
			text += " (" + strings.Join(split, ", ") + ")"
		}
		if !s.Status.Ended() {
			text += ", and no guardrail takes the canary back"
		}
		return text
	case len(split) > 1:
		return fmt.Sprintf(": model %s keeps %s, and no guardrail takes the canary back", s.Terms.Model, strings.Join(split, ", "))
	case s.Status == decisions.StatusPreparing:
		return ": it doesn't begin, and no traffic is moved"
	case !s.Status.Ended():
		return ": routers stay as they are, and no guardrail takes the canary back"
	case d.regressed() && len(split) > 0:
		return d.endedLeaves(split)
	}
	return ""
}

// endedLeaves says what users have by a rollout that has ended, where the decision log has lost how.
func (d *desk) endedLeaves(split []string) string {
	s := &d.head.State
	return fmt.Sprintf(": by its record, up to decision %d of epoch %d, model %s has %s. Routers that have obeyed that keep it; one that starts anew obeys the last decision that the log has, which may be an older one and give canary %s users: don't restart routers, and look at what they do",
		s.Seq, s.Epoch, s.Terms.Model, strings.Join(split, ", "), s.Terms.Canary)
}

// harm says that a canary that is to be rolled back keeps users by these routes, and why it is; "": it isn't, or keeps none.
func (d *desk) harm(routes []schemas.Route) string {
	s := &d.head.State
	if s.Status != decisions.StatusRolledBack && s.Status != decisions.StatusFrozen || s.Terms.Mode != schemas.Enforce {
		return ""
	}
	for _, r := range routes {
		if r.Version != s.Terms.Canary || r.WeightBP == 0 {
			continue
		}
		why := ""
		if s.Why != nil {
			why = " (" + strings.TrimSuffix(s.Why.Sentence, ".") + ")"
		}
		return fmt.Sprintf("canary %s keeps %g %% of users though it is to be rolled back%s. Nothing takes it back: move its users to %s by hand now", r.Version, float64(r.WeightBP)/100, why, s.Terms.Baseline)
	}
	return ""
}

// Kept are the routes that routers have as long as decisions are not published: those before the first of these. nil: all are published, or that isn't known.
func Kept(h *decisions.Head) []schemas.Route {
	for _, e := range h.Outbox {
		if e.Kind != decisions.EntryDecision || e.Published {
			continue
		}
		if d, err := schemas.DecodeDecision(e.Body); err == nil {
			return d.PreviousRoutes
		}
		return nil
	}
	return nil
}

// Unpublished are the ids of the decisions that a record has, and the log hasn't.
func Unpublished(h *decisions.Head) []string {
	var ids []string
	for _, e := range h.Outbox {
		if e.Kind == decisions.EntryDecision && !e.Published {
			ids = append(ids, e.ID)
		}
	}
	return ids
}
