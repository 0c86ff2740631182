package main

import (
	"cmp"
	"context"
	"fmt"

	"streamcanary/cmd/serve"
	"streamcanary/decisions"
	"streamcanary/decisions/bus"
	"streamcanary/schemas"
)

// refusedAsOf says of when a refusal is: the service looks at what is applied once, and what spoke against it may be over.
func refusedAsOf(name string, at schemas.Time) string {
	when := ""
	if at > 0 {
		when = fmt.Sprintf(", at %s", at)
	}
	return fmt.Sprintf("That is as things were when it looked%s: it looks again only when the rollout is applied again. Where it is over, or mended, apply it again; `streamcanary rollout delete %s` takes it back", when, name)
}

// stillRefused is the error of a look at a rollout that the service doesn't judge.
func stillRefused(name string, no *serve.Standing) error {
	return fmt.Errorf("rollout %s is applied, but the service refuses it: %s. %s", name, no.Refused, refusedAsOf(name, no.RefusedAt))
}

// staysThere is the error of an application that was refused, and whose file stays where the next serve finds it.
func staysThere(no refused) error {
	return fmt.Errorf("%w. Its file stays, as refused: when that is over, or mended, apply it again, or take it back with `streamcanary rollout delete %s`", no, no.rollout)
}

// obstacle says why another rollout of the model keeps one from being applied; nil: it doesn't. One that the service refuses isn't under way, whatever its file says.
func (a *application) obstacle(ctx context.Context, spec *bus.Spec, s *decisions.State) error {
	name := spec.Rollout
	model, end := a.rollout.Model, fmt.Sprintf("end it first with `streamcanary rollout delete %s`, or apply with --supersede", name)
	switch {
	case s.Status.Ended(), s.Status == "" && (serve.Refusal(name, spec.Body) != nil || refusal(ctx, &a.at, name) != nil):
		return nil
	case s.Status == "":
		return fmt.Errorf("rollout %s of model %s is applied, too, and as far as is known no serve has taken it up yet: %s", name, model, end)
	}
	return fmt.Errorf("model %s has an active rollout, %s (%s): %s", model, name, s.Status, end)
}

// refusalKept is why an application was refused, as far as its rollout's entry says; "": it doesn't.
func refusalKept(ctx context.Context, b *bus.Bus, a *application) string {
	spec, err := b.Spec(ctx, a.rollout.Name)
	if err != nil {
		return ""
	}
	now, _ := serve.ReadApplication(spec.Body)
	if now.ID != a.ID {
		return ""
	}
	return now.Refused
}

// changeText tells of a change that was refused, and that the rollout is as it was.
func changeText(no *serve.RefusedChange, s *decisions.State) string {
	by := ""
	if no.By != "" {
		by = " by " + no.By
	}
	return fmt.Sprintf("%s, applied at %s%s, was refused at %s, and epoch %d stays as it is: %s. That is as things were then: where it is over, or mended, apply it again",
		cmp.Or(no.File, "a change"), no.At, by, no.When, s.Epoch, no.Why)
}
