package main

import (
	"testing"
	"time"

	"streamcanary/schemas"
)

// TestColdFleet: all traffic at once finds most keys missing, so that misses wait for each other; a fifth of it does not.
func TestColdFleet(t *testing.T) {
	play := func(share int) time.Duration {
		began := time.Now()
		f := newFleet("m", "", began)
		if f.isServing() || f.watched() {
			t.Error("it serves, or was watched, before its router is told")
		}
		f.route(&schemas.Decision{Action: schemas.ActionRollback, Routes: []schemas.Route{{Version: "v41", WeightBP: 10000 - share}, {Version: "v42", WeightBP: share}}})
		for i := range 10 * coldRate {
			f.answer(f.back.Add(time.Duration(i)*time.Second/coldRate), false)
		}
		return f.p99(0, 10)
	}
	if fifth, all := play(8000), play(0); fifth > 2*(coldHit+coldMiss) || all < 5*fifth {
		t.Errorf("p99 %s with a fifth of the traffic, %s with all of it", fifth, all)
	}
}
