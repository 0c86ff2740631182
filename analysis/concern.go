package analysis

import (
	"fmt"
	"time"

	"streamcanary/schemas"
)

// A Concern is what people should hear of although nothing is decided by it: that a guardrail is suspect, or suspect no more, or that one that only warns has failed.
// A suspicion is told again only after people have heard that it was over; what only warns is told once in an epoch.
type Concern struct {
	Guardrail string        // with its segment: "p99 in de"
	State     schemas.State // suspect or failed; continue: suspect no more
	Sentence  string
	Warns     bool // the guardrail does no more than that
}

// calmFor is for how long, in event time, a guardrail must not have been suspect until people hear that it is over: one that comes and goes must not wake them each time.
const calmFor = 5 * time.Minute

// concerns are those that are new since the last call.
func (j *Judge) concerns() []Concern {
	var list []Concern
	for _, g := range j.all {
		if g.calmed(j.nowMs) {
			g.toldSuspect, g.calmSince = false, 0
			list = append(list, Concern{Guardrail: g.name(), State: schemas.StateContinue, Sentence: j.calmSentence(g)})
			continue
		}
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
		list = append(list, Concern{Guardrail: g.name(), State: g.state, Sentence: j.concernSentence(g), Warns: g.spec.On == schemas.OnWarn})
	}
	return list
}

// calmed reports whether it is time to say that what people were told to be suspect is so no more. A warning has no end: nobody was woken by it.
func (g *guard) calmed(nowMs int64) bool {
	switch {
	case !g.toldSuspect || g.spec.On == schemas.OnWarn, g.state == schemas.StateSuspect, g.state == schemas.StateFailed:
		g.calmSince = 0
	case g.calmSince == 0:
		g.calmSince = nowMs
	}
	return g.calmSince > 0 && nowMs-g.calmSince >= calmFor.Milliseconds()
}

func (j *Judge) calmSentence(g *guard) string {
	stands := map[schemas.State]string{
		schemas.StatePassed: "it has passed", schemas.StateInsufficient: "there is too little data to say more",
	}[g.state]
	if stands == "" {
		stands = "nothing is proven of it now"
	}
	return fmt.Sprintf("Guardrail %s is suspect no more, for %s: %s.", g.name(), durationText(calmFor.Milliseconds()), stands)
}

func (j *Judge) concernSentence(g *guard) string {
	if g.state == schemas.StateFailed {
		return fmt.Sprintf("%s It only warns: by itself that changes nothing.", j.guardSentence(g))
	}
	return j.suspectSentence(open{suspect: g, sinceMs: g.suspectSince})
}
