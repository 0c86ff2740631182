package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	return c.untakenYet(ctx, s, err)
}

// errUnasked: what stands in the decision log of a model can't be read now.
var errUnasked = errors.New("the decision log can't be read now")

// untakenYet lets a file come again whose model's decision log can't be read now. Other errors are passed on.
func (c *court) untakenYet(ctx context.Context, s bus.Spec, err error) error {
	if !errors.Is(err, errUnasked) {
		return err
	}
	c.untaken = append(c.untaken, s)
	if ctx.Err() == nil && c.unasked.due(err) {
		c.log.Warn().Err(err).Str("rollout", s.Rollout).Msg("a rollout waits until its model's decisions can be read: trying again; look at NATS (its connection, permissions)")
	}
	return nil
}

// maxEpoch bounds epochs: what every reader of JSON keeps exactly.
const maxEpoch = 1<<53 - 1

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
	switch {
	case s.Synced:
		return nil
	case s.Gone:
		c.writeBack(ctx)
		return nil
	case s.Older:
		return c.olderFile(ctx, s)
	case s.Deleted:
		return c.removed(ctx, s)
	}
	d, err := c.remains(ctx, s.Rollout)
	if err != nil {
		return err
	}
	a, r, err := DecodeApplication(s.Body)
	if err == nil {
		_, err = a.Encode()
	}
	switch {
	case a.Refused != "" && (d == nil || d.application.ID != a.ID):
		c.board.refuse(a.refusal(s.Rollout))
		return nil
	case err != nil && !a.Delete:
		c.refuse(s.Rollout, &a, err)
		return nil
	case lateRetry(d, &a) != nil:
		c.refuse(s.Rollout, &a, lateRetry(d, &a))
		return nil
	case !c.isOfRecord(ctx, &s, d) && !c.handedIn(&s, &a, d), c.isPutBack(ctx, &s, &a, d):
		return nil
	case a.Delete:
		return c.deletion(ctx, &s, &a, d)
	case d != nil && d.application.ID == a.ID:
		c.unchanged(s.Rollout, &a)
		return nil
	}
	if c.leavesToRival(ctx, &s, r.Model) || c.leavesToOther(ctx, &s, &a, r.Model) {
		return nil
	}
	other, err := c.mayBegin(ctx, s.Rollout, &a, r)
	if errors.Is(err, errUnasked) {
		return err
	}
	var found []decisions.Pillar
	if err == nil {
		var known bool
		if found, known, err = c.inspect(ctx, s, &a, r); !known {
			return err
		}
		err = c.mayStart(found, &a, r, other)
	}
	switch {
	case err != nil:
		if later, again := c.refusesLater(ctx, &s, &a, r.Model); later || again != nil {
			return again
		}
		c.refuse(s.Rollout, &a, err)
		c.keepRefused(ctx, s.Rollout, &a, err)
		c.beside(s.Rollout, r.Model)
		return nil
	case other != nil:
		terms := decisions.TermsOf(r.Walked())
		return c.supersede(ctx, s, other, decisions.Command{ID: a.ID, Do: decisions.CommandSupersede, Actor: a.Actor, For: s.Rollout, Heir: other.head.State.HeirOf(&terms)})
	}
	c.board.accept(s.Rollout)
	return c.apply(ctx, &handed{s, a}, r, found)
}

// mayBegin says why a rollout doesn't begin; other is the one that it ends, nil: none.
func (c *court) mayBegin(ctx context.Context, name string, a *Application, r *schemas.Rollout) (other *desk, err error) {
	other = c.judging(r.Model, r.Name)
	switch {
	case other == nil || !a.Supersede || other.head.State.Status.Ended():
		other, err = nil, c.mayJudge(name, a, r)
	case other.lost != nil: // it takes no command
		err = errors.New(lostText(other))
	default:
		err = mayBeginOver(other, a, r)
	}
	if err == nil {
		err = c.mayMove(ctx, a, r)
	}
	return other, err
}

