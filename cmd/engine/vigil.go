package engine

import (
	"slices"

	"streamcanary/analysis"
	"streamcanary/decisions"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A Vigil tells what each version serves once an epoch has ended, and after a rollback whether the baseline keeps its absolute limits: nothing else is counted, and the two aren't compared any more. It is no part
// of the evidence, and of no digest.
type Vigil struct {
	plan   windows.Plan
	hash   string
	merger *windows.Merger
	refuge *analysis.Refuge // nil: there is no such limit
}

// VigilOf is what stage one must count for an epoch that has ended, from the first window that starts at or after fromMs. The version that is to have no users any more is in the canary's
// place, of which regions are counted, too: after a promotion that is the baseline.
func VigilOf(r *schemas.Rollout, promoted bool, epoch, fromMs int64) windows.Plan {
	p := PlanOf(r, epoch, fromMs)
	if promoted {
		p.Baseline, p.Canary = p.Canary, p.Baseline
		p.Where[windows.Baseline], p.Where[windows.Canary] = p.Where[windows.Canary], p.Where[windows.Baseline]
	}
	p.Metrics, p.Outcomes, p.Exhibits, p.Segments, p.Health = nil, nil, nil, nil, false
	if alone := refugeOf(r, promoted); alone != nil {
		p.Metrics = slices.DeleteFunc(analysis.Metrics(alone), func(m windows.Metric) bool { return m.Stream().Kind != windows.Serving })
	}
	return p
}

// refugeOf is what is judged of the version that users have gone back to; nil: nothing.
func refugeOf(r *schemas.Rollout, promoted bool) *schemas.Rollout {
	if promoted {
		return nil
	}
	return analysis.RefugeOf(r)
}

// NewVigil keeps one by a plan, which is VigilOf that rollout.
func NewVigil(r *schemas.Rollout, promoted bool, p windows.Plan, predictions []windows.Partition) *Vigil {
	v := &Vigil{plan: p, hash: p.Hash(), merger: windows.NewMerger(&p, predictions, nil)}
	if alone := refugeOf(r, promoted); alone != nil {
		v.refuge = analysis.NewRefuge(alone, analysis.Options{NoIntervals: true})
	}
	return v
}

// Mute is what the rollback's decision says of a cold cache of the baseline: limits that are named for it count nothing until that is warm, at the latest until then.
func (v *Vigil) Mute(untilMs int64) {
	if v.refuge != nil {
		v.refuge.Mute(untilMs)
	}
}

// Counts reports whether a part is of it.
func (v *Vigil) Counts(key *windows.Key) bool { return key.Plan == v.hash }

// Add takes one sealed part of one partition, as Fold.Add does.
func (v *Vigil) Add(key windows.Key, p *windows.Part) error { return v.merger.Add(key, p) }

// Next is what each version served in the next window that is due; nil: none is.
func (v *Vigil) Next() *decisions.Traffic {
	p := v.merger.Next()
	if p == nil {
		return nil
	}
	baseline, canary := &p.Traffic[windows.Baseline], &p.Traffic[windows.Canary]
	return &decisions.Traffic{
		Beyond:  v.beyond(p),
		StartMs: p.StartMs, EndMs: p.StartMs + v.plan.WidthMs, Baseline: baseline.Served, Canary: canary.Served,
		Hosts: flows(canary.Hosts), Regions: flows(canary.Regions), Others: versionFlows(p.Others), OtherHosts: hostFlows(p.OtherHosts),
	}
}

// beyond are the limits that the baseline is proven to be beyond by then.
func (v *Vigil) beyond(p *windows.Part) []decisions.Beyond {
	if v.refuge == nil {
		return nil
	}
	v.refuge.Step(p)
	var all []decisions.Beyond
	for _, b := range v.refuge.Proven() {
		all = append(all, decisions.Beyond(b))
	}
	return all
}
