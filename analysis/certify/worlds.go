package certify

import "time"

// blocks is how many blocks of a rate a run of a world is to have.
const blocks = 2000

// lawWindows is how many windows the worlds of one-second windows have.
const lawWindows = blocks

// Worlds lists the worlds of type-I errors and of harm.
func Worlds() []World { return append(steadyWorlds(), dispersedWorlds()...) }

// worldOf finds a world. It panics where there is none of the name.
func worldOf(name string) World {
	for _, w := range Worlds() {
		if w.Name == name {
			return w
		}
	}
	panic("certify: no world " + name)
}

var (
	day  = swing(lawWindows, .5)
	ramp = steps([2]float64{200, .01}, [2]float64{300, .05}, [2]float64{500, .25}, [2]float64{1000, .5})
)

// plain is the scene that a world changes.
func plain() scene {
	return scene{
		requests: constant(800), share: constant(.1), law: lognormalHalf, noise: independent{}, drift: constant(1),
		rates:    []rate{{"error", .002, nil}, {"timeout", .001, nil}, {"click", .02, nil}, {"purchase", .004, nil}, {withoutLatency, .005, nil}},
		segments: []segment{{name: "", share: .1}, {name: "de", share: .2}, {name: "jp", share: .2, level: .5}, {name: "us", share: .5}},
	}
}

// move lets latencies and all rates drift.
func (s *scene) move(drift func(int) float64) {
	s.drift = drift
	for i := range s.rates {
		s.rates[i].drift = drift
	}
}

// second is a world of one-second windows. change is called for each run, so that what it makes is the run's own.
func second(name, about string, change func(s *scene)) World {
	return World{Name: name, About: about, Windows: lawWindows, Width: time.Second, Claimed: true, make: func() scene {
		s := plain()
		change(&s)
		return s
	}}
}

// steadyWorlds have independent events.
func steadyWorlds() []World {
	tiny := second("tiny", "20 requests a window, 2 of them the canary's: mostly windows without any event", func(s *scene) {
		s.requests = constant(20)
	})
	tiny.Windows = 5 * blocks
	tiny.HarmWindows = 20 * blocks // timeouts +0.4 pp over 0.2 pp need some 30,000 of the canary's predictions
	clock := second("coarse clock", "latencies rounded to 5 ms after they drift, in a ramp: rounding moves the margin itself, so there is none", func(s *scene) {
		s.law, s.grid, s.share = bimodalCache, 5, ramp
		s.move(rising(lawWindows, 2))
	})
	clock.AnyOnly = true
	high := second("high rates", "rates around one half and one third, in a ramp with a cycle, after two minutes of the baseline alone", func(s *scene) {
		s.before, s.share = 120, ramp
		s.rates = []rate{{"error", .3, swing(lawWindows, .3)}, {"timeout", .02, day}, {"click", .5, swing(lawWindows, .3)}, {"purchase", .004, day}}
	})
	high.HarmWindows = 2 * blocks // errors +1 pp over 0.5 pp, of 30 %, take some 300,000 of the canary's predictions
	return []World{
		second("flat", "nothing moves: 800 requests a window, 10 % the canary's, lognormal latencies", func(*scene) {}),
		second("diurnal", "one cycle: rates and latencies ±50 %, traffic ±50 %", func(s *scene) {
			s.move(day)
			s.requests = func(t int) float64 { return 800 * day(t+lawWindows/4) }
		}),
		second("trend", "rates and latencies treble", func(s *scene) { s.move(rising(lawWindows, 3)) }),
		second("ramp", "1, 5, 25, 50 % while rates and latencies double", func(s *scene) {
			s.share = ramp
			s.move(rising(lawWindows, 2))
		}),
		tiny, clock,
		second("ties", "cache hits and misses, timed by a clock of 5 ms, in a ramp with a cycle", func(s *scene) {
			s.law, s.share = bimodalCoarse, ramp
			s.move(swing(lawWindows/4, .3))
		}),
		second("heavy tail", "Pareto latencies of index 1.5 in a ramp with a cycle", func(s *scene) {
			s.law, s.share = paretoHeavy, ramp
			s.move(day)
		}),
		high,
	}
}

// dispersedWorlds have events that come together; the product is not told how much. Half of the variance of the logarithm of latencies is between users, where there
// are users: see betweenUsers.
func dispersedWorlds() []World {
	unseen := second("unseen", "noise attached to the canary's own hosts, which a split inside the baseline can't see: outside of the claim", func(s *scene) {
		s.requests, s.share, s.noise = constant(4000), constant(.25), &wobble{spread: .3, keeps: .8, attached: true}
	})
	lasting := second("lasting", "rates that wobble for hundreds of windows on end in both arms, correlated .99 from one to the next, where the longest batch has 125: outside of the claim", func(s *scene) {
		s.requests, s.noise = constant(2000), &wobble{spread: .15, keeps: .99}
		s.rates[0].base, s.rates[1].base = .01, .005
	})
	unseen.Claimed, lasting.Claimed = false, false
	tens := second("users of 10", "users with 10 predictions each, who fail together, and whose latencies are alike: phi 10; 300 requests a window, in most of which nobody fails", func(s *scene) {
		s.requests, s.users = constant(300), []int64{10}
	})
	scores := second("users of 20", "the same with 20 each: phi 20", func(s *scene) {
		s.requests, s.users = constant(300), []int64{20}
	})
	stay := second("users who stay", "users with about one prediction in each of 60 windows, whose latencies are alike all the while; 300 requests a window", func(s *scene) {
		s.requests, s.users, s.stays = constant(300), []int64{0, 1, 1, 2}, 60
	})
	one := second("users in one segment", "a fifth of the traffic, a segment by itself, comes from users with 20 predictions each, as in users of 20; all else is one prediction by itself: 200 requests a window, half of them the canary's", func(s *scene) {
		s.requests, s.share = constant(200), constant(.5)
		s.segments = []segment{{name: "de", share: .2, users: []int64{20}}, {name: "us", share: .8}}
	})
	one.Harmless = true
	wobbles := second("autocorrelated", "rates that wobble for windows on end in both arms: 2,000 requests a window", func(s *scene) {
		s.requests, s.noise = constant(2000), &wobble{spread: .15, keeps: .8}
		s.rates[0].base, s.rates[1].base = .01, .005
	})
	wobbles.HarmWindows = 2 * blocks                                 // of timeouts +0.4 pp, 0.91 are found in a run, at 0.01
	tens.Windows, scores.Windows = blocks+blocks/20, blocks+blocks/4 // in some the canary has no user
	tens.HarmWindows, scores.HarmWindows = 10*blocks, 30*blocks      // timeouts +0.4 pp over 0.2 pp take phi times as long as alone
	stay.HarmWindows = 10 * blocks
	return []World{
		second("negative binomial", "counts of variance 4 times their mean, in a ramp with a trend", func(s *scene) {
			s.noise, s.share = negativeBinomial{4}, ramp
			s.move(rising(lawWindows, 2))
		}),
		second("beta-binomial", "groups of 20 that share their chance of failing: phi 3", func(s *scene) {
			s.noise = betaBinomial{20, 2. / 19}
		}),
		second("clumps", "users with several predictions each, who fail together, and whose latencies are alike: phi 2.06; in a ramp", func(s *scene) {
			s.users, s.share = crowd, ramp
		}),
		wobbles, tens, scores, stay, one, unseen, lasting,
	}
}
