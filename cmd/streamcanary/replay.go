package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"streamcanary/analysis"
	"streamcanary/cmd/engine"
	"streamcanary/ingest"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// replayFlags are what the command line says.
type replayFlags struct {
	rollout, atEnd, invalid, kind string
	exitCode, goOn, segments      bool
}

func replayCommand(c *console) *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay --rollout FILE LOG...",
		Short: "Judge a past log again",
		Long: `Reads past events and judges a rollout on them exactly as serve would have, if the log's own split were planned; much faster.

A LOG is a file of JSON events, one a line, plain or compressed (.gz, .zst); - is standard input. Several files are
several partitions: give them together when the events of one log were split. Replay judges; it cannot re-route the past: what
comes after the first rollback or promotion is marked counterfactual. Nor does a log mostly have the split that the stages plan
(weight): what it has is taken as the plan, and the summary says where that is another one. serve holds the traffic to the
plan: while the canary's share is off it, that is told, and nothing passes.`,
		Example: `  streamcanary replay --rollout ranker-42.yaml events.ndjson.gz
  streamcanary replay --rollout ranker-42.yaml --json --exit-code part-*.ndjson.zst`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no log: name one or more files, or - for standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runReplay(cmd, c, f, args) },
	}
	rolloutFlag(cmd, &f.rollout)
	cmd.Flags().StringVar(&f.atEnd, "at-end", "pending", "what is still open at the end of the log: `pending` or seal (judge it, too)")
	cmd.Flags().StringVar(&f.invalid, "invalid", "", "write bad events to `FILE`, with the reason of each")
	cmd.Flags().StringVar(&f.kind, "type", "", "the `TYPE` of every event, for logs that don't say: prediction, outcome or sample")
	cmd.Flags().BoolVar(&f.exitCode, "exit-code", false, "exit with 3 if the verdict is rollback, 4 if it is neither that nor promote")
	cmd.Flags().BoolVar(&f.goOn, "continue", false, "go on judging after a rollback or a promotion")
	cmd.Flags().BoolVar(&f.segments, "segments", false, "say of every segment how it stands, with the interval of its ratio; without it only of those that failed or are suspect")
	return cmd
}

func runReplay(cmd *cobra.Command, c *console, f replayFlags, logs []string) (err error) {
	if err := checkLogs(f.rollout, logs); err != nil {
		return err
	}
	if err := notRead(f.invalid, "--invalid", append(slices.Clone(logs), f.rollout)); err != nil {
		return err
	}
	r, err := readRollout(c, f.rollout)
	if err != nil {
		return err
	}
	if f.atEnd != "pending" && f.atEnd != "seal" {
		return wrongUse{fmt.Errorf("--at-end %q: it is pending or seal", f.atEnd)}
	}
	want, err := kindOf(f.kind)
	if err != nil {
		return err
	}
	src, err := ingest.OpenLogs(logs, ingest.LogOptions{Want: want, Stdin: c.in})
	if err != nil {
		return wrongUse{err}
	}
	defer src.Close()
	bar := newProgress(c.err)
	out := &replayPrinter{console: c, bar: bar}
	o := engine.ReplayOptions{Seal: f.atEnd == "seal", Continue: f.goOn, Segments: f.segments, Decided: out.decided, Noticed: out.noticed, Program: program(),
		Read: func() { bar.show(replayProgress(src.Progress())) }}
	o.Letters = &out.bad
	if f.invalid != "" {
		close, err := invalidFile(f.invalid, &out.bad)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, close()) }()
	}
	s, err := engine.Replay(cmd.Context(), r, src, o)
	bar.done()
	if err == nil || (s.Partial && s.Counts != windows.Counts{}) {
		err = errors.Join(err, out.err, out.summary(r, &s))
	}
	if err != nil {
		return err
	}
	return verdictStatus(f.exitCode, s.Verdict)
}

// notYet are the kinds of logs that can't be read yet, by what their names begin or end with.
var notYet = []struct{ prefix, suffix, what string }{
	{"kafka://", "", "Kafka"}, {"", ".csv", "CSV"}, {"", ".csv.gz", "CSV"}, {"", ".parquet", "Parquet"},
}

// checkLogs refuses what would be read as something that it isn't, or twice.
func checkLogs(rollout string, logs []string) error {
	var seen []os.FileInfo
	for _, name := range logs {
		for _, k := range notYet {
			if strings.HasPrefix(name, k.prefix) && strings.HasSuffix(name, k.suffix) {
				return wrongUse{fmt.Errorf("read log %s: %s is not supported yet: give JSON, one event a line", name, k.what)}
			}
		}
		if name == "-" {
			if rollout == "-" {
				return wrongUse{errors.New("standard input (-) can't be both the rollout and a log")}
			}
			continue
		}
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() {
			continue // opening it says what is wrong with it
		}
		for _, other := range seen {
			if os.SameFile(info, other) {
				return wrongUse{fmt.Errorf("read log %s: the same file is named twice, and its events would count twice", name)}
			}
		}
		seen = append(seen, info)
	}
	return nil
}

