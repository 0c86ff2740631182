package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"streamcanary/analysis"
	"streamcanary/decisions"
	"streamcanary/ingest"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// ReplayOptions say how a past log is judged.
type ReplayOptions struct {
	Limits   windows.Limits
	Seal     bool                               // judge what is still open at the end of the log, too
	Segments bool                               // tell of every segment at the end, with intervals of ratios
	Continue bool                               // go on judging after a rollback or a promotion
	Decided  func(d schemas.Decision, was bool) // called for each decision, in order; was: it is counterfactual
	Noticed  func(n schemas.Notice)             // called for what people would have heard of beside the decisions
	Read     func()                             // called after each batch that was read; for progress
	Judged   func(*Fold)                        // called after each batch that judged something
	Merged   func(*windows.Part)                // called for each merged part, in order; its memory is the engine's again on return
	Letters  ingest.DeadLetters                 // gets the bad events; nil: they are only counted
	Program  string
}

// A Summary is what a replay leaves behind.
type Summary struct {
	Report
	Decisions  int
	Partial    bool // the source could not be read to its end
	Counts     windows.Counts
	Unreadable int64   // records that don't say of which kind they would be, such as broken JSON in a log that mixes kinds
	Forced     int64   // windows judged out of their order because too many waited
	Outrun     int64   // events that are late because the other kinds of their log were too far ahead of them
	Splits     []Split // stages of which the log has another split than they plan: they were judged by the log's own
	Lost       int64   // predictions and outcomes that a bound of Limits left no room for
}

// Replay judges a rollout on a source of past events, to its end. Nobody acknowledges and nothing is re-routed: what comes after the
// first decision that would have changed the traffic is marked counterfactual. The log's own split is taken as the plan, whatever the stages' weights are (Summary.Splits):
// a past with another split than planned is the rule, and one that is off the plan passes nothing. Where the source fails, the summary is of what could be read (Partial).
func Replay(ctx context.Context, r *schemas.Rollout, src ingest.Source, o ReplayOptions) (Summary, error) {
	p, err := newReplay(r, src, o)
	if err != nil {
		return Summary{}, err
	}
	err = p.read(ctx, src)
	if err == nil || p.partial {
		err = errors.Join(err, p.finish(ctx))
	}
	return p.summary(), err
}

// read takes every batch of the source.
func (p *replay) read(ctx context.Context, src ingest.Source) error {
	for {
		b, err := src.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			p.partial = true
			return err
		}
		err = p.batch(ctx, b)
		b.Release()
		if err != nil {
			return err
		}
		if p.options.Read != nil {
			p.options.Read()
		}
	}
}

// finish ends all logs, and judges what that lets seal.
func (p *replay) finish(ctx context.Context) error {
	p.stage.Finish(p.options.Seal)
	if err := p.intake.Rejected(ctx); err != nil {
		return err
	}
	if err := p.sealed(); err != nil {
		return err
	}
	p.fold.Finish()
	return p.judge()
}

// replay is one call of Replay.
type replay struct {
	options   ReplayOptions
	rollout   *schemas.Rollout
	stage     *windows.Stage
	intake    *Intake
	fold      *Fold
	head      decisions.Head
	decided   int
	different bool // a decision changed what the past did
	partial   bool // the source could not be read to its end
	splits    splits
}

// replayEpoch is the epoch of every replay: its first decision is numbered as a first live one would be.
const replayEpoch = 1

func newReplay(r *schemas.Rollout, src ingest.Source, o ReplayOptions) (*replay, error) {
	p := &replay{options: o, rollout: r, stage: windows.NewStage(o.Limits), head: decisions.NewHead(0)}
	var sources Sources
	p.intake = NewIntake(p.stage, src.Partitions(), o.Letters)
	for _, at := range src.Partitions() {
		partition := windows.Partition{Topic: at.Topic, Number: at.Number}
		p.stage.AddPartition(partition, schemas.KindPrediction, schemas.KindOutcome, schemas.KindSample)
		sources.Predictions = append(sources.Predictions, partition)
		sources.Samples = append(sources.Samples, partition)
	}
	plan := PlanOf(r, replayEpoch, earliest)
	if err := p.stage.SetPlan(plan); err != nil {
		return nil, err
	}
	p.fold = newFold(observed(r), &plan, sources, analysis.Options{SegmentRatios: o.Segments})
	p.fold.Begin(earliest)
	return p, nil
}

