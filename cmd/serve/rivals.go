package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"streamcanary/decisions/bus"
	"streamcanary/ingest/kafka"
)

// Where two processes decide for nothing and two rollouts of one model are applied at once, each process may journal the start of another one of them first. Records are kept by rollout, so both would be
// begun, on the same decision, and one would be fenced out by the other one's. So the order of the journal, in which everything of a model stands in one partition, decides between rollouts: whose start
// stands before is begun, and who has journaled another one behind it takes that again when the first has begun.

// rival is the start of an epoch that another process has journaled.
type rival struct {
	rollout, application, instance string
	epoch                          int64
	since                          time.Time // when it was read
}

// rivalFor is how old a start may be, by its record, to be of a process that is about to begin it: longer than any clock is wrong.
const rivalFor = time.Minute

// heedsRival notes the start of another process, the first one of an epoch: by model. Those of which nothing came are forgotten.
func (c *court) heedsRival(record *kafka.Entry, e *entry) {
	if time.Since(time.UnixMilli(record.TimeMs)) > rivalFor {
		return
	}
	var s start
	if json.Unmarshal([]byte(header(record, startHeader)), &s) != nil || s.Instance == "" || s.Instance == c.instance {
		return
	}
	maps.DeleteFunc(c.rivals, func(_ string, x rival) bool { return time.Since(x.since) >= othersBegin })
	model := e.input.Applied.Terms.Model
	if e.epoch > c.rivals[model].epoch {
		c.rivals[model] = rival{e.rollout, s.Application.ID, s.Instance, e.epoch, time.Now()}
	}
}

// rivalled reports whether another process has journaled the start of another rollout of a model that may yet begin, and of which this one knows nothing more.
func (c *court) rivalled(model, but string) bool {
	x, is := c.rivals[model]
	if !is || x.rollout == but {
		return false
	}
	if d := c.newestDesk(model); d != nil && d.head.State.Epoch >= x.epoch || time.Since(x.since) >= othersBegin {
		delete(c.rivals, model)
		return false
	}
	return true
}

// leavesToRival reports whether an application isn't taken yet, since what another process has journaled before of its model is begun first. Where that has happened, this process stands by for it.
func (c *court) leavesToRival(ctx context.Context, s *bus.Spec, model string) bool {
	if !c.rivalled(model, s.Rollout) {
		return false
	}
	x := c.rivals[model]
	if head, revision, err := c.bus.LoadHead(ctx, x.rollout); err == nil && head.State.Terms.Application == x.application {
		delete(c.rivals, model)
		c.yields(ctx, x.rollout, fmt.Errorf("serve %s has begun rollout %s of model %s, in epoch %d (revision %d of its record), while another one was applied: %w", x.instance, x.rollout, model, head.State.Epoch, revision, bus.ErrLost))
		return false
	}
	c.comesAgain(ctx, s)
	return true
}

// comesAgain lets a file come again, unless a newer one has come, or it was deleted.
func (c *court) comesAgain(ctx context.Context, s *bus.Spec) {
	there, err := c.bus.Spec(ctx, s.Rollout)
	if errors.Is(err, bus.ErrNotFound) || err == nil && !bytes.Equal(there.Body, s.Body) {
		return
	}
	c.untaken = append(c.untaken, *s)
}

// outrivalled reports whether the decision log has a later epoch of a model, of another rollout that another process has begun, than this one knows: then it stands by for that.
func (c *court) outrivalled(ctx context.Context, but string, last *bus.Logged) bool {
	by := last.Decision
	if by == nil || by.Rollout == but {
		return false
	}
	if d := c.newestDesk(by.Model); d != nil && d.head.State.Epoch >= by.Epoch {
		return false
	}
	head, _, err := c.bus.LoadHead(ctx, by.Rollout)
	if err != nil || head.State.Epoch != by.Epoch || finished(&head) || head.Writer == "" || head.Writer == c.instance {
		return false
	}
	if _, err := c.bus.Spec(ctx, by.Rollout); err != nil { // nothing is judged by its record alone
		return false
	}
	c.yields(ctx, by.Rollout, fmt.Errorf("serve %s decides for rollout %s of model %s, by its last decision %s: %w", head.Writer, by.Rollout, by.Model, by.ID, bus.ErrLost))
	return true
}
