package analysis

import "streamcanary/windows"

// strataNoise is how noisy a roll's segments are, each for itself. Where the canary has another mix of segments than the baseline, what a noisy one adds to the noise of all traffic isn't what it adds to the
// sum of contrasts.
//
// Claim. Let phi-1 be of all traffic, V_s the variance of a segment's contrast were its events independent, w_s = V_s / E_s for one of its E_s events of the baseline, and w their mean over all events. Then the
// variance of the sum of all contrasts is at most 1 + (phi-1) max w_s / w times what it were of independent events. Proof: all of it is sum V_s + sum (phi_s-1) V_s, and sum (phi_s-1) E_s = (phi-1) E. The sum
// is greatest where the segment with the greatest w_s has all the noise. With one mix in both arms that is phi.
//
// So it holds of all segments together, until 250 windows, and of rates 200 events, have shown the own noise of those that have nine tenths of the weight; from then on each goes by that, or by ofPart, which holds of each alone. A segment that comes later than the first
// windows isn't in what was measured by then: it waits until it has shown its own.
type strataNoise struct {
	wholes []*dispersion   // of all traffic, by cell, where a rate is compared within segments; else nil
	parts  [][]*dispersion // theirs by cell and place
	leans  []float64       // max w_s / w, by cell
	apart  []bool          // by cell: the segments have shown their own noise
	ranks  float64         // likewise, of ranks; 0: not known yet
	late   []bool          // by place
	seen   int             // windows

	scratch []leaning
}

const (
	// strataEarly is how many windows make the first ones.
	strataEarly = 10
	// leanLeast is so many requests of a segment's baseline that are taken to be split as all are: a few say little.
	leanLeast = 20
	// strataTold is the part of the weight that must have told its noise.
	strataTold = .9
)

// of adds a cell; places are made later.
func (n *strataNoise) of(cell int, whole *dispersion) {
	for len(n.wholes) <= cell {
		n.wholes, n.parts, n.leans, n.apart = append(n.wholes, nil), append(n.parts, nil), append(n.leans, 1), append(n.apart, false)
	}
	n.wholes[cell] = whole
}

// open adds a place.
func (n *strataNoise) open() {
	n.late = append(n.late, n.seen >= strataEarly)
	for cell, whole := range n.wholes {
		if whole != nil {
			d := newPartDispersion(whole)
			d.wait()
			n.parts[cell] = append(n.parts[cell], d)
		}
	}
}

// measure takes what a part's segments tell, after their tests.
func (n *strataNoise) measure(now []placedSegment) {
	if len(now) > 0 {
		n.seen++
	}
	for i := range now {
		s := &now[i]
		for cell, places := range n.parts {
			if places != nil && cell < len(s.Cells[windows.Baseline]) {
				c := &s.Cells[windows.Baseline][cell]
				places[s.place].addPast(c.N, c.K)
				places[s.place].wait()
			}
		}
	}
}

// together reports whether a place's noise is reckoned with that of all.
func (t *trial) together(place int) bool {
	n := &t.strata.roll.noise
	switch {
	case n.late[place]:
		return false
	case t.phi != nil:
		return !n.apart[t.strata.cell]
	}
	return n.seen < partWindows
}

// lean follows how unlike the splits of the segments are, by their sizes. The noise of all traffic is of so many times as many requests as these have, and all of it may be theirs.
func (n *strataNoise) lean(of []traffic, times float64) {
	var all shareWatch
	for i := range of {
		all.canary, all.baseline = all.canary+of[i].watch.canary, all.baseline+of[i].watch.baseline
	}
	if all.canary == 0 || all.baseline == 0 {
		return
	}
	n.scratch = n.scratch[:0]
	for i := range of {
		w := &of[i].watch
		n.scratch = append(n.scratch, leaning{w.baseline, (w.canary + leanLeast*all.canary/all.baseline) / (w.baseline + leanLeast)})
	}
	n.ranks = times * leanOf(n.scratch, nil, func(ratio float64) float64 { return ratio / (1 + ratio) })
	for cell, places := range n.parts {
		if places != nil {
			n.leans[cell], n.apart[cell] = times*leanOf(n.scratch, places, rateWeight), toldOf(n.scratch, places)
		}
	}
}

// leaning is a segment's size, and the canary's as a multiple of it.
type leaning struct{ baseline, ratio float64 }

// rateWeight is the variance of a contrast of rates for one event of the baseline.
func rateWeight(ratio float64) float64 { return ratio * (1 + ratio) }

// toldOf reports whether the segments that have told their noise have nearly all of the weight.
func toldOf(of []leaning, parts []*dispersion) bool {
	told, all := 0.0, 0.0
	for i, d := range parts {
		w := of[i].baseline * rateWeight(of[i].ratio)
		if all += w; d.told() {
			told += w
		}
	}
	return told >= strataTold*all
}

// leanOf is the greatest weight over the mean one of requests, or of events, where that is less; parts may be nil.
func leanOf(of []leaning, parts []*dispersion, weight func(ratio float64) float64) float64 {
	most, sum, requests := 0.0, 0.0, 0.0
	for i := range of {
		if of[i].baseline > 0 {
			w := weight(of[i].ratio)
			most, sum, requests = max(most, w), sum+of[i].baseline*w, requests+of[i].baseline
		}
	}
	mean := sum / requests
	sum, events := mean, 1.0 // few events say little
	for i, d := range parts {
		sum, events = sum+d.events*weight(of[i].ratio), events+d.events
	}
	return most / min(mean, sum/events)
}

// unknown reports whether nothing of a place can be tested, since its noise isn't known.
func (t *trial) unknown(place int) bool {
	n := &t.strata.roll.noise
	switch {
	case t.together(place):
		return false
	case t.phi != nil:
		return n.late[place] && n.parts[t.strata.cell][place].blind
	case t.ranks != nil:
		return n.late[place] && t.ranks.stratum(place).unknown()
	}
	return false
}

// phiOf is the over-dispersion of a place's block that opens now.
func (t *trial) phiOf(place int) armPhi {
	n := &t.strata.roll.noise
	switch {
	case t.phi != nil && t.phi.known == 0 && t.together(place):
		return t.phi.arms().leaning(n.leans[t.strata.cell])
	case t.phi != nil:
		return n.parts[t.strata.cell][place].arms()
	case t.ranks != nil && t.together(place):
		return t.ranks.stratum(place).leaning(n.ranks)
	case t.ranks != nil:
		return t.ranks.stratum(place).arms()
	case t.noise != nil:
		own := &t.strata.at(place).own
		own.begin(t.noise)
		return own.arms(t.noise)
	}
	return t.phiNext()
}

// leaning is the most that phi is of a sum of contrasts, some of which weigh so many times as much as all do.
func (a armPhi) leaning(times float64) armPhi {
	times = max(1, times)
	return armPhi{1 + (a[0]-1)*times, 1 + (a[1]-1)*times}
}
