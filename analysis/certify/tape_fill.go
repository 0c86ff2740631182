package certify

import (
	"math"

	"streamcanary/windows"
)

// A segment is a part of the traffic.
type segment struct {
	name  string
	share float64 // of the baseline's traffic
	lean  float64 // how much likelier its predictions are the canary's than others; 0: 1
	level float64 // factor of its rates; 0: 1
	users []int64 // where its predictions come from users, and others may not: as the scene's; nil: the scene's
}

// sliceSizes is how many predictions of a segment fall into each slice of the baseline; the canary's are all in the last.
type sliceSizes [windows.Slices]int64

// fill puts n predictions into one arm; of users as many as make that on average.
func (t *Tape) fill(arm windows.Arm, n int64, size float64) {
	p, tr := &t.serving, &t.serving.Traffic[arm]
	*tr = windows.Traffic{Units: tr.Units[:0]}
	for i := range p.Cells[arm] {
		c := &p.Cells[arm][i]
		*c = windows.Cell{Hist: c.Hist[:0]}
	}
	clear(t.sizes)
	t.paces = t.paces[:0]
	if t.scene.stays > 0 {
		t.fillPresent(arm)
	} else {
		t.fillAnew(arm, n, size)
	}
	tr.Served = tr.Events
	t.latencies(arm)
	if tr.Events > 0 {
		tr.SampledMin, tr.SampledMax = 1, 1
	}
}

// fillAnew puts predictions into one arm that have nothing to do with those of the window before.
func (t *Tape) fillAnew(arm windows.Arm, n int64, size float64) {
	left := n
	for s := range t.sizes {
		part := left
		if s < len(t.sizes)-1 {
			rest := t.weight(arm, s)
			part = t.dice.binomial(left, (rest-t.weight(arm, s+1))/rest)
		}
		left -= part
		t.group(arm, group{segment: s, n: part, size: size})
	}
}

// expected is how many predictions an arm has in a window, of one segment, on average.
func (t *Tape) expected(arm windows.Arm, segment int) float64 {
	share, h := t.share(), &t.scene.harm
	switch {
	case arm == windows.Baseline:
		share = 1 - share
	case h.Silent && t.moment.T >= h.From:
		return 0
	}
	n := t.scene.requests(t.moment.T) * share
	if len(t.sizes) == 1 {
		return n
	}
	return n * (t.weight(arm, segment) - t.weight(arm, segment+1)) / t.weight(arm, 0)
}

// weight is what the segments from one on weigh in an arm.
func (t *Tape) weight(arm windows.Arm, from int) float64 {
	sum := 0.0
	for _, s := range t.scene.segments[min(from, len(t.scene.segments)):] {
		w := s.share
		if arm == windows.Canary && s.lean > 0 {
			w *= s.lean
		}
		sum += w
	}
	return sum
}

// group is n predictions of one segment.
type group struct {
	segment int
	n       int64
	size    float64 // of the canary, as a multiple of the baseline's
}

func (t *Tape) group(arm windows.Arm, g group) {
	rates := t.levels(arm, g.segment)
	users := t.scene.usersOf(g.segment)
	if users == nil {
		t.spread(arm, &rates, g)
		return
	}
	for range t.dice.poisson(t.expected(arm, g.segment) / averageOf(users)) { // a router sends whole users
		u := t.newUser(g.segment)
		t.sight(arm, &u)
		t.predict(u, t.made(users), arm, &rates)
	}
}

// averageOf is how many predictions a user makes in a window on average.
func averageOf(users []int64) float64 {
	sum := 0.0
	for _, n := range users {
		sum += float64(n) / float64(len(users))
	}
	return sum
}

// levels are the rates in this window, in one segment of an arm.
func (t *Tape) levels(arm windows.Arm, segment int) (rates [maxRates]float64) {
	for i, r := range t.scene.rates {
		rates[i] = t.levelOf(&r, arm, segment)
	}
	return rates
}

