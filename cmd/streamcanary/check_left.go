package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// servesYet are warnings of versions that a rollout would begin beside: they serve users although they are to have none, as people were told, and are none of its own; of its baseline, where that is
// no refuge now; and of incidents that it would take over without the sinks that know of them.
func servesYet(ctx context.Context, b *bus.Bus, r *schemas.Rollout) ([]string, error) {
	states, err := leavers(ctx, b, r.Model)
	if err != nil {
		return nil, err
	}
	terms := decisions.TermsOf(r.Walked())
	var texts, versions []string
	for _, s := range states {
		if text := unheard(s, &terms); text != "" {
			texts = append(texts, text)
		}
		left := s.Leaves(&terms)
		for i := range left {
			if l := &left[i]; l.Told && !slices.Contains(versions, l.Version) {
				versions, texts = append(versions, l.Version), append(texts, servesText(l, &terms))
			}
		}
		if why := s.NoRefuge(terms.Baseline); why != "" {
			texts = append(texts, fmt.Sprintf("baseline %s is no refuge as things stand: to roll this rollout back would not end what rollout %s says of it: %s", terms.Baseline, s.Terms.Rollout, why))
		}
	}
	return texts, nil
}

// unheard warns of what people were told of by sinks that the next rollout doesn't name, and that isn't over: what goes on of it is told there no more.
func unheard(s *decisions.State, next *decisions.Terms) string {
	stands := s.Standing()
	sinks := slices.DeleteFunc(slices.Clone(s.Terms.Sinks.Alert), func(sink string) bool { return slices.Contains(next.Sinks.Alert, sink) })
	if len(stands) == 0 || len(sinks) == 0 || s.Status == decisions.StatusDeleted {
		return ""
	}
	return fmt.Sprintf("rollout %s has told people of what isn't over (%s), also by %s, which this rollout doesn't name: what goes on of it is told there no more, and the incident ends there. Name it in sinks, or see to it that people know",
		s.Terms.Rollout, strings.Join(stands, ", "), strings.Join(sinks, ", "))
}

func servesText(l *decisions.Left, terms *decisions.Terms) string {
	seen := ""
	if l.Seen != "" {
		seen = ": " + l.Seen
	}
	what := fmt.Sprintf("decision %s took all traffic from %s, and it is not proven that %s has drained%s. Nobody judges what it answers: find what routes to it, and move that by hand, before another rollout begins beside it", l.Decision, l.Version, l.Version, seen)
	if terms.Mode == schemas.Advise {
		return what + "; with mode: advise nobody looks at it any more"
	}
	return what
}

// leavers are the states of a model's rollouts that a next epoch would take over what is looked at from: that of its newest epoch that wasn't refused, and of those that were refused since.
func leavers(ctx context.Context, b *bus.Bus, model string) ([]*decisions.State, error) {
	specs, err := b.Specs(ctx)
	if err != nil {
		return nil, err
	}
	var all []*decisions.State
	for _, s := range specs {
		head, _, err := b.LoadHead(ctx, s.Rollout)
		switch state := &head.State; {
		case errors.Is(err, bus.ErrNotFound), errors.Is(err, bus.ErrUnreadable):
		case err != nil:
			return nil, err
		case state.Terms.Model == model:
			all = append(all, state)
		}
	}
	slices.SortFunc(all, func(x, y *decisions.State) int { return int(y.Epoch - x.Epoch) })
	begun := slices.IndexFunc(all, func(s *decisions.State) bool { return s.Status != decisions.StatusRefused })
	return all[:begun+1], nil
}

// warnServes tells a person of them. Where they can't be read, that is told as well.
func warnServes(ctx context.Context, w io.Writer, b *bus.Bus, r *schemas.Rollout) []string {
	texts, err := servesYet(ctx, b, r)
	if err != nil {
		texts = []string{fmt.Sprintf("whether a version that is to have no users serves some, or the baseline is no refuge, isn't known: %v", err)}
	}
	for _, text := range texts {
		say(w, "warning: %s\n", text)
	}
	return texts
}

// leftShut says why a rollout would be refused over stores that take no writes, and whose rollout nobody follows any more; "": it would not.
func leftShut(ctx context.Context, b *bus.Bus, r *schemas.Rollout) (why string, err error) {
	last, err := b.LastDecision(ctx, r.Model)
	if errors.Is(err, bus.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	head, _, err := b.LoadHead(ctx, last.Decision.Rollout)
	switch s := &head.State; {
	case errors.Is(err, bus.ErrNotFound):
	case err != nil:
		return "", err
	case s.Terms.Model == r.Model && s.Epoch == last.Decision.Epoch && s.Status != decisions.StatusDeleted: // who judges it says what speaks against another one
		return "", nil
	}
	return decisions.RefusesShut(last.Decision, r.Name, false), nil
}
