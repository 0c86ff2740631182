package loadgen

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"
)

// Slices is the number of parts into which the counts are cut for calibration; their shares are 1/2, 1/4, … 1/128, 1/128.
const Slices = 8

// A Count is a number of predictions, and how many of them fall into each slice.
type Count struct {
	Total  int64
	Slices [Slices]int64
}

// BucketCount is how many latencies fall into one bucket of the caller's.
type BucketCount struct {
	Index int32
	Count uint32
}

// WindowCounts is what both arms did in one window.
type WindowCounts struct {
	StartMs int64 // Unix milliseconds
	Arms    [Arms]ArmCounts
}

// ArmCounts is what one arm did in one window. Answered predictions are those with neither error nor timeout; outcomes are of
// these, and counted in the window of their prediction, however late they happen.
type ArmCounts struct {
	Predictions, Errors, Timeouts, Answered Count
	Outcomes                                [MaxOutcomes]Count // in the order of the arm's Outcomes
	Latency                                 []BucketCount      // ascending Index; of every prediction
}

// A Counts makes the counts of windows without making their events: for long stretches of which only the counts matter.
// They are as likely as those of a Generator with no transport, but not the same for the same seed. Rates are those of a window's
// middle, throughout it. Not for concurrent use.
type Counts struct {
	s       *Scenario
	dice    dice
	marks   *cursor
	answers [Arms]answerLaw
	bucket  func(float64) int32
	width   float64
	at      float64
	hist    map[int32]uint32
}

// CountsOptions says which windows to count, and how.
type CountsOptions struct {
	Seed  uint64        // 0 takes the scenario's own
	From  time.Duration // after the scenario's start
	Width time.Duration // of a window; at least 1ms
	// Bucket maps a latency in milliseconds to its bucket; a timeout without a latency is +Inf.
	Bucket func(latencyMs float64) int32
}

// NewCounts returns the counts of a scenario's windows. A scenario with phi above 1 is an error: its counts would need the
// requests.
func NewCounts(s *Scenario, o CountsOptions) (*Counts, error) {
	if s.Units.Phi > 1 {
		return nil, fmt.Errorf("count windows of scenario %s: it has phi %g, and counts alone can't", s.Name, s.Units.Phi)
	}
	if o.Width < time.Millisecond {
		return nil, fmt.Errorf("count windows of scenario %s: a width of %s is below 1ms", s.Name, o.Width)
	}
	if o.Seed == 0 {
		o.Seed = s.Seed
	}
	c := &Counts{
		s: s, dice: newDice(o.Seed, 5), marks: newCursor(s), bucket: o.Bucket, hist: map[int32]uint32{},
		width: float64(o.Width) / float64(time.Millisecond), at: float64(o.From) / float64(time.Millisecond),
	}
	for i := range c.answers {
		c.answers[i] = s.answerLaw(i)
	}
	return c, nil
}

// Next fills w with the next window, reusing its memory, and says false when none is left. A last window that the scenario's
// end would cut is left out.
func (c *Counts) Next(w *WindowCounts) bool {
	if c.at+c.width > c.s.durationMs() {
		return false
	}
	w.StartMs = c.s.StartMs + int64(c.at)
	r := c.marks.at(c.at + c.width/2)
	for i := range w.Arms {
		share := r.share
		if i == Baseline {
			share = 1 - share
		}
		if r.arms[i].silent {
			share = 0
		}
		c.arm(&w.Arms[i], i, r.perMs*c.width*share)
	}
	c.at += c.width
	return true
}

// arm draws one arm's window with a mean number of predictions.
func (c *Counts) arm(to *ArmCounts, arm int, mean float64) {
	a, r := &c.s.Arms[arm], &c.marks.now.arms[arm]
	n := c.dice.poisson(mean)
	failed := c.dice.binomial(n, r.errors)
	late := int64(0)
	if r.errors < 1 {
		late = c.dice.binomial(n-failed, min(r.timeouts/(1-r.errors), 1))
	}
	*to = ArmCounts{
		Errors: c.slice(failed), Timeouts: c.slice(late), Answered: c.slice(n - failed - late), Latency: to.Latency[:0],
	}
	to.Predictions = to.Errors.plus(to.Timeouts).plus(to.Answered)
	for i := range a.Outcomes {
		for j, answered := range to.Answered.Slices {
			k := c.dice.binomial(answered, r.outcomes[i])
			to.Outcomes[i].Slices[j] = k
			to.Outcomes[i].Total += k
		}
	}
	c.latencies(to, arm)
}

// latencies draws and buckets one latency for each prediction.
func (c *Counts) latencies(to *ArmCounts, arm int) {
	a, law, r := &c.s.Arms[arm], &c.answers[arm], &c.marks.now.arms[arm]
	clear(c.hist)
	own := to.Answered.Total
	if a.ErrorLatency == nil {
		own += to.Errors.Total
	} else {
		for range to.Errors.Total {
			x, _ := a.ErrorLatency.draw(c.dice)
			c.hist[c.bucket(law.rounded(x))]++
		}
	}
	for range own {
		x, _ := law.law.draw(c.dice)
		c.hist[c.bucket(law.shape(x, r))]++
	}
	if n := to.Timeouts.Total; n > 0 {
		x := math.Inf(1)
		if a.TimeoutMs > 0 {
			x = law.rounded(a.TimeoutMs)
		}
		c.hist[c.bucket(x)] += uint32(n)
	}
	for index, n := range c.hist {
		to.Latency = append(to.Latency, BucketCount{index, n})
	}
	slices.SortFunc(to.Latency, func(x, y BucketCount) int { return int(x.Index) - int(y.Index) })
}

// slice deals n predictions out to the slices.
func (c *Counts) slice(n int64) Count {
	count := Count{Total: n}
	for i := range Slices - 1 {
		count.Slices[i] = c.dice.binomial(n, 0.5)
		n -= count.Slices[i]
	}
	count.Slices[Slices-1] = n
	return count
}

func (a Count) plus(b Count) Count {
	a.Total += b.Total
	for i := range a.Slices {
		a.Slices[i] += b.Slices[i]
	}
	return a
}

// poisson draws a count of that mean, in time proportional to it: the arrivals of a Poisson process, one by one.
func (d dice) poisson(mean float64) int64 {
	n := int64(0)
	for left := mean - d.ExpFloat64(); left > 0; left -= d.ExpFloat64() {
		n++
	}
	return n
}

// binomial draws how many of n succeed: fair coins by the word, others by the gaps between successes (time n min(p, 1-p)).
func (d dice) binomial(n int64, p float64) int64 {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case p == 0.5:
		return d.coins(n)
	case p > 0.5:
		return n - d.binomial(n, 1-p)
	}
	k, perGap := int64(0), 1/math.Log1p(-p)
	for left := float64(n); ; k++ {
		left -= 1 + math.Floor(math.Log(1-d.share())*perGap)
		if left < 0 {
			return k
		}
	}
}

// coins counts the heads of n fair coins.
func (d dice) coins(n int64) int64 {
	heads := 0
	for ; n >= 64; n -= 64 {
		heads += bits.OnesCount64(d.pcg.Uint64())
	}
	return int64(heads + bits.OnesCount64(d.pcg.Uint64()&(1<<n-1)))
}
