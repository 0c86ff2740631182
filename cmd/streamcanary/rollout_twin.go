package main

import (
	"context"
	"fmt"
	"slices"

	"streamcanary/cmd/serve"
	"streamcanary/decisions/bus"
)

// meetsAnother looks at what somebody else has applied at the moment at which this was (met). Where it is the same, that one stands for both, and its revision is returned; else the error says what it is.
func meetsAnother(ctx context.Context, b *bus.Bus, a *application, met error) (uint64, error) {
	name := a.rollout.Name
	there, err := b.Spec(ctx, name)
	if err != nil {
		return 0, met
	}
	other, r, err := serve.DecodeApplication(there.Body)
	switch {
	case other.ID == "":
		return 0, met
	case other.Delete:
		return 0, fmt.Errorf("%w: %s deletes it, as of %s: apply it again when that is done", met, other.Actor.Name, other.At)
	case err != nil || !a.isTwin(&other) || !offlineOf(r).Equal(offlineOf(a.rollout)):
		return 0, fmt.Errorf("%w: %s has applied %s at %s: look with `streamcanary rollout show %s` what runs, and apply yours again where it is meant", met, other.Actor.Name, other.File, other.At, name)
	}
	a.Application = other
	return there.Revision, nil
}

// twinText says whose application stands for two.
func (a *application) twinText() string {
	return fmt.Sprintf("rollout %s: %s has applied this very file at the same moment (%s): that one stands for both, and what follows is of it", a.rollout.Name, a.Actor.Name, a.At)
}

// isTwin reports whether another application asks for the same: only its moment, and who asks, are others.
func (a *application) isTwin(other *serve.Application) bool {
	asksFrom := slices.Contains(a.starts, "--from")
	return other.YAML == a.YAML && len(other.Documents) == len(a.Documents) && changedDocuments(other.Documents, a.Documents) == nil && !other.Retry && other.Back == nil &&
		other.Supersede == a.Supersede && other.Force == a.Force && other.Override == a.Override && (!asksFrom || other.From == a.From)
}
