package analysis

import "streamcanary/windows"

// samplingRanges bounds the stretches of unequal sampling that are remembered; at the bound the last one is stretched
// over what comes between, so that too much is left out rather than too little.
const samplingRanges = 256

// sampling knows in which windows the arms' events were sampled alike. Outcomes ask about their predictions' window
// long after it was served.
type sampling struct {
	unequal bool // in the latest window with events
	ranges  []stretchMs
}

// stretchMs is from <= t < to.
type stretchMs struct{ from, to int64 }

// see reports whether sampling differs between the arms, or within one, in a serving window.
func (s *sampling) see(p *windows.Part, widthMs int64) bool {
	canary, baseline := &p.Traffic[windows.Canary], &p.Traffic[windows.Baseline]
	if canary.Events+baseline.Events == 0 {
		return s.unequal
	}
	s.unequal = false
	for _, t := range [...]*windows.Traffic{canary, baseline} {
		s.unequal = s.unequal || t.SampledMin != t.SampledMax
	}
	if canary.Events > 0 && baseline.Events > 0 {
		s.unequal = s.unequal || canary.SampledMin != baseline.SampledMin
	}
	if s.unequal {
		s.remember(p.StartMs, p.StartMs+widthMs)
	}
	return s.unequal
}

func (s *sampling) remember(from, to int64) {
	if n := len(s.ranges); n > 0 && (s.ranges[n-1].to >= from || n == samplingRanges) {
		s.ranges[n-1].to = to
		return
	}
	s.ranges = append(s.ranges, stretchMs{from, to})
}

// was reports whether sampling was unequal in the window that starts at startMs.
func (s *sampling) was(startMs int64) bool {
	for _, r := range s.ranges {
		if startMs >= r.from && startMs < r.to {
			return true
		}
	}
	return false
}
