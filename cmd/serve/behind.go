package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
)

// The window journal is in Kafka, and records and decisions are in NATS. Where all of NATS is restored from an older backup, its parts agree with each other, and the journal alone still knows of the
// epochs that began since. Their routers obey those, and would take an epoch of the same number for an old one.

// errBehind: the window journal knows of epochs that NATS doesn't.
var errBehind = fmt.Errorf("records and decision log are of one older backup: %w", bus.ErrLogRegressed)

// aheadOf is what the journal has of a model behind what its newest record has read.
type aheadOf struct {
	known   int64            // the epoch of that record
	newest  int64            // of which there is anything but a start, which may never have been heeded
	decided map[int64]string // newer epochs that have surely decided something, and their rollouts
}

// checkJournal stops deciding for rollouts of models that have had epochs that NATS knows nothing of.
func (c *court) checkJournal(ctx context.Context, models []string) error {
	ahead, err := c.readAhead(ctx, models)
	if err != nil {
		return fmt.Errorf("read the window journal: %w", err)
	}
	for _, model := range slices.Sorted(maps.Keys(ahead)) {
		a := ahead[model]
		c.had[model] = max(c.had[model], a.newest)
		if len(a.decided) == 0 {
			continue
		}
		last, err := c.bus.LastDecision(ctx, model) // behind the journal: what another process began meanwhile is there
		if err != nil && !errors.Is(err, bus.ErrNotFound) {
			return err
		}
		if last.Decision != nil {
			a.knows(last.Decision.Epoch)
		}
		if d := c.newestDesk(model); (d.lost == nil || d.regressed()) && len(a.decided) > 0 {
			c.lose(ctx, d, fmt.Errorf("the decision log ends with epoch %d of model %s, and the window journal has %s: %w", a.known, model, a.missing(), errBehind))
		}
	}
	return nil
}

// readAhead reads what the journal has of models behind what their newest records have read, and returns it by model.
func (c *court) readAhead(ctx context.Context, models []string) (map[string]*aheadOf, error) {
	starts, err := c.journal.StartOffsets(ctx)
	if err != nil {
		return nil, err
	}
	from, err := c.journal.EndOffsets(ctx)
	if err != nil {
		return nil, err
	}
	ahead, more := map[string]*aheadOf{}, false
	for _, model := range models {
		d := c.newestDesk(model)
		ahead[model] = &aheadOf{known: d.head.State.Epoch, decided: map[int64]string{}}
		if at := max(offsetOf(d.head.Offsets, d.partition), starts[d.partition]); at < from[d.partition] {
			from[d.partition], more = at, true
		}
	}
	if !more {
		return ahead, nil
	}
	reader, err := c.journal.ReadFrom(ctx, from)
	if err != nil {
		return nil, err
	}
	defer c.inspectors.Go(reader.Close) // nobody waits for that
	return ahead, reader.Drain(ctx, func(record kafka.Entry) error {
		if a := ahead[string(record.Key)]; a != nil {
			a.take(&record)
		}
		return nil
	})
}

// take notes what a record says of newer epochs. What can't be read is told by who takes it to judge by.
func (a *aheadOf) take(record *kafka.Entry) {
	e, err := decodeEntry(record)
	if err != nil {
		return
	}
	switch in := e.input; {
	case in == nil: // counted, perhaps before its epoch's start was published
		a.newest = max(a.newest, e.epoch)
	case in.Kind != decisions.InputApplied: // somebody answered it, or asked for something
		a.has(e.epoch, e.rollout)
	case in.Applied.Prev != nil: // which stood in the log
		a.has(epochIn(in.Applied.Prev.ID))
	}
}

func (a *aheadOf) has(epoch int64, rollout string) {
	a.newest = max(a.newest, epoch)
	if epoch > a.known {
		a.decided[epoch] = rollout
	}
}

// knows takes what the decision log has.
func (a *aheadOf) knows(epoch int64) {
	a.known = max(a.known, epoch)
	maps.DeleteFunc(a.decided, func(epoch int64, _ string) bool { return epoch <= a.known })
}

// missing names the newer epochs, the newest maxNamed of them.
func (a *aheadOf) missing() string {
	var names []string
	epochs := slices.Sorted(maps.Keys(a.decided))
	if n := len(epochs) - maxNamed; n > 0 {
		names, epochs = append(names, fmt.Sprintf("%d more", n)), epochs[n:]
	}
	for _, epoch := range epochs {
		names = append(names, fmt.Sprintf("epoch %d of rollout %s", epoch, a.decided[epoch]))
	}
	return strings.Join(names, ", ")
}

// epochIn is the epoch in a decision's id, and the rollout; 0: it has none.
func epochIn(id string) (epoch int64, rollout string) {
	if i := strings.LastIndexByte(id, '.'); i > 0 {
		if j := strings.LastIndexByte(id[:i], '.'); j > 0 {
			epoch, _ = strconv.ParseInt(id[j+1:i], 10, 64)
			rollout = id[:j]
		}
	}
	return epoch, rollout
}

// isBehind reports whether a rollout's model has had later epochs than are known here: what is under way there isn't known, also where the rollout itself has ended.
func (d *desk) isBehind() bool { return errors.Is(d.lost, errBehind) }

// behindOf is the desk of another rollout whose model has had later epochs than are known here; nil: there is none.
func (c *court) behindOf(model, but string) *desk {
	if d := c.newestDesk(model); d != nil && d.rollout.Name != but && d.isBehind() {
		return d
	}
	return nil
}

// keepsWarning says why a rollout isn't deleted; nil: it may be. What warns of epochs that are missing here is taken away by force alone.
func (d *desk) keepsWarning(force bool) error {
	if d != nil && !force && d.isOlder() {
		return errors.New(lostText(d))
	}
	if d == nil || force || !d.regressed() || !d.isBehind() && finished(&d.head) {
		return nil
	}
	if !d.isBehind() {
		return fmt.Errorf("nothing is decided for it any more, so it can't end: `streamcanary rollout delete %s --force` takes it away, which takes an admin, and leaves the traffic as it is. It is: %w", d.rollout.Name, d.lost)
	}
	return fmt.Errorf("it would take away what warns of epochs that are missing here: first begin an epoch above them with `streamcanary rollout retry %s --override --comment WHY`, or, where nothing of model %s is obeyed any more, "+
		"delete it with --force, which takes an admin. It is: %w", d.rollout.Name, d.rollout.Model, d.lost)
}

// newestDesk is the desk of a model's newest epoch; nil: it has none.
func (c *court) newestDesk(model string) *desk {
	var newest *desk
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; d.rollout.Model == model && (newest == nil || d.head.State.Epoch > newest.head.State.Epoch) {
			newest = d
		}
	}
	return newest
}

// behindText says that all of NATS is older than what was decided, and what to do.
func behindText(d *desk) string {
	return fmt.Sprintf("This serve no longer decides for rollout %s: model %s has had later epochs than there are here, so NATS was restored from an older backup. Routers keep what was decided last there, and no guardrail takes a "+
		"canary back. Look at what routers do. Restore NATS (streams %s and KV_%s) from a backup that has them while no serve runs; where there is none, begin an epoch above them with `streamcanary rollout retry %s --override "+
		"--comment WHY`, or move the traffic by hand. It is: %v", d.rollout.Name, d.rollout.Model, schemas.StreamName, schemas.RolloutsBucket, d.rollout.Name, d.lost)
}
