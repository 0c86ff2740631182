package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// A forgotten rollout is one whose record or file is gone, mostly both, and which its last decision leaves under way: the canary may have users, or everybody is prepared, and nobody decides.
type forgotten struct {
	decision *schemas.Decision
	record   bool // there is one, and nothing is judged by it without the file
	file     bool // there is one, and it begins nothing
	told     bool
	missing  string // epochs that the window journal alone knows of; "": the decision log knows
	back     bool   // it is a rollback, of which nobody was told that it is carried out
}

// StatusUnknown is that of a rollout that is LOST, and of which the decision log, or the window journal, alone is known.
const StatusUnknown decisions.Status = "unknown"

// findForgotten looks, once the desks are open, for rollouts that the decision log has under way and that have no file, or one that begins nothing: a record that has not ended counts for nothing without it.
func (c *court) findForgotten(ctx context.Context, first []bus.Spec) error {
	if err := c.findUnrecorded(ctx, first); err != nil {
		return err
	}
	last, err := c.unended(ctx)
	if err != nil {
		return err
	}
	for _, model := range slices.Sorted(maps.Keys(last)) {
		d := last[model]
		file := c.unrecorded[d.Rollout] != nil || slices.ContainsFunc(first, func(s bus.Spec) bool { return s.Rollout == d.Rollout && Refusal(s.Rollout, s.Body) != nil })
		has := func(s bus.Spec) bool { return s.Rollout == d.Rollout && !s.Deleted && !deletes(&s) && !file }
		if c.desks[d.Rollout] != nil || slices.ContainsFunc(first, has) || c.since(d) {
			continue
		}
		head, _, err := c.bus.LoadHead(ctx, d.Rollout)
		if err == nil && finished(&head) {
			continue
		}
		if err != nil && !errors.Is(err, bus.ErrNotFound) && !errors.Is(err, bus.ErrUnreadable) {
			return err
		}
		if given, err := c.wasGivenUp(ctx, d); given || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		f := &forgotten{decision: d, record: !errors.Is(err, bus.ErrNotFound), file: file, back: goesBack(d) && !shared(d)}
		c.forgotten[d.Model] = f
		c.log.Error().Str("rollout", d.Rollout).Str("model", d.Model).Str("id", d.ID).Msg(f.text())
	}
	return nil
}

// unended are the decisions, by model, that leave a rollout under way: the one in force that shares the traffic out, or the last one where that does, shows that nothing has ended yet, or is of a rollback that isn't
// known to be carried out.
func (c *court) unended(ctx context.Context) (map[string]*schemas.Decision, error) {
	routed, err := c.bus.InForce(ctx)
	if err != nil {
		return nil, err
	}
	var unread error
	last, err := c.bus.LastWanted(ctx, func(d *schemas.Decision) bool {
		undone, err := c.undone(ctx, d)
		unread = cmp.Or(unread, err)
		return shared(d) || unrouted(d) || undone
	})
	if err = cmp.Or(err, unread); err != nil {
		return nil, err
	}
	by := map[string]*schemas.Decision{}
	for _, d := range append(slices.DeleteFunc(routed, func(d *schemas.Decision) bool { return !shared(d) }), last...) {
		by[d.Model] = d
	}
	return by, nil
}

// goesBack reports whether a decision is of a rollback that somebody has to carry out, or leaves stores without writes behind one.
func goesBack(d *schemas.Decision) bool {
	if d.Mode != schemas.Enforce || d.Phase == schemas.PhaseAbort || len(d.Routes) == 0 {
		return false
	}
	return d.Action == schemas.ActionRollback || d.Action == schemas.ActionRollForward || decisions.LeftShut(d) != nil
}

// undone reports whether a decision is of a rollback without a desk, of which nobody was told that it is carried out.
func (c *court) undone(ctx context.Context, d *schemas.Decision) (bool, error) {
	if !goesBack(d) || c.desks[d.Rollout] != nil || c.since(d) {
		return false, nil
	}
	told, err := c.wasTold(ctx, d, schemas.NoticeRollbackCompleted)
	return err == nil && !told, err
}