// supersede journals the end of another rollout of the model; the new one is taken again when that has happened.
func (c *court) supersede(ctx context.Context, s bus.Spec, other *desk, command decisions.Command) error {
	c.untaken = append(c.untaken, s)
	if other.asked[command.ID] {
		return nil
	}
	in := decisions.Input{Kind: decisions.InputCommand, WallMs: time.Now().UnixMilli(), Command: &command}
	err := c.journalInput(ctx, other.rollout.Model, owner{other.rollout.Name, other.head.State.Epoch}, in)
	if errors.Is(err, errUnjournaled) {
		return nil // it stands among the untaken
	}
	other.asked[command.ID] = err == nil
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
		if err := mayForget(own, a.Force); err != nil {
			return err
		}
		if err := mayBeginOver(own, a, r); err != nil {
			return err
		}
	}
	if behind := c.behindOf(r.Model, r.Name); behind != nil {
		return errors.New(lostText(behind))
	}
	other := c.judging(r.Model, r.Name)
	switch {
	case other == nil:
		return nil
	case other.regressed(), other.isOlder(), errors.Is(other.lost, errJournalGone):
		return errors.New(lostText(other))
	case other.head.State.Status.Ended():
		return fmt.Errorf("the rollback of model %s by rollout %s is not yet carried out: wait for that, or give up following it with `streamcanary rollout delete %s --force`, which takes an admin",
			r.Model, other.rollout.Name, other.rollout.Name)
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

// judging is the desk of a model's rollout that still needs parts, other than one's own; nil if there is none. One whose record is of before another one began has ended, whatever that says.
func (c *court) judging(model, but string) *desk {
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; name != but && d.rollout.Model == model && !finished(&d.head) && !d.isPassed() {
			return d
		}
	}
	return nil
}

// handed is an application as its file has it. Who has announced it is known by the file's bytes, which other ones of the same application don't have.
type handed struct {
	file bus.Spec
	Application
}

// apply journals the start of a rollout's next epoch; it begins when it is read back (applied).
func (c *court) apply(ctx context.Context, x *handed, r *schemas.Rollout, found []decisions.Pillar) error {
	a := &x.Application
	epoch, prev := int64(0), (*schemas.Prev)(nil)
	if d := c.desks[r.Name]; d != nil {
		epoch = d.head.State.Epoch
	}
	was, err := c.before(ctx, r.Model)
	if err != nil {
		return err
	}
	last := was.last
	if c.outrivalled(ctx, r.Name, &last) {
		c.applyAgain(ctx, x)
		return nil
	}
	if last.Decision != nil {
		epoch = max(epoch, last.Decision.Epoch)
		prev = &schemas.Prev{ID: last.Decision.ID, Sha256: decisions.BodySha256(last.Signed.Body)}
	}
	route, err := c.bus.Route(ctx, r.Model)
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return fmt.Errorf("%w: %w", errUnasked, err)
	}
	if begun, err := c.isBegun(ctx, r.Name, a); begun || err != nil { // looked up last: whoever has begun it has written that before it decided anything
		return err
	}
	if epoch = max(epoch, c.published(r.Model), c.had[r.Model]); route != nil {
		epoch = max(epoch, route.Epoch)
	}
	if epoch >= maxEpoch {
		c.refuse(r.Name, a, fmt.Errorf("model %s has had epoch %d, and %d is the last one that there can be: what wrote that? Let the model have another name", r.Model, epoch, int64(maxEpoch)))
		return nil
	}
	terms := decisions.TermsOf(r.Walked())
	terms.Program, terms.Application, terms.Back = c.program, a.ID, c.backOf(a, r)
	if c.dry {
		terms.Sinks = decisions.SinkTerms{Dry: c.waitsInVain(r)}
	}
	terms.State.Owes(c.owing(r.Name, &last))
	terms.Knows(was.stores)
	c.over(a, &terms, &last, route)
	applied := decisions.Applied{Terms: terms, Epoch: epoch + 1, Prev: prev, Actor: a.Actor, Retry: a.Retry && prev != nil, Pillars: found, Past: was.past, Lost: c.forgot(r.Name)}
	left, err := c.leaves(ctx, &terms, &last)
	if err != nil {
		return err
	}
	applied.Leave(left)
	applied.Override = c.goesPast(a, &terms, &last, route)
	if route != nil {
		applied.Routes = route.Routes
	}
	c.pending[r.Name] = *x
	a.begins(time.Now())
	in := decisions.Input{Kind: decisions.InputApplied, EventMs: int64(a.From), WallMs: time.Now().UnixMilli(), Applied: &applied}
	record, err := startRecord(&start{Application: *a, Sources: c.sources, Instance: c.instance}, in)
	if err != nil {
		return err
	}
	if err := c.append(ctx, record); err != nil {
		return err
	}
	c.crash.pass(AfterAppliedAppend)
	return nil
}

