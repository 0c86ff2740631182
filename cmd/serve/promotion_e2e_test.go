//go:build e2e

package serve

import "testing"

// TestE2EPromotionKilled kills the process around the answers to a promotion, the fifth and the sixth: they are not lost.
func TestE2EPromotionKilled(t *testing.T) {
	for _, at := range []string{"before-ack-append:5", "before-ack-append:6", "after-ack-append:6", "after-deliver:3"} {
		t.Run(at, func(t *testing.T) {
			s := newStage(t, nil)
			var p process
			p.start(t, s, at)
			s.promote(t)
			p.mu.Lock()
			defer p.mu.Unlock()
			if !p.killed {
				t.Errorf("the process never passed %s", at)
			}
		})
	}
}