// unrouted reports whether a decision is of a rollout that is under way, and has given no version any traffic by itself: it is being prepared, or another controller moves the weights. A rollback
// and a promotion carry routes, and all else that ends a rollout is an abort; in mode advise a recommendation to roll forward may come behind a rollback.
func unrouted(d *schemas.Decision) bool {
	switch {
	case d.Phase == schemas.PhaseAbort:
		return false
	case d.Phase == schemas.PhasePrepare:
		return true
	}
	return len(d.Routes) == 0 && (d.Mode == schemas.Enforce || d.Action != schemas.ActionRollForward)
}

// shared reports whether a decision leaves a model's traffic with several versions, in a rollout that nobody has deleted.
func shared(d *schemas.Decision) bool {
	return len(users(d)) > 1 && d.Reason.Code != schemas.ReasonDeleted
}

// users are the versions that a decision leaves traffic with, copies included, and how much: a prepare moves nothing yet.
func users(d *schemas.Decision) []string {
	routes := d.Routes
	if d.Phase == schemas.PhasePrepare {
		routes = d.PreviousRoutes
	}
	var with []string
	for _, r := range routes {
		switch {
		case r.WeightBP > 0:
			with = append(with, fmt.Sprintf("%s %g %%", r.Version, float64(r.WeightBP)/100))
		case r.MirrorBP > 0:
			with = append(with, fmt.Sprintf("%s copies of %g %%", r.Version, float64(r.MirrorBP)/100))
		}
	}
	return with
}

// since reports whether the model has a rollout that began after a decision.
func (c *court) since(than *schemas.Decision) bool {
	d := c.deskOf(than.Model)
	return d != nil && d.head.State.Epoch > than.Epoch
}

// text says that nobody decides, and what to do.
func (f *forgotten) text() string {
	if f.missing != "" {
		return f.unloggedText()
	}
	if f.back {
		return f.backText()
	}
	d := f.decision
	apply := "`streamcanary rollout apply`"
	if d.Action == schemas.ActionPromote { // which an epoch that begins would undo
		apply = "`streamcanary rollout apply --override`"
	}
	if decisions.LeftShut(d) != nil { // which an epoch that begins would forget
		apply = "`streamcanary rollout apply --new-epoch --force` (its state takes no writes, and doesn't go back by itself any more)"
	}
	return fmt.Sprintf("%s; by its last decision, %s, %s. "+
		"Apply the rollout's file again with %s: it goes on in a new epoch, and `rollout rollback` takes the canary back then, or `rollout delete` ends it; or restore the bucket from a backup "+
		"(`nats stream restore`) while no serve runs; or leave the traffic as it is, and let `streamcanary rollout delete %s --force` take this warning away. Look who may delete and purge streams (the NATS permissions of $JS.API.STREAM.DELETE.KV_%s and PURGE)",
		f.goneText(), d.ID, f.leaves(), apply, d.Rollout, schemas.RolloutsBucket)
}

// goneText says what is missing.
func (f *forgotten) goneText() string {
	gone := "The record and the file of rollout %s are gone (bucket %s)"
	switch {
	case f.record:
		gone = "The file of rollout %s is gone, and nothing is judged by its record alone (bucket %s)"
	case f.file:
		gone = "The record of rollout %s is gone (bucket %s), and its file alone begins nothing"
	}
	return fmt.Sprintf(gone, f.decision.Rollout, schemas.RolloutsBucket)
}

// backText is text of a rollback.
func (f *forgotten) backText() string {
	d := f.decision
	gone := strings.Join(without(d), ", ")
	next := fmt.Sprintf("Don't apply the same file again, which gives %s users: once it has none, `streamcanary rollout delete %s --force` takes this warning away, and then the model's next rollout may begin", gone, d.Rollout)
	if shut := decisions.LeftShut(d); shut != nil {
		next = fmt.Sprintf("And stores (%s) were told to take no writes: let their state go back by hand, and then apply the model's next rollout, of another canary than %s, with --new-epoch --force, which lets them take writes again", strings.Join(shut, ", "), gone)
	}
	return fmt.Sprintf("%s; by its last decision, %s, %s. Where %s still has users (look what routers do, and which versions predictions name), restart the routers that send them, which obey the decision in force then, or move them by hand. "+
		"%s. Or restore the bucket from a backup (`nats stream restore`) while no serve runs: the rollback goes on. Look who may delete and purge streams",
		f.goneText(), d.ID, f.leaves(), gone, next)
}

