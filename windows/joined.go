package windows

import (
	"slices"
	"sort"
)

// joinedWindows is the windows of one partition whose outcomes aren't all sealed, ascending by start. An outcome may come a day after
// its prediction, so there may be many: numbers only, no pointers.
type joinedWindows struct {
	outcomes  int
	sumStride int
	windows   []joinedWindow
	counts    []uint32 // outcomeWords for each window and outcome
	valued    []int    // by outcome: its place among those whose values are added up, or -1
	sums      []int64  // sumWords for each window and such outcome
	gapStride int
	gaps      []uint32         // gapWords for each window and outcome, where the plan asks for the join gap
	segments  []joinedSegments // by window, where the plan tells segments apart
	symbols   *symbols         // of them; nil where it doesn't
	sampler   sampler
	samples   [][]sampled // by window, where the plan has exhibits of outcomes
	sealed    int         // windows from the front that are done with
}

// joinedWindow counts the predictions of a window that an outcome can follow: served and answered.
type joinedWindow struct {
	start  int64
	n      [Arms]uint32
	slices [Slices]uint32 // of the baseline
}

// What is counted of one outcome in one window: predictions with such an outcome per arm and per slice of the baseline, and the
// outcomes that matched.
const (
	wordSlices   = Arms
	wordMatched  = Arms + Slices
	outcomeWords = Arms + Slices + 1
)

// What is added up of one outcome's values in one window: per arm the predictions' sums and their squares, and the sums per slice of the baseline.
const (
	sumSlices = 2 * Arms
	sumWords  = 2*Arms + Slices
)

// shape says what there is to count.
func (j *joinedWindows) shape(plan *Plan) {
	outcomes := plan.Outcomes
	j.outcomes, j.valued, j.sampler = len(outcomes), nil, newSampler(plan)
	if plan.Health {
		j.gapStride = len(outcomes) * gapWords
	}
	places := 0
	for _, o := range outcomes {
		if o.Cap > 0 {
			j.valued = append(j.valued, places)
			places++
		} else {
			j.valued = append(j.valued, -1)
		}
	}
	j.sumStride = places * sumWords
}

// find returns the place of the window that starts at start, or where it belongs.
func (j *joinedWindows) find(start int64) (int, bool) {
	i := len(j.windows)
	for near := max(j.sealed, i-4); i > near && j.windows[i-1].start > start; {
		i--
	}
	if i > j.sealed && j.windows[i-1].start > start {
		i = j.sealed + sort.Search(i-j.sealed, func(k int) bool { return j.windows[j.sealed+k].start > start })
	}
	if i > j.sealed && j.windows[i-1].start == start {
		return i - 1, true
	}
	return i, false
}

// open returns the place of the window that starts at start, made if it isn't there.
func (j *joinedWindows) open(start int64) int {
	i, found := j.find(start)
	if !found {
		j.windows = slices.Insert(j.windows, i, joinedWindow{start: start})
		j.counts = insertRow(j.counts, i, j.outcomes*outcomeWords)
		j.sums = insertRow(j.sums, i, j.sumStride)
		j.gaps = insertRow(j.gaps, i, j.gapStride)
		if j.symbols != nil {
			j.segments = slices.Insert(j.segments, i, joinedSegments{})
		}
		if j.sampler.most > 0 {
			j.samples = slices.Insert(j.samples, i, nil)
		}
	}
	return i
}

// insertRow makes room for a row of zeros in a table.
func insertRow[T uint32 | int64](table []T, row, stride int) []T {
	if stride == 0 {
		return table
	}
	table = slices.Grow(table, stride)[:len(table)+stride]
	copy(table[(row+1)*stride:], table[row*stride:])
	clear(table[row*stride : (row+1)*stride])
	return table
}

// words returns what is counted of an outcome in window i.
func (j *joinedWindows) words(i, outcome int) []uint32 {
	from := (i*j.outcomes + outcome) * outcomeWords
	return j.counts[from : from+outcomeWords]
}

