package actuators

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"streamcanary/schemas"
)

var _ = register(schemas.SinkMLflow, openMLflow)

// mlflow lets a model registry follow (MLflow's REST API 2.0). A promotion gives the alias of the version that serves to the canary, and its stage; a rollback takes
// them away from the canary again, and gives them back to the baseline. The candidate's alias is the canary's from the start's commit to the end of its test.
//
// MLflow sets an alias without asking what it was, so it is read, compared, set and read again: an alias that points to neither of the two was moved by somebody else,
// and is left alone. What it was stands in the model's tag streamcanary.previous.<alias> before it is set; the decision's id in the tag streamcanary.decision of both versions.
// Stages are in mlflow_stage.go.
type mlflow struct{ *courier }

// The tags that are written.
const (
	previousTag = "streamcanary.previous."
	setTag      = "streamcanary.set."
	stageTag    = "streamcanary.stage."
	decisionTag = "streamcanary.decision"
)

func openMLflow(c *courier) (Actuator, error) {
	c.explain = explainMLflow
	return mlflow{c}, nil
}

// explainMLflow reads MLflow's error: {"error_code", "message"}. What it says that it doesn't have, or can't take, doesn't get better by itself. A 404 without such a code is of
// something else: a proxy, or a server that is starting.
func explainMLflow(f *Failure, body []byte) {
	var answer struct {
		Code    string `json:"error_code"`
		Message string
	}
	if json.Unmarshal(body, &answer) != nil {
		return
	}
	switch answer.Code {
	case "RESOURCE_DOES_NOT_EXIST", "NOT_FOUND":
		f.why = fmt.Sprintf("MLflow has no such thing: %s: register it, or mend name, baseline and canary of this sink in spec.sinks", strings.TrimSuffix(clip(answer.Message, shownBody), "."))
	case "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "FEATURE_DISABLED":
	case "PERMISSION_DENIED", "ABORTED", "RESOURCE_CONFLICT":
		f.alone = true
		return
	default:
		return
	}
	f.Refused, f.alone, f.again = true, true, false
}

// Act carries out what a decision means to the registry.
func (m mlflow) Act(ctx context.Context, e *Event) error {
	d := e.Decision
	if d == nil || e.advises() {
		return nil
	}
	use := e.Use
	switch {
	case d.Action == schemas.ActionStart && d.Phase == schemas.PhaseCommit:
		return m.starts(ctx, e)
	case d.Action == schemas.ActionPromote:
		return m.takesOver(ctx, e, use.Baseline, use.Canary)
	case d.Action == schemas.ActionRollback:
		return m.takesOver(ctx, e, use.Canary, use.Baseline)
	case d.Action == schemas.ActionSupersede, d.Action == schemas.ActionStart && d.Phase == schemas.PhaseAbort:
		return m.alias(ctx, e, aliasMove{alias: use.Candidate, from: use.Canary})
	}
	return nil
}

// starts gives the canary the candidate's alias, also from the canary of an earlier epoch that this one begins over. Where that one was promoted, the baseline serves from now on what the canary
// doesn't: the alias and the stage that the promotion has moved are its again.
func (m mlflow) starts(ctx context.Context, e *Event) error {
	use := e.Use
	candidate := func() error { return m.alias(ctx, e, aliasMove{alias: use.Candidate, to: use.Canary}) }
	if len(e.Decision.Routes) == 0 {
		return candidate() // another controller moves the weights
	}
	return inTurn(
		func() error { return m.alias(ctx, e, aliasMove{alias: use.Alias, to: use.Baseline, ours: true}) },
		candidate,
		func() error { return m.stageBack(ctx, e) },
	)
}

