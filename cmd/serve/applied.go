package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"streamcanary/cmd/engine"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// spec takes a rollout file that is new or was changed; one that can't be journaled now comes again (specsAgain).
func (c *court) spec(ctx context.Context, s bus.Spec) error {
	err := c.takeSpec(ctx, s)
	if errors.Is(err, errUnjournaled) {
		c.untaken = append(c.untaken, s)
	}
	return err
}

// specsAgain takes the files that could not be journaled.
func (c *court) specsAgain(ctx context.Context) error {
	again := c.untaken
	c.untaken = nil
	for _, s := range again {
		if err := c.spec(ctx, s); err != nil && !errors.Is(err, errUnjournaled) {
			return err
		}
	}
	return nil
}

func (c *court) takeSpec(ctx context.Context, s bus.Spec) error {
	if s.Synced {
		return nil
	}
	d := c.desks[s.Rollout]
	if s.Deleted {
		c.board.accept(s.Rollout)
		delete(c.inspections, s.Rollout)
		delete(c.handIns, s.Rollout)
		if d != nil && finished(&d.head) {
			delete(c.desks, s.Rollout)
			c.models.Delete(life{d.rollout.Model, d.head.State.Epoch})
		}
		return nil
	}
	a, r, err := DecodeApplication(s.Body)
	if err == nil {
		_, err = a.Encode()
	}
	switch {
	case err != nil:
		c.refuse(s.Rollout, &a, err)
		return nil
	case !c.handedIn(&s, &a, d):
		return nil
	case a.Delete:
		return c.deletion(ctx, &a, d)
	case d != nil && d.application.ID == a.ID:
		c.board.accept(s.Rollout) // a file that was refused in between is gone
		return nil
	}
	other := c.judging(r.Model, r.Name)
	if other == nil || !a.Supersede || other.head.State.Status.Ended() {
		other, err = nil, c.mayJudge(s.Rollout, &a, r)
	}
	var found []decisions.Pillar
	if err == nil {
		var known bool
		if found, known = c.inspect(ctx, s, &a, r); !known {
			return nil
		}
		err = c.mayStart(found, d, other)
	}
	switch {
	case err != nil:
		c.refuse(s.Rollout, &a, err)
		return nil
	case other != nil:
		return c.supersede(ctx, s, &a, other)
	}
	c.board.accept(s.Rollout)
	return c.apply(ctx, &a, r, found)
}

// supersede journals the end of another rollout of the model; the new one is taken again when that has happened.
func (c *court) supersede(ctx context.Context, s bus.Spec, a *Application, other *desk) error {
	c.untaken = append(c.untaken, s)
	if other.asked[a.ID] {
		return nil
	}
	in := decisions.Input{Kind: decisions.InputCommand, WallMs: time.Now().UnixMilli(),
		Command: &decisions.Command{ID: a.ID, Do: decisions.CommandSupersede, Actor: a.Actor, For: s.Rollout}}
	err := c.journalInput(ctx, other.rollout.Model, owner{other.rollout.Name, other.head.State.Epoch}, in)
	if errors.Is(err, errUnjournaled) {
		return nil // it stands among the untaken
	}
	other.asked[a.ID] = err == nil
	return err
}

// mayJudge says why a rollout can't be judged here; whatever stage one would refuse is in it.
func (c *court) mayJudge(name string, a *Application, r *schemas.Rollout) error {
	if r.Name != name {
		return fmt.Errorf("rollout %s stands under the name %s", r.Name, name)
	}
	if err := c.config.Fits(r); err != nil {
		return err
	}
	if plan := engine.PlanOf(r, 1, int64(a.From)); plan.Check() != nil {
		return plan.Check()
	}
	if need := 2 * lasts(r); c.retention >= 0 && c.retention < need {
		return fmt.Errorf("the window journal %s keeps its records for %s, and this rollout needs %s: raise the topic's retention.ms, or lower the stages' max",
			JournalTopic, c.retention, need)
	}
	if own := c.desks[name]; own != nil && own.rollout.Model == r.Model {
		if why := own.head.State.Unfinished(a.Force); why != "" {
			return errors.New(why)
		}
	}
	other := c.judging(r.Model, r.Name)
	switch {
	case other == nil:
		return nil
	case other.head.State.Status.Ended():
		return fmt.Errorf("the rollback of model %s by rollout %s is not yet carried out: wait for that, or give up following it with `rollout delete --force`",
			r.Model, other.rollout.Name)
	}
	return fmt.Errorf("model %s has an active rollout, %s: delete that one first, or apply with --supersede", r.Model, other.rollout.Name)
}

// lasts is how long a rollout's windows may matter: its stages, and the longest time until an outcome.
func lasts(r *schemas.Rollout) time.Duration {
	within := time.Duration(0)
	for _, o := range r.Outcomes {
		within = max(within, o.Within)
	}
	return r.Life() + within
}

// refuse says that a rollout is not judged, and why: to the log, and to whoever asks.
func (c *court) refuse(name string, a *Application, why error) {
	said := "this rollout is not judged: change what is wrong, then `rollout apply` it again"
	if d := c.desks[name]; d != nil && !finished(&d.head) {
		said = "this change of a rollout is refused, and it is judged on as it was: change what is wrong, then `rollout apply` it again"
	}
	c.log.Error().Err(why).Str("rollout", name).Msg(said)
	c.board.refuse(Standing{Rollout: name, Application: a.ID, Refused: why.Error()})
	c.unretried(name, a, why)
}

