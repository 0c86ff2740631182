package actuators

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"streamcanary/schemas"
)

// retired says what to do about the incidents that versions serve that are to have no users: they may stand for as long as the rollouts that follow, whose rollbacks must wake somebody all the same. Each version is one
// of its own, since who has acknowledged one must hear of the next, and ends by its own event, or with a deletion that names it. What names no version was told by an older serve: that is one incident for all of
// them, which ends when no such version serves, and with the rollout that gives way to another.
func (e *Event) retired() []incident {
	n := e.Notice
	switch {
	case n != nil && n.Kind == schemas.NoticeRetiredServes:
		return e.ofRetired(n.Version, raise)
	case n != nil && n.Kind == schemas.NoticeRetiredOver && (n.Version != "" || !slices.ContainsFunc(n.Waiting, isRetired)):
		return e.ofRetired(n.Version, over)
	case e.deletes(), e.beginsAnew(), e.Decision != nil && e.Decision.Action == schemas.ActionSupersede:
		all := e.ofRetired("", over)
		for _, version := range e.retiredLeft() {
			all = append(all, e.ofRetired(version, over)...)
		}
		return all
	}
	return nil
}

func (e *Event) ofRetired(version string, what alarm) []incident {
	all := of(incidentRetired, e.rank(), what)
	for i := range all {
		all[i].of = version
	}
	return all
}

// retiredLeft are the versions that a deletion names, which serve users on.
func (e *Event) retiredLeft() []string {
	var versions []string
	if e.Notice != nil {
		for _, name := range e.Notice.Waiting {
			if version, is := strings.CutPrefix(name, retiredVersion); is {
				versions = append(versions, version)
			}
		}
	}
	return versions
}

// maxToken bounds what a version adds to the key of an incident, of which PagerDuty takes 255 bytes.
const maxToken = 64

// versionToken is a version in such a key, which is a header's value, too: where it is long its beginning, and a hash.
func versionToken(version string) string {
	text, err := schemas.EncodeName(version)
	if err != nil || len(text) > maxToken {
		sum := sha256.Sum256([]byte(version))
		text = fmt.Sprintf("%.*s.%x", maxToken-17, text, sum[:8])
	}
	return text
}
