package certify

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// An Experiment plays many runs of one world, and makes rows of how they went.
type Experiment struct {
	// Group and Name tell it apart: "type-I/ramp/margins".
	Group, Name string
	About       string
	// Runs is how many runs the certificate takes, at least; fewer show, but prove little.
	Runs int
	// begin prepares the runs; play is called from many goroutines, each run once, and rows when all are over.
	begin func(runs int) trial
}

// ID is what a choice of experiments names.
func (e *Experiment) ID() string { return e.Group + "/" + e.Name }

// A trial is an experiment at work.
type trial interface {
	// play plays one run. Each call of source starts the run's random numbers anew.
	play(run int, source func() *rand.Rand)
	rows() []Row
}

// Options choose what Run plays.
type Options struct {
	// Seed is the runs' seed: run i of an experiment depends on it, on the experiment's name and on i alone.
	Seed uint64
	// Runs of each experiment; 0: as many as each asks for.
	Runs int
	// Worlds chooses experiments: the one of which a word is the whole name, else those that it matches; empty: all.
	Worlds []string
	// Parallel is how many runs are played at once; 0: one for each processor.
	Parallel int
	// Progress, where given, hears after each run; from one goroutine at a time.
	Progress func(e *Experiment, done, of int)
	// Done, where given, is a report of the same seed and program: experiments that it has with as many runs are not played again.
	Done *Report
	// Save, where given, gets the report after each experiment; its error ends the battery.
	Save func(r *Report) error
}

// Run plays the chosen experiments of a battery, one after the other, and returns what they found. The error is the context's, or Save's, or says that
// nothing was chosen.
func Run(ctx context.Context, battery []Experiment, o Options) (*Report, error) {
	r := &Report{Seed: o.Seed}
	for i := range battery {
		e := &battery[i]
		if !chosen(battery, e, o.Worlds) {
			continue
		}
		rows, err := e.rows(ctx, &o)
		if err != nil {
			return nil, fmt.Errorf("certify %s: %w", e.ID(), err)
		}
		r.Rows = append(r.Rows, rows...)
		if o.Save == nil {
			continue
		}
		if err := o.Save(r); err != nil {
			return nil, fmt.Errorf("certify %s: %w", e.ID(), err)
		}
	}
	if len(r.Rows) == 0 {
		return nil, fmt.Errorf("certify: no experiment is called %s", strings.Join(o.Worlds, " or "))
	}
	return r, nil
}

// rows plays the experiment, unless that is done.
func (e *Experiment) rows(ctx context.Context, o *Options) ([]Row, error) {
	runs := o.Runs
	if runs <= 0 {
		runs = e.Runs
	}
	if rows := o.Done.of(e, runs); len(rows) > 0 {
		return rows, ctx.Err()
	}
	t := e.begin(runs)
	if err := playAll(ctx, t, playing{e: e, runs: runs, o: o}); err != nil {
		return nil, err
	}
	rows := t.rows()
	for i := range rows {
		row := &rows[i]
		row.Group, row.Experiment, row.About, row.Asked = e.Group, e.Name, e.About, runs
		if row.Runs == 0 {
			row.Runs = runs
		}
		if row.Value == nil {
			row.Upper = number(upperRate(row.Count, row.Runs, .95))
		}
	}
	return rows, nil
}

// Matches reports whether a word chooses the experiment: one that its group or a part of its name begins with.
func (e *Experiment) Matches(word string) bool { return strings.Contains("/"+e.ID(), "/"+word) }

// chosen says whether some word chooses an experiment of the battery.
func chosen(battery []Experiment, e *Experiment, words []string) bool {
	return len(words) == 0 || slices.ContainsFunc(words, func(word string) bool {
		whole := slices.ContainsFunc(battery, func(o Experiment) bool { return o.ID() == word })
		return word == e.ID() || !whole && e.Matches(word)
	})
}

type playing struct {
	e    *Experiment
	runs int
	o    *Options
}

// playAll plays every run; each has a random source of its own.
func playAll(ctx context.Context, t trial, p playing) error {
	parallel := p.o.Parallel
	if parallel <= 0 {
		parallel = runtime.GOMAXPROCS(0)
	}
	name := fnv.New64a()
	_, _ = name.Write([]byte(p.e.ID()))
	seed := p.o.Seed ^ name.Sum64()
	var next atomic.Int64
	var wait sync.WaitGroup
	var telling sync.Mutex
	done := 0
	for range parallel {
		wait.Go(func() {
			for ctx.Err() == nil {
				run := int(next.Add(1)) - 1
				if run >= p.runs {
					return
				}
				t.play(run, func() *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(run))) })
				telling.Lock()
				if done++; p.o.Progress != nil {
					p.o.Progress(p.e, done, p.runs)
				}
				telling.Unlock()
			}
		})
	}
	wait.Wait()
	return ctx.Err()
}
