package main

import (
	"fmt"
	"strings"

	"streamcanary/schemas"
)

// alertRow is the row of a guardrail from outside: whether an alert fires, which one, and since when.
func alertRow(g *schemas.GuardrailStatus) string {
	state, fires := "quiet", "-"
	if len(g.Alerts) > 0 {
		a := &g.Alerts[0]
		state, fires = alertWord(a), schemas.Readable(a.Name)+" since "+a.StartsAt.String()
		if more := g.AlertsFiring - 1; more > 0 {
			fires += fmt.Sprintf(" and %d more", more)
		}
	}
	return strings.Join([]string{nameText(g), state, fires, "external", "no alert", "-", "-", "-"}, "\t")
}

// alertWord says how an alert counts.
func alertWord(a *schemas.AlertStatus) string {
	switch {
	case a.Waived:
		return "firing (resumed past it)"
	case a.Before:
		return "firing (from before the canary)"
	case a.Due > 0:
		return "firing (counts from " + sinceText(a.Due, a.StartsAt) + " on)"
	}
	return "firing"
}

// alertLines tell what the alerts say, and where to look.
func alertLines(g *schemas.GuardrailStatus) string {
	var b strings.Builder
	for i := range g.Alerts {
		a := &g.Alerts[i]
		fmt.Fprintf(&b, "%s: alert %s (%s)", nameText(g), schemas.Readable(a.Name), schemas.Readable(a.Fingerprint))
		for _, more := range []string{a.Summary, a.URL} {
			if more != "" {
				b.WriteString(": " + schemas.Readable(more))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// ofAlerts says how many decisions stand on alerts; nothing where none does.
func ofAlerts(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d what alerts from outside asked for, which are taken as the journal has them", n)
}
