package certify

import "strings"

// withoutSamples is a setting for scenes without hosts: what nobody reports can't pass, so nothing that a promotion needs may hang on it.
func (s Setting) withoutSamples() Setting {
	s.guardrails = strings.Replace(s.guardrails, "increase: 5pp, on: hold}", "increase: 5pp, on: hold, required: false}", 1)
	return s
}
