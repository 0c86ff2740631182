package actuators

import (
	"slices"
	"strings"

	"streamcanary/schemas"
)

// What stands is named by what a notice waits for, or by the kind of event that has told of it (Standing).

// isLesser reports whether it is never more than a warning: a sink that doesn't do its step, or that a person has frozen the rollout.
func isLesser(name string) bool {
	return name == heldFrozen || strings.HasPrefix(name, alertStep) || strings.HasPrefix(name, "registry-") || name == string(schemas.NoticeSinkOverdue) || name == string(schemas.NoticeSinkRefused)
}

// isRefuge reports whether it is that all users are with a baseline that is beyond a limit: that is an incident of its own, as it was told, before the rollback was carried out (forward) or after it (refuge).
func isRefuge(name string) bool {
	return name == "no_refuge" || name == string(schemas.NoticeNoRefuge)
}

// isRetired reports whether it is that a version serves that is to have no users, which is an incident of its own.
func isRetired(name string) bool {
	return strings.HasPrefix(name, retiredVersion) || name == string(schemas.NoticeRetiredServes)
}

// heldFrozen names a person's freeze.
const heldFrozen = "frozen"

// What begins the name of something that stands: of a rollback's step that people are told by a sink, whose name follows; and of a version that serves users and is to have none, likewise.
const (
	alertStep      = "alert-"
	retiredVersion = "retired "
)

// others are what stands without that this sink was to tell people: where it is told of that, it tells them.
func (e *Event) others(standing []string) []string {
	return slices.DeleteFunc(slices.Clone(standing), func(name string) bool { return e.Use != nil && name == alertStep+e.Use.Sink })
}
