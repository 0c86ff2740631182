package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"streamcanary/cmd/engine"
	"streamcanary/decisions"
	"streamcanary/ingest"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// counter is stage one: it reads the event topics, counts, and appends what it sealed to the journal. Its run method is
// the only goroutine that touches the stage.
type counter struct {
	config  *schemas.Config
	client  *kafka.Client
	journal *kafka.Log
	refused *kafka.Log // the dead letters' topic
	log     zerolog.Logger
	crash   *drill
	seen    *metrics
	sources map[string]int32 // how many partitions of each topic are read
	orders  chan order
	plans   map[string]windows.Plan // by rollout

	recoveryEvery time.Duration // how often a recovery point is kept

	lasting context.Context // of what is written: ends a little after the service was told to stop
	stage   *windows.Stage
	intake  *engine.Intake
	letters *kafka.DeadLetters
	src     *kafka.Source
	from    []ingest.Partition
	next    kafka.Offsets     // after the last record counted
	readAt  map[int]time.Time // wall time of each partition's last record
	idle    map[int]bool
	flight  sync.WaitGroup    // appends that are not settled
	failed  chan error        // the first append that failed: nothing is appended until that is read
	kept    *windows.Recovery // the last recovery point that is in the journal
	again   *windows.Recovery // where the next reading goes on; nil: at the plans' starts

	uncommitted bool // the group took no offsets at the last try
	unopened    nag  // the topics
	endless     nag  // where the topics' logs end is unknown
}

// An order changes what is counted.
type order struct {
	begin  []windows.Plan    // what a restarted process goes on with …
	resume *windows.Recovery // … and from where; nil: from the plans' starts
	set    *windows.Plan     // a new epoch
	remove string            // a rollout that needs no more counting
}

// How often stage one does what is not driven by events.
const (
	tickEvery     = 100 * time.Millisecond
	recoveryEvery = 10 * time.Second
	endsEvery     = time.Second
	// sinceMargin is how much earlier than a rollout's start records are looked for by their own time.
	sinceMargin = time.Minute
)

// errAgain ends one reading of the topics because they must be read from an earlier place (counter.again).
var errAgain = errors.New("read again from an earlier place")

// errUnstored: something that was counted can't be stored now. It is counted again.
var errUnstored = errors.New("what was counted is not stored")

// run counts until the context ends; what was written then has half of stopWithin to be stored.
func (c *counter) run(ctx context.Context) error {
	lasting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopWithin/2, giveUp) })()
	c.lasting, c.letters = lasting, kafka.NewDeadLetters(c.refused)
	for {
		for len(c.plans) == 0 {
			c.seen.storing.is(nil) // nothing is counted any more
			select {
			case <-ctx.Done():
				return nil
			case o := <-c.orders:
				c.note(o)
				c.again = o.resume
			}
		}
		err := c.read(ctx)
		switch {
		case ctx.Err() != nil && errors.Is(err, errUnreadable):
			return nil
		case errors.Is(err, errUnreadable):
			c.seen.counting.is(err)
			if c.unopened.due(err) {
				c.log.Warn().Err(err).Msg("nothing is counted until the event topics can be opened: trying again; look at Kafka (its brokers, ACLs, the topics)")
			}
			pause(ctx, retryAfter)
		case !errors.Is(err, errAgain):
			return err
		}
	}
}

// errUnreadable: the event topics can't be opened now, though they were there when the service started.
var errUnreadable = errors.New("the event topics can't be read now")

// pause waits, or until the context ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// note keeps an order for the next reading.
func (c *counter) note(o order) {
	for _, p := range o.begin {
		c.plans[p.Rollout] = p
	}
	if o.set != nil {
		c.plans[o.set.Rollout] = *o.set
	}
	delete(c.plans, o.remove)
}

