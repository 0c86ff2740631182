package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
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
	list         bool
}

func certifyCommand(c *console) *cobra.Command {
	var f certifyFlags
	cmd := &cobra.Command{
		Use:   "certify [--worlds NAME,...] [--runs N]",
		Short: "Measure false rollbacks, power and delay in simulated worlds",
		Long: `Plays seeded worlds with a known truth, judges them with this program and, on the same windows, with what others use today, and
holds the counts against exact binomial limits. Writes a table in Markdown, with --json one row a line. Exit status 1: something that is promised was not kept.

Everything takes hours; --worlds chooses experiments by how their names, or parts of them, begin (--list shows them), --runs takes fewer or more runs than each
asks for. The same seed gives the same table whatever the machine's number of processors.`,
		Example: `  streamcanary certify --worlds type-I/flat,grid --runs 100
  streamcanary certify --out certificate.md --out-json certificate.json`,
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
	cmd.Flags().StringSliceVar(&f.worlds, "worlds", nil, "only experiments whose name, or a part of it, begins with one of these")
	cmd.Flags().StringVar(&f.out, "out", "", "write the table to `FILE` instead of standard output")
	cmd.Flags().StringVar(&f.outJSON, "out-json", "", "write all rows, as one JSON object, to `FILE`")
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
	for _, w := range f.worlds {
		if !slices.ContainsFunc(battery, func(e certify.Experiment) bool { return e.Matches(w) }) {
			return wrongUse{fmt.Errorf("--worlds %q: no experiment is called that; --list shows them", w)}
		}
	}
	files, err := openCertificates(f)
	if err != nil {
		return err
	}
	debug.SetGCPercent(400) // short-lived memory, and little of it
	report, err := certify.Run(cmd.Context(), battery, certify.Options{
		Seed: f.seed, Runs: f.runs, Worlds: f.worlds, Parallel: f.parallel, Progress: certifyProgress(c.err),
	})
	if err != nil {
		return errors.Join(err, files.close())
	}
	if err := errors.Join(files.write(c, report), files.close()); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	if broken := report.Broken(); len(broken) > 0 {
		return fmt.Errorf("certify: %d of %d rows do not keep what is promised, the first is %s/%s: %s", len(broken), len(report.Rows),
			broken[0].Group, broken[0].Experiment, broken[0].Measure)
	}
	return nil
}

// certificates are the files that are asked for, opened before the hours of work.
type certificates struct{ markdown, rows *os.File }

func openCertificates(f certifyFlags) (c certificates, err error) {
	if c.markdown, err = openCertificate(f.out); err == nil {
		c.rows, err = openCertificate(f.outJSON)
	}
	if err != nil {
		return c, wrongUse{errors.Join(fmt.Errorf("write the table: %w", err), c.close())}
	}
	return c, nil
}

// openCertificate makes a file; none where no path is given.
func openCertificate(path string) (*os.File, error) {
	if path == "" {
		return nil, nil
	}
	return os.Create(path)
}

func (f *certificates) close() error {
	var err error
	for _, file := range []*os.File{f.markdown, f.rows} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	return err
}

// write writes the files; what no file is named for goes to standard output.
func (f *certificates) write(c *console, r *certify.Report) error {
	if f.rows != nil {
		e := json.NewEncoder(f.rows)
		e.SetIndent("", " ")
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	switch {
	case f.markdown != nil:
		return r.Markdown(f.markdown)
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