// count adds a prediction that outcomes can be joined to, to the window that starts at start.
func (j *joinedWindows) count(start int64, s *slot, p placed) {
	i := j.open(start)
	j.sample(i, p)
	w, arm := &j.windows[i], s.arm()
	w.n[arm]++
	if arm == Baseline {
		w.slices[s.slice()]++
	}
	if j.symbols != nil {
		j.segmentCounts(i, s.segment())[arm]++
	}
}

// match adds an outcome of a prediction; copied says that it isn't to be counted among the matched ones.
func (j *joinedWindows) match(i, outcome int, s *slot, copied bool) {
	words := j.words(i, outcome)
	if !copied {
		words[wordMatched]++
	}
	if !s.match(outcome) {
		return
	}
	j.noteHad(i, outcome, s)
	words[s.arm()]++
	if s.arm() == Baseline {
		words[wordSlices+s.slice()]++
	}
	if j.symbols != nil {
		j.segmentCounts(i, s.segment())[Arms*(1+outcome)+int(s.arm())]++
	}
}

// sumsOf returns what is added up of a valued outcome in window i.
func (j *joinedWindows) sumsOf(i, outcome int) []int64 {
	from := i*j.sumStride + j.valued[outcome]*sumWords
	return j.sums[from : from+sumWords]
}

// cells fills an outcome's part with what is counted in window i.
func (j *joinedWindows) cells(i, outcome int, p *Part) {
	w, words := &j.windows[i], j.words(i, outcome)
	for arm := range Arms {
		p.Cells[arm][0].N, p.Cells[arm][0].K = int64(w.n[arm]), int64(words[arm])
	}
	for slice := range Slices {
		p.Cells[Baseline][0].Slices[slice] = SliceCount{N: int64(w.slices[slice]), K: int64(words[wordSlices+slice])}
	}
	if j.symbols != nil {
		j.segmentCells(i, outcome, p)
	}
	if j.gapStride > 0 {
		j.gapCells(i, outcome, p)
	}
	j.showSamples(i, outcome, p)
	if j.valued[outcome] < 0 {
		return
	}
	sums := j.sumsOf(i, outcome)
	for arm := range Arms {
		p.Cells[arm][0].Sum, p.Cells[arm][0].Squares = sums[2*arm], sums[2*arm+1]
	}
	for slice := range Slices {
		p.Cells[Baseline][0].Slices[slice].Sum = sums[sumSlices+slice]
	}
}

// drop is done with the windows that start before a time: all their outcomes are sealed.
func (j *joinedWindows) drop(before int64) {
	for j.sealed < len(j.windows) && j.windows[j.sealed].start < before {
		if j.symbols != nil {
			j.forgetSegments(j.sealed)
		}
		if j.sampler.most > 0 {
			j.samples[j.sealed] = nil
		}
		j.sealed++
	}
	if j.sealed < 64 || j.sealed < len(j.windows)/2 {
		return
	}
	stride := j.outcomes * outcomeWords
	j.counts = j.counts[:copy(j.counts, j.counts[j.sealed*stride:])]
	j.sums = j.sums[:copy(j.sums, j.sums[j.sealed*j.sumStride:])]
	j.gaps = j.gaps[:copy(j.gaps, j.gaps[j.sealed*j.gapStride:])]
	if j.symbols != nil {
		j.segments = slices.Delete(j.segments, 0, j.sealed)
	}
	if j.sampler.most > 0 {
		j.samples = slices.Delete(j.samples, 0, j.sealed)
	}
	j.windows = j.windows[:copy(j.windows, j.windows[j.sealed:])]
	j.sealed = 0
}

// last returns the end of the last window, or NoTime.
func (j *joinedWindows) last(width int64) int64 {
	if len(j.windows) == j.sealed {
		return NoTime
	}
	return j.windows[len(j.windows)-1].start + width
}