// read reads the topics until the context ends, an order asks for an earlier place, or nothing is to be counted.
func (c *counter) read(ctx context.Context) error {
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer c.src.Close()
	c.seen.counting.is(nil)
	inner, stop := context.WithCancel(ctx)
	batches := make(chan *ingest.Batch)
	problems := make(chan error)
	var reading sync.WaitGroup
	reading.Go(func() { pump(inner, c.src, batches, problems) })
	defer reading.Wait()
	defer stop()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	kept, asked := time.Now(), time.Now()
	for {
		var err error
		select {
		case <-ctx.Done():
			return c.end()
		case err = <-c.failed:
		case b := <-batches:
			err = c.batch(ctx, b)
		case p := <-problems:
			err = c.problem(p)
		case o := <-c.orders:
			err = c.obey(ctx, o)
		case now := <-tick.C:
			if now.Sub(asked) >= endsEvery {
				asked = now
				err = c.rule(ctx, now)
			}
			if err == nil && now.Sub(kept) >= c.recoveryEvery {
				kept = now
				err = c.keepRecovery(ctx)
			}
		}
		if errors.Is(err, errUnstored) {
			err = c.retry(ctx, err)
		}
		if err != nil {
			return err
		}
	}
}

// pump hands over batches and errors until the context ends.
func pump(ctx context.Context, src *kafka.Source, batches chan<- *ingest.Batch, problems chan<- error) {
	for ctx.Err() == nil {
		b, err := src.Next(ctx)
		if ctx.Err() != nil {
			if b != nil {
				b.Release()
			}
			return
		}
		if err != nil {
			select {
			case problems <- err:
			case <-ctx.Done():
			}
			continue
		}
		select {
		case batches <- b:
		case <-ctx.Done():
			b.Release()
		}
	}
}

// retry reads again from the last recovery point after something could not be stored: what was stored after all is in the journal, or
// among the dead letters, twice; of the journal's records the first counts.
func (c *counter) retry(ctx context.Context, failure error) error {
	c.seen.storing.is(failure) // until something is: reading goes well meanwhile
	c.seen.recounts.Inc()
	c.log.Error().Err(failure).Msg("reading events again from the last recovery point, until what is counted can be stored; look at Kafka (its disk, ACLs, the topics' settings)")
	c.flight.Wait()
	for len(c.failed) > 0 {
		_ = <-c.failed
	}
	if err := c.letters.Flush(ctx); err != nil && ctx.Err() == nil {
		c.log.Warn().Err(err).Str("topic", DeadLetterTopic).Msg("dead letters are written again, and may then be there twice")
	}
	c.letters = kafka.NewDeadLetters(c.refused)
	pause(ctx, retryAfter)
	c.again = c.kept
	return errAgain
}

// begin makes a new stage and source for the plans, from a recovery point or, where there is none that fits, from the plans' starts.
func (c *counter) begin(ctx context.Context) error {
	recovery := c.again
	c.again = nil
	err := c.open(ctx, recovery)
	if errors.Is(err, errUnreadable) {
		c.again = recovery
	}
	if err == nil || recovery == nil || errors.Is(err, errUnreadable) {
		return err
	}
	c.log.Warn().Err(err).Msg("the recovery point doesn't fit what is to be counted now: events are read from the rollouts' start, which takes longer and changes no decision")
	c.src.Close()
	return c.open(ctx, nil)
}

