package certify

import (
	"math"

	"streamcanary/windows"
)

// crowd is how many predictions a user makes in a window: variance over mean of sums by user is (.5 + .3·4 + .2·9)/1.7 = 2.06.
var crowd = []int64{1, 1, 1, 1, 1, 2, 2, 2, 3, 3}

// betweenUsers is how alike a user's latencies are: the share of the variance of their logarithms that is between users, where they are lognormal. Of any law
// it is the correlation of two normal scores of one user.
const betweenUsers = .5

// A user makes predictions that go to one arm, fail together within a window, and have latencies that are like each other.
type user struct {
	segment, slice int
	score          float64 // standard normal: where its latencies are in their law
	taste          float64 // the same of what its predictions score
	// Of one who stays:
	lot    float64 // the canary's where it is below the canary's share
	leaves int     // in this window
	seen   bool    // has made a prediction
}

func (t *Tape) newUser(segment int) user {
	return user{segment: segment, slice: sliceOf(t.dice), score: t.dice.NormFloat64(), taste: t.taste()}
}

// made is how many predictions a user makes in a window.
func (t *Tape) made(users []int64) int64 { return users[t.dice.IntN(len(users))] }

// sight tells of a user who is seen for the first time.
func (t *Tape) sight(arm windows.Arm, u *user) {
	if u.seen {
		return
	}
	u.seen = true
	t.unit++
	tr := &t.serving.Traffic[arm]
	tr.Units = append(tr.Units, windows.UnitSight{Unit: t.unit})
}

// predict makes n predictions of one user.
func (t *Tape) predict(u user, n int64, arm windows.Arm, rates *[maxRates]float64) {
	all := tally{arm: arm, segment: u.segment, slice: u.slice, n: n}
	t.serve(all)
	t.score(all, &u)
	for i := range t.scene.rates {
		k := int64(0)
		if t.dice.Float64() < rates[i] {
			k = n
		}
		t.count(tally{arm, i, u.segment, u.slice, n, k})
	}
	t.paces = append(t.paces, pace{segment: u.segment, n: n, score: u.score, slice: u.slice, first: arm == windows.Baseline && u.slice == 0})
}

// turnOver lets users who stay come and go, so that as many are there in each window as make the scene's requests. Those of the first window came
// at all times before it.
func (t *Tape) turnOver() {
	now := t.moment.T
	begins := now == -t.scene.before
	for s, there := range t.present {
		stay := there[:0]
		for _, u := range there {
			if u.leaves > now {
				stay = append(stay, u)
			}
		}
		t.present[s] = stay
	}
	come := t.scene.requests(now) / averageOf(t.scene.users)
	if !begins {
		come /= float64(t.scene.stays)
	}
	for range t.dice.poisson(come) {
		u := t.newUser(t.segmentOf())
		u.lot, u.leaves = t.dice.Float64(), now+t.scene.stays
		if begins {
			u.leaves = now + 1 + t.dice.IntN(t.scene.stays)
		}
		t.present[u.segment] = append(t.present[u.segment], u)
	}
}

// segmentOf draws a user's segment.
func (t *Tape) segmentOf() int {
	x, last := t.dice.Float64()*t.weight(windows.Baseline, 0), len(t.sizes)-1
	for s := range last {
		if x >= t.weight(windows.Baseline, s+1) {
			return s
		}
	}
	return last
}

// fillPresent lets the users who stay make their predictions of this window.
func (t *Tape) fillPresent(arm windows.Arm) {
	h := &t.scene.harm
	if arm == windows.Canary && h.Silent && t.moment.T >= h.From {
		return
	}
	share := t.share()
	for s, there := range t.present {
		rates := t.levels(arm, s)
		for i := range there {
			u := &there[i]
			if (u.lot < share) != (arm == windows.Canary) {
				continue
			}
			if n := t.made(t.scene.usersOf(s)); n > 0 {
				t.sight(arm, u)
				t.predict(*u, n, arm, &rates)
			}
		}
	}
}

// A pace is n latencies of one user.
type pace struct {
	segment int
	n       int64
	score   float64
	slice   int  // of the baseline's
	first   bool // of the baseline's slice 0
}

// drawAlike makes the latencies of one user. Each by itself has the timing's law, exactly: the sum of two independent normals is normal, and its place in the
// normal law is uniform.
func (s *stopwatch) drawAlike(d dice, p pace, t *timing) {
	shift := inBuckets(t.factor)
	for range p.n {
		s.note(t.law.log[rankOf(math.Sqrt(betweenUsers)*p.score+math.Sqrt(1-betweenUsers)*d.NormFloat64())]+shift, t, p.first)
	}
}

// rankOf is the place of a standard normal value among a law's equally likely ones.
func rankOf(z float64) int { return min(int(normalTail(-z)*(1<<lawBits)), 1<<lawBits-1) }
