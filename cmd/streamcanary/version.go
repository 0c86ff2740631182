package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker in released builds (see Makefile).
var version = "devel"

// program names this build in decisions and reports.
func program() string { return "streamcanary " + version }

func versionLine() string {
	return fmt.Sprintf("streamcanary %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func versionCommand(c *console) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			revision := ""
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = s.Value
					}
				}
			}
			if !c.json {
				_, err := fmt.Fprint(c.out, versionLine())
				return err
			}
			return json.NewEncoder(c.out).Encode(struct {
				Version  string `json:"version"`
				Revision string `json:"revision,omitempty"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{version, revision, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
		},
	}
}
