package actuators

import (
	"slices"
	"strings"

	"streamcanary/schemas"
)

// What stands is named by what a notice waits for, or by the kind of event that has told of it (Standing). A rollout's file may give a guardrail, a router or a store the same name as a sink's
// step: what has such a name is never taken for less than it may be.

// owns reports whether the rollout's file gives something that may stand this name.
func (e *Event) owns(name string) bool {
	r := e.Rollout
	return r != nil && (slices.ContainsFunc(r.Guardrails, func(g schemas.Guardrail) bool { return g.Name == name }) ||
		slices.ContainsFunc(r.Alerts, func(g schemas.AlertGuardrail) bool { return g.Name == name }) ||
		slices.Contains(r.Acks.Routers, name) || slices.Contains(r.State.Stores, name))
}

// isLesser reports whether it is never more than a warning: a sink that doesn't do its step, that a person has frozen the rollout, or that the model is rolled back again and again.
func (e *Event) isLesser(name string) bool {
	if e.owns(name) {
		return false
	}
	return name == heldFrozen || name == heldChronic || strings.HasPrefix(name, alertStep) || strings.HasPrefix(name, "registry-") || name == string(schemas.NoticeSinkOverdue) || name == string(schemas.NoticeSinkRefused)
}

// isApart reports whether it is an incident of its own, of the baseline or of a version that is to have no users.
func (e *Event) isApart(name string) bool {
	return (isRetired(name) || isRefuge(name)) && !e.owns(name)
}

// isTelling reports whether it is a step that people are told by a sink.
func (e *Event) isTelling(name string) bool {
	return strings.HasPrefix(name, alertStep) && !e.owns(name)
}

// isRefuge reports whether it is that all users are with a baseline that is beyond a limit: that is an incident of its own, as it was told, before the rollback was carried out (forward) or after it (refuge).
func isRefuge(name string) bool {
	return name == "no_refuge" || name == string(schemas.NoticeNoRefuge)
}

// isRetired reports whether it is that a version serves that is to have no users, which is an incident of its own.
func isRetired(name string) bool {
	return strings.HasPrefix(name, retiredVersion) || name == string(schemas.NoticeRetiredServes)
}

// heldFrozen names a person's freeze, heldChronic that the model is rolled back again and again.
const (
	heldFrozen  = "frozen"
	heldChronic = "chronic"
)

// What begins the name of something that stands: of a rollback's step that people are told by a sink, whose name follows; and of a version that serves users and is to have none, likewise.
const (
	alertStep      = "alert-"
	retiredVersion = "retired "
)

// others are what stands without that this sink was to tell people: where it is told of that, it tells them.
func (e *Event) others(standing []string) []string {
	return slices.DeleteFunc(slices.Clone(standing), func(name string) bool { return e.Use != nil && name == alertStep+e.Use.Sink && !e.owns(name) })
}
