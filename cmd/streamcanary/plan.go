package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"streamcanary/analysis/plan"
	"streamcanary/cmd/engine"
	"streamcanary/ingest"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// planFlags are what the command line says.
type planFlags struct {
	rollout, traffic, share                       string
	logs                                          []string
	requests                                      float64
	rates, quantiles, samples, means, phis, harms []string
	models                                        int
	rollouts                                      float64
	runs                                          int
	seed                                          uint64
}

func planCommand(c *console) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan --rollout FILE",
		Short: "How long each guardrail needs, before anything runs",
		Long: `Says for each guardrail and stage of a rollout how many canary requests, and how long, it needs to be suspect and to fail at a stated harm, and
to pass where there is none; which harm is the smallest that the stage finds, by proof or by patience; what requiring a guardrail to pass would cost; and
how many false rollbacks a fleet must expect a year.

The baseline's traffic is surveyed from a log (--log, read as replay reads it), or stated: with flags, or in a file (--traffic) with the same
names. Every figure is the median of small simulations that the judge itself judges, within about a quarter of what many would say (--runs). Of a
mean of outcomes or samples that takes more than 400 windows it is about a half, which is said then. ~ marks what takes longer than eight times the
stage: it is reckoned, for rates by their test on the counts to expect, else from the pace of the evidence so far.

HARM is what SUSPECT and FAILS are of (--harm; else twice the margin; of a limit the level itself). "1.2k in 57s" is 1,200 canary requests, 57 s after the first of
them. SMALLEST HARM FOUND is found within the stage in 4 of 5 cases. RISK is the guardrail's share of falseRollback. PHI is how noisy the test takes the events
to be, as measured by the time it fails (of quantiles against the baseline, ks and mann-whitney as stated or surveyed); - where it needs no such figure.

A file of traffic has what is known, and each of its keys but requests may be left out:

  requests: 200
  share: 10%
  rates: {error: 0.1%, timeout: 0.01%, click: 2%, cpu: 1%}
  quantiles: {latency: {p50: 20ms, p99: 120ms}}
  samples: {cpu: 2}
  means: {purchase: {mean: 3.2, deviation: 20}}
  phi: {click: 1.2}`,
		Example: `  streamcanary plan --rollout ranker-42.yaml --log yesterday.ndjson.gz --share 10%
  streamcanary plan --rollout ranker-42.yaml --requests 200 --share 10% \
      --rate error=0.1% --rate click=2% --quantile latency=p50:20ms,p99:120ms --harm errors=1pp
  streamcanary plan --rollout ranker-42.yaml --traffic traffic.yaml --models 200 --rollouts-per-model 50`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return runPlan(cmd, c, f) },
	}
	rolloutFlag(cmd, &f.rollout)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.logs, "log", nil, "survey the traffic in a log, as replay reads it: `FILE`, or - for standard input; repeat for several partitions")
	flags.StringVar(&f.traffic, "traffic", "", "the traffic as a `FILE` (YAML): requests, share, rates, quantiles, samples, means, phi")
	flags.Float64Var(&f.requests, "requests", 0, "`REQUESTS` a second, both arms together")
	flags.StringVar(&f.share, "share", "", "the canary's `SHARE` of them, e.g. 10%, where a stage has no weight")
	flags.StringArrayVar(&f.rates, "rate", nil, "a rate of the baseline: `NAME=SHARE`, e.g. error=0.1%")
	flags.StringArrayVar(&f.quantiles, "quantile", nil, "two or more quantiles of the baseline: `NAME=LIST`, e.g. latency=p50:20ms,p99:120ms")
	flags.StringArrayVar(&f.samples, "samples", nil, "readings of a resource a second, of all hosts together: `NAME=NUMBER`, e.g. cpu=2")
	flags.StringArrayVar(&f.means, "mean", nil, "mean and standard deviation of values: `NAME=MEAN:DEVIATION`, e.g. purchase=3.2:20")
	flags.StringArrayVar(&f.phis, "phi", nil, "over-dispersion, where it is known: `NAME=NUMBER`, e.g. click=1.2; else events are drawn independently")
	flags.StringArrayVar(&f.harms, "harm", nil, "plan for this harm: `GUARDRAIL=HARM`, e.g. errors=1pp; default: twice the margin")
	flags.IntVar(&f.models, "models", 1, "how many `MODELS` the fleet has")
	flags.Float64Var(&f.rollouts, "rollouts-per-model", 52, "how many `ROLLOUTS` each model has a year")
	flags.IntVar(&f.runs, "runs", plan.UsualRuns, "simulated `RUNS` for each figure; more take longer, and vary less")
	flags.Uint64Var(&f.seed, "seed", 1, "`SEED` of the simulations: the same one gives the same figures")
	return cmd
}

