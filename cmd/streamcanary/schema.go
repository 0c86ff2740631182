package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"streamcanary/schemas"
)

func schemaCommand(c *console) *cobra.Command {
	names := schemas.SchemaNames()
	return &cobra.Command{
		Use:       "schema " + strings.Join(names, "|"),
		Short:     "Print the JSON Schema of what crosses a border",
		Example:   "  streamcanary schema rollout > rollout.schema.json",
		ValidArgs: names,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("name one schema: %s", strings.Join(names, ", "))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := schemas.Schema(args[0])
			if err != nil {
				return wrongUse{err}
			}
			_, err = c.out.Write(text)
			return err
		},
	}
}
