package main

import (
	"fmt"
	"strings"

	"streamcanary/schemas"
)

// What is printed for people; --json has all.
const (
	shownExemplars = 3 // of a guardrail
	shownLists     = 5 // guardrails
)

// exemplarLines names predictions to look up, a line for each guardrail that has any, the first ones.
func exemplarLines(indent string, guardrails []schemas.GuardrailStatus) string {
	var b strings.Builder
	lists := 0
	for i := range guardrails {
		g := &guardrails[i]
		if len(g.Exemplars) == 0 {
			continue
		}
		if lists++; lists <= shownLists {
			fmt.Fprintf(&b, "%slook up, of %s: %s\n", indent, nameText(g), exemplarsText(g))
		}
	}
	if lists > shownLists {
		fmt.Fprintf(&b, "%sand of %d more (--json has all)\n", indent, lists-shownLists)
	}
	return b.String()
}

// exemplarsText is e.g. "r-17 (upstream_503), r-42 (upstream_503), r-43 and 4 more".
func exemplarsText(g *schemas.GuardrailStatus) string {
	var parts []string
	for _, x := range g.Exemplars[:min(len(g.Exemplars), shownExemplars)] {
		text := schemas.Readable(x.ID)
		if x.Value != nil {
			text += strings.TrimRight(fmt.Sprintf(" %.4g %s", *x.Value, x.Unit), " ")
		}
		if x.Code != "" {
			text += " (" + schemas.Readable(x.Code) + ")"
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, ", ")
	if more := len(g.Exemplars) - len(parts); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
