package actuators

// A split is how traffic is to be shared out between the two, in parts of their sum.
type split struct{ baseline, canary int }

// splitOf is what a decision asks of whatever splits traffic; false: nothing.
func splitOf(e *Event) (split, bool, error) {
	d := e.Decision
	if d == nil || len(d.Routes) == 0 || e.advises() {
		return split{}, false, nil
	}
	var s split
	for _, r := range d.Routes {
		switch {
		case r.MirrorBP > 0:
			return s, false, conflict("route "+d.ID, "version %s is to get copies of requests, which this kind of sink can't send: let a router of your own carry out stages with weight: 0", r.Version)
		case r.Version == e.Rollout.Baseline:
			s.baseline = r.WeightBP
		case r.Version == e.Rollout.Canary:
			s.canary = r.WeightBP
		default:
			return s, false, conflict("route "+d.ID, "version %s is neither the baseline (%s) nor the canary (%s) of rollout %s", r.Version, e.Rollout.Baseline, e.Rollout.Canary, e.Rollout.Name)
		}
	}
	return s, true, nil
}

// percent gives whole percents where that is exact, else basis points.
func (s split) percent() split {
	if s.baseline%100 == 0 && s.canary%100 == 0 {
		return split{s.baseline / 100, s.canary / 100}
	}
	return s
}
