package serve

import (
	"context"
	"fmt"
	"time"

	"streamcanary/cmd/engine"
	"streamcanary/decisions"
	"streamcanary/windows"
)

// quiet watches, by wall time, what doesn't come: data, and streams that hold back others. What it finds becomes a ruling in the
// journal; nothing else in stage two depends on wall time but deadlines.
type quiet struct {
	servedAt   time.Time     // when the last serving part with predictions came
	ruled      bool          // no data: said since then
	pause      time.Duration // the longest without such a part of late
	sealed     map[windows.Partition]int64
	servedMs   int64     // end of the last window in which a version answered, judged or not
	behindFrom time.Time // since when sealed serving windows wait for other streams; zero: they don't
}

func newQuiet(now time.Time, predictions []windows.Partition) quiet {
	q := quiet{servedAt: now, sealed: map[windows.Partition]int64{}}
	for _, p := range predictions {
		q.sealed[p] = 0
	}
	return q
}

// note takes a part that came.
func (d *desk) note(e *entry, wall time.Time) {
	if e.key.Stream.Kind != windows.Serving {
		return
	}
	if _, ours := d.quiet.sealed[e.key.Partition]; ours {
		d.quiet.sealed[e.key.Partition] = e.key.StartMs + d.rollout.Window.Milliseconds()
	}
	if !e.part.IsMark() {
		d.quiet.served(wall)
	}
	for arm := range windows.Arms {
		if t := &e.part.Traffic[arm]; t.Events > 0 || t.Late > 0 {
			d.quiet.servedMs = max(d.quiet.servedMs, e.key.StartMs+d.rollout.Window.Milliseconds())
		}
	}
}

// expired is the input of a deadline that has passed, with what is known by now of what the model serves.
func (d *desk) expired(deadline string, now time.Time, quiet, later bool) decisions.Input {
	x := &decisions.Expired{Deadline: deadline, Quiet: quiet, Later: later, SealedMs: max(0, d.quiet.sealedMs()), ServedMs: d.quiet.servedMs}
	return decisions.Input{Kind: decisions.InputExpired, WallMs: now.UnixMilli(), Expired: x}
}

// served takes note that predictions came.
func (q *quiet) served(wall time.Time) {
	q.pause = max(q.pause-q.pause/pauseKept, wall.Sub(q.servedAt))
	q.servedAt, q.ruled = wall, false
}

// Where traffic is so thin that pauses beyond noData belong to it, a silence counts from pauseTimes the longest one on; after pauseKept
// parts, a longest one is mostly forgotten.
const (
	pauseTimes = 2
	pauseKept  = 64
)

// silent says for how long predictions must not have come for it to mean something.
func (q *quiet) silent(noData time.Duration) time.Duration { return max(noData, pauseTimes*q.pause) }

// sealedMs is the event time up to which every partition's serving parts are sealed.
func (q *quiet) sealedMs() int64 {
	least := int64(-1)
	for _, at := range q.sealed {
		if least < 0 || at < least {
			least = at
		}
	}
	return least
}

// releaseShare is how much of idleAfter serving windows wait for outcomes and samples at most.
const releaseShare = 6

// listen rules on what didn't come.
func (c *court) listen(ctx context.Context, d *desk, now time.Time) error {
	if err := c.listenBeyond(ctx, d, now); err != nil {
		return err
	}
	if d.vigil != nil {
		return nil // nothing is held back
	}
	q := &d.quiet
	silent := q.silent(d.rollout.Health.NoData)
	if running := d.head.State.Status == decisions.StatusRunning; running && !q.ruled && now.Sub(q.servedAt) >= silent {
		q.ruled = true
		if err := c.rule(ctx, d, now, &decisions.Ruling{Kind: decisions.RulingNoData, Sentence: d.noDataText(silent)}); err != nil {
			q.ruled = false
			return err
		}
	}
	sealed := q.sealedMs()
	switch {
	case sealed <= d.fold.ServedMs():
		q.behindFrom = time.Time{}
		return nil
	case q.behindFrom.IsZero():
		q.behindFrom = now
		return nil
	case now.Sub(q.behindFrom) < c.config.Time.IdleAfter/releaseShare:
		return nil
	}
	q.behindFrom = now
	plan := engine.PlanOf(d.rollout, d.head.State.Epoch, int64(d.application.From))
	for _, s := range plan.Streams() {
		if s.Kind == windows.Serving {
			continue
		}
		name := s.Kind.String()
		if s.Name != "" {
			name += "/" + s.Name
		}
		if err := c.rule(ctx, d, now, &decisions.Ruling{Kind: decisions.RulingRelease, Stream: name, UpToMs: sealed}); err != nil {
			return err
		}
	}
	return nil
}

// noDataText says for how long neither version has answered, and which others do.
func (d *desk) noDataText(silent time.Duration) string {
	why := ": is the input still written, or has traffic stopped?"
	if others := d.fold.OthersAlone(); others != "" {
		why = ", as far as events say. " + others + " Look whether one of these is meant: the events must have the versions that the rollout has."
	}
	return fmt.Sprintf("Neither %s nor %s of model %s has answered for %s%s",
		d.rollout.BaselineWhere.Of(d.rollout.Baseline), d.rollout.CanaryWhere.Of(d.rollout.Canary), d.rollout.Model, silent.Round(time.Second), why)
}

// listenBeyond rules on partitions that nobody reads: once in an epoch, as soon as it is judged.
func (c *court) listenBeyond(ctx context.Context, d *desk, now time.Time) error {
	status := d.head.State.Status
	if c.unread == nil || d.unread || status != decisions.StatusRunning && status != decisions.StatusHolding {
		return nil
	}
	if err := c.rule(ctx, d, now, &decisions.Ruling{Kind: decisions.RulingGap, Topic: c.unread.Topic, Sentence: unread(c.unread)}); err != nil {
		return err
	}
	d.unread = true
	return nil
}

// rule journals a ruling.
func (c *court) rule(ctx context.Context, d *desk, now time.Time, r *decisions.Ruling) error {
	in := decisions.Input{Kind: decisions.InputRuling, WallMs: now.UnixMilli(), Ruling: r}
	return c.journalInput(ctx, d.rollout.Model, owner{d.rollout.Name, d.head.State.Epoch}, in)
}
