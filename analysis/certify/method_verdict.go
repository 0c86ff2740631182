package certify

import (
	"slices"

	"streamcanary/analysis"
	"streamcanary/schemas"
)

// verdict is the whole of it: every guardrail, the missing canary, the input's health.
var verdict = Method{Name: "streamcanary: whole verdict", Source: "package analysis", Ours: true, start: func(c *Case) watch {
	v := &verdictWatch{}
	for _, alpha := range c.Alphas {
		r := c.Rollout(alpha)
		v.judges = append(v.judges, judgeOf(r, c.Phi))
		v.ends = append(v.ends, Ending{})
		v.guardrails = r.Guardrails
	}
	return v
}}

// unknowing is the same as it is shipped: nothing is known of the noise beforehand, and it is measured as it comes.
var unknowing = Method{Name: verdict.Name + ", noise not known", Source: verdict.Source, Ours: true, start: func(c *Case) watch {
	unknown := *c
	unknown.Phi = 0
	return verdict.start(&unknown)
}}

// verdictWatch is one judge for each alpha.
type verdictWatch struct {
	judges     []*analysis.Judge
	ends       []Ending
	guardrails []schemas.Guardrail
	states     []schemas.State
}

// An Ending is how a judge's run went.
type Ending struct {
	RolledBack string   // guardrail and code of the rollback; empty: none
	At         int      // its window
	Canary     int64    // canary's predictions up to then
	Held       []string // codes of holds on the way, each once, but inconclusive
	Promoted   bool     // the evidence asked for promotion at some time
	Passed     []string // guardrails that passed at some time
}

func (v *verdictWatch) see(m *Moment, alarmed []bool) {
	for i, j := range v.judges {
		if alarmed[i] {
			continue
		}
		for _, p := range m.Parts {
			v.ends[i].take(j.Step(p), m)
		}
		v.states = j.States(v.states[:0])
		for g, state := range v.states {
			if name := v.guardrails[g].Name; state == schemas.StatePassed && !slices.Contains(v.ends[i].Passed, name) {
				v.ends[i].Passed = append(v.ends[i].Passed, name)
			}
		}
		alarmed[i] = v.ends[i].RolledBack != ""
	}
}

// quiet reports whether nothing came of the run.
func (e *Ending) quiet() bool { return e.RolledBack == "" && len(e.Held) == 0 }

// take notes what a verdict says for the first time.
func (e *Ending) take(v analysis.Verdict, m *Moment) {
	switch v.Action {
	case analysis.VerdictRollback:
		if e.RolledBack == "" {
			e.RolledBack, e.At, e.Canary = v.Guardrail+" "+v.Code, m.T, m.Canary
		}
	case analysis.VerdictPromote:
		e.Promoted = true
	case analysis.VerdictHold:
		code := v.Code
		if v.Guardrail != "" {
			code = v.Guardrail + " " + code
		}
		for _, have := range e.Held {
			if have == code {
				return
			}
		}
		e.Held = append(e.Held, code)
	}
}

// judgeOf is a judge that knows the over-dispersion, where phi is above 0: of the worlds whose limits are set for independent events.
func judgeOf(r *schemas.Rollout, phi float64) *analysis.Judge {
	return analysis.NewJudge(r, analysis.Options{NoIntervals: true, Phi: phi})
}

// suspicion alarms when people are told: a rollback guardrail is suspect, or more. What follows is a rollback, after patience or with more proof.
var suspicion = Method{Name: "streamcanary: told as suspect", Source: "package analysis", Ours: true, start: func(c *Case) watch {
	r := c.Rollout(c.Alphas[0])
	return &suspicionWatch{rollout: r, judge: judgeOf(r, c.Phi)}
}}

type suspicionWatch struct {
	rollout *schemas.Rollout
	judge   *analysis.Judge
	states  []schemas.State
}

func (s *suspicionWatch) see(m *Moment, alarmed []bool) {
	for _, part := range m.Parts {
		told := s.judge.Step(part).Action == analysis.VerdictRollback
		s.states = s.judge.States(s.states[:0])
		for i, state := range s.states {
			told = told || s.rollout.Guardrails[i].On == schemas.OnRollback && (state == schemas.StateSuspect || state == schemas.StateFailed)
		}
		if told {
			setAll(alarmed, true)
		}
	}
}

// promotion alarms when the verdict is to promote, at the rollout's own falsePromote.
var promotion = Method{Name: "streamcanary: promotion", Source: "package analysis", Ours: true, start: func(c *Case) watch {
	return &promotionWatch{judge: judgeOf(c.Rollout(c.Alphas[0]), c.Phi)}
}}

type promotionWatch struct {
	judge *analysis.Judge
	end   Ending
}

func (p *promotionWatch) see(m *Moment, alarmed []bool) {
	for _, part := range m.Parts {
		p.end.take(p.judge.Step(part), m)
	}
	setAll(alarmed, p.end.Promoted)
}