// backOf is what an application goes back from. Whether its state can be read is known here, whatever the application says, and only what leads back goes past anything.
func (c *court) backOf(a *Application, r *schemas.Rollout) *decisions.Back {
	back := a.Back.Kept()
	if back == nil {
		return nil
	}
	d := c.desks[back.Rollout]
	if d != nil {
		back.Unreadable = back.Unreadable || decisions.BackOf(&d.head.State).Unreadable
	}
	back.Override = back.Override && d != nil && d.rollout.Model == r.Model && d.rollout.Baseline == r.Canary && d.rollout.Canary == r.Baseline
	return back
}

// published is the highest epoch of a model of which the records say that something was published; 0: there is none. The decision log has it, too, but for one that has lost decisions: routers remember them.
func (c *court) published(model string) int64 {
	epoch := int64(0)
	for _, d := range c.desks {
		if d.rollout.Model == model && d.head.SubjectSeq > 0 {
			epoch = max(epoch, d.head.State.Epoch)
		}
	}
	return epoch
}

// owing are the stores that the model's last decision told to take writes again, as far as they have not answered that. What a deleted rollout's stores have answered isn't known
// any more: all that it told are told once more. Where the log has lost decisions, nobody else lets those stores in that the rollout itself has told to take no writes.
func (c *court) owing(rollout string, last *bus.Logged) []string {
	if own := c.desks[rollout]; own != nil && own.regressed() {
		return own.head.State.Shut()
	}
	if last.Decision == nil {
		return nil
	}
	if shut := c.leftShut(last.Decision.Model, last); shut != nil {
		return slices.Concat(decisions.LeftShut(shut), decisions.OwingOf(shut)) // an admin has said so
	}
	if d := c.author(last.Decision.Model, last); d != nil && !d.isOlder() {
		return d.head.State.Owing()
	}
	return decisions.OwingOf(last.Decision)
}

// history is what the decision log knows of a model.
type history struct {
	last   bus.Logged       // decision; none: the zero value
	past   []decisions.Past // its rollbacks, oldest first: the first decision of each, of epochs that began
	stores []string         // that its decisions asked, the latest last
}

// before reads what the decision log knows of a model.
func (c *court) before(ctx context.Context, model string) (history, error) {
	var h history
	prepared := int64(0) // the last epoch whose start is not committed
	last, err := c.bus.EachDecision(ctx, model, func(l *bus.Logged) {
		if d := l.Decision; d.Seq == 1 {
			prepared = d.Epoch
		} else if d.Phase == schemas.PhaseCommit && d.Action != schemas.ActionRollback {
			prepared = 0
		}
		h.stores = decisions.StoresOf(h.stores, l.Decision)
		p, is := decisions.PastOf(l.Decision)
		if n := len(h.past); is && p.Epoch != prepared && (n == 0 || h.past[n-1].Epoch != p.Epoch) {
			h.past = append(h.past, p)
			h.past = h.past[max(0, len(h.past)-decisions.MaxPast):]
		}
	})
	h.last = last
	if err != nil && !errors.Is(err, bus.ErrNotFound) {
		return h, fmt.Errorf("%w: %w", errUnasked, err)
	}
	return h, nil
}