// notRead refuses to write a file that is read.
func notRead(path, what string, read []string) error {
	info, err := os.Stat(path)
	if path == "" || err != nil {
		return nil
	}
	for _, name := range read {
		if other, err := os.Stat(name); err == nil && os.SameFile(info, other) {
			return wrongUse{fmt.Errorf("%s %s: this file is read, and would be lost: name another", what, path)}
		}
	}
	return nil
}

// verdictStatus is how a verdict becomes an exit status.
func verdictStatus(wanted bool, v analysis.VerdictAction) error {
	switch {
	case !wanted || v == analysis.VerdictPromote:
		return nil
	case v == analysis.VerdictRollback:
		return exit{exitRollback}
	}
	return exit{exitOpen}
}

func kindOf(name string) (schemas.Kind, error) {
	for _, k := range []schemas.Kind{schemas.KindPrediction, schemas.KindOutcome, schemas.KindSample} {
		if k.String() == name {
			return k, nil
		}
	}
	if name == "" {
		return schemas.KindUnknown, nil
	}
	return 0, wrongUse{fmt.Errorf("type %q: it is prediction, outcome or sample", name)}
}

// badEvents counts bad events by their reason, and hands them on.
type badEvents struct {
	reasons map[ingest.Reason]int64
	to      ingest.DeadLetters // nil: nowhere
}

// Write is ingest.DeadLetters'.
func (b *badEvents) Write(ctx context.Context, l *ingest.DeadLetter) error {
	if b.reasons == nil {
		b.reasons = map[ingest.Reason]int64{}
	}
	b.reasons[l.Invalid.Reason]++
	if b.to == nil {
		return nil
	}
	return b.to.Write(ctx, l)
}

// Flush is ingest.DeadLetters'.
func (b *badEvents) Flush(ctx context.Context) error {
	if b.to == nil {
		return nil
	}
	return b.to.Flush(ctx)
}

// text is e.g. "2 broken_json, 1 too_big"; "" is none.
func (b *badEvents) text() string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(b.reasons)) {
		parts = append(parts, fmt.Sprintf("%d %s", b.reasons[reason], reason))
	}
	return strings.Join(parts, ", ")
}

// invalidFile opens the file for bad events, and says how to close it.
func invalidFile(path string, b *badEvents) (func() error, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, wrongUse{fmt.Errorf("write bad events: %w", err)}
	}
	buffered := bufio.NewWriter(f)
	b.to = ingest.NewDeadLetterLines(buffered)
	return func() error {
		if err := errors.Join(buffered.Flush(), f.Close()); err != nil {
			return fmt.Errorf("write bad events to %s: %w", path, err)
		}
		return nil
	}, nil
}

func replayProgress(p ingest.LogProgress) progress {
	return progress{done: p.Bytes, total: p.BytesTotal, events: p.Events + p.Invalid, reachedMs: p.ReachedMs}
}

// replayPrinter writes decisions and the summary: JSON lines on standard output, or text for people.
type replayPrinter struct {
	*console
	bar *progressBar
	bad badEvents
	err error
}

// breach is a guardrail that a decision stands on, as `replay --json` prints it.
type breach struct {
	Guardrail   string             `json:"guardrail"`
	Segment     string             `json:"segment"`
	State       schemas.State      `json:"state"`
	On          schemas.On         `json:"on"`
	Against     schemas.Against    `json:"against"`
	SinceHarm   *float64           `json:"estimate_since_harm"`
	Estimate    *float64           `json:"estimate"`
	Lower       *float64           `json:"lower"`
	Upper       *float64           `json:"upper"`
	Changed     bool               `json:"changed,omitempty"`    // lower is above upper
	Ratio       *schemas.Interval  `json:"ratio,omitempty"`      // of rates: ratio of the two, where the estimate is their difference
	Difference  *schemas.Interval  `json:"difference,omitempty"` // and the other way round
	Unit        string             `json:"unit"`
	Margin      string             `json:"margin"`
	LogEvidence float64            `json:"log_evidence"`
	Threshold   float64            `json:"threshold"`
	HarmBegan   schemas.Time       `json:"harm_began,omitzero"`
	Exemplars   []schemas.Exemplar `json:"exemplars,omitempty"`
}

