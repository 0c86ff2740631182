package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"streamcanary/analysis/certify"
)

// certifyFlags are what the command line says.
type certifyFlags struct {
	seed         uint64
	runs         int
	parallel     int
	worlds       []string
	out, outJSON string
	resume       bool
	list         bool
}

func certifyCommand(c *console) *cobra.Command {
	var f certifyFlags
	cmd := &cobra.Command{
		Use:   "certify [--worlds NAME,...] [--runs N]",
		Short: "Measure false rollbacks, power and delay in simulated worlds",
		Long: `Plays seeded worlds with a known truth, judges them with this program and, on the same windows, with what others use today, and
holds the counts against exact binomial limits. Writes a table in Markdown, with --json one row a line. Exit status 1: something that is promised was not kept.

In most worlds each prediction is one by itself. Where users make several (clumps, users of 10, of 20, who stay), a user's predictions of a window fail together, and
his latencies are alike: half of the variance of their logarithm is between users, half between the predictions of one. Each latency has the same law as elsewhere.
So it is with the scores of predictions. In "users in one segment" only a fifth of the traffic comes from users.

Groups: type-I (nothing is wrong, or the canary is on every margin), false pass, harm, losses, delay, tail, onset, grid, patience; gauges (shares and means of hosts' samples),
scores (means of what predictions score, also below and around zero), segments (ranks where one segment is noisier than the rest), mixed (harm within margins, and outcomes of which any
harm is to be proven), stages (walked by evidence), mix, split.

Everything takes hours, and the files are written anew after each experiment: where it was interrupted, --resume goes on, with the same version of the
program. --worlds chooses experiments by how their names, or parts of them, begin (--list shows them), --runs takes fewer or more runs than each
asks for. The same seed gives the same table whatever the machine's number of processors.`,
		Example: `  streamcanary certify --worlds type-I/flat,grid --runs 100
  streamcanary certify --out certificate.md --out-json certificate.json
  streamcanary certify --out certificate.md --out-json certificate.json --resume`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.list {
				return listExperiments(c)
			}
			if f.runs < 0 || f.parallel < 0 {
				return wrongUse{errors.New("--runs and --parallel are 0 or more")}
			}
			return runCertify(cmd, c, f)
		},
	}
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "where the random numbers begin")
	cmd.Flags().IntVar(&f.runs, "runs", 0, "runs of each experiment; 0: as many as it asks for")
	cmd.Flags().IntVar(&f.parallel, "parallel", 0, "runs played at once; 0: one for each processor")
	cmd.Flags().StringArrayVar(&f.worlds, "worlds", nil, "only experiments whose name, or a part of it, begins with one of these; a whole name: that one alone")
	cmd.Flags().StringVar(&f.out, "out", "", "write the table to `FILE` instead of standard output")
	cmd.Flags().StringVar(&f.outJSON, "out-json", "", "write all rows, as one JSON object, to `FILE`")
	cmd.Flags().BoolVar(&f.resume, "resume", false, "don't play again what --out-json has of this seed and version")
	cmd.Flags().BoolVar(&f.list, "list", false, "list the experiments, with the runs that each asks for")
	return cmd
}

func listExperiments(c *console) error {
	for _, e := range certify.Battery() {
		if _, err := fmt.Fprintf(c.out, "%s\t%d runs\t%s\n", e.ID(), e.Runs, e.About); err != nil {
			return err
		}
	}
	return nil
}

func runCertify(cmd *cobra.Command, c *console, f certifyFlags) error {
	battery := certify.Battery()
	f.worlds = separated(battery, f.worlds)
	for _, w := range f.worlds {
		if !slices.ContainsFunc(battery, func(e certify.Experiment) bool { return e.Matches(w) }) {
			return wrongUse{fmt.Errorf("--worlds %q: no experiment is called that; --list shows them", w)}
		}
	}
	done, err := f.done()
	if err != nil {
		return wrongUse{err}
	}
	if err := f.save(done); err != nil { // before the hours of work
		return wrongUse{fmt.Errorf("write the table: %w", err)}
	}
	debug.SetGCPercent(400) // short-lived memory, and little of it
	report, err := certify.Run(cmd.Context(), battery, certify.Options{
		Seed: f.seed, Runs: f.runs, Worlds: f.worlds, Parallel: f.parallel, Progress: certifyProgress(c.err), Done: done, Save: f.save,
	})
	if err != nil {
		return err
	}
	if err := f.print(c, report); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return brokenError(report)
}

