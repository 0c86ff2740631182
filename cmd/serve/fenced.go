package serve

import (
	"context"
	"fmt"

	"streamcanary/schemas"
)

// fenced says why this process decides no more for a rollout, and what to do: what stands last in the model's log tells whether it is another serve's, or forged.
func (c *court) fenced(ctx context.Context, d *desk) string {
	const stops = "another process decides for this rollout: this one stops deciding for it until it is restarted; is it meant that two serve run?"
	last, err := c.bus.LastDecision(ctx, d.rollout.Model)
	if err != nil {
		return stops
	}
	why := last.Verify(c.trust)
	if why == nil {
		return stops
	}
	return fmt.Sprintf("the last decision in this model's log, %s (message %d of stream %s), is not this serve's (%v): nothing more is decided for this rollout, a rollback neither, until that is mended. "+
		"If another serve is to run, give both the same nats.signingKey, and restart this one. If not, somebody forges decisions: routers that check signatures don't obey them; move traffic by hand where it must be, find who may publish on streamcanary.decision.>, "+
		"and begin anew behind them: streamcanary rollout apply --rollout FILE --new-epoch", last.Decision.ID, last.Sequence, schemas.StreamName, why)
}
