package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"streamcanary/analysis/compare"
	"streamcanary/ingest"
	"streamcanary/schemas"
)

// compareFlags are what the command line says.
type compareFlags struct {
	spec               compare.Spec
	increase, decrease string
	share, rate        string
	alpha, falsePass   string
	buckets            string
	granularity        string
	window             time.Duration
	exitCode           bool
}

func compareCommand(c *console) *cobra.Command {
	cmd := group("compare", "Compare a canary with its baseline on counts or samples from anywhere",
		compareRate(c), compareQuantile(c), compareMean(c), compareDistribution(c, compare.KS), compareDistribution(c, compare.MannWhitney), compareSRM(c))
	cmd.Long = `The statistics alone: reads a CSV file of counts per window, or of samples, and says whether the canary does harm beyond
a margin. The answer is the product's own, by the same tests, and may be looked at after each window: the chance of a false alarm in the
whole file, at whatever window one stops, is at most --alpha.

FILE may be compressed (.gz, .zst); - is standard input. Its first line names the columns; others than those that the help of each
comparison lists are left alone. Rows come in the order of their windows, and the rows of one window add up.
Fields are separated by commas, semicolons or tabs; numbers have a decimal point, and nothing between thousands.

  window     a row's window: a number, or when it starts (2026-01-31T12:00:00Z, 2026-01-31 12:00, Unix seconds or milliseconds)
  time       instead of window: when the row happened; --window says how long a window is (1m)
  arm        whose the row is: baseline or canary; or version, with the versions in --baseline and --canary

--column arm=variation reads the column variation as arm.

--json prints a line for every window, with what is known after it, and a summary: verdict (insufficient, continue, suspect, failed, passed), estimate
with its 95 % interval lower .. upper, valid at all windows at once, log_evidence of failing, which fails at threshold, and log_evidence_pass of keeping
the margin, which passes at threshold_pass. Of the summary, baseline and canary are what was tested, and read is what the file had.
The interval is that of an effect which stays as it is: where it changed beyond doubt, lower is above upper, changed is true, and each bound holds for a time of its own. Where values were rounded (--granularity), evidence is of what they were
before, estimate and interval are of what the file has: such lines have the step as granularity. Of a mean of samples, of which an arm has half or more
at the cap or beyond, capped is what share of them. Of distributions a line also has the Kolmogorov-Smirnov distance (ks) and the
Mann-Whitney p-value (mann_whitney_p) of the window's own samples, and in how many pairs of all so far the canary's sample is above the baseline's
(probability_index): nothing is decided by these three. For instance

  $ head -3 errors.csv
  window,baseline_n,baseline_events,canary_n,canary_events
  2026-01-31T12:00:00Z,1782,14,189,1
  2026-01-31T12:01:00Z,1844,16,200,3
  $ streamcanary compare rate --increase 0.5pp errors.csv`
	return cmd
}

func compareRate(c *console) *cobra.Command {
	cmd, f := comparison(c, compare.Rate)
	cmd.Short = "A share of events, or events per exposure: errors, timeouts, clicks, conversions"
	cmd.Long = `Compares how often something happens. Columns, one arm a row:

  window,arm,n,events                          n could have had the event, events of them had it; without n, every row is one of it
  window,arm,exposure,events                   instead of n: hours, bytes, sessions; a real number, with any number of events (none where it adds up to 0)
  window,arm,unit,n,events                     unit (user, host, bucket), at least of the baseline: measures over-dispersion between them

or both arms in a row (with the names of --baseline and --canary before the _):

  window,baseline_n,baseline_events,canary_n,canary_events

For instance:

  window,arm,n,events
  2026-01-31T12:00:00Z,baseline,1782,14
  2026-01-31T12:00:00Z,canary,189,1
  2026-01-31T12:01:00Z,baseline,1844,16
  2026-01-31T12:01:00Z,canary,200,3

From a Prometheus histogram: n is its count, events is count less the bucket of an edge: how many were slower than that.
From daily cohorts of an experiment: n is the users first seen on the day, events is how many of them converted.`
	cmd.Example = `  streamcanary compare rate --increase 0.5pp errors.csv
  streamcanary compare rate --decrease 2% --prove any --column window=date --column n=users --column events=orders daily.csv.gz`
	f.harm(cmd)
	cmd.Flags().StringVar((*string)(&f.spec.Effects), "effects", "", "the size of `EFFECTS` to look for: incident (5 % up to twentyfold) or engagement (0.5 % to half); default: by the way of harm")
	cmd.Flags().StringVar(&f.rate, "baseline-rate", "", "the baseline's `RATE` as known from before, e.g. 30%: above 10 % a sharper test is taken (default: that of the rows before the canary's first)")
	cmd.Flags().Float64Var(&f.spec.Phi, "phi", 0, "over-dispersion: by how much the events' variance exceeds that of independent ones; where a column unit measures it, until then (default 1.5)")
	return cmd
}

