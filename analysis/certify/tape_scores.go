package certify

import (
	"math"
	"math/rand/v2"

	"streamcanary/windows"
)

// What predictions score: normal, level 0.1 (before it drifts) and standard deviation 0.2, so that hardly any is beyond the cap. Of users half of the variance is
// between them, as of latencies: see betweenUsers.
const (
	scoreLevel  = .1
	scoreSpread = .2
	scoreMetric = "values.score~1" // the sum of scores, up to a cap of 1 either way
	// withoutScore is the metric of predictions that should have a score and don't.
	withoutScore = "no_value.score"
)

// A scoreTape draws the scores of a run. Its dice are its own: what else is drawn is the same with and without scores.
type scoreTape struct {
	dice   dice
	metric int // its place among the serving metrics
}

// ownDice are seeded with what the dice of the run would throw first.
func ownDice(source func() *rand.Rand) dice {
	seeds := source()
	return dice{rand.New(rand.NewPCG(seeds.Uint64(), seeds.Uint64()))}
}

// taste is where a user's scores lie among those of all: standard normal.
func (t *Tape) taste() float64 {
	if t.scores == nil {
		return 0
	}
	return t.scores.dice.NormFloat64()
}

// scored is what predictions of the baseline score on average.
func (s *scene) scored(t int) float64 {
	switch {
	case s.scores != nil:
		return s.scores(t)
	case s.drift != nil:
		return scoreLevel * s.drift(t)
	}
	return scoreLevel
}

// score draws the scores of predictions of one arm; of one user, where there is one.
func (t *Tape) score(c tally, u *user) {
	if t.scores == nil || c.n == 0 {
		return
	}
	level, spread := t.scene.scored(t.moment.T), scoreSpread
	if h := &t.scene.harm; c.arm == windows.Canary && t.moment.T >= h.From {
		level += h.Score + h.Scores*math.Abs(level)
	}
	if u != nil {
		level += math.Sqrt(betweenUsers) * spread * u.taste
		spread *= math.Sqrt(1 - betweenUsers)
	}
	sum, squares := t.scores.dice.normals(c.n, level, spread)
	most := float64(c.n)
	sum, squares = max(-most, min(most, sum)), min(most, squares) // what is beyond the cap counts as the cap
	units, squareUnits := int64(math.Round(sum*windows.SumUnit)), int64(squares*windows.SumUnit)
	cell := &t.serving.Cells[c.arm][t.scores.metric]
	addTo(cell, c, true)
	addValues(cell, c, units, squareUnits)
	if len(t.segments) > 0 {
		cell := &t.segments[c.segment].Cells[c.arm][t.scores.metric]
		addTo(cell, c, false)
		cell.Sum, cell.Squares = cell.Sum+units, cell.Squares+squareUnits
	}
}

// normals draws the sum of n independent normal values, and that of their squares: the mean and the distances from it are independent (Fisher), normal, and
// chi-square with n-1 degrees of freedom.
func (d dice) normals(n int64, mean, sd float64) (sum, squares float64) {
	m := float64(n)
	sum = m*mean + sd*math.Sqrt(m)*d.NormFloat64()
	squares = sum * sum / m
	if n > 1 {
		squares += sd * sd * 2 * d.gamma((m-1)/2)
	}
	return sum, squares
}
