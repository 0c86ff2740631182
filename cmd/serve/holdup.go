package serve

import (
	"fmt"
	"sync/atomic"
	"time"

	"streamcanary/schemas"
)

// A holdup is a decision that is not yet stored and published. Its zero value is none. It may be used by many goroutines.
type holdup struct{ now atomic.Pointer[held] }

// held is whose decision is held up, since when, and why.
type held struct {
	rollout string
	since   time.Time
	why     error // nil: the first try is still under way
}

// is notes a decision that is not through yet.
func (h *holdup) is(now held) { h.now.Store(&now) }

// over notes that it is through.
func (h *holdup) over() { h.now.Store(nil) }

// err says what is held up once a try has failed; nil: nothing is.
func (h *holdup) err() error {
	now := h.now.Load()
	if now == nil || now.why == nil {
		return nil
	}
	return fmt.Errorf("decisions wait since %s: the record of rollout %s, or a decision in it, can't be stored or published: %w",
		schemas.Time(now.since.UnixMilli()), now.rollout, now.why)
}

// seconds is for how long the decision has waited; 0: there is none.
func (h *holdup) seconds() float64 {
	now := h.now.Load()
	if now == nil {
		return 0
	}
	return time.Since(now.since).Seconds()
}
