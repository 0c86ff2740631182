package analysis

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"streamcanary/windows"
)

// evaluationMost is what a window may take that closes every block of 10 guardrails on 20 segments, on one core.
const evaluationMost = 2 * time.Millisecond

// noiseWindows is how many windows tell a segment's own noise: nothing of it is tested before.
const noiseWindows = 51

// evaluation is the busy rollout with its segments chosen, and their noise known. Each of its windows closes every block.
type evaluation struct {
	*rowWorld
	judge *Judge
}

func newEvaluation(t testing.TB) *evaluation {
	w, step := busy(t, 8)
	for range rosterWindows + noiseWindows {
		step()
	}
	return &evaluation{w, w.script.judge}
}

// windows makes some beforehand.
func (e *evaluation) windows(n int) []*windows.Part {
	parts := make([]*windows.Part, n)
	for i := range parts {
		parts[i] = &windows.Part{Stream: serving}
		for k := range 21 {
			e.addSegment(parts[i], string(rune('a'+k)))
		}
	}
	return parts
}

// step judges the next window.
func (e *evaluation) step(p *windows.Part) {
	p.StartMs = e.script.atMs
	e.judge.Step(p)
	e.script.atMs += 1000
}

// trials are all tests: of the guardrails, of their segments, of the self-tests, and of the other contrasts of the input.
func (e *evaluation) trials() []*trial {
	var all []*trial
	for _, g := range e.judge.all {
		all = append(all, g.trials()...)
		if g.baseline != nil {
			all = append(all, g.baseline)
		}
	}
	for _, c := range e.judge.checks {
		switch c := c.(type) {
		case *selfTest:
			c.each(func(t *trial) { all = append(all, t) })
		case *contrast:
			all = append(all, c.sides[:]...)
		}
	}
	return all
}

// counted notes how often a test is made, and how many numbers it makes.
type counted struct {
	kernel
	tests, numbers *int
}

func (c counted) increments(inc *increments, b *block, phi armPhi) bool {
	*c.tests++
	*c.numbers += len(inc.any) + len(inc.pass)
	if !inc.one() {
		*c.numbers += len(inc.beyond)
	}
	return c.kernel.increments(inc, b, phi)
}

// batchesOf are those of an account; nil: it has none.
func batchesOf(a account) batches {
	switch a := a.(type) {
	case *rateAccount:
		if a.difference != nil {
			return a.batches
		}
	case *meanAccount:
		return a.batches
	case *quantileAccount:
		return a.bounds.batches
	}
	return nil
}

// TestEvaluationWork holds the work of a window that closes every block of 10 guardrails on 20 segments, by counting it: each test is made once, the numbers
// and the memory that it takes don't grow with the epoch, and intervals are told of blocks in batches. BenchmarkSegments holds the time.
func TestEvaluationWork(t *testing.T) {
	const between, most = batchBlocks * batchPart, 100
	e := newEvaluation(t)
	tests, numbers := 0, 0
	all := e.trials()
	for _, one := range all {
		one.kernel = counted{one.kernel, &tests, &numbers}
	}
	e.step(e.windows(1)[0])
	first := numbers
	if tests != len(all) {
		t.Errorf("%d tests made in a window, of %d", tests, len(all))
	}
	e.few = true
	for _, p := range e.windows(between) {
		e.step(p)
	}
	e.few = false
	parts := e.windows(batchBlocks + 2) // the first one ends blocks that were begun before, another one warms up
	e.step(parts[0])
	tests, numbers = 0, 0
	allocs := testing.AllocsPerRun(batchBlocks, func() { parts = parts[1:]; e.step(parts[0]) })
	const steps = batchBlocks + 1
	t.Logf("%d tests, %d numbers, %v allocations in a window", len(all), first, allocs)
	if tests != steps*len(all) || numbers != steps*first {
		t.Errorf("later %d tests and %d numbers in %d windows, want %d and %d in each", tests, numbers, steps, len(all), first)
	}
	if allocs > most {
		t.Errorf("%v allocations in a window, want at most %d", allocs, most)
	}
	holdBatches(t, all)
}

// holdBatches holds that intervals, which cost many times what a test does, are told of whole batches wherever nobody waits for them.
func holdBatches(t *testing.T, all []*trial) {
	told, alone := 0, 0
	for _, one := range all {
		for _, b := range batchesOf(one.account) {
			if told++; b.limit < batchBlocks {
				alone++
			}
		}
	}
	t.Logf("%d intervals, %d of them told of less than %d blocks at a time", told, alone, batchBlocks)
	if told == 0 || alone > told/4 {
		t.Errorf("%d of %d intervals are told of less than %d blocks at a time", alone, told, batchBlocks)
	}
}

// BenchmarkSegments holds the time of a window that closes every block of 10 guardrails on 20 segments. ms/window is processor time, of the slowest of
// batchBlocks windows in a row, which is the one that ends the intervals' batches, each at its best of many times: what else the machine does adds little to
// it, what the judge does more adds all of it. Under the race detector nothing is held.
func BenchmarkSegments(b *testing.B) {
	e := newEvaluation(b)
	parts := e.windows(4 * batchBlocks)
	for i := range batchBlocks * batchPart { // until batches are as long as they get
		e.step(parts[i%len(parts)])
	}
	slowest := e.slowest(parts)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.step(parts[i%len(parts)])
	}
	b.ReportMetric(float64(slowest)/float64(time.Millisecond), "ms/window")
	if slowest > evaluationMost && !underRace {
		b.Errorf("a window takes %s, want at most %s", slowest, evaluationMost)
	}
}

// slowest is the time of the slowest window in a batch, each at its best.
func (e *evaluation) slowest(parts []*windows.Part) time.Duration {
	const times = 64
	var best [batchBlocks]time.Duration
	for i := range times * batchBlocks {
		at, begin := i%batchBlocks, cpuTime()
		e.step(parts[i%len(parts)])
		if took := cpuTime() - begin; i == at || took < best[at] {
			best[at] = took
		}
	}
	return slices.Max(best[:])
}

// cpuTime is what this process has used, so that a loaded machine tells little.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