func compareQuantile(c *console) *cobra.Command {
	cmd, f := comparison(c, compare.Quantile)
	cmd.Short = "A quantile of samples: p99 latency, median tokens"
	cmd.Long = `Compares a quantile of samples. Columns, one arm a row:

  time,arm,value                               value in any unit; +Inf is what never ended
  time,arm,value,count                         count samples had that value
  time,arm,unit,value                          unit (user, session) of the baseline: what goes to an arm, and whose values may be alike

For instance:

  time,arm,value
  1769860800.25,baseline,24.3
  1769860800.71,canary,41.9
  1769860801.02,baseline,31.7

` + alikeHelp
	cmd.Example = `  streamcanary compare quantile --quantile 0.99 --increase 20% latencies.csv.gz
  streamcanary compare quantile --quantile 0.5 --increase any --baseline 41 --canary 42 --json samples.csv`
	f.harm(cmd)
	f.ranked(cmd)
	cmd.Flags().Float64VarP(&f.spec.Quantile, "quantile", "q", 0.99, "which `QUANTILE`, between 0 and 1")
	return cmd
}

func compareMean(c *console) *cobra.Command {
	cmd, f := comparison(c, compare.Mean)
	cmd.Short = "The mean of samples: revenue per user, a score, a gauge"
	cmd.Long = `Compares a mean. --cap says what one value counts at most, either way: without it no honest statement about a mean is possible. Columns:

  time,arm,value                               or value,count
  window,arm,n,sum,squares                     of n values: their sum, and the sum of their squares, each value capped
  time,arm,unit,value                          either with unit (user, host) of the baseline: what goes to an arm, and whose values may be alike

or both arms in a row:

  window,baseline_n,baseline_sum,baseline_squares,canary_n,canary_sum,canary_squares

For instance, of users, with the cap 500:

  window,arm,n,sum,squares
  2026-01-30,baseline,4120,13184.50,612034.75
  2026-01-30,canary,455,1402.25,60113.50

Values must be independent of each other, as users' are. Where a user has several, give the baseline's rows by unit (user): once a unit has a second
value, one half of the units, by a hash of their names, is held against the other, window by window, and by how much noisier that is than single values
evidence is divided from the next window on (phi in --json, noise in the text). Nothing is tested in the windows that first tell of it. Until 50 windows
and 200 values of that half have told, the noise is no less than --phi, and than what the sizes of units allow: where they have 20 values each, 20 times
that of single ones. Without the column it is --phi all along, and alike values of one user count for more than they are worth. Of readings that hang
together over time, such as gauges, say --gauge, and give the baseline's rows by unit (host): the noise is measured between them. Where half of an arm's
samples or more are at the cap or beyond, the answer says so (capped with --json): what lies there isn't told apart. Sums don't tell it.`
	cmd.Example = `  streamcanary compare mean --decrease 3% --cap 500 --column n=users --column sum=revenue --column squares=revenue_squares daily.csv
  streamcanary compare mean --gauge --increase 0.05 --cap 1 cpu.csv.gz`
	f.harm(cmd)
	cmd.Flags().Float64Var(&f.spec.Cap, "cap", 0, "what one value counts at most, either way")
	cmd.Flags().Float64Var(&f.spec.Phi, "phi", 0, "by how much the noise exceeds that of independent values, as a factor: with a column unit until that is measured, without it all along (default 1.5)")
	cmd.Flags().BoolVar(&f.spec.Gauge, "gauge", false, "values hang together over time; the file has the baseline's by unit")
	return cmd
}

func compareDistribution(c *console, kind compare.Kind) *cobra.Command {
	cmd, f := comparison(c, kind)
	cmd.Short = "Whole distributions of samples, the tail too, at several quantiles at once (Kolmogorov-Smirnov)"
	if kind == compare.MannWhitney {
		cmd.Short = "Whether samples tend to be greater (Mann-Whitney), quickest where everything is shifted; blind to the tail"
	}
	cmd.Long = cmd.Short + `.
With --increase or --decrease harm has one way; with neither, any difference is harm. Columns, one arm a row:

  time,arm,value                               value in any unit; +Inf is what never ended
  time,arm,value,count                         count samples had that value
  time,arm,unit,value                          unit (user, session) of the baseline: what goes to an arm, and whose values may be alike

For instance:

  time,arm,value
  1769860800.25,baseline,24.3
  1769860800.71,canary,41.9
  1769860801.02,baseline,31.7

` + alikeHelp
	cmd.Example = "  streamcanary compare " + string(kind) + " --increase 20% latencies.csv.gz\n  streamcanary compare " + string(kind) + " --buckets 0:1:1000 scores.csv"
	f.harm(cmd)
	f.ranked(cmd)
	return cmd
}

