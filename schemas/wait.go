package schemas

// Codes of waits.
const (
	WaitNoMargin  = "no_margin"  // nothing could show that it is kept
	WaitTooCoarse = "too_coarse" // the margin is finer than what values are rounded to, or counted in
	WaitTooSlow   = "too_slow"   // at the traffic so far the stage is over before
)

// Wait is a guardrail that the present stage waits for to pass, and that by what is known now won't: why, and what to do. For people; nothing is decided by it.
type Wait struct {
	Guardrail string `json:"guardrail"`
	Code      string `json:"code"`
	Sentence  string `json:"sentence"`
}
