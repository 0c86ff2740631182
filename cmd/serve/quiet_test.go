package serve

import (
	"testing"
	"time"

	"streamcanary/ingest"
	"streamcanary/schemas"
)

// TestSilence: what counts as silence is noData, or more where pauses belong to the traffic; and a pause of long ago is forgotten.
func TestSilence(t *testing.T) {
	const noData = time.Minute
	now := time.Unix(1_700_000_000, 0)
	q := newQuiet(now, nil)
	after := func(pause time.Duration, times int) time.Duration {
		for range times {
			now = now.Add(pause)
			q.served(now)
		}
		return q.silent(noData)
	}
	for _, step := range []struct {
		pause time.Duration
		times int
		want  time.Duration
	}{
		{time.Second, 1000, noData},
		{29 * time.Second, 3, noData},
		{50 * time.Second, 1, 100 * time.Second}, // not yet a silence, but the next one of a minute isn't, either
		{3 * time.Minute, 1, 6 * time.Minute},
		{time.Second, 40, 192 * time.Second},
		{time.Second, 300, noData},
	} {
		if got := after(step.pause, step.times).Round(time.Second); got != step.want {
			t.Errorf("after %d pauses of %s, %s is a silence, want %s", step.times, step.pause, got, step.want)
		}
	}
	q.ruled = true
	if after(time.Second, 1); q.ruled {
		t.Error("what comes after a silence doesn't end it")
	}
}

// TestAllQuiet: a rollback whose canary nobody hears of is only given up where every partition of predictions has provably nothing to read.
func TestAllQuiet(t *testing.T) {
	config := &schemas.Config{Sources: []schemas.Source{{Topic: "p", Type: schemas.KindPrediction}, {Topic: "o", Type: schemas.KindOutcome}, {Topic: "mixed"}}}
	from := []ingest.Partition{{Topic: "p"}, {Topic: "p", Number: 1}, {Topic: "o"}, {Topic: "mixed"}}
	for _, row := range []struct {
		name string
		idle []int
		want bool
	}{
		{"nothing is", nil, false},
		{"one partition may have some", []int{0, 2, 3}, false},
		{"a topic of all kinds may have some", []int{0, 1, 2}, false},
		{"outcomes don't matter", []int{0, 1, 3}, true},
	} {
		c := &counter{config: config, from: from, idle: map[int]bool{}}
		for _, p := range row.idle {
			c.idle[p] = true
		}
		if got := c.isAllQuiet(); got != row.want {
			t.Errorf("%s: %t, want %t", row.name, got, row.want)
		}
	}
}
