package analysis

import "streamcanary/schemas"

// Graver is harm that can't wait for a cache to be warmed, and has come up since a rollback that could.
type Graver struct {
	Code        string
	Sentence    string // one plain sentence for a person
	HarmBeganMs int64  // estimated
}

// worsen looks whether what users bear while a rollback takes its time has become worse. The first that has is latched, as the rollback is; which one that
// stands on stays. What a canary that gets no more traffic leaves behind (its silence) is told, too: who moved the traffic knows what to make of it.
func (j *Judge) worsen() {
	if j.verdict.Severe && j.verdict.Code != codeCanaryScarce || j.verdict.Graver != nil { // a person who moves traffic back in steps makes it scarce, too
		return
	}
	if c := j.gravest(); c.severe() {
		j.verdict.Graver = &Graver{Code: c.code, Sentence: j.sentence(c), HarmBeganMs: j.harmBegan(c)}
	}
}

// gravest is the harm now that can't wait; the zero cause: none.
func (j *Judge) gravest() cause { return j.harm((*guard).severe) }

// severe reports whether a rollback can't wait: the canary is silent, or in part, it answers with more errors or time-outs, or it is beyond a limit.
func (c cause) severe() bool {
	if c.action != VerdictRollback || c.guard == nil {
		return c.code == codeCanaryMissing || c.code == codeCanaryScarce
	}
	return c.guard.severe()
}

func (g *guard) severe() bool {
	return !g.isContrast() || g.spec.Kind == schemas.RateGuardrail && (g.spec.Of == "error" || g.spec.Of == "timeout")
}

func (g *guard) always() bool { return true }
