package serve

import (
	"encoding/json"
	"fmt"

	"streamcanary/schemas"
)

// An Application is what `rollout apply` and `rollout delete` leave for the service: the value of the KV entry `<rollout>.spec`.
type Application struct {
	ID    string        `json:"id"`   // of this request: a second one with the same id is the same request
	File  string        `json:"file"` // the rollout file's name, for error messages
	YAML  string        `json:"yaml"`
	From  schemas.Time  `json:"from"` // event time from which windows are judged
	At    schemas.Time  `json:"at"`
	Actor schemas.Actor `json:"actor"`
	// Retry: begin anew what was judged before. Supersede: end whatever other rollout of the model is under way.
	Retry     bool `json:"retry,omitempty"`
	Supersede bool `json:"supersede,omitempty"`

	Delete bool `json:"delete,omitempty"` // end the rollout
	Force  bool `json:"force,omitempty"`  // even while a rollback is not yet carried out
}

// Encode returns the entry's bytes.
func (a *Application) Encode() ([]byte, error) { return json.Marshal(a) }

// DecodeApplication reads an entry, and the rollout in it.
func DecodeApplication(body []byte) (Application, *schemas.Rollout, error) {
	var a Application
	if err := json.Unmarshal(body, &a); err != nil {
		return a, nil, fmt.Errorf("decode rollout entry: %w", err)
	}
	r, err := schemas.ParseRollout(a.File, []byte(a.YAML))
	if err != nil {
		return a, nil, fmt.Errorf("decode rollout entry: %w", err)
	}
	return a, r, nil
}
