package analysis

import (
	"fmt"
	"math"

	"streamcanary/analysis/stats"
	"streamcanary/schemas"
	"streamcanary/windows"
)

const (
	codeScoreSkew = "score_skew"

	// skewAlpha is how often scores online are said to differ from those offline in an epoch in which they don't: half of it for what comes online, half for the
	// offline scores' own error.
	skewAlpha = .001

	ofScore = "score"
)

var skewThreshold = math.Log(2 / skewAlpha)

// skew holds the canary's scores online against those that it gave offline: stats.Skew, and the start mixture. It is training/serving skew where a model is fed other
// features, or other requests, than it was trained on. By itself that is no harm, so it is told and neither holds nor rolls back, and has no part of the guardrails' budget: what
// it proves, it proves at skewAlpha of its own. Nor does it say that offline was right.
//
// A window is a block. All of the canary's scores count, but for those of windows that are left out of latencies, too (a warmup), or that are sampled unequally.
// Noise is that of the share above the offline median, measured on the baseline as that of rates is, and taken for that of every share: calibrated, not exact.
type skew struct {
	judge   *Judge
	offline *schemas.OfflineScores
	cell    int
	phi     *dispersion
	test    *stats.Skew
	mixture *stats.Mixture
	weights startWeights
	onset   onset
	inc     []float64
	window  []int64 // scores of a window by bin
	online  []int64 // of the epoch
}

var _ = registerHealth(healthKind{
	name: "scores offline and online", rank: 120,
	needs: func(r *schemas.Rollout) []windows.Metric {
		if o := offlineOf(r); o != nil {
			return []windows.Metric{newScoreMetric(o)}
		}
		return nil
	},
	checks: func(j *Judge) []check {
		if o := offlineOf(j.rollout); o != nil {
			j.skew = newSkew(j, o)
			return []check{j.skew}
		}
		return nil
	},
})

// offlineOf are the offline scores of a rollout; nil: it has none.
func offlineOf(r *schemas.Rollout) *schemas.OfflineScores {
	if r.Training == nil {
		return nil
	}
	return r.Training.Offline
}

func newSkew(j *Judge, o *schemas.OfflineScores) *skew {
	s := &skew{judge: j, offline: o, cell: cellOf(j.rollout, newScoreMetric(o)), test: stats.NewSkew(o.Counts, skewAlpha/2)}
	points := s.test.Components()
	s.phi = j.dispersion(j.stream(servingStream), s.cell)
	s.mixture, s.onset, s.inc = stats.NewMixture(points), newOnset(points), make([]float64, points)
	s.window, s.online = make([]int64, len(o.Counts)), make([]int64, len(o.Counts))
	return s
}

func (s *skew) take(p *windows.Part, f feeding, c clock) {
	cells := p.Cells[windows.Canary]
	if p.Stream != servingStream || s.cell >= len(cells) || f.unequal || f.leave || s.phi.blind {
		return
	}
	clear(s.window)
	for _, b := range cells[s.cell].Hist {
		s.window[b.Index] = int64(b.Count)
	}
	if !s.test.Increments(s.inc, s.window, s.phi.canary()) {
		return
	}
	for i, n := range s.window {
		s.online[i] += n
	}
	s.mixture.Step(s.inc, s.weights.through(c.window(p.StartMs), c.horizon))
	s.onset.step(s.inc, p.StartMs)
}

// proven is latched: a difference that was there is known of.
func (s *skew) proven() bool { return s.mixture.LogMax() >= skewThreshold }

func (s *skew) sick() bool { return s.proven() }

func (s *skew) holds() bool { return false }

func (s *skew) alpha() float64 { return skewAlpha }

func (s *skew) code() string { return codeScoreSkew }

// finding has no number that moves, as it is said once: status has them.
func (s *skew) finding() schemas.Finding {
	known := s.status()
	return schemas.Finding{
		Code: codeScoreSkew, LogEvidence: known.LogEvidence, Threshold: known.Threshold, Since: known.Since,
		Sentence: fmt.Sprintf("Scores of %s online differ from those that it gave offline: look at what it is fed. By itself this decides nothing.", s.judge.arm(windows.Canary)),
	}
}

func (s *skew) evidence(dst []float64) []float64 { return append(dst, s.mixture.LogE()) }

// status is what is known now.
func (s *skew) status() *schemas.Skew {
	k := &schemas.Skew{
		Proven: s.proven(), LogEvidence: shown(s.mixture.LogMax()), Threshold: skewThreshold,
		Offline: s.offline.N, OfflineSha256: s.offline.Sha256, Slack: s.test.Slack(),
	}
	for _, n := range s.online {
		k.Online += n
	}
	if k.Online == 0 {
		return k
	}
	k.KS, k.PSI = shown(stats.BinDistance(s.online, s.offline.Counts)), shown(stats.PSI(s.online, s.offline.Counts))
	if since, dated := s.onset.began(); dated && s.mixture.LogMax() > 0 {
		k.Since = schemas.Time(since)
	}
	return k
}

// Skew says how the canary's scores online differ from those offline; nil of a rollout without offline scores.
func (j *Judge) Skew() *schemas.Skew {
	if j.skew == nil {
		return nil
	}
	return j.skew.status()
}

// Skewed reports whether that is proven.
func (j *Judge) Skewed() bool { return j.skew != nil && j.skew.proven() }

// scoreMetric counts scores in the bins of the offline ones, and those above the offline median, of the baseline by slice, too.
type scoreMetric struct {
	of     *schemas.OfflineScores
	middle int // the first bin above the median
}

func newScoreMetric(o *schemas.OfflineScores) scoreMetric {
	m, below := scoreMetric{of: o}, int64(0)
	for m.middle < len(o.Counts)-1 && (m.middle == 0 || 2*below < o.N) {
		below += o.Counts[m.middle]
		m.middle++
	}
	return m
}

// Key has the file's hash: scores of another one have other bins.
func (m scoreMetric) Key() string { return ofScore + "/offline-" + m.of.Sha256[:16] }

func (scoreMetric) Stream() windows.Stream { return servingStream }

func (scoreMetric) Columns() (windows.Columns, []string) { return 0, []string{ofScore} }

func (scoreMetric) Keeps() windows.Keep { return windows.KeepHist | windows.KeepSlices }

func (m scoreMetric) Reduce(rows windows.Rows, cell *windows.Cell) {
	for i, x := range rows.Values[0][:rows.Len] {
		if math.IsNaN(x) {
			continue
		}
		bin := m.of.Bin(x)
		rows.Tally.Add(int32(bin))
		count(rows, cell, i, bin >= m.middle)
	}
	rows.Tally.Flush(cell)
}
