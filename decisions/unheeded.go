package decisions

import "streamcanary/schemas"

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
	case s.Stranger(a.Consumer):
		return UnheededStranger
	}
	return ""
}

// Outlived reports whether an answer to the epoch is of no use any more, once a later one of the model has begun: nobody waits for one of that consumer. A sink's isn't: it carries out what was
// decided in its order, however late, and goes on to what comes next by itself.
func (s *State) Outlived(a *schemas.Ack) bool {
	return !s.Misses(a.Consumer) && !s.Terms.isSink(a.Consumer)
}

// Stranger reports whether a consumer that answers is one whom no decision asks.
func (s *State) Stranger(consumer string) bool { return s.Terms.awaited() && !s.Terms.Asks(consumer) }

// Asks reports whether a consumer is one whom decisions may ask for an answer.
func (t *Terms) Asks(consumer string) bool {
	return t.asked(consumer) != notAsked
}