// alikeHelp says what a test by ranks takes for a witness.
const alikeHelp = `Without a column unit, each row must go to an arm at random by itself: ten alike values of one user would count as ten witnesses. With it, one half of the
baseline's units, by a hash of their names, is held against the other, window by window; by how much noisier that is than rows of their own, evidence is
divided from the next window on (phi in --json, noise in the text). Nothing is tested in the windows that first tell of it (of a p99, 400 rows of the baseline);
until a unit of the baseline has two rows, and where a row names none, each is by itself, whatever --phi says. Without the column --phi says how noisy it is.`

// ranked adds the flags for values that are counted in buckets: of those that may be zero or less, of those that are rounded, and of those that are alike.
func (f *compareFlags) ranked(cmd *cobra.Command) {
	cmd.Flags().Float64Var(&f.spec.Phi, "phi", 0, "by how much the noise exceeds that of rows that go to the arms one by one, as a factor: with a column unit until that is measured, once units have several rows (default 1.5), without it all along (default 1)")
	cmd.Flags().StringVar(&f.granularity, "granularity", "", "values were rounded to multiples of `STEP`, in their own unit, e.g. 5 of milliseconds: the margin is then held for what they were before, as latencyGranularity of a rollout does; of values that were cut off instead, twice that")
	cmd.Flags().StringVar(&f.buckets, "buckets", "", "values may be below zero: count them in `FROM:TO:COUNT` equal buckets, e.g. 0:1:1000; a margin is then a difference, e.g. 0.05")
}

func compareSRM(c *console) *cobra.Command {
	cmd, f := comparison(c, compare.SRM)
	cmd.Short = "The split of units between the arms: sample ratio mismatch"
	cmd.Long = `Tests whether units (users, sessions) are split as planned; without a plan, whether the canary's share stays what it is. Count every
unit once, in the window in which it is first seen: events of one unit all go to one arm, and would prove anything.

Without a plan the first windows with units tell what the share is at first: up to the one with which each arm has had 100 units, at most 20. The
answer says which these are ("at first"; reference in the summary of --json). Whether the share moved within them is tested, too.

Columns:

  window,baseline,canary                       units first seen in the window
  window,baseline,canary,share                 share: the canary's plan in that window, e.g. 10%
  window,arm,n                                 one arm a row; without n, every row is one unit

For instance, a ramp:

  window,baseline,canary,share
  2026-01-30,9512,489,5%
  2026-01-31,9031,1004,10%`
	cmd.Example = `  streamcanary compare srm --share 10% units.csv
  streamcanary compare srm --column baseline=control --column canary=treatment --share 50% units.csv`
	cmd.Flags().StringVar(&f.share, "share", "", "the canary's planned `SHARE`, e.g. 10% (default: the column share, else it must only stay what it is)")
	return cmd
}