// takesOver lets one version follow another as the one that serves. Stages come last: MLflow deprecates them.
func (m mlflow) takesOver(ctx context.Context, e *Event, from, to string) error {
	use := e.Use
	moves := []func() error{
		func() error { return m.alias(ctx, e, aliasMove{alias: use.Alias, from: from, to: to}) },
		func() error { return m.alias(ctx, e, aliasMove{alias: use.Candidate, from: use.Canary}) },
		func() error { return m.tag(ctx, e, from) },
		func() error { return m.tag(ctx, e, to) },
	}
	if use.Stage != "" {
		moves = append(moves, func() error { return m.stageTo(ctx, e, from, to) }, func() error { return m.stage(ctx, e, from, archived) })
	}
	return inTurn(moves...)
}

// inTurn makes moves as far as that goes, since each is right without the others. What is wrong with the server ends it, and not what is wrong with one move.
func inTurn(moves ...func() error) error {
	var errs []error
	for _, move := range moves {
		err := move()
		errs = append(errs, err)
		var f *Failure
		if err != nil && (!errors.As(err, &f) || !f.alone) {
			break
		}
	}
	return together(errs...)
}

// tag writes the decision's id at a version.
func (m mlflow) tag(ctx context.Context, e *Event, version string) error {
	return m.post(ctx, e, "model-versions/set-tag", map[string]string{"name": e.Use.Name, "version": version, "key": decisionTag, "value": e.ID})
}

// An aliasMove moves an alias from one version to another. An alias without a name is none; to "" takes it away. One that is only to be moved where it is ours stays where anybody else has set it.
type aliasMove struct {
	alias, from, to string
	ours            bool
}

// alias moves an alias that is where it is expected, where a rollout of the model has set it last, or nowhere.
func (m mlflow) alias(ctx context.Context, e *Event, move aliasMove) error {
	if move.alias == "" {
		return nil
	}
	model, err := m.registered(ctx, e.Use.Name)
	if err != nil {
		return err
	}
	now, last := model.alias(move.alias), model.setLast(setTag+move.alias, e)
	switch {
	case move.ours && (now == "" || now != last):
		m.leave(e, "alias %s of %s points to %s, and no rollout has set that", move.alias, e.Use.Name, orNone(now))
		return nil
	case now == move.to:
		m.leave(e, "alias %s of %s points to %s", move.alias, e.Use.Name, orNone(now))
		if last == "" && e.Decision.Action == schemas.ActionRollback {
			return nil // it has been there from the start
		}
		return m.claim(ctx, e, move, last)
	case now == "" && e.Decision.Action == schemas.ActionRollback:
		m.leave(e, "alias %s of %s points to %s", move.alias, e.Use.Name, orNone(now))
		return nil // nothing was given, so nothing is given back
	case now != "" && now != move.from && now != last:
		return m.anothers(e, move, now, last)
	}
	if err := m.set(ctx, e, move, now); err != nil || m.dry() {
		return err
	}
	then, err := m.registered(ctx, e.Use.Name)
	if err != nil {
		return err
	}
	if then.alias(move.alias) != move.to {
		return unexpected("move alias "+move.alias, "it was set to %s, and then didn't point there: somebody else moves it, too", orNone(move.to))
	}
	return m.claim(ctx, e, move, last)
}

// anothers leaves an alias alone that somebody else has moved. It needn't be taken away.
func (m mlflow) anothers(e *Event, move aliasMove, now, last string) error {
	expected := cmp.Or(last, move.from)
	switch {
	case move.to == "":
		m.leave(e, "alias %s of %s points to version %s, which is another's", move.alias, e.Use.Name, now)
		return nil
	case expected == "":
		return conflict("move alias "+move.alias, "it points to version %s of %s, and nothing says that a rollout of %s has set that, so it is left alone; move it to %s by hand, if that is right",
			now, e.Use.Name, e.Rollout.Model, move.to)
	}
	return conflict("move alias "+move.alias, "it points to version %s of %s, and was to point to %s: somebody else moved it, so it is left alone; move it to %s by hand, if that is right",
		now, e.Use.Name, expected, move.to)
}

// claim writes down where an alias was set last, and for which model, where nothing says so yet: also of one that is there already, since what sets it may end before this is written.
func (m mlflow) claim(ctx context.Context, e *Event, move aliasMove, last string) error {
	if last == move.to || m.dry() {
		return nil
	}
	return m.owns(ctx, e, setTag+move.alias, cmp.Or(move.to, setNone))
}