// brokenError says what a report doesn't keep, the product's rows first; nil: it keeps everything.
func brokenError(report *certify.Report) error {
	broken := report.Broken()
	if len(broken) == 0 {
		return nil
	}
	first := broken[0]
	row := fmt.Sprintf("%s/%s: %s", first.Group, first.Experiment, first.Measure)
	if first.Result == certify.Missed {
		return fmt.Errorf("certify: %s of %s: a mistake that is planted to be found out was not, so what these runs show of the others is no proof: play more runs (--runs)", row, first.Method)
	}
	return fmt.Errorf("certify: %d of %d rows do not keep what is promised, the first is %s", len(broken), len(report.Rows), row)
}

// separated cuts what is named at its commas, but for what is a name, or the beginning of one, with its commas.
func separated(battery []certify.Experiment, named []string) []string {
	var words []string
	for _, word := range named {
		for parts := strings.Split(word, ","); len(parts) > 0; {
			n := len(parts)
			for n > 1 && !plays(battery, strings.TrimSpace(strings.Join(parts[:n], ","))) {
				n--
			}
			words = append(words, strings.TrimSpace(strings.Join(parts[:n], ",")))
			parts = parts[n:]
		}
	}
	return words
}

// plays reports whether a word chooses an experiment.
func plays(battery []certify.Experiment, word string) bool {
	return slices.ContainsFunc(battery, func(e certify.Experiment) bool { return e.Matches(word) })
}

// done is what an interrupted certificate has; empty without --resume.
func (f *certifyFlags) done() (*certify.Report, error) {
	done := &certify.Report{Seed: f.seed, Program: program()}
	if !f.resume {
		return done, nil
	}
	if f.outJSON == "" {
		return nil, errors.New("--resume goes on with the file that --out-json names, and there is none")
	}
	text, err := os.ReadFile(f.outJSON)
	if errors.Is(err, os.ErrNotExist) {
		return done, nil
	}
	var found certify.Report
	if err == nil {
		err = json.Unmarshal(text, &found)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("resume %s: %w", f.outJSON, err)
	case found.Seed != f.seed || found.Program != done.Program:
		return nil, fmt.Errorf("resume %s: it is of seed %d and %s, and this is seed %d and %s; begin anew without --resume, or in another file",
			f.outJSON, found.Seed, found.Program, f.seed, done.Program)
	}
	return &found, nil
}

// save writes the files that are named, each as a whole or not at all.
func (f *certifyFlags) save(r *certify.Report) error {
	r.Program = program()
	err := replaceFile(f.outJSON, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return e.Encode(r)
	})
	return errors.Join(err, replaceFile(f.out, r.Markdown))
}

// replaceFile writes a file beside the one that is named, and puts it in its place; nothing where none is named. What is no file, a pipe or /dev/null, stays what it is and is written to.
func replaceFile(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	if is, err := os.Stat(path); err == nil && !is.Mode().IsRegular() {
		file, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(file), file.Close())
	}
	file, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	if err := errors.Join(write(file), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path+".part"))
	}
	return os.Rename(path+".part", path)
}

// print writes to standard output what no file is named for.
func (f *certifyFlags) print(c *console, r *certify.Report) error {
	switch {
	case f.out != "":
		return nil
	case !c.json:
		return r.Markdown(c.out)
	}
	for i := range r.Rows {
		if err := json.NewEncoder(c.out).Encode(&r.Rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// certifyProgress tells of each experiment once it is over, with the time that it took.
func certifyProgress(w io.Writer) func(e *certify.Experiment, done, of int) {
	began := time.Now()
	return func(e *certify.Experiment, done, of int) {
		if done < of {
			return
		}
		fmt.Fprintf(w, "%s: %d runs, %.1f s\n", e.ID(), of, time.Since(began).Seconds())
		began = time.Now()
	}
}
