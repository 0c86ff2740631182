package analysis

import (
	"streamcanary/analysis/stats"
	"streamcanary/windows"
)

// rankPart measures the noise of a rank test on one segment, which may be noisier than all traffic: users whose requests are alike are diluted there. It holds the segment's half by unit against
// the other one, and goes by all traffic until that has told enough.
//
// Claim. Let phi-1 be of all traffic, n requests of it for one of the segment's. Then the segment's is at most n (phi-1), if its own ranks are as wide as those that it has in all. Proof: phi-1 is the sum over units
// of what a unit's requests add to the variance together, beyond one by one, by that of the requests one by one. Units are independent, and what they add is not negative, so the segment's units add no more than
// all do, and its requests are n times fewer. The same holds of sum n_u² / sum n_u, which bounds phi, whatever the ranks are.
//
// When. Units of the segment whose values lie so close, or so far from a tail, that all traffic doesn't show that they are alike, are bounded by sizes until the segment's own ranks have shown it (200 of its half
// that tell of it, in 50 blocks).
type rankPart struct {
	of        *rankNoise
	seen      *stats.Dispersion
	open      halves  // of the segment
	windows   int64   // with requests of its baseline
	mine, all float64 // requests of the baseline since then: its, and those of all traffic
}

// part finds or adds what measures one slot's.
func (r *rankNoise) part(slot int) *rankPart {
	for len(r.parts) <= slot {
		r.parts = append(r.parts, &rankPart{of: r, seen: stats.NewDispersion()})
	}
	return r.parts[slot]
}

// stratum finds or adds what measures the one at a place.
func (r *rankNoise) stratum(place int) *rankPart {
	for len(r.strata) <= place {
		r.strata = append(r.strata, &rankPart{of: r, seen: stats.NewDispersion()})
	}
	return r.strata[place]
}

// unknown reports whether there is noise, of which the segment has told nothing yet.
func (p *rankPart) unknown() bool {
	_, measured := p.seen.Phi(1)
	return p.of.known == 0 && p.of.many && !measured
}

// addParts takes a window's segments, by slot, after its tests.
func (s *stream) addParts(p *windows.Part) {
	if s.strips == nil {
		return
	}
	s.addTo(s.strips.now, p, func(r *rankNoise, slot int) *rankPart {
		if slot >= len(r.parts) {
			return nil
		}
		return r.parts[slot]
	})
	if s.strips.strata != nil {
		s.addTo(s.strips.strata.by, p, func(r *rankNoise, place int) *rankPart {
			if !r.stratified {
				return nil
			}
			return r.stratum(place)
		})
	}
}

// addTo gives a window's segments to what of finds of them.
func (s *stream) addTo(segments []*windows.Segment, p *windows.Part, of func(r *rankNoise, at int) *rankPart) {
	all := p.Cells[windows.Baseline]
	for at, now := range segments {
		half := -1 // whose other half is at hand
		for _, r := range s.ranks {
			part := of(r, at)
			if part == nil || r.known > 0 || !r.many || r.half >= len(all) {
				continue
			}
			if now != nil && half != r.half {
				half = r.half
				s.strips.rest.less(now.Cells[windows.Baseline][r.whole].Hist, now.Cells[windows.Baseline][r.half].Hist)
			}
			part.add(now, s.strips.rest.buckets, all[r.whole].N)
		}
	}
}

// add takes a window of the segment, nil where it has nothing, its baseline's other half, and how many baseline requests all traffic has in the window.
func (p *rankPart) add(s *windows.Segment, other []windows.Bucket, all int64) {
	n := int64(0)
	if s != nil {
		n = s.Cells[windows.Baseline][p.of.whole].N
	}
	if n > 0 {
		p.windows++
		p.mine += float64(n)
		if scores, full := p.open.add(n, s.Cells[windows.Baseline][p.of.half].Hist, other, p.of.ppm); full {
			p.seen.AddScores(scores)
		}
	}
	if p.windows > 0 {
		p.all += float64(all)
	}
}

// arms is phi for the next block.
func (p *rankPart) arms() armPhi {
	whole := p.of.arms()
	if p.of.known > 0 || !p.of.many {
		return whole
	}
	phi := p.over(whole[windows.Canary])
	return armPhi{phi, phi}
}

// over is the segment's phi, where that of all traffic is known. Once its own is measured, in ten stretches of 25 windows, it is that, and never less than that of all.
func (p *rankPart) over(whole float64) float64 {
	phi, measured := p.seen.Phi(1)
	if measured && p.windows >= partWindows {
		return max(phi, whole)
	}
	return max(phi, whole, 1+(p.most(whole, measured)-1)*(p.all+1)/(p.mine+1))
}

// most is all the noise that may be of one segment: that of all traffic, and until the segment's own is measured, that of sizes.
func (p *rankPart) most(whole float64, measured bool) float64 {
	if measured {
		return whole
	}
	return max(whole, p.of.seen.Sizes())
}

// leaning is phi of a sum of contrasts, some of which weigh so many times as much as all do.
func (p *rankPart) leaning(times float64) armPhi {
	whole := p.of.arms()
	if p.of.known > 0 || !p.of.many {
		return whole
	}
	phi, measured := p.seen.Phi(1)
	phi = max(phi, 1+(p.most(whole[windows.Canary], measured)-1)*max(1, times))
	return armPhi{phi, phi}
}