// open makes a new stage and source.
func (c *counter) open(ctx context.Context, recovery *windows.Recovery) error {
	o := kafka.SourceOptions{Partitions: c.sources, Group: c.config.Kafka.Group, MaxBytes: c.config.Limits.EventBytes}
	for _, s := range c.config.Sources {
		o.Topics = append(o.Topics, kafka.Topic{Name: s.Topic, Format: s.Format, Want: s.Type})
	}
	if recovery != nil {
		o.Start = kafka.Offsets{}
		for _, s := range recovery.Sources {
			if s.Offset == windows.FromStart {
				continue // nothing of it was read: it begins at the plans' start
			}
			if o.Start[s.Partition.Topic] == nil {
				o.Start[s.Partition.Topic] = map[int32]int64{}
			}
			o.Start[s.Partition.Topic][s.Partition.Number] = s.Offset
		}
	}
	o.SinceMs = c.sinceMs()
	src, err := c.client.Source(ctx, o)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	c.src, c.from = src, src.Partitions()
	c.stage = windows.NewStage(windows.Limits{
		PendingPredictions: c.config.Limits.PendingPredictions,
		MaxAheadMs:         c.config.Time.MaxAhead.Milliseconds(), MaxJumpMs: c.config.Time.MaxJump.Milliseconds(),
	})
	c.intake = engine.NewIntake(c.stage, c.from, c.letters)
	c.intake.NowMs = func() int64 { return time.Now().UnixMilli() }
	c.next, c.readAt, c.idle = kafka.Offsets{}, map[int]time.Time{}, map[int]bool{}
	c.seen.quiet.Store(false)
	now := time.Now()
	for p, at := range c.from {
		c.stage.AddPartition(windows.Partition{Topic: at.Topic, Number: at.Number}, kindsOf(c.config, at.Topic)...)
		c.readAt[p] = now
	}
	for _, name := range sortedPlans(c.plans) {
		if err := c.stage.SetPlan(c.plans[name]); err != nil {
			return err
		}
	}
	if recovery == nil {
		c.log.Info().Str("since", schemas.Time(o.SinceMs).String()).Int("partitions", len(c.from)).Msg("reading events from the rollouts' start")
		return nil
	}
	c.log.Info().Int("partitions", len(c.from)).Msg("reading events on from the last recovery point")
	return c.stage.Restore(*recovery)
}

// sinceMs is the record time from which every plan's events are found.
func (c *counter) sinceMs() int64 {
	since := int64(0)
	for _, p := range c.plans {
		at := max(p.FromMs-p.LatenessMs-sinceMargin.Milliseconds(), 1)
		if since == 0 || at < since {
			since = at
		}
	}
	return since
}

// kindsOf are the kinds of events that a topic carries.
func kindsOf(config *schemas.Config, topic string) []schemas.Kind {
	var kinds []schemas.Kind
	for _, s := range config.Sources {
		if s.Topic != topic {
			continue
		}
		if s.Type == schemas.KindUnknown {
			return []schemas.Kind{schemas.KindPrediction, schemas.KindOutcome, schemas.KindSample}
		}
		kinds = append(kinds, s.Type)
	}
	return kinds
}

// batch counts one batch.
func (c *counter) batch(ctx context.Context, b *ingest.Batch) error {
	defer b.Release()
	c.crash.pass(AfterPoll)
	c.seen.counting.is(nil)
	c.readAt[b.Partition] = time.Now()
	if c.idle[b.Partition] {
		c.idle[b.Partition] = false
		c.seen.quiet.Store(c.isAllQuiet())
	}
	for i := range b.Items {
		if i == len(b.Items)/2 {
			c.crash.pass(MidBatch)
		}
		if err := c.intake.Take(c.lasting, b, i); err != nil {
			return unwritten(err)
		}
	}
	if err := c.intake.Rejected(c.lasting); err != nil {
		return unwritten(err)
	}
	at := c.from[b.Partition]
	if c.next[at.Topic] == nil {
		c.next[at.Topic] = map[int32]int64{}
	}
	c.next[at.Topic][at.Number] = b.Next
	c.crash.pass(AfterCount)
	return c.sealed()
}

// unwritten is a dead letter's error.
func unwritten(err error) error {
	return fmt.Errorf("%w: write dead letters to %s: %w", errUnstored, DeadLetterTopic, err)
}