// observed is a rollout whose stages plan no weights: a replay can't move the past's traffic, so the split observed is the plan.
func observed(r *schemas.Rollout) *schemas.Rollout {
	o := *r
	o.Stages = slices.Clone(r.Stages)
	for i := range o.Stages {
		o.Stages[i].WeightBP, o.Stages[i].MirrorBP = 0, 0
	}
	return &o
}

// earliest is before every event: a replay judges from the first window in which both arms have data.
const earliest = 0

// batch takes one batch of one partition.
func (p *replay) batch(ctx context.Context, b *ingest.Batch) error {
	for i := range b.Items {
		if err := p.intake.Take(ctx, b, i); err != nil {
			return err
		}
	}
	if b.End && p.stage.Held(b.Partition) == 0 { // what is held is settled when all logs have ended
		p.stage.Idle(b.Partition, true) // so that the others need not wait for it
	}
	if err := p.intake.Rejected(ctx); err != nil {
		return err
	}
	if err := p.sealed(); err != nil {
		return err
	}
	return p.judge()
}

// sealed hands what stage one sealed to stage two.
func (p *replay) sealed() error {
	for _, s := range p.stage.Sealed() {
		if err := p.fold.Add(s.Key, s.Part); err != nil {
			return fmt.Errorf("merge window %s: %w", schemas.Time(s.Key.StartMs), err)
		}
	}
	return nil
}

// judge takes every part that is due.
func (p *replay) judge() error {
	some := false
	for {
		t, due := p.fold.Next()
		if !due {
			break
		}
		some = true
		p.weigh(t.Part)
		if p.options.Merged != nil {
			p.options.Merged(t.Part)
		}
		for _, in := range p.inputs(&t) {
			if err := p.take(in); err != nil {
				return err
			}
		}
	}
	if some && p.options.Judged != nil {
		p.options.Judged(p.fold)
	}
	return nil
}

// inputs are what a turn means to the state machine.
func (p *replay) inputs(t *Turn) []decisions.Input {
	var in []decisions.Input
	if t.Begun {
		terms := decisions.TermsOf(p.rollout)
		terms.Unattended, terms.Program = true, p.options.Program
		in = append(in, decisions.Input{Kind: decisions.InputApplied, EventMs: t.StartMs, Applied: &decisions.Applied{
			Terms: terms, Epoch: replayEpoch, Actor: schemas.Actor{Kind: "engine"},
		}})
	}
	if t.Verdict != nil {
		in = append(in, decisions.Input{Kind: decisions.InputVerdict, EventMs: t.EventMs, Verdict: t.Verdict})
	}
	return in
}

// take folds an input and tells of what was decided.
func (p *replay) take(in decisions.Input) error {
	in.Turn = p.fold.Turns()
	head, effects, err := p.head.Take(in)
	if err != nil {
		return err
	}
	head.Outbox = nil // nobody is there to publish to
	p.head = head
	p.fold.Walk(head.State.Begun)
	p.fold.Return(head.State.Returns)
	for _, e := range effects {
		if e.Notice != nil && p.options.Noticed != nil {
			p.options.Noticed(*e.Notice)
		}
		if e.Decision == nil {
			continue
		}
		d := &e.Decision.Decision
		p.fold.Decided(d)
		p.decided++
		if p.options.Decided != nil {
			p.options.Decided(*d, p.different)
		}
		if d.Action == schemas.ActionRollback || d.Action == schemas.ActionPromote {
			p.different = true
			if !p.options.Continue {
				p.fold.Rest()
			}
		}
	}
	return nil
}

func (p *replay) summary() Summary {
	counts, stats := p.stage.Counts(), p.stage.Stats()
	return Summary{
		Report: p.fold.Report(), Decisions: p.decided, Partial: p.partial, Counts: counts,
		Unreadable: counts.Of(schemas.KindUnknown, windows.Invalid), Forced: p.fold.MergerStats().Forced,
		Splits: p.splits.offPlan(p.rollout), Outrun: stats.Outrun, Lost: stats.LostPredictions + stats.LostOutcomes + stats.ForgottenOutcomes,
	}
}
