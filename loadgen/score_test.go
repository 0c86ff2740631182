package loadgen

import (
	"math"
	"strings"
	"testing"
)

const scored = `model ranker
baseline version v1
canary version v2
for 60s
rate 400/s
split 50%
latency lognormal 40ms sigma 0.5
errors 5%
timeouts 5% after 1s
expect no-rollback
`

// TestScores: answers have scores about the level, errors and timeouts none; a fault moves those of its arm, and nothing else of any event.
func TestScores(t *testing.T) {
	const fault = "fault score canary x0.5 from 30s\n"
	with, err := Parse("s.txt", scored+"score 40% noise 10%\n"+fault)
	if err != nil {
		t.Fatal(err)
	}
	without, err := Parse("s.txt", scored)
	if err != nil {
		t.Fatal(err)
	}
	var sum [Arms][2]float64
	var n [Arms][2]float64
	a, b := New(with, 3), New(without, 3)
	var x, y Record
	for a.Next(&x) {
		if !b.Next(&y) {
			t.Fatal("scores make more events")
		}
		e := &x.Event
		if failed := e.Error || e.Timeout; e.HasScore == failed || e.Score < 0 || e.Score > 1 || y.Event.HasScore {
			t.Fatalf("%+v", e)
		}
		if string(e.ID) != string(y.Event.ID) || e.LatencyMs != y.Event.LatencyMs || e.Error != y.Event.Error || string(e.Version) != string(y.Event.Version) {
			t.Fatalf("scores change %+v to %+v", y.Event, e)
		}
		if e.HasScore {
			arm, half := Baseline, 0
			if string(e.Version) == "v2" {
				arm = Canary
			}
			if e.TimeMs >= with.StartMs+30_000 {
				half = 1
			}
			sum[arm][half] += e.Score
			n[arm][half]++
		}
	}
	truth := with.Truth(3)
	for arm, want := range [Arms][2]float64{{0.4, 0.4}, {0.4, 0.2}} {
		for half, level := range want {
			if mean := sum[arm][half] / n[arm][half]; math.Abs(mean-level) > 0.01 {
				t.Errorf("arm %d, half %d: mean %v, want about %v", arm, half, mean, level)
			}
			said := [Arms]ArmTruth{truth.Phases[half].Baseline, truth.Phases[half].Canary}[arm].Score
			if said == nil || math.Abs(*said-level) > 1e-12 {
				t.Errorf("arm %d, half %d: the truth says %v, want %v", arm, half, said, level)
			}
		}
	}
	if truth.Harm != "none" {
		t.Errorf("harm %q", truth.Harm)
	}
	if plain := without.Truth(3).Phases[0].Canary; plain.Score != nil {
		t.Errorf("a truth without scores: %+v", plain)
	}
}

func TestBadScores(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"score 140%\n", `"140%" is no score: want a percentage from 0% to 100%`},
		{"score 40% noise x\n", `"x" is no noise`},
		{"fault score canary x2 from 1s\n", `unknown word "score"`},
		{"score 40%\nfault score canary +20ms from 1s\n", `"+20ms" is no change of a share`},
		{"outcome score 5% after fixed 1s\n", `the name "score" is taken`},
	} {
		if _, err := Parse("t.txt", scored+test.line); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %s", test.line, err, test.want)
		}
	}
}
