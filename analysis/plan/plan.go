package plan

import (
	"errors"
	"fmt"
	"time"

	"streamcanary/analysis"
	"streamcanary/schemas"
)

// Options say how much is simulated.
type Options struct {
	Runs  int                       // of each question, for a median; 0: UsualRuns
	Seed  uint64                    // of their random numbers
	Harms map[string]schemas.Margin // by guardrail; without one, UsualHarm
}

// UsualRuns is how many runs a median is taken of.
const UsualRuns = 21

// A Stage is what a plan says of one stage.
type Stage struct {
	Number     int     // from 1
	Share      float64 // the canary's
	PerSecond  float64 // the canary's predictions
	Bake, Max  time.Duration
	Guardrails []Guardrail
}

// A Guardrail is what a plan says of one guardrail in one stage.
type Guardrail struct {
	Name     string
	Unknown  string // why nothing can be said; empty: the rest is filled in
	Alpha    float64
	Phi      float64 // over-dispersion that the test reckons with when it fails, as measured by then; 0: it needs none; of ranks and of predictions' means what was stated or surveyed, of ranks else 1
	Floor    time.Duration
	Harm     schemas.Margin // what Suspect and Fail are of
	Suspect  *Reach         // nil: this guardrail fails at once
	Fail     Reach
	CanPass  bool
	Coarse   string         // why a canary like the baseline can't pass, and what to do (see noPass); empty: it can, or why it can't isn't known
	Blind    string         // of a mean: why no harm beyond the margin can show, and what to do; empty: it can
	Required bool           // the stage waits for it to pass
	Pass     Reach          // of a canary like the baseline; only where CanPass
	Smallest schemas.Margin // the smallest harm that is found within the stage in 4 of 5 cases, by proof or by patience; Text empty: none is
}

// ErrNoShare says that nobody knows how much of the traffic the canary will have.
var ErrNoShare = errors.New("the stage has no weight, and the canary's share is not known")

// ErrShareOfPart says that the stage's weight tells how the versions share the traffic, and not how the arms, which are part of them, do.
var ErrShareOfPart = errors.New("beside where the stage's weight is not the canary's share of both arms")

// Make plans every stage. The error says which harm can't be, or that the canary's share is unknown.
//
// Claim. Each Reach is about the median of rollouts of such traffic: an estimate without an interval, within about a quarter of that of very many runs, or a half (Reach.Rough).
//
// When. The traffic is as it was stated or surveyed: at a constant rate, without bursts or cycles of the day, and a canary that is harmful from its first
// window on. Reach.How says where it was reckoned and not simulated.
//
// Cost: it simulates: expect a second for each guardrail and stage.
//
// Conventions: what needs no proof, can't be or is never reached is said in words (Unknown, Unreached) with zeros beside it. Traffic and harms are finite: NaN
// isn't looked for. Shares are parts of 1. The same arguments and seed give the same plan.
//
// Source: chosen here; TestPlannedIsSimulated holds it against replays, TestSmallestHarm the smallest harm.
func Make(r *schemas.Rollout, t Traffic, o Options) ([]Stage, error) {
	if o.Runs == 0 {
		o.Runs = UsualRuns
	}
	var stages []Stage
	for i := range r.Stages {
		one := &r.Stages[i]
		share := shareOf(r, one, &t)
		switch known := share > 0 && share < 1; {
		case !known && r.Picks() && one.WeightBP > 0:
			return nil, fmt.Errorf("plan stage %d: %w", i+1, ErrShareOfPart)
		case !known:
			return nil, fmt.Errorf("plan stage %d: %w", i+1, ErrNoShare)
		}
		stage := Stage{Number: i + 1, Share: share, PerSecond: t.Requests * share, Bake: one.Bake, Max: one.Max}
		for at := range r.Guardrails {
			g, err := planGuardrail(newSetting(r, place{at, i}, &t, o), r.Guardrails[at].Name)
			if err != nil {
				return nil, err
			}
			g.Alpha, g.Required = r.Alpha(&r.Guardrails[at]), waitsFor(one, &r.Guardrails[at])
			stage.Guardrails = append(stage.Guardrails, g)
		}
		stages = append(stages, stage)
	}
	return stages, nil
}

// waitsFor says whether a stage waits for a guardrail to pass.
func waitsFor(s *schemas.Stage, g *schemas.Guardrail) bool {
	for _, name := range s.Pass {
		if name == g.Name {
			return true
		}
	}
	return s.Pass == nil && g.Required
}

func planGuardrail(s *setting, name string) (Guardrail, error) {
	g := Guardrail{Name: name, Unknown: s.base.Unknown, Floor: s.floor(), CanPass: s.guard.CanPass()}
	if g.Unknown != "" {
		return g, nil
	}
	if text := s.beyondAlready(); text != "" {
		g.Unknown = text
		return g, nil
	}
	harm, stated := s.options.Harms[name]
	if !stated {
		harm = UsualHarm(s.guard)
	}
	canary, err := harmed(s.guard, s.healthy, harm)
	if err != nil && stated {
		return g, fmt.Errorf("guardrail %s: a harm of %w", name, err)
	}
	if err != nil {
		g.Unknown = fmt.Sprintf("a harm of %v", err)
		return g, nil
	}
	g.Harm = harm
	if s.guard.Direction.Contrast() && s.guard.Margin.Value > 0 && s.guard.Prove == schemas.ProveBeyond {
		suspect := s.reach(canary, suspected)
		g.Suspect = &suspect
	}
	g.Fail, g.Blind = s.reach(canary, failed), s.beyondCap()
	g.Phi = g.Fail.Phi
	if g.CanPass {
		g.Pass = s.reach(s.healthy, passed)
	}
	if g.Pass.How == Unreached && g.CanPass {
		g.Coarse = s.noPass()
	}
	if h, found := s.smallest(); found {
		g.Smallest = h
	}
	return g, nil
}

// noPass says why a canary like the baseline can't pass whatever its traffic, and what to do; empty: it can, or that isn't known.
func (s *setting) noPass() string {
	switch s.guard.Kind {
	case schemas.RateGuardrail, schemas.GaugeGuardrail:
		return analysis.NoGrowth(s.guard, s.healthy[hitAt(s.guard)].p, s.share)
	}
	return analysis.TooCoarse(&s.rollout, s.guard, func(q float64) float64 { return quantile(s.healthy, q) })
}

// beyondCap says of a mean that, as values are capped, none can be as far from the baseline's as the margin: no harm beyond it can show, and a pass says nothing.
func (s *setting) beyondCap() string {
	g, mean := s.guard, 0.0
	for _, a := range s.healthy {
		mean += a.p * min(max(a.x, -g.Cap), g.Cap)
	}
	if !g.BeyondCap(mean) {
		return ""
	}
	return fmt.Sprintf("can't fail, and a pass says nothing: values are held within the cap of %.4g, the baseline's mean is %.4g by that, and no mean of such values can be worse by the margin of %s. "+
		"Write a greater cap, or a smaller margin", g.Cap, mean, g.Margin.Text)
}

// beyondAlready says of a fixed limit that the baseline itself is beyond it.
func (s *setting) beyondAlready() string {
	now, limit := level(s.guard, s.healthy), s.guard.Margin.Value
	above := s.guard.Direction == schemas.Above && now >= limit
	below := s.guard.Direction == schemas.Below && now <= limit
	if !above && !below {
		return ""
	}
	at := HarmText(s.guard, schemas.Margin{Value: now})
	return fmt.Sprintf("the baseline is beyond it already, at %s: both arms beyond a limit is no regression, and holds", at)
}