// backLeaves is leaves of a rollback.
func (f *forgotten) backLeaves() string {
	d := f.decision
	return fmt.Sprintf("model %s is to have %s, and people were never told that this is carried out (%s): nobody looks now whether it is, nor asks again who has not answered",
		d.Model, strings.Join(users(d), ", "), schemas.NoticeRollbackCompleted)
}

// without are the versions that a decision leaves without users.
func without(d *schemas.Decision) []string {
	var versions []string
	for _, r := range d.Routes {
		if r.WeightBP == 0 && r.MirrorBP == 0 {
			versions = append(versions, r.Version)
		}
	}
	return versions
}

// leaves says how the last decision leaves the model.
func (f *forgotten) leaves() string {
	d := f.decision
	switch {
	case f.back:
		return f.backLeaves()
	case shared(d) && d.Mode == schemas.Enforce:
		return fmt.Sprintf("model %s has %s: nobody decides for that now, and no guardrail takes the canary back", d.Model, strings.Join(users(d), ", "))
	case d.Phase == schemas.PhasePrepare:
		return fmt.Sprintf("it was being prepared, and no traffic of model %s was moved by it: it doesn't begin now, and who has prepared for it (routers, state stores) waits in vain", d.Model)
	}
	return fmt.Sprintf("it was under way, and others move the weights of model %s: nobody judges its canary now, which may have users, and no guardrail takes it back", d.Model)
}

// remembered are the standings of the forgotten; who has a rollout since then isn't any more.
func (c *court) remembered() []Standing {
	maps.DeleteFunc(c.forgotten, func(_ string, f *forgotten) bool { return c.desks[f.decision.Rollout] != nil || c.since(f.decision) })
	var all []Standing
	for _, model := range slices.Sorted(maps.Keys(c.forgotten)) {
		f := c.forgotten[model]
		d := f.decision
		all = append(all, Standing{Rollout: d.Rollout, Model: d.Model, Status: StatusUnknown, Epoch: d.Epoch, Seq: d.Seq, Routes: d.Routes, Lost: f.text(), cause: f.cause()})
	}
	return all
}

// warnForgotten tells people of them, with every start.
func (c *court) warnForgotten(ctx context.Context) {
	for _, model := range slices.Sorted(maps.Keys(c.forgotten)) {
		f := c.forgotten[model]
		if f.told {
			continue
		}
		d := f.decision
		n := &schemas.Notice{Kind: schemas.NoticeRolloutLost, Model: d.Model, Rollout: d.Rollout, Epoch: d.Epoch, Sentence: f.text() + "."}
		n.ID = fmt.Sprintf("%s.%d.%d.forgotten.%d", d.Rollout, d.Epoch, d.Seq, c.began.UnixMilli())
		f.told = c.notify(ctx, n)
	}
}

// What toldServing reads, and for how long: nothing else is decided meanwhile.
const (
	maxServing        = 8
	toldServingWithin = 10 * time.Second
)

// toldServing are the versions of which people were told under a rollout that they serve users and are to have none, and not of the end, by the events themselves: the newest maxServing. Where they can't be read
// in time, none are, and the log says so.
func (c *court) toldServing(ctx context.Context, r *schemas.Rollout) []string {
	ctx, cancel := context.WithTimeout(ctx, toldServingWithin)
	defer cancel()
	var versions []string
	err := c.bus.ReadOn(ctx, &bus.History{}, func() {}, func(t *bus.Told) error {
		n := t.Notice
		if n == nil || n.Rollout != r.Name || n.Model != r.Model {
			return nil
		}
		switch n.Kind {
		case schemas.NoticeRolloutDeleted:
			versions = nil
		case schemas.NoticeRetiredServes, schemas.NoticeRetiredOver:
			versions = slices.DeleteFunc(versions, func(v string) bool { return v == n.Version })
		}
		if n.Kind == schemas.NoticeRetiredServes && n.Version != "" {
			versions = append(versions, n.Version)
		}
		return nil
	})
	if err != nil {
		c.log.Warn().Err(err).Str("rollout", r.Name).Msg("what people were told of the rollout before its record was gone can't be read: if an incident of a version that serves users (retired) stands, end it by hand")
		return nil
	}
	return versions[max(0, len(versions)-maxServing):]
}
