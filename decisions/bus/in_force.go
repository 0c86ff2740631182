package bus

import (
	"context"
	"errors"

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
