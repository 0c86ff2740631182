package decisions

import "streamcanary/schemas"

// An Effect is one thing that must follow from an input. Exactly one field is set.
type Effect struct {
	Decision *Decided
	Notice   *schemas.Notice
	// Again is the id of the newest decision, which is to be asked again: it says all that is to be, and who has refused it, or an earlier one, hears no other.
	Again string
}

// Decided is a decision that was taken: the value, and the exact bytes that are signed and published.
type Decided struct {
	Decision schemas.Decision
	Body     []byte
	// Routes is true where the decision moves traffic: it then becomes the model's route document.
	Routes bool
}

// Step folds one input into a state: the state after it, and what must follow, in order. It is a pure function: the same
// state and input give the same result, s itself is not changed, and nothing that is wrong with an input (an ack of another
// epoch, a deadline that was met, a command that can't be obeyed) does more than be ignored or answered by a Notice.
func Step(s State, in Input) (State, []Effect) {
	t := turn{s: s.clone(), in: in}
	if in.check() != nil {
		return s, nil // Head.Take refuses it aloud
	}
	if in.Kind == InputApplied {
		t.applied(in.Applied)
		return t.s, t.out
	}
	if t.s.Epoch == 0 {
		return s, nil // nothing was applied yet
	}
	t.s.EventMs = max(t.s.EventMs, in.EventMs)
	switch in.Kind {
	case InputAck:
		t.acked(in.Ack)
	case InputExpired:
		t.expired(in.Expired)
	case InputCommand:
		t.command(in.Command)
	case InputAlert:
		t.alerted(in.Alert)
	case InputPillars:
		t.checked(in.Pillars)
	case InputRuling:
		t.ruled(in.Ruling)
	case InputVerdict:
		t.judged(in.Verdict)
	case InputTraffic:
		t.traffic(in.Traffic)
	}
	return t.s, t.out
}

// turn is one call of Step.
type turn struct {
	s   State
	in  Input
	out []Effect
}

// engine is the actor of what nobody commanded.
var engine = schemas.Actor{Kind: "engine"}
