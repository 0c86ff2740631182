package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"streamcanary/cmd/engine"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/decisions/pillars"
	"streamcanary/ingest"
	"streamcanary/ingest/kafka"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// court is stage two: it reads the journal and keeps the rollouts' desks. Its run method is the only goroutine that touches them.
type court struct {
	config    *schemas.Config
	bus       *bus.Bus
	journal   *kafka.Log
	log       zerolog.Logger
	crash     *drill
	seen      *metrics
	counter   chan<- order
	grown     <-chan *kafka.Grown
	sources   engine.Sources
	board     *board
	specs     chan bus.Spec
	commands  chan bus.Request
	knocking  chan knocked      // at the doors, who isn't let in
	told      chan alertMessage // by Alertmanager
	people    *people
	decided   func(schemas.Decision) // hears of every decision; may be nil
	program   string
	instance  string        // names this process in the heads that it writes
	retention time.Duration // of the journal; negative: for ever
	dry       bool          // sinks do nothing, so no step waits for them

	began       time.Time
	catching    bool              // up with the journal: nothing is shown yet
	judgesFrom  time.Time         // since when it is caught up
	desks       map[string]*desk  // by rollout
	counted     map[string]int64  // by rollout: the epoch that stage one was told to count
	pending     map[string]handed // applied, and not yet read back from the journal
	untaken     []bus.Spec        // what could not be journaled when it came
	asking      map[request]*asked
	last        []lastly          // answers that others may come before, the oldest first
	handovers   []*handover       // commands that wait for the process that decides, the oldest first
	handIns     map[string]handIn // by rollout: what was announced last
	rumours     rumours           // alerts that fire
	truncations truncations       // groups of alerts that lack some
	models      sync.Map          // life -> rollout: whose acks they are
	newest      sync.Map          // model -> owner: the epoch that is under way
	unread      *kafka.Grown      // a topic with partitions that nobody reads; nil: there is none
	opened      chan struct{}     // closed when models has all that there were at the start: an ack before that would be taken for a stranger's

	registries  pillars.Registries
	inspections map[string]*inspection // by rollout: of applications that are not begun yet
	inspected   chan inspection        // those that are done
	watches     map[string]bool        // rollouts that run, and whose pillars are being checked again
	watched     chan watchedPillars    // what was found of them
	inspectors  sync.WaitGroup

	turn int // of the rollouts' reports on the board

	problemAt  time.Time // when the journal could not be read last
	unreadable nag       // the journal
	unwritten  nag       // inputs
	unacked    nag       // acks; their intake's goroutine has it
	strays     stretches // answers to other epochs, likewise, of those who are asked by name
	crowd      stretches // and of all others
	unheard    stretches // answers to what was never decided
	behind     stretches // answers to epochs that others came after, and whose records are there
	unasked    nag       // the decision log, where a rollout is to begin
	untold     nag       // events of strangers and of lost rollouts

	knocks     map[knock]toldKnock // at most mostKnocks
	denied     int                 // told so far
	roster     *roster
	farewells  []*schemas.Notice // of deleted rollouts, to be published: the newest goneMost
	deleted    bygone
	strangers  *strangers
	logAgain   atomic.Bool // the decision log is to be held against the records
	trespasses *trespasses
	losses     *losses
	forgotten  map[string]*forgotten        // by model
	unrecorded map[string]*schemas.Decision // by rollout: files without a record
	had        map[string]int64             // by model: the newest epoch in the journal, as far as it was read at the start
	standbys   standbys
	rivals     map[string]rival // by model
	trustFile  string
}

// owner is a rollout in one of its epochs.
type owner struct {
	rollout string
	epoch   int64
}

// life is an epoch of a model: that of one rollout.
type life struct {
	model string
	epoch int64
}

// How often stage two does what the journal doesn't drive.
const (
	deadlineEvery = 100 * time.Millisecond
	boardEvery    = time.Second
	saveEvery     = 10 * time.Second
	retryAfter    = time.Second
)

