package schemas

// Codes of waits.
const (
	WaitNoMargin  = "no_margin"   // nothing could show that it is kept
	WaitInOnePart = "in_one_part" // a mean's baseline can't be held against itself, so nothing tells the noise
	WaitTooCoarse = "too_coarse"  // the margin is finer than what values are rounded to, or counted in, or values lie outside of their buckets
	WaitTooSlow   = "too_slow"    // by the traffic so far, and the noise as it is reckoned, the stage is over before
)

// Wait is a guardrail that the present stage waits for to pass, and that by what is known now won't, or may not: why, and what to do. For people; nothing is decided by it.
type Wait struct {
	Guardrail string `json:"guardrail"`
	Code      string `json:"code"`
	Sentence  string `json:"sentence"`
}
