package decisions

import (
	"encoding/json"
	"fmt"

	"streamcanary/schemas"
)

const decisionSchema = "streamcanary.decision.v1"

func decisionID(rollout string, epoch, seq int64) string {
	return fmt.Sprintf("%s-%d-%d", rollout, epoch, seq)
}

func encodeDecision(d *schemas.Decision) ([]byte, error) {
	return json.Marshal(struct {
		SpecVersion string            `json:"specversion"`
		Type        string            `json:"type"`
		Data        *schemas.Decision `json:"data"`
	}{"1.0", decisionSchema, d})
}
