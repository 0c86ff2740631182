package schemas

import "slices"

// Walked is the rollout with the stages that an epoch goes through where the engine moves the traffic: those of the file, and before the canary takes over (before its
// watch, or before the promotion) the stops at which its cache is warmed. Who must agree to that agrees to the first stop. Where nothing is warmed it is
// the rollout itself; else it shares all but its stages with it.
func (r *Rollout) Walked() *Rollout {
	stops := r.stops()
	if len(stops) == 0 {
		return r
	}
	w := *r
	before, after := r.takeover()
	w.Stages = slices.Clone(before)
	for _, bp := range stops {
		w.Stages = append(w.Stages, Stage{WeightBP: bp, Warm: true})
	}
	first := &w.Stages[len(before)]
	first.Approve, w.ApprovePromotion = r.ApprovePromotion, false
	for _, watch := range after {
		first.Approve, watch.Approve = watch.Approve, false
		w.Stages = append(w.Stages, watch)
	}
	return &w
}

// stops are the shares at which the canary stops on its way to all of the traffic: those of the cache's steps between the stages before and what comes then. None where
// only advice is given.
func (r *Rollout) stops() []int {
	if r.Cache == nil || r.Mode != Enforce || r.External || len(r.Stages) == 0 {
		return nil
	}
	before, after := r.takeover()
	from, to := before[len(before)-1].WeightBP, allBP
	if len(after) > 0 {
		to = after[0].WeightBP
	}
	var stops []int
	for _, bp := range r.Cache.WarmBP {
		if from > 0 && bp > from && bp < to {
			stops = append(stops, bp)
		}
	}
	return stops
}

// PromotionStops are the shares at which a promotion itself stops until the canary's cache is warm: where no stage gives it any traffic before.
func (r *Rollout) PromotionStops() []int {
	if r.Cache == nil || !r.Cache.Idle || r.Mode != Enforce {
		return nil
	}
	return slices.Clone(r.Cache.WarmBP)
}

// takeover parts the stages into those before the canary takes over, one at least, and the watch, where there is one.
func (r *Rollout) takeover() (before, after []Stage) {
	at := len(r.Stages)
	if at > 1 && r.Stages[at-1].Watch > 0 {
		at--
	}
	return r.Stages[:at], r.Stages[at:]
}
