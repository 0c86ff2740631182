package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit statuses: part of the contract with scripts.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitRollback = 3 // with --exit-code: the verdict was rollback
	exitOpen     = 4 // with --exit-code: hold, or nothing decided yet
)

// commands lists the subcommands in the order in which help shows them. A subcommand is a file and a line here.
var commands = []func(*console) *cobra.Command{
	demoCommand, serveCommand, replayCommand, planCommand, checkCommand, compareCommand, rolloutCommand, decisionsCommand, windowsCommand,
	loadgenCommand, certifyCommand, schemaCommand, versionCommand,
}

// console is where a command reads and writes: data on out, people's text on err.
type console struct {
	in       io.Reader
	out, err io.Writer
	json     bool // --json: one JSON object per line on out
}

// An exit is a result that is no error and yet not status 0.
type exit struct{ status int }

func (e exit) Error() string { return fmt.Sprintf("exit status %d", e.status) }

// wrongUse is an error of the command line or of a file that a person wrote: status 2.
type wrongUse struct{ err error }

func (w wrongUse) Error() string { return w.err.Error() }
func (w wrongUse) Unwrap() error { return w.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], &console{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// run executes one command line and returns its exit status.
func run(ctx context.Context, args []string, c *console) int {
	root := rootCommand(c)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var status exit
	var use wrongUse
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return status.status
	case errors.As(err, &use):
		fmt.Fprintln(c.err, "streamcanary:", err)
		return exitUsage
	}
	text := oneLine(err)
	if ctx.Err() != nil { // what ended it is a person, in whichever words
		text = strings.ReplaceAll(text, context.Canceled.Error(), "interrupted")
	}
	say(c.err, "streamcanary: %s\n", text)
	return exitFailed
}

func rootCommand(c *console) *cobra.Command {
	root := &cobra.Command{
		Use:     "streamcanary",
		Version: version,
		Short:   "Judges canary versions of models from their event streams",
		Long: `streamcanary compares a canary version of a model with its baseline while both serve, from
prediction and outcome events, and says within seconds or minutes whether the canary hurts its users.

Start with:  streamcanary demo`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          subcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate(versionLine())
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.PersistentFlags().BoolVar(&c.json, "json", false, "print JSON, one object per line, on standard output")
	for _, make := range commands {
		root.AddCommand(make(c))
	}
	root.SetHelpCommand(helpCommand())
	root.SetFlagErrorFunc(flagError)
	addCompletion(root)
	walk(root, func(cmd *cobra.Command) {
		cmd.PreRunE = environmentThen(cmd.PreRunE)
		if check := cmd.Args; check != nil {
			cmd.Args = func(cmd *cobra.Command, args []string) error { return asUse(check(cmd, args)) }
		}
	})
	return root
}

func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}

// group is a command that only holds subcommands.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args: subcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(subs...)
	return cmd
}

// environmentThen fills every flag that the command line left out from STREAMCANARY_<FLAG>, if that is set.
func environmentThen(next func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		var bad error
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			key := "STREAMCANARY_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
			value, set := os.LookupEnv(key)
			if !set || f.Changed || bad != nil || f.Name == "help" || f.Name == "version" { // the two are no settings
				return
			}
			if err := cmd.Flags().Set(f.Name, value); err != nil {
				bad = wrongUse{fmt.Errorf("environment %s: %w", key, plainFlagError(cmd, err))}
			}
		})
		if bad != nil || next == nil {
			return bad
		}
		return next(cmd, args)
	}
}