// applied begins an epoch where its start stands in the journal, with what stands there. One that this process didn't ask for (asked for by one that was
// killed before it was read back, or by one that runs beside it) is passed over: the file is still there and was applied again, or is begun by that one.
func (c *court) applied(ctx context.Context, record *kafka.Entry, e *entry) error {
	c.heedsRival(record, e)
	asked, waits := c.pending[e.rollout]
	if !waits || e.input.Applied.Terms.Application != asked.ID {
		return nil
	}
	s, r, err := startOf(record, e.input)
	if err != nil || s.Instance != c.instance {
		return nil
	}
	a := s.Application
	delete(c.pending, e.rollout)
	delete(c.inspections, e.rollout)
	body, err := a.Encode()
	if err != nil {
		return fmt.Errorf("apply rollout %s: %w", e.rollout, err)
	}
	if c.rivalled(r.Model, e.rollout) || c.mayJudge(e.rollout, &a, r) != nil { // another one of the model stands in the journal before it: it is refused as any is, or ends that one
		c.applyAgain(ctx, &asked)
		return nil
	}
	was, err := c.before(ctx, r.Model)
	if err != nil {
		return c.untakenYet(ctx, asked.file, err)
	}
	if !standsOn(e.input.Applied.Prev, was.last) {
		c.applyAgain(ctx, &asked)
		return nil
	}
	revision, err := c.known(ctx, r.Name, a.ID, e.epoch)
	if errors.Is(err, bus.ErrUnreadable) {
		c.refuse(r.Name, &a, fmt.Errorf("%w: where a newer version of streamcanary wrote its record, run that; otherwise look who can write there, and `rollout delete %s --force`, then apply it again", err, r.Name))
		return nil
	}
	if errors.Is(err, bus.ErrLost) {
		c.yields(ctx, r.Name, err)
		return nil
	}
	if err != nil {
		return c.untakenYet(ctx, asked.file, fmt.Errorf("%w: %w", errUnasked, err))
	}
	before, err := c.deskBefore(ctx, r.Name, revision)
	if err != nil {
		return c.untakenYet(ctx, asked.file, err)
	}
	d := c.newDesk(a, r, e.epoch)
	d.revision = revision
	if before != nil {
		d.stored = before.stored
	}
	head := decisions.NewHead(was.last.Sequence)
	head.Applied = body
	head.State = c.stateBefore(ctx, before, d, e)
	effects, err := d.begin(head, record, *e.input)
	if err != nil {
		return err
	}
	if a.Retry {
		d.head.State.Remember(retried(&d.head.State, &a))
	}
	c.takesOver(ctx, d)
	if err := c.settle(ctx, d, effects); err != nil {
		return err
	}
	if a.Retry {
		c.commanded(ctx, d, retryOf(&a))
	}
	c.repeatRumours(ctx, d)
	return nil
}

// deskBefore is that of a rollout's epoch that another one begins over; nil: there is none. One that another process has begun, which is gone, is opened by its record: what people were told of in it ends, too.
func (c *court) deskBefore(ctx context.Context, name string, revision uint64) (*desk, error) {
	if d := c.desks[name]; d != nil || revision == 0 {
		return d, nil
	}
	head, now, err := c.bus.LoadHead(ctx, name)
	if err == nil && now != revision {
		err = bus.ErrLost
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnasked, err)
	}
	return c.opens(name, head, revision), nil
}

// stateBefore is what an epoch of a desk begins from: what the one before leaves it. Of one of which there is no record any more, only what people were told is known.
func (c *court) stateBefore(ctx context.Context, before, d *desk, e *entry) decisions.State {
	prev := e.input.Applied.Prev
	switch {
	case before == nil && d.revision == 0 && prev != nil && strings.HasPrefix(prev.ID, e.rollout+"."):
		return decisions.State{Serving: c.toldServing(ctx, d.rollout)}
	case before == nil:
		return decisions.State{}
	}
	state := c.leave(before, &d.application, e.epoch)
	if before.rollout.Model == d.rollout.Model {
		before.head.State.LooksOn(&state, before.arms())
	}
	return state
}