// levelOf is a rate in this window, in one arm.
func (t *Tape) levelOf(r *rate, arm windows.Arm, segment int) float64 {
	p := r.base
	if r.drift != nil {
		p *= r.drift(t.moment.T)
	}
	if segment < len(t.scene.segments) {
		if level := t.scene.segments[segment].level; level > 0 {
			p *= level
		}
	}
	if arm == windows.Canary {
		p = t.scene.harm.rateOf(r.key, p, t.moment.T)
	}
	return p
}

// sliceOf draws the calibration slice of a unit.
func sliceOf(d dice) int { return min(int(d.ExpFloat64()/math.Ln2), windows.Slices-1) }

// spread makes predictions that the scene's noise ties together: sizes per slice, then hits per slice.
func (t *Tape) spread(arm windows.Arm, rates *[maxRates]float64, g group) {
	if arm == windows.Canary {
		t.slice(tally{arm: arm, segment: g.segment, n: g.n}, rates, place{cell: canaryCell, size: g.size})
		return
	}
	left, share := g.n, .5
	for slice := range windows.Slices {
		n := left
		if slice < windows.Slices-1 {
			n = t.dice.binomial(left, .5)
		}
		left -= n
		t.slice(tally{arm: arm, segment: g.segment, slice: slice, n: n}, rates, place{cell: slice, size: share})
		if slice < windows.Slices-2 {
			share /= 2
		}
	}
}

// slice makes the predictions of one slice, or of the canary.
func (t *Tape) slice(c tally, rates *[maxRates]float64, at place) {
	if c.n == 0 {
		return
	}
	t.serve(c)
	t.score(c, nil)
	for i := range t.scene.rates {
		at.rate, at.p = i, rates[i]
		c.rate, c.k = i, t.scene.noise.hits(t.dice, c.n, at)
		t.count(c)
	}
}

// tally is n predictions of an arm (of one of the baseline's slices), of which k are hits of a rate.
type tally struct {
	arm                  windows.Arm
	rate, segment, slice int
	n, k                 int64
}

// serve counts predictions.
func (t *Tape) serve(c tally) {
	tr := &t.serving.Traffic[c.arm]
	tr.Events += c.n
	if c.arm == windows.Baseline {
		tr.Slices[c.slice] += c.n
		t.sizes[c.segment][c.slice] += c.n
	} else {
		t.sizes[c.segment][windows.Slices-1] += c.n
	}
	if len(t.segments) > 0 {
		t.segments[c.segment].Served[c.arm] += c.n
	}
}

// count adds a tally to every cell that reads its rate.
func (t *Tape) count(c tally) {
	for _, i := range t.readers[c.rate] {
		addTo(&t.serving.Cells[c.arm][i], c, true)
		if len(t.segments) > 0 {
			addTo(&t.segments[c.segment].Cells[c.arm][i], c, false)
		}
	}
	for _, o := range t.outcomes {
		if o.rate != c.rate {
			continue
		}
		sum, squares := t.values(o, c.k)
		addTo(&o.open.part.Cells[c.arm][0], c, true)
		addValues(&o.open.part.Cells[c.arm][0], c, sum, squares)
		if len(o.open.segments) > 0 {
			addTo(&o.open.segments[c.segment].Cells[c.arm][0], c, false)
			o.open.segments[c.segment].Cells[c.arm][0].Sum += sum
			o.open.segments[c.segment].Cells[c.arm][0].Squares += squares
		}
	}
}

// values draws what k hits are worth, in units of the outcome's cap: lognormal, some of it beyond the cap.
func (t *Tape) values(o *joinedTape, k int64) (sum, squares int64) {
	if o.limit == 0 {
		return 0, 0
	}
	for range k {
		u := windows.SumUnits(30*math.Exp(t.dice.NormFloat64()), o.limit)
		sum, squares = sum+u, squares+windows.SquareUnits(u)
	}
	return sum, squares
}

func addValues(cell *windows.Cell, c tally, sum, squares int64) {
	cell.Sum, cell.Squares = cell.Sum+sum, cell.Squares+squares
	if c.arm == windows.Baseline {
		cell.Slices[c.slice].Sum += sum
	}
}