// sealed appends what the stage sealed. Appends of one model keep their order.
func (c *counter) sealed() error {
	for _, s := range c.stage.Sealed() {
		c.crash.pass(BeforePartAppend)
		value, err := windows.EncodePart(s.Key, s.Part)
		if err != nil {
			return fmt.Errorf("journal window %s of rollout %s: %w", schemas.Time(s.Key.StartMs), s.Key.Rollout, err)
		}
		c.append(kafka.Entry{Key: []byte(c.plans[s.Key.Rollout].Model), Value: value, Headers: headers(partRecord, "", 0)})
		c.crash.pass(AfterPartAppend)
	}
	c.seen.counted(c.stage.Counts())
	c.seen.stage(c.stage.Stats(), c.stage.Limits())
	return nil
}

// append hands an entry to the journal. After a failure it does nothing: all of it is counted again, and what stands behind a part that is missing, as
// failures are told a little late, isn't taken before that.
func (c *counter) append(e kafka.Entry) {
	if len(c.failed) > 0 {
		return
	}
	c.flight.Add(1)
	c.journal.AppendAsync(c.lasting, e, func(_ kafka.Entry, err error) {
		defer c.flight.Done()
		if err != nil {
			select {
			case c.failed <- fmt.Errorf("%w: append to the window journal %s: %w", errUnstored, JournalTopic, err):
			default:
			}
		}
	})
}

// settled waits until all that was handed to Kafka is stored, or returns what is not.
func (c *counter) settled() error {
	c.flight.Wait()
	select {
	case err := <-c.failed:
		return err
	default:
	}
	if err := c.letters.Flush(c.lasting); err != nil {
		return unwritten(err)
	}
	return nil
}

// keepRecovery stores where to start again, once everything that was sealed before is stored.
func (c *counter) keepRecovery(ctx context.Context) error {
	if err := c.sealed(); err != nil {
		return err
	}
	recovery := c.stage.Recovery()
	if err := c.settled(); err != nil {
		return err
	}
	c.crash.pass(AfterFlush)
	value, err := json.Marshal(recovery)
	if err != nil {
		return fmt.Errorf("encode recovery point: %w", err)
	}
	for _, name := range sortedPlans(c.plans) {
		p := c.plans[name]
		c.append(kafka.Entry{Key: []byte(p.Model), Value: value, Headers: headers(recoveryRecord, p.Rollout, p.Epoch)})
	}
	if err := c.settled(); err != nil {
		return err
	}
	c.kept = &recovery
	c.seen.storing.is(nil)
	c.crash.pass(AfterRecoveryAppend)
	c.crash.pass(BeforeCommit)
	c.commit(ctx)
	c.crash.pass(AfterCommit)
	return nil
}

// commit tells lag tools how far events are counted. Where that can't be, it says so once.
func (c *counter) commit(ctx context.Context) {
	err := c.src.Commit(ctx, c.next)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && !c.uncommitted:
		c.log.Warn().Err(err).Msg("offsets for lag tools are not committed; nothing else depends on them; may serve write to the group, and does nobody else use it? kafka.group names another")
	case err == nil && c.uncommitted:
		c.log.Info().Msg("offsets for lag tools are committed again")
	}
	c.uncommitted = err != nil
}

// end leaves a recovery point behind. Where that can't be stored, the next start goes on from the one before.
func (c *counter) end() error {
	err := c.keepRecovery(c.lasting)
	if errors.Is(err, errUnstored) {
		c.log.Warn().Err(err).Msg("stopping without a new recovery point: the next start counts some events again; nothing is lost")
		return nil
	}
	return err
}

// obey takes an order while events are read.
func (c *counter) obey(ctx context.Context, o order) error {
	c.note(o)
	if o.remove != "" {
		c.stage.RemovePlan(o.remove)
		if len(c.plans) == 0 {
			return errAgain
		}
	}
	if o.set == nil {
		return nil
	}
	err := c.stage.SetPlan(*o.set)
	if errors.Is(err, windows.ErrPassed) {
		c.log.Info().Str("rollout", o.set.Rollout).Msg("its first window lies behind what was read: reading events again; all rollouts wait for that")
		if err := c.sealed(); err != nil {
			return err
		}
		recovery := c.stage.Recovery()
		if err := c.settled(); err != nil {
			return err
		}
		c.again = &recovery // if that is early enough for the new one, too; else begin finds out
		return errAgain
	}
	return err
}

