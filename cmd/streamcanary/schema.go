package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"streamcanary/schemas"
)

func schemaCommand(c *console) *cobra.Command {
	names := schemas.SchemaNames()
	return &cobra.Command{
		Use:   "schema [" + strings.Join(names, "|") + "]",
		Short: "Print the JSON Schema of what crosses a border, or the AsyncAPI document; without a name, list them",
		Long: `Prints the JSON Schema (2020-12) of what crosses a border: files that people write, events, and messages. Without a name, lists what there is.
'schema asyncapi' is the AsyncAPI document of all subjects and topics, in YAML; it refers to the schemas of messages as files beside it, each of which
is 'schema NAME > NAME.schema.json'.`,
		Example:   "  streamcanary schema\n  streamcanary schema rollout > rollout.schema.json\n  streamcanary schema asyncapi > asyncapi.yaml",
		ValidArgs: names,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("name one schema: %s", strings.Join(names, ", "))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listSchemas(c, names)
			}
			text, err := schemas.Schema(args[0])
			if err != nil {
				return wrongUse{err}
			}
			_, err = c.out.Write(text)
			return err
		},
	}
}

// listSchemas prints what schemas there are: a line each, or an object each in JSON.
func listSchemas(c *console, names []string) error {
	table, lines := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0), json.NewEncoder(c.out)
	for _, name := range names {
		about, err := schemas.SchemaAbout(name)
		if err != nil {
			return err
		}
		if c.json {
			err = lines.Encode(map[string]string{"type": "schema", "name": name, "about": about})
		} else {
			_, err = fmt.Fprintf(table, "%s\t%s\n", name, about)
		}
		if err != nil {
			return err
		}
	}
	return table.Flush()
}
