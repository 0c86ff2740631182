package decisions

import (
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// Missing are the consumers whose answer is waited for, ascending; "any" among them where one router of any name is.
func (s *State) Missing() []string {
	var missing []string
	for _, w := range []*Wait{s.Wait, s.Freezing, s.Thawing} {
		if w != nil {
			missing = append(missing, w.missing()...)
		}
	}
	steps := s.steps()
	for i := range steps {
		if step := &steps[i]; step.Wait != nil && step.open() {
			missing = append(missing, step.Wait.missing()...)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// Misses reports whether an answer is waited for that a consumer can give.
func (s *State) Misses(consumer string) bool {
	return slices.ContainsFunc(s.Missing(), func(name string) bool { return s.speaksFor(consumer, name) })
}

// toldMissing are those of whom people were told that they haven't answered as is wanted, but for steps and stores that are to take writes again (left).
func (s *State) toldMissing() []string {
	var missing []string
	for _, w := range []*Wait{s.Wait, s.Freezing} {
		if w != nil && (w.Told || w.Attempt > 0) {
			missing = append(missing, w.missing()...)
		}
	}
	return missing
}

// AwaitsPerson is the code of a hold that goes on until a person says something: an approval, or one that only a person ends; "": there is none.
func (s *State) AwaitsPerson() string {
	if h := s.Hold; h != nil && !s.Status.Ended() && (h.Sticky || h.Code == codeApproval) {
		return h.Code
	}
	return ""
}

// RoutersText is which of those whose answer is waited for carry the routes, for a person: no store, and no sink that only tells. "" where all have answered.
func (s *State) RoutersText() string {
	names := slices.DeleteFunc(s.Missing(), func(name string) bool { return s.Terms.isStore(name) || s.Terms.isSink(name) })
	for i, name := range names {
		if name == anyRouter {
			names[i] = "any router"
		}
	}
	return strings.Join(names, ", ")
}

// Undone reports whether a rollback was decided and is not yet carried out.
func (s *State) Undone() bool {
	return s.Saga != nil && !s.Saga.Done() && s.Status != StatusDeleted
}

// A Stray is an answer to another epoch by a consumer that this one waits for.
type Stray struct {
	Consumer string `json:"consumer"`
	Epoch    int64  `json:"epoch"`
	AtMs     int64  `json:"at_ms"` // wall time of the intake
}

// MaxStrays bounds those that are kept: the newest, one for each consumer, and those of consumers that are asked by name before others.
const MaxStrays = 16

// stray keeps an answer to another epoch, where its consumer is one that is waited for: who asks why it doesn't answer must hear that it does.
func (s *State) stray(a *schemas.Ack, wallMs int64) {
	if !s.Misses(a.Consumer) {
		return
	}
	s.found(a.Consumer)
	s.Strays = append(s.Strays, Stray{a.Consumer, a.Epoch, wallMs})
	if len(s.Strays) > MaxStrays {
		least := slices.MinFunc(s.Strays, func(x, y Stray) int { return int(s.Terms.asked(x.Consumer)) - int(s.Terms.asked(y.Consumer)) }) // the first of them
		s.found(least.Consumer)
	}
}

// found forgets a consumer's stray answer.
func (s *State) found(consumer string) {
	s.Strays = slices.DeleteFunc(s.Strays, func(x Stray) bool { return x.Consumer == consumer })
}

// StrayText says what an answer to another epoch means, and what to look at.
func (s *State) StrayText(x *Stray) string {
	if x.Epoch > s.Epoch {
		return fmt.Sprintf("%s answers to epoch %d, and this is epoch %d: it hears another installation, or somebody answers in its name: look at its NATS, its trusted keys and who may acknowledge",
			x.Consumer, x.Epoch, s.Epoch)
	}
	return fmt.Sprintf("%s answers to epoch %d, which is over, and this is epoch %d: it runs, and does what was decided then, or somebody answers in its name: look at its log, its NATS (the same one?), its trusted keys, its position and who may acknowledge; restart it",
		x.Consumer, x.Epoch, s.Epoch)
}

// hint is what to look at where answers are missing: what is known of who doesn't give them.
func (s *State) hint(w *Wait) string {
	missing := w.missing()
	for i := range s.Strays {
		if x := &s.Strays[i]; slices.Contains(missing, x.Consumer) || slices.Contains(missing, anyRouter) && !s.Terms.isStore(x.Consumer) {
			return s.StrayText(x) + "."
		}
	}
	return s.advice(w)
}

// advice is what to do about those who have not answered as is wanted.
func (s *State) advice(w *Wait) string {
	var refused, busy, gone, silent, texts []string
	for _, name := range w.missing() {
		if a := s.refusal(name, w); a != nil {
			refused = append(refused, s.refusalText(a))
		} else if a := s.receipt(name, w.Seq); a != nil {
			busy = append(busy, s.receiptText(a))
		} else if a := s.last(name); a != nil {
			gone = append(gone, s.lastText(a))
		} else if !slices.Contains(s.Terms.Sinks.Dry, name) {
			silent = append(silent, name)
		}
	}
	if refused != nil {
		texts = append(texts, strings.Join(refused, "; ")+". Mend that there: it is asked again.")
	}
	if busy != nil {
		texts = append(texts, strings.Join(busy, "; ")+": it runs, and what it was asked to do hangs: look at its log, and restart it.")
	}
	if gone != nil {
		texts = append(texts, strings.Join(gone, " "))
	}
	if dry := s.dry(w); len(dry) > 0 {
		texts = append(texts, fmt.Sprintf("%s, since %s: name a router that runs in acks.routers, or apply the rollout with mode: advise.", inert(dry), dryRun))
	}
	switch {
	case silent != nil && texts == nil:
		return "Does it run, and is it allowed to acknowledge?"
	case silent != nil:
		texts = append(texts, fmt.Sprintf("And %s: does it run, and is it allowed to acknowledge?", listed(silent)))
	}
	return strings.Join(texts, " ")
}

// meanwhile is what it means that a decision isn't answered, and what can be done.
func (s *State) meanwhile() string {
	switch s.Status {
	case StatusPreparing:
		return fmt.Sprintf("Until it has been carried out, nothing is judged and no traffic moves; `streamcanary rollout delete %s` gives the rollout up.", s.Terms.Rollout)
	case StatusPromoting:
		if s.Witnessed() {
			return fmt.Sprintf("Another controller moves the weights (`stages: external`): have it give all traffic to %s. This ends when a router answers, or when the stream shows that %s has drained (%s); `streamcanary rollout rollback %s --comment WHY` goes back.",
				s.Terms.Canary, s.Terms.Baseline, s.seenOfPromotion(), s.Terms.Rollout)
		}
		return fmt.Sprintf("Until it has been carried out, traffic may still reach %s; `streamcanary rollout rollback %s --comment WHY` goes back.", s.Terms.Baseline, s.Terms.Rollout)
	}
	return "Until it has been carried out, no stage begins or ends; harm rolls back all the same."
}

// WaitText is what State.Wait waits for, for a person.
func (s *State) WaitText() string {
	w := s.Wait
	text := fmt.Sprintf("for %s to answer %q to decision %s%s, again at %s", listed(w.missing()), w.Want, w.Decision, passed(w.Attempt), schemas.Time(w.DeadlineMs))
	if s.Witnessed() {
		text += fmt.Sprintf(", or for the stream to show that %s has drained (%s)", s.Terms.Baseline, s.seenOfPromotion())
	}
	if dry := s.dry(w); len(dry) > 0 {
		text += fmt.Sprintf(" (%s: %s)", inert(dry), dryRun)
	}
	return text
}

const dryRun = "serve began this epoch in a dry run (--dry-run)"

// inert is what that means to sinks that move traffic.
func inert(sinks []string) string {
	return agreed(sinks, "moves no traffic and answers nothing", "move no traffic and answer nothing")
}

// dry are those of whom an answer is waited for that are not told anything, and haven't answered meanwhile.
func (s *State) dry(w *Wait) []string {
	missing := w.missing()
	return slices.DeleteFunc(slices.Clone(s.Terms.Sinks.Dry), func(name string) bool {
		return s.last(name) != nil || !slices.Contains(missing, name) && !slices.Contains(missing, anyRouter)
	})
}

// passed says how often a deadline has passed; nothing where none has.
func passed(deadlines int) string {
	if deadlines == 0 {
		return ""
	}
	return fmt.Sprintf(" (deadline passed %s)", times(deadlines))
}
