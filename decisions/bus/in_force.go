package bus

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"streamcanary/schemas"
)

// InForce are the decisions in the route documents of the models that have something in the decision log, in the order of the models' subjects: of at most routeMendsMost models.
func (b *Bus) InForce(ctx context.Context) ([]*schemas.Decision, error) {
	models, err := b.decidedModels(ctx)
	if err != nil {
		return nil, err
	}
	var all []*schemas.Decision
	for _, model := range models {
		d, err := b.Route(ctx, model)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// LastWanted are the last decisions that count (LastDecision) of those models where it is wanted, in the order of the models' subjects: of at most routeMendsMost models. A model's whole log is
// read only where its last message is wanted, or doesn't count.
func (b *Bus) LastWanted(ctx context.Context, wanted func(*schemas.Decision) bool) ([]*schemas.Decision, error) {
	models, err := b.decidedModels(ctx)
	if err != nil {
		return nil, err
	}
	var all []*schemas.Decision
	for _, model := range models {
		subject, err := schemas.DecisionSubject(model)
		if err != nil {
			return nil, err
		}
		message, err := b.last(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if l := logged(message); b.counts(&l, &scan{model: model}, nil) == nil && !wanted(l.Decision) {
			continue
		}
		last, err := b.LastDecision(ctx, model)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if wanted(last.Decision) {
			all = append(all, last.Decision)
		}
	}
	return all, nil
}