func breaches(guardrails []schemas.GuardrailStatus) []breach {
	list := []breach{}
	for _, g := range guardrails {
		if g.State == schemas.StateFailed || g.State == schemas.StateSuspect {
			list = append(list, breach{g.Name, g.Segment, g.State, g.On, g.Against, g.SinceHarm, g.Estimate, g.Lower, g.Upper, g.Changed, g.Ratio, g.Difference, g.Unit, g.Margin,
				g.LogEvidence, g.Threshold, g.HarmBegan, g.Exemplars})
		}
	}
	slices.SortStableFunc(list, func(a, b breach) int { return cmp.Compare(a.rank(), b.rank()) })
	return list
}

// rank puts what rolls back before what holds or warns, and failures before suspicions.
func (b *breach) rank() int {
	rank := slices.Index([]schemas.On{schemas.OnRollback, schemas.OnHold, schemas.OnWarn}, b.On)
	if b.State != schemas.StateFailed {
		rank += 3
	}
	return rank
}

func (p *replayPrinter) decided(d schemas.Decision, counterfactual bool) {
	if !p.json {
		p.bar.clear()
		note := ""
		if counterfactual {
			note = " (counterfactual: traffic was not re-routed)"
		}
		fmt.Fprintf(p.console.err, "%s  %s%s%s\n    %s\n%s%s", d.EventTime, strings.ToUpper(string(d.Action)), phase(&d), note, d.Reason.Sentence,
			exemplarLines("    ", d.Reason.Guardrails), skewLine("    ", &d))
		return
	}
	line := struct {
		Type           string          `json:"type"`
		At             schemas.Time    `json:"at"`
		Action         schemas.Action  `json:"action"`
		Phase          schemas.Phase   `json:"phase,omitempty"`
		Rollout        string          `json:"rollout"`
		Model          string          `json:"model"`
		Epoch          int64           `json:"epoch"`
		Seq            int64           `json:"seq"`
		Counterfactual bool            `json:"counterfactual"`
		Code           string          `json:"code"`
		Sentence       string          `json:"sentence"`
		Routes         []schemas.Route `json:"routes,omitempty"`
		Breached       []breach        `json:"breached"`
		Skew           *schemas.Skew   `json:"skew,omitempty"`
	}{"decision", d.EventTime, d.Action, d.Phase, d.Rollout, d.Model, d.Epoch, d.Seq, counterfactual, d.Reason.Code, d.Reason.Sentence, d.Routes,
		breaches(d.Reason.Guardrails), d.Reason.Skew}
	if err := json.NewEncoder(p.out).Encode(line); err != nil && p.err == nil {
		p.err = err
	}
}

// noticed tells people of what isn't decided; machines have the states.
func (p *replayPrinter) noticed(n schemas.Notice) {
	if p.json {
		return
	}
	p.bar.clear()
	fmt.Fprintf(p.console.err, "%s  event %s\n    %s\n", n.EventTime, n.Kind, n.Sentence)
}

func phase(d *schemas.Decision) string {
	if d.Phase == "" {
		return ""
	}
	return " (" + string(d.Phase) + ")"
}

// classes are the counts of one kind of event, by class.
func classes(counts *windows.Counts, kind schemas.Kind) map[string]int64 {
	m := map[string]int64{}
	for _, class := range windows.ClassesOf(kind) {
		m[class.String()] = counts.Of(kind, class)
	}
	return m
}

func (p *replayPrinter) summary(r *schemas.Rollout, s *engine.Summary) error {
	if !p.json {
		return printSummary(p.out, r, s, p.bad.text())
	}
	return json.NewEncoder(p.out).Encode(struct {
		Type    string `json:"type"`
		Rollout string `json:"rollout"`
		Model   string `json:"model"`
		Partial bool   `json:"partial,omitempty"` // the log could not be read to its end
		engine.Report
		Decisions   int                     `json:"decisions"`
		Predictions map[string]int64        `json:"predictions"`
		Outcomes    map[string]int64        `json:"outcomes"`
		Samples     map[string]int64        `json:"samples"`
		Unreadable  int64                   `json:"unreadable"`
		Invalid     map[ingest.Reason]int64 `json:"invalid,omitempty"` // bad events of all kinds, by reason
		Forced      int64                   `json:"forced,omitempty"`
		Outrun      int64                   `json:"outrun,omitempty"`
		Splits      []engine.Split          `json:"splits,omitempty"` // stages that plan another split than the log has
		Lost        int64                   `json:"lost,omitempty"`
	}{
		"summary", r.Name, r.Model, s.Partial, s.Report, s.Decisions, classes(&s.Counts, schemas.KindPrediction),
		classes(&s.Counts, schemas.KindOutcome), classes(&s.Counts, schemas.KindSample), s.Unreadable, p.bad.reasons, s.Forced,
		s.Outrun, s.Splits, s.Lost,
	})
}
