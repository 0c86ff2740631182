package bus

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// lanes are what a sink is to hear and isn't done with: a lane for each model, so that an event that fails holds up its own model's only. In a lane each event waits for the one
// before it. What is done with, but has passed one that yields, is kept until that is done with, too: so after a crash both come again, in the order of the log. It holds at most sinkHeld events, since the server hands out no more. Safe for concurrent use: one goroutine adds, another takes.
type lanes struct {
	mu      sync.Mutex
	rank    func(*Told) Rank
	gathers bool // an event is taken a little later, so that what comes together is ranked together
	byModel map[string][]*held
	passed  map[string][]*held // by model, in the order in which they were told
	added   chan struct{}      // has room for one: something was added
}

// held is an event in its lane.
type held struct {
	Told
	message jetstream.Msg
	model   string
	rank    Rank
	due     time.Time // when it is to be taken; zero: now
	takes   int       // how often it was taken here
	waits   bool      // it was said that it waits
	failed  bool      // it was taken, and comes again
}

func newLanes(rank func(*Told) Rank) *lanes {
	gathers := rank != nil
	if !gathers {
		rank = func(*Told) Rank { return Rank{} }
	}
	return &lanes{rank: rank, gathers: gathers, byModel: map[string][]*held{}, passed: map[string][]*held{}, added: make(chan struct{}, 1)}
}

// add gives an event its place. One that the server sent again, since it heard nothing of it for too long, is the one that is here.
func (l *lanes) add(t *Told, message jetstream.Msg) {
	model, _ := t.Names()
	h := &held{Told: *t, message: message, model: model, rank: l.rank(t)}
	if l.gathers {
		h.due = time.Now().Add(sinkGathers)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	known := slices.Concat(l.byModel[model], l.passed[model])
	if i := slices.IndexFunc(known, func(x *held) bool { return x.Sequence == h.Sequence }); i >= 0 {
		known[i].message = message
		return
	}
	l.byModel[model] = append(l.byModel[model], h)
	l.order(model)
	select {
	case l.added <- struct{}{}:
	default:
	}
}

// order puts each event of a model before those that it goes before.
func (l *lanes) order(model string) {
	lane := l.byModel[model]
	stuck := slices.ContainsFunc(lane, func(x *held) bool { return x.failed && !x.rank.Urgent })
	for i := range lane {
		for at := i; at > 0 && lane[at].before(lane[at-1], stuck); at-- {
			lane[at], lane[at-1] = lane[at-1], lane[at]
		}
	}
}

// before reports whether an event goes before another one of its model: as they stand in the log, but what is urgent goes first, unless the other keeps its place, and doesn't
// yield where their lane is stuck.
func (h *held) before(x *held, stuck bool) bool {
	switch {
	case h.rank.Urgent && !x.rank.Urgent:
		return !x.rank.Stays || h.Sequence < x.Sequence || stuck && x.rank.Yields
	case !h.rank.Urgent && x.rank.Urgent:
		return h.rank.Stays && h.Sequence < x.Sequence && !(stuck && h.rank.Yields)
	}
	return h.Sequence < x.Sequence
}

// next is the event to be taken now, of the first in all lanes: what is urgent, and then as they stand in the log. nil: none is due, and in is when one is; 0: there is none.
func (l *lanes) next(now time.Time) (first *held, in time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lane := range l.byModel {
		h := lane[0]
		switch wait := h.due.Sub(now); {
		case wait > 0 && (in == 0 || wait < in):
			in = wait
		case wait > 0:
		case first == nil || h.ahead(first):
			first = h
		}
	}
	return first, in
}

func (h *held) ahead(of *held) bool {
	if h.rank.Urgent != of.rank.Urgent {
		return h.rank.Urgent
	}
	return h.Sequence < of.Sequence
}

// ahead are those that have passed an event.
func (l *lanes) ahead(h *held) []Told {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Told
	for _, x := range l.passed[h.model] {
		if x.Sequence > h.Sequence {
			all = append(all, x.Told)
		}
	}
	return all
}

// after are those that wait behind an event and came later.
func (l *lanes) after(h *held) []Told {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []Told
	for _, x := range l.byModel[h.model] {
		if x.Sequence > h.Sequence {
			all = append(all, x.Told)
		}
	}
	slices.SortFunc(all, func(a, b Told) int { return cmp.Compare(a.Sequence, b.Sequence) })
	return all
}

// done forgets an event that is done with, but for what has passed another one, and returns the messages of all that the server is to hear of.
func (l *lanes) done(h *held) []jetstream.Msg {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(h)
	var over []jetstream.Msg
	passed := slices.DeleteFunc(append(l.passed[h.model], h), func(x *held) bool {
		if slices.ContainsFunc(l.byModel[h.model], func(y *held) bool { return y.rank.Yields && y.Sequence < x.Sequence }) {
			return false
		}
		over = append(over, x.message)
		return true
	})
	if l.passed[h.model] = passed; len(passed) == 0 {
		delete(l.passed, h.model)
	}
	return over
}

// remove forgets an event that is given back to the server, and returns its message.
func (l *lanes) remove(h *held) jetstream.Msg {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(h)
	return h.message
}

func (l *lanes) drop(h *held) {
	lane := slices.DeleteFunc(l.byModel[h.model], func(x *held) bool { return x == h })
	if len(lane) == 0 {
		delete(l.byModel, h.model)
	} else {
		l.byModel[h.model] = lane
	}
}

// later sets when an event comes again, which lets what is urgent pass it.
func (l *lanes) later(h *held, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.due, h.failed = at, true
	l.order(h.model)
}

// A waiting event stands behind one that was taken and comes again.
type waiting struct{ event, behind *held }

// behind are those that wait, each once, in the order of the log.
func (l *lanes) behind() []waiting {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []waiting
	for _, lane := range l.byModel {
		if lane[0].takes == 0 {
			continue
		}
		for _, h := range lane[1:] {
			if !h.waits {
				h.waits = true
				all = append(all, waiting{h, lane[0]})
			}
		}
	}
	slices.SortFunc(all, func(a, b waiting) int { return cmp.Compare(a.event.Sequence, b.event.Sequence) })
	return all
}

// idle waits until something is added, or a time has passed; 0: none will.
func (l *lanes) idle(ctx context.Context, in time.Duration) {
	var due <-chan time.Time
	if in > 0 {
		timer := time.NewTimer(in)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
	case <-l.added:
	case <-due:
	}
}

// messages are those of all events.
func (l *lanes) messages() []jetstream.Msg {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []jetstream.Msg
	for _, lane := range l.byModel {
		for _, h := range lane {
			all = append(all, h.message)
		}
	}
	for _, passed := range l.passed {
		for _, h := range passed {
			all = append(all, h.message)
		}
	}
	return all
}

// oldest is when the oldest event that is held was stored, or a time where none is older.
func (l *lanes) oldest(at time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, lane := range l.byModel {
		for _, h := range lane {
			if h.At.Before(at) {
				at = h.At
			}
		}
	}
	return at
}
