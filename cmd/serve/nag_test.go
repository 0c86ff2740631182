package serve

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestNag: an error is said when it is new, once a minute while it stays, and again after it was over.
func TestNag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := errors.New("one"), errors.New("other")
		var n nag
		said := func(err error, seconds int) (times int) {
			for range seconds {
				if n.due(err) {
					times++
				}
				time.Sleep(time.Second)
			}
			return times
		}
		if n.over() {
			t.Error("over before anything was said")
		}
		if got := [3]int{said(one, 60), said(one, 60), said(other, 1)}; got != [3]int{1, 1, 1} {
			t.Errorf("it was said %v times, want once in each minute, and once for another error", got)
		}
		if !n.over() || n.over() {
			t.Error("it is over once")
		}
		if said(other, 1) != 1 {
			t.Error("what comes back after it was over isn't said")
		}
	})
}
