package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// retry hands the rollout's file in once more, as `rollout apply` does, under the command's id. It is answered when its epoch has begun (applied), or when that
// is refused (unretried).
func (c *court) retry(ctx context.Context, d *desk, in *decisions.Command) {
	id := request{d.rollout.Name, in.ID}
	if d.application.ID == in.ID { // so long ago that the command is forgotten
		c.answer(id, &schemas.CommandReply{Decision: d.head.State.First()})
		return
	}
	why := d.head.State.RefusesRetry(in.Force)
	if why == "" && !c.isBegunLater(d) { // else what serves is a later epoch's
		why = d.head.State.RefusesAnew(in.Force)
	}
	if d.lost != nil { // what it has come to is unknown in part
		why = forgets(d, in.Force)
	}
	if why != "" {
		c.refuseRetry(ctx, id, in.Actor, errors.New(why))
		return
	}
	now := time.Now()
	a := d.application
	a.ID, a.From, a.At, a.Actor = in.ID, schemas.Time(now.Add(StartAhead).UnixMilli()), schemas.Time(now.UnixMilli()), in.Actor
	a.Soon, a.Retry, a.Force, a.Supersede, a.Override, a.Delete = true, true, in.Force, false, false, false
	if a.Back != nil { // who went past something before didn't do so for this epoch
		back := *a.Back
		back.Override, a.Back = false, &back
	}
	err := c.mayJudge(d.rollout.Name, &a, d.rollout)
	if err == nil {
		err = c.mayMove(ctx, &a, d.rollout)
	}
	if errors.Is(err, errUnasked) {
		c.answer(id, &schemas.CommandReply{Failed: err.Error() + ": ask again"})
		return
	}
	if err != nil {
		c.refuseRetry(ctx, id, in.Actor, err)
		return
	}
	c.handIns[d.rollout.Name] = handIn{id: a.ID, name: in.Actor.Name}
	if err := c.handsIn(ctx, d.rollout.Name, &a); err != nil {
		c.answer(id, &schemas.CommandReply{Failed: err.Error() + ": look at the rollout, then ask again with the same id"})
	}
}

// handsIn writes what a retry hands in, unless another process that has heard it, too, has done so, or it was asked for before: then the file that is there is what is taken.
func (c *court) handsIn(ctx context.Context, rollout string, a *Application) error {
	handed := func() bool {
		there, err := c.bus.Spec(ctx, rollout)
		if err != nil {
			return false
		}
		x, err := ReadApplication(there.Body)
		if err != nil || x.ID != a.ID {
			return false
		}
		c.untaken = append(c.untaken, there) // it may have been passed over when it came
		return true
	}
	if handed() {
		return nil
	}
	err := c.write(ctx, rollout, a)
	if errors.Is(err, bus.ErrConflict) && handed() {
		return nil
	}
	return err
}

// write puts a rollout's file where `rollout apply` puts it; it comes back from there.
func (c *court) write(ctx context.Context, rollout string, a *Application) error {
	body, err := a.Encode()
	if err != nil {
		return err
	}
	there, err := c.bus.Spec(ctx, rollout)
	if err != nil {
		return err
	}
	there.Body = body
	return c.writeOver(ctx, there, a.ID)
}

// writeOver writes a rollout's file over what has been read of it, unless another service that hears the same command has been first: then its file comes back from there.
func (c *court) writeOver(ctx context.Context, s bus.Spec, id string) error {
	_, err := c.bus.PutSpec(ctx, s)
	if !errors.Is(err, bus.ErrConflict) {
		return err
	}
	there, again := c.bus.Spec(ctx, s.Rollout)
	if again != nil {
		return again
	}
	if now, _ := ReadApplication(there.Body); now.ID == id {
		return nil
	}
	return err
}

// lateRetry is why the record knows a retry to be refused: another epoch began before it was taken. nil: it isn't.
func lateRetry(d *desk, a *Application) error {
	if d == nil || !a.Retry || d.application.ID == a.ID {
		return nil
	}
	if done, taken := d.head.State.Outcome(retryOf(a)); taken && done.Refused != "" {
		return errors.New(done.Refused)
	}
	return nil
}

// unretried answers those who asked for a retry that is refused, and puts the file of the epoch that stays back, so that nobody reads values that are in
// force nowhere.
func (c *court) unretried(rollout string, a *Application, why error) {
	id := request{rollout, a.ID}
	d := c.desks[rollout]
	if !a.Retry || d == nil || !c.ownHandIn(rollout, a) && lateRetry(d, a) == nil {
		return
	}
	if err := c.write(context.Background(), rollout, &d.application); err != nil {
		c.log.Warn().Err(err).Str("rollout", rollout).Msg("a retry is refused, and its file can't be put back: `rollout explain` tells of it until the next `rollout apply`")
	}
	c.refuseRetry(context.Background(), id, a.Actor, why)
}

// refuseRetry answers those who asked for a retry that is refused, and tells of it.
func (c *court) refuseRetry(ctx context.Context, id request, by schemas.Actor, why error) {
	if c.asking[id] == nil { // of an earlier start of the service
		return
	}
	c.tellDenied(ctx, &knocked{knock{by.Name, id.rollout, schemas.CommandRetry, true}, by.Comment, why})
	c.answer(id, &schemas.CommandReply{Refused: why.Error()})
}

// retryOf is the command that an application came from, by which it is known when it is sent again.
func retryOf(a *Application) *decisions.Command {
	return &decisions.Command{ID: a.ID, Do: schemas.CommandRetry, Force: a.Force, Actor: a.Actor}
}

// retried is what came of a retry: the new epoch's first decision, or why it didn't start.
func retried(s *decisions.State, a *Application) decisions.Commanded {
	done := decisions.Commanded{ID: a.ID, Sum: retryOf(a).Sum()}
	if s.Status == decisions.StatusRefused {
		done.Refused = fmt.Sprintf("epoch %d: %s", s.Epoch, s.Why.Sentence)
	} else {
		done.Decision = s.First()
	}
	return done
}

// leave answers whoever waits for a command of an epoch that ends before it was taken, and returns the commands that the next epoch must not obey
// once more: those that were taken, and these. It is a state that has only them, and by what people hear.
func (c *court) leave(before *desk, a *Application, epoch int64) decisions.State {
	was := &before.head.State
	state := decisions.State{Commanded: slices.Clone(was.Commanded), Spent: slices.Clip(was.Spent), Parted: was.HeardBy(), Serving: was.RetiredServing()}
	var late []request
	for id := range c.asking {
		if id.rollout == before.rollout.Name && id.id != a.ID {
			late = append(late, id)
		}
	}
	slices.SortFunc(late, func(x, y request) int { return cmp.Compare(x.id, y.id) })
	for _, id := range late {
		done := decisions.Commanded{ID: id.id, Sum: c.asking[id].sum, Refused: fmt.Sprintf(
			"epoch %d began before it was taken, and nothing is done: look at the rollout, then decide anew, with another id", epoch)}
		state.Remember(done)
		c.answer(id, &schemas.CommandReply{Refused: done.Refused})
	}
	return state
}
