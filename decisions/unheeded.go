package decisions

import (
	"slices"

	"streamcanary/schemas"
)

// Unheeded is why an ack counts for nothing, whatever it says: a label of a counter.
type Unheeded string

// The reasons. The first three are of acks that are of no epoch that is under way.
const (
	UnheededModel    Unheeded = "unknown_model"
	UnheededOlder    Unheeded = "older_epoch"
	UnheededNewer    Unheeded = "future_epoch"
	UnheededFuture   Unheeded = "future_decision"
	UnheededDecision Unheeded = "unknown_decision" // number and id are not of one decision
	UnheededStranger Unheeded = "not_asked"        // a name that no decision asks
)

// Unheeded is why an ack of the epoch counts for nothing; "": it may count.
func (s *State) Unheeded(a *schemas.Ack) Unheeded {
	switch {
	case a.Seq > s.Seq:
		return UnheededFuture
	case a.Seq < 1 || a.Decision != idOf(&s.Terms, s.Epoch, a.Seq):
		return UnheededDecision
	case s.Terms.awaited() && !s.Terms.Asks(a.Consumer):
		return UnheededStranger
	}
	return ""
}

// Asks reports whether a consumer is one whom decisions may ask for an answer.
func (t *Terms) Asks(consumer string) bool {
	return slices.Contains(t.State.Stores, consumer) || slices.Contains(t.State.Owing, consumer) || t.isSink(consumer) || t.asksRouter(consumer)
}
