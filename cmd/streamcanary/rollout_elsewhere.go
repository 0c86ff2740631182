package main

import (
	"fmt"
	"strings"
)

// elsewhere is what is said of a rollout that the service which was asked only stands by for, or else of one that is lost.
func (l *rolloutLine) elsewhere(standsBy, lost string) string {
	if l.StandsBy {
		return standsBy
	}
	return lost
}

// elsewhereNamed bounds the rollouts that are named together.
const elsewhereNamed = 10

// sayElsewhere says of which rollouts the service that was asked only stands by: in full where it is one, else by their names, since it is the same of each.
func sayElsewhere(c *console, lines []rolloutLine) {
	var names []string
	why := ""
	for i := range lines {
		if l := &lines[i]; l.Lost != "" && l.StandsBy {
			names, why = append(names, l.Rollout), l.Lost
		}
	}
	switch more := len(names) - elsewhereNamed; {
	case len(names) == 0:
	case len(names) == 1:
		say(c.err, "rollout %s is decided for by another serve than the one that was asked: %s\n", names[0], why)
	default:
		text := strings.Join(names[:min(len(names), elsewhereNamed)], ", ")
		if more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		say(c.err, "rollouts %s are decided for by another serve than the one that was asked: `streamcanary rollout show NAME` says of each by which, and when this one goes on\n", text)
	}
}
