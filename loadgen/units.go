package loadgen

import "math"

// Salts keep the hashes of one unit apart.
const (
	saltArm uint64 = iota + 1
	saltSegment
	saltError
	saltOutcome // and the following MaxOutcomes numbers
)

// clustering is how many further requests of the same unit an arm has counted, on average, for each of its requests:
// phi is 1 + clustering x the correlation of two of them.
func (s *Scenario) clustering() float64 {
	u := &s.Units
	switch {
	case u.SessionOf > 0: // a geometric size m: E[m²]/E[m] - 1
		return 2 * (u.SessionOf - 1)
	case u.Users > 0:
		return s.Rate.Base / 1000 * u.PhiOverMs / u.Users
	}
	return 0
}

// correlation of what happens to two requests of one unit, so that phi comes out as stated.
func (s *Scenario) correlation() float64 {
	if c := s.clustering(); c > 0 {
		return (s.Units.Phi - 1) / c
	}
	return 0
}

// A request is one that a source has made: when, and whose.
type request struct {
	at   float64 // milliseconds since the start
	unit uint64  // 0: none
}

// A source makes the requests in the order of time.
type source struct {
	s     *Scenario
	seed  uint64
	dice  dice
	rates *cursor
	next  float64 // when the next request or session begins; +Inf after the end

	sessions heap[int] // at: the next request; order: the unit; value: how many requests are left
	begun    uint64    // sessions so far
}

// sessionsBefore is how many mean lengths of a session before the first event sessions begin: e^-10 of them last longer.
const sessionsBefore = 10

// newSource returns the requests from a time on. Sessions begin earlier, so that there are as many under way as ever.
func newSource(s *Scenario, seed uint64, from float64) *source {
	q := &source{s: s, seed: seed, dice: newDice(seed, 1), rates: newCursor(s), next: from}
	if s.Units.SessionOf > 0 {
		q.next -= sessionsBefore * s.Units.SessionOf * s.Units.SessionGap
	}
	q.advance()
	return q
}

// advance moves next to the following arrival of a Poisson process with the regimes' rates.
func (q *source) advance() {
	end := q.s.durationMs()
	for t := q.next; ; {
		r := q.rates.at(t)
		perMs := r.perMs
		if q.s.Units.SessionOf > 0 {
			perMs /= q.s.Units.SessionOf
		}
		gap := math.Inf(1)
		if perMs > 0 {
			gap = q.dice.ExpFloat64() / perMs
		}
		if t+gap < r.until {
			q.next = t + gap
			break
		}
		if t = r.until; t >= end {
			q.next = t
			break
		}
	}
	if q.next >= end {
		q.next = math.Inf(1)
	}
}

// peek says when the next request is; +Inf when there is none.
func (q *source) peek() float64 {
	if len(q.sessions) > 0 {
		return min(q.next, q.sessions[0].at)
	}
	return q.next
}

// pop takes the next request.
func (q *source) pop() request {
	u := &q.s.Units
	if u.SessionOf == 0 {
		r := request{at: q.next}
		if u.Users > 0 {
			r.unit = 1 + uint64(q.dice.share()*u.Users)
		}
		q.advance()
		return r
	}
	if len(q.sessions) > 0 && q.sessions[0].at <= q.next {
		se := q.sessions.pop()
		q.follow(se)
		return request{at: se.at, unit: se.order}
	}
	q.begun++
	se := node[int]{at: q.next, order: mix(q.seed) ^ q.begun, value: q.sessionSize()}
	q.advance()
	q.follow(se)
	return request{at: se.at, unit: se.order}
}

// follow keeps a session whose present request was taken, if more are to come.
func (q *source) follow(se node[int]) {
	if se.value--; se.value == 0 {
		return
	}
	se.at += q.s.Units.SessionGap * q.dice.ExpFloat64()
	if se.at < q.s.durationMs() {
		q.sessions.push(se)
	}
}

// sessionSize draws from a geometric distribution on 1, 2, …
func (q *source) sessionSize() int {
	mean := q.s.Units.SessionOf
	if mean <= 1 {
		return 1
	}
	return 1 + int(math.Log(1-q.dice.share())/math.Log1p(-1/mean))
}
