package certify

import "math"

// boundOf is how many predictions of the canary hold log(1/alpha) of information against the claim, along the scene's ramp and drift: what no test of
// that level needs less than on average. It counts from the onset on.
func boundOf(s *scene, c *Case) float64 {
	need, canary := math.Log(1/c.Alphas[0]), 0.0
	var r *rate
	for i := range s.rates {
		if s.rates[i].key == c.Key {
			r = &s.rates[i]
		}
	}
	for t := s.harm.From; t < s.harm.From+1_000_000; t++ {
		share := s.share(t)
		nc := s.requests(t) * share
		pb := r.base
		if r.drift != nil {
			pb *= r.drift(t)
		}
		x := twoArms{nc, s.harm.rateOf(c.Key, pb, t), s.requests(t) - nc, pb}
		info := x.information(c.Rho0, c.Delta)
		if info >= need {
			return canary + nc*need/info
		}
		need -= info
		canary += nc
	}
	return math.Inf(1)
}

// twoArms is a window's sizes and true rates.
type twoArms struct{ nc, pc, nb, pb float64 }

// information is the least divergence of a window from the claim p_c = rho0 p_b + delta, over p_b, by golden section.
func (a twoArms) information(rho0, delta float64) float64 {
	divergence := func(p, q float64) float64 {
		if q <= 0 || q >= 1 {
			return math.Inf(1)
		}
		return p*math.Log(p/q) + (1-p)*math.Log((1-p)/(1-q))
	}
	at := func(q float64) float64 { return a.nc*divergence(a.pc, rho0*q+delta) + a.nb*divergence(a.pb, q) }
	edge := (a.pc - delta) / rho0 // where the canary alone would fit
	lo, hi := min(a.pb, edge), max(a.pb, edge)
	lo = max(lo, 1e-12)
	return at(bottom(lo, hi, at))
}

// bottom is where a function that falls and then rises is lowest between lo and hi, by golden section.
func bottom(lo, hi float64, at func(float64) float64) float64 {
	const golden, steps = .6180339887498949, 100
	for range steps {
		x, y := hi-golden*(hi-lo), lo+golden*(hi-lo)
		if at(x) < at(y) {
			hi = y
		} else {
			lo = x
		}
	}
	return (lo + hi) / 2
}
