//go:build !race

package engine

import "streamcanary/loadgen"

// scenarioNames are all scenarios.
func scenarioNames() []string { return loadgen.Names() }
