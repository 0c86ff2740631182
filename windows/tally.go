package windows

import "slices"

// A Tally counts values per bucket before they go into a cell's sparse histogram. It keeps its memory; the zero value is ready.
// A Tally is scratch of one goroutine.
type Tally struct {
	counts  []uint32 // by index - lowest
	lowest  int32
	outer   [2]uint32 // ZeroBucket and TopBucket
	touched []int32
	merged  []Bucket
}

// tallySpan is how many buckets around a value the dense counts are grown by: four octaves.
const tallySpan = 4 * bucketsPerDoubling

// Add counts one value in bucket index, as BucketOf returns it.
func (t *Tally) Add(index int32) {
	switch {
	case index <= ZeroBucket:
		t.outer[0]++
		return
	case index >= TopBucket:
		t.outer[1]++
		return
	}
	at := int(index) - int(t.lowest)
	if uint(at) >= uint(len(t.counts)) {
		t.grow(index)
		at = int(index) - int(t.lowest)
	}
	if t.counts[at] == 0 {
		t.touched = append(t.touched, index)
	}
	t.counts[at]++
}

// Flush adds what was counted to the cell's histogram, and empties the tally.
func (t *Tally) Flush(cell *Cell) {
	slices.Sort(t.touched)
	added := t.merged[:0]
	if t.outer[0] > 0 {
		added = append(added, Bucket{ZeroBucket, t.outer[0]})
	}
	for _, index := range t.touched {
		added = append(added, Bucket{index, t.counts[index-t.lowest]})
		t.counts[index-t.lowest] = 0
	}
	if t.outer[1] > 0 {
		added = append(added, Bucket{TopBucket, t.outer[1]})
	}
	t.outer, t.touched, t.merged = [2]uint32{}, t.touched[:0], added
	cell.Hist = mergeBuckets(cell.Hist, added)
}

// grow makes room for index. The range is bounded by that of float64: about 137,000 buckets.
func (t *Tally) grow(index int32) {
	low, high := index-tallySpan, index+tallySpan
	if len(t.counts) == 0 {
		t.counts, t.lowest = make([]uint32, high-low), low
		return
	}
	low, high = min(low, t.lowest), max(high, t.lowest+int32(len(t.counts)))
	counts := make([]uint32, high-low)
	copy(counts[t.lowest-low:], t.counts)
	t.counts, t.lowest = counts, low
}

// mergeBuckets adds two ascending histograms into dst's memory, and returns it.
func mergeBuckets(dst, add []Bucket) []Bucket {
	if len(dst) == 0 {
		return append(dst, add...)
	}
	fresh := 0 // buckets of add that dst lacks
	for i, j := 0, 0; j < len(add); j++ {
		for i < len(dst) && dst[i].Index < add[j].Index {
			i++
		}
		if i == len(dst) || dst[i].Index != add[j].Index {
			fresh++
		}
	}
	i, j := len(dst)-1, len(add)-1
	dst = slices.Grow(dst, fresh)[:len(dst)+fresh]
	for at := len(dst) - 1; j >= 0; at-- { // from the back, so that nothing is overwritten before it is read
		switch {
		case i >= 0 && dst[i].Index > add[j].Index:
			dst[at] = dst[i]
			i--
		case i >= 0 && dst[i].Index == add[j].Index:
			dst[at] = Bucket{dst[i].Index, dst[i].Count + add[j].Count}
			i--
			j--
		default:
			dst[at] = add[j]
			j--
		}
	}
	return dst
}
