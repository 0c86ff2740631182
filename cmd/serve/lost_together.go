package serve

import (
	"errors"
	"fmt"
	"strings"

	"streamcanary/decisions/bus"
)

// Rollouts are often lost by one cause, or all stand by for one other process: that is said once, with their names.

// lostNamed bounds the rollouts that are named together.
const lostNamed = 10

// cause is what a rollout for which this process doesn't decide shares with others; "": nothing.
func (d *desk) cause() string {
	switch {
	case errors.Is(d.lost, bus.ErrLost):
		return d.besideText()
	case errors.Is(d.lost, errBehind):
		return "NATS is older"
	case d.isOlder():
		return "records are older"
	case errors.Is(d.lost, errJournalGone):
		return "no journal"
	case errors.Is(d.lost, bus.ErrLogRegressed):
		return "decisions are gone"
	}
	return ""
}

// cause is likewise that of a rollout without a record.
func (f *forgotten) cause() string {
	switch {
	case f.missing != "":
		return "not in NATS"
	case f.back:
		return "a rollback without a record"
	}
	return "no record"
}

// lostTogether says for which rollouts this process doesn't decide: those of one cause together, the first of them in full. nil: there are none.
func lostTogether(all []Standing) error {
	type matter struct {
		standsBy bool
		cause    string
	}
	var order []matter
	of := map[matter][]*Standing{}
	for i := range all {
		s := &all[i]
		if s.Lost == "" {
			continue
		}
		m := matter{s.StandsBy, s.cause}
		if m.cause == "" {
			m.cause = s.Lost
		}
		if of[m] == nil {
			order = append(order, m)
		}
		of[m] = append(of[m], s)
	}
	var texts []error
	for _, m := range order {
		texts = append(texts, errors.New(lostAsOne(of[m])))
	}
	return errors.Join(texts...)
}

// lostAsOne says so of those of one cause. What the next ones have of their own (users, what to do) is left to who asks for each.
func lostAsOne(all []*Standing) string {
	is, are := "is lost", "are lost"
	if all[0].StandsBy {
		is, are = "stands by here", "stand by here"
	}
	if len(all) == 1 {
		return fmt.Sprintf("rollout %s %s: %s", all[0].Rollout, is, all[0].Lost)
	}
	var names []string
	for _, s := range all[:min(len(all), lostNamed)] {
		names = append(names, s.Rollout)
	}
	if more := len(all) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("rollouts %s %s (`streamcanary rollout show NAME` says of each how it stands, and what to do); of %s it is this: %s", strings.Join(names, ", "), are, all[0].Rollout, all[0].Lost)
}
