//go:build race

package serve

import "runtime"

// Under the race detector one processor runs the tests: the timers of a bubble of
// testing/synctest share one context of the detector, and two processors that run
// timers at once crash it now and then (golang/go#78156). What the detector sees
// does not depend on it: it compares what happened before what, not when.
func init() { runtime.GOMAXPROCS(1) }
