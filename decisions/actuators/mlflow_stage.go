package actuators

import (
	"context"
	"errors"
	"net/http"

	"streamcanary/schemas"
)

// A stage, unlike an alias, is of each version for itself: several may have one. Which version a rollout has given it last stands in the model's tag streamcanary.stage.<stage>, as with aliases.

// archived is the stage of a version that no longer serves.
const archived = "Archived"

// stageTo gives the version that serves from now on its stage, and writes down that a rollout did so. Where the version that served until now doesn't have it, and one to which no rollout has given it does, it stays there.
func (m mlflow) stageTo(ctx context.Context, e *Event, from, to string) error {
	now, err := m.stageOf(ctx, e, to)
	if err != nil {
		return err
	}
	model, err := m.registered(ctx, e.Use.Name)
	if err != nil {
		return err
	}
	last := model.setLast(stageTag+e.Use.Stage, e)
	if other := model.in(e.Use.Stage); now != e.Use.Stage && other != "" && other != last && other != from {
		if err := m.anothersStage(ctx, e, stageMove{to, from, e.Use.Stage}, other); err != nil {
			return err
		}
	}
	if err := m.stageFrom(ctx, e, stageMove{to, now, e.Use.Stage}); err != nil || m.dry() {
		return err
	}
	if last == to || last == "" && now == e.Use.Stage && e.Decision.Action == schemas.ActionRollback {
		return nil // it has it from the start
	}
	return m.owns(ctx, e, stageTag+e.Use.Stage, to)
}

// anothersStage says that a stage was given to another version by somebody else, unless the one that served until now has it, too.
func (m mlflow) anothersStage(ctx context.Context, e *Event, move stageMove, other string) error {
	was, err := m.stageOf(ctx, e, move.from)
	if err != nil && !isGone(err) {
		return err
	}
	if was == move.to {
		return nil
	}
	return conflict("give version "+move.version+" the stage "+move.to, "version %s of %s has it, which no rollout has given it, and %s, which served, doesn't, so it is left alone; give it to %s by hand, if that is right",
		other, e.Use.Name, move.from, move.version)
}

// stageBack gives the stage that a promotion before this start has given to another version back to the baseline, unless somebody else has changed it since.
func (m mlflow) stageBack(ctx context.Context, e *Event) error {
	use := e.Use
	if use.Stage == "" {
		return nil
	}
	model, err := m.registered(ctx, use.Name)
	if err != nil {
		return err
	}
	last := model.setLast(stageTag+use.Stage, e)
	if last == "" || last == use.Baseline {
		m.leave(e, "stage %s of %s was given to no version but the baseline by a rollout", use.Stage, use.Name)
		return nil
	}
	now, err := m.stageOf(ctx, e, last)
	if err != nil && !isGone(err) {
		return err
	}
	if now != use.Stage {
		m.leave(e, "version %s of %s, to which a rollout has given stage %s, doesn't have it any more", last, use.Name, use.Stage)
		return nil
	}
	return inTurn(
		func() error { return m.stageTo(ctx, e, last, use.Baseline) },
		func() error { return m.stage(ctx, e, last, archived) },
	)
}

// isGone reports whether MLflow says that it doesn't have what was asked for.
func isGone(err error) bool {
	var f *Failure
	return errors.As(err, &f) && f.Refused && f.Status == http.StatusNotFound
}

// stage gives a version a stage that it doesn't have.
func (m mlflow) stage(ctx context.Context, e *Event, version, stage string) error {
	now, err := m.stageOf(ctx, e, version)
	if err != nil {
		return err
	}
	return m.stageFrom(ctx, e, stageMove{version, now, stage})
}

// stageOf reads the stage that a version has.
func (m mlflow) stageOf(ctx context.Context, e *Event, version string) (string, error) {
	var answer struct {
		Version *struct {
			Version string
			Stage   string `json:"current_stage"`
		} `json:"model_version"`
	}
	if err := m.read(ctx, m.at("model-versions/get", "name", e.Use.Name, "version", version), &answer); err != nil {
		return "", err
	}
	if answer.Version == nil || answer.Version.Version != version {
		return "", unexpected("read version "+version, "the server answers, but not with that version: is that the address of MLflow?")
	}
	return answer.Version.Stage, nil
}

// A stageMove gives a version another stage than it has.
type stageMove struct{ version, from, to string }

func (m mlflow) stageFrom(ctx context.Context, e *Event, move stageMove) error {
	if move.from == move.to {
		m.leave(e, "version %s of %s has stage %s", move.version, e.Use.Name, move.to)
		return nil
	}
	err := m.post(ctx, e, "model-versions/transition-stage", map[string]any{"name": e.Use.Name, "version": move.version, "stage": move.to, "archive_existing_versions": false})
	var f *Failure
	if errors.As(err, &f) && (f.Status == http.StatusNotFound || f.Status == http.StatusNotImplemented) { // the version itself was just read
		return conflict("give version "+move.version+" the stage "+move.to, "this MLflow has no stages (it answers %d): use alias in place of stage in spec.sinks; the aliases and tags are set", f.Status)
	}
	return err
}