// rule says which partitions have had nothing to read for so long that they no longer hold the others back.
func (c *counter) rule(ctx context.Context, now time.Time) error {
	quiet := false
	for p := range c.from {
		quiet = quiet || c.isQuiet(p, now)
	}
	if !quiet {
		return nil
	}
	ends, err := c.src.Ends(ctx)
	if grown := (*kafka.Grown)(nil); err != nil && !errors.As(err, &grown) {
		if c.endless.due(err) {
			c.log.Warn().Err(err).Msg("where the event logs end is unknown: quiet partitions hold their windows until Kafka answers")
		}
		return nil
	}
	c.endless.over()
	for _, e := range ends {
		p := slices.Index(c.from, e.Partition)
		if p < 0 || e.Next < e.End || !c.isQuiet(p, now) {
			continue
		}
		c.idle[p] = true
		c.stage.Idle(p, true)
		c.ruling(&decisions.Ruling{Kind: decisions.RulingRelease, Topic: e.Partition.Topic, Number: e.Partition.Number, Idle: true,
			Sentence: fmt.Sprintf("Partition %d of topic %s has had nothing to read for %s.", e.Partition.Number, e.Partition.Topic, c.config.Time.IdleAfter)})
	}
	c.seen.quiet.Store(c.isAllQuiet())
	return c.sealed()
}

// isAllQuiet reports whether every partition that carries predictions is ruled idle.
func (c *counter) isAllQuiet() bool {
	for p, at := range c.from {
		if !c.idle[p] && slices.Contains(kindsOf(c.config, at.Topic), schemas.KindPrediction) {
			return false
		}
	}
	return true
}

// isQuiet reports whether a partition that isn't ruled idle has given nothing for idleAfter.
func (c *counter) isQuiet(p int, now time.Time) bool {
	return !c.idle[p] && now.Sub(c.readAt[p]) >= c.config.Time.IdleAfter
}

// ruling journals a ruling for every rollout.
func (c *counter) ruling(r *decisions.Ruling) {
	value, err := decisions.EncodeInput(decisions.Input{Kind: decisions.InputRuling, WallMs: time.Now().UnixMilli(), Ruling: r})
	if err != nil {
		c.log.Error().Err(err).Str("topic", r.Topic).Int32("partition", r.Number).Msg("a ruling on this partition can't be encoded, and is not made: its windows wait")
		return
	}
	for _, name := range sortedPlans(c.plans) {
		p := c.plans[name]
		c.append(kafka.Entry{Key: []byte(p.Model), Value: value, Headers: headers(inputRecord, p.Rollout, p.Epoch)})
	}
}

// problem takes an error of the source: what is missing holds the rollouts, everything else passes.
func (c *counter) problem(problem error) error {
	var gap *kafka.Gap
	if errors.As(problem, &gap) {
		c.log.Error().Err(problem).Str("topic", gap.Topic).Int32("partition", gap.Partition).Msg("events are missing: the rollouts hold; look at what is missing, then start them afresh with `rollout apply --new-epoch`")
		c.ruling(&decisions.Ruling{Kind: decisions.RulingGap, Topic: gap.Topic, Number: gap.Partition, Sentence: problem.Error()})
		return c.src.Resume(ingest.Partition{Topic: gap.Topic, Number: gap.Partition}, gap.To)
	}
	c.seen.counting.is(problem)
	c.log.Warn().Err(problem).Msg("events can't be read, and their windows wait: trying again; look at Kafka (ACLs, the topic) and at what the producer wrote there")
	return nil
}
