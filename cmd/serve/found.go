package serve

import (
	"context"
	"fmt"
	"maps"
	"time"

	"streamcanary/schemas"
)

// foundAfter is for how long a rollout must be decided for again until people hear that it isn't lost any more, and how often that is looked up.
const foundAfter = time.Minute

// foundAfter is that of the rollout: once it has ended, and all that people wait for has come, it isn't lost anew.
func (d *desk) foundAfter() time.Duration {
	if d.head.State.Status.Ended() {
		return 0
	}
	return foundAfter
}

// losses are when it was looked up last whether people were told that a rollout is lost. Another process may have said so, and be gone.
type losses struct {
	looked map[string]time.Time // by rollout
	ended  map[string]time.Time // by rollout: when the loss was told whose end is told
}

func newLosses() *losses {
	return &losses{looked: map[string]time.Time{}, ended: map[string]time.Time{}}
}

// found tells of rollouts that were lost, by this process or another one, and for which this one decides: it isn't lost, nobody has written its record since, and nothing else stands of it
// that people were told of, but that the model is rolled back again and again.
func (c *court) found(ctx context.Context, now time.Time) {
	for _, name := range sortedDesks(c.desks) {
		d := c.desks[name]
		if d.isLost() || !d.head.State.Calm() {
			delete(c.losses.looked, name) // what it waits for has come at last: that isn't to stand for a minute more
			continue
		}
		if now.Sub(c.losses.looked[name]) < foundAfter {
			continue
		}
		c.losses.looked[name] = now
		lost, is := c.lostBefore(ctx, d)
		if _, strangers := c.trespasses.since[name]; !is || strangers || now.Sub(lost) < d.foundAfter() || !c.owns(ctx, d) {
			continue
		}
		if c.notify(ctx, c.foundNotice(d, lost)) {
			c.losses.ended[name] = lost
		}
	}
	for _, times := range []map[string]time.Time{c.losses.looked, c.losses.ended} {
		maps.DeleteFunc(times, func(name string, _ time.Time) bool { return c.desks[name] == nil })
	}
}

// lostBefore is when people were told last that a rollout is lost, where they haven't been told of its end.
func (c *court) lostBefore(ctx context.Context, d *desk) (at time.Time, is bool) {
	of, at, err := c.lastNotice(ctx, d, schemas.NoticeRolloutLost)
	if err != nil || !of || at.Equal(c.losses.ended[d.rollout.Name]) {
		return at, false
	}
	ended, over, err := c.lastNotice(ctx, d, schemas.NoticeRolloutFound)
	return at, err == nil && (!ended || over.Before(at))
}

// owns reports whether this process has written the rollout's record last.
func (c *court) owns(ctx context.Context, d *desk) bool {
	_, revision, err := c.bus.LoadHead(ctx, d.rollout.Name)
	return err == nil && revision == d.revision
}

func (c *court) foundNotice(d *desk, lost time.Time) *schemas.Notice {
	n := noticeOf(d, schemas.NoticeRolloutFound)
	n.ID = fmt.Sprintf("%s.%d.found.%d", n.Rollout, n.Epoch, lost.UnixMilli())
	n.Severity, n.Waiting = schemas.Info, d.head.State.Standing()
	n.Sentence = fmt.Sprintf("This serve (%s) decides for rollout %s, which was told to be lost at %s. If another serve still says so (its /readyz), stop that one, or restart it.",
		c.instance, n.Rollout, schemas.Time(lost.UnixMilli()))
	return n
}
