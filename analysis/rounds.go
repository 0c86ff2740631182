package analysis

import "streamcanary/windows"

// A round is a baseline's samples of consecutive windows, added up: what their noise is measured by. Each host samples at moments of its own, so a window that is shorter than the time between two samples holds some of the hosts only. By such
// windows load that lasts would show too late, as a host speaks a dozen times in a batch of 125, and where no window has hosts of both parts of the baseline, nothing would show at all.
//
// Nobody says how many hosts there are, nor how often they sample. So a round is over when each calibration slice that spoke in the round before has spoken again: the smallest has a host or two, and
// with it about each host has spoken. Where there are hundreds of hosts it may be over sooner, with enough of them. Evidence goes on by windows.
type round struct {
	open   windows.Cell
	fromMs int64                // of the open one: its first window with a sample
	spoke  [windows.Slices]bool // in the round before
}

const (
	// shareRoundMs is the least time of a round of shares, so that the largest batch, 125 of them, is an hour: load whose samples are correlated .99 from one to the next, each 10 s, needs a good part of that to show. Means
	// need no such time: how their noise goes on is reckoned from how it began (stats.LongRun).
	shareRoundMs = 30_000
	// roundMostMs is the most time of a round, for slices that fall silent.
	roundMostMs = 60_000
)

// add takes a window's cell, and reports whether the round is over with it.
func (r *round) add(c *windows.Cell, at span, leastMs int64) bool {
	o := &r.open
	if o.N == 0 {
		r.fromMs = at.fromMs
	}
	o.N, o.K, o.Sum, o.Squares = o.N+c.N, o.K+c.K, o.Sum+c.Sum, o.Squares+c.Squares
	for i := range c.Slices {
		s, more := &o.Slices[i], &c.Slices[i]
		s.N, s.K, s.Sum = s.N+more.N, s.K+more.K, s.Sum+more.Sum
	}
	lasted := at.toMs - r.fromMs
	return o.N > 0 && lasted >= leastMs && (lasted >= roundMostMs || r.complete())
}

func (r *round) complete() bool {
	for i, spoke := range r.spoke {
		if spoke && r.open.Slices[i].N == 0 {
			return false
		}
	}
	return true
}

// begin begins the next round.
func (r *round) begin() {
	for i, s := range r.open.Slices {
		r.spoke[i] = s.N > 0
	}
	r.open = windows.Cell{}
}

// calibrateRounds measures the noise of samples.
func (s *stream) calibrateRounds(p *windows.Part, widthMs int64) {
	cells, at := p.Cells[windows.Baseline], span{p.StartMs, p.StartMs + widthMs}
	for len(s.rounds) < len(cells) {
		s.rounds = append(s.rounds, round{})
	}
	for i, d := range s.dispersions {
		if d != nil && i < len(cells) && s.rounds[i].add(&cells[i], at, shareRoundMs) {
			d.add(&s.rounds[i].open.Slices)
			s.rounds[i].begin()
		}
	}
	for i, m := range s.noises {
		if m != nil && i < len(cells) && s.rounds[i].add(&cells[i], at, 0) {
			m.add(&s.rounds[i].open)
			s.rounds[i].begin()
		}
	}
}
