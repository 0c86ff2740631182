package loadgen

import (
	"math"

	"streamcanary/schemas"
)

// A sampler makes the samples of all hosts in the order of time. The hosts of an arm report one after the other, so that the
// readings of one name are spread evenly over its period.
type sampler struct {
	s      *Scenario
	dice   dice
	levels *cursor
	series []series
}

// A series is the readings of one name on one arm's hosts.
type series struct {
	arm, which int
	step       float64   // milliseconds between two readings of different hosts
	count      uint64    // of readings so far
	noise      []float64 // of each host: the last deviation, in standard deviations
	rho, root  float64   // AR(1): rho x last + root x fresh
}

func newSampler(s *Scenario, seed uint64, from float64) *sampler {
	q := &sampler{s: s, dice: newDice(seed, 4), levels: newCursor(s)}
	for i := range s.Arms {
		a := &s.Arms[i]
		for j, sample := range a.Samples {
			se := series{arm: i, which: j, step: sample.EveryMs / float64(a.Hosts), rho: sample.Correlation}
			se.root = math.Sqrt(1 - se.rho*se.rho)
			se.count = uint64(math.Ceil(from / se.step))
			for range a.Hosts {
				se.noise = append(se.noise, q.dice.NormFloat64())
			}
			q.series = append(q.series, se)
		}
	}
	return q
}

func (se *series) next() float64 { return float64(se.count) * se.step }

// earliest is the series whose reading is next; of several the first.
func (q *sampler) earliest() *series {
	var first *series
	for i := range q.series {
		if first == nil || q.series[i].next() < first.next() {
			first = &q.series[i]
		}
	}
	return first
}

// peek says when the next reading is; +Inf when there is none.
func (q *sampler) peek() float64 {
	if se := q.earliest(); se != nil && se.next() < q.s.durationMs() {
		return se.next()
	}
	return math.Inf(1)
}

// pop takes the next reading; false if its arm is silent.
func (q *sampler) pop() (flight, bool) {
	se := q.earliest()
	at, host := se.next(), int(se.count%uint64(len(se.noise)))
	se.count++
	r := &q.levels.at(at).arms[se.arm]
	fresh := q.dice.NormFloat64()
	se.noise[host] = se.rho*se.noise[host] + se.root*fresh
	value := r.samples[se.which] + q.s.Arms[se.arm].Samples[se.which].Noise*se.noise[host]
	return flight{
		kind: schemas.KindSample, timeMs: int64(at), arm: uint8(se.arm), which: uint8(se.which), host: uint16(host),
		number: math.Round(min(max(value, 0), 1)*1e4) / 1e4,
	}, !r.silent
}
