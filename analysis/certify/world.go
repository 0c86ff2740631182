package certify

import (
	"math"
	"slices"
	"time"
)

// A World is a kind of traffic: how much, how it is split, how rates and latencies move and how far hits come together. What the canary
// does to it is a Harm.
type World struct {
	Name, About string
	// Windows is how long a run lasts: long enough for 2,000 blocks of the rates, or, where a ramp begins with windows that are no block by
	// themselves, for 1,900: see certified.
	Windows int
	Width   time.Duration
	// Claimed is false for a world outside of what is promised: its rows are shown, and fail nothing.
	Claimed bool
	// AnyOnly is true for a world in which no canary can be put on a margin exactly.
	AnyOnly bool
	// HarmWindows is how long harm is given in this world; 0: as long as a run is.
	HarmWindows int
	// Harmless is true for a world that is played for levels alone: harm is found in it as in those that it is made of.
	Harmless bool
	make     func() scene
}

// certified is how long the runs of the certificate last, so that each has 2,000 blocks: a ramp begins with windows that are no block by themselves.
func (w *World) certified() int { return w.Windows + w.Windows/20 }

// scene is one run of a world.
type scene struct {
	before   int                 // windows in which the baseline serves alone, before window 0
	requests func(t int) float64 // expected in window t, of both arms
	share    func(t int) float64 // the canary's
	rates    []rate
	drift    func(t int) float64 // of latencies, both arms
	law      *law                // nil: predictions have no latency
	grid     float64             // ms: what producers round to
	noise    noise
	segments []segment // ascending by name; there are none where the rollout doesn't watch segments
	users    []int64   // predictions come from users, who fail together, and whose latencies are alike: how many each makes in a window is drawn from these; nil: they don't
	stays    int       // windows for which a user comes back; 0: each window's users are new
	gauges   *fleet
	scores   func(t int) float64 // what predictions score on average; nil: scoreLevel, which drifts as latencies do
	harm     Harm
}

// usersOf are those of a segment, by its place.
func (s *scene) usersOf(segment int) []int64 {
	if segment < len(s.segments) && s.segments[segment].users != nil {
		return s.segments[segment].users
	}
	return s.users
}

// differs reports whether a segment has users of its own.
func (s *scene) differs() bool {
	return slices.ContainsFunc(s.segments, func(one segment) bool { return one.users != nil })
}

// planned is the information of a contrast of rates in a whole run, up to the rate's variance.
func (s *scene) planned(windows int) float64 {
	sum := 0.0
	for t := range windows {
		share := s.share(t)
		sum += s.requests(t) * share * (1 - share)
	}
	return sum
}

// rate is one kind of hit: its base and how it moves.
type rate struct {
	key   string // of the metric, or the outcome's name
	base  float64
	drift func(t int) float64
}

// A Harm is what the canary does from one window on, beyond (or, at a margin, exactly as far as) the baseline. The zero value does none.
type Harm struct {
	Name   string
	From   int                // window of the onset
	Plus   map[string]float64 // added to a rate
	Times  map[string]float64 // a rate's factor
	Slower float64            // factor of every latency; 0: 1
	Law    *law               // replaces the law of latencies
	Score  float64            // added to what every prediction scores
	Scores float64            // likewise, in sizes of what it scores on average
	Silent bool               // no request arrives at the canary, or none comes back
}

// rateOf is what becomes of a rate p of the baseline.
func (h *Harm) rateOf(key string, p float64, t int) float64 {
	if t < h.From {
		return p
	}
	if f, ok := h.Times[key]; ok {
		p *= f
	}
	return min(1, p+h.Plus[key])
}

func (h *Harm) factor(t int) float64 {
	if t < h.From || h.Slower == 0 {
		return 1
	}
	return h.Slower
}

// fleet is the hosts that report samples: each host's load is an AR(1) sequence of its own around one level.
type fleet struct {
	hosts   [2]int  // baseline, canary
	every   int     // windows between two samples of a host
	stagger bool    // each host has a phase of its own; else all sample in the same window
	keeps   float64 // correlation of one sample with the next
	above   float64 // share of samples above the limit, of both arms
	plus    float64 // the canary's, on top
}

// speaks reports whether a host, by its place, has a sample in window t.
func (f *fleet) speaks(host, t int) bool {
	if !f.stagger {
		host = 0
	}
	return (t-host)%f.every == 0
}

func constant(x float64) func(int) float64 { return func(int) float64 { return x } }

// swing is a cycle over the given windows.
func swing(period int, amplitude float64) func(t int) float64 {
	return func(t int) float64 { return 1 + amplitude*math.Sin(2*math.Pi*float64(t)/float64(period)) }
}

// rising goes from 1 to the given factor.
func rising(windows int, to float64) func(t int) float64 {
	return func(t int) float64 { return 1 + (to-1)*float64(t)/float64(windows) }
}

// steps is a ramp: shares, each for as many windows as stand beside it.
func steps(pairs ...[2]float64) func(t int) float64 {
	return func(t int) float64 {
		for _, p := range pairs {
			if t -= int(p[0]); t < 0 {
				return p[1]
			}
		}
		return pairs[len(pairs)-1][1]
	}
}
