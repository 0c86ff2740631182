package analysis

import (
	"math"
	"reflect"
	"testing"
	"time"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// tested is one block as a test saw it: in windows of the epoch, with both arms' exposures.
type tested struct {
	from, to         int64
	baseline, canary int64
	weight           float64
}

// recorder is a kernel and an account that only note what they are given.
type recorder struct {
	kernel
	clock  clock
	blocks []tested
}

func (r *recorder) increments(inc *increments, b *block, _ armPhi) bool {
	ok := sizesReach(b, 1)
	clear(inc.any)
	return ok
}

func (r *recorder) keep(b *block, c closing) {
	r.blocks = append(r.blocks, tested{
		r.clock.window(b.fromMs), r.clock.window(b.toMs), b.n[windows.Baseline], b.n[windows.Canary], c.weight,
	})
}

func (r *recorder) estimate(int64) estimate { return estimate{} }

func (r *recorder) intervals(float64) (difference, ratio interval) { return unknown, unknown }

func TestBlocks(t *testing.T) {
	type at struct {
		window           int64
		baseline, canary int64
		cut              bool // the share changed in this window
	}
	const h = 100
	sum := func(from, to int64) float64 { return stats.StartSum(from, to, h) } // of the start weights
	hour := int64(time.Hour / time.Second)
	rate, p99 := &rateContrast{}, &rankContrast{least: quantileRanks(10000, nil, nil).least}
	tests := []struct {
		name   string
		kernel kernel
		in     []at
		want   []tested
	}{
		{"a window with 8 of each is a block", rate, []at{{0, 8, 8, false}, {1, 99, 8, false}},
			[]tested{{0, 1, 8, 8, sum(0, 1)}, {1, 2, 99, 8, sum(1, 2)}}},
		{"one short of 8 waits", rate, []at{{0, 100, 7, false}, {1, 100, 0, false}, {2, 100, 1, false}},
			[]tested{{0, 3, 300, 8, sum(0, 3)}}},
		{"windows without events count in the start weights, not in the block", rate, []at{{0, 8, 8, false}, {7, 8, 8, false}},
			[]tested{{0, 1, 8, 8, sum(0, 1)}, {7, 8, 8, 8, sum(1, 8)}}},
		{"a change closes the open block, and its window is left out", rate,
			[]at{{0, 8, 3, false}, {1, 8, 8, true}, {2, 8, 8, false}},
			[]tested{{0, 1, 8, 3, sum(0, 1)}, {2, 3, 8, 8, sum(1, 3)}}},
		{"a block that is cut with an empty arm is skipped; its weights go to the next", rate,
			[]at{{0, 30, 0, false}, {1, 8, 8, true}, {2, 8, 8, false}},
			[]tested{{2, 3, 8, 8, sum(0, 3)}}},
		{"a change with nothing open", rate, []at{{0, 8, 8, false}, {1, 8, 8, true}, {2, 8, 8, true}, {3, 8, 8, false}},
			[]tested{{0, 1, 8, 8, sum(0, 1)}, {3, 4, 8, 8, sum(1, 4)}}},
		{"an hour at most: the window that would make it longer begins the next", rate,
			[]at{{0, 1, 1, false}, {hour - 1, 1, 1, false}, {hour, 8, 8, false}},
			[]tested{{0, hour, 2, 2, sum(0, hour)}, {hour, hour + 1, 8, 8, sum(hour, hour+1)}}},
		{"an hour with an empty arm is skipped", rate, []at{{0, 1, 0, false}, {hour, 8, 8, false}},
			[]tested{{hour, hour + 1, 8, 8, sum(0, hour+1)}}},
		{"top-K: 4 expected exceedances in both arms together", p99, []at{{0, 300, 99, false}, {1, 1, 0, false}, {2, 399, 1, false}},
			[]tested{{0, 2, 301, 99, sum(0, 2)}, {2, 3, 399, 1, sum(2, 3)}}},
		{"top-K: an arm may not be empty", p99, []at{{0, 900, 0, false}, {1, 0, 1, false}},
			[]tested{{0, 2, 900, 1, sum(0, 2)}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := clock{startMs: startMs, widthMs: 1000, horizon: h}
			r := &recorder{kernel: tt.kernel, clock: c}
			trial := newTrial(r, r, shape{components: 1, one: true})
			for _, w := range tt.in {
				if w.cut {
					trial.part(c)
					continue
				}
				start := c.startMs + w.window*c.widthMs
				trial.take(&window{startMs: start, endMs: start + c.widthMs, n: [windows.Arms]int64{w.baseline, w.canary}}, c)
			}
			if !reflect.DeepEqual(r.blocks, tt.want) {
				t.Errorf("blocks\n got %v\nwant %v", r.blocks, tt.want)
			}
		})
	}
}

// TestPhiBetweenBlocks holds that the factor of a block is known before its first event.
func TestPhiBetweenBlocks(t *testing.T) {
	r := rolloutOf(guardrail("errors: rate error increase 0.5pp"))
	r.Phi = 1.5
	s := newScript(t, r, Options{})
	g := s.guard("errors")
	s.play(1, side{n: 100}, side{n: 4})
	if g.canary.phiNow != (armPhi{1.5, 1.5}) {
		t.Fatalf("the first block's factor is %v, want the rollout's 1.5 for both", g.canary.phiNow)
	}
	d := g.canary.phi
	for range 400 { // slices that disagree wildly, as if measured while the block is open
		d.add(&[windows.Slices]windows.SliceCount{{N: 100, K: 10}, {N: 50}, {N: 25}, {N: 12}, {N: 6}, {N: 3}, {N: 2, K: 2}, {N: 2, K: 2}})
	}
	if now := d.canary(); now <= 2 {
		t.Fatalf("the measured factor is %v, want more than 2", now)
	}
	s.play(1, side{n: 100}, side{n: 3})
	if g.canary.phiNow != (armPhi{1.5, 1.5}) {
		t.Errorf("the open block's factor changed to %v", g.canary.phiNow)
	}
	s.play(2, side{n: 100}, side{n: 4})
	if g.canary.phiNow[windows.Canary] <= 2 {
		t.Errorf("the next block's factor is %v, want the measured one", g.canary.phiNow)
	}
}

func TestShardSize(t *testing.T) {
	tests := []struct {
		ratio float64 // canary / baseline
		want  float64 // share of the baseline
	}{
		{0, 1. / 128}, {.001, 1. / 128}, {1. / 128, 1. / 128}, {.0079, 1. / 64}, {.01, 1. / 64}, {.25, .25}, {.26, .5}, {.5, .5}, {1, .5}, {50, .5},
	}
	for _, tt := range tests {
		if got := math.Exp2(float64(shardSize(tt.ratio) - shards)); got != tt.want {
			t.Errorf("canary %v of the baseline: shard %v, want %v", tt.ratio, got, tt.want)
		}
	}
}

func TestDispersionUsesTheRightShard(t *testing.T) {
	tr := &traffic{}
	d := newDispersion(Options{}, 1, tr)
	// Only the two smallest slices are noisy: they swing together between none and all.
	for i := range int64(1000) {
		k := i % 2
		d.add(&[windows.Slices]windows.SliceCount{{N: 64, K: 32}, {N: 32, K: 16}, {N: 16, K: 8}, {N: 8, K: 4}, {N: 4, K: 2}, {N: 2, K: 1}, {N: 2, K: 2 * k}, {N: 2, K: 2 * k}})
	}
	tr.ratio = 1. / 64
	small := d.canary()
	tr.ratio = 1
	half := d.canary()
	if !(small > 2 && half < small && d.arms()[windows.Baseline] == half) {
		t.Errorf("factor %.2f for a small canary, %.2f for a large one, %.2f for the baseline", small, half, d.arms()[windows.Baseline])
	}
	known := newDispersion(Options{Phi: 3}, 1, tr)
	if got := known.canary(); got != 3 {
		t.Errorf("a known factor is %v, want 3", got)
	}
}

func TestHorizon(t *testing.T) {
	r := &schemas.Rollout{Window: time.Second, Stages: []schemas.Stage{{Max: 24 * time.Hour}}}
	if got := horizon(r); got != 86400 {
		t.Errorf("planned life is %d windows, want 86400", got)
	}
}

func sum(ns []int64) (total int64) {
	for _, n := range ns {
		total += n
	}
	return total
}

// TestBatch holds what the intervals take together: no more than a sixteenth of the blocks so far, at most 8, never over a change of the share.
func TestBatch(t *testing.T) {
	var sizes []int64
	var weight float64
	var b batch
	enter := func(b *batch) {
		sizes = append(sizes, b.blocks)
		weight += b.weight
		if n := b.block.n[windows.Canary]; n != b.blocks || b.phi != (armPhi{2, 2}) {
			t.Errorf("batch of %d blocks holds %d events, phi %v", b.blocks, n, b.phi)
		}
	}
	one := block{fromMs: 1, toMs: 2, n: [windows.Arms]int64{1, 1}}
	for i := range 300 {
		b.take(&one, closing{weight: 1, phi: armPhi{2, 2}, fresh: i == 203}, enter)
	}
	total := int64(0)
	for i, n := range sizes {
		if total += n; n > min(batchBlocks, 1+total/batchPart) {
			t.Errorf("batch %d has %d blocks of %d", i, n, total)
		}
		if total > 203 && total-n < 203 {
			t.Errorf("batch %d goes over the change of the share", i)
		}
	}
	if sizes[len(sizes)-1] != batchBlocks {
		t.Errorf("the last batch has %d blocks, want %d", sizes[len(sizes)-1], batchBlocks)
	}
	before := len(sizes)
	for range 20 {
		b.take(&one, closing{weight: 1, phi: armPhi{2, 2}, hot: true}, enter)
	}
	if got := int64(len(sizes) - before); got < 20-batchBlocks {
		t.Errorf("%d batches of 20 hot blocks", got)
	}
	if weight != float64(total+sum(sizes[before:])) || total < 300-batchBlocks {
		t.Errorf("%d blocks with weight %v", total, weight)
	}
}