// run opens the desks, catches up with the journal, calls ready, and judges until the context ends.
func (c *court) run(ctx context.Context, ready func()) error {
	defer c.inspectors.Wait()
	c.began, c.catching = time.Now(), true
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	first, err := c.firstSpecs(ctx)
	if err != nil {
		return err
	}
	starts, err := c.journal.StartOffsets(ctx)
	if err != nil {
		return fmt.Errorf("read the window journal: %w", err)
	}
	offsets, err := c.journal.EndOffsets(ctx)
	if err != nil {
		return fmt.Errorf("read the window journal: %w", err)
	}
	for _, s := range first {
		if err := c.reopen(ctx, s, starts, offsets); err != nil {
			return err
		}
	}
	if err := c.bus.RestoreRoutes(ctx, c.judged(), c.strangers.mended); err != nil {
		return err
	}
	close(c.opened)
	if err := c.checkLog(ctx); err != nil {
		return err
	}
	if err := c.checkJournal(ctx, c.judged()); err != nil {
		return err
	}
	if err := c.findUnlogged(ctx, first); err != nil {
		return err
	}
	reader, err := c.journal.ReadFrom(ctx, offsets)
	if err != nil {
		return fmt.Errorf("read the window journal: %w", err)
	}
	defer reader.Close()
	recovery, err := c.catchUp(ctx, reader)
	if err != nil {
		return err
	}
	if err := c.caughtUpWithLog(ctx); err != nil {
		return err
	}
	if err := c.claim(ctx); err != nil {
		return err
	}
	if err := c.findForgotten(ctx, first); err != nil {
		return err
	}
	c.caughtUp()
	c.handOver(ctx, recovery)
	if err := c.takesFirst(ctx, first); err != nil {
		return err
	}
	ready()
	return c.judge(ctx, reader)
}

// takesFirst takes the files that are there at the start.
func (c *court) takesFirst(ctx context.Context, first []bus.Spec) error {
	for i := range first {
		if c.beginsNot(ctx, &first[i]) {
			continue
		}
		if err := c.spec(ctx, first[i]); err != nil {
			return err
		}
	}
	return nil
}

// caughtUp shows where the rollouts stand, from here on: before, the board would have less of them than it had before the restart.
func (c *court) caughtUp() {
	c.catching, c.judgesFrom = false, time.Now()
	c.show()
	c.board.catching.Store(false)
}

// firstSpecs takes the rollouts that are there at the start.
func (c *court) firstSpecs(ctx context.Context) ([]bus.Spec, error) {
	var first []bus.Spec
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case s := <-c.specs:
			if s.Synced {
				return first, nil
			}
			if !s.Gone && !s.Record { // there is nothing in memory yet
				first = append(first, s)
			}
		}
	}
}

// reopen opens the desk of a rollout that has a record, and moves the journal's reading back to where its statistics begin, if that is still there.
func (c *court) reopen(ctx context.Context, s bus.Spec, starts, offsets map[int32]int64) error {
	head, revision, err := c.bus.LoadHead(ctx, s.Rollout)
	switch {
	case errors.Is(err, bus.ErrNotFound):
		return nil
	case errors.Is(err, bus.ErrUnreadable): // its file is refused for that (applied); the others are judged
		c.log.Error().Err(err).Str("rollout", s.Rollout).Msg("this rollout's record can't be read, and it is not judged: where a newer version of streamcanary wrote it, run that; otherwise look who can write there, and `rollout delete --force`")
		return nil
	case err != nil:
		return err
	}
	if d := c.opens(s.Rollout, head, revision); d != nil && (!finished(&head) || d.answering()) && d.next < offsets[d.partition] && d.next >= starts[d.partition] {
		offsets[d.partition] = d.next
	}
	return nil
}

// opens opens the desk of a record; nil: that doesn't say what it is of.
func (c *court) opens(name string, head decisions.Head, revision uint64) *desk {
	application, r, err := DecodeApplication(head.Applied) // the entry may hold another file by now
	if err != nil || len(head.From) == 0 {
		return nil
	}
	d := c.newDesk(application, r, head.State.Epoch)
	d.resume(head, revision)
	c.desks[name] = d
	c.roster.put(r)
	c.lives(r.Model, owner{r.Name, head.State.Epoch})
	if d.answering() {
		d.next = offsetOf(head.Offsets, d.partition)
	}
	return d
}