// judging is the desk of a model's rollout that still needs parts, other than one's own; nil if there is none.
func (c *court) judging(model, but string) *desk {
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; name != but && d.rollout.Model == model && !finished(&d.head) {
			return d
		}
	}
	return nil
}

// apply journals the start of a rollout's next epoch; it begins when it is read back (applied).
func (c *court) apply(ctx context.Context, a *Application, r *schemas.Rollout, found []decisions.Pillar) error {
	epoch, prev := int64(0), (*schemas.Prev)(nil)
	if d := c.desks[r.Name]; d != nil {
		epoch = d.head.State.Epoch
	}
	last, err := c.bus.LastDecision(ctx, r.Model)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return err
	}
	if last.Decision != nil {
		epoch = max(epoch, last.Decision.Epoch)
		prev = &schemas.Prev{ID: last.Decision.ID, Sha256: decisions.BodySha256(last.Signed.Body)}
	}
	terms := decisions.TermsOf(r.Walked())
	terms.Program, terms.Application = c.program, a.ID
	if c.dry {
		terms.Sinks = decisions.SinkTerms{}
	}
	applied := decisions.Applied{Terms: terms, Epoch: epoch + 1, Prev: prev, Actor: a.Actor, Retry: a.Retry && prev != nil, Pillars: found}
	route, err := c.bus.Route(ctx, r.Model)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return err
	}
	if route != nil {
		applied.Routes = route.Routes
	}
	if applied.Past, err = c.past(ctx, r.Model); err != nil {
		return err
	}
	c.pending[r.Name] = *a
	in := decisions.Input{Kind: decisions.InputApplied, EventMs: int64(a.From), WallMs: time.Now().UnixMilli(), Applied: &applied}
	record, err := startRecord(&start{*a, c.sources}, in)
	if err != nil {
		return err
	}
	if err := c.append(ctx, record); err != nil {
		return err
	}
	c.crash.pass(AfterAppliedAppend)
	return nil
}

// past are the model's rollbacks, oldest first: the first decision of each.
func (c *court) past(ctx context.Context, model string) ([]decisions.Past, error) {
	var all []decisions.Past
	err := c.bus.Log(ctx, bus.LogQuery{Model: model}, func(l bus.Logged) error {
		p, is := decisions.PastOf(l.Decision)
		if n := len(all); is && (n == 0 || all[n-1].Epoch != p.Epoch) {
			all = append(all, p)
			all = all[max(0, len(all)-decisions.MaxPast):]
		}
		return nil
	})
	if errors.Is(err, bus.ErrNotFound) {
		err = nil
	}
	return all, err
}

// applied begins an epoch where its start stands in the journal. One that this process didn't ask for (asked for by one that was
// killed before it was read back) is passed over: the file is still there and was applied again.
func (c *court) applied(ctx context.Context, record *kafka.Entry, e *entry) error {
	a, asked := c.pending[e.rollout]
	if !asked || e.input.Applied.Terms.Application != a.ID {
		return nil
	}
	delete(c.pending, e.rollout)
	delete(c.inspections, e.rollout)
	r, err := schemas.ParseRollout(a.File, []byte(a.YAML))
	if err != nil {
		return fmt.Errorf("apply rollout %s: %w", e.rollout, err)
	}
	if err := c.mayJudge(e.rollout, &a, r); err != nil { // another one of the model stands in the journal before it
		c.refuse(e.rollout, &a, err)
		return nil
	}
	sequence := uint64(0)
	last, err := c.bus.LastDecision(ctx, r.Model)
	if err == nil {
		sequence = last.Sequence
	} else if !errors.Is(err, bus.ErrNotFound) {
		return err
	}
	_, revision, err := c.bus.LoadHead(ctx, r.Name)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return err
	}
	d := c.newDesk(a, r, e.epoch)
	d.revision = revision
	head := decisions.NewHead(sequence)
	if before := c.desks[r.Name]; before != nil {
		head.State.Commanded = c.leave(before, &a, e.epoch)
	}
	if head.Applied, err = a.Encode(); err != nil {
		return err
	}
	plan := engine.PlanOf(r, e.epoch, int64(a.From))
	effects, err := d.begin(head, record, *e.input)
	if err != nil {
		return err
	}
	if a.Retry {
		d.head.State.Remember(retried(&d.head.State, &a))
	}
	if before := c.desks[r.Name]; before != nil {
		c.models.Delete(life{before.rollout.Model, before.head.State.Epoch})
	}
	c.desks[r.Name] = d
	c.models.Store(life{r.Model, e.epoch}, r.Name)
	c.order(ctx, order{set: &plan})
	if err := c.settle(ctx, d, effects); err != nil {
		return err
	}
	if a.Retry {
		c.commanded(d, retryOf(&a))
	}
	c.repeatRumours(ctx, d)
	return nil
}

// deletion journals a person's wish to end a rollout.
func (c *court) deletion(ctx context.Context, a *Application, d *desk) error {
	if d == nil || finished(&d.head) || d.asked[a.ID] {
		return nil
	}
	in := decisions.Input{Kind: decisions.InputCommand, WallMs: time.Now().UnixMilli(),
		Command: &decisions.Command{Do: decisions.CommandDelete, Actor: a.Actor, Force: a.Force}}
	if err := c.journalInput(ctx, d.rollout.Model, owner{d.rollout.Name, d.head.State.Epoch}, in); err != nil {
		return err
	}
	d.asked[a.ID] = true
	return nil
}
