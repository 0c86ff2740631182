package loadgen

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"
)

// halfOctave is a bucket function: two to an octave.
func halfOctave(x float64) int32 {
	if math.IsInf(x, 1) {
		return math.MaxInt32
	}
	return int32(math.Ceil(2 * math.Log2(math.Max(x, 1e-3))))
}

func countsOf(t *testing.T, s *Scenario, o CountsOptions) []WindowCounts {
	t.Helper()
	o.Bucket = halfOctave
	c, err := NewCounts(s, o)
	if err != nil {
		t.Fatal(err)
	}
	var all []WindowCounts
	for {
		var w WindowCounts
		if !c.Next(&w) {
			return all
		}
		all = append(all, w)
	}
}

// TestCountsTruth holds the counts of every scenario against its true answer.
func TestCountsTruth(t *testing.T) {
	for _, name := range Names() {
		s := load(t, name)
		s.Rate.Base = min(s.Rate.Base, 1e5/s.Duration.Seconds())
		if s.Units.Phi > 1 {
			continue // TestCountsErrors
		}
		all := countsOf(t, s, CountsOptions{Width: time.Second})
		if len(all) != int(s.Duration/time.Second) {
			t.Errorf("%s: %d windows in %s", name, len(all), s.Duration)
		}
		for i, p := range s.Truth(0).Phases {
			seconds := float64(p.Until-p.From) / 1000
			for arm, want := range []*ArmTruth{&p.Baseline, &p.Canary} {
				sum, outcomes, hist := addUp(t, all, p, arm)
				what := fmt.Sprintf("%s, phase %d, %s", name, i, want.Version)
				near(t, what+", predictions", sum.Predictions.Total, want.PerSecond*seconds)
				within(t, what+", errors", sum.Errors.Total, sum.Predictions.Total, want.Errors)
				within(t, what+", timeouts", sum.Timeouts.Total, sum.Predictions.Total, want.Timeouts)
				for j, o := range want.Outcomes {
					within(t, what+", "+o.Name, outcomes[j], sum.Answered.Total, o.Rate)
				}
				for j, n := range sum.Predictions.Slices {
					within(t, fmt.Sprintf("%s, slice %d", what, j), n, sum.Predictions.Total, math.Ldexp(1, -min(j+1, Slices-1)))
				}
				compareHistogram(t, what, s, hist, p, arm)
			}
		}
	}
}

// addUp adds the windows of a phase, and checks that each window's counts fit together.
func addUp(t *testing.T, all []WindowCounts, p Phase, arm int) (sum ArmCounts, outcomes [MaxOutcomes]int64, hist map[int32]int64) {
	t.Helper()
	hist = map[int32]int64{}
	for _, w := range all {
		if w.StartMs < int64(p.From) || w.StartMs >= int64(p.Until) {
			continue
		}
		a := &w.Arms[arm]
		if a.Errors.plus(a.Timeouts).plus(a.Answered) != a.Predictions || sliceSum(a.Answered) != a.Answered.Total {
			t.Fatalf("counts don't add up: %+v", a)
		}
		sum.Predictions, sum.Answered = sum.Predictions.plus(a.Predictions), sum.Answered.plus(a.Answered)
		sum.Errors, sum.Timeouts = sum.Errors.plus(a.Errors), sum.Timeouts.plus(a.Timeouts)
		n, last := int64(0), int32(math.MinInt32)
		for _, b := range a.Latency {
			if b.Index <= last || b.Count == 0 {
				t.Fatalf("buckets aren't in order: %v", a.Latency)
			}
			n, last = n+int64(b.Count), b.Index
			hist[b.Index] += int64(b.Count)
		}
		if n != a.Predictions.Total {
			t.Fatalf("%d latencies of %d predictions", n, a.Predictions.Total)
		}
		for j, o := range a.Outcomes {
			if sliceSum(o) != o.Total {
				t.Fatalf("outcomes don't add up: %+v", o)
			}
			outcomes[j] += o.Total
		}
	}
	return sum, outcomes, hist
}

func sliceSum(c Count) int64 {
	sum := int64(0)
	for _, n := range c.Slices {
		sum += n
	}
	return sum
}

