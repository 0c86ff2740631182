package engine

import (
	"streamcanary/decisions"
	"streamcanary/schemas"
	"streamcanary/windows"
)

// A Vigil tells what each version serves once an epoch has ended: no metric is counted and nothing is judged any more. It is no part of the evidence, and of no digest.
type Vigil struct {
	plan   windows.Plan
	hash   string
	merger *windows.Merger
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
	return p
}

// NewVigil keeps one by a plan, which is VigilOf.
func NewVigil(p windows.Plan, predictions []windows.Partition) *Vigil {
	return &Vigil{plan: p, hash: p.Hash(), merger: windows.NewMerger(&p, predictions, nil)}
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
		StartMs: p.StartMs, EndMs: p.StartMs + v.plan.WidthMs, Baseline: baseline.Served, Canary: canary.Served,
		Hosts: flows(canary.Hosts), Regions: flows(canary.Regions), Others: versionFlows(p.Others),
	}
}
