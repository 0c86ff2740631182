package pillars

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"streamcanary/decisions"
	"streamcanary/schemas"
)

// modelVersion is MLflow's, as GET /api/2.0/mlflow/model-versions/get answers it (mlflow/protos/model_registry.proto).
type modelVersion struct {
	Name          string `json:"name"`
	Version       string `json:"version"`
	Status        string `json:"status"` // PENDING_REGISTRATION, FAILED_REGISTRATION, READY
	StatusMessage string `json:"status_message"`
	Source        string `json:"source"`
	RunID         string `json:"run_id"`
	Tags          []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	} `json:"tags"`
}

// ready is the status of a version that can be deployed.
const ready = "READY"

func (v *modelVersion) tag(key string) string {
	for _, t := range v.Tags {
		if t.Key == key {
			return t.Value
		}
	}
	return ""
}

// registry checks that both versions exist, are ready, and are still what was recorded of them.
func (c *check) registry(ctx context.Context) decisions.Pillar {
	const name = decisions.PillarRegistry
	if c.Offline {
		return unchecked(name, "MLflow")
	}
	if c.MLflow == nil {
		return c.failed(name, &away{errors.New("the configuration has no registries.mlflow: write where MLflow is, e.g. registries: {mlflow: {url: \"https://mlflow.example\"}}")})
	}
	var why []string
	var pins, were []decisions.Pin
	var unknown error
	baseline, answered := false, false
	for i, recorded := range []schemas.RecordedVersion{c.Pillars.MLflow.Baseline, c.Pillars.MLflow.Canary} {
		were = append(were, c.pinned(c.Pillars.MLflow.Name, recorded.Version)...)
		v, err := c.modelVersion(ctx, recorded.Version)
		if c.Running && isAway(err) {
			unknown = err
			continue
		}
		if err != nil {
			why, baseline, answered = append(why, err.Error()), baseline || i == 0, answered || !isAway(err)
			continue
		}
		pin := decisions.Pin{Model: v.Name, Version: v.Version, Source: v.Source, RunID: v.RunID, Tag: c.Pillars.MLflow.Tag, Digest: v.tag(c.Pillars.MLflow.Tag)}
		pins = append(pins, pin)
		if other := c.changed(v, recorded); other != nil {
			why, baseline, answered = append(why, other...), baseline || i == 0, true
		}
	}
	switch {
	case why != nil:
		p := decisions.NewPillar(name, decisions.PillarFailed, why, were...)
		p.Baseline, p.Away = baseline, !answered
		return p
	case unknown != nil:
		return c.failed(name, unknown)
	}
	return decisions.NewPillar(name, decisions.PillarHeld, nil, pins...)
}

// pinned is what a version was at first sight; none: it wasn't seen.
func (c *check) pinned(model, version string) []decisions.Pin {
	for _, p := range c.Pins {
		if p.Model == model && p.Version == version {
			return []decisions.Pin{p}
		}
	}
	return nil
}

// modelVersion asks for a version of the rollout's registered model.
func (c *check) modelVersion(ctx context.Context, version string) (*modelVersion, error) {
	model := c.Pillars.MLflow.Name
	what := fmt.Sprintf("version %s of registered model %s", version, model)
	var answer struct {
		ModelVersion *modelVersion `json:"model_version"`
	}
	path := "/api/2.0/mlflow/model-versions/get?" + url.Values{"name": {model}, "version": {version}}.Encode()
	err := c.MLflow.call(ctx, call{method: http.MethodGet, path: path, answer: &answer})
	var no *refusal
	switch v := answer.ModelVersion; {
	case errors.As(err, &no) && no.code == "RESOURCE_DOES_NOT_EXIST":
		return nil, fmt.Errorf("%s is not in MLflow at %s: register it, or name the right one (pillars.registry.mlflow: name, version)", what, c.MLflow.address())
	case errors.As(err, &no) && no.code == "INVALID_PARAMETER_VALUE":
		return nil, fmt.Errorf("%s: MLflow says %q: its versions are numbers: name the right one with version: (pillars.registry.mlflow)", what, no.message)
	case err != nil:
		return nil, &away{fmt.Errorf("%s: %w", what, err)}
	case v == nil || v.Name != model || v.Version != version:
		return nil, &away{fmt.Errorf("%s: MLflow at %s answers something else: is registries.mlflow.url the tracking server's address?", what, c.MLflow.address())}
	}
	return answer.ModelVersion, nil
}

// changed says why a version can't be deployed, or is not any more what it was.
func (c *check) changed(v *modelVersion, recorded schemas.RecordedVersion) []string {
	what := fmt.Sprintf("version %s of registered model %s", v.Version, v.Name)
	var why []string
	if v.Status != ready {
		why = append(why, fmt.Sprintf("%s is %s%s, not %s: wait until it is, or register it again", what, shown(v.Status), inBrackets(v.StatusMessage), ready))
	}
	tag := c.Pillars.MLflow.Tag
	switch digest := v.tag(tag); {
	case recorded.Digest == "" || digest == recorded.Digest:
	case digest == "":
		why = append(why, fmt.Sprintf("%s has no tag %s to hold against the digest %s of the rollout: let whoever registers versions set it", what, tag, recorded.Digest))
	default:
		why = append(why, fmt.Sprintf("%s has the %s %s, and %s in the rollout: it was changed: register what is new as a version of its own", what, tag, shown(digest), recorded.Digest))
	}
	for _, was := range c.pinned(v.Name, v.Version) {
		now := decisions.NewPillar("", "", nil, decisions.Pin{Source: v.Source, RunID: v.RunID, Digest: v.tag(was.Tag)}).Pins[0]
		for _, x := range []struct{ what, was, now string }{{"source", was.Source, now.Source}, {"run id", was.RunID, now.RunID}, {was.Tag, was.Digest, now.Digest}} {
			if x.was != x.now && x.was != "" && x.was != recorded.Digest { // of that digest it is said
				why = append(why, fmt.Sprintf("%s had the %s %s when a rollout of it started, and has %s now: a version must not change: register what is new as one of its own",
					what, x.what, shown(x.was), orNone(x.now)))
			}
		}
	}
	return why
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return shown(text)
}

func inBrackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + shown(text) + ")"
}

// mlflowRefusal reads the body of an error of MLflow's.
func mlflowRefusal(body []byte) (code, message string) {
	var e struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &e) != nil {
		return "", ""
	}
	return e.Code, e.Message
}
