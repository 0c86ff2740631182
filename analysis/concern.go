package analysis

import (
	"fmt"

	"streamcanary/schemas"
)

// A Concern is what people should hear of although nothing is decided by it: that a guardrail is suspect, or that one that only warns has failed.
// Each is told once in an epoch.
type Concern struct {
	Guardrail string        // with its segment: "p99 in de"
	State     schemas.State // suspect or failed
	Sentence  string
}

// concerns are those that are new since the last call.
func (j *Judge) concerns() []Concern {
	var list []Concern
	for _, g := range j.all {
		told := g.toldSuspect
		if g.state == schemas.StateFailed {
			told = g.toldFailed || g.spec.On != schemas.OnWarn // the others are decided on
		}
		if told || g.state != schemas.StateFailed && g.state != schemas.StateSuspect {
			continue
		}
		if g.state == schemas.StateSuspect && g.void() { // what holds the rollout says that nothing follows from these numbers
			continue
		}
		g.toldSuspect = true // a failure is news, but what is suspect after it is none
		g.toldFailed = g.toldFailed || g.state == schemas.StateFailed
		list = append(list, Concern{Guardrail: g.name(), State: g.state, Sentence: j.concernSentence(g)})
	}
	return list
}

func (j *Judge) concernSentence(g *guard) string {
	if g.state == schemas.StateFailed {
		return fmt.Sprintf("%s It only warns: by itself that changes nothing.", j.guardSentence(g))
	}
	return j.suspectSentence(open{suspect: g, sinceMs: g.suspectSince})
}