func runPlan(cmd *cobra.Command, c *console, f planFlags) error {
	r, err := readRollout(c, f.rollout)
	if err != nil {
		return err
	}
	if cmd.Flags().Changed("requests") && f.requests == 0 {
		return wrongUse{errors.New("--requests 0: write a number above 0, of requests a second")}
	}
	if err := f.check(); err != nil {
		return wrongUse{err}
	}
	options := plan.Options{Runs: f.runs, Seed: f.seed, Harms: map[string]schemas.Margin{}}
	if err := f.readHarms(r, options.Harms); err != nil {
		return wrongUse{err}
	}
	var t plan.Traffic
	if len(f.logs) > 0 {
		t, err = f.survey(cmd, c, r)
	} else {
		t, err = f.stated(c, r)
	}
	if err != nil {
		return err
	}
	stages, err := plan.Make(r, t, options)
	if err != nil {
		return wrongUse{fmt.Errorf("%w%s", err, shareHint(err))}
	}
	out := planPrinter{console: c, rollout: r, traffic: &t}
	fleet := plan.FleetOf(r, f.models, f.rollouts)
	if c.json {
		return out.asJSON(stages, fleet)
	}
	return out.asText(stages, fleet)
}

// shareHint says how to state a share that is missing.
func shareHint(err error) string {
	switch {
	case errors.Is(err, plan.ErrNoShare):
		return ": say e.g. --share 10%, or give the stage a weight"
	case errors.Is(err, plan.ErrShareOfPart):
		return ": say e.g. --share 50%"
	}
	return ""
}

func (f *planFlags) check() error {
	stated := len(f.rates)+len(f.quantiles)+len(f.samples)+len(f.means)+len(f.phis) > 0
	switch {
	case len(f.logs) > 0 && (f.traffic != "" || stated):
		return errors.New("the traffic is surveyed from --log: leave out --traffic, --rate, --quantile, --samples, --mean and --phi (--requests and --share may stand beside it)")
	case len(f.logs) == 0 && f.traffic == "" && f.requests == 0:
		return errors.New("nothing is known of the traffic: name a log with --log FILE, or state it with --requests 200 --rate error=0.1% …, or with --traffic FILE")
	case f.requests < 0 || f.requests > 1e9 || f.requests != f.requests:
		return fmt.Errorf("--requests %g: write a number above 0, of requests a second", f.requests)
	case f.models < 1 || f.rollouts < 0:
		return fmt.Errorf("--models %d, --rollouts-per-model %g: write numbers from 1 on", f.models, f.rollouts)
	case f.runs < 1 || f.runs > 999:
		return fmt.Errorf("--runs %d: write a number from 1 to 999", f.runs)
	}
	return nil
}

// readHarms reads what to plan for, as the guardrail's own margin is written.
func (f *planFlags) readHarms(r *schemas.Rollout, harms map[string]schemas.Margin) error {
	for _, text := range f.harms {
		name, harm, found := strings.Cut(text, "=")
		if !found {
			return fmt.Errorf("--harm %q: write GUARDRAIL=HARM, e.g. errors=1pp", text)
		}
		var names []string
		for i := range r.Guardrails {
			g := &r.Guardrails[i]
			names = append(names, g.Name)
			if g.Name != name {
				continue
			}
			m, err := g.ParseMargin(strings.TrimLeft(harm, "+-"))
			if err == nil && m.Value == 0 {
				err = fmt.Errorf("%s is no harm: write how much, e.g. 10%%", harm)
			}
			if err != nil {
				return fmt.Errorf("--harm %s: %w", text, err)
			}
			m.Text = plan.HarmText(g, m)
			harms[name] = m
		}
		if _, known := harms[name]; !known {
			return fmt.Errorf("--harm %s: no guardrail is called %q: there are %s", text, name, strings.Join(names, ", "))
		}
	}
	return nil
}

// survey reads a log as replay does, and looks at what it merged.
func (f *planFlags) survey(cmd *cobra.Command, c *console, r *schemas.Rollout) (plan.Traffic, error) {
	if err := checkLogs(f.rollout, f.logs); err != nil {
		return plan.Traffic{}, err
	}
	src, err := ingest.OpenLogs(f.logs, ingest.LogOptions{Stdin: c.in})
	if err != nil {
		return plan.Traffic{}, wrongUse{err}
	}
	defer src.Close()
	bar := newProgress(c.err)
	survey := plan.NewSurvey(r)
	sum, err := engine.Replay(cmd.Context(), r, src, engine.ReplayOptions{
		Program: program(), Merged: func(p *windows.Part) { survey.Add(p) }, Read: func() { bar.show(replayProgress(src.Progress())) },
	})
	bar.done()
	if err != nil {
		return plan.Traffic{}, err
	}
	t, err := survey.Traffic()
	if err != nil {
		return t, wrongUse{fmt.Errorf("survey %s: %w%s", strings.Join(f.logs, ", "), err, unreadHint(sum.Unreadable))}
	}
	if sum.Unreadable > 0 {
		fmt.Fprintf(c.err, "warning: survey %s%s\n", strings.Join(f.logs, ", "), unreadHint(sum.Unreadable))
	}
	if f.requests > 0 {
		t = t.Scaled(f.requests)
	}
	if f.share != "" {
		t.Share, err = shareFlag(f.share)
	}
	return t, err
}