// owns writes down for which model a rollout has set what a tag is of.
func (m mlflow) owns(ctx context.Context, e *Event, key, version string) error {
	return m.post(ctx, e, "registered-models/set-tag", map[string]string{"name": e.Use.Name, "key": key, "value": version + setBy + e.Rollout.Model})
}

// setBy stands between the version and the model in that tag, and setNone in place of a version where the alias was taken away.
const (
	setBy   = " for "
	setNone = "none"
)

// setLast is the version to which a rollout of the event's model has set last what a tag is of; "": none has, or it was taken away, or another model's rollout was the last.
func (r *registeredModel) setLast(key string, e *Event) string {
	for _, tag := range r.Tags {
		if tag.Key != key {
			continue
		}
		if version, model, _ := strings.Cut(tag.Value, setBy); model == e.Rollout.Model && version != setNone {
			return version
		}
	}
	return ""
}

// set writes down what an alias was, and sets it, or takes it away.
func (m mlflow) set(ctx context.Context, e *Event, move aliasMove, was string) error {
	if was != "" {
		tag := map[string]string{"name": e.Use.Name, "key": previousTag + move.alias, "value": was}
		if err := m.post(ctx, e, "registered-models/set-tag", tag); err != nil {
			return err
		}
	}
	if move.to != "" {
		return m.post(ctx, e, "registered-models/alias", map[string]string{"name": e.Use.Name, "alias": move.alias, "version": move.to})
	}
	return m.write(ctx, http.MethodDelete, e, writeTo{"registered-models/alias", map[string]string{"name": e.Use.Name, "alias": move.alias}})
}

func orNone(version string) string {
	if version == "" {
		return "no version"
	}
	return version
}

// A registeredModel is what MLflow has of a model.
type registeredModel struct {
	Name    string
	Aliases []struct{ Alias, Version string }
	Tags    []struct{ Key, Value string }
	Latest  []struct { // the newest version of each stage
		Version string
		Stage   string `json:"current_stage"`
	} `json:"latest_versions"`
}

// in is the newest version that has a stage; "": none has.
func (r *registeredModel) in(stage string) string {
	for _, v := range r.Latest {
		if v.Stage == stage {
			return v.Version
		}
	}
	return ""
}

// alias is the version that an alias points to; "": none.
func (r *registeredModel) alias(name string) string {
	for _, a := range r.Aliases {
		if a.Alias == name {
			return a.Version
		}
	}
	return ""
}

// registered reads a model.
func (m mlflow) registered(ctx context.Context, model string) (*registeredModel, error) {
	var answer struct {
		Model *registeredModel `json:"registered_model"`
	}
	if err := m.read(ctx, m.at("registered-models/get", "name", model), &answer); err != nil {
		return nil, err
	}
	if answer.Model == nil || answer.Model.Name != model {
		return nil, unexpected("read model "+model, "the server answers, but not with that model: is that the address of MLflow?")
	}
	return answer.Model, nil
}

// at is the address of a call, with pairs of a query.
func (m mlflow) at(path string, query ...string) string {
	address := m.sink.URL + "/api/2.0/mlflow/" + path
	values := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	if len(values) > 0 {
		address += "?" + values.Encode()
	}
	return address
}

func (m mlflow) post(ctx context.Context, e *Event, path string, body any) error {
	return m.write(ctx, http.MethodPost, e, writeTo{path, body})
}

// writeTo is what is written where.
type writeTo struct {
	path string
	body any
}

// write changes something. MLflow answers with a JSON object.
func (m mlflow) write(ctx context.Context, method string, e *Event, w writeTo) error {
	x, err := jsonCall(method, m.at(w.path), e, w.body)
	if err != nil {
		return err
	}
	x.check = jsonInto(&map[string]any{})
	return m.change(ctx, x)
}
