package schemas

import "strings"

// sinks writes what is wanted of each sink, with every default.
func (e *explainer) sinks(f *field, indent string) {
	if len(e.rollout.Sinks) == 0 {
		e.say(indent, "no sinks: sinks: [{webhook: oncall}] would tell a sink of serve's configuration what is decided")
		return
	}
	e.line(indent+f.key+":", f.about)
	for _, u := range e.rollout.Sinks {
		e.line(indent+"  - {"+useText(&u)+"}", useForm.find(string(u.Kind)).about)
	}
}

func useText(u *SinkUse) string {
	if !u.Kind.Changes() {
		return string(u.Kind) + ": " + quoted(u.Sink)
	}
	parts := []string{"sink: " + quoted(u.Sink)}
	for _, pair := range [][2]string{
		{"namespace", u.Namespace}, {"name", u.Name}, {"alias", u.Alias}, {"candidate", u.Candidate}, {"stage", u.Stage}, {"prefix", u.Prefix},
		{"baseline", u.Baseline}, {"canary", u.Canary},
	} {
		if useForm.find(string(u.Kind)).form.find(pair[0]) != nil && pair[1] != "" {
			parts = append(parts, pair[0]+": "+quoted(pair[1]))
		}
	}
	return string(u.Kind) + ": {" + strings.Join(parts, ", ") + "}"
}