func addTo(cell *windows.Cell, c tally, slices bool) {
	cell.N, cell.K = cell.N+c.n, cell.K+c.k
	if slices && c.arm == windows.Baseline {
		cell.Slices[c.slice].N += c.n
		cell.Slices[c.slice].K += c.k
	}
}

// latencies draws those of one arm, segment by segment.
func (t *Tape) latencies(arm windows.Arm) {
	wanted := false
	for _, r := range t.reads {
		wanted = wanted || r.layer != none
	}
	if t.scene.law == nil || !wanted {
		return
	}
	t.timing.law, t.timing.grid, t.timing.factor = t.scene.law, t.scene.grid, 1
	if t.scene.drift != nil {
		t.timing.factor = t.scene.drift(t.moment.T)
	}
	if h := &t.scene.harm; arm == windows.Canary {
		t.timing.factor *= h.factor(t.moment.T)
		if h.Law != nil && t.moment.T >= h.From {
			t.timing.law = h.Law
		}
	}
	t.watch.begin(&t.timing)
	first := int64(0)
	paces := t.paces
	for s := range t.sizes {
		all := int64(0)
		for slice, n := range t.sizes[s] {
			if all += n; t.scene.usersOf(s) == nil {
				t.watch.draw(t.dice, n, &t.timing, slice == 0)
				t.exceed(tally{arm: arm, segment: s, slice: slice, n: n})
			}
		}
		for ; len(paces) > 0 && paces[0].segment == s; paces = paces[1:] {
			t.watch.drawAlike(t.dice, paces[0], &t.timing)
			t.exceed(tally{arm: arm, segment: s, slice: paces[0].slice, n: paces[0].n})
		}
		first += t.sizes[s][0]
		if len(t.segments) > 0 {
			t.keep(t.segments[s].Cells[arm], ofPart, all, t.sizes[s][0])
		}
	}
	t.keep(t.serving.Cells[arm], ofAll, t.serving.Traffic[arm].Events, first)
}

// exceed counts how many of the latencies drawn last are above limits.
func (t *Tape) exceed(c tally) {
	for i, r := range t.reads {
		if r.over < 0 {
			continue
		}
		c.k = t.timing.above[r.over]
		addTo(&t.serving.Cells[c.arm][i], c, true)
		if len(t.segments) > 0 {
			addTo(&t.segments[c.segment].Cells[c.arm][i], c, false)
		}
	}
	clear(t.timing.above)
}

// keep writes the latencies that were drawn into cells, of all traffic or of a segment: n, and so many of them in slice 0 of the baseline.
func (t *Tape) keep(cells []windows.Cell, of drawn, n, first int64) {
	hist := false
	for i, r := range t.reads {
		c := &cells[i]
		switch r.layer {
		case whole:
			c.N, c.Hist, hist = n, t.watch.flush(of.all, c.Hist), true
		case half:
			c.N, c.Hist = first, t.watch.flush(of.half, c.Hist)
			c.Slices[0].N = first
		case none, part, partHalf, layers:
		}
	}
	if !hist {
		t.watch.flush(of.all, nil)
	}
}

// newSegments makes the segments of a part with this many cells, ascending by name.
func newSegments(list []segment, cells int) []windows.Segment {
	all := make([]windows.Segment, len(list))
	for i, s := range list {
		all[i].Name = s.name
		for arm := range windows.Arms {
			all[i].Cells[arm] = make([]windows.Cell, cells)
		}
	}
	return all
}

func emptySegments(all []windows.Segment) {
	for i := range all {
		all[i].Served = [windows.Arms]int64{}
		for arm := range windows.Arms {
			for c := range all[i].Cells[arm] {
				cell := &all[i].Cells[arm][c]
				*cell = windows.Cell{Hist: cell.Hist[:0]}
			}
		}
	}
}

// filled appends the segments that hold something.
func filled(dst, all []windows.Segment) []windows.Segment {
	for _, s := range all {
		something := false
		for arm := range windows.Arms {
			for _, c := range s.Cells[arm] {
				something = something || c.N > 0
			}
		}
		if something {
			dst = append(dst, s)
		}
	}
	return dst
}