// newDesk makes an empty desk for an epoch.
func (c *court) newDesk(a Application, r *schemas.Rollout, epoch int64) *desk {
	d := newDesk(start{Application: a, Sources: c.sources}, r, epoch)
	d.instance = c.instance
	return d
}

// finished reports whether an epoch needs no more parts, but for its vigil: a rollback is followed until it is carried out, or its rollout is deleted by force.
func finished(h *decisions.Head) bool {
	s := &h.State
	return s.Status == decisions.StatusDeleted || s.Status.Ended() && (s.Saga == nil || s.Saga.Done())
}

// catchUp folds what the journal has already. It returns the recovery point from which every open rollout can go on, or nil.
func (c *court) catchUp(ctx context.Context, reader *kafka.Reader) (*windows.Recovery, error) {
	points := map[string]point{}
	began := time.Now()
	records := 0
	err := reader.Drain(ctx, func(e kafka.Entry) error {
		records++
		x, err := c.take(ctx, &e)
		if err == nil && x.recovery != nil {
			if d := c.desks[x.rollout]; d != nil && d.head.State.Epoch == x.epoch {
				points[x.rollout] = point{x.recovery, e.TimeMs}
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fold the window journal: %w", err)
	}
	c.log.Info().Int("records", records).Dur("took_ms", time.Since(began)).Msg("caught up with the window journal")
	for _, name := range sortedDesks(c.desks) {
		if wrong, err := c.holdsAgainstJournal(ctx, c.desks[name]); err != nil {
			return nil, err
		} else if wrong {
			delete(points, name) // what it counts next is counted from the start
		}
	}
	var oldest point
	for _, name := range sortedDesks(c.desks) {
		if d := c.desks[name]; finished(&d.head) || d.lost != nil && !errors.Is(d.lost, bus.ErrLost) {
			continue
		}
		p, kept := points[name]
		if !kept {
			return nil, nil
		}
		if oldest.recovery == nil || p.atMs < oldest.atMs {
			oldest = p
		}
	}
	return oldest.recovery, nil
}

// point is a recovery point, and when it was stored.
type point struct {
	recovery *windows.Recovery
	atMs     int64
}

// handOver tells stage one what to count, all at once.
func (c *court) handOver(ctx context.Context, recovery *windows.Recovery) {
	var plans []windows.Plan
	for _, name := range sortedDesks(c.desks) {
		switch d := c.desks[name]; {
		case d.isOlder(): // the model's plan is another epoch's
		case !finished(&d.head):
			plans = append(plans, engine.PlanOf(d.rollout, d.head.State.Epoch, int64(d.application.From)))
		case d.head.State.Retired != nil && d.lost == nil && !c.isReplaced(d):
			plans = append(plans, c.keepsVigil(d))
		}
	}
	if len(plans) > 0 {
		c.order(ctx, order{begin: plans, resume: recovery})
	}
}

// judge takes journal records, rollouts and the clock in turn until the context ends.
func (c *court) judge(ctx context.Context, reader *kafka.Reader) error {
	inner, stop := context.WithCancel(ctx)
	entries := make(chan kafka.Entry, entriesAhead)
	problems := make(chan error)
	var reading sync.WaitGroup
	reading.Go(func() { pumpJournal(inner, reader, entries, problems) })
	defer reading.Wait()
	defer stop()
	deadlines, boards := time.NewTicker(deadlineEvery), time.NewTicker(boardEvery)
	defer deadlines.Stop()
	defer boards.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return c.end()
		case e := <-entries:
			_, err = c.take(ctx, &e)
		case p := <-problems:
			err = c.problem(p)
		case s := <-c.specs:
			err = c.spec(ctx, s)
		case r := <-c.commands:
			c.command(ctx, r)
		case x := <-c.knocking:
			c.tellDenied(ctx, &x)
		case m := <-c.told:
			m.answer <- c.alerted(ctx, &m)
		case x := <-c.inspected:
			err = c.inspectionEnds(ctx, x)
		case x := <-c.watched:
			err = c.pillarsWatched(ctx, x)
		case c.unread = <-c.grown:
		case now := <-deadlines.C:
			err = c.clock(ctx, now)
		case <-boards.C:
			c.show()
			c.standBy(ctx, time.Now())
			c.countsAll(ctx)
			c.lookAgain(ctx)
			c.warn(ctx)
			c.noProblem()
			c.watchPillars(ctx, time.Now())
			err = c.specsAgain(ctx)
		}
		if errors.Is(err, errUnjournaled) {
			if c.unwritten.due(err) {
				c.log.Warn().Err(err).Msg("a rollout file, a deadline or a ruling waits for the window journal: trying again; look at Kafka (its disk, ACLs, the topic's settings)")
			}
			err = nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// problem takes an error of the journal's reader: what is gone can't be judged without, everything else passes.
func (c *court) problem(problem error) error {
	var gap *kafka.Gap
	if errors.As(problem, &gap) {
		return fmt.Errorf("read the window journal: %w. What rollouts are judged by is gone: topic %s was deleted, emptied or made anew while serve ran, or its retention took what wasn't read yet. "+
			"Start serve again (a topic that isn't there is made anew): it tells then which rollouts are LOST, and `streamcanary rollout rollback NAME` takes their canaries back; until it runs again nobody judges the canaries: "+
			"take their traffic back by hand (deploy/OPERATING.md, \"A window journal that is gone\")", problem, JournalTopic)
	}
	c.seen.judging.is(problem)
	c.problemAt = time.Now()
	if c.unreadable.due(problem) {
		c.log.Warn().Err(problem).Msg("the window journal can't be read: nothing in it is judged until it can; trying again; look at Kafka (its brokers, ACLs)")
	}
	return nil
}

// problemHeld is how long the journal's reader must not have failed until it is believed to read again: it doesn't say when it does.
const problemHeld = 15 * time.Second

// noProblem notes that nothing has kept the journal from being read for a while.
func (c *court) noProblem() {
	if time.Since(c.problemAt) >= problemHeld && c.unreadable.over() {
		c.seen.judging.is(nil)
		c.log.Info().Msg("the window journal can be read again")
	}
}

// errUnjournaled: something could not be appended to the journal. What it was about is tried again.
var errUnjournaled = errors.New("the window journal takes nothing now")

// entriesAhead bounds the journal records that are read ahead.
const entriesAhead = 256

func pumpJournal(ctx context.Context, reader *kafka.Reader, entries chan<- kafka.Entry, problems chan<- error) {
	for ctx.Err() == nil {
		e, err := reader.Next(ctx)
		if ctx.Err() != nil {
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
		case entries <- e:
		case <-ctx.Done():
		}
	}
}

// take brings one journal record to the desk that it concerns.
func (c *court) take(ctx context.Context, record *kafka.Entry) (entry, error) {
	c.crash.pass(AfterJournalRead)
	e, err := decodeEntry(record)
	if err != nil {
		c.log.Error().Err(err).Str("topic", JournalTopic).Int32("partition", record.Partition).Str("model", string(record.Key)).
			Msg("passing over a journal record that can't be read: a window of this model may count as empty; did something else, or another version of serve, write it?")
		return entry{}, nil
	}
	if e.input != nil && e.input.Kind == decisions.InputApplied {
		c.begins(record, &e)
		return e, c.applied(ctx, record, &e)
	}
	c.journaledFor(&e)
	d := c.desks[e.rollout]
	c.outrun(d, record, &e)
	if d == nil || d.lost != nil || !d.started || e.epoch != d.head.State.Epoch || record.Partition != d.partition || record.Offset < d.next {
		return e, nil
	}
	if e.input != nil && e.input.Ack != nil && !d.replaying(record.Offset) {
		c.heeded(d, e.input.Ack)
		c.outlived(ctx, d, record.Offset, e.input)
	}
	if e.input != nil && c.catching {
		c.overheard(e.input)
	}
	foreign := d.foreign
	effects, err := d.take(record.Offset, &e, time.Now())
	if err != nil {
		return e, err
	}
	if foreign == 0 && d.foreign > 0 {
		c.log.Warn().Str("rollout", d.rollout.Name).Str("topic", e.key.Partition.Topic).Int32("partition", e.key.Partition.Number).
			Msg("the journal has windows of this rollout that were counted by other rules or from other topics: they are passed over; does another serve run with another configuration?")
	}
	c.crash.pass(AfterJudge)
	if d.dirty {
		err = c.settle(ctx, d, effects)
	}
	if e.input != nil && e.input.Command != nil && err == nil {
		c.commanded(ctx, d, e.input.Command)
	}
	return e, err
}

// settle stores what was decided, publishes it, and lets the rest of the process know.
func (c *court) settle(ctx context.Context, d *desk, effects []decisions.Effect) error {
	c.crash.pass(BeforeHeadSave)
	if err := c.store(ctx, d, effects); err != nil {
		return err
	}
	if finished(&d.head) {
		c.afterwards(ctx, d)
	}
	c.show()
	return nil
}

// store stores a desk's head, tells what was decided, and empties its outbox. Until that is done it waits: nothing may be judged on what isn't
// stored. All rollouts wait for one, also where only its subject or key is refused: to let the others go on, its records of the journal would have
// to be kept aside in a bounded queue, and whatever looks at the rollouts of a model (apply, delete, the prev of the next decision) would have to know
// desks that lag behind their stored head. What refuses one alone is a mistake in permissions or limits; readiness, a metric and the log say whose it is,
// heartbeats stop, and once it is mended all go on. A rollout that another process decides for, or whose log lost decisions, is lost, and holds up no other.
func (c *court) store(ctx context.Context, d *desk, effects []decisions.Effect) error {
	now := held{rollout: d.rollout.Name, since: time.Now()}
	defer c.seen.deciding.over()
	var again nag
	for n := 0; ; {
		c.seen.deciding.is(now)
		err := d.store(ctx, c.bus, c.crash, func() { c.tell(effects); effects = nil })
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			if now.why != nil {
				c.log.Info().Str("rollout", now.rollout).Dur("waited_ms", time.Since(now.since)).Msg("this rollout's record and its decisions are stored and published: decisions go on")
			}
			return nil
		case errors.Is(err, bus.ErrLost) && n < claimAttempts:
			n++
			if err = c.reclaims(ctx, d, err); err == nil {
				continue
			}
		}
		if d.lost != nil || errors.Is(err, bus.ErrFenced) || errors.Is(err, bus.ErrLogRegressed) {
			c.lose(ctx, d, err)
			return nil
		}
		if again.due(err) {
			c.log.Warn().Err(err).Str("rollout", now.rollout).Str("model", d.rollout.Model).Dur("waited_ms", time.Since(now.since)).
				Msg("this rollout's record, or a decision in it, is not stored or published yet, and all rollouts wait for it: trying again; look at NATS (its connection, permissions, limits, disk)")
		}
		now.why = err
		pause(ctx, retryAfter)
	}
}

// tell logs what was decided.
func (c *court) tell(effects []decisions.Effect) {
	for _, e := range effects {
		switch {
		case e.Decision != nil:
			d := &e.Decision.Decision
			c.seen.decided(d)
			c.log.WithLevel(levelOfDecision(d)).Str("model", d.Model).Str("rollout", d.Rollout).Str("action", string(d.Action)).Str("phase", string(d.Phase)).
				Str("mode", string(d.Mode)).Int64("epoch", d.Epoch).Int64("seq", d.Seq).Str("id", d.ID).Str("event_time", d.EventTime.String()).Msg(schemas.Readable(d.Reason.Sentence))
			if c.decided != nil {
				c.decided(*d)
			}
		case e.Notice != nil:
			n := e.Notice
			c.seen.noticed(n)
			c.log.WithLevel(levelOf(n.Severity)).Str("model", n.Model).Str("rollout", n.Rollout).Str("event", string(n.Kind)).Func(byWhom(n)).Msg(schemas.Readable(n.Sentence))
		}
	}
}

func sortedDesks(m map[string]*desk) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func sortedPlans(m map[string]windows.Plan) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// partitionsOf are a source's partitions by the kind of what they carry.
func partitionsOf(config *schemas.Config, from []ingest.Partition) engine.Sources {
	var s engine.Sources
	for _, at := range from {
		p := windows.Partition{Topic: at.Topic, Number: at.Number}
		kinds := kindsOf(config, at.Topic)
		if slices.Contains(kinds, schemas.KindPrediction) {
			s.Predictions = append(s.Predictions, p)
		}
		if slices.Contains(kinds, schemas.KindSample) {
			s.Samples = append(s.Samples, p)
		}
	}
	return s
}
