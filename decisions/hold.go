package decisions

import (
	"fmt"

	"streamcanary/schemas"
)

// Beneath is what the engine holds a rollout for while a person holds it, too. It speaks against more traffic all the same, and goes on when the person's hold ends.
type Beneath struct {
	Code     string `json:"code"`
	Sentence string `json:"sentence"`
	Sticky   bool   `json:"sticky,omitempty"` // only a person ends it
}

// Is reports whether a hold, or what lies beneath it, has a code; nil is none.
func (h *Hold) Is(code string) bool {
	return h != nil && (h.Code == code || h.Under != nil && h.Under.Code == code)
}

// byPerson reports whether a person began it.
func (h *Hold) byPerson() bool { return h.Code == codePaused || h.Code == codeFrozen }

// isFinding reports whether a hold's code says that something is wrong. An approval doesn't, and alerts, pillars and retired versions are looked at anew each time.
func isFinding(code string) bool {
	return code != codeApproval && code != codeAlert && code != codePillarFailed && code != codeRetiredServes
}

// cover notes what the engine would hold the rollout for, which a person's hold covers. What only a person ends is not covered by what ends by itself.
func (h *Hold) cover(n *holding) {
	if !h.byPerson() || n.actor.Kind != "" || !isFinding(n.reason.Code) || h.Under != nil && h.Under.Sticky && !n.sticky {
		return
	}
	h.Under = &Beneath{Code: n.reason.Code, Sentence: clip(n.reason.Sentence, MaxSentence), Sticky: n.sticky}
}

// uncovered notes that the engine would hold the rollout no more, unless a person must say so; nil is no hold.
func (h *Hold) uncovered() {
	if h != nil && h.Under != nil && !h.Under.Sticky {
		h.Under = nil
	}
}

// beneath is what lies beneath a hold that begins now.
func (s *State) beneath(n *holding) *Beneath {
	h := s.Hold
	switch {
	case h == nil || n.actor.Kind == "":
		return nil
	case h.byPerson():
		return h.Under
	case !isFinding(h.Code):
		return nil
	}
	under := &Beneath{Code: h.Code, Sticky: h.Sticky}
	if s.Why != nil {
		under.Sentence = s.Why.Sentence
	}
	return under
}

// holdCodes are those of what holds the rollout and isn't the wish of a person who looks at it.
func (s *State) holdCodes() []string {
	h := s.Hold
	if h == nil {
		return nil
	}
	var codes []string
	if h.Code != codeApproval && h.Code != codePaused {
		codes = append(codes, h.Code)
	}
	if h.Under != nil {
		codes = append(codes, h.Under.Code)
	}
	return codes
}

// uncover ends a person's hold where the engine still holds the rollout: it holds on for that.
func (t *turn) uncover(c *Command) {
	h, under := t.s.Hold, t.s.Hold.Under
	reason := commanded(c, under.Code, "ended that hold")
	reason.Sentence = fmt.Sprintf("%s It still holds (%s): %s", reason.Sentence, under.Code, under.Sentence)
	t.decide(draft{
		action: schemas.ActionHold, severity: schemas.Warning, routes: t.s.Routes, state: t.thaw(),
		reason: reason, actor: c.Actor, supersedes: h.Decision,
	})
	t.s.Hold = &Hold{Decision: t.s.Prev.ID, Code: under.Code, Sticky: under.Sticky}
	t.alarms("")
}
