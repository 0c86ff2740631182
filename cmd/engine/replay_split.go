package engine

import (
	"math"

	"streamcanary/schemas"
	"streamcanary/windows"
)

// A Split is a stage of which the log has another share of the canary than it plans.
type Split struct {
	Stage   int     `json:"stage"`   // from 1
	Planned float64 `json:"planned"` // the canary's share
	Seen    float64 `json:"seen"`
}

// Bounds of what is told of a split: so far off, as a share of the plan, and by so many standard deviations of independent requests.
const (
	splitApart  = .1
	splitErrors = 6
)

// splits counts the requests of each stage.
type splits [][windows.Arms]int64

// take counts a serving window under its stage.
func (s *splits) take(p *windows.Part, stage int) {
	for len(*s) <= stage {
		*s = append(*s, [windows.Arms]int64{})
	}
	for arm := range windows.Arms {
		(*s)[stage][arm] += p.Traffic[arm].Events
	}
}

// offPlan are the stages whose split is another one than planned. Where arms are part of their versions a weight says nothing of how they share what they have.
func (s splits) offPlan(r *schemas.Rollout) (all []Split) {
	for i, n := range s {
		if i >= len(r.Stages) || r.Picks() || r.Stages[i].Shadow() || r.Stages[i].WeightBP == 0 {
			continue
		}
		total := float64(n[windows.Canary] + n[windows.Baseline])
		one := Split{Stage: i + 1, Planned: float64(r.Stages[i].WeightBP) / 10000, Seen: float64(n[windows.Canary]) / total}
		off := math.Abs(one.Seen - one.Planned)
		if total > 0 && off > splitApart*one.Planned && off > splitErrors*math.Sqrt(one.Planned*(1-one.Planned)/total) {
			all = append(all, one)
		}
	}
	return all
}

// weigh counts a part for the summary, while the log's past is what the rollout would have done.
func (p *replay) weigh(part *windows.Part) {
	if part.Kind != windows.Serving || p.different || p.fold.Turns() == 0 {
		return
	}
	stage := 0
	for _, b := range p.head.State.Begun {
		if b.FromMs > 0 && b.FromMs <= part.StartMs {
			stage++
		}
	}
	p.splits.take(part, stage)
}
