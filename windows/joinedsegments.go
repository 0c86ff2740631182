package windows

// joinedSegments is what the segments of one window count until its outcomes are sealed: numbers by the ids of a segmentSet of the window's. A prediction
// that waits for outcomes has its id in its entry, so that it takes no more memory than without.
type joinedSegments struct {
	counts []uint32 // by id: predictions per arm, then for each outcome those that have it
	sums   []int64  // by id: for each valued outcome, per arm the sum and that of squares
	names  []uint32 // by id: symbols, known once the window's serving part is sealed
}

// segmentStrides are the lengths of an id's row in counts and in sums.
func (j *joinedWindows) segmentStrides() (counts, sums int) {
	return Arms * (1 + j.outcomes), 2 * Arms * (j.sumStride / sumWords)
}

// segmentCounts returns the counts of an id in window i.
func (j *joinedWindows) segmentCounts(i, id int) []uint32 {
	stride, _ := j.segmentStrides()
	s := &j.segments[i]
	for len(s.counts) < (id+1)*stride {
		s.counts = append(s.counts, make([]uint32, (id+1)*stride-len(s.counts))...)
	}
	return s.counts[id*stride : (id+1)*stride]
}

// segmentSums returns the sum and that of squares of an id, arm and valued outcome in window i.
func (j *joinedWindows) segmentSums(i, outcome int, of *slot) []int64 {
	_, stride := j.segmentStrides()
	s, id := &j.segments[i], of.segment()
	for len(s.sums) < (id+1)*stride {
		s.sums = append(s.sums, make([]int64, (id+1)*stride-len(s.sums))...)
	}
	from := id*stride + 2*Arms*j.valued[outcome] + 2*int(of.arm())
	return s.sums[from : from+2]
}

// nameSegments notes the names of a window's segments, which are final when its serving part is sealed.
func (j *joinedWindows) nameSegments(start int64, plan *segmentNames, set *segmentSet) {
	i, found := j.find(start)
	if !found {
		return
	}
	stride, _ := j.segmentStrides()
	s := &j.segments[i]
	s.names = make([]uint32, len(s.counts)/stride)
	for id := range s.names {
		s.names[id] = j.symbols.take(set.text(plan, id))
	}
}

// segmentCells fills an outcome's part with what the segments count in window i.
func (j *joinedWindows) segmentCells(i, outcome int, p *Part) {
	stride, sumStride := j.segmentStrides()
	s := &j.segments[i]
	for id, symbol := range s.names {
		counts := s.counts[id*stride : (id+1)*stride]
		if counts[Baseline]+counts[Canary] == 0 {
			continue
		}
		segment := p.segment(j.symbols.names[symbol])
		for arm := range Arms {
			c := Cell{N: int64(counts[arm]), K: int64(counts[Arms*(1+outcome)+arm])}
			if at := id*sumStride + 2*Arms*j.valued[outcome] + 2*arm; j.valued[outcome] >= 0 && at < len(s.sums) {
				c.Sum, c.Squares = s.sums[at], s.sums[at+1]
			}
			segment.Cells[arm][0].add(&c)
		}
	}
}

// forgetSegments is done with window i.
func (j *joinedWindows) forgetSegments(i int) {
	for _, symbol := range j.segments[i].names {
		j.symbols.release(symbol)
	}
	j.segments[i] = joinedSegments{}
}

// symbols gives names numbers, for as long as somebody uses them. 0 is "".
type symbols struct {
	numbers map[string]uint32
	names   []string
	uses    []int
	free    []uint32
}

func newSymbols() *symbols {
	return &symbols{numbers: map[string]uint32{}, names: []string{""}, uses: []int{0}}
}

func (y *symbols) take(name []byte) uint32 {
	if len(name) == 0 {
		return 0
	}
	n, known := y.numbers[string(name)]
	if !known {
		if last := len(y.free) - 1; last >= 0 {
			n, y.free = y.free[last], y.free[:last]
		} else {
			n = uint32(len(y.names))
			y.names, y.uses = append(y.names, ""), append(y.uses, 0)
		}
		y.names[n] = string(name)
		y.numbers[y.names[n]] = n
	}
	y.uses[n]++
	return n
}

func (y *symbols) release(n uint32) {
	if n == 0 {
		return
	}
	if y.uses[n]--; y.uses[n] == 0 {
		delete(y.numbers, y.names[n])
		y.names[n] = ""
		y.free = append(y.free, n)
	}
}