// compareHistogram holds the cumulated histogram against the law, bucket edge by bucket edge. Rounded latencies are left out:
// their law has steps.
func compareHistogram(t *testing.T, what string, s *Scenario, hist map[int32]int64, p Phase, arm int) {
	t.Helper()
	if s.RoundMs > 0 || len(hist) == 0 {
		return
	}
	from := float64(int64(p.From) - s.StartMs)
	list := s.pieces(from, from+float64(p.Until-p.From))
	law := s.answerLaw(arm)
	total := int64(0)
	for _, n := range hist {
		total += n
	}
	for edge := int32(-8); edge < 30; edge++ {
		under, want, weight := int64(0), 0.0, 0.0
		for index, n := range hist {
			if index <= edge {
				under += n
			}
		}
		x := math.Exp2(float64(edge) / 2)
		for i := range list {
			w := predictions(arm, &list[i])
			weight += w
			want += w * s.Arms[arm].latencyBelow(x, &law, &list[i].r.arms[arm])
		}
		if share := want / weight; share*float64(total) > 1 && (1-share)*float64(total) > 1 {
			within(t, fmt.Sprintf("%s, latencies up to %.3g ms", what, x), under, total, share)
		}
	}
}

func TestCountsDeterminism(t *testing.T) {
	s := load(t, "tail-latency")
	s.Duration = time.Minute
	s.Faults = nil
	o := CountsOptions{From: 10 * time.Second, Width: 3 * time.Second}
	first, again := countsOf(t, s, o), countsOf(t, s, o)
	if !reflect.DeepEqual(first, again) {
		t.Error("the same seed gave other counts")
	}
	// 50 s are 16 whole windows of 3 s.
	if len(first) != 16 || first[0].StartMs != s.StartMs+10e3 {
		t.Errorf("%d windows from %d", len(first), first[0].StartMs)
	}
	o.Seed = 99
	if reflect.DeepEqual(first, countsOf(t, s, o)) {
		t.Error("another seed gave the same counts")
	}
}

func TestCountsErrors(t *testing.T) {
	for _, row := range []struct {
		scenario string
		width    time.Duration
		want     string
	}{
		{"overdispersed", time.Second, "count windows of scenario overdispersed: it has phi 2, and counts alone can't"},
		{"healthy", time.Microsecond, "count windows of scenario healthy: a width of 1µs is below 1ms"},
	} {
		if _, err := NewCounts(load(t, row.scenario), CountsOptions{Width: row.width}); err == nil || err.Error() != row.want {
			t.Errorf("%s: got %v; want %s", row.scenario, err, row.want)
		}
	}
}

// TestBinomial: the samplers' means and variances, in windows of a million draws' size.
func TestBinomial(t *testing.T) {
	d := newDice(1, 1)
	for _, row := range []struct {
		n int64
		p float64
	}{{10, 0.5}, {64, 0.5}, {1000, 0.5}, {1000, 0.001}, {1000, 0.3}, {1000, 0.97}, {3, 0.7}, {5, 0}, {5, 1}, {0, 0.5}} {
		const draws = 20000
		sum, square := 0.0, 0.0
		mean, variance := float64(row.n)*row.p, float64(row.n)*row.p*(1-row.p)
		for range draws {
			k := d.binomial(row.n, row.p)
			if k < 0 || k > row.n {
				t.Fatalf("%d of %d", k, row.n)
			}
			sum += float64(k)
			square += (float64(k) - mean) * (float64(k) - mean)
		}
		within(t, fmt.Sprintf("binomial %+v", row), int64(sum), draws*row.n, row.p)
		if got := square / draws; math.Abs(got-variance) > 0.06*variance {
			t.Errorf("binomial %+v: variance %.3f; want %.3f", row, got, variance)
		}
	}
	for _, mean := range []float64{0, 0.1, 3, 500} {
		sum, square := int64(0), 0.0
		for range 5000 {
			n := d.poisson(mean)
			sum += n
			square += (float64(n) - mean) * (float64(n) - mean)
		}
		near(t, "poisson", sum, 5000*mean)
		if got := square / 5000; math.Abs(got-mean) > 0.3*mean {
			t.Errorf("poisson of %g: variance %.3f", mean, got)
		}
	}
}

func BenchmarkCounts(b *testing.B) {
	s := load(b, "onset-100")
	s.Duration = MaxDuration
	c, err := NewCounts(s, CountsOptions{Width: time.Second, Bucket: halfOctave})
	if err != nil {
		b.Fatal(err)
	}
	var w WindowCounts
	b.ReportAllocs()
	for b.Loop() {
		c.Next(&w)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "windows/s")
}
