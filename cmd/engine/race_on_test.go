//go:build race

package engine

// scenarioNames are fewer under the race detector, which slows a judge ten times and has nothing to find in it: it is one goroutine.
func scenarioNames() []string { return []string{"cpu", "demo", "fail-fast", "hang"} }
