package analysis

import (
	"math"
	"testing"
)

// zScore is the two-proportion z of the rule in words, for the rows that say why the deviance stands in its place.
func zScore(c, b, rc, rb float64) float64 {
	n, m := c+b, rc+rb
	p := (c + rc) / (n + m)
	return (c/n - rc/m) / math.Sqrt(p*(1-p)*(1/n+1/m))
}

func TestShareWatch(t *testing.T) {
	type window struct{ canary, baseline int64 }
	repeat := func(w window, times int) []window {
		var ws []window
		for range times {
			ws = append(ws, w)
		}
		return ws
	}
	tests := []struct {
		name   string
		before []window
		then   window
		want   bool
		phi    float64 // 0: 1
	}{
		{"the first window is the reference", nil, window{50, 50}, false, 0},
		{"a window without events is none", repeat(window{10, 990}, 5), window{0, 0}, false, 0},
		{"the same share", repeat(window{10, 990}, 60), window{12, 988}, false, 0},
		{"a ramp from 1 to 5 %", repeat(window{10, 990}, 60), window{50, 950}, true, 0},
		{"a ramp from 1 to 2 % needs more than a window's counts", repeat(window{10, 990}, 60), window{20, 980}, false, 0},
		{"a canary that falls silent is a change, too", repeat(window{10, 990}, 60), window{0, 1000}, true, 0},
		{"proven but small: odds ratio below 1.25", repeat(window{50000, 50000}, 60), window{54000, 46000}, false, 0},
		{"proven and large: odds ratio above 1.25", repeat(window{50000, 50000}, 60), window{56000, 44000}, true, 0},
		{"one event a window at 1 %, the canary's: z would cut here", append(repeat(window{0, 1}, 990), repeat(window{1, 0}, 10)...), window{1, 0}, false, 0},
		{"two of two at 1 % are a change by likelihood, too", append(repeat(window{0, 2}, 495), window{1, 1}), window{2, 0}, true, 0},
		{"users of twenty requests: three of them, where one was to be expected", repeat(window{20, 180}, 60), window{60, 140}, true, 0},
		{"the same, where sizes are known to be as noisy", repeat(window{20, 180}, 60), window{60, 140}, false, 20},
		{"thirty of them, where ten were", repeat(window{200, 1800}, 60), window{600, 1400}, true, 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s shareWatch
			phi := max(1, tt.phi)
			for i, w := range tt.before {
				if s.step(w.canary, w.baseline, phi) && i > 0 {
					t.Fatalf("window %d of the stretch before was a change", i)
				}
			}
			if got := s.step(tt.then.canary, tt.then.baseline, phi); got != tt.want {
				t.Errorf("change is %v, want %v", got, tt.want)
			}
		})
	}
}

// TestShareByScore holds the two facts that speak for the deviance: where windows hold one or two events the normal z of nearly every canary event is
// beyond 4, and where they hold many the two agree.
func TestShareByScore(t *testing.T) {
	tests := []struct {
		name            string
		c, b, rc, rb    float64
		byZ, byDeviance bool
	}{
		{"one event, the canary's, at 1 %", 1, 0, 100, 9900, true, false},
		{"one of two at 1 %", 1, 1, 100, 9900, true, false},
		{"many events, share doubled", 200, 9800, 1000, 99000, true, true},
		{"many events, share as before", 102, 9898, 1000, 99000, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			z := zScore(tt.c, tt.b, tt.rc, tt.rb)
			if got := z > 4 || z < -4; got != tt.byZ {
				t.Errorf("z = %.2f cuts: %v, want %v", z, got, tt.byZ)
			}
			if got := shareDiffers(tt.c, tt.b, tt.rc, tt.rb); got != tt.byDeviance {
				t.Errorf("deviance cuts: %v, want %v", got, tt.byDeviance)
			}
		})
	}
}
