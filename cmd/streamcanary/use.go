package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"streamcanary/schemas"
)

// asUse marks an error as wrong use; nil stays nil.
func asUse(err error) error {
	var use wrongUse
	if err == nil || errors.As(err, &use) {
		return err
	}
	return wrongUse{err}
}

// subcommand takes no arguments: on a command that only holds others, one is a misspelt command.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return unknownCommand(cmd, args[0])
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var known []string
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			known = append(known, sub.Name())
		}
	}
	text := fmt.Sprintf("unknown command %q", name)
	if near := schemas.Nearest(name, known); near != "" {
		text += fmt.Sprintf(": did you mean %s?", near)
	}
	return wrongUse{fmt.Errorf("%s; see `%s --help`", text, cmd.CommandPath())}
}

// noArguments refuses arguments, and says where a rollout's file belongs.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.Flags().Lookup("rollout") != nil {
		return fmt.Errorf("%q: a rollout file is named with --rollout %s", args[0], args[0])
	}
	return fmt.Errorf("%q: `%s` takes no arguments; see its --help", args[0], cmd.CommandPath())
}

// flagError says what is wrong with a flag in words, not in those of a parser.
func flagError(cmd *cobra.Command, err error) error {
	return wrongUse{fmt.Errorf("%w; see `%s --help`", plainFlagError(cmd, err), cmd.CommandPath())}
}

func plainFlagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var value *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		text := fmt.Sprintf("unknown flag --%s", unknown.GetSpecifiedName())
		if near := schemas.Nearest(unknown.GetSpecifiedName(), flagNames(cmd)); near != "" {
			text += fmt.Sprintf(": did you mean --%s?", near)
		}
		return errors.New(text)
	case errors.As(err, &value):
		return fmt.Errorf("--%s %q: it is %s", value.GetFlag().Name, value.GetValue(), kindOfValue(value.GetFlag().Value.Type()))
	}
	return err
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

func kindOfValue(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "int", "int64":
		return "a whole number"
	case "float64":
		return "a number"
	case "duration":
		return "a time such as 30s"
	case "uint64":
		return "a whole number, 0 or more"
	}
	return "a " + kind
}

// oneLine is an error's text on one line. Causes that several parts of the program met alike are said once. What others wrote (why a router refuses, say) must be readable by then: its lines are no causes.
func oneLine(err error) string {
	var said []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSpace(line)
		again := slices.ContainsFunc(said, func(s string) bool { return strings.HasSuffix(s, line) })
		if line != "" && !again {
			said = append(said, line)
		}
	}
	if len(said) > causesSaid {
		said = append(said[:causesSaid], fmt.Sprintf("and %d more", len(said)-causesSaid))
	}
	return strings.Join(said, "; ")
}

// causesSaid is how many causes one line holds.
const causesSaid = 2

// helpCommand shows the help of any command; an unknown one is wrong use.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Show the help of a command", Example: "  streamcanary help rollout apply",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) > 0 {
				err = unknownCommand(found, rest[0])
			}
			if err != nil {
				return asUse(err)
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// addCompletion adds the command that prints the completion script of a shell.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		cmd.Short = "Print the completion script of a shell"
		cmd.Long, cmd.Example = "", "  source <(streamcanary completion bash)"
		cmd.Args, cmd.RunE = subcommand, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		for _, shell := range cmd.Commands() {
			shell.Args = noArguments
		}
	}
}