// comparison is a command of one kind, with the flags that all have.
func comparison(c *console, kind compare.Kind) (*cobra.Command, *compareFlags) {
	f := &compareFlags{spec: compare.Spec{Kind: kind}}
	cmd := &cobra.Command{
		Use: string(kind) + " FILE",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one CSV file, or - for standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runCompare(c, f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.alpha, "alpha", "", "the `CHANCE` of a false alarm, in the whole file (default "+defaultAlphaText(kind)+")")
	flags.StringVar(&f.spec.Horizon, "horizon", "", "how long you mean to watch, `HORIZON`: a number of windows, or a duration; a late harm is found soonest when that is true, the false alarms don't depend on it (default 1000)")
	flags.DurationVar(&f.window, "window", 0, "the `WIDTH` of a window: of rows with a time (default 1m); of rows with a window only where the first two don't tell")
	flags.StringVar(&f.spec.Baseline, "baseline", "", "what the file calls the baseline `ARM`")
	flags.StringVar(&f.spec.Canary, "canary", "", "what the file calls the canary `ARM`")
	flags.StringToStringVar(&f.spec.Columns, "column", nil, "`OURS=THEIRS`: the file's own name of a column")
	flags.Lookup("column").DefValue = "" // else help shows an empty list
	flags.BoolVar(&f.exitCode, "exit-code", false, "exit with 3 if the canary failed, 4 if it neither failed nor passed")
	return cmd, f
}

func defaultAlphaText(kind compare.Kind) string {
	if kind == compare.SRM {
		return "0.001"
	}
	return "0.01"
}

// harm adds the flags of comparisons with a margin.
func (f *compareFlags) harm(cmd *cobra.Command) {
	flags := cmd.Flags()
	margins := map[compare.Kind]string{compare.Rate: "0.5pp, 20% of the baseline's, or any", compare.Mean: "0.5 in the values' unit, 20% of the baseline's, or any"}
	flags.StringVar(&f.increase, "increase", "", "an increase beyond `MARGIN` is harm: "+cmp.Or(margins[f.spec.Kind], "20% of the baseline's, or any"))
	flags.StringVar(&f.decrease, "decrease", "", "a decrease beyond `MARGIN` is harm")
	flags.StringVar((*string)(&f.spec.Prove), "prove", "beyond", "what must be proven to fail: harm `beyond` the margin, or any harm while the estimate is beyond it")
	flags.StringVar(&f.falsePass, "false-promote", "", "the `CHANCE` of passing a canary that is just beyond the margin (default 0.05)")
}

func runCompare(c *console, f *compareFlags, file string) error {
	s, err := f.complete()
	if err != nil {
		return wrongUse{err}
	}
	text, err := ingest.OpenText(file, c.in)
	if err != nil {
		return wrongUse{err}
	}
	defer text.Close()
	out := json.NewEncoder(c.out)
	var each func(*compare.Window) error
	if c.json {
		each = func(w *compare.Window) error { return out.Encode(w) }
	}
	sum, err := compare.Run(s, compare.Input{Name: file, Text: text}, each)
	var input *compare.InputError
	var spec *compare.SpecError
	switch {
	case errors.As(err, &input), errors.As(err, &spec):
		return wrongUse{err}
	case err != nil:
		return err
	case c.json:
		err = out.Encode(sum)
	default:
		err = sum.Write(c.out)
	}
	if err != nil || !f.exitCode {
		return err
	}
	return compareStatus(sum.Verdict)
}

// complete is the Spec that the flags ask for.
func (f *compareFlags) complete() (compare.Spec, error) {
	s := f.spec
	switch {
	case f.increase != "" && f.decrease != "":
		return s, errors.New("--increase and --decrease: harm has one way, so give one of them, and compare twice for both")
	case f.increase != "":
		s.Direction, s.Margin = schemas.Increase, f.increase
	case f.decrease != "":
		s.Direction, s.Margin = schemas.Decrease, f.decrease
	case s.Kind != compare.SRM && s.Kind != compare.KS && s.Kind != compare.MannWhitney:
		return s, errors.New("which way is harm? give --increase MARGIN or --decrease MARGIN, e.g. --increase 20% or --increase any")
	}
	for _, one := range []struct {
		flag, text string
		to         *float64
	}{{"share", f.share, &s.Share}, {"baseline-rate", f.rate, &s.BaselineRate}} {
		if one.text == "" {
			continue
		}
		var err error
		if *one.to, err = compare.ParseShare(one.text); err != nil {
			return s, fmt.Errorf("--%s: %w", one.flag, err)
		}
	}
	for _, one := range []struct {
		flag, text string
		to         *float64
	}{{"alpha", f.alpha, &s.Alpha}, {"false-promote", f.falsePass, &s.FalsePromote}} {
		chance, err := compare.ParseShare(one.text)
		if one.text != "" && err != nil {
			return s, fmt.Errorf("--%s %q: write a chance above 0 and below 1, e.g. 0.01 or 1%%", one.flag, one.text)
		}
		*one.to = chance
	}
	if f.buckets != "" {
		b, err := compare.ParseBuckets(f.buckets)
		if err != nil {
			return s, fmt.Errorf("--buckets: %w", err)
		}
		s.Buckets = b
	}
	if f.granularity != "" {
		step, err := compare.ParseGranularity(f.granularity)
		if err != nil {
			return s, fmt.Errorf("--granularity: %w", err)
		}
		s.Granularity = step
	}
	if f.window < 0 || f.window%time.Millisecond != 0 {
		return s, errors.New("--window " + strconv.Quote(f.window.String()) + ": write whole milliseconds, e.g. 1m")
	}
	s.WidthMs = f.window.Milliseconds()
	return s, nil
}

// compareStatus is how a verdict becomes an exit status.
func compareStatus(verdict schemas.State) error {
	switch verdict {
	case schemas.StateFailed:
		return exit{exitRollback}
	case schemas.StatePassed:
		return nil
	}
	return exit{exitOpen}
}
