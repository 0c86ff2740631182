package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"streamcanary/schemas"
)

// shownExemplars is how many of a guardrail's are printed for people; --json has all.
const shownExemplars = 3

// exemplarLines names predictions to look up, a line for each guardrail that has any.
func exemplarLines(indent string, guardrails []schemas.GuardrailStatus) string {
	var b strings.Builder
	for i := range guardrails {
		if g := &guardrails[i]; len(g.Exemplars) > 0 {
			fmt.Fprintf(&b, "%slook up, of %s: %s\n", indent, onTerminal(nameText(g)), exemplarsText(g))
		}
	}
	return b.String()
}

// exemplarsText is e.g. "r-17 (upstream_503), r-42 (upstream_503), r-43 and 4 more".
func exemplarsText(g *schemas.GuardrailStatus) string {
	var parts []string
	for _, x := range g.Exemplars[:min(len(g.Exemplars), shownExemplars)] {
		text := onTerminal(x.ID)
		if x.Value != nil {
			text += strings.TrimRight(fmt.Sprintf(" %.4g %s", *x.Value, x.Unit), " ")
		}
		if x.Code != "" {
			text += " (" + onTerminal(x.Code) + ")"
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, ", ")
	if more := len(g.Exemplars) - len(parts); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// onTerminal quotes what a terminal would obey, or not show as it is: ids and codes are what some producer wrote.
func onTerminal(text string) string {
	for _, r := range text {
		if !strconv.IsPrint(r) || r == utf8.RuneError {
			return strconv.Quote(text)
		}
	}
	return text
}