// unreadHint says how many records of a log say nothing; empty: none.
func unreadHint(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; records that could not be read: %d", n)
}

// stated puts together what a file and flags say; flags hold over the file.
func (f *planFlags) stated(c *console, r *schemas.Rollout) (plan.Traffic, error) {
	s := &schemas.Traffic{
		Rates: map[string]float64{}, Quantiles: map[string][]schemas.QuantileValue{}, Samples: map[string]float64{},
		Means: map[string]schemas.MeanValue{}, Phi: map[string]float64{},
	}
	if f.traffic != "" {
		data, err := readFile(c, f.traffic, "traffic")
		if err != nil {
			return plan.Traffic{}, err
		}
		if s, err = schemas.ParseTraffic(f.traffic, data); err != nil {
			return plan.Traffic{}, asUse(err)
		}
	}
	if f.requests > 0 {
		s.Requests = f.requests
	}
	if err := f.addTo(s); err != nil {
		return plan.Traffic{}, err
	}
	if unused := plan.Unused(r, s); len(unused) > 0 {
		fmt.Fprintf(c.err, "warning: no guardrail goes by what is stated of %s\n", strings.Join(unused, ", "))
	}
	return plan.Stated(r, s), nil
}

// addTo adds what flags state.
func (f *planFlags) addTo(s *schemas.Traffic) (err error) {
	if f.share != "" {
		if s.Share, err = shareFlag(f.share); err != nil {
			return err
		}
	}
	kinds := []struct {
		flag, example string
		given         []string
		add           func(name, value string) error
	}{
		{"rate", "error=0.1%", f.rates, func(name, value string) (err error) { s.Rates[name], err = schemas.ParseShare(value); return err }},
		{"quantile", "latency=p50:20ms,p99:120ms", f.quantiles, func(name, value string) (err error) { s.Quantiles[name], err = quantilesFlag(name, value); return err }},
		{"samples", "cpu=2", f.samples, func(name, value string) (err error) { s.Samples[name], err = numberFlag(value, 0); return err }},
		{"mean", "purchase=3.2:20", f.means, func(name, value string) (err error) { s.Means[name], err = meanFlag(value); return err }},
		{"phi", "click=1.2", f.phis, func(name, value string) (err error) { s.Phi[name], err = numberFlag(value, 1); return err }},
	}
	for _, k := range kinds {
		for _, text := range k.given {
			name, value, found := strings.Cut(text, "=")
			if !found || name == "" {
				return wrongUse{fmt.Errorf("--%s %q: write e.g. %s", k.flag, text, k.example)}
			}
			if err := k.add(name, value); err != nil {
				return wrongUse{fmt.Errorf("--%s %s: %w", k.flag, text, err)}
			}
		}
	}
	return nil
}

func shareFlag(text string) (float64, error) {
	share, err := schemas.ParseShare(text)
	if err == nil && (share <= 0 || share >= 1) {
		err = errors.New("it leaves one arm without traffic: write a share between 0% and 100%")
	}
	if err != nil {
		return 0, wrongUse{fmt.Errorf("--share %s: %w", text, err)}
	}
	return share, nil
}

func quantilesFlag(name, list string) ([]schemas.QuantileValue, error) {
	var points []schemas.QuantileValue
	for one := range strings.SplitSeq(list, ",") {
		quantile, value, _ := strings.Cut(one, ":")
		point, err := schemas.ParseQuantileValue(name, quantile, value)
		if err != nil {
			return nil, err
		}
		points = append(points, point)
	}
	return points, schemas.CheckQuantiles(points)
}

func numberFlag(text string, least float64) (float64, error) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || x < least || x == 0 || x > 1e9 || x != x {
		return 0, fmt.Errorf("%q: write a number above 0, and no less than %g", text, least)
	}
	return x, nil
}

func meanFlag(text string) (schemas.MeanValue, error) {
	mean, deviation, _ := strings.Cut(text, ":")
	m, err := strconv.ParseFloat(mean, 64)
	d, wrong := strconv.ParseFloat(deviation, 64)
	if err = errors.Join(err, wrong); err != nil || d < 0 || m != m || d != d {
		return schemas.MeanValue{}, fmt.Errorf("%q: write the mean and the standard deviation, e.g. 3.2:20", text)
	}
	return schemas.MeanValue{Mean: m, Deviation: d}, nil
}