// takesOver makes a desk's epoch its model's, and lets stage one count it, where it begins.
func (c *court) takesOver(ctx context.Context, d *desk) {
	r, epoch := d.rollout, d.head.State.Epoch
	if before := c.desks[r.Name]; before != nil {
		c.ends(before.rollout.Model, owner{r.Name, before.head.State.Epoch})
	}
	begins := d.head.State.Status != decisions.StatusRefused // else nothing is counted for it, and what an earlier epoch has left is looked at on
	if begins {
		c.relieve(ctx, r.Model)
	}
	c.desks[r.Name] = d
	c.roster.put(r)
	c.lives(r.Model, owner{r.Name, epoch})
	if begins {
		plan := engine.PlanOf(r, epoch, int64(d.application.From))
		c.order(ctx, order{set: &plan})
	}
}

// standsOn reports whether a start's prev is the decision that stands last in the log; the zero value: there is none.
func standsOn(prev *schemas.Prev, last bus.Logged) bool {
	if prev == nil || last.Decision == nil {
		return prev == nil && last.Decision == nil
	}
	return prev.ID == last.Decision.ID && prev.Sha256 == decisions.BodySha256(last.Signed.Body)
}

// applyAgain takes an application once more: something was decided after its start was journaled, and a start on what stood before would fork the
// chain. It is taken as it was handed in, also where NATS doesn't answer.
func (c *court) applyAgain(ctx context.Context, x *handed) {
	there, err := c.bus.Spec(ctx, x.file.Rollout)
	switch {
	case errors.Is(err, bus.ErrNotFound): // it was deleted
	case err != nil:
		c.untaken = append(c.untaken, x.file)
	default:
		if now, err := ReadApplication(there.Body); err == nil && now.ID == x.ID { // else a newer one has come
			c.untaken = append(c.untaken, there)
		}
	}
}

// known is the revision of a rollout's record that an epoch may be written over: the one that this process wrote or read last; 0: there is none. bus.ErrLost: another
// process has written it since then, so that decisions may be under way of which nothing is known here, or has begun the very application.
func (c *court) known(ctx context.Context, rollout, application string, epoch int64) (uint64, error) {
	head, revision, err := c.bus.LoadHead(ctx, rollout)
	if errors.Is(err, bus.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if d := c.desks[rollout]; d != nil && revision != d.revision || d == nil && head.State.Epoch >= epoch || head.State.Terms.Application == application {
		return 0, fmt.Errorf("begin epoch %d of rollout %s over revision %d of its record, of epoch %d: %w", epoch, rollout, revision, head.State.Epoch, bus.ErrLost)
	}
	return revision, nil
}

// deletion journals a person's wish to end a rollout, unless another process does: then it comes again until that one has ended it, or was taken over from.
func (c *court) deletion(ctx context.Context, s *bus.Spec, a *Application, d *desk) error {
	if d == nil {
		return c.givesUpForgotten(ctx, s.Rollout, a)
	}
	if d.asked[a.ID] {
		return nil
	}
	if _, stands := c.standbys.since[s.Rollout]; stands && errors.Is(d.lost, bus.ErrLost) && !finished(&d.head) {
		c.comesAgain(ctx, s)
		return nil
	}
	if err := d.keepsWarning(a.Force); err != nil {
		d.asked[a.ID] = true
		c.log.Error().Err(err).Str("rollout", d.rollout.Name).Msg("this rollout is not deleted")
		c.board.refuse(Standing{Rollout: d.rollout.Name, Application: a.ID, Refused: err.Error()})
		return nil
	}
	if finished(&d.head) && !d.isOlder() {
		d.asked[a.ID] = true
		c.farewell(ctx, d, a.Actor)
		return nil
	}
	if d.regressed() || d.isOlder() {
		return c.givesUp(ctx, a, d)
	}
	in := decisions.Input{Kind: decisions.InputCommand, WallMs: time.Now().UnixMilli(),
		Command: &decisions.Command{Do: decisions.CommandDelete, Actor: a.Actor, Force: a.Force}}
	if err := c.journalEnding(ctx, d, in); err != nil {
		return err
	}
	c.desks[d.rollout.Name].asked[a.ID] = true
	return nil
}
