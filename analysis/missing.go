package analysis

import (
	"math"
	"time"

	"streamcanary/analysis/stats"
	"streamcanary/windows"
)

// Bounds of the test of a missing arm.
const (
	missingEvents = 20 // of the other arm within the silence
	// An arm must have spoken this often before its share counts as observed, where the plan doesn't say.
	observedEvents = 8
)

// missing tests whether an arm has fallen silent while the other one speaks: R4 on counts of events per planned
// share. A crash sends nothing, so nothing else would see it.
//
// Where the rollout plans no share, the share observed is the plan: from the epoch's second window (the first one was
// chosen for having both arms) up to the arm's last event, and of that the lower limit at three
// standard deviations, so that a share known from a few events doesn't accuse a healthy arm. A change of the share in
// which the arm still speaks begins a new plan; one in which it doesn't is what is being tested. Whoever dies in the midst of a window
// still speaks in it: until the new share is known, the one before holds.
type missing struct {
	arm     windows.Arm
	planned float64 // share of the traffic, the least while routers change over from one stage to another; 0: observed
	silent  int64   // ms: the least silence that counts

	mine, all float64 // observed up to the arm's last event
	pending   float64 // events of the other arm since
	former    float64 // the share before a change, as long as the new one isn't known; 0: it isn't known either, or was another stage's
	renew     bool    // a stage has begun: the share is observed anew from when the arm speaks
	lastMs    int64   // end of the last window in which the arm spoke, on time or late
	others    int64   // the other arm's events since
	silenced  bool    // the silence is long enough to count
	weights   startWeights
	mixture   *stats.Mixture
	phi       *dispersion // of sizes
	inc       [1]float64
}

func newMissing(arm windows.Arm, planned float64, silent time.Duration, phi *dispersion) *missing {
	return &missing{arm: arm, planned: planned, silent: silent.Milliseconds(), mixture: stats.NewMixture(1), phi: phi}
}

// step takes one serving window; changed: the share of this window is another than before. Windows
// that had no event at all only spend their start weights.
func (m *missing) step(p *windows.Part, c clock, changed bool) {
	mine, other := &p.Traffic[m.arm], &p.Traffic[1-m.arm]
	m.count(heard{mine: mine.Events + mine.Late, other: other.Events + other.Late, onTime: other.Events}, p.StartMs, c, changed)
}

// heard is what was heard of both arms in one window: events of the arm that is tested, of the other one, and those of the latter that were on time.
type heard struct{ mine, other, onTime int64 }

// count takes the counts of the window that starts at startMs.
func (m *missing) count(h heard, startMs int64, c clock, changed bool) {
	window := c.window(startMs)
	m.bet(float64(h.mine), float64(h.other), window, c)
	m.observe(float64(h.mine), float64(h.other), window == 0, changed)
	end := startMs + c.widthMs
	if h.mine > 0 || m.lastMs == 0 {
		m.lastMs, m.others, m.silenced = end, 0, false
		return
	}
	m.others += h.onTime
	m.silenced = end-m.lastMs >= m.silent && m.others >= missingEvents
}

// bet adds a window's evidence at the share known before it.
func (m *missing) bet(mine, other float64, window int64, c clock) {
	share, phi := m.share(), m.phi.canary()
	if share <= 0 || share >= 1 || mine+other == 0 || math.IsInf(phi, 1) {
		return
	}
	counts := stats.Counts{Nc: share, Kc: mine, Nb: 1 - share, Kb: other}
	m.inc[0] = stats.MissingIncrement(counts, phi)
	m.mixture.Step(m.inc[:], m.weights.through(window, c.horizon))
}

// observe learns the share from a window.
func (m *missing) observe(mine, other float64, first, changed bool) {
	if (changed || m.renew) && mine > 0 {
		m.former = m.share()
		if m.renew {
			m.former = 0
		}
		m.mine, m.all, m.pending, m.renew = 0, 0, 0, false
		return
	}
	m.pending += other
	if mine == 0 || first {
		if first {
			m.pending = 0
		}
		return
	}
	m.mine += mine
	m.all += mine + m.pending
	m.pending = 0
}

// share is the plan: the rollout's, or the lower limit of the observed one, or of the one before a change; 0 while unknown.
func (m *missing) share() float64 {
	if m.planned > 0 {
		return m.planned
	}
	phi := m.phi.canary()
	if m.mine < observedEvents || math.IsInf(phi, 1) {
		return m.former
	}
	z := 3 * math.Sqrt(phi)
	return max(0, m.mine+z*z/2-z*math.Sqrt(m.mine+z*z/4)) / m.all
}

// due is how many events of the arm the silence should have held.
func (m *missing) due() float64 {
	share := m.planned
	switch {
	case share > 0:
	case m.mine < observedEvents && m.former > 0:
		share = m.former
	case m.all > 0:
		share = m.mine / m.all
	}
	return float64(m.others) * share / (1 - share)
}

// proven reports a silence that is long enough and whose evidence reaches the threshold now.
func (m *missing) proven(threshold float64) bool {
	return m.silenced && m.mixture.LogE() >= threshold
}
